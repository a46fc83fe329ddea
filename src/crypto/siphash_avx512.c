/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-2-4 of sixteen chunks side by side: two states of eight 64-bit lanes, so that one works
 * while the other waits for its own results. Chunks are rows; 64 bytes of eight rows are loaded and
 * transposed to eight words of every lane, which is faster than gathering.
 */
#include "internal.h"
#include "vck/bytes.h"

#if VCK_CRYPTO_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define INLINE static inline __attribute__((always_inline)) TARGET

#define LANES     8
#define ROW_BYTES 64u

struct state {
    __m512i v0, v1, v2, v3;
};

INLINE __m512i swap_halves(__m512i v)
{
    return _mm512_shuffle_epi32(v, _MM_PERM_CDAB);
}

INLINE void round_once(struct state *s)
{
    s->v0 = _mm512_add_epi64(s->v0, s->v1);
    s->v2 = _mm512_add_epi64(s->v2, s->v3);
    s->v1 = _mm512_xor_si512(_mm512_rol_epi64(s->v1, 13), s->v0);
    s->v3 = _mm512_xor_si512(_mm512_rol_epi64(s->v3, 16), s->v2);
    s->v0 = swap_halves(s->v0);
    s->v2 = _mm512_add_epi64(s->v2, s->v1);
    s->v0 = _mm512_add_epi64(s->v0, s->v3);
    s->v1 = _mm512_xor_si512(_mm512_rol_epi64(s->v1, 17), s->v2);
    s->v3 = _mm512_xor_si512(_mm512_rol_epi64(s->v3, 21), s->v0);
    s->v2 = swap_halves(s->v2);
}

INLINE void mix_pair(struct state *a, struct state *b, __m512i word_a, __m512i word_b)
{
    a->v3 = _mm512_xor_si512(a->v3, word_a);
    b->v3 = _mm512_xor_si512(b->v3, word_b);
    round_once(a);
    round_once(b);
    round_once(a);
    round_once(b);
    a->v0 = _mm512_xor_si512(a->v0, word_a);
    b->v0 = _mm512_xor_si512(b->v0, word_b);
}

/* words[i], lane j: word i of row j. */
INLINE void load_rows(const uint8_t *rows, size_t stride_bytes, __m512i words[LANES])
{
    __m512i r[LANES], pairs[LANES], quads[LANES];
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++)
        r[i] = _mm512_loadu_si512(rows + stride_bytes * (size_t)i);
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 2) {
        pairs[i] = _mm512_unpacklo_epi64(r[i], r[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi64(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        quads[i] = _mm512_shuffle_i64x2(pairs[i], pairs[i + 2], 0x88);
        quads[i + 2] = _mm512_shuffle_i64x2(pairs[i], pairs[i + 2], 0xdd);
        quads[i + 4] = _mm512_shuffle_i64x2(pairs[i + 4], pairs[i + 6], 0x88);
        quads[i + 6] = _mm512_shuffle_i64x2(pairs[i + 4], pairs[i + 6], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        words[i] = _mm512_shuffle_i64x2(quads[i], quads[i + 4], 0x88);
        words[i + 4] = _mm512_shuffle_i64x2(quads[i], quads[i + 4], 0xdd);
    }
}

/* One word of every row. */
INLINE __m512i load_word(const uint8_t *rows, size_t stride_bytes)
{
    uint64_t words[LANES];
    for (size_t i = 0; i < LANES; i++)
        words[i] = vck_load_le64(rows + stride_bytes * i);
    return _mm512_loadu_si512(words);
}

INLINE void finish(struct state *s, uint8_t *ret_tags, size_t tag_stride_bytes)
{
    uint64_t tags[LANES];
    s->v2 = _mm512_xor_si512(s->v2, _mm512_set1_epi64(0xff));
    for (int i = 0; i < 4; i++)
        round_once(s);
    _mm512_storeu_si512(
        tags, _mm512_xor_si512(_mm512_xor_si512(s->v0, s->v1), _mm512_xor_si512(s->v2, s->v3)));
    for (size_t i = 0; i < LANES; i++)
        vck_store_le64(ret_tags + i * tag_stride_bytes, tags[i]);
}

/* As much of the next sixteen chunks as is being read of these, in order of address: so many short
 * rows are too much for the processor's own prefetcher. */
INLINE void prefetch_next(const uint8_t *next, size_t at)
{
    next += VCK_SIPHASH_AVX512_LANES * at;
#pragma GCC unroll 16
    for (size_t i = 0; i < VCK_SIPHASH_AVX512_LANES; i++)
        __builtin_prefetch(next + ROW_BYTES * i);
}

/* Sixteen chunks from data on; offset_bytes is that of the first. */
INLINE void run_chunks(const struct vck_siphash_run *run, const uint8_t *data,
                       uint64_t offset_bytes, uint8_t *ret_tags)
{
    const size_t size_bytes = run->chunk_size_bytes;
    const uint8_t *other = data + LANES * size_bytes;
    struct state a = {
        _mm512_set1_epi64((int64_t)run->state[0]), _mm512_set1_epi64((int64_t)run->state[1]),
        _mm512_set1_epi64((int64_t)run->state[2]), _mm512_set1_epi64((int64_t)run->state[3])};
    struct state b = a;
    __m512i steps = _mm512_mullo_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0),
                                       _mm512_set1_epi64((int64_t)size_bytes));
    __m512i offsets = _mm512_add_epi64(_mm512_set1_epi64((int64_t)offset_bytes), steps);
    __m512i half = _mm512_set1_epi64((int64_t)(LANES * size_bytes));
    mix_pair(&a, &b, offsets, _mm512_add_epi64(offsets, half));

    size_t at = 0;
    for (; at + ROW_BYTES <= size_bytes; at += ROW_BYTES) {
        __m512i words_a[LANES], words_b[LANES];
        prefetch_next(data + VCK_SIPHASH_AVX512_LANES * size_bytes, at);
        load_rows(data + at, size_bytes, words_a);
        load_rows(other + at, size_bytes, words_b);
#pragma GCC unroll 8
        for (int i = 0; i < LANES; i++)
            mix_pair(&a, &b, words_a[i], words_b[i]);
    }
    for (; at < size_bytes; at += 8)
        mix_pair(&a, &b, load_word(data + at, size_bytes), load_word(other + at, size_bytes));

    __m512i last = _mm512_set1_epi64((int64_t)((uint64_t)(size_bytes + 8) << 56));
    mix_pair(&a, &b, last, last);
    finish(&a, ret_tags, run->tag_stride_bytes);
    finish(&b, ret_tags + LANES * run->tag_stride_bytes, run->tag_stride_bytes);
}

TARGET void vck_siphash24_run_avx512(const struct vck_siphash_run *run)
{
    for (size_t chunk = 0; chunk < run->chunk_count; chunk += VCK_SIPHASH_AVX512_LANES) {
        size_t at = chunk * run->chunk_size_bytes;
        run_chunks(run, run->data + at, run->first_offset_bytes + at,
                   run->ret_tags + chunk * run->tag_stride_bytes);
    }
}
#endif
