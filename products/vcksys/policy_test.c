/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static const char *const words[] = {"HibernateEnabled", "HiberbootEnabled", "CrashDumpEnabled",
                                    "hibernation file", "crash dump file"};

static struct policy_settings settings_of(unsigned bits)
{
    return (struct policy_settings){
        .hibernation = bits & 1,
        .fast_startup = bits & 2,
        .crash_dumps = bits & 4,
        .hibernation_files = bits & 8,
        .dump_files = bits & 16,
    };
}

/* Each setting that stands against it is named, and no other. */
static void every_combination(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 32; bits++) {
        struct policy_settings settings = settings_of(bits);
        struct vck_explanation why = {"before"};
        vck_status status = policy_may_encrypt(&settings, &why);

        assert_int_equal(status, bits ? VCK_UNSUPPORTED : VCK_OK);
        assert_int_equal(why.text[0] == 0, bits == 0);
        for (unsigned i = 0; i < 5; i++)
            assert_int_equal(strstr(why.text, words[i]) != NULL, (bits >> i) & 1);
        assert_int_equal(strstr(why.text, ", , ") != NULL, 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(every_combination)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
