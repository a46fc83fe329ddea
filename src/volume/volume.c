/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/volume.h"
#include "vck/disk_io.h"
#include "vck/request.h"
#include "volume_internal.h"
#include "volume_sweep.h"

#define VOLUME_TAG VCK_TAG('V', 'v', 'o', 'l')

static void volume_destroy(void *context)
{
    struct vck_volume *volume = context;

    vck_mutex_fini(&volume->control);
}

static const struct vck_object_type volume_type = {
    .name = "volume",
    .context_bytes = sizeof(struct vck_volume),
    .destroy = volume_destroy,
};

/* ---- attach ---- */

struct attach_arguments {
    struct vck_disk *disk;
    const struct vck_volume_options *options;
};

static vck_status copy_path(struct vck_volume *volume, const char *path)
{
    size_t length = path ? strlen(path) : 0;

    if (length == 0 || length >= sizeof volume->path)
        return VCK_INVALID_DATA;
    memcpy(volume->path, path, length + 1);
    return VCK_OK;
}

static void use_layout(struct vck_io_config *config, const struct vck_layout *layout)
{
    *config = (struct vck_io_config){
        .kind = VCK_IO_PASSTHROUGH,
        .sector_size_bytes = layout->sector_size_bytes,
        .data_start_lba = layout->data_start_lba,
        .data_sectors = layout->data_sectors,
    };
}

static vck_status ask_provider(struct vck_volume *volume, const struct vck_volume_options *options,
                               struct vck_io_config *ret_config) VCK_CAN_WAIT
{
    struct vck_attach_context context = {
        .disk = volume->disk,
        .vmk = options->vmk,
        .partition_guid = options->partition_guid,
        .is_os_volume = options->is_os_volume,
    };

    return volume->provider->on_attach(volume->provider, &context, ret_config);
}

/* A provider that answers "passthrough" names no geometry: the whole disk. */
static void complete_config(struct vck_volume *volume, struct vck_io_config *config)
{
    if (config->sector_size_bytes == 0) {
        config->sector_size_bytes = volume->disk->sector_size_bytes;
        config->data_start_lba = 0;
        config->data_sectors = volume->disk->size_bytes / volume->disk->sector_size_bytes;
    }
}

vck_status volume_ask_provider(struct vck_volume *volume, const struct vck_volume_options *options,
                               struct vck_io_config *ret_config)
{
    vck_status status = ask_provider(volume, options, ret_config);

    if (status == VCK_OK)
        complete_config(volume, ret_config);
    return status;
}

bool volume_has_geometry(const struct vck_volume *volume, const struct vck_io_config *config)
{
    return config->data_start_lba == volume->config.data_start_lba &&
           config->data_sectors == volume->config.data_sectors &&
           config->sector_size_bytes == volume->config.sector_size_bytes;
}

static void note_access(struct vck_volume *volume)
{
    const struct vck_io_config *config = &volume->config;
    bool can_discard = volume->disk_can_discard && config->kind != VCK_IO_CUSTOM;

    __atomic_store_n(&volume->shape.is_read_only, config->read_only || volume->disk_is_read_only,
                     __ATOMIC_RELEASE);
    __atomic_store_n(&volume->shape.can_discard, can_discard, __ATOMIC_RELEASE);
}

static void note_shape(struct vck_volume *volume)
{
    volume->shape = (struct volume_shape){
        .sector_size_bytes = volume->config.sector_size_bytes,
        .data_start_lba = volume->config.data_start_lba,
        .data_sectors = volume->config.data_sectors,
    };
    note_access(volume);
}

static struct vck_guard_view settled_view(const struct vck_io_config *config)
{
    uint64_t boundary = config->kind == VCK_IO_ENCRYPTED
                            ? config->offset_store->store->state.encrypted_offset_sectors
                            : 0;

    return (struct vck_guard_view){.cipher_end = boundary, .hot_end = boundary};
}

void volume_show_settled(struct vck_volume *volume)
{
    struct vck_guard_view view = settled_view(&volume->config);

    vck_guard_publish(&volume->guard, &view);
}

static void init_parts(struct vck_volume *volume, const struct attach_arguments *arguments)
{
    const struct vck_volume_options *options = arguments->options;

    volume->disk = arguments->disk;
    volume->disk_is_read_only = volume->disk->read_only;
    volume->disk_can_discard = volume->disk->can_discard;
    volume->provider = options->provider ? options->provider : &vck_default_provider;
    volume->is_os_volume = options->is_os_volume;
    volume->executor = options->executor;
    volume->batch_bytes = options->batch_bytes ? options->batch_bytes : VCK_BATCH_BYTES_DEFAULT;
    vck_mutex_init(&volume->control);
    vck_wait_queue_init(&volume->sweep_changed);
    vck_spinlock_init(&volume->status_lock);
}

/* Runs where nobody else can reach the volume yet; attach, which calls it, may wait. */
static vck_status volume_init(struct vck_object *object, void *context,
                              void *argument) VCK_NO_ANALYSIS
{
    struct attach_arguments *arguments = argument;
    const struct vck_volume_options *options = arguments->options;
    struct vck_volume *volume = context;
    struct vck_guard_view view;
    vck_status status;

    (void)object;
    init_parts(volume, arguments);
    status = copy_path(volume, options->path);
    if (status)
        goto out;
    status = vck_pool_init(&volume->pool, BOUNCE_COUNT, BOUNCE_BYTES);
    if (status)
        goto out;
    if (options->provisional)
        use_layout(&volume->config, options->layout);
    else
        status = ask_provider(volume, options, &volume->config);
    if (status)
        goto out;
    volume->has_config = !options->provisional;
    volume_note_rekeying(volume);
    volume->provisional = options->provisional;
    complete_config(volume, &volume->config);
    note_shape(volume);
    view = settled_view(&volume->config);
    vck_guard_init(&volume->guard, &view);
    status = vck_damage_init(&volume->damage, &volume->config, volume->disk);
out:
    if (status) {
        if (volume->has_config)
            volume->provider->on_detach(volume->provider, &volume->config);
        vck_pool_fini(&volume->pool);
        volume_destroy(volume);
    }
    return status;
}

static struct vck_volume *volume_of(struct vck_object *object)
{
    void *context = NULL;
    vck_status status = vck_object_context(object, &volume_type, &context);

    VCK_ASSERT(status == VCK_OK);
    return context;
}

vck_status vck_volume_attach(struct vck_disk *disk, const struct vck_volume_options *options,
                             struct vck_volume **ret_volume)
{
    struct attach_arguments arguments = {.disk = disk, .options = options};
    struct vck_object *object = NULL;
    struct vck_volume *volume;
    vck_status status = vck_object_create(&volume_type, NULL, volume_init, &arguments, &object);

    if (status)
        return status;
    volume = volume_of(object);
    vck_mutex_acquire(&volume->control);
    volume_sweep_continue(volume, options->bound_by_handover);
    vck_mutex_release(&volume->control);
    *ret_volume = volume;
    return VCK_OK;
}

/* The boundary is where it was: it may be asked for meanwhile. */
void volume_stop_traffic(struct vck_volume *volume)
{
    struct vck_guard_view view;
    struct vck_guard_drain drain;

    vck_guard_view_get(&volume->guard, &view);
    view = (struct vck_guard_view){
        .cipher_end = view.cipher_end,
        .hot_end = view.cipher_end,
        .lock_end = UINT64_MAX,
        .lock_readers = true,
    };
    vck_guard_publish(&volume->guard, &view);
    vck_guard_drain_init(&drain, &volume->guard, 0, UINT64_MAX, false);
    vck_block_on(&drain.future);
}

/* Under the control lock, with the traffic stopped. */
static vck_status exchange_config(struct vck_volume *volume,
                                  const struct vck_volume_options *options) VCK_CAN_WAIT
{
    struct vck_io_config config = {0};
    vck_status status = volume_ask_provider(volume, options, &config);

    if (status)
        return status;
    status = volume_has_geometry(volume, &config)
                 ? vck_damage_init(&volume->damage, &config, volume->disk)
                 : VCK_VALIDATION_FAILED;
    if (status) {
        volume->provider->on_detach(volume->provider, &config);
        return status;
    }
    vck_spinlock_acquire(&volume->status_lock);
    volume->config = config;
    vck_spinlock_release(&volume->status_lock);
    volume->has_config = true;
    note_access(volume);
    volume_note_rekeying(volume);
    __atomic_store_n(&volume->provisional, 0, __ATOMIC_RELEASE);
    return VCK_OK;
}

vck_status vck_volume_unlock(struct vck_volume *volume, const struct vck_volume_options *options)
{
    vck_status status = VCK_OK;

    vck_mutex_acquire(&volume->control);
    if (volume->detached)
        status = VCK_DELETED;
    else if (!vck_volume_is_provisional(volume))
        status = VCK_UNSUPPORTED;
    if (status == VCK_OK) {
        volume_stop_traffic(volume);
        status = exchange_config(volume, options);
        volume_show_settled(volume);
    }
    if (status == VCK_OK)
        volume_sweep_continue(volume, options->bound_by_handover);
    vck_mutex_release(&volume->control);
    return status;
}

/* ---- detach ---- */

static void drain_everything(struct vck_volume *volume) VCK_CAN_WAIT
{
    struct vck_guard_drain drain;

    vck_guard_close(&volume->guard);
    vck_guard_drain_init(&drain, &volume->guard, 0, UINT64_MAX, false);
    vck_block_on(&drain.future);
}

/* The geometry stays: requests that come late look at it before the guard turns them away. */
static void close_parts(struct vck_volume *volume) VCK_CAN_WAIT
{
    struct vck_io_config config = volume->config;

    if (!volume->disk->read_only && !__atomic_load_n(&volume->flush_failed, __ATOMIC_ACQUIRE))
        if (vck_disk_flush(volume->disk) != VCK_OK)
            volume_note_flush_failure(volume);
    vck_damage_fini(&volume->damage);
    if (volume->has_config)
        volume->provider->on_detach(volume->provider, &config);
    volume->has_config = false;
    volume_note_rekeying(volume);
    volume_used_end(volume);
    vck_pool_fini(&volume->pool);
    vck_disk_close(volume->disk);
    volume->disk = NULL;
}

vck_status vck_volume_detach(struct vck_volume *volume)
{
    bool first;
    bool failed = false;

    vck_mutex_acquire(&volume->control);
    first = !volume->detached;
    if (first) {
        volume->detached = true;
        volume_sweep_halt(volume);
        drain_everything(volume);
        volume_sweep_end(volume);
        close_parts(volume);
        failed = __atomic_load_n(&volume->flush_failed, __ATOMIC_ACQUIRE) != 0;
    }
    vck_mutex_release(&volume->control);
    if (!first)
        return VCK_DELETED;
    (void)vck_object_delete(vck_volume_object(volume));
    return failed ? VCK_IO : VCK_OK;
}

/* ---- small answers ---- */

struct vck_object *vck_volume_object(struct vck_volume *volume)
{
    return vck_object_of_context(volume);
}

void vck_volume_reference(struct vck_volume *volume)
{
    vck_object_reference(vck_object_of_context(volume), VOLUME_TAG);
}

void vck_volume_release(struct vck_volume *volume)
{
    vck_object_release(vck_object_of_context(volume), VOLUME_TAG);
}

const char *vck_volume_path(const struct vck_volume *volume)
{
    return volume->path;
}

struct vck_disk *vck_volume_disk(struct vck_volume *volume)
{
    return volume->disk;
}

uint32_t vck_volume_sector_size_bytes(const struct vck_volume *volume)
{
    return volume->shape.sector_size_bytes;
}

uint64_t vck_volume_data_start_lba(const struct vck_volume *volume)
{
    return volume->shape.data_start_lba;
}

uint64_t vck_volume_data_sectors(const struct vck_volume *volume)
{
    return volume->shape.data_sectors;
}

bool vck_volume_is_read_only(const struct vck_volume *volume)
{
    return __atomic_load_n(&volume->shape.is_read_only, __ATOMIC_ACQUIRE) != 0;
}

bool vck_volume_can_discard(const struct vck_volume *volume)
{
    return __atomic_load_n(&volume->shape.can_discard, __ATOMIC_ACQUIRE) != 0;
}

bool vck_volume_is_provisional(const struct vck_volume *volume)
{
    return __atomic_load_n(&volume->provisional, __ATOMIC_ACQUIRE) != 0;
}

bool vck_volume_is_os_volume(const struct vck_volume *volume)
{
    return volume->is_os_volume;
}

void volume_note_flush_failure(struct vck_volume *volume)
{
    __atomic_store_n(&volume->flush_failed, 1, __ATOMIC_RELEASE);
}

void vck_volume_damage(struct vck_volume *volume, struct vck_damage_list *ret_list)
{
    vck_damage_snapshot(&volume->damage, ret_list);
}
