/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdlib.h>

#include "fake_nt.h"
#include "fake_nt_internal.h"
#include "port/nt/nt.h"
#include "port/port.h"
#include "vck/bytes.h"

enum kind { LINK, FILE_HANDLE, DEVICE, PROCESS, TOKEN };

struct handle {
    enum kind kind;
    struct name *link;
    PFILE_OBJECT file;
    PDEVICE_OBJECT device;
    const struct fake_token *token;
};

/* A name that leads to another, or to a device. */
struct name {
    struct name *next;
    wchar_t name[64];
    wchar_t target[64];
    PDEVICE_OBJECT device;
};

struct fake_system fake_system;
static struct name *names;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void fake_system_begin(void)
{
    fake_system = (struct fake_system){0};
    names = NULL;
}

static void free_names(void)
{
    while (names) {
        struct name *next = names->next;

        free(names);
        names = next;
    }
}

void fake_system_end(void)
{
    free_names();
    VCK_ASSERT(fake_system.handles == 0);
    VCK_ASSERT(fake_system.mapped == 0);
    VCK_ASSERT(!fake_system.hears_shutdown);
}

/* ---- names ---- */

static size_t length_of(const wchar_t *text)
{
    size_t length = 0;

    while (text[length])
        length++;
    return length;
}

static void copy_name(wchar_t to[64], const wchar_t *from)
{
    VCK_ASSERT(length_of(from) < 64);
    memcpy(to, from, (length_of(from) + 1) * sizeof(*from));
}

static struct name *add_name(const wchar_t *text)
{
    struct name *name = calloc(1, sizeof(*name));

    VCK_ASSERT(name != NULL);
    copy_name(name->name, text);
    pthread_mutex_lock(&lock);
    name->next = names;
    names = name;
    pthread_mutex_unlock(&lock);
    return name;
}

void fake_system_add_link(const wchar_t *link, const wchar_t *target)
{
    copy_name(add_name(link)->target, target);
}

void fake_system_add_device(const wchar_t *text, PDEVICE_OBJECT device)
{
    add_name(text)->device = device;
}

static struct name *find_name(PCUNICODE_STRING text)
{
    struct name *name;
    UNICODE_STRING other;

    pthread_mutex_lock(&lock);
    for (name = names; name; name = name->next) {
        RtlInitUnicodeString(&other, name->name);
        if (RtlEqualUnicodeString(text, &other, TRUE))
            break;
    }
    pthread_mutex_unlock(&lock);
    return name;
}

NTSTATUS IoCreateSymbolicLink(PUNICODE_STRING link, PUNICODE_STRING target)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (fake_should_fail())
        return STATUS_INSUFFICIENT_RESOURCES;
    if (find_name(link))
        return (NTSTATUS)0xC0000035; /* STATUS_OBJECT_NAME_COLLISION */
    fake_system_add_link(link->Buffer, target->Buffer);
    return STATUS_SUCCESS;
}

NTSTATUS IoDeleteSymbolicLink(PUNICODE_STRING link)
{
    struct name *name = find_name(link);
    struct name **at = &names;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (!name)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    pthread_mutex_lock(&lock);
    while (*at != name)
        at = &(*at)->next;
    *at = name->next;
    pthread_mutex_unlock(&lock);
    free(name);
    return STATUS_SUCCESS;
}

/* ---- handles ---- */

static HANDLE open_handle(enum kind kind)
{
    struct handle *handle = calloc(1, sizeof(*handle));

    VCK_ASSERT(handle != NULL);
    handle->kind = kind;
    __atomic_fetch_add(&fake_system.handles, 1, __ATOMIC_RELAXED);
    return handle;
}

NTSTATUS ZwClose(HANDLE value)
{
    struct handle *handle = value;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (handle->file)
        ObDereferenceObject(handle->file);
    free(handle);
    __atomic_fetch_sub(&fake_system.handles, 1, __ATOMIC_RELAXED);
    return STATUS_SUCCESS;
}

NTSTATUS ZwOpenSymbolicLinkObject(PHANDLE ret_handle, ACCESS_MASK access,
                                  POBJECT_ATTRIBUTES attributes)
{
    struct name *name = find_name(attributes->ObjectName);

    (void)access;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    VCK_ASSERT(attributes->Attributes & OBJ_KERNEL_HANDLE);
    if (!name)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    if (name->device)
        return STATUS_OBJECT_TYPE_MISMATCH;
    *ret_handle = open_handle(LINK);
    ((struct handle *)*ret_handle)->link = name;
    return STATUS_SUCCESS;
}

NTSTATUS ZwQuerySymbolicLinkObject(HANDLE value, PUNICODE_STRING target, PULONG ret_bytes)
{
    struct handle *handle = value;
    size_t bytes = length_of(handle->link->target) * sizeof(wchar_t);

    VCK_ASSERT(handle->kind == LINK);
    *ret_bytes = (ULONG)bytes;
    if (fake_should_fail() || bytes > target->MaximumLength)
        return STATUS_BUFFER_TOO_SMALL;
    memcpy(target->Buffer, handle->link->target, bytes);
    target->Length = (USHORT)bytes;
    return STATUS_SUCCESS;
}

static void destroy_file(void *object)
{
    free(object);
}

NTSTATUS ZwCreateFile(PHANDLE ret_handle, ACCESS_MASK access, POBJECT_ATTRIBUTES attributes,
                      IO_STATUS_BLOCK *io, LARGE_INTEGER *size, ULONG file_attributes, ULONG share,
                      ULONG disposition, ULONG options, PVOID ea, ULONG ea_bytes)
{
    struct name *name = find_name(attributes->ObjectName);
    struct handle *handle;
    UNICODE_STRING target;

    (void)access, (void)io, (void)size, (void)file_attributes, (void)ea, (void)ea_bytes;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    VCK_ASSERT(attributes->Attributes & OBJ_KERNEL_HANDLE);
    VCK_ASSERT(disposition == FILE_OPEN && (options & FILE_SYNCHRONOUS_IO_NONALERT));
    VCK_ASSERT(share == (FILE_SHARE_READ | FILE_SHARE_WRITE));
    for (int hops = 0; name && !name->device && hops < 8; hops++) {
        RtlInitUnicodeString(&target, name->target);
        name = find_name(&target);
    }
    if (!name || !name->device)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    if (fake_should_fail())
        return STATUS_ACCESS_DENIED;
    handle = open_handle(FILE_HANDLE);
    handle->file = calloc(1, sizeof(*handle->file));
    handle->file->fake_object = (struct fake_object){.references = 1, .destroy = destroy_file};
    handle->file->DeviceObject = name->device;
    *ret_handle = handle;
    return STATUS_SUCCESS;
}

NTSTATUS ZwFsControlFile(HANDLE value, HANDLE event, PVOID apc, PVOID apc_context,
                         IO_STATUS_BLOCK *io, ULONG code, PVOID in, ULONG in_bytes, PVOID out,
                         ULONG out_bytes)
{
    struct handle *handle = value;
    size_t which = code == FSCTL_LOCK_VOLUME ? 0 : code == FSCTL_UNLOCK_VOLUME ? 1 : 2;

    (void)event, (void)apc, (void)apc_context, (void)in, (void)in_bytes, (void)out;
    (void)out_bytes;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    VCK_ASSERT(handle->kind == FILE_HANDLE);
    __atomic_fetch_add(&fake_system.fsctls[which], 1, __ATOMIC_RELAXED);
    io->Status = fake_system.control ? fake_system.control(handle->file->DeviceObject, code)
                                     : STATUS_INVALID_DEVICE_REQUEST;
    return io->Status;
}

/* ---- file I/O: IRPs for the top of the device's stack, with a system buffer ---- */

struct wait {
    struct fake_requestor requestor;
    struct vck_event done;
    IO_STATUS_BLOCK *io;
};

static void on_done(void *context, PIRP irp)
{
    struct wait *wait = context;

    *wait->io = irp->IoStatus;
    IoFreeIrp(irp);
    vck_event_set(&wait->done);
}

static NTSTATUS send(HANDLE value, const IO_STACK_LOCATION *what, PVOID buffer,
                     IO_STATUS_BLOCK *io) VCK_CAN_WAIT
{
    struct handle *handle = value;
    PDEVICE_OBJECT top = IoGetAttachedDeviceReference(handle->file->DeviceObject);
    struct wait wait = {.requestor = {.done = on_done, .context = &wait}, .io = io};
    PIRP irp = fake_irp_create(top, &wait.requestor);
    PIO_STACK_LOCATION stack = IoGetNextIrpStackLocation(irp);

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    VCK_ASSERT(handle->kind == FILE_HANDLE);
    vck_event_init(&wait.done);
    irp->AssociatedIrp.SystemBuffer = buffer;
    stack->MajorFunction = what->MajorFunction;
    stack->Parameters = what->Parameters;
    (void)IoCallDriver(top, irp);
    (void)vck_event_wait(&wait.done, VCK_FOREVER);
    vck_event_fini(&wait.done);
    ObDereferenceObject(top);
    return io->Status;
}

static NTSTATUS transfer(HANDLE file, UCHAR major, IO_STATUS_BLOCK *io, PVOID buffer,
                         ULONG size_bytes, LARGE_INTEGER *offset) VCK_NO_ANALYSIS
{
    IO_STACK_LOCATION what = {.MajorFunction = major};

    what.Parameters.Read.Length = size_bytes;
    what.Parameters.Read.ByteOffset = *offset;
    return send(file, &what, buffer, io);
}

NTSTATUS ZwReadFile(HANDLE file, HANDLE event, PVOID apc, PVOID apc_context, IO_STATUS_BLOCK *io,
                    PVOID buffer, ULONG size_bytes, LARGE_INTEGER *offset, PULONG key)
{
    (void)event, (void)apc, (void)apc_context, (void)key;
    return transfer(file, IRP_MJ_READ, io, buffer, size_bytes, offset);
}

NTSTATUS ZwWriteFile(HANDLE file, HANDLE event, PVOID apc, PVOID apc_context, IO_STATUS_BLOCK *io,
                     PVOID buffer, ULONG size_bytes, LARGE_INTEGER *offset, PULONG key)
{
    (void)event, (void)apc, (void)apc_context, (void)key;
    return transfer(file, IRP_MJ_WRITE, io, buffer, size_bytes, offset);
}

NTSTATUS ZwFlushBuffersFile(HANDLE file, IO_STATUS_BLOCK *io) VCK_NO_ANALYSIS
{
    const IO_STACK_LOCATION what = {.MajorFunction = IRP_MJ_FLUSH_BUFFERS};

    return send(file, &what, NULL, io);
}

NTSTATUS ZwDeviceIoControlFile(HANDLE file, HANDLE event, PVOID apc, PVOID apc_context,
                               IO_STATUS_BLOCK *io, ULONG code, PVOID in, ULONG in_bytes, PVOID out,
                               ULONG out_bytes) VCK_NO_ANALYSIS
{
    IO_STACK_LOCATION what = {.MajorFunction = IRP_MJ_DEVICE_CONTROL};

    (void)event, (void)apc, (void)apc_context;
    VCK_ASSERT(in == out && "one buffer serves both ways");
    what.Parameters.DeviceIoControl.IoControlCode = code;
    what.Parameters.DeviceIoControl.InputBufferLength = in_bytes;
    what.Parameters.DeviceIoControl.OutputBufferLength = out_bytes;
    return send(file, &what, out, io);
}

NTSTATUS ZwQueryInformationFile(HANDLE file, IO_STATUS_BLOCK *io, PVOID out, ULONG out_bytes,
                                FILE_INFORMATION_CLASS what)
{
    (void)file, (void)io, (void)out, (void)out_bytes, (void)what;
    return STATUS_INVALID_DEVICE_REQUEST;
}

NTSTATUS ZwWaitForSingleObject(HANDLE handle, BOOLEAN alertable, LARGE_INTEGER *timeout)
{
    (void)handle, (void)alertable, (void)timeout;
    VCK_ASSERT(!"requests of the fake do not stay pending");
    return STATUS_SUCCESS;
}

NTSTATUS ObReferenceObjectByHandle(HANDLE value, ACCESS_MASK access, POBJECT_TYPE type,
                                   KPROCESSOR_MODE mode, PVOID *ret_object, PVOID information)
{
    struct handle *handle = value;

    (void)access, (void)type, (void)information;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    VCK_ASSERT(mode == KernelMode && handle->kind == FILE_HANDLE);
    if (fake_should_fail())
        return STATUS_INVALID_HANDLE;
    if (fake_system.device_late) {
        fake_system.device_late--;
        return STATUS_INVALID_HANDLE;
    }
    ObReferenceObject(handle->file);
    *ret_object = handle->file;
    return STATUS_SUCCESS;
}

NTSTATUS ObOpenObjectByPointer(PVOID object, ULONG attributes, PACCESS_STATE state,
                               ACCESS_MASK access, POBJECT_TYPE type, KPROCESSOR_MODE mode,
                               PHANDLE ret_handle)
{
    (void)state, (void)type;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    VCK_ASSERT(mode == KernelMode && (attributes & OBJ_KERNEL_HANDLE));
    if (fake_should_fail())
        return STATUS_ACCESS_DENIED;
    *ret_handle = open_handle(access == WRITE_DAC ? DEVICE : PROCESS);
    if (access == WRITE_DAC)
        ((struct handle *)*ret_handle)->device = object;
    return STATUS_SUCCESS;
}

/* ---- tokens and security ---- */

PEPROCESS IoGetRequestorProcess(PIRP irp)
{
    (void)irp;
    return (PEPROCESS)(uintptr_t)fake_system.process;
}

static NTSTATUS open_token(const struct fake_token *token, PHANDLE ret_token)
{
    if (fake_should_fail())
        return STATUS_ACCESS_DENIED;
    *ret_token = open_handle(TOKEN);
    ((struct handle *)*ret_token)->token = token;
    return STATUS_SUCCESS;
}

NTSTATUS ZwOpenThreadTokenEx(HANDLE thread, ACCESS_MASK access, BOOLEAN as_self, ULONG attributes,
                             PHANDLE ret_token)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    VCK_ASSERT(thread == ZwCurrentThread() && access == TOKEN_QUERY && as_self);
    VCK_ASSERT(attributes & OBJ_KERNEL_HANDLE);
    if (fake_system.thread_status)
        return fake_system.thread_status;
    return fake_system.thread ? open_token(fake_system.thread, ret_token) : STATUS_NO_TOKEN;
}

NTSTATUS ZwOpenProcessTokenEx(HANDLE process, ACCESS_MASK access, ULONG attributes,
                              PHANDLE ret_token)
{
    VCK_ASSERT(((struct handle *)process)->kind == PROCESS && access == TOKEN_QUERY);
    VCK_ASSERT(attributes & OBJ_KERNEL_HANDLE);
    return open_token(fake_system.process, ret_token);
}

#define SID_BYTES 16u

static void put_group(TOKEN_GROUPS *groups, const struct fake_token *token, uint32_t i)
{
    static const uint8_t start[12] = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0};
    uint8_t *sids = (uint8_t *)&groups->Groups[token->count];

    memcpy(sids + i * SID_BYTES, start, sizeof(start));
    vck_store_le32(sids + i * SID_BYTES + sizeof(start), token->rids[i]);
    groups->Groups[i].Sid = sids + i * SID_BYTES;
    groups->Groups[i].Attributes = token->attributes[i];
}

static NTSTATUS query_groups(const struct fake_token *token, TOKEN_GROUPS *groups, ULONG out_bytes,
                             PULONG ret_bytes)
{
    *ret_bytes = (ULONG)(offsetof(TOKEN_GROUPS, Groups) +
                         token->count * (sizeof(groups->Groups[0]) + SID_BYTES));
    if (out_bytes < *ret_bytes)
        return STATUS_BUFFER_TOO_SMALL;
    groups->GroupCount = token->count;
    for (uint32_t i = 0; i < token->count; i++)
        put_group(groups, token, i);
    return STATUS_SUCCESS;
}

NTSTATUS ZwQueryInformationToken(HANDLE value, TOKEN_INFORMATION_CLASS what, PVOID out,
                                 ULONG out_bytes, PULONG ret_bytes)
{
    struct handle *handle = value;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    VCK_ASSERT(handle->kind == TOKEN);
    if (fake_should_fail())
        return STATUS_INSUFFICIENT_RESOURCES;
    if (what == TokenGroups)
        return query_groups(handle->token, out, out_bytes, ret_bytes);
    VCK_ASSERT(what == TokenImpersonationLevel && out_bytes == sizeof(handle->token->level));
    memcpy(out, &handle->token->level, sizeof(handle->token->level));
    return STATUS_SUCCESS;
}

ULONG RtlLengthSid(PSID sid)
{
    return 8 + 4u * ((const uint8_t *)sid)[1];
}

NTSTATUS ZwSetSecurityObject(HANDLE value, SECURITY_INFORMATION what,
                             PSECURITY_DESCRIPTOR descriptor)
{
    struct handle *handle = value;
    size_t acl_at = vck_load_le32((const uint8_t *)descriptor + 16);
    size_t bytes = acl_at + vck_load_le16((const uint8_t *)descriptor + acl_at + 2);

    VCK_ASSERT(handle->kind == DEVICE && bytes <= sizeof(fake_system.descriptor));
    if (fake_should_fail())
        return STATUS_ACCESS_DENIED;
    memcpy(fake_system.descriptor, descriptor, bytes);
    fake_system.descriptor_kind = what;
    fake_system.was_open_when_secured =
        names != NULL || !(handle->device->Flags & DO_DEVICE_INITIALIZING);
    return STATUS_SUCCESS;
}

/* ---- the rest ---- */

NTSTATUS KeExpandKernelStackAndCalloutEx(PEXPAND_STACK_CALLOUT callout, PVOID parameter,
                                         SIZE_T size_bytes, BOOLEAN wait, PVOID context)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    VCK_ASSERT(wait && !context && size_bytes <= 0xF000 - 0x800);
    if (fake_should_fail())
        return STATUS_INSUFFICIENT_RESOURCES;
    callout(parameter);
    return STATUS_SUCCESS;
}

ULONG KeQueryActiveProcessorCount(PVOID active)
{
    (void)active;
    return 2;
}

NTSTATUS IoRegisterShutdownNotification(PDEVICE_OBJECT device)
{
    if (fake_should_fail())
        return STATUS_INSUFFICIENT_RESOURCES;
    fake_system.hears_shutdown = device;
    return STATUS_SUCCESS;
}

void IoUnregisterShutdownNotification(PDEVICE_OBJECT device)
{
    VCK_ASSERT(fake_system.hears_shutdown == device);
    fake_system.hears_shutdown = NULL;
}

void IoRegisterDriverReinitialization(PDRIVER_OBJECT driver, PDRIVER_REINITIALIZE routine,
                                      PVOID context)
{
    (void)driver, (void)context;
    fake_system.reinitialize = routine;
}

PVOID MmMapIoSpace(PHYSICAL_ADDRESS address, SIZE_T size_bytes, MEMORY_CACHING_TYPE caching)
{
    VCK_ASSERT(caching == MmCached);
    if (fake_should_fail())
        return NULL;
    VCK_ASSERT((uint64_t)address.QuadPart == fake_system.physical_address);
    VCK_ASSERT(size_bytes <= fake_system.physical_bytes);
    fake_system.mapped++;
    return fake_system.physical;
}

void MmUnmapIoSpace(PVOID mapped, SIZE_T size_bytes)
{
    VCK_ASSERT(mapped == fake_system.physical && vck_all_zero(mapped, size_bytes));
    fake_system.mapped--;
}

NTSTATUS ZwQuerySystemInformation(ULONG what, PVOID buffer, ULONG size_bytes, PULONG ret_size_bytes)
{
    uint8_t *query = buffer;

    VCK_ASSERT(what == 76 && size_bytes >= 16 && vck_load_le32(query + 12) == size_bytes - 16);
    VCK_ASSERT(vck_load_le32(query) == 0x41435049 && vck_load_le32(query + 4) == 1);
    VCK_ASSERT(memcmp(query + 8, "VCKD", 4) == 0);
    *ret_size_bytes = 16 + fake_system.table_bytes;
    if (fake_system.table_bytes == 0)
        return STATUS_NOT_IMPLEMENTED;
    if (size_bytes < *ret_size_bytes)
        return STATUS_BUFFER_TOO_SMALL;
    memcpy(query + 16, fake_system.table, fake_system.table_bytes);
    return STATUS_SUCCESS;
}

/* ---- the port's own ---- */

static bool is_named(const UNICODE_STRING *name, const wchar_t *text)
{
    UNICODE_STRING other;

    RtlInitUnicodeString(&other, text);
    return RtlEqualUnicodeString(name, &other, FALSE);
}

static bool is_ours(PUNICODE_STRING name, LPGUID vendor)
{
    static const uint8_t guid[16] = {0x43, 0x4b, 0x56, 0x59, 0x48, 0x44, 0x4f, 0x56,
                                     0x31, 0x32, 0x2d, 0x56, 0x41, 0x52, 0x21, 0x21};

    return is_named(name, L"VckHandover") && memcmp(vendor, guid, sizeof(guid)) == 0;
}

static NTSTATUS get_variable(PUNICODE_STRING name, LPGUID vendor, PVOID value, PULONG size_bytes,
                             PULONG attributes)
{
    ULONG room = *size_bytes;

    VCK_ASSERT(is_ours(name, vendor));
    if (fake_system.variable_bytes == 0)
        return (NTSTATUS)0xC0000100; /* STATUS_VARIABLE_NOT_FOUND */
    *size_bytes = fake_system.variable_bytes;
    if (room < fake_system.variable_bytes)
        return STATUS_BUFFER_TOO_SMALL;
    memcpy(value, fake_system.variable, fake_system.variable_bytes);
    *attributes = fake_system.variable_attributes;
    return STATUS_SUCCESS;
}

static NTSTATUS set_variable(PUNICODE_STRING name, LPGUID vendor, PVOID value, ULONG size_bytes,
                             ULONG attributes)
{
    (void)attributes;
    VCK_ASSERT(is_ours(name, vendor) && !value && size_bytes == 0);
    fake_system.variable_bytes = 0;
    return STATUS_SUCCESS;
}

void *vck_nt_routine(const wchar_t *text)
{
    UNICODE_STRING name;

    RtlInitUnicodeString(&name, text);
    if (is_named(&name, L"ExGetFirmwareEnvironmentVariable"))
        return (void *)(uintptr_t)get_variable;
    if (is_named(&name, L"ExSetFirmwareEnvironmentVariable"))
        return (void *)(uintptr_t)set_variable;
    return NULL;
}

uint32_t vck_nt_registry_u32(const UNICODE_STRING *key, const wchar_t *value, uint32_t fallback)
{
    UNICODE_STRING name;

    VCK_ASSERT(key->Length > 0);
    RtlInitUnicodeString(&name, value);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(fake_system.registry); i++)
        if (fake_system.registry[i].value && is_named(&name, fake_system.registry[i].value))
            return 1;
    return fallback;
}

vck_status vck_nt_init(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path)
{
    (void)driver, (void)registry_path;
    return fake_should_fail() ? VCK_NO_MEMORY : VCK_OK;
}

void vck_nt_fini(void)
{
}
