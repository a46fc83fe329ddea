/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One KTIMER and its DPC serve every timer of the driver, which are in a list by deadline. A timer
 * in use by the kernel is in memory of whoever set it, and the kernel gives no way, at every level
 * this port's functions are called at and on every system they run on, to learn that it has let go
 * of it: cancelling says nothing of a DPC on its way, flushing DPCs is for PASSIVE only. This one
 * lives as long as the driver, is only ever set, and cancelled and flushed when the driver goes.
 *
 * `lock` covers everything here; callbacks run without it, one at a time.
 */
#include "port/nt/internal.h"
#include "vck/list.h"

#define NS_PER_UNIT 100u /* of the kernel's time */

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
static bool is_serving; /* a DPC is at the list */
static KTIMER kernel_timer;
static KDPC kernel_dpc;

static struct nt_timer *nt_timer(struct vck_timer *timer)
{
    return (struct nt_timer *)(void *)timer->opaque;
}

static struct nt_timer *timer_of(struct vck_link *link)
{
    return VCK_CONTAINER_OF(link, struct nt_timer, link);
}

/* Sets the kernel's timer for the earliest deadline, past or not. Called with the lock held. A
 * relative time counts from the last clock tick: it may end too early, never before a tick. */
static void set_kernel_timer(void)
{
    LARGE_INTEGER due = {.QuadPart = -1};
    uint64_t now_ns = vck_clock_ns();
    if (vck_list_is_empty(&armed))
        return;
    uint64_t deadline_ns = timer_of(armed.next)->deadline_ns;
    if (deadline_ns > now_ns)
        due.QuadPart = -(int64_t)((deadline_ns - now_ns - 1) / NS_PER_UNIT) - 1;
    KeSetTimer(&kernel_timer, due, &kernel_dpc);
}

/* Called and returns with the lock held. */
static void run_expired(struct nt_timer *t) VCK_NO_ANALYSIS
{
    vck_link_remove(&t->link);
    running = t;
    vck_spinlock_release(&lock);
    t->expired(t->context);
    vck_spinlock_acquire(&lock);
    running = NULL;
    if (t->returned != NULL)
        vck_event_set(t->returned);
}

/* The timer may expire again, on another processor, while this runs; whoever is at the list looks
 * at all of it before leaving. */
static void NTAPI serve(KDPC *dpc, void *context, void *argument1, void *argument2)
{
    (void)dpc, (void)context, (void)argument1, (void)argument2;
    vck_spinlock_acquire(&lock);
    if (!is_serving) {
        is_serving = true;
        while (!vck_list_is_empty(&armed) && timer_of(armed.next)->deadline_ns <= vck_clock_ns())
            run_expired(timer_of(armed.next));
        is_serving = false;
        set_kernel_timer();
    }
    vck_spinlock_release(&lock);
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
    if (armed.next == &t->link && !is_serving)
        set_kernel_timer();
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

void vck_nt_timers_init(void)
{
    vck_spinlock_init(&lock);
    vck_link_init(&armed);
    running = NULL;
    is_serving = false;
    KeInitializeTimerEx(&kernel_timer, SynchronizationTimer);
    KeInitializeDpc(&kernel_dpc, serve, NULL);
}

/* Either waits for a DPC to its last instruction: the flush where the kernel runs DPCs, the
 * cancelling where it imitates them by threads. Source: KeFlushQueuedDpcs. */
void vck_nt_timers_fini(void)
{
    FATAL_UNLESS(vck_list_is_empty(&armed), "timers are finished before the port");
    KeCancelTimer(&kernel_timer);
    KeFlushQueuedDpcs();
}
