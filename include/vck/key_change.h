/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_change: another table of slots for a volume that somebody holds open. Who edits the table has
 * the secrets and does not reach the disk; who holds the volume has the disk, and takes a table
 * only from somebody who has its VMK. The generation tells whether the edit was made of what is
 * there. Source: docs/format.md, "Key slots".
 */
#ifndef VCK_KEY_CHANGE_H
#define VCK_KEY_CHANGE_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/bytes.h"
#include "vck/key_table.h"
#include "vck/status.h"
#include "vck/store.h"

VCK_BEGIN_DECLS

struct vck_key_change {
    struct vck_key_table *table; /* sealed with base_generation + 1, under new_vmk where there is
                                    one; is sealed anew */
    uint64_t base_generation;    /* of the table it was made of; 0: there was none */
    bool start_over;             /* what is there may be damaged or not authentic */
    struct vck_bytes vmk;        /* to rotate: the VMK the volume has, and the one it gets */
    struct vck_bytes new_vmk;
};

struct vck_key_changed {
    uint64_t generation; /* of the table that is current now */
    uint32_t failed_replicas;
    bool flush_failed; /* what is durable is unknown */
};

/*
 * Writes the change to the volume of an open store, which goes on to be used. Nobody else writes
 * its metadata meanwhile. With a new VMK the metadata is sealed under it, and the store has it,
 * from the moment that the first block may be; the volume's journal is closed. WRONG_KEY: who made
 * the table, or asks to rotate, has not the volume's VMK; BUSY: the slots are not those the table
 * was made of, a record of the journal is open, or a rekey is; INVALID_DATA: not a table of this
 * volume and that generation; TAMPERED, CHECKSUM_MISMATCH: what is there is not authentic, or
 * damaged, and start_over is not set; UNSUPPORTED: from the future, or of another vendor: nothing
 * is written. IO: replicas have failed; without a new VMK the change is made where failed_replicas
 * are not all. READ_ONLY, NO_MEMORY. *ret_changed is always filled. PASSIVE.
 */
VCK_CHECKED vck_status vck_key_change_write(struct vck_store *store,
                                            const struct vck_key_change *change,
                                            struct vck_key_changed *ret_changed) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
