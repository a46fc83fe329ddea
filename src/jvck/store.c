/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/store.h"
#include "vck/disk_io.h"
#include "store_find.h"

#define STORE_TAG VCK_TAG('V', 's', 't', 'o')

static const struct vck_block_codec *select_default(const struct vck_codec_selector *selector,
                                                    const struct vck_block_header *header,
                                                    uint32_t replica)
{
    (void)selector;
    (void)replica;
    return header->vendor_id == 0 ? &vck_block_default_codec : NULL;
}

const struct vck_codec_selector vck_default_selector = {.select = select_default};

/* What opening keeps from one replica to the next. */
struct opening {
    struct vck_store *store;
    const struct vck_codec_selector *selector;
    struct vck_bytes vmk;
    uint8_t volume_id[16];
    uint8_t *sector; /* page aligned, VCK_SECTOR_BYTES_MAX */
    uint32_t use_replica;
    bool have_winner;
};

/* ---- reading ---- */

static vck_status read_block(struct opening *o, uint32_t replica) VCK_CAN_WAIT
{
    const struct vck_layout *layout = &o->store->layout;

    return vck_disk_read(o->store->disk,
                         vck_layout_block_lba(layout, replica) * layout->sector_size_bytes,
                         o->sector, layout->sector_size_bytes);
}

/* A replica that says something else than the block it was found by belongs to another volume. */
static bool belongs(const struct opening *o, const struct vck_block_header *header)
{
    const struct vck_layout *layout = &o->store->layout;

    return header->sector_size_bytes == layout->sector_size_bytes &&
           header->metadata_size_bytes == layout->metadata_size_bytes &&
           header->header_count == layout->header_count &&
           header->footer_count == layout->footer_count &&
           memcmp(header->volume_id, o->volume_id, sizeof o->volume_id) == 0;
}

static vck_status read_header(struct opening *o, uint32_t index) VCK_CAN_WAIT
{
    struct vck_replica *replica = &o->store->replicas[index];
    vck_status status = read_block(o, index);

    if (status == VCK_OK)
        status = vck_block_decode_header(o->sector, &replica->header);
    if (status)
        return status;
    replica->header_valid = true;
    return belongs(o, &replica->header) ? VCK_OK : VCK_VALIDATION_FAILED;
}

/* Whether replica a is a better winner than b under the choice rule. */
static bool is_better(const struct vck_store *store, const struct vck_replica *a,
                      const struct vck_replica *b)
{
    if (!store->any_generation_zero)
        return a->generation > b->generation;
    if (a->encrypted_offset_sectors != b->encrypted_offset_sectors) {
        bool larger = a->encrypted_offset_sectors > b->encrypted_offset_sectors;
        return a->direction == VCK_ENCRYPTING ? larger : !larger;
    }
    return a->generation > b->generation;
}

static vck_status open_replica(struct opening *o, uint32_t index,
                               struct vck_block_metadata *metadata) VCK_CAN_WAIT
{
    struct vck_replica *replica = &o->store->replicas[index];
    const struct vck_block_codec *codec;
    vck_status status = read_header(o, index);

    if (status)
        return status;
    codec = o->selector->select(o->selector, &replica->header, index);
    if (!codec)
        return VCK_UNSUPPORTED;
    status = codec->unseal(codec, o->sector, o->vmk, metadata);
    if (status)
        return status;
    if (metadata->encrypted_offset_sectors > o->store->layout.data_sectors)
        return VCK_INVALID_DATA;
    replica->unsealed = true;
    replica->digest_present = metadata->digest_present;
    replica->generation = metadata->generation;
    replica->encrypted_offset_sectors = metadata->encrypted_offset_sectors;
    replica->direction = metadata->direction;
    replica->intent = metadata->intent;
    return VCK_OK;
}

/* ---- choosing ---- */

static void survey(struct vck_store *store)
{
    for (uint32_t i = 0; i < store->layout.replica_count; i++) {
        const struct vck_replica *replica = &store->replicas[i];

        if (replica->status != VCK_OK) {
            store->any_differs = true;
            continue;
        }
        store->generation_max = VCK_MAX(store->generation_max, replica->generation);
        store->any_generation_zero |= replica->generation == 0;
        store->any_digest_absent |= !replica->digest_present;
    }
}

static bool directions_agree(const struct vck_store *store)
{
    const struct vck_replica *first = NULL;

    for (uint32_t i = 0; i < store->layout.replica_count; i++) {
        const struct vck_replica *replica = &store->replicas[i];

        if (replica->status != VCK_OK)
            continue;
        if (first && first->direction != replica->direction)
            return false;
        first = replica;
    }
    return true;
}

static bool same_state(const struct vck_replica *a, const struct vck_replica *b)
{
    return a->generation == b->generation && a->direction == b->direction &&
           a->intent == b->intent && a->encrypted_offset_sectors == b->encrypted_offset_sectors;
}

/* Why nothing opened: the most telling of what the replicas said. */
static vck_status worst_reason(const struct vck_store *store)
{
    static const vck_status telling[] = {
        VCK_TAMPERED,          VCK_WRONG_KEY,         VCK_IO,
        VCK_UNSUPPORTED,       VCK_INVALID_DATA,      VCK_VALIDATION_FAILED,
        VCK_CHECKSUM_MISMATCH, VCK_SIGNATURE_MISMATCH};

    for (size_t t = 0; t < VCK_ARRAY_COUNT(telling); t++)
        for (uint32_t i = 0; i < store->layout.replica_count; i++)
            if (store->replicas[i].status == telling[t])
                return telling[t];
    return store->layout.replica_count ? store->replicas[0].status : VCK_SIGNATURE_MISMATCH;
}

static vck_status choose(struct opening *o)
{
    struct vck_store *store = o->store;
    bool found = false;

    survey(store);
    if (o->use_replica != VCK_STORE_ANY_REPLICA) {
        if (o->use_replica >= store->layout.replica_count)
            return VCK_OUT_OF_RANGE;
        if (store->replicas[o->use_replica].status != VCK_OK)
            return store->replicas[o->use_replica].status;
        store->winner = o->use_replica;
        found = true;
    } else if (store->any_generation_zero && !directions_agree(store)) {
        return VCK_VALIDATION_FAILED;
    }
    for (uint32_t i = 0; i < store->layout.replica_count && o->use_replica == VCK_STORE_ANY_REPLICA;
         i++) {
        if (store->replicas[i].status == VCK_OK &&
            (!found || is_better(store, &store->replicas[i], &store->replicas[store->winner]))) {
            store->winner = i;
            found = true;
        }
    }
    if (!found)
        return worst_reason(store);
    for (uint32_t i = 0; i < store->layout.replica_count; i++)
        if (!same_state(&store->replicas[i], &store->replicas[store->winner]))
            store->any_differs = true;
    return VCK_OK;
}

/* The winner's sealed part is read again: keys are kept from one replica only. */
static vck_status adopt_winner(struct opening *o) VCK_CAN_WAIT
{
    struct vck_store *store = o->store;
    const struct vck_replica *winner = &store->replicas[store->winner];
    struct vck_block_metadata metadata;
    vck_status status = open_replica(o, store->winner, &metadata);

    if (status)
        return status;
    store->header = winner->header;
    store->codec = o->selector->select(o->selector, &winner->header, store->winner);
    store->state = (struct vck_store_state){
        .encrypted_offset_sectors = metadata.encrypted_offset_sectors,
        .direction = metadata.direction,
        .intent = metadata.intent,
        .generation = metadata.generation,
    };
    memcpy(store->fvek_key1, metadata.fvek_key1, sizeof store->fvek_key1);
    memcpy(store->fvek_key2, metadata.fvek_key2, sizeof store->fvek_key2);
    vck_wipe(&metadata, sizeof metadata);
    return VCK_OK;
}

/* ---- opening ---- */

/* Finds the volume and makes room for what its replicas say. */
static vck_status begin(struct opening *o) VCK_CAN_WAIT
{
    struct vck_store *store = o->store;
    struct vck_block_header found;
    vck_status status;

    o->sector = vck_alloc_pages(VCK_SECTOR_BYTES_MAX, STORE_TAG);
    if (!o->sector)
        return VCK_NO_MEMORY;
    status = store_find(store->disk, &found);
    if (status)
        return status;
    if (found.sector_size_bytes < store->disk->sector_size_bytes)
        return VCK_UNSUPPORTED;
    status = vck_layout_init(&store->layout, store->disk->size_bytes, found.sector_size_bytes,
                             found.metadata_size_bytes, found.header_count, found.footer_count);
    if (status)
        return status;
    memcpy(o->volume_id, found.volume_id, sizeof o->volume_id);
    store->header = found;
    store->replicas = vck_alloc(store->layout.replica_count * sizeof *store->replicas, STORE_TAG);
    if (!store->replicas) {
        store->layout.replica_count = 0;
        return VCK_NO_MEMORY;
    }
    return VCK_OK;
}

static void end(struct opening *o)
{
    if (o->sector)
        vck_free_pages(o->sector, VCK_SECTOR_BYTES_MAX);
}

vck_status vck_store_open(struct vck_store *store, struct vck_disk *disk, struct vck_bytes vmk,
                          const struct vck_codec_selector *selector, uint32_t use_replica)
{
    struct opening o = {
        .store = store,
        .selector = selector ? selector : &vck_default_selector,
        .vmk = vmk,
        .use_replica = use_replica,
    };
    struct vck_block_metadata metadata;
    vck_status status;

    memset(store, 0, sizeof *store);
    store->disk = disk;
    if (vmk.size_bytes == 0 || vmk.size_bytes > VCK_VMK_BYTES_MAX)
        return VCK_INVALID_DATA;
    status = begin(&o);
    if (status)
        goto out;
    for (uint32_t i = 0; i < store->layout.replica_count; i++)
        store->replicas[i].status = open_replica(&o, i, &metadata);
    vck_wipe(&metadata, sizeof metadata);
    status = choose(&o);
    if (status == VCK_OK)
        status = adopt_winner(&o);
    if (status == VCK_OK)
        status = vck_secret_init_copy(&store->vmk, vmk);
out:
    end(&o);
    return status;
}

vck_status vck_store_inspect(struct vck_store *store, struct vck_disk *disk)
{
    struct opening o = {.store = store};
    vck_status status;

    memset(store, 0, sizeof *store);
    store->disk = disk;
    store->loose = true;
    status = begin(&o);
    for (uint32_t i = 0; status == VCK_OK && i < store->layout.replica_count; i++)
        store->replicas[i].status = read_header(&o, i);
    end(&o);
    return status;
}

vck_status vck_store_init_new(struct vck_store *store, struct vck_disk *disk,
                              const struct vck_block_header *header,
                              const struct vck_block_metadata *metadata, struct vck_bytes vmk)
{
    vck_status status;

    memset(store, 0, sizeof *store);
    store->disk = disk;
    if (vmk.size_bytes == 0 || vmk.size_bytes > VCK_VMK_BYTES_MAX)
        return VCK_INVALID_DATA;
    status =
        vck_layout_init(&store->layout, disk->size_bytes, header->sector_size_bytes,
                        header->metadata_size_bytes, header->header_count, header->footer_count);
    if (status)
        return status;
    store->replicas = vck_alloc(store->layout.replica_count * sizeof *store->replicas, STORE_TAG);
    if (!store->replicas)
        return VCK_NO_MEMORY;
    store->header = *header;
    store->codec = &vck_block_default_codec;
    store->state = (struct vck_store_state){
        .encrypted_offset_sectors = metadata->encrypted_offset_sectors,
        .direction = metadata->direction,
        .intent = metadata->intent,
        .generation = metadata->generation,
    };
    memcpy(store->fvek_key1, metadata->fvek_key1, sizeof store->fvek_key1);
    memcpy(store->fvek_key2, metadata->fvek_key2, sizeof store->fvek_key2);
    return vck_secret_init_copy(&store->vmk, vmk);
}

void vck_store_fini(struct vck_store *store)
{
    vck_secret_fini(&store->vmk);
    vck_free(store->replicas);
    vck_wipe(store, sizeof *store);
}
