/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover: what has to happen between opening a volume's metadata and serving its first request.
 * Cut again at any point, it gives the same result. Source: docs/format.md, "Recovery".
 */
#ifndef VCK_RECOVER_H
#define VCK_RECOVER_H

#include "vck/cipher.h"
#include "vck/provider.h"

VCK_BEGIN_DECLS

struct vck_recovery {
    uint32_t records_applied;
    uint32_t chunks_transformed;
    uint32_t chunks_damaged;  /* newly found; they are in the damage list */
    bool damage_list_full;    /* more than the list can name: serve read only, and not at all ... */
    uint64_t lost_first_byte; /* ... in this range of the data region; the record stays open */
    uint64_t lost_bytes;
    bool wrote_back; /* some replica was behind or broken */
};

/*
 * store->store is open (winner chosen), keys, area and chunk size are set. Writes the winner back,
 * stamps a volume that another implementation has written, carries out or voids the records, loads
 * the damage list and leaves replicas equal and the journal closed. next_sequence goes on above
 * every record found. Nothing is written to a volume that is already clean. READ_ONLY: there is
 * something to do and the disk cannot be written. IO, NO_MEMORY, CRYPTO_FAILED. PASSIVE.
 * below and above: as in struct vck_io_config; above may be NULL.
 */
VCK_CHECKED vck_status vck_recover(struct vck_offset_store *store,
                                   struct vck_cipher_supplier *below,
                                   struct vck_cipher_supplier *above,
                                   struct vck_recovery *ret_recovery) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
