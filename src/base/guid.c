/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/guid.h"

/* Where the text's pairs of digits, in the order they are read, are in memory. */
static const uint8_t memory_index[VCK_GUID_SIZE_BYTES] = {3, 2, 1,  0,  5,  4,  7,  6,
                                                          8, 9, 10, 11, 12, 13, 14, 15};

static bool has_dash_before(size_t pair)
{
    return pair == 4 || pair == 6 || pair == 8 || pair == 10;
}

/* 16 when it is not a hexadecimal digit. */
static unsigned digit_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - (unsigned)'0';
    if (digit >= 'a' && digit <= 'f')
        return digit - (unsigned)'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - (unsigned)'A' + 10;
    return 16;
}

vck_status vck_guid_parse(struct vck_bytes text, struct vck_guid *ret_guid)
{
    const uint8_t *at = text.data;
    struct vck_guid guid;
    if (text.size_bytes == VCK_GUID_TEXT_BYTES - 1 + 2) {
        if (at[0] != '{' || at[text.size_bytes - 1] != '}')
            return VCK_INVALID_DATA;
        at++;
    } else if (text.size_bytes != VCK_GUID_TEXT_BYTES - 1) {
        return VCK_INVALID_DATA;
    }
    for (size_t pair = 0; pair < VCK_GUID_SIZE_BYTES; pair++) {
        if (has_dash_before(pair) && *at++ != '-')
            return VCK_INVALID_DATA;
        unsigned high = digit_value(at[0]), low = digit_value(at[1]);
        if (high > 15 || low > 15)
            return VCK_INVALID_DATA;
        guid.bytes[memory_index[pair]] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    *ret_guid = guid;
    return VCK_OK;
}

void vck_guid_format(const struct vck_guid *guid, char ret_text[VCK_GUID_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    char *at = ret_text;
    for (size_t pair = 0; pair < VCK_GUID_SIZE_BYTES; pair++) {
        uint8_t byte = guid->bytes[memory_index[pair]];
        if (has_dash_before(pair))
            *at++ = '-';
        *at++ = digits[byte >> 4];
        *at++ = digits[byte & 15];
    }
    *at = '\0';
}

bool vck_guid_equal(const struct vck_guid *a, const struct vck_guid *b)
{
    return memcmp(a->bytes, b->bytes, VCK_GUID_SIZE_BYTES) == 0;
}

bool vck_guid_is_zero(const struct vck_guid *guid)
{
    static const struct vck_guid zero;
    return vck_guid_equal(guid, &zero);
}

struct vck_guid vck_guid_from_rfc4122(const uint8_t bytes[VCK_GUID_SIZE_BYTES])
{
    struct vck_guid guid;
    for (size_t i = 0; i < VCK_GUID_SIZE_BYTES; i++)
        guid.bytes[memory_index[i]] = bytes[i];
    return guid;
}

void vck_guid_to_rfc4122(const struct vck_guid *guid, uint8_t ret_bytes[VCK_GUID_SIZE_BYTES])
{
    for (size_t i = 0; i < VCK_GUID_SIZE_BYTES; i++)
        ret_bytes[i] = guid->bytes[memory_index[i]];
}
