/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "vck/guard.h"
#include "vck/plan.h"

static struct vck_guard guard;

static int setup(void **state)
{
    struct vck_guard_view view = {.cipher_end = 100, .hot_end = 100};

    (void)state;
    vck_guard_init(&guard, &view);
    return 0;
}

static enum vck_poll poll(struct vck_future *future)
{
    return vck_future_poll(future, &vck_waker_noop);
}

static void lock_range(uint64_t first, uint64_t end, vck_status status)
{
    struct vck_guard_view view = {.cipher_end = 100,
                                  .hot_end = 100,
                                  .lock_first = first,
                                  .lock_end = end,
                                  .lock_status = status};

    vck_guard_publish(&guard, &view);
}

static void writers_wait_only_in_the_zone(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_guard_enter inside;
    struct vck_guard_enter outside;
    struct vck_guard_enter reader;

    lock_range(100, 108, VCK_OK);
    vck_guard_enter_init(&inside, &guard, 107, 109, true);
    vck_guard_enter_init(&outside, &guard, 108, 110, true);
    vck_guard_enter_init(&reader, &guard, 100, 108, false);
    assert_int_equal(poll(&inside.future), VCK_PENDING);
    assert_int_equal(poll(&inside.future), VCK_PENDING);
    assert_int_equal(poll(&outside.future), VCK_READY);
    assert_int_equal(poll(&reader.future), VCK_READY);
    assert_int_equal(outside.status, VCK_OK);
    lock_range(0, 0, VCK_OK);
    assert_int_equal(poll(&inside.future), VCK_READY);
    assert_int_equal(inside.status, VCK_OK);
    vck_guard_leave(&inside);
    vck_guard_leave(&outside);
    vck_guard_leave(&reader);
    vck_guard_leave(&reader);
}

static void a_zone_that_failed_refuses_writers(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_guard_enter enter;

    lock_range(100, 108, VCK_OK);
    vck_guard_enter_init(&enter, &guard, 100, 101, true);
    assert_int_equal(poll(&enter.future), VCK_PENDING);
    lock_range(100, 108, VCK_IO);
    assert_int_equal(poll(&enter.future), VCK_READY);
    assert_int_equal(enter.status, VCK_IO);
    assert_null(enter.slot);
}

static void drain_waits_for_its_kind_and_range(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_guard_enter reader;
    struct vck_guard_enter writer;
    struct vck_guard_enter elsewhere;
    struct vck_guard_drain writers;
    struct vck_guard_drain all;

    vck_guard_enter_init(&reader, &guard, 10, 20, false);
    vck_guard_enter_init(&writer, &guard, 15, 25, true);
    vck_guard_enter_init(&elsewhere, &guard, 30, 31, true);
    assert_int_equal(poll(&reader.future), VCK_READY);
    assert_int_equal(poll(&writer.future), VCK_READY);
    assert_int_equal(poll(&elsewhere.future), VCK_READY);
    vck_guard_drain_init(&writers, &guard, 0, 30, true);
    vck_guard_drain_init(&all, &guard, 0, 30, false);
    assert_int_equal(poll(&writers.future), VCK_PENDING);
    assert_int_equal(poll(&all.future), VCK_PENDING);
    vck_guard_leave(&writer);
    assert_int_equal(poll(&writers.future), VCK_READY);
    assert_int_equal(poll(&all.future), VCK_PENDING);
    vck_guard_leave(&reader);
    assert_int_equal(poll(&all.future), VCK_READY);
    vck_guard_leave(&elsewhere);
}

static void more_requests_than_slots_wait_their_turn(void **state) VCK_CAN_WAIT
{
    (void)state;
    static struct vck_guard_enter enters[VCK_GUARD_SLOTS + 1];

    for (uint32_t i = 0; i < VCK_GUARD_SLOTS + 1; i++) {
        vck_guard_enter_init(&enters[i], &guard, i, i + 1, false);
        assert_int_equal(poll(&enters[i].future), i < VCK_GUARD_SLOTS ? VCK_READY : VCK_PENDING);
    }
    vck_guard_leave(&enters[7]);
    assert_int_equal(poll(&enters[VCK_GUARD_SLOTS].future), VCK_READY);
    for (uint32_t i = 0; i < VCK_GUARD_SLOTS + 1; i++)
        vck_guard_leave(&enters[i]);
}

static void closing_sends_everybody_away(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_guard_enter waiting;
    struct vck_guard_enter late;

    lock_range(0, 10, VCK_OK);
    vck_guard_enter_init(&waiting, &guard, 0, 1, true);
    assert_int_equal(poll(&waiting.future), VCK_PENDING);
    vck_guard_close(&guard);
    assert_int_equal(poll(&waiting.future), VCK_READY);
    assert_int_equal(waiting.status, VCK_DELETED);
    vck_guard_enter_init(&late, &guard, 50, 51, false);
    assert_int_equal(poll(&late.future), VCK_READY);
    assert_int_equal(late.status, VCK_DELETED);
}

/* ---- many threads against a zone that moves ---- */

#define CELLS  64
#define ROUNDS 3000

static uint32_t owners[CELLS]; /* writers inside, per cell */
static bool zone[CELLS];       /* the mover believes it has the cell to itself */
static bool stop;

static void writer_thread(void *context) VCK_NO_ANALYSIS
{
    uint64_t seed = (uintptr_t)context;

    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        struct vck_guard_enter enter;
        uint64_t cell;

        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        cell = (seed >> 40) % CELLS;
        vck_guard_enter_init(&enter, &guard, cell, cell + 1, true);
        vck_block_on(&enter.future);
        __atomic_fetch_add(&owners[cell], 1, __ATOMIC_SEQ_CST);
        VCK_ASSERT(!__atomic_load_n(&zone[cell], __ATOMIC_SEQ_CST));
        __atomic_fetch_sub(&owners[cell], 1, __ATOMIC_SEQ_CST);
        vck_guard_leave(&enter);
    }
}

static void no_writer_is_inside_a_drained_zone(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_thread *threads[3];

    stop = false;
    for (uintptr_t i = 0; i < 3; i++)
        assert_int_equal(vck_thread_create(writer_thread, (void *)(i + 1), VCK_THREAD_NORMAL,
                                           "writer", &threads[i]),
                         VCK_OK);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t first = round % (CELLS - 8);
        struct vck_guard_drain drain;

        lock_range(first, first + 8, VCK_OK);
        vck_guard_drain_init(&drain, &guard, first, first + 8, true);
        vck_block_on(&drain.future);
        for (uint64_t cell = first; cell < first + 8; cell++) {
            __atomic_store_n(&zone[cell], true, __ATOMIC_SEQ_CST);
            assert_int_equal(__atomic_load_n(&owners[cell], __ATOMIC_SEQ_CST), 0);
        }
        for (uint64_t cell = first; cell < first + 8; cell++)
            __atomic_store_n(&zone[cell], false, __ATOMIC_SEQ_CST);
    }
    lock_range(0, 0, VCK_OK);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++)
        vck_thread_join(threads[i]);
}

/* ---- plan ---- */

static void plan_splits_at_boundary_and_zone(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_guard_view view = {.cipher_end = 10, .hot_end = 14};

    for (uint64_t first = 0; first < 20; first++) {
        for (uint64_t sectors = 1; first + sectors <= 20; sectors++) {
            struct vck_plan plan;
            uint64_t next = first;

            vck_plan_init(&plan, &view, first, sectors);
            for (uint32_t i = 0; i < plan.count; i++) {
                const struct vck_segment *s = &plan.segments[i];

                assert_int_equal(s->first_sector, next);
                assert_true(s->sectors > 0);
                for (uint64_t k = s->first_sector; k < s->first_sector + s->sectors; k++)
                    assert_int_equal(s->kind, k < 10   ? VCK_SEGMENT_CIPHER
                                              : k < 14 ? VCK_SEGMENT_HOT
                                                       : VCK_SEGMENT_PLAIN);
                next += s->sectors;
            }
            assert_int_equal(next, first + sectors);
        }
    }
}

static void plan_range_refuses_what_does_not_fit(void **state) VCK_CAN_WAIT
{
    (void)state;
    static const struct {
        uint64_t offset;
        uint64_t size;
        vck_status status;
    } cases[] = {
        {0, 512, VCK_OK},
        {99 * 512, 512, VCK_OK},
        {100 * 512, 0, VCK_OK},
        {99 * 512, 1024, VCK_OUT_OF_RANGE},
        {100 * 512, 512, VCK_OUT_OF_RANGE},
        {UINT64_MAX - 511, 512, VCK_OUT_OF_RANGE},
        {0, UINT64_MAX - 511, VCK_OUT_OF_RANGE},
        {1, 512, VCK_INVALID_DATA},
        {0, 511, VCK_INVALID_DATA},
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        uint64_t first = 77;
        uint64_t sectors = 77;

        assert_int_equal(vck_plan_range(512, 100, cases[i].offset, cases[i].size, &first, &sectors),
                         cases[i].status);
        if (cases[i].status != VCK_OK)
            assert_int_equal(first, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(writers_wait_only_in_the_zone, setup),
        cmocka_unit_test_setup(a_zone_that_failed_refuses_writers, setup),
        cmocka_unit_test_setup(drain_waits_for_its_kind_and_range, setup),
        cmocka_unit_test_setup(more_requests_than_slots_wait_their_turn, setup),
        cmocka_unit_test_setup(closing_sends_everybody_away, setup),
        cmocka_unit_test_setup(no_writer_is_inside_a_drained_zone, setup),
        cmocka_unit_test(plan_splits_at_boundary_and_zone),
        cmocka_unit_test(plan_range_refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
