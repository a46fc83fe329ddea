/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "products/vck/filter_list.h"
#include "vck/bytes.h"

/* A literal with its own zero at the end; "a\0b\0" thus is well-formed. */
#define LIST(text) ((struct filter_list){u##text, sizeof(u##text) / 2})

static void assert_units(struct filter_list expected, const uint16_t *units, size_t count)
{
    assert_int_equal(count, expected.count);
    assert_memory_equal(units, expected.units, count * sizeof(*units));
}

static void finds(void **state)
{
    struct filter_list unended = {u"fvevolvck", 9};
    struct filter_list other = {u"a\0vck", 5};
    (void)state;
    assert_int_equal(filter_list_find(LIST("fvevol\0vck\0"), "vck"), 1);
    assert_int_equal(filter_list_find(LIST("fvevol\0VcK\0"), "vck"), 1);
    assert_int_equal(filter_list_find(LIST("vck\0"), "vck"), 0);
    assert_int_equal(filter_list_find(other, "vck"), 1);
    assert_true(filter_list_find(unended, "vck") == FILTER_ABSENT);
    assert_true(filter_list_find(LIST("vckx\0vc\0"), "vck") == FILTER_ABSENT);
    assert_true(filter_list_find(LIST(""), "vck") == FILTER_ABSENT);
    assert_true(filter_list_find((struct filter_list){NULL, 0}, "vck") == FILTER_ABSENT);
    /* What follows the end is not in the list. */
    assert_true(filter_list_find(LIST("a\0\0vck\0"), "vck") == FILTER_ABSENT);
    assert_true(filter_list_find(LIST("\u01f6ck\0"), "vck") == FILTER_ABSENT);
}

static void edits(void **state)
{
    static const struct {
        struct filter_list before;
        struct filter_list with;
        struct filter_list without;
    } table[] = {
        {{NULL, 0}, {u"vck\0", 5}, {u"", 1}},
        {{u"", 1}, {u"vck\0", 5}, {u"", 1}},
        {{u"fvevol\0iorate\0", 15}, {u"fvevol\0iorate\0vck\0", 19}, {u"fvevol\0iorate\0", 15}},
        {{u"fvevol", 6}, {u"fvevol\0vck\0", 12}, {u"fvevol\0", 8}},
        {{u"VCK\0fvevol\0vck\0", 16}, {u"fvevol\0vck\0", 12}, {u"fvevol\0", 8}},
        {{u"vck", 3}, {u"vck\0", 5}, {u"", 1}},
    };
    uint16_t units[64];
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(table); i++) {
        size_t limit = table[i].before.count + strlen("vck") + 3;
        memset(units, 0x55, sizeof(units));
        assert_units(table[i].with, units, filter_list_add(table[i].before, "vck", units));
        assert_int_equal(units[limit], 0x5555);
        memset(units, 0x55, sizeof(units));
        assert_units(table[i].without, units, filter_list_remove(table[i].before, "vck", units));
        assert_int_equal(units[limit], 0x5555);
    }
}

static void orders(void **state)
{
    static const struct {
        struct filter_list lower;
        struct filter_list upper;
        enum filter_order order;
    } table[] = {
        {{u"fvevol\0", 8}, {u"volsnap\0", 9}, FILTER_NOT_REGISTERED},
        {{u"fvevol\0vck\0", 12}, {u"volsnap\0", 9}, FILTER_BELOW},
        {{u"vck\0", 5}, {NULL, 0}, FILTER_BELOW},
        {{u"fvevol\0", 8}, {u"vck\0volsnap\0", 13}, FILTER_BELOW},
        {{u"fvevol\0", 8}, {u"volsnap\0vck\0", 13}, FILTER_ABOVE},
        {{u"vck\0volsnap\0", 13}, {NULL, 0}, FILTER_BELOW},
        {{u"volsnap\0vck\0", 13}, {NULL, 0}, FILTER_ABOVE},
        {{u"volsnap\0", 9}, {u"vck\0", 5}, FILTER_ABOVE},
        {{NULL, 0}, {u"vck\0", 5}, FILTER_BELOW},
        {{u"vck\0", 5}, {u"vck\0volsnap\0", 13}, FILTER_REPEATED},
        {{u"vck\0VCK\0", 9}, {u"volsnap\0", 9}, FILTER_REPEATED},
    };
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(table); i++)
        assert_int_equal(filter_order_of(table[i].lower, table[i].upper, "vck"), table[i].order);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds),
        cmocka_unit_test(edits),
        cmocka_unit_test(orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
