/* SPDX-License-Identifier: Apache-2.0 */
/*
 * siphash: SipHash-2-4, a keyed 64-bit tag; and the tags of many equal chunks at once, which a
 * sweep writes to its journal. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF".
 */
#ifndef VCK_SIPHASH_H
#define VCK_SIPHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_SIPHASH_KEY_BYTES 16u
#define VCK_SIPHASH_TAG_BYTES 8u

enum vck_siphash_impl {
    VCK_SIPHASH_AUTO,     /* the fastest that is available */
    VCK_SIPHASH_PORTABLE, /* one chunk at a time */
    VCK_SIPHASH_AVX2,     /* four chunks side by side */
    VCK_SIPHASH_AVX512,   /* sixteen */
};

bool vck_siphash_impl_available(enum vck_siphash_impl impl);

/* The tag of one range; stored elsewhere as 8 little-endian bytes. Any level. */
uint64_t vck_siphash24(const uint8_t key[VCK_SIPHASH_KEY_BYTES], const void *data,
                       size_t size_bytes);

/* Tags of chunk_count chunks that follow each other in data. The tag of chunk i is over the 8
 * little-endian bytes of first_offset_bytes + i * chunk_size_bytes, then the chunk, and goes as 8
 * little-endian bytes to ret_tags + i * tag_stride_bytes. chunk_size_bytes is a multiple of 16 and
 * tag_stride_bytes at least 8, or a bug is asserted. Any level. */
void vck_siphash24_chunks(const uint8_t key[VCK_SIPHASH_KEY_BYTES], const void *data,
                          uint32_t chunk_size_bytes, size_t chunk_count,
                          uint64_t first_offset_bytes, void *ret_tags, size_t tag_stride_bytes);

/* The same with one implementation. UNSUPPORTED when it cannot run here. */
VCK_CHECKED vck_status vck_siphash24_chunks_with(enum vck_siphash_impl impl,
                                                 const uint8_t key[VCK_SIPHASH_KEY_BYTES],
                                                 const void *data, uint32_t chunk_size_bytes,
                                                 size_t chunk_count, uint64_t first_offset_bytes,
                                                 void *ret_tags, size_t tag_stride_bytes);

VCK_END_DECLS

#endif
