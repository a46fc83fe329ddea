/* SPDX-License-Identifier: Apache-2.0 */
#include "storm.h"

#define STORM_TAG VCK_TAG('A', 's', 't', 'm')
/* Deadlines are multiples of it, so that some are equal. */
#define STEP_NS 1000u

struct storm_timer {
    struct vck_task_timer timer;
    struct storm *storm;
};

struct storm_task {
    struct job_task task;
    struct storm *storm;
    struct vck_async_event_wait wait;
};

/* Timers lie in the order in which they are armed. */
static bool is_in_order(const struct storm_timer *before, const struct storm_timer *after)
{
    uint64_t before_ns = before->timer.deadline_ns;
    uint64_t after_ns = after->timer.deadline_ns;

    return before_ns < after_ns || (before_ns == after_ns && before < after);
}

static void on_expired(struct vck_task_timer *timer)
{
    struct storm_timer *t = VCK_CONTAINER_OF(timer, struct storm_timer, timer);
    struct storm *storm = t->storm;
    uint64_t now_ns = vck_clock_ns();

    if (now_ns < timer->deadline_ns)
        storm->early++;
    else
        storm->latest_ns = VCK_MAX(storm->latest_ns, now_ns - timer->deadline_ns);
    if (storm->last && !is_in_order(storm->last, t))
        storm->out_of_order++;
    storm->last = t;
    if (++storm->expired == storm->count)
        vck_async_event_set(&storm->over);
}

/* xorshift64: deadlines need not be unpredictable. */
static uint64_t next_number(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* In one go: timers expire between polls, so all of them are armed before the first expires. */
static void arm_all(struct storm *storm)
{
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t start_ns = vck_clock_ns();

    for (uint64_t i = 0; i < storm->count; i++) {
        struct storm_timer *t = &storm->timers[i];
        uint64_t after_ns = storm->span_ns ? next_number(&state) % storm->span_ns : 0;
        t->storm = storm;
        vck_task_timer_init(&t->timer, vck_worker_get_current(), on_expired);
        vck_task_timer_arm(&t->timer, start_ns + after_ns - after_ns % STEP_NS, 0);
    }
}

static enum vck_poll storm_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct storm_task *st = VCK_CONTAINER_OF(self, struct storm_task, task.future);

    VCK_CO_BEGIN(&st->task.co);
    arm_all(st->storm);
    vck_async_event_wait_init(&st->wait, &st->storm->over);
    VCK_CO_AWAIT(&st->task.co, &st->wait.future, waker);
    VCK_CO_END(&st->task.co);
}

/* On the worker, where no callback is running. */
static void storm_drop(struct vck_future *self)
{
    struct storm_task *st = VCK_CONTAINER_OF(self, struct storm_task, task.future);

    if (st->task.co.resume_at == 0)
        return;
    vck_future_drop(&st->wait.future);
    for (uint64_t i = 0; i < st->storm->count; i++)
        (void)vck_task_timer_cancel(&st->storm->timers[i].timer);
}

static vck_status start_task(struct storm *storm)
{
    struct job_task *task;
    vck_status status = job_task_create(sizeof(struct storm_task), storm_poll, storm_drop, &task);

    if (status)
        return status;
    VCK_CONTAINER_OF(task, struct storm_task, task)->storm = storm;
    return job_task_spawn(&storm->job, task);
}

vck_status storm_start(struct storm *storm, uint64_t count, uint64_t span_ns)
{
    vck_status status = VCK_NO_MEMORY;

    vck_async_event_init(&storm->over);
    storm->count = count;
    storm->span_ns = span_ns;
    if (count <= SIZE_MAX / sizeof(*storm->timers))
        storm->timers = vck_alloc(count * sizeof(*storm->timers), STORM_TAG);
    if (storm->timers)
        status = start_task(storm);
    return status;
}

void storm_fini(struct storm *storm)
{
    vck_free(storm->timers);
    storm->timers = NULL;
}
