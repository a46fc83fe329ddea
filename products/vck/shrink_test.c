/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "products/vck/shrink.h"
#include "vck/bytes.h"
#include "vck/list.h"

#define REFUSED 1117u

/* A volume that follows the documented order and refuses the n-th request. */
struct fake_volume {
    struct shrink_volume volume;
    unsigned refused; /* from 1; 0: none */
    unsigned count;
    uint32_t types[4];
    uint64_t sectors;
};

static uint32_t control(struct shrink_volume *volume, uint32_t code, const void *request,
                        size_t size_bytes)
{
    struct fake_volume *fake = VCK_CONTAINER_OF(volume, struct fake_volume, volume);
    const uint8_t *bytes = request;
    assert_int_equal(code, SHRINK_CODE);
    assert_int_equal(size_bytes, SHRINK_REQUEST_BYTES);
    assert_true(fake->count < VCK_ARRAY_COUNT(fake->types));
    assert_int_equal(vck_load_le32(bytes + 4), 0);
    assert_int_equal(vck_load_le64(bytes + 8), 0);
    fake->types[fake->count++] = vck_load_le32(bytes);
    if (fake->count == 1)
        fake->sectors = vck_load_le64(bytes + 16);
    else
        assert_int_equal(vck_load_le64(bytes + 16), 0);
    return fake->count == fake->refused ? REFUSED : 0;
}

static void prepares_and_commits(void **state)
{
    struct fake_volume fake = {.volume = {control}};
    enum shrink_step step;
    (void)state;
    assert_int_equal(shrink_volume(&fake.volume, 0x123456789a, &step), 0);
    assert_int_equal(fake.count, 2);
    assert_int_equal(fake.types[0], 1);
    assert_int_equal(fake.types[1], 2);
    assert_int_equal(fake.sectors, 0x123456789a);
}

static void stops_when_refused(void **state)
{
    struct fake_volume fake = {.volume = {control}, .refused = 1};
    enum shrink_step step;
    (void)state;
    assert_int_equal(shrink_volume(&fake.volume, 5, &step), REFUSED);
    assert_int_equal(step, SHRINK_PREPARE);
    assert_int_equal(fake.count, 1);
}

static void aborts_when_files_are_in_the_way(void **state)
{
    struct fake_volume fake = {.volume = {control}, .refused = 2};
    enum shrink_step step;
    (void)state;
    assert_int_equal(shrink_volume(&fake.volume, 5, &step), REFUSED);
    assert_int_equal(step, SHRINK_COMMIT);
    assert_int_equal(fake.count, 3);
    assert_int_equal(fake.types[2], 3);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepares_and_commits),
        cmocka_unit_test(stops_when_refused),
        cmocka_unit_test(aborts_when_files_are_in_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
