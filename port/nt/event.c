/* SPDX-License-Identifier: Apache-2.0 */
#include "port/nt/internal.h"

#define NS_PER_UNIT 100u /* of the kernel's time */

_Static_assert(sizeof(KEVENT) <= sizeof(struct vck_event), "fits the public storage");

static KEVENT *nt_event(struct vck_event *event)
{
    return (KEVENT *)(void *)event->opaque;
}

void vck_event_init(struct vck_event *event)
{
    KeInitializeEvent(nt_event(event), SynchronizationEvent, FALSE);
}

void vck_event_init_manual(struct vck_event *event)
{
    KeInitializeEvent(nt_event(event), NotificationEvent, FALSE);
}

void vck_event_fini(struct vck_event *event)
{
    (void)event;
}

void vck_event_set(struct vck_event *event)
{
    KeSetEvent(nt_event(event), IO_NO_INCREMENT, FALSE);
}

void vck_event_reset(struct vck_event *event)
{
    KeClearEvent(nt_event(event));
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
vck_status vck_event_wait_at(struct vck_event *event, uint64_t deadline_ns, const char *site)
{
    vck_level_check_at(VCK_LEVEL_APC, site);
    LARGE_INTEGER timeout;
    NTSTATUS status;
    do {
        timeout.QuadPart = deadline_ns == VCK_FOREVER ? 0 : time_until(deadline_ns);
        status = KeWaitForSingleObject(nt_event(event), Executive, KernelMode, FALSE,
                                       deadline_ns == VCK_FOREVER ? NULL : &timeout);
    } while (status == STATUS_TIMEOUT && timeout.QuadPart != 0);
    return status == STATUS_TIMEOUT ? VCK_TIMEOUT : VCK_OK;
}

void vck_nt_wait_for(void *object)
{
    (void)KeWaitForSingleObject(object, Executive, KernelMode, FALSE, NULL);
}
