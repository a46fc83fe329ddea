/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory_disk.h"
#include "vck/bytes.h"

static struct memory_disk *of(struct vck_disk *disk)
{
    return VCK_CONTAINER_OF(disk, struct memory_disk, disk);
}

static vck_status perform(struct memory_disk *m, struct vck_disk_io *io)
{
    m->operations++;
    if (m->fail_at != 0 && --m->fail_at == 0) {
        if (m->fail_more) {
            m->fail_more--;
            m->fail_at = 1;
        }
        return m->fail_with != VCK_OK ? m->fail_with : VCK_IO;
    }
    if (io->op == VCK_DISK_FLUSH) {
        m->flushes++;
        return VCK_OK;
    }
    if (io->offset_bytes > m->disk.size_bytes ||
        io->size_bytes > m->disk.size_bytes - io->offset_bytes)
        return VCK_OUT_OF_RANGE;
    if (io->offset_bytes % m->disk.sector_size_bytes || io->size_bytes % m->disk.sector_size_bytes)
        return VCK_INVALID_DATA;
    if (io->op == VCK_DISK_READ)
        memcpy(io->buffer, m->data + io->offset_bytes, io->size_bytes);
    else if (m->disk.read_only)
        return VCK_READ_ONLY;
    else if (io->op == VCK_DISK_WRITE)
        memcpy(m->data + io->offset_bytes, io->buffer, io->size_bytes);
    else
        memset(m->data + io->offset_bytes, 0, io->size_bytes);
    return VCK_OK;
}

static void submit(struct vck_disk *disk, struct vck_disk_io *io)
{
    /* A real disk orders what overlaps; here a lock does. */
    pthread_mutex_lock(&of(disk)->lock);
    io->status = perform(of(disk), io);
    pthread_mutex_unlock(&of(disk)->lock);
    io->done(io);
}

static vck_status query_size(struct vck_disk *disk, uint64_t *ret_size_bytes)
{
    *ret_size_bytes = disk->size_bytes;
    return VCK_OK;
}

static void close_disk(struct vck_disk *disk)
{
    struct memory_disk *m = of(disk);
    bool *closed = m->closed;

    m->disk.flush_failed = 0;
    if (!m->keep)
        memory_disk_free(m);
    /* From here on it may be opened again. */
    if (closed)
        __atomic_store_n(closed, true, __ATOMIC_RELEASE);
}

static const struct vck_disk_ops ops = {
    .submit = submit,
    .query_size = query_size,
    .close = close_disk,
};

struct memory_disk *memory_disk_create(uint64_t size_bytes, uint32_t sector_size_bytes)
{
    struct memory_disk *m = calloc(1, sizeof *m);

    if (!m)
        abort();
    pthread_mutex_init(&m->lock, NULL);
    m->data = calloc(1, size_bytes);
    if (!m->data)
        abort();
    m->disk = (struct vck_disk){
        .ops = &ops,
        .size_bytes = size_bytes,
        .sector_size_bytes = sector_size_bytes,
        .atomic_bytes = sector_size_bytes,
        .alignment_bytes = 1,
        .can_discard = true,
    };
    snprintf(m->disk.name, sizeof m->disk.name, "memory");
    return m;
}

void memory_disk_free(struct memory_disk *disk)
{
    pthread_mutex_destroy(&disk->lock);
    free(disk->data);
    free(disk);
}
