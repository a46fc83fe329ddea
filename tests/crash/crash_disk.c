/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "crash_disk.h"
#include "vck/bytes.h"

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static struct crash_disk *of(struct vck_disk *disk)
{
    return VCK_CONTAINER_OF(disk, struct crash_disk, disk);
}

static void note_event(struct crash_disk *d, enum event_kind kind, uint32_t id)
{
    if (!d->recording)
        return;
    if (d->event_count == d->event_capacity) {
        d->event_capacity = d->event_capacity ? 2 * d->event_capacity : 256;
        d->events = must(realloc(d->events, d->event_capacity * sizeof *d->events));
    }
    d->events[d->event_count++] = (struct event){kind, id};
}

static uint32_t note_write(struct crash_disk *d, const struct vck_disk_io *io)
{
    struct write_record *w;

    if (d->write_count == d->write_capacity) {
        d->write_capacity = d->write_capacity ? 2 * d->write_capacity : 64;
        d->writes = must(realloc(d->writes, d->write_capacity * sizeof *d->writes));
    }
    w = &d->writes[d->write_count];
    *w = (struct write_record){
        .offset_bytes = io->offset_bytes,
        .size_bytes = (uint32_t)io->size_bytes,
        .fua = (io->flags & VCK_DISK_FUA) != 0,
        .discard = io->op == VCK_DISK_DISCARD,
        .data = must(malloc(io->size_bytes)),
    };
    if (w->discard)
        memset(w->data, 0, w->size_bytes);
    else
        memcpy(w->data, io->buffer, w->size_bytes);
    return (uint32_t)d->write_count++;
}

static uint32_t note_submit(struct crash_disk *d, const struct vck_disk_io *io)
{
    uint32_t id = 0;

    if (!d->recording || io->op == VCK_DISK_READ)
        return 0;
    if (io->op == VCK_DISK_FLUSH) {
        id = d->flush_count++;
        note_event(d, EVENT_FLUSH_SUBMIT, id);
    } else {
        id = note_write(d, io);
        note_event(d, EVENT_WRITE_SUBMIT, id);
    }
    return id;
}

static void perform(struct crash_disk *d, struct vck_disk_io *io, uint32_t id)
{
    uint8_t *at = d->now + io->offset_bytes;

    if (io->op == VCK_DISK_READ)
        memcpy(io->buffer, at, io->size_bytes);
    else if (io->op == VCK_DISK_WRITE)
        memcpy(at, io->buffer, io->size_bytes);
    else if (io->op == VCK_DISK_DISCARD)
        memset(at, 0, io->size_bytes);
    if (io->op == VCK_DISK_FLUSH)
        note_event(d, EVENT_FLUSH_DONE, id);
    else if (io->op != VCK_DISK_READ)
        note_event(d, EVENT_WRITE_DONE, id);
    io->status = VCK_OK;
    io->done(io);
}

static void submit(struct vck_disk *disk, struct vck_disk_io *io)
{
    struct crash_disk *d = of(disk);
    uint32_t id;

    if (io->offset_bytes > disk->size_bytes || io->size_bytes > disk->size_bytes - io->offset_bytes)
        abort();
    if (io->offset_bytes % disk->sector_size_bytes || io->size_bytes % disk->sector_size_bytes)
        abort();
    id = note_submit(d, io);
    if (d->inline_mode) {
        perform(d, io, id);
        return;
    }
    if (d->held_count == HELD_MAX)
        abort();
    d->held[d->held_count++] = (struct held){io, id};
}

void crash_disk_complete(struct crash_disk *d, size_t i)
{
    struct held held = d->held[i];

    memmove(&d->held[i], &d->held[i + 1], (d->held_count - i - 1) * sizeof held);
    d->held_count--;
    perform(d, held.io, held.id);
}

void crash_disk_complete_all(struct crash_disk *d)
{
    while (d->held_count)
        crash_disk_complete(d, 0);
}

static vck_status query_size(struct vck_disk *disk, uint64_t *ret_size_bytes)
{
    *ret_size_bytes = disk->size_bytes;
    return VCK_OK;
}

/* The test owns the disk: a volume that closes it only stops using it. */
static void close_disk(struct vck_disk *disk)
{
    (void)disk;
}

static const struct vck_disk_ops ops = {
    .submit = submit, .query_size = query_size, .close = close_disk};

struct crash_disk *crash_disk_create(uint64_t size_bytes, uint32_t sector_size_bytes,
                                     uint32_t atomic_bytes)
{
    struct crash_disk *d = must(calloc(1, sizeof *d));

    d->now = must(calloc(1, size_bytes));
    d->base = must(calloc(1, size_bytes));
    d->inline_mode = true;
    d->disk = (struct vck_disk){
        .ops = &ops,
        .size_bytes = size_bytes,
        .sector_size_bytes = sector_size_bytes,
        .atomic_bytes = atomic_bytes,
        .alignment_bytes = 1,
        .can_discard = true,
    };
    memcpy(d->disk.name, "crash", 6);
    return d;
}

static void forget_history(struct crash_disk *d)
{
    for (size_t i = 0; i < d->write_count; i++)
        free(d->writes[i].data);
    d->write_count = 0;
    d->event_count = 0;
    d->flush_count = 0;
}

void crash_disk_free(struct crash_disk *d)
{
    forget_history(d);
    free(d->writes);
    free(d->events);
    free(d->now);
    free(d->base);
    free(d);
}

void crash_disk_settle(struct crash_disk *d)
{
    if (d->held_count)
        abort();
    forget_history(d);
    memcpy(d->base, d->now, d->disk.size_bytes);
}

void crash_disk_adopt(struct crash_disk *d, const struct write_record *write)
{
    struct vck_disk_io io = {
        .op = write->discard ? VCK_DISK_DISCARD : VCK_DISK_WRITE,
        .offset_bytes = write->offset_bytes,
        .size_bytes = write->size_bytes,
        .buffer = write->data,
        .flags = write->fua ? VCK_DISK_FUA : 0,
    };
    uint32_t id = note_submit(d, &io);

    memcpy(d->now + write->offset_bytes, write->data, write->size_bytes);
    note_event(d, EVENT_WRITE_DONE, id);
    d->adopted_events = d->event_count;
}

/* ---- replay ---- */

void replay_begin(struct replay *r, const struct crash_disk *d, bool flushes_lie)
{
    *r = (struct replay){.disk = d, .flushes_lie = flushes_lie};
    r->durable = must(malloc(d->disk.size_bytes));
    memcpy(r->durable, d->base, d->disk.size_bytes);
    r->floating = must(malloc((d->write_count + 1) * sizeof *r->floating));
    r->done = must(malloc((d->write_count + 1) * sizeof *r->done));
    r->covered_by = must(malloc((d->flush_count + 1) * sizeof *r->covered_by));
    r->done_order = must(malloc((d->write_count + 1) * sizeof *r->done_order));
    memset(r->done_order, 0xff, (d->write_count + 1) * sizeof *r->done_order);
}

/* Writes with a completion rank below `limit` become durable, in order. */
static void make_durable(struct replay *r, uint32_t limit)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->floating_count; i++) {
        uint32_t id = r->floating[i];
        const struct write_record *w = &r->disk->writes[id];

        if (r->done_order[id] < limit) {
            memcpy(r->durable + w->offset_bytes, w->data, w->size_bytes);
            continue;
        }
        r->floating[kept] = id;
        r->done[kept++] = r->done[i];
    }
    r->floating_count = kept;
}

void replay_step(struct replay *r)
{
    const struct event *e = &r->disk->events[r->at++];

    switch (e->kind) {
    case EVENT_WRITE_SUBMIT:
        r->done[r->floating_count] = false;
        r->floating[r->floating_count++] = e->id;
        break;
    case EVENT_WRITE_DONE:
        r->done_order[e->id] = r->done_count++;
        for (size_t i = 0; i < r->floating_count; i++)
            if (r->floating[i] == e->id)
                r->done[i] = true;
        break;
    case EVENT_FLUSH_SUBMIT:
        r->covered_by[e->id] = r->done_count;
        break;
    case EVENT_FLUSH_DONE:
        if (!r->flushes_lie)
            make_durable(r, r->covered_by[e->id]);
        break;
    }
}

bool replay_must_land(const struct replay *r, size_t i)
{
    return r->done[i] && r->disk->writes[r->floating[i]].fua && !r->flushes_lie;
}

void replay_end(struct replay *r)
{
    free(r->durable);
    free(r->floating);
    free(r->done);
    free(r->covered_by);
    free(r->done_order);
}
