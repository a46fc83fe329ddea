/* SPDX-License-Identifier: Apache-2.0 */
/*
 * non_temporal: fill and copy with stores that pass by the cache, in SSE2; plain where there is
 * none. Such stores are ordered against nothing: whoever calls these ends with the fence. Any
 * level.
 */
#ifndef VCK_CHAIN_NON_TEMPORAL_H
#define VCK_CHAIN_NON_TEMPORAL_H

#include <stddef.h>
#include <stdint.h>

void vck_non_temporal_fill(uint8_t *to, uint8_t value, size_t size_bytes);

/* The ranges must not overlap. */
void vck_non_temporal_copy(uint8_t *to, const uint8_t *from, size_t size_bytes);

/* What was stored before is seen before what is stored after. */
void vck_non_temporal_fence(void);

#endif
