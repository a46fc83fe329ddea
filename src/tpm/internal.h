/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: commands with their sessions, and the payload of a slot. */
#ifndef VCK_TPM_INTERNAL_H
#define VCK_TPM_INTERNAL_H

#include "wire.h"
#include "vck/tpm.h"

#define NONCE_BYTES 32u
#define NAME_BYTES  34u /* the algorithm, then the digest */

enum {
    TPM_ALG_AES = 0x0006,
    TPM_ALG_KEYEDHASH = 0x0008,
    TPM_ALG_XOR = 0x000a,
    TPM_ALG_SHA256 = 0x000b,
    TPM_ALG_NULL = 0x0010,
    TPM_ALG_ECC = 0x0023,
    TPM_ALG_CFB = 0x0043,
    TPM_ECC_NIST_P256 = 0x0003,
};

enum {
    TPM_CC_CREATE_PRIMARY = 0x131,
    TPM_CC_CREATE = 0x153,
    TPM_CC_LOAD = 0x157,
    TPM_CC_UNSEAL = 0x15e,
    TPM_CC_FLUSH_CONTEXT = 0x165,
    TPM_CC_POLICY_AUTH_VALUE = 0x16b,
    TPM_CC_READ_PUBLIC = 0x173,
    TPM_CC_START_AUTH_SESSION = 0x176,
    TPM_CC_PCR_READ = 0x17e,
    TPM_CC_POLICY_PCR = 0x17f,
};

#define TPM_RH_OWNER  0x40000001u
#define TPM_RH_NULL   0x40000007u
#define TPM_RS_PW     0x40000009u
#define TPM_HANDLE_NO 0u /* never one of what is loaded here */

/* Response codes, without the number of what they are about. */
enum {
    TPM_RC_HANDLE = 0x08b,
    TPM_RC_AUTH_FAIL = 0x08e,
    TPM_RC_POLICY_FAIL = 0x09d,
    TPM_RC_INTEGRITY = 0x09f,
    TPM_RC_BAD_AUTH = 0x0a2,
    TPM_RC_PCR_CHANGED = 0x128,
    TPM_RC_LOCKOUT = 0x921,
};

/* ---- call.c ---- */

enum session_attributes {
    SESSION_CONTINUE = 0x01,
    SESSION_DECRYPT = 0x20, /* the command's first parameter is encrypted */
    SESSION_ENCRYPT = 0x40, /* the response's is */
};

/* A session with the TPM. Holds secrets. */
struct session {
    uint32_t handle;
    uint8_t attributes;
    bool is_auth_needed; /* by an HMAC with the authorization value of what is authorized */
    uint8_t key[32 + VCK_TPM_DIGEST_BYTES]; /* the session's, then that value */
    size_t auth_bytes;                      /* of the value */
    uint8_t nonce_caller[NONCE_BYTES];
    uint8_t nonce_tpm[NONCE_BYTES];
};

struct call {
    uint32_t code;
    uint32_t handles[2];
    unsigned handle_count;
    bool is_authorized;      /* the first handle is: by the session, or by an empty password */
    struct session *session; /* NULL: none */
    struct vck_bytes name;   /* of what the first handle is, for a session */
};

/* Begins the parameters of the next call. */
struct writer call_params(struct vck_tpm *tpm);

/* Sends the command with the parameters and, on OK, gives those of the response and its handle, if
 * ret_handle is not NULL. What the TPM answers is in tpm->fault otherwise. The parameters are
 * wiped; those of the response stay until the next call. */
VCK_CHECKED vck_status call_run(struct vck_tpm *tpm, const struct call *call,
                                const struct writer *params, uint32_t *ret_handle,
                                struct reader *ret_params);

/* The same when nothing is to come back but success. */
VCK_CHECKED vck_status call_run_plain(struct vck_tpm *tpm, const struct call *call,
                                      const struct writer *params);

VCK_CHECKED vck_status call_fail(struct vck_tpm *tpm, enum vck_tpm_fault fault, vck_status status);

/* A response code without the number of the parameter, handle or session. */
uint32_t call_base_code(uint32_t response_code);

/* Unloads, if it is TPM_HANDLE_NO does nothing. A failure of it says nothing new. */
void call_flush(struct vck_tpm *tpm, uint32_t handle);

/* ---- session.c ---- */

/* A loaded key of the TPM's. */
struct primary {
    uint32_t handle;
    bool is_persistent;
    uint8_t name[NAME_BYTES];
    uint8_t point[64];
};

/* Starts a session whose key only this TPM can know. end it in every case. */
VCK_CHECKED vck_status session_start(struct vck_tpm *tpm, const struct primary *primary,
                                     bool is_policy, struct session *session);
void session_end(struct vck_tpm *tpm, struct session *session);

/* The authorization value of a PIN. */
void session_set_pin(struct session *session, struct vck_bytes pin);

/* What a PIN becomes: *ret_size_bytes of ret_value. */
void pin_value(struct vck_bytes pin, uint8_t ret_value[VCK_TPM_DIGEST_BYTES],
               size_t *ret_size_bytes);

/* HMAC of the command or the response with this digest of its parameters. */
void session_hmac(const struct session *session, const uint8_t digest[32], const uint8_t *newer,
                  const uint8_t *older, uint8_t attributes, uint8_t ret_hmac[32]);

/* Encrypts or decrypts a parameter in place. */
void session_obscure(const struct session *session, const uint8_t *newer, const uint8_t *older,
                     uint8_t *data, size_t size_bytes);

/* ---- payload.c ---- */

/* A payload in its parts, borrowed. */
struct sealed {
    struct vck_tpm_policy policy;
    const uint8_t *primary_digest;
    struct vck_bytes public_area;
    struct vck_bytes private_area;
};

VCK_CHECKED vck_status sealed_parse(struct vck_bytes payload, struct sealed *ret_sealed);
/* SIZE_MISMATCH: longer than VCK_TPM_SEALED_BYTES. */
VCK_CHECKED vck_status sealed_format(const struct sealed *sealed, uint8_t *payload,
                                     size_t *ret_size_bytes);

/* A selection of PCRs of the SHA-256 bank as it is marshalled. */
void put_pcrs(struct writer *w, uint32_t pcrs);

/* The digest of the PCRs' values, and of the whole policy. */
void policy_values_digest(const struct vck_tpm_policy *policy, uint8_t ret_digest[32]);
void policy_digest(const struct vck_tpm_policy *policy, uint8_t ret_digest[32]);

/* ---- primary.c ---- */

/* The storage key; with a digest, the one that has it. unload in every case. */
VCK_CHECKED vck_status primary_load(struct vck_tpm *tpm, const uint8_t *wanted_digest,
                                    struct primary *primary);
void primary_unload(struct vck_tpm *tpm, struct primary *primary);

#endif
