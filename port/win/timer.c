/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread serves every timer of the process. It is started by the first timer and never ends.
 * `lock` covers everything here; callbacks run without it.
 */
#include "port/win/internal.h"
#include "vck/list.h"

struct win_timer {
    struct vck_link link; /* in `armed`, or to itself */
    uint64_t deadline_ns;
    void (*expired)(void *context);
    void *context;
    bool is_ending; /* sets no longer arm: the callback that fini waits for may set it */
};
_Static_assert(sizeof(struct win_timer) <= sizeof(struct vck_timer), "fits the public storage");

static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
static SRWLOCK lock = SRWLOCK_INIT;
static CONDITION_VARIABLE earlier = CONDITION_VARIABLE_INIT;
static CONDITION_VARIABLE returned = CONDITION_VARIABLE_INIT;
static struct vck_link armed = {&armed, &armed}; /* by deadline */
static struct win_timer *running;

static struct win_timer *win_timer(struct vck_timer *timer)
{
    return (struct win_timer *)(void *)timer->opaque;
}

static struct win_timer *timer_of(struct vck_link *link)
{
    return VCK_CONTAINER_OF(link, struct win_timer, link);
}

/* Called and returns with the lock held. The callback may set the timer again, but not end it: it
 * runs at DISPATCH. */
static void run_expired(struct win_timer *t)
{
    struct thread_state *self = vck_win_thread_state();
    vck_link_remove(&t->link);
    running = t;
    ReleaseSRWLockExclusive(&lock);
    self->level = VCK_LEVEL_DISPATCH;
    t->expired(t->context);
    FATAL_UNLESS(self->level == VCK_LEVEL_DISPATCH, "a timer callback returns at its level");
    self->level = VCK_LEVEL_PASSIVE;
    AcquireSRWLockExclusive(&lock);
    running = NULL;
    WakeAllConditionVariable(&returned);
}

static DWORD WINAPI serve(void *unused)
{
    (void)unused;
    AcquireSRWLockExclusive(&lock);
    for (;;) {
        struct win_timer *first = vck_list_is_empty(&armed) ? NULL : timer_of(armed.next);
        if (first != NULL && first->deadline_ns <= vck_clock_ns())
            run_expired(first);
        else
            (void)SleepConditionVariableSRW(
                &earlier, &lock, vck_win_ms_until(first != NULL ? first->deadline_ns : VCK_FOREVER),
                0);
    }
    return 0;
}

static BOOL CALLBACK start(INIT_ONCE *unused, void *parameter, void **context)
{
    HANDLE thread = CreateThread(NULL, 0, serve, NULL, 0, NULL);
    (void)unused;
    (void)parameter;
    (void)context;
    FATAL_UNLESS(thread != NULL, "the timer thread starts");
    CloseHandle(thread);
    return TRUE;
}

void vck_timer_init(struct vck_timer *timer, void (*expired)(void *context), void *context)
{
    struct win_timer *t = win_timer(timer);
    vck_link_init(&t->link);
    t->deadline_ns = 0;
    t->expired = expired;
    t->context = context;
    t->is_ending = false;
    (void)InitOnceExecuteOnce(&once, start, NULL, NULL);
}

static void arm(struct win_timer *t, uint64_t deadline_ns)
{
    vck_link_remove(&t->link);
    t->deadline_ns = deadline_ns;
    /* From the back: deadlines mostly come in order. */
    struct vck_link *before = armed.prev;
    while (before != &armed && timer_of(before)->deadline_ns > deadline_ns)
        before = before->prev;
    vck_link_insert_between(&t->link, before, before->next);
    if (armed.next == &t->link)
        WakeConditionVariable(&earlier);
}

void vck_timer_set(struct vck_timer *timer, uint64_t deadline_ns)
{
    struct win_timer *t = win_timer(timer);
    AcquireSRWLockExclusive(&lock);
    if (!t->is_ending)
        arm(t, deadline_ns);
    ReleaseSRWLockExclusive(&lock);
}

void vck_timer_fini(struct vck_timer *timer)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    struct win_timer *t = win_timer(timer);
    AcquireSRWLockExclusive(&lock);
    t->is_ending = true;
    vck_link_remove(&t->link);
    while (running == t)
        (void)SleepConditionVariableSRW(&returned, &lock, INFINITE, 0);
    ReleaseSRWLockExclusive(&lock);
}
