/* SPDX-License-Identifier: Apache-2.0 */
#include "net_test.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static void text_is_written_as_rfc_5952_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *written;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1:80"},
        {"255.255.255.255", "255.255.255.255:80"},
        {"::", "[::]:80"},
        {"::1", "[::1]:80"},
        {"1::", "[1::]:80"},
        {"2001:DB8::1", "[2001:db8::1]:80"},
        {"2001:db8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]:80"},
        {"2001:db8:0:1:1:1:1:1", "[2001:db8:0:1:1:1:1:1]:80"},
        {"::ffff:1.2.3.4", "[::ffff:102:304]:80"},
        {"1:2:3:4:5:6:1.2.3.4", "[1:2:3:4:5:6:102:304]:80"},
        {"fe80::1%3", "[fe80::1%3]:80"},
        {"1:2:3:4:5:6:7::", "[1:2:3:4:5:6:7:0]:80"},
        {"0:0:1::", "[0:0:1::]:80"},
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        struct vck_address address;
        char text[VCK_ADDRESS_TEXT_BYTES];
        assert_ok(vck_address_parse(cases[i].text, strlen(cases[i].text), 80, &address));
        assert_int_equal(vck_address_format(&address, text), strlen(cases[i].written));
        assert_string_equal(text, cases[i].written);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "a.b.c.d",
        "1..2.3",
        ":",
        ":::",
        "1:2",
        "::1::",
        "12345::",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "::1.2.3",
        "::1.2.3.4:5",
        "fe80::1%",
        "fe80::1%x",
        "g::",
        "1:",
        "1:2:3:4:5:6:7:",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::%4294967296",
        "localhost",
        "-1.2.3.4",
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        struct vck_address address = {.family = 99};
        assert_status(vck_address_parse(cases[i], strlen(cases[i]), 80, &address),
                      VCK_INVALID_DATA);
        assert_int_equal(address.family, 99);
    }
}

/* The system's reader and writer as oracles, over addresses rich in zeros. */
static void reading_and_writing_agree_with_the_system(void **state)
{
    (void)state;
    srand(7);
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[16];
        char text[INET6_ADDRSTRLEN];
        char expected[VCK_ADDRESS_TEXT_BYTES];
        char written[VCK_ADDRESS_TEXT_BYTES];
        for (int j = 0; j < 16; j++)
            bytes[j] = rand() % 3 == 0 ? (uint8_t)rand() : 0;
        bytes[0] |= 1; /* the system writes ::a.b.c.d its own way */
        struct vck_address made = vck_address_ipv6(bytes, (uint16_t)rand());
        struct vck_address read;
        assert_non_null(inet_ntop(AF_INET6, bytes, text, sizeof(text)));
        snprintf(expected, sizeof(expected), "[%s]:%u", text, made.port);
        vck_address_format(&made, written);
        assert_string_equal(written, expected);
        assert_ok(vck_address_parse(text, strlen(text), made.port, &read));
        assert_true(vck_address_is_equal(&made, &read));
    }
}

/* Whatever the text, we accept no more than the system does. */
static void random_text_is_read_as_the_system_reads_it(void **state)
{
    (void)state;
    static const char letters[] = "0123af:::..";
    srand(8);
    for (int i = 0; i < 200000; i++) {
        char text[20];
        size_t size = (size_t)rand() % (sizeof(text) - 1);
        uint8_t bytes[16];
        struct vck_address read;
        for (size_t j = 0; j < size; j++)
            text[j] = letters[(size_t)rand() % (sizeof(letters) - 1)];
        text[size] = 0;
        int family = memchr(text, ':', size) ? AF_INET6 : AF_INET;
        bool is_one = inet_pton(family, text, bytes) == 1;
        assert_int_equal(vck_address_parse(text, size, 1, &read),
                         is_one ? VCK_OK : VCK_INVALID_DATA);
        if (is_one)
            assert_memory_equal(read.bytes, bytes, family == AF_INET ? 4 : 16);
    }
}

static void equality_looks_at_every_part(void **state)
{
    (void)state;
    struct vck_address a = vck_address_loopback(VCK_ADDRESS_IPV6, 1);
    struct vck_address b = a;
    assert_true(vck_address_is_equal(&a, &b));
    b.port = 2;
    assert_false(vck_address_is_equal(&a, &b));
    b = a;
    b.scope_id = 1;
    assert_false(vck_address_is_equal(&a, &b));
    b = a;
    b.bytes[15] = 2;
    assert_false(vck_address_is_equal(&a, &b));
    b = vck_address_loopback(VCK_ADDRESS_IPV4, 1);
    assert_false(vck_address_is_equal(&a, &b));
    char text[VCK_ADDRESS_TEXT_BYTES];
    struct vck_address none = {0};
    assert_int_equal(vck_address_format(&none, text), 4);
    assert_string_equal(text, "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_written_as_rfc_5952_says),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(reading_and_writing_agree_with_the_system),
        cmocka_unit_test(random_text_is_read_as_the_system_reads_it),
        cmocka_unit_test(equality_looks_at_every_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
