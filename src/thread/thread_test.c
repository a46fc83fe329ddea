/* SPDX-License-Identifier: Apache-2.0 */
#include "thread_test.h"
#include "vck/object.h"
#include "vck/thread.h"

#define TAG VCK_TAG('t', 'e', 's', 't')

/* ---- owners ---- */

struct owner {
    bool *is_destroyed;
    bool *is_entry_left;
};

static void destroy_owner(void *context)
{
    struct owner *owner = context;
    if (owner->is_entry_left != NULL)
        assert_true(is_set(owner->is_entry_left));
    set(owner->is_destroyed);
}

static const struct vck_object_type owner_type = {
    .name = "owner", .context_bytes = sizeof(struct owner), .destroy = destroy_owner};

static vck_status init_owner(struct vck_object *object, void *context, void *argument)
{
    (void)object;
    *(struct owner *)context = *(const struct owner *)argument;
    return VCK_OK;
}

static struct vck_object *create_owner(bool *is_destroyed, bool *is_entry_left) VCK_CAN_WAIT
{
    struct owner owner = {.is_destroyed = is_destroyed, .is_entry_left = is_entry_left};
    struct vck_object *object = NULL;
    assert_int_equal(vck_object_create(&owner_type, NULL, init_owner, &owner, &object), VCK_OK);
    return object;
}

struct run {
    struct vck_event may_end;
    struct vck_thread_handle *self;
    uint32_t id;
    vck_level level;
    bool is_left;
};

static void run_until_told(void *context) VCK_CAN_WAIT
{
    struct run *run = context;
    run->self = vck_thread_get_current();
    run->id = vck_thread_id();
    run->level = vck_current_level();
    (void)vck_event_wait(&run->may_end, VCK_FOREVER);
    set(&run->is_left);
}

static struct vck_thread_handle *spawn(struct vck_object *owner, void (*entry)(void *),
                                       void *context)
{
    struct vck_thread_handle *handle = NULL;
    assert_int_equal(vck_thread_spawn(owner, entry, context, VCK_THREAD_NORMAL, "spawned", &handle),
                     VCK_OK);
    return handle;
}

static void test_thread_holds_its_owner_until_it_is_gone(void **state) VCK_CAN_WAIT
{
    struct run run = {.id = 0};
    bool is_destroyed = false;
    (void)state;
    vck_event_init(&run.may_end);
    struct vck_object *owner = create_owner(&is_destroyed, &run.is_left);
    struct vck_thread_handle *handle = spawn(owner, run_until_told, &run);
    assert_int_equal(vck_object_delete(owner), VCK_OK);
    assert_false(is_set(&is_destroyed));
    vck_event_set(&run.may_end);
    vck_thread_handle_join(handle);
    assert_true(is_set(&is_destroyed));
    assert_int_equal(run.level, VCK_LEVEL_PASSIVE);
    vck_event_fini(&run.may_end);
}

static void test_detached_thread_releases_its_owner(void **state) VCK_CAN_WAIT
{
    struct run run = {.id = 0};
    bool is_destroyed = false;
    (void)state;
    size_t before = vck_alloc_live_count();
    vck_event_init(&run.may_end);
    struct vck_object *owner = create_owner(&is_destroyed, &run.is_left);
    vck_thread_handle_detach(spawn(owner, run_until_told, &run));
    assert_int_equal(vck_object_delete(owner), VCK_OK);
    vck_event_set(&run.may_end);
    while (!is_set(&is_destroyed) || vck_alloc_live_count() != before)
        vck_thread_yield();
    vck_event_fini(&run.may_end);
}

static void do_nothing(void *context)
{
    (void)context;
}

static void test_spawn_fails_without_a_trace(void **state) VCK_CAN_WAIT
{
    bool is_destroyed = false;
    struct vck_thread_handle *handle = NULL;
    vck_status status = VCK_NO_MEMORY;
    (void)state;
    struct vck_object *owner = create_owner(&is_destroyed, NULL);
    size_t before = vck_alloc_live_count();
    for (uint64_t n = 1; status == VCK_NO_MEMORY; n++) {
        assert_null(handle);
        assert_int_equal(vck_alloc_live_count(), before);
        vck_alloc_fail_nth(n);
        status =
            vck_thread_spawn(owner, do_nothing, NULL, VCK_THREAD_BACKGROUND, "failing", &handle);
        assert_true(n < 10);
    }
    vck_alloc_fail_nth(0);
    assert_int_equal(status, VCK_OK);
    vck_thread_handle_join(handle);
    /* One that is being deleted takes no more threads. */
    vck_object_reference(owner, TAG);
    assert_int_equal(vck_object_delete(owner), VCK_OK);
    assert_int_equal(vck_thread_spawn(owner, do_nothing, NULL, VCK_THREAD_NORMAL, "late", &handle),
                     VCK_DELETE_PENDING);
    assert_false(is_destroyed);
    vck_object_release(owner, TAG);
    assert_true(is_destroyed);
}

/* ---- current and by id ---- */

static void test_threads_are_found_by_id_while_they_run(void **state) VCK_CAN_WAIT
{
    struct run run = {.id = 0};
    struct vck_thread_handle *found = NULL;
    (void)state;
    vck_event_init(&run.may_end);
    struct vck_thread_handle *handle = spawn(NULL, run_until_told, &run);
    uint32_t id = vck_thread_handle_id(handle);
    assert_int_equal(vck_thread_find(id, &found), VCK_OK); /* even before it runs */
    assert_ptr_equal(found, handle);
    vck_event_set(&run.may_end);
    vck_thread_handle_join(handle);
    assert_int_equal(run.id, id);
    assert_ptr_equal(run.self, found);
    struct vck_thread_handle *none = NULL;
    assert_int_equal(vck_thread_find(id, &none), VCK_NOT_FOUND);
    assert_null(none);
    vck_thread_unpark(found); /* harmless */
    vck_thread_handle_unref(found);
    vck_event_fini(&run.may_end);
}

struct adopted {
    struct vck_thread_handle *self; /* referenced */
    uint32_t id;
    bool is_same;
};

static void ask_for_itself(void *context)
{
    struct adopted *adopted = context;
    adopted->id = vck_thread_id();
    adopted->self = vck_thread_get_current();
    adopted->is_same = adopted->self == vck_thread_get_current();
    vck_thread_handle_ref(adopted->self);
}

static void test_other_threads_get_a_handle_when_they_ask(void **state) VCK_CAN_WAIT
{
    struct adopted adopted = {.id = 0};
    struct vck_thread_handle *found = NULL;
    (void)state;
    size_t before = vck_alloc_live_count();
    vck_thread_join(start(ask_for_itself, &adopted));
    assert_true(adopted.is_same);
    assert_int_equal(vck_thread_handle_id(adopted.self), adopted.id);
    assert_int_equal(vck_thread_find(adopted.id, &found), VCK_NOT_FOUND);
    vck_thread_handle_unref(adopted.self);
    assert_int_equal(vck_alloc_live_count(), before);
}

static void test_module_takes_the_handles_along(void **state) VCK_CAN_WAIT
{
    struct vck_thread_handle *found = NULL;
    (void)state;
    size_t before = vck_alloc_live_count();
    struct vck_thread_handle *self = vck_thread_get_current();
    assert_non_null(self);
    assert_int_equal(vck_thread_find(vck_thread_id(), &found), VCK_OK);
    assert_ptr_equal(found, self);
    vck_thread_handle_unref(found);
    assert_int_equal(vck_alloc_live_count(), before + 1);
    vck_threads_fini();
    assert_int_equal(vck_alloc_live_count(), before);
    assert_int_equal(vck_thread_find(vck_thread_id(), &found), VCK_NOT_FOUND);
    vck_alloc_fail_nth(1);
    assert_null(vck_thread_get_current());
    vck_alloc_fail_nth(1);
    assert_int_equal(vck_thread_park(), VCK_NO_MEMORY);
    assert_non_null(vck_thread_get_current()); /* usable again */
    vck_threads_fini();
    assert_int_equal(vck_alloc_live_count(), before);
}

/* ---- parking ---- */

static void test_unpark_before_park_is_not_lost(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_thread_handle *self = vck_thread_get_current();
    assert_non_null(self);
    vck_thread_unpark(self);
    vck_thread_unpark(self); /* one token, not two */
    assert_int_equal(vck_thread_park(), VCK_OK);
    assert_int_equal(vck_thread_park_until(0), VCK_TIMEOUT);
    vck_threads_fini();
}

static void test_park_ends_at_its_deadline(void **state) VCK_CAN_WAIT
{
    (void)state;
    uint64_t deadline_ns = vck_clock_ns() + 2 * MILLISECOND_NS;
    assert_int_equal(vck_thread_park_until(deadline_ns), VCK_TIMEOUT);
    assert_true(vck_clock_ns() >= deadline_ns);
    vck_threads_fini();
}

struct pair {
    struct vck_thread_handle *other;
    unsigned turn; /* plain: parking orders the accesses */
    unsigned rounds;
};

static void answer(void *context) VCK_CAN_WAIT
{
    struct pair *pair = context;
    for (unsigned i = 0; i < pair->rounds; i++) {
        (void)vck_thread_park();
        pair->turn++;
        vck_thread_unpark(pair->other);
    }
}

static void test_unpark_wakes_and_orders(void **state) VCK_CAN_WAIT
{
    struct pair pair = {.other = vck_thread_get_current(), .rounds = 3000};
    (void)state;
    struct vck_thread_handle *thread = spawn(NULL, answer, &pair);
    for (unsigned i = 1; i <= pair.rounds; i++) {
        pair.turn++;
        vck_thread_unpark(thread);
        assert_int_equal(vck_thread_park(), VCK_OK);
        assert_int_equal(pair.turn, 2 * i);
    }
    vck_thread_handle_join(thread);
    vck_threads_fini();
}

static void test_unpark_up_to_dispatch(void **state) VCK_CAN_WAIT
{
    struct vck_spinlock lock;
    (void)state;
    struct vck_thread_handle *self = vck_thread_get_current();
    assert_non_null(self);
    vck_spinlock_init(&lock);
    vck_spinlock_acquire(&lock);
    vck_thread_unpark(self);
    vck_spinlock_release(&lock);
    assert_int_equal(vck_thread_park_until(0), VCK_OK);
    vck_threads_fini();
}

/* ---- sleeping ---- */

static void test_sleep_lasts_and_saturates(void **state) VCK_CAN_WAIT
{
    (void)state;
    uint64_t before_ns = vck_clock_ns();
    vck_thread_sleep(2 * MILLISECOND_NS);
    assert_true(vck_clock_ns() - before_ns >= 2 * MILLISECOND_NS);
    vck_thread_sleep(0);
    vck_thread_yield();
    assert_true(vck_deadline_after(UINT64_MAX) == VCK_FOREVER);
    assert_true(vck_deadline_after(UINT64_MAX - 1) == VCK_FOREVER);
    uint64_t soon_ns = vck_deadline_after(5);
    assert_true(soon_ns <= vck_clock_ns() + 5 && soon_ns >= before_ns);
}

/* ---- many at once ---- */

static void unpark_the_spawner(void *context)
{
    vck_thread_unpark(context);
}

static void spawn_often(void *context) VCK_CAN_WAIT
{
    struct vck_object *owner = context;
    struct vck_thread_handle *self = vck_thread_get_current();
    for (unsigned i = 0; i < 60; i++) {
        struct vck_thread_handle *handle;
        if (vck_thread_spawn(owner, unpark_the_spawner, self, VCK_THREAD_NORMAL, "burst",
                             &handle) != VCK_OK)
            abort();
        if (i % 2 == 0)
            vck_thread_handle_join(handle);
        else
            vck_thread_handle_detach(handle);
        (void)vck_thread_park();
    }
}

static void test_threads_come_and_go(void **state) VCK_CAN_WAIT
{
    bool is_destroyed = false;
    struct vck_thread_handle *handles[4];
    (void)state;
    size_t before = vck_alloc_live_count();
    struct vck_object *owner = create_owner(&is_destroyed, NULL);
    for (size_t i = 0; i < 4; i++)
        handles[i] = spawn(owner, spawn_often, owner);
    for (size_t i = 0; i < 4; i++)
        vck_thread_handle_join(handles[i]);
    assert_int_equal(vck_object_delete(owner), VCK_OK);
    while (!is_set(&is_destroyed) || vck_alloc_live_count() != before)
        vck_thread_yield();
}

/* ---- misuse ---- */

static void join_itself(void *context) VCK_CAN_WAIT
{
    (void)context;
    vck_thread_handle_join(vck_thread_get_current());
}

static void spawn_and_join_itself(void) VCK_NO_ANALYSIS
{
    struct vck_thread_handle *handle;
    if (vck_thread_spawn(NULL, join_itself, NULL, VCK_THREAD_NORMAL, "self", &handle) == VCK_OK)
        vck_thread_handle_join(handle);
}

static void sleep_under_spin_lock(void) VCK_NO_ANALYSIS
{
    static struct vck_spinlock lock;
    vck_spinlock_acquire(&lock);
    vck_thread_sleep(1);
}

static void test_misuse_stops_the_program(void **state)
{
    (void)state;
    expect_abort(spawn_and_join_itself, "vck_thread_slot() != handle");
    expect_abort(sleep_under_spin_lock, "called at DISPATCH, allowed up to APC");
}

int main(void)
{
    /* Those that fork without exec come first, while there is one thread. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misuse_stops_the_program),
        cmocka_unit_test(test_thread_holds_its_owner_until_it_is_gone),
        cmocka_unit_test(test_detached_thread_releases_its_owner),
        cmocka_unit_test(test_spawn_fails_without_a_trace),
        cmocka_unit_test(test_threads_are_found_by_id_while_they_run),
        cmocka_unit_test(test_other_threads_get_a_handle_when_they_ask),
        cmocka_unit_test(test_module_takes_the_handles_along),
        cmocka_unit_test(test_unpark_before_park_is_not_lost),
        cmocka_unit_test(test_park_ends_at_its_deadline),
        cmocka_unit_test(test_unpark_wakes_and_orders),
        cmocka_unit_test(test_unpark_up_to_dispatch),
        cmocka_unit_test(test_sleep_lasts_and_saturates),
        cmocka_unit_test(test_threads_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
