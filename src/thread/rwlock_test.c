/* SPDX-License-Identifier: Apache-2.0 */
#include "thread_test.h"
#include "vck/rwlock.h"

struct shared {
    struct vck_rwlock rwlock;
    struct vck_event read;
    struct vck_event may_end;
    unsigned order[4]; /* who wrote, in order; under the lock */
    unsigned writes;
    bool has_read;
    uint64_t a; /* plain: the lock orders the accesses */
    uint64_t b;
    unsigned torn;
};

static void read_until_told(void *context) VCK_CAN_WAIT
{
    struct shared *shared = context;
    vck_rwlock_acquire_shared(&shared->rwlock);
    vck_event_set(&shared->read);
    (void)vck_event_wait(&shared->may_end, VCK_FOREVER);
    vck_rwlock_release_shared(&shared->rwlock);
}

static void write_once(void *context) VCK_CAN_WAIT
{
    struct shared *shared = context;
    vck_rwlock_acquire_exclusive(&shared->rwlock);
    shared->order[shared->writes++] = is_set(&shared->has_read);
    vck_rwlock_release_exclusive(&shared->rwlock);
}

static void read_once(void *context) VCK_CAN_WAIT
{
    struct shared *shared = context;
    vck_rwlock_acquire_shared(&shared->rwlock);
    set(&shared->has_read);
    vck_rwlock_release_shared(&shared->rwlock);
}

static void init(struct shared *shared)
{
    *shared = (struct shared){.writes = 0};
    vck_rwlock_init(&shared->rwlock);
    vck_event_init(&shared->read);
    vck_event_init(&shared->may_end);
}

static void fini(struct shared *shared)
{
    vck_rwlock_fini(&shared->rwlock);
    vck_event_fini(&shared->read);
    vck_event_fini(&shared->may_end);
}

static void test_readers_read_together(void **state) VCK_CAN_WAIT
{
    struct shared shared;
    (void)state;
    init(&shared);
    struct vck_thread *reader = start(read_until_told, &shared);
    (void)vck_event_wait(&shared.read, VCK_FOREVER);
    vck_rwlock_acquire_shared(&shared.rwlock);
    vck_rwlock_release_shared(&shared.rwlock);
    vck_event_set(&shared.may_end);
    vck_thread_join(reader);
    fini(&shared);
}

static void test_rwlock_serves_in_order(void **state) VCK_CAN_WAIT
{
    struct shared shared;
    (void)state;
    init(&shared);
    struct vck_thread *holder = start(read_until_told, &shared);
    (void)vck_event_wait(&shared.read, VCK_FOREVER);
    struct vck_thread *writer = start(write_once, &shared);
    wait_for_waiters(&shared.rwlock.waiters, &shared.rwlock.lock, 1);
    struct vck_thread *reader = start(read_once, &shared);
    wait_for_waiters(&shared.rwlock.waiters, &shared.rwlock.lock, 2);
    /* The reader could share with the holder, but the writer came first. */
    assert_false(is_set(&shared.has_read));
    vck_event_set(&shared.may_end);
    vck_thread_join(holder);
    vck_thread_join(writer);
    vck_thread_join(reader);
    assert_int_equal(shared.writes, 1);
    assert_int_equal(shared.order[0], false);
    assert_true(shared.has_read);
    fini(&shared);
}

static void test_rwlock_is_held_in_a_critical_region(void **state) VCK_CAN_WAIT
{
    struct vck_rwlock rwlock = {.readers = 0}; /* zeroed memory is a free lock */
    (void)state;
    assert_false(vck_in_critical_region());
    vck_rwlock_acquire_shared(&rwlock);
    bool inside_shared = vck_in_critical_region();
    vck_rwlock_release_shared(&rwlock);
    bool between = vck_in_critical_region();
    vck_rwlock_acquire_exclusive(&rwlock);
    bool inside_exclusive = vck_in_critical_region();
    vck_rwlock_release_exclusive(&rwlock);
    assert_true(inside_shared && inside_exclusive);
    assert_false(between || vck_in_critical_region());
    vck_rwlock_fini(&rwlock);
}

#define ROUNDS 4000

static void write_often(void *context) VCK_CAN_WAIT
{
    struct shared *shared = context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        vck_rwlock_acquire_exclusive(&shared->rwlock);
        shared->a++;
        shared->b++;
        vck_rwlock_release_exclusive(&shared->rwlock);
    }
}

static void read_often(void *context) VCK_CAN_WAIT
{
    struct shared *shared = context;
    unsigned torn = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        vck_rwlock_acquire_shared(&shared->rwlock);
        torn += shared->a != shared->b;
        vck_rwlock_release_shared(&shared->rwlock);
    }
    __atomic_add_fetch(&shared->torn, torn, __ATOMIC_RELAXED);
}

static void test_writers_exclude(void **state) VCK_CAN_WAIT
{
    struct shared shared;
    struct vck_thread *threads[4];
    (void)state;
    init(&shared);
    for (size_t i = 0; i < 4; i++)
        threads[i] = start(i % 2 ? read_often : write_often, &shared);
    for (size_t i = 0; i < 4; i++)
        vck_thread_join(threads[i]);
    assert_int_equal(shared.a, 2 * ROUNDS);
    assert_int_equal(shared.b, 2 * ROUNDS);
    assert_int_equal(shared.torn, 0);
    fini(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_read_together),
        cmocka_unit_test(test_rwlock_serves_in_order),
        cmocka_unit_test(test_rwlock_is_held_in_a_critical_region),
        cmocka_unit_test(test_writers_exclude),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
