/* SPDX-License-Identifier: Apache-2.0 */
/* random: values from a linear congruential generator, the same in every run. */
#ifndef VCK_TESTS_RANDOM_H
#define VCK_TESTS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* The next of a sequence of the caller's own, as each thread needs. */
static inline uint32_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

static inline uint32_t random_u32(void)
{
    static uint64_t state = 1;
    return random_next(&state);
}

static inline uint64_t random_u64(void)
{
    uint64_t high = random_u32();
    return high << 32 | random_u32();
}

static inline void random_bytes(void *p, size_t size_bytes)
{
    uint8_t *bytes = p;
    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = (uint8_t)random_u32();
}

#endif
