/* SPDX-License-Identifier: Apache-2.0 */
/* Source: docs/handover.md. */
#include "vck/handover.h"
#include "vck/locator.h"
#include "vck/log.h"
#include "vck/secret.h"
#include "vckboot.h"

#define PAGE_BYTES 4096u

static const efi_char variable_name[] = u"VckHandover";

static struct {
    uint64_t address; /* 0: nothing is published */
    uint64_t pages;
    bool has_variable;
    struct efi_acpi_table *acpi; /* NULL: no table */
    uint64_t table_key;
} published;

/* Of a kind that stays the firmware's: the operating system neither uses nor overwrites it. */
static vck_status place_payload(const struct vck_guid *partition, struct vck_bytes vmk,
                                struct vck_locator *ret_locator)
{
    struct vck_handover handover = {
        .partition_guid = *partition,
        /* encode only reads it. */
        .vmk = {(uint8_t *)(uintptr_t)vmk.data, vmk.size_bytes},
    };
    size_t size_bytes = 0;
    vck_status status;

    published.pages = (VCK_HANDOVER_ENCODED_BYTES_MAX + PAGE_BYTES - 1) / PAGE_BYTES;
    status = vck_uefi_status(vck_uefi_boot->AllocatePages(
        EFI_ALLOCATE_ANY_PAGES, EFI_RUNTIME_SERVICES_DATA, published.pages, &published.address));
    if (status) {
        published.address = 0;
        return status;
    }
    memset((void *)(uintptr_t)published.address, 0, published.pages * PAGE_BYTES);
    status = vck_handover_encode(&handover, (uint8_t *)(uintptr_t)published.address,
                                 published.pages * PAGE_BYTES, &size_bytes);
    *ret_locator = (struct vck_locator){published.address, size_bytes};
    return status;
}

static vck_status set_variable(const struct vck_locator *locator)
{
    uint8_t value[VCK_LOCATOR_VALUE_BYTES_MAX];
    size_t size_bytes;
    vck_status status = vck_locator_encode(locator, value, sizeof(value), &size_bytes);

    if (status)
        return status;
    status = vck_uefi_status(vck_uefi_system->RuntimeServices->SetVariable(
        variable_name, &vck_locator_vendor_guid,
        EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS, size_bytes, value));
    published.has_variable = status == VCK_OK;
    return status;
}

static vck_status install_table(const struct vck_locator *locator)
{
    uint8_t table[VCK_LOCATOR_TABLE_BYTES];
    struct efi_acpi_table *acpi = NULL;
    vck_status status = vck_locator_table_build(locator, table);

    if (status == VCK_OK)
        status = vck_uefi_status(
            vck_uefi_boot->LocateProtocol(&efi_acpi_table_guid, NULL, (void **)&acpi));
    if (status == VCK_OK)
        status = vck_uefi_status(
            acpi->InstallAcpiTable(acpi, table, sizeof(table), &published.table_key));
    if (status == VCK_OK)
        published.acpi = acpi;
    return status;
}

vck_status publish(const struct vck_guid *partition, struct vck_bytes vmk)
{
    struct vck_locator locator;
    vck_status status = place_payload(partition, vmk, &locator);
    vck_status table_status;

    if (status) {
        publish_undo();
        return status;
    }
    status = set_variable(&locator);
    if (status)
        vck_log_warning("the handover's variable cannot be set: %s", vck_status_text(status));
    table_status = install_table(&locator);
    if (table_status)
        vck_log_warning("the handover's ACPI table cannot be installed: %s",
                        vck_status_text(table_status));
    if (status == VCK_OK || table_status == VCK_OK)
        return VCK_OK;
    publish_undo();
    return status;
}

void publish_undo(void)
{
    if (published.has_variable)
        (void)vck_uefi_system->RuntimeServices->SetVariable(variable_name, &vck_locator_vendor_guid,
                                                            0, 0, NULL);
    if (published.acpi != NULL)
        (void)published.acpi->UninstallAcpiTable(published.acpi, published.table_key);
    if (published.address != 0) {
        vck_wipe((void *)(uintptr_t)published.address, published.pages * PAGE_BYTES);
        (void)vck_uefi_boot->FreePages(published.address, published.pages);
    }
    memset(&published, 0, sizeof(published));
}
