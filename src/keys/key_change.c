/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/key_change.h"
#include "internal.h"

static bool is_rotation(const struct vck_key_change *change)
{
    return change->new_vmk.size_bytes > 0;
}

/* Whether the table was made by somebody who has the key, and for this volume. */
static vck_status check_made(const struct vck_store *store, const struct vck_key_change *change)
{
    struct vck_bytes vmk = vck_secret_bytes(&store->vmk);
    struct vck_bytes maker = is_rotation(change) ? change->new_vmk : vmk;
    uint64_t generation = change->base_generation + 1;
    if (change->base_generation == UINT64_MAX ||
        vck_key_table_check(change->table, store->header.volume_id, generation % KEY_COPIES) !=
            VCK_OK ||
        vck_key_table_generation(change->table) != generation)
        return VCK_INVALID_DATA;
    if (is_rotation(change) &&
        (change->vmk.size_bytes != vmk.size_bytes ||
         !vck_equal_constant_time(change->vmk.data, vmk.data, vmk.size_bytes)))
        return VCK_WRONG_KEY;
    return vck_key_table_verify(change->table, maker) == VCK_OK ? VCK_OK : VCK_WRONG_KEY;
}

/* Whether it was made of what is there. */
static vck_status check_base(const struct vck_key_tables *tables, const struct vck_store *store,
                             const struct vck_key_change *change)
{
    const struct vck_key_table *current =
        vck_key_tables_current(tables, vck_secret_bytes(&store->vmk));
    if (tables->any_future)
        return VCK_UNSUPPORTED;
    uint64_t generation = current != NULL ? vck_key_table_generation(current) : 0;
    if (generation != change->base_generation)
        return VCK_BUSY;
    if (current != NULL || change->start_over)
        return VCK_OK;
    if (tables->table_count > 0)
        return VCK_TAMPERED;
    return tables->any_damaged ? VCK_CHECKSUM_MISMATCH : VCK_OK;
}

static vck_status check(struct vck_store *store, const struct vck_key_change *change) VCK_CAN_WAIT
{
    struct vck_key_tables tables = {0};
    vck_status status = vck_key_tables_read(&tables, store);
    if (status == VCK_OK)
        status = check_made(store, change);
    if (status == VCK_OK)
        status = check_base(&tables, store, change);
    vck_key_tables_fini(&tables);
    return status;
}

vck_status vck_key_change_write(struct vck_store *store, const struct vck_key_change *change,
                                struct vck_key_changed *ret_changed)
{
    struct key_writer writer = {0};
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    *ret_changed = (struct vck_key_changed){.generation = change->base_generation};
    vck_status status = check(store, change);
    if (status != VCK_OK)
        return status;
    status = key_writer_begin(&writer, store, change->table, change->base_generation);
    if (status == VCK_OK)
        status = is_rotation(change) ? key_writer_rotate(&writer, store, change->new_vmk)
                                     : key_writer_change(&writer, vck_secret_bytes(&store->vmk));
    *ret_changed = (struct vck_key_changed){.generation = writer.generation,
                                            .failed_replicas = writer.failed_replicas,
                                            .flush_failed = writer.flush_failed};
    key_writer_end(&writer);
    return status;
}
