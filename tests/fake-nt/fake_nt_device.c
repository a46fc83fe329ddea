/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdlib.h>

#include "fake_nt.h"
#include "fake_nt_internal.h"
#include "port/port.h"
#include "port/posix/internal.h"

static size_t live_devices;
static uint64_t calls_to_failure;
static bool has_failed;
static pthread_mutex_t stacks = PTHREAD_MUTEX_INITIALIZER; /* AttachedDevice, fake_below */

/* ---- failing, levels ---- */

void fake_fail_nth(uint64_t n)
{
    __atomic_store_n(&has_failed, false, __ATOMIC_RELAXED);
    __atomic_store_n(&calls_to_failure, n, __ATOMIC_RELAXED);
}

bool fake_has_failed(void)
{
    return __atomic_load_n(&has_failed, __ATOMIC_RELAXED);
}

bool fake_should_fail(void)
{
    uint64_t left = __atomic_load_n(&calls_to_failure, __ATOMIC_RELAXED);

    while (left != 0) {
        if (!__atomic_compare_exchange_n(&calls_to_failure, &left, left - 1, true, __ATOMIC_RELAXED,
                                         __ATOMIC_RELAXED))
            continue;
        if (left == 1)
            __atomic_store_n(&has_failed, true, __ATOMIC_RELAXED);
        return left == 1;
    }
    return false;
}

void fake_raise(void)
{
    system_thread_state()->level = VCK_LEVEL_DISPATCH;
}

void fake_lower(void)
{
    system_thread_state()->level = VCK_LEVEL_PASSIVE;
}

/* ---- strings and names ---- */

void RtlInitUnicodeString(PUNICODE_STRING string, PCWSTR from)
{
    size_t length = 0;

    while (from && from[length] != 0)
        length++;
    string->Length = (USHORT)(length * sizeof(WCHAR));
    string->MaximumLength = (USHORT)(string->Length + sizeof(WCHAR));
    string->Buffer = (PWSTR)(uintptr_t)from;
}

static WCHAR upcase(WCHAR c, BOOLEAN ignore_case)
{
    return ignore_case && c >= 'a' && c <= 'z' ? (WCHAR)(c - 'a' + 'A') : c;
}

BOOLEAN RtlEqualUnicodeString(PCUNICODE_STRING a, PCUNICODE_STRING b, BOOLEAN ignore_case)
{
    if (a->Length != b->Length)
        return FALSE;
    for (size_t i = 0; i < a->Length / sizeof(WCHAR); i++)
        if (upcase(a->Buffer[i], ignore_case) != upcase(b->Buffer[i], ignore_case))
            return FALSE;
    return TRUE;
}

NTSTATUS ObQueryNameString(PVOID object, POBJECT_NAME_INFORMATION info, ULONG size_bytes,
                           PULONG ret_size_bytes)
{
    PDEVICE_OBJECT device = object;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    VCK_ASSERT(size_bytes >= sizeof *info + sizeof device->fake_name);
    if (fake_should_fail())
        return STATUS_INSUFFICIENT_RESOURCES;
    memcpy(info + 1, device->fake_name, sizeof device->fake_name);
    RtlInitUnicodeString(&info->Name, (PCWSTR)(info + 1));
    *ret_size_bytes = (ULONG)(sizeof *info + info->Name.MaximumLength);
    return STATUS_SUCCESS;
}

/* ---- life ---- */

size_t fake_live_devices(void)
{
    return __atomic_load_n(&live_devices, __ATOMIC_RELAXED);
}

static void destroy_device(void *object)
{
    PDEVICE_OBJECT device = object;

    VCK_ASSERT(device->fake_is_deleted);
    free(device->DeviceExtension);
    free(device);
    __atomic_fetch_sub(&live_devices, 1, __ATOMIC_RELAXED);
}

NTSTATUS IoCreateDevice(PDRIVER_OBJECT driver, ULONG extension_bytes, PUNICODE_STRING name,
                        DEVICE_TYPE type, ULONG characteristics, BOOLEAN exclusive,
                        PDEVICE_OBJECT *ret_device)
{
    PDEVICE_OBJECT device;

    (void)exclusive;
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    if (fake_should_fail())
        return STATUS_INSUFFICIENT_RESOURCES;
    device = calloc(1, sizeof *device);
    VCK_ASSERT(device != NULL);
    device->DriverObject = driver;
    device->DeviceType = type;
    device->Characteristics = characteristics;
    device->Flags = DO_DEVICE_INITIALIZING;
    device->StackSize = 1;
    device->fake_object = (struct fake_object){.references = 1, .destroy = destroy_device};
    if (extension_bytes)
        device->DeviceExtension = calloc(1, extension_bytes);
    if (name)
        memcpy(device->fake_name, name->Buffer, name->Length);
    device->NextDevice = driver->DeviceObject;
    driver->DeviceObject = device;
    __atomic_fetch_add(&live_devices, 1, __ATOMIC_RELAXED);
    *ret_device = device;
    return STATUS_SUCCESS;
}

void ObReferenceObject(PVOID object)
{
    struct fake_object *counted = object;

    VCK_ASSERT(__atomic_fetch_add(&counted->references, 1, __ATOMIC_RELAXED) != 0);
}

void ObDereferenceObject(PVOID object)
{
    struct fake_object *counted = object;
    uint32_t before = __atomic_fetch_sub(&counted->references, 1, __ATOMIC_ACQ_REL);

    VCK_ASSERT(before != 0);
    if (before == 1)
        counted->destroy(object);
}

void IoDeleteDevice(PDEVICE_OBJECT device)
{
    PDEVICE_OBJECT *link = &device->DriverObject->DeviceObject;

    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    VCK_ASSERT(!device->fake_is_deleted && !device->fake_below && !device->AttachedDevice);
    while (*link != device)
        link = &(*link)->NextDevice;
    *link = device->NextDevice;
    device->fake_is_deleted = true;
    ObDereferenceObject(device);
}

/* ---- stacks ---- */

static PDEVICE_OBJECT top_of(PDEVICE_OBJECT device)
{
    while (device->AttachedDevice)
        device = device->AttachedDevice;
    return device;
}

NTSTATUS IoAttachDeviceToDeviceStackSafe(PDEVICE_OBJECT source, PDEVICE_OBJECT target,
                                         PDEVICE_OBJECT *ret_lower)
{
    PDEVICE_OBJECT top;

    VCK_ASSERT(!*ret_lower);
    if (fake_should_fail())
        return STATUS_NO_SUCH_DEVICE;
    pthread_mutex_lock(&stacks);
    top = top_of(target);
    source->StackSize = (CCHAR)(top->StackSize + 1);
    source->AlignmentRequirement = top->AlignmentRequirement;
    source->SectorSize = top->SectorSize;
    source->fake_below = top;
    *ret_lower = top;
    top->AttachedDevice = source;
    pthread_mutex_unlock(&stacks);
    return STATUS_SUCCESS;
}

void IoDetachDevice(PDEVICE_OBJECT lower)
{
    pthread_mutex_lock(&stacks);
    VCK_ASSERT(lower->AttachedDevice && !lower->AttachedDevice->AttachedDevice);
    lower->AttachedDevice->fake_below = NULL;
    lower->AttachedDevice = NULL;
    pthread_mutex_unlock(&stacks);
}

PDEVICE_OBJECT IoGetAttachedDeviceReference(PDEVICE_OBJECT device)
{
    PDEVICE_OBJECT top;

    pthread_mutex_lock(&stacks);
    top = top_of(device);
    ObReferenceObject(top);
    pthread_mutex_unlock(&stacks);
    return top;
}

/* ---- optional routines ---- */

static IO_PRIORITY_HINT get_priority(PIRP irp)
{
    return irp->fake_priority;
}

static NTSTATUS set_priority(PIRP irp, IO_PRIORITY_HINT hint)
{
    irp->fake_priority = hint;
    return STATUS_SUCCESS;
}

PVOID MmGetSystemRoutineAddress(PUNICODE_STRING name)
{
    UNICODE_STRING known;

    RtlInitUnicodeString(&known, u"IoGetIoPriorityHint");
    if (RtlEqualUnicodeString(name, &known, FALSE))
        return (PVOID)(uintptr_t)get_priority;
    RtlInitUnicodeString(&known, u"IoSetIoPriorityHint");
    if (RtlEqualUnicodeString(name, &known, FALSE))
        return (PVOID)(uintptr_t)set_priority;
    return NULL;
}
