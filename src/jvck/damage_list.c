/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "vck/hmac.h"
#include "vck/journal.h"
#include "vck/layout.h"
#include "vck/secret.h"

enum {
    AT_VERSION = 4,
    AT_COUNT = 6,
    AT_SEQUENCE = 8,
    AT_HMAC = 16,
    AT_AFTER_HMAC = 48,
    AT_ENTRIES = 64,
};

#define LIST_VERSION 1u

/* The smallest chunk there is; every chunk starts at a multiple of it. */
#define UNIT_BYTES 16u

_Static_assert(AT_ENTRIES + VCK_DAMAGE_MAX * 8 == VCK_DAMAGE_SLOT_BYTES, "a slot is one block");

static const uint8_t list_magic[4] = {'V', 'C', 'K', 'B'};

/* ---- on disk ---- */

/* Over the whole slot, with its field taken as zero. */
static void make_hmac(const struct vck_journal_keys *keys, const uint8_t *slot,
                      uint8_t ret_hmac[VCK_HMAC_SHA256_BYTES])
{
    static const uint8_t zeroes[VCK_HMAC_SHA256_BYTES];
    struct vck_hmac_sha256 hmac;
    vck_hmac_sha256_init(&hmac, (struct vck_bytes){keys->mac_key, sizeof(keys->mac_key)});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){slot, AT_HMAC});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){zeroes, sizeof(zeroes)});
    vck_hmac_sha256_update(
        &hmac, (struct vck_bytes){slot + AT_AFTER_HMAC, VCK_DAMAGE_SLOT_BYTES - AT_AFTER_HMAC});
    vck_hmac_sha256_final(&hmac, ret_hmac);
}

void vck_damage_seal(const struct vck_journal_keys *keys, const struct vck_damage_list *list,
                     uint8_t slot[4096])
{
    memset(slot, 0, VCK_DAMAGE_SLOT_BYTES);
    memcpy(slot, list_magic, sizeof(list_magic));
    vck_store_le16(slot + AT_VERSION, LIST_VERSION);
    vck_store_le16(slot + AT_COUNT, (uint16_t)list->count);
    vck_store_le64(slot + AT_SEQUENCE, list->sequence);
    for (uint32_t i = 0; i < list->count; i++)
        vck_store_le64(slot + AT_ENTRIES + (size_t)i * 8, list->offset_bytes[i]);
    make_hmac(keys, slot, slot + AT_HMAC);
}

static bool are_entries_possible(const uint8_t *slot, uint32_t count, uint64_t data_bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset_bytes = vck_load_le64(slot + AT_ENTRIES + (size_t)i * 8);
        if (offset_bytes >= data_bytes || offset_bytes % UNIT_BYTES != 0)
            return false;
    }
    return true;
}

/* Whatever order they are in: a list that is authentic is not given up over that. */
static vck_status decode_entries(const uint8_t *slot, uint32_t count, struct vck_damage_list *list)
{
    memset(list, 0, sizeof(*list));
    list->sequence = vck_load_le64(slot + AT_SEQUENCE);
    list->chunk_bytes = UNIT_BYTES;
    for (uint32_t i = 0; i < count; i++) {
        vck_status status = vck_damage_add(list, vck_load_le64(slot + AT_ENTRIES + (size_t)i * 8));
        if (status != VCK_OK)
            return status;
    }
    return VCK_OK;
}

vck_status vck_damage_open(const struct vck_journal_keys *keys, const uint8_t slot[4096],
                           uint64_t data_bytes, struct vck_damage_list *ret_list)
{
    uint8_t hmac[VCK_HMAC_SHA256_BYTES];
    if (vck_all_zero(slot, VCK_DAMAGE_SLOT_BYTES))
        return VCK_NOT_FOUND;
    if (memcmp(slot, list_magic, sizeof(list_magic)) != 0)
        return VCK_SIGNATURE_MISMATCH;
    if (vck_load_le16(slot + AT_VERSION) != LIST_VERSION)
        return VCK_UNSUPPORTED;
    uint32_t count = vck_load_le16(slot + AT_COUNT);
    if (count > VCK_DAMAGE_MAX)
        return VCK_INVALID_DATA;
    make_hmac(keys, slot, hmac);
    if (!vck_equal_constant_time(hmac, slot + AT_HMAC, sizeof(hmac)))
        return VCK_TAMPERED;
    if (!are_entries_possible(slot, count, data_bytes))
        return VCK_INVALID_DATA;
    return decode_entries(slot, count, ret_list);
}

/* ---- in memory ---- */

static uint64_t last_byte(const struct vck_damage_list *list, uint32_t i)
{
    uint64_t last = UINT64_MAX;
    uint32_t chunk_bytes = VCK_MAX(list->chunk_bytes, 1u);
    (void)vck_add_u64(list->offset_bytes[i], chunk_bytes - 1, &last);
    return last;
}

/* The last byte of a range that is not empty. */
static uint64_t range_last_byte(uint64_t first_byte, uint64_t size_bytes)
{
    uint64_t last = UINT64_MAX;
    (void)vck_add_u64(first_byte, size_bytes - 1, &last);
    return last;
}

vck_status vck_damage_add(struct vck_damage_list *list, uint64_t offset_bytes)
{
    uint32_t at = 0;
    while (at < list->count && list->offset_bytes[at] < offset_bytes)
        at++;
    if (at < list->count && list->offset_bytes[at] == offset_bytes)
        return VCK_OK;
    if (list->count == VCK_DAMAGE_MAX)
        return VCK_DISK_FULL;
    memmove(list->offset_bytes + at + 1, list->offset_bytes + at,
            (list->count - at) * sizeof(list->offset_bytes[0]));
    list->offset_bytes[at] = offset_bytes;
    list->count++;
    return VCK_OK;
}

uint32_t vck_damage_remove_covered(struct vck_damage_list *list, uint64_t first_byte,
                                   uint64_t size_bytes)
{
    uint32_t kept = 0;
    uint32_t before = list->count;
    if (size_bytes == 0)
        return 0;
    uint64_t end = range_last_byte(first_byte, size_bytes);
    for (uint32_t i = 0; i < before; i++)
        if (list->offset_bytes[i] < first_byte || last_byte(list, i) > end)
            list->offset_bytes[kept++] = list->offset_bytes[i];
    list->count = kept;
    return before - kept;
}

bool vck_damage_overlaps(const struct vck_damage_list *list, uint64_t first_byte,
                         uint64_t size_bytes, uint64_t *ret_offset_bytes)
{
    if (size_bytes == 0)
        return false;
    uint64_t end = range_last_byte(first_byte, size_bytes);
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->offset_bytes[i] <= end && last_byte(list, i) >= first_byte) {
            *ret_offset_bytes = list->offset_bytes[i];
            return true;
        }
    }
    return false;
}
