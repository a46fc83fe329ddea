/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

struct unlocking {
    struct vck_store store; /* inspected */
    struct vck_store opened;
    struct vck_key_tables tables;
    const struct vck_key_offer *offer;
    const struct vck_key_stretcher *stretcher;
    struct vck_secret vmk;
    struct vck_key_unlocked unlocked;
    vck_status agent_status; /* the first failure of the agent */
    bool any_tried, any_unsupported, any_tampered;
};

/* What the offer has for a slot; empty: nothing. */
static struct vck_bytes secret_for(const struct vck_key_offer *offer,
                                   const struct vck_key_slot *slot)
{
    const struct vck_bytes none = {0};
    if (offer->has_number && offer->number != slot->number)
        return none;
    switch (slot->type) {
    case VCK_KEY_PASSPHRASE:
        return offer->passphrase;
    case VCK_KEY_FILE:
        return offer->file;
    case VCK_KEY_RECOVERY:
        return offer->recovery;
    default:
        return none;
    }
}

/* Whether one of the first `count` tables has the same slot. */
static bool was_tried(const struct unlocking *u, uint32_t count, const struct vck_key_slot *slot)
{
    for (uint32_t i = 0; i < count; i++) {
        struct vck_key_slot other;
        if (vck_key_table_find(&u->tables.tables[i], slot->number, &other) == VCK_OK &&
            other.size_bytes == slot->size_bytes &&
            memcmp(other.record, slot->record, slot->size_bytes) == 0)
            return true;
    }
    return false;
}

/* Whether the slot that gave the VMK is still one of the volume's. */
static bool is_current(struct unlocking *u, const struct vck_key_slot *slot)
{
    struct vck_key_slot other;
    const struct vck_bytes vmk = vck_secret_bytes(&u->vmk);
    const struct vck_key_table *current = vck_key_tables_current(&u->tables, vmk);
    if (current == NULL) {
        u->any_tampered = true;
        return false;
    }
    u->unlocked.generation = vck_key_table_generation(current);
    return vck_key_table_find(current, slot->number, &other) == VCK_OK &&
           memcmp(other.uuid, slot->uuid, sizeof(slot->uuid)) == 0;
}

/* That the volume itself is in disorder is for those to say who open it. */
static vck_status check_volume(struct unlocking *u, struct vck_disk *disk) VCK_CAN_WAIT
{
    const struct vck_bytes vmk = vck_secret_bytes(&u->vmk);
    vck_status status = vck_store_open(&u->opened, disk, vmk, NULL, VCK_STORE_ANY_REPLICA);
    vck_store_fini(&u->opened);
    bool is_serious = status == VCK_WRONG_KEY || status == VCK_NO_MEMORY || status == VCK_IO;
    return is_serious ? status : VCK_OK;
}

/* WRONG_KEY: on to the next. */
static vck_status try_secret(struct unlocking *u, const struct vck_key_slot *slot,
                             struct vck_bytes secret, struct vck_disk *disk) VCK_CAN_WAIT
{
    vck_status status = vck_key_slot_open(slot, u->tables.volume_id, secret, u->stretcher, &u->vmk);
    if (status == VCK_UNSUPPORTED || status == VCK_INVALID_DATA) {
        u->any_unsupported = true;
        return VCK_WRONG_KEY;
    }
    u->any_tried = true;
    if (status != VCK_OK)
        return status;
    u->unlocked.number = slot->number;
    u->unlocked.type = slot->type;
    status = is_current(u, slot) ? check_volume(u, disk) : VCK_WRONG_KEY;
    if (status != VCK_OK)
        vck_secret_fini(&u->vmk);
    return status;
}

static vck_status try_agent(struct unlocking *u, const struct vck_key_slot *slot,
                            struct vck_disk *disk) VCK_CAN_WAIT
{
    struct vck_key_agent *agent = u->offer->agent;
    struct vck_secret secret = {0};
    struct vck_bytes payload;
    vck_status status = vck_key_slot_payload(slot, &payload);
    if (status == VCK_NOT_FOUND || (u->offer->has_number && u->offer->number != slot->number))
        return VCK_WRONG_KEY;
    if (status == VCK_OK)
        status = agent->secret(agent, slot, payload, &secret);
    if (status != VCK_OK) {
        if (u->agent_status == VCK_OK)
            u->agent_status = status;
        return VCK_WRONG_KEY;
    }
    status = try_secret(u, slot, vck_secret_bytes(&secret), disk);
    vck_secret_fini(&secret);
    return status;
}

static vck_status try_slot(struct unlocking *u, const struct vck_key_slot *slot,
                           struct vck_disk *disk) VCK_CAN_WAIT
{
    struct vck_bytes secret = secret_for(u->offer, slot);
    if (secret.size_bytes > 0)
        return try_secret(u, slot, secret, disk);
    return u->offer->agent != NULL ? try_agent(u, slot, disk) : VCK_WRONG_KEY;
}

/* Why nothing opened. */
static vck_status reason(const struct unlocking *u)
{
    if (u->any_tampered)
        return VCK_TAMPERED;
    if (u->any_tried)
        return VCK_WRONG_KEY;
    if (u->agent_status != VCK_OK)
        return u->agent_status;
    if (u->any_unsupported)
        return VCK_UNSUPPORTED;
    return u->tables.table_count == 0 && u->tables.any_damaged ? VCK_CHECKSUM_MISMATCH
                                                               : VCK_NOT_FOUND;
}

static vck_status try_all(struct unlocking *u, struct vck_disk *disk) VCK_CAN_WAIT
{
    struct vck_key_slot slot;
    for (uint32_t t = 0; t < u->tables.table_count; t++) {
        for (uint32_t i = 0; vck_key_table_at(&u->tables.tables[t], i, &slot) == VCK_OK; i++) {
            if (was_tried(u, t, &slot))
                continue;
            vck_status status = try_slot(u, &slot, disk);
            if (status != VCK_WRONG_KEY)
                return status;
        }
    }
    return reason(u);
}

vck_status vck_key_unlock(struct vck_disk *disk, const struct vck_key_offer *offer,
                          const struct vck_key_stretcher *stretcher, struct vck_secret *ret_vmk,
                          struct vck_key_unlocked *ret_unlocked)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct unlocking *u = vck_alloc(sizeof(*u), KEYS_TAG);
    if (u == NULL)
        return VCK_NO_MEMORY;
    memset(u, 0, sizeof(*u));
    u->offer = offer;
    u->stretcher = stretcher;
    vck_status status = vck_store_inspect(&u->store, disk);
    if (status == VCK_OK)
        status = vck_key_tables_read(&u->tables, &u->store);
    if (status == VCK_OK && u->tables.any_future)
        status = VCK_UNSUPPORTED;
    if (status == VCK_OK)
        status = try_all(u, disk);
    if (status == VCK_OK) {
        *ret_vmk = u->vmk;
        if (ret_unlocked != NULL)
            *ret_unlocked = u->unlocked;
    }
    vck_key_tables_fini(&u->tables);
    vck_store_fini(&u->store);
    vck_wipe(u, sizeof(*u));
    vck_free(u);
    return status;
}
