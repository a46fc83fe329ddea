/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tpm: key slots whose secret a TPM 2.0 has sealed.
 */
#ifndef VCK_PRODUCTS_VCK_TPM_H
#define VCK_PRODUCTS_VCK_TPM_H

#include "products/vck/key.h"
#include "vck/tpm.h"

/* ---- the way to it (tpm_posix.c, tpm_none.c) ---- */

/* The TPM of --tpm, or the system's. NULL when there is none or it cannot be reached; why is in
 * ret_why, in words. */
#define TPM_WHY_BYTES 200
struct vck_tpm_transport *tpm_transport_open(const char *tcti, char ret_why[TPM_WHY_BYTES]);
void tpm_transport_close(struct vck_tpm_transport *transport);

/* ---- opening slots (tpm_open.c) ---- */

/* A TPM that is opened when it is first needed. Zeroed to begin with; close in every case. */
struct tpm_access {
    struct vck_tpm_transport *transport;
    struct vck_tpm *tpm;
    bool has_failed; /* it is not tried again */
};

void tpm_access_close(struct tpm_access *access);

/* Reports why not; vck_tpm of the access can then be used. */
bool tpm_access_open(struct tpm_access *access, const struct command *command);

/* The secret of a slot, with its PIN from --pin-file or the terminal. What goes wrong is said as a
 * warning that names the slot. */
VCK_CHECKED vck_status tpm_slot_secret(struct tpm_access *access, const struct command *command,
                                       const struct vck_key_slot *slot, struct vck_bytes payload,
                                       struct vck_secret *ret_secret);

/* ---- making slots (tpm_make.c) ---- */

/* A new secret sealed as the options say, and its payload. What they leave open is as in the slot
 * that is replaced, unless that is NULL. */
int tpm_slot_make(const struct command *command, const struct vck_key_slot *old,
                  struct new_slot *slot);

/* ---- words ---- */

/* "tpm pcr 7, 12, pin". */
#define TPM_TEXT_BYTES 128
const char *tpm_slot_text(struct vck_bytes payload, char buffer[TPM_TEXT_BYTES]);

#endif
