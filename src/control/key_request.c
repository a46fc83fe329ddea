/* SPDX-License-Identifier: Apache-2.0 */
/* The key slots of a volume that is attached: the volume writes them, its clients edit them. */
#include "control_internal.h"
#include "vck/disk_io.h"
#include "vck/key_change.h"
#include "vck/key_store.h"

struct key_work {
    struct vck_key_change change;
    struct vck_key_changed changed;
    uint32_t replicas;
};

static vck_status explain(struct control_request *r, const struct vck_volume *volume,
                          const struct key_work *work, vck_status status)
{
    const char *path = vck_volume_path(volume);
    const char *why = NULL;

    if (status == VCK_OK || r->why.text[0])
        return status;
    if (status == VCK_BUSY)
        why = "the key slots have changed meanwhile, or the sweep holds a batch or a new data key";
    else if (status == VCK_WRONG_KEY)
        why = "this was not made with its volume master key";
    else if (status == VCK_INVALID_DATA)
        why = "this is not a table of its key slots";
    else if (status == VCK_TAMPERED)
        why = "the table of key slots is not authentic: somebody has changed it";
    else if (status == VCK_CHECKSUM_MISMATCH)
        why = "no replica has a whole table of key slots";
    else if (status == VCK_UNSUPPORTED)
        why = "its key slots are of a kind or version that is not known here";
    else if (status == VCK_NOT_READY)
        why = "it has no key at the moment";
    else if (work->change.new_vmk.size_bytes > 0)
        why = "the rotation is not complete; the old and the new slots open it; do it again";
    if (why)
        return control_explain(&r->why, status, "%s: %s", path, why);
    return control_explain(&r->why, status, "%s: %s; %u of %u replicas were not written", path,
                           vck_status_text(status), (uint64_t)work->changed.failed_replicas,
                           (uint64_t)work->replicas);
}

static vck_status respond(struct control_request *r, const struct key_work *work)
{
    const struct vck_msg_keys_response response = {
        .generation = work->changed.generation,
        .replicas = work->replicas,
        .failed_replicas = work->changed.failed_replicas,
    };

    return control_respond(r, &response);
}

/* Called through a pointer by the volume, which may wait. */
static vck_status write_change(void *context, struct vck_volume_metadata *metadata) VCK_NO_ANALYSIS
{
    struct key_work *work = context;
    vck_status status;

    if (!metadata->store)
        return VCK_NOT_READY;
    work->replicas = metadata->store->layout.replica_count;
    if (metadata->is_stuck && work->change.new_vmk.size_bytes > 0)
        return VCK_BUSY;
    status = vck_key_change_write(metadata->store, &work->change, &work->changed);
    metadata->flush_failed = work->changed.flush_failed;
    /* Some replicas are enough for a change; a rotation is whole or not at all. */
    if (status == VCK_IO && work->change.new_vmk.size_bytes == 0 && !metadata->flush_failed &&
        work->changed.failed_replicas < work->replicas)
        status = VCK_OK;
    return status;
}

vck_status control_change_keys(struct control_request *r, const void *message)
{
    const struct vck_msg_keys_request *request = message;
    struct vck_key_table *table = vck_alloc_pages(sizeof(*table), CONTROL_TAG);
    struct vck_volume *volume = NULL;
    struct key_work work = {
        .change =
            {
                .table = table,
                .base_generation = request->base_generation,
                .start_over = request->start_over,
                .vmk = request->vmk,
                .new_vmk = request->new_vmk,
            },
    };
    vck_status status = table ? VCK_OK : VCK_NO_MEMORY;

    if (status == VCK_OK && request->table.size_bytes > sizeof(table->bytes))
        status = control_explain(&r->why, VCK_INVALID_DATA, "a table has at most %u bytes",
                                 (uint64_t)sizeof(table->bytes));
    if (status == VCK_OK)
        status = control_find(r, request->volume_path, &volume);
    if (status == VCK_OK) {
        memset(table, 0, sizeof(*table));
        memcpy(table->bytes, request->table.data, request->table.size_bytes);
        status = explain(r, volume, &work, vck_volume_change_metadata(volume, write_change, &work));
        vck_volume_release(volume);
    }
    vck_free_pages(table, sizeof(*table));
    return status ? status : respond(r, &work);
}

/* Needs no key and no store: what is to be overwritten is found by its place. */
static vck_status erase(void *context, struct vck_volume_metadata *metadata) VCK_NO_ANALYSIS
{
    struct key_work *work = context;
    vck_status status = vck_key_erase(metadata->disk, &work->changed.failed_replicas);

    if (metadata->store)
        work->replicas = metadata->store->layout.replica_count;
    metadata->flush_failed = vck_disk_flushed(metadata->disk, VCK_OK) != VCK_OK;
    return status == VCK_IO && work->changed.failed_replicas > 0 ? VCK_OK : status;
}

vck_status control_erase_keys(struct control_request *r, const void *message)
{
    const struct vck_msg_volume_request *request = message;
    struct vck_volume *volume = NULL;
    struct key_work work = {0};
    vck_status status = control_find(r, request->volume_path, &volume);

    if (status)
        return status;
    status = explain(r, volume, &work, vck_volume_change_metadata(volume, erase, &work));
    vck_volume_release(volume);
    return status ? status : respond(r, &work);
}
