/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/locator.h"
#include "boot_map.h"

/* Offsets in the table: the header of every ACPI table, then ours. */
#define AT_SIGNATURE        0u
#define AT_TABLE_BYTES      4u
#define AT_REVISION         8u
#define AT_CHECKSUM         9u
#define AT_OEM_ID           10u
#define AT_OEM_TABLE_ID     16u
#define AT_OEM_REVISION     24u
#define AT_CREATOR_ID       28u
#define AT_CREATOR_REVISION 32u
#define AT_ADDRESS          36u
#define AT_LENGTH           44u

#define OEM_ID       "VCKIT "
#define OEM_TABLE_ID "HANDOVER"
#define CREATOR_ID   "VCK "

const struct vck_guid vck_locator_vendor_guid = {{0x43, 0x4b, 0x56, 0x59, 0x48, 0x44, 0x4f, 0x56,
                                                  0x31, 0x32, 0x2d, 0x56, 0x41, 0x52, 0x21, 0x21}};

static vck_status check_limits(const struct vck_locator *locator)
{
    uint64_t end;
    if (locator->address == 0 || locator->length_bytes == 0 ||
        locator->length_bytes > VCK_LOCATOR_LENGTH_BYTES_MAX ||
        !vck_add_u64(locator->address, locator->length_bytes, &end))
        return VCK_OUT_OF_RANGE;
    return VCK_OK;
}

/* ---- the variable ---- */

struct value {
    uint64_t magic;
    uint64_t version;
    struct vck_locator locator;
};

static vck_status read_magic(struct vck_msgpack_reader *reader, void *message)
{
    return vck_msgpack_read_u64(reader, &((struct value *)message)->magic);
}

static vck_status read_version(struct vck_msgpack_reader *reader, void *message)
{
    return vck_msgpack_read_u64(reader, &((struct value *)message)->version);
}

static vck_status read_address(struct vck_msgpack_reader *reader, void *message)
{
    return vck_msgpack_read_u64(reader, &((struct value *)message)->locator.address);
}

static vck_status read_length(struct vck_msgpack_reader *reader, void *message)
{
    return vck_msgpack_read_u64(reader, &((struct value *)message)->locator.length_bytes);
}

vck_status vck_locator_decode(struct vck_bytes value, struct vck_locator *ret_locator)
{
    static const struct boot_field fields[] = {
        {"magic", read_magic},
        {"version", read_version},
        {"address", read_address},
        {"length", read_length},
    };
    struct value decoded;
    vck_status status = boot_map_read(value, fields, VCK_ARRAY_COUNT(fields), &decoded);
    if (status)
        return status;
    if (decoded.magic != VCK_LOCATOR_MAGIC)
        return VCK_SIGNATURE_MISMATCH;
    if (decoded.version != VCK_LOCATOR_VERSION)
        return VCK_UNSUPPORTED;
    status = check_limits(&decoded.locator);
    if (status == VCK_OK)
        *ret_locator = decoded.locator;
    return status;
}

vck_status vck_locator_encode(const struct vck_locator *locator, uint8_t *out,
                              size_t capacity_bytes, size_t *ret_size_bytes)
{
    struct vck_msgpack_writer writer;
    vck_status status = check_limits(locator);
    if (status)
        return status;
    vck_msgpack_writer_init(&writer, out, capacity_bytes);
    vck_msgpack_write_map(&writer, 4);
    vck_msgpack_write_cstr(&writer, "magic");
    vck_msgpack_write_u64(&writer, VCK_LOCATOR_MAGIC);
    vck_msgpack_write_cstr(&writer, "version");
    vck_msgpack_write_u64(&writer, VCK_LOCATOR_VERSION);
    vck_msgpack_write_cstr(&writer, "address");
    vck_msgpack_write_u64(&writer, locator->address);
    vck_msgpack_write_cstr(&writer, "length");
    vck_msgpack_write_u64(&writer, locator->length_bytes);
    return vck_msgpack_writer_finish(&writer, ret_size_bytes);
}

/* ---- the table ---- */

static uint8_t sum_of(const uint8_t *table)
{
    unsigned sum = 0;
    for (size_t i = 0; i < VCK_LOCATOR_TABLE_BYTES; i++)
        sum += table[i];
    return (uint8_t)sum;
}

vck_status vck_locator_table_build(const struct vck_locator *locator,
                                   uint8_t ret_table[VCK_LOCATOR_TABLE_BYTES])
{
    vck_status status = check_limits(locator);
    if (status)
        return status;
    memcpy(ret_table + AT_SIGNATURE, VCK_LOCATOR_TABLE_SIGNATURE, 4);
    vck_store_le32(ret_table + AT_TABLE_BYTES, VCK_LOCATOR_TABLE_BYTES);
    ret_table[AT_REVISION] = VCK_LOCATOR_TABLE_REVISION;
    ret_table[AT_CHECKSUM] = 0;
    memcpy(ret_table + AT_OEM_ID, OEM_ID, 6);
    memcpy(ret_table + AT_OEM_TABLE_ID, OEM_TABLE_ID, 8);
    vck_store_le32(ret_table + AT_OEM_REVISION, 1);
    memcpy(ret_table + AT_CREATOR_ID, CREATOR_ID, 4);
    vck_store_le32(ret_table + AT_CREATOR_REVISION, 1);
    vck_store_le64(ret_table + AT_ADDRESS, locator->address);
    vck_store_le64(ret_table + AT_LENGTH, locator->length_bytes);
    ret_table[AT_CHECKSUM] = (uint8_t)(0x100u - sum_of(ret_table));
    return VCK_OK;
}

vck_status vck_locator_table_parse(struct vck_bytes table, struct vck_locator *ret_locator)
{
    struct vck_locator locator;
    if (table.size_bytes < VCK_LOCATOR_TABLE_BYTES)
        return VCK_SIZE_MISMATCH;
    if (memcmp(table.data + AT_SIGNATURE, VCK_LOCATOR_TABLE_SIGNATURE, 4) != 0 ||
        memcmp(table.data + AT_OEM_ID, OEM_ID, 6) != 0)
        return VCK_SIGNATURE_MISMATCH;
    if (vck_load_le32(table.data + AT_TABLE_BYTES) != VCK_LOCATOR_TABLE_BYTES)
        return VCK_SIZE_MISMATCH;
    if (sum_of(table.data) != 0)
        return VCK_CHECKSUM_MISMATCH;
    if (table.data[AT_REVISION] != VCK_LOCATOR_TABLE_REVISION)
        return VCK_UNSUPPORTED;
    locator.address = vck_load_le64(table.data + AT_ADDRESS);
    locator.length_bytes = vck_load_le64(table.data + AT_LENGTH);
    vck_status status = check_limits(&locator);
    if (status == VCK_OK)
        *ret_locator = locator;
    return status;
}
