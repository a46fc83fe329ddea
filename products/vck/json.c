/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "products/vck/json.h"

/* The length of the well-formed UTF-8 sequence text starts with; 0: there is none. */
static size_t sequence_length(const unsigned char *text)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = text[0] < 0x80             ? 1
                    : (text[0] & 0xe0) == 0xc0 ? 2
                    : (text[0] & 0xf0) == 0xe0 ? 3
                    : (text[0] & 0xf8) == 0xf0 ? 4
                                               : 0;
    if (length < 2)
        return length;
    uint32_t code = text[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < lowest[length] || code > 0x10ffff || is_surrogate ? 0 : length;
}

static void print_quoted(const char *value)
{
    const unsigned char *at = (const unsigned char *)value;
    putchar('"');
    while (*at != 0) {
        size_t length = sequence_length(at);
        if (length == 0) {
            fputs("\\ufffd", stdout);
            length = 1;
        } else if (*at < 0x20 || *at == 0x7f) {
            printf("\\u%04x", *at);
        } else {
            if (*at == '"' || *at == '\\')
                putchar('\\');
            fwrite(at, 1, length, stdout);
        }
        at += length;
    }
    putchar('"');
}

static void begin_value(struct json *json, const char *key)
{
    if (json->needs_comma)
        fputs(", ", stdout);
    json->needs_comma = true;
    if (key != NULL) {
        print_quoted(key);
        fputs(": ", stdout);
    }
}

static void open_bracket(struct json *json, const char *key, char bracket)
{
    begin_value(json, key);
    putchar(bracket);
    json->needs_comma = false;
    json->depth++;
}

static void close_bracket(struct json *json, char bracket)
{
    putchar(bracket);
    json->needs_comma = true;
    if (--json->depth == 0)
        putchar('\n');
}

void json_object_begin(struct json *json, const char *key)
{
    open_bracket(json, key, '{');
}

void json_object_end(struct json *json)
{
    close_bracket(json, '}');
}

void json_array_begin(struct json *json, const char *key)
{
    open_bracket(json, key, '[');
}

void json_array_end(struct json *json)
{
    close_bracket(json, ']');
}

void json_string(struct json *json, const char *key, const char *value)
{
    if (value == NULL) {
        json_null(json, key);
        return;
    }
    begin_value(json, key);
    print_quoted(value);
}

void json_u64(struct json *json, const char *key, uint64_t value)
{
    begin_value(json, key);
    printf("%" PRIu64, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin_value(json, key);
    fputs(value ? "true" : "false", stdout);
}

void json_null(struct json *json, const char *key)
{
    begin_value(json, key);
    fputs("null", stdout);
}

void json_tenths(struct json *json, const char *key, uint64_t tenths)
{
    begin_value(json, key);
    printf("%" PRIu64 ".%" PRIu64, tenths / 10, tenths % 10);
}
