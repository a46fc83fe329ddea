/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything shared is read and written with single atomic operations. New edges are made by one
 * thread at a time; one that finds another at it leaves its edge for the next time, because waiting
 * here, at any level and below every lock, could not be made safe.
 */
#include "vck/lock_check.h"
#include <string.h>
#include "port/port.h"
#include "vck/bytes.h"
#include "vck/log.h"

#define SITE_COUNT        4096u /* a power of two */
#define PROBES_MAX        64u
#define CLASS_UNCHECKED   255u
#define CLASS_COUNT       256u
#define REPORT_SIZE_BYTES 1024

static const char *sites[SITE_COUNT];     /* by number, the first is not used */
static uint8_t class_of_site[SITE_COUNT]; /* 0: none yet */
static uint16_t site_of_class[CLASS_COUNT];
static uint32_t last_class;

/* edges[outer][inner]: the sites where both were taken, outer << 16 | inner; 0 for no edge. */
static uint32_t edges[CLASS_COUNT][CLASS_COUNT];
static bool is_adding;

/* ---- sites and classes ---- */

uint16_t vck_lock_site_number(const char *site)
{
    uint32_t at = (uint32_t)(((uintptr_t)site * UINT64_C(0x9e3779b97f4a7c15)) >> 40);
    if (site == NULL)
        return 0;
    for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
        uint32_t number = (at + probe) % SITE_COUNT;
        const char *seen = __atomic_load_n(&sites[number], __ATOMIC_RELAXED);
        if (number == 0)
            continue;
        if (seen == NULL && __atomic_compare_exchange_n(&sites[number], &seen, site, false,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return (uint16_t)number;
        if (seen == site)
            return (uint16_t)number;
    }
    return 0;
}

const char *vck_lock_site_of_number(uint16_t number)
{
    return number < SITE_COUNT ? __atomic_load_n(&sites[number], __ATOMIC_RELAXED) : NULL;
}

static uint8_t new_class(void)
{
    uint32_t seen = __atomic_load_n(&last_class, __ATOMIC_RELAXED);
    while (seen < CLASS_UNCHECKED - 1) {
        if (__atomic_compare_exchange_n(&last_class, &seen, seen + 1, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return (uint8_t)(seen + 1);
    }
    return CLASS_UNCHECKED;
}

uint8_t vck_lock_class_of_site(const char *site)
{
    uint16_t number = vck_lock_site_number(site);
    uint8_t known = __atomic_load_n(&class_of_site[number], __ATOMIC_RELAXED);
    if (number == 0)
        return CLASS_UNCHECKED;
    if (known != 0)
        return known;
    uint8_t made = new_class();
    __atomic_store_n(&site_of_class[made], number, __ATOMIC_RELAXED);
    if (__atomic_compare_exchange_n(&class_of_site[number], &known, made, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        return made;
    return known;
}

/* ---- reports ---- */

/* Too large for a kernel's stack. Whoever uses it stops the program; should two do so at once, one
 * of the texts is lost. */
static char report[REPORT_SIZE_BYTES];

static const char *site_text(const char *site)
{
    return site != NULL ? site : "a place unknown";
}

static const char *number_text(uint32_t number)
{
    return site_text(vck_lock_site_of_number((uint16_t)number));
}

static const char *class_text(uint8_t lock_class)
{
    return number_text(__atomic_load_n(&site_of_class[lock_class], __ATOMIC_RELAXED));
}

void vck_lock_misused(const char *what, const char *site, const char *taken_site)
{
    vck_format(report, sizeof(report), "%s: at %s, taken at %s", what, site_text(site),
               taken_site != NULL ? taken_site : "no place");
    vck_assert_failed(report, __FILE__, __LINE__);
}

/* The new edge outer -> inner, and the path inner -> ... -> outer, of which next[] has the steps.
 */
__attribute__((noreturn)) static void report_inversion(const struct vck_held_lock *outer,
                                                       uint8_t inner, const char *site,
                                                       const uint8_t next[CLASS_COUNT])
{
    size_t used =
        vck_format(report, sizeof(report), "locks are taken in one order: now %s then %s; before",
                   site_text(outer->site), site_text(site));
    for (uint8_t from = inner; from != outer->lock_class; from = next[from]) {
        uint32_t edge = __atomic_load_n(&edges[from][next[from]], __ATOMIC_RELAXED);
        used += vck_format(report + used, sizeof(report) - used, "%s %s then %s",
                           from == inner ? "" : " and", number_text(edge >> 16),
                           number_text(edge & 0xffff));
    }
    vck_format(report + used, sizeof(report) - used, "; the locks are initialised at %s and %s",
               class_text(outer->lock_class), class_text(inner));
    vck_assert_failed(report, __FILE__, __LINE__);
}

/* ---- the graph ---- */

/* Whether edges lead from `from` to `to`. Searches backwards, so that next[] holds the way on. */
static bool find_path(uint8_t from, uint8_t to, uint8_t next[CLASS_COUNT])
{
    uint8_t reached[CLASS_COUNT];
    uint32_t count = 1;
    uint32_t classes = __atomic_load_n(&last_class, __ATOMIC_RELAXED);
    memset(next, 0, CLASS_COUNT);
    reached[0] = to;
    for (uint32_t done = 0; done < count; done++) {
        for (uint32_t before = 1; before <= classes; before++) {
            if (next[before] != 0 || before == to ||
                __atomic_load_n(&edges[before][reached[done]], __ATOMIC_RELAXED) == 0)
                continue;
            next[before] = reached[done];
            if (before == from)
                return true;
            reached[count++] = (uint8_t)before;
        }
    }
    return false;
}

static void add_edge(const struct vck_held_lock *outer, uint8_t inner, const char *site)
{
    uint8_t next[CLASS_COUNT];
    if (__atomic_exchange_n(&is_adding, true, __ATOMIC_ACQUIRE))
        return;
    if (find_path(inner, outer->lock_class, next))
        report_inversion(outer, inner, site, next);
    uint32_t outer_site = vck_lock_site_number(outer->site);
    uint32_t inner_site = vck_lock_site_number(site);
    if (outer_site != 0 && inner_site != 0)
        __atomic_store_n(&edges[outer->lock_class][inner], outer_site << 16 | inner_site,
                         __ATOMIC_RELAXED);
    __atomic_store_n(&is_adding, false, __ATOMIC_RELEASE);
}

static void check_order(const struct vck_held_lock *outer, uint8_t inner, const char *site)
{
    if (outer->lock_class == inner || outer->lock_class == CLASS_UNCHECKED ||
        inner == CLASS_UNCHECKED)
        return;
    if (__atomic_load_n(&edges[outer->lock_class][inner], __ATOMIC_RELAXED) == 0)
        add_edge(outer, inner, site);
}

/* ---- what a thread holds ---- */

static uint32_t held_count(const struct vck_lock_stack *stack)
{
    return stack == NULL ? 0 : stack->count;
}

const struct vck_held_lock *vck_lock_check_find(const struct vck_lock_stack *stack,
                                                const void *lock)
{
    for (uint32_t i = held_count(stack); i-- > 0;)
        if (stack->held[i].lock == lock)
            return &stack->held[i];
    return NULL;
}

const char *vck_lock_check_raised_at(const struct vck_lock_stack *stack)
{
    for (uint32_t i = 0; i < held_count(stack); i++)
        if (stack->held[i].is_raising)
            return stack->held[i].site;
    return NULL;
}

void vck_lock_check_take(const struct vck_lock_stack *stack, const void *lock, uint8_t *lock_class,
                         const char *site, const char *twice)
{
    const struct vck_held_lock *same = vck_lock_check_find(stack, lock);
    if (same != NULL)
        vck_lock_misused(twice, site, same->site);
    uint8_t own = __atomic_load_n(lock_class, __ATOMIC_RELAXED);
    if (own == 0) {
        own = vck_lock_class_of_site(site);
        __atomic_store_n(lock_class, own, __ATOMIC_RELAXED);
    }
    for (uint32_t i = 0; i < held_count(stack); i++)
        check_order(&stack->held[i], own, site);
}

void vck_lock_check_taken(struct vck_lock_stack *stack, const void *lock, const uint8_t *lock_class,
                          const char *site, bool is_raising)
{
    if (stack == NULL)
        return;
    if (stack->count == VCK_LOCKS_HELD_MAX) {
        stack->untracked++;
        return;
    }
    stack->held[stack->count++] = (struct vck_held_lock){
        .lock = lock,
        .site = site,
        .lock_class = __atomic_load_n(lock_class, __ATOMIC_RELAXED),
        .is_raising = is_raising,
    };
}

void vck_lock_check_released(struct vck_lock_stack *stack, const void *lock)
{
    const struct vck_held_lock *found = vck_lock_check_find(stack, lock);
    if (found != NULL) {
        uint32_t at = (uint32_t)(found - stack->held);
        stack->count--;
        memmove(&stack->held[at], &stack->held[at + 1], (stack->count - at) * sizeof(*found));
    } else if (stack != NULL && stack->untracked > 0) {
        stack->untracked--;
    }
}
