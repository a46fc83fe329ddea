/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock_check: how locks are misused, found while the program runs. Ports and the locks built above
 * them call it in builds without NDEBUG; nothing here waits or allocates.
 *
 * A lock belongs to the class of the place that initialised it. Whoever takes a lock while holding
 * others adds edges between their classes to one graph of fixed size, each with the two call sites
 * that made it. An edge that would close a cycle is an inversion: some threads could wait for each
 * other for ever, whether or not they just did. Locks of one class are not ordered among
 * themselves. Once the classes or sites run out, the rest is not checked.
 *
 * What is found stops the program through vck_assert_failed with the call sites, "file:line" each.
 * Every function at any level.
 */
#ifndef VCK_LOCK_CHECK_H
#define VCK_LOCK_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/annotate.h"

VCK_BEGIN_DECLS

/* Whether locks are to call what is below. */
#if defined(NDEBUG)
#define VCK_CHECKS_LOCKS 0
#else
#define VCK_CHECKS_LOCKS 1
#endif

#define VCK_LOCKS_HELD_MAX 16

struct vck_held_lock {
    const void *lock;
    const char *site; /* where it was taken */
    uint8_t lock_class;
    bool is_raising; /* a spin lock */
};

/* What one thread holds, oldest first; zeroed to begin with. More than fit are not checked. */
struct vck_lock_stack {
    struct vck_held_lock held[VCK_LOCKS_HELD_MAX];
    uint32_t count;
    uint32_t untracked; /* those that did not fit */
};

/* The class of locks initialised at site; never 0. */
uint8_t vck_lock_class_of_site(const char *site);

/* A small number for a call site, and back; 0 for one that is not known. */
uint16_t vck_lock_site_number(const char *site);
const char *vck_lock_site_of_number(uint16_t number);

/*
 * Before the calling thread begins to take a lock: it must not hold it already (then `twice` says
 * what is wrong), and the order must be one that did not occur the other way round. *lock_class is
 * the lock's class; when it is 0, as in zeroed memory, it becomes that of site.
 */
void vck_lock_check_take(const struct vck_lock_stack *stack, const void *lock, uint8_t *lock_class,
                         const char *site, const char *twice);
/* Once it has it, and when it gives it back. */
void vck_lock_check_taken(struct vck_lock_stack *stack, const void *lock, const uint8_t *lock_class,
                          const char *site, bool is_raising);
void vck_lock_check_released(struct vck_lock_stack *stack, const void *lock);

/* The entry of a lock, NULL when the thread does not hold it or too many. */
const struct vck_held_lock *vck_lock_check_find(const struct vck_lock_stack *stack,
                                                const void *lock);
/* The call site of the oldest spin lock in the stack, NULL without. */
const char *vck_lock_check_raised_at(const struct vck_lock_stack *stack);

/* Stops the program: "what: at site, taken at taken_site". Both sites may be NULL. */
__attribute__((noreturn)) VCK_COLD void vck_lock_misused(const char *what, const char *site,
                                                         const char *taken_site);

VCK_END_DECLS

#endif
