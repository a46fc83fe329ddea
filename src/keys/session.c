/* SPDX-License-Identifier: Apache-2.0 */
/* Changes, so that a cut at any write leaves the old or the new slots. */
#include "internal.h"
#include "vck/disk_io.h"

static struct vck_bytes vmk_of(const struct vck_key_session *session)
{
    return vck_secret_bytes(&session->store.vmk);
}

/* ---- beginning and end ---- */

static vck_status take_current(struct vck_key_session *session, bool start_over)
{
    const struct vck_key_tables *tables = &session->tables;
    const struct vck_key_table *current = vck_key_tables_current(tables, vmk_of(session));
    if (tables->any_future)
        return VCK_UNSUPPORTED;
    if (current != NULL) {
        memcpy(session->table, current, sizeof(*current));
        session->generation = vck_key_table_generation(current);
        return VCK_OK;
    }
    if (tables->table_count > 0 && !start_over)
        return VCK_TAMPERED;
    if (tables->any_damaged && !start_over)
        return VCK_CHECKSUM_MISMATCH;
    vck_key_table_init(session->table, tables->volume_id);
    return VCK_OK;
}

vck_status vck_key_session_open(struct vck_key_session *session, struct vck_disk *disk,
                                struct vck_bytes vmk, bool start_over)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    memset(session, 0, sizeof(*session));
    vck_status status = vck_store_open(&session->store, disk, vmk, NULL, VCK_STORE_ANY_REPLICA);
    if (status == VCK_OK)
        status = vck_key_tables_read(&session->tables, &session->store);
    if (status != VCK_OK)
        return status;
    session->table = vck_alloc_pages(sizeof(*session->table), KEYS_TAG);
    return session->table != NULL ? take_current(session, start_over) : VCK_NO_MEMORY;
}

void vck_key_session_fini(struct vck_key_session *session)
{
    vck_free_pages(session->table, sizeof(*session->table));
    vck_key_tables_fini(&session->tables);
    vck_store_fini(&session->store);
    memset(session, 0, sizeof(*session));
}

/* ---- writing ---- */

static void end_writing(struct vck_key_session *session, struct key_writer *writer)
{
    session->generation = writer->generation;
    session->failed_replicas = writer->failed_replicas;
    key_writer_end(writer);
}

vck_status vck_key_session_commit(struct vck_key_session *session)
{
    struct key_writer writer = {0};
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_status status =
        key_writer_begin(&writer, &session->store, session->table, session->generation);
    if (status == VCK_OK)
        status = key_writer_change(&writer, vmk_of(session));
    end_writing(session, &writer);
    return status;
}

vck_status vck_key_session_rotate(struct vck_key_session *session, struct vck_bytes new_vmk)
{
    struct key_writer writer = {0};
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_status status =
        key_writer_begin(&writer, &session->store, session->table, session->generation);
    if (status == VCK_OK)
        status = key_writer_rotate(&writer, &session->store, new_vmk);
    end_writing(session, &writer);
    return status;
}

/* ---- the end of all slots ---- */

static vck_status erase(struct vck_store *store, uint32_t *ret_failed_replicas) VCK_CAN_WAIT
{
    vck_status status = VCK_OK;
    uint8_t *zeroes = vck_alloc_pages(VCK_KEY_TABLE_BYTES, KEYS_TAG);
    if (zeroes == NULL)
        return VCK_NO_MEMORY;
    memset(zeroes, 0, VCK_KEY_TABLE_BYTES);
    for (uint32_t i = 0; i < store->layout.replica_count; i++) {
        bool has_failed = false;
        for (uint32_t copy = 0; copy < KEY_COPIES; copy++)
            has_failed |= vck_disk_write(store->disk, vck_key_copy_offset(&store->layout, i, copy),
                                         zeroes, VCK_KEY_TABLE_BYTES) != VCK_OK;
        *ret_failed_replicas += has_failed;
    }
    vck_free_pages(zeroes, VCK_KEY_TABLE_BYTES);
    status = vck_disk_flush(store->disk);
    if (status != VCK_OK)
        *ret_failed_replicas = 0;
    return status == VCK_OK && *ret_failed_replicas > 0 ? VCK_IO : status;
}

vck_status vck_key_erase(struct vck_disk *disk, uint32_t *ret_failed_replicas)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    *ret_failed_replicas = 0;
    if (disk->read_only)
        return VCK_READ_ONLY;
    struct vck_store *store = vck_alloc(sizeof(*store), KEYS_TAG);
    if (store == NULL)
        return VCK_NO_MEMORY;
    vck_status status = vck_store_inspect(store, disk);
    if (status == VCK_OK && store->header.vendor_id != 0)
        status = VCK_UNSUPPORTED;
    if (status == VCK_OK)
        status = erase(store, ret_failed_replicas);
    vck_store_fini(store);
    vck_free(store);
    return status;
}
