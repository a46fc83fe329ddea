/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that can be checked:
 *
 *     0 header | 14 "VFRM" | 18 kind | 19 0 | 20 session | 28 number | 36 time | 44 size (u16) |
 *     46 bytes that follow from session and number
 *
 * Integers are little-endian.
 */
#include "prot.h"
#include "vck/bytes.h"

#define MAGIC   0x4d524656u
#define BODY_AT 46u
#define STEP    UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 29;
}

/* The byte at i of the body; eight at a time come of one number. */
static void fill(uint8_t *body, size_t size_bytes, uint64_t session, uint64_t number)
{
    uint64_t state = session ^ number * STEP;

    for (size_t i = 0; i < size_bytes; i += 8) {
        uint64_t value = VCK_LE64(mix(state + i));
        memcpy(body + i, &value, VCK_MIN(size_bytes - i, sizeof(value)));
    }
}

void pattern_make(const struct pattern *pattern, const uint8_t to[VCK_FRAME_ADDRESS_BYTES],
                  const uint8_t from[VCK_FRAME_ADDRESS_BYTES], uint16_t ether_type, uint8_t *frame,
                  size_t size_bytes)
{
    memcpy(frame, to, VCK_FRAME_ADDRESS_BYTES);
    memcpy(frame + 6, from, VCK_FRAME_ADDRESS_BYTES);
    vck_store_be16(frame + 12, ether_type);
    vck_store_le32(frame + 14, MAGIC);
    frame[18] = pattern->kind;
    frame[19] = 0;
    vck_store_le64(frame + 20, pattern->session);
    vck_store_le64(frame + 28, pattern->number);
    vck_store_le64(frame + 36, pattern->time_ns);
    vck_store_le16(frame + 44, (uint16_t)size_bytes);
    fill(frame + BODY_AT, size_bytes - BODY_AT, pattern->session, pattern->number);
}

static bool is_body(const uint8_t *body, size_t size_bytes, const struct pattern *pattern)
{
    uint8_t expected[64];

    /* A piece is a multiple of what comes of one number, so that the pieces join. */
    for (size_t i = 0; i < size_bytes; i += sizeof(expected)) {
        size_t piece = VCK_MIN(size_bytes - i, sizeof(expected));
        uint64_t state = pattern->session ^ pattern->number * STEP;
        for (size_t j = 0; j < piece; j += 8) {
            uint64_t value = VCK_LE64(mix(state + i + j));
            memcpy(expected + j, &value, VCK_MIN(piece - j, sizeof(value)));
        }
        if (memcmp(body + i, expected, piece) != 0)
            return false;
    }
    return true;
}

bool pattern_read(const uint8_t *frame, size_t size_bytes, struct pattern *ret_pattern,
                  bool *ret_is_ours)
{
    size_t own_bytes;

    *ret_is_ours = size_bytes >= PATTERN_BYTES_MIN && vck_load_le32(frame + 14) == MAGIC;
    if (!*ret_is_ours)
        return false;
    *ret_pattern = (struct pattern){
        .kind = frame[18],
        .session = vck_load_le64(frame + 20),
        .number = vck_load_le64(frame + 28),
        .time_ns = vck_load_le64(frame + 36),
    };
    own_bytes = vck_load_le16(frame + 44);
    if (own_bytes != size_bytes || frame[19] != 0)
        return false;
    return is_body(frame + BODY_AT, own_bytes - BODY_AT, ret_pattern);
}

uint32_t pattern_size(uint64_t number, uint32_t lowest, uint32_t highest)
{
    return lowest + (uint32_t)(mix(number * STEP) % (highest - lowest + 1u));
}
