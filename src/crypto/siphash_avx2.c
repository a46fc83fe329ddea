/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-2-4 of four chunks side by side. 32 bytes of four rows are loaded and transposed to four
 * words of every lane. Rotations by whole bytes are shuffles.
 */
#include "internal.h"
#include "vck/bytes.h"

#if VCK_CRYPTO_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline)) TARGET

#define LANES     4
#define ROW_BYTES 32u

struct state {
    __m256i v0, v1, v2, v3;
};

#define ROTATE(v, bits)                                                                            \
    _mm256_or_si256(_mm256_slli_epi64((v), (bits)), _mm256_srli_epi64((v), 64 - (bits)))

INLINE __m256i rotate16(__m256i v)
{
    const __m256i order = _mm256_set_epi64x(0x0d0c0b0a09080f0e, 0x0504030201000706,
                                            0x0d0c0b0a09080f0e, 0x0504030201000706);
    return _mm256_shuffle_epi8(v, order);
}

INLINE __m256i rotate32(__m256i v)
{
    return _mm256_shuffle_epi32(v, 0xb1);
}

INLINE void round_once(struct state *s)
{
    s->v0 = _mm256_add_epi64(s->v0, s->v1);
    s->v2 = _mm256_add_epi64(s->v2, s->v3);
    s->v1 = _mm256_xor_si256(ROTATE(s->v1, 13), s->v0);
    s->v3 = _mm256_xor_si256(rotate16(s->v3), s->v2);
    s->v0 = rotate32(s->v0);
    s->v2 = _mm256_add_epi64(s->v2, s->v1);
    s->v0 = _mm256_add_epi64(s->v0, s->v3);
    s->v1 = _mm256_xor_si256(ROTATE(s->v1, 17), s->v2);
    s->v3 = _mm256_xor_si256(ROTATE(s->v3, 21), s->v0);
    s->v2 = rotate32(s->v2);
}

INLINE void mix(struct state *s, __m256i word)
{
    s->v3 = _mm256_xor_si256(s->v3, word);
    round_once(s);
    round_once(s);
    s->v0 = _mm256_xor_si256(s->v0, word);
}

INLINE __m256i load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

/* words[i], lane j: word i of row j. */
INLINE void load_rows(const uint8_t *rows, size_t stride_bytes, __m256i words[LANES])
{
    __m256i r0 = load(rows), r1 = load(rows + stride_bytes);
    __m256i r2 = load(rows + 2 * stride_bytes), r3 = load(rows + 3 * stride_bytes);
    __m256i even01 = _mm256_unpacklo_epi64(r0, r1), odd01 = _mm256_unpackhi_epi64(r0, r1);
    __m256i even23 = _mm256_unpacklo_epi64(r2, r3), odd23 = _mm256_unpackhi_epi64(r2, r3);
    words[0] = _mm256_permute2x128_si256(even01, even23, 0x20);
    words[1] = _mm256_permute2x128_si256(odd01, odd23, 0x20);
    words[2] = _mm256_permute2x128_si256(even01, even23, 0x31);
    words[3] = _mm256_permute2x128_si256(odd01, odd23, 0x31);
}

/* One word of every row. */
INLINE __m256i load_word(const uint8_t *rows, size_t stride_bytes)
{
    uint64_t words[LANES];
    for (size_t i = 0; i < LANES; i++)
        words[i] = vck_load_le64(rows + stride_bytes * i);
    return load(words);
}

INLINE void finish(struct state *s, uint8_t *ret_tags, size_t tag_stride_bytes)
{
    uint64_t tags[LANES];
    s->v2 = _mm256_xor_si256(s->v2, _mm256_set1_epi64x(0xff));
    for (int i = 0; i < 4; i++)
        round_once(s);
    _mm256_storeu_si256((__m256i *)(void *)tags, _mm256_xor_si256(_mm256_xor_si256(s->v0, s->v1),
                                                                  _mm256_xor_si256(s->v2, s->v3)));
    for (size_t i = 0; i < LANES; i++)
        vck_store_le64(ret_tags + i * tag_stride_bytes, tags[i]);
}

/* As much of the next four chunks as is being read of these, in order of address. */
INLINE void prefetch_next(const uint8_t *next, size_t at)
{
    next += LANES * at;
    __builtin_prefetch(next);
    __builtin_prefetch(next + 2 * ROW_BYTES);
}

/* Four chunks from data on; offset_bytes is that of the first. */
INLINE void run_chunks(const struct vck_siphash_run *run, const uint8_t *data,
                       uint64_t offset_bytes, uint8_t *ret_tags)
{
    const size_t size_bytes = run->chunk_size_bytes;
    struct state s = {
        _mm256_set1_epi64x((int64_t)run->state[0]), _mm256_set1_epi64x((int64_t)run->state[1]),
        _mm256_set1_epi64x((int64_t)run->state[2]), _mm256_set1_epi64x((int64_t)run->state[3])};
    uint64_t offsets[LANES];
    for (size_t i = 0; i < LANES; i++)
        offsets[i] = offset_bytes + i * size_bytes;
    mix(&s, load(offsets));

    size_t at = 0;
    for (; at + ROW_BYTES <= size_bytes; at += ROW_BYTES) {
        __m256i words[LANES];
        prefetch_next(data + LANES * size_bytes, at);
        load_rows(data + at, size_bytes, words);
#pragma GCC unroll 4
        for (int i = 0; i < LANES; i++)
            mix(&s, words[i]);
    }
    for (; at < size_bytes; at += 8)
        mix(&s, load_word(data + at, size_bytes));
    mix(&s, _mm256_set1_epi64x((int64_t)((uint64_t)(size_bytes + 8) << 56)));
    finish(&s, ret_tags, run->tag_stride_bytes);
}

TARGET void vck_siphash24_run_avx2(const struct vck_siphash_run *run)
{
    for (size_t chunk = 0; chunk < run->chunk_count; chunk += LANES) {
        size_t at = chunk * run->chunk_size_bytes;
        run_chunks(run, run->data + at, run->first_offset_bytes + at,
                   run->ret_tags + chunk * run->tag_stride_bytes);
    }
}
#endif
