/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source: G. Varghese, T. Lauck, "Hashed and Hierarchical Timing Wheels", 1987.
 */
#include "timer_wheel.h"

#define LEVEL_BITS 8u
#define SLOT_MASK  (TIMER_WHEEL_SLOTS - 1u)
/* How many timers of a slot are looked at to find the earliest. */
#define SCAN_LIMIT 16u

/* ---- which slots have timers ---- */

static void mark(struct timer_wheel *wheel, unsigned level, unsigned slot)
{
    wheel->occupied[level][slot / 64] |= (uint64_t)1 << slot % 64;
    wheel->occupied_levels |= 1u << level;
}

static void unmark(struct timer_wheel *wheel, unsigned level, unsigned slot)
{
    uint64_t any = 0;

    wheel->occupied[level][slot / 64] &= ~((uint64_t)1 << slot % 64);
    for (unsigned word = 0; word < TIMER_WHEEL_WORDS; word++)
        any |= wheel->occupied[level][word];
    if (any == 0)
        wheel->occupied_levels &= ~(1u << level);
}

/* The earliest slot that is not empty; false when there is none. */
static bool find_first(const struct timer_wheel *wheel, unsigned *ret_level, unsigned *ret_slot)
{
    unsigned level;
    unsigned word = 0;

    if (wheel->occupied_levels == 0)
        return false;
    level = (unsigned)__builtin_ctz(wheel->occupied_levels);
    while (wheel->occupied[level][word] == 0)
        word++;
    *ret_level = level;
    *ret_slot = word * 64 + (unsigned)__builtin_ctzll(wheel->occupied[level][word]);
    return true;
}

/* ---- timers ---- */

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns)
{
    memset(wheel, 0, sizeof(*wheel));
    wheel->elapsed_ns = now_ns;
    for (unsigned level = 0; level < TIMER_WHEEL_LEVELS; level++) {
        for (unsigned slot = 0; slot < TIMER_WHEEL_SLOTS; slot++)
            vck_link_init(&wheel->slots[level][slot]);
    }
}

static struct vck_task_timer *timer_of(struct vck_link *link)
{
    return VCK_CONTAINER_OF(link, struct vck_task_timer, link);
}

void timer_wheel_insert(struct timer_wheel *wheel, struct vck_task_timer *timer)
{
    uint64_t when_ns = VCK_MAX(timer->deadline_ns, wheel->elapsed_ns);
    uint64_t differs = when_ns ^ wheel->elapsed_ns;
    unsigned level = differs ? (63u - (unsigned)__builtin_clzll(differs)) / LEVEL_BITS : 0;
    unsigned slot = (unsigned)(when_ns >> (level * LEVEL_BITS)) & SLOT_MASK;

    timer->level = (uint8_t)level;
    timer->slot = (uint8_t)slot;
    mark(wheel, level, slot);
    vck_list_push_back(&wheel->slots[level][slot], &timer->link);
}

void timer_wheel_remove(struct timer_wheel *wheel, struct vck_task_timer *timer)
{
    vck_link_remove(&timer->link);
    if (vck_list_is_empty(&wheel->slots[timer->level][timer->slot]))
        unmark(wheel, timer->level, timer->slot);
}

/* Where a slot begins: elapsed_ns with the bits of its level set to it and those below cleared. */
static uint64_t slot_start_ns(const struct timer_wheel *wheel, unsigned level, unsigned slot)
{
    unsigned shift = level * LEVEL_BITS;
    unsigned above = shift + LEVEL_BITS;
    uint64_t high = above < 64 ? wheel->elapsed_ns >> above << above : 0;

    return high | (uint64_t)slot << shift;
}

/* The wheel has come to this slot: its timers belong to the levels below. */
static void cascade(struct timer_wheel *wheel, unsigned level, unsigned slot)
{
    struct vck_link *head = &wheel->slots[level][slot];
    struct vck_link *link = head->next;

    unmark(wheel, level, slot);
    vck_link_init(head);
    while (link != head) {
        struct vck_link *next = link->next;

        timer_wheel_insert(wheel, timer_of(link));
        link = next;
    }
}

struct vck_task_timer *timer_wheel_pop(struct timer_wheel *wheel, uint64_t now_ns)
{
    unsigned level;
    unsigned slot;

    while (find_first(wheel, &level, &slot)) {
        struct vck_link *head = &wheel->slots[level][slot];
        struct vck_task_timer *first = timer_of(head->next);
        uint64_t start_ns = slot_start_ns(wheel, level, slot);
        bool is_alone = head->next == head->prev;

        if (start_ns > now_ns)
            break;
        if (level == 0 || (is_alone && first->deadline_ns <= now_ns)) {
            wheel->elapsed_ns =
                VCK_MAX(wheel->elapsed_ns, is_alone ? first->deadline_ns : start_ns);
            timer_wheel_remove(wheel, first);
            return first;
        }
        wheel->elapsed_ns = start_ns;
        cascade(wheel, level, slot);
    }
    wheel->elapsed_ns = VCK_MAX(wheel->elapsed_ns, now_ns);
    return NULL;
}

uint64_t timer_wheel_next_ns(const struct timer_wheel *wheel)
{
    unsigned level;
    unsigned slot;
    unsigned scanned = 0;
    uint64_t earliest_ns = VCK_FOREVER;

    if (!find_first(wheel, &level, &slot))
        return VCK_FOREVER;
    if (level == 0)
        return slot_start_ns(wheel, level, slot);
    VCK_LIST_FOR_EACH(link, next, &wheel->slots[level][slot])
    {
        if (++scanned > SCAN_LIMIT)
            return slot_start_ns(wheel, level, slot);
        earliest_ns = VCK_MIN(earliest_ns, timer_of(link)->deadline_ns);
    }
    return earliest_ns;
}

bool timer_wheel_is_empty(const struct timer_wheel *wheel)
{
    return wheel->occupied_levels == 0;
}
