/* SPDX-License-Identifier: Apache-2.0 */
#include "port/nt/internal.h"

static DRIVER_OBJECT *driver_object;

DRIVER_OBJECT *vck_nt_driver(void)
{
    return driver_object;
}

void *vck_nt_routine(const wchar_t *name)
{
    UNICODE_STRING text;
    RtlInitUnicodeString(&text, name);
    return MmGetSystemRoutineAddress(&text);
}

uint32_t vck_nt_registry_u32(const UNICODE_STRING *registry_path, const wchar_t *name,
                             uint32_t fallback)
{
    union {
        KEY_VALUE_PARTIAL_INFORMATION information;
        unsigned char bytes[sizeof(KEY_VALUE_PARTIAL_INFORMATION) + sizeof(uint32_t)];
    } value;
    UNICODE_STRING path = *registry_path;
    UNICODE_STRING value_name;
    OBJECT_ATTRIBUTES attributes;
    HANDLE key;
    ULONG size_bytes;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    RtlInitUnicodeString(&value_name, name);
    InitializeObjectAttributes(&attributes, &path, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL,
                               NULL);
    if (!NT_SUCCESS(ZwOpenKey(&key, KEY_READ, &attributes)))
        return fallback;
    NTSTATUS status = ZwQueryValueKey(key, &value_name, KeyValuePartialInformation, &value,
                                      sizeof(value), &size_bytes);
    ZwClose(key);
    if (!NT_SUCCESS(status) || value.information.Type != REG_DWORD ||
        value.information.DataLength != sizeof(uint32_t))
        return fallback;
    const unsigned char *data = value.information.Data;
    return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
           (uint32_t)data[3] << 24;
}

vck_status vck_nt_init(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    driver_object = driver;
    vck_nt_log_init(registry_path);
    vck_nt_memory_init();
    vck_nt_clock_init();
    vck_nt_slots_init();
    vck_nt_timers_init();
    vck_status status = vck_nt_threads_init();
    if (status == VCK_OK)
        status = vck_nt_defer_init();
    if (status != VCK_OK)
        vck_nt_fini();
    return status;
}

void vck_nt_fini(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (vck_nt_defer_runs())
        vck_defer_drain();
    vck_nt_threads_fini();
    vck_nt_defer_fini();
    vck_nt_timers_fini();
    vck_nt_slots_fini();
    vck_nt_memory_report();
    driver_object = NULL;
}
