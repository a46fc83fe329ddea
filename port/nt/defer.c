/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread runs the work, from the start of the port to its end, because deferring cannot fail.
 * It is in the driver while it waits, which is why the port's end, and not a drain, joins it.
 */
#include "port/nt/internal.h"

static struct vck_spinlock lock; /* covers these */
static struct vck_work *first;
static struct vck_work **end;
static bool is_stopping;

static struct vck_event is_wanted;
static struct vck_event is_idle; /* manual: nothing queued, nothing running */
static struct vck_thread *thread;
static uint32_t thread_id;

/* The next work and its function, the former NULL when there is none. */
static struct vck_work *take_first(void (**ret_run)(struct vck_work *work))
{
    vck_spinlock_acquire(&lock);
    struct vck_work *work = first;
    if (work != NULL) {
        *ret_run = work->run;
        first = work->next;
        if (first == NULL)
            end = &first;
    } else {
        vck_event_set(&is_idle);
    }
    vck_spinlock_release(&lock);
    return work;
}

static bool is_to_stop(void)
{
    vck_spinlock_acquire(&lock);
    bool stop = is_stopping && first == NULL;
    vck_spinlock_release(&lock);
    return stop;
}

static void serve(void *unused) VCK_CAN_WAIT
{
    (void)unused;
    __atomic_store_n(&thread_id, vck_thread_id(), __ATOMIC_RELAXED);
    while (!is_to_stop()) {
        void (*run)(struct vck_work * work);
        struct vck_work *work = take_first(&run);
        if (work == NULL) {
            (void)vck_event_wait(&is_wanted, VCK_FOREVER);
            continue;
        }
        run(work);
        VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    }
}

void vck_defer(struct vck_work *work, void (*run)(struct vck_work *work))
{
    work->next = NULL;
    work->run = run;
    vck_spinlock_acquire(&lock);
    *end = work;
    end = &work->next;
    vck_event_reset(&is_idle);
    vck_spinlock_release(&lock);
    vck_event_set(&is_wanted);
}

void vck_defer_drain(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (__atomic_load_n(&thread_id, __ATOMIC_RELAXED) == vck_thread_id())
        return;
    (void)vck_event_wait(&is_idle, VCK_FOREVER);
}

vck_status vck_nt_defer_init(void)
{
    vck_spinlock_init(&lock);
    vck_event_init(&is_wanted);
    vck_event_init_manual(&is_idle);
    vck_event_set(&is_idle);
    first = NULL;
    end = &first;
    is_stopping = false;
    return vck_thread_create(serve, NULL, VCK_THREAD_NORMAL, "vck-defer", &thread);
}

bool vck_nt_defer_runs(void)
{
    return thread != NULL;
}

void vck_nt_defer_fini(void)
{
    if (thread == NULL)
        return;
    vck_spinlock_acquire(&lock);
    is_stopping = true;
    vck_spinlock_release(&lock);
    vck_event_set(&is_wanted);
    vck_thread_join(thread);
    thread = NULL;
}
