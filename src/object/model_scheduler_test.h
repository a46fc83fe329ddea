/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_scheduler_test: virtual threads of one real one, and every schedule of them up to a number
 * of preemptions. A run is the list of choices made at its points; the next run repeats it up to
 * the last choice that has an alternative left, and takes that.
 */
#ifndef VCK_OBJECT_MODEL_SCHEDULER_TEST_H
#define VCK_OBJECT_MODEL_SCHEDULER_TEST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include "model_port_test.h"

#if defined(__SANITIZE_ADDRESS__)
#define MODEL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MODEL_ASAN 1
#endif
#endif
#if !defined(MODEL_ASAN)
#define MODEL_ASAN 0
#endif
#if MODEL_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define FIBERS_MAX  5
#define CHOICES_MAX 4096
#define STACK_BYTES (256 * 1024)

enum fiber_state {
    FIBER_READY,
    FIBER_OVER,
};

struct fiber {
    ucontext_t context;
    void *stack;
    void *fake_stack;
    void (*run)(void *argument);
    void *argument;
    enum fiber_state state;
    vck_level level;
    const uint32_t *needs_zero; /* blocked while this is not 0 */
    const bool *needs_true;     /* blocked while this is false */
};

struct choice {
    uint8_t taken;
    uint8_t count;
};

static struct fiber fibers[FIBERS_MAX];
static unsigned fiber_count;
static int current = -1; /* -1: the test itself, nothing is scheduled */
static struct fiber outside;

static struct choice choices[CHOICES_MAX];
static unsigned choices_made;
static unsigned choices_kept; /* from the run before */
static unsigned preemptions;
static unsigned preemptions_max;
static uint64_t schedule_count;
static uint64_t point_count;

/* ---- the queue of deferred work, served by the last fiber ---- */

static struct vck_work *work_first;
static struct vck_work **work_end = &work_first;
static bool has_work;
static bool is_work_idle = true;

/* ---- switching ---- */

static struct fiber *fiber_at(int index)
{
    return index < 0 ? &outside : &fibers[index];
}

static void switched(struct fiber *to)
{
#if MODEL_ASAN
    __sanitizer_finish_switch_fiber(to->fake_stack, NULL, NULL);
#else
    (void)to;
#endif
}

#if MODEL_ASAN
/* Of the calling thread, which is the real one. */
static void find_stack(const void **ret_bottom, size_t *ret_size_bytes)
{
    pthread_attr_t attributes;
    void *bottom = NULL;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    pthread_attr_getstack(&attributes, &bottom, ret_size_bytes);
    pthread_attr_destroy(&attributes);
    *ret_bottom = bottom;
}
#endif

static void switch_to(int index)
{
    struct fiber *from = fiber_at(current);
    struct fiber *to = fiber_at(index);
#if MODEL_ASAN
    static const void *outside_bottom;
    static size_t outside_bytes;
    if (outside_bytes == 0)
        find_stack(&outside_bottom, &outside_bytes);
    /* A fiber that is over does not come back. */
    __sanitizer_start_switch_fiber(from->state == FIBER_OVER ? NULL : &from->fake_stack,
                                   index < 0 ? outside_bottom : to->stack,
                                   index < 0 ? outside_bytes : STACK_BYTES);
#endif
    current = index;
    swapcontext(&from->context, &to->context);
    switched(from);
}

VCK_COLD static void model_failed(const char *what)
{
    fprintf(stderr, "%s; schedule:", what);
    for (unsigned i = 0; i < choices_made; i++)
        fprintf(stderr, " %u/%u", choices[i].taken, choices[i].count);
    fprintf(stderr, "\n");
    abort();
}

#define MODEL_CHECK(cond) ((cond) ? (void)0 : model_failed("not so: " #cond))

/* ---- choosing ---- */

static bool is_enabled(const struct fiber *fiber)
{
    return fiber->state != FIBER_OVER && (fiber->needs_zero == NULL || *fiber->needs_zero == 0) &&
           (fiber->needs_true == NULL || *fiber->needs_true);
}

/* Who may go on, the current one first; only it when no preemption is left. */
static unsigned candidates(int found[FIBERS_MAX])
{
    unsigned count = 0;
    bool is_current_enabled = current >= 0 && is_enabled(&fibers[current]);
    if (is_current_enabled)
        found[count++] = current;
    if (is_current_enabled && preemptions == preemptions_max)
        return count;
    for (unsigned i = 0; i < fiber_count; i++) {
        if ((int)i != current && is_enabled(&fibers[i]))
            found[count++] = (int)i;
    }
    return count;
}

static int choose(void)
{
    int found[FIBERS_MAX];
    unsigned count = candidates(found);
    unsigned taken = 0;
    if (count == 0)
        return -1;
    if (count > 1) {
        MODEL_CHECK(choices_made < CHOICES_MAX);
        struct choice *choice = &choices[choices_made];
        if (choices_made >= choices_kept)
            *choice = (struct choice){.count = (uint8_t)count};
        MODEL_CHECK(choice->count == count);
        taken = choice->taken;
        choices_made++;
    }
    if (taken > 0 && found[0] == current)
        preemptions++;
    return found[taken];
}

static void reschedule(void)
{
    point_count++;
    int next = choose();
    if (next != current)
        switch_to(next);
}

/* Moves on to the next run; false when there is none. */
static bool next_schedule(void)
{
    while (choices_made > 0 &&
           choices[choices_made - 1].taken + 1 == choices[choices_made - 1].count)
        choices_made--;
    if (choices_made == 0)
        return false;
    choices[choices_made - 1].taken++;
    choices_kept = choices_made;
    return true;
}

/* ---- what the sources of the room call ---- */

static const struct vck_spinlock *quiet_lock; /* no point: what it covers is each thread's own */

void model_point(void)
{
    if (current >= 0)
        reschedule();
}

void model_acquire(struct vck_spinlock *lock) VCK_NO_ANALYSIS
{
    if (current >= 0 && lock != quiet_lock) {
        fibers[current].needs_zero = &lock->word;
        reschedule();
        fibers[current].needs_zero = NULL;
    }
    MODEL_CHECK(lock->word == 0);
    lock->word = 1;
}

void model_release(struct vck_spinlock *lock) VCK_NO_ANALYSIS
{
    MODEL_CHECK(lock->word == 1);
    lock->word = 0;
}

static bool *event_flag(struct vck_event *event)
{
    return (bool *)(void *)event->opaque;
}

void model_event_init(struct vck_event *event)
{
    *event_flag(event) = false;
}

void model_event_set(struct vck_event *event)
{
    model_point();
    *event_flag(event) = true;
    model_point();
}

vck_status model_event_wait(struct vck_event *event)
{
    bool *flag = event_flag(event);
    if (current >= 0) {
        MODEL_CHECK(fibers[current].level == VCK_LEVEL_PASSIVE);
        fibers[current].needs_true = flag;
        reschedule();
        fibers[current].needs_true = NULL;
    }
    MODEL_CHECK(*flag);
    *flag = false;
    return VCK_OK;
}

void model_defer(struct vck_work *work, void (*run)(struct vck_work *work))
{
    model_point();
    work->next = NULL;
    work->run = run;
    *work_end = work;
    work_end = &work->next;
    has_work = true;
    is_work_idle = false;
}

static void run_first_work(void)
{
    struct vck_work *work = work_first;
    work_first = work->next;
    if (work_first == NULL)
        work_end = &work_first;
    has_work = work_first != NULL;
    work->run(work);
    is_work_idle = work_first == NULL;
}

void model_defer_drain(void)
{
    if (current < 0) {
        while (has_work)
            run_first_work();
        return;
    }
    fibers[current].needs_true = &is_work_idle;
    reschedule();
    fibers[current].needs_true = NULL;
}

uint32_t model_thread_id(void)
{
    return (uint32_t)(current + 2);
}

vck_level model_current_level(void)
{
    return fiber_at(current)->level;
}

/* ---- runs ---- */

static unsigned left_running; /* without the worker */

static void worker(void *unused)
{
    (void)unused;
    for (;;) {
        fibers[current].needs_true = &has_work;
        reschedule();
        fibers[current].needs_true = NULL;
        run_first_work();
    }
}

static void fiber_main(void)
{
    struct fiber *self = &fibers[current];
    switched(self);
    self->run(self->argument);
    self->state = FIBER_OVER;
    left_running--;
    switch_to(choose());
}

static void add_fiber(void (*run)(void *argument), void *argument)
{
    struct fiber *fiber = &fibers[fiber_count++];
    void *stack = fiber->stack ? fiber->stack : malloc(STACK_BYTES);
    MODEL_CHECK(stack != NULL);
    *fiber = (struct fiber){.stack = stack, .run = run, .argument = argument};
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stack;
    fiber->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&fiber->context, fiber_main, 0);
}

/* One schedule: begin, add the threads, run. */
static void begin_run(void)
{
    fiber_count = 0;
    choices_made = 0;
    preemptions = 0;
    is_work_idle = true;
}

static void run_fibers(void)
{
    left_running = fiber_count;
    add_fiber(worker, NULL);
    fibers[fiber_count - 1].needs_true = &has_work;
    switch_to(choose());
    if (left_running > 0)
        model_failed("nobody can go on");
    MODEL_CHECK(!has_work);
    schedule_count++;
}

#endif
