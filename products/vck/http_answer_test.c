/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "products/vck/http_answer.h"
#include "vck/bytes.h"

#define END "\r\n\r\n"

static vck_status parse(const char *text, bool is_ended, struct http_answer *ret_answer)
{
    /* Of its size exactly, so that reading on is noticed. */
    size_t size = strlen(text);
    char *copy = malloc(size + (size == 0));
    assert_non_null(copy);
    memcpy(copy, text, size);
    vck_status status = http_answer_parse(copy, size, is_ended, ret_answer);
    free(copy);
    return status;
}

static void reads_answers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *body;
        uint32_t code;
        bool is_ended; /* needed to know that it is whole */
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 3" END "abc", "abc", 200, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3" END "abcdef", "abc", 200, false},
        {"HTTP/1.0 200 \r\ncontent-length:3 \t" END "abc", "abc", 200, false},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0" END, "", 404, false},
        {"HTTP/1.1 500\r\nX: y\r\nContent-LENGTH: 01" END "z", "z", 500, false},
        {"HTTP/1.1 200 OK" END "abc", "abc", 200, true},
        {"HTTP/1.1 200 OK" END, "", 200, true},
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        struct http_answer answer;
        if (cases[i].is_ended)
            assert_int_equal(parse(cases[i].text, false, &answer), VCK_NOT_READY);
        assert_int_equal(parse(cases[i].text, cases[i].is_ended, &answer), VCK_OK);
        assert_int_equal(answer.code, cases[i].code);
        assert_int_equal(answer.body_bytes, strlen(cases[i].body));
        assert_memory_equal(cases[i].text + answer.body_at, cases[i].body, answer.body_bytes);
    }
}

/* Every part of an answer that is not whole yet. */
static void waits_for_the_rest(void **state)
{
    (void)state;
    static const char whole[] = "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5" END "12345";
    struct http_answer answer;
    for (size_t size = 0; size < sizeof(whole) - 1; size++) {
        assert_int_equal(http_answer_parse(whole, size, false, &answer), VCK_NOT_READY);
        assert_int_equal(http_answer_parse(whole, size, true, &answer), VCK_OUT_OF_RANGE);
    }
    assert_int_equal(http_answer_parse(whole, sizeof(whole) - 1, false, &answer), VCK_OK);
}

static void refuses_others(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        vck_status status;
    } cases[] = {
        {"SSH-2.0-OpenSSH_9.2\r\n", VCK_INVALID_DATA},
        {"HTTP/2.0 200 OK" END, VCK_INVALID_DATA},
        {"HTTP/1.1  200 OK" END, VCK_INVALID_DATA},
        {"HTTP/1.1 20 OK" END, VCK_INVALID_DATA},
        {"HTTP/1.1 2000 OK" END, VCK_INVALID_DATA},
        {"HTTP/1.1 100 Continue" END, VCK_INVALID_DATA},
        {"HTTP/1.1 600 ?" END, VCK_INVALID_DATA},
        {"\r\nHTTP/1.1 200 OK" END, VCK_INVALID_DATA},
        {"HTTP/1.1 200 OK\r\nno colon" END, VCK_INVALID_DATA},
        {"HTTP/1.1 200 OK\r\n: no name" END, VCK_INVALID_DATA},
        {"HTTP/1.1 200 OK\r\nA : b" END, VCK_INVALID_DATA},
        {"HTTP/1.1 200 OK\r\nA: b\r\n folded" END, VCK_INVALID_DATA},
        {"HTTP/1.1 200 OK\r\nA: b\nB: c" END, VCK_INVALID_DATA},
        {"HTTP/1.1 200 OK\r\nA: \x1b[2J" END, VCK_INVALID_DATA},
        {"HTTP/1.1 200 OK\r\nContent-Length:" END, VCK_INVALID_DATA},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1" END, VCK_INVALID_DATA},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1, 1" END, VCK_INVALID_DATA},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2" END, VCK_INVALID_DATA},
        {"HTTP/1.1 200 OK\r\nContent-Length: 49153" END, VCK_SIZE_MISMATCH},
        {"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551617" END, VCK_SIZE_MISMATCH},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked" END, VCK_UNSUPPORTED},
        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1" END, VCK_UNSUPPORTED},
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        struct http_answer answer;
        assert_int_equal(parse(cases[i].text, false, &answer), cases[i].status);
    }
}

static void is_bounded(void **state)
{
    (void)state;
    static char text[HTTP_ANSWER_HEAD_MAX + HTTP_ANSWER_BODY_MAX + 2];
    struct http_answer answer;
    memset(text, 'a', sizeof(text));
    int head = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nA: ");
    text[head] = 'a';
    assert_int_equal(http_answer_parse(text, HTTP_ANSWER_HEAD_MAX - 1, false, &answer),
                     VCK_NOT_READY);
    assert_int_equal(http_answer_parse(text, HTTP_ANSWER_HEAD_MAX, false, &answer),
                     VCK_SIZE_MISMATCH);
    memcpy(text + head, END, 4);
    size_t most = (size_t)head + 4 + HTTP_ANSWER_BODY_MAX;
    assert_int_equal(http_answer_parse(text, most, true, &answer), VCK_OK);
    assert_int_equal(http_answer_parse(text, most + 1, false, &answer), VCK_SIZE_MISMATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_answers),
        cmocka_unit_test(waits_for_the_rest),
        cmocka_unit_test(refuses_others),
        cmocka_unit_test(is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
