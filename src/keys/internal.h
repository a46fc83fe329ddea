/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: where the copies are. */
#ifndef VCK_KEYS_INTERNAL_H
#define VCK_KEYS_INTERNAL_H

#include "port/port.h"
#include "vck/key_store.h"

#define KEYS_TAG   VCK_TAG('K', 's', 't', 'o')
#define KEY_COPIES VCK_KEY_COPIES

_Static_assert(VCK_KEY_TABLE_BYTES + VCK_REKEY_BLOCK_BYTES == VCK_KEY_COPY_BYTES,
               "a table and a rekey record fill a copy");

/* Absolute byte offset of a copy. */
uint64_t vck_key_copy_offset(const struct vck_layout *layout, uint32_t replica, uint32_t copy);

/* A table on its way to all replicas, in rounds. */
struct key_writer {
    const struct vck_layout *layout;
    struct vck_disk *disk;
    struct vck_key_table *table;
    uint64_t generation; /* of what was written last */
    bool *has_failed;    /* per replica */
    uint32_t failed_replicas;
    bool flush_failed; /* what is durable is unknown */
};

/* READ_ONLY, NO_MEMORY. end in every case. */
VCK_CHECKED vck_status key_writer_begin(struct key_writer *writer, const struct vck_store *store,
                                        struct vck_key_table *table, uint64_t generation);
/* Writes the table with the next generation, under this VMK, to the replicas that have not failed
 * yet. IO: none is left. */
VCK_CHECKED vck_status key_writer_round(struct key_writer *writer,
                                        struct vck_bytes vmk) VCK_CAN_WAIT;
/* The two rounds of a change. IO also when some replicas have failed. */
VCK_CHECKED vck_status key_writer_change(struct key_writer *writer,
                                         struct vck_bytes vmk) VCK_CAN_WAIT;
/* The rounds of a rotation, and the metadata between them. From the moment that the first block may
 * be under it the store has the new VMK. BUSY: a record is open; IO as above. */
VCK_CHECKED vck_status key_writer_rotate(struct key_writer *writer, struct vck_store *store,
                                         struct vck_bytes new_vmk) VCK_CAN_WAIT;
void key_writer_end(struct key_writer *writer);

#endif
