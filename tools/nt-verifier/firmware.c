/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware variables and physical memory, as a test injected them. There are no others. */
#include "verify.h"

enum { NAME_CHARS = 64 };

struct variable {
    LIST_ENTRY link;
    GUID vendor;
    ULONG name_chars;
    WCHAR name[NAME_CHARS];
    ULONG attributes;
    ULONG bytes;
    uint8_t value[];
};

struct image {
    LIST_ENTRY link;
    uint64_t physical;
    ULONG count;
    uint8_t bytes[];
};

struct mapping {
    LIST_ENTRY link;
    struct verify_driver *driver;
    void *address;
    SIZE_T bytes;
    struct verify_stack stack;
};

static struct user_lock lock;
static LIST_ENTRY variables, images, mappings;

NTSTATUS verify_firmware_start(void)
{
    InitializeListHead(&variables);
    InitializeListHead(&images);
    InitializeListHead(&mappings);
    return STATUS_SUCCESS;
}

static struct variable *find(const GUID *vendor, const WCHAR *name, ULONG name_chars)
{
    for (LIST_ENTRY *link = variables.Flink; link != &variables; link = link->Flink) {
        struct variable *variable = CONTAINING_RECORD(link, struct variable, link);
        if (variable->name_chars == name_chars &&
            !memcmp(&variable->vendor, vendor, sizeof(GUID)) &&
            !memcmp(variable->name, name, name_chars * sizeof(WCHAR)))
            return variable;
    }
    return NULL;
}

static void remove(const GUID *vendor, const WCHAR *name, ULONG name_chars)
{
    struct variable *variable = find(vendor, name, name_chars);
    if (!variable)
        return;
    RemoveEntryList(&variable->link);
    verify_free(variable);
}

NTSTATUS verify_firmware_set_variable(const GUID *vendor, const WCHAR *name, ULONG name_chars,
                                      ULONG attributes, const void *value, ULONG bytes)
{
    struct variable *variable = NULL;
    if (!name_chars || name_chars > NAME_CHARS)
        return STATUS_INVALID_PARAMETER;
    /* No value: the variable goes. */
    if (bytes) {
        variable = verify_allocate(sizeof(*variable) + bytes);
        if (!variable)
            return STATUS_INSUFFICIENT_RESOURCES;
        variable->vendor = *vendor;
        variable->name_chars = name_chars;
        RtlCopyMemory(variable->name, name, name_chars * sizeof(WCHAR));
        variable->attributes = attributes;
        variable->bytes = bytes;
        RtlCopyMemory(variable->value, value, bytes);
    }
    AcquireSRWLockExclusive(&lock);
    remove(vendor, name, name_chars);
    if (variable)
        InsertTailList(&variables, &variable->link);
    ReleaseSRWLockExclusive(&lock);
    return STATUS_SUCCESS;
}

NTSTATUS verify_firmware_set_memory(uint64_t physical, const void *bytes, ULONG count)
{
    struct image *image = verify_allocate(sizeof(*image) + count);
    if (!image)
        return STATUS_INSUFFICIENT_RESOURCES;
    image->physical = physical;
    image->count = count;
    RtlCopyMemory(image->bytes, bytes, count);
    AcquireSRWLockExclusive(&lock);
    InsertHeadList(&images, &image->link);
    ReleaseSRWLockExclusive(&lock);
    return STATUS_SUCCESS;
}

/* The bytes at an address, all in one image; the lock is held. */
static uint8_t *memory_at(uint64_t physical, SIZE_T count)
{
    for (LIST_ENTRY *link = images.Flink; link != &images; link = link->Flink) {
        struct image *image = CONTAINING_RECORD(link, struct image, link);
        uint64_t offset = physical - image->physical;
        if (offset < image->count && count <= image->count - offset)
            return image->bytes + offset;
    }
    return NULL;
}

ULONG verify_firmware_get_memory(uint64_t physical, void *bytes, ULONG count)
{
    AcquireSRWLockExclusive(&lock);
    const uint8_t *memory = memory_at(physical, count);
    if (memory)
        RtlCopyMemory(bytes, memory, count);
    ReleaseSRWLockExclusive(&lock);
    return memory ? count : 0;
}

/* Memory that is mapped stays until then. */
void verify_firmware_reset(void)
{
    AcquireSRWLockExclusive(&lock);
    while (!IsListEmpty(&variables))
        verify_free(CONTAINING_RECORD(RemoveHeadList(&variables), struct variable, link));
    while (IsListEmpty(&mappings) && !IsListEmpty(&images))
        verify_free(CONTAINING_RECORD(RemoveHeadList(&images), struct image, link));
    ReleaseSRWLockExclusive(&lock);
}

void verify_firmware_leaks(struct verify_driver *driver)
{
    AcquireSRWLockExclusive(&lock);
    LIST_ENTRY *link = mappings.Flink;
    while (link != &mappings) {
        struct mapping *mapping = CONTAINING_RECORD(link, struct mapping, link);
        link = link->Flink;
        if (mapping->driver != driver)
            continue;
        verify_report("io-space-leak", driver, &mapping->stack, "%llu bytes at %p are still mapped",
                      (unsigned long long)mapping->bytes, mapping->address);
        RemoveEntryList(&mapping->link);
        verify_free(mapping);
    }
    ReleaseSRWLockExclusive(&lock);
}

/* ---- hooks ---- */

static NTSTATUS NTAPI hook_ExGetFirmwareEnvironmentVariable(PUNICODE_STRING name, GUID *vendor,
                                                            void *value, ULONG *bytes,
                                                            ULONG *ret_attributes)
{
    NTSTATUS status = STATUS_SUCCESS;
    verify_level_check(CALLER, PASSIVE_LEVEL, "ExGetFirmwareEnvironmentVariable");
    AcquireSRWLockExclusive(&lock);
    struct variable *variable = find(vendor, name->Buffer, name->Length / (ULONG)sizeof(WCHAR));
    if (!variable) {
        status = STATUS_VARIABLE_NOT_FOUND;
    } else {
        if (*bytes < variable->bytes || !value)
            status = STATUS_BUFFER_TOO_SMALL;
        else
            RtlCopyMemory(value, variable->value, variable->bytes);
        *bytes = variable->bytes;
        if (ret_attributes)
            *ret_attributes = variable->attributes;
    }
    ReleaseSRWLockExclusive(&lock);
    return status;
}

static NTSTATUS NTAPI hook_ExSetFirmwareEnvironmentVariable(PUNICODE_STRING name, GUID *vendor,
                                                            void *value, ULONG bytes,
                                                            ULONG attributes)
{
    verify_level_check(CALLER, PASSIVE_LEVEL, "ExSetFirmwareEnvironmentVariable");
    return verify_firmware_set_variable(vendor, name->Buffer, name->Length / (ULONG)sizeof(WCHAR),
                                        attributes, value, bytes);
}

static PVOID map(uint64_t physical, SIZE_T bytes, struct verify_driver *driver)
{
    verify_level_check(driver, DISPATCH_LEVEL, "MmMapIoSpace");
    struct mapping *mapping = verify_fails_now(driver) ? NULL : verify_allocate(sizeof(*mapping));
    if (!mapping)
        return NULL;
    mapping->driver = driver;
    mapping->bytes = bytes;
    verify_stack_capture(&mapping->stack);
    AcquireSRWLockExclusive(&lock);
    void *address = mapping->address = memory_at(physical, bytes);
    if (address)
        InsertTailList(&mappings, &mapping->link);
    ReleaseSRWLockExclusive(&lock);
    if (!address)
        verify_free(mapping);
    return address;
}

static PVOID NTAPI hook_MmMapIoSpace(PHYSICAL_ADDRESS physical, SIZE_T bytes,
                                     MEMORY_CACHING_TYPE cache)
{
    (void)cache;
    return map((uint64_t)physical.QuadPart, bytes, CALLER);
}

static PVOID NTAPI hook_MmMapIoSpaceEx(PHYSICAL_ADDRESS physical, SIZE_T bytes, ULONG protect)
{
    (void)protect;
    return map((uint64_t)physical.QuadPart, bytes, CALLER);
}

static void NTAPI hook_MmUnmapIoSpace(PVOID address, SIZE_T bytes)
{
    struct mapping *found = NULL;
    AcquireSRWLockExclusive(&lock);
    for (LIST_ENTRY *link = mappings.Flink; link != &mappings && !found; link = link->Flink) {
        struct mapping *mapping = CONTAINING_RECORD(link, struct mapping, link);
        if (mapping->address == address && mapping->bytes == bytes)
            found = mapping;
    }
    if (found)
        RemoveEntryList(&found->link);
    ReleaseSRWLockExclusive(&lock);
    if (!found)
        verify_report("io-space-not-mapped", CALLER, NULL, "%llu bytes at %p",
                      (unsigned long long)bytes, address);
    verify_free(found);
}

static const struct verify_hook hooks[] = {
    SUPPLY(ExGetFirmwareEnvironmentVariable),
    SUPPLY(ExSetFirmwareEnvironmentVariable),
    SUPPLY(MmMapIoSpace),
    SUPPLY(MmMapIoSpaceEx),
    SUPPLY(MmUnmapIoSpace),
};
const struct verify_hooks verify_firmware_hooks = VERIFY_HOOKS(hooks);
