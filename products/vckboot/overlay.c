/* SPDX-License-Identifier: Apache-2.0 */
#include "overlay.h"
#include "path.h"
#include "vck/bytes.h"
#include "vck/log.h"
#include "view.h"

#define OVERLAY_TAG VCK_TAG('b', 'o', 'v', 'l')

struct overlay {
    struct view view;
    enum vck_boot_mode mode;
    efi_handle partition;
    efi_handle handle;
    /* Of a handle of its own: */
    struct efi_device_path *path;
    struct efi_media media;
    struct efi_block_io block_io;
    struct efi_block_io2 block_io2;
    /* Of the partition's, in patch mode: the interfaces, and what they were. */
    struct efi_block_io *patched;
    struct efi_block_io2 *patched2; /* NULL: it has none */
    struct efi_block_io original;
    struct efi_block_io2 original2;
    uint64_t original_last_block;
};

/* In patch mode the firmware's own interface is passed, which says nothing about us. */
static struct overlay *current;

/* ---- what the firmware calls ---- */

static efi_status check(const void *buffer, uint32_t media_id, uint64_t size_bytes)
{
    if (media_id != current->patched->Media->MediaId)
        return EFI_MEDIA_CHANGED;
    return buffer == NULL && size_bytes > 0 ? EFI_INVALID_PARAMETER : EFI_SUCCESS;
}

/* One caller at a time: the firmware's notifications use disks, too. A caller above the level that
 * is allowed keeps its own. Returns the level to go back to. */
static uint64_t enter(void)
{
    uint64_t level = vck_uefi_boot->RaiseTPL(TPL_HIGH);

    vck_uefi_boot->RestoreTPL(VCK_MAX(level, TPL_CALLBACK));
    return level;
}

/* Called through pointers, by callers that may wait. */
static efi_status read(uint32_t media_id, uint64_t lba, uint64_t size_bytes,
                       void *buffer) VCK_NO_ANALYSIS
{
    efi_status status = check(buffer, media_id, size_bytes);
    uint64_t level;

    if (status != EFI_SUCCESS || size_bytes == 0)
        return status;
    level = enter();
    status = vck_uefi_status_of(view_read(&current->view, lba, buffer, size_bytes));
    vck_uefi_boot->RestoreTPL(level);
    return status;
}

static efi_status write(uint32_t media_id, uint64_t lba, uint64_t size_bytes,
                        const void *buffer) VCK_NO_ANALYSIS
{
    efi_status status = check(buffer, media_id, size_bytes);
    uint64_t level;

    if (status != EFI_SUCCESS || size_bytes == 0)
        return status;
    level = enter();
    status = vck_uefi_status_of(view_write(&current->view, lba, buffer, size_bytes));
    vck_uefi_boot->RestoreTPL(level);
    return status;
}

static efi_status flush(void) VCK_NO_ANALYSIS
{
    efi_status status;
    uint64_t level;

    if (vck_volume_is_read_only(current->view.volume))
        return EFI_SUCCESS;
    level = enter();
    status = vck_uefi_status_of(view_flush(&current->view));
    vck_uefi_boot->RestoreTPL(level);
    return status;
}

static efi_status EFIAPI reset(struct efi_block_io *This, uint8_t extended)
{
    (void)This;
    (void)extended;
    return EFI_SUCCESS;
}

static efi_status EFIAPI read_blocks(struct efi_block_io *This, uint32_t media_id, uint64_t lba,
                                     uint64_t size_bytes, void *buffer)
{
    (void)This;
    return read(media_id, lba, size_bytes, buffer);
}

static efi_status EFIAPI write_blocks(struct efi_block_io *This, uint32_t media_id, uint64_t lba,
                                      uint64_t size_bytes, const void *buffer)
{
    (void)This;
    return write(media_id, lba, size_bytes, buffer);
}

static efi_status EFIAPI flush_blocks(struct efi_block_io *This)
{
    (void)This;
    return flush();
}

static efi_status EFIAPI reset2(struct efi_block_io2 *This, uint8_t extended)
{
    (void)This;
    (void)extended;
    return EFI_SUCCESS;
}

/* The work is done by now; a caller with an event finds it signalled. */
static efi_status complete(struct efi_block_io2_token *token, efi_status status)
{
    if (token == NULL || token->Event == NULL)
        return status;
    token->TransactionStatus = status;
    (void)vck_uefi_boot->SignalEvent(token->Event);
    return EFI_SUCCESS;
}

static efi_status EFIAPI read_blocks2(struct efi_block_io2 *This, uint32_t media_id, uint64_t lba,
                                      struct efi_block_io2_token *token, uint64_t size_bytes,
                                      void *buffer)
{
    (void)This;
    return complete(token, read(media_id, lba, size_bytes, buffer));
}

static efi_status EFIAPI write_blocks2(struct efi_block_io2 *This, uint32_t media_id, uint64_t lba,
                                       struct efi_block_io2_token *token, uint64_t size_bytes,
                                       const void *buffer)
{
    (void)This;
    return complete(token, write(media_id, lba, size_bytes, buffer));
}

static efi_status EFIAPI flush_blocks2(struct efi_block_io2 *This,
                                       struct efi_block_io2_token *token)
{
    (void)This;
    return complete(token, flush());
}

/* ---- a handle of its own ---- */

static void fill_own(struct overlay *o)
{
    o->media = *o->patched->Media;
    o->media.BlockSize = o->view.block_bytes;
    o->media.LastBlock = o->view.blocks - 1;
    o->media.ReadOnly = vck_volume_is_read_only(o->view.volume);
    o->media.IoAlign = 0;
    o->media.LowestAlignedLba = 0;
    o->media.LogicalBlocksPerPhysicalBlock = 1;
    o->media.OptimalTransferLengthGranularity = 0;
    o->block_io = (struct efi_block_io){
        .Revision = 0x2001f, /* the third: every field of the media is there */
        .Media = &o->media,
        .Reset = reset,
        .ReadBlocks = read_blocks,
        .WriteBlocks = write_blocks,
        .FlushBlocks = flush_blocks,
    };
    o->block_io2 = (struct efi_block_io2){
        .Media = &o->media,
        .Reset = reset2,
        .ReadBlocksEx = read_blocks2,
        .WriteBlocksEx = write_blocks2,
        .FlushBlocksEx = flush_blocks2,
    };
}

static vck_status install_own(struct overlay *o)
{
    struct efi_device_path *parent = NULL;
    efi_status status =
        vck_uefi_boot->HandleProtocol(o->partition, &efi_device_path_guid, (void **)&parent);

    if (status != EFI_SUCCESS)
        return vck_uefi_status(status);
    o->path = path_with_volume_node(parent);
    if (o->path == NULL)
        return VCK_NO_MEMORY;
    fill_own(o);
    return vck_uefi_status(vck_uefi_boot->InstallMultipleProtocolInterfaces(
        &o->handle, &efi_device_path_guid, o->path, &efi_block_io_guid, &o->block_io,
        &efi_block_io2_guid, &o->block_io2, NULL));
}

static void uninstall_own(struct overlay *o)
{
    if (o->handle == NULL)
        return;
    (void)vck_uefi_boot->DisconnectController(o->handle, NULL, NULL);
    (void)vck_uefi_boot->UninstallMultipleProtocolInterfaces(
        o->handle, &efi_device_path_guid, o->path, &efi_block_io_guid, &o->block_io,
        &efi_block_io2_guid, &o->block_io2, NULL);
}

/* ---- the partition's ---- */

/* The media is shared between both interfaces in some firmware, and not in other. */
static void set_last_block(struct overlay *o, uint64_t last_block)
{
    o->patched->Media->LastBlock = last_block;
    if (o->patched2 != NULL)
        o->patched2->Media->LastBlock = last_block;
}

static void patch(struct overlay *o)
{
    o->handle = o->partition;
    o->original = *o->patched;
    o->original_last_block = o->patched->Media->LastBlock;
    o->patched->ReadBlocks = read_blocks;
    o->patched->WriteBlocks = write_blocks;
    o->patched->FlushBlocks = flush_blocks;
    if (o->patched2 != NULL) {
        o->original2 = *o->patched2;
        o->patched2->ReadBlocksEx = read_blocks2;
        o->patched2->WriteBlocksEx = write_blocks2;
        o->patched2->FlushBlocksEx = flush_blocks2;
    }
    set_last_block(o, o->view.blocks - 1);
}

static void unpatch(struct overlay *o)
{
    if (o->handle == NULL)
        return;
    (void)vck_uefi_boot->DisconnectController(o->handle, NULL, NULL);
    set_last_block(o, o->original_last_block);
    *o->patched = o->original;
    if (o->patched2 != NULL)
        *o->patched2 = o->original2;
    (void)vck_uefi_boot->ConnectController(o->handle, NULL, NULL, true);
}

/* ---- both ---- */

static vck_status look_up_partition(struct overlay *o)
{
    efi_status status =
        vck_uefi_boot->HandleProtocol(o->partition, &efi_block_io_guid, (void **)&o->patched);

    if (status == EFI_SUCCESS &&
        vck_uefi_boot->HandleProtocol(o->partition, &efi_block_io2_guid, (void **)&o->patched2) !=
            EFI_SUCCESS)
        o->patched2 = NULL;
    return vck_uefi_status(status);
}

static vck_status show(struct overlay *o, struct vck_volume *volume)
{
    vck_status status = look_up_partition(o);
    uint32_t block_bytes;

    if (status)
        return status;
    block_bytes = o->mode == VCK_BOOT_PATCH ? o->patched->Media->BlockSize
                                            : vck_volume_sector_size_bytes(volume);
    status = view_init(&o->view, volume, block_bytes);
    if (status)
        return status;
    current = o;
    if (o->mode == VCK_BOOT_OVERLAY)
        return install_own(o);
    /* What was read as ciphertext is cached, and whoever made sense of it must let go. */
    (void)vck_uefi_boot->DisconnectController(o->partition, NULL, NULL);
    patch(o);
    return VCK_OK;
}

vck_status overlay_create(efi_handle partition, struct vck_volume *volume, enum vck_boot_mode mode,
                          struct overlay **ret_overlay)
{
    struct overlay *o = vck_alloc(sizeof *o, OVERLAY_TAG);
    vck_status status;

    if (o == NULL)
        return VCK_NO_MEMORY;
    o->partition = partition;
    o->mode = mode;
    status = show(o, volume);
    if (status) {
        overlay_destroy(o);
        return status;
    }
    /* Whether a file system was found shows when it is opened; this says nothing reliable. */
    (void)vck_uefi_boot->ConnectController(o->handle, NULL, NULL, true);
    *ret_overlay = o;
    return VCK_OK;
}

efi_handle overlay_handle(const struct overlay *overlay)
{
    return overlay->handle;
}

void overlay_destroy(struct overlay *overlay)
{
    if (overlay == NULL)
        return;
    if (overlay->mode == VCK_BOOT_OVERLAY)
        uninstall_own(overlay);
    else
        unpatch(overlay);
    current = NULL;
    vck_free(overlay->path);
    view_fini(&overlay->view);
    vck_free(overlay);
}
