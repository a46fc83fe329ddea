/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmocka for the kernel: as much of it as the tests of the net room use. An assertion that fails
 * ends its test, or, on another thread than the test's, is only noted.
 */
#ifndef VCK_NETTEST_CMOCKA_H
#define VCK_NETTEST_CMOCKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test_func)(void **state);
};

void nettest_check(bool is_true, const char *what, const char *file, int line);
/* Notes the tests, to be run later. */
int nettest_add(const struct CMUnitTest *tests, size_t count);

#define NETTEST_CHECK(condition) nettest_check((condition), #condition, __FILE__, __LINE__)

#define cmocka_unit_test(function)                                                                 \
    {                                                                                              \
#function, function                                                                        \
    }
#define cmocka_run_group_tests(tests, set_up, tear_down)                                           \
    nettest_add((tests), sizeof(tests) / sizeof((tests)[0]))
#define assert_true(condition)           NETTEST_CHECK(condition)
#define assert_false(condition)          NETTEST_CHECK(!(condition))
#define assert_null(pointer)             NETTEST_CHECK((pointer) == NULL)
#define assert_non_null(pointer)         NETTEST_CHECK((pointer) != NULL)
#define assert_int_equal(a, b)           NETTEST_CHECK((uint64_t)(a) == (uint64_t)(b))
#define assert_int_not_equal(a, b)       NETTEST_CHECK((uint64_t)(a) != (uint64_t)(b))
#define assert_memory_equal(a, b, bytes) NETTEST_CHECK(memcmp((a), (b), (bytes)) == 0)
#define fail_msg(...)                    nettest_check(false, "failed", __FILE__, __LINE__)
#define print_message(...)               ((void)0)

#endif
