/* SPDX-License-Identifier: Apache-2.0 */
/*
 * truth: what every sector of a volume may hold after a cut. A sector has versions; each knows when
 * (in events of the disk's history) it was issued, acknowledged and made durable by a flush.
 */
#ifndef VCK_TESTS_TRUTH_H
#define VCK_TESTS_TRUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEVER SIZE_MAX

enum version_kind { VERSION_DATA, VERSION_ZERO, VERSION_ANYTHING };

struct version {
    enum version_kind kind;
    uint32_t number; /* makes the content */
    size_t issued, acknowledged, durable;
};

struct truth {
    uint32_t sector_bytes;
    uint32_t unit_bytes; /* written whole or not at all; a sector may be several */
    uint64_t sectors;
    uint64_t seed;
    uint32_t next_number;
    struct version **versions; /* per sector */
    uint32_t *counts, *capacities;
};

void truth_init(struct truth *t, uint64_t sectors, uint32_t sector_bytes, uint32_t unit_bytes,
                uint64_t seed);
void truth_fini(struct truth *t);
/* All of it durable before the history begins: one version a sector, its content into data. */
void truth_fill(struct truth *t, uint8_t *data);
/* The content of a version. */
void truth_content(const struct truth *t, uint64_t sector, const struct version *v, uint8_t *out);
/* A new version of every sector of the range, issued now. */
void truth_issue(struct truth *t, uint64_t first, uint64_t count, enum version_kind kind,
                 size_t now);
void truth_acknowledge(struct truth *t, uint64_t first, uint64_t count, size_t now, bool durable);
/* A flush that was issued at `issued` has been acknowledged. */
void truth_flushed(struct truth *t, size_t issued, size_t now);
/* Nobody uses the sector any more: until it is written it may hold anything. */
void truth_unused(struct truth *t, uint64_t sector, size_t now);
/* The history begins anew: only the newest version remains, durable. */
void truth_settle(struct truth *t);
/* Whether the sector may hold this after a cut at `cut`. */
bool truth_allows(const struct truth *t, uint64_t sector, const uint8_t *content, size_t cut);
/* Whether the newest acknowledged version is what a running volume has to read. */
bool truth_is_current(const struct truth *t, uint64_t sector, const uint8_t *content);

#endif
