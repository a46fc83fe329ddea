/* SPDX-License-Identifier: Apache-2.0 */
#include "port/uefi/uefi.h"
#include "vck/bytes.h"
#include "vck/log.h"

#define DISK_TAG VCK_TAG('u', 'd', 's', 'k')

/* Controllers and their drivers have limits of their own; few are tried with more. */
#define PIECE_BYTES (1024u * 1024u)

struct uefi_disk {
    struct vck_disk base;
    struct efi_block_io *block_io;
    struct efi_block_io original; /* its functions when the disk was opened */
};

static efi_status transfer_piece(struct uefi_disk *disk, enum vck_disk_op op, uint64_t offset_bytes,
                                 uint8_t *buffer, uint64_t size_bytes)
{
    struct efi_block_io *io = disk->block_io;
    uint64_t lba = offset_bytes / disk->base.sector_size_bytes;

    if (op == VCK_DISK_WRITE)
        return disk->original.WriteBlocks(io, io->Media->MediaId, lba, size_bytes, buffer);
    return disk->original.ReadBlocks(io, io->Media->MediaId, lba, size_bytes, buffer);
}

static efi_status transfer(struct uefi_disk *disk, const struct vck_disk_io *io)
{
    efi_status status = EFI_SUCCESS;

    for (uint64_t at = 0; at < io->size_bytes && status == EFI_SUCCESS; at += PIECE_BYTES)
        status = transfer_piece(disk, io->op, io->offset_bytes + at, (uint8_t *)io->buffer + at,
                                VCK_MIN(io->size_bytes - at, PIECE_BYTES));
    return status;
}

static efi_status flush(struct uefi_disk *disk)
{
    return disk->original.FlushBlocks(disk->block_io);
}

static efi_status perform(struct uefi_disk *disk, const struct vck_disk_io *io)
{
    efi_status status;

    switch (io->op) {
    case VCK_DISK_READ:
        return transfer(disk, io);
    case VCK_DISK_WRITE:
        status = transfer(disk, io);
        return status == EFI_SUCCESS && io->flags & VCK_DISK_FUA ? flush(disk) : status;
    case VCK_DISK_FLUSH:
        return flush(disk);
    case VCK_DISK_DISCARD:
        break;
    }
    return EFI_UNSUPPORTED;
}

static void submit(struct vck_disk *base, struct vck_disk_io *io)
{
    struct uefi_disk *disk = VCK_CONTAINER_OF(base, struct uefi_disk, base);

    if (io->op != VCK_DISK_FLUSH && (io->offset_bytes > base->size_bytes ||
                                     io->size_bytes > base->size_bytes - io->offset_bytes))
        io->status = VCK_OUT_OF_RANGE;
    else
        io->status = vck_uefi_status(perform(disk, io));
    io->done(io);
}

static vck_status query_size(struct vck_disk *base, uint64_t *ret_size_bytes)
{
    *ret_size_bytes = base->size_bytes;
    return VCK_OK;
}

static void close_disk(struct vck_disk *base)
{
    vck_free(VCK_CONTAINER_OF(base, struct uefi_disk, base));
}

static const struct vck_disk_ops ops = {
    .submit = submit,
    .query_size = query_size,
    .close = close_disk,
};

vck_status vck_uefi_disk_open(struct efi_block_io *block_io, const char *name,
                              struct vck_disk **ret_disk)
{
    const struct efi_media *media = block_io->Media;
    struct uefi_disk *disk;

    if (!media->MediaPresent || (media->BlockSize != 512 && media->BlockSize != 4096))
        return VCK_UNSUPPORTED;
    disk = vck_alloc(sizeof *disk, DISK_TAG);
    if (disk == NULL)
        return VCK_NO_MEMORY;
    disk->block_io = block_io;
    disk->original = *block_io;
    disk->base = (struct vck_disk){
        .ops = &ops,
        .size_bytes = (media->LastBlock + 1) * media->BlockSize,
        .sector_size_bytes = media->BlockSize,
        .atomic_bytes = media->BlockSize,
        .alignment_bytes = VCK_MAX(media->IoAlign, 1u),
        .read_only = media->ReadOnly,
    };
    (void)vck_format(disk->base.name, sizeof disk->base.name, "%s", name);
    *ret_disk = &disk->base;
    return VCK_OK;
}
