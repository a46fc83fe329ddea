/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/used_map.h"
#include "port/port.h"
#include "vck/bytes.h"

#define USED_TAG  VCK_TAG('V', 'u', 's', 'd')
#define WORD_BITS 64u

static uint64_t words_for(uint64_t granules)
{
    return granules / WORD_BITS + (granules % WORD_BITS != 0);
}

static uint64_t granules_for(uint64_t data_sectors, uint64_t granule_sectors)
{
    return data_sectors / granule_sectors + (data_sectors % granule_sectors != 0);
}

vck_status vck_used_map_init(struct vck_used_map *map, uint64_t data_sectors,
                             uint32_t sector_size_bytes, uint32_t granule_bytes)
{
    uint32_t bytes = granule_bytes ? granule_bytes : VCK_USED_GRANULE_BYTES;
    struct vck_used_map made = {
        .granule_sectors = VCK_MAX(bytes / sector_size_bytes, 1u),
        .gap_sectors_min = VCK_MAX(bytes / sector_size_bytes, 1u),
        .data_sectors = data_sectors,
    };

    if (!granule_bytes)
        made.gap_sectors_min *= VCK_USED_GAP_GRANULES_MIN;
    while (granules_for(data_sectors, made.granule_sectors) / 8 >= VCK_USED_MAP_BYTES_MAX)
        made.granule_sectors *= 2;
    made.gap_sectors_min = VCK_MAX(made.gap_sectors_min, made.granule_sectors);
    made.granules = granules_for(data_sectors, made.granule_sectors);
    made.size_bytes = VCK_MAX(words_for(made.granules), 1u) * sizeof *made.words;
    made.words = vck_alloc_pages(made.size_bytes, USED_TAG);
    if (!made.words)
        return VCK_NO_MEMORY;
    memset(made.words, 0, made.size_bytes);
    *map = made;
    return VCK_OK;
}

void vck_used_map_fini(struct vck_used_map *map)
{
    if (map->words)
        vck_free_pages(map->words, map->size_bytes);
    map->words = NULL;
}

/* The bits of a word from `first` on, below `end`, as far as they are in this word. */
static uint64_t mask_of(uint64_t word, uint64_t first, uint64_t end)
{
    uint64_t mask = UINT64_MAX;

    if (first / WORD_BITS == word)
        mask <<= first % WORD_BITS;
    if (end / WORD_BITS == word)
        mask &= (UINT64_C(1) << end % WORD_BITS) - 1;
    return mask;
}

void vck_used_map_mark(struct vck_used_map *map, uint64_t first_sector, uint64_t sectors)
{
    uint64_t first = first_sector / map->granule_sectors;
    uint64_t end;

    if (sectors == 0)
        return;
    end = (first_sector + sectors - 1) / map->granule_sectors + 1;
    for (uint64_t word = first / WORD_BITS; word <= (end - 1) / WORD_BITS; word++) {
        uint64_t mask = mask_of(word, first, end);

        /* Most are marked already, and then nobody else's cache line is taken away. */
        if ((__atomic_load_n(&map->words[word], __ATOMIC_RELAXED) & mask) != mask)
            (void)__atomic_fetch_or(&map->words[word], mask, __ATOMIC_RELAXED);
    }
}

/* The first granule from `at` on that is used, or is not; map->granules when there is none. */
static uint64_t find(const struct vck_used_map *map, uint64_t at, bool is_used)
{
    uint64_t flip = is_used ? 0 : UINT64_MAX;

    while (at < map->granules) {
        uint64_t word = at / WORD_BITS;
        uint64_t bits = __atomic_load_n(&map->words[word], __ATOMIC_RELAXED) ^ flip;

        bits &= UINT64_MAX << at % WORD_BITS;
        if (bits)
            return VCK_MIN(word * WORD_BITS + (uint64_t)__builtin_ctzll(bits), map->granules);
        at = (word + 1) * WORD_BITS;
    }
    return map->granules;
}

/* The same in sectors, none of them before `at`. */
static uint64_t find_sector(const struct vck_used_map *map, uint64_t at, bool is_used)
{
    uint64_t found = find(map, at / map->granule_sectors, is_used) * map->granule_sectors;

    return VCK_MIN(VCK_MAX(found, at), map->data_sectors);
}

uint64_t vck_used_map_gap_end(const struct vck_used_map *map, uint64_t first_sector)
{
    uint64_t end = find_sector(map, first_sector, true);

    return end - first_sector >= map->gap_sectors_min ? end : first_sector;
}

uint64_t vck_used_map_run(const struct vck_used_map *map, uint64_t first_sector,
                          uint64_t limit_sectors)
{
    uint64_t end = VCK_MIN(map->data_sectors - first_sector, limit_sectors) + first_sector;
    uint64_t at = first_sector;

    while (at < end) {
        uint64_t gap = find_sector(map, at, false);

        if (gap >= end)
            break;
        at = vck_used_map_gap_end(map, gap);
        if (at != gap)
            return gap - first_sector;
        at = find_sector(map, gap, true);
    }
    return end - first_sector;
}
