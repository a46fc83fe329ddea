/* SPDX-License-Identifier: Apache-2.0 */
#include "port/nt/internal.h"
#include "vck/log.h"

#define DEBUG_PORT 0xE9u

static bool writes_to_port;

static void write_byte(char c)
{
    __asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((uint16_t)DEBUG_PORT));
}

static void write_to_debug_port(const char *name, const char *line)
{
    static const char *const separators[] = {"vck: ", ": ", "\n"};
    const char *const parts[] = {separators[0], name, separators[1], line, separators[2]};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        for (const char *c = parts[i]; *c != '\0'; c++)
            write_byte(*c);
}

void vck_port_log(enum vck_log_level level, const char *line)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    static const ULONG filters[] = {DPFLTR_ERROR_LEVEL, DPFLTR_WARNING_LEVEL, DPFLTR_INFO_LEVEL,
                                    DPFLTR_INFO_LEVEL};
    unsigned at = (unsigned)level & 3;
    DbgPrintEx(DPFLTR_IHVDRIVER_ID, filters[at], "vck: %s: %s\n", names[at], line);
    if (writes_to_port)
        write_to_debug_port(names[at], line);
}

void vck_nt_log(enum vck_log_level level, const char *fmt, ...)
{
    char line[VCK_LOG_LINE_BYTES];
    va_list arguments;
    va_start(arguments, fmt);
    (void)vck_format_list(line, sizeof(line), fmt, arguments);
    va_end(arguments);
    vck_port_log(level, line);
}

void vck_nt_log_init(const UNICODE_STRING *registry_path)
{
    writes_to_port = vck_nt_registry_u32(registry_path, L"DebugPort", 0) == 1;
}
