/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "http_reply.h"
#include "vck/bytes.h"

static const struct {
    const char *text;
    vck_status status; /* when the stream ends behind the text */
    uint32_t code;
    bool needs_end; /* complete only then */
} cases[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", VCK_OK, 200, false},
    {"HTTP/1.1 404 Not Found\r\ncontent-LENGTH:0\r\n\r\n", VCK_OK, 404, false},
    {"HTTP/1.0 200 OK\r\n\r\nas long as it lasts", VCK_OK, 200, true},
    {"HTTP/1.0 204 No Content\n\n", VCK_OK, 204, true},
    {"HTTP/1.1 503 Busy\nX: y\nContent-Length: \t3\n\nabc", VCK_OK, 503, false},
    {"nonsense\r\n\r\n", VCK_OK, HTTP_CODE_NONE, true},
    {"\r\n\r\n", VCK_OK, HTTP_CODE_NONE, true},
    {"HTTP/1.1 000 \r\n\r\n", VCK_OK, HTTP_CODE_NONE, true},
    {"HTTP/2 200\r\n\r\n", VCK_OK, HTTP_CODE_NONE, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", VCK_OUT_OF_RANGE, 200, true},
    {"HTTP/1.1 200 OK\r\nContent-Le", VCK_OUT_OF_RANGE, 200, true},
    {"", VCK_OUT_OF_RANGE, 0, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", VCK_INVALID_DATA, 200, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", VCK_INVALID_DATA, 200, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", VCK_INVALID_DATA, 200,
     true},
};

/* In pieces of every size. */
static void replies(void **state)
{
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        size_t size = strlen(cases[i].text);

        for (size_t piece = 1; piece <= size + 1; piece++) {
            struct http_reply reply;
            vck_status status = VCK_OK;

            http_reply_init(&reply);
            for (size_t at = 0; at < size && status == VCK_OK; at += piece)
                status = http_reply_take(&reply, cases[i].text + at, VCK_MIN(piece, size - at));
            assert_int_equal(reply.is_complete, !cases[i].needs_end);
            if (status == VCK_OK)
                status = http_reply_end(&reply);
            assert_int_equal(status, cases[i].status);
            assert_int_equal(reply.code, cases[i].code);
        }
    }
}

/* A line as long as it likes is cut, not kept. */
static void long_lines(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nX: ";
    static const char tail[] = "\r\nContent-Length: 2\r\n\r\nok";
    char filling[1000];
    struct http_reply reply;

    (void)state;
    memset(filling, 'y', sizeof(filling));
    http_reply_init(&reply);
    assert_int_equal(http_reply_take(&reply, head, sizeof(head) - 1), VCK_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(http_reply_take(&reply, filling, sizeof(filling)), VCK_OK);
    assert_false(reply.is_complete);
    assert_int_equal(http_reply_take(&reply, tail, sizeof(tail) - 1), VCK_OK);
    assert_true(reply.is_complete);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies),
        cmocka_unit_test(long_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
