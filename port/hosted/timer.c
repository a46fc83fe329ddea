/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread serves every timer of the process. It is started by the first timer and never ends.
 * `lock` covers everything here; callbacks run without it.
 */
#include "port/hosted/system.h"
#include "vck/list.h"

struct hosted_timer {
    struct vck_link link; /* in `armed`, or to itself */
    uint64_t deadline_ns;
    void (*expired)(void *context);
    void *context;
    bool is_ending; /* sets no longer arm: the callback that fini waits for may set it */
};
_Static_assert(sizeof(struct hosted_timer) <= sizeof(struct vck_timer), "fits the public storage");

static struct system_once once = SYSTEM_ONCE_INIT;
static struct system_lock lock = SYSTEM_LOCK_INIT;
static struct system_condition earlier = SYSTEM_CONDITION_INIT;
static struct system_condition returned = SYSTEM_CONDITION_INIT;
static struct vck_link armed = {&armed, &armed}; /* by deadline */
static struct hosted_timer *running;

static struct hosted_timer *hosted_timer(struct vck_timer *timer)
{
    return (struct hosted_timer *)(void *)timer->opaque;
}

static struct hosted_timer *timer_of(struct vck_link *link)
{
    return VCK_CONTAINER_OF(link, struct hosted_timer, link);
}

/* Called and returns with the lock held. The callback may set the timer again, but not end it: it
 * runs at DISPATCH. */
static void run_expired(struct hosted_timer *t)
{
    struct thread_state *self = system_thread_state();
    vck_link_remove(&t->link);
    running = t;
    system_lock_release(&lock);
    self->level = VCK_LEVEL_DISPATCH;
    t->expired(t->context);
    FATAL_UNLESS(self->level == VCK_LEVEL_DISPATCH, "a timer callback returns at its level");
    self->level = VCK_LEVEL_PASSIVE;
    system_lock_take(&lock);
    running = NULL;
    system_condition_wake_all(&returned);
}

static SYSTEM_THREAD_RESULT serve(void *unused)
{
    (void)unused;
    system_thread_name("vck-timer");
    system_lock_take(&lock);
    for (;;) {
        struct hosted_timer *first = vck_list_is_empty(&armed) ? NULL : timer_of(armed.next);
        if (first != NULL && first->deadline_ns <= vck_clock_ns())
            run_expired(first);
        else
            system_condition_wait(&earlier, &lock,
                                  first != NULL ? first->deadline_ns : VCK_FOREVER);
    }
    return 0;
}

static void start(void)
{
    struct system_thread thread;
    FATAL_UNLESS(system_thread_start(serve, NULL, &thread), "the timer thread starts");
    system_thread_detach(&thread);
}

void vck_timer_init(struct vck_timer *timer, void (*expired)(void *context), void *context)
{
    struct hosted_timer *t = hosted_timer(timer);
    vck_link_init(&t->link);
    t->deadline_ns = 0;
    t->expired = expired;
    t->context = context;
    t->is_ending = false;
    system_once(&once, start);
}

static void arm(struct hosted_timer *t, uint64_t deadline_ns)
{
    vck_link_remove(&t->link);
    t->deadline_ns = deadline_ns;
    /* From the back: deadlines mostly come in order. */
    struct vck_link *before = armed.prev;
    while (before != &armed && timer_of(before)->deadline_ns > deadline_ns)
        before = before->prev;
    vck_link_insert_between(&t->link, before, before->next);
    if (armed.next == &t->link)
        system_condition_wake_one(&earlier);
}

void vck_timer_set(struct vck_timer *timer, uint64_t deadline_ns)
{
    struct hosted_timer *t = hosted_timer(timer);
    system_lock_take(&lock);
    if (!t->is_ending)
        arm(t, deadline_ns);
    system_lock_release(&lock);
}

void vck_timer_fini(struct vck_timer *timer)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    struct hosted_timer *t = hosted_timer(timer);
    system_lock_take(&lock);
    t->is_ending = true;
    vck_link_remove(&t->link);
    while (running == t)
        system_condition_wait(&returned, &lock, VCK_FOREVER);
    system_lock_release(&lock);
}
