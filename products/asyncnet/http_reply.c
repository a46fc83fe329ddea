/* SPDX-License-Identifier: Apache-2.0 */
#include "http_reply.h"
#include <string.h>
#include "vck/bytes.h"

void http_reply_init(struct http_reply *reply)
{
    memset(reply, 0, sizeof(*reply));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.x NNN ..." */
static uint32_t code_of(const char *line)
{
    uint32_t code = 0;

    if (memcmp(line, "HTTP/1.", 7) != 0 || line[7] == 0 || line[8] != ' ')
        return HTTP_CODE_NONE;
    for (int i = 9; i < 12; i++) {
        if (!is_digit(line[i]))
            return HTTP_CODE_NONE;
        code = code * 10 + (uint32_t)(line[i] - '0');
    }
    return code > 0 ? code : HTTP_CODE_NONE;
}

/* The value behind a header's name, NULL when the line is another header's. name in lower case. */
static const char *value_of(const char *line, const char *name)
{
    for (; *name; name++, line++) {
        char c = *line >= 'A' && *line <= 'Z' ? (char)(*line - 'A' + 'a') : *line;
        if (c != *name)
            return NULL;
    }
    while (*line == ' ' || *line == '\t')
        line++;
    return line;
}

static vck_status read_length(const char *text, uint64_t *ret_length_bytes)
{
    uint64_t length_bytes = 0;

    if (!is_digit(*text))
        return VCK_INVALID_DATA;
    for (; is_digit(*text); text++) {
        if (length_bytes > (UINT64_MAX - 9) / 10)
            return VCK_INVALID_DATA;
        length_bytes = length_bytes * 10 + (uint64_t)(*text - '0');
    }
    *ret_length_bytes = length_bytes;
    return VCK_OK;
}

/* Lines end with a zero at line_bytes: there is always room for it. */
static vck_status take_line(struct http_reply *reply)
{
    const char *value;
    vck_status status = VCK_OK;

    memset(reply->line + reply->line_bytes, 0, HTTP_LINE_BYTES - reply->line_bytes);
    if (reply->line_bytes == 0) {
        reply->in_body = true;
        reply->code = reply->code ? reply->code : HTTP_CODE_NONE;
        reply->is_complete = reply->has_length && reply->body_left_bytes == 0;
    } else if (reply->code == 0) {
        reply->code = code_of(reply->line);
    } else if ((value = value_of(reply->line, "content-length:")) != NULL) {
        status = read_length(value, &reply->body_left_bytes);
        reply->has_length = true;
    }
    reply->line_bytes = 0;
    return status;
}

static void take_body(struct http_reply *reply, uint64_t size_bytes)
{
    if (!reply->has_length || reply->is_complete)
        return;
    reply->body_left_bytes -= VCK_MIN(reply->body_left_bytes, size_bytes);
    reply->is_complete = reply->body_left_bytes == 0;
}

vck_status http_reply_take(struct http_reply *reply, const char *data, size_t size_bytes)
{
    vck_status status = VCK_OK;
    size_t i = 0;

    for (; i < size_bytes && !reply->in_body && status == VCK_OK; i++) {
        if (data[i] == '\n')
            status = take_line(reply);
        else if (data[i] != '\r' && reply->line_bytes < HTTP_LINE_BYTES - 1)
            reply->line[reply->line_bytes++] = data[i];
    }
    if (reply->in_body)
        take_body(reply, size_bytes - i);
    return status;
}

vck_status http_reply_end(struct http_reply *reply)
{
    if (!reply->is_complete)
        reply->is_complete = reply->in_body && !reply->has_length;
    return reply->is_complete ? VCK_OK : VCK_OUT_OF_RANGE;
}
