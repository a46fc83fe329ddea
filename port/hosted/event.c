/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One word holds everything: whether the event is set, whether it stays set, how many sleep
 * and, for an event that stays set, how often it was, so that a sleeper notices a set that was
 * taken back before it ran. A set is thus a single atomic operation after which it touches the
 * event no more; the wake-up that may follow names an address only, which the system does not read.
 */
#include "port/hosted/system.h"

#define IS_SET        1u
#define IS_MANUAL     2u
#define SLEEPER       4u /* the unit of an 18-bit count */
#define SLEEPERS_MASK 0xffffcu
#define SET_COUNT     0x100000u /* the unit of a 12-bit count */

struct hosted_event {
    uint32_t word;
};
_Static_assert(sizeof(struct hosted_event) <= sizeof(struct vck_event), "fits the public storage");

static uint32_t *event_word(struct vck_event *event)
{
    return &((struct hosted_event *)(void *)event->opaque)->word;
}

void vck_event_init(struct vck_event *event)
{
    __atomic_store_n(event_word(event), 0, __ATOMIC_RELAXED);
}

void vck_event_init_manual(struct vck_event *event)
{
    __atomic_store_n(event_word(event), IS_MANUAL, __ATOMIC_RELAXED);
}

void vck_event_fini(struct vck_event *event)
{
    FATAL_UNLESS((__atomic_load_n(event_word(event), __ATOMIC_RELAXED) & SLEEPERS_MASK) == 0,
                 "nobody waits for an event that is finished");
}

/* Sets the word's bit, and counts that for a manual event; returns the word before. */
static uint32_t set_word(uint32_t *word)
{
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    if ((seen & IS_MANUAL) == 0)
        return __atomic_fetch_or(word, IS_SET, __ATOMIC_RELEASE);
    while (!__atomic_compare_exchange_n(word, &seen, (seen + SET_COUNT) | IS_SET, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        continue;
    return seen;
}

void vck_event_set(struct vck_event *event)
{
    uint32_t *word = event_word(event);
    uint32_t before = set_word(word);
    if ((before & IS_SET) == 0 && (before & SLEEPERS_MASK) != 0)
        system_word_wake(word, (before & IS_MANUAL) != 0);
}

void vck_event_reset(struct vck_event *event)
{
    __atomic_fetch_and(event_word(event), ~IS_SET, __ATOMIC_RELAXED);
}

/* Whether the word, when the caller began to wait at `since`, lets it pass. */
static bool lets_pass(uint32_t seen, uint32_t since)
{
    return (seen & IS_SET) != 0 || (seen & ~(SET_COUNT - 1)) != (since & ~(SET_COUNT - 1));
}

/* The word once the caller has passed. */
static uint32_t consumed(uint32_t seen)
{
    return seen & IS_MANUAL ? seen : seen & ~IS_SET;
}

/* Passes if the word allows it, taking `sleepers` (0 or SLEEPER) off the count with that. */
static bool try_consume(uint32_t *word, uint32_t since, uint32_t sleepers)
{
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (lets_pass(seen, since)) {
        if (__atomic_compare_exchange_n(word, &seen, consumed(seen) - sleepers, true,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

/* Takes the caller off the count; true when it could pass after all. */
static bool give_up(uint32_t *word, uint32_t since)
{
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(word, &seen, consumed(seen) - SLEEPER, true,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        continue;
    return lets_pass(seen, since);
}

vck_status vck_event_wait_at(struct vck_event *event, uint64_t deadline_ns, const char *site)
{
    vck_level_check_at(VCK_LEVEL_APC, site);
    uint32_t *word = event_word(event);
    uint32_t since = __atomic_load_n(word, __ATOMIC_RELAXED);
    if (try_consume(word, since, 0))
        return VCK_OK;
    __atomic_add_fetch(word, SLEEPER, __ATOMIC_RELAXED);
    while (!try_consume(word, since, SLEEPER)) {
        uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
        if (!lets_pass(seen, since) && !system_word_sleep(word, seen, deadline_ns))
            return give_up(word, since) ? VCK_OK : VCK_TIMEOUT;
    }
    return VCK_OK;
}
