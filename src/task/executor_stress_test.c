/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only shows when threads meet: lost wakes, storage reused too early, ends that race. Each
 * test takes its share of a second, or of VCK_STRESS_SECONDS.
 */
#include "executor_test.h"
#include "vck/sleep.h"
#include "vck/timer.h"

static uint64_t share_until_ns(unsigned tests)
{
    uint64_t now_ns = vck_clock_ns();

    return now_ns + (stress_until_ns() - now_ns) / tests;
}

static struct vck_thread *start(void (*entry)(void *context), void *context)
{
    struct vck_thread *thread = NULL;

    assert_int_equal(vck_thread_create(entry, context, VCK_THREAD_NORMAL, "stress", &thread),
                     VCK_OK);
    return thread;
}

static uint32_t next_random(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33);
}

/* ---- a token goes round: one lost wake stops it ---- */

#define RING 6u

struct ring;

struct station {
    struct vck_future future;
    struct vck_task task;
    struct vck_task_join join;
    struct ring *ring;
    uint32_t index;
    uint32_t seen;
};

struct ring {
    struct station stations[RING];
    struct vck_waker wakers[RING];
    uint32_t ready; /* stations that have left their waker */
    uint32_t turn;  /* whose the token is; counts up */
    uint32_t turns;
};

static enum vck_poll station_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct station *s = VCK_CONTAINER_OF(self, struct station, future);
    struct ring *ring = s->ring;
    uint32_t turn;

    if (!ring->wakers[s->index].ops) {
        ring->wakers[s->index] = waker->ops->clone(waker->data);
        (void)__atomic_add_fetch(&ring->ready, 1, __ATOMIC_ACQ_REL);
    }
    turn = __atomic_load_n(&ring->turn, __ATOMIC_ACQUIRE);
    if (turn >= ring->turns)
        return VCK_READY;
    if (turn % RING != s->index || __atomic_load_n(&ring->ready, __ATOMIC_ACQUIRE) < RING)
        return VCK_PENDING;
    s->seen++;
    __atomic_store_n(&ring->turn, turn + 1, __ATOMIC_RELEASE);
    use_waker(&ring->wakers[(turn + 1) % RING], 1);
    return turn + 1 >= ring->turns ? VCK_READY : VCK_PENDING;
}

static void run_ring(struct vck_executor *executors[2], uint32_t turns) VCK_CAN_WAIT
{
    struct ring ring = {.turns = turns};
    uint32_t seen = 0;

    for (uint32_t i = 0; i < RING; i++) {
        struct station *s = &ring.stations[i];

        *s = (struct station){.future = {.poll = station_poll}, .ring = &ring, .index = i};
        vck_task_init(&s->task, &s->future);
        assert_int_equal(vck_executor_spawn(executors[i % 2], &s->task, &s->join), VCK_OK);
    }
    while (__atomic_load_n(&ring.ready, __ATOMIC_ACQUIRE) < RING)
        vck_thread_yield();
    use_waker(&ring.wakers[0], 1);
    while (__atomic_load_n(&ring.turn, __ATOMIC_ACQUIRE) < turns)
        vck_thread_yield();
    for (uint32_t i = 0; i < RING; i++) {
        use_waker(&ring.wakers[i], 1);
        drop_waker(&ring.wakers[i]);
    }
    for (uint32_t i = 0; i < RING; i++) {
        assert_int_equal(wait_for(&ring.stations[i].join), VCK_OK);
        seen += ring.stations[i].seen;
    }
    assert_int_equal(seen, turns);
}

static void no_wake_is_lost(void **state) VCK_CAN_WAIT
{
    uint64_t until_ns = share_until_ns(4);
    struct vck_executor *executors[2] = {create_executor(2), create_executor(1)};

    (void)state;
    do
        run_ring(executors, 500);
    while (vck_clock_ns() < until_ns);
    vck_executor_destroy(executors[0]);
    vck_executor_destroy(executors[1]);
}

/* ---- cancel, wake and end at once; the storage is used again at once ---- */

#define VICTIMS 4u

struct hunt {
    struct vck_waker published[VICTIMS]; /* under lock */
    struct vck_spinlock lock;
    bool is_over;
};

/* Wakes and drops whatever waker is there, at whatever state its task is. */
static void hunt(void *context)
{
    struct hunt *h = context;
    uint64_t random = (uintptr_t)&random;

    while (!__atomic_load_n(&h->is_over, __ATOMIC_ACQUIRE)) {
        struct vck_waker *place = &h->published[next_random(&random) % VICTIMS];
        struct vck_waker waker;

        vck_spinlock_acquire(&h->lock);
        waker = *place;
        if (waker.ops)
            waker = waker.ops->clone(waker.data);
        vck_spinlock_release(&h->lock);
        if (waker.ops) {
            use_waker(&waker, 1 + (int)(next_random(&random) % 3));
            drop_waker(&waker);
        }
    }
}

struct prey {
    struct vck_future future;
    struct vck_task task;
    struct vck_task_join join;
    struct vck_waker *place;
    struct hunt *hunt;
    struct vck_sleep sleep;
    int polls_left;
    int ends; /* polled READY or dropped */
};

static void withdraw(struct prey *prey)
{
    struct vck_waker waker;

    vck_spinlock_acquire(&prey->hunt->lock);
    waker = *prey->place;
    prey->place->ops = NULL;
    vck_spinlock_release(&prey->hunt->lock);
    if (waker.ops)
        drop_waker(&waker);
    vck_future_drop(&prey->sleep.future);
    prey->ends++;
}

static enum vck_poll prey_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct prey *prey = VCK_CONTAINER_OF(self, struct prey, future);
    struct vck_waker clone;

    (void)vck_future_poll(&prey->sleep.future, waker);
    if (prey->polls_left-- <= 0) {
        withdraw(prey);
        return VCK_READY;
    }
    clone = waker->ops->clone(waker->data);
    vck_spinlock_acquire(&prey->hunt->lock);
    if (!prey->place->ops) {
        *prey->place = clone;
        clone.ops = NULL;
    }
    vck_spinlock_release(&prey->hunt->lock);
    if (clone.ops)
        drop_waker(&clone);
    return VCK_PENDING;
}

static void prey_drop(struct vck_future *self)
{
    withdraw(VCK_CONTAINER_OF(self, struct prey, future));
}

static void prey_init(struct prey *prey, struct hunt *h, uint32_t index, uint64_t *random)
{
    memset(prey, 0x5a, sizeof(*prey));
    *prey = (struct prey){.future = {prey_poll, prey_drop},
                          .hunt = h,
                          .place = &h->published[index],
                          .polls_left = (int)(next_random(random) % 6)};
    vck_sleep_init(&prey->sleep, next_random(random) % 200000);
    vck_task_init(&prey->task, &prey->future);
}

static void hunt_round(struct hunt *h, struct vck_executor *executor, uint64_t *random) VCK_CAN_WAIT
{
    struct prey preys[VICTIMS];

    for (uint32_t i = 0; i < VICTIMS; i++) {
        prey_init(&preys[i], h, i, random);
        assert_int_equal(vck_executor_spawn(executor, &preys[i].task, &preys[i].join), VCK_OK);
    }
    for (uint32_t i = 0; i < VICTIMS; i++) {
        for (uint32_t wait = next_random(random) % 200; wait > 0; wait--)
            (void)vck_clock_ns();
        vck_task_join_cancel(&preys[i].join);
    }
    for (uint32_t i = 0; i < VICTIMS; i++) {
        vck_status status = wait_for(&preys[i].join);

        assert_true(status == VCK_OK || status == VCK_CANCELLED);
        assert_int_equal(preys[i].ends, 1);
    }
}

static void ends_and_wakes_race_and_storage_is_reused(void **state) VCK_CAN_WAIT
{
    uint64_t until_ns = share_until_ns(4);
    struct vck_executor *executor = create_executor(2);
    struct hunt h = {.is_over = false};
    struct vck_thread *thread;
    uint64_t random = 1;

    (void)state;
    vck_spinlock_init(&h.lock);
    thread = start(hunt, &h);
    do
        hunt_round(&h, executor, &random);
    while (vck_clock_ns() < until_ns);
    __atomic_store_n(&h.is_over, true, __ATOMIC_RELEASE);
    vck_thread_join(thread);
    vck_executor_destroy(executor);
}

/* ---- executors that end while others spawn and wake ---- */

struct spawner {
    struct vck_executor *executor;
    struct hunt *hunt;
    uint32_t index;
    uint32_t refused;
    uint32_t spawned;
};

static void spawn_until_refused(void *context) VCK_CAN_WAIT
{
    struct spawner *s = context;
    uint64_t random = s->index;

    while (s->refused == 0) {
        struct prey prey;

        prey_init(&prey, s->hunt, s->index, &random);
        prey.polls_left = 1000;
        if (vck_executor_spawn(s->executor, &prey.task, &prey.join) != VCK_OK) {
            s->refused++;
            continue;
        }
        s->spawned++;
        if (s->spawned % 3 == 0)
            vck_task_join_cancel(&prey.join);
        if (s->spawned % 50 == 0)
            vck_executor_shutdown(s->executor);
        /* Ends by cancel, by shutdown, or because enough wakes have come. */
        (void)wait_for(&prey.join);
        VCK_ASSERT(prey.join.status == VCK_OK || prey.join.status == VCK_CANCELLED);
        VCK_ASSERT(prey.ends == 1);
    }
}

static void executors_end_among_spawns_and_wakes(void **state) VCK_CAN_WAIT
{
    uint64_t until_ns = share_until_ns(4);

    (void)state;
    do {
        struct vck_executor *executor = create_executor(2);
        struct hunt h = {.is_over = false};
        struct spawner spawners[2] = {{executor, &h, 0, 0, 0}, {executor, &h, 1, 0, 0}};
        struct vck_thread *threads[3];

        vck_spinlock_init(&h.lock);
        threads[0] = start(spawn_until_refused, &spawners[0]);
        threads[1] = start(spawn_until_refused, &spawners[1]);
        threads[2] = start(hunt, &h);
        vck_thread_join(threads[0]);
        vck_thread_join(threads[1]);
        vck_executor_destroy(executor);
        __atomic_store_n(&h.is_over, true, __ATOMIC_RELEASE);
        vck_thread_join(threads[2]);
    } while (vck_clock_ns() < until_ns);
}

/* ---- timers armed and cancelled from all sides ---- */

#define TIMERS 16u

struct counted {
    struct vck_task_timer timer;
    uint32_t expired;
};

struct timers {
    struct counted timers[TIMERS];
    uint32_t armed[2]; /* by each thread, when it was not armed before */
    uint32_t cancelled[2];
    uint64_t until_ns;
};

struct timer_thread {
    struct timers *timers;
    uint32_t index;
};

static void count_expiry(struct vck_task_timer *timer)
{
    struct counted *c = VCK_CONTAINER_OF(timer, struct counted, timer);

    (void)__atomic_add_fetch(&c->expired, 1, __ATOMIC_RELAXED);
}

/* Each thread has timers of its own, so that it knows how often they were armed. */
static void arm_and_cancel(void *context)
{
    struct timer_thread *self = context;
    struct timers *t = self->timers;
    uint64_t random = self->index;

    while (vck_clock_ns() < t->until_ns) {
        struct counted *c = &t->timers[next_random(&random) % (TIMERS / 2) * 2 + self->index];

        if (vck_task_timer_cancel(&c->timer))
            t->cancelled[self->index]++;
        vck_task_timer_arm(&c->timer, vck_clock_ns() + next_random(&random) % 100000, 0);
        t->armed[self->index]++;
    }
}

static void every_arming_expires_or_is_cancelled(void **state) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct timers t = {.until_ns = share_until_ns(4)};
    struct timer_thread threads[2] = {{&t, 0}, {&t, 1}};
    struct vck_thread *thread;
    uint32_t expired = 0;

    (void)state;
    for (uint32_t i = 0; i < TIMERS; i++)
        vck_task_timer_init(&t.timers[i].timer, vck_executor_get_worker(executor, 0), count_expiry);
    thread = start(arm_and_cancel, &threads[0]);
    arm_and_cancel(&threads[1]);
    vck_thread_join(thread);
    for (uint32_t i = 0; i < TIMERS; i++) {
        if (vck_task_timer_cancel(&t.timers[i].timer))
            t.cancelled[0]++;
        vck_task_timer_fini(&t.timers[i].timer);
        expired += t.timers[i].expired;
    }
    assert_int_equal(t.armed[0] + t.armed[1], t.cancelled[0] + t.cancelled[1] + expired);
    assert_true(expired > 0);
    vck_executor_destroy(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        A_TEST(no_wake_is_lost),
        A_TEST(ends_and_wakes_race_and_storage_is_reused),
        A_TEST(executors_end_among_spawns_and_wakes),
        A_TEST(every_arming_expires_or_is_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
