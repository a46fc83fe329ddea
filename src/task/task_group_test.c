/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/async_event.h"
#include "vck/task_group.h"
#include "sync_test.h"

static void a_group_waits_for_its_members(void **state)
{
    (void)state;
    struct vck_task_group group;
    struct vck_group_wait waits[2];
    struct wakes wakes = {0, 0};

    vck_task_group_init(&group);
    vck_group_wait_init(&waits[0], &group);
    assert_ready(&waits[0].future, &wakes);
    assert_int_equal(vck_task_group_enter(&group), VCK_OK);
    assert_int_equal(vck_task_group_enter(&group), VCK_OK);
    for (int i = 0; i < 2; i++) {
        vck_group_wait_init(&waits[i], &group);
        assert_pending(&waits[i].future, &wakes);
    }
    vck_task_group_leave(&group);
    assert_int_equal(woken(&wakes), 0);
    assert_pending(&waits[0].future, &wakes);
    vck_task_group_leave(&group);
    assert_int_equal(woken(&wakes), 2);
    assert_ready(&waits[0].future, &wakes);
    assert_ready(&waits[1].future, &wakes);
    assert_int_equal(wakes.live, 0);
}

static void a_closed_group_takes_no_members(void **state)
{
    (void)state;
    struct vck_task_group group;
    struct vck_group_member member;
    struct vck_async_event event;
    struct vck_async_event_wait inner;

    vck_task_group_init(&group);
    assert_int_equal(vck_task_group_enter(&group), VCK_OK);
    vck_task_group_close(&group);
    assert_int_equal(vck_task_group_enter(&group), VCK_DELETE_PENDING);
    vck_async_event_init(&event);
    vck_async_event_wait_init(&inner, &event);
    assert_int_equal(vck_group_member_init(&member, &group, &inner.future), VCK_DELETE_PENDING);
    assert_int_equal(vck_task_group_members(&group), 1);
    vck_task_group_leave(&group);
}

/* A member over a wait for an event. */
struct fixture {
    struct vck_task_group group;
    struct vck_async_event event;
    struct vck_async_event_wait inner;
    struct vck_group_member member;
    struct wakes wakes;
};

static void set_up(struct fixture *f)
{
    *f = (struct fixture){.wakes = {0, 0}};
    vck_task_group_init(&f->group);
    vck_async_event_init(&f->event);
    vck_async_event_wait_init(&f->inner, &f->event);
    assert_int_equal(vck_group_member_init(&f->member, &f->group, &f->inner.future), VCK_OK);
    assert_int_equal(vck_task_group_members(&f->group), 1);
}

static void a_wrapped_future_is_a_member_until_it_is_ready(void **state)
{
    (void)state;
    struct fixture f;

    set_up(&f);
    assert_pending(&f.member.future, &f.wakes);
    assert_pending(&f.member.future, &f.wakes);
    assert_int_equal(vck_task_group_members(&f.group), 1);
    vck_async_event_set(&f.event);
    assert_int_equal(woken(&f.wakes), 1);
    assert_ready(&f.member.future, &f.wakes);
    assert_int_equal(f.member.status, VCK_OK);
    assert_int_equal(vck_task_group_members(&f.group), 0);
    assert_int_equal(f.wakes.live, 0);
}

/* Cancelled before its first poll, pending, with inner ready but not polled. */
static void cancel_ends_wrapped_futures(void **state)
{
    (void)state;
    for (int point = 0; point < 3; point++) {
        struct fixture f;

        set_up(&f);
        if (point > 0)
            assert_pending(&f.member.future, &f.wakes);
        if (point > 1)
            vck_async_event_set(&f.event);
        (void)woken(&f.wakes);
        vck_task_group_cancel(&f.group);
        vck_task_group_cancel(&f.group);
        assert_int_equal(woken(&f.wakes), point > 0 ? 1 : 0);
        assert_int_equal(vck_task_group_members(&f.group), 1);
        assert_ready(&f.member.future, &f.wakes);
        assert_int_equal(f.member.status, VCK_CANCELLED);
        assert_int_equal(vck_task_group_members(&f.group), 0);
        assert_int_equal(f.wakes.live, 0);
        assert_int_equal(vck_task_group_enter(&f.group), VCK_DELETE_PENDING);
    }
}

static void a_dropped_member_has_left(void **state)
{
    (void)state;
    for (int point = 0; point < 4; point++) {
        struct fixture f;

        set_up(&f);
        if (point > 0)
            assert_pending(&f.member.future, &f.wakes);
        if (point == 2)
            vck_async_event_set(&f.event);
        if (point == 3)
            vck_task_group_cancel(&f.group);
        vck_future_drop(&f.member.future);
        vck_future_drop(&f.member.future);
        assert_int_equal(vck_task_group_members(&f.group), 0);
        assert_int_equal(f.wakes.live, 0);
    }
}

static void a_dropped_wait_is_withdrawn(void **state)
{
    (void)state;
    for (int point = 0; point < 3; point++) {
        struct vck_task_group group;
        struct vck_group_wait wait;
        struct wakes wakes = {0, 0};

        vck_task_group_init(&group);
        assert_int_equal(vck_task_group_enter(&group), VCK_OK);
        vck_group_wait_init(&wait, &group);
        if (point > 0)
            assert_pending(&wait.future, &wakes);
        if (point > 1)
            vck_task_group_leave(&group);
        vck_future_drop(&wait.future);
        if (point <= 1)
            vck_task_group_leave(&group);
        assert_int_equal(woken(&wakes), point > 1 ? 1 : 0);
        assert_int_equal(wakes.live, 0);
    }
}

/* ---- stress: the group lies on the stack and goes as soon as its members have left ---- */

#define MEMBERS 3

struct run {
    struct vck_task_group group;
    struct vck_async_event never;
    uint32_t ended;
};

static void be_member(void *context) VCK_CAN_WAIT
{
    struct run *run = context;
    struct vck_async_event_wait inner;
    struct vck_group_member member;

    vck_async_event_wait_init(&inner, &run->never);
    if (vck_group_member_init(&member, &run->group, &inner.future) == VCK_OK) {
        vck_block_on(&member.future);
        if (member.status != VCK_CANCELLED)
            abort();
    }
    __atomic_fetch_add(&run->ended, 1, __ATOMIC_RELAXED);
    vck_task_group_leave(&run->group);
}

static void stress_with_threads(void **state) VCK_CAN_WAIT
{
    (void)state;
    uint64_t until_ns = vck_clock_ns() + stress_ns();

    for (uint32_t round = 0; round < 50 || vck_clock_ns() < until_ns; round++) {
        struct run run = {.ended = 0};
        struct vck_thread *threads[MEMBERS];

        vck_task_group_init(&run.group);
        vck_async_event_init(&run.never);
        for (int i = 0; i < MEMBERS; i++) {
            assert_int_equal(vck_task_group_enter(&run.group), VCK_OK);
            assert_int_equal(
                vck_thread_create(be_member, &run, VCK_THREAD_NORMAL, "member", &threads[i]),
                VCK_OK);
        }
        while (round % 2 && vck_task_group_members(&run.group) < 2 * MEMBERS)
            ;
        vck_task_group_cancel(&run.group);
        assert_int_equal(vck_task_group_wait_until(&run.group, VCK_FOREVER), VCK_OK);
        assert_int_equal(run.ended, MEMBERS);
        memset(&run, 0xa5, sizeof(run));
        for (int i = 0; i < MEMBERS; i++)
            vck_thread_join(threads[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_waits_for_its_members),
        cmocka_unit_test(a_closed_group_takes_no_members),
        cmocka_unit_test(a_wrapped_future_is_a_member_until_it_is_ready),
        cmocka_unit_test(cancel_ends_wrapped_futures),
        cmocka_unit_test(a_dropped_member_has_left),
        cmocka_unit_test(a_dropped_wait_is_withdrawn),
        cmocka_unit_test(stress_with_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
