/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unlock: asks for a passphrase or a recovery key and gives the VMK of the slot that it opens.
 */
#ifndef VCK_VCKBOOT_UNLOCK_H
#define VCK_VCKBOOT_UNLOCK_H

#include "port/disk.h"
#include "vck/secret.h"

/* Three tries, each after a longer pause than the one before. Every failure has been said on
 * return. CANCELLED: Esc, or nobody typed anything within timeout_s seconds (0: waits for ever);
 * WRONG_KEY: three times; otherwise as vck_key_unlock. fini *ret_vmk only on success. */
VCK_CHECKED vck_status unlock_by_prompt(struct vck_disk *disk, uint32_t timeout_s,
                                        struct vck_secret *ret_vmk) VCK_CAN_WAIT;

#endif
