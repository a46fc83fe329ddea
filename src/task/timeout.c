/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/timeout.h"

static enum vck_poll finish(struct vck_timeout *timeout, vck_status status)
{
    timeout->status = status;
    timeout->inner = NULL;
    return VCK_READY;
}

static enum vck_poll timeout_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_timeout *timeout = VCK_CONTAINER_OF(self, struct vck_timeout, future);

    if (vck_future_poll(timeout->inner, waker) == VCK_READY) {
        vck_future_drop(&timeout->sleep.future);
        return finish(timeout, VCK_OK);
    }
    if (timeout->sleep.deadline_ns == VCK_FOREVER)
        return VCK_PENDING;
    if (vck_future_poll(&timeout->sleep.future, waker) == VCK_PENDING)
        return VCK_PENDING;
    vck_future_drop(timeout->inner);
    return finish(timeout, VCK_TIMEOUT);
}

static void timeout_drop(struct vck_future *self)
{
    struct vck_timeout *timeout = VCK_CONTAINER_OF(self, struct vck_timeout, future);

    if (!timeout->inner)
        return;
    vck_future_drop(timeout->inner);
    vck_future_drop(&timeout->sleep.future);
    (void)finish(timeout, VCK_CANCELLED);
}

static void set_up(struct vck_timeout *timeout, struct vck_future *inner)
{
    timeout->future = (struct vck_future){.poll = timeout_poll, .drop = timeout_drop};
    timeout->inner = inner;
    timeout->status = VCK_NOT_READY;
}

void vck_timeout_init(struct vck_timeout *timeout, struct vck_future *inner, uint64_t duration_ns)
{
    set_up(timeout, inner);
    vck_sleep_init(&timeout->sleep, duration_ns);
}

void vck_timeout_until_init(struct vck_timeout *timeout, struct vck_future *inner,
                            uint64_t deadline_ns)
{
    set_up(timeout, inner);
    vck_sleep_until_init(&timeout->sleep, deadline_ns);
}

vck_status vck_block_on_until(struct vck_future *future, uint64_t deadline_ns)
{
    struct vck_timeout timeout;

    if (deadline_ns == VCK_FOREVER) {
        vck_block_on(future);
        return VCK_OK;
    }
    vck_timeout_until_init(&timeout, future, deadline_ns);
    vck_block_on(&timeout.future);
    return timeout.status;
}
