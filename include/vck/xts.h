/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xts: AES-256-XTS over runs of sectors. The tweak of a sector is its number as a 128-bit
 * little-endian integer; sectors are whole multiples of 16 bytes, so no ciphertext stealing.
 * Sources: IEEE 1619-2007, NIST SP 800-38E.
 */
#ifndef VCK_XTS_H
#define VCK_XTS_H

#include <stddef.h>
#include <stdint.h>
#include "vck/aes.h"
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_XTS_KEY_BYTES 32u

/* Expanded keys, in the caller's memory; read-only after init, so any number of threads may use one
 * at the same time. Fields are the room's own. Wipe with fini after use; 16-byte alignment is
 * enough, as vck_alloc gives. */
struct vck_xts {
    struct vck_aes256 data;
    VCK_ALIGNAS(16) uint8_t tweak_keys[VCK_AES256_SCHEDULE_BYTES];
};

/* key1 encrypts data, key2 tweaks. INVALID_DATA when they are equal (compared in constant time);
 * *xts is then wiped. Cheap enough for one per burst of requests. Any level. */
VCK_CHECKED vck_status vck_xts_init(struct vck_xts *xts, const uint8_t key1[VCK_XTS_KEY_BYTES],
                                    const uint8_t key2[VCK_XTS_KEY_BYTES]);

/* The same for one implementation. UNSUPPORTED when it cannot run here. */
VCK_CHECKED vck_status vck_xts_init_with(struct vck_xts *xts, const uint8_t key1[VCK_XTS_KEY_BYTES],
                                         const uint8_t key2[VCK_XTS_KEY_BYTES],
                                         enum vck_aes_impl impl);

/* Wipes. Accepts a finished struct. */
void vck_xts_fini(struct vck_xts *xts);

/* A run of whole sectors: size_bytes is a multiple of sector_size_bytes, which is a multiple of 16,
 * or a bug is asserted. dst equals src or does not overlap it; any alignment. Sector numbers wrap
 * at 2^64. Any level. */
void vck_xts_encrypt(const struct vck_xts *xts, void *dst, const void *src, size_t size_bytes,
                     uint32_t sector_size_bytes, uint64_t first_sector);
void vck_xts_decrypt(const struct vck_xts *xts, void *dst, const void *src, size_t size_bytes,
                     uint32_t sector_size_bytes, uint64_t first_sector);

/* A part of one sector, for chunks smaller than a sector: offset and size are multiples of 16 and
 * end within the sector. The parts of a sector together equal the whole. Any level. */
void vck_xts_encrypt_part(const struct vck_xts *xts, void *dst, const void *src, size_t size_bytes,
                          uint32_t sector_size_bytes, uint64_t sector,
                          uint32_t offset_in_sector_bytes);
void vck_xts_decrypt_part(const struct vck_xts *xts, void *dst, const void *src, size_t size_bytes,
                          uint32_t sector_size_bytes, uint64_t sector,
                          uint32_t offset_in_sector_bytes);

VCK_END_DECLS

#endif
