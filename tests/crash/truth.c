/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "truth.h"
#include "vck/bytes.h"

static struct version *add(struct truth *t, uint64_t sector)
{
    if (t->counts[sector] == t->capacities[sector]) {
        t->capacities[sector] = t->capacities[sector] ? 2 * t->capacities[sector] : 4;
        t->versions[sector] =
            realloc(t->versions[sector], t->capacities[sector] * sizeof **t->versions);
        if (!t->versions[sector])
            abort();
    }
    return &t->versions[sector][t->counts[sector]++];
}

void truth_init(struct truth *t, uint64_t sectors, uint32_t sector_bytes, uint32_t unit_bytes,
                uint64_t seed)
{
    *t = (struct truth){
        .sector_bytes = sector_bytes, .unit_bytes = unit_bytes, .sectors = sectors, .seed = seed};
    t->versions = calloc(sectors, sizeof *t->versions);
    t->counts = calloc(sectors, sizeof *t->counts);
    t->capacities = calloc(sectors, sizeof *t->capacities);
    if (!t->versions || !t->counts || !t->capacities)
        abort();
}

void truth_fini(struct truth *t)
{
    for (uint64_t i = 0; i < t->sectors; i++)
        free(t->versions[i]);
    free(t->versions);
    free(t->counts);
    free(t->capacities);
}

void truth_content(const struct truth *t, uint64_t sector, const struct version *v, uint8_t *out)
{
    uint64_t x = t->seed ^ sector * 0x9e3779b97f4a7c15ull ^ (uint64_t)v->number << 40;

    if (v->kind == VERSION_ZERO) {
        memset(out, 0, t->sector_bytes);
        return;
    }
    for (uint32_t i = 0; i < t->sector_bytes; i += 8) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        vck_store_le64(out + i, x ^ x >> 29);
    }
}

void truth_fill(struct truth *t, uint8_t *data)
{
    for (uint64_t i = 0; i < t->sectors; i++) {
        struct version *v = add(t, i);
        *v = (struct version){.number = t->next_number};
        truth_content(t, i, v, data + i * t->sector_bytes);
    }
    t->next_number++;
}

void truth_issue(struct truth *t, uint64_t first, uint64_t count, enum version_kind kind,
                 size_t now)
{
    for (uint64_t i = first; i < first + count; i++)
        *add(t, i) = (struct version){kind, t->next_number, now, NEVER, NEVER};
    t->next_number++;
}

void truth_acknowledge(struct truth *t, uint64_t first, uint64_t count, size_t now, bool durable)
{
    for (uint64_t i = first; i < first + count; i++) {
        struct version *v = &t->versions[i][t->counts[i] - 1];
        v->acknowledged = now;
        if (durable)
            v->durable = now;
    }
}

void truth_flushed(struct truth *t, size_t issued, size_t now)
{
    for (uint64_t i = 0; i < t->sectors; i++)
        for (uint32_t k = 0; k < t->counts[i]; k++) {
            struct version *v = &t->versions[i][k];
            if (v->acknowledged <= issued && v->durable == NEVER)
                v->durable = now;
        }
}

void truth_unused(struct truth *t, uint64_t sector, size_t now)
{
    *add(t, sector) = (struct version){VERSION_ANYTHING, t->next_number, now, now, now};
}

void truth_settle(struct truth *t)
{
    for (uint64_t i = 0; i < t->sectors; i++) {
        t->versions[i][0] = t->versions[i][t->counts[i] - 1];
        t->versions[i][0].issued = t->versions[i][0].acknowledged = t->versions[i][0].durable = 0;
        t->counts[i] = 1;
    }
}

static bool unit_matches(const struct truth *t, uint64_t sector, const struct version *v,
                         const uint8_t *content, uint32_t at, uint32_t size)
{
    uint8_t expected[4096];

    if (v->kind == VERSION_ANYTHING)
        return true;
    truth_content(t, sector, v, expected);
    return memcmp(expected + at, content + at, size) == 0;
}

static bool allows_unit(const struct truth *t, uint64_t sector, const uint8_t *content, uint32_t at,
                        size_t cut)
{
    for (uint32_t k = t->counts[sector]; k-- > 0;) {
        const struct version *v = &t->versions[sector][k];

        if (v->issued >= cut && v->issued != 0)
            continue;
        if (unit_matches(t, sector, v, content, at, t->unit_bytes))
            return true;
        if (v->durable != NEVER && v->durable <= cut)
            return false;
    }
    return false;
}

bool truth_allows(const struct truth *t, uint64_t sector, const uint8_t *content, size_t cut)
{
    for (uint32_t at = 0; at < t->sector_bytes; at += t->unit_bytes)
        if (!allows_unit(t, sector, content, at, cut))
            return false;
    return true;
}

bool truth_is_current(const struct truth *t, uint64_t sector, const uint8_t *content)
{
    return unit_matches(t, sector, &t->versions[sector][t->counts[sector] - 1], content, 0,
                        t->sector_bytes);
}
