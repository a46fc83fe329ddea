/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread at a time runs the work. It starts when there is some and ends when there is none. A
 * start that fails leaves the work to the next one, or to whoever drains.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include "port/posix/internal.h"

/* `lock` covers all of it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct vck_work *first;
static struct vck_work **end = &first;
static bool is_running; /* a thread is at the queue */
static bool has_thread; /* `thread` is to be joined */
static pthread_t thread;
static unsigned joining; /* who drains waits for threads that others join, too */
static uint32_t running_id;

static struct vck_work *take_first(void)
{
    struct vck_work *work = first;
    if (work == NULL)
        return NULL;
    first = work->next;
    if (first == NULL)
        end = &first;
    return work;
}

/* Called and returns with the lock held and is_running set. */
static void run_all(void)
{
    struct vck_work *work;
    running_id = vck_posix_thread_state()->id;
    while ((work = take_first()) != NULL) {
        void (*run)(struct vck_work *) = work->run;
        pthread_mutex_unlock(&lock);
        run(work);
        VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
        pthread_mutex_lock(&lock);
    }
    running_id = 0;
    is_running = false;
}

static void *serve(void *unused)
{
    (void)unused;
    pthread_setname_np(pthread_self(), "vck-defer");
    pthread_mutex_lock(&lock);
    run_all();
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Called with the lock held, nobody running. The former thread has left the queue for good, so that
 * joining it takes no time. */
static void start(void)
{
    sigset_t all;
    sigset_t before;
    if (has_thread)
        pthread_join(thread, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    has_thread = pthread_create(&thread, NULL, serve, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    is_running = has_thread;
}

void vck_defer(struct vck_work *work, void (*run)(struct vck_work *work))
{
    work->next = NULL;
    work->run = run;
    pthread_mutex_lock(&lock);
    *end = work;
    end = &work->next;
    if (!is_running)
        start();
    pthread_mutex_unlock(&lock);
}

void vck_defer_drain(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    pthread_mutex_lock(&lock);
    if (running_id == vck_posix_thread_state()->id) {
        pthread_mutex_unlock(&lock);
        return;
    }
    while (is_running || has_thread || joining > 0 || first != NULL) {
        if (has_thread) {
            pthread_t ending = thread;
            has_thread = false;
            joining++;
            pthread_mutex_unlock(&lock);
            pthread_join(ending, NULL);
            pthread_mutex_lock(&lock);
            joining--;
        } else if (!is_running && first != NULL) {
            is_running = true;
            run_all();
        } else {
            pthread_mutex_unlock(&lock);
            sched_yield();
            pthread_mutex_lock(&lock);
        }
    }
    pthread_mutex_unlock(&lock);
}
