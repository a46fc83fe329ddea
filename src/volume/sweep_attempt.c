/* SPDX-License-Identifier: Apache-2.0 */
/* What a sweep is told from outside, and the steps that it may not give up halfway. */
#include "sweep_steps.h"

void sweep_set_phase(struct vck_sweep *s, enum vck_sweep_phase phase)
{
    __atomic_store_n(&s->phase, phase, __ATOMIC_RELEASE);
    if (s->target.changed)
        s->target.changed(s->target.context);
}

enum vck_sweep_phase vck_sweep_phase(const struct vck_sweep *sweep)
{
    return (enum vck_sweep_phase)__atomic_load_n(&sweep->phase, __ATOMIC_ACQUIRE);
}

void sweep_fail(struct vck_sweep *s, vck_status status, const char *what)
{
    if (s->status == VCK_OK) {
        s->status = status;
        s->failed_step = what;
    }
}

/* ---- commands ---- */

void vck_sweep_stop(struct vck_sweep *sweep, enum vck_intent intent)
{
    __atomic_store_n(&sweep->end_intent, intent, __ATOMIC_RELAXED);
    __atomic_store_n(&sweep->stop_requested, true, __ATOMIC_RELEASE);
    vck_wait_queue_wake_all(&sweep->commanded);
}

void vck_sweep_go_on(struct vck_sweep *sweep)
{
    __atomic_store_n(&sweep->stop_requested, false, __ATOMIC_RELEASE);
    vck_sweep_retry(sweep);
}

bool vck_sweep_may_retry(const struct vck_sweep *sweep)
{
    return vck_sweep_phase(sweep) == VCK_SWEEP_STUCK && !sweep_flag(&sweep->flush_failed);
}

bool vck_sweep_retry_is_pending(const struct vck_sweep *sweep)
{
    return sweep_flag(&sweep->retry_requested);
}

void vck_sweep_retry(struct vck_sweep *sweep)
{
    __atomic_store_n(&sweep->retry_requested, true, __ATOMIC_RELEASE);
    vck_wait_queue_wake_all(&sweep->commanded);
}

void vck_sweep_abort(struct vck_sweep *sweep)
{
    __atomic_store_n(&sweep->abort_requested, true, __ATOMIC_RELEASE);
    vck_wait_queue_wake_all(&sweep->commanded);
}

static bool has_command(struct vck_sweep *s)
{
    if (sweep_flag(&s->abort_requested))
        return true;
    /* After a failed flush nothing can be made good any more. */
    return !sweep_flag(&s->flush_failed) && sweep_flag(&s->retry_requested);
}

static bool command_or_register(struct vck_sweep *s, const struct vck_waker *waker)
{
    if (!has_command(s)) {
        vck_wait_queue_register(&s->commanded, &s->command_waiter, waker);
        if (!has_command(s))
            return false;
    }
    vck_wait_queue_cancel(&s->commanded, &s->command_waiter);
    return true;
}

/* ---- steps that may not be given up halfway ---- */

static void become_stuck(struct vck_sweep *s)
{
    s->status = s->step_status;
    s->failed_step = s->step_name;
    __atomic_store_n(&s->retry_requested, false, __ATOMIC_RELEASE);
    s->view.lock_status = VCK_IO;
    vck_guard_publish(s->target.guard, &s->view);
    sweep_set_phase(s, VCK_SWEEP_STUCK);
}

static void become_unstuck(struct vck_sweep *s)
{
    s->status = VCK_OK;
    s->failed_step = NULL;
    __atomic_store_n(&s->retry_requested, false, __ATOMIC_RELEASE);
    s->view.lock_status = VCK_OK;
    vck_guard_publish(s->target.guard, &s->view);
    sweep_set_phase(s, VCK_SWEEP_RUNNING);
}

/* Repeats s->step until it works or the sweep is aborted. */
enum vck_poll sweep_attempt(struct vck_sweep *s, const struct vck_waker *waker)
{
    VCK_CO_BEGIN(&s->attempt_co);
    for (;;) {
        s->step_co.resume_at = 0;
        VCK_CO_CALL(&s->attempt_co, s->step(s, waker));
        if (s->step_status == VCK_OK)
            break;
        become_stuck(s);
        VCK_CO_WAIT_UNTIL(&s->attempt_co, command_or_register(s, waker));
        if (sweep_flag(&s->abort_requested)) {
            s->gave_up = true;
            break;
        }
        become_unstuck(s);
    }
    VCK_CO_END(&s->attempt_co);
}

void sweep_set_attempt(struct vck_sweep *s,
                       enum vck_poll (*step)(struct vck_sweep *, const struct vck_waker *),
                       const char *name)
{
    s->attempt_co.resume_at = 0;
    s->step = step;
    s->step_name = name;
}
