/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unlock: asks for a passphrase or a recovery key and gives the VMK of the slot that it opens.
 */
#ifndef VCK_VCKBOOT_UNLOCK_H
#define VCK_VCKBOOT_UNLOCK_H

#include "line.h"
#include "port/disk.h"
#include "vck/key_slot.h"
#include "vck/secret.h"

/* All that a try leaves in memory, in one place to be wiped. */
struct typed {
    struct line line;
    uint8_t text[LINE_TEXT_BYTES];
    size_t text_bytes;
    uint8_t recovery[VCK_KEY_RECOVERY_BYTES];
};

/* A line from the keyboard, with stars, into a zeroed struct. CANCELLED: Esc; TIMEOUT; WRONG_KEY:
 * it is no text. The caller wipes. */
VCK_CHECKED vck_status typed_read(struct typed *typed, uint32_t timeout_s);

/* Three tries, each after a longer pause than the one before. Every failure has been said on
 * return. CANCELLED: Esc, or nobody typed anything within timeout_s seconds (0: waits for ever);
 * WRONG_KEY: three times; otherwise as vck_key_unlock. fini *ret_vmk only on success. */
VCK_CHECKED vck_status unlock_by_prompt(struct vck_disk *disk, uint32_t timeout_s,
                                        struct vck_secret *ret_vmk) VCK_CAN_WAIT;

#endif
