/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_backup: everything that opens a volume, sealed under a passphrase or a key file, for the day
 * on which its metadata is lost. Source: docs/format.md, "Backups of keys".
 */
#ifndef VCK_KEY_BACKUP_H
#define VCK_KEY_BACKUP_H

#include "vck/block.h"
#include "vck/key_slot.h"
#include "vck/key_store.h"
#include "vck/key_table.h"

VCK_BEGIN_DECLS

#define VCK_KEY_BACKUP_BYTES_MAX 32768u

/* Holds keys. Too large for a kernel's stack. */
struct vck_key_backup {
    uint8_t volume_id[16];
    uint64_t created_s;
    uint64_t volume_size_bytes;
    uint8_t block[VCK_BLOCK_BYTES]; /* the metadata, sealed under the VMK */
    struct vck_secret vmk;
    struct vck_key_table table;
};

/* Wipes; accepts a zeroed one. */
void vck_key_backup_fini(struct vck_key_backup *backup);

/* Takes what a session knows: metadata as it is now, VMK, session->table. fini in every case.
 * BUSY: a rekey is open, whose second FVEK has no place in it; CRYPTO_FAILED, NO_MEMORY. PASSIVE.
 */
VCK_CHECKED vck_status vck_key_backup_take(struct vck_key_session *session, uint64_t created_s,
                                           struct vck_key_backup *ret_backup);

/* Seals under the secret, which is for a slot of `type` (VCK_KEY_PASSPHRASE or VCK_KEY_FILE), into
 * file[VCK_KEY_BACKUP_BYTES_MAX]. Errors of vck_key_slot_make. PASSIVE. */
VCK_CHECKED vck_status vck_key_backup_seal(const struct vck_key_backup *backup, uint16_t type,
                                           const struct vck_key_kdf *kdf, struct vck_bytes secret,
                                           const struct vck_key_stretcher *stretcher, uint8_t *file,
                                           size_t *ret_size_bytes);

/* The reverse. offer: its passphrase or its file is tried. fini on success. SIGNATURE_MISMATCH: not
 * a backup; UNSUPPORTED: of a later version; SIZE_MISMATCH: cut off; INVALID_DATA; WRONG_KEY: not
 * with this secret, or changed; TAMPERED: what was in it contradicts itself; NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status vck_key_backup_open(struct vck_bytes file, const struct vck_key_offer *offer,
                                           const struct vck_key_stretcher *stretcher,
                                           struct vck_key_backup *ret_backup);

/*
 * Writes the slots back to the volume the backup is of. Where the backup's VMK does not open it,
 * with_metadata also writes the metadata of the moment of the backup to every replica, paused:
 * right only when no sweep has moved since. Otherwise nothing is written then, and the error is
 * that of opening: WRONG_KEY (the volume has got another key since), SIGNATURE_MISMATCH, ...
 * VALIDATION_FAILED: of another volume; SIZE_MISMATCH: the disk had another size; errors of
 * vck_key_session_commit. PASSIVE.
 */
VCK_CHECKED vck_status vck_key_backup_restore(const struct vck_key_backup *backup,
                                              struct vck_disk *disk,
                                              bool with_metadata) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
