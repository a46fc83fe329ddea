/* SPDX-License-Identifier: Apache-2.0 */
#include "porttest.h"
#include "vck/thread.h"

#define TAG          VCK_TAG('t', 't', 'h', 'r')
#define THREAD_COUNT 48u

/* ---- threads ---- */

struct seen {
    uint32_t ids[THREAD_COUNT];
    unsigned count;
};

static void note_id(void *context) VCK_CAN_WAIT
{
    struct seen *seen = context;
    unsigned at = __atomic_fetch_add(&seen->count, 1, __ATOMIC_RELAXED);
    CHECK(vck_current_level() == VCK_LEVEL_PASSIVE);
    seen->ids[at % THREAD_COUNT] = vck_thread_id();
    /* All are alive until the last has come. */
    while (__atomic_load_n(&seen->count, __ATOMIC_RELAXED) < THREAD_COUNT)
        vck_thread_yield();
}

static void test_threads(void) VCK_CAN_WAIT
{
    struct seen seen = {.count = 0};
    porttest_run_threads(THREAD_COUNT, note_id, &seen);
    CHECK(seen.count == THREAD_COUNT);
    for (unsigned i = 0; i < THREAD_COUNT; i++) {
        CHECK(seen.ids[i] != 0 && seen.ids[i] != vck_thread_id());
        for (unsigned k = 0; k < i; k++)
            CHECK(seen.ids[i] != seen.ids[k]);
    }
}

static void set_flag(void *context)
{
    __atomic_store_n((unsigned *)context, 1, __ATOMIC_RELEASE);
}

static void test_background(void) VCK_CAN_WAIT
{
    unsigned has_run = 0;
    struct vck_thread *thread;
    if (!CHECK(vck_thread_create(set_flag, &has_run, VCK_THREAD_BACKGROUND,
                                 "a name of more than fifteen", &thread) == VCK_OK))
        return;
    vck_thread_join(thread);
    CHECK(has_run == 1);
}

/* ---- detached threads ---- */

struct detached {
    struct vck_event is_gone;
    uint32_t id;
    bool has_run;
    bool had_context;
};

static void run_detached(void *context)
{
    struct detached *detached = context;
    detached->had_context = vck_thread_slot() == context;
    detached->id = vck_thread_id();
    vck_thread_slot_clear();
    CHECK(vck_thread_slot() == NULL);
    detached->has_run = true;
}

static void tell_gone(void *context)
{
    struct detached *detached = context;
    CHECK(detached->has_run);
    CHECK(vck_current_level() == VCK_LEVEL_PASSIVE);
    CHECK(vck_thread_id() != detached->id);
    vck_event_set(&detached->is_gone);
}

static void test_detached(void) VCK_CAN_WAIT
{
    for (unsigned i = 0; i < 50; i++) {
        struct detached detached = {.has_run = false};
        uint32_t id;
        vck_event_init(&detached.is_gone);
        if (!CHECK(vck_thread_create_detached(run_detached, &detached, VCK_THREAD_NORMAL,
                                              "detached", tell_gone, &id) == VCK_OK))
            return;
        CHECK(vck_event_wait(&detached.is_gone, VCK_FOREVER) == VCK_OK);
        CHECK(detached.had_context && detached.id == id);
        vck_event_fini(&detached.is_gone);
    }
}

static void do_nothing(void *context)
{
    (void)context;
}

static void test_creation_fails(void) VCK_CAN_WAIT
{
    struct vck_thread *thread;
    uint32_t id;
    vck_alloc_fail_nth(1);
    CHECK(vck_thread_create(do_nothing, NULL, VCK_THREAD_NORMAL, "none", &thread) == VCK_NO_MEMORY);
    vck_alloc_fail_nth(1);
    CHECK(vck_thread_create_detached(do_nothing, NULL, VCK_THREAD_NORMAL, "none", do_nothing,
                                     &id) == VCK_NO_MEMORY);
    vck_alloc_fail_nth(0);
}

/* ---- slots ---- */

static void never_ends(void *value)
{
    (void)value;
}

struct slots {
    unsigned arrived;
    unsigned looked;
    unsigned ended;
};

static struct slots slots;

static void count_ended(void *value)
{
    (void)value;
    __atomic_add_fetch(&slots.ended, 1, __ATOMIC_RELAXED);
}

static void use_slots(void *unused) VCK_CAN_WAIT
{
    char own;
    (void)unused;
    CHECK(vck_thread_slot() == NULL && vck_worker_slot_get() == NULL);
    CHECK(vck_thread_slot_set(&own, count_ended) == VCK_OK);
    vck_worker_slot_set(&own + 1);
    __atomic_add_fetch(&slots.arrived, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&slots.arrived, __ATOMIC_RELAXED) < THREAD_COUNT)
        vck_thread_yield();
    CHECK(vck_thread_slot() == &own && vck_worker_slot_get() == &own + 1);
    vck_worker_slot_set(NULL);
    CHECK(vck_thread_slot() == &own && vck_worker_slot_get() == NULL);
}

static void test_slots(void) VCK_CAN_WAIT
{
    slots = (struct slots){0};
    porttest_run_threads(THREAD_COUNT, use_slots, NULL);
    CHECK(slots.ended == THREAD_COUNT);
    CHECK(vck_thread_slot() == NULL && vck_worker_slot_get() == NULL);
}

static void test_reset_all(void)
{
    char value;
    CHECK(vck_thread_slot_set(&value, never_ends) == VCK_OK);
    CHECK(vck_thread_slot() == &value);
    vck_thread_slot_reset_all();
    CHECK(vck_thread_slot() == NULL);
    CHECK(vck_thread_slot_set(&value, never_ends) == VCK_OK);
    CHECK(vck_thread_slot() == &value);
    vck_thread_slot_clear();
    CHECK(vck_thread_slot() == NULL);
}

static void churn_slots(void *unused)
{
    char value;
    (void)unused;
    for (unsigned i = 0; i < 5000; i++) {
        CHECK(vck_thread_slot_set(&value, never_ends) == VCK_OK);
        CHECK(vck_thread_slot() == &value);
        vck_thread_slot_clear();
        CHECK(vck_thread_slot() == NULL);
    }
}

static void test_slots_meet(void) VCK_CAN_WAIT
{
    porttest_run_threads(8, churn_slots, NULL);
}

/* ---- parking, upon all of this ---- */

struct parking {
    struct vck_thread_handle *caller;
    unsigned rounds;
};

static void park(void *context) VCK_CAN_WAIT
{
    struct parking *parking = context;
    for (unsigned i = 0; i < 500; i++) {
        CHECK(vck_thread_park() == VCK_OK);
        parking->rounds++;
        vck_thread_unpark(parking->caller);
    }
}

static void test_parking(void) VCK_CAN_WAIT
{
    struct parking parking = {.caller = vck_thread_get_current()};
    struct vck_thread_handle *thread;
    if (!CHECK(parking.caller != NULL))
        return;
    if (!CHECK(vck_thread_spawn(NULL, park, &parking, VCK_THREAD_NORMAL, "parks", &thread) ==
               VCK_OK))
        return;
    for (unsigned i = 0; i < 500; i++) {
        vck_thread_unpark(thread);
        CHECK(vck_thread_park() == VCK_OK);
    }
    vck_thread_handle_join(thread);
    CHECK(parking.rounds == 500);
}

/* ---- deferred work ---- */

#define WORK_COUNT 200u

struct deferred {
    struct vck_work works[WORK_COUNT];
    unsigned next; /* the one to run next */
    struct vck_work again;
    unsigned again_count;
    uint32_t thread_id;
};

static struct deferred *deferred;

static void run_in_order(struct vck_work *work)
{
    CHECK(work == &deferred->works[deferred->next]);
    CHECK(vck_current_level() == VCK_LEVEL_PASSIVE);
    deferred->next++;
}

static void run_again(struct vck_work *work) VCK_CAN_WAIT
{
    CHECK(vck_thread_id() != deferred->thread_id);
    vck_defer_drain();
    if (++deferred->again_count < 10)
        vck_defer(work, run_again);
}

static void test_defer(void) VCK_CAN_WAIT
{
    deferred = vck_alloc(sizeof(*deferred), TAG);
    if (!CHECK(deferred != NULL))
        return;
    deferred->thread_id = vck_thread_id();
    for (unsigned i = 0; i < WORK_COUNT; i++)
        vck_defer(&deferred->works[i], run_in_order);
    vck_defer(&deferred->again, run_again);
    vck_defer_drain();
    CHECK(deferred->next == WORK_COUNT);
    CHECK(deferred->again_count == 10);
    vck_defer_drain();
    vck_free(deferred);
}

const struct porttest porttest_threads[] = {
    {"threads have ids of their own", test_threads},
    {"a background thread runs", test_background},
    {"a detached thread is gone after its end", test_detached},
    {"a thread that cannot be had leaves nothing", test_creation_fails},
    {"each thread has its slots", test_slots},
    {"all slots are forgotten at once", test_reset_all},
    {"slots come and go on many threads", test_slots_meet},
    {"threads park and unpark each other", test_parking},
    {"deferred work runs in order, and drains", test_defer},
    {0},
};
