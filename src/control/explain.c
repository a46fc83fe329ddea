/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include "control_internal.h"

struct text {
    char *at;
    char *end; /* the place of the last NUL */
};

static void put(struct text *text, const char *s)
{
    while (*s && text->at < text->end)
        *text->at++ = *s++;
}

static void put_u64(struct text *text, uint64_t value)
{
    char digits[21];
    char *first = digits + sizeof(digits) - 1;

    *first = 0;
    do {
        *--first = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    put(text, first);
}

/* A character of several bytes is left out whole when its end does not fit. */
static void drop_half_character(struct text *text, const char *start)
{
    char *at = text->at;

    if (text->at < text->end)
        return;
    while (at > start && ((uint8_t)at[-1] & 0xc0) == 0x80)
        at--;
    if (at > start && ((uint8_t)at[-1] & 0xc0) == 0xc0)
        text->at = at - 1;
}

vck_status control_explain(struct vck_explanation *why, vck_status status, const char *format, ...)
{
    struct text text = {why->text, why->text + sizeof(why->text) - 1};
    va_list arguments;

    va_start(arguments, format);
    for (const char *f = format; *f; f++) {
        char one[2] = {*f, 0};

        if (*f != '%')
            put(&text, one);
        else if (*++f == 's')
            put(&text, va_arg(arguments, const char *));
        else if (*f == 'u')
            put_u64(&text, va_arg(arguments, uint64_t));
        else
            put(&text, "%");
    }
    va_end(arguments);
    drop_half_character(&text, why->text);
    *text.at = 0;
    return status;
}
