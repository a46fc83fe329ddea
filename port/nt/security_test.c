/* SPDX-License-Identifier: Apache-2.0 */
#include "port/nt/security.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "vck/bytes.h"

/* Byte by byte what ConvertStringSecurityDescriptorToSecurityDescriptor makes of the spec's
 * string. */
static void descriptor(void **state)
{
    static const uint8_t expected[VCK_SECURITY_DESCRIPTOR_BYTES] = {
        1, 0, 0x04, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0,
        /* the list: revision 2, 72 bytes, 3 entries */
        2, 0, 72, 0, 3, 0, 0, 0,
        /* GA, S-1-5-18 */
        0, 0, 20, 0, 0, 0, 0, 0x10, 1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0,
        /* GA, S-1-5-32-544 */
        0, 0, 24, 0, 0, 0, 0, 0x10, 1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0,
        /* GR and GX, S-1-5-11 */
        0, 0, 20, 0, 0, 0, 0, 0xa0, 1, 1, 0, 0, 0, 0, 0, 5, 11, 0, 0, 0};
    uint8_t made[VCK_SECURITY_DESCRIPTOR_BYTES];

    (void)state;
    memset(made, 0xee, sizeof(made));
    vck_security_descriptor_build(made);
    assert_memory_equal(made, expected, sizeof(made));
}

static void sids(void **state)
{
    static const uint8_t admins[] = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0};
    static const uint8_t users[] = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x21, 2, 0, 0};
    static const uint8_t system[] = {1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0};
    uint8_t longer[sizeof(admins) + 4] = {0};

    (void)state;
    memcpy(longer, admins, sizeof(admins));
    longer[1] = 3;
    assert_true(vck_security_is_administrators(admins, sizeof(admins)));
    assert_false(vck_security_is_administrators(users, sizeof(users)));
    assert_false(vck_security_is_administrators(system, sizeof(system)));
    assert_false(vck_security_is_administrators(admins, sizeof(admins) - 4));
    assert_false(vck_security_is_administrators(longer, sizeof(longer)));
}

static void groups(void **state)
{
    (void)state;
    assert_true(vck_security_group_grants(0x04));        /* enabled */
    assert_true(vck_security_group_grants(0x0f));        /* mandatory, by default, enabled, owner */
    assert_false(vck_security_group_grants(0x00));       /* not enabled */
    assert_false(vck_security_group_grants(0x10));       /* to deny only, as without elevation */
    assert_false(vck_security_group_grants(0x14));       /* both */
    assert_true(vck_security_group_grants(0xc0000004u)); /* the logon's */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptor),
        cmocka_unit_test(sids),
        cmocka_unit_test(groups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
