/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aes: the AES-256 block cipher, and the choice of its implementation. Single blocks only; modes
 * are their own concepts (xts, cbc). No implementation branches on secrets or looks them up in a
 * table. Source: FIPS 197.
 */
#ifndef VCK_AES_H
#define VCK_AES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_AES_BLOCK_BYTES       16u
#define VCK_AES256_KEY_BYTES      32u
#define VCK_AES256_ROUNDS         14u
#define VCK_AES256_SCHEDULE_BYTES ((VCK_AES256_ROUNDS + 1) * VCK_AES_BLOCK_BYTES)

enum vck_aes_impl {
    VCK_AES_AUTO,     /* the fastest that is available */
    VCK_AES_PORTABLE, /* bitsliced, any processor */
    VCK_AES_AESNI,    /* one block per instruction */
    VCK_AES_VAES256,  /* two */
    VCK_AES_VAES512,  /* four */
};

/* Whether the implementation can run here. AUTO and PORTABLE always can. Any level. */
bool vck_aes_impl_available(enum vck_aes_impl impl);

/* "auto", "portable", "aesni", "vaes256", "vaes512". Static. */
const char *vck_aes_impl_name(enum vck_aes_impl impl);

/* Expanded keys, in the caller's memory. Fields are the room's own. Wipe with fini after use. */
struct vck_aes256 {
    VCK_ALIGNAS(16) uint8_t encrypt_keys[VCK_AES256_SCHEDULE_BYTES];
    VCK_ALIGNAS(16) uint8_t decrypt_keys[VCK_AES256_SCHEDULE_BYTES];
    enum vck_aes_impl impl;
};

/* Expands the key for the fastest implementation. Any level. */
void vck_aes256_init(struct vck_aes256 *aes, const uint8_t key[VCK_AES256_KEY_BYTES]);

/* The same for one implementation. UNSUPPORTED when it cannot run here. */
VCK_CHECKED vck_status vck_aes256_init_with(struct vck_aes256 *aes,
                                            const uint8_t key[VCK_AES256_KEY_BYTES],
                                            enum vck_aes_impl impl);

/* Wipes. Accepts a finished struct. */
void vck_aes256_fini(struct vck_aes256 *aes);

/* Encrypts or decrypts block_count independent blocks; dst may equal src. Any alignment. */
void vck_aes256_encrypt(const struct vck_aes256 *aes, void *dst, const void *src,
                        size_t block_count);
void vck_aes256_decrypt(const struct vck_aes256 *aes, void *dst, const void *src,
                        size_t block_count);

VCK_END_DECLS

#endif
