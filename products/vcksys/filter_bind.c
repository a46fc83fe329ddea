/* SPDX-License-Identifier: Apache-2.0 */
/* Disk and volume of a filter. */
#include "products/vcksys/filter_internal.h"

/* ---- the disk ---- */

static void disk_closed(void *context)
{
    struct filter *filter = context;

    vck_spinlock_acquire(&filter->state);
    filter->has_disk = false;
    vck_spinlock_release(&filter->state);
    filter_release(filter);
}

static vck_status claim_disk(struct filter *filter)
{
    vck_status status = VCK_OK;

    if (!filter_reference(filter))
        return VCK_DELETE_PENDING;
    vck_spinlock_acquire(&filter->state);
    if (filter->is_leaving)
        status = VCK_DELETE_PENDING;
    else if (filter->has_disk)
        status = VCK_BUSY;
    else
        filter->has_disk = true;
    vck_spinlock_release(&filter->state);
    if (status)
        filter_release(filter);
    return status;
}

vck_status filter_open_disk(struct filter *filter, struct vck_disk **ret_disk)
{
    struct vck_disk_lower_options options = {
        .origin = filter_origin,
        .arrived = filter_arrived,
        .closed = disk_closed,
        .context = filter,
    };
    vck_status status = claim_disk(filter);

    if (status)
        return status;
    status = vck_disk_lower_open(filter->lower, &options, ret_disk);
    if (status)
        disk_closed(filter);
    return status;
}

/* ---- the volume ---- */

static void free_binding(struct binding *binding)
{
    if (binding->volume)
        vck_volume_release(binding->volume);
    reserve_fini(&binding->reserve);
    vck_free(binding->lanes);
    vck_free(binding);
}

static vck_status make_binding(struct filter *filter, struct vck_volume *volume,
                               struct binding **ret_binding)
{
    uint32_t sector_size_bytes = vck_volume_sector_size_bytes(volume);
    struct binding *binding = vck_alloc(sizeof *binding, FILTER_TAG);

    if (!binding)
        return VCK_NO_MEMORY;
    binding->view = (struct view){
        .sector_size_bytes = sector_size_bytes,
        .start_bytes = vck_volume_data_start_lba(volume) * sector_size_bytes,
        .size_bytes = vck_volume_data_sectors(volume) * sector_size_bytes,
    };
    binding->lane_count = filter_room_options()->lanes;
    binding->lanes = vck_alloc(binding->lane_count * sizeof *binding->lanes, FILTER_TAG);
    if (!binding->lanes || reserve_init(&binding->reserve)) {
        free_binding(binding);
        return VCK_NO_MEMORY;
    }
    for (uint32_t i = 0; i < binding->lane_count; i++)
        filter_lane_init(&binding->lanes[i], filter);
    vck_volume_reference(volume);
    binding->volume = volume;
    *ret_binding = binding;
    return VCK_OK;
}

static vck_status publish(struct filter *filter, struct binding *binding)
{
    vck_status status = VCK_OK;

    vck_spinlock_acquire(&filter->state);
    if (filter->is_leaving)
        status = VCK_DELETE_PENDING;
    else if (filter->binding)
        status = VCK_ALREADY_EXISTS;
    else
        filter->binding = binding;
    vck_spinlock_release(&filter->state);
    return status;
}

static void withdraw(struct filter *filter)
{
    vck_spinlock_acquire(&filter->state);
    filter->binding = NULL;
    vck_spinlock_release(&filter->state);
}

static void stop_lanes(struct filter *filter, struct binding *binding, uint32_t count) VCK_CAN_WAIT
{
    filter_lanes_end(filter, binding);
    for (uint32_t i = 0; i < count; i++)
        vck_block_on(&binding->lanes[i].join.future);
    __atomic_store_n(&filter->lanes, NULL, __ATOMIC_RELEASE);
}

static vck_status start_lanes(struct filter *filter, struct binding *binding) VCK_CAN_WAIT
{
    __atomic_store_n(&filter->lanes, binding->lanes, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < binding->lane_count; i++) {
        struct lane *lane = &binding->lanes[i];
        vck_status status =
            vck_executor_spawn(filter_room_options()->executor, &lane->task, &lane->join);

        if (status) {
            stop_lanes(filter, binding, i);
            return status;
        }
    }
    return VCK_OK;
}

vck_status filter_bind(struct filter *filter, struct vck_volume *volume)
{
    struct binding *binding = NULL;
    vck_status status;

    vck_mutex_acquire(&filter->control);
    status = make_binding(filter, volume, &binding);
    if (status)
        goto out;
    status = publish(filter, binding);
    if (status) {
        free_binding(binding);
        goto out;
    }
    status = start_lanes(filter, binding);
    if (status) {
        withdraw(filter);
        free_binding(binding);
        goto out;
    }
    vck_rundown_reset(&filter->bound);
out:
    vck_mutex_release(&filter->control);
    return status;
}

void filter_unbind(struct filter *filter)
{
    struct binding *binding;

    vck_mutex_acquire(&filter->control);
    binding = filter->binding;
    if (binding) {
        vck_rundown_wait(&filter->bound);
        stop_lanes(filter, binding, binding->lane_count);
        withdraw(filter);
        free_binding(binding);
    }
    vck_mutex_release(&filter->control);
}

struct vck_volume *filter_get_volume(struct filter *filter)
{
    struct vck_volume *volume = NULL;

    vck_spinlock_acquire(&filter->state);
    if (filter->binding) {
        volume = filter->binding->volume;
        vck_volume_reference(volume);
    }
    vck_spinlock_release(&filter->state);
    return volume;
}

/* A volume without key may hold anything. */
bool filter_holds_ciphertext(struct filter *filter)
{
    struct vck_volume *volume = filter_get_volume(filter);
    struct vck_volume_status *seen;
    bool holds = true;

    if (!volume)
        return filter_refuses_writes(filter);
    seen = vck_alloc(sizeof *seen, FILTER_TAG);
    if (seen) {
        vck_volume_query(volume, seen);
        holds = !seen->is_attached || seen->encrypted_sectors != 0 || seen->hot_sectors != 0 ||
                seen->state == VCK_STATE_ENCRYPTING;
    }
    vck_free(seen);
    vck_volume_release(volume);
    return holds;
}

void filter_get_usage(const struct filter *filter, struct filter_usage *ret_usage)
{
    ret_usage->paging = __atomic_load_n(&filter->usage.paging, __ATOMIC_RELAXED);
    ret_usage->hibernation = __atomic_load_n(&filter->usage.hibernation, __ATOMIC_RELAXED);
    ret_usage->dump = __atomic_load_n(&filter->usage.dump, __ATOMIC_RELAXED);
    ret_usage->boot = __atomic_load_n(&filter->usage.boot, __ATOMIC_RELAXED);
}
