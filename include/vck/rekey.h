/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekey: the record of a change of the FVEK: the new one and the secret of the journal, wrapped
 * under the VMK in the area of the key slots. It counts while the metadata has version 2 and names
 * it by its nonce. Source: docs/format.md, "Rekeying".
 */
#ifndef VCK_REKEY_H
#define VCK_REKEY_H

#include <stdint.h>
#include "vck/block.h"
#include "vck/bytes.h"
#include "vck/journal.h"
#include "vck/layout.h"
#include "vck/status.h"
#include "vck/store.h"

VCK_BEGIN_DECLS

#define VCK_REKEY_SECRET_BYTES 64u

/* Holds keys: wipe after use. */
struct vck_rekey {
    uint8_t nonce[VCK_REKEY_NONCE_BYTES];
    uint8_t fvek_key1[VCK_FVEK_KEY_BYTES]; /* the new one */
    uint8_t fvek_key2[VCK_FVEK_KEY_BYTES];
    uint8_t journal_secret[VCK_REKEY_SECRET_BYTES];
};

/* Draws all of it. CRYPTO_FAILED. PASSIVE. */
VCK_CHECKED vck_status vck_rekey_draw(struct vck_rekey *ret_rekey);
void vck_rekey_wipe(struct vck_rekey *rekey);

/* What the journal and the damage list are sealed with while it is open. CRYPTO_FAILED. Any level.
 */
VCK_CHECKED vck_status vck_rekey_journal_keys(const struct vck_rekey *rekey,
                                              const uint8_t volume_id[16],
                                              struct vck_journal_keys *ret_keys);

/* The record, filled up with zeroes. INVALID_DATA: the VMK's size. Any level. */
VCK_CHECKED vck_status vck_rekey_seal(const struct vck_rekey *rekey, const uint8_t volume_id[16],
                                      struct vck_bytes vmk, uint8_t block[VCK_REKEY_BLOCK_BYTES]);
/* The record with this nonce. NOT_FOUND: all zero; SIGNATURE_MISMATCH; UNSUPPORTED: of a later
 * version; INVALID_DATA; VALIDATION_FAILED: of another volume or another rekey; WRONG_KEY: not
 * under this VMK, or changed. Any level. */
VCK_CHECKED vck_status vck_rekey_open(const uint8_t block[VCK_REKEY_BLOCK_BYTES],
                                      const uint8_t volume_id[16],
                                      const uint8_t nonce[VCK_REKEY_NONCE_BYTES],
                                      struct vck_bytes vmk, struct vck_rekey *ret_rekey);

/* Writes it to both places of every replica, with a flush behind each replica. IO, NO_MEMORY.
 * PASSIVE. */
VCK_CHECKED vck_status vck_rekey_write(struct vck_store *store,
                                       const struct vck_rekey *rekey) VCK_CAN_WAIT;
/* The record that an opened store names. TAMPERED: no place holds it whole; NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status vck_rekey_read(struct vck_store *store,
                                      struct vck_rekey *ret_rekey) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
