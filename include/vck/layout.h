/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout: where things are on a volume. Pure arithmetic from the counts in the header; every sum is
 * checked. Source: docs/format.md, "Regions" and "The journal".
 */
#ifndef VCK_LAYOUT_H
#define VCK_LAYOUT_H

#include <stdint.h>
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_REPLICAS_MAX         510u
#define VCK_KEY_SLOTS_BYTES      (56u * 1024u)
#define VCK_KEY_COPIES           2u
#define VCK_KEY_COPY_BYTES       (VCK_KEY_SLOTS_BYTES / VCK_KEY_COPIES)
#define VCK_REKEY_BLOCK_BYTES    4096u /* the end of every copy */
#define VCK_JOURNAL_BLOCK_BYTES  4096u
#define VCK_JOURNAL_REPLICAS_MAX 2u
#define VCK_DAMAGE_SLOT_BYTES    4096u

struct vck_layout {
    uint32_t sector_size_bytes;
    uint32_t metadata_size_bytes;
    uint32_t header_count;
    uint32_t footer_count;
    uint32_t replica_count;  /* headers first, then footers */
    uint64_t volume_sectors; /* N */
    uint64_t region_sectors; /* rs, of one replica */
    uint64_t data_start_lba;
    uint64_t data_sectors;
};

/* INVALID_DATA (sector size, metadata size, no replica), SIZE_MISMATCH (no data sector left). */
VCK_CHECKED vck_status vck_layout_init(struct vck_layout *ret_layout, uint64_t size_bytes,
                                       uint32_t sector_size_bytes, uint32_t metadata_size_bytes,
                                       uint32_t header_count, uint32_t footer_count);

/* Absolute LBA of replica i's metadata block (i < replica_count). */
uint64_t vck_layout_block_lba(const struct vck_layout *layout, uint32_t replica);

/* Absolute byte offset and size of replica i's usable vendor area (without the 4096 bytes around
 * the block): key slots, journal, damage list. */
void vck_layout_vendor_area(const struct vck_layout *layout, uint32_t replica,
                            uint64_t *ret_offset_bytes, uint64_t *ret_size_bytes);

/* Absolute byte offset of the rekey record in copy 0 or 1 of replica i's key slots. */
uint64_t vck_layout_rekey_offset(const struct vck_layout *layout, uint32_t replica, uint32_t copy);

/* Where the journal and the damage list are (vendor id 0 only). */
struct vck_journal_area {
    uint32_t replica_count;                                  /* 1 or 2 copies of everything */
    uint32_t half_bytes;                                     /* whole 4096-byte blocks */
    uint64_t journal_offset_bytes[VCK_JOURNAL_REPLICAS_MAX]; /* half 0; half 1 follows */
    uint64_t damage_offset_bytes[VCK_JOURNAL_REPLICAS_MAX];  /* slot 0; slot 1 follows */
};

void vck_layout_journal_area(const struct vck_layout *layout, struct vck_journal_area *ret_area);

VCK_END_DECLS

#endif
