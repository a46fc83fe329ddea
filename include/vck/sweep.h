/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep: moves the boundary between ciphertext and plaintext, or between what lies under the new
 * FVEK and what lies under the old one, through a volume, batch by batch,
 * under the journal's rules (docs/format.md, "The journal"). One sweep is one run in one direction,
 * as a future; it ends at the end of the data region, when asked to stop, or when it cannot go on.
 *
 *     idle -> [lock, drain, flush, read, record, flush]           a batch is opened
 *          -> [serve, drain, write | read next, flush, metadata + next record, flush] ...
 *          -> [lock, drain, metadata, flush, drain]     a gap is left out
 *          -> closing: replicas equal, halves zero -> READY
 *
 * A write or flush that fails while a record is open leaves the sweep stuck: the range stays
 * locked, reads come from the batch's buffer, writers there get an error. `retry` goes on where it
 * stopped; `abort` ends it with the record open, for the next attach to recover.
 */
#ifndef VCK_SWEEP_H
#define VCK_SWEEP_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/coroutine.h"
#include "vck/disk_io.h"
#include "vck/guard.h"
#include "vck/provider.h"
#include "vck/sleep.h"
#include "vck/used_map.h"

VCK_BEGIN_DECLS

/* Memory that all sweeps of the process may hold together. */
#define VCK_SWEEP_BUDGET_BYTES (36u * 1024u * 1024u)

struct vck_sweep_batch {
    uint64_t first_sector;
    uint32_t sectors; /* 0: none */
    uint8_t *data;
};

enum vck_sweep_phase {
    VCK_SWEEP_RUNNING,
    VCK_SWEEP_STUCK, /* waits for retry or stop */
    VCK_SWEEP_ENDED,
};

/* What a sweep works on; borrowed until it ends. */
struct vck_sweep_target {
    struct vck_disk *disk;
    struct vck_guard *guard;
    struct vck_offset_store *store;
    struct vck_cipher_supplier *cipher;
    struct vck_cipher_supplier *above; /* as in struct vck_io_config */
    uint64_t data_start_lba;
    uint64_t data_sectors;
    uint32_t sector_size_bytes;
    uint32_t batch_bytes;
    /* The owner's, changed at any time. */
    uint32_t *rate_mib_s; /* 0: no limit */
    uint64_t
        *foreground_requests; /* counts up; traffic since the last batch makes the sweep yield */
    /* Called after every durable move of the boundary, on the sweep's thread. */
    void (*moved)(void *context, uint64_t batch_bytes);
    /* Set where a rekey is open: called when the boundary has arrived, with everybody out of the
     * guard, to make everything as it is after the rekey, in memory. The sweep writes it then. */
    vck_status (*end_rekey)(void *context);
    /* NULL: all of it is used. Encrypting, the sweep moves over its gaps without reading or writing
     * them, and tells how many sectors that were; what is written there afterwards is encrypted. */
    const struct vck_used_map *used;
    void (*skipped)(void *context, uint64_t sectors);
    /* Called when the phase changes. */
    void (*changed)(void *context);
    void *context;
};

struct vck_sweep {
    struct vck_future future;
    struct vck_coroutine co;
    struct vck_sweep_target target;
    enum vck_direction direction;

    /* Results and state the owner reads (atomically). */
    uint32_t phase;
    vck_status status;       /* why it is stuck or ended early */
    const char *failed_step; /* static text: what it was doing */
    bool flush_failed;       /* what is durable is unknown: nothing may be retried */
    bool record_left_open;   /* ended without closing */

    /* Commands. */
    bool stop_requested;
    bool retry_requested;
    bool abort_requested;
    enum vck_intent end_intent; /* what a stopped sweep records */
    struct vck_wait_queue commanded;
    struct vck_waiter command_waiter;

    /* The run's own. */
    struct vck_guard_view view; /* as published */
    struct vck_sweep_batch cur;
    struct vck_sweep_batch next;
    uint64_t skip_first; /* the gap that is being left out */
    uint64_t skip_end;
    uint8_t *buffers[2];
    uint32_t buffer_bytes;
    uint8_t *record;
    uint32_t record_bytes;
    size_t record_used_bytes;
    uint64_t record_sequence;
    uint8_t *sector; /* one metadata sector being written */
    struct vck_store_state writing;
    bool replicas_behind;   /* all but replica 0 */
    bool range_kept_locked; /* a record may be open for it */
    bool has_budget;
    uint64_t budget_bytes;
    struct vck_waiter budget_waiter;
    struct vck_guard_drain drain;
    struct vck_disk_future io;         /* metadata, records, flushes */
    struct vck_disk_future write_io;   /* the batch, in parallel with the next one's read */
    struct vck_disk_future flush_io;   /* ... and its flush */
    struct vck_disk_future read_io[2]; /* pieces of a batch, in turn */
    bool writing_batch;                /* write_io, then flush_io */
    bool flushing_batch;
    uint64_t read_at_bytes; /* how much of a batch has been asked for, and prepared */
    uint64_t transform_at_bytes;
    struct vck_sleep sleep;
    uint32_t replica;
    uint64_t zero_at_bytes;
    uint64_t batch_started_ns;
    uint64_t seen_requests;
    uint64_t pace_until_ns;

    /* The step that is awaited, and the attempts at it. */
    enum vck_poll (*step)(struct vck_sweep *sweep, const struct vck_waker *waker);
    struct vck_coroutine step_co;
    vck_status step_status;
    struct vck_coroutine part_co;
    struct vck_coroutine half_co;
    struct vck_coroutine attempt_co;
    const char *step_name;
    bool gave_up;
};

/* The owner has recorded direction and intent "run" before. Nothing is held when it fails.
 * NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status vck_sweep_init(struct vck_sweep *sweep,
                                      const struct vck_sweep_target *target,
                                      enum vck_direction direction);
/* Frees the buffers of an ended sweep (or one that never began); nobody reads from them any more.
 */
void vck_sweep_fini(struct vck_sweep *sweep);

/* Any thread. stop ends it at the next batch boundary and records `intent`; abort also ends a stuck
 * one, with its record open (no request may be inside the guard any more). */
void vck_sweep_stop(struct vck_sweep *sweep, enum vck_intent intent);
void vck_sweep_retry(struct vck_sweep *sweep);
/* Retry, and forget an earlier stop. */
void vck_sweep_go_on(struct vck_sweep *sweep);
/* Stuck, and not for good. */
bool vck_sweep_may_retry(const struct vck_sweep *sweep);
/* Asked to, and not begun yet. */
bool vck_sweep_retry_is_pending(const struct vck_sweep *sweep);
void vck_sweep_abort(struct vck_sweep *sweep);
enum vck_sweep_phase vck_sweep_phase(const struct vck_sweep *sweep);

VCK_END_DECLS

#endif
