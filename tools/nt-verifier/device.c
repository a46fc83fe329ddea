/* SPDX-License-Identifier: Apache-2.0 */
/* Device objects: which there are, what they are called and what is attached to what. */
#include "verify.h"

enum { NAME_CHARS = 128, OPEN_WAIT_MS = 20 };

struct device_entry {
    LIST_ENTRY link;
    PDEVICE_OBJECT device;
    PDEVICE_OBJECT lower;
    struct verify_driver *driver;
    bool has_shutdown;
    USHORT name_bytes;
    WCHAR name[NAME_CHARS];
    struct verify_stack stack;
};

struct link_entry {
    LIST_ENTRY link;
    struct verify_driver *driver;
    USHORT name_bytes, target_bytes;
    WCHAR name[NAME_CHARS], target[NAME_CHARS];
    struct verify_stack stack;
};

static struct user_lock lock;
static LIST_ENTRY devices, links;

NTSTATUS verify_device_start(void)
{
    InitializeListHead(&devices);
    InitializeListHead(&links);
    return STATUS_SUCCESS;
}

static struct device_entry *find(const DEVICE_OBJECT *device)
{
    for (LIST_ENTRY *link = devices.Flink; link != &devices; link = link->Flink) {
        struct device_entry *entry = CONTAINING_RECORD(link, struct device_entry, link);
        if (entry->device == device)
            return entry;
    }
    return NULL;
}

static USHORT copy_name(const UNICODE_STRING *name, WCHAR *ret_name)
{
    USHORT bytes = name ? min(name->Length, (USHORT)(NAME_CHARS * sizeof(WCHAR))) : 0;
    if (bytes)
        RtlCopyMemory(ret_name, name->Buffer, bytes);
    return bytes;
}

static bool is_name(const UNICODE_STRING *name, const WCHAR *other, USHORT other_bytes)
{
    UNICODE_STRING string = {other_bytes, other_bytes, (PWSTR)(uintptr_t)other};
    return other_bytes && RtlEqualUnicodeString(name, &string, TRUE);
}

/* ---- creating and deleting ---- */

static NTSTATUS NTAPI hook_IoCreateDevice(PDRIVER_OBJECT object, ULONG extension_bytes,
                                          PUNICODE_STRING name, DEVICE_TYPE type,
                                          ULONG characteristics, BOOLEAN is_exclusive,
                                          PDEVICE_OBJECT *ret_device)
{
    struct verify_driver *driver = CALLER;
    verify_level_check(driver, APC_LEVEL, "IoCreateDevice");
    struct device_entry *entry = verify_fails_now(driver) ? NULL : verify_allocate(sizeof(*entry));
    if (!entry)
        return STATUS_INSUFFICIENT_RESOURCES;
    NTSTATUS status = IoCreateDevice(object, extension_bytes, name, type, characteristics,
                                     is_exclusive, ret_device);
    if (!NT_SUCCESS(status)) {
        verify_free(entry);
        return status;
    }
    entry->device = *ret_device;
    entry->driver = driver;
    entry->name_bytes = copy_name(name, entry->name);
    verify_stack_capture(&entry->stack);
    AcquireSRWLockExclusive(&lock);
    InsertTailList(&devices, &entry->link);
    ReleaseSRWLockExclusive(&lock);
    return status;
}

static void NTAPI hook_IoDeleteDevice(PDEVICE_OBJECT device)
{
    struct verify_driver *driver = CALLER;
    verify_level_check(driver, APC_LEVEL, "IoDeleteDevice");
    AcquireSRWLockExclusive(&lock);
    struct device_entry *entry = find(device);
    if (entry && device->AttachedDevice)
        verify_report("device-deleted-attached", driver, &entry->stack,
                      "device %p is deleted with another attached to it", (void *)device);
    if (entry && entry->lower)
        verify_report("device-not-detached", driver, &entry->stack,
                      "device %p is deleted without being detached", (void *)device);
    if (entry && entry->has_shutdown)
        verify_report("shutdown-left", driver, &entry->stack,
                      "device %p is deleted while registered for shutdown", (void *)device);
    if (entry)
        RemoveEntryList(&entry->link);
    ReleaseSRWLockExclusive(&lock);
    verify_free(entry);
    IoDeleteDevice(device);
}

static NTSTATUS NTAPI hook_IoCreateSymbolicLink(PUNICODE_STRING name, PUNICODE_STRING target)
{
    struct verify_driver *driver = CALLER;
    verify_level_check(driver, PASSIVE_LEVEL, "IoCreateSymbolicLink");
    struct link_entry *entry = verify_allocate(sizeof(*entry));
    NTSTATUS status = entry ? IoCreateSymbolicLink(name, target) : STATUS_INSUFFICIENT_RESOURCES;
    if (!NT_SUCCESS(status)) {
        verify_free(entry);
        return status;
    }
    entry->driver = driver;
    entry->name_bytes = copy_name(name, entry->name);
    entry->target_bytes = copy_name(target, entry->target);
    verify_stack_capture(&entry->stack);
    AcquireSRWLockExclusive(&lock);
    InsertTailList(&links, &entry->link);
    ReleaseSRWLockExclusive(&lock);
    return status;
}

/* The lock is held. */
static struct link_entry *find_link(const UNICODE_STRING *name)
{
    for (LIST_ENTRY *link = links.Flink; link != &links; link = link->Flink) {
        struct link_entry *entry = CONTAINING_RECORD(link, struct link_entry, link);
        if (is_name(name, entry->name, entry->name_bytes))
            return entry;
    }
    return NULL;
}

static NTSTATUS NTAPI hook_IoDeleteSymbolicLink(PUNICODE_STRING name)
{
    verify_level_check(CALLER, PASSIVE_LEVEL, "IoDeleteSymbolicLink");
    AcquireSRWLockExclusive(&lock);
    struct link_entry *entry = find_link(name);
    if (entry)
        RemoveEntryList(&entry->link);
    ReleaseSRWLockExclusive(&lock);
    verify_free(entry);
    return IoDeleteSymbolicLink(name);
}

/* ---- attaching ---- */

static PDEVICE_OBJECT attach(PDEVICE_OBJECT source, PDEVICE_OBJECT target)
{
    PDEVICE_OBJECT lower = IoAttachDeviceToDeviceStack(source, target);
    AcquireSRWLockExclusive(&lock);
    struct device_entry *entry = find(source);
    if (entry)
        entry->lower = lower;
    ReleaseSRWLockExclusive(&lock);
    return lower;
}

static PDEVICE_OBJECT NTAPI hook_IoAttachDeviceToDeviceStack(PDEVICE_OBJECT source,
                                                             PDEVICE_OBJECT target)
{
    verify_level_check(CALLER, DISPATCH_LEVEL, "IoAttachDeviceToDeviceStack");
    return attach(source, target);
}

static NTSTATUS NTAPI hook_IoAttachDeviceToDeviceStackSafe(PDEVICE_OBJECT source,
                                                           PDEVICE_OBJECT target,
                                                           PDEVICE_OBJECT *ret_lower)
{
    verify_level_check(CALLER, DISPATCH_LEVEL, "IoAttachDeviceToDeviceStackSafe");
    if (*ret_lower)
        verify_report("attach-to-not-null", CALLER, NULL,
                      "the pointer for the lower device must be NULL before");
    *ret_lower = attach(source, target);
    return *ret_lower ? STATUS_SUCCESS : STATUS_NO_SUCH_DEVICE;
}

static void NTAPI hook_IoDetachDevice(PDEVICE_OBJECT target)
{
    verify_level_check(CALLER, DISPATCH_LEVEL, "IoDetachDevice");
    AcquireSRWLockExclusive(&lock);
    struct device_entry *entry = target->AttachedDevice ? find(target->AttachedDevice) : NULL;
    if (!target->AttachedDevice)
        verify_report("device-not-attached", CALLER, NULL, "nothing is attached to device %p",
                      (void *)target);
    if (entry)
        entry->lower = NULL;
    ReleaseSRWLockExclusive(&lock);
    if (target->AttachedDevice)
        IoDetachDevice(target);
}

static PDEVICE_OBJECT lower_of(const DEVICE_OBJECT *device)
{
    struct device_entry *entry = find(device);
    return entry ? entry->lower : NULL;
}

static PDEVICE_OBJECT NTAPI hook_IoGetLowerDeviceObject(PDEVICE_OBJECT device)
{
    verify_level_check(CALLER, APC_LEVEL, "IoGetLowerDeviceObject");
    AcquireSRWLockExclusive(&lock);
    PDEVICE_OBJECT lower = lower_of(device);
    if (lower)
        ObReferenceObject(lower);
    ReleaseSRWLockExclusive(&lock);
    return lower;
}

static PDEVICE_OBJECT NTAPI hook_IoGetDeviceAttachmentBaseRef(PDEVICE_OBJECT device)
{
    verify_level_check(CALLER, APC_LEVEL, "IoGetDeviceAttachmentBaseRef");
    AcquireSRWLockExclusive(&lock);
    for (PDEVICE_OBJECT lower = lower_of(device); lower; lower = lower_of(lower))
        device = lower;
    ObReferenceObject(device);
    ReleaseSRWLockExclusive(&lock);
    return device;
}

/* ---- by name ---- */

/* A device of a watched driver, through one symbolic link if need be. */
static PDEVICE_OBJECT device_named(const UNICODE_STRING *name)
{
    PDEVICE_OBJECT device = NULL;
    UNICODE_STRING target;
    AcquireSRWLockExclusive(&lock);
    struct link_entry *through = find_link(name);
    if (through) {
        target = (UNICODE_STRING){through->target_bytes, through->target_bytes, through->target};
        name = &target;
    }
    for (LIST_ENTRY *link = devices.Flink; link != &devices; link = link->Flink) {
        struct device_entry *entry = CONTAINING_RECORD(link, struct device_entry, link);
        if (is_name(name, entry->name, entry->name_bytes))
            device = entry->device;
    }
    ReleaseSRWLockExclusive(&lock);
    return device;
}

/* Wine opens devices later, on its one thread for requests; a while is enough off that thread. */
static PDEVICE_OBJECT wait_for_device(PFILE_OBJECT file)
{
    LARGE_INTEGER step = {.QuadPart = -10000};
    for (int i = 0; i < OPEN_WAIT_MS && !file->DeviceObject; i++)
        KeDelayExecutionThread(KernelMode, FALSE, &step);
    return file->DeviceObject;
}

static NTSTATUS open_device(PUNICODE_STRING name, ACCESS_MASK access, PFILE_OBJECT *ret_file)
{
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK result;
    HANDLE handle;
    InitializeObjectAttributes(&attributes, name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL,
                               NULL);
    NTSTATUS status = ZwCreateFile(&handle, access | SYNCHRONIZE, &attributes, &result, NULL, 0,
                                   FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                   FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0);
    if (!NT_SUCCESS(status))
        return status;
    status = ObReferenceObjectByHandle(handle, 0, *__imp_IoFileObjectType, KernelMode,
                                       (PVOID *)ret_file, NULL);
    ZwClose(handle);
    return status;
}

static NTSTATUS NTAPI hook_IoGetDeviceObjectPointer(PUNICODE_STRING name, ACCESS_MASK access,
                                                    PFILE_OBJECT *ret_file,
                                                    PDEVICE_OBJECT *ret_device)
{
    PFILE_OBJECT file;
    verify_level_check(CALLER, PASSIVE_LEVEL, "IoGetDeviceObjectPointer");
    NTSTATUS status = open_device(name, access, &file);
    if (!NT_SUCCESS(status))
        return status;
    PDEVICE_OBJECT device = device_named(name);
    if (!device)
        device = wait_for_device(file);
    if (!device) {
        ObDereferenceObject(file);
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    *ret_file = file;
    *ret_device = IoGetAttachedDevice(device);
    return STATUS_SUCCESS;
}

/* ---- shutdown ---- */

static NTSTATUS set_shutdown(PDEVICE_OBJECT device, bool has_shutdown)
{
    AcquireSRWLockExclusive(&lock);
    struct device_entry *entry = find(device);
    if (entry)
        entry->has_shutdown = has_shutdown;
    ReleaseSRWLockExclusive(&lock);
    return entry ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

static NTSTATUS NTAPI hook_IoRegisterShutdownNotification(PDEVICE_OBJECT device)
{
    verify_level_check(CALLER, PASSIVE_LEVEL, "IoRegisterShutdownNotification");
    return set_shutdown(device, true);
}

static NTSTATUS NTAPI hook_IoRegisterLastChanceShutdownNotification(PDEVICE_OBJECT device)
{
    verify_level_check(CALLER, PASSIVE_LEVEL, "IoRegisterLastChanceShutdownNotification");
    return set_shutdown(device, true);
}

static void NTAPI hook_IoUnregisterShutdownNotification(PDEVICE_OBJECT device)
{
    verify_level_check(CALLER, PASSIVE_LEVEL, "IoUnregisterShutdownNotification");
    set_shutdown(device, false);
}

static PDEVICE_OBJECT next_for_shutdown(ULONG index)
{
    PDEVICE_OBJECT device = NULL;
    AcquireSRWLockExclusive(&lock);
    for (LIST_ENTRY *link = devices.Blink; link != &devices && !device; link = link->Blink) {
        struct device_entry *entry = CONTAINING_RECORD(link, struct device_entry, link);
        if (entry->has_shutdown && !index--)
            device = entry->device;
    }
    if (device)
        ObReferenceObject(device);
    ReleaseSRWLockExclusive(&lock);
    return device;
}

static NTSTATUS NTAPI shutdown_done(PDEVICE_OBJECT device, PIRP irp, PVOID event)
{
    (void)device;
    (void)irp;
    KeSetEvent(event, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void send_shutdown(PDEVICE_OBJECT device)
{
    PIRP irp = IoAllocateIrp(device->StackSize, FALSE);
    KEVENT event;
    if (!irp)
        return;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_SHUTDOWN;
    IoSetCompletionRoutine(irp, shutdown_done, &event, TRUE, TRUE, TRUE);
    IofCallDriver(device, irp);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    IoFreeIrp(irp);
}

/* Those registered last are told first. */
ULONG verify_device_shutdown(void)
{
    ULONG count = 0;
    PDEVICE_OBJECT device;
    while ((device = next_for_shutdown(count)) != NULL) {
        send_shutdown(device);
        ObDereferenceObject(device);
        count++;
    }
    return count;
}

/* ---- what is left ---- */

void verify_device_leaks(struct verify_driver *driver)
{
    AcquireSRWLockExclusive(&lock);
    LIST_ENTRY *link = devices.Flink;
    while (link != &devices) {
        struct device_entry *entry = CONTAINING_RECORD(link, struct device_entry, link);
        link = link->Flink;
        if (entry->driver != driver)
            continue;
        verify_report("device-leak", driver, &entry->stack, "device %p %.*ls was not deleted",
                      (void *)entry->device, entry->name_bytes / (int)sizeof(WCHAR), entry->name);
        RemoveEntryList(&entry->link);
        verify_free(entry);
    }
    link = links.Flink;
    while (link != &links) {
        struct link_entry *entry = CONTAINING_RECORD(link, struct link_entry, link);
        link = link->Flink;
        if (entry->driver != driver)
            continue;
        verify_report("symbolic-link-leak", driver, &entry->stack, "%.*ls was not deleted",
                      entry->name_bytes / (int)sizeof(WCHAR), entry->name);
        RemoveEntryList(&entry->link);
        verify_free(entry);
    }
    ReleaseSRWLockExclusive(&lock);
}

static const struct verify_hook hooks[] = {
    CHECK(IoCreateDevice),
    CHECK(IoDeleteDevice),
    CHECK(IoCreateSymbolicLink),
    CHECK(IoDeleteSymbolicLink),
    CHECK(IoAttachDeviceToDeviceStack),
    SUPPLY(IoAttachDeviceToDeviceStackSafe),
    CHECK(IoDetachDevice),
    SUPPLY(IoGetLowerDeviceObject),
    SUPPLY(IoGetDeviceAttachmentBaseRef),
    SUPPLY(IoGetDeviceObjectPointer),
    SUPPLY(IoRegisterShutdownNotification),
    SUPPLY(IoRegisterLastChanceShutdownNotification),
    SUPPLY(IoUnregisterShutdownNotification),
};
const struct verify_hooks verify_device_hooks = VERIFY_HOOKS(hooks);
