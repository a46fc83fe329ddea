/* SPDX-License-Identifier: Apache-2.0 */
#include "load_plan.h"

#include <string.h>

#define WORD_STEP 0x9E3779B97F4A7C15u

uint64_t load_plan_random(uint64_t *state)
{
    uint64_t x = *state += WORD_STEP;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

bool load_plan_claim(struct load_plan *plan, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (plan->versions[first + i] & LOAD_PLAN_BUSY)
            return false;
    for (uint32_t i = 0; i < count; i++)
        plan->versions[first + i] |= LOAD_PLAN_BUSY;
    return true;
}

void load_plan_release(struct load_plan *plan, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        plan->versions[first + i] &= ~LOAD_PLAN_BUSY;
}

/* Sector and version stand in clear in front, so that a wrong sector says where it came from. */
static uint64_t first_word(const struct load_plan *plan, uint32_t sector, uint32_t version)
{
    uint64_t state = plan->seed ^ ((uint64_t)sector << 32) ^ version;
    return load_plan_random(&state);
}

void load_plan_fill(struct load_plan *plan, uint32_t first, uint32_t count, uint8_t *data)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t version = ((plan->versions[first + i] & ~LOAD_PLAN_BUSY) + 1) & ~LOAD_PLAN_BUSY;
        if (version == LOAD_PLAN_UNKNOWN)
            version = 1;
        plan->versions[first + i] = version | LOAD_PLAN_BUSY;
        uint64_t word = first_word(plan, first + i, version);
        uint32_t head[2] = {first + i, version};
        memcpy(data, head, 8);
        for (uint32_t at = 8; at < plan->sector_bytes; at += 8, word += WORD_STEP)
            memcpy(data + at, &word, 8);
        data += plan->sector_bytes;
    }
}

void load_plan_forget(struct load_plan *plan, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        plan->versions[first + i] = LOAD_PLAN_UNKNOWN | LOAD_PLAN_BUSY;
}

static bool is_right(const struct load_plan *plan, uint32_t sector, uint32_t version,
                     const uint8_t *data)
{
    uint64_t word = first_word(plan, sector, version), wrong = 0;
    uint32_t head[2] = {sector, version};
    if (memcmp(data, head, 8) != 0)
        return false;
    for (uint32_t at = 8; at < plan->sector_bytes; at += 8, word += WORD_STEP) {
        uint64_t is;
        memcpy(&is, data + at, 8);
        wrong |= is ^ word;
    }
    return wrong == 0;
}

uint32_t load_plan_verify(const struct load_plan *plan, uint32_t first, uint32_t count,
                          const uint8_t *data)
{
    for (uint32_t i = 0; i < count; i++, data += plan->sector_bytes) {
        uint32_t version = plan->versions[first + i] & ~LOAD_PLAN_BUSY;
        if (version != LOAD_PLAN_UNKNOWN && !is_right(plan, first + i, version, data))
            return i;
    }
    return count;
}
