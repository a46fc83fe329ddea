/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "products/vck/key.h"

static unsigned bits(const char *text)
{
    return strength_bits(text, strlen(text));
}

static void what_is_weak_is_called_weak(void **state)
{
    (void)state;
    static const char *const weak[] = {"",         "a",        "aaaaaaaaaaaaaaaa", "12345678",
                                       "abcdefgh", "password", "87654321",         "abcabcabcabc",
                                       "secret1"};
    for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++)
        assert_true(bits(weak[i]) < 30);
}

static void what_is_strong_is_not(void **state)
{
    (void)state;
    assert_true(bits("correct horse battery staple") >= 60);
    assert_true(bits("vQ8#mzR2!kPw7^Lt") >= 60);
    assert_true(bits("7f3c9e1b5d8a0246e7c1") >= 50);
}

/* More is never less. */
static void grows_with_the_text(void **state)
{
    (void)state;
    static const char text[] = "Every character that is added counts for something, or nothing.";
    for (size_t i = 1; i < sizeof(text); i++)
        assert_true(strength_bits(text, i) >= strength_bits(text, i - 1) || i < 8);
    static char longer[1000];
    memset(longer, 'x', sizeof(longer));
    assert_true(strength_bits(longer, sizeof(longer)) < 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_weak_is_called_weak),
        cmocka_unit_test(what_is_strong_is_not),
        cmocka_unit_test(grows_with_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
