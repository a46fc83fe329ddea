/* SPDX-License-Identifier: Apache-2.0 */
/* IRPs drivers make themselves: allocated, used again, cancelled, freed. */
#include "irp.h"

static PIRP own(PIRP irp, struct verify_driver *driver, bool is_freed_by_system)
{
    struct verify_stack stack;
    if (!irp)
        return NULL;
    verify_stack_capture(&stack);
    if (driver)
        InterlockedIncrement64(&driver->counters.irps_allocated);
    verify_irp_lock();
    struct irp_track *track = verify_irp_begin(irp, IRP_OWNED, driver);
    if (track) {
        track->stack = stack;
        track->is_freed_by_system = is_freed_by_system;
    }
    verify_irp_unlock();
    return irp;
}

static PIRP NTAPI hook_IoAllocateIrp(CCHAR stack_size, BOOLEAN has_quota)
{
    struct verify_driver *driver = CALLER;
    verify_level_check(driver, DISPATCH_LEVEL, "IoAllocateIrp");
    if (verify_fails_now(driver))
        return NULL;
    return own(IoAllocateIrp(stack_size, has_quota), driver, false);
}

static PIRP NTAPI hook_IoBuildAsynchronousFsdRequest(ULONG major, PDEVICE_OBJECT device,
                                                     PVOID buffer, ULONG bytes,
                                                     PLARGE_INTEGER offset, PIO_STATUS_BLOCK result)
{
    struct verify_driver *driver = CALLER;
    verify_level_check(driver, DISPATCH_LEVEL, "IoBuildAsynchronousFsdRequest");
    if (verify_fails_now(driver))
        return NULL;
    return own(IoBuildAsynchronousFsdRequest(major, device, buffer, bytes, offset, result), driver,
               false);
}

static PIRP NTAPI hook_IoBuildSynchronousFsdRequest(ULONG major, PDEVICE_OBJECT device,
                                                    PVOID buffer, ULONG bytes,
                                                    PLARGE_INTEGER offset, PKEVENT event,
                                                    PIO_STATUS_BLOCK result)
{
    struct verify_driver *driver = CALLER;
    verify_level_check(driver, PASSIVE_LEVEL, "IoBuildSynchronousFsdRequest");
    if (verify_fails_now(driver))
        return NULL;
    return own(IoBuildSynchronousFsdRequest(major, device, buffer, bytes, offset, event, result),
               driver, true);
}

static PIRP NTAPI hook_IoBuildDeviceIoControlRequest(ULONG code, PDEVICE_OBJECT device, PVOID input,
                                                     ULONG input_bytes, PVOID output,
                                                     ULONG output_bytes, BOOLEAN is_internal,
                                                     PKEVENT event, PIO_STATUS_BLOCK result)
{
    struct verify_driver *driver = CALLER;
    verify_level_check(driver, PASSIVE_LEVEL, "IoBuildDeviceIoControlRequest");
    if (verify_fails_now(driver))
        return NULL;
    return own(IoBuildDeviceIoControlRequest(code, device, input, input_bytes, output, output_bytes,
                                             is_internal, event, result),
               driver, true);
}

static void NTAPI hook_IoInitializeIrp(PIRP irp, USHORT bytes, CCHAR stack_size)
{
    verify_irp_lock();
    struct irp_track *track = verify_irp_find(irp);
    if (track)
        verify_irp_forget(track);
    verify_irp_unlock();
    IoInitializeIrp(irp, bytes, stack_size);
}

static void NTAPI hook_IoReuseIrp(PIRP irp, NTSTATUS status)
{
    struct verify_driver *driver = CALLER;
    struct verify_stack stack = {0};
    bool is_freed_by_system = false;
    verify_irp_lock();
    struct irp_track *track = verify_irp_find(irp);
    if (track) {
        if (track->state == IRP_FLYING || track->state == IRP_COMPLETING)
            verify_report("irp-reused-in-flight", driver, &track->stack, "IRP %p", (void *)irp);
        stack = track->stack;
        is_freed_by_system = track->is_freed_by_system;
        driver = track->owner ? track->owner : driver;
    }
    track = verify_irp_begin(irp, IRP_OWNED, driver);
    if (track) {
        track->stack = stack;
        track->is_freed_by_system = is_freed_by_system;
    }
    verify_irp_unlock();
    IoReuseIrp(irp, status);
}

static void NTAPI hook_IoFreeIrp(PIRP irp)
{
    struct verify_driver *driver = CALLER;
    bool is_free = true;
    verify_level_check(driver, DISPATCH_LEVEL, "IoFreeIrp");
    verify_irp_lock();
    struct irp_track *track = verify_irp_find(irp);
    if (track && (track->state == IRP_FLYING || track->state == IRP_COMPLETING)) {
        verify_report("irp-freed-in-flight", driver, &track->stack, "IRP %p", (void *)irp);
        is_free = false;
    } else if (track && track->state == IRP_COMPLETED) {
        verify_report("irp-freed-by-system", driver, &track->stack,
                      "IRP %p was completed to the end, and is not the driver's", (void *)irp);
        is_free = false;
    } else if (track) {
        verify_irp_forget(track);
    }
    verify_irp_unlock();
    if (!is_free)
        return;
    /* Wine would free the MDLs too, which Windows leaves to the driver. */
    irp->MdlAddress = NULL;
    IoFreeIrp(irp);
}

/* As Windows does it: the routine is entered at DISPATCH with the cancel lock held. */
static BOOLEAN NTAPI hook_IoCancelIrp(PIRP irp)
{
    verify_level_check(CALLER, DISPATCH_LEVEL, "IoCancelIrp");
    KIRQL level = verify_cancel_lock_take();
    irp->Cancel = TRUE;
    PDRIVER_CANCEL routine = (PDRIVER_CANCEL)(uintptr_t)InterlockedExchangePointer(
        (PVOID volatile *)&irp->CancelRoutine, NULL);
    if (!routine) {
        verify_cancel_lock_release(level);
        return FALSE;
    }
    irp->CancelIrql = level;
    routine(IoGetCurrentIrpStackLocation(irp)->DeviceObject, irp);
    return TRUE;
}

static const struct verify_hook hooks[] = {
    CHECK(IoAllocateIrp),
    CHECK(IoBuildAsynchronousFsdRequest),
    CHECK(IoBuildSynchronousFsdRequest),
    CHECK(IoBuildDeviceIoControlRequest),
    CHECK(IoInitializeIrp),
    CHECK(IoReuseIrp),
    CHECK(IoFreeIrp),
    CHECK(IoCancelIrp),
};
const struct verify_hooks verify_irp_own_hooks = VERIFY_HOOKS(hooks);
