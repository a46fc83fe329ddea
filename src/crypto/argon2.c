/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/argon2.h"
#include "argon2_internal.h"
#include "vck/blake2b.h"
#include "vck/cpu.h"
#include "vck/secret.h"

#define VERSION    0x13u
#define TYPE_ID    2u
#define SLICES     4u
#define HASH_BYTES 64u
#define HALF_BYTES 32u
#define ADDRESSES  VCK_ARGON2_BLOCK_WORDS
#define OUT_MIN    4u
#define SALT_MIN   8u
#define LANE_MIN   (2 * SLICES)

_Static_assert(sizeof(size_t) >= 8, "the largest memory_kib has a size in bytes");

/* In the caller's memory, before the blocks, since a kernel's stack has no room for it. */
struct scratch {
    struct vck_argon2_block work[2];
    struct vck_argon2_block zero, input, addresses;
};

struct argon2 {
    vck_argon2_fill *fill;
    struct scratch *scratch;
    struct vck_argon2_block *blocks; /* lane by lane */
    uint32_t lanes, lane_blocks, segment_blocks, passes, memory_kib;
};

/* Where the computation is. */
struct place {
    uint32_t pass, slice, lane, index; /* of the block in its segment */
};

/* ---- hashing ---- */

static void hash_u32(struct vck_blake2b *hash, uint32_t value)
{
    uint8_t bytes[4];
    vck_store_le32(bytes, value);
    vck_blake2b_update(hash, bytes, sizeof(bytes));
}

static void hash_sized(struct vck_blake2b *hash, struct vck_bytes data)
{
    hash_u32(hash, (uint32_t)data.size_bytes);
    vck_blake2b_update(hash, data.data, data.size_bytes);
}

/* The hash of any length: halves of a chain of hashes, then what is left in one piece. */
static void hash_long(uint8_t *out, uint32_t out_size_bytes, const void *data, size_t size_bytes)
{
    struct vck_blake2b hash;
    uint8_t link[HASH_BYTES];
    vck_blake2b_init(&hash, VCK_MIN(out_size_bytes, HASH_BYTES));
    hash_u32(&hash, out_size_bytes);
    vck_blake2b_update(&hash, data, size_bytes);
    vck_blake2b_final(&hash, link);
    while (out_size_bytes > HASH_BYTES) {
        memcpy(out, link, HALF_BYTES);
        out += HALF_BYTES;
        out_size_bytes -= HALF_BYTES;
        vck_blake2b_init(&hash, VCK_MIN(out_size_bytes, HASH_BYTES));
        vck_blake2b_update(&hash, link, HASH_BYTES);
        vck_blake2b_final(&hash, link);
    }
    memcpy(out, link, out_size_bytes);
    vck_wipe(link, sizeof(link));
}

struct inputs {
    struct vck_bytes password, salt, secret, associated;
    uint32_t out_size_bytes;
};

/* The two first blocks of each lane. */
static void begin_lanes(const struct argon2 *a, const struct inputs *in)
{
    struct vck_blake2b hash;
    uint8_t seed[HASH_BYTES + 8];
    vck_blake2b_init(&hash, HASH_BYTES);
    hash_u32(&hash, a->lanes);
    hash_u32(&hash, in->out_size_bytes);
    hash_u32(&hash, a->memory_kib);
    hash_u32(&hash, a->passes);
    hash_u32(&hash, VERSION);
    hash_u32(&hash, TYPE_ID);
    hash_sized(&hash, in->password);
    hash_sized(&hash, in->salt);
    hash_sized(&hash, in->secret);
    hash_sized(&hash, in->associated);
    vck_blake2b_final(&hash, seed);
    for (uint32_t lane = 0; lane < a->lanes; lane++) {
        for (uint32_t i = 0; i < 2; i++) {
            uint64_t *words = a->blocks[(size_t)lane * a->lane_blocks + i].words;
            vck_store_le32(seed + HASH_BYTES, i);
            vck_store_le32(seed + HASH_BYTES + 4, lane);
            hash_long((uint8_t *)words, VCK_ARGON2_BLOCK_BYTES, seed, sizeof(seed));
            for (size_t w = 0; w < VCK_ARGON2_BLOCK_WORDS; w++)
                words[w] = VCK_LE64(words[w]);
        }
    }
    vck_wipe(seed, sizeof(seed));
}

static void finish(const struct argon2 *a, uint8_t *out, uint32_t out_size_bytes)
{
    uint64_t *sum = a->scratch->work[0].words;
    memset(sum, 0, VCK_ARGON2_BLOCK_BYTES);
    for (uint32_t lane = 0; lane < a->lanes; lane++)
        for (size_t w = 0; w < VCK_ARGON2_BLOCK_WORDS; w++)
            sum[w] ^= a->blocks[((size_t)lane + 1) * a->lane_blocks - 1].words[w];
    for (size_t w = 0; w < VCK_ARGON2_BLOCK_WORDS; w++)
        sum[w] = VCK_LE64(sum[w]);
    hash_long(out, out_size_bytes, sum, VCK_ARGON2_BLOCK_BYTES);
}

/* ---- which block goes in ---- */

static bool is_independent(const struct place *at)
{
    return at->pass == 0 && at->slice < SLICES / 2;
}

/* The next pseudo-random words that do not depend on the password. */
static void next_addresses(const struct argon2 *a)
{
    struct scratch *s = a->scratch;
    s->input.words[6]++;
    a->fill(&s->addresses, &s->zero, &s->input, false, s->work);
    a->fill(&s->addresses, &s->zero, &s->addresses, false, s->work);
}

static void begin_addresses(const struct argon2 *a, const struct place *at)
{
    struct scratch *s = a->scratch;
    memset(&s->zero, 0, sizeof(s->zero));
    memset(&s->input, 0, sizeof(s->input));
    s->input.words[0] = at->pass;
    s->input.words[1] = at->lane;
    s->input.words[2] = at->slice;
    s->input.words[3] = (uint64_t)a->lanes * a->lane_blocks;
    s->input.words[4] = a->passes;
    s->input.words[5] = TYPE_ID;
    next_addresses(a);
}

/* How many blocks of the lane may be taken. */
static uint32_t choice(const struct argon2 *a, const struct place *at, bool is_same_lane)
{
    uint32_t finished =
        at->pass == 0 ? at->slice * a->segment_blocks : a->lane_blocks - a->segment_blocks;
    if (is_same_lane)
        return finished + at->index - 1;
    return finished - (at->index == 0 ? 1 : 0);
}

static const struct vck_argon2_block *pick(const struct argon2 *a, const struct place *at,
                                           uint64_t random)
{
    uint32_t lane = (uint32_t)(random >> 32) % a->lanes;
    if (at->pass == 0 && at->slice == 0)
        lane = at->lane;
    uint32_t count = choice(a, at, lane == at->lane);
    uint64_t low = (uint32_t)random;
    uint64_t back = (uint64_t)count * (low * low >> 32) >> 32;
    uint32_t start = at->pass == 0 ? 0 : (at->slice + 1) % SLICES * a->segment_blocks;
    uint32_t index = (uint32_t)((start + (uint64_t)count - 1 - back) % a->lane_blocks);
    return &a->blocks[(size_t)lane * a->lane_blocks + index];
}

/* ---- filling ---- */

static void fill_segment(const struct argon2 *a, struct place *at)
{
    struct vck_argon2_block *lane = a->blocks + (size_t)at->lane * a->lane_blocks;
    uint32_t position = at->slice * a->segment_blocks;
    bool is_fixed = is_independent(at);
    if (is_fixed)
        begin_addresses(a, at);
    at->index = at->pass == 0 && at->slice == 0 ? 2 : 0;
    for (; at->index < a->segment_blocks; at->index++) {
        uint32_t now = position + at->index;
        const struct vck_argon2_block *before = &lane[now > 0 ? now - 1 : a->lane_blocks - 1];
        if (is_fixed && at->index > 0 && at->index % ADDRESSES == 0)
            next_addresses(a);
        uint64_t random =
            is_fixed ? a->scratch->addresses.words[at->index % ADDRESSES] : before->words[0];
        a->fill(&lane[now], before, pick(a, at, random), at->pass > 0, a->scratch->work);
    }
}

static void fill_all(const struct argon2 *a)
{
    struct place at;
    for (at.pass = 0; at.pass < a->passes; at.pass++)
        for (at.slice = 0; at.slice < SLICES; at.slice++)
            for (at.lane = 0; at.lane < a->lanes; at.lane++)
                fill_segment(a, &at);
}

/* ---- the call ---- */

bool vck_argon2_impl_available(enum vck_argon2_impl impl)
{
    switch (impl) {
    case VCK_ARGON2_AUTO:
    case VCK_ARGON2_PORTABLE:
        return true;
    case VCK_ARGON2_SSE2:
        return VCK_CRYPTO_X86 != 0;
    case VCK_ARGON2_AVX2:
        return (vck_cpu_features() & VCK_CPU_AVX2) != 0;
    }
    return false;
}

static vck_argon2_fill *fill_of(enum vck_argon2_impl impl)
{
#if VCK_CRYPTO_X86
    bool is_auto = impl == VCK_ARGON2_AUTO;
    if (impl == VCK_ARGON2_AVX2 || (is_auto && vck_argon2_impl_available(VCK_ARGON2_AVX2)))
        return vck_argon2_fill_avx2;
    if (impl == VCK_ARGON2_SSE2 || is_auto)
        return vck_argon2_fill_sse2;
#else
    (void)impl;
#endif
    return vck_argon2_fill_portable;
}

static bool are_params_possible(const struct vck_argon2_params *params)
{
    return params->passes > 0 && params->lanes > 0 && params->lanes <= VCK_ARGON2_LANES_MAX &&
           params->memory_kib >= LANE_MIN * params->lanes;
}

static uint32_t lane_blocks(const struct vck_argon2_params *params)
{
    return params->memory_kib / (SLICES * params->lanes) * SLICES;
}

size_t vck_argon2_memory_bytes(const struct vck_argon2_params *params)
{
    if (!are_params_possible(params))
        return 0;
    size_t blocks = (size_t)lane_blocks(params) * params->lanes;
    return sizeof(struct scratch) + blocks * VCK_ARGON2_BLOCK_BYTES;
}

static bool is_size_possible(struct vck_bytes bytes)
{
    return bytes.size_bytes <= UINT32_MAX;
}

vck_status vck_argon2id(const struct vck_argon2_params *params, struct vck_bytes password,
                        struct vck_bytes salt, struct vck_bytes secret, struct vck_bytes associated,
                        enum vck_argon2_impl impl, void *memory, uint8_t *out,
                        size_t out_size_bytes)
{
    struct inputs in = {password, salt, secret, associated, (uint32_t)out_size_bytes};
    if (!are_params_possible(params) || out_size_bytes < OUT_MIN ||
        out_size_bytes > VCK_ARGON2_OUT_BYTES || salt.size_bytes < SALT_MIN ||
        !is_size_possible(password) || !is_size_possible(salt) || !is_size_possible(secret) ||
        !is_size_possible(associated))
        return VCK_INVALID_DATA;
    if (!vck_argon2_impl_available(impl))
        return VCK_UNSUPPORTED;
    struct argon2 a = {
        .fill = fill_of(impl),
        .scratch = memory,
        .blocks = (struct vck_argon2_block *)((uint8_t *)memory + sizeof(struct scratch)),
        .lanes = params->lanes,
        .lane_blocks = lane_blocks(params),
        .segment_blocks = lane_blocks(params) / SLICES,
        .passes = params->passes,
        .memory_kib = params->memory_kib,
    };
    begin_lanes(&a, &in);
    fill_all(&a);
    finish(&a, out, (uint32_t)out_size_bytes);
    vck_wipe(memory, vck_argon2_memory_bytes(params));
    return VCK_OK;
}
