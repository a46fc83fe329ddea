/* SPDX-License-Identifier: Apache-2.0 */
/* Source: RFC 8259. */
#include "json.h"
#include "vck/utf.h"

/* Where a string goes; with no place, only its size is counted. */
struct sink {
    char *out;
    size_t capacity_bytes;
    size_t used_bytes;
    bool is_full;
};

void vck_json_init(struct json *json, struct vck_bytes text)
{
    *json = (struct json){.at = text.data, .end = text.data + text.size_bytes, .line = 1};
    if (text.size_bytes >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
        json->at += 3;
}

bool vck_json_wrong(struct json *json, const char *what)
{
    if (json->wrong == NULL)
        json->wrong = what;
    return false;
}

static void pass_space(struct json *json)
{
    for (; json->at < json->end; json->at++) {
        if (*json->at == '\n')
            json->line++;
        else if (*json->at != ' ' && *json->at != '\t' && *json->at != '\r')
            return;
    }
}

bool vck_json_take(struct json *json, char character)
{
    pass_space(json);
    if (json->at == json->end || *json->at != (uint8_t)character)
        return false;
    json->at++;
    return true;
}

bool vck_json_expect(struct json *json, char character, const char *what)
{
    return vck_json_take(json, character) || vck_json_wrong(json, what);
}

bool vck_json_end(struct json *json)
{
    pass_space(json);
    return json->at == json->end || vck_json_wrong(json, "the file goes on after the object");
}

/* ---- strings ---- */

static void put(struct sink *sink, uint32_t byte)
{
    if (sink->used_bytes + 1 >= sink->capacity_bytes)
        sink->is_full = true;
    else
        sink->out[sink->used_bytes++] = (char)byte;
}

static void put_code_point(struct sink *sink, uint32_t point)
{
    if (point < 0x80) {
        put(sink, point);
        return;
    }
    if (point < 0x800) {
        put(sink, 0xc0 | point >> 6);
    } else {
        if (point < 0x10000) {
            put(sink, 0xe0 | point >> 12);
        } else {
            put(sink, 0xf0 | point >> 18);
            put(sink, 0x80 | (point >> 12 & 0x3f));
        }
        put(sink, 0x80 | (point >> 6 & 0x3f));
    }
    put(sink, 0x80 | (point & 0x3f));
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of \u. */
static bool hex4(struct json *json, uint32_t *ret_value)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 4; i++) {
        int digit = json->at < json->end ? hex_digit(*json->at) : -1;

        if (digit < 0)
            return vck_json_wrong(json, "\\u needs four hexadecimal digits");
        value = value << 4 | (uint32_t)digit;
        json->at++;
    }
    *ret_value = value;
    return true;
}

static bool unicode_escape(struct json *json, struct sink *sink)
{
    uint32_t high = 0;
    uint32_t low = 0;

    if (!hex4(json, &high))
        return false;
    if (high >= 0xd800 && high < 0xdc00) {
        if (json->end - json->at < 2 || json->at[0] != '\\' || json->at[1] != 'u')
            return vck_json_wrong(json, "half of a character behind \\u");
        json->at += 2;
        if (!hex4(json, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return vck_json_wrong(json, "half of a character behind \\u");
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    } else if (high >= 0xdc00 && high < 0xe000) {
        return vck_json_wrong(json, "half of a character behind \\u");
    }
    if (high == 0)
        return vck_json_wrong(json, "\\u0000 in a string");
    put_code_point(sink, high);
    return true;
}

static bool escape(struct json *json, struct sink *sink)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    uint8_t c;

    if (json->at == json->end)
        return vck_json_wrong(json, "the string has no end");
    c = *json->at++;
    if (c == 'u')
        return unicode_escape(json, sink);
    for (size_t i = 0; i < sizeof(names) - 1; i++) {
        if ((uint8_t)names[i] == c) {
            put(sink, (uint8_t)values[i]);
            return true;
        }
    }
    return vck_json_wrong(json, "no such escape; a backslash is written twice");
}

/* Behind the opening quote, up to and with the closing one. */
static bool string_rest(struct json *json, struct sink *sink)
{
    for (;;) {
        uint8_t c;

        if (json->at == json->end)
            return vck_json_wrong(json, "the string has no end");
        c = *json->at;
        if (c < 0x20)
            return vck_json_wrong(json, c == '\n' || c == '\r' ? "the string has no end in its line"
                                                               : "a control character in a string");
        json->at++;
        if (c == '"')
            return true;
        if (c != '\\')
            put(sink, c);
        else if (!escape(json, sink))
            return false;
    }
}

bool vck_json_string(struct json *json, char *out, size_t capacity_bytes)
{
    struct sink sink = {.out = out, .capacity_bytes = out != NULL ? capacity_bytes : 0};
    const uint8_t *start;

    if (!vck_json_expect(json, '"', "a string in quotes is expected"))
        return false;
    start = json->at;
    if (!string_rest(json, &sink))
        return false;
    if (!vck_utf8_is_valid((struct vck_bytes){start, (size_t)(json->at - 1 - start)}))
        return vck_json_wrong(json, "a string is not UTF-8");
    if (out == NULL)
        return true;
    if (sink.is_full)
        return vck_json_wrong(json, "the string is too long");
    out[sink.used_bytes] = 0;
    return true;
}

/* ---- other values ---- */

bool vck_json_u32(struct json *json, uint32_t maximum, uint32_t *ret_value)
{
    uint64_t value = 0;
    const uint8_t *start;

    pass_space(json);
    start = json->at;
    for (; json->at < json->end && *json->at >= '0' && *json->at <= '9'; json->at++) {
        value = value * 10 + (uint64_t)(*json->at - '0');
        if (value > maximum)
            return vck_json_wrong(json, "the number is too large");
    }
    if (json->at == start || (*start == '0' && json->at - start > 1) ||
        (json->at < json->end && (*json->at == '.' || (*json->at | 0x20) == 'e')))
        return vck_json_wrong(json, "a whole number is expected");
    *ret_value = (uint32_t)value;
    return true;
}

/* true, false, null and numbers, which nobody looks at closer. */
static bool pass_word(struct json *json)
{
    const uint8_t *start = json->at;

    for (; json->at < json->end; json->at++) {
        uint8_t c = *json->at;

        if (!(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && c != '+' &&
            c != '-' && c != '.')
            break;
    }
    return json->at != start || vck_json_wrong(json, "a value is expected");
}

/* Whether the next character opens an array or object; passed over when it does. */
static bool opens(struct json *json, char *ret_closing)
{
    if (vck_json_take(json, '[')) {
        *ret_closing = ']';
        return true;
    }
    *ret_closing = '}';
    return vck_json_take(json, '{');
}

static bool pass_name(struct json *json)
{
    return vck_json_string(json, NULL, 0) && vck_json_expect(json, ':', "a colon is expected");
}

static bool pass_scalar(struct json *json)
{
    pass_space(json);
    if (json->at < json->end && *json->at == '"')
        return vck_json_string(json, NULL, 0);
    return pass_word(json);
}

bool vck_json_pass_over(struct json *json)
{
    char closing[JSON_DEPTH_MAX];
    unsigned depth = 0;

    for (;;) {
        bool is_complete = false;
        char close;

        if (opens(json, &close)) {
            if (depth == JSON_DEPTH_MAX)
                return vck_json_wrong(json, "too many values inside each other");
            closing[depth++] = close;
            is_complete = vck_json_take(json, close);
            if (is_complete)
                depth--;
        } else if (!pass_scalar(json)) {
            return false;
        } else {
            is_complete = true;
        }
        while (is_complete && depth > 0 && !vck_json_take(json, ',')) {
            if (!vck_json_expect(json, closing[depth - 1], "a comma or the end is expected"))
                return false;
            depth--;
        }
        if (depth == 0)
            return true;
        if (closing[depth - 1] == '}' && !pass_name(json))
            return false;
    }
}
