/* SPDX-License-Identifier: Apache-2.0 */
/* Plug and Play: a device starts, is used for paging and the like, and goes. All at PASSIVE. */
#include "products/vcksys/filter_internal.h"

static NTSTATUS NTAPI came_back(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    (void)device;
    (void)irp;
    vck_event_set(context);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* Has the lower drivers carry it out; the IRP is then ours again. */
static NTSTATUS forward_and_wait(struct filter *filter, PIRP irp) VCK_CAN_WAIT
{
    struct vck_event event;

    vck_event_init(&event);
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, came_back, &event, TRUE, TRUE, TRUE);
    (void)IoCallDriver(filter->lower, irp);
    vck_event_wait(&event, VCK_FOREVER);
    vck_event_fini(&event);
    return irp->IoStatus.Status;
}

static NTSTATUS complete_as_is(PIRP irp)
{
    NTSTATUS nt_status = irp->IoStatus.Status;

    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return nt_status;
}

/* Nobody above has seen the device yet when the hook binds a volume. */
static NTSTATUS start(struct filter *filter, PIRP irp) VCK_CAN_WAIT
{
    const struct filter_hooks *hooks = &filter_room_options()->hooks;

    if (NT_SUCCESS(forward_and_wait(filter, irp))) {
        filter_copy_device(filter);
        if (hooks->started)
            hooks->started(hooks->context, filter);
    }
    return complete_as_is(irp);
}

static void announce_removal(struct filter *filter, bool surprise)
{
    const struct filter_hooks *hooks = &filter_room_options()->hooks;

    if (hooks->removing)
        hooks->removing(hooks->context, filter, surprise);
}

static NTSTATUS surprise_removal(struct filter *filter, PIRP irp)
{
    announce_removal(filter, true);
    irp->IoStatus.Status = STATUS_SUCCESS;
    return filter_pass(filter, irp);
}

/* Gives back the hold on `dispatches`: the filter is gone afterwards. */
static NTSTATUS remove_device(struct filter *filter, PIRP irp) VCK_CAN_WAIT
{
    NTSTATUS nt_status;

    filter_leave(filter);
    announce_removal(filter, false);
    filter_unbind(filter);
    filter_wait_for_holders(filter);
    vck_rundown_release(&filter->dispatches);
    vck_rundown_wait(&filter->dispatches);
    irp->IoStatus.Status = STATUS_SUCCESS;
    nt_status = filter_pass(filter, irp);
    IoDetachDevice(filter->lower);
    filter_delete(filter);
    return nt_status;
}

/* ---- files the system finds without us ---- */

static uint32_t *count_of(struct filter *filter, DEVICE_USAGE_NOTIFICATION_TYPE type)
{
    switch (type) {
    case DeviceUsageTypePaging:
        return &filter->usage.paging;
    case DeviceUsageTypeHibernation:
        return &filter->usage.hibernation;
    case DeviceUsageTypeDumpFile:
        return &filter->usage.dump;
    case DeviceUsageTypeBoot:
        return &filter->usage.boot;
    default:
        return NULL;
    }
}

static void count_usage(uint32_t *count, bool in_path)
{
    if (in_path)
        __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
    else if (__atomic_load_n(count, __ATOMIC_RELAXED) != 0)
        __atomic_fetch_sub(count, 1, __ATOMIC_RELAXED);
}

/* Hibernation and dump files are written past every filter: beside ciphertext they would be
 * plaintext that nobody can read back. */
static bool bypasses_filters(DEVICE_USAGE_NOTIFICATION_TYPE type)
{
    return type == DeviceUsageTypeHibernation || type == DeviceUsageTypeDumpFile;
}

/* A device in the paging path is powered up and down at DISPATCH. */
static void follow_power_flag(struct filter *filter)
{
    if (filter->lower->Flags & DO_POWER_PAGABLE)
        filter->device->Flags |= DO_POWER_PAGABLE;
    else
        filter->device->Flags &= ~(ULONG)DO_POWER_PAGABLE;
}

static NTSTATUS usage_notification(struct filter *filter, PIRP irp) VCK_CAN_WAIT
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    DEVICE_USAGE_NOTIFICATION_TYPE type = stack->Parameters.UsageNotification.Type;
    bool in_path = stack->Parameters.UsageNotification.InPath != FALSE;
    uint32_t *count = count_of(filter, type);

    if (in_path && bypasses_filters(type) && filter_holds_ciphertext(filter))
        return filter_complete(irp, STATUS_UNSUCCESSFUL, 0);
    if (NT_SUCCESS(forward_and_wait(filter, irp))) {
        if (count)
            count_usage(count, in_path);
        follow_power_flag(filter);
    }
    return complete_as_is(irp);
}

static bool is_in_use_by_system(const struct filter *filter)
{
    struct filter_usage usage;

    filter_get_usage(filter, &usage);
    return usage.paging != 0 || usage.hibernation != 0 || usage.dump != 0 || usage.boot != 0;
}

/* Called by the system, at PASSIVE. */
NTSTATUS filter_pnp(struct filter *filter, PIRP irp) VCK_NO_ANALYSIS
{
    NTSTATUS nt_status;

    switch (IoGetCurrentIrpStackLocation(irp)->MinorFunction) {
    case IRP_MN_START_DEVICE:
        nt_status = start(filter, irp);
        break;
    case IRP_MN_SURPRISE_REMOVAL:
        nt_status = surprise_removal(filter, irp);
        break;
    case IRP_MN_REMOVE_DEVICE:
        return remove_device(filter, irp);
    case IRP_MN_DEVICE_USAGE_NOTIFICATION:
        nt_status = usage_notification(filter, irp);
        break;
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
        if (is_in_use_by_system(filter)) {
            nt_status = filter_complete(irp, STATUS_UNSUCCESSFUL, 0);
            break;
        }
        nt_status = filter_pass(filter, irp);
        break;
    default:
        nt_status = filter_pass(filter, irp);
        break;
    }
    vck_rundown_release(&filter->dispatches);
    return nt_status;
}
