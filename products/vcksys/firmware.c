/* SPDX-License-Identifier: Apache-2.0 */
#include "firmware.h"
#include <string.h>
#include "port/nt/nt.h"
#include "port/port.h"
#include "vck/locator.h"
#include "vck/log.h"
#include "vck/secret.h"

#define FIRMWARE_TAG VCK_TAG('V', 'f', 'i', 'r')

/* EFI_VARIABLE_NON_VOLATILE. A loader's variable is gone with the power; one that is not was left
 * by somebody else, and names memory that is not the loader's. */
#define NON_VOLATILE 0x1u

#define FIRMWARE_TABLES       76 /* SystemFirmwareTableInformation */
#define FIRMWARE_TABLE_GET    1u
#define FIRMWARE_TABLE_ACPI   0x41435049u /* 'ACPI' */
#define FIRMWARE_HEADER_BYTES 16u

typedef NTSTATUS(NTAPI *get_variable_fn)(PUNICODE_STRING name, LPGUID vendor, PVOID value,
                                         PULONG size_bytes, PULONG attributes);
typedef NTSTATUS(NTAPI *set_variable_fn)(PUNICODE_STRING name, LPGUID vendor, PVOID value,
                                         ULONG size_bytes, ULONG attributes);

static UNICODE_STRING variable_name(void)
{
    UNICODE_STRING name;

    RtlInitUnicodeString(&name, L"VckHandover");
    return name;
}

static GUID vendor_guid(void)
{
    GUID guid;

    memcpy(&guid, vck_locator_vendor_guid.bytes, sizeof(guid));
    return guid;
}

/* ---- where it is ---- */

static vck_status locate_by_variable(struct vck_locator *ret_locator)
{
    uint8_t value[VCK_LOCATOR_VALUE_BYTES_MAX];
    ULONG size_bytes = sizeof(value);
    ULONG attributes = 0;
    UNICODE_STRING name = variable_name();
    GUID vendor = vendor_guid();
    get_variable_fn get =
        (get_variable_fn)(uintptr_t)vck_nt_routine(L"ExGetFirmwareEnvironmentVariable");

    if (!get || !NT_SUCCESS(get(&name, &vendor, value, &size_bytes, &attributes)))
        return VCK_NOT_FOUND;
    if ((attributes & NON_VOLATILE) || size_bytes > sizeof(value))
        return VCK_VALIDATION_FAILED;
    return vck_locator_decode((struct vck_bytes){value, size_bytes}, ret_locator);
}

static void delete_variable(void)
{
    UNICODE_STRING name = variable_name();
    GUID vendor = vendor_guid();
    set_variable_fn set =
        (set_variable_fn)(uintptr_t)vck_nt_routine(L"ExSetFirmwareEnvironmentVariable");

    /* It holds an address only; some firmware keeps what was set before the system started. */
    if (set)
        (void)set(&name, &vendor, NULL, 0, 0);
}

static vck_status locate_by_table(struct vck_locator *ret_locator)
{
    VCK_ALIGNAS(8) uint8_t query[FIRMWARE_HEADER_BYTES + VCK_LOCATOR_TABLE_BYTES] = {0};
    ULONG size_bytes = 0;

    vck_store_le32(query, FIRMWARE_TABLE_ACPI);
    vck_store_le32(query + 4, FIRMWARE_TABLE_GET);
    memcpy(query + 8, VCK_LOCATOR_TABLE_SIGNATURE, 4);
    vck_store_le32(query + 12, VCK_LOCATOR_TABLE_BYTES);
    if (!NT_SUCCESS(ZwQuerySystemInformation(FIRMWARE_TABLES, query, sizeof(query), &size_bytes)))
        return VCK_NOT_FOUND;
    return vck_locator_table_parse(
        (struct vck_bytes){query + FIRMWARE_HEADER_BYTES, VCK_LOCATOR_TABLE_BYTES}, ret_locator);
}

/* ---- what is there ---- */

/* The original is wiped before anything is read from the copy, usable or not. */
static vck_status take_payload(const struct vck_locator *locator, struct vck_handover *ret_handover)
{
    PHYSICAL_ADDRESS address;
    size_t size_bytes = (size_t)locator->length_bytes;
    uint8_t *copy = vck_alloc_pages(size_bytes, FIRMWARE_TAG);
    void *mapped;
    vck_status status;

    if (!copy)
        return VCK_NO_MEMORY;
    address.QuadPart = (LONGLONG)locator->address;
    mapped = MmMapIoSpace(address, size_bytes, MmCached);
    if (!mapped) {
        vck_free_pages(copy, size_bytes);
        return VCK_IO;
    }
    memcpy(copy, mapped, size_bytes);
    vck_wipe(mapped, size_bytes);
    MmUnmapIoSpace(mapped, size_bytes);
    status = vck_handover_take(copy, size_bytes, ret_handover);
    vck_free_pages(copy, size_bytes);
    return status;
}

vck_status firmware_take_handover(struct vck_handover *ret_handover)
{
    struct vck_locator locator;
    vck_status status = locate_by_variable(&locator);

    if (status == VCK_OK)
        delete_variable();
    else if (locate_by_table(&locator) == VCK_OK)
        status = VCK_OK;
    return status ? status : take_payload(&locator, ret_handover);
}
