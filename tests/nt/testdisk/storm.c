/* SPDX-License-Identifier: Apache-2.0 */
#include "storm.h"
#include "message.h"
#include "send.h"

#define TAG_STORM      'sDTV'
#define SHOT_COUNT     32
#define DATA_BYTES     16384u
#define CONTROL_BYTES  256u
#define MESSAGES_MAX   64u
#define PATIENCE_100NS (300 * 10000000ll)
#define FILE_TYPE      5 /* IO_TYPE_FILE */

/* One IRP and all it refers to. */
struct shot {
    PIRP irp; /* NULL: nothing is under way */
    PMDL mdl;
    UCHAR *data;
    ULONG room_bytes;  /* Information may be, with success */
    ULONG exact_bytes; /* must be, with success, if is_transfer */
    bool is_transfer;
    FILE_OBJECT file;
    KEVENT done;
    LONG completions;
    NTSTATUS returned;
    bool was_pending;
    IO_STATUS_BLOCK result;
};

struct storm {
    PDEVICE_OBJECT device;
    ULONGLONG size_bytes;
    ULONG sector_bytes;
    ULONGLONG random;
    ULONG message_count;
    struct message messages[MESSAGES_MAX];
    struct message message; /* the one being made */
    struct td_stormed stormed;
    struct shot shots[SHOT_COUNT];
};

static const ULONG codes[] = {
    0x0007405C, 0x00070000, 0x000700A0, 0x00074004, 0x00070048, 0x002D5140, 0x002D9404,
    0x00560000, 0x002D1400, 0x002D1080, 0x004D0008, 0x00560010, 0x0056000C, 0x00070014,
    0x0007C008, 0x0007C050, 0x0004D004, 0x0004D014, 0x00090018, 0x0009001C, 0x00090020,
};

static ULONG below(struct storm *storm, ULONG end)
{
    return (ULONG)(load_plan_random(&storm->random) % end);
}

/* ---- what is asked ---- */

static ULONG random_length(struct storm *storm)
{
    switch (below(storm, 8)) {
    case 0:
        return below(storm, DATA_BYTES);
    case 1:
        return below(storm, 2) ? 0 : MAXULONG - below(storm, 4096);
    default:
        return storm->sector_bytes * (1 + below(storm, DATA_BYTES / storm->sector_bytes - 1));
    }
}

static LONGLONG random_offset(struct storm *storm)
{
    ULONGLONG chance = load_plan_random(&storm->random);
    ULONGLONG sectors = storm->size_bytes / storm->sector_bytes;
    switch (below(storm, 8)) {
    case 0:
        return (LONGLONG)chance;
    case 1: /* around the end */
        return (LONGLONG)(storm->size_bytes - DATA_BYTES + chance % (2 * DATA_BYTES));
    default:
        return (LONGLONG)(chance % sectors * storm->sector_bytes);
    }
}

static void aim_transfer(struct storm *storm, struct shot *shot, PIO_STACK_LOCATION sp)
{
    ULONG length = random_length(storm);
    sp->MajorFunction = below(storm, 2) ? IRP_MJ_READ : IRP_MJ_WRITE;
    sp->Parameters.Read.Length = length;
    sp->Parameters.Read.ByteOffset.QuadPart = random_offset(storm);
    sp->Flags = below(storm, 4) ? 0 : SL_WRITE_THROUGH | SL_OVERRIDE_VERIFY_VOLUME;
    shot->irp->Flags = below(storm, 4) ? 0 : IRP_PAGING_IO;
    shot->is_transfer = true;
    shot->exact_bytes = length;
    shot->room_bytes = length;
    /* Now and then none, or one that is too short. */
    if (length && below(storm, 16))
        shot->mdl = td_mdl(shot->data, length < DATA_BYTES ? length : DATA_BYTES);
    shot->irp->MdlAddress = shot->mdl;
}

static void aim_control(struct storm *storm, struct shot *shot, PIO_STACK_LOCATION sp)
{
    static const UCHAR majors[] = {IRP_MJ_DEVICE_CONTROL, IRP_MJ_DEVICE_CONTROL,
                                   IRP_MJ_INTERNAL_DEVICE_CONTROL, IRP_MJ_FILE_SYSTEM_CONTROL};
    ULONG in_bytes = below(storm, CONTROL_BYTES), out_bytes = below(storm, CONTROL_BYTES);
    ULONG code = codes[below(storm, sizeof codes / sizeof *codes)];
    sp->MajorFunction = majors[below(storm, sizeof majors)];
    if (below(storm, 8) == 0)
        code ^= 1u << (2 + below(storm, 16));
    sp->Parameters.DeviceIoControl.IoControlCode = code;
    sp->Parameters.DeviceIoControl.InputBufferLength = below(storm, 4) ? in_bytes : 0;
    sp->Parameters.DeviceIoControl.OutputBufferLength = below(storm, 4) ? out_bytes : 0;
    for (ULONG i = 0; i < CONTROL_BYTES; i += sizeof(ULONG))
        *(ULONG *)(shot->data + i) = below(storm, 3) ? below(storm, 64) : below(storm, MAXULONG);
    if (in_bytes || out_bytes)
        shot->irp->AssociatedIrp.SystemBuffer = shot->data;
    shot->room_bytes = sp->Parameters.DeviceIoControl.OutputBufferLength;
}

static void aim_pnp(struct storm *storm, PIO_STACK_LOCATION sp)
{
    static const UCHAR minors[] = {IRP_MN_QUERY_REMOVE_DEVICE,    IRP_MN_CANCEL_REMOVE_DEVICE,
                                   IRP_MN_QUERY_STOP_DEVICE,      IRP_MN_CANCEL_STOP_DEVICE,
                                   IRP_MN_QUERY_DEVICE_RELATIONS, IRP_MN_QUERY_ID,
                                   IRP_MN_QUERY_PNP_DEVICE_STATE, IRP_MN_DEVICE_USAGE_NOTIFICATION};
    sp->MajorFunction = IRP_MJ_PNP;
    sp->MinorFunction = minors[below(storm, sizeof minors)];
    if (sp->MinorFunction == IRP_MN_DEVICE_USAGE_NOTIFICATION) {
        sp->Parameters.UsageNotification.InPath = FALSE;
        sp->Parameters.UsageNotification.Type =
            (DEVICE_USAGE_NOTIFICATION_TYPE)(1 + below(storm, 3));
    }
}

static void aim_other(struct storm *storm, PIO_STACK_LOCATION sp)
{
    static const UCHAR majors[] = {IRP_MJ_CREATE,
                                   IRP_MJ_CLEANUP,
                                   IRP_MJ_CLOSE,
                                   IRP_MJ_FLUSH_BUFFERS,
                                   IRP_MJ_FLUSH_BUFFERS,
                                   IRP_MJ_SHUTDOWN,
                                   IRP_MJ_SYSTEM_CONTROL,
                                   IRP_MJ_QUERY_INFORMATION,
                                   IRP_MJ_QUERY_VOLUME_INFORMATION,
                                   IRP_MJ_LOCK_CONTROL,
                                   IRP_MJ_POWER};
    sp->MajorFunction = majors[below(storm, sizeof majors)];
    if (sp->MajorFunction == IRP_MJ_POWER) {
        sp->MinorFunction = below(storm, 2) ? IRP_MN_SET_POWER : IRP_MN_QUERY_POWER;
        sp->Parameters.Power.Type = below(storm, 2) ? SystemPowerState : DevicePowerState;
        sp->Parameters.Power.State.DeviceState = PowerDeviceD0;
    }
}

/* With no, too little, or ample room for the answer. */
static void aim_message(struct storm *storm, struct shot *shot, PIO_STACK_LOCATION sp)
{
    struct message *message = &storm->message;
    ULONG room_bytes = below(storm, 4) ? MESSAGE_BYTES_MAX : below(storm, 64);
    *message = storm->messages[below(storm, storm->message_count)];
    message_mutate(message, &storm->random);
    RtlCopyMemory(shot->data, message->data, message->size_bytes);
    sp->MajorFunction = IRP_MJ_DEVICE_CONTROL;
    sp->Parameters.DeviceIoControl.IoControlCode = message->code;
    sp->Parameters.DeviceIoControl.InputBufferLength = message->size_bytes;
    sp->Parameters.DeviceIoControl.OutputBufferLength = room_bytes;
    if (message->size_bytes || room_bytes)
        shot->irp->AssociatedIrp.SystemBuffer = shot->data;
    shot->room_bytes = room_bytes;
}

static void aim_anything(struct storm *storm, struct shot *shot, PIO_STACK_LOCATION sp)
{
    switch (below(storm, 8)) {
    case 0:
    case 1:
        aim_control(storm, shot, sp);
        break;
    case 2:
        aim_other(storm, sp);
        break;
    case 3:
        if (below(storm, 4) == 0) {
            aim_pnp(storm, sp);
            break;
        }
        __attribute__((fallthrough));
    default:
        aim_transfer(storm, shot, sp);
        break;
    }
}

static void aim(struct storm *storm, struct shot *shot)
{
    PIO_STACK_LOCATION sp = IoGetNextIrpStackLocation(shot->irp);
    shot->irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    shot->irp->RequestorMode = KernelMode;
    shot->irp->Tail.Overlay.OriginalFileObject = &shot->file;
    sp->FileObject = &shot->file;
    if (storm->message_count)
        aim_message(storm, shot, sp);
    else
        aim_anything(storm, shot, sp);
}

/* ---- there and back ---- */

static NTSTATUS NTAPI completed(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    struct shot *shot = context;
    (void)device;
    shot->was_pending = irp->PendingReturned;
    shot->result = irp->IoStatus;
    InterlockedIncrement(&shot->completions);
    KeSetEvent(&shot->done, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static bool is_right(const struct shot *shot)
{
    bool is_success = NT_SUCCESS(shot->result.Status);
    if (shot->completions != 1 || shot->result.Status == STATUS_PENDING)
        return false;
    if (shot->was_pending != (shot->returned == STATUS_PENDING))
        return false;
    if (shot->returned != STATUS_PENDING && shot->returned != shot->result.Status)
        return false;
    if (shot->is_transfer)
        return shot->result.Information == (is_success ? shot->exact_bytes : 0);
    return !is_success || shot->result.Information <= shot->room_bytes;
}

static void look_at(struct storm *storm, const struct shot *shot)
{
    struct td_stormed *stormed = &storm->stormed;
    bool is_wrong = !is_right(shot);
    stormed->successes += NT_SUCCESS(shot->result.Status);
    stormed->cancelled += shot->result.Status == STATUS_CANCELLED;
    if (is_wrong && stormed->wrong++ == 0) {
        stormed->wrong_major = IoGetNextIrpStackLocation(shot->irp)->MajorFunction;
        stormed->wrong_status = (ULONG)shot->result.Status;
        stormed->wrong_returned = (ULONG)shot->returned;
        stormed->wrong_information = shot->result.Information;
        stormed->wrong_completions = (ULONG)shot->completions;
    }
}

static void free_irp(struct shot *shot)
{
    shot->irp->MdlAddress = NULL;
    IoFreeIrp(shot->irp);
    if (shot->mdl)
        IoFreeMdl(shot->mdl);
    shot->irp = NULL;
    shot->mdl = NULL;
}

static bool collect(struct storm *storm, struct shot *shot)
{
    LARGE_INTEGER patience = {.QuadPart = -PATIENCE_100NS};
    if (!shot->irp)
        return true;
    if (below(storm, 4) == 0)
        IoCancelIrp(shot->irp);
    if (KeWaitForSingleObject(&shot->done, Executive, KernelMode, FALSE, &patience) !=
        STATUS_SUCCESS)
        return false;
    look_at(storm, shot);
    free_irp(shot);
    return true;
}

/* Reads and writes come at APC when the system pages, and at DISPATCH from completion routines. */
static void send_shot(struct storm *storm, struct shot *shot)
{
    static const KIRQL levels[] = {PASSIVE_LEVEL, PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL};
    KIRQL own;
    KeRaiseIrql(shot->is_transfer ? levels[below(storm, sizeof levels)] : PASSIVE_LEVEL, &own);
    shot->returned = IoCallDriver(storm->device, shot->irp);
    KeLowerIrql(own);
}

static bool fire(struct storm *storm, struct shot *shot)
{
    shot->irp = IoAllocateIrp(storm->device->StackSize, FALSE);
    if (!shot->irp)
        return false;
    KeClearEvent(&shot->done);
    shot->completions = 0;
    shot->exact_bytes = 0;
    shot->room_bytes = MAXULONG;
    shot->is_transfer = false;
    aim(storm, shot);
    IoSetCompletionRoutine(shot->irp, completed, shot, TRUE, TRUE, TRUE);
    send_shot(storm, shot);
    storm->stormed.sent++;
    return true;
}

static NTSTATUS run(struct storm *storm, ULONGLONG count)
{
    NTSTATUS status = STATUS_SUCCESS;
    for (ULONGLONG i = 0; i < count && NT_SUCCESS(status); i++) {
        struct shot *shot = &storm->shots[below(storm, SHOT_COUNT)];
        if (!collect(storm, shot))
            status = STATUS_IO_TIMEOUT;
        else if (!fire(storm, shot))
            status = STATUS_INSUFFICIENT_RESOURCES;
    }
    for (ULONG i = 0; i < SHOT_COUNT; i++)
        if (!collect(storm, &storm->shots[i]))
            status = STATUS_IO_TIMEOUT;
    return status;
}

/* ---- setting up ---- */

static NTSTATUS take_messages(struct storm *storm, ULONG count, const UCHAR *data, ULONG size_bytes)
{
    if (count > MESSAGES_MAX)
        return STATUS_INVALID_PARAMETER;
    while (storm->message_count < count) {
        struct message *message = &storm->messages[storm->message_count++];
        struct td_message head;
        if (size_bytes < sizeof head)
            return STATUS_INVALID_PARAMETER;
        RtlCopyMemory(&head, data, sizeof head);
        data += sizeof head;
        size_bytes -= (ULONG)sizeof head;
        if (head.size_bytes > size_bytes || head.size_bytes > MESSAGE_BYTES_MAX)
            return STATUS_INVALID_PARAMETER;
        message->code = head.code;
        message->size_bytes = head.size_bytes;
        RtlCopyMemory(message->data, data, head.size_bytes);
        data += head.size_bytes;
        size_bytes -= head.size_bytes;
    }
    return STATUS_SUCCESS;
}

static NTSTATUS find_device(struct storm *storm, struct td_disk *disk, const struct td_storm *asked)
{
    struct td_send target = {.target = storm->message_count ? TD_TO_NAMED : TD_TO_STACK};
    RtlCopyMemory(target.driver, asked->driver, sizeof target.driver);
    RtlCopyMemory(target.device, asked->device, sizeof target.device);
    return td_find_target(disk, &target, &storm->device);
}

/* CREATE, CLEANUP or CLOSE of a shot's file. */
static void send_file(struct storm *storm, struct shot *shot, UCHAR major)
{
    shot->irp = IoAllocateIrp(storm->device->StackSize, FALSE);
    if (!shot->irp)
        return;
    PIO_STACK_LOCATION sp = IoGetNextIrpStackLocation(shot->irp);
    sp->MajorFunction = major;
    sp->FileObject = &shot->file;
    KeClearEvent(&shot->done);
    IoSetCompletionRoutine(shot->irp, completed, shot, TRUE, TRUE, TRUE);
    IoCallDriver(storm->device, shot->irp);
    KeWaitForSingleObject(&shot->done, Executive, KernelMode, FALSE, NULL);
    free_irp(shot);
}

static NTSTATUS init_shots(struct storm *storm)
{
    for (ULONG i = 0; i < SHOT_COUNT; i++) {
        struct shot *shot = &storm->shots[i];
        KeInitializeEvent(&shot->done, NotificationEvent, FALSE);
        shot->file.Type = FILE_TYPE;
        shot->file.Size = sizeof shot->file;
        shot->file.DeviceObject = storm->device;
        shot->data = ExAllocatePoolWithTag(NonPagedPool, DATA_BYTES, TAG_STORM);
        if (!shot->data)
            return STATUS_INSUFFICIENT_RESOURCES;
        RtlFillMemory(shot->data, DATA_BYTES, 0x5A);
        send_file(storm, shot, IRP_MJ_CREATE);
    }
    return STATUS_SUCCESS;
}

static void destroy(struct storm *storm)
{
    for (ULONG i = 0; i < SHOT_COUNT; i++) {
        if (!storm->shots[i].data)
            continue;
        send_file(storm, &storm->shots[i], IRP_MJ_CLEANUP);
        send_file(storm, &storm->shots[i], IRP_MJ_CLOSE);
        ExFreePoolWithTag(storm->shots[i].data, TAG_STORM);
    }
    if (storm->device)
        ObDereferenceObject(storm->device);
    ExFreePoolWithTag(storm, TAG_STORM);
}

NTSTATUS td_storm_run(struct td_disk *disk, const struct td_storm *asked, const UCHAR *messages,
                      ULONG messages_bytes, struct td_stormed *ret_stormed)
{
    struct storm *storm = ExAllocatePoolWithTag(NonPagedPool, sizeof *storm, TAG_STORM);
    if (!storm)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(storm, sizeof *storm);
    storm->random = asked->seed;
    storm->size_bytes = disk->shape.size_bytes;
    storm->sector_bytes = disk->shape.sector_bytes;
    NTSTATUS status = take_messages(storm, asked->message_count, messages, messages_bytes);
    if (NT_SUCCESS(status))
        status = find_device(storm, disk, asked);
    if (NT_SUCCESS(status))
        status = init_shots(storm);
    if (NT_SUCCESS(status))
        status = run(storm, asked->count);
    *ret_stormed = storm->stormed;
    if (status != STATUS_IO_TIMEOUT)
        destroy(storm);
    return status;
}
