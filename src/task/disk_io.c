/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/disk_io.h"

/* A FUA write that has no room has not been as far as the flush. */
static bool has_flush_failed(const struct vck_disk_io *io)
{
    if (io->op == VCK_DISK_FLUSH)
        return io->status != VCK_OK;
    return io->op == VCK_DISK_WRITE && (io->flags & VCK_DISK_FUA) != 0 && io->status == VCK_IO;
}

static void on_done(struct vck_disk_io *io)
{
    struct vck_disk_future *f = io->context;

    if (has_flush_failed(io))
        __atomic_store_n(&f->disk->flush_failed, 1, __ATOMIC_RELEASE);
    vck_waker_slot_signal(&f->slot);
}

void vck_disk_future_start(struct vck_disk_future *f)
{
    f->submitted = true;
    f->disk->ops->submit(f->disk, &f->io);
}

static enum vck_poll disk_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_disk_future *f = VCK_CONTAINER_OF(self, struct vck_disk_future, future);

    if (!f->submitted)
        vck_disk_future_start(f);
    return vck_waker_slot_poll(&f->slot, waker) ? VCK_READY : VCK_PENDING;
}

void vck_disk_future_init(struct vck_disk_future *f, struct vck_disk *disk, enum vck_disk_op op,
                          unsigned flags, uint64_t offset_bytes, void *buffer, uint64_t size_bytes)
{
    *f = (struct vck_disk_future){
        .future = {.poll = disk_poll},
        .disk = disk,
        .io = {.op = op,
               .flags = flags,
               .offset_bytes = offset_bytes,
               .size_bytes = size_bytes,
               .buffer = buffer,
               .done = on_done,
               .context = f},
    };
    vck_waker_slot_init(&f->slot);
}

static vck_status run(struct vck_disk *disk, enum vck_disk_op op, uint64_t offset_bytes,
                      void *buffer, uint64_t size_bytes) VCK_CAN_WAIT
{
    struct vck_disk_future f;

    vck_disk_future_init(&f, disk, op, 0, offset_bytes, buffer, size_bytes);
    vck_block_on(&f.future);
    return f.io.status;
}

vck_status vck_disk_read(struct vck_disk *disk, uint64_t offset_bytes, void *buffer,
                         uint64_t size_bytes)
{
    return run(disk, VCK_DISK_READ, offset_bytes, buffer, size_bytes);
}

vck_status vck_disk_write(struct vck_disk *disk, uint64_t offset_bytes, const void *buffer,
                          uint64_t size_bytes)
{
    /* A write only reads the buffer; struct vck_disk_io serves both directions. */
    return run(disk, VCK_DISK_WRITE, offset_bytes, (void *)(uintptr_t)buffer, size_bytes);
}

vck_status vck_disk_flush(struct vck_disk *disk)
{
    return run(disk, VCK_DISK_FLUSH, 0, NULL, 0);
}

vck_status vck_disk_flushed(const struct vck_disk *disk, vck_status status)
{
    bool is_lost = __atomic_load_n(&disk->flush_failed, __ATOMIC_ACQUIRE) != 0;

    return status == VCK_OK && is_lost ? VCK_IO : status;
}

void vck_disk_close(struct vck_disk *disk)
{
    if (disk)
        disk->ops->close(disk);
}
