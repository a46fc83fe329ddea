/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One futex word holds everything: bit 0 says that the event is set, the bits above count sleepers.
 * A set is thus a single atomic operation after which it touches the event no more; the wake-up
 * that may follow names an address only, which the kernel does not read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "port/posix/internal.h"

#define IS_SET  1u
#define SLEEPER 2u

struct posix_event {
    uint32_t word;
};
_Static_assert(sizeof(struct posix_event) <= sizeof(struct vck_event), "fits the public storage");

static uint32_t *event_word(struct vck_event *event)
{
    return &((struct posix_event *)(void *)event->opaque)->word;
}

void vck_event_init(struct vck_event *event)
{
    __atomic_store_n(event_word(event), 0, __ATOMIC_RELAXED);
}

void vck_event_fini(struct vck_event *event)
{
    FATAL_UNLESS(__atomic_load_n(event_word(event), __ATOMIC_RELAXED) < SLEEPER,
                 "nobody waits for an event that is finished");
}

void vck_event_set(struct vck_event *event)
{
    uint32_t *word = event_word(event);
    uint32_t before = __atomic_fetch_or(word, IS_SET, __ATOMIC_RELEASE);
    if ((before & IS_SET) == 0 && before >= SLEEPER)
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Takes the set, if there is one, and `sleepers` (0 or SLEEPER) off the count with it. */
static bool try_consume(uint32_t *word, uint32_t sleepers)
{
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (seen & IS_SET) {
        uint32_t after = (seen & ~IS_SET) - sleepers;
        if (__atomic_compare_exchange_n(word, &seen, after, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

/* Takes the caller off the count; true when that found the event set and consumed it. */
static bool give_up(uint32_t *word)
{
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(word, &seen, (seen & ~IS_SET) - SLEEPER, true,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        continue;
    return (seen & IS_SET) != 0;
}

/* Sleeps while the word is `seen`; false when the deadline has passed. */
static bool sleep_on(uint32_t *word, uint32_t seen, uint64_t deadline_ns)
{
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                                .tv_nsec = (long)(deadline_ns % 1000000000)};
    long result =
        syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, seen,
                deadline_ns == VCK_FOREVER ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY);
    return result == 0 || errno != ETIMEDOUT;
}

vck_status vck_event_wait(struct vck_event *event, uint64_t deadline_ns)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    uint32_t *word = event_word(event);
    if (try_consume(word, 0))
        return VCK_OK;
    uint32_t seen = __atomic_add_fetch(word, SLEEPER, __ATOMIC_RELAXED);
    while (!try_consume(word, SLEEPER)) {
        seen = __atomic_load_n(word, __ATOMIC_RELAXED);
        if ((seen & IS_SET) == 0 && !sleep_on(word, seen, deadline_ns))
            return give_up(word) ? VCK_OK : VCK_TIMEOUT;
    }
    return VCK_OK;
}
