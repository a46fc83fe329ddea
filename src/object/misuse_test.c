/* SPDX-License-Identifier: Apache-2.0 */
/* Counts that are misused, with a maximum that a test can reach. The sources are part of this file
 * for that; what is pinned is freed through the count. */
#define REFERENCES_MAX 64u
#include "object.c"
#include "delete.c"
#include "unload.c"
#include "object_test.h"

/* Undoes the pinning of an object that lives, so that the test leaves nothing behind. */
static void unpin(struct vck_object *object)
{
    assert_int_equal(object->references, REFERENCES_PINNED);
    object->references = 1;
}

static void count_that_would_saturate_is_caught(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    (void)state;
    for (uint32_t i = 1; i < REFERENCES_MAX; i++)
        vck_object_reference(root, TAG);
    assert_string_equal(logged, "");
    vck_object_reference(root, TAG);
    assert_true(is_logged("too many references; its memory stays"));
    logged[0] = '\0';
    /* However it goes on, the memory stays. */
    for (uint32_t i = 0; i < 3 * REFERENCES_MAX; i++)
        vck_object_put(root);
    for (uint32_t i = 0; i < 3 * REFERENCES_MAX; i++)
        vck_object_keep(root);
    expect_events("");
    assert_string_equal(logged, "");
    assert_int_equal(root->references, REFERENCES_PINNED);
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("cr ");
    vck_object_report(root);
    assert_true(is_logged("for good: the count was misused"));
    unpin(root);
    vck_object_put(root);
    expect_events("dr ");
}

static void creation_reference_cannot_be_released(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    (void)state;
    /* As in a build that knows no tags. */
    vck_object_put(root);
    assert_true(is_logged("released more often than referenced; its memory stays"));
    expect_events("");
    assert_int_equal(root->references, REFERENCES_PINNED);
    unpin(root);
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("cr dr ");
}

static void release_in_own_destroy(void *context)
{
    vck_object_put(vck_object_of_context(context));
}

static void reference_in_own_destroy(void *context)
{
    vck_object_keep(vck_object_of_context(context));
}

static void count_that_would_pass_zero_is_caught(void **state) VCK_CAN_WAIT
{
    static const struct vck_object_type types[] = {
        {.name = "below", .destroy = release_in_own_destroy},
        {.name = "again", .destroy = reference_in_own_destroy},
    };
    static const char *const lines[] = {"\"below\" created at", "referenced while it is destroyed"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct vck_object *object = NULL;
        assert_int_equal(vck_object_create(&types[i], NULL, NULL, NULL, &object), VCK_OK);
        assert_int_equal(vck_object_delete(object), VCK_OK);
        assert_true(is_logged(lines[i]));
    }
}

#if !defined(NDEBUG)

static void release_by_a_tag_that_holds_nothing_is_refused(void **state) VCK_CAN_WAIT
{
    struct vck_object *root = make(NULL, "r");
    (void)state;
    vck_object_reference(root, TAG);
    vck_object_release(root, OTHER_TAG);
    assert_true(is_logged("by tag othr, which holds no reference"));
    assert_true(is_logged("misuse_test.c:"));
    assert_int_equal(vck_object_delete(root), VCK_OK);
    expect_events("cr ");
    vck_object_release(root, TAG);
    expect_events("dr ");
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(count_that_would_saturate_is_caught),
        TEST(creation_reference_cannot_be_released),
        TEST(count_that_would_pass_zero_is_caught),
#if !defined(NDEBUG)
        TEST(release_by_a_tag_that_holds_nothing_is_refused),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
