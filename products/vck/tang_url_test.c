/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "products/vck/tang_url.h"

static void reads_urls(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *authority, *path;
        uint16_t port;
    } cases[] = {
        {"http://tang.example", "tang.example", "tang.example", "", 80},
        {"http://tang.example/", "tang.example", "tang.example", "", 80},
        {"http://tang:7500", "tang", "tang:7500", "", 7500},
        {"http://192.0.2.7:65535/a/b//", "192.0.2.7", "192.0.2.7:65535", "/a/b", 65535},
        {"http://[2001:db8::1]", "2001:db8::1", "[2001:db8::1]", "", 80},
        {"http://[::1]:1/x", "::1", "[::1]:1", "/x", 1},
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        struct tang_url url;
        assert_null(tang_url_parse(cases[i].text, &url));
        assert_string_equal(url.host, cases[i].host);
        assert_string_equal(url.authority, cases[i].authority);
        assert_string_equal(url.path, cases[i].path);
        assert_int_equal(url.port, cases[i].port);
    }
}

static void refuses_others(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "begin"},
        {"tang.example", "begin"},
        {"https://tang.example", "begin"},
        {"http://", "host"},
        {"http:///adv", "host"},
        {"http://:80", "host"},
        {"http://user@tang", "host"},
        {"http://[::1", "bracket"},
        {"http://[]", "host"},
        {"http://[::1]x", "between"},
        {"http://tang:", "1 to 65535"},
        {"http://tang:0", "1 to 65535"},
        {"http://tang:65536", "1 to 65535"},
        {"http://tang:99999999999", "1 to 65535"},
        {"http://tang:80x", "number"},
        {"http://tang/?q", "query"},
        {"http://tang/#f", "query"},
        {"http://ta ng", "bytes"},
        {"http://tang/\r\nX: y", "bytes"},
        {"http://t\xc3\xa4ng", "bytes"},
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        struct tang_url url;
        const char *wrong = tang_url_parse(cases[i].text, &url);
        assert_non_null(wrong);
        assert_non_null(strstr(wrong, cases[i].why));
    }
}

static void knows_how_long_a_url_may_be(void **state)
{
    (void)state;
    struct tang_url url;
    struct tang_name name;
    char text[300] = "http://";
    memset(text + 7, 'a', 248);
    assert_null(tang_url_parse(text, &url));
    assert_null(tang_name_parse(text, &name));
    text[255] = 'a';
    assert_non_null(strstr(tang_url_parse(text, &url), "255"));
    assert_non_null(strstr(tang_name_parse(text, &name), "255"));
}

static void reads_names(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "http://tang,",
        "http://tang,short",
        "http://tang,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "http://tang,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "tang,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    struct tang_name name;
    assert_null(tang_name_parse("http://tang:7500", &name));
    assert_false(name.has_thumbprint);
    assert_string_equal(name.url, "http://tang:7500");
    assert_null(tang_name_parse("http://tang,_wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE", &name));
    assert_true(name.has_thumbprint);
    assert_string_equal(name.url, "http://tang");
    assert_int_equal(name.thumbprint[0], 0xff);
    assert_int_equal(name.thumbprint[31], 1);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(wrong); i++)
        assert_non_null(tang_name_parse(wrong[i], &name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_urls),
        cmocka_unit_test(refuses_others),
        cmocka_unit_test(knows_how_long_a_url_may_be),
        cmocka_unit_test(reads_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
