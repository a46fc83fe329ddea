/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer_wheel: timers by deadline, as a hierarchical wheel of 256 slots per level. A slot of level
 * n spans 256^n ns. Where a timer is follows from its deadline and `elapsed_ns` alone: the level is
 * that of the highest bit in which the two differ. So all timers of one deadline are in one slot,
 * in the order in which they came, and the lowest level that is not empty holds the earliest ones.
 *
 * Not locked. Any level.
 */
#ifndef VCK_TASK_TIMER_WHEEL_H
#define VCK_TASK_TIMER_WHEEL_H

#include "vck/timer.h"

#define TIMER_WHEEL_LEVELS 8u /* of 8 bits: all of 64 */
#define TIMER_WHEEL_SLOTS  256u
#define TIMER_WHEEL_WORDS  (TIMER_WHEEL_SLOTS / 64u)

struct timer_wheel {
    uint64_t elapsed_ns;                                      /* nothing before this is waiting */
    uint64_t occupied[TIMER_WHEEL_LEVELS][TIMER_WHEEL_WORDS]; /* a bit per slot */
    uint32_t occupied_levels;
    struct vck_link slots[TIMER_WHEEL_LEVELS][TIMER_WHEEL_SLOTS];
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
