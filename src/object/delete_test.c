/* SPDX-License-Identifier: Apache-2.0 */
/* Deletion: order, once, above PASSIVE, by several threads. */
#include "object_test.h"

/* ---- one thread ---- */

static void children_are_deleted_youngest_first(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct vck_object *a = make(root, "a");
    (void)state;
    make(a, "x");
    make(a, "y");
    make(root, "b");
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("cb db cy dy cx dx ca da cr dr ");
}

static void cleanup_and_destroy_run_exactly_once(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    (void)state;
    vck_object_reference(root, TAG);
    assert_int_equal(vck_object_delete(root), VCK_OK);
    assert_int_equal(vck_object_delete(root), VCK_DELETED);
    assert_int_equal(vck_object_delete(root), VCK_DELETED);
    expect_events("cr ");
    vck_object_release(root, TAG);
    expect_events("dr ");
}

static void child_taken_by_its_parents_deletion_answers_deleted(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct vck_object *child = make(root, "a");
    (void)state;
    vck_object_reference(child, TAG);
    assert_int_equal(vck_object_delete(root), VCK_OK);
    assert_int_equal(vck_object_delete(child), VCK_DELETED);
    expect_events("ca cr ");
    vck_object_release(child, TAG);
    expect_events("da dr ");
}

static void deleting_object_takes_no_child(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct vck_object *child = NULL;
    (void)state;
    vck_object_reference(root, TAG);
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("cr ");
    assert_int_equal(vck_object_create(&thing_type, root, thing_init, named("a"), &child),
                     VCK_DELETE_PENDING);
    assert_null(child);
    vck_object_release(root, TAG);
    expect_events("dr ");
}

static void add_child_at_cleanup(void *context) VCK_CAN_WAIT
{
    struct vck_object *object = vck_object_of_context(context);
    struct vck_object *child = NULL;
    assert_int_equal(vck_object_create(&thing_type, object, thing_init, named("k"), &child),
                     VCK_DELETE_PENDING);
    assert_int_equal(vck_object_delete(object), VCK_DELETED);
    note("c", ((struct thing *)context)->name);
}

static void own_cleanup_finds_the_object_deleting(void **state) VCK_CAN_WAIT
{
    static const struct vck_object_type type = {
        .name = "fertile", .context_bytes = sizeof(struct thing), .cleanup = add_child_at_cleanup};
    struct vck_object *object = NULL;
    (void)state;
    assert_int_equal(vck_object_create(&type, NULL, thing_init, named("f"), &object), VCK_OK);
    assert_int_equal(vck_object_delete(object), VCK_OK);
    expect_events("cf ");
}

static uint32_t cleaned_count;

static void count_cleanup(void *context)
{
    (void)context;
    cleaned_count++;
}

static const struct vck_object_type counted_type = {.name = "counted", .cleanup = count_cleanup};

static void deep_trees_do_not_recurse(void **state) VCK_CAN_WAIT
{
    enum { DEPTH = 100000 };
    struct vck_object *root = NULL;
    struct vck_object *deepest = NULL;
    struct helper helper;
    (void)state;
    cleaned_count = 0;
    assert_int_equal(vck_object_create(&counted_type, NULL, NULL, NULL, &root), VCK_OK);
    deepest = root;
    for (int i = 1; i < DEPTH; i++)
        assert_int_equal(vck_object_create(&counted_type, deepest, NULL, NULL, &deepest), VCK_OK);
    vck_object_reference(deepest, TAG);
    start(&helper, root, delete_for_helper);
    vck_thread_join(helper.thread);
    assert_int_equal(helper.status, VCK_OK);
    assert_int_equal(cleaned_count, DEPTH);
    assert_int_equal(vck_alloc_live_count(), live_before + DEPTH);
    vck_object_release(deepest, TAG);
    assert_int_equal(vck_alloc_live_count(), live_before);
}

/* ---- above PASSIVE ---- */

static struct vck_spinlock raising;

static void deletion_above_passive_is_handed_to_a_work_item(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct vck_object *child = make(root, "a");
    struct vck_object *late = NULL;
    (void)state;
    vck_object_reference(child, TAG);
    vck_spinlock_acquire(&raising);
    assert_int_equal(vck_object_delete(child), VCK_OK);
    assert_int_equal(vck_object_delete(child), VCK_DELETED);
    vck_spinlock_release(&raising);
    /* From the request on, whenever it is carried out. */
    assert_true(vck_object_is_deleting(child));
    assert_int_equal(vck_object_create(&thing_type, child, thing_init, named("k"), &late),
                     VCK_DELETE_PENDING);
    assert_int_equal(vck_object_delete(child), VCK_DELETED);
    vck_defer_drain();
    expect_events("ca ");
    vck_object_release(child, TAG);
    expect_events("da ");
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("cr dr ");
}

static void last_release_above_passive_destroys_in_a_work_item(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct vck_object *child = make(root, "a");
    (void)state;
    vck_object_reference(child, TAG);
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("ca cr ");
    vck_spinlock_acquire(&raising);
    vck_object_release(child, TAG);
    vck_spinlock_release(&raising);
    vck_defer_drain();
    expect_events("da dr ");
}

static void block_worker(struct vck_work *work)
{
    bool *is_released = *(bool **)(void *)(work + 1);
    while (!is_set(is_released))
        vck_thread_yield();
}

static void parent_takes_over_a_child_whose_work_item_has_not_run(void **state) VCK_CAN_WAIT
{
    struct {
        struct vck_work work;
        bool *is_released;
    } blocker = {.is_released = NULL};
    bool is_released = false;
    struct vck_object *root = make(NULL, "r");
    struct vck_object *child = make(root, "a");
    (void)state;
    blocker.is_released = &is_released;
    vck_defer(&blocker.work, block_worker);
    vck_spinlock_acquire(&raising);
    assert_int_equal(vck_object_delete(child), VCK_OK);
    vck_spinlock_release(&raising);
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("ca cr ");
    set(&is_released);
    vck_defer_drain();
    expect_events("da dr ");
}

/* ---- several threads ---- */

static bool is_entered;
static bool may_leave;

static void wait_for_leave(void)
{
    set(&is_entered);
    while (!is_set(&may_leave))
        vck_thread_yield();
}

static void slow_cleanup(void *context)
{
    wait_for_leave();
    note("c", ((struct thing *)context)->name);
}

static const struct vck_object_type slow_type = {
    .name = "slow",
    .context_bytes = sizeof(struct thing),
    .cleanup = slow_cleanup,
    .destroy = thing_destroy,
};

static struct vck_object *make_slow(struct vck_object *parent, const char *name) VCK_CAN_WAIT
{
    struct vck_object *object = NULL;
    is_entered = may_leave = false;
    assert_int_equal(vck_object_create(&slow_type, parent, thing_init, named(name), &object),
                     VCK_OK);
    return object;
}

static void wait_until_entered(void)
{
    while (!is_set(&is_entered))
        vck_thread_yield();
}

static void parent_waits_for_a_child_that_another_thread_deletes(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct helper of_child;
    struct helper of_root;
    (void)state;
    make(root, "a");
    struct vck_object *child = make_slow(root, "b");
    start(&of_child, child, delete_for_helper);
    wait_until_entered();
    start(&of_root, root, delete_for_helper);
    while (!vck_object_is_deleting(root))
        vck_thread_yield();
    give_others_time();
    expect_events("");
    assert_false(is_set(&of_root.is_over));
    set(&may_leave);
    vck_thread_join(of_child.thread);
    vck_thread_join(of_root.thread);
    assert_int_equal(of_child.status, VCK_OK);
    assert_int_equal(of_root.status, VCK_OK);
    /* b's memory goes on its own thread: only the cleanups have an order. */
    const char *b = strstr(events, "cb ");
    const char *a = strstr(events, "ca ");
    const char *r = strstr(events, "cr ");
    assert_true(b && a && r && b < a && a < r);
}

static vck_status slow_init(struct vck_object *object, void *context, void *argument)
{
    wait_for_leave();
    return thing_init(object, context, argument);
}

static void create_slowly(void *context) VCK_CAN_WAIT
{
    struct helper *helper = context;
    struct vck_object *object = NULL;
    helper->status = vck_object_create(&thing_type, helper->object, slow_init, named("k"), &object);
}

static void parent_waits_for_a_child_that_another_thread_initialises(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct helper of_child;
    struct helper of_root;
    (void)state;
    is_entered = may_leave = false;
    start(&of_child, root, create_slowly);
    wait_until_entered();
    start(&of_root, root, delete_for_helper);
    while (!vck_object_is_deleting(root))
        vck_thread_yield();
    give_others_time();
    expect_events("");
    set(&may_leave);
    vck_thread_join(of_child.thread);
    vck_thread_join(of_root.thread);
    assert_int_equal(of_child.status, VCK_DELETED);
    assert_int_equal(of_root.status, VCK_OK);
    assert_true(strstr(events, "ck ") < strstr(events, "cr "));
    assert_non_null(strstr(events, "dk "));
}

static void add_slowly(void *context) VCK_CAN_WAIT
{
    static const struct vck_object_type type = {
        .name = "further", .context_bytes = sizeof(struct thing), .cleanup = thing_cleanup};
    struct helper *helper = context;
    helper->status = vck_object_add_context(helper->object, &type, slow_init, named("2"), NULL);
}

static void object_waits_for_a_context_that_another_thread_initialises(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "1");
    struct helper of_context;
    struct helper of_root;
    (void)state;
    is_entered = may_leave = false;
    start(&of_context, root, add_slowly);
    wait_until_entered();
    start(&of_root, root, delete_for_helper);
    while (!vck_object_is_deleting(root))
        vck_thread_yield();
    give_others_time();
    expect_events("");
    set(&may_leave);
    vck_thread_join(of_context.thread);
    vck_thread_join(of_root.thread);
    assert_int_equal(of_context.status, VCK_OK);
    expect_events("c2 c1 d1 ");
}

/* ---- callbacks that delete ---- */

struct crossing {
    const char *name;
    struct vck_object *victim;
    bool *is_entered;
    bool *is_other_entered;
};

/* Both are inside before either deletes what contains the other. */
static void cross(void *context)
{
    struct crossing *crossing = context;
    set(crossing->is_entered);
    while (!is_set(crossing->is_other_entered))
        vck_thread_yield();
    assert_int_equal(vck_object_delete(crossing->victim), VCK_OK);
    note("c", crossing->name);
}

static vck_status cross_init(struct vck_object *object, void *context, void *argument)
{
    (void)object;
    memcpy(context, argument, sizeof(struct crossing));
    return VCK_OK;
}

static void cleanups_that_delete_each_others_parents_do_not_wait(void **state) VCK_CAN_WAIT
{
    static const struct vck_object_type type = {
        .name = "crossing", .context_bytes = sizeof(struct crossing), .cleanup = cross};
    struct vck_object *roots[2] = {make(NULL, "p"), make(NULL, "q")};
    struct vck_object *children[2] = {NULL, NULL};
    bool entered[2] = {false, false};
    struct helper helpers[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct crossing crossing = {i ? "b" : "a", roots[!i], &entered[i], &entered[!i]};
        assert_int_equal(vck_object_create(&type, roots[i], cross_init, &crossing, &children[i]),
                         VCK_OK);
    }
    for (int i = 0; i < 2; i++)
        start(&helpers[i], children[i], delete_for_helper);
    for (int i = 0; i < 2; i++)
        vck_thread_join(helpers[i].thread);
    vck_defer_drain();
    assert_true(strstr(events, "ca ") < strstr(events, "cp "));
    assert_true(strstr(events, "cb ") < strstr(events, "cq "));
    assert_non_null(strstr(events, "dp "));
    assert_non_null(strstr(events, "dq "));
}

static void delete_parent(void *context)
{
    struct vck_object *parent = vck_object_parent(vck_object_of_context(context));
    assert_int_equal(vck_object_delete(parent), VCK_OK);
    note("c", ((struct thing *)context)->name);
}

static void cleanup_may_delete_its_own_parent(void **state) VCK_CAN_WAIT
{
    static const struct vck_object_type type = {
        .name = "rebel", .context_bytes = sizeof(struct thing), .cleanup = delete_parent};
    struct vck_object *root = make(NULL, "r");
    struct vck_object *child = NULL;
    (void)state;
    make(root, "a");
    assert_int_equal(vck_object_create(&type, root, thing_init, named("b"), &child), VCK_OK);
    assert_int_equal(vck_object_delete(child), VCK_OK);
    vck_defer_drain();
    expect_events("cb ca da cr dr ");
}

static vck_status delete_parent_in_init(struct vck_object *object, void *context, void *argument)
{
    assert_int_equal(vck_object_delete(vck_object_parent(object)), VCK_OK);
    return thing_init(object, context, argument);
}

static void init_may_delete_its_own_parent(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct vck_object *child = NULL;
    (void)state;
    vck_object_reference(root, TAG);
    assert_int_equal(
        vck_object_create(&thing_type, root, delete_parent_in_init, named("a"), &child),
        VCK_DELETED);
    vck_defer_drain();
    assert_true(strstr(events, "ca ") < strstr(events, "cr "));
    assert_non_null(strstr(events, "da "));
    events[0] = '\0';
    vck_object_release(root, TAG);
    expect_events("dr ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(children_are_deleted_youngest_first),
        TEST(cleanup_and_destroy_run_exactly_once),
        TEST(child_taken_by_its_parents_deletion_answers_deleted),
        TEST(deleting_object_takes_no_child),
        TEST(own_cleanup_finds_the_object_deleting),
        TEST(deep_trees_do_not_recurse),
        TEST(deletion_above_passive_is_handed_to_a_work_item),
        TEST(last_release_above_passive_destroys_in_a_work_item),
        TEST(parent_takes_over_a_child_whose_work_item_has_not_run),
        TEST(parent_waits_for_a_child_that_another_thread_deletes),
        TEST(parent_waits_for_a_child_that_another_thread_initialises),
        TEST(object_waits_for_a_context_that_another_thread_initialises),
        TEST(cleanups_that_delete_each_others_parents_do_not_wait),
        TEST(cleanup_may_delete_its_own_parent),
        TEST(init_may_delete_its_own_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
