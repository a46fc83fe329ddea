/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every schedule, up to a number of preemptions, of two or three threads over what can be done with
 * an object, its parent and their children: the sources of the room, on a port that schedules. In
 * each run every cleanup and destroy runs once and in order, every status is one that the header
 * allows, everybody comes to an end, and no memory is left; with ASan, none is used when it is
 * gone.
 */
#define _GNU_SOURCE
#include "model_scheduler_test.h"
/* The sources come after what takes the place of the port. */
#include "object.c"
#include "delete.c"
#include "unload.c"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define TAG VCK_TAG('m', 'o', 'd', 'l')

/* ---- what is seen of each object ---- */

#define SEEN_MAX 16

struct seen {
    int parent;
    bool is_inited;
    bool is_cleaning;
    bool is_cleaned;
    bool is_destroyed;
    bool has_second, is_second_cleaned, is_second_destroyed;
};

static struct seen seen[SEEN_MAX];
static int seen_count;
static struct vck_object *root;
static struct vck_object *child;
static struct vck_object *below; /* a child of the child, where a test asks for it */
static bool has_below;
static bool cleanup_deletes_root;

struct node {
    int index;
};

static void node_cleanup(void *context)
{
    int index = ((struct node *)context)->index;
    struct seen *self = &seen[index];
    MODEL_CHECK(self->is_inited && !self->is_cleaning && !self->is_destroyed);
    MODEL_CHECK(self->has_second == self->is_second_cleaned);
    MODEL_CHECK(model_current_level() == VCK_LEVEL_PASSIVE);
    self->is_cleaning = true;
    for (int i = 0; i < seen_count; i++)
        MODEL_CHECK(seen[i].parent != index || !seen[i].is_inited || seen[i].is_cleaned);
    model_point();
    if (cleanup_deletes_root && index == 1) {
        vck_status status = vck_object_delete(root);
        MODEL_CHECK(status == VCK_OK || status == VCK_DELETED);
    }
    self->is_cleaned = true;
}

static void node_destroy(void *context)
{
    int index = ((struct node *)context)->index;
    struct seen *self = &seen[index];
    MODEL_CHECK(self->is_cleaned && !self->is_destroyed);
    MODEL_CHECK(self->has_second == self->is_second_destroyed);
    for (int i = 0; i < seen_count; i++)
        MODEL_CHECK(seen[i].parent != index || !seen[i].is_inited || seen[i].is_destroyed);
    self->is_destroyed = true;
}

static const struct vck_object_type node_type = {
    .name = "node",
    .context_bytes = sizeof(struct node),
    .cleanup = node_cleanup,
    .destroy = node_destroy,
};

struct making {
    int parent;
    bool fails;
    bool takes_reference;
    struct vck_object *made; /* when init ran */
};

static vck_status node_init(struct vck_object *object, void *context, void *argument) VCK_CAN_WAIT
{
    struct making *making = argument;
    struct vck_object *inner = NULL;
    void *reached;
    int index = seen_count++;
    MODEL_CHECK(index < SEEN_MAX);
    seen[index] = (struct seen){.parent = making->parent};
    ((struct node *)context)->index = index;
    making->made = object;
    MODEL_CHECK(vck_object_context(object, &node_type, &reached) == VCK_NOT_READY);
    model_point();
    if (making->takes_reference)
        vck_object_reference(object, TAG);
    if (making->fails) {
        struct making in_this = {.parent = index};
        vck_status status = vck_object_create(&node_type, object, node_init, &in_this, &inner);
        MODEL_CHECK(status == VCK_OK || status == VCK_DELETE_PENDING || status == VCK_DELETED);
        return VCK_IO;
    }
    seen[index].is_inited = true;
    return VCK_OK;
}

/* ---- a second context of the child ---- */

static void second_cleanup(void *context)
{
    struct seen *self = &seen[((struct node *)context)->index];
    MODEL_CHECK(!self->is_second_cleaned && !self->is_cleaning);
    self->is_second_cleaned = true;
}

static void second_destroy(void *context)
{
    struct seen *self = &seen[((struct node *)context)->index];
    MODEL_CHECK(self->is_second_cleaned && !self->is_second_destroyed && !self->is_destroyed);
    self->is_second_destroyed = true;
}

static const struct vck_object_type second_type = {
    .name = "second",
    .context_bytes = sizeof(struct node),
    .cleanup = second_cleanup,
    .destroy = second_destroy,
};

static vck_status second_init(struct vck_object *object, void *context, void *argument)
{
    (void)object;
    model_point();
    if (argument != NULL)
        return VCK_IO;
    ((struct node *)context)->index = 1;
    MODEL_CHECK(!seen[1].has_second);
    seen[1].has_second = true;
    return VCK_OK;
}

/* ---- what a thread does ---- */

enum op {
    OP_CREATE,             /* a child of the root, deleted again by its maker */
    OP_CREATE_BELOW,       /* a child of the child, left to its parent */
    OP_CREATE_FAILING,     /* the same whose init makes one more and fails */
    OP_REFERENCE,          /* and release */
    OP_LOOK_UP,            /* both contexts of the child */
    OP_ADD_CONTEXT,        /* the second, to the child */
    OP_DELETE_CHILD,       /* at PASSIVE */
    OP_DELETE_ROOT,        /* at PASSIVE */
    OP_DELETE_CHILD_ABOVE, /* at DISPATCH */
    OP_COUNT,
    OP_DELETE_ROOT_ABOVE = OP_COUNT,
    OP_RELEASE_ABOVE, /* the thread's last references */
    OP_UNLOAD,        /* by a thread that holds nothing */
    OP_ADD_CONTEXT_FAILING,
    OP_DELETE_BELOW,         /* a child of the child */
    OP_DELETE_CHILD_IN_INIT, /* of another root */
    OP_NONE,
};

static const char *const op_names[] = {
    [OP_CREATE] = "create",
    [OP_CREATE_BELOW] = "create below",
    [OP_CREATE_FAILING] = "create failing",
    [OP_REFERENCE] = "reference",
    [OP_LOOK_UP] = "look up",
    [OP_ADD_CONTEXT] = "add context",
    [OP_DELETE_CHILD] = "delete child",
    [OP_DELETE_ROOT] = "delete root",
    [OP_DELETE_CHILD_ABOVE] = "delete child above",
    [OP_DELETE_ROOT_ABOVE] = "delete root above",
    [OP_RELEASE_ABOVE] = "release above",
};

#define OPS_MAX 2

struct program {
    enum op ops[OPS_MAX];
};

static unsigned child_deletions;
static unsigned root_deletions;

static void count_deletion(vck_status status, unsigned *count)
{
    MODEL_CHECK(status == VCK_OK || status == VCK_DELETED);
    *count += status == VCK_OK;
    MODEL_CHECK(*count <= 1);
}

static void create(struct vck_object *parent, struct making *making) VCK_CAN_WAIT
{
    struct vck_object *object = NULL;
    vck_status status = vck_object_create(&node_type, parent, node_init, making, &object);
    if (status == VCK_DELETE_PENDING)
        MODEL_CHECK(making->made == NULL &&
                    vck_object_is_deleting(root) + vck_object_is_deleting(parent) > 0);
    else
        MODEL_CHECK(status == (making->fails ? VCK_IO : VCK_OK) || status == VCK_DELETED);
    MODEL_CHECK((status == VCK_OK) == (object != NULL));
    if (!making->takes_reference || making->made == NULL)
        return;
    MODEL_CHECK(vck_object_is_deleting(making->made) || status == VCK_OK);
    status = vck_object_delete(making->made);
    MODEL_CHECK(status == VCK_OK || status == VCK_DELETED);
    vck_object_release(making->made, TAG);
}

static void look_up(void)
{
    void *context = NULL;
    MODEL_CHECK(vck_object_context(child, &node_type, &context) == VCK_OK);
    MODEL_CHECK(((struct node *)context)->index == 1);
    vck_status status = vck_object_context(child, &second_type, &context);
    MODEL_CHECK(status == VCK_OK || status == VCK_NOT_READY || status == VCK_NOT_FOUND);
    MODEL_CHECK(status != VCK_OK || seen[1].has_second);
}

static void delete_above(struct vck_object *object, unsigned *count)
{
    fibers[current].level = VCK_LEVEL_DISPATCH;
    count_deletion(vck_object_delete(object), count);
    fibers[current].level = VCK_LEVEL_PASSIVE;
}

static void add_context(bool fails) VCK_CAN_WAIT
{
    vck_status status =
        vck_object_add_context(child, &second_type, second_init, fails ? &seen : NULL, NULL);
    MODEL_CHECK(status == (fails ? VCK_IO : VCK_OK) || status == VCK_ALREADY_EXISTS ||
                status == VCK_DELETE_PENDING);
}

static vck_status delete_child_in_init(struct vck_object *object, void *context, void *argument)
{
    (void)object;
    (void)context;
    (void)argument;
    count_deletion(vck_object_delete(child), &child_deletions);
    return VCK_IO;
}

static void delete_child_in_callback(void) VCK_CAN_WAIT
{
    static const struct vck_object_type type = {.name = "apart"};
    struct vck_object *apart = NULL;
    MODEL_CHECK(vck_object_create(&type, NULL, delete_child_in_init, NULL, &apart) == VCK_IO);
}

static void do_op(enum op op) VCK_CAN_WAIT
{
    struct making in_root = {.parent = 0, .takes_reference = true};
    struct making in_child = {.parent = 1, .fails = op == OP_CREATE_FAILING};

    switch (op) {
    case OP_CREATE:
        create(root, &in_root);
        break;
    case OP_CREATE_BELOW:
    case OP_CREATE_FAILING:
        create(child, &in_child);
        break;
    case OP_REFERENCE:
        vck_object_reference(child, TAG);
        vck_object_release(child, TAG);
        break;
    case OP_LOOK_UP:
        look_up();
        break;
    case OP_ADD_CONTEXT:
    case OP_ADD_CONTEXT_FAILING:
        add_context(op == OP_ADD_CONTEXT_FAILING);
        break;
    case OP_DELETE_CHILD:
        count_deletion(vck_object_delete(child), &child_deletions);
        break;
    case OP_DELETE_ROOT:
        count_deletion(vck_object_delete(root), &root_deletions);
        break;
    case OP_DELETE_CHILD_ABOVE:
        delete_above(child, &child_deletions);
        break;
    case OP_DELETE_ROOT_ABOVE:
        delete_above(root, &root_deletions);
        break;
    case OP_RELEASE_ABOVE:
        fibers[current].level = VCK_LEVEL_DISPATCH;
        break;
    case OP_DELETE_BELOW:
        MODEL_CHECK(vck_object_delete(below) != VCK_DELETE_PENDING);
        break;
    case OP_DELETE_CHILD_IN_INIT:
        delete_child_in_callback();
        break;
    default:
        break;
    }
}

static void run_program(void *argument) VCK_CAN_WAIT
{
    const struct program *program = argument;

    if (program->ops[0] == OP_UNLOAD) {
        MODEL_CHECK(vck_object_unload(root, 0) == VCK_OK);
        /* Nothing is left and nothing runs. */
        MODEL_CHECK(seen[0].is_destroyed && is_work_idle);
        return;
    }
    for (int i = 0; i < OPS_MAX; i++)
        do_op(program->ops[i]);
    if (has_below)
        vck_object_release(below, TAG);
    vck_object_release(child, TAG);
    vck_object_release(root, TAG);
    fibers[current].level = VCK_LEVEL_PASSIVE;
}

/* ---- one schedule ---- */

static void build_tree(const struct program *programs, unsigned count) VCK_CAN_WAIT
{
    struct making in_nothing = {.parent = -1};
    struct making in_root = {.parent = 0};
    struct making in_child = {.parent = 1};

    seen_count = 0;
    child_deletions = root_deletions = 0;
    MODEL_CHECK(vck_object_create(&node_type, NULL, node_init, &in_nothing, &root) == VCK_OK);
    MODEL_CHECK(vck_object_create(&node_type, root, node_init, &in_root, &child) == VCK_OK);
    if (has_below)
        MODEL_CHECK(vck_object_create(&node_type, child, node_init, &in_child, &below) == VCK_OK);
    for (unsigned i = 0; i < count; i++) {
        if (programs[i].ops[0] == OP_UNLOAD)
            continue;
        if (has_below)
            vck_object_reference(below, TAG);
        vck_object_reference(root, TAG);
        vck_object_reference(child, TAG);
    }
}

static void check_end_of_run(bool is_unloaded)
{
    if (!is_unloaded && !seen[0].is_cleaned) {
        bool is_asked = vck_object_is_deleting(root);
        MODEL_CHECK(!is_asked && vck_object_delete(root) == VCK_OK);
    }
    for (int i = 0; i < seen_count; i++) {
        MODEL_CHECK(seen[i].is_cleaned == seen[i].is_inited);
        MODEL_CHECK(seen[i].is_destroyed == seen[i].is_inited);
        MODEL_CHECK(seen[i].has_second == seen[i].is_second_destroyed);
    }
}

/* Every schedule of these threads with up to `bound` preemptions; their number. */
static uint64_t explore(const struct program *programs, unsigned count, unsigned bound) VCK_CAN_WAIT
{
    uint64_t before = schedule_count;
    size_t live_before = vck_alloc_live_count();

    preemptions_max = bound;
    choices_kept = 0;
    do {
        bool is_unloaded = false;
        build_tree(programs, count);
        begin_run();
        for (unsigned i = 0; i < count; i++) {
            add_fiber(run_program, (void *)(uintptr_t)&programs[i]);
            is_unloaded |= programs[i].ops[0] == OP_UNLOAD;
        }
        run_fibers();
        check_end_of_run(is_unloaded);
        MODEL_CHECK(vck_alloc_live_count() == live_before);
    } while (next_schedule());
    return schedule_count - before;
}

static void say(const char *what, uint64_t before, unsigned bound)
{
    print_message("# %s: %llu schedules of up to %u preemptions\n", what,
                  (unsigned long long)(schedule_count - before), bound);
}

/* ---- the tests ---- */

#define PROGRAM(...) ((struct program){.ops = {__VA_ARGS__}})

static void two_threads_over_each_pair_of_operations(void **state) VCK_CAN_WAIT
{
    enum { BOUND = 3 };
    uint64_t before = schedule_count;
    (void)state;
    for (enum op a = 0; a < OP_UNLOAD; a++) {
        for (enum op b = a; b < OP_UNLOAD; b++) {
            struct program programs[] = {PROGRAM(a, OP_NONE), PROGRAM(b, OP_NONE)};
            uint64_t found = explore(programs, 2, BOUND);
            if (getenv("MODEL_VERBOSE"))
                print_message("# %s, %s: %llu\n", op_names[a], op_names[b],
                              (unsigned long long)found);
        }
    }
    say("two threads, one operation each", before, BOUND);
}

static void two_threads_over_two_operations_each(void **state) VCK_CAN_WAIT
{
    enum { BOUND = 1 };
    uint64_t before = schedule_count;
    (void)state;
    for (int a = 0; a < OP_COUNT * OP_COUNT; a++) {
        for (int b = a; b < OP_COUNT * OP_COUNT; b++) {
            struct program programs[] = {PROGRAM((enum op)(a / OP_COUNT), (enum op)(a % OP_COUNT)),
                                         PROGRAM((enum op)(b / OP_COUNT), (enum op)(b % OP_COUNT))};
            (void)explore(programs, 2, BOUND);
        }
    }
    say("two threads, two operations each", before, BOUND);
}

static void three_threads_over_each_triple_of_operations(void **state) VCK_CAN_WAIT
{
    enum { BOUND = 2 };
    uint64_t before = schedule_count;
    (void)state;
    for (enum op a = 0; a < OP_COUNT; a++) {
        for (enum op b = a; b < OP_COUNT; b++) {
            for (enum op c = b; c < OP_COUNT; c++) {
                struct program programs[] = {PROGRAM(a, OP_NONE), PROGRAM(b, OP_NONE),
                                             PROGRAM(c, OP_NONE)};
                (void)explore(programs, 3, BOUND);
            }
        }
    }
    say("three threads, one operation each", before, BOUND);
}

static void unload_against_each_operation(void **state) VCK_CAN_WAIT
{
    enum { BOUND = 3 };
    uint64_t before = schedule_count;
    (void)state;
    for (enum op a = 0; a < OP_UNLOAD; a++) {
        /* Only who unloads deletes the root. */
        if (a == OP_DELETE_ROOT || a == OP_DELETE_ROOT_ABOVE)
            continue;
        struct program programs[] = {PROGRAM(OP_UNLOAD, OP_NONE), PROGRAM(a, OP_NONE)};
        (void)explore(programs, 2, BOUND);
    }
    say("unload and one operation", before, BOUND);
}

static void cleanup_that_deletes_its_parent(void **state) VCK_CAN_WAIT
{
    enum { BOUND = 3 };
    uint64_t before = schedule_count;
    (void)state;
    cleanup_deletes_root = true;
    for (enum op a = 0; a < OP_UNLOAD; a++) {
        struct program programs[] = {PROGRAM(OP_DELETE_CHILD, OP_NONE), PROGRAM(a, OP_NONE)};
        (void)explore(programs, 2, BOUND);
    }
    cleanup_deletes_root = false;
    say("a cleanup that deletes its parent", before, BOUND);
}

static void deletion_in_a_callback_leaves_the_waiting_to_others(void **state) VCK_CAN_WAIT
{
    enum { BOUND = 2 };
    static const enum op tops[] = {OP_DELETE_CHILD, OP_DELETE_CHILD_ABOVE, OP_DELETE_ROOT,
                                   OP_DELETE_ROOT_ABOVE};
    uint64_t before = schedule_count;
    (void)state;
    has_below = true;
    for (size_t i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
        struct program programs[] = {PROGRAM(OP_DELETE_BELOW, OP_NONE),
                                     PROGRAM(OP_DELETE_CHILD_IN_INIT, OP_NONE),
                                     PROGRAM(tops[i], OP_NONE)};
        (void)explore(programs, 3, BOUND);
    }
    has_below = false;
    say("three threads, one of them in a callback", before, BOUND);
}

static void context_that_fails_to_be_added(void **state) VCK_CAN_WAIT
{
    enum { BOUND = 3 };
    uint64_t before = schedule_count;
    (void)state;
    for (enum op a = 0; a < OP_UNLOAD; a++) {
        struct program programs[] = {PROGRAM(OP_ADD_CONTEXT_FAILING, OP_ADD_CONTEXT),
                                     PROGRAM(a, OP_NONE)};
        (void)explore(programs, 2, BOUND);
    }
    say("a context that fails to be added", before, BOUND);
}

static int say_total(void **state)
{
    (void)state;
    print_message("# together: %llu schedules, %llu points\n", (unsigned long long)schedule_count,
                  (unsigned long long)point_count);
    for (unsigned i = 0; i < FIBERS_MAX; i++)
        free(fibers[i].stack);
    return schedule_count > 100000 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_threads_over_each_pair_of_operations),
        cmocka_unit_test(two_threads_over_two_operations_each),
        cmocka_unit_test(three_threads_over_each_triple_of_operations),
        cmocka_unit_test(unload_against_each_operation),
        cmocka_unit_test(cleanup_that_deletes_its_parent),
        cmocka_unit_test(deletion_in_a_callback_leaves_the_waiting_to_others),
        cmocka_unit_test(context_that_fails_to_be_added),
    };
    quiet_lock = &frames_lock;
    return cmocka_run_group_tests(tests, NULL, say_total);
}
