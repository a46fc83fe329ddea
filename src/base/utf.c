/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/utf.h"

/* Takes the first character of text. Its size in bytes, 0 when it is not valid. */
static size_t take_utf8(struct vck_bytes text, uint32_t *ret_character)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = text.data[0];
    if (lead < 0x80) {
        *ret_character = lead;
        return 1;
    }
    size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size_bytes < size)
        return 0;
    uint32_t character = lead & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((text.data[i] & 0xC0) != 0x80)
            return 0;
        character = character << 6 | (text.data[i] & 0x3Fu);
    }
    bool is_surrogate = character >= 0xD800 && character < 0xE000;
    if (character < smallest[size] || character > 0x10FFFF || is_surrogate)
        return 0;
    *ret_character = character;
    return size;
}

/* Takes the first character of text. Its size in bytes, 0 when it is not valid. */
static size_t take_utf16le(struct vck_bytes text, uint32_t *ret_character)
{
    if (text.size_bytes < 2)
        return 0;
    uint32_t first = vck_load_le16(text.data);
    if (first < 0xD800 || first >= 0xE000) {
        *ret_character = first;
        return 2;
    }
    if (first >= 0xDC00 || text.size_bytes < 4)
        return 0;
    uint32_t second = vck_load_le16(text.data + 2);
    if (second < 0xDC00 || second >= 0xE000)
        return 0;
    *ret_character = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    return 4;
}

static size_t encode_utf8(uint32_t character, uint8_t encoded[4])
{
    if (character < 0x80) {
        encoded[0] = (uint8_t)character;
        return 1;
    }
    size_t size = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        encoded[i] = (uint8_t)(0x80 | (character & 0x3F));
        character >>= 6;
    }
    encoded[0] = (uint8_t)((0xF00u >> size & 0xFF) | character);
    return size;
}

static size_t encode_utf16le(uint32_t character, uint8_t encoded[4])
{
    if (character < 0x10000) {
        vck_store_le16(encoded, (uint16_t)character);
        return 2;
    }
    character -= 0x10000;
    vck_store_le16(encoded, (uint16_t)(0xD800 + (character >> 10)));
    vck_store_le16(encoded + 2, (uint16_t)(0xDC00 + (character & 0x3FF)));
    return 4;
}

bool vck_utf8_is_valid(struct vck_bytes text)
{
    while (text.size_bytes > 0) {
        uint32_t character;
        size_t taken = take_utf8(text, &character);
        if (taken == 0)
            return false;
        text.data += taken;
        text.size_bytes -= taken;
    }
    return true;
}

static vck_status convert(struct vck_bytes text, size_t (*take)(struct vck_bytes, uint32_t *),
                          size_t (*encode)(uint32_t, uint8_t *), uint8_t *out,
                          size_t capacity_bytes, size_t *ret_size_bytes)
{
    size_t used = 0;
    while (text.size_bytes > 0) {
        uint32_t character;
        uint8_t encoded[4];
        size_t taken = take(text, &character);
        if (taken == 0)
            return VCK_INVALID_DATA;
        size_t size = encode(character, encoded);
        if (size > capacity_bytes - used)
            return VCK_SIZE_MISMATCH;
        memcpy(out + used, encoded, size);
        used += size;
        text.data += taken;
        text.size_bytes -= taken;
    }
    *ret_size_bytes = used;
    return VCK_OK;
}

vck_status vck_utf8_to_utf16le(struct vck_bytes text, uint8_t *out, size_t capacity_bytes,
                               size_t *ret_size_bytes)
{
    return convert(text, take_utf8, encode_utf16le, out, capacity_bytes, ret_size_bytes);
}

vck_status vck_utf16le_to_utf8(struct vck_bytes text, uint8_t *out, size_t capacity_bytes,
                               size_t *ret_size_bytes)
{
    return convert(text, take_utf16le, encode_utf8, out, capacity_bytes, ret_size_bytes);
}
