/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_http_reply: any stream as an HTTP reply, cut into pieces in two ways: at once, and as the
 * first byte says. What comes of it is the same.
 */
#include "port/port.h"
#include "products/asyncnet/http_reply.h"
#include "vck/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Statuses after a failure are not looked at: nobody goes on then. */
static vck_status read_in_pieces(struct http_reply *reply, const char *data, size_t size,
                                 size_t piece_bytes)
{
    vck_status status = VCK_OK;

    http_reply_init(reply);
    for (size_t at = 0; at < size && status == VCK_OK && !reply->is_complete; at += piece_bytes)
        status = http_reply_take(reply, data + at, VCK_MIN(piece_bytes, size - at));
    return status ? status : http_reply_end(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_reply whole;
    struct http_reply pieces;
    vck_status status;

    if (size < 2)
        return 0;
    status = read_in_pieces(&whole, (const char *)data + 1, size - 1, size);
    VCK_ASSERT(read_in_pieces(&pieces, (const char *)data + 1, size - 1, data[0] % 16u + 1) ==
               status);
    if (status)
        return 0;
    VCK_ASSERT(whole.is_complete && pieces.is_complete);
    VCK_ASSERT(whole.code > 0 && whole.code < 1000);
    VCK_ASSERT(whole.code == pieces.code && whole.has_length == pieces.has_length);
    return 0;
}
