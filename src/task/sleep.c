/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/sleep.h"

static void on_expired(void *context)
{
    struct vck_sleep *sleep = context;

    vck_waker_slot_signal(&sleep->slot);
}

/* Polls and drops come from waiting code, which the function pointer hides from the analysis. */
static void disarm(struct vck_sleep *sleep) VCK_NO_ANALYSIS
{
    if (!sleep->armed)
        return;
    vck_timer_fini(&sleep->timer);
    sleep->armed = false;
}

static enum vck_poll sleep_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_sleep *sleep = VCK_CONTAINER_OF(self, struct vck_sleep, future);

    if (vck_clock_ns() >= sleep->deadline_ns) {
        disarm(sleep);
        vck_waker_slot_cancel(&sleep->slot);
        return VCK_READY;
    }
    if (vck_waker_slot_poll(&sleep->slot, waker)) {
        disarm(sleep);
        return VCK_READY;
    }
    if (!sleep->armed) {
        sleep->armed = true;
        vck_timer_init(&sleep->timer, on_expired, sleep);
        vck_timer_set(&sleep->timer, sleep->deadline_ns);
    }
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
    *sleep = (struct vck_sleep){
        .future = {.poll = sleep_poll, .drop = sleep_drop},
        .deadline_ns = deadline_ns,
    };
    vck_waker_slot_init(&sleep->slot);
}

void vck_sleep_init(struct vck_sleep *sleep, uint64_t duration_ns)
{
    uint64_t deadline_ns;

    if (!vck_add_u64(vck_clock_ns(), duration_ns, &deadline_ns))
        deadline_ns = UINT64_MAX;
    vck_sleep_until_init(sleep, deadline_ns);
}
