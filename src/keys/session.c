/* SPDX-License-Identifier: Apache-2.0 */
/* Changes, so that a cut at any write leaves the old or the new slots. */
#include "internal.h"
#include "vck/disk_io.h"

static struct vck_bytes vmk_of(const struct vck_key_session *session)
{
    return (struct vck_bytes){session->store.vmk.data, session->store.vmk.size_bytes};
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

/* Writes the table with the next generation to the replicas that have not failed yet. */
static vck_status write_round(struct vck_key_session *session, struct vck_bytes vmk,
                              bool *has_failed) VCK_CAN_WAIT
{
    const struct vck_layout *layout = &session->store.layout;
    struct vck_disk *disk = session->store.disk;
    uint64_t generation = session->generation + 1;
    vck_status status = vck_key_table_seal(session->table, generation, vmk);
    if (status != VCK_OK)
        return status;
    for (uint32_t i = 0; i < layout->replica_count; i++) {
        if (has_failed[i])
            continue;
        status = vck_disk_write(disk, vck_key_copy_offset(layout, i, generation % KEY_COPIES),
                                session->table->bytes, sizeof(session->table->bytes));
        if (status == VCK_OK)
            status = vck_disk_flush(disk);
        if (status != VCK_OK) {
            has_failed[i] = true;
            session->failed_replicas++;
        }
    }
    if (session->failed_replicas == layout->replica_count)
        return VCK_IO;
    session->generation = generation;
    return VCK_OK;
}

static vck_status begin_writing(struct vck_key_session *session, bool **ret_has_failed)
{
    size_t size_bytes = session->store.layout.replica_count * sizeof(**ret_has_failed);
    session->failed_replicas = 0;
    if (session->store.disk->read_only)
        return VCK_READ_ONLY;
    *ret_has_failed = vck_alloc(size_bytes, KEYS_TAG);
    if (*ret_has_failed == NULL)
        return VCK_NO_MEMORY;
    memset(*ret_has_failed, 0, size_bytes);
    return VCK_OK;
}

vck_status vck_key_session_commit(struct vck_key_session *session)
{
    bool *has_failed = NULL;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_status status = begin_writing(session, &has_failed);
    if (status == VCK_OK)
        status = write_round(session, vmk_of(session), has_failed);
    if (status == VCK_OK)
        status = write_round(session, vmk_of(session), has_failed);
    if (status == VCK_OK && session->failed_replicas > 0)
        status = VCK_IO;
    vck_free(has_failed);
    return status;
}

/* ---- rotation ---- */

/* After a clean end both halves are zero. */
static vck_status check_journal(struct vck_key_session *session) VCK_CAN_WAIT
{
    struct vck_journal_area area;
    struct vck_disk *disk = session->store.disk;
    vck_status status = VCK_OK;
    uint8_t *block = vck_alloc_pages(VCK_JOURNAL_BLOCK_BYTES, KEYS_TAG);
    if (block == NULL)
        return VCK_NO_MEMORY;
    vck_layout_journal_area(&session->store.layout, &area);
    for (uint32_t i = 0; i < 2 * area.replica_count && status == VCK_OK; i++) {
        uint64_t at = area.journal_offset_bytes[i / 2] + i % 2 * area.half_bytes;
        status = vck_disk_read(disk, at, block, VCK_JOURNAL_BLOCK_BYTES);
        if (status == VCK_OK && !vck_all_zero(block, VCK_JOURNAL_BLOCK_BYTES))
            status = VCK_BUSY;
    }
    vck_free_pages(block, VCK_JOURNAL_BLOCK_BYTES);
    return status;
}

static vck_status seal_blocks(struct vck_key_session *session,
                              struct vck_bytes new_vmk) VCK_CAN_WAIT
{
    struct vck_secret vmk = {0};
    struct vck_store *store = &session->store;
    vck_status status = vck_secret_init_copy(&vmk, new_vmk);
    if (status != VCK_OK)
        return status;
    vck_secret_fini(&store->vmk);
    store->vmk = vmk;
    struct vck_store_state state = store->state;
    state.generation = store->generation_max + 1;
    return vck_store_write_all(store, &state, true);
}

vck_status vck_key_session_rotate(struct vck_key_session *session, struct vck_bytes new_vmk)
{
    bool *has_failed = NULL;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_status status = begin_writing(session, &has_failed);
    if (status == VCK_OK)
        status = check_journal(session);
    if (status == VCK_OK)
        status = write_round(session, new_vmk, has_failed);
    if (status == VCK_OK && session->failed_replicas > 0)
        status = VCK_IO;
    if (status == VCK_OK)
        status = seal_blocks(session, new_vmk);
    if (status == VCK_OK)
        status = write_round(session, new_vmk, has_failed);
    if (status == VCK_OK && session->failed_replicas > 0)
        status = VCK_IO;
    vck_free(has_failed);
    return status;
}

/* ---- the end of all slots ---- */

static vck_status erase(struct vck_store *store, uint32_t *ret_failed_replicas) VCK_CAN_WAIT
{
    vck_status status = VCK_OK;
    uint8_t *zeroes = vck_alloc_pages(VCK_KEY_SLOTS_BYTES, KEYS_TAG);
    if (zeroes == NULL)
        return VCK_NO_MEMORY;
    memset(zeroes, 0, VCK_KEY_SLOTS_BYTES);
    for (uint32_t i = 0; i < store->layout.replica_count; i++) {
        uint64_t at = vck_key_copy_offset(&store->layout, i, 0);
        if (vck_disk_write(store->disk, at, zeroes, VCK_KEY_SLOTS_BYTES) != VCK_OK)
            ++*ret_failed_replicas;
    }
    vck_free_pages(zeroes, VCK_KEY_SLOTS_BYTES);
    status = vck_disk_flush(store->disk);
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
