/* SPDX-License-Identifier: Apache-2.0 */
#include "thread_test.h"
#include "vck/thread.h"
#include "vck/thread_local.h"

#define TAG VCK_TAG('t', 'e', 's', 't')

static unsigned destroyed;
static uint32_t destroyed_by;

static void destroy(void *value)
{
    __atomic_store_n(&destroyed_by, vck_thread_id(), __ATOMIC_RELAXED);
    __atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
    vck_free(value);
}

static unsigned destroyed_count(void)
{
    return __atomic_load_n(&destroyed, __ATOMIC_RELAXED);
}

struct user {
    struct vck_thread_local *local;
    struct vck_event has_set;
    struct vck_event may_end;
    uint32_t id;
    bool is_own;
};

static vck_status set_new(const struct vck_thread_local *local)
{
    void *value = vck_alloc(1, TAG);
    vck_status status = value != NULL ? vck_thread_local_set(local, value) : VCK_NO_MEMORY;
    if (status != VCK_OK)
        vck_free(value);
    return status;
}

static void use(void *context) VCK_CAN_WAIT
{
    struct user *user = context;
    bool was_empty = vck_thread_local_get(user->local) == NULL;
    user->id = vck_thread_id();
    user->is_own =
        set_new(user->local) == VCK_OK && was_empty && vck_thread_local_get(user->local) != NULL;
    vck_event_set(&user->has_set);
    (void)vck_event_wait(&user->may_end, VCK_FOREVER);
}

static void init_user(struct user *user, struct vck_thread_local *local)
{
    *user = (struct user){.local = local};
    vck_event_init(&user->has_set);
    vck_event_init(&user->may_end);
    destroyed = 0;
}

static void test_values_go_with_their_thread(void **state) VCK_CAN_WAIT
{
    struct vck_thread_local local;
    struct user users[2];
    (void)state;
    size_t before = vck_alloc_live_count();
    assert_int_equal(vck_thread_local_init(&local, destroy), VCK_OK);
    for (size_t i = 0; i < 2; i++) {
        /* One spawned by the room, one by others. */
        struct vck_thread_handle *handle = NULL;
        struct vck_thread *thread = NULL;
        init_user(&users[i], &local);
        vck_event_set(&users[i].may_end);
        if (i == 0)
            assert_int_equal(
                vck_thread_spawn(NULL, use, &users[i], VCK_THREAD_NORMAL, "local", &handle),
                VCK_OK);
        else
            thread = start(use, &users[i]);
        if (i == 0)
            vck_thread_handle_join(handle);
        else
            vck_thread_join(thread);
        assert_true(users[i].is_own);
        assert_int_equal(destroyed_count(), 1);
        assert_int_equal(destroyed_by, users[i].id);
    }
    assert_null(vck_thread_local_get(&local));
    vck_thread_local_fini(&local);
    assert_int_equal(vck_alloc_live_count(), before);
}

static void test_values_go_with_the_module(void **state) VCK_CAN_WAIT
{
    struct vck_thread_local local;
    struct user users[3];
    struct vck_thread *threads[3];
    (void)state;
    size_t before = vck_alloc_live_count();
    assert_int_equal(vck_thread_local_init(&local, destroy), VCK_OK);
    for (size_t i = 0; i < 3; i++) {
        init_user(&users[i], &local);
        threads[i] = start(use, &users[i]);
        (void)vck_event_wait(&users[i].has_set, VCK_FOREVER);
    }
    assert_int_equal(set_new(&local), VCK_OK);
    vck_thread_local_fini(&local);
    assert_int_equal(destroyed_count(), 4);
    assert_int_equal(destroyed_by, vck_thread_id());
    for (size_t i = 0; i < 3; i++) {
        vck_event_set(&users[i].may_end);
        vck_thread_join(threads[i]);
    }
    assert_int_equal(destroyed_count(), 4);
    vck_threads_fini();
    assert_int_equal(vck_alloc_live_count(), before);
}

static void test_set_returns_the_former_value_to_its_owner(void **state) VCK_CAN_WAIT
{
    struct vck_thread_local local;
    int first = 0;
    int second = 0;
    (void)state;
    destroyed = 0;
    assert_int_equal(vck_thread_local_init(&local, destroy), VCK_OK);
    assert_int_equal(vck_thread_local_set(&local, NULL), VCK_OK);
    vck_alloc_fail_nth(1);
    assert_int_equal(vck_thread_local_set(&local, &first), VCK_NO_MEMORY);
    assert_null(vck_thread_local_get(&local));
    assert_int_equal(vck_thread_local_set(&local, &first), VCK_OK);
    assert_int_equal(vck_thread_local_set(&local, &second), VCK_OK);
    assert_ptr_equal(vck_thread_local_get(&local), &second);
    assert_int_equal(vck_thread_local_set(&local, NULL), VCK_OK);
    vck_thread_local_fini(&local);
    assert_int_equal(destroyed_count(), 0);
    vck_threads_fini();
}

static void test_keys_are_limited_and_used_again(void **state) VCK_CAN_WAIT
{
    struct vck_thread_local locals[VCK_THREAD_LOCALS_MAX];
    struct vck_thread_local more;
    (void)state;
    for (size_t i = 0; i < VCK_THREAD_LOCALS_MAX; i++) {
        assert_int_equal(vck_thread_local_init(&locals[i], NULL), VCK_OK);
        assert_int_equal(vck_thread_local_set(&locals[i], &locals[i]), VCK_OK);
    }
    assert_int_equal(vck_thread_local_init(&more, NULL), VCK_BUSY);
    for (size_t i = 0; i < VCK_THREAD_LOCALS_MAX; i++)
        assert_ptr_equal(vck_thread_local_get(&locals[i]), &locals[i]);
    vck_thread_local_fini(&locals[7]);
    assert_int_equal(vck_thread_local_init(&more, NULL), VCK_OK);
    assert_null(vck_thread_local_get(&more)); /* nothing of the former key is left */
    locals[7] = more;
    for (size_t i = 0; i < VCK_THREAD_LOCALS_MAX; i++)
        vck_thread_local_fini(&locals[i]);
    vck_threads_fini();
}

static struct vck_thread_local late;
static vck_status late_status;

static void set_late(void *value)
{
    late_status = vck_thread_local_set(&late, value);
}

static void set_first(void *context)
{
    (void)context;
    late_status = vck_thread_local_set(&late, &late);
}

static void test_ending_thread_takes_no_values(void **state) VCK_CAN_WAIT
{
    (void)state;
    assert_int_equal(vck_thread_local_init(&late, set_late), VCK_OK);
    vck_thread_join(start(set_first, NULL));
    assert_int_equal(late_status, VCK_DELETE_PENDING);
    vck_thread_local_fini(&late);
}

/* ---- the module goes while threads end ---- */

static struct vck_event in_destroy;
static struct vck_event may_destroy;
static bool is_destroyed;

static void destroy_slowly(void *value) VCK_CAN_WAIT
{
    (void)value;
    vck_event_set(&in_destroy);
    (void)vck_event_wait(&may_destroy, VCK_FOREVER);
    set(&is_destroyed);
}

static void allow_destroy(void *context) VCK_CAN_WAIT
{
    (void)context;
    vck_thread_sleep(2 * MILLISECOND_NS);
    vck_event_set(&may_destroy);
}

static void test_module_waits_for_values_being_destroyed(void **state) VCK_CAN_WAIT
{
    (void)state;
    vck_event_init(&in_destroy);
    vck_event_init(&may_destroy);
    assert_int_equal(vck_thread_local_init(&late, destroy_slowly), VCK_OK);
    struct vck_thread *ending = start(set_first, NULL);
    (void)vck_event_wait(&in_destroy, VCK_FOREVER);
    struct vck_thread *helper = start(allow_destroy, NULL);
    vck_thread_local_fini(&late);
    assert_true(is_set(&is_destroyed));
    vck_thread_join(ending);
    vck_thread_join(helper);
}

static void set_and_end(void *context)
{
    if (set_new(context) != VCK_OK)
        abort();
}

static void test_values_are_destroyed_exactly_once(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t before = vck_alloc_live_count();
    for (unsigned round = 0; round < 100; round++) {
        struct vck_thread_local local;
        struct vck_thread *threads[3];
        struct user user;
        assert_int_equal(vck_thread_local_init(&local, destroy), VCK_OK);
        init_user(&user, &local);
        threads[0] = start(use, &user);
        for (size_t i = 1; i < 3; i++)
            threads[i] = start(set_and_end, &local);
        (void)vck_event_wait(&user.has_set, VCK_FOREVER);
        vck_event_set(&user.may_end);
        for (size_t i = 1; i < 3; i++)
            vck_thread_join(threads[i]);
        vck_thread_local_fini(&local); /* while the first one ends */
        vck_thread_join(threads[0]);
        assert_int_equal(destroyed_count(), 3);
    }
    assert_int_equal(vck_alloc_live_count(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_go_with_their_thread),
        cmocka_unit_test(test_values_go_with_the_module),
        cmocka_unit_test(test_set_returns_the_former_value_to_its_owner),
        cmocka_unit_test(test_keys_are_limited_and_used_again),
        cmocka_unit_test(test_ending_thread_takes_no_values),
        cmocka_unit_test(test_module_waits_for_values_being_destroyed),
        cmocka_unit_test(test_values_are_destroyed_exactly_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
