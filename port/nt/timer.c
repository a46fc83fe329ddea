/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One kernel timer and its DPC serve every timer of the driver, which are in a list by deadline. A
 * kernel timer in each of ours would be in use by the kernel while it is in memory of whoever set
 * it, and what tells when the kernel has let go of its DPC is for PASSIVE, not for APC. Executors
 * need none of this: a worker sleeps in a wait with a timeout.
 *
 * Wine's KeSetTimer waits for the DPC, from inside the DPC as well: there this needs the verifier,
 * whose timers behave.
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
static vck_level callback_level; /* DISPATCH, where the kernel shows levels */
static bool is_serving;          /* the DPC is at work and sets the timer afterwards */
static bool is_started;
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

/* For the first deadline. With the lock held. */
static void set_kernel_timer(void)
{
    uint64_t now_ns = vck_clock_ns();
    uint64_t deadline_ns = timer_of(armed.next)->deadline_ns;
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    LARGE_INTEGER due = {.QuadPart = -(int64_t)(left_ns / NS_PER_UNIT) - 1};
    KeSetTimer(&kernel_timer, due, &kernel_dpc);
}

static void serve(void)
{
    vck_spinlock_acquire(&lock);
    if (is_serving) { /* set and expired again before the first had the lock */
        vck_spinlock_release(&lock);
        return;
    }
    is_serving = true;
    while (!vck_list_is_empty(&armed) && timer_of(armed.next)->deadline_ns <= vck_clock_ns())
        run_expired(timer_of(armed.next));
    is_serving = false;
    if (!vck_list_is_empty(&armed))
        set_kernel_timer();
    vck_spinlock_release(&lock);
}

static void NTAPI kernel_timer_expired(PKDPC dpc, PVOID context, PVOID one, PVOID two)
{
    (void)dpc;
    (void)context;
    (void)one;
    (void)two;
    callback_level = vck_current_level();
    serve();
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
    KeInitializeTimer(&kernel_timer);
    KeInitializeDpc(&kernel_dpc, kernel_timer_expired, NULL);
    is_started = true;
}

/* The DPC of a timer that was cancelled too late may be on its way. */
void vck_nt_timers_fini(void)
{
    if (!is_started)
        return;
    FATAL_UNLESS(vck_list_is_empty(&armed), "timers are finished before the port");
    (void)KeCancelTimer(&kernel_timer);
    KeFlushQueuedDpcs();
    is_started = false;
}
