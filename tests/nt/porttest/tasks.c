/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "porttest.h"
#include "vck/channel.h"
#include "vck/cpu.h"
#include "vck/executor.h"
#include "vck/notify.h"
#include "vck/sleep.h"
#include "vck/thread.h"
#include "vck/timeout.h"
#include "vck/timer.h"
#include "vck/xts.h"

#define TAG           VCK_TAG('t', 't', 's', 'k')
#define TASK_COUNT    64u
#define ELEMENT_COUNT 2000u

static struct vck_executor *create(uint32_t workers) VCK_CAN_WAIT
{
    struct vck_executor *executor = NULL;
    struct vck_executor_options options = {.workers = workers};
    CHECK(vck_executor_create(&options, &executor) == VCK_OK);
    return executor;
}

/* ---- tasks that yield, sleep and end ---- */

struct walker {
    struct vck_future future;
    struct vck_task task;
    struct vck_task_join join;
    struct vck_yield yield;
    struct vck_sleep sleep;
    unsigned steps;
    bool is_waiting;
};

static enum vck_poll walk(struct vck_future *future, const struct vck_waker *waker)
{
    struct walker *w = (struct walker *)future;
    CHECK(vck_worker_get_current() == w->task.worker);
    while (w->steps > 0) {
        bool yields = w->steps % 2 == 0;
        struct vck_future *step = yields ? &w->yield.future : &w->sleep.future;
        if (!w->is_waiting && yields)
            vck_yield_init(&w->yield);
        else if (!w->is_waiting)
            vck_sleep_init(&w->sleep, w->steps % 8 * 100000);
        w->is_waiting = vck_future_poll(step, waker) == VCK_PENDING;
        if (w->is_waiting)
            return VCK_PENDING;
        w->steps--;
    }
    return VCK_READY;
}

static void test_tasks(void) VCK_CAN_WAIT
{
    struct vck_executor *executor = create(2);
    struct walker *walkers = vck_alloc(TASK_COUNT * sizeof(*walkers), TAG);
    if (!CHECK(executor != NULL && walkers != NULL))
        goto out;
    for (unsigned i = 0; i < TASK_COUNT; i++) {
        walkers[i].future.poll = walk;
        walkers[i].steps = 20 + i;
        vck_task_init(&walkers[i].task, &walkers[i].future);
        CHECK(vck_executor_spawn(executor, &walkers[i].task, &walkers[i].join) == VCK_OK);
    }
    for (unsigned i = 0; i < TASK_COUNT; i++) {
        vck_block_on(&walkers[i].join.future);
        CHECK(walkers[i].join.status == VCK_OK && walkers[i].steps == 0);
    }
out:
    vck_executor_destroy(executor);
    vck_free(walkers);
}

/* ---- tasks woken under a spin lock ---- */

#define WAKE_ROUNDS 200u

struct sleeper {
    struct vck_future future;
    struct vck_task task;
    struct vck_task_join join;
    struct vck_notify notify;
    struct vck_notified notified;
    unsigned woken; /* atomic */
    bool is_waiting;
};

static enum vck_poll sleep_often(struct vck_future *future, const struct vck_waker *waker)
{
    struct sleeper *s = (struct sleeper *)future;
    CHECK(vck_worker_get_current() == s->task.worker);
    while (s->woken < WAKE_ROUNDS) {
        if (!s->is_waiting)
            vck_notified_init(&s->notified, &s->notify);
        s->is_waiting = vck_future_poll(&s->notified.future, waker) == VCK_PENDING;
        if (s->is_waiting)
            return VCK_PENDING;
        __atomic_add_fetch(&s->woken, 1, __ATOMIC_RELEASE);
    }
    return VCK_READY;
}

static void wake_all(struct sleeper *sleepers, struct vck_spinlock *lock)
{
    vck_spinlock_acquire(lock);
    CHECK(!porttest_has_levels() || vck_current_level() == VCK_LEVEL_DISPATCH);
    for (unsigned i = 0; i < TASK_COUNT; i++)
        vck_notify_one(&sleepers[i].notify);
    vck_spinlock_release(lock);
}

/* Each wake finds its worker, which sleeps in its event more often than not. */
static void test_wakes_at_dispatch(void) VCK_CAN_WAIT
{
    struct vck_executor *executor = create(4);
    struct sleeper *sleepers = vck_alloc(TASK_COUNT * sizeof(*sleepers), TAG);
    struct vck_spinlock lock;
    vck_spinlock_init(&lock);
    if (!CHECK(executor != NULL && sleepers != NULL))
        goto out;
    for (unsigned i = 0; i < TASK_COUNT; i++) {
        sleepers[i].future.poll = sleep_often;
        vck_notify_init(&sleepers[i].notify);
        vck_task_init(&sleepers[i].task, &sleepers[i].future);
        CHECK(vck_executor_spawn(executor, &sleepers[i].task, &sleepers[i].join) == VCK_OK);
    }
    for (unsigned round = 1; round <= WAKE_ROUNDS; round++) {
        wake_all(sleepers, &lock);
        for (unsigned i = 0; i < TASK_COUNT; i++)
            while (__atomic_load_n(&sleepers[i].woken, __ATOMIC_ACQUIRE) < round)
                vck_thread_yield();
    }
    for (unsigned i = 0; i < TASK_COUNT; i++) {
        vck_block_on(&sleepers[i].join.future);
        CHECK(sleepers[i].join.status == VCK_OK && sleepers[i].woken == WAKE_ROUNDS);
    }
out:
    vck_executor_destroy(executor);
    vck_free(sleepers);
}

/* ---- the end of an executor ---- */

static enum vck_poll never(struct vck_future *future, const struct vck_waker *waker)
{
    (void)future, (void)waker;
    return VCK_PENDING;
}

static void test_shutdown(void) VCK_CAN_WAIT
{
    struct vck_future future = {.poll = never};
    struct vck_task task;
    struct vck_task_join join;
    struct vck_executor *executor = create(1);
    if (executor == NULL)
        return;
    vck_task_init(&task, &future);
    CHECK(vck_executor_spawn(executor, &task, &join) == VCK_OK);
    vck_executor_shutdown(executor);
    vck_block_on(&join.future);
    CHECK(join.status == VCK_CANCELLED);
    vck_executor_destroy(executor);
}

static void test_no_thread_no_executor(void) VCK_CAN_WAIT
{
    struct vck_executor *executor = NULL;
    vck_status status = VCK_NO_MEMORY;
    for (unsigned n = 1; status == VCK_NO_MEMORY; n++) {
        vck_alloc_fail_nth(n);
        status = vck_executor_create(NULL, &executor);
        CHECK(status == VCK_OK || executor == NULL);
    }
    vck_alloc_fail_nth(0);
    CHECK(status == VCK_OK);
    vck_executor_destroy(executor);
}

/* ---- timers of a worker ---- */

struct ticker {
    struct vck_task_timer timer;
    struct vck_event enough;
    unsigned count;
};

static void tick(struct vck_task_timer *timer)
{
    struct ticker *ticker = VCK_CONTAINER_OF(timer, struct ticker, timer);
    CHECK(vck_current_level() == VCK_LEVEL_PASSIVE);
    if (++ticker->count == 10)
        vck_event_set(&ticker->enough);
}

static void test_periodic_timer(void) VCK_CAN_WAIT
{
    struct ticker ticker = {.count = 0};
    struct vck_executor *executor = create(1);
    if (executor == NULL)
        return;
    vck_event_init(&ticker.enough);
    vck_task_timer_init(&ticker.timer, vck_executor_get_worker(executor, 0), tick);
    uint64_t start_ns = vck_clock_ns();
    vck_task_timer_arm(&ticker.timer, start_ns + 2 * MS, 2 * MS);
    CHECK(vck_event_wait(&ticker.enough, VCK_FOREVER) == VCK_OK);
    CHECK(vck_clock_ns() >= start_ns + 20 * MS);
    vck_task_timer_fini(&ticker.timer);
    vck_event_fini(&ticker.enough);
    vck_executor_destroy(executor);
}

/* Without an executor a sleep is a timer of the port. */
static void test_sleeps_of_a_thread(void) VCK_CAN_WAIT
{
    struct vck_future future = {.poll = never};
    uint64_t start_ns = vck_clock_ns();
    for (unsigned i = 0; i < 10; i++) {
        struct vck_sleep sleep;
        vck_sleep_init(&sleep, MS);
        vck_block_on(&sleep.future);
    }
    CHECK(vck_clock_ns() >= start_ns + 10 * MS);
    CHECK(vck_block_on_until(&future, vck_clock_ns() + MS) == VCK_TIMEOUT);
}

/* ---- channels ---- */

struct receiver {
    struct vck_future future;
    struct vck_channel *channel;
    struct vck_channel_receive receive;
    uint32_t element;
    uint32_t sum;
    unsigned count;
    bool is_waiting;
};

static enum vck_poll receive_all(struct vck_future *future, const struct vck_waker *waker)
{
    struct receiver *r = (struct receiver *)future;
    for (;;) {
        if (!r->is_waiting)
            vck_channel_receive_init(&r->receive, r->channel, &r->element);
        r->is_waiting = vck_future_poll(&r->receive.future, waker) == VCK_PENDING;
        if (r->is_waiting)
            return VCK_PENDING;
        if (r->receive.status != VCK_OK)
            return VCK_READY;
        r->sum += r->element;
        r->count++;
    }
}

static void send_all(void *context) VCK_CAN_WAIT
{
    struct vck_channel *channel = context;
    for (uint32_t i = 0; i < ELEMENT_COUNT; i++)
        CHECK(vck_channel_send_until(channel, &i, VCK_FOREVER) == VCK_OK);
}

static void test_channel(void) VCK_CAN_WAIT
{
    struct receiver receiver = {.future = {.poll = receive_all}};
    struct vck_task task;
    struct vck_task_join join;
    struct vck_executor *executor = create(1);
    if (!CHECK(vck_channel_create(sizeof(uint32_t), 8, NULL, NULL, &receiver.channel) == VCK_OK))
        goto out;
    vck_task_init(&task, &receiver.future);
    CHECK(vck_executor_spawn(executor, &task, &join) == VCK_OK);
    porttest_run_threads(3, send_all, receiver.channel);
    vck_channel_drop_sender(receiver.channel);
    vck_block_on(&join.future);
    vck_channel_drop_receiver(receiver.channel);
    CHECK(receiver.count == 3 * ELEMENT_COUNT);
    CHECK(receiver.sum == 3 * (ELEMENT_COUNT * (ELEMENT_COUNT - 1) / 2));
out:
    vck_executor_destroy(executor);
}

/* ---- the crypto room, with the registers the kernel keeps ---- */

static void fill(unsigned char *bytes, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 251);
}

static void test_xts(void)
{
    enum { SIZE = 8192 };
    unsigned char keys[2 * VCK_XTS_KEY_BYTES];
    struct vck_xts *xts = vck_alloc(2 * sizeof(*xts), TAG);
    unsigned char *plain = vck_alloc(3 * SIZE, TAG);
    fill(keys, sizeof(keys));
    CHECK((vck_cpu_features() & ~(uint32_t)(VCK_CPU_AESNI | VCK_CPU_SHA)) == 0);
    if (CHECK(xts != NULL && plain != NULL)) {
        unsigned char *fast = plain + SIZE;
        unsigned char *slow = fast + SIZE;
        fill(plain, SIZE);
        CHECK(vck_xts_init(&xts[0], keys, keys + VCK_XTS_KEY_BYTES) == VCK_OK);
        CHECK(vck_xts_init_with(&xts[1], keys, keys + VCK_XTS_KEY_BYTES, VCK_AES_PORTABLE) ==
              VCK_OK);
        vck_xts_encrypt(&xts[0], fast, plain, SIZE, 512, 77);
        vck_xts_encrypt(&xts[1], slow, plain, SIZE, 512, 77);
        CHECK(memcmp(fast, slow, SIZE) == 0 && memcmp(fast, plain, SIZE) != 0);
        vck_xts_decrypt(&xts[0], slow, slow, SIZE, 512, 77);
        CHECK(memcmp(slow, plain, SIZE) == 0);
        vck_xts_fini(&xts[0]);
        vck_xts_fini(&xts[1]);
    }
    vck_free(plain);
    vck_free(xts);
}

const struct porttest porttest_tasks[] = {
    {"tasks yield and sleep on two workers", test_tasks},
    {"four workers are woken at DISPATCH", test_wakes_at_dispatch},
    {"shutting down cancels tasks", test_shutdown},
    {"an executor without its thread is none", test_no_thread_no_executor},
    {"a worker's timer is periodic", test_periodic_timer},
    {"a thread sleeps and times out", test_sleeps_of_a_thread},
    {"a channel takes from threads to a task", test_channel},
    {"encryption agrees with its portable form", test_xts},
    {0},
};
