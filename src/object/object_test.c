/* SPDX-License-Identifier: Apache-2.0 */
/* Creation, contexts, references. */
#include "object_test.h"

static const struct vck_object_type other_type = {.name = "other"};

/* ---- creation ---- */

static vck_status expect_zeroes(struct vck_object *object, void *context, void *argument)
{
    static const unsigned char zeroes[300];
    (void)object;
    assert_null(argument);
    assert_memory_equal(context, zeroes, sizeof(zeroes));
    memset(context, 0xa5, sizeof(zeroes));
    return VCK_OK;
}

static void context_is_zeroed_before_init(void **state) VCK_CAN_WAIT
{
    static const struct vck_object_type type = {.name = "big", .context_bytes = 300};
    struct vck_object *object = NULL;
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(vck_object_create(&type, NULL, expect_zeroes, NULL, &object), VCK_OK);
        assert_int_equal(vck_object_delete(object), VCK_OK);
    }
}

static void context_has_the_alignment_of_its_type(void **state) VCK_CAN_WAIT
{
    static const size_t alignments[] = {0, 1, 2, 8, 16, 32, 64, 128, 1024, 4096};
    (void)state;
    for (size_t i = 0; i < sizeof(alignments) / sizeof(alignments[0]); i++) {
        struct vck_object_type type = {
            .name = "aligned", .context_bytes = 40, .context_alignment = alignments[i]};
        struct vck_object_type second = type;
        size_t alignment = alignments[i] ? alignments[i] : VCK_OBJECT_ALIGNMENT;
        struct vck_object *object = NULL;
        void *context = NULL;
        assert_int_equal(vck_object_create(&type, NULL, NULL, NULL, &object), VCK_OK);
        assert_int_equal(vck_object_context(object, &type, &context), VCK_OK);
        assert_int_equal((uintptr_t)context % alignment, 0);
        memset(context, 0xa5, 40);
        assert_ptr_equal(vck_object_of_context(context), object);
        assert_int_equal(vck_object_add_context(object, &second, NULL, NULL, &context), VCK_OK);
        assert_int_equal((uintptr_t)context % alignment, 0);
        memset(context, 0xa5, 40);
        assert_ptr_equal(vck_object_of_context(context), object);
        assert_int_equal(vck_object_delete(object), VCK_OK);
    }
}

static void impossible_alignments_and_sizes_are_refused(void **state) VCK_CAN_WAIT
{
    static const struct vck_object_type types[] = {
        {.name = "three", .context_bytes = 8, .context_alignment = 3},
        {.name = "beyond", .context_bytes = 8, .context_alignment = 2 * VCK_OBJECT_ALIGNMENT_MAX},
        {.name = "huge", .context_bytes = SIZE_MAX - 100},
    };
    static const vck_status expected[] = {VCK_INVALID_DATA, VCK_INVALID_DATA, VCK_NO_MEMORY};
    struct vck_object *root = make(NULL, "r");
    struct vck_object *object = NULL;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(vck_object_create(&types[i], root, NULL, NULL, &object), expected[i]);
        assert_int_equal(vck_object_add_context(root, &types[i], NULL, NULL, NULL), expected[i]);
    }
    assert_null(object);
    assert_int_equal(vck_object_delete(root), VCK_OK);
}

static void handles_are_plain_aligned_pointers(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_object *root = make(NULL, "r");
    struct vck_object *child = make(root, "a");
    assert_int_equal((uintptr_t)child % 16, 0);
    assert_ptr_equal(vck_object_parent(child), root);
    assert_null(vck_object_parent(root));
    assert_int_equal(vck_object_delete(root), VCK_OK);
}

/* ---- while it is initialised ---- */

static struct vck_object *global;

/* As a child sees its parent, as a queue sees its device, as anybody sees a global. */
static vck_status look_up_parent(struct vck_object *object, void *context, void *argument)
{
    void *reached = NULL;
    assert_int_equal(vck_object_context(vck_object_parent(object), &thing_type, &reached),
                     VCK_NOT_READY);
    assert_int_equal(vck_object_context(global, &thing_type, &reached), VCK_NOT_READY);
    assert_null(reached);
    return thing_init(object, context, argument);
}

static vck_status make_child_that_looks(struct vck_object *object, void *context,
                                        void *argument) VCK_CAN_WAIT
{
    struct vck_object *child = NULL;
    void *reached = NULL;
    global = object;
    assert_int_equal(vck_object_context(vck_object_of_context(context), &thing_type, &reached),
                     VCK_NOT_READY);
    assert_int_equal(vck_object_create(&thing_type, object, look_up_parent, named("k"), &child),
                     VCK_OK);
    assert_int_equal(vck_object_context(child, &thing_type, &reached), VCK_OK);
    return thing_init(object, context, argument);
}

static void context_is_not_ready_until_init_has_succeeded(void **state) VCK_CAN_WAIT
{
    struct vck_object *object = NULL;
    void *context = NULL;
    (void)state;
    assert_int_equal(
        vck_object_create(&thing_type, NULL, make_child_that_looks, named("r"), &object), VCK_OK);
    assert_int_equal(vck_object_context(global, &thing_type, &context), VCK_OK);
    assert_string_equal(((struct thing *)context)->name, "r");
    assert_int_equal(vck_object_context(object, &other_type, &context), VCK_NOT_FOUND);
    assert_int_equal(vck_object_delete(object), VCK_OK);
}

static void look_up_parent_at_cleanup(void *context)
{
    void *reached = NULL;
    struct vck_object *parent = vck_object_parent(vck_object_of_context(context));
    assert_int_equal(vck_object_context(parent, &thing_type, &reached), VCK_NOT_READY);
    assert_true(vck_object_is_deleting(parent));
    note("c", ((struct thing *)context)->name);
}

static vck_status make_children_and_fail(struct vck_object *object, void *context,
                                         void *argument) VCK_CAN_WAIT
{
    static const struct vck_object_type type = {.name = "child",
                                                .context_bytes = sizeof(struct thing),
                                                .cleanup = look_up_parent_at_cleanup,
                                                .destroy = thing_destroy};
    struct vck_object *child = NULL;
    (void)context;
    (void)argument;
    assert_int_equal(vck_object_create(&type, object, thing_init, named("k"), &child), VCK_OK);
    assert_int_equal(vck_object_create(&type, object, thing_init, named("l"), &child), VCK_OK);
    return VCK_IO;
}

static void failed_init_deletes_children_and_runs_no_destroy_of_its_own(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct vck_object *object = NULL;
    (void)state;
    assert_int_equal(vck_object_create(&thing_type, root, make_children_and_fail, NULL, &object),
                     VCK_IO);
    assert_null(object);
    expect_events("cl dl ck dk ");
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("cr dr ");
}

static vck_status delete_own_object(struct vck_object *object, void *context, void *argument)
{
    vck_status status = thing_init(object, context, argument);
    assert_int_equal(vck_object_delete(object), VCK_OK);
    assert_true(vck_object_is_deleting(object));
    assert_int_equal(vck_object_delete(object), VCK_DELETED);
    expect_events("");
    return status;
}

static void deletion_during_init_takes_place_after_it(void **state) VCK_CAN_WAIT
{
    struct vck_object *object = NULL;
    (void)state;
    assert_int_equal(vck_object_create(&thing_type, NULL, delete_own_object, named("r"), &object),
                     VCK_DELETED);
    assert_null(object);
    expect_events("cr dr ");
}

/* ---- registration ---- */

struct registration {
    struct vck_object *object;
    vck_status seen;
};

static void called_back(void *context)
{
    struct registration *registration = context;
    void *reached = NULL;
    registration->seen = vck_object_context(registration->object, &thing_type, &reached);
}

/* As NDIS does: the callback has come and gone before the registering call returns. */
static vck_status register_callback(struct registration *registration) VCK_CAN_WAIT
{
    struct vck_thread *thread;
    assert_int_equal(
        vck_thread_create(called_back, registration, VCK_THREAD_NORMAL, "callback", &thread),
        VCK_OK);
    vck_thread_join(thread);
    return registration->seen;
}

static vck_status register_too_early(struct vck_object *object, void *context,
                                     void *argument) VCK_CAN_WAIT
{
    struct registration registration = {.object = object};
    assert_int_equal(register_callback(&registration), VCK_NOT_READY);
    return thing_init(object, context, argument);
}

static void callback_before_registration_returns_finds_a_live_context(void **state) VCK_CAN_WAIT
{
    struct registration registration = {.object = NULL};
    (void)state;
    assert_int_equal(
        vck_object_create(&thing_type, NULL, register_too_early, named("r"), &registration.object),
        VCK_OK);
    assert_int_equal(register_callback(&registration), VCK_OK);
    assert_int_equal(vck_object_delete(registration.object), VCK_OK);
}

/* ---- further contexts ---- */

static const struct vck_object_type second_type = {
    .name = "thing", /* the same name: found by address */
    .context_bytes = sizeof(struct thing),
    .cleanup = thing_cleanup,
    .destroy = thing_destroy,
};

static const struct vck_object_type third_type = {
    .name = "third",
    .context_bytes = sizeof(struct thing),
    .cleanup = thing_cleanup,
    .destroy = thing_destroy,
};

static void contexts_of_other_types_are_added_once_per_type(void **state) VCK_CAN_WAIT
{
    struct vck_object *object = make(NULL, "1");
    void *second = NULL;
    void *found = NULL;
    (void)state;
    assert_int_equal(vck_object_add_context(object, &second_type, thing_init, named("2"), &second),
                     VCK_OK);
    assert_int_equal(vck_object_add_context(object, &third_type, thing_init, named("3"), NULL),
                     VCK_OK);
    assert_int_equal(vck_object_add_context(object, &second_type, thing_init, named("x"), &found),
                     VCK_ALREADY_EXISTS);
    assert_int_equal(vck_object_add_context(object, &thing_type, thing_init, named("x"), &found),
                     VCK_ALREADY_EXISTS);
    assert_null(found);
    assert_int_equal(vck_object_context(object, &second_type, &found), VCK_OK);
    assert_ptr_equal(found, second);
    assert_string_equal(((struct thing *)found)->name, "2");
    assert_ptr_equal(vck_object_of_context(second), object);
    vck_object_reference(object, TAG);
    assert_int_equal(vck_object_delete(object), VCK_OK);
    expect_events("c3 c2 c1 ");
    assert_int_equal(vck_object_add_context(object, &other_type, NULL, NULL, NULL),
                     VCK_DELETE_PENDING);
    vck_object_release(object, TAG);
    expect_events("d3 d2 d1 ");
}

static vck_status look_up_own(struct vck_object *object, void *context, void *argument)
{
    void *reached = NULL;
    assert_int_equal(vck_object_context(object, &second_type, &reached), VCK_NOT_READY);
    assert_int_equal(vck_object_context(object, &thing_type, &reached), VCK_OK);
    return argument != NULL ? thing_init(object, context, argument) : VCK_BUSY;
}

static vck_status add_too_early(struct vck_object *object, void *context,
                                void *argument) VCK_CAN_WAIT
{
    assert_int_equal(vck_object_add_context(object, &second_type, NULL, NULL, NULL), VCK_NOT_READY);
    return thing_init(object, context, argument);
}

static void added_context_is_not_ready_until_init_has_succeeded(void **state) VCK_CAN_WAIT
{
    struct vck_object *object = NULL;
    void *context = NULL;
    (void)state;
    assert_int_equal(vck_object_create(&thing_type, NULL, add_too_early, named("1"), &object),
                     VCK_OK);
    assert_int_equal(vck_object_add_context(object, &second_type, look_up_own, NULL, &context),
                     VCK_BUSY);
    assert_null(context);
    assert_int_equal(vck_object_context(object, &second_type, &context), VCK_NOT_FOUND);
    assert_int_equal(
        vck_object_add_context(object, &second_type, look_up_own, named("2"), &context), VCK_OK);
    assert_int_equal(vck_object_delete(object), VCK_OK);
    expect_events("c2 c1 d2 d1 ");
}

/* ---- references ---- */

static void reference_keeps_memory_and_never_life(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct vck_object *child = make(root, "a");
    void *context = NULL;
    (void)state;
    vck_object_reference(child, TAG);
    vck_object_reference(child, TAG);
    vck_object_release(child, TAG);
    assert_false(vck_object_is_deleting(child));
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("ca cr ");
    /* A child keeps its parent's memory, not its life. */
    assert_true(vck_object_is_deleting(vck_object_parent(child)));
    assert_int_equal(vck_object_context(vck_object_parent(child), &thing_type, &context), VCK_OK);
    assert_string_equal(((struct thing *)context)->name, "r");
    vck_object_release(child, TAG);
    expect_events("da dr ");
}

static void releasing_every_reference_does_not_delete(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    (void)state;
    for (int i = 0; i < 100; i++) {
        vck_object_reference(root, TAG);
        vck_object_reference(root, OTHER_TAG);
        vck_object_release(root, TAG);
        vck_object_release(root, OTHER_TAG);
    }
    expect_events("");
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("cr dr ");
}

static void no_object_becomes_its_own_ancestor(void **state) VCK_CAN_WAIT
{
    struct vck_object *chain[5] = {make(NULL, "r")};
    (void)state;
    for (size_t i = 1; i < 5; i++)
        chain[i] = make(chain[i - 1], "x");
    /* The parent is given once: every way up ends at the root and passes nobody twice. */
    for (size_t i = 0; i < 5; i++) {
        size_t steps = 0;
        for (struct vck_object *o = vck_object_parent(chain[i]); o; o = vck_object_parent(o)) {
            assert_ptr_not_equal(o, chain[i]);
            steps++;
        }
        assert_int_equal(steps, i);
    }
    assert_int_equal(vck_object_delete(chain[0]), VCK_OK);
}

/* ---- faults ---- */

/* Every operation that allocates, on a tree that must stay usable; NO_MEMORY or as it should be. */
static bool go_through_everything(void) VCK_CAN_WAIT
{
    struct vck_object *root = NULL;
    struct vck_object *child = NULL;
    bool is_short = false;
    vck_status status = vck_object_create(&thing_type, NULL, thing_init, named("r"), &root);
    if (status != VCK_OK) {
        assert_int_equal(status, VCK_NO_MEMORY);
        assert_null(root);
        return true;
    }
    status = vck_object_create(&thing_type, root, thing_init, named("a"), &child);
    assert_int_equal(status, child != NULL ? VCK_OK : VCK_NO_MEMORY);
    is_short |= child == NULL;
    status = vck_object_add_context(root, &second_type, thing_init, named("2"), NULL);
    assert_true(status == VCK_OK || status == VCK_NO_MEMORY);
    is_short |= status != VCK_OK;
    status = vck_object_create(&thing_type, root, make_children_and_fail, NULL, &child);
    assert_true(status == VCK_IO || status == VCK_NO_MEMORY);
    is_short |= status != VCK_IO;
    vck_object_reference(root, TAG);
    vck_object_release(root, TAG);
    assert_int_equal(vck_object_delete(root), VCK_OK);
    return is_short;
}

static vck_status make_grandchild_fallibly(struct vck_object *object, void *context,
                                           void *argument) VCK_CAN_WAIT
{
    struct vck_object *child = NULL;
    vck_status status = vck_object_create(&thing_type, object, thing_init, named("k"), &child);
    return status != VCK_OK ? status : thing_init(object, context, argument);
}

static void each_allocation_may_fail_and_nothing_is_left(void **state) VCK_CAN_WAIT
{
    struct vck_object *object = NULL;
    uint64_t n = 0;
    vck_status status;
    (void)state;
    do {
        vck_alloc_fail_nth(++n);
        object = NULL;
        status =
            vck_object_create(&thing_type, NULL, make_grandchild_fallibly, named("r"), &object);
        assert_int_equal(status, n <= 2 ? VCK_NO_MEMORY : VCK_OK);
        vck_alloc_fail_nth(0);
        if (status == VCK_OK)
            assert_int_equal(vck_object_delete(object), VCK_OK);
        assert_int_equal(vck_alloc_live_count(), live_before);
    } while (status != VCK_OK);
    assert_int_equal(n, 3);
}

static void each_operation_survives_a_failed_allocation(void **state) VCK_CAN_WAIT
{
    (void)state;
    /* Root, child, context; the object whose init fails by itself makes children that may not. */
    for (uint64_t n = 1; n <= 4; n++) {
        vck_alloc_fail_nth(n);
        assert_true(go_through_everything());
        vck_alloc_fail_nth(0);
        assert_int_equal(vck_alloc_live_count(), live_before);
        events[0] = '\0';
    }
    assert_false(go_through_everything());
}

static void reference_succeeds_without_memory_to_record_it(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    (void)state;
    vck_alloc_fail_nth(1);
    for (uint32_t i = 0; i < 40; i++)
        vck_object_reference_at(root, TAG + i, "somewhere");
    for (uint32_t i = 0; i < 40; i++)
        vck_object_release(root, TAG + i);
    vck_alloc_fail_nth(0);
    assert_string_equal(logged, "");
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("cr dr ");
}

static void million_objects_leave_no_allocation_of_their_tag(void **state) VCK_CAN_WAIT
{
    static const struct vck_object_type type = {.name = "cycled", .context_bytes = 32};
    const uint32_t tag = VCK_TAG('V', 'o', 'b', 'j');
    struct vck_object *root = make(NULL, "r");
    (void)state;
    for (int i = 0; i < 1000000; i++) {
        struct vck_object *object = NULL;
        assert_int_equal(vck_object_create(&type, root, NULL, NULL, &object), VCK_OK);
        assert_int_equal(vck_object_delete(object), VCK_OK);
    }
#if !defined(NDEBUG)
    assert_int_equal(vck_alloc_report(tag, NULL, NULL), 1);
#endif
    assert_int_equal(vck_object_delete(root), VCK_OK);
    assert_int_equal(vck_alloc_report(tag, NULL, NULL), 0);
    assert_int_equal(vck_alloc_report(VCK_TAG_ANY, NULL, NULL), 0);
    assert_int_equal(vck_alloc_live_count(), live_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(context_is_zeroed_before_init),
        TEST(context_has_the_alignment_of_its_type),
        TEST(impossible_alignments_and_sizes_are_refused),
        TEST(handles_are_plain_aligned_pointers),
        TEST(context_is_not_ready_until_init_has_succeeded),
        TEST(failed_init_deletes_children_and_runs_no_destroy_of_its_own),
        TEST(deletion_during_init_takes_place_after_it),
        TEST(callback_before_registration_returns_finds_a_live_context),
        TEST(contexts_of_other_types_are_added_once_per_type),
        TEST(added_context_is_not_ready_until_init_has_succeeded),
        TEST(reference_keeps_memory_and_never_life),
        TEST(releasing_every_reference_does_not_delete),
        TEST(no_object_becomes_its_own_ancestor),
        TEST(each_allocation_may_fail_and_nothing_is_left),
        TEST(each_operation_survives_a_failed_allocation),
        TEST(reference_succeeds_without_memory_to_record_it),
        TEST(million_objects_leave_no_allocation_of_their_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
