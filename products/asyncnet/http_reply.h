/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_reply: an HTTP/1 reply as it comes in, piece by piece: its code, and when it is complete. It
 * keeps one header line and nothing of the body.
 *
 * Not here: chunked bodies; who asks with "Connection: close" gets the end of the stream instead.
 * Source: RFC 9112. Every function at any level.
 */
#ifndef VCK_ASYNCNET_HTTP_REPLY_H
#define VCK_ASYNCNET_HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/status.h"

VCK_BEGIN_DECLS

#define HTTP_LINE_BYTES 128u
/* What is no HTTP has this code. */
#define HTTP_CODE_NONE 999u

struct http_reply {
    char line[HTTP_LINE_BYTES]; /* the header line being read, cut at its size */
    uint32_t line_bytes;
    uint32_t code; /* 0: not known yet; else 1 to 999 */
    bool in_body;
    bool has_length;
    bool is_complete;
    uint64_t body_left_bytes; /* when has_length */
};

void http_reply_init(struct http_reply *reply);

/* Takes the next bytes of the stream. INVALID_DATA: a length that is no number. */
VCK_CHECKED vck_status http_reply_take(struct http_reply *reply, const char *data,
                                       size_t size_bytes);

/* The stream has ended: that completes a reply without a length. OUT_OF_RANGE: it ended too soon.
 */
VCK_CHECKED vck_status http_reply_end(struct http_reply *reply);

VCK_END_DECLS

#endif
