/* SPDX-License-Identifier: Apache-2.0 */
/*
 * argon2: the password hash Argon2id, version 0x13. Memory is the caller's, lanes are computed one
 * after the other in the calling thread. The second half of the first pass and all later passes
 * read memory at places that depend on the password, as the algorithm has it; the first half does
 * not. Source: RFC 9106.
 */
#ifndef VCK_ARGON2_H
#define VCK_ARGON2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_ARGON2_BLOCK_BYTES 1024u
#define VCK_ARGON2_LANES_MAX   64u
#define VCK_ARGON2_OUT_BYTES   64u /* at most */

enum vck_argon2_impl {
    VCK_ARGON2_AUTO,     /* the fastest that is available */
    VCK_ARGON2_PORTABLE, /* any processor */
    VCK_ARGON2_SSE2,     /* two words per instruction */
    VCK_ARGON2_AVX2,     /* four */
};

struct vck_argon2_params {
    uint32_t passes;     /* 1 or more */
    uint32_t memory_kib; /* at least 8 per lane */
    uint32_t lanes;      /* 1 to VCK_ARGON2_LANES_MAX */
};

/* Whether the implementation can run here. Any level. */
bool vck_argon2_impl_available(enum vck_argon2_impl impl);

/* What vck_argon2id needs as `memory`: a little more than memory_kib. 0 when the parameters are out
 * of their domain or the size does not fit. Any level. */
size_t vck_argon2_memory_bytes(const struct vck_argon2_params *params);

/*
 * Hashes password and salt (8 bytes or more) to out_size_bytes (4 to VCK_ARGON2_OUT_BYTES). memory:
 * vck_argon2_memory_bytes of it, aligned to 64 bytes, overwritten and wiped. secret and associated
 * may be empty. INVALID_DATA: a parameter or a size is out of its domain; UNSUPPORTED: impl cannot
 * run here; out is then untouched. Any level, but takes as long as it was asked to.
 */
VCK_CHECKED vck_status vck_argon2id(const struct vck_argon2_params *params,
                                    struct vck_bytes password, struct vck_bytes salt,
                                    struct vck_bytes secret, struct vck_bytes associated,
                                    enum vck_argon2_impl impl, void *memory, uint8_t *out,
                                    size_t out_size_bytes);

VCK_END_DECLS

#endif
