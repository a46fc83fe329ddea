/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/mapping.h"
#include <string.h>
#include "vck/annotate.h"
#include "vck/log.h"

vck_status vck_mapping_init(struct vck_mapping *ret_mapping, const struct vck_layout *layout,
                            uint64_t encrypted_offset_sectors, const struct vck_damage_list *damage)
{
    uint64_t units = layout->sector_size_bytes / VCK_MAPPING_UNIT_BYTES;
    if (encrypted_offset_sectors > layout->data_sectors)
        return VCK_OUT_OF_RANGE;
    *ret_mapping = (struct vck_mapping){
        .sector_size_bytes = layout->sector_size_bytes,
        .data_units = layout->data_sectors * units,
        .encrypted_units = encrypted_offset_sectors * units,
        .disk_offset = layout->data_start_lba * units,
        .damage = damage,
    };
    return VCK_OK;
}

/* The first lost sector that ends behind `start`, in units; the end of the data without one. */
static uint64_t next_lost(const struct vck_mapping *mapping, uint64_t start)
{
    uint64_t lost = mapping->data_units;
    uint64_t sector_units = mapping->sector_size_bytes / VCK_MAPPING_UNIT_BYTES;
    for (uint32_t i = 0; mapping->damage != NULL && i < mapping->damage->count; i++) {
        uint64_t sector = mapping->damage->offset_bytes[i] / mapping->sector_size_bytes;
        if ((sector + 1) * sector_units > start)
            lost = VCK_MIN(lost, sector * sector_units);
    }
    return lost;
}

bool vck_mapping_next(const struct vck_mapping *mapping, uint64_t start,
                      struct vck_mapping_segment *ret_segment)
{
    if (start >= mapping->data_units)
        return false;
    struct vck_mapping_segment segment = {.kind = VCK_MAPPING_LINEAR, .start = start};
    uint64_t lost = next_lost(mapping, start);
    uint64_t end = lost;
    if (lost <= start) {
        segment.kind = VCK_MAPPING_ERROR;
        end = lost + mapping->sector_size_bytes / VCK_MAPPING_UNIT_BYTES;
    } else if (start < mapping->encrypted_units) {
        segment.kind = VCK_MAPPING_CRYPT;
        segment.tweak = start;
        end = VCK_MIN(lost, mapping->encrypted_units);
    }
    segment.length = end - start;
    if (segment.kind != VCK_MAPPING_ERROR)
        segment.offset = mapping->disk_offset + start;
    *ret_segment = segment;
    return true;
}

const char *vck_mapping_target(enum vck_mapping_kind kind)
{
    static const char *const names[] = {
        [VCK_MAPPING_CRYPT] = "crypt",
        [VCK_MAPPING_LINEAR] = "linear",
        [VCK_MAPPING_ERROR] = "error",
    };
    return names[kind];
}

/* Without a table: which cache line it would be in depends on the key. */
static char hex_digit(unsigned nibble)
{
    unsigned is_letter = (9u - nibble) >> 31;
    return (char)('0' + nibble + is_letter * ('a' - '0' - 10));
}

static void write_hex(const uint8_t keys[VCK_MAPPING_KEY_BYTES], char *text)
{
    for (size_t i = 0; i < VCK_MAPPING_KEY_BYTES; i++) {
        *text++ = hex_digit(keys[i] >> 4);
        *text++ = hex_digit(keys[i] & 15u);
    }
}

#define CIPHER         "aes-xts-plain64 "
#define CIPHER_LENGTH  (sizeof(CIPHER) - 1)
#define KEY_TEXT_BYTES (2u * VCK_MAPPING_KEY_BYTES)

/* Everything but the key goes through the formatter, which leaves copies on the stack. */
static vck_status crypt_parameters(const struct vck_mapping *mapping,
                                   const struct vck_mapping_segment *segment, const char *disk,
                                   const uint8_t *keys, char *text, size_t capacity)
{
    static const uint8_t zeroes[VCK_MAPPING_KEY_BYTES];
    bool is_large = mapping->sector_size_bytes != VCK_MAPPING_UNIT_BYTES;
    size_t head = CIPHER_LENGTH + KEY_TEXT_BYTES;
    if (capacity <= head)
        return VCK_OUT_OF_RANGE;
    size_t rest = capacity - head;
    unsigned options = (is_large ? 2u : 0) + (mapping->allow_discards ? 1u : 0);
    size_t used = vck_format(text + head, rest, " %llu %s %llu", (unsigned long long)segment->tweak,
                             disk, (unsigned long long)segment->offset);
    if (options > 0)
        used += vck_format(text + head + used, rest - used, " %u%s%s", options,
                           is_large ? " sector_size:4096 iv_large_sectors" : "",
                           mapping->allow_discards ? " allow_discards" : "");
    if (used + 1 >= rest)
        return VCK_OUT_OF_RANGE;
    memcpy(text, CIPHER, CIPHER_LENGTH);
    write_hex(keys != NULL ? keys : zeroes, text + CIPHER_LENGTH);
    return VCK_OK;
}

vck_status vck_mapping_parameters(const struct vck_mapping *mapping,
                                  const struct vck_mapping_segment *segment, const char *disk,
                                  const uint8_t keys[VCK_MAPPING_KEY_BYTES], char *text,
                                  size_t capacity)
{
    if (segment->kind == VCK_MAPPING_CRYPT)
        return crypt_parameters(mapping, segment, disk, keys, text, capacity);
    if (capacity == 0)
        return VCK_OUT_OF_RANGE;
    *text = 0;
    if (segment->kind == VCK_MAPPING_ERROR)
        return VCK_OK;
    size_t used = vck_format(text, capacity, "%s %llu", disk, (unsigned long long)segment->offset);
    return used + 1 < capacity ? VCK_OK : VCK_OUT_OF_RANGE;
}
