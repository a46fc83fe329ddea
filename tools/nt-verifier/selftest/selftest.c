/* SPDX-License-Identifier: Apache-2.0 */
/* The driver: devices, and one request that commits a sin by name, or lists them all. */
#include "selftest.h"

enum { COMMIT = 0x222000, LIST = 0x222004, NAME_CHARS = 64 };

DRIVER_INITIALIZE DriverEntry;

PDRIVER_OBJECT selftest_driver;
PDEVICE_OBJECT selftest_device, selftest_lower_device;
void (*selftest_unload)(void);
NTSTATUS (*selftest_lower)(PDEVICE_OBJECT device, PIRP irp);
PIRP selftest_irp;
bool selftest_irp_is_completed;

static const struct sins *const all[] = {&device_sins, &irp_sins,  &level_sins,   &left_sins,
                                         &memory_sins, &ndis_sins, &supplied_sins};
static bool is_wrong;
static WCHAR device_text[NAME_CHARS], lower_text[NAME_CHARS], link_text[NAME_CHARS];
static UNICODE_STRING device_name = {0, sizeof(device_text), device_text};
static UNICODE_STRING lower_name = {0, sizeof(lower_text), lower_text};
static UNICODE_STRING link_name = {0, sizeof(link_text), link_text};

void selftest_expect(bool is_right, const char *text)
{
    if (!is_right)
        DbgPrint("selftest: wrong: %s\n", text);
    is_wrong = is_wrong || !is_right;
}

void *selftest_look_up(const WCHAR *name)
{
    UNICODE_STRING string;
    RtlInitUnicodeString(&string, name);
    return MmGetSystemRoutineAddress(&string);
}

/* Looked up: it raises an exception when it fails, which no driver of gcc's could catch; here it
 * cannot fail. */
void selftest_lock_pages(PMDL mdl)
{
    void(NTAPI * lock)(PMDL, KPROCESSOR_MODE, LOCK_OPERATION) = (void(NTAPI *)(
        PMDL, KPROCESSOR_MODE, LOCK_OPERATION))(uintptr_t)selftest_look_up(L"MmProbeAndLockPages");
    lock(mdl, KernelMode, IoWriteAccess);
}

void selftest_sleep_ms(LONG milliseconds)
{
    LARGE_INTEGER interval = {.QuadPart = -10000ll * milliseconds};
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

NTSTATUS selftest_complete(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

/* ---- requests ---- */

static const struct sin *find(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        for (size_t j = 0; j < all[i]->count; j++) {
            const struct sin *sin = &all[i]->list[j];
            if (strlen(sin->name) == length && !memcmp(sin->name, name, length))
                return sin;
        }
    }
    return NULL;
}

static size_t append(char *to, size_t used, size_t bytes, const char *text, char end)
{
    size_t length = strlen(text);
    if (used + length + 1 > bytes)
        return used;
    memcpy(to + used, text, length);
    to[used + length] = end;
    return used + length + 1;
}

/* A line for each: name, when, kinds. */
static size_t list_all(char *to, size_t bytes)
{
    static const char *const moments[] = {"now", "unload", "end"};
    size_t used = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        for (size_t j = 0; j < all[i]->count; j++) {
            const struct sin *sin = &all[i]->list[j];
            used = append(to, used, bytes, sin->name, ' ');
            used = append(to, used, bytes, moments[sin->moment], ' ');
            used = append(to, used, bytes, sin->kinds, '\n');
        }
    }
    return used;
}

static NTSTATUS commit(PIRP irp, const char *name, size_t length)
{
    const struct sin *sin = find(name, length);
    if (!sin)
        return selftest_complete(irp, STATUS_NOT_FOUND, 0);
    is_wrong = false;
    selftest_irp = irp;
    selftest_irp_is_completed = false;
    sin->commit();
    NTSTATUS status = is_wrong ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
    return selftest_irp_is_completed ? status : selftest_complete(irp, status, 0);
}

static NTSTATUS NTAPI dispatch_control(PDEVICE_OBJECT device, PIRP irp)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    char *buffer = irp->AssociatedIrp.SystemBuffer;
    if (device == selftest_lower_device)
        return selftest_lower(device, irp);
    switch (stack->Parameters.DeviceIoControl.IoControlCode) {
    case COMMIT:
        return commit(irp, buffer, stack->Parameters.DeviceIoControl.InputBufferLength);
    case LIST:
        return selftest_complete(
            irp, STATUS_SUCCESS,
            list_all(buffer, stack->Parameters.DeviceIoControl.OutputBufferLength));
    default:
        return selftest_complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

static NTSTATUS NTAPI dispatch_open(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    return selftest_complete(irp, STATUS_SUCCESS, 0);
}

/* ---- the driver ---- */

static void add_text(UNICODE_STRING *name, const WCHAR *text, USHORT chars)
{
    RtlCopyMemory((char *)name->Buffer + name->Length, text, chars * sizeof(WCHAR));
    name->Length = (USHORT)(name->Length + chars * sizeof(WCHAR));
}

/* The devices are called as the service: two of this driver may be loaded, under two names. */
static void make_names(const UNICODE_STRING *path)
{
    static const WCHAR device[] = L"\\Device\\", link[] = L"\\DosDevices\\", lower[] = L"Lower";
    USHORT chars = path->Length / (USHORT)sizeof(WCHAR), start = chars;
    while (start && path->Buffer[start - 1] != '\\')
        start--;
    add_text(&device_name, device, 8);
    add_text(&device_name, path->Buffer + start, (USHORT)(chars - start));
    add_text(&lower_name, device_text, (USHORT)(device_name.Length / sizeof(WCHAR)));
    add_text(&lower_name, lower, 5);
    add_text(&link_name, link, 12);
    add_text(&link_name, path->Buffer + start, (USHORT)(chars - start));
}

static NTSTATUS make_device(PDRIVER_OBJECT driver, UNICODE_STRING *name, PDEVICE_OBJECT *ret_device)
{
    NTSTATUS status = IoCreateDevice(driver, 0, name, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN,
                                     FALSE, ret_device);
    if (NT_SUCCESS(status))
        (*ret_device)->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return status;
}

static void NTAPI unload(PDRIVER_OBJECT driver)
{
    (void)driver;
    if (selftest_unload)
        selftest_unload();
    IoDeleteSymbolicLink(&link_name);
    IoDeleteDevice(selftest_lower_device);
    IoDeleteDevice(selftest_device);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path)
{
    make_names(registry_path);
    selftest_driver = driver;
    driver->DriverUnload = unload;
    driver->MajorFunction[IRP_MJ_CREATE] = dispatch_open;
    driver->MajorFunction[IRP_MJ_CLOSE] = dispatch_open;
    driver->MajorFunction[IRP_MJ_CLEANUP] = dispatch_open;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = dispatch_control;
    NTSTATUS status = make_device(driver, &device_name, &selftest_device);
    if (NT_SUCCESS(status))
        status = make_device(driver, &lower_name, &selftest_lower_device);
    if (NT_SUCCESS(status))
        status = IoCreateSymbolicLink(&link_name, &device_name);
    return status;
}
