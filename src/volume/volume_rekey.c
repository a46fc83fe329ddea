/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exchange of a volume's FVEK: its beginning, and what its end means for the volume in memory.
 * In between it is a sweep like any other. Source: docs/format.md, "Rekeying".
 */
#include "vck/disk_io.h"
#include "volume_sweep.h"

bool volume_is_rekeying(const struct vck_volume *volume)
{
    return __atomic_load_n(&volume->is_rekeying, __ATOMIC_ACQUIRE) != 0;
}

void volume_note_rekeying(struct vck_volume *volume)
{
    const struct vck_io_config *config = &volume->config;
    bool is_rekeying = volume->has_config && config->kind == VCK_IO_ENCRYPTED &&
                       config->offset_store && vck_store_is_rekeying(config->offset_store->store);

    __atomic_store_n(&volume->is_rekeying, is_rekeying, __ATOMIC_RELEASE);
}

/* With everybody out of the guard. */
static void set_ciphers(struct vck_volume *volume, struct vck_cipher_supplier *below,
                        struct vck_cipher_supplier *above)
{
    volume->config.cipher = below;
    volume->config.above = above;
}

static void set_version(struct vck_store *store, uint16_t version,
                        const uint8_t nonce[VCK_REKEY_NONCE_BYTES])
{
    store->header.metadata_version = version;
    memcpy(store->rekey_nonce, nonce, VCK_REKEY_NONCE_BYTES);
}

static const uint8_t no_nonce[VCK_REKEY_NONCE_BYTES];

/* ---- the beginning ---- */

static vck_status check(struct vck_volume *volume) VCK_CAN_WAIT
{
    struct vck_offset_store *offset_store = volume->config.offset_store;

    if (!volume->config.can_rekey)
        return VCK_UNSUPPORTED;
    if (!volume_sweep_is_free(volume) ||
        offset_store->store->state.encrypted_offset_sectors != volume->config.data_sectors)
        return VCK_VALIDATION_FAILED;
    return volume->damage.count > 0 || volume->damage.lost_bytes > 0 ? VCK_DAMAGED : VCK_OK;
}

/* From the first replica of version 2 on, the record counts; all of its places are durable. */
static vck_status record_version(struct vck_volume *volume) VCK_CAN_WAIT
{
    struct vck_offset_store *offset_store = volume->config.offset_store;
    struct vck_store *store = offset_store->store;
    struct vck_store_state next = {
        .direction = VCK_ENCRYPTING,
        .intent = VCK_INTENT_RUN,
        .generation = store->state.generation + 1,
    };
    vck_status status;

    set_version(store, VCK_METADATA_REKEY, offset_store->rekey.nonce);
    status = vck_store_write_all(store, &next, true);
    if (status == VCK_OK)
        return VCK_OK;
    set_version(store, VCK_METADATA_PLAIN, no_nonce);
    if (status == VCK_NO_MEMORY)
        return status;
    /* Some replica may have it: what is written next has to be newer. */
    store->state.generation = next.generation;
    volume_note_flush_failure(volume);
    return status;
}

static vck_status open_rekey(struct vck_volume *volume) VCK_CAN_WAIT
{
    struct vck_offset_store *offset_store = volume->config.offset_store;
    struct vck_store *store = offset_store->store;
    struct vck_rekey *rekey = &offset_store->rekey;
    struct vck_cipher_supplier *cipher = NULL;
    struct vck_journal_keys keys;
    vck_status status = vck_rekey_draw(rekey);

    if (status == VCK_OK)
        status = vck_rekey_journal_keys(rekey, store->header.volume_id, &keys);
    if (status == VCK_OK)
        status = vck_cipher_supplier_create_xts(rekey->fvek_key1, rekey->fvek_key2,
                                                store->layout.sector_size_bytes, &cipher);
    if (status == VCK_OK)
        status = vck_rekey_write(store, rekey);
    if (status == VCK_OK)
        status = record_version(volume);
    if (status == VCK_OK) {
        volume_stop_traffic(volume);
        offset_store->keys = keys;
        set_ciphers(volume, cipher, volume->config.cipher);
        volume_note_rekeying(volume);
        volume_show_settled(volume);
    } else {
        if (cipher)
            cipher->destroy(cipher);
        vck_rekey_wipe(rekey);
    }
    vck_journal_keys_wipe(&keys);
    return status;
}

static vck_status begin(struct vck_volume *volume) VCK_CAN_WAIT
{
    vck_status status = check(volume);

    if (status == VCK_OK)
        status = open_rekey(volume);
    return status == VCK_OK ? volume_sweep_start(volume, VCK_ENCRYPTING, true) : status;
}

/* One that ends meanwhile has done what is wanted, or, on its way back, leaves it to the next. */
static vck_status go_on(struct vck_volume *volume) VCK_CAN_WAIT
{
    vck_status status = volume_sweep_start(volume, VCK_ENCRYPTING, true);

    if (status != VCK_NOT_FOUND)
        return status;
    return volume->sweep.direction == VCK_DECRYPTING ? begin(volume) : VCK_OK;
}

vck_status vck_volume_rekey(struct vck_volume *volume)
{
    vck_status status;

    vck_mutex_acquire(&volume->control);
    status = volume_sweep_check(volume);
    if (status == VCK_OK)
        status = volume_is_rekeying(volume) ? go_on(volume) : begin(volume);
    vck_mutex_release(&volume->control);
    return status;
}

vck_status vck_volume_rekey_back(struct vck_volume *volume)
{
    vck_status status;

    vck_mutex_acquire(&volume->control);
    status = volume_sweep_check(volume);
    if (status == VCK_OK && !volume_is_rekeying(volume))
        status = VCK_NOT_FOUND;
    if (status == VCK_OK)
        status = volume_sweep_start(volume, VCK_DECRYPTING, true);
    vck_mutex_release(&volume->control);
    return status;
}

/* ---- the end ---- */

vck_status volume_rekey_end(void *context)
{
    struct vck_volume *volume = context;
    struct vck_io_config *config = &volume->config;
    struct vck_offset_store *offset_store = config->offset_store;
    struct vck_store *store = offset_store->store;
    struct vck_rekey *rekey = &offset_store->rekey;
    bool is_forward = volume->sweep.direction == VCK_ENCRYPTING;
    struct vck_cipher_supplier *kept = is_forward ? config->cipher : config->above;
    struct vck_cipher_supplier *gone = is_forward ? config->above : config->cipher;
    struct vck_guard_view view = {
        .cipher_end = config->data_sectors,
        .hot_end = config->data_sectors,
        .lock_end = UINT64_MAX,
        .lock_readers = true,
    };
    vck_status status = vck_journal_keys_derive(&offset_store->keys, store->header.volume_id,
                                                is_forward ? rekey->fvek_key1 : store->fvek_key1,
                                                is_forward ? rekey->fvek_key2 : store->fvek_key2);

    if (status)
        return status;
    if (is_forward) {
        memcpy(store->fvek_key1, rekey->fvek_key1, sizeof store->fvek_key1);
        memcpy(store->fvek_key2, rekey->fvek_key2, sizeof store->fvek_key2);
    }
    set_version(store, VCK_METADATA_PLAIN, no_nonce);
    set_ciphers(volume, kept, NULL);
    /* Who asks for the status sees the boundary go before the rekey. */
    vck_guard_publish(&volume->guard, &view);
    volume_note_rekeying(volume);
    gone->destroy(gone);
    vck_rekey_wipe(rekey);
    return VCK_OK;
}
