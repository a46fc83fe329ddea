/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/log.h"

static void write_to_port(void *context, enum vck_log_level level, const char *line)
{
    (void)context;
    vck_port_log(level, line);
}

static const struct vck_log_sink port_sink = {.write = write_to_port};

static const struct vck_log_sink *current_sink = &port_sink;
static unsigned threshold = VCK_LOG_INFO;

void vck_log_set_threshold(enum vck_log_level level)
{
    __atomic_store_n(&threshold, (unsigned)level, __ATOMIC_RELAXED);
}

void vck_log_set_sink(const struct vck_log_sink *sink)
{
    __atomic_store_n(&current_sink, sink == NULL ? &port_sink : sink, __ATOMIC_RELEASE);
}

static void replace_control_characters(char *line)
{
    for (; *line != '\0'; line++) {
        unsigned char c = (unsigned char)*line;
        if (c < 0x20 || c == 0x7F)
            *line = '?';
    }
}

void vck_log(enum vck_log_level level, const char *fmt, ...)
{
    char line[VCK_LOG_LINE_BYTES];
    va_list arguments;
    if ((unsigned)level > __atomic_load_n(&threshold, __ATOMIC_RELAXED))
        return;
    va_start(arguments, fmt);
    (void)vck_format_list(line, sizeof(line), fmt, arguments);
    va_end(arguments);
    replace_control_characters(line);
    const struct vck_log_sink *sink = __atomic_load_n(&current_sink, __ATOMIC_ACQUIRE);
    sink->write(sink->context, level, line);
}
