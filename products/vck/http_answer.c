/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/http_answer.h"
#include <string.h>
#include "vck/bytes.h"

struct head {
    uint32_t code;
    bool has_length;
    bool is_encoded;
    size_t length_bytes;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.x NNN" and perhaps a space and words. */
static vck_status parse_status(const char *line, size_t length, struct head *head)
{
    if (length < 12 || memcmp(line, "HTTP/1.", 7) != 0 || !is_digit(line[7]) || line[8] != ' ' ||
        (length > 12 && line[12] != ' '))
        return VCK_INVALID_DATA;
    for (int i = 9; i < 12; i++) {
        if (!is_digit(line[i]))
            return VCK_INVALID_DATA;
        head->code = head->code * 10 + (uint32_t)(line[i] - '0');
    }
    return head->code >= 200 && head->code <= 599 ? VCK_OK : VCK_INVALID_DATA;
}

static bool is_token(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_name(const char *line, size_t length, const char *name)
{
    for (size_t i = 0; i < length; i++) {
        char c = line[i] >= 'A' && line[i] <= 'Z' ? (char)(line[i] - 'A' + 'a') : line[i];
        if (name[i] == 0 || c != name[i])
            return false;
    }
    return name[length] == 0;
}

static vck_status parse_length(const char *value, size_t length, struct head *head)
{
    size_t bytes = 0;
    if (head->has_length || length == 0)
        return VCK_INVALID_DATA;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(value[i]))
            return VCK_INVALID_DATA;
        bytes = bytes * 10 + (size_t)(value[i] - '0');
        if (bytes > HTTP_ANSWER_BODY_MAX)
            return VCK_SIZE_MISMATCH;
    }
    head->has_length = true;
    head->length_bytes = bytes;
    return VCK_OK;
}

static vck_status parse_field(const char *line, size_t length, struct head *head)
{
    size_t name = 0, value, end = length;
    while (name < length && is_token(line[name]))
        name++;
    if (name == 0 || name == length || line[name] != ':')
        return VCK_INVALID_DATA;
    for (size_t i = name; i < length; i++)
        if ((line[i] >= 0 && line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
            return VCK_INVALID_DATA;
    for (value = name + 1; value < end && (line[value] == ' ' || line[value] == '\t');)
        value++;
    while (end > value && (line[end - 1] == ' ' || line[end - 1] == '\t'))
        end--;
    if (is_name(line, name, "content-length"))
        return parse_length(line + value, end - value, head);
    if (is_name(line, name, "transfer-encoding") || is_name(line, name, "content-encoding"))
        head->is_encoded = true;
    return VCK_OK;
}

/* The length of the line without its end, which is there; SIZE_MAX: not yet. */
static size_t find_line(const char *data, size_t size_bytes)
{
    for (size_t i = 0; i + 1 < size_bytes; i++)
        if (data[i] == '\r' && data[i + 1] == '\n')
            return i;
    return SIZE_MAX;
}

/* *ret_bytes: where the body begins. */
static vck_status parse_head(const char *data, size_t size_bytes, struct head *head,
                             size_t *ret_bytes)
{
    size_t at = 0, limit = VCK_MIN(size_bytes, HTTP_ANSWER_HEAD_MAX);
    for (;;) {
        size_t length = find_line(data + at, limit - at);
        if (length == SIZE_MAX)
            return limit == HTTP_ANSWER_HEAD_MAX ? VCK_SIZE_MISMATCH : VCK_NOT_READY;
        vck_status status = VCK_OK;
        if (at == 0)
            status = parse_status(data, length, head);
        else if (length > 0)
            status = parse_field(data + at, length, head);
        if (status != VCK_OK)
            return status;
        at += length + 2;
        if (length == 0)
            break;
    }
    *ret_bytes = at;
    return VCK_OK;
}

vck_status http_answer_parse(const char *data, size_t size_bytes, bool is_ended,
                             struct http_answer *ret_answer)
{
    struct head head = {0};
    size_t at = 0;
    vck_status status = parse_head(data, size_bytes, &head, &at);
    if (status == VCK_NOT_READY && is_ended)
        return VCK_OUT_OF_RANGE;
    if (status != VCK_OK)
        return status;
    if (head.is_encoded)
        return VCK_UNSUPPORTED;
    size_t there = size_bytes - at;
    size_t body = head.has_length ? VCK_MIN(there, head.length_bytes) : there;
    if (body > HTTP_ANSWER_BODY_MAX)
        return VCK_SIZE_MISMATCH;
    if (head.has_length && body < head.length_bytes)
        return is_ended ? VCK_OUT_OF_RANGE : VCK_NOT_READY;
    if (!head.has_length && !is_ended)
        return VCK_NOT_READY;
    *ret_answer = (struct http_answer){.code = head.code, .body_at = at, .body_bytes = body};
    return VCK_OK;
}
