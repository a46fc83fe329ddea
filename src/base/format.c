/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdint.h>
#include "vck/log.h"

/* Where the text goes; what does not fit is dropped. */
struct output {
    char *data;
    size_t capacity_bytes; /* without the NUL */
    size_t used_bytes;
};

/* One conversion, from behind its '%'. */
struct conversion {
    bool has_zero_pad;
    unsigned width;
    bool has_precision; /* ".*" */
    enum { LENGTH_INT, LENGTH_LONG, LENGTH_LONG_LONG, LENGTH_SIZE } length;
    char letter;
};

/* va_list may be an array type, which a function cannot take by address; a struct can be. */
struct arguments {
    va_list list;
};

static void put(struct output *output, char c)
{
    if (output->used_bytes < output->capacity_bytes)
        output->data[output->used_bytes++] = c;
}

static void put_text(struct output *output, const char *text, size_t limit_bytes)
{
    if (text == NULL)
        text = "(null)";
    for (size_t i = 0; i < limit_bytes && text[i] != '\0'; i++)
        put(output, text[i]);
}

static void put_number(struct output *output, const struct conversion *conversion,
                       uint64_t magnitude, bool is_negative, unsigned base)
{
    char digits[20];
    unsigned count = 0;
    do {
        digits[count++] = "0123456789abcdef"[magnitude % base];
        magnitude /= base;
    } while (magnitude > 0);
    unsigned size = count + (is_negative ? 1 : 0);
    unsigned pad = conversion->width > size ? conversion->width - size : 0;
    if (is_negative && conversion->has_zero_pad)
        put(output, '-');
    for (unsigned i = 0; i < pad; i++)
        put(output, conversion->has_zero_pad ? '0' : ' ');
    if (is_negative && !conversion->has_zero_pad)
        put(output, '-');
    while (count > 0)
        put(output, digits[--count]);
}

static uint64_t take_unsigned(struct arguments *arguments, const struct conversion *conversion)
{
    switch (conversion->length) {
    case LENGTH_LONG:
        return va_arg(arguments->list, unsigned long);
    case LENGTH_LONG_LONG:
        return va_arg(arguments->list, unsigned long long);
    case LENGTH_SIZE:
        return va_arg(arguments->list, size_t);
    default:
        return va_arg(arguments->list, unsigned);
    }
}

static int64_t take_signed(struct arguments *arguments, const struct conversion *conversion)
{
    switch (conversion->length) {
    case LENGTH_LONG:
        return va_arg(arguments->list, long);
    case LENGTH_LONG_LONG:
        return va_arg(arguments->list, long long);
    case LENGTH_SIZE:
        return va_arg(arguments->list, ptrdiff_t);
    default:
        return va_arg(arguments->list, int);
    }
}

/* Reads one conversion and returns the rest of fmt. */
static const char *parse_conversion(const char *fmt, struct conversion *ret_conversion)
{
    struct conversion conversion = {.has_zero_pad = *fmt == '0'};
    for (; *fmt >= '0' && *fmt <= '9'; fmt++) {
        if (conversion.width < VCK_LOG_LINE_BYTES)
            conversion.width = conversion.width * 10 + (unsigned)(*fmt - '0');
    }
    if (fmt[0] == '.' && fmt[1] == '*') {
        conversion.has_precision = true;
        fmt += 2;
    }
    if (*fmt == 'z') {
        conversion.length = LENGTH_SIZE;
        fmt++;
    } else if (*fmt == 'l') {
        conversion.length = fmt[1] == 'l' ? LENGTH_LONG_LONG : LENGTH_LONG;
        fmt += fmt[1] == 'l' ? 2 : 1;
    }
    conversion.letter = *fmt;
    *ret_conversion = conversion;
    return *fmt == '\0' ? fmt : fmt + 1;
}

static void put_string_argument(struct output *output, const struct conversion *conversion,
                                struct arguments *arguments)
{
    size_t limit_bytes = SIZE_MAX;
    if (conversion->has_precision) {
        int precision = va_arg(arguments->list, int);
        limit_bytes = precision < 0 ? SIZE_MAX : (size_t)precision;
    }
    put_text(output, va_arg(arguments->list, const char *), limit_bytes);
}

/* False when the conversion is none of ours. */
static bool put_argument(struct output *output, const struct conversion *conversion,
                         struct arguments *arguments)
{
    int64_t value;
    if (conversion->has_precision && conversion->letter != 's')
        return false;
    switch (conversion->letter) {
    case '%':
        put(output, '%');
        return true;
    case 'c':
        put(output, (char)va_arg(arguments->list, int));
        return true;
    case 's':
        put_string_argument(output, conversion, arguments);
        return true;
    case 'd':
        value = take_signed(arguments, conversion);
        put_number(output, conversion, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0,
                   10);
        return true;
    case 'u':
        put_number(output, conversion, take_unsigned(arguments, conversion), false, 10);
        return true;
    case 'x':
        put_number(output, conversion, take_unsigned(arguments, conversion), false, 16);
        return true;
    case 'p':
        put_text(output, "0x", 2);
        put_number(output, conversion, (uintptr_t)va_arg(arguments->list, void *), false, 16);
        return true;
    default:
        return false;
    }
}

size_t vck_format_list(char *out, size_t capacity_bytes, const char *fmt, va_list list)
{
    if (capacity_bytes == 0)
        return 0;
    struct output output = {.data = out, .capacity_bytes = capacity_bytes - 1};
    struct arguments arguments;
    va_copy(arguments.list, list);
    while (*fmt != '\0') {
        struct conversion conversion;
        if (*fmt != '%') {
            put(&output, *fmt++);
            continue;
        }
        const char *rest = parse_conversion(fmt + 1, &conversion);
        if (!put_argument(&output, &conversion, &arguments)) {
            put_text(&output, fmt, SIZE_MAX);
            break;
        }
        fmt = rest;
    }
    va_end(arguments.list);
    out[output.used_bytes] = '\0';
    return output.used_bytes;
}

size_t vck_format(char *out, size_t capacity_bytes, const char *fmt, ...)
{
    va_list arguments;
    va_start(arguments, fmt);
    size_t size_bytes = vck_format_list(out, capacity_bytes, fmt, arguments);
    va_end(arguments);
    return size_bytes;
}
