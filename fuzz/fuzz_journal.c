/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_journal: a half of the journal, or a slot of the damage list followed by ranges that are
 * looked up and taken out. The first byte says which, and whether the HMAC is made right first.
 */
#include <stdlib.h>
#include <string.h>
#include "port/port.h"
#include "vck/hmac.h"
#include "vck/journal.h"
#include "vck/layout.h"

#define DAMAGE      1u
#define FIX_HMAC    2u
#define BIG_SECTORS 4u

#define HALF_BYTES   (4u * VCK_JOURNAL_BLOCK_BYTES)
#define DATA_SECTORS (UINT64_C(1) << 32)
#define DATA_BYTES   (UINT64_C(1) << 41)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct vck_journal_keys keys = {.mac_key = {1}, .tag_key = {2}};

/* The field at `at` counts as zero. */
static void fix_hmac(uint8_t *sealed, size_t size, size_t at)
{
    uint8_t tag[VCK_HMAC_SHA256_BYTES];
    memset(sealed + at, 0, VCK_HMAC_SHA256_BYTES);
    vck_hmac_sha256_once((struct vck_bytes){keys.mac_key, sizeof(keys.mac_key)},
                         (struct vck_bytes){sealed, size}, tag);
    memcpy(sealed + at, tag, sizeof(tag));
}

/* ---- records ---- */

static size_t used_bytes(const uint8_t *half, uint32_t sector_size)
{
    struct vck_record record = {.sectors = vck_load_le32(half + 32),
                                .chunk_bytes = vck_load_le32(half + 36)};
    uint64_t chunks = vck_record_chunk_count(&record, sector_size);
    if (chunks > (HALF_BYTES - VCK_RECORD_HEADER_BYTES) / VCK_RECORD_TAGS_BYTES)
        return VCK_RECORD_HEADER_BYTES;
    return VCK_RECORD_HEADER_BYTES + (size_t)chunks * VCK_RECORD_TAGS_BYTES;
}

static void check_record(const uint8_t *half, uint32_t sector_size)
{
    static uint8_t again[HALF_BYTES];
    struct vck_record record;
    size_t size;
    if (vck_record_open(&keys, half, HALF_BYTES, sector_size, DATA_SECTORS, &record) != VCK_OK)
        return;
    VCK_ASSERT(record.sectors > 0 && record.first_sector + record.sectors <= DATA_SECTORS);
    size_t used = used_bytes(half, sector_size);
    memcpy(again, half, sizeof(again));
    VCK_ASSERT(vck_record_seal(&keys, &record, sector_size, again, sizeof(again), &size) == VCK_OK);
    VCK_ASSERT(size >= used && size <= HALF_BYTES);
    /* Directions that are unknown read as encrypting, and the HMAC follows. */
    if (vck_load_le16(half + 6) <= VCK_DECRYPTING)
        VCK_ASSERT(memcmp(again, half, used) == 0);
}

static void fuzz_record(unsigned mode, const uint8_t *data, size_t size)
{
    static uint8_t half[HALF_BYTES];
    uint32_t sector_size = mode & BIG_SECTORS ? 4096 : 512;
    memset(half, 0, sizeof(half));
    memcpy(half, data, VCK_MIN(size, sizeof(half)));
    if (mode & FIX_HMAC)
        fix_hmac(half, used_bytes(half, sector_size), 40);
    check_record(half, sector_size);
}

/* ---- damage lists ---- */

static void check_list(const struct vck_damage_list *list)
{
    VCK_ASSERT(list->count <= VCK_DAMAGE_MAX);
    for (uint32_t i = 0; i < list->count; i++)
        VCK_ASSERT(list->offset_bytes[i] < DATA_BYTES &&
                   (i == 0 || list->offset_bytes[i - 1] < list->offset_bytes[i]));
}

static void add(struct vck_damage_list *list, uint64_t offset_bytes)
{
    uint64_t found;
    vck_status status = vck_damage_add(list, offset_bytes);
    VCK_ASSERT(status == VCK_OK || list->count == VCK_DAMAGE_MAX);
    if (status == VCK_OK)
        VCK_ASSERT(vck_damage_overlaps(list, offset_bytes, 1, &found));
}

static void fuzz_ranges(struct vck_damage_list *list, const uint8_t *data, size_t size)
{
    for (; size >= 16; data += 16, size -= 16) {
        uint64_t first = vck_load_le64(data);
        uint64_t length = vck_load_le64(data + 8);
        uint64_t found = 0;
        uint32_t before = list->count;
        if (vck_damage_overlaps(list, first, length, &found))
            VCK_ASSERT(found + list->chunk_bytes > first);
        uint32_t removed = vck_damage_remove_covered(list, first, length);
        VCK_ASSERT(list->count + removed == before);
        if (length & 1)
            add(list, first % DATA_BYTES / 16 * 16);
        check_list(list);
    }
}

static void fuzz_damage(unsigned mode, const uint8_t *data, size_t size)
{
    static struct vck_damage_list list;
    static uint8_t slot[VCK_DAMAGE_SLOT_BYTES];
    size_t taken = VCK_MIN(size, sizeof(slot));
    memset(slot, 0, sizeof(slot));
    memcpy(slot, data, taken);
    if (mode & FIX_HMAC)
        fix_hmac(slot, sizeof(slot), 16);
    if (vck_damage_open(&keys, slot, DATA_BYTES, &list) != VCK_OK)
        return;
    check_list(&list);
    fuzz_ranges(&list, data + taken, size - taken);
    vck_damage_seal(&keys, &list, slot);
    VCK_ASSERT(vck_damage_open(&keys, slot, DATA_BYTES, &list) == VCK_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (data[0] & DAMAGE)
        fuzz_damage(data[0], data + 1, size - 1);
    else
        fuzz_record(data[0], data + 1, size - 1);
    return 0;
}
