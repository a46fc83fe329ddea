/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tpm: opens a volume by a key slot whose secret the machine's TPM 2.0 has sealed, through the
 * firmware's protocol for it.
 */
#ifndef VCK_VCKBOOT_TPM_H
#define VCK_VCKBOOT_TPM_H

#include "port/disk.h"
#include "vckboot.h"

/* Tries the slots that config->tpm allows, asking for a PIN where one has one. Why it did not help
 * has been said; somebody can still be asked. fini *ret_vmk only on success. */
VCK_CHECKED vck_status unlock_by_tpm(struct vck_disk *disk, const struct vck_boot_config *config,
                                     struct vck_secret *ret_vmk) VCK_CAN_WAIT;

#endif
