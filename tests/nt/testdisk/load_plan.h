/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_plan: what a load program knows of a region of a disk: for each sector the version that was
 * written last, from which its contents follow, and whether a request is under way there. The
 * load never has two requests on one sector, so every read has exactly one right answer.
 *
 * Nothing here locks: claim and release are called under the caller's lock; fill and verify only
 * touch sectors claimed by the caller.
 */
#ifndef VCK_TESTS_NT_LOAD_PLAN_H
#define VCK_TESTS_NT_LOAD_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define LOAD_PLAN_BUSY    0x80000000u
#define LOAD_PLAN_UNKNOWN 0u /* never written, or the last write failed */

struct load_plan {
    uint64_t seed;
    uint32_t sector_bytes;
    uint32_t sector_count;
    uint32_t *versions; /* of sector_count */
};

/* A number from the state, which it moves on. */
uint64_t load_plan_random(uint64_t *state);

/* Takes the sectors for one request. False: another has some of them. */
bool load_plan_claim(struct load_plan *plan, uint32_t first, uint32_t count);
void load_plan_release(struct load_plan *plan, uint32_t first, uint32_t count);

/* Gives the sectors their next version and writes its contents to data. */
void load_plan_fill(struct load_plan *plan, uint32_t first, uint32_t count, uint8_t *data);

/* The write of the sectors failed: their contents are unknown until the next. */
void load_plan_forget(struct load_plan *plan, uint32_t first, uint32_t count);

/* The number of the first sector that is wrong, or count. Unknown ones are never wrong. */
uint32_t load_plan_verify(const struct load_plan *plan, uint32_t first, uint32_t count,
                          const uint8_t *data);

#endif
