/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "line.h"

static enum line_event type(struct line *line, uint16_t unit)
{
    struct efi_input_key key = {.UnicodeChar = unit};

    return line_key(line, &key);
}

static enum line_event press(struct line *line, uint16_t scan_code)
{
    struct efi_input_key key = {.ScanCode = scan_code};

    return line_key(line, &key);
}

static void check_text(const struct line *line, const char *expected)
{
    uint8_t text[LINE_TEXT_BYTES];
    size_t size_bytes = 0;

    assert_int_equal(line_text(line, text, &size_bytes), VCK_OK);
    assert_int_equal(size_bytes, strlen(expected));
    assert_memory_equal(text, expected, size_bytes);
}

static void test_editing(void **state)
{
    struct line line = {0};

    (void)state;
    check_text(&line, "");
    assert_int_equal(type(&line, '\b'), LINE_NOTHING);
    assert_int_equal(type(&line, 0x15), LINE_NOTHING);
    assert_int_equal(type(&line, 'a'), LINE_ADDED);
    assert_int_equal(type(&line, ' '), LINE_ADDED);
    assert_int_equal(type(&line, 'b'), LINE_ADDED);
    assert_int_equal(press(&line, 1), LINE_NOTHING); /* an arrow */
    assert_int_equal(type(&line, '\t'), LINE_NOTHING);
    assert_int_equal(press(&line, EFI_SCAN_DELETE), LINE_REMOVED);
    assert_int_equal(type(&line, 0x7f), LINE_REMOVED);
    assert_int_equal(type(&line, '~'), LINE_ADDED);
    assert_int_equal(type(&line, '\r'), LINE_DONE);
    check_text(&line, "a~");
    assert_int_equal(type(&line, '\n'), LINE_DONE);
    assert_int_equal(type(&line, 0x15), LINE_CLEARED);
    assert_int_equal(line.units[0], 0);
    check_text(&line, "");
    assert_int_equal(press(&line, EFI_SCAN_ESC), LINE_ESCAPED);
    assert_int_equal(type(&line, 0x1b), LINE_ESCAPED);
}

static void type_all(struct line *line, const uint16_t *units)
{
    for (; *units != 0; units++)
        assert_int_equal(type(line, *units), LINE_ADDED);
}

/* One text, three ways to type it, and what is neither. */
static void test_encodings(void **state)
{
    static const uint16_t keyboard[] = {'p', 0xe4, 0x20ac, 0xd83d, 0xde00, 0};
    static const uint16_t serial[] = {'p', 0xc3, 0xa4, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0};
    static const uint16_t latin[] = {'p', 0xe4, 's', 0};
    static const uint16_t half[] = {'p', 0xd83d, 'x', 0};
    struct line line = {0};
    uint8_t text[LINE_TEXT_BYTES];
    size_t size_bytes = 77;

    (void)state;
    type_all(&line, keyboard);
    check_text(&line, "p\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    memset(&line, 0, sizeof(line));
    type_all(&line, serial);
    check_text(&line, "p\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    memset(&line, 0, sizeof(line));
    type_all(&line, latin);
    check_text(&line, "p\xc3\xa4s");
    memset(&line, 0, sizeof(line));
    type_all(&line, half);
    assert_int_equal(line_text(&line, text, &size_bytes), VCK_INVALID_DATA);
}

static void test_longest(void **state)
{
    struct line line = {0};
    uint8_t text[LINE_TEXT_BYTES];
    size_t size_bytes = 0;

    (void)state;
    for (size_t i = 0; i < LINE_UNITS_MAX; i++)
        assert_int_equal(type(&line, 0x20ac), LINE_ADDED);
    assert_int_equal(type(&line, 'x'), LINE_NOTHING);
    assert_int_equal(line_text(&line, text, &size_bytes), VCK_OK);
    assert_int_equal(size_bytes, LINE_TEXT_BYTES);
    assert_int_equal(type(&line, '\b'), LINE_REMOVED);
    assert_int_equal(type(&line, 'x'), LINE_ADDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_editing),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
