/* SPDX-License-Identifier: Apache-2.0 */
#include "port/port.h"
#include "vck/disk_io.h"
#include "vck/provider.h"
#include "vck/recover.h"
#include "vck/secret.h"

#define PROVIDER_TAG VCK_TAG('V', 'p', 'r', 'v')

/* What the config of a JVCK volume points into. */
struct jvck {
    struct vck_store store;
    struct vck_offset_store offset_store;
};

static void describe(struct jvck *jvck, struct vck_disk *disk)
{
    struct vck_offset_store *offset_store = &jvck->offset_store;
    const struct vck_layout *layout = &jvck->store.layout;

    offset_store->store = &jvck->store;
    vck_layout_journal_area(layout, &offset_store->area);
    offset_store->chunk_bytes = VCK_MIN(disk->atomic_bytes, layout->sector_size_bytes);
    offset_store->batch_sectors_max = vck_record_sectors_max(
        offset_store->area.half_bytes, layout->sector_size_bytes, offset_store->chunk_bytes);
    offset_store->next_sequence = 1;
}

/* How the data is stored. */
struct ciphers {
    struct vck_cipher_supplier *below;
    struct vck_cipher_supplier *above; /* NULL: nothing is rekeyed */
};

static void destroy_ciphers(struct ciphers *ciphers)
{
    if (ciphers->below)
        ciphers->below->destroy(ciphers->below);
    if (ciphers->above)
        ciphers->above->destroy(ciphers->above);
}

static void fill_config(struct jvck *jvck, const struct ciphers *ciphers,
                        const struct vck_recovery *recovery, struct vck_io_config *ret_config)
{
    const struct vck_layout *layout = &jvck->store.layout;

    *ret_config = (struct vck_io_config){
        .kind = VCK_IO_ENCRYPTED,
        .sector_size_bytes = layout->sector_size_bytes,
        .data_start_lba = layout->data_start_lba,
        .data_sectors = layout->data_sectors,
        .cipher = ciphers->below,
        .above = ciphers->above,
        .offset_store = &jvck->offset_store,
        .can_rekey = true,
        .read_only = recovery->damage_list_full,
        .unauthenticated_header = jvck->store.any_digest_absent,
        .recovered_records = recovery->records_applied,
        .damaged_found = recovery->chunks_damaged,
        .lost_first_byte = recovery->lost_first_byte,
        .lost_bytes = recovery->lost_bytes,
    };
}

static void free_jvck(struct jvck *jvck)
{
    vck_store_fini(&jvck->store);
    vck_journal_keys_wipe(&jvck->offset_store.keys);
    vck_rekey_wipe(&jvck->offset_store.rekey);
    vck_free_pages(jvck, sizeof *jvck);
}

static vck_status make_plain(struct jvck *jvck, struct ciphers *ciphers)
{
    struct vck_store *store = &jvck->store;
    vck_status status = vck_journal_keys_derive(&jvck->offset_store.keys, store->header.volume_id,
                                                store->fvek_key1, store->fvek_key2);

    if (status == VCK_OK)
        status = vck_cipher_supplier_create_xts(store->fvek_key1, store->fvek_key2,
                                                store->layout.sector_size_bytes, &ciphers->below);
    return status;
}

/* The new FVEK below the boundary, the block's above it. */
static vck_status make_rekeying(struct jvck *jvck, struct ciphers *ciphers) VCK_CAN_WAIT
{
    struct vck_store *store = &jvck->store;
    struct vck_rekey *rekey = &jvck->offset_store.rekey;
    vck_status status = vck_rekey_read(store, rekey);

    if (status == VCK_OK)
        status = vck_rekey_journal_keys(rekey, store->header.volume_id, &jvck->offset_store.keys);
    if (status == VCK_OK)
        status = vck_cipher_supplier_create_xts(rekey->fvek_key1, rekey->fvek_key2,
                                                store->layout.sector_size_bytes, &ciphers->below);
    if (status == VCK_OK)
        status = vck_cipher_supplier_create_xts(store->fvek_key1, store->fvek_key2,
                                                store->layout.sector_size_bytes, &ciphers->above);
    return status;
}

/* Opens and recovers; on success the ciphers are made. */
static vck_status open_volume(struct jvck *jvck, const struct vck_attach_context *context,
                              struct vck_recovery *recovery,
                              struct ciphers *ret_ciphers) VCK_CAN_WAIT
{
    struct vck_store *store = &jvck->store;
    struct ciphers ciphers = {0};
    vck_status status = VCK_OK;

    /* What a killed process left in a cache is not durable yet. */
    if (!context->disk->read_only)
        status = vck_disk_flushed(context->disk, vck_disk_flush(context->disk));
    if (status == VCK_OK)
        status = vck_store_open(store, context->disk, context->vmk, NULL, VCK_STORE_ANY_REPLICA);
    if (status == VCK_OK)
        status = vck_store_is_rekeying(store) ? make_rekeying(jvck, &ciphers)
                                              : make_plain(jvck, &ciphers);
    if (status == VCK_OK) {
        describe(jvck, context->disk);
        status = vck_recover(&jvck->offset_store, ciphers.below, ciphers.above, recovery);
    }
    if (status)
        destroy_ciphers(&ciphers);
    else
        *ret_ciphers = ciphers;
    return status;
}

/* Called through a pointer from attach, which may wait. */
static vck_status on_attach(struct vck_provider *provider, const struct vck_attach_context *context,
                            struct vck_io_config *ret_config) VCK_NO_ANALYSIS
{
    struct jvck *jvck = vck_alloc_pages(sizeof *jvck, PROVIDER_TAG);
    struct ciphers ciphers;
    struct vck_recovery recovery = {0};
    vck_status status;

    (void)provider;
    if (!jvck)
        return VCK_NO_MEMORY;
    status = open_volume(jvck, context, &recovery, &ciphers);
    if (status)
        free_jvck(jvck);
    else
        fill_config(jvck, &ciphers, &recovery, ret_config);
    return status;
}

static void on_detach(struct vck_provider *provider, struct vck_io_config *config)
{
    struct ciphers ciphers = {config->cipher, config->above};

    (void)provider;
    destroy_ciphers(&ciphers);
    free_jvck(VCK_CONTAINER_OF(config->offset_store, struct jvck, offset_store));
    memset(config, 0, sizeof *config);
}

struct vck_provider vck_default_provider = {.on_attach = on_attach, .on_detach = on_detach};
