/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "vck/object.h"

#define TAG VCK_TAG('t', 'e', 's', 't')

static char events[256];

static void note(const char *what, const char *name)
{
    size_t used = strlen(events);
    snprintf(events + used, sizeof events - used, "%s%s ", what, name);
}

struct thing {
    const char *name;
};

static void thing_cleanup(void *context)
{
    note("c", ((struct thing *)context)->name);
}

static void thing_destroy(void *context)
{
    note("d", ((struct thing *)context)->name);
}

static const struct vck_object_type thing_type = {
    .name = "thing",
    .context_bytes = sizeof(struct thing),
    .cleanup = thing_cleanup,
    .destroy = thing_destroy,
};

static const struct vck_object_type other_type = {.name = "other"};

static vck_status thing_init(struct vck_object *object, void *context, void *argument)
{
    void *reached = NULL;

    assert_int_equal(vck_object_context(object, &thing_type, &reached), VCK_NOT_READY);
    ((struct thing *)context)->name = argument;
    return VCK_OK;
}

static struct vck_object *make(struct vck_object *parent, const char *name) VCK_CAN_WAIT
{
    struct vck_object *object = NULL;

    assert_int_equal(
        vck_object_create(&thing_type, parent, thing_init, (void *)(uintptr_t)name, &object),
        VCK_OK);
    return object;
}

static int setup(void **state)
{
    (void)state;
    events[0] = '\0';
    return 0;
}

static void deletes_children_youngest_first(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_object *root = make(NULL, "r");
    struct vck_object *a = make(root, "a");
    make(a, "x");
    make(root, "b");

    assert_int_equal(vck_object_delete(root), VCK_OK);
    assert_string_equal(events, "cb db cx dx ca da cr dr ");
    assert_int_equal(vck_alloc_live_count(), live);
}

static void a_reference_keeps_memory_not_life(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_object *root = make(NULL, "r");
    struct vck_object *child = make(root, "a");
    struct vck_object *late = NULL;

    vck_object_reference(child, TAG);
    assert_int_equal(vck_object_delete(root), VCK_OK);
    assert_string_equal(events, "ca cr ");
    assert_true(vck_object_is_deleting(child));
    assert_int_equal(vck_object_delete(child), VCK_DELETED);
    assert_int_equal(vck_object_create(&thing_type, child, thing_init, NULL, &late),
                     VCK_DELETE_PENDING);
    vck_object_release(child, TAG);
    assert_string_equal(events, "ca cr da dr ");
}

static void context_is_typed(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_object *root = make(NULL, "r");
    void *context = NULL;

    assert_int_equal(vck_object_context(root, &other_type, &context), VCK_NOT_FOUND);
    assert_int_equal(vck_object_context(root, &thing_type, &context), VCK_OK);
    assert_ptr_equal(vck_object_of_context(context), root);
    assert_int_equal(vck_object_delete(root), VCK_OK);
}

static vck_status failing_init(struct vck_object *object, void *context,
                               void *argument) VCK_CAN_WAIT
{
    (void)context;
    (void)argument;
    make(object, "k");
    return VCK_IO;
}

static void failed_init_undoes_everything(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_object *object = NULL;

    assert_int_equal(vck_object_create(&thing_type, NULL, failing_init, NULL, &object), VCK_IO);
    assert_null(object);
    assert_string_equal(events, "ck dk ");
    assert_int_equal(vck_alloc_live_count(), live);
}

static void allocation_failure_is_reported(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_object *object = NULL;

    vck_alloc_fail_nth(1);
    assert_int_equal(vck_object_create(&thing_type, NULL, thing_init, NULL, &object),
                     VCK_NO_MEMORY);
    vck_alloc_fail_nth(0);
    assert_null(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(deletes_children_youngest_first, setup),
        cmocka_unit_test_setup(a_reference_keeps_memory_not_life, setup),
        cmocka_unit_test_setup(context_is_typed, setup),
        cmocka_unit_test_setup(failed_init_undoes_everything, setup),
        cmocka_unit_test_setup(allocation_failure_is_reported, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
