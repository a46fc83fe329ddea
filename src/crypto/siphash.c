/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/siphash.h"
#include "internal.h"
#include "port/port.h"
#include "vck/bytes.h"
#include "vck/cpu.h"
#include "vck/secret.h"

static uint64_t rotate_left(uint64_t v, unsigned bits)
{
    return v << bits | v >> (64 - bits);
}

/* By value and in single words, so that the whole state stays in registers. */
struct state {
    uint64_t v0, v1, v2, v3;
};

static inline struct state round_once(struct state s)
{
    s.v0 += s.v1;
    s.v2 += s.v3;
    s.v1 = rotate_left(s.v1, 13) ^ s.v0;
    s.v3 = rotate_left(s.v3, 16) ^ s.v2;
    s.v0 = rotate_left(s.v0, 32);
    s.v2 += s.v1;
    s.v0 += s.v3;
    s.v1 = rotate_left(s.v1, 17) ^ s.v2;
    s.v3 = rotate_left(s.v3, 21) ^ s.v0;
    s.v2 = rotate_left(s.v2, 32);
    return s;
}

static inline struct state mix(struct state s, uint64_t word)
{
    s.v3 ^= word;
    s = round_once(round_once(s));
    s.v0 ^= word;
    return s;
}

static inline uint64_t finish(struct state s)
{
    s.v2 ^= 0xff;
    s = round_once(round_once(round_once(round_once(s))));
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static inline struct state start(const uint8_t key[VCK_SIPHASH_KEY_BYTES])
{
    uint64_t k0 = vck_load_le64(key), k1 = vck_load_le64(key + 8);
    return (struct state){k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                          k1 ^ 0x7465646279746573};
}

uint64_t vck_siphash24(const uint8_t key[VCK_SIPHASH_KEY_BYTES], const void *data,
                       size_t size_bytes)
{
    const uint8_t *in = data;
    size_t rest = size_bytes % 8;
    uint64_t last = (uint64_t)size_bytes << 56;
    struct state s = start(key);

    for (size_t words = size_bytes / 8; words > 0; words--) {
        s = mix(s, vck_load_le64(in));
        in += 8;
    }
    for (size_t i = 0; i < rest; i++)
        last |= (uint64_t)in[i] << (8 * i);
    return finish(mix(s, last));
}

static void run_portable(const struct vck_siphash_run *run)
{
    const uint8_t *in = run->data;
    const struct state keyed = {run->state[0], run->state[1], run->state[2], run->state[3]};
    uint64_t length = (uint64_t)run->chunk_size_bytes + 8;
    for (size_t chunk = 0; chunk < run->chunk_count; chunk++) {
        struct state s = mix(keyed, run->first_offset_bytes + chunk * run->chunk_size_bytes);
        for (uint32_t at = 0; at < run->chunk_size_bytes; at += 8)
            s = mix(s, vck_load_le64(in + at));
        vck_store_le64(run->ret_tags + chunk * run->tag_stride_bytes, finish(mix(s, length << 56)));
        in += run->chunk_size_bytes;
    }
}

bool vck_siphash_impl_available(enum vck_siphash_impl impl)
{
    switch (impl) {
    case VCK_SIPHASH_AUTO:
    case VCK_SIPHASH_PORTABLE:
        return true;
    case VCK_SIPHASH_AVX2:
        return (vck_cpu_features() & VCK_CPU_AVX2) != 0;
    case VCK_SIPHASH_AVX512:
        return (vck_cpu_features() & VCK_CPU_AVX512) != 0;
    }
    return false;
}

#if VCK_CRYPTO_X86
typedef void run_function(const struct vck_siphash_run *run);

/* Runs as many chunks as fill the lanes, and moves *rest past them. */
static void run_lanes(run_function *function, size_t lanes, struct vck_siphash_run *rest)
{
    struct vck_siphash_run run = *rest;
    run.chunk_count -= run.chunk_count % lanes;
    if (run.chunk_count > 0)
        function(&run);
    size_t size_bytes = run.chunk_count * run.chunk_size_bytes;
    rest->data += size_bytes;
    rest->first_offset_bytes += size_bytes;
    rest->ret_tags += run.chunk_count * run.tag_stride_bytes;
    rest->chunk_count -= run.chunk_count;
    vck_wipe(run.state, sizeof(run.state));
}
#endif

vck_status vck_siphash24_chunks_with(enum vck_siphash_impl impl,
                                     const uint8_t key[VCK_SIPHASH_KEY_BYTES], const void *data,
                                     uint32_t chunk_size_bytes, size_t chunk_count,
                                     uint64_t first_offset_bytes, void *ret_tags,
                                     size_t tag_stride_bytes)
{
    VCK_ASSERT(chunk_size_bytes % 16 == 0 && tag_stride_bytes >= VCK_SIPHASH_TAG_BYTES);
    if (!vck_siphash_impl_available(impl))
        return VCK_UNSUPPORTED;
    const struct state keyed = start(key);
    struct vck_siphash_run run = {
        .state = {keyed.v0, keyed.v1, keyed.v2, keyed.v3},
        .data = data,
        .chunk_size_bytes = chunk_size_bytes,
        .chunk_count = chunk_count,
        .first_offset_bytes = first_offset_bytes,
        .ret_tags = ret_tags,
        .tag_stride_bytes = tag_stride_bytes,
    };
#if VCK_CRYPTO_X86
    uint32_t features = vck_cpu_features();
    bool any = impl == VCK_SIPHASH_AUTO;
    if (impl == VCK_SIPHASH_AVX512 || (any && (features & VCK_CPU_AVX512) != 0))
        run_lanes(vck_siphash24_run_avx512, VCK_SIPHASH_AVX512_LANES, &run);
    if (impl == VCK_SIPHASH_AVX2 || (any && (features & VCK_CPU_AVX2) != 0))
        run_lanes(vck_siphash24_run_avx2, VCK_SIPHASH_AVX2_LANES, &run);
#endif
    run_portable(&run);
    vck_wipe(run.state, sizeof(run.state));
    return VCK_OK;
}

void vck_siphash24_chunks(const uint8_t key[VCK_SIPHASH_KEY_BYTES], const void *data,
                          uint32_t chunk_size_bytes, size_t chunk_count,
                          uint64_t first_offset_bytes, void *ret_tags, size_t tag_stride_bytes)
{
    vck_status status =
        vck_siphash24_chunks_with(VCK_SIPHASH_AUTO, key, data, chunk_size_bytes, chunk_count,
                                  first_offset_bytes, ret_tags, tag_stride_bytes);
    (void)status; /* AUTO is always available */
}
