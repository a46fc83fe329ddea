/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An auto-reset event keeps the count of its sets itself, and the kernel's event only wakes: Wine
 * forgets a set that comes while the wait of the one before returns. It also saves the kernel's
 * part where there is a set already, or nobody who waits.
 *
 * Who sets does everything under the lock, which the waiter takes before it returns: the storage
 * may go then.
 */
#include "port/nt/internal.h"

#define NS_PER_UNIT 100u /* of the kernel's time */

struct nt_event {
    KEVENT kernel;
    KSPIN_LOCK lock;
    uint32_t sets; /* not waited for yet: up to one per waiter, or one; this and the next by lock */
    uint32_t waiters;
    bool is_manual; /* the rest is then unused */
};
_Static_assert(sizeof(struct nt_event) <= sizeof(struct vck_event), "fits the public storage");

static struct nt_event *nt_event(struct vck_event *event)
{
    return (struct nt_event *)(void *)event->opaque;
}

static void init(struct vck_event *event, bool is_manual)
{
    struct nt_event *e = nt_event(event);
    *e = (struct nt_event){.is_manual = is_manual};
    KeInitializeEvent(&e->kernel, is_manual ? NotificationEvent : SynchronizationEvent, FALSE);
    KeInitializeSpinLock(&e->lock);
}

void vck_event_init(struct vck_event *event)
{
    init(event, false);
}

void vck_event_init_manual(struct vck_event *event)
{
    init(event, true);
}

void vck_event_fini(struct vck_event *event)
{
    (void)event;
}

void vck_event_set(struct vck_event *event)
{
    struct nt_event *e = nt_event(event);
    KIRQL before;
    if (e->is_manual) {
        KeSetEvent(&e->kernel, IO_NO_INCREMENT, FALSE);
        return;
    }
    before = KeAcquireSpinLockRaiseToDpc(&e->lock);
    if (e->sets < e->waiters || e->sets == 0)
        e->sets++;
    if (e->waiters != 0)
        KeSetEvent(&e->kernel, IO_NO_INCREMENT, FALSE);
    KeReleaseSpinLock(&e->lock, before);
}

void vck_event_reset(struct vck_event *event)
{
    struct nt_event *e = nt_event(event);
    KIRQL before;
    if (e->is_manual) {
        KeClearEvent(&e->kernel);
        return;
    }
    before = KeAcquireSpinLockRaiseToDpc(&e->lock);
    e->sets = 0;
    KeReleaseSpinLock(&e->lock, before);
}

/* The kernel's relative time until the deadline: negative, rounded up; 0 when it has passed. */
static int64_t time_until(uint64_t deadline_ns)
{
    uint64_t now_ns = vck_clock_ns();
    if (deadline_ns <= now_ns)
        return 0;
    return -(int64_t)((deadline_ns - now_ns - 1) / NS_PER_UNIT) - 1;
}

/* A relative wait counts from the last clock tick, so it may end before our clock says so. */
static NTSTATUS wait_for_kernel(struct nt_event *e, uint64_t deadline_ns)
{
    LARGE_INTEGER timeout;
    NTSTATUS status;
    do {
        timeout.QuadPart = deadline_ns == VCK_FOREVER ? 0 : time_until(deadline_ns);
        status = KeWaitForSingleObject(&e->kernel, Executive, KernelMode, FALSE,
                                       deadline_ns == VCK_FOREVER ? NULL : &timeout);
    } while (status == STATUS_TIMEOUT && timeout.QuadPart != 0);
    return status;
}

/* What the caller does next: a set is its own, or it gives up, or it waits. */
static bool take_set(struct nt_event *e, bool *is_waiting, bool gives_up)
{
    KIRQL before = KeAcquireSpinLockRaiseToDpc(&e->lock);
    bool is_set = e->sets != 0;
    if (is_set)
        e->sets--;
    if (*is_waiting && (is_set || gives_up))
        e->waiters--;
    else if (!*is_waiting && !is_set && !gives_up)
        e->waiters++;
    *is_waiting = true;
    /* Whose set the kernel's event has forgotten, or who was woken for one that is gone. */
    if (is_set && e->sets != 0 && e->waiters != 0)
        KeSetEvent(&e->kernel, IO_NO_INCREMENT, FALSE);
    KeReleaseSpinLock(&e->lock, before);
    return is_set;
}

vck_status vck_event_wait_at(struct vck_event *event, uint64_t deadline_ns, const char *site)
{
    struct nt_event *e = nt_event(event);
    bool is_waiting = false;
    bool is_late = deadline_ns == 0;
    vck_level_check_at(VCK_LEVEL_APC, site);
    if (e->is_manual)
        return wait_for_kernel(e, deadline_ns) == STATUS_TIMEOUT ? VCK_TIMEOUT : VCK_OK;
    while (!take_set(e, &is_waiting, is_late)) {
        if (is_late)
            return VCK_TIMEOUT;
        is_late = wait_for_kernel(e, deadline_ns) == STATUS_TIMEOUT;
    }
    return VCK_OK;
}

void vck_nt_wait_for(void *object)
{
    (void)KeWaitForSingleObject(object, Executive, KernelMode, FALSE, NULL);
}
