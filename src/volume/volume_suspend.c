/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume without keys for a while. Everything the provider made goes, as when it is detached, and
 * comes again from the disk; what stays is the geometry, and enough to see that the disk is as it
 * was left.
 */
#include "vck/disk_io.h"
#include "vck/secret.h"
#include "volume_sweep.h"

bool vck_volume_is_suspended(const struct vck_volume *volume)
{
    return __atomic_load_n(&volume->suspended, __ATOMIC_ACQUIRE) != 0;
}

static void make_mark(const struct vck_io_config *config, struct volume_mark *ret_mark)
{
    const struct vck_offset_store *offset_store = config->offset_store;
    const struct vck_store *store = offset_store->store;
    struct vck_sha256 sha;

    memset(ret_mark, 0, sizeof *ret_mark);
    memcpy(ret_mark->volume_id, store->header.volume_id, sizeof ret_mark->volume_id);
    ret_mark->metadata_version = store->header.metadata_version;
    ret_mark->encrypted_offset_sectors = store->state.encrypted_offset_sectors;
    vck_sha256_init(&sha);
    vck_sha256_update(&sha, store->fvek_key1, sizeof store->fvek_key1);
    vck_sha256_update(&sha, store->fvek_key2, sizeof store->fvek_key2);
    if (vck_store_is_rekeying(store)) {
        vck_sha256_update(&sha, offset_store->rekey.fvek_key1, VCK_FVEK_KEY_BYTES);
        vck_sha256_update(&sha, offset_store->rekey.fvek_key2, VCK_FVEK_KEY_BYTES);
    }
    vck_sha256_final(&sha, ret_mark->keys);
}

static bool is_as_left(const struct vck_volume *volume, const struct vck_io_config *config)
{
    struct volume_mark now;

    if (config->kind != VCK_IO_ENCRYPTED || !config->offset_store ||
        !volume_has_geometry(volume, config))
        return false;
    make_mark(config, &now);
    return memcmp(&now, &volume->mark, sizeof now) == 0;
}

/* ---- to sleep ---- */

static void drop_keys(struct vck_volume *volume) VCK_CAN_WAIT
{
    struct vck_io_config config = volume->config;

    if (!volume->disk->read_only && !__atomic_load_n(&volume->flush_failed, __ATOMIC_ACQUIRE) &&
        vck_disk_flush(volume->disk) != VCK_OK)
        volume_note_flush_failure(volume);
    make_mark(&config, &volume->mark);
    vck_damage_fini(&volume->damage);
    vck_pool_wipe(&volume->pool);
    volume->config.cipher = NULL;
    volume->config.above = NULL;
    volume->config.offset_store = NULL;
    volume->has_config = false;
    volume->provider->on_detach(volume->provider, &config);
}

static vck_status check_suspend(const struct vck_volume *volume)
{
    if (volume->detached)
        return VCK_DELETED;
    if (vck_volume_is_provisional(volume) || volume->config.kind != VCK_IO_ENCRYPTED ||
        !volume->config.offset_store)
        return VCK_UNSUPPORTED;
    return VCK_OK;
}

static vck_status suspend_locked(struct vck_volume *volume) VCK_CAN_WAIT
{
    vck_status status = check_suspend(volume);

    if (status)
        return status;
    volume->wakes_sweeping = volume_sweep_hold(volume);
    if (!volume_sweep_is_free(volume))
        return VCK_BUSY;
    volume_stop_traffic(volume);
    __atomic_store_n(&volume->suspended, 1, __ATOMIC_RELEASE);
    drop_keys(volume);
    return VCK_OK;
}

vck_status vck_volume_suspend(struct vck_volume *volume)
{
    vck_status status = VCK_OK;

    vck_mutex_acquire(&volume->control);
    if (!vck_volume_is_suspended(volume))
        status = suspend_locked(volume);
    vck_mutex_release(&volume->control);
    return status;
}

/* ---- and back ---- */

/* The geometry is what it was. */
static void take_keys(struct vck_volume *volume, const struct vck_io_config *config)
{
    volume->config.cipher = config->cipher;
    volume->config.above = config->above;
    volume->config.offset_store = config->offset_store;
    volume->has_config = true;
    volume_note_rekeying(volume);
    vck_wipe(&volume->mark, sizeof volume->mark);
    __atomic_store_n(&volume->suspended, 0, __ATOMIC_RELEASE);
}

/* What the volume wrote was flushed when it went to sleep, or it has failed for good since: a disk
 * that is not back yet loses nothing by a flush that fails, and may be asked again. */
static vck_status ask_again(struct vck_volume *volume, struct vck_bytes vmk,
                            struct vck_io_config *ret_config) VCK_CAN_WAIT
{
    const struct vck_volume_options options = {.vmk = vmk, .is_os_volume = volume->is_os_volume};
    uint32_t had_failed = __atomic_load_n(&volume->disk->flush_failed, __ATOMIC_ACQUIRE);
    vck_status status = volume_ask_provider(volume, &options, ret_config);

    if (status)
        __atomic_store_n(&volume->disk->flush_failed, had_failed, __ATOMIC_RELEASE);
    return status;
}

static vck_status wake_locked(struct vck_volume *volume, struct vck_bytes vmk) VCK_CAN_WAIT
{
    struct vck_io_config config = {0};
    vck_status status = ask_again(volume, vmk, &config);

    if (status)
        return status;
    status = is_as_left(volume, &config) ? vck_damage_renew(&volume->damage, &config)
                                         : VCK_VALIDATION_FAILED;
    if (status) {
        volume->provider->on_detach(volume->provider, &config);
        return status;
    }
    take_keys(volume, &config);
    volume_show_settled(volume);
    volume_sweep_let_go(volume, volume->wakes_sweeping);
    return VCK_OK;
}

vck_status vck_volume_wake(struct vck_volume *volume, struct vck_bytes vmk)
{
    vck_status status = VCK_UNSUPPORTED;

    vck_mutex_acquire(&volume->control);
    if (volume->detached)
        status = VCK_DELETED;
    else if (vck_volume_is_suspended(volume))
        status = wake_locked(volume, vmk);
    vck_mutex_release(&volume->control);
    return status;
}

void vck_volume_give_up(struct vck_volume *volume)
{
    vck_mutex_acquire(&volume->control);
    if (vck_volume_is_suspended(volume))
        vck_guard_close(&volume->guard);
    vck_mutex_release(&volume->control);
}
