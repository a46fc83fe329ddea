/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"
#include "port/port.h"
#include "vck/holds.h"

#define USER_COUNT  3u
#define ROUND_COUNT 20000u

static void zero_is_final(void **state)
{
    uint32_t holds = 1;

    (void)state;
    assert_true(vck_holds_try(&holds));
    assert_false(vck_holds_put(&holds));
    assert_true(vck_holds_put(&holds));
    assert_false(vck_holds_try(&holds));
    assert_int_equal(holds, 0);
}

/* Something that begins and ends over and over while others try to touch it. */
struct thing {
    uint32_t holds;
    unsigned end_count;
    uint64_t written; /* plain: the last put orders it */
    bool stop;
    struct vck_event over;
};

static void end_if_last(struct thing *thing)
{
    if (!vck_holds_put(&thing->holds))
        return;
    thing->written++;
    __atomic_fetch_add(&thing->end_count, 1, __ATOMIC_RELAXED);
    vck_event_set(&thing->over);
}

static void touch(void *context)
{
    struct thing *thing = context;

    while (!__atomic_load_n(&thing->stop, __ATOMIC_RELAXED))
        if (vck_holds_try(&thing->holds))
            end_if_last(thing);
}

static void one_of_many_ends_it(void **state) VCK_CAN_WAIT
{
    struct thing thing = {.holds = 0};
    struct vck_thread *threads[USER_COUNT];

    (void)state;
    vck_event_init(&thing.over);
    for (unsigned i = 0; i < USER_COUNT; i++)
        assert_int_equal(vck_thread_create(touch, &thing, VCK_THREAD_NORMAL, "user", &threads[i]),
                         VCK_OK);
    for (unsigned round = 0; round < ROUND_COUNT; round++) {
        thing.written++;
        __atomic_store_n(&thing.holds, 1, __ATOMIC_SEQ_CST);
        end_if_last(&thing);
        assert_int_equal(vck_event_wait(&thing.over, VCK_FOREVER), VCK_OK);
    }
    __atomic_store_n(&thing.stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < USER_COUNT; i++)
        vck_thread_join(threads[i]);
    vck_event_fini(&thing.over);
    assert_int_equal(thing.end_count, ROUND_COUNT);
    assert_int_equal(thing.written, 2 * ROUND_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_final),
        cmocka_unit_test(one_of_many_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
