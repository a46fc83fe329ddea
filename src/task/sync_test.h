/* SPDX-License-Identifier: Apache-2.0 */
/* A waker that counts, for tests that poll by hand. */
#ifndef VCK_SYNC_TEST_H
#define VCK_SYNC_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "vck/future.h"

struct wakes {
    int woken; /* since the last look */
    int live;  /* clones not dropped */
};

static inline struct vck_waker wakes_clone(void *data);

static inline void wakes_wake(void *data)
{
    struct wakes *wakes = data;
    __atomic_fetch_add(&wakes->woken, 1, __ATOMIC_RELAXED);
}

static inline void wakes_drop(void *data)
{
    struct wakes *wakes = data;
    __atomic_fetch_sub(&wakes->live, 1, __ATOMIC_RELEASE);
}

static const struct vck_waker_ops wakes_ops = {
    .clone = wakes_clone,
    .wake = wakes_wake,
    .drop = wakes_drop,
};

static inline struct vck_waker wakes_clone(void *data)
{
    struct wakes *wakes = data;
    __atomic_fetch_add(&wakes->live, 1, __ATOMIC_RELAXED);
    return (struct vck_waker){.ops = &wakes_ops, .data = wakes};
}

static inline enum vck_poll poll_with(struct vck_future *future, struct wakes *wakes)
{
    struct vck_waker waker = {.ops = &wakes_ops, .data = wakes};
    return vck_future_poll(future, &waker);
}

static inline int woken(struct wakes *wakes)
{
    int count = wakes->woken;
    wakes->woken = 0;
    return count;
}

#define assert_pending(future, wakes) assert_int_equal(poll_with((future), (wakes)), VCK_PENDING)
#define assert_ready(future, wakes)   assert_int_equal(poll_with((future), (wakes)), VCK_READY)

/* How long a stress test runs: VCK_STRESS_SECONDS, 1 unless set. */
static inline uint64_t stress_ns(void)
{
    const char *seconds = getenv("VCK_STRESS_SECONDS");
    return (seconds ? strtoull(seconds, NULL, 10) : 1) * 1000000000u;
}

#endif
