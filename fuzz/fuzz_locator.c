/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_locator: any bytes as the value of the firmware variable and as the ACPI table, the latter
 * also with its checksum made right. What is taken is within the limits and comes back when it is
 * written and read again.
 */
#include "port/port.h"
#include "vck/locator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct vck_locator *a, const struct vck_locator *b)
{
    VCK_ASSERT(a->address == b->address && a->length_bytes == b->length_bytes);
}

static void check_locator(const struct vck_locator *locator)
{
    uint8_t value[VCK_LOCATOR_VALUE_BYTES_MAX], table[VCK_LOCATOR_TABLE_BYTES];
    struct vck_locator again;
    size_t size_bytes;
    VCK_ASSERT(locator->address != 0 && locator->length_bytes != 0);
    VCK_ASSERT(locator->length_bytes <= VCK_LOCATOR_LENGTH_BYTES_MAX);
    VCK_ASSERT(locator->length_bytes <= UINT64_MAX - locator->address);
    VCK_ASSERT(vck_locator_encode(locator, value, sizeof(value), &size_bytes) == VCK_OK);
    VCK_ASSERT(vck_locator_decode((struct vck_bytes){value, size_bytes}, &again) == VCK_OK);
    check_same(&again, locator);
    VCK_ASSERT(vck_locator_table_build(locator, table) == VCK_OK);
    VCK_ASSERT(vck_locator_table_parse((struct vck_bytes){table, sizeof(table)}, &again) == VCK_OK);
    check_same(&again, locator);
}

static void check_sealed_table(const uint8_t *data)
{
    uint8_t table[VCK_LOCATOR_TABLE_BYTES];
    struct vck_locator locator;
    uint8_t sum = 0;
    memcpy(table, data, sizeof(table));
    for (size_t i = 0; i < sizeof(table); i++)
        sum = (uint8_t)(sum + table[i]);
    table[9] = (uint8_t)(table[9] - sum);
    vck_status status = vck_locator_table_parse((struct vck_bytes){table, sizeof(table)}, &locator);
    VCK_ASSERT(status != VCK_CHECKSUM_MISMATCH);
    if (status == VCK_OK)
        check_locator(&locator);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vck_bytes input = {data, size};
    struct vck_locator locator;
    if (vck_locator_decode(input, &locator) == VCK_OK)
        check_locator(&locator);
    if (vck_locator_table_parse(input, &locator) == VCK_OK)
        check_locator(&locator);
    if (size >= VCK_LOCATOR_TABLE_BYTES)
        check_sealed_table(data);
    return 0;
}
