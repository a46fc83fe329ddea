/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_answer: one HTTP/1 answer out of the bytes that have come so far. Strict and bounded: what a
 * server of few words sends and nothing else. Pure. Source: RFC 9112.
 *
 * Not here: chunked bodies, interim answers, anything folded.
 */
#ifndef VCK_PRODUCTS_VCK_HTTP_ANSWER_H
#define VCK_PRODUCTS_VCK_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/status.h"

VCK_BEGIN_DECLS

#define HTTP_ANSWER_HEAD_MAX 8192u
#define HTTP_ANSWER_BODY_MAX 49152u

struct http_answer {
    uint32_t code; /* 200 to 599 */
    size_t body_at;
    size_t body_bytes;
};

/* is_ended: the stream has ended behind data. NOT_READY: more is needed; OUT_OF_RANGE: it ended too
 * soon; SIZE_MISMATCH: head or body is longer than the limits; UNSUPPORTED: the body is sent in a
 * way that is not known here; INVALID_DATA: this is not HTTP. */
VCK_CHECKED vck_status http_answer_parse(const char *data, size_t size_bytes, bool is_ended,
                                         struct http_answer *ret_answer);

VCK_END_DECLS

#endif
