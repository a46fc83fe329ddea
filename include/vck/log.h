/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: lines for people, formatted without a C library, to one sink. The core does not log what it
 * returns as a status; the outermost layer logs once. Secrets are never formatted.
 */
#ifndef VCK_LOG_H
#define VCK_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include "port/port.h"
#include "vck/annotate.h"

VCK_BEGIN_DECLS

/*
 * Formats as printf does: %s %.*s %c %d %u %x %p %% with the lengths l, ll and z, and a width with
 * or without a leading 0 (not for %s and %c). At any other conversion the rest of fmt is copied as
 * it is. Cuts what does not fit; out is NUL-terminated whenever capacity_bytes is not 0. Returns
 * the length in out, without the NUL. A NULL string prints as (null). Any level.
 */
size_t vck_format(char *out, size_t capacity_bytes, const char *fmt, ...) VCK_PRINTF(3, 4);
size_t vck_format_list(char *out, size_t capacity_bytes, const char *fmt, va_list arguments)
    VCK_PRINTF(3, 0);

/* A line longer than this, with its NUL, is cut. */
#define VCK_LOG_LINE_BYTES 512

/* One line, without newline; control characters become '?', so that text from outside cannot forge
 * a line. Lines above the threshold cost a comparison. Any level. */
void vck_log(enum vck_log_level level, const char *fmt, ...) VCK_PRINTF(2, 3);

#define vck_log_error(...)   vck_log(VCK_LOG_ERROR, __VA_ARGS__)
#define vck_log_warning(...) vck_log(VCK_LOG_WARNING, __VA_ARGS__)
#define vck_log_info(...)    vck_log(VCK_LOG_INFO, __VA_ARGS__)
#define vck_log_debug(...)   vck_log(VCK_LOG_DEBUG, __VA_ARGS__)

/* Drops lines less urgent than level. INFO to begin with. Any level. */
void vck_log_set_threshold(enum vck_log_level level);

/* Called on the thread that logs, at its level. */
struct vck_log_sink {
    void (*write)(void *context, enum vck_log_level level, const char *line);
    void *context;
};

/* Sends lines to sink, NULL: to the port (to begin with). Borrows sink for good: a thread that is
 * logging may still use the former one when this returns. Any level. */
void vck_log_set_sink(const struct vck_log_sink *sink);

VCK_END_DECLS

#endif
