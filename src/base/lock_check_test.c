/* SPDX-License-Identifier: Apache-2.0 */
#include "port/posix/abort_test.h"
#include "vck/bytes.h"
#include "vck/lock_check.h"

/* A lock as the checker sees it. */
struct lock {
    uint8_t lock_class;
};

static struct lock locks[4];
static struct vck_lock_stack stack;

static void init_locks(void)
{
    static const char *const sites[] = {"init-a", "init-b", "init-c", "init-d"};
    for (size_t i = 0; i < VCK_ARRAY_COUNT(locks); i++)
        locks[i].lock_class = vck_lock_class_of_site(sites[i]);
}

static void take(struct lock *lock, const char *site)
{
    vck_lock_check_take(&stack, lock, &lock->lock_class, site, "a lock is not taken twice");
    vck_lock_check_taken(&stack, lock, &lock->lock_class, site, false);
}

static void release(struct lock *lock)
{
    vck_lock_check_released(&stack, lock);
}

static void take_pair(struct lock *outer, const char *outer_site, struct lock *inner,
                      const char *inner_site)
{
    take(outer, outer_site);
    take(inner, inner_site);
    release(outer); /* in any order */
    release(inner);
}

/* ---- sites and classes ---- */

static void test_sites_have_numbers_and_classes(void **state)
{
    static const char here[] = "x.c:1";
    static const char there[] = "x.c:2";
    (void)state;
    uint16_t number = vck_lock_site_number(here);
    assert_int_not_equal(number, 0);
    assert_int_equal(vck_lock_site_number(here), number);
    assert_int_not_equal(vck_lock_site_number(there), number);
    assert_ptr_equal(vck_lock_site_of_number(number), here);
    assert_int_equal(vck_lock_site_number(NULL), 0);
    assert_null(vck_lock_site_of_number(0));
    assert_null(vck_lock_site_of_number(UINT16_MAX));
    assert_int_not_equal(vck_lock_class_of_site(here), 0);
    assert_int_equal(vck_lock_class_of_site(here), vck_lock_class_of_site(here));
    assert_int_not_equal(vck_lock_class_of_site(here), vck_lock_class_of_site(there));
    assert_int_not_equal(vck_lock_class_of_site(NULL), 0);
}

static void test_zeroed_lock_gets_the_class_of_its_first_site(void **state)
{
    struct lock lock = {0};
    (void)state;
    take(&lock, "first");
    release(&lock);
    assert_int_equal(lock.lock_class, vck_lock_class_of_site("first"));
    take(&lock, "second");
    release(&lock);
    assert_int_equal(lock.lock_class, vck_lock_class_of_site("first"));
}

/* ---- what a thread holds ---- */

static void test_stack_knows_what_is_held(void **state)
{
    (void)state;
    assert_null(vck_lock_check_find(NULL, &locks[0]));
    assert_null(vck_lock_check_find(&stack, &locks[0]));
    take(&locks[0], "at-a");
    vck_lock_check_taken(&stack, &locks[1], &locks[1].lock_class, "at-spin", true);
    assert_string_equal(vck_lock_check_find(&stack, &locks[0])->site, "at-a");
    assert_string_equal(vck_lock_check_raised_at(&stack), "at-spin");
    release(&locks[0]);
    assert_null(vck_lock_check_find(&stack, &locks[0]));
    assert_non_null(vck_lock_check_find(&stack, &locks[1]));
    release(&locks[1]);
    assert_null(vck_lock_check_raised_at(&stack));
    release(&locks[1]); /* not held: harmless, others complain */
    assert_int_equal(stack.count, 0);
}

static void test_more_locks_than_fit_are_counted(void **state)
{
    struct lock many[VCK_LOCKS_HELD_MAX + 3];
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(many); i++) {
        many[i].lock_class = vck_lock_class_of_site("one class");
        take(&many[i], "many");
    }
    assert_int_equal(stack.count, VCK_LOCKS_HELD_MAX);
    assert_int_equal(stack.untracked, 3);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(many); i++)
        release(&many[i]);
    assert_int_equal(stack.count, 0);
    assert_int_equal(stack.untracked, 0);
}

/* ---- order ---- */

static void test_one_order_is_fine(void **state)
{
    (void)state;
    init_locks();
    for (unsigned i = 0; i < 2; i++) {
        take_pair(&locks[0], "p", &locks[1], "q");
        take_pair(&locks[1], "r", &locks[2], "s");
        take_pair(&locks[0], "t", &locks[2], "u");
    }
}

static void take_in_two_orders(void)
{
    init_locks();
    take_pair(&locks[0], "first:1", &locks[1], "first:2");
    take_pair(&locks[1], "second:1", &locks[0], "second:2");
}

static void take_in_a_circle(void)
{
    init_locks();
    take_pair(&locks[0], "ab:1", &locks[1], "ab:2");
    take_pair(&locks[1], "bc:1", &locks[2], "bc:2");
    take_pair(&locks[2], "cd:1", &locks[3], "cd:2");
    take_pair(&locks[3], "da:1", &locks[0], "da:2");
}

static void take_two_of_a_class_and_a_third(void)
{
    struct lock other = {.lock_class = vck_lock_class_of_site("init-a")};
    init_locks();
    take_pair(&locks[0], "ab:1", &locks[1], "ab:2");
    take_pair(&locks[1], "ba:1", &other, "ba:2");
}

static void test_two_orders_stop_the_program(void **state)
{
    (void)state;
    expect_abort(take_in_two_orders,
                 "locks are taken in one order: now second:1 then second:2; before first:1 then "
                 "first:2; the locks are initialised at init-b and init-a");
    expect_abort(take_in_a_circle,
                 "now da:1 then da:2; before ab:1 then ab:2 and bc:1 then bc:2 and cd:1 then cd:2");
    expect_abort(take_two_of_a_class_and_a_third, "now ba:1 then ba:2; before ab:1 then ab:2");
}

static void take_twice(void)
{
    init_locks();
    take(&locks[0], "once:1");
    take(&locks[0], "again:1");
}

static void test_taking_twice_stops_the_program(void **state)
{
    (void)state;
    expect_abort(take_twice, "a lock is not taken twice: at again:1, taken at once:1");
}

static void test_locks_of_one_class_are_not_ordered(void **state)
{
    struct lock other = {.lock_class = 0};
    (void)state;
    init_locks();
    other.lock_class = locks[0].lock_class;
    take_pair(&locks[0], "p", &other, "q");
    take_pair(&other, "q", &locks[0], "p");
    assert_int_equal(stack.count, 0);
}

/* ---- running out; last, as it stays so ---- */

static void take_in_two_orders_unchecked(void)
{
    static const char sites[5000];
    struct lock extra[2];
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sites); i++)
        (void)vck_lock_class_of_site(&sites[i]);
    for (size_t i = 0; i < 2; i++)
        extra[i].lock_class = vck_lock_class_of_site(&sites[4000 + i]);
    take_pair(&extra[0], "first:1", &extra[1], "first:2");
    take_pair(&extra[1], "second:1", &extra[0], "second:2");
    take_in_two_orders(); /* initialised before; still seen, if the sites still have numbers */
}

static void run_out(void)
{
    init_locks();
    take_pair(&locks[0], "first:1", &locks[1], "first:2");
    (void)vck_lock_site_number("second:1");
    (void)vck_lock_site_number("second:2");
    take_in_two_orders_unchecked();
}

static void test_rest_is_not_checked_when_classes_run_out(void **state)
{
    (void)state;
    expect_abort(run_out, "now second:1 then second:2; before first:1 then first:2; the locks are "
                          "initialised at init-b and init-a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_orders_stop_the_program),
        cmocka_unit_test(test_taking_twice_stops_the_program),
        cmocka_unit_test(test_rest_is_not_checked_when_classes_run_out),
        cmocka_unit_test(test_sites_have_numbers_and_classes),
        cmocka_unit_test(test_zeroed_lock_gets_the_class_of_its_first_site),
        cmocka_unit_test(test_stack_knows_what_is_held),
        cmocka_unit_test(test_more_locks_than_fit_are_counted),
        cmocka_unit_test(test_one_order_is_fine),
        cmocka_unit_test(test_locks_of_one_class_are_not_ordered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
