/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/key_slot.h"

#define GROUP_DIGITS 6u
#define CHECK        11u

void vck_key_recovery_format(const uint8_t key[VCK_KEY_RECOVERY_BYTES],
                             char ret_text[VCK_KEY_RECOVERY_TEXT])
{
    char *out = ret_text;
    for (uint32_t group = 0; group < VCK_KEY_RECOVERY_GROUPS; group++) {
        uint32_t value = vck_load_le16(key + (size_t)2 * group) * CHECK;
        for (uint32_t digit = GROUP_DIGITS; digit > 0; digit--) {
            out[digit - 1] = (char)('0' + value % 10);
            value /= 10;
        }
        out += GROUP_DIGITS;
        *out++ = '-';
    }
    out[-1] = 0;
}

/* Takes six digits that were read. */
static bool take_group(uint32_t value, uint8_t *ret_piece)
{
    if (value % CHECK != 0 || value / CHECK > UINT16_MAX)
        return false;
    vck_store_le16(ret_piece, (uint16_t)(value / CHECK));
    return true;
}

vck_status vck_key_recovery_parse(struct vck_bytes text, uint8_t ret_key[VCK_KEY_RECOVERY_BYTES],
                                  uint32_t *ret_group)
{
    uint8_t key[VCK_KEY_RECOVERY_BYTES] = {0};
    uint32_t digits = 0, value = 0, first_wrong = VCK_KEY_RECOVERY_GROUPS;
    vck_status status = VCK_OK;
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t c = text.data[i];
        uint32_t group = digits / GROUP_DIGITS;
        if (c == '-' || c == ' ')
            continue;
        if (group == VCK_KEY_RECOVERY_GROUPS) {
            digits++;
            break;
        }
        if (c < '0' || c > '9') {
            first_wrong = VCK_MIN(first_wrong, group);
            break;
        }
        value = value * 10 + (uint32_t)(c - '0');
        if (++digits % GROUP_DIGITS != 0)
            continue;
        if (!take_group(value, key + (size_t)2 * group))
            first_wrong = VCK_MIN(first_wrong, group);
        value = 0;
    }
    if (first_wrong < VCK_KEY_RECOVERY_GROUPS) {
        *ret_group = first_wrong;
        status = VCK_INVALID_DATA;
    } else if (digits != VCK_KEY_RECOVERY_GROUPS * GROUP_DIGITS) {
        status = VCK_SIZE_MISMATCH;
    } else {
        memcpy(ret_key, key, sizeof(key));
    }
    vck_wipe(key, sizeof(key));
    return status;
}
