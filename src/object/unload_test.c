/* SPDX-License-Identifier: Apache-2.0 */
/* Unloading: what it stops, what it waits for, what it says. */
#include "object_test.h"

#define REPORT_NS UINT64_C(5000000)

static void unload(void *context) VCK_CAN_WAIT
{
    struct helper *helper = context;
    helper->status = vck_object_unload(helper->object, REPORT_NS);
    set(&helper->is_over);
}

static void wait_for_line(const char *text)
{
    while (!is_logged(text))
        vck_thread_yield();
}

static void unload_deletes_the_tree(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    (void)state;
    make(make(root, "a"), "x");
    make(root, "b");
    assert_int_equal(vck_object_unload(root, 0), VCK_OK);
    expect_events("cb db cx dx ca da cr dr ");
    assert_string_equal(logged, "");
}

static void unload_waits_until_every_reference_has_gone(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct vck_object *deep = make(make(root, "a"), "x");
    struct helper helper;
    (void)state;
    vck_object_reference(root, TAG);
    vck_object_reference(deep, TAG);
    start(&helper, root, unload);
    wait_for_line("unload waits");
    expect_events("cx ca cr ");
    vck_object_release(root, TAG);
    give_others_time();
    assert_false(is_set(&helper.is_over));
    expect_events("");
    vck_object_release(deep, TAG);
    vck_thread_join(helper.thread);
    assert_int_equal(helper.status, VCK_OK);
    expect_events("dx da dr ");
}

static void holders_are_printed_with_tag_file_and_line(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct vck_object *deep = make(make(root, "a"), "x");
    struct vck_object *beside = make(root, "b");
    struct helper helper;
    char site[128];
    (void)state;
    snprintf(site, sizeof(site), "2 held as othr since %s:%d", __FILE__, __LINE__ + 2);
    for (int i = 0; i < 2; i++)
        vck_object_reference(beside, OTHER_TAG);
    vck_object_reference(deep, TAG);
    start(&helper, root, unload);
    /* Again and again, not once. */
    for (int i = 0; i < 2; i++) {
        forget_lines();
        wait_for_line("unload waits");
    }
    wait_for_line("object \"thing\", depth 0");
    wait_for_line("object \"thing\", depth 1");
    wait_for_line("object \"thing\", depth 2");
#if !defined(NDEBUG)
    wait_for_line(site);
    wait_for_line("1 held as test since ");
    wait_for_line("created at ../");
#endif
    vck_object_release(beside, OTHER_TAG);
    vck_object_release(beside, OTHER_TAG);
    vck_object_release(deep, TAG);
    vck_thread_join(helper.thread);
    /* A report that is under way holds what it is at: b may end after its cousins, not its root. */
    expect_events_any((const char *const[]){
        "cb cx ca cr db dx da dr ",
        "cb cx ca cr dx db da dr ",
        "cb cx ca cr dx da db dr ",
        NULL,
    });
}

#if !defined(NDEBUG)

static void many_holders_are_all_printed(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    (void)state;
    for (uint32_t i = 0; i < 50; i++)
        vck_object_reference_at(root, VCK_TAG('H', '0' + i / 10, '0' + i % 10, '.'), "there");
    vck_object_report(root);
    for (uint32_t i = 0; i < 50; i++) {
        char text[32];
        snprintf(text, sizeof(text), "1 held as H%02u. since there", i);
        assert_true(is_logged(text));
        vck_object_release(root, VCK_TAG('H', '0' + i / 10, '0' + i % 10, '.'));
    }
    logged[0] = '\0';
    vck_object_report(root);
    assert_true(is_logged("1 references"));
    assert_false(is_logged("held as"));
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("cr dr ");
}

static void allocations_that_are_left_are_reported_with_their_site(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    char text[128];
    (void)state;
    snprintf(text, sizeof(text), "still allocated: 40 bytes, Lost, since %s:%d", __FILE__,
             __LINE__ + 1);
    void *lost = vck_alloc(40, VCK_TAG('L', 'o', 's', 't'));
    assert_int_equal(vck_object_unload(root, 0), VCK_OK);
    assert_true(is_logged(text));
    assert_false(is_logged("Vobj"));
    vck_free(lost);
}

#endif

/* ---- no new work ---- */

struct busybody {
    struct vck_object *elsewhere;
    vck_status status;
};

static struct busybody busybody;

static void create_elsewhere(void *context) VCK_CAN_WAIT
{
    struct vck_object *object = NULL;
    (void)context;
    busybody.status =
        vck_object_create(&thing_type, busybody.elsewhere, thing_init, named("n"), &object);
}

static void unload_stops_new_work_in_the_whole_tree(void **state) VCK_CAN_WAIT
{
    static const struct vck_object_type type = {.name = "busybody", .cleanup = create_elsewhere};
    struct vck_object *root = make(NULL, "r");
    struct vck_object *object = NULL;
    (void)state;
    busybody.elsewhere = make(root, "a");
    assert_int_equal(vck_object_create(&type, root, NULL, NULL, &object), VCK_OK);
    assert_int_equal(vck_object_unload(root, 0), VCK_OK);
    /* a lived when that was tried. */
    assert_int_equal(busybody.status, VCK_DELETE_PENDING);
    expect_events("ca da cr dr ");
}

/* ---- where it may be called ---- */

static void unload_in_callback(void *context) VCK_CAN_WAIT
{
    struct vck_object *object = vck_object_of_context(context);
    struct vck_object *root = vck_object_parent(object);
    assert_int_equal(vck_object_unload(root, 0), VCK_UNSUPPORTED);
    note("u", "");
}

static void unload_is_refused_inside_callbacks_and_below_the_root(void **state) VCK_CAN_WAIT
{
    static const struct vck_object_type type = {
        .name = "hasty", .cleanup = unload_in_callback, .destroy = unload_in_callback};
    struct vck_object *root = make(NULL, "r");
    struct vck_object *child = make(root, "a");
    (void)state;
    assert_int_equal(vck_object_unload(child, 0), VCK_UNSUPPORTED);
    assert_int_equal(vck_object_create(&type, root, NULL, NULL, &child), VCK_OK);
    assert_int_equal(vck_object_delete(child), VCK_OK);
    expect_events("u u ");
    assert_int_equal(vck_object_unload(root, 0), VCK_OK);
    expect_events("ca da cr dr ");
}

static void second_unload_is_busy(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct helper helper;
    (void)state;
    vck_object_reference(root, TAG);
    start(&helper, root, unload);
    wait_for_line("unload waits");
    assert_int_equal(vck_object_unload(root, 0), VCK_BUSY);
    vck_object_release(root, TAG);
    vck_thread_join(helper.thread);
    assert_int_equal(helper.status, VCK_OK);
}

static void unload_waits_for_a_deletion_that_began_before(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    struct helper helper;
    (void)state;
    vck_object_reference(root, TAG);
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("cr ");
    start(&helper, root, unload);
    wait_for_line("unload waits");
    vck_object_release(root, TAG);
    vck_thread_join(helper.thread);
    expect_events("dr ");
}

/* ---- after it ---- */

static bool is_unloaded;

static void expect_loaded(void *context) VCK_CAN_WAIT
{
    (void)context;
    give_others_time();
    assert_false(is_set(&is_unloaded));
}

static const struct vck_object_type late_type = {
    .name = "late", .cleanup = expect_loaded, .destroy = expect_loaded};

static void release_raised(void *context) VCK_CAN_WAIT
{
    static struct vck_spinlock raising;
    struct helper *helper = context;
    give_others_time();
    vck_spinlock_acquire(&raising);
    vck_object_release(helper->object, TAG);
    vck_spinlock_release(&raising);
}

static void nothing_runs_after_unload_has_returned(void **state) VCK_CAN_WAIT
{
    static struct vck_spinlock raising;
    struct vck_object *root = make(NULL, "r");
    struct vck_object *children[4];
    struct helper helpers[4];
    (void)state;
    is_unloaded = false;
    for (int i = 0; i < 4; i++)
        assert_int_equal(vck_object_create(&late_type, root, NULL, NULL, &children[i]), VCK_OK);
    /* A deletion, and the last references, in deferred work that is begun but not over. */
    vck_spinlock_acquire(&raising);
    assert_int_equal(vck_object_delete(children[0]), VCK_OK);
    vck_spinlock_release(&raising);
    for (int i = 1; i < 4; i++) {
        vck_object_reference(children[i], TAG);
        start(&helpers[i], children[i], release_raised);
    }
    assert_int_equal(vck_object_unload(root, 0), VCK_OK);
    set(&is_unloaded);
    expect_events("cr dr ");
    for (int i = 1; i < 4; i++)
        vck_thread_join(helpers[i].thread);
    vck_defer_drain();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(unload_deletes_the_tree),
        TEST(unload_waits_until_every_reference_has_gone),
        TEST(holders_are_printed_with_tag_file_and_line),
#if !defined(NDEBUG)
        TEST(many_holders_are_all_printed),
        TEST(allocations_that_are_left_are_reported_with_their_site),
#endif
        TEST(unload_stops_new_work_in_the_whole_tree),
        TEST(unload_is_refused_inside_callbacks_and_below_the_root),
        TEST(second_unload_is_busy),
        TEST(unload_waits_for_a_deletion_that_began_before),
        TEST(nothing_runs_after_unload_has_returned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
