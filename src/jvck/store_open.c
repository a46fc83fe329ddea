/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "store_internal.h"
#include "vck/disk_io.h"

/* ---- codecs ---- */

static const struct vck_block_codec *select_default(const struct vck_codec_selector *selector,
                                                    const struct vck_block_header *header,
                                                    uint32_t replica)
{
    (void)selector;
    (void)replica;
    return header->vendor_id == 0 ? &vck_block_default_codec : NULL;
}

const struct vck_codec_selector vck_default_selector = {.select = select_default};

/* One attempt to open the volume that a block describes. */
struct opening {
    struct vck_store *store;
    const struct vck_codec_selector *selector; /* NULL: headers only */
    uint32_t use_replica;
    uint32_t located;                    /* the replica the volume was found by */
    struct vck_block_header model;       /* its header */
    struct vck_block_metadata *metadata; /* per replica; holds keys */
    const struct vck_block_codec **codecs;
    uint8_t *sector;
    bool attempted; /* status says how it ended */
    vck_status status;
};

/* ---- one replica ---- */

static bool is_same_geometry(const struct vck_block_header *a, const struct vck_block_header *b)
{
    return a->metadata_size_bytes == b->metadata_size_bytes &&
           a->sector_size_bytes == b->sector_size_bytes && a->header_count == b->header_count &&
           a->footer_count == b->footer_count;
}

static bool is_same_volume(const struct vck_block_header *a, const struct vck_block_header *b)
{
    return memcmp(a->volume_id, b->volume_id, sizeof(a->volume_id)) == 0;
}

static vck_status unseal_replica(struct opening *o, uint32_t i, struct vck_replica *replica)
{
    struct vck_bytes vmk = vck_secret_bytes(&o->store->vmk);
    struct vck_block_metadata *metadata = &o->metadata[i];
    o->codecs[i] = o->selector->select(o->selector, &replica->header, i);
    if (o->codecs[i] == NULL)
        return VCK_UNSUPPORTED;
    vck_status status = o->codecs[i]->unseal(o->codecs[i], o->sector, vmk, metadata);
    if (status != VCK_OK)
        return status;
    replica->unsealed = true;
    replica->digest_present = metadata->digest_present;
    replica->generation = metadata->generation;
    replica->encrypted_offset_sectors = metadata->encrypted_offset_sectors;
    replica->direction = metadata->direction;
    replica->intent = metadata->intent;
    if (metadata->encrypted_offset_sectors > o->store->layout.data_sectors)
        return VCK_INVALID_DATA;
    return VCK_OK;
}

static vck_status judge_replica(struct opening *o, uint32_t i,
                                struct vck_replica *replica) VCK_CAN_WAIT
{
    const struct vck_layout *layout = &o->store->layout;
    vck_status status =
        vck_disk_read(o->store->disk, vck_layout_block_lba(layout, i) * layout->sector_size_bytes,
                      o->sector, layout->sector_size_bytes);
    if (status == VCK_OK)
        status = vck_block_decode_header(o->sector, &replica->header);
    if (status != VCK_OK)
        return status;
    replica->header_valid = true;
    if (!is_same_geometry(&replica->header, &o->model))
        return VCK_VALIDATION_FAILED;
    return o->selector != NULL ? unseal_replica(o, i, replica) : VCK_OK;
}

/* NO_MEMORY of the disk ends the attempt; any other failure only takes the replica out. */
static vck_status read_replicas(struct opening *o) VCK_CAN_WAIT
{
    for (uint32_t i = 0; i < o->store->layout.replica_count; i++) {
        struct vck_replica *replica = &o->store->replicas[i];
        replica->status = judge_replica(o, i, replica);
        if (replica->status == VCK_NO_MEMORY)
            return VCK_NO_MEMORY;
    }
    return VCK_OK;
}

/* ---- all of them ---- */

/* Those that belong to another volume are out. The block the volume was found by decides which one
 * it is, or, where that is not valid, the first one that is. */
static void reject_strangers(struct opening *o)
{
    struct vck_replica *replicas = o->store->replicas;
    uint32_t count = o->store->layout.replica_count;
    uint32_t reference = o->located;
    for (uint32_t i = 0; i < count && replicas[reference].status != VCK_OK; i++)
        if (replicas[i].status == VCK_OK)
            reference = i;
    for (uint32_t i = 0; i < count; i++)
        if (replicas[i].status == VCK_OK &&
            !is_same_volume(&replicas[i].header, &replicas[reference].header))
            replicas[i].status = VCK_VALIDATION_FAILED;
}

/* The most telling of the reasons why no replica can be used. That the key is right, as it was for
 * the first two, says more than that it is wrong for others. */
static vck_status worst(const struct opening *o)
{
    static const vck_status telling[] = {VCK_TAMPERED,    VCK_INVALID_DATA,      VCK_WRONG_KEY,
                                         VCK_UNSUPPORTED, VCK_CHECKSUM_MISMATCH, VCK_IO};
    for (size_t t = 0; t < VCK_ARRAY_COUNT(telling); t++)
        for (uint32_t i = 0; i < o->store->layout.replica_count; i++)
            if (o->store->replicas[i].status == telling[t])
                return telling[t];
    return o->store->replicas[o->located].status;
}

static vck_status choose(struct opening *o, uint32_t *ret_winner)
{
    const struct vck_store *store = o->store;
    bool has_any = false;
    for (uint32_t i = 0; i < store->layout.replica_count; i++)
        has_any |= store->replicas[i].status == VCK_OK;
    if (!has_any)
        return worst(o);
    if (o->use_replica == VCK_STORE_ANY_REPLICA)
        return vck_store_choose(store->replicas, store->layout.replica_count, ret_winner);
    if (o->use_replica >= store->layout.replica_count)
        return VCK_OUT_OF_RANGE;
    *ret_winner = o->use_replica;
    return store->replicas[o->use_replica].status;
}

static bool are_keys_equal(const struct vck_block_metadata *a, const struct vck_block_metadata *b)
{
    bool is_first_equal = vck_equal_constant_time(a->fvek_key1, b->fvek_key1, VCK_FVEK_KEY_BYTES);
    bool is_second_equal = vck_equal_constant_time(a->fvek_key2, b->fvek_key2, VCK_FVEK_KEY_BYTES);
    return is_first_equal && is_second_equal;
}

/* Everything that a metadata write of ours makes equal in all of them. */
static bool is_equal(const struct vck_replica *a, const struct vck_replica *b)
{
    return b->status == VCK_OK && a->generation == b->generation &&
           a->encrypted_offset_sectors == b->encrypted_offset_sectors &&
           a->direction == b->direction && a->intent == b->intent &&
           a->header.metadata_version == b->header.metadata_version &&
           a->header.vendor_id == b->header.vendor_id &&
           a->header.vendor_version == b->header.vendor_version &&
           memcmp(a->header.reserved, b->header.reserved, VCK_BLOCK_RESERVED_BYTES) == 0;
}

static void summarize(struct vck_store *store)
{
    for (uint32_t i = 0; i < store->layout.replica_count; i++) {
        const struct vck_replica *replica = &store->replicas[i];
        if (!is_equal(&store->replicas[store->winner], replica))
            store->any_differs = true;
        if (replica->status != VCK_OK)
            continue;
        store->any_generation_zero |= replica->generation == 0;
        store->any_digest_absent |= !replica->digest_present;
        store->generation_max = VCK_MAX(store->generation_max, replica->generation);
    }
}

static void take_winner(struct opening *o, uint32_t winner)
{
    struct vck_store *store = o->store;
    const struct vck_block_metadata *metadata = &o->metadata[winner];
    store->winner = winner;
    store->codec = o->codecs[winner];
    store->header = store->replicas[winner].header;
    memcpy(store->fvek_key1, metadata->fvek_key1, sizeof(store->fvek_key1));
    memcpy(store->fvek_key2, metadata->fvek_key2, sizeof(store->fvek_key2));
    memcpy(store->rekey_nonce, metadata->rekey_nonce, sizeof(store->rekey_nonce));
    store->state = (struct vck_store_state){
        .encrypted_offset_sectors = metadata->encrypted_offset_sectors,
        .direction = metadata->direction,
        .intent = metadata->intent,
        .generation = metadata->generation,
    };
    summarize(store);
}

/* Replicas of one volume with different data keys: whichever is taken, the others' would be lost.
 * The end of a rekey is where the key changes together with the version. */
static bool is_key_disputed(const struct opening *o, uint32_t winner)
{
    const struct vck_replica *replicas = o->store->replicas;
    for (uint32_t i = 0; i < o->store->layout.replica_count; i++)
        if (replicas[i].status == VCK_OK &&
            replicas[i].header.metadata_version == replicas[winner].header.metadata_version &&
            !are_keys_equal(&o->metadata[i], &o->metadata[winner]))
            return true;
    return false;
}

static vck_status settle(struct opening *o)
{
    uint32_t winner = 0;
    reject_strangers(o);
    vck_status status = choose(o, &winner);
    if (status != VCK_OK)
        return status;
    if (o->use_replica == VCK_STORE_ANY_REPLICA && is_key_disputed(o, winner))
        return VCK_VALIDATION_FAILED;
    take_winner(o, winner);
    return VCK_OK;
}

/* Without a key: the block the volume was found by stands for all of them. */
static void settle_headers(struct opening *o)
{
    struct vck_store *store = o->store;
    for (uint32_t i = 0; i < store->layout.replica_count; i++) {
        struct vck_replica *replica = &store->replicas[i];
        if (replica->status == VCK_OK && !is_same_volume(&replica->header, &o->model))
            replica->status = VCK_VALIDATION_FAILED;
        store->any_differs |= replica->status != VCK_OK;
    }
    store->winner = o->located;
    store->header = o->model;
}

/* ---- an attempt ---- */

static vck_status allocate(struct opening *o)
{
    size_t count = o->store->layout.replica_count;
    o->store->replicas = vck_alloc(count * sizeof(*o->store->replicas), STORE_TAG);
    o->codecs = vck_alloc(count * sizeof(*o->codecs), STORE_TAG);
    o->metadata = vck_alloc_pages(count * sizeof(*o->metadata), STORE_TAG);
    o->sector = vck_alloc_pages(o->store->layout.sector_size_bytes, STORE_TAG);
    return o->store->replicas != NULL && o->codecs != NULL && o->metadata != NULL &&
                   o->sector != NULL
               ? VCK_OK
               : VCK_NO_MEMORY;
}

static void release(struct opening *o)
{
    size_t metadata_bytes = o->store->layout.replica_count * sizeof(*o->metadata);
    if (o->metadata != NULL) {
        vck_wipe(o->metadata, metadata_bytes);
        vck_free_pages(o->metadata, metadata_bytes);
    }
    if (o->sector != NULL)
        vck_free_pages(o->sector, o->store->layout.sector_size_bytes);
    vck_free(o->codecs);
    o->metadata = NULL;
    o->sector = NULL;
    o->codecs = NULL;
}

static vck_status attempt(struct opening *o) VCK_CAN_WAIT
{
    vck_status status = allocate(o);
    if (status == VCK_OK)
        status = read_replicas(o);
    if (status == VCK_OK && o->selector != NULL)
        status = settle(o);
    else if (status == VCK_OK)
        settle_headers(o);
    release(o);
    return status;
}

/* A block in the data may look like one of a volume: when the key does not open what it describes,
 * the next place may. Messages are about the first. Waiting is fine: the search is made by us. */
static bool consider(struct vck_store_search *search, const struct vck_block_header *header,
                     const struct vck_layout *layout, uint32_t replica) VCK_NO_ANALYSIS
{
    struct opening *o = search->context;
    struct vck_store *store = o->store;
    struct vck_replica *first_replicas = store->replicas;
    struct vck_layout first_layout = store->layout;
    o->model = *header;
    o->located = replica;
    store->layout = *layout;
    vck_status status = attempt(o);
    bool is_final = status == VCK_OK || status == VCK_NO_MEMORY || status == VCK_VALIDATION_FAILED;
    if (o->attempted && !is_final) {
        vck_free(store->replicas);
        store->replicas = first_replicas;
        store->layout = first_layout;
        return false;
    }
    vck_free(first_replicas);
    o->attempted = true;
    o->status = status;
    return is_final;
}

static vck_status open_located(struct opening *o, struct vck_disk *disk) VCK_CAN_WAIT
{
    struct vck_store_search search = {.consider = consider, .context = o};
    vck_status status = vck_store_find(disk, &search);
    return status == VCK_OK ? o->status : status;
}

/* ---- the calls ---- */

vck_status vck_store_open(struct vck_store *store, struct vck_disk *disk, struct vck_bytes vmk,
                          const struct vck_codec_selector *selector, uint32_t use_replica)
{
    struct opening o = {
        .store = store,
        .selector = selector != NULL ? selector : &vck_default_selector,
        .use_replica = use_replica,
    };
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    *store = (struct vck_store){.disk = disk};
    if (vmk.size_bytes < 1 || vmk.size_bytes > VCK_VMK_BYTES_MAX)
        return VCK_INVALID_DATA;
    vck_status status = vck_secret_init_copy(&store->vmk, vmk);
    return status == VCK_OK ? open_located(&o, disk) : status;
}

vck_status vck_store_inspect(struct vck_store *store, struct vck_disk *disk)
{
    struct opening o = {.store = store, .use_replica = VCK_STORE_ANY_REPLICA};
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    *store = (struct vck_store){.disk = disk, .loose = true};
    return open_located(&o, disk);
}
