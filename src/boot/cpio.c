/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/cpio.h"
#include "vck/handover.h"

#define HEADER_BYTES 110u /* "070701" and 13 fields of 8 digits */

struct entry {
    const char *name;
    uint32_t mode; /* as stat has it */
    uint32_t inode;
    uint32_t links;
};

static const struct entry directory = {".vck", 040700, 1, 2};
static const struct entry file = {".vck/handover", 0100400, 2, 1};
static const struct entry trailer = {"TRAILER!!!", 0, 0, 1};

static size_t round_up(size_t size_bytes)
{
    return (size_bytes + VCK_CPIO_ALIGNMENT_BYTES - 1) & ~(size_t)(VCK_CPIO_ALIGNMENT_BYTES - 1);
}

/* The name ends in a NUL; what follows it is aligned, and so is what follows the data. */
static size_t entry_bytes(const struct entry *entry, size_t data_bytes)
{
    return round_up(HEADER_BYTES + strlen(entry->name) + 1) + round_up(data_bytes);
}

size_t vck_cpio_handover_bytes(size_t payload_bytes)
{
    return entry_bytes(&directory, 0) + entry_bytes(&file, payload_bytes) +
           entry_bytes(&trailer, 0);
}

static uint8_t *put_field(uint8_t *out, uint32_t value)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t) "0123456789abcdef"[value >> (28 - 4 * i) & 15u];
    return out + 8;
}

static uint8_t *put_entry(uint8_t *out, const struct entry *entry, struct vck_bytes data)
{
    size_t name_bytes = strlen(entry->name) + 1;
    size_t size_bytes = entry_bytes(entry, data.size_bytes);
    /* Owner and group 0, no time, no device. */
    const uint32_t fields[13] = {entry->inode,
                                 entry->mode,
                                 0,
                                 0,
                                 entry->links,
                                 0,
                                 (uint32_t)data.size_bytes,
                                 0,
                                 0,
                                 0,
                                 0,
                                 (uint32_t)name_bytes,
                                 0};
    uint8_t *at = out + 6;

    memset(out, 0, size_bytes);
    memcpy(out, "070701", 6);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(fields); i++)
        at = put_field(at, fields[i]);
    memcpy(at, entry->name, name_bytes);
    if (data.size_bytes > 0)
        memcpy(out + round_up(HEADER_BYTES + name_bytes), data.data, data.size_bytes);
    return out + size_bytes;
}

vck_status vck_cpio_handover_write(struct vck_bytes payload, uint8_t *out, size_t capacity_bytes,
                                   size_t *ret_size_bytes)
{
    struct vck_bytes nothing = {0};

    if (payload.size_bytes > VCK_HANDOVER_BYTES_MAX ||
        capacity_bytes < vck_cpio_handover_bytes(payload.size_bytes))
        return VCK_SIZE_MISMATCH;
    *ret_size_bytes = vck_cpio_handover_bytes(payload.size_bytes);
    out = put_entry(out, &directory, nothing);
    out = put_entry(out, &file, payload);
    (void)put_entry(out, &trailer, nothing);
    return VCK_OK;
}
