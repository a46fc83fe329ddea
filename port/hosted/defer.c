/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread at a time runs the work. It starts when there is some and ends when there is none. A
 * start that fails leaves the work to the next one, or to whoever drains.
 */
#include "port/hosted/system.h"

/* `lock` covers all of it. */
static struct system_lock lock = SYSTEM_LOCK_INIT;
static struct vck_work *first;
static struct vck_work **end = &first;
static bool is_running; /* a thread is at the queue */
static bool has_thread; /* `thread` is to be joined */
static struct system_thread thread;
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
    running_id = system_thread_state()->id;
    while ((work = take_first()) != NULL) {
        void (*run)(struct vck_work *) = work->run;
        system_lock_release(&lock);
        run(work);
        VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
        system_lock_take(&lock);
    }
    running_id = 0;
    is_running = false;
}

static SYSTEM_THREAD_RESULT serve(void *unused)
{
    (void)unused;
    system_thread_name("vck-defer");
    system_lock_take(&lock);
    run_all();
    system_lock_release(&lock);
    return 0;
}

/* Called with the lock held, nobody running. The former thread has left the queue for good, so that
 * joining it takes no time. */
static void start(void)
{
    if (has_thread)
        (void)system_thread_join(&thread);
    has_thread = system_thread_start(serve, NULL, &thread);
    is_running = has_thread;
}

void vck_defer(struct vck_work *work, void (*run)(struct vck_work *work))
{
    work->next = NULL;
    work->run = run;
    system_lock_take(&lock);
    *end = work;
    end = &work->next;
    if (!is_running)
        start();
    system_lock_release(&lock);
}

/* With the lock held, gives it up meanwhile. */
static void join_last(void)
{
    struct system_thread ending = thread;
    has_thread = false;
    joining++;
    system_lock_release(&lock);
    (void)system_thread_join(&ending);
    system_lock_take(&lock);
    joining--;
}

void vck_defer_drain(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    system_lock_take(&lock);
    bool is_own = running_id == system_thread_state()->id;
    while (!is_own && (is_running || has_thread || joining > 0 || first != NULL)) {
        if (has_thread) {
            join_last();
        } else if (!is_running && first != NULL) {
            is_running = true;
            run_all();
        } else {
            system_lock_release(&lock);
            system_yield();
            system_lock_take(&lock);
        }
    }
    system_lock_release(&lock);
}
