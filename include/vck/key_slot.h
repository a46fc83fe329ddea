/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_slot: a volume master key wrapped under a secret of somebody's: a passphrase, a key file, a
 * recovery key, what a TPM has sealed, or what servers help to find. Source: docs/format.md, "Key
 * slots".
 */
#ifndef VCK_KEY_SLOT_H
#define VCK_KEY_SLOT_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/argon2.h"
#include "vck/bytes.h"
#include "vck/key_table.h"
#include "vck/secret.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_KEY_PAYLOAD_BYTES_MAX 4096u
#define VCK_KEY_RECORD_BYTES_MAX  (1200u + VCK_KEY_PAYLOAD_BYTES_MAX) /* of the types made here */
#define VCK_KEY_SECRET_BYTES_MAX  65536u /* of a passphrase or a key file */
#define VCK_KEY_SEALED_BYTES      32u    /* the secret of a slot with a payload */
#define VCK_KEY_RECOVERY_BYTES    16u
#define VCK_KEY_RECOVERY_TEXT     56u /* 48 digits, 7 hyphens, a zero */
#define VCK_KEY_RECOVERY_GROUPS   8u
#define VCK_KEY_MEMORY_KIB_MAX    (4u * 1024 * 1024)
#define VCK_KEY_PASSES_MAX        65536u
#define VCK_KEY_ITERATIONS_MAX    1000000000u

enum vck_key_kdf_kind {
    VCK_KEY_HKDF = 0, /* for secrets that are random already */
    VCK_KEY_ARGON2ID = 1,
    VCK_KEY_PBKDF2 = 2, /* for loaders without memory */
};

struct vck_key_kdf {
    enum vck_key_kdf_kind kind;
    uint32_t passes; /* of Argon2id; iterations of PBKDF2 */
    uint32_t memory_kib;
    uint32_t lanes;
};

/* Who computes Argon2id. The default does it in the calling thread, in memory of the port. */
struct vck_key_stretcher {
    vck_status (*argon2id)(const struct vck_key_stretcher *stretcher,
                           const struct vck_argon2_params *params, struct vck_bytes password,
                           struct vck_bytes salt, uint8_t ret_key[32]);
    void *context;
};

extern const struct vck_key_stretcher vck_key_default_stretcher;

/* Whether readers accept the parameters. Pure. UNSUPPORTED: above what the format allows;
 * INVALID_DATA: below, or fields that the kind does not have. */
VCK_CHECKED vck_status vck_key_kdf_check(const struct vck_key_kdf *kdf);

struct vck_key_slot_spec {
    uint16_t type; /* a vck_key_type */
    uint16_t number;
    uint64_t created_s;
    struct vck_bytes label; /* UTF-8, at most VCK_KEY_LABEL_BYTES */
    struct vck_key_kdf kdf;
    struct vck_bytes payload; /* of VCK_KEY_TPM and VCK_KEY_NETWORK, 1 to VCK_KEY_PAYLOAD_BYTES_MAX;
                                 else empty */
};

/* The slot's record, with a fresh UUID, salt and nonce, in record[VCK_KEY_RECORD_BYTES_MAX].
 * stretcher may be NULL for the default. INVALID_DATA: type, number, label, or a size of secret,
 * payload or VMK; UNSUPPORTED; CRYPTO_FAILED; NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status vck_key_slot_make(const struct vck_key_slot_spec *spec,
                                         const uint8_t volume_id[16], struct vck_bytes secret,
                                         struct vck_bytes vmk,
                                         const struct vck_key_stretcher *stretcher, uint8_t *record,
                                         uint32_t *ret_size_bytes);

/* The VMK in a slot. WRONG_KEY: not with this secret, or the slot was changed; UNSUPPORTED: a type
 * or a KDF that is not known, or parameters above the limits; INVALID_DATA: a slot that is not
 * whole; NO_MEMORY: the KDF asks for more than there is. fini *ret_vmk only on success. PASSIVE. */
VCK_CHECKED vck_status vck_key_slot_open(const struct vck_key_slot *slot,
                                         const uint8_t volume_id[16], struct vck_bytes secret,
                                         const struct vck_key_stretcher *stretcher,
                                         struct vck_secret *ret_vmk);

/* What a slot asks for. UNSUPPORTED, INVALID_DATA as above. Any level. */
VCK_CHECKED vck_status vck_key_slot_kdf(const struct vck_key_slot *slot,
                                        struct vck_key_kdf *ret_kdf);

/* The payload of a slot of a type that has one, borrowed from it. NOT_FOUND: of another type;
 * UNSUPPORTED, INVALID_DATA as above. Any level. */
VCK_CHECKED vck_status vck_key_slot_payload(const struct vck_key_slot *slot,
                                            struct vck_bytes *ret_payload);

/* The recovery key as digits, in groups, and back. Any level. */
void vck_key_recovery_format(const uint8_t key[VCK_KEY_RECOVERY_BYTES],
                             char ret_text[VCK_KEY_RECOVERY_TEXT]);
/* Hyphens and spaces do not count. SIZE_MISMATCH: not 48 digits; INVALID_DATA: something else than
 * digits, or a group that cannot be: *ret_group (from 0) is the first one. */
VCK_CHECKED vck_status vck_key_recovery_parse(struct vck_bytes text,
                                              uint8_t ret_key[VCK_KEY_RECOVERY_BYTES],
                                              uint32_t *ret_group);

VCK_END_DECLS

#endif
