/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads create, look up, reference, delete and extend objects all over one tree while it is
 * unloaded under them. Every object that was initialised is cleaned up once and destroyed once, the
 * children first, and no memory is left. VCK_STRESS_SECONDS lets it go on.
 */
#include "object_test.h"
#include <stdlib.h>

#define THREADS        4
#define SLOTS          24u
#define OPS_PER_THREAD 1500
#define ROUNDS         40

struct node {
    struct node *parent;
    uint32_t living_below; /* children not cleaned up yet */
    bool is_cleaned;
    bool is_destroyed;
    uint64_t guarded; /* written by init only: a racing reader would show */
};

static struct vck_spinlock table_lock;
static struct vck_object *table[SLOTS]; /* each with a reference */
static bool is_closed;
static uint64_t played;
static uint64_t made_in_all;
static uint64_t made;
static uint64_t cleaned;
static uint64_t destroyed;
static uint64_t extended;
static uint64_t shrunk;

static void count(uint64_t *counter)
{
    __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static void node_cleanup(void *context)
{
    struct node *node = context;
    VCK_ASSERT(vck_current_level() == VCK_LEVEL_PASSIVE);
    VCK_ASSERT(!node->is_cleaned && !node->is_destroyed);
    VCK_ASSERT(__atomic_load_n(&node->living_below, __ATOMIC_ACQUIRE) == 0);
    node->is_cleaned = true;
    if (node->parent != NULL)
        __atomic_sub_fetch(&node->parent->living_below, 1, __ATOMIC_RELEASE);
    count(&cleaned);
}

static void node_destroy(void *context)
{
    struct node *node = context;
    VCK_ASSERT(node->is_cleaned && !node->is_destroyed);
    node->is_destroyed = true;
    node->guarded = 0;
    count(&destroyed);
}

static const struct vck_object_type node_type = {
    .name = "node",
    .context_bytes = sizeof(struct node),
    .cleanup = node_cleanup,
    .destroy = node_destroy,
};

/* The parent cannot end before this has returned; its context may not be ready yet. */
static vck_status node_init(struct vck_object *object, void *context, void *argument)
{
    struct node *node = context;
    void *above = NULL;
    vck_object_reference(object, TAG);
    *(struct vck_object **)argument = object;
    if (vck_object_parent(object) != NULL) {
        VCK_ASSERT(vck_object_context(vck_object_parent(object), &node_type, &above) == VCK_OK);
        node->parent = above;
        __atomic_add_fetch(&node->parent->living_below, 1, __ATOMIC_RELAXED);
    }
    node->guarded = 42;
    count(&made);
    return VCK_OK;
}

static void extra_cleanup(void *context)
{
    (void)context;
    count(&shrunk);
}

static const struct vck_object_type extra_types[] = {
    {.name = "extra", .context_bytes = 8, .cleanup = extra_cleanup},
    {.name = "extra", .context_bytes = 8, .cleanup = extra_cleanup},
};

/* ---- the table ---- */

static struct vck_object *borrow(uint32_t slot)
{
    vck_spinlock_acquire(&table_lock);
    struct vck_object *object = table[slot % SLOTS];
    if (object != NULL)
        vck_object_reference(object, OTHER_TAG);
    vck_spinlock_release(&table_lock);
    return object;
}

/* Takes over the caller's reference; the one that was there goes, at DISPATCH. */
static void put(uint32_t slot, struct vck_object *object)
{
    vck_spinlock_acquire(&table_lock);
    struct vck_object *former = table[slot % SLOTS];
    table[slot % SLOTS] = is_closed ? NULL : object;
    if (former != NULL)
        vck_object_release(former, TAG);
    if (is_closed && object != NULL)
        vck_object_release(object, TAG);
    vck_spinlock_release(&table_lock);
}

static void close_table(void)
{
    vck_spinlock_acquire(&table_lock);
    is_closed = true;
    vck_spinlock_release(&table_lock);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        put(slot, NULL);
}

/* ---- a thread ---- */

static uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

static void add_child(struct vck_object *parent, uint32_t slot) VCK_CAN_WAIT
{
    struct vck_object *made_object = NULL;
    struct vck_object *object = NULL;
    vck_status status = vck_object_create(&node_type, parent, node_init, &made_object, &object);
    VCK_ASSERT(status == VCK_OK || status == VCK_DELETE_PENDING || status == VCK_DELETED);
    VCK_ASSERT((status == VCK_DELETE_PENDING) == (made_object == NULL));
    if (made_object != NULL)
        put(slot, made_object);
}

static vck_status delete_raised(struct vck_object *object)
{
    static struct vck_spinlock raising[SLOTS];
    struct vck_spinlock *lock = &raising[((uintptr_t)object >> 8) % SLOTS];
    vck_spinlock_acquire(lock);
    vck_status status = vck_object_delete(object);
    vck_spinlock_release(lock);
    return status;
}

static void delete_it(struct vck_object *object, bool is_raised)
{
    vck_status status = is_raised ? delete_raised(object) : vck_object_delete(object);
    VCK_ASSERT(status == VCK_OK || status == VCK_DELETED);
    VCK_ASSERT(vck_object_is_deleting(object));
}

static void look_up(struct vck_object *object, const struct vck_object_type *extra)
{
    void *context = NULL;
    VCK_ASSERT(vck_object_context(object, &node_type, &context) == VCK_OK);
    VCK_ASSERT(((struct node *)context)->guarded == 42);
    VCK_ASSERT(vck_object_of_context(context) == object);
    vck_status status = vck_object_context(object, extra, &context);
    VCK_ASSERT(status == VCK_OK || status == VCK_NOT_READY || status == VCK_NOT_FOUND);
}

static void extend(struct vck_object *object, const struct vck_object_type *extra) VCK_CAN_WAIT
{
    vck_status status = vck_object_add_context(object, extra, NULL, NULL, NULL);
    VCK_ASSERT(status == VCK_OK || status == VCK_ALREADY_EXISTS || status == VCK_DELETE_PENDING);
    if (status == VCK_OK)
        count(&extended);
}

static void do_something(struct vck_object *object, uint32_t what, uint32_t where) VCK_CAN_WAIT
{
    const struct vck_object_type *extra = &extra_types[where % 2];
    if (what < 50)
        add_child(object, where);
    else if (what < 60)
        extend(object, extra);
    else if (what < 90)
        look_up(object, extra);
    else if (vck_object_parent(object) != NULL)
        delete_it(object, what < 93);
}

struct player {
    struct vck_object *root;
    struct vck_thread *thread;
    uint64_t random;
};

static void play(void *context) VCK_CAN_WAIT
{
    struct player *player = context;
    for (int i = 0; i < OPS_PER_THREAD; i++) {
        uint32_t where = next_random(&player->random);
        struct vck_object *object = borrow(where);
        count(&played);
        do_something(object != NULL ? object : player->root, next_random(&player->random) % 100,
                     where / SLOTS);
        if (object == NULL)
            continue;
        if (vck_object_is_deleting(object))
            put(where, NULL);
        vck_object_release(object, OTHER_TAG);
    }
    vck_object_release(player->root, TAG);
}

/* ---- rounds ---- */

static void run_round(uint64_t seed) VCK_CAN_WAIT
{
    struct player players[THREADS];
    struct vck_object *root = NULL;
    struct vck_object *same = NULL;
    played = made = cleaned = destroyed = extended = shrunk = 0;
    is_closed = false;
    assert_int_equal(vck_object_create(&node_type, NULL, node_init, &same, &root), VCK_OK);
    for (uint64_t i = 0; i < THREADS; i++) {
        players[i] = (struct player){.root = root, .random = seed * THREADS + i};
        vck_object_reference(root, TAG);
        assert_int_equal(
            vck_thread_create(play, &players[i], VCK_THREAD_NORMAL, "player", &players[i].thread),
            VCK_OK);
    }
    /* Some rounds are unloaded under the players, some after them. */
    if (seed % 2 == 0) {
        for (int i = 0; i < THREADS; i++)
            vck_thread_join(players[i].thread);
    } else {
        while (__atomic_load_n(&played, __ATOMIC_RELAXED) < OPS_PER_THREAD)
            vck_thread_yield();
    }
    close_table();
    vck_object_release(root, TAG);
    assert_int_equal(vck_object_unload(root, 0), VCK_OK);
    made_in_all += made;
    /* Unload may name the players' threads, which are joined later, but no object. */
    assert_false(is_logged("\"node\""));
    logged[0] = '\0';
    assert_int_equal(cleaned, made);
    assert_int_equal(destroyed, made);
    assert_int_equal(shrunk, extended);
    if (seed % 2 != 0) {
        for (int i = 0; i < THREADS; i++)
            vck_thread_join(players[i].thread);
    }
    assert_int_equal(vck_alloc_report(VCK_TAG('V', 'o', 'b', 'j'), NULL, NULL), 0);
}

static void tree_is_used_by_many_threads_and_unloaded_under_them(void **state) VCK_CAN_WAIT
{
    const char *seconds = getenv("VCK_STRESS_SECONDS");
    uint64_t end_ns = vck_clock_ns() + (seconds ? strtoull(seconds, NULL, 10) : 0) * 1000000000;
    uint64_t round = 0;
    (void)state;
    do
        run_round(round++);
    while (round < ROUNDS || vck_clock_ns() < end_ns);
    print_message("# %llu rounds, %llu objects\n", (unsigned long long)round,
                  (unsigned long long)made_in_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tree_is_used_by_many_threads_and_unloaded_under_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
