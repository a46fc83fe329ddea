/* SPDX-License-Identifier: Apache-2.0 */
/*
 * line: a line of text as it is typed, key by key. Pure.
 *
 * A character from a keyboard is a UTF-16 unit; a serial line hands over bytes, of UTF-8 mostly,
 * one at a time. What was typed is therefore taken as bytes where all units fit in one and together
 * are UTF-8, and as characters otherwise.
 */
#ifndef VCK_VCKBOOT_LINE_H
#define VCK_VCKBOOT_LINE_H

#include <stddef.h>
#include <stdint.h>
#include "port/uefi/efi.h"
#include "vck/status.h"

#define LINE_UNITS_MAX  512u
#define LINE_TEXT_BYTES (LINE_UNITS_MAX * 3u)

enum line_event {
    LINE_NOTHING, /* a key that means nothing here, or no room for it */
    LINE_ADDED,   /* one more character: one more star */
    LINE_REMOVED, /* the last one was taken back */
    LINE_CLEARED, /* all were (Ctrl-U) */
    LINE_DONE,    /* Enter */
    LINE_ESCAPED,
};

/* Secret: wiped by who owns it. Zeroed is empty. */
struct line {
    uint16_t units[LINE_UNITS_MAX];
    size_t count;
};

enum line_event line_key(struct line *line, const struct efi_input_key *key);

/* The line as UTF-8, into LINE_TEXT_BYTES. INVALID_DATA: half of a character. */
vck_status line_text(const struct line *line, uint8_t *out, size_t *ret_size_bytes);

#endif
