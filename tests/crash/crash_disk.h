/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash_disk: a disk in memory that remembers every write, flush and discard, and what a cut at any
 * point of that history may leave behind. Single-threaded: a scheduler decides when an operation
 * that is held completes; in inline mode it completes in submit.
 */
#ifndef VCK_TESTS_CRASH_DISK_H
#define VCK_TESTS_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "port/disk.h"

enum event_kind {
    EVENT_WRITE_SUBMIT, /* may reach the disk from here on */
    EVENT_WRITE_DONE,
    EVENT_FLUSH_SUBMIT, /* covers the writes done before */
    EVENT_FLUSH_DONE,
};

struct write_record {
    uint64_t offset_bytes;
    uint32_t size_bytes;
    bool fua;
    bool discard; /* data is zeroes */
    uint8_t *data;
};

struct event {
    enum event_kind kind;
    uint32_t id; /* index into writes, or number of the flush */
};

#define HELD_MAX 64u

struct crash_disk {
    struct vck_disk disk;
    uint8_t *now;  /* what reads see */
    uint8_t *base; /* durable content when the history begins */
    bool inline_mode;
    bool recording;

    struct event *events;
    size_t event_count, event_capacity;
    struct write_record *writes;
    size_t write_count, write_capacity;
    uint32_t flush_count;
    size_t adopted_events; /* the history begins with these: they had happened before */

    struct held {
        struct vck_disk_io *io;
        uint32_t id;
    } held[HELD_MAX];
    size_t held_count;
};

struct crash_disk *crash_disk_create(uint64_t size_bytes, uint32_t sector_size_bytes,
                                     uint32_t atomic_bytes);
void crash_disk_free(struct crash_disk *d);

/* What is there now becomes durable and the history empty. Nothing may be held. */
void crash_disk_settle(struct crash_disk *d);
/* Completes the i-th held operation. */
void crash_disk_complete(struct crash_disk *d, size_t i);
void crash_disk_complete_all(struct crash_disk *d);
/* Adds a write to the history as done and visible, from another disk's (a cache that is kept). */
void crash_disk_adopt(struct crash_disk *d, const struct write_record *write);

/* Walks a history: the durable image at a point, and the writes that may or may not have landed. */
struct replay {
    const struct crash_disk *disk;
    bool flushes_lie; /* for testing the tests: a flush makes nothing durable */
    uint8_t *durable;
    size_t at;          /* events consumed */
    uint32_t *floating; /* ids of volatile writes in order of submission */
    bool *done;         /* parallel: completed */
    size_t floating_count;
    uint32_t *covered_by; /* per flush: how many writes were done when it was submitted */
    uint32_t *done_order; /* per write: rank of its completion, UINT32_MAX before */
    uint32_t done_count;
};

void replay_begin(struct replay *r, const struct crash_disk *d, bool flushes_lie);
void replay_step(struct replay *r);
/* A floating write that is durable all the same (FUA). It stays in its place in the order, because
 * older writes of the same sectors cannot come after it. */
bool replay_must_land(const struct replay *r, size_t i);
void replay_end(struct replay *r);

#endif
