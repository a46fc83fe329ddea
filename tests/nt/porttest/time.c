/* SPDX-License-Identifier: Apache-2.0 */
#include "porttest.h"
#include "vck/thread.h"

#define TAG         VCK_TAG('t', 't', 'i', 'm')
#define TIMER_COUNT 100u

static void test_clock(void) VCK_CAN_WAIT
{
    uint64_t start_ns = vck_clock_ns();
    uint64_t last_ns = start_ns;
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t now_ns = vck_clock_ns();
        CHECK(now_ns >= last_ns);
        last_ns = now_ns;
    }
    struct vck_event never;
    vck_event_init(&never);
    CHECK(vck_event_wait(&never, vck_clock_ns() + 20 * MS) == VCK_TIMEOUT);
    vck_event_fini(&never);
    CHECK(vck_clock_ns() >= start_ns + 15 * MS);
}

struct expiry {
    struct vck_timer timer;
    struct vck_event expired;
    uint64_t deadline_ns;
    vck_level level;
    unsigned count;
    unsigned again; /* how often to set it again from the callback */
    bool was_early;
};

static void note(void *context)
{
    struct expiry *e = context;
    uint64_t now_ns = vck_clock_ns();
    e->level = vck_current_level();
    e->was_early = e->was_early || now_ns < e->deadline_ns;
    e->count++;
    if (e->again == 0) {
        vck_event_set(&e->expired);
        return;
    }
    e->again--;
    e->deadline_ns = now_ns + MS;
    vck_timer_set(&e->timer, e->deadline_ns);
}

static void init(struct expiry *e)
{
    *e = (struct expiry){.count = 0};
    vck_event_init(&e->expired);
    vck_timer_init(&e->timer, note, e);
}

static void fini(struct expiry *e) VCK_CAN_WAIT
{
    vck_timer_fini(&e->timer);
    vck_event_fini(&e->expired);
}

static void set_after(struct expiry *e, uint64_t duration_ns)
{
    e->deadline_ns = vck_clock_ns() + duration_ns;
    vck_timer_set(&e->timer, e->deadline_ns);
}

static void test_timer(void) VCK_CAN_WAIT
{
    static const uint64_t durations_ns[] = {0, 1, 50000, 3 * MS, 30 * MS};
    struct expiry e;
    init(&e);
    for (unsigned i = 0; i < sizeof(durations_ns) / sizeof(durations_ns[0]); i++) {
        set_after(&e, durations_ns[i]);
        CHECK(vck_event_wait(&e.expired, VCK_FOREVER) == VCK_OK);
        CHECK(e.count == i + 1 && !e.was_early);
    }
    CHECK(e.level == VCK_LEVEL_DISPATCH || !porttest_has_levels());
    fini(&e);
}

static void test_timer_is_replaced(void) VCK_CAN_WAIT
{
    struct expiry e;
    init(&e);
    set_after(&e, 3600000 * MS);
    set_after(&e, 2 * MS);
    CHECK(vck_event_wait(&e.expired, VCK_FOREVER) == VCK_OK);
    CHECK(e.count == 1 && !e.was_early);
    fini(&e);
    /* Until it is replaced in time. */
    for (uint64_t first_ns = 0; vck_clock_ns() >= first_ns;) {
        if (first_ns != 0)
            fini(&e);
        init(&e);
        set_after(&e, 10 * MS);
        first_ns = e.deadline_ns;
        set_after(&e, 3600000 * MS);
    }
    vck_thread_sleep(30 * MS);
    CHECK(e.count == 0 && !e.was_early);
    fini(&e);
}

static void test_timer_sets_itself(void) VCK_CAN_WAIT
{
    struct expiry e;
    init(&e);
    e.again = 20;
    set_after(&e, MS);
    CHECK(vck_event_wait(&e.expired, VCK_FOREVER) == VCK_OK);
    CHECK(e.count == 21 && !e.was_early);
    fini(&e);
}

static void test_many_timers(void) VCK_CAN_WAIT
{
    struct expiry *all = vck_alloc(TIMER_COUNT * sizeof(*all), TAG);
    if (!CHECK(all != NULL))
        return;
    for (unsigned i = 0; i < TIMER_COUNT; i++) {
        init(&all[i]);
        set_after(&all[i], (i * 37 % TIMER_COUNT) * MS / 4);
    }
    for (unsigned i = 0; i < TIMER_COUNT; i++) {
        CHECK(vck_event_wait(&all[i].expired, VCK_FOREVER) == VCK_OK);
        CHECK(all[i].count == 1 && !all[i].was_early);
        fini(&all[i]);
    }
    vck_free(all);
}

static void test_armed_timer_is_finished(void) VCK_CAN_WAIT
{
    for (unsigned i = 0; i < 200; i++) {
        struct expiry e;
        init(&e);
        set_after(&e, (i % 8) * MS / 4);
        if (i % 2 != 0)
            vck_thread_sleep((i % 5) * MS / 4);
        fini(&e);
        CHECK(e.count <= 1 && !e.was_early);
        __builtin_memset(&e, 0xcc, sizeof(e));
    }
}

/* A callback that takes its time: fini has to wait for it. */
struct slow {
    struct vck_timer timer;
    struct vck_event begun;
    bool has_ended;
};

static void be_slow(void *context)
{
    struct slow *slow = context;
    uint64_t end_ns = vck_clock_ns() + 5 * MS;
    vck_event_set(&slow->begun);
    vck_timer_set(&slow->timer, 0);
    while (vck_clock_ns() < end_ns)
        continue;
    __atomic_store_n(&slow->has_ended, true, __ATOMIC_RELAXED);
}

static void test_fini_waits(void) VCK_CAN_WAIT
{
    for (unsigned i = 0; i < 10; i++) {
        struct slow slow = {.has_ended = false};
        vck_event_init(&slow.begun);
        vck_timer_init(&slow.timer, be_slow, &slow);
        vck_timer_set(&slow.timer, 0);
        CHECK(vck_event_wait(&slow.begun, VCK_FOREVER) == VCK_OK);
        vck_timer_fini(&slow.timer);
        CHECK(__atomic_load_n(&slow.has_ended, __ATOMIC_RELAXED));
        vck_event_fini(&slow.begun);
    }
}

const struct porttest porttest_time[] = {
    {"the clock goes on and never back", test_clock},
    {"a timer expires, not early", test_timer},
    {"a new deadline replaces the old one", test_timer_is_replaced},
    {"a callback sets its timer again", test_timer_sets_itself},
    {"many timers expire, each once", test_many_timers},
    {"a timer is finished at any moment", test_armed_timer_is_finished},
    {"finishing waits for the callback", test_fini_waits},
    {0},
};
