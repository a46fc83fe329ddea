/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"
#include <iconv.h>
#include "vck/utf.h"

#define PIECE(literal)                                                                             \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

static void the_borders_of_utf8(void **state)
{
    (void)state;
    static const struct vck_bytes valid[] = {
        PIECE(""),
        PIECE("a\0b"),
        PIECE("\x7F"),
        PIECE("\xC2\x80"),
        PIECE("\xDF\xBF"),
        PIECE("\xE0\xA0\x80"),
        PIECE("\xED\x9F\xBF"),
        PIECE("\xEE\x80\x80"),
        PIECE("\xEF\xBF\xBF"),
        PIECE("\xF0\x90\x80\x80"),
        PIECE("\xF4\x8F\xBF\xBF"),
    };
    static const struct vck_bytes refused[] = {
        PIECE("\x80"),
        PIECE("\xBF"),
        PIECE("\xC0\x80"),
        PIECE("\xC1\xBF"),
        PIECE("\xC2"),
        PIECE("\xC2\x41"),
        PIECE("\xC2\xC2\x80"),
        PIECE("\xE0\x80\x80"),
        PIECE("\xE0\x9F\xBF"),
        PIECE("\xE1\x80"),
        PIECE("\xED\xA0\x80"),
        PIECE("\xED\xBF\xBF"),
        PIECE("\xF0\x80\x80\x80"),
        PIECE("\xF0\x8F\xBF\xBF"),
        PIECE("\xF0\x90\x80"),
        PIECE("\xF4\x90\x80\x80"),
        PIECE("\xF5\x80\x80\x80"),
        PIECE("\xF8\x88\x80\x80\x80"),
        PIECE("\xFF"),
        PIECE("ok\xE2\x82"),
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(valid); i++)
        assert_true(vck_utf8_is_valid(valid[i]));
    for (size_t i = 0; i < VCK_ARRAY_COUNT(refused); i++) {
        uint8_t out[32];
        size_t size_bytes = 99;
        assert_false(vck_utf8_is_valid(refused[i]));
        assert_int_equal(vck_utf8_to_utf16le(refused[i], out, sizeof(out), &size_bytes),
                         VCK_INVALID_DATA);
        assert_int_equal(size_bytes, 99);
    }
}

static void unpaired_surrogates_are_refused(void **state)
{
    (void)state;
    static const struct vck_bytes refused[] = {
        PIECE("a"),                /* half a unit */
        PIECE("a\0b"),             /* one and a half */
        PIECE("\x00\xD8"),         /* high at the end */
        PIECE("\x00\xDC"),         /* low first */
        PIECE("\x00\xD8\x61\x00"), /* high before a letter */
        PIECE("\x00\xD8\x00\xD8"), /* two high */
        PIECE("\x00\xD8\x00\xE0"), /* just past the low ones */
        PIECE("\x00\xD8\x00"),     /* low cut in half */
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(refused); i++) {
        uint8_t out[32];
        size_t size_bytes = 99;
        assert_int_equal(vck_utf16le_to_utf8(refused[i], out, sizeof(out), &size_bytes),
                         VCK_INVALID_DATA);
        assert_int_equal(size_bytes, 99);
    }
}

static struct vck_bytes reference(iconv_t converter, struct vck_bytes text, uint8_t *out,
                                  size_t capacity_bytes)
{
    char *from = (char *)(uintptr_t)text.data, *to = (char *)out;
    size_t from_left = text.size_bytes, to_left = capacity_bytes;
    assert_int_equal(iconv(converter, &from, &from_left, &to, &to_left), 0);
    return (struct vck_bytes){out, capacity_bytes - to_left};
}

/* Every character there is, against the C library's converter, there and back. */
static void all_characters_equal_the_reference(void **state)
{
    (void)state;
    iconv_t to_utf8 = iconv_open("UTF-8", "UTF-32LE"),
            to_utf16 = iconv_open("UTF-16LE", "UTF-32LE");
    assert_true(to_utf8 != (iconv_t)-1 && to_utf16 != (iconv_t)-1);
    for (uint32_t character = 0; character <= 0x10FFFF; character++) {
        if (character == 0xD800)
            character = 0xE000;
        uint8_t utf32[4], utf8[8], utf16[8], out[8];
        size_t size_bytes;
        vck_store_le32(utf32, character);
        struct vck_bytes text = {utf32, 4};
        struct vck_bytes narrow = reference(to_utf8, text, utf8, sizeof(utf8));
        struct vck_bytes wide = reference(to_utf16, text, utf16, sizeof(utf16));
        assert_int_equal(vck_utf8_to_utf16le(narrow, out, sizeof(out), &size_bytes), VCK_OK);
        assert_true(size_bytes == wide.size_bytes && memcmp(out, utf16, size_bytes) == 0);
        assert_int_equal(vck_utf16le_to_utf8(wide, out, sizeof(out), &size_bytes), VCK_OK);
        assert_true(size_bytes == narrow.size_bytes && memcmp(out, utf8, size_bytes) == 0);
    }
    iconv_close(to_utf8);
    iconv_close(to_utf16);
}

static void a_buffer_is_not_overrun(void **state)
{
    (void)state;
    static const struct vck_bytes narrow = PIECE("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x94\x91");
    static const uint8_t wide[] = {'a', 0, 0xE9, 0, 0xAC, 0x20, 0x3D, 0xD8, 0x11, 0xDD};
    uint8_t out[16];
    size_t size_bytes = 99;
    for (size_t capacity = 0; capacity < sizeof(wide); capacity++) {
        memset(out, 0xA5, sizeof(out));
        assert_int_equal(vck_utf8_to_utf16le(narrow, out, capacity, &size_bytes),
                         VCK_SIZE_MISMATCH);
        assert_int_equal(out[capacity], 0xA5);
        memset(out, 0xA5, sizeof(out));
        assert_int_equal(
            vck_utf16le_to_utf8((struct vck_bytes){wide, sizeof(wide)}, out, capacity, &size_bytes),
            VCK_SIZE_MISMATCH);
        assert_int_equal(out[capacity], 0xA5);
        assert_int_equal(size_bytes, 99);
    }
    assert_int_equal(vck_utf8_to_utf16le(narrow, out, sizeof(wide), &size_bytes), VCK_OK);
    assert_int_equal(size_bytes, sizeof(wide));
    assert_memory_equal(out, wide, sizeof(wide));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_borders_of_utf8),
        cmocka_unit_test(unpaired_surrogates_are_refused),
        cmocka_unit_test(all_characters_equal_the_reference),
        cmocka_unit_test(a_buffer_is_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
