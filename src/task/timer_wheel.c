/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source: G. Varghese, T. Lauck, "Hashed and Hierarchical Timing Wheels", 1987.
 */
#include "timer_wheel.h"

struct level {
    uint8_t first_bit;
    uint8_t bits;
    uint8_t first_word; /* of its slots in `occupied`; its first slot is 64 times that */
};

static const struct level levels[TIMER_WHEEL_LEVELS] = {
    {0, 6, 0},   {6, 6, 1},   {12, 8, 2},  {20, 10, 6}, {30, 8, 22},
    {38, 8, 26}, {46, 8, 30}, {54, 6, 34}, {60, 4, 35},
};

/* The level of each bit of the time. */
static const uint8_t level_of_bit[64] = {
    0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4,
    4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 8, 8, 8, 8,
};

/* How many timers of a slot are looked at to find the earliest. */
#define SCAN_LIMIT 16u

/* ---- which slots have timers ---- */

static unsigned first_slot(unsigned level)
{
    return levels[level].first_word * 64u;
}

/* A slot by its number in its level. */
static struct vck_link *head_of(struct timer_wheel *wheel, unsigned level, unsigned slot)
{
    return &wheel->slots[first_slot(level) + slot];
}

static void mark(struct timer_wheel *wheel, unsigned level, unsigned slot)
{
    wheel->occupied[levels[level].first_word + slot / 64] |= (uint64_t)1 << slot % 64;
    wheel->occupied_words[level] |= 1u << slot / 64;
    wheel->occupied_levels |= 1u << level;
}

static void unmark(struct timer_wheel *wheel, unsigned level, unsigned slot)
{
    uint64_t *word = &wheel->occupied[levels[level].first_word + slot / 64];

    *word &= ~((uint64_t)1 << slot % 64);
    if (*word == 0)
        wheel->occupied_words[level] &= ~(1u << slot / 64);
    if (wheel->occupied_words[level] == 0)
        wheel->occupied_levels &= ~(1u << level);
}

/* The earliest slot that is not empty; false when there is none. */
static bool find_first(const struct timer_wheel *wheel, unsigned *ret_level, unsigned *ret_slot)
{
    unsigned level;
    unsigned word;

    if (wheel->occupied_levels == 0)
        return false;
    level = (unsigned)__builtin_ctz(wheel->occupied_levels);
    word = (unsigned)__builtin_ctz(wheel->occupied_words[level]);
    *ret_level = level;
    *ret_slot =
        word * 64 + (unsigned)__builtin_ctzll(wheel->occupied[levels[level].first_word + word]);
    return true;
}

/* ---- timers ---- */

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns)
{
    memset(wheel, 0, sizeof(*wheel));
    wheel->elapsed_ns = now_ns;
    for (unsigned slot = 0; slot < TIMER_WHEEL_SLOTS; slot++)
        vck_link_init(&wheel->slots[slot]);
}

static struct vck_task_timer *timer_of(struct vck_link *link)
{
    return VCK_CONTAINER_OF(link, struct vck_task_timer, link);
}

void timer_wheel_insert(struct timer_wheel *wheel, struct vck_task_timer *timer)
{
    uint64_t when_ns = VCK_MAX(timer->deadline_ns, wheel->elapsed_ns);
    uint64_t differs = when_ns ^ wheel->elapsed_ns;
    unsigned level = level_of_bit[63 - __builtin_clzll(differs | 1)];
    unsigned slot =
        (unsigned)(when_ns >> levels[level].first_bit) & ((1u << levels[level].bits) - 1);

    timer->level = (uint8_t)level;
    timer->slot = (uint16_t)slot;
    mark(wheel, level, slot);
    vck_list_push_back(head_of(wheel, level, slot), &timer->link);
}

void timer_wheel_remove(struct timer_wheel *wheel, struct vck_task_timer *timer)
{
    vck_link_remove(&timer->link);
    if (vck_list_is_empty(head_of(wheel, timer->level, timer->slot)))
        unmark(wheel, timer->level, timer->slot);
}

/* Where a slot begins: elapsed_ns with the bits of its level set to it and those below cleared. */
static uint64_t slot_start_ns(const struct timer_wheel *wheel, unsigned level, unsigned slot)
{
    unsigned shift = levels[level].first_bit;
    unsigned above = shift + levels[level].bits;
    uint64_t high = above < 64 ? wheel->elapsed_ns >> above << above : 0;

    return high | (uint64_t)slot << shift;
}

/* The wheel has come to this slot: its timers belong to the levels below. */
static void cascade(struct timer_wheel *wheel, unsigned level, unsigned slot)
{
    struct vck_link *head = head_of(wheel, level, slot);
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
        struct vck_link *head = head_of(wheel, level, slot);
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
    const struct vck_link *head;

    if (!find_first(wheel, &level, &slot))
        return VCK_FOREVER;
    if (level == 0)
        return slot_start_ns(wheel, level, slot);
    head = &wheel->slots[first_slot(level) + slot];
    for (struct vck_link *link = head->next; link != head; link = link->next) {
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
