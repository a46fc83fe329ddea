/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume_internal: the volume's struct, for the files of this room only.
 */
#ifndef VCK_VOLUME_INTERNAL_H
#define VCK_VOLUME_INTERNAL_H

#include "vck/damage.h"
#include "vck/guard.h"
#include "vck/pool.h"
#include "vck/sha256.h"
#include "vck/sweep.h"
#include "vck/task.h"
#include "vck/used_map.h"
#include "vck/wait_queue.h"
#include "vck/volume.h"

/* Pieces that are encrypted into the pool stay in the outer caches until they are written. */
#define BOUNCE_BYTES (256u * 1024u)
#define BOUNCE_COUNT 6u

/* How the disk was left. The keys themselves are not to be had from it. */
struct volume_mark {
    uint8_t volume_id[16];
    uint16_t metadata_version;
    uint64_t encrypted_offset_sectors;
    uint8_t keys[VCK_SHA256_BYTES]; /* digest of the FVEKs */
};

/* What requests look at before they enter the guard, while the key may just be coming. */
struct volume_shape {
    uint32_t sector_size_bytes;
    uint64_t data_start_lba;
    uint64_t data_sectors;
    uint32_t is_read_only; /* atomic, this and the next: it may change with the key */
    uint32_t can_discard;
};

struct vck_volume {
    char path[VCK_VOLUME_PATH_BYTES];
    struct vck_disk *disk;  /* NULL once it is detached */
    bool disk_is_read_only; /* of the disk, kept beyond it */
    bool disk_can_discard;
    struct vck_provider *provider;
    struct vck_io_config config; /* changed under control with nobody inside the guard */
    struct volume_shape shape;
    bool is_os_volume;
    struct vck_executor *executor; /* NULL: the caller polls the sweep */
    bool has_config;
    uint32_t provisional;    /* atomic */
    uint32_t suspended;      /* atomic, changed under control */
    struct volume_mark mark; /* while it is suspended */
    bool wakes_sweeping;
    uint32_t batch_bytes;

    struct vck_guard guard;
    struct vck_pool pool;
    struct vck_damage damage;

    uint32_t is_rekeying;         /* atomic */
    uint32_t flush_failed;        /* atomic: what is durable is unknown, writes fail */
    uint64_t foreground_requests; /* atomic */
    uint32_t rate_mib_s;          /* atomic */

    struct vck_used_map *used; /* atomic: exchanged under control, marked inside the guard */
    uint32_t is_used_only;     /* atomic */
    uint64_t skipped_sectors;  /* atomic */

    struct vck_mutex control; /* start, pause, unlock, detach: one at a time */
    bool detached;
    bool sweep_exists;      /* initialised and not finished, under control */
    uint32_t sweep_visible; /* atomic: status may look at it */
    struct vck_sweep sweep;
    struct vck_task sweep_task;
    struct vck_task_join sweep_join;
    struct vck_wait_queue sweep_changed; /* those who wait for another phase of the sweep */

    struct vck_spinlock status_lock;
    uint64_t speed_bytes; /* since speed_since_ns */
    uint64_t speed_since_ns;
    uint64_t bytes_per_s;
    enum vck_volume_state state;
    enum vck_direction direction;
    char error[VCK_VOLUME_ERROR_BYTES];
};

/* A failed flush, wherever it happened. */
void volume_note_flush_failure(struct vck_volume *volume);

/* Of a write that is inside the guard. */
void volume_used_mark(struct vck_volume *volume, uint64_t first_sector, uint64_t sectors);
/* Ends what is recorded, under the control lock. With the sweep stuck in a batch its memory stays,
 * until the volume ends. */
void volume_used_forget(struct vck_volume *volume) VCK_CAN_WAIT;
/* Frees it; nobody is inside the guard any more. */
void volume_used_end(struct vck_volume *volume);

/* Whether a rekey is open now that the config has changed. */
void volume_note_rekeying(struct vck_volume *volume);

/* Everybody out, and nobody in until the view changes again. Under the control lock. */
void volume_stop_traffic(struct vck_volume *volume) VCK_CAN_WAIT;
void volume_show_settled(struct vck_volume *volume);

/* Asks the provider to open the volume, and completes its answer. */
VCK_CHECKED vck_status volume_ask_provider(struct vck_volume *volume,
                                           const struct vck_volume_options *options,
                                           struct vck_io_config *ret_config) VCK_CAN_WAIT;
bool volume_has_geometry(const struct vck_volume *volume, const struct vck_io_config *config);

#endif
