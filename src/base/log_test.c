/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"
#include <stdio.h>
#include "port/posix/posix.h"
#include "vck/log.h"

/* The same call to the C library and to ours. */
#define CHECK_AS_PRINTF(...)                                                                       \
    do {                                                                                           \
        char ours[200], theirs[200];                                                               \
        int theirs_size = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                           \
        size_t ours_size = vck_format(ours, sizeof(ours), __VA_ARGS__);                            \
        assert_string_equal(ours, theirs);                                                         \
        assert_int_equal(ours_size, theirs_size);                                                  \
    } while (0)

static void formats_as_the_c_library_does(void **state)
{
    (void)state;
    static const char unterminated[3] = {'a', 'b', 'c'};
    CHECK_AS_PRINTF("%s", "");
    CHECK_AS_PRINTF("plain");
    CHECK_AS_PRINTF("%s: %s (%c) 100%%", "one", "two", 'z');
    CHECK_AS_PRINTF("%.*s|%.*s|%.*s", 3, unterminated, 0, "none", 9, "short");
    CHECK_AS_PRINTF("%d %d %d", 0, INT32_MAX, INT32_MIN);
    CHECK_AS_PRINTF("%ld %lld", INT64_MIN, (long long)INT64_MIN);
    CHECK_AS_PRINTF("%u %lu %llu", UINT32_MAX, UINT64_MAX, (unsigned long long)UINT64_MAX);
    CHECK_AS_PRINTF("%zu %zd %zx", SIZE_MAX, (ptrdiff_t)-1, SIZE_MAX);
    CHECK_AS_PRINTF("%x %lx %llx", 0xABCDu, 0x123456789ABCDEFul, 0xFull);
    CHECK_AS_PRINTF("%5d|%05d|%5d|%05d|%1d", 42, 42, -42, -42, 12345);
    CHECK_AS_PRINTF("%08x|%8x|%016llx|%020llu", 0xBEEFu, 0xBEEFu, 1ull, 7ull);
    CHECK_AS_PRINTF("%p", (void *)0x1234);
}

static void cuts_at_every_capacity(void **state)
{
    (void)state;
    static const char whole[] = "key -0042 end";
    char out[32];
    for (size_t capacity = 0; capacity <= sizeof(whole) + 2; capacity++) {
        size_t expected = capacity == 0 ? 0 : VCK_MIN(capacity, sizeof(whole)) - 1;
        memset(out, 0x5A, sizeof(out));
        assert_int_equal(vck_format(out, capacity, "%s %05d %s", "key", -42, "end"), expected);
        assert_memory_equal(out, whole, expected);
        assert_int_equal(out[expected], capacity == 0 ? 0x5A : 0);
        assert_int_equal(out[capacity], 0x5A);
    }
}

static void unknown_conversions_end_the_formatting(void **state)
{
    (void)state;
    static const struct {
        const char *fmt, *text;
    } cases[] = {
        {"%s %q %s", "one %q %s"}, {"%s %", "one %"},       {"%s %5", "one %5"},
        {"%s %.*d", "one %.*d"},   {"%s %-5d", "one %-5d"}, {"%s %ll", "one %ll"},
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        char out[32];
        const char *volatile fmt = cases[i].fmt; /* not a literal: hidden from the check of calls */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
        (void)vck_format(out, sizeof(out), fmt, "one", 2, "three");
#pragma GCC diagnostic pop
        assert_string_equal(out, cases[i].text);
    }
}

static void null_strings_are_named(void **state)
{
    (void)state;
    char out[32];
    const char *volatile none = NULL;
    assert_int_equal(vck_format(out, sizeof(out), "<%s>", none), 8);
    assert_string_equal(out, "<(null)>");
}

struct heard {
    unsigned count;
    enum vck_log_level level;
    char line[VCK_LOG_LINE_BYTES];
};

static void hear(void *context, enum vck_log_level level, const char *line)
{
    struct heard *heard = context;
    heard->count++;
    heard->level = level;
    snprintf(heard->line, sizeof(heard->line), "%s", line);
}

static void lines_reach_the_sink_up_to_the_threshold(void **state)
{
    (void)state;
    struct heard heard = {0};
    const struct vck_log_sink sink = {hear, &heard};
    vck_log_set_sink(&sink);
    vck_log_error("volume %s: %d", "/dev/x", 3);
    assert_string_equal(heard.line, "volume /dev/x: 3");
    assert_int_equal(heard.level, VCK_LOG_ERROR);
    vck_log_info("info");
    assert_int_equal(heard.count, 2);
    vck_log_debug("debug");
    assert_int_equal(heard.count, 2);
    vck_log_set_threshold(VCK_LOG_DEBUG);
    vck_log_debug("debug");
    assert_int_equal(heard.count, 3);
    assert_int_equal(heard.level, VCK_LOG_DEBUG);
    vck_log_set_threshold(VCK_LOG_ERROR);
    vck_log_warning("warning");
    assert_int_equal(heard.count, 3);
    vck_log_set_threshold(VCK_LOG_INFO);
    vck_log_set_sink(NULL);
}

static void text_from_outside_stays_one_line(void **state)
{
    (void)state;
    struct heard heard = {0};
    const struct vck_log_sink sink = {hear, &heard};
    char long_text[2 * VCK_LOG_LINE_BYTES];
    vck_log_set_sink(&sink);
    vck_log_warning("path %s", "a\nvck: error: forged\r\x1B[2J\x7F\xC3\xA9");
    assert_string_equal(heard.line, "path a?vck: error: forged??[2J?\xC3\xA9");
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    vck_log_warning("%s", long_text);
    assert_int_equal(strlen(heard.line), VCK_LOG_LINE_BYTES - 1);
    vck_log_set_sink(NULL);
}

static void without_a_sink_the_port_hears(void **state)
{
    (void)state;
    struct heard heard = {0};
    vck_posix_set_log(hear, &heard);
    vck_log_info("to the port");
    vck_posix_set_log(NULL, NULL);
    assert_int_equal(heard.count, 1);
    assert_string_equal(heard.line, "to the port");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_as_the_c_library_does),
        cmocka_unit_test(cuts_at_every_capacity),
        cmocka_unit_test(unknown_conversions_end_the_formatting),
        cmocka_unit_test(null_strings_are_named),
        cmocka_unit_test(lines_reach_the_sink_up_to_the_threshold),
        cmocka_unit_test(text_from_outside_stays_one_line),
        cmocka_unit_test(without_a_sink_the_port_hears),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
