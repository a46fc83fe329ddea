/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tpm: a secret sealed by a TPM 2.0 to the values of PCRs, and to a PIN. The commands that this
 * takes and nothing else, over a transport that the caller brings: the same code on an operating
 * system and in a boot loader.
 *
 * What is secret goes over the transport encrypted under a session key that is agreed on with the
 * TPM's storage key, so that who only listens on its bus learns neither secret nor PIN. Nothing is
 * left loaded in the TPM, on any path. No command that a PIN goes into is ever repeated: the TPM
 * counts.
 *
 * Source: TPM 2.0 Library, parts 1 to 3; docs/format.md, "TPM", for what is stored.
 */
#ifndef VCK_TPM_H
#define VCK_TPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_TPM_PCRS          24u
#define VCK_TPM_DIGEST_BYTES  32u
#define VCK_TPM_SECRET_BYTES  32u
#define VCK_TPM_MESSAGE_BYTES 4096u
#define VCK_TPM_SEALED_BYTES  2048u /* the longest payload that is made */
#define VCK_TPM_TEXT_BYTES    160u

/* The way to a TPM. */
struct vck_tpm_transport {
    /* One command to its response, at most capacity_bytes long. Any status of its own. May wait. */
    vck_status (*submit)(struct vck_tpm_transport *transport, struct vck_bytes command,
                         uint8_t *response, size_t capacity_bytes, size_t *ret_size_bytes);
    /* Lets time pass where the TPM asks for a command again. */
    void (*pause)(struct vck_tpm_transport *transport, uint32_t time_ms);
};

enum vck_tpm_fault {
    VCK_TPM_FAULT_NONE,
    VCK_TPM_FAULT_TRANSPORT,  /* the TPM cannot be reached; the status is the transport's */
    VCK_TPM_FAULT_RESPONSE,   /* what came back is no response (INVALID_DATA), or not the TPM's own
                               * (TAMPERED) */
    VCK_TPM_FAULT_COMMAND,    /* refused with response_code (IO) */
    VCK_TPM_FAULT_OTHER_TPM,  /* sealed by another TPM, or it was cleared (NOT_FOUND) */
    VCK_TPM_FAULT_PCRS,       /* those in `pcrs` have other values (VALIDATION_FAILED) */
    VCK_TPM_FAULT_PIN,        /* wrong (WRONG_KEY) */
    VCK_TPM_FAULT_LOCKED_OUT, /* too many wrong PINs; not even the right one helps now
                               * (PERMISSION_DENIED) */
    VCK_TPM_FAULT_OWNER, /* the owner hierarchy asks for an authorization, and no storage key is
                          * there for everybody (PERMISSION_DENIED) */
    VCK_TPM_FAULT_BANK,  /* no SHA-256 values for the PCRs in `pcrs` (UNSUPPORTED) */
};

/* A conversation. Too large for a kernel's stack. Fields are the room's own, but for the last
 * four, which say why a call failed. */
struct vck_tpm {
    struct vck_tpm_transport *transport;
    uint8_t params[VCK_TPM_MESSAGE_BYTES];
    uint8_t request[VCK_TPM_MESSAGE_BYTES];
    uint8_t response[VCK_TPM_MESSAGE_BYTES];

    enum vck_tpm_fault fault;
    uint32_t command;       /* that failed, or 0 */
    uint32_t response_code; /* as the TPM gave it */
    uint32_t pcrs;          /* a bit for each */
};

/* The transport is borrowed until fini, which wipes. Any level. */
void vck_tpm_init(struct vck_tpm *tpm, struct vck_tpm_transport *transport);
void vck_tpm_fini(struct vck_tpm *tpm);

/* Why the last call failed, in words without a full stop. Any level. */
void vck_tpm_explain(const struct vck_tpm *tpm, char ret_text[VCK_TPM_TEXT_BYTES]);

/* The PCRs in a mask as "7, 12". Any level. */
void vck_tpm_pcrs_text(uint32_t pcrs, char *ret_text, size_t capacity_bytes);

/* What a secret is sealed to. */
struct vck_tpm_policy {
    uint32_t pcrs; /* a bit for each; at least one */
    bool has_pin;
    uint8_t values[VCK_TPM_PCRS][VCK_TPM_DIGEST_BYTES]; /* of the SHA-256 bank, of those in pcrs */
};

/* The values of the PCRs in policy->pcrs now, into policy->values. PASSIVE, may wait. */
VCK_CHECKED vck_status vck_tpm_read_pcrs(struct vck_tpm *tpm, struct vck_tpm_policy *policy);

/* The value that one extension gives a PCR that nothing has extended before. Any level. */
void vck_tpm_extend_once(struct vck_bytes measured, uint8_t ret_value[VCK_TPM_DIGEST_BYTES]);

/* Seals the secret; the result, for the slot, into payload[VCK_TPM_SEALED_BYTES]. The PIN counts
 * only where the policy has one, and is then 1 byte at least. INVALID_DATA: no PCRs, or no PIN;
 * CRYPTO_FAILED; otherwise as the faults. PASSIVE, may wait. */
VCK_CHECKED vck_status vck_tpm_seal(struct vck_tpm *tpm, const struct vck_tpm_policy *policy,
                                    struct vck_bytes pin,
                                    const uint8_t secret[VCK_TPM_SECRET_BYTES], uint8_t *payload,
                                    size_t *ret_size_bytes);

/* Whether the TPM would give the secret out, as far as can be said without a PIN: it is the one
 * that sealed it, and the PCRs have their values. Before somebody is asked for the PIN.
 * INVALID_DATA, UNSUPPORTED (with no fault): as policy_of; otherwise as the faults. PASSIVE, may
 * wait. */
VCK_CHECKED vck_status vck_tpm_check(struct vck_tpm *tpm, struct vck_bytes payload);

/* The secret. Errors as of check. Wipe *ret_secret. PASSIVE, may wait. */
VCK_CHECKED vck_status vck_tpm_unseal(struct vck_tpm *tpm, struct vck_bytes payload,
                                      struct vck_bytes pin,
                                      uint8_t ret_secret[VCK_TPM_SECRET_BYTES]);

/* What a payload is sealed to. INVALID_DATA: it is none; UNSUPPORTED: in a way that is not known
 * here. Any level. */
VCK_CHECKED vck_status vck_tpm_policy_of(struct vck_bytes payload,
                                         struct vck_tpm_policy *ret_policy);

VCK_END_DECLS

#endif
