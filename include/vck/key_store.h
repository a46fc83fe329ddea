/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_store: the key slots of a volume on its disk: unlocking, and changes that a cut at any write
 * leaves with the old or the new table. For volumes that nobody has attached: the caller holds the
 * disk alone. Source: docs/format.md, "Key slots".
 */
#ifndef VCK_KEY_STORE_H
#define VCK_KEY_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include "port/disk.h"
#include "vck/key_slot.h"
#include "vck/key_table.h"
#include "vck/layout.h"
#include "vck/secret.h"
#include "vck/status.h"
#include "vck/store.h"

VCK_BEGIN_DECLS

#define VCK_KEY_TABLES_MAX 8u

/* One copy as it was read. */
struct vck_key_copy {
    vck_status status; /* of vck_key_table_check, or of the disk */
    uint64_t generation;
};

/* What all copies of a volume hold. */
struct vck_key_tables {
    uint8_t volume_id[16];
    struct vck_key_copy *copies; /* replica i: 2 * i and 2 * i + 1 */
    uint32_t copy_count;
    struct vck_key_table *tables; /* the different contents, newest first */
    uint32_t table_count;         /* at most VCK_KEY_TABLES_MAX, the newest */
    bool any_future;              /* a table of a later version is there */
    bool any_damaged;             /* a copy is neither empty nor a table, or cannot be read */
};

/* Reads both copies of every replica of an opened or inspected store. Nothing is written. A copy
 * that cannot be read is passed over. fini in every case. UNSUPPORTED: slots are for volumes of
 * vendor 0; NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status vck_key_tables_read(struct vck_key_tables *tables,
                                           struct vck_store *store) VCK_CAN_WAIT;
void vck_key_tables_fini(struct vck_key_tables *tables);

/* The newest table whose HMAC holds under the VMK, or NULL. Borrowed. Any level. */
const struct vck_key_table *vck_key_tables_current(const struct vck_key_tables *tables,
                                                   struct vck_bytes vmk);

/* Asks for the secrets of slots that nobody types: of a TPM, of servers. */
struct vck_key_agent {
    /* The VCK_KEY_SEALED_BYTES of a slot with this payload; the caller ends them. Whatever else it
     * returns, the next slot is tried. It says itself what there is to say. PASSIVE, may wait. */
    vck_status (*secret)(struct vck_key_agent *agent, const struct vck_key_slot *slot,
                         struct vck_bytes payload, struct vck_secret *ret_secret);
};

/* A secret that somebody offers: what is not empty is tried on the slots of its type. */
struct vck_key_offer {
    struct vck_bytes passphrase;
    struct vck_bytes file;
    struct vck_bytes recovery;   /* VCK_KEY_RECOVERY_BYTES */
    struct vck_key_agent *agent; /* asked for the slots that have a payload, unless NULL */
    bool has_number;             /* only the slot `number` */
    uint32_t number;
};

struct vck_key_unlocked {
    uint16_t number; /* the slot that opened */
    uint16_t type;
    uint64_t generation; /* of the current table */
};

/*
 * Finds the volume on the disk, tries the offer on its slots and gives the VMK of the one that
 * opens, having seen that the VMK opens the volume's metadata. Nothing is written. stretcher may be
 * NULL for the default, ret_unlocked may be NULL.
 * WRONG_KEY: no slot opens; NOT_FOUND: there is no slot to try; UNSUPPORTED: a table from the
 * future, another vendor's volume, or only slots that are not understood here; TAMPERED: a slot
 * opens in a table that was changed; CHECKSUM_MISMATCH: tables are there and none is whole;
 * NO_MEMORY: also where a slot asks for more than there is; what the agent returned first, where no
 * slot could be tried; otherwise as vck_store_inspect.
 * fini *ret_vmk only on success. PASSIVE.
 */
VCK_CHECKED vck_status vck_key_unlock(struct vck_disk *disk, const struct vck_key_offer *offer,
                                      const struct vck_key_stretcher *stretcher,
                                      struct vck_secret *ret_vmk,
                                      struct vck_key_unlocked *ret_unlocked) VCK_CAN_WAIT;

/* Changing the slots of a volume whose VMK is known. Too large for a kernel's stack. */
struct vck_key_session {
    struct vck_store store;
    struct vck_key_tables tables;
    struct vck_key_table *table; /* the caller changes this one; empty where there was none */
    uint64_t generation;         /* of the current table on the disk; 0: none */
    uint32_t failed_replicas;    /* of the last commit */
};

/* fini in every case. start_over gives up tables that are damaged or not this VMK's. Errors of
 * vck_store_open; UNSUPPORTED: a table from the future, or another vendor's volume; TAMPERED:
 * tables are there, and none is this VMK's; CHECKSUM_MISMATCH: none is whole. PASSIVE. */
VCK_CHECKED vck_status vck_key_session_open(struct vck_key_session *session, struct vck_disk *disk,
                                            struct vck_bytes vmk, bool start_over) VCK_CAN_WAIT;
void vck_key_session_fini(struct vck_key_session *session);

/* Writes session->table, durably: everywhere on OK. IO: in failed_replicas replicas it is not, in
 * the others it is; READ_ONLY; NO_MEMORY. */
VCK_CHECKED vck_status vck_key_session_commit(struct vck_key_session *session) VCK_CAN_WAIT;

/* Gives the volume a new VMK. session->table holds slots that wrap it already. BUSY: a sweep was
 * cut and its record is open (attaching the volume closes it), or a rekey is; otherwise as commit,
 * and a replica that fails ends it. After a failure either VMK opens the volume, with the slots
 * made for it; doing it again with a new session is safe. */
VCK_CHECKED vck_status vck_key_session_rotate(struct vck_key_session *session,
                                              struct vck_bytes new_vmk) VCK_CAN_WAIT;

/* Overwrites every copy of every replica with zeroes, durably. Needs no key. The VMK, if somebody
 * has it, still opens the volume. ret_failed_replicas is always written. IO: with failed replicas,
 * the others are overwritten; without any, a flush has failed and nothing is known of all of them.
 * READ_ONLY, NO_MEMORY, UNSUPPORTED (another vendor's volume); otherwise as vck_store_inspect.
 * PASSIVE. */
VCK_CHECKED vck_status vck_key_erase(struct vck_disk *disk,
                                     uint32_t *ret_failed_replicas) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
