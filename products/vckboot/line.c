/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"
#include "vck/secret.h"
#include "vck/utf.h"

#define CTRL_U 0x15u

static enum line_event remove_last(struct line *line)
{
    if (line->count == 0)
        return LINE_NOTHING;
    line->units[--line->count] = 0;
    return LINE_REMOVED;
}

static enum line_event clear(struct line *line)
{
    bool was_empty = line->count == 0;

    vck_wipe(line, sizeof(*line));
    return was_empty ? LINE_NOTHING : LINE_CLEARED;
}

enum line_event line_key(struct line *line, const struct efi_input_key *key)
{
    uint16_t unit = key->UnicodeChar;

    if (unit == 0x1b || (unit == 0 && key->ScanCode == EFI_SCAN_ESC))
        return LINE_ESCAPED;
    if (unit == '\b' || unit == 0x7f || (unit == 0 && key->ScanCode == EFI_SCAN_DELETE))
        return remove_last(line);
    if (unit == '\r' || unit == '\n')
        return LINE_DONE;
    if (unit == CTRL_U)
        return clear(line);
    if (unit < 0x20 || line->count == LINE_UNITS_MAX)
        return LINE_NOTHING;
    line->units[line->count++] = unit;
    return LINE_ADDED;
}

/* Looks at every unit, whatever the ones before were. */
static bool as_bytes(const struct line *line, uint8_t *out)
{
    uint32_t high = 0;

    for (size_t i = 0; i < line->count; i++) {
        high |= line->units[i] >> 8;
        out[i] = (uint8_t)line->units[i];
    }
    return high == 0 && vck_utf8_is_valid((struct vck_bytes){out, line->count});
}

vck_status line_text(const struct line *line, uint8_t *out, size_t *ret_size_bytes)
{
    struct vck_bytes units = {(const uint8_t *)line->units, line->count * sizeof(line->units[0])};

    if (!as_bytes(line, out))
        return vck_utf16le_to_utf8(units, out, LINE_TEXT_BYTES, ret_size_bytes);
    *ret_size_bytes = line->count;
    return VCK_OK;
}
