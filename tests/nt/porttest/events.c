/* SPDX-License-Identifier: Apache-2.0 */
#include "porttest.h"

static vck_status poll(struct vck_event *event) VCK_CAN_WAIT
{
    return vck_event_wait(event, 0);
}

static void test_auto(void) VCK_CAN_WAIT
{
    struct vck_event event;
    vck_event_init(&event);
    CHECK(poll(&event) == VCK_TIMEOUT);
    vck_event_set(&event);
    vck_event_set(&event);
    CHECK(poll(&event) == VCK_OK);
    CHECK(poll(&event) == VCK_TIMEOUT);
    vck_event_set(&event);
    vck_event_reset(&event);
    CHECK(poll(&event) == VCK_TIMEOUT);
    vck_event_fini(&event);
}

static void test_manual(void) VCK_CAN_WAIT
{
    struct vck_event event;
    vck_event_init_manual(&event);
    CHECK(poll(&event) == VCK_TIMEOUT);
    vck_event_set(&event);
    CHECK(poll(&event) == VCK_OK);
    CHECK(poll(&event) == VCK_OK);
    vck_event_reset(&event);
    CHECK(poll(&event) == VCK_TIMEOUT);
    vck_event_fini(&event);
}

static void test_deadline(void) VCK_CAN_WAIT
{
    static const uint64_t durations_ns[] = {1, 99, 100000, 3 * MS, 40 * MS};
    struct vck_event event;
    vck_event_init(&event);
    for (size_t i = 0; i < sizeof(durations_ns) / sizeof(durations_ns[0]); i++) {
        uint64_t deadline_ns = vck_clock_ns() + durations_ns[i];
        CHECK(vck_event_wait(&event, deadline_ns) == VCK_TIMEOUT);
        CHECK(vck_clock_ns() >= deadline_ns);
    }
    vck_event_fini(&event);
}

struct gate {
    struct vck_event open; /* manual */
    unsigned passed;
};

static void pass_gate(void *context) VCK_CAN_WAIT
{
    struct gate *gate = context;
    CHECK(vck_event_wait(&gate->open, VCK_FOREVER) == VCK_OK);
    __atomic_add_fetch(&gate->passed, 1, __ATOMIC_RELAXED);
}

static void open_gate(void *context)
{
    struct gate *gate = context;
    vck_event_set(&gate->open);
}

static void test_manual_releases_all(void) VCK_CAN_WAIT
{
    struct gate gate = {.passed = 0};
    struct vck_thread *opener;
    vck_event_init_manual(&gate.open);
    if (!CHECK(vck_thread_create(open_gate, &gate, VCK_THREAD_NORMAL, "opener", &opener) == VCK_OK))
        return;
    porttest_run_threads(8, pass_gate, &gate);
    CHECK(gate.passed == 8);
    vck_thread_join(opener);
    vck_event_fini(&gate.open);
}

/* A waiter puts an event of its stack here; its storage is used for something else at once. */
struct handover {
    struct vck_event posted;
    struct vck_event *volatile waiting;
    bool is_over;
};

static void answer(void *context) VCK_CAN_WAIT
{
    struct handover *handover = context;
    while (vck_event_wait(&handover->posted, VCK_FOREVER) == VCK_OK && !handover->is_over)
        vck_event_set(handover->waiting);
}

static void ask_once(struct handover *handover) VCK_CAN_WAIT
{
    struct vck_event answered;
    vck_event_init(&answered);
    handover->waiting = &answered;
    vck_event_set(&handover->posted);
    CHECK(vck_event_wait(&answered, VCK_FOREVER) == VCK_OK);
    vck_event_fini(&answered);
    __builtin_memset(&answered, 0xcc, sizeof(answered));
}

static void test_event_goes_with_its_wait(void) VCK_CAN_WAIT
{
    struct handover handover = {.is_over = false};
    struct vck_thread *thread;
    vck_event_init(&handover.posted);
    if (!CHECK(vck_thread_create(answer, &handover, VCK_THREAD_NORMAL, "answer", &thread) ==
               VCK_OK))
        return;
    for (unsigned i = 0; i < 2000; i++)
        ask_once(&handover);
    handover.is_over = true;
    vck_event_set(&handover.posted);
    vck_thread_join(thread);
    vck_event_fini(&handover.posted);
}

const struct porttest porttest_events[] = {
    {"an auto-reset event keeps one set", test_auto},
    {"a manual-reset event stays set", test_manual},
    {"a wait ends at its deadline, not before", test_deadline},
    {"a manual-reset event releases everybody", test_manual_releases_all},
    {"an event may go when its wait has ended", test_event_goes_with_its_wait},
    {0},
};
