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

static void round_once(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] = rotate_left(v[2], 32);
}

static void mix(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    round_once(v);
    round_once(v);
    v[0] ^= word;
}

static uint64_t finish(uint64_t v[4])
{
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 4; i++)
        round_once(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void start(uint64_t v[4], const uint8_t key[VCK_SIPHASH_KEY_BYTES])
{
    uint64_t k0 = vck_load_le64(key), k1 = vck_load_le64(key + 8);
    v[0] = k0 ^ 0x736f6d6570736575;
    v[1] = k1 ^ 0x646f72616e646f6d;
    v[2] = k0 ^ 0x6c7967656e657261;
    v[3] = k1 ^ 0x7465646279746573;
}

uint64_t vck_siphash24(const uint8_t key[VCK_SIPHASH_KEY_BYTES], const void *data,
                       size_t size_bytes)
{
    const uint8_t *in = data;
    size_t words = size_bytes / 8, rest = size_bytes % 8;
    uint64_t last = (uint64_t)size_bytes << 56;
    uint64_t v[4];

    start(v, key);
    for (; words > 0; words--) {
        mix(v, vck_load_le64(in));
        in += 8;
    }
    for (size_t i = 0; i < rest; i++)
        last |= (uint64_t)in[i] << (8 * i);
    mix(v, last);
    return finish(v);
}

static void run_portable(const struct vck_siphash_run *run)
{
    const uint8_t *in = run->data;
    uint64_t length = (uint64_t)run->chunk_size_bytes + 8;
    for (size_t chunk = 0; chunk < run->chunk_count; chunk++) {
        uint64_t v[4];
        memcpy(v, run->state, sizeof(v));
        mix(v, run->first_offset_bytes + chunk * run->chunk_size_bytes);
        for (uint32_t at = 0; at < run->chunk_size_bytes; at += 8)
            mix(v, vck_load_le64(in + at));
        mix(v, length << 56);
        vck_store_le64(run->ret_tags + chunk * run->tag_stride_bytes, finish(v));
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
    struct vck_siphash_run run = {
        .data = data,
        .chunk_size_bytes = chunk_size_bytes,
        .chunk_count = chunk_count,
        .first_offset_bytes = first_offset_bytes,
        .ret_tags = ret_tags,
        .tag_stride_bytes = tag_stride_bytes,
    };
    start(run.state, key);
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
