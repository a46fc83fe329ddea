/* SPDX-License-Identifier: Apache-2.0 */
#include "executor_internal.h"

/* So that timers that are always due leave the tasks their turns. */
#define EXPIRIES_PER_ROUND 64u

/* ---- arming ---- */

void vck_task_timer_init(struct vck_task_timer *timer, struct vck_worker *worker,
                         void (*expired)(struct vck_task_timer *timer))
{
    *timer = (struct vck_task_timer){.worker = worker, .expired = expired};
    vck_link_init(&timer->link);
}

static bool disarm(struct vck_task_timer *timer)
{
    bool was_armed = timer->is_armed;

    if (was_armed)
        timer_wheel_remove(&timer->worker->timers, timer);
    timer->is_armed = false;
    return was_armed;
}

static void arm(struct vck_task_timer *timer, uint64_t deadline_ns)
{
    timer->deadline_ns = deadline_ns;
    timer->is_armed = true;
    timer_wheel_insert(&timer->worker->timers, timer);
}

void vck_task_timer_arm(struct vck_task_timer *timer, uint64_t deadline_ns, uint64_t period_ns)
{
    struct vck_worker *worker = timer->worker;
    bool is_earlier;

    vck_spinlock_acquire(&worker->timer_lock);
    (void)disarm(timer);
    timer->period_ns = period_ns;
    arm(timer, deadline_ns);
    is_earlier = deadline_ns < worker->planned_ns;
    vck_spinlock_release(&worker->timer_lock);
    if (is_earlier && !worker_is_current(worker))
        worker_signal(worker);
}

bool vck_task_timer_cancel(struct vck_task_timer *timer)
{
    struct vck_worker *worker = timer->worker;
    bool was_armed;

    vck_spinlock_acquire(&worker->timer_lock);
    was_armed = disarm(timer);
    vck_spinlock_release(&worker->timer_lock);
    return was_armed;
}

/* ---- finishing ---- */

/* One who waits until the callback under way has returned. */
struct expiry_waiter {
    struct vck_link link;
    struct vck_event event;
};

void vck_task_timer_fini(struct vck_task_timer *timer)
{
    struct vck_worker *worker = timer->worker;
    bool is_current = worker_is_current(worker);
    struct expiry_waiter waiter;
    bool waits;

    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    vck_event_init(&waiter.event);
    do {
        vck_spinlock_acquire(&worker->timer_lock);
        (void)disarm(timer);
        waits = worker->expiring == timer && !is_current;
        if (waits)
            vck_list_push_back(&worker->expiry_waiters, &waiter.link);
        vck_spinlock_release(&worker->timer_lock);
        if (waits)
            (void)vck_event_wait(&waiter.event, VCK_FOREVER);
    } while (waits);
    vck_event_fini(&waiter.event);
}

/* Under the lock, which keeps the waiters' events until all have been set. */
static void let_waiters_go(struct vck_worker *worker)
{
    struct vck_link *link;

    while ((link = vck_list_pop_front(&worker->expiry_waiters)) != NULL)
        vck_event_set(&VCK_CONTAINER_OF(link, struct expiry_waiter, link)->event);
}

/* ---- expiring ---- */

void worker_timers_init(struct vck_worker *worker)
{
    vck_spinlock_init(&worker->timer_lock);
    vck_link_init(&worker->expiry_waiters);
    timer_wheel_init(&worker->timers, vck_clock_ns());
}

/* The next one of its period that is not over. */
static void arm_again(struct vck_task_timer *timer, uint64_t now_ns)
{
    uint64_t missed = (now_ns - timer->deadline_ns) / timer->period_ns;
    uint64_t later_ns;

    if (vck_mul_u64(missed + 1, timer->period_ns, &later_ns) &&
        vck_add_u64(timer->deadline_ns, later_ns, &later_ns))
        arm(timer, later_ns);
}

static void expire(struct vck_worker *worker, struct vck_task_timer *timer, uint64_t now_ns)
    VCK_REQUIRES(worker->timer_lock) VCK_REQUIRES(vck_raised)
{
    timer->is_armed = false;
    if (timer->period_ns != 0)
        arm_again(timer, now_ns);
    worker->expiring = timer;
    vck_spinlock_release(&worker->timer_lock);
    timer->expired(timer);
    vck_spinlock_acquire(&worker->timer_lock);
    worker->expiring = NULL;
    let_waiters_go(worker);
}

bool worker_timers_expire(struct vck_worker *worker)
{
    struct vck_task_timer *timer = NULL;
    uint64_t now_ns;
    unsigned expired = 0;

    vck_spinlock_acquire(&worker->timer_lock);
    if (!timer_wheel_is_empty(&worker->timers)) {
        now_ns = vck_clock_ns();
        while (expired < EXPIRIES_PER_ROUND &&
               (timer = timer_wheel_pop(&worker->timers, now_ns)) != NULL) {
            expire(worker, timer, now_ns);
            expired++;
        }
    }
    vck_spinlock_release(&worker->timer_lock);
    return timer != NULL;
}

uint64_t worker_timers_plan(struct vck_worker *worker)
{
    uint64_t planned_ns;

    vck_spinlock_acquire(&worker->timer_lock);
    planned_ns = timer_wheel_next_ns(&worker->timers);
    worker->planned_ns = planned_ns;
    vck_spinlock_release(&worker->timer_lock);
    return planned_ns;
}
