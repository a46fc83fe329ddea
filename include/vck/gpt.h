/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpt: the GUID partition table of a disk, read to find a partition by its unique GUID or the GUID
 * of a partition by its place. Header and entries count only when both their checksums are right;
 * the backup stands in when the primary is not.
 *
 * Not here: writing tables, MBR partitions. Memory and the disk are the caller's: nothing is
 * allocated, and whether read waits is the caller's matter too.
 *
 * Source: UEFI specification, "GUID Partition Table (GPT) Disk Layout".
 */
#ifndef VCK_GPT_H
#define VCK_GPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/bytes.h"
#include "vck/guid.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* A buffer of this size holds every table that is taken: 512 entries of the usual 128 bytes. */
#define VCK_GPT_BUFFER_BYTES     65536u
#define VCK_GPT_SECTOR_BYTES_MIN 512u
#define VCK_GPT_SECTOR_BYTES_MAX 4096u

/* A whole disk, not a partition. */
struct vck_gpt_source {
    uint64_t sector_count;
    uint32_t sector_size_bytes; /* a power of two, VCK_GPT_SECTOR_BYTES_MIN to _MAX */
    /* Reads count_sectors sectors from lba on, within the disk; what it returns ends the load only
     * when the backup cannot be read either. */
    vck_status (*read)(void *context, uint64_t lba, uint32_t count_sectors, uint8_t *buffer);
    void *context;
};

struct vck_gpt_header {
    uint64_t header_lba;
    uint64_t alternate_lba; /* where the other header is; unchecked */
    uint64_t first_usable_lba;
    uint64_t last_usable_lba;
    uint64_t entries_lba;
    uint32_t entry_count;
    uint32_t entry_size_bytes; /* 128 times a power of two */
    uint32_t entries_crc;
    struct vck_guid disk_guid;
};

struct vck_gpt_partition {
    uint32_t number; /* 1 is the first entry */
    struct vck_guid type_guid;
    struct vck_guid partition_guid;
    uint64_t first_lba;
    uint64_t last_lba; /* inclusive */
    uint64_t attributes;
};

struct vck_gpt {
    struct vck_gpt_header header;
    const uint8_t *entries; /* in the caller's buffer */
    bool is_backup;
};

/*
 * Decodes a header that was read from header_lba. SIZE_MISMATCH: sector_size_bytes is no sector's;
 * SIGNATURE_MISMATCH: no GPT; CHECKSUM_MISMATCH; UNSUPPORTED: another revision, or entries of a
 * size or number that is not taken; VALIDATION_FAILED: fields that contradict each other or the
 * disk. Any level.
 */
VCK_CHECKED vck_status vck_gpt_header_decode(struct vck_bytes sector, uint64_t header_lba,
                                             uint64_t sector_count,
                                             struct vck_gpt_header *ret_header);

/*
 * Reads the table: header and entries of the primary, else of the backup. The buffer, a sector at
 * least and aligned as read wants it, is borrowed for as long as *ret_gpt is used. Errors are the
 * primary's: as header_decode; SIZE_MISMATCH: also a table larger than the buffer;
 * CHECKSUM_MISMATCH: also of the entries; OUT_OF_RANGE: a disk too small for a table; or what read
 * returned. At the level of read.
 */
VCK_CHECKED vck_status vck_gpt_load(const struct vck_gpt_source *source, uint8_t *buffer,
                                    size_t buffer_bytes, struct vck_gpt *ret_gpt);

/* Entry number 1 to header.entry_count. OUT_OF_RANGE: no such number; NOT_FOUND: the entry is
 * unused; VALIDATION_FAILED: its sectors are not in the usable range. Any level. */
VCK_CHECKED vck_status vck_gpt_get(const struct vck_gpt *gpt, uint32_t number,
                                   struct vck_gpt_partition *ret_partition);

/* The partition with this unique GUID, in EFI order. NOT_FOUND: none, or the GUID is zero;
 * VALIDATION_FAILED: two have it, or its sectors are not in the usable range. Any level. */
VCK_CHECKED vck_status vck_gpt_find(const struct vck_gpt *gpt, const struct vck_guid *partition,
                                    struct vck_gpt_partition *ret_partition);

/* The partition that begins at first_lba, for callers that know a place and want the GUID.
 * NOT_FOUND. Any level. */
VCK_CHECKED vck_status vck_gpt_find_at(const struct vck_gpt *gpt, uint64_t first_lba,
                                       struct vck_gpt_partition *ret_partition);

VCK_END_DECLS

#endif
