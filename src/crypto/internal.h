/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal: what the files of this room share: the table of AES implementations and the compression
 * functions of SHA-256. Each implementation carries its instruction set as function attributes, so
 * that one set of compiler flags serves every build.
 */
#ifndef VCK_CRYPTO_INTERNAL_H
#define VCK_CRYPTO_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include "vck/aes.h"
#include "vck/sha256.h"
#include "vck/siphash.h"

#if defined(__x86_64__)
#define VCK_CRYPTO_X86 1
#else
#define VCK_CRYPTO_X86 0
#endif

/* XTS kernels work on units: 32 consecutive blocks of one sector. */
#define VCK_XTS_UNIT_BYTES 512u

/* How far ahead of the unit at work the kernels ask for memory to write to. */
#define VCK_XTS_PREFETCH_BYTES 2048u

/* A run of sectors of a whole number of units. */
struct vck_xts_run {
    const uint8_t *keys; /* schedule of the data key in the run's direction, 16-byte aligned */
    uint8_t *dst;
    const uint8_t *src;
    size_t sector_count; /* 1 or more */
    size_t units_per_sector;
    const uint8_t *dst_end; /* of the whole buffer, of which this run may be the beginning */
    const uint8_t *tweaks;  /* encrypted tweak of each sector's first block, 16-byte aligned */
};

/* Where to prefetch from `dst` on: never behind the buffer, whose neighbours may be another
 * processor's. */
static inline const uint8_t *vck_xts_ahead(const struct vck_xts_run *run, const uint8_t *dst)
{
    size_t left_bytes = (size_t)(run->dst_end - dst);
    return left_bytes >= VCK_XTS_PREFETCH_BYTES + VCK_XTS_UNIT_BYTES ? dst + VCK_XTS_PREFETCH_BYTES
                                                                     : dst;
}

struct vck_aes_ops {
    uint32_t features; /* set of vck_cpu_feature it needs */
    void (*expand)(struct vck_aes256 *aes, const uint8_t key[VCK_AES256_KEY_BYTES]);
    void (*encrypt)(const uint8_t *keys, uint8_t *dst, const uint8_t *src, size_t block_count);
    void (*decrypt)(const uint8_t *keys, uint8_t *dst, const uint8_t *src, size_t block_count);
    void (*xts_encrypt)(const struct vck_xts_run *run);
    void (*xts_decrypt)(const struct vck_xts_run *run);
};

extern const struct vck_aes_ops vck_aes_portable;
#if VCK_CRYPTO_X86
extern const struct vck_aes_ops vck_aes_aesni;
extern const struct vck_aes_ops vck_aes_vaes256;
extern const struct vck_aes_ops vck_aes_vaes512;

/* Shared by the implementations that need AES-NI anyway. */
void vck_aesni_expand(struct vck_aes256 *aes, const uint8_t key[VCK_AES256_KEY_BYTES]);
void vck_aesni_encrypt(const uint8_t *keys, uint8_t *dst, const uint8_t *src, size_t block_count);
void vck_aesni_decrypt(const uint8_t *keys, uint8_t *dst, const uint8_t *src, size_t block_count);
#endif

/* The operations of an available implementation, AUTO resolved; never NULL. */
const struct vck_aes_ops *vck_aes_ops_get(enum vck_aes_impl impl);
/* AUTO becomes the fastest available, the others stay. */
enum vck_aes_impl vck_aes_impl_resolve(enum vck_aes_impl impl);

/* Mixes block_count 64-byte blocks into state. */
void vck_sha256_compress_portable(uint32_t state[8], const uint8_t *blocks, size_t block_count);
#if VCK_CRYPTO_X86
void vck_sha256_compress_shani(uint32_t state[8], const uint8_t *blocks, size_t block_count);
#endif
extern const uint32_t vck_sha256_round_constants[64];

/* Chunks side by side; chunk_count is a multiple of the implementation's lanes. */
struct vck_siphash_run {
    uint64_t state[4]; /* keyed, before the first word */
    const uint8_t *data;
    uint32_t chunk_size_bytes;
    size_t chunk_count;
    uint64_t first_offset_bytes;
    uint8_t *ret_tags;
    size_t tag_stride_bytes;
};
#if VCK_CRYPTO_X86
#define VCK_SIPHASH_AVX2_LANES   4u
#define VCK_SIPHASH_AVX512_LANES 16u
void vck_siphash24_run_avx2(const struct vck_siphash_run *run);
void vck_siphash24_run_avx512(const struct vck_siphash_run *run);
#endif

#endif
