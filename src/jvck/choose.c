/* SPDX-License-Identifier: Apache-2.0 */
#include "store_internal.h"

/* Replicas that may win: all, or those of the highest generation where each of them has one. */
struct field {
    const struct vck_replica *replicas;
    uint32_t count;
    uint64_t generation_min; /* a replica below does not take part; 0: somebody without generations
                                wrote last, who does not know of rekeying either */
};

static bool takes_part(const struct field *field, uint32_t i)
{
    const struct vck_replica *replica = &field->replicas[i];

    return replica->status == VCK_OK && replica->generation >= field->generation_min &&
           (field->generation_min > 0 || replica->header.metadata_version != VCK_METADATA_REKEY);
}

static uint64_t highest_unless_any_zero(const struct vck_replica *replicas, uint32_t count)
{
    uint64_t highest = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (replicas[i].status != VCK_OK)
            continue;
        if (replicas[i].generation == 0)
            return 0;
        highest = VCK_MAX(highest, replicas[i].generation);
    }
    return highest;
}

/* The same direction in both. Where decrypting, the larger offset is the older one: taking it would
 * take plaintext for ciphertext. */
static bool is_newer(const struct vck_replica *a, const struct vck_replica *b)
{
    if (a->encrypted_offset_sectors == b->encrypted_offset_sectors)
        return a->generation > b->generation;
    bool is_larger = a->encrypted_offset_sectors > b->encrypted_offset_sectors;
    return a->direction == VCK_DECRYPTING ? !is_larger : is_larger;
}

vck_status vck_store_choose(const struct vck_replica *replicas, uint32_t count,
                            uint32_t *ret_winner)
{
    struct field field = {replicas, count, highest_unless_any_zero(replicas, count)};
    uint32_t best = count;
    for (uint32_t i = 0; i < count; i++) {
        if (!takes_part(&field, i))
            continue;
        if (best == count) {
            best = i;
            continue;
        }
        if (replicas[i].direction != replicas[best].direction)
            return VCK_VALIDATION_FAILED;
        if (is_newer(&replicas[i], &replicas[best]))
            best = i;
    }
    if (best == count)
        return VCK_NOT_FOUND;
    *ret_winner = best;
    return VCK_OK;
}
