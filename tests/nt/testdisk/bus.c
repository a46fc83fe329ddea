/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus: the driver and its control device. Each request of testdisk.h is carried out on one of the
 * bus's own threads, because the system may deliver all requests of user mode on a single one.
 */
#include "disk.h"
#include "load.h"
#include "send.h"
#include "storm.h"

#define TAG_BUS      'bDTV'
#define THREAD_COUNT 8

static struct {
    PDRIVER_OBJECT driver;
    PDEVICE_OBJECT control;
    FAST_MUTEX mutex; /* of disks and their use counts; Wine never releases a KMUTEX to who waits */
    struct td_disk *disks[TD_DISK_COUNT];
    KSPIN_LOCK lock; /* of the queue */
    LIST_ENTRY queue;
    KSEMAPHORE queued;
    bool is_stopping;
    PVOID threads[THREAD_COUNT];
} bus;

/* ---- disks by number ---- */

static void lock_disks(void)
{
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&bus.mutex);
}

static void unlock_disks(void)
{
    ExReleaseFastMutexUnsafe(&bus.mutex);
    KeLeaveCriticalRegion();
}

static struct td_disk *use_disk(ULONG number)
{
    struct td_disk *disk = NULL;
    lock_disks();
    if (number < TD_DISK_COUNT)
        disk = bus.disks[number];
    if (disk)
        disk->use_count++;
    unlock_disks();
    return disk;
}

static void leave_disk(struct td_disk *disk)
{
    lock_disks();
    disk->use_count--;
    unlock_disks();
}

static NTSTATUS create_disk(const struct td_create *shape)
{
    NTSTATUS status = STATUS_INVALID_PARAMETER;
    lock_disks();
    if (shape->disk < TD_DISK_COUNT)
        status = bus.disks[shape->disk]
                     ? STATUS_OBJECT_NAME_COLLISION
                     : td_disk_create(bus.driver, shape, &bus.disks[shape->disk]);
    unlock_disks();
    return status;
}

static NTSTATUS delete_disk(ULONG number)
{
    NTSTATUS status = STATUS_NO_SUCH_DEVICE;
    lock_disks();
    if (number < TD_DISK_COUNT && bus.disks[number])
        status =
            bus.disks[number]->use_count ? STATUS_DEVICE_BUSY : td_disk_delete(bus.disks[number]);
    if (NT_SUCCESS(status))
        bus.disks[number] = NULL;
    unlock_disks();
    return status;
}

/* ---- requests: data in and out, Information as the return value's companion ---- */

struct call {
    struct td_disk *disk;
    UCHAR *data;
    ULONG input_bytes;
    ULONG output_bytes;
    ULONG result_bytes;
};

static NTSTATUS take_stats(struct call *call)
{
    if (call->output_bytes < sizeof(struct td_stats))
        return STATUS_BUFFER_TOO_SMALL;
    struct td_stats stats;
    td_disk_take_stats(call->disk, &stats);
    RtlCopyMemory(call->data, &stats, sizeof stats);
    call->result_bytes = sizeof stats;
    return STATUS_SUCCESS;
}

static bool is_within(const struct td_disk *disk, const struct td_range *range)
{
    return range->offset_bytes <= disk->shape.size_bytes &&
           range->size_bytes <= disk->shape.size_bytes - range->offset_bytes &&
           range->size_bytes <= TD_DATA_BYTES_MAX;
}

static NTSTATUS peek(struct call *call)
{
    struct td_range range;
    RtlCopyMemory(&range, call->data, sizeof range);
    if (!is_within(call->disk, &range))
        return STATUS_INVALID_PARAMETER;
    if (call->output_bytes < range.size_bytes)
        return STATUS_BUFFER_TOO_SMALL;
    td_store_read(&call->disk->store, range.offset_bytes, range.size_bytes, call->data);
    call->result_bytes = range.size_bytes;
    return STATUS_SUCCESS;
}

static NTSTATUS poke(struct call *call)
{
    struct td_range range;
    RtlCopyMemory(&range, call->data, sizeof range);
    if (!is_within(call->disk, &range) || call->input_bytes - sizeof range < range.size_bytes)
        return STATUS_INVALID_PARAMETER;
    return td_store_write(&call->disk->store, range.offset_bytes, range.size_bytes,
                          call->data + sizeof range)
               ? STATUS_SUCCESS
               : STATUS_INSUFFICIENT_RESOURCES;
}

static NTSTATUS add_device(struct call *call)
{
    struct td_add *add = (struct td_add *)call->data;
    PDRIVER_OBJECT driver;
    add->driver[sizeof add->driver / sizeof *add->driver - 1] = 0;
    NTSTATUS status = td_find_driver((const WCHAR *)add->driver, &driver);
    if (!NT_SUCCESS(status))
        return status;
    status = driver->DriverExtension && driver->DriverExtension->AddDevice
                 ? driver->DriverExtension->AddDevice(driver, call->disk->device)
                 : STATUS_NOT_SUPPORTED;
    ObDereferenceObject(driver);
    return status;
}

static NTSTATUS can_unload(struct call *call)
{
    struct td_add *add = (struct td_add *)call->data;
    PDRIVER_OBJECT driver;
    if (call->output_bytes < sizeof(ULONG))
        return STATUS_BUFFER_TOO_SMALL;
    add->driver[sizeof add->driver / sizeof *add->driver - 1] = 0;
    NTSTATUS status = td_find_driver((const WCHAR *)add->driver, &driver);
    if (!NT_SUCCESS(status))
        return status;
    *(ULONG *)call->data = driver->DriverUnload != NULL;
    call->result_bytes = sizeof(ULONG);
    ObDereferenceObject(driver);
    return STATUS_SUCCESS;
}

/* One line of UTF-8 for each device, the top first: upper ones are asked by the lower ones. */
static NTSTATUS list_stack(struct call *call)
{
    PDEVICE_OBJECT devices[16];
    ULONG count = 0;
    for (PDEVICE_OBJECT at = call->disk->device; at && count < 16; at = at->AttachedDevice)
        devices[count++] = at;
    while (count-- > 0) {
        PCUNICODE_STRING name = &devices[count]->DriverObject->DriverName;
        ULONG size = name->Length / sizeof(WCHAR);
        if (call->output_bytes - call->result_bytes < size + 1)
            return STATUS_BUFFER_TOO_SMALL;
        for (ULONG i = 0; i < size; i++)
            call->data[call->result_bytes++] = (UCHAR)name->Buffer[i];
        call->data[call->result_bytes++] = '\n';
    }
    return STATUS_SUCCESS;
}

static NTSTATUS send(struct call *call)
{
    struct td_send asked;
    struct td_sent sent;
    PDEVICE_OBJECT device;
    RtlCopyMemory(&asked, call->data, sizeof asked);
    asked.driver[sizeof asked.driver / sizeof *asked.driver - 1] = 0;
    asked.device[sizeof asked.device / sizeof *asked.device - 1] = 0;
    ULONG size = asked.data_bytes;
    if (size > TD_DATA_BYTES_MAX || call->input_bytes - sizeof asked > size)
        return STATUS_INVALID_PARAMETER;
    if (call->output_bytes < sizeof sent + size)
        return STATUS_BUFFER_TOO_SMALL;
    UCHAR *data = ExAllocatePoolWithTag(NonPagedPool, size + 1, TAG_BUS);
    if (!data)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(data, size + 1);
    RtlCopyMemory(data, call->data + sizeof asked, call->input_bytes - sizeof asked);
    NTSTATUS status = td_find_target(call->disk, &asked, &device);
    if (NT_SUCCESS(status)) {
        status = td_send_and_wait(device, &asked, data, &sent);
        ObDereferenceObject(device);
    }
    if (status == STATUS_TIMEOUT) /* its driver still has the buffer */
        return STATUS_IO_TIMEOUT;
    if (NT_SUCCESS(status)) {
        RtlCopyMemory(call->data, &sent, sizeof sent);
        RtlCopyMemory(call->data + sizeof sent, data, size);
        call->result_bytes = sizeof sent + size;
    }
    ExFreePoolWithTag(data, TAG_BUS);
    return status;
}

static NTSTATUS load(struct call *call)
{
    struct td_load asked;
    struct td_loaded loaded;
    RtlCopyMemory(&asked, call->data, sizeof asked);
    if (call->output_bytes < sizeof loaded)
        return STATUS_BUFFER_TOO_SMALL;
    NTSTATUS status = td_load_run(call->disk, &asked, &loaded);
    if (NT_SUCCESS(status)) {
        RtlCopyMemory(call->data, &loaded, sizeof loaded);
        call->result_bytes = sizeof loaded;
    }
    return status;
}

static NTSTATUS storm(struct call *call)
{
    struct td_storm asked;
    struct td_stormed stormed;
    RtlCopyMemory(&asked, call->data, sizeof asked);
    asked.driver[sizeof asked.driver / sizeof *asked.driver - 1] = 0;
    asked.device[sizeof asked.device / sizeof *asked.device - 1] = 0;
    if (call->output_bytes < sizeof stormed)
        return STATUS_BUFFER_TOO_SMALL;
    NTSTATUS status = td_storm_run(call->disk, &asked, call->data + sizeof asked,
                                   call->input_bytes - (ULONG)sizeof asked, &stormed);
    if (NT_SUCCESS(status)) {
        RtlCopyMemory(call->data, &stormed, sizeof stormed);
        call->result_bytes = sizeof stormed;
    }
    return status;
}

static NTSTATUS mount(struct call *call)
{
    struct td_mount asked;
    RtlCopyMemory(&asked, call->data, sizeof asked);
    asked.name[sizeof asked.name / sizeof *asked.name - 1] = 0;
    return td_disk_mount(call->disk, &asked, call->data + sizeof asked,
                         call->input_bytes - (ULONG)sizeof asked);
}

static ULONG least_input(ULONG code)
{
    switch (code) {
    case TD_CREATE:
        return sizeof(struct td_create);
    case TD_BEHAVE:
        return sizeof(struct td_behaviour);
    case TD_FAULT:
        return sizeof(struct td_fault);
    case TD_PEEK:
    case TD_POKE:
        return sizeof(struct td_range);
    case TD_ADD_DEVICE:
    case TD_CAN_UNLOAD:
        return sizeof(struct td_add);
    case TD_SEND:
        return sizeof(struct td_send);
    case TD_LOAD:
        return sizeof(struct td_load);
    case TD_STORM:
        return sizeof(struct td_storm);
    case TD_MOUNT:
        return sizeof(struct td_mount);
    default:
        return sizeof(struct td_select);
    }
}

static NTSTATUS serve_disk(ULONG code, struct call *call)
{
    switch (code) {
    case TD_BEHAVE:
        return td_disk_behave(call->disk, (const struct td_behaviour *)call->data);
    case TD_FAULT:
        return td_disk_add_fault(call->disk, (const struct td_fault *)call->data);
    case TD_CLEAR:
        td_disk_clear(call->disk);
        return STATUS_SUCCESS;
    case TD_STATS:
        return take_stats(call);
    case TD_PEEK:
        return peek(call);
    case TD_POKE:
        return poke(call);
    case TD_ADD_DEVICE:
        return add_device(call);
    case TD_CAN_UNLOAD:
        return can_unload(call);
    case TD_STACK:
        return list_stack(call);
    case TD_LOAD:
        return load(call);
    case TD_STORM:
        return storm(call);
    case TD_MOUNT:
        return mount(call);
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

static NTSTATUS serve(ULONG code, struct call *call)
{
    if (!call->data || call->input_bytes < least_input(code))
        return STATUS_INVALID_PARAMETER;
    ULONG number = *(const ULONG *)call->data;
    if (code == TD_CREATE)
        return create_disk((const struct td_create *)call->data);
    if (code == TD_DELETE)
        return delete_disk(number);
    call->disk = use_disk(number);
    if (!call->disk && code != TD_SEND)
        return STATUS_NO_SUCH_DEVICE;
    NTSTATUS status = code == TD_SEND ? send(call) : serve_disk(code, call);
    if (call->disk)
        leave_disk(call->disk);
    return status;
}

/* ---- threads ---- */

static void serve_irp(PIRP irp)
{
    PIO_STACK_LOCATION sp = IoGetCurrentIrpStackLocation(irp);
    struct call call = {
        .data = irp->AssociatedIrp.SystemBuffer,
        .input_bytes = sp->Parameters.DeviceIoControl.InputBufferLength,
        .output_bytes = sp->Parameters.DeviceIoControl.OutputBufferLength,
    };
    NTSTATUS status = serve(sp->Parameters.DeviceIoControl.IoControlCode, &call);
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = NT_SUCCESS(status) ? call.result_bytes : 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
}

static PIRP take_irp(void)
{
    KIRQL level;
    PIRP irp = NULL;
    KeAcquireSpinLock(&bus.lock, &level);
    if (!IsListEmpty(&bus.queue))
        irp = CONTAINING_RECORD(RemoveHeadList(&bus.queue), IRP, Tail.Overlay.ListEntry);
    KeReleaseSpinLock(&bus.lock, level);
    return irp;
}

static VOID NTAPI run_thread(PVOID context)
{
    (void)context;
    for (;;) {
        KeWaitForSingleObject(&bus.queued, Executive, KernelMode, FALSE, NULL);
        PIRP irp = take_irp();
        if (irp)
            serve_irp(irp);
        else if (bus.is_stopping)
            break;
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS start_threads(void)
{
    NTSTATUS status = STATUS_SUCCESS;
    for (ULONG i = 0; i < THREAD_COUNT && NT_SUCCESS(status); i++) {
        HANDLE handle;
        status =
            PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, run_thread, NULL);
        if (!NT_SUCCESS(status))
            break;
        status =
            ObReferenceObjectByHandle(handle, SYNCHRONIZE, NULL, KernelMode, &bus.threads[i], NULL);
        ZwClose(handle);
    }
    return status;
}

static void stop_threads(void)
{
    bus.is_stopping = true;
    KeReleaseSemaphore(&bus.queued, IO_NO_INCREMENT, THREAD_COUNT, FALSE);
    for (ULONG i = 0; i < THREAD_COUNT; i++) {
        if (!bus.threads[i])
            continue;
        KeWaitForSingleObject(bus.threads[i], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(bus.threads[i]);
    }
}

/* ---- the driver ---- */

static NTSTATUS dispatch_control(PIRP irp)
{
    PIO_STACK_LOCATION sp = IoGetCurrentIrpStackLocation(irp);
    KIRQL level;
    if (sp->MajorFunction == IRP_MJ_DEVICE_CONTROL) {
        IoMarkIrpPending(irp);
        KeAcquireSpinLock(&bus.lock, &level);
        InsertTailList(&bus.queue, &irp->Tail.Overlay.ListEntry);
        KeReleaseSpinLock(&bus.lock, level);
        KeReleaseSemaphore(&bus.queued, IO_NO_INCREMENT, 1, FALSE);
        return STATUS_PENDING;
    }
    NTSTATUS status = sp->MajorFunction == IRP_MJ_CREATE || sp->MajorFunction == IRP_MJ_CLEANUP ||
                              sp->MajorFunction == IRP_MJ_CLOSE
                          ? STATUS_SUCCESS
                          : STATUS_INVALID_DEVICE_REQUEST;
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI dispatch(PDEVICE_OBJECT device, PIRP irp)
{
    return device == bus.control ? dispatch_control(irp)
                                 : td_disk_dispatch(td_disk_of(device), irp);
}

static void link_name(UNICODE_STRING *ret_name)
{
    RtlInitUnicodeString(ret_name, L"\\DosDevices\\VckTestBus");
}

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
    (void)driver;
    stop_threads();
    for (ULONG i = 0; i < TD_DISK_COUNT; i++)
        if (bus.disks[i] && !NT_SUCCESS(delete_disk(i)))
            DbgPrint("vcktestdisk: disk %lu is still in use at unload\n", i);
    UNICODE_STRING link;
    link_name(&link);
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(bus.control);
}

static NTSTATUS make_control(PDRIVER_OBJECT driver)
{
    UNICODE_STRING name, link;
    RtlInitUnicodeString(&name, L"\\Device\\VckTestBus");
    link_name(&link);
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN,
                                     FALSE, &bus.control);
    if (!NT_SUCCESS(status))
        return status;
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status))
        IoDeleteDevice(bus.control);
    return status;
}

DRIVER_INITIALIZE DriverEntry;

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path)
{
    (void)registry_path;
    RtlZeroMemory(&bus, sizeof bus);
    bus.driver = driver;
    ExInitializeFastMutex(&bus.mutex);
    KeInitializeSpinLock(&bus.lock);
    InitializeListHead(&bus.queue);
    KeInitializeSemaphore(&bus.queued, 0, MAXLONG);
    for (ULONG i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        driver->MajorFunction[i] = dispatch;
    driver->DriverUnload = unload;
    NTSTATUS status = start_threads();
    if (NT_SUCCESS(status))
        status = make_control(driver);
    if (!NT_SUCCESS(status))
        stop_threads();
    else
        bus.control->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return status;
}
