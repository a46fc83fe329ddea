/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object_test: objects that write down their ends ("ca" a's cleanup, "da" a's destroy), log lines
 * kept, threads that wait for a sign. One test program at a time, one thread unless said.
 */
#ifndef VCK_OBJECT_OBJECT_TEST_H
#define VCK_OBJECT_OBJECT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "vck/log.h"
#include "vck/object.h"

#define TAG       VCK_TAG('t', 'e', 's', 't')
#define OTHER_TAG VCK_TAG('o', 't', 'h', 'r')

/* ---- what happened ---- */

static char events[512];
static struct vck_spinlock events_lock;

static inline void note(const char *what, const char *name)
{
    vck_spinlock_acquire(&events_lock);
    size_t used = strlen(events);
    snprintf(events + used, sizeof(events) - used, "%s%s ", what, name);
    vck_spinlock_release(&events_lock);
}

static inline void take_events(char seen[static sizeof(events)])
{
    vck_spinlock_acquire(&events_lock);
    memcpy(seen, events, sizeof(events));
    events[0] = '\0';
    vck_spinlock_release(&events_lock);
}

static inline void expect_events(const char *expected)
{
    char seen[sizeof(events)];
    take_events(seen);
    assert_string_equal(seen, expected);
}

/* One of the orders, of which the last is NULL. */
static inline void expect_events_any(const char *const *orders)
{
    char seen[sizeof(events)];
    take_events(seen);
    while (orders[1] != NULL && strcmp(seen, orders[0]) != 0)
        orders++;
    assert_string_equal(seen, orders[0]);
}

struct thing {
    const char *name;
};

static inline void thing_cleanup(void *context)
{
    assert_int_equal(vck_current_level(), VCK_LEVEL_PASSIVE);
    note("c", ((struct thing *)context)->name);
}

static inline void thing_destroy(void *context)
{
    assert_int_equal(vck_current_level(), VCK_LEVEL_PASSIVE);
    note("d", ((struct thing *)context)->name);
}

static const struct vck_object_type thing_type = {
    .name = "thing",
    .context_bytes = sizeof(struct thing),
    .cleanup = thing_cleanup,
    .destroy = thing_destroy,
};

static inline vck_status thing_init(struct vck_object *object, void *context, void *argument)
{
    (void)object;
    ((struct thing *)context)->name = argument;
    return VCK_OK;
}

/* The name as an argument of thing_init, which does not write to it. */
static inline void *named(const char *name)
{
    return (void *)(uintptr_t)name;
}

static inline struct vck_object *make(struct vck_object *parent, const char *name) VCK_CAN_WAIT
{
    struct vck_object *object = NULL;
    assert_int_equal(vck_object_create(&thing_type, parent, thing_init, named(name), &object),
                     VCK_OK);
    return object;
}

/* ---- the log ---- */

static char logged[8192];

static inline void keep_line(void *context, enum vck_log_level level, const char *line)
{
    (void)context;
    (void)level;
    vck_spinlock_acquire(&events_lock);
    size_t used = strlen(logged);
    snprintf(logged + used, sizeof(logged) - used, "%s\n", line);
    vck_spinlock_release(&events_lock);
}

static inline void forget_lines(void)
{
    vck_spinlock_acquire(&events_lock);
    logged[0] = '\0';
    vck_spinlock_release(&events_lock);
}

static inline bool is_logged(const char *text)
{
    vck_spinlock_acquire(&events_lock);
    bool is_found = strstr(logged, text) != NULL;
    vck_spinlock_release(&events_lock);
    return is_found;
}

/* ---- before and after each test ---- */

static size_t live_before;

static inline int setup(void **state)
{
    static const struct vck_log_sink sink = {.write = keep_line};
    (void)state;
    events[0] = '\0';
    logged[0] = '\0';
    vck_log_set_sink(&sink);
    live_before = vck_alloc_live_count();
    return 0;
}

static inline int teardown(void **state) VCK_CAN_WAIT
{
    (void)state;
    vck_defer_drain();
    return vck_alloc_live_count() == live_before ? 0 : -1;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* ---- other threads ---- */

struct helper {
    struct vck_object *object;
    struct vck_thread *thread;
    vck_status status;
    bool is_over;
};

static inline bool is_set(const bool *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static inline void set(bool *flag)
{
    __atomic_store_n(flag, true, __ATOMIC_RELEASE);
}

static inline void delete_for_helper(void *context)
{
    struct helper *helper = context;
    helper->status = vck_object_delete(helper->object);
    set(&helper->is_over);
}

static inline void start(struct helper *helper, struct vck_object *object,
                         void (*entry)(void *)) VCK_CAN_WAIT
{
    *helper = (struct helper){.object = object};
    assert_int_equal(vck_thread_create(entry, helper, VCK_THREAD_NORMAL, "helper", &helper->thread),
                     VCK_OK);
}

/* Long enough for a thread that wrongly does not wait to be seen; costs nothing but time when it
 * does. */
static inline void give_others_time(void) VCK_CAN_WAIT
{
    struct vck_event never;
    vck_event_init(&never);
    (void)vck_event_wait(&never, vck_clock_ns() + 20000000);
    vck_event_fini(&never);
}

#endif
