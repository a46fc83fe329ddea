/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer_wheel: timers by deadline, as a hierarchical wheel. Each level has the slots for some bits
 * of the time; a slot spans what the bits below them count. Where a timer is follows from its
 * deadline and `elapsed_ns` alone: the level is that of the highest bit in which the two differ. So
 * all timers of one deadline are in one slot, in the order in which they came, and the lowest level
 * that is not empty holds the earliest ones.
 *
 * When the wheel comes to a slot, its timers move to the levels below. The level of a millisecond
 * has the most slots: timers up to a second ahead are then moved first when they are about to
 * expire, and stay in the cache until they do.
 *
 * Not locked. Any level.
 */
#ifndef VCK_TASK_TIMER_WHEEL_H
#define VCK_TASK_TIMER_WHEEL_H

#include "vck/timer.h"

/* Levels begin at bits 0, 6, 12, 20, 30, 38, 46, 54 and 60. */
#define TIMER_WHEEL_LEVELS 9u
#define TIMER_WHEEL_SLOTS  (64u + 64u + 256u + 1024u + 256u + 256u + 256u + 64u + 16u)
#define TIMER_WHEEL_WORDS  (1u + 1u + 4u + 16u + 4u + 4u + 4u + 1u + 1u)

struct timer_wheel {
    uint64_t elapsed_ns;                         /* nothing before this is waiting */
    uint32_t occupied_levels;                    /* a bit per level */
    uint32_t occupied_words[TIMER_WHEEL_LEVELS]; /* a bit per word of the level's */
    uint64_t occupied[TIMER_WHEEL_WORDS];        /* a bit per slot */
    struct vck_link slots[TIMER_WHEEL_SLOTS];
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns);
/* By timer->deadline_ns; one that is in the past comes next. */
void timer_wheel_insert(struct timer_wheel *wheel, struct vck_task_timer *timer);
/* The timer is in the wheel. */
void timer_wheel_remove(struct timer_wheel *wheel, struct vck_task_timer *timer);
/* The earliest timer that is due at now_ns, taken out; NULL when none is. now_ns does not go back.
 */
struct vck_task_timer *timer_wheel_pop(struct timer_wheel *wheel, uint64_t now_ns);
/* When to look again: the earliest deadline, or, where many timers are close together, some time
 * before it. VCK_FOREVER when the wheel is empty. */
uint64_t timer_wheel_next_ns(const struct timer_wheel *wheel);
bool timer_wheel_is_empty(const struct timer_wheel *wheel);

#endif
