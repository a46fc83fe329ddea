/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread serves every timer of the driver, which are in a list by deadline, and raises itself to
 * DISPATCH for the callbacks. A kernel timer with its DPC in each of ours would be in use by the
 * kernel while it is in memory of whoever set it, and nothing that is allowed at APC tells when the
 * kernel has let go of it: cancelling says nothing of a DPC on its way, and flushing DPCs is for
 * PASSIVE. A thread's end can be waited for. Executors need none of this: a worker sleeps in a wait
 * with a timeout.
 *
 * `lock` covers everything here; callbacks run without it, one at a time.
 */
#include "port/nt/internal.h"
#include "vck/list.h"

struct nt_timer {
    struct vck_link link; /* in `armed`, or to itself */
    uint64_t deadline_ns;
    void (*expired)(void *context);
    void *context;
    struct vck_event *returned; /* of the fini that waits for the callback */
    bool is_ending; /* sets no longer arm: the callback that fini waits for may set it */
};
_Static_assert(sizeof(struct nt_timer) <= sizeof(struct vck_timer), "fits the public storage");

static struct vck_spinlock lock;
static struct vck_link armed; /* by deadline */
static struct nt_timer *running;
static vck_level callback_level; /* DISPATCH, where the kernel shows levels */
static bool is_stopping;
static struct vck_event earlier; /* the first deadline, or is_stopping, has changed */
static struct vck_thread *thread;

static struct nt_timer *nt_timer(struct vck_timer *timer)
{
    return (struct nt_timer *)(void *)timer->opaque;
}

static struct nt_timer *timer_of(struct vck_link *link)
{
    return VCK_CONTAINER_OF(link, struct nt_timer, link);
}

/* Called and returns with the lock held, at DISPATCH in between. */
static void run_expired(struct nt_timer *t) VCK_NO_ANALYSIS
{
    vck_link_remove(&t->link);
    running = t;
    vck_spinlock_release(&lock);
    t->expired(t->context);
    FATAL_UNLESS(vck_current_level() == callback_level, "a timer callback returns at its level");
    vck_spinlock_acquire(&lock);
    running = NULL;
    if (t->returned != NULL)
        vck_event_set(t->returned);
}

/* Runs what has expired, all of it at DISPATCH. */
static void run_all_expired(void)
{
    KIRQL before;
    KeRaiseIrql(DISPATCH_LEVEL, &before);
    callback_level = vck_current_level();
    vck_spinlock_acquire(&lock);
    while (!vck_list_is_empty(&armed) && timer_of(armed.next)->deadline_ns <= vck_clock_ns())
        run_expired(timer_of(armed.next));
    vck_spinlock_release(&lock);
    KeLowerIrql(before);
}

/* False when the thread is to end. */
static bool next_deadline(uint64_t *ret_deadline_ns)
{
    vck_spinlock_acquire(&lock);
    *ret_deadline_ns = vck_list_is_empty(&armed) ? VCK_FOREVER : timer_of(armed.next)->deadline_ns;
    bool goes_on = !is_stopping;
    vck_spinlock_release(&lock);
    return goes_on;
}

static void serve(void *unused) VCK_CAN_WAIT
{
    uint64_t deadline_ns;
    (void)unused;
    (void)KeSetPriorityThread((PKTHREAD)vck_nt_current_thread(), LOW_REALTIME_PRIORITY);
    while (next_deadline(&deadline_ns)) {
        if (vck_event_wait(&earlier, deadline_ns) == VCK_TIMEOUT)
            run_all_expired();
    }
}

void vck_timer_init(struct vck_timer *timer, void (*expired)(void *context), void *context)
{
    struct nt_timer *t = nt_timer(timer);
    *t = (struct nt_timer){.expired = expired, .context = context};
    vck_link_init(&t->link);
}

static void arm(struct nt_timer *t, uint64_t deadline_ns)
{
    vck_link_remove(&t->link);
    t->deadline_ns = deadline_ns;
    /* From the back: deadlines mostly come in order. */
    struct vck_link *before = armed.prev;
    while (before != &armed && timer_of(before)->deadline_ns > deadline_ns)
        before = before->prev;
    vck_link_insert_between(&t->link, before, before->next);
    if (armed.next == &t->link)
        vck_event_set(&earlier);
}

void vck_timer_set(struct vck_timer *timer, uint64_t deadline_ns)
{
    struct nt_timer *t = nt_timer(timer);
    vck_spinlock_acquire(&lock);
    if (!t->is_ending)
        arm(t, deadline_ns);
    vck_spinlock_release(&lock);
}

/* Who sets the event does not touch the timer after that. */
void vck_timer_fini(struct vck_timer *timer)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    struct nt_timer *t = nt_timer(timer);
    struct vck_event returned;
    vck_event_init(&returned);
    vck_spinlock_acquire(&lock);
    t->is_ending = true;
    vck_link_remove(&t->link);
    bool is_running = running == t;
    if (is_running)
        t->returned = &returned;
    vck_spinlock_release(&lock);
    if (is_running)
        (void)vck_event_wait(&returned, VCK_FOREVER);
    vck_event_fini(&returned);
}

vck_status vck_nt_timers_init(void)
{
    vck_spinlock_init(&lock);
    vck_event_init(&earlier);
    vck_link_init(&armed);
    running = NULL;
    is_stopping = false;
    return vck_thread_create(serve, NULL, VCK_THREAD_NORMAL, "vck-timer", &thread);
}

void vck_nt_timers_fini(void)
{
    if (thread == NULL)
        return;
    vck_spinlock_acquire(&lock);
    FATAL_UNLESS(vck_list_is_empty(&armed), "timers are finished before the port");
    is_stopping = true;
    vck_spinlock_release(&lock);
    vck_event_set(&earlier);
    vck_thread_join(thread);
    thread = NULL;
}
