/* SPDX-License-Identifier: Apache-2.0 */
#include "port/uefi/uefi.h"
#include "vck/log.h"

/* QEMU's debug console answers its own port number; elsewhere nothing is behind it. */
#define DEBUG_PORT 0xe9

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void debug_line(const char *line)
{
    if (in8(DEBUG_PORT) != DEBUG_PORT)
        return;
    for (; *line != 0; line++)
        out8(DEBUG_PORT, (uint8_t)*line);
    out8(DEBUG_PORT, '\n');
}

void vck_uefi_log_reached(const char *what)
{
    char line[64];
    uint64_t time_us;

    if (in8(DEBUG_PORT) != DEBUG_PORT)
        return;
    time_us = vck_clock_ns() / 1000;
    (void)vck_format(line, sizeof(line), "at %llu us: %s", (unsigned long long)time_us, what);
    debug_line(line);
}

void vck_uefi_print(const char *text)
{
    efi_char piece[64];
    size_t used = 0;

    if (vck_uefi_system->ConOut == NULL)
        return;
    for (;; text++) {
        if (*text == 0 || used == sizeof(piece) / sizeof(piece[0]) - 1) {
            piece[used] = 0;
            (void)vck_uefi_system->ConOut->OutputString(vck_uefi_system->ConOut, piece);
            used = 0;
        }
        if (*text == 0)
            return;
        /* Fonts of firmware have Latin letters at most, and text from files may be anything. */
        piece[used++] = (unsigned char)*text < 0x80 ? (efi_char)*text : '?';
    }
}

void vck_uefi_say(const char *fmt, ...)
{
    char line[VCK_LOG_LINE_BYTES];
    va_list arguments;

    va_start(arguments, fmt);
    (void)vck_format_list(line, sizeof(line), fmt, arguments);
    va_end(arguments);
    debug_line(line);
    vck_uefi_print(line);
    vck_uefi_print("\r\n");
}

void vck_port_log(enum vck_log_level level, const char *line)
{
    debug_line(line);
    if (level > VCK_LOG_WARNING)
        return;
    vck_uefi_print(level == VCK_LOG_ERROR ? "error: " : "warning: ");
    vck_uefi_print(line);
    vck_uefi_print("\r\n");
}
