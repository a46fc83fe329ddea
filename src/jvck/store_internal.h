/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the store share. */
#ifndef VCK_JVCK_STORE_INTERNAL_H
#define VCK_JVCK_STORE_INTERNAL_H

#include "port/port.h"
#include "vck/store.h"

#define STORE_TAG            VCK_TAG('V', 's', 't', 'o')
#define VCK_SECTOR_BYTES_MAX 4096u

/* The winner among `count` replicas whose status is OK; the others are passed over. Pure.
 * NOT_FOUND: none is OK; VALIDATION_FAILED: the rule has to go by the offsets, and the directions
 * differ. */
VCK_CHECKED vck_status vck_store_choose(const struct vck_replica *replicas, uint32_t count,
                                        uint32_t *ret_winner);

/* Called with each place where a block with a valid header lies that its own geometry puts exactly
 * there. May block. Returns whether the search may end. */
struct vck_store_search {
    bool (*consider)(struct vck_store_search *search, const struct vck_block_header *header,
                     const struct vck_layout *layout, uint32_t replica);
    void *context;
};

/* Goes through the places of docs/format.md, "Finding a volume". OK when a place ended the search
 * or at least one was considered; otherwise the best reason why there is none: SIGNATURE_MISMATCH,
 * CHECKSUM_MISMATCH, UNSUPPORTED, INVALID_DATA, SIZE_MISMATCH, IO; NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status vck_store_find(struct vck_disk *disk,
                                      struct vck_store_search *search) VCK_CAN_WAIT;

#endif
