/* SPDX-License-Identifier: Apache-2.0 */
#include "nearest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const char *const names[] = {"encrypt",   "decrypt", "prepare",    "list", "--footers",
                                    "--no-wait", "--json",  "--key-file", "key",  "--kdf-passes"};

static const char *nearest_of(const char *typed)
{
    struct nearest nearest = {.typed = typed, .length = strlen(typed)};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        nearest_offer(&nearest, names[i]);
    return nearest.name ? nearest.name : "";
}

static void slips_are_understood(void **state)
{
    static const char *const cases[][2] = {
        {"encypt", "encrypt"},
        {"encyrpt", "encrypt"},
        {"decrpt", "decrypt"},
        {"encrypts", "encrypt"},
        {"prep", "prepare"},
        {"lsit", "list"},
        {"ls", ""},
        {"--footer", "--footers"},
        {"--nowait", "--no-wait"},
        {"--jsno", "--json"},
        {"--keyfile", "--key-file"},
        {"keys", "key"},
        {"frobnicate", ""},
        {"--nothing", ""},
        {"x", ""},
        {"", ""},
        {"--kdf-pass", "--kdf-passes"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_string_equal(nearest_of(cases[i][0]), cases[i][1]);
}

static void what_is_nearer_wins(void **state)
{
    (void)state;
    struct nearest nearest = {.typed = "mop", .length = 3};
    nearest_offer(&nearest, "map");
    assert_string_equal(nearest.name, "map");
    nearest_offer(&nearest, "mope");
    assert_string_equal(nearest.name, "map");
    nearest_offer(&nearest, "mop");
    assert_string_equal(nearest.name, "mop");
}

static void long_names_are_left_alone(void **state)
{
    char typed[64];
    struct nearest nearest = {.typed = typed, .length = sizeof(typed)};

    (void)state;
    memset(typed, 'a', sizeof(typed));
    nearest_offer(&nearest, "aaaa");
    assert_null(nearest.name);
    nearest.length = 31;
    nearest_offer(&nearest, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    assert_non_null(nearest.name);
    nearest_offer(&nearest, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_int_equal(nearest.distance, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slips_are_understood),
        cmocka_unit_test(what_is_nearer_wins),
        cmocka_unit_test(long_names_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
