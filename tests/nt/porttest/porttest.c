/* SPDX-License-Identifier: Apache-2.0 */
#include "porttest.h"
#include "vck/log.h"
#include "vck/thread.h"

#define THREADS_MAX 64u

DRIVER_INITIALIZE DriverEntry VCK_CAN_WAIT;

static const struct porttest *const groups[] = {
    porttest_memory,  porttest_locks, porttest_events,
    porttest_threads, porttest_time,  porttest_tasks,
};

/* ---- the running test ---- */

static struct {
    uint32_t has_failed;
    const char *what;
    const char *file;
    int line;
    const char *skip_reason;
} current;

bool porttest_check(bool cond, const char *what, const char *file, int line)
{
    if (cond || __atomic_exchange_n(&current.has_failed, 1, __ATOMIC_RELAXED) != 0)
        return cond;
    current.what = what;
    current.file = file;
    current.line = line;
    return false;
}

void porttest_skip(const char *why)
{
    current.skip_reason = why;
}

bool porttest_has_levels(void)
{
    KIRQL before;
    KeRaiseIrql(DISPATCH_LEVEL, &before);
    bool has_levels = KeGetCurrentIrql() == DISPATCH_LEVEL;
    KeLowerIrql(before);
    return has_levels;
}

void porttest_run_threads(unsigned count, void (*entry)(void *context), void *context)
{
    struct vck_thread *threads[THREADS_MAX];
    unsigned started = 0;
    while (started < count && CHECK(vck_thread_create(entry, context, VCK_THREAD_NORMAL, "test",
                                                      &threads[started]) == VCK_OK))
        started++;
    while (started > 0)
        vck_thread_join(threads[--started]);
}

/* ---- the report ---- */

struct report {
    char *text;
    size_t capacity_bytes;
    size_t used_bytes;
    unsigned number;
};

static void run_one(struct report *report, const struct porttest *test) VCK_CAN_WAIT
{
    vck_log_info("%s", test->name); /* a test that never ends is found by it */
    size_t live_before = vck_alloc_live_count();
    current.has_failed = 0;
    current.skip_reason = NULL;
    test->run();
    vck_threads_fini();
    CHECK(vck_alloc_live_count() == live_before);
    char *at = report->text + report->used_bytes;
    size_t left_bytes = report->capacity_bytes - report->used_bytes;
    report->number++;
    if (current.has_failed)
        report->used_bytes +=
            vck_format(at, left_bytes, "not ok %u - %s\n# %s:%d: %s\n", report->number, test->name,
                       current.file, current.line, current.what);
    else
        report->used_bytes += vck_format(at, left_bytes, "ok %u - %s%s%s\n", report->number,
                                         test->name, current.skip_reason ? " # SKIP " : "",
                                         current.skip_reason ? current.skip_reason : "");
}

static size_t run_all(char *text, size_t capacity_bytes) VCK_CAN_WAIT
{
    struct report report = {.text = text, .capacity_bytes = capacity_bytes};
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        for (const struct porttest *test = groups[i]; test->name != NULL; test++)
            run_one(&report, test);
    report.used_bytes += vck_format(text + report.used_bytes, capacity_bytes - report.used_bytes,
                                    "1..%u\n", report.number);
    return report.used_bytes;
}

/* ---- the driver ---- */

static NTSTATUS complete(IRP *irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI dispatch_open(DEVICE_OBJECT *device, IRP *irp)
{
    (void)device;
    return complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI dispatch_control(DEVICE_OBJECT *device, IRP *irp) VCK_CAN_WAIT
{
    (void)device;
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    if (stack->Parameters.DeviceIoControl.IoControlCode != PORTTEST_IOCTL_RUN)
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    size_t capacity_bytes = stack->Parameters.DeviceIoControl.OutputBufferLength;
    if (capacity_bytes == 0)
        return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    return complete(irp, STATUS_SUCCESS, run_all(irp->AssociatedIrp.SystemBuffer, capacity_bytes));
}

#define NAME_MAX 64u

struct name {
    WCHAR text[NAME_MAX];
    UNICODE_STRING string;
};

/* The prefix and the last part of the service's key. */
static void make_name(struct name *name, const WCHAR *prefix, const UNICODE_STRING *registry_path)
{
    size_t length = 0;
    size_t end = registry_path->Length / sizeof(WCHAR);
    size_t first = end;
    while (first > 0 && registry_path->Buffer[first - 1] != L'\\')
        first--;
    for (; *prefix != 0; prefix++)
        name->text[length++] = *prefix;
    for (size_t i = first; i < end && length < NAME_MAX; i++)
        name->text[length++] = registry_path->Buffer[i];
    name->string = (UNICODE_STRING){.Buffer = name->text,
                                    .Length = (USHORT)(length * sizeof(WCHAR)),
                                    .MaximumLength = sizeof(name->text)};
}

static struct name device_name;
static struct name link_name;
static DEVICE_OBJECT *device_object;

static void NTAPI unload(DRIVER_OBJECT *driver) VCK_CAN_WAIT
{
    (void)driver;
    IoDeleteSymbolicLink(&link_name.string);
    IoDeleteDevice(device_object);
    vck_nt_fini();
}

static NTSTATUS create_device(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path)
{
    make_name(&device_name, L"\\Device\\", registry_path);
    make_name(&link_name, L"\\DosDevices\\", registry_path);
    NTSTATUS status = IoCreateDevice(driver, 0, &device_name.string, FILE_DEVICE_UNKNOWN,
                                     FILE_DEVICE_SECURE_OPEN, FALSE, &device_object);
    if (!NT_SUCCESS(status))
        return status;
    status = IoCreateSymbolicLink(&link_name.string, &device_name.string);
    if (!NT_SUCCESS(status))
        IoDeleteDevice(device_object);
    return status;
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path)
{
    vck_status status = vck_nt_init(driver, registry_path);
    if (status != VCK_OK)
        return (NTSTATUS)vck_status_to_nt(status);
    NTSTATUS nt_status = create_device(driver, registry_path);
    if (!NT_SUCCESS(nt_status)) {
        vck_nt_fini();
        return nt_status;
    }
    driver->MajorFunction[IRP_MJ_CREATE] = dispatch_open;
    driver->MajorFunction[IRP_MJ_CLOSE] = dispatch_open;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = dispatch_control;
    driver->DriverUnload = unload;
    device_object->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    vck_log_info("porttest is loaded");
    return STATUS_SUCCESS;
}
