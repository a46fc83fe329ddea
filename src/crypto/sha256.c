/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/sha256.h"
#include "internal.h"
#include "vck/bytes.h"
#include "vck/cpu.h"
#include "vck/secret.h"

const uint32_t vck_sha256_round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate_right(uint32_t v, unsigned bits)
{
    return v >> bits | v << (32 - bits);
}

static void expand_message(uint32_t w[64], const uint8_t *block)
{
    for (unsigned i = 0; i < 16; i++)
        w[i] = vck_load_be32(block + 4 * i);
    for (unsigned i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        uint32_t s0 = rotate_right(a, 7) ^ rotate_right(a, 18) ^ a >> 3;
        uint32_t s1 = rotate_right(b, 17) ^ rotate_right(b, 19) ^ b >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
}

static void compress_block(uint32_t state[8], const uint32_t w[64])
{
    uint32_t s[8];
    memcpy(s, state, sizeof(s));
    for (unsigned i = 0; i < 64; i++) {
        uint32_t a = s[0], e = s[4];
        uint32_t sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        uint32_t choice = s[6] ^ (e & (s[5] ^ s[6]));
        uint32_t t1 = s[7] + sum1 + choice + vck_sha256_round_constants[i] + w[i];
        uint32_t sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        uint32_t majority = (a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]);
        memmove(s + 1, s, 7 * sizeof(s[0]));
        s[4] += t1;
        s[0] = t1 + sum0 + majority;
    }
    for (unsigned i = 0; i < 8; i++)
        state[i] += s[i];
    vck_wipe(s, sizeof(s));
}

void vck_sha256_compress_portable(uint32_t state[8], const uint8_t *blocks, size_t block_count)
{
    uint32_t w[64];
    for (; block_count > 0; block_count--) {
        expand_message(w, blocks);
        compress_block(state, w);
        blocks += VCK_SHA256_BLOCK_BYTES;
    }
    vck_wipe(w, sizeof(w));
}

static void compress(struct vck_sha256 *sha, const uint8_t *blocks, size_t block_count)
{
#if VCK_CRYPTO_X86
    if (sha->impl == VCK_SHA256_SHANI) {
        vck_sha256_compress_shani(sha->state, blocks, block_count);
        return;
    }
#endif
    vck_sha256_compress_portable(sha->state, blocks, block_count);
}

bool vck_sha256_impl_available(enum vck_sha256_impl impl)
{
    switch (impl) {
    case VCK_SHA256_AUTO:
    case VCK_SHA256_PORTABLE:
        return true;
    case VCK_SHA256_SHANI:
        return (vck_cpu_features() & VCK_CPU_SHA) != 0;
    }
    return false;
}

vck_status vck_sha256_init_with(struct vck_sha256 *sha, enum vck_sha256_impl impl)
{
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    if (!vck_sha256_impl_available(impl))
        return VCK_UNSUPPORTED;
    if (impl == VCK_SHA256_AUTO)
        impl = vck_sha256_impl_available(VCK_SHA256_SHANI) ? VCK_SHA256_SHANI : VCK_SHA256_PORTABLE;
    memcpy(sha->state, initial, sizeof(sha->state));
    sha->total_bytes = 0;
    sha->impl = impl;
    return VCK_OK;
}

void vck_sha256_init(struct vck_sha256 *sha)
{
    vck_status status = vck_sha256_init_with(sha, VCK_SHA256_AUTO);
    (void)status; /* AUTO is always available */
}

void vck_sha256_update(struct vck_sha256 *sha, const void *data, size_t size_bytes)
{
    const uint8_t *in = data;
    size_t filled = sha->total_bytes % VCK_SHA256_BLOCK_BYTES;

    if (size_bytes == 0)
        return;
    sha->total_bytes += size_bytes;
    if (filled > 0) {
        size_t count = VCK_MIN(size_bytes, VCK_SHA256_BLOCK_BYTES - filled);
        memcpy(sha->block + filled, in, count);
        in += count;
        size_bytes -= count;
        if (filled + count < VCK_SHA256_BLOCK_BYTES)
            return;
        compress(sha, sha->block, 1);
    }
    size_t blocks = size_bytes / VCK_SHA256_BLOCK_BYTES;
    if (blocks > 0)
        compress(sha, in, blocks);
    memcpy(sha->block, in + blocks * VCK_SHA256_BLOCK_BYTES, size_bytes % VCK_SHA256_BLOCK_BYTES);
}

void vck_sha256_final(struct vck_sha256 *sha, uint8_t ret_digest[VCK_SHA256_BYTES])
{
    size_t filled = sha->total_bytes % VCK_SHA256_BLOCK_BYTES;
    sha->block[filled++] = 0x80;
    if (filled > VCK_SHA256_BLOCK_BYTES - 8) {
        memset(sha->block + filled, 0, VCK_SHA256_BLOCK_BYTES - filled);
        compress(sha, sha->block, 1);
        filled = 0;
    }
    memset(sha->block + filled, 0, VCK_SHA256_BLOCK_BYTES - 8 - filled);
    vck_store_be64(sha->block + VCK_SHA256_BLOCK_BYTES - 8, sha->total_bytes * 8);
    compress(sha, sha->block, 1);
    for (unsigned i = 0; i < 8; i++)
        vck_store_be32(ret_digest + 4 * i, sha->state[i]);
    vck_wipe(sha, sizeof(*sha));
}

void vck_sha256(const void *data, size_t size_bytes, uint8_t ret_digest[VCK_SHA256_BYTES])
{
    struct vck_sha256 sha;
    vck_sha256_init(&sha);
    vck_sha256_update(&sha, data, size_bytes);
    vck_sha256_final(&sha, ret_digest);
}
