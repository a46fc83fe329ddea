/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-task: what an executor costs. `bench-task SCENARIO COUNT` does one of them once, in a
 * process of its own because memory is one of the figures, and prints nanoseconds passed,
 * nanoseconds of CPU, and the peak of resident memory in KiB. bench/tasks.py has it and its twins
 * on other runtimes take turns.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "vck/channel.h"
#include "vck/coroutine.h"
#include "vck/executor.h"
#include "vck/notify.h"
#include "vck/sleep.h"
#include "vck/timer.h"

#define SECOND_NS ((uint64_t)1000000000)

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static void must(vck_status status)
{
    if (status != VCK_OK) {
        fprintf(stderr, "bench-task: %s\n", vck_status_text(status));
        exit(1);
    }
}

static void *must_calloc(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (p == NULL)
        must(VCK_NO_MEMORY);
    return p;
}

static struct vck_executor *the_executor(void)
{
    struct vck_executor *executor = vck_executor_get_current();
    if (executor == NULL)
        must(VCK_NOT_READY);
    return executor;
}

/* A scenario is a task that ends the executor this thread runs. */
struct scenario {
    struct vck_future future;
    struct vck_task task;
    struct vck_coroutine co;
    size_t count;
    size_t i;
    struct vck_task_join join;
    struct vck_task *child;
    void *memory;
};

static void run_scenario(struct scenario *s,
                         enum vck_poll (*poll)(struct vck_future *,
                                               const struct vck_waker *)) VCK_CAN_WAIT
{
    struct vck_executor *executor = NULL;
    must(vck_executor_prepare(NULL, &executor));
    s->future = (struct vck_future){.poll = poll};
    vck_task_init(&s->task, &s->future);
    must(vck_executor_spawn(executor, &s->task, NULL));
    vck_executor_run(executor);
    vck_executor_destroy(executor);
}

static enum vck_poll end_scenario(struct scenario *s)
{
    (void)s;
    vck_executor_shutdown(the_executor());
    return VCK_READY;
}

static struct scenario *scenario_of(struct vck_future *future)
{
    return VCK_CONTAINER_OF(future, struct scenario, future);
}

/* ---- spawn and join ---- */

static enum vck_poll ready_poll(struct vck_future *self, const struct vck_waker *waker)
{
    (void)self;
    (void)waker;
    return VCK_READY;
}

struct small {
    struct vck_task task;
    struct vck_future future;
};

static void spawn_small(struct small *small)
{
    small->future = (struct vck_future){.poll = ready_poll};
    vck_task_init(&small->task, &small->future);
    must(vck_executor_spawn(the_executor(), &small->task, NULL));
}

/* In storage of the caller's. */
static enum vck_poll spawn_all_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct scenario *s = scenario_of(self);
    struct small *all = s->memory;
    VCK_CO_BEGIN(&s->co);
    for (s->i = 0; s->i < s->count; s->i++)
        spawn_small(&all[s->i]);
    for (s->i = 0; s->i < s->count; s->i++) {
        vck_task_join_init(&s->join, &((struct small *)s->memory)[s->i].task);
        VCK_CO_AWAIT(&s->co, &s->join.future, waker);
    }
    (void)end_scenario(s);
    VCK_CO_END(&s->co);
}

static void spawn_all(size_t count) VCK_CAN_WAIT
{
    struct scenario s = {.count = count, .memory = must_calloc(count, sizeof(struct small))};
    run_scenario(&s, spawn_all_poll);
    free(s.memory);
}

/* Allocated one by one. */
static void spawn_allocated(struct vck_task_join *join)
{
    struct vck_task *task = NULL;
    must(vck_task_create(sizeof(struct vck_future), &task));
    task->future->poll = ready_poll;
    must(vck_executor_spawn(the_executor(), task, join));
}

static enum vck_poll spawn_all_allocated_poll(struct vck_future *self,
                                              const struct vck_waker *waker)
{
    struct scenario *s = scenario_of(self);
    struct vck_task_join *all = s->memory;
    VCK_CO_BEGIN(&s->co);
    for (s->i = 0; s->i < s->count; s->i++)
        spawn_allocated(&all[s->i]);
    for (s->i = 0; s->i < s->count; s->i++)
        VCK_CO_AWAIT(&s->co, &((struct vck_task_join *)s->memory)[s->i].future, waker);
    (void)end_scenario(s);
    VCK_CO_END(&s->co);
}

static void spawn_all_allocated(size_t count) VCK_CAN_WAIT
{
    struct scenario s = {.count = count,
                         .memory = must_calloc(count, sizeof(struct vck_task_join))};
    run_scenario(&s, spawn_all_allocated_poll);
    free(s.memory);
}

static enum vck_poll spawn_one_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct scenario *s = scenario_of(self);
    VCK_CO_BEGIN(&s->co);
    for (s->i = 0; s->i < s->count; s->i++) {
        spawn_small(s->memory);
        vck_task_join_init(&s->join, &((struct small *)s->memory)->task);
        VCK_CO_AWAIT(&s->co, &s->join.future, waker);
    }
    (void)end_scenario(s);
    VCK_CO_END(&s->co);
}

static void spawn_one(size_t count) VCK_CAN_WAIT
{
    struct scenario s = {.count = count, .memory = must_calloc(1, sizeof(struct small))};
    run_scenario(&s, spawn_one_poll);
    free(s.memory);
}

static enum vck_poll spawn_one_allocated_poll(struct vck_future *self,
                                              const struct vck_waker *waker)
{
    struct scenario *s = scenario_of(self);
    VCK_CO_BEGIN(&s->co);
    for (s->i = 0; s->i < s->count; s->i++) {
        spawn_allocated(&s->join);
        VCK_CO_AWAIT(&s->co, &s->join.future, waker);
    }
    (void)end_scenario(s);
    VCK_CO_END(&s->co);
}

static void spawn_one_allocated(size_t count) VCK_CAN_WAIT
{
    struct scenario s = {.count = count};
    run_scenario(&s, spawn_one_allocated_poll);
}

/* ---- ping-pong ---- */

struct player {
    struct vck_future future;
    struct vck_task task;
    struct vck_coroutine co;
    size_t rounds;
    size_t i;
    bool serves;
    bool ends;
    struct vck_notify *theirs;
    struct vck_notify *mine;
    struct vck_notified notified;
    struct vck_channel *out;
    struct vck_channel *in;
    struct vck_channel_send send;
    struct vck_channel_receive receive;
    uint64_t value;
    struct vck_waker *their_waker;
    struct vck_waker *my_waker;
    bool *their_turn;
    bool *my_turn;
};

static enum vck_poll end_player(struct player *p)
{
    if (p->ends)
        vck_executor_shutdown(the_executor());
    return VCK_READY;
}

static void play(struct player players[2], size_t wakes,
                 enum vck_poll (*poll)(struct vck_future *, const struct vck_waker *)) VCK_CAN_WAIT
{
    struct vck_executor *executor = NULL;
    must(vck_executor_prepare(NULL, &executor));
    for (int i = 0; i < 2; i++) {
        players[i].future.poll = poll;
        players[i].rounds = wakes / 2;
        players[i].serves = i == 0;
        players[i].ends = i == 0;
        vck_task_init(&players[i].task, &players[i].future);
        must(vck_executor_spawn(executor, &players[i].task, NULL));
    }
    vck_executor_run(executor);
    vck_executor_destroy(executor);
}

static enum vck_poll notify_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct player *p = VCK_CONTAINER_OF(self, struct player, future);
    VCK_CO_BEGIN(&p->co);
    for (p->i = 0; p->i < p->rounds; p->i++) {
        if (p->serves)
            vck_notify_one(p->theirs);
        vck_notified_init(&p->notified, p->mine);
        VCK_CO_AWAIT(&p->co, &p->notified.future, waker);
        if (!p->serves)
            vck_notify_one(p->theirs);
    }
    (void)end_player(p);
    VCK_CO_END(&p->co);
}

static void ping_notify(size_t count) VCK_CAN_WAIT
{
    struct vck_notify ping;
    struct vck_notify pong;
    struct player players[2] = {{.theirs = &ping, .mine = &pong}, {.theirs = &pong, .mine = &ping}};
    vck_notify_init(&ping);
    vck_notify_init(&pong);
    play(players, count, notify_poll);
}

static enum vck_poll channel_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct player *p = VCK_CONTAINER_OF(self, struct player, future);
    VCK_CO_BEGIN(&p->co);
    for (p->i = 0; p->i < p->rounds; p->i++) {
        if (p->serves) {
            p->value = p->i;
            vck_channel_send_init(&p->send, p->out, &p->value);
            VCK_CO_AWAIT(&p->co, &p->send.future, waker);
        }
        vck_channel_receive_init(&p->receive, p->in, &p->value);
        VCK_CO_AWAIT(&p->co, &p->receive.future, waker);
        if (p->value != p->i)
            abort();
        if (!p->serves) {
            vck_channel_send_init(&p->send, p->out, &p->value);
            VCK_CO_AWAIT(&p->co, &p->send.future, waker);
        }
    }
    (void)end_player(p);
    VCK_CO_END(&p->co);
}

static void ping_channel(size_t count) VCK_CAN_WAIT
{
    struct vck_channel ping;
    struct vck_channel pong;
    uint64_t rings[2][2]; /* one more than the capacity */
    struct player players[2] = {{.out = &ping, .in = &pong}, {.out = &pong, .in = &ping}};
    vck_channel_init(&ping, rings[0], sizeof(rings[0][0]), 1, NULL, NULL);
    vck_channel_init(&pong, rings[1], sizeof(rings[1][0]), 1, NULL, NULL);
    play(players, count, channel_poll);
}

/* Nothing but the wake. */
static enum vck_poll bare_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct player *p = VCK_CONTAINER_OF(self, struct player, future);
    if (!p->my_waker->ops)
        *p->my_waker = waker->ops->clone(waker->data);
    while (*p->my_turn && p->their_waker->ops) {
        *p->my_turn = false;
        *p->their_turn = true;
        p->their_waker->ops->wake(p->their_waker->data);
        if (++p->i >= p->rounds) {
            p->their_waker->ops->drop(p->their_waker->data);
            return end_player(p);
        }
    }
    return VCK_PENDING;
}

static void ping_bare(size_t count) VCK_CAN_WAIT
{
    struct vck_waker wakers[2] = {{NULL, NULL}, {NULL, NULL}};
    bool turns[2] = {false, true};
    struct player players[2] = {{.their_waker = &wakers[1],
                                 .my_waker = &wakers[0],
                                 .their_turn = &turns[1],
                                 .my_turn = &turns[0]},
                                {.their_waker = &wakers[0],
                                 .my_waker = &wakers[1],
                                 .their_turn = &turns[0],
                                 .my_turn = &turns[1]}};
    play(players, count, bare_poll);
}

/* ---- timers ---- */

static uint64_t next_deadline_ns(uint64_t start_ns, uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return start_ns + SECOND_NS + (*random >> 33) % SECOND_NS;
}

struct napper {
    struct vck_task task;
    struct vck_sleep sleep;
};

/* A task per timer. */
static enum vck_poll naps_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct scenario *s = scenario_of(self);
    struct napper *all = s->memory;
    uint64_t start_ns = vck_clock_ns();
    uint64_t random = 1;
    VCK_CO_BEGIN(&s->co);
    for (s->i = 0; s->i < s->count; s->i++) {
        struct napper *napper = &all[s->i];
        vck_sleep_until_init(&napper->sleep, next_deadline_ns(start_ns, &random));
        vck_task_init(&napper->task, &napper->sleep.future);
        must(vck_executor_spawn(the_executor(), &napper->task, NULL));
    }
    for (s->i = 0; s->i < s->count; s->i++) {
        vck_task_join_init(&s->join, &((struct napper *)s->memory)[s->i].task);
        VCK_CO_AWAIT(&s->co, &s->join.future, waker);
    }
    (void)end_scenario(s);
    VCK_CO_END(&s->co);
}

static void naps(size_t count) VCK_CAN_WAIT
{
    struct scenario s = {.count = count, .memory = must_calloc(count, sizeof(struct napper))};
    run_scenario(&s, naps_poll);
    free(s.memory);
}

static size_t timers_left;

static void on_expired(struct vck_task_timer *timer)
{
    (void)timer;
    if (--timers_left == 0)
        vck_executor_shutdown(the_executor());
}

static enum vck_poll timers_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct scenario *s = scenario_of(self);
    struct vck_task_timer *all = s->memory;
    uint64_t start_ns = vck_clock_ns();
    uint64_t random = 1;
    (void)waker;
    timers_left = s->count;
    for (size_t i = 0; i < s->count; i++) {
        vck_task_timer_init(&all[i], vck_worker_get_current(), on_expired);
        vck_task_timer_arm(&all[i], next_deadline_ns(start_ns, &random), 0);
    }
    return VCK_READY;
}

static void timers(size_t count) VCK_CAN_WAIT
{
    struct scenario s = {.count = count,
                         .memory = must_calloc(count, sizeof(struct vck_task_timer))};
    run_scenario(&s, timers_poll);
    free(s.memory);
}

/* ---- wakes across threads ---- */

static void futex_wait_while(uint32_t *word, uint32_t seen)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == seen)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_bump(uint32_t *word)
{
    (void)__atomic_add_fetch(word, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

struct court {
    uint32_t ping;
    uint32_t pong;
    uint32_t rounds;
};

static void *answer(void *context)
{
    struct court *court = context;
    for (uint32_t i = 0; i < court->rounds; i++) {
        futex_wait_while(&court->ping, i);
        futex_bump(&court->pong);
    }
    return NULL;
}

/* The round trip of two threads that do nothing but this. */
static void wake_futex(size_t count)
{
    struct court court = {.rounds = (uint32_t)count};
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer, &court) != 0)
        abort();
    for (uint32_t i = 0; i < court.rounds; i++) {
        futex_bump(&court.ping);
        futex_wait_while(&court.pong, i);
    }
    pthread_join(thread, NULL);
}

struct echo {
    struct vck_future future;
    struct vck_task task;
    struct vck_waker waker;
    struct court court;
    uint32_t seen;
    uint32_t is_ready;
};

static enum vck_poll echo_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct echo *echo = VCK_CONTAINER_OF(self, struct echo, future);
    if (!echo->waker.ops) {
        echo->waker = waker->ops->clone(waker->data);
        futex_bump(&echo->is_ready);
    }
    while (__atomic_load_n(&echo->court.ping, __ATOMIC_ACQUIRE) != echo->seen) {
        echo->seen++;
        futex_bump(&echo->court.pong);
    }
    return echo->seen == echo->court.rounds ? VCK_READY : VCK_PENDING;
}

/* The same with a task on a worker that sleeps at the one end. */
static void wake_worker(size_t count) VCK_CAN_WAIT
{
    struct vck_executor *executor = NULL;
    struct echo echo = {.future = {.poll = echo_poll}, .court = {.rounds = (uint32_t)count}};
    must(vck_executor_create(NULL, &executor));
    vck_task_init(&echo.task, &echo.future);
    must(vck_executor_spawn(executor, &echo.task, NULL));
    futex_wait_while(&echo.is_ready, 0);
    for (uint32_t i = 0; i < echo.court.rounds; i++) {
        (void)__atomic_add_fetch(&echo.court.ping, 1, __ATOMIC_RELEASE);
        echo.waker.ops->wake(echo.waker.data);
        futex_wait_while(&echo.court.pong, i);
    }
    echo.waker.ops->drop(echo.waker.data);
    vck_executor_destroy(executor);
}

/* ---- one of them ---- */

static const struct {
    const char *name;
    void (*run)(size_t count);
} scenarios[] = {
    {"spawn-all", spawn_all},     {"spawn-all-allocated", spawn_all_allocated},
    {"spawn-one", spawn_one},     {"spawn-one-allocated", spawn_one_allocated},
    {"notify", ping_notify},      {"channel", ping_channel},
    {"bare", ping_bare},          {"sleeps", naps},
    {"timers", timers},           {"wake-futex", wake_futex},
    {"wake-worker", wake_worker},
};

static int run(const char *name, size_t count) VCK_CAN_WAIT
{
    struct rusage usage;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(scenarios); i++) {
        if (strcmp(scenarios[i].name, name) != 0)
            continue;
        uint64_t wall_ns = now_ns(CLOCK_MONOTONIC);
        uint64_t cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
        scenarios[i].run(count);
        wall_ns = now_ns(CLOCK_MONOTONIC) - wall_ns;
        cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
        getrusage(RUSAGE_SELF, &usage);
        printf("%llu %llu %ld\n", (unsigned long long)wall_ns, (unsigned long long)cpu_ns,
               usage.ru_maxrss);
        return 0;
    }
    fprintf(stderr, "bench-task: no scenario %s\n", name);
    return 2;
}

int main(int argc, char **argv) VCK_CAN_WAIT
{
    if (argc == 3)
        return run(argv[1], strtoull(argv[2], NULL, 10));
    fprintf(stderr, "usage: bench-task SCENARIO COUNT, of");
    for (size_t i = 0; i < VCK_ARRAY_COUNT(scenarios); i++)
        fprintf(stderr, " %s", scenarios[i].name);
    fprintf(stderr, "\n");
    return 2;
}
