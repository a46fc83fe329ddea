/* SPDX-License-Identifier: Apache-2.0 */
#include "control_internal.h"
#include "vck/disk_io.h"
#include "vck/store.h"

/* A PREPARE under way. What is set has to be undone. */
struct preparation {
    const struct vck_msg_prepare_request *request;
    struct control_geometry said;
    struct control_claim *claim;
    struct vck_disk *disk; /* until a volume owns it */
    struct control_block block;
    struct vck_layout layout;
    struct vck_volume *volume; /* a reference of ours, besides the registry's */
    bool is_registered;
    bool is_open;     /* open_disk succeeded */
    bool is_in_place; /* the host was told of the volume */
};

static vck_status read_block(struct control_request *r, struct preparation *p)
{
    const struct vck_bytes *block = &p->request->metadata_block;
    vck_status status;

    if (block->size_bytes == 0)
        return VCK_OK;
    if (block->size_bytes < VCK_BLOCK_BYTES)
        return control_explain(&r->why, VCK_INVALID_DATA,
                               "metadata_block has %u bytes, a block has %u",
                               (uint64_t)block->size_bytes, (uint64_t)VCK_BLOCK_BYTES);
    status = vck_block_decode_header(block->data, &p->block.header);
    if (status)
        return control_explain(&r->why, status, "metadata_block: %s", vck_status_text(status));
    if (p->block.header.metadata_version != VCK_METADATA_PLAIN)
        return control_explain(&r->why, VCK_UNSUPPORTED,
                               "metadata_block is of a volume that is being rekeyed");
    p->block.data = block->data;
    return VCK_OK;
}

static vck_status check_vmk(struct control_request *r, const struct vck_bytes *vmk)
{
    if (vmk->size_bytes <= VCK_VMK_BYTES_MAX)
        return VCK_OK;
    return control_explain(&r->why, VCK_INVALID_DATA, "vmk has %u bytes, at most %u are possible",
                           (uint64_t)vmk->size_bytes, (uint64_t)VCK_VMK_BYTES_MAX);
}

/* ---- where the data region is ---- */

static vck_status layout_from_block(struct control_request *r, struct preparation *p)
{
    const struct vck_block_header *header = &p->block.header;
    const struct control_geometry geometry = {
        .header_count = {true, header->header_count},
        .footer_count = {true, header->footer_count},
        .metadata_size_bytes = {true, header->metadata_size_bytes},
    };
    vck_status status =
        control_layout_init(r, p->disk, &geometry, header->sector_size_bytes, &p->layout);

    if (status == VCK_OK)
        status = control_geometry_check(r, &p->said, &p->layout);
    p->block.layout = p->layout;
    return status;
}

static bool says_nothing(const struct control_geometry *said)
{
    return !said->header_count.is_present && !said->footer_count.is_present &&
           !said->metadata_size_bytes.is_present;
}

/* Nothing on the disk says it, so the request has to. Who sends a key alone takes the disk for a
 * volume. */
static vck_status layout_from_request(struct control_request *r, struct preparation *p)
{
    if (says_nothing(&p->said) && p->request->vmk.size_bytes != 0)
        return control_explain(&r->why, VCK_INVALID_DATA,
                               "%s holds no volume: there is no metadata in the last sector of its "
                               "%u bytes, nor in the first; one that was cut or has grown needs "
                               "its size back",
                               p->request->volume_path, p->disk->size_bytes);
    if (!p->said.header_count.is_present || !p->said.footer_count.is_present ||
        !p->said.metadata_size_bytes.is_present)
        return control_explain(&r->why, VCK_INVALID_DATA,
                               "%s holds no volume, and the request has no metadata_block and not "
                               "all of use_header, use_footer and metadata_size",
                               p->request->volume_path);
    return control_layout_init(r, p->disk, &p->said, p->disk->sector_size_bytes, &p->layout);
}

static vck_status layout_from_disk(struct control_request *r, struct preparation *p) VCK_CAN_WAIT
{
    struct vck_store *store = vck_alloc(sizeof(*store), CONTROL_TAG);
    vck_status status;

    if (!store)
        return VCK_NO_MEMORY;
    status = vck_store_inspect(store, p->disk);
    if (status == VCK_OK) {
        p->layout = store->layout;
        status = control_geometry_check(r, &p->said, &p->layout);
    } else if (status == VCK_SIGNATURE_MISMATCH) {
        status = layout_from_request(r, p);
    } else {
        control_explain(&r->why, status, "the metadata on %s: %s", p->request->volume_path,
                        vck_status_text(status));
    }
    vck_store_fini(store);
    vck_free(store);
    return status;
}

static vck_status find_layout(struct control_request *r, struct preparation *p) VCK_CAN_WAIT
{
    return p->block.data ? layout_from_block(r, p) : layout_from_disk(r, p);
}

/* ---- putting the filter in place ---- */

static vck_status open_disk(struct control_request *r, struct preparation *p) VCK_CAN_WAIT
{
    struct vck_volume *other = NULL;
    vck_status status = control_claim(r, p->request->volume_path, &p->claim);

    if (status)
        return status;
    if (control_find(r, p->request->volume_path, &other) == VCK_OK) {
        status =
            control_explain(&r->why, VCK_UNSUPPORTED, "%s is %s already", p->request->volume_path,
                            vck_volume_is_provisional(other) ? "prepared" : "attached");
        vck_volume_release(other);
        return status;
    }
    r->why.text[0] = 0;
    status = r->host->ops->open_disk(r->host, p->claim->path, p->request->nt_device_path, &p->disk,
                                     &r->why);
    p->is_open = status == VCK_OK;
    return status;
}

static struct vck_volume_options options_of(struct control_request *r, struct vck_bytes vmk)
{
    return (struct vck_volume_options){
        .provider = r->host->provider,
        .vmk = vmk,
        .executor = r->host->executor,
        .batch_bytes = r->host->batch_bytes,
    };
}

static vck_status put_in_place(struct control_request *r, struct preparation *p) VCK_CAN_WAIT
{
    struct vck_volume_options options = options_of(r, (struct vck_bytes){0});
    vck_status status;

    options.path = p->claim->path;
    options.is_os_volume = p->request->is_os_volume;
    options.provisional = true;
    options.layout = &p->layout;
    status = vck_volume_attach(p->disk, &options, &p->volume);
    if (status)
        return status;
    p->disk = NULL;
    vck_volume_reference(p->volume);
    status = vck_registry_insert(r->host->registry, p->volume);
    p->is_registered = status == VCK_OK;
    if (status == VCK_OK && r->host->ops->in_place)
        status = r->host->ops->in_place(r->host, p->volume, &r->why);
    p->is_in_place = status == VCK_OK;
    return status;
}

/* ---- the key ---- */

/* What every replica said to the key, in numbers. */
static vck_status explain_key(struct control_request *r, struct vck_volume *volume,
                              vck_status status, uint32_t replica_count)
{
    if (status == VCK_WRONG_KEY)
        return control_explain(&r->why, status, "%s: the key opens none of its %u replicas",
                               vck_volume_path(volume), (uint64_t)replica_count);
    return control_explain(&r->why, status, "%s: %s", vck_volume_path(volume),
                           vck_status_text(status));
}

static vck_status unlock(struct control_request *r, struct vck_volume *volume, struct vck_bytes vmk,
                         uint32_t replica_count) VCK_CAN_WAIT
{
    struct vck_volume_options options = options_of(r, vmk);
    vck_status status;

    options.path = vck_volume_path(volume);
    options.is_os_volume = vck_volume_is_os_volume(volume);
    status = vck_volume_unlock(volume, &options);
    if (status)
        return explain_key(r, volume, status, replica_count);
    if (r->host->ops->attached)
        r->host->ops->attached(r->host, volume);
    return VCK_OK;
}

/* ---- PREPARE ---- */

/* In reverse order. Until the volume has its key, the blocks are all that was written. */
static void undo(struct control_request *r, struct preparation *p) VCK_CAN_WAIT
{
    bool is_ours = !p->is_registered;

    if (p->is_registered)
        is_ours = vck_registry_remove(r->host->registry, p->volume) == VCK_OK;
    if (p->volume && is_ours) {
        if (p->is_in_place && r->host->ops->out_of_place)
            r->host->ops->out_of_place(r->host, p->volume);
        control_block_undo(vck_volume_disk(p->volume), &p->block);
        (void)vck_volume_detach(p->volume);
    } else if (p->disk) {
        control_block_undo(p->disk, &p->block);
    }
    vck_disk_close(p->disk);
    p->disk = NULL;
}

static vck_status run(struct control_request *r, struct preparation *p) VCK_CAN_WAIT
{
    vck_status status = read_block(r, p);

    if (status == VCK_OK)
        status = check_vmk(r, &p->request->vmk);
    if (status == VCK_OK)
        status = open_disk(r, p);
    if (status == VCK_OK)
        status = find_layout(r, p);
    if (status == VCK_OK && p->block.data)
        status = control_block_write(r, p->disk, p->request->vmk, &p->block);
    if (status == VCK_OK)
        status = put_in_place(r, p);
    if (status == VCK_OK && p->request->vmk.size_bytes)
        status = unlock(r, p->volume, p->request->vmk, p->layout.replica_count);
    return status;
}

/* Kept out of its caller's frame, which is deep. */
static VCK_NOINLINE vck_status answer(struct control_request *r, const struct preparation *p)
{
    struct vck_control_location location = {0};
    struct vck_msg_prepare_response response = {
        .offset_sector = p->layout.data_start_lba,
        .data_sectors = p->layout.data_sectors,
        .sector_size = p->layout.sector_size_bytes,
        .fully_attached = p->request->vmk.size_bytes > 0,
    };

    if (r->host->ops->locate)
        r->host->ops->locate(r->host, p->volume, &location);
    if (*location.raw_partition_path)
        response.raw_partition_path = location.raw_partition_path;
    if (*location.raw_disk_path)
        response.raw_disk_path = location.raw_disk_path;
    if (location.start_bytes.is_present && location.start_bytes.value % response.sector_size == 0)
        response.partition_start_lba =
            (struct vck_optional_u64){true, location.start_bytes.value / response.sector_size};
    return control_respond(r, &response);
}

vck_status control_prepare(struct control_request *r, const void *message)
{
    const struct vck_msg_prepare_request *request = message;
    struct preparation p = {
        .request = request,
        .said = {request->use_header, request->use_footer, request->metadata_size},
    };
    vck_status status = run(r, &p);
    bool is_kept = status == VCK_OK;

    if (is_kept)
        status = answer(r, &p);
    else
        undo(r, &p);
    if (p.is_open && r->host->ops->prepared)
        r->host->ops->prepared(r->host, p.claim->path, is_kept);
    if (p.volume)
        vck_volume_release(p.volume);
    control_block_fini(&p.block);
    control_unclaim(r, p.claim);
    return status;
}

/* ---- ATTACH ---- */

/* Called through a pointer by the volume, which may wait. */
static vck_status inspect(void *context, struct vck_volume_metadata *metadata) VCK_NO_ANALYSIS
{
    return vck_store_inspect(context, metadata->disk);
}

/* By way of the volume, whose disk may be on its way out. */
static vck_status check_disk(struct control_request *r, struct vck_volume *volume,
                             const struct control_geometry *said,
                             uint32_t *ret_replica_count) VCK_CAN_WAIT
{
    struct vck_store *store = vck_alloc(sizeof(*store), CONTROL_TAG);
    vck_status status;

    if (!store)
        return VCK_NO_MEMORY;
    status = vck_volume_change_metadata(volume, inspect, store);
    if (status)
        control_explain(&r->why, status, "the metadata on %s: %s", vck_volume_path(volume),
                        vck_status_text(status));
    else
        status = control_geometry_check(r, said, &store->layout);
    if (status == VCK_OK)
        *ret_replica_count = store->layout.replica_count;
    vck_store_fini(store);
    vck_free(store);
    return status;
}

static vck_status attach_found(struct control_request *r, struct vck_volume *volume,
                               const struct vck_msg_attach_request *request) VCK_CAN_WAIT
{
    const struct control_geometry said = {request->use_header, request->use_footer,
                                          request->metadata_size};
    uint32_t replica_count = 0;
    vck_status status;

    if (!vck_volume_is_provisional(volume))
        return control_explain(&r->why, VCK_UNSUPPORTED, "%s is attached already",
                               vck_volume_path(volume));
    status = check_disk(r, volume, &said, &replica_count);
    if (status == VCK_OK)
        status = unlock(r, volume, request->vmk, replica_count);
    return status;
}

vck_status control_attach(struct control_request *r, const void *message)
{
    const struct vck_msg_attach_request *request = message;
    struct vck_msg_attach_response response;
    struct control_claim *claim;
    struct vck_volume *volume = NULL;
    vck_status status;

    if (request->vmk.size_bytes == 0)
        return control_explain(&r->why, VCK_INVALID_DATA, "vmk is empty");
    status = control_find(r, request->volume_path, &volume);
    if (status)
        return status;
    status = control_claim(r, vck_volume_path(volume), &claim);
    if (status)
        goto out;
    status = attach_found(r, volume, request);
    control_unclaim(r, claim);
    if (status)
        goto out;
    response = (struct vck_msg_attach_response){
        .offset_sector = vck_volume_data_start_lba(volume),
        .total_sectors = vck_volume_data_sectors(volume),
        .sector_size = vck_volume_sector_size_bytes(volume),
    };
    status = control_respond(r, &response);
out:
    vck_volume_release(volume);
    return status;
}
