/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread at a time runs the work. It starts when there is some and ends when there is none. A
 * start that fails leaves the work to the next one, or to whoever drains.
 */
#include "port/win/internal.h"

/* `lock` covers all of it. */
static SRWLOCK lock = SRWLOCK_INIT;
static struct vck_work *first;
static struct vck_work **end = &first;
static bool is_running;  /* a thread is at the queue */
static HANDLE thread;    /* to be waited for, NULL without */
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
    running_id = vck_thread_id();
    while ((work = take_first()) != NULL) {
        void (*run)(struct vck_work *) = work->run;
        ReleaseSRWLockExclusive(&lock);
        run(work);
        VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
        AcquireSRWLockExclusive(&lock);
    }
    running_id = 0;
    is_running = false;
}

static DWORD WINAPI serve(void *unused)
{
    (void)unused;
    AcquireSRWLockExclusive(&lock);
    run_all();
    ReleaseSRWLockExclusive(&lock);
    return 0;
}

static void join(HANDLE ending)
{
    (void)WaitForSingleObject(ending, INFINITE);
    CloseHandle(ending);
}

/* Called with the lock held, nobody running. The former thread has left the queue for good, so that
 * joining it takes no time. */
static void start(void)
{
    if (thread != NULL)
        join(thread);
    thread = CreateThread(NULL, 0, serve, NULL, 0, NULL);
    is_running = thread != NULL;
}

void vck_defer(struct vck_work *work, void (*run)(struct vck_work *work))
{
    work->next = NULL;
    work->run = run;
    AcquireSRWLockExclusive(&lock);
    *end = work;
    end = &work->next;
    if (!is_running)
        start();
    ReleaseSRWLockExclusive(&lock);
}

/* With the lock held, gives it up meanwhile. */
static void join_last(void)
{
    HANDLE ending = thread;
    thread = NULL;
    joining++;
    ReleaseSRWLockExclusive(&lock);
    join(ending);
    AcquireSRWLockExclusive(&lock);
    joining--;
}

void vck_defer_drain(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    AcquireSRWLockExclusive(&lock);
    bool is_own = running_id == vck_thread_id();
    while (!is_own && (is_running || thread != NULL || joining > 0 || first != NULL)) {
        if (thread != NULL) {
            join_last();
        } else if (!is_running && first != NULL) {
            is_running = true;
            run_all();
        } else {
            ReleaseSRWLockExclusive(&lock);
            (void)SwitchToThread();
            AcquireSRWLockExclusive(&lock);
        }
    }
    ReleaseSRWLockExclusive(&lock);
}
