/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread serves every timer of the process. It is started by the first timer and never ends.
 * `lock` covers everything here; callbacks run without it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include "port/posix/internal.h"
#include "vck/list.h"

struct posix_timer {
    struct vck_link link; /* in `armed`, or to itself */
    uint64_t deadline_ns;
    void (*expired)(void *context);
    void *context;
    bool is_ending; /* sets no longer arm: the callback that fini waits for may set it */
};
_Static_assert(sizeof(struct posix_timer) <= sizeof(struct vck_timer), "fits the public storage");

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t earlier; /* on the monotonic clock, hence initialised in start */
static pthread_cond_t returned = PTHREAD_COND_INITIALIZER;
static struct vck_link armed = {&armed, &armed}; /* by deadline */
static struct posix_timer *running;

static struct posix_timer *posix_timer(struct vck_timer *timer)
{
    return (struct posix_timer *)(void *)timer->opaque;
}

static struct posix_timer *timer_of(struct vck_link *link)
{
    return VCK_CONTAINER_OF(link, struct posix_timer, link);
}

/* Called and returns with the lock held. The callback may set the timer again, but not end it: it
 * runs at DISPATCH. */
static void run_expired(struct posix_timer *t)
{
    struct thread_state *self = vck_posix_thread_state();
    vck_link_remove(&t->link);
    running = t;
    pthread_mutex_unlock(&lock);
    self->level = VCK_LEVEL_DISPATCH;
    t->expired(t->context);
    FATAL_UNLESS(self->level == VCK_LEVEL_DISPATCH, "a timer callback returns at its level");
    self->level = VCK_LEVEL_PASSIVE;
    pthread_mutex_lock(&lock);
    running = NULL;
    pthread_cond_broadcast(&returned);
}

static void wait_until(uint64_t deadline_ns)
{
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                                .tv_nsec = (long)(deadline_ns % 1000000000)};
    pthread_cond_timedwait(&earlier, &lock, &deadline);
}

static void *serve(void *unused)
{
    (void)unused;
    pthread_setname_np(pthread_self(), "vck-timer");
    pthread_mutex_lock(&lock);
    for (;;) {
        if (vck_list_is_empty(&armed)) {
            pthread_cond_wait(&earlier, &lock);
            continue;
        }
        struct posix_timer *first = timer_of(armed.next);
        if (first->deadline_ns <= vck_clock_ns())
            run_expired(first);
        else
            wait_until(first->deadline_ns);
    }
    return NULL;
}

static void start(void)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&earlier, &monotonic);
    pthread_condattr_destroy(&monotonic);

    sigset_t all;
    sigset_t before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    FATAL_UNLESS(pthread_create(&thread, NULL, serve, NULL) == 0, "the timer thread starts");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_detach(thread);
}

void vck_timer_init(struct vck_timer *timer, void (*expired)(void *context), void *context)
{
    struct posix_timer *t = posix_timer(timer);
    vck_link_init(&t->link);
    t->deadline_ns = 0;
    t->expired = expired;
    t->context = context;
    t->is_ending = false;
    pthread_once(&once, start);
}

static void arm(struct posix_timer *t, uint64_t deadline_ns)
{
    vck_link_remove(&t->link);
    t->deadline_ns = deadline_ns;
    /* From the back: deadlines mostly come in order. */
    struct vck_link *before = armed.prev;
    while (before != &armed && timer_of(before)->deadline_ns > deadline_ns)
        before = before->prev;
    vck_link_insert_between(&t->link, before, before->next);
    if (armed.next == &t->link)
        pthread_cond_signal(&earlier);
}

void vck_timer_set(struct vck_timer *timer, uint64_t deadline_ns)
{
    struct posix_timer *t = posix_timer(timer);
    pthread_mutex_lock(&lock);
    if (!t->is_ending)
        arm(t, deadline_ns);
    pthread_mutex_unlock(&lock);
}

void vck_timer_fini(struct vck_timer *timer)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    struct posix_timer *t = posix_timer(timer);
    pthread_mutex_lock(&lock);
    t->is_ending = true;
    vck_link_remove(&t->link);
    while (running == t)
        pthread_cond_wait(&returned, &lock);
    pthread_mutex_unlock(&lock);
}
