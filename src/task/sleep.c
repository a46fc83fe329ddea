/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/executor.h"
#include "vck/sleep.h"

enum {
    NOT_ARMED = 0,
    BY_WORKER,
    BY_PORT,
};

static void on_worker_expired(struct vck_task_timer *timer)
{
    struct vck_sleep *sleep = VCK_CONTAINER_OF(timer, struct vck_sleep, timer.of_worker);

    vck_waker_slot_signal(&sleep->slot);
}

static void on_port_expired(void *context)
{
    struct vck_sleep *sleep = context;

    vck_waker_slot_signal(&sleep->slot);
}

static void arm(struct vck_sleep *sleep)
{
    struct vck_worker *worker = vck_worker_get_current();

    sleep->armed = worker ? BY_WORKER : BY_PORT;
    if (worker) {
        vck_task_timer_init(&sleep->timer.of_worker, worker, on_worker_expired);
        vck_task_timer_arm(&sleep->timer.of_worker, sleep->deadline_ns, 0);
    } else {
        vck_timer_init(&sleep->timer.of_port, on_port_expired, sleep);
        vck_timer_set(&sleep->timer.of_port, sleep->deadline_ns);
    }
}

/* Polls and drops come from waiting code, which the function pointer hides from the analysis. */
static void disarm(struct vck_sleep *sleep) VCK_NO_ANALYSIS
{
    if (sleep->armed == BY_WORKER)
        vck_task_timer_fini(&sleep->timer.of_worker);
    else if (sleep->armed == BY_PORT)
        vck_timer_fini(&sleep->timer.of_port);
    sleep->armed = NOT_ARMED;
}

static enum vck_poll sleep_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_sleep *sleep = VCK_CONTAINER_OF(self, struct vck_sleep, future);

    if (vck_waker_slot_poll(&sleep->slot, waker)) {
        /* A worker does not touch a timer after its callback; the port may. */
        if (sleep->armed == BY_PORT)
            disarm(sleep);
        sleep->armed = NOT_ARMED;
        return VCK_READY;
    }
    if (vck_clock_ns() >= sleep->deadline_ns) {
        disarm(sleep);
        vck_waker_slot_cancel(&sleep->slot);
        return VCK_READY;
    }
    if (!sleep->armed)
        arm(sleep);
    return VCK_PENDING;
}

static void sleep_drop(struct vck_future *self)
{
    struct vck_sleep *sleep = VCK_CONTAINER_OF(self, struct vck_sleep, future);

    disarm(sleep);
    vck_waker_slot_cancel(&sleep->slot);
}

void vck_sleep_until_init(struct vck_sleep *sleep, uint64_t deadline_ns)
{
    sleep->future = (struct vck_future){.poll = sleep_poll, .drop = sleep_drop};
    sleep->deadline_ns = deadline_ns;
    sleep->armed = NOT_ARMED;
    vck_waker_slot_init(&sleep->slot);
}

void vck_sleep_init(struct vck_sleep *sleep, uint64_t duration_ns)
{
    uint64_t deadline_ns;

    if (!vck_add_u64(vck_clock_ns(), duration_ns, &deadline_ns))
        deadline_ns = UINT64_MAX;
    vck_sleep_until_init(sleep, deadline_ns);
}
