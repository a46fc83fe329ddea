/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume: an attached disk whose data region is served decrypted while a sweep may be moving the
 * boundary between ciphertext and plaintext through it. A volume is an object; requests in flight
 * hold references to it.
 *
 *     attach --> idle <--start/pause--> sweeping --> idle ... --> detach
 *
 * What it is not: it knows nothing of file formats of keys, of sockets or of who may ask.
 */
#ifndef VCK_VOLUME_H
#define VCK_VOLUME_H

#include <stdbool.h>
#include <stdint.h>
#include "port/disk.h"
#include "vck/object.h"
#include "vck/provider.h"
#include "vck/status.h"
#include "vck/used_map.h"

VCK_BEGIN_DECLS

#define VCK_VOLUME_PATH_BYTES  1024u
#define VCK_VOLUME_ERROR_BYTES 256u

struct vck_executor;
struct vck_volume;

enum vck_volume_state {
    VCK_STATE_IDLE = 0, /* also: done */
    VCK_STATE_ENCRYPTING = 1,
    VCK_STATE_DECRYPTING = 2,
    VCK_STATE_PAUSED = 3,
};

struct vck_volume_options {
    const char *path;              /* the volume's name; copied */
    struct vck_provider *provider; /* NULL: the default one */
    struct vck_bytes vmk;          /* borrowed for the call */
    bool is_os_volume;
    bool bound_by_handover;        /* resumes an unrecorded sweep too */
    const uint8_t *partition_guid; /* 16 bytes, EFI order, for the provider; NULL: unknown */
    bool provisional;              /* no key yet: sizes hidden, sectors as they are, no sweep */
    /* provisional only: where the data region is. */
    const struct vck_layout *layout;
    struct vck_executor *executor; /* sweeps on its workers, outlives the volume; NULL: nobody does,
                                      the caller polls vck_volume_sweep_future */
    uint32_t batch_bytes;          /* most bytes of one batch; 0: VCK_BATCH_BYTES_DEFAULT */
};

#define VCK_BATCH_BYTES_DEFAULT (8u * 1024u * 1024u)

/*
 * Attaches: the provider opens and recovers the volume, then it is served, and a sweep that was
 * recorded as running goes on. On success the volume owns the disk; on failure the caller keeps it.
 * Errors are the provider's. The returned reference is the creation reference: end it with
 * vck_volume_detach. PASSIVE.
 */
VCK_CHECKED vck_status vck_volume_attach(struct vck_disk *disk,
                                         const struct vck_volume_options *options,
                                         struct vck_volume **ret_volume) VCK_CAN_WAIT;

/* Gives a provisional volume its key; the volume stays provisional when it fails. Requests wait
 * meanwhile. UNSUPPORTED: not provisional. Otherwise as vck_volume_attach. */
VCK_CHECKED vck_status vck_volume_unlock(struct vck_volume *volume,
                                         const struct vck_volume_options *options) VCK_CAN_WAIT;

/*
 * Ends the volume: stops the sweep at a batch boundary (its intent stays recorded, so the next
 * attach goes on), waits for requests in flight, closes the record, wipes the keys, closes the
 * disk. References of others keep the memory only; their requests fail with DELETED. PASSIVE.
 */
vck_status vck_volume_detach(struct vck_volume *volume) VCK_CAN_WAIT;

/*
 * Freezes an encrypted volume and forgets its keys: requests in flight end, later ones wait, the
 * sweep stands at the end of a batch with its journal closed, and what was written is flushed. The
 * VMK, the FVEKs and all that was made of them are then wiped from memory. Suspended already:
 * success. UNSUPPORTED: there is no key; BUSY: the sweep is stuck in a batch; DELETED. PASSIVE.
 */
VCK_CHECKED vck_status vck_volume_suspend(struct vck_volume *volume) VCK_CAN_WAIT;
/* Gives a suspended volume its key again: requests go on, and the sweep if it ran. When it fails
 * the volume stays suspended. UNSUPPORTED: it is not; VALIDATION_FAILED: the disk does not hold
 * what was left on it; DELETED; otherwise as vck_volume_attach. PASSIVE. */
VCK_CHECKED vck_status vck_volume_wake(struct vck_volume *volume,
                                       struct vck_bytes vmk) VCK_CAN_WAIT;
/* Of a suspended volume that will only be detached: requests that wait, and later ones, fail with
 * DELETED. Harmless for others. PASSIVE. */
void vck_volume_give_up(struct vck_volume *volume) VCK_CAN_WAIT;
/* Any level. */
bool vck_volume_is_suspended(const struct vck_volume *volume);

/* What others keep in the metadata of a volume, for as long as they work on it. */
struct vck_volume_metadata {
    struct vck_disk *disk;
    struct vck_store *store; /* NULL: the volume has no key now */
    bool is_stuck;           /* the sweep has begun to write what it could not yet end: the blocks
                                are its own */
    bool flush_failed;       /* the work's answer: what is durable is unknown */
};

/* Calls `work` while nothing else writes metadata and the disk stays open: the sweep stands at the
 * end of a batch with its journal closed, or is stuck in one, and goes on afterwards if it ran.
 * Requests go on meanwhile. DELETED; IO: a flush has failed before; otherwise what the work
 * returns. PASSIVE. */
VCK_CHECKED vck_status
vck_volume_change_metadata(struct vck_volume *volume,
                           vck_status (*work)(void *context, struct vck_volume_metadata *metadata),
                           void *context) VCK_CAN_WAIT;

struct vck_volume_disk_size {
    uint64_t size_bytes;
    uint32_t sector_size_bytes;
};

/*
 * Reads whole sectors of the disk where they are metadata, also none; what is data reads as zeroes.
 * For who looks at an attached volume whose disk shows others only its data. What is written
 * meanwhile is read as by who shares the disk. buffer: aligned as the disk asks. DELETED;
 * INVALID_DATA (not whole sectors), OUT_OF_RANGE; IO. PASSIVE.
 */
VCK_CHECKED vck_status vck_volume_read_metadata(struct vck_volume *volume, uint64_t offset_bytes,
                                                uint32_t size_bytes, void *buffer,
                                                struct vck_volume_disk_size *ret_disk) VCK_CAN_WAIT;

struct vck_object *vck_volume_object(struct vck_volume *volume);
void vck_volume_reference(struct vck_volume *volume);
void vck_volume_release(struct vck_volume *volume VCK_TAKES);

/* NULL once it is detached: only for who keeps others from detaching it. */
struct vck_disk *vck_volume_disk(struct vck_volume *volume);

/* Constant for the life of an unlocked volume. Any level. */
const char *vck_volume_path(const struct vck_volume *volume);
uint32_t vck_volume_sector_size_bytes(const struct vck_volume *volume);
uint64_t vck_volume_data_start_lba(const struct vck_volume *volume);
uint64_t vck_volume_data_sectors(const struct vck_volume *volume);
bool vck_volume_is_read_only(const struct vck_volume *volume);
bool vck_volume_can_discard(const struct vck_volume *volume);
bool vck_volume_is_provisional(const struct vck_volume *volume);
bool vck_volume_is_os_volume(const struct vck_volume *volume);

/* ---- sweep ---- */

/*
 * Records direction and intent "run" durably, then lets the sweep move. Also the way to try again
 * after an error, and to change direction while one runs (it stops at a batch boundary first).
 * UNSUPPORTED (provisional, no journal place), BUSY (a rekey is open), READ_ONLY, IO. Nothing left
 * to do is success. PASSIVE.
 */
VCK_CHECKED vck_status vck_volume_start(struct vck_volume *volume,
                                        enum vck_direction direction) VCK_CAN_WAIT;
/* The same in the recorded direction; what it may leave out, it goes on leaving out. */
VCK_CHECKED vck_status vck_volume_resume(struct vck_volume *volume) VCK_CAN_WAIT;
/*
 * Encrypting only what is used, in three steps; the result reads right wherever something was used
 * or has been written.
 *
 * begin forgets what was recorded before, and from its return on everything that is written counts
 * as used; who then reads what else is used in the volume adds it. start is vck_volume_start upward
 * with gaps left out. All of it is in memory only: after an attach, or vck_volume_start, the sweep
 * encrypts whatever it finds. granule_bytes: as for vck_used_map_init.
 *
 * begin, start: as vck_volume_start; begin also BUSY (the sweep is stuck in a batch), NO_MEMORY.
 * add, start: NOT_FOUND, the recording is not the current one. add: OUT_OF_RANGE, one of the ranges
 * does not lie in the data, and none is added. PASSIVE.
 */
VCK_CHECKED vck_status vck_volume_used_begin(struct vck_volume *volume, uint32_t granule_bytes,
                                             uint64_t *ret_recording) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_volume_used_add(struct vck_volume *volume, uint64_t recording,
                                           const struct vck_used_range *ranges,
                                           size_t count) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_volume_used_start(struct vck_volume *volume,
                                             uint64_t recording) VCK_CAN_WAIT;
/*
 * Gives the volume a new FVEK and lets a sweep re-encrypt it; where that is begun already, goes on
 * with it. Needs no new key: the VMK opens the volume all the time. Ends by itself. Pause, resume
 * and detach as for any sweep.
 * UNSUPPORTED (as above, or not a volume whose FVEK can be exchanged), VALIDATION_FAILED: not all
 * of it is ciphertext yet; DAMAGED: it has chunks that a cut has destroyed; READ_ONLY, IO,
 * NO_MEMORY, CRYPTO_FAILED. PASSIVE.
 */
VCK_CHECKED vck_status vck_volume_rekey(struct vck_volume *volume) VCK_CAN_WAIT;
/* Turns an open rekey round: the sweep goes back to the FVEK the volume had, and the new one is
 * forgotten. NOT_FOUND: none is open; otherwise as vck_volume_start. */
VCK_CHECKED vck_status vck_volume_rekey_back(struct vck_volume *volume) VCK_CAN_WAIT;
/* Returns when no batch is in flight, all replicas are equal and the journal is zero, durably; the
 * intent is then "paused". Idle: success. */
VCK_CHECKED vck_status vck_volume_pause(struct vck_volume *volume) VCK_CAN_WAIT;
/* Brings a running sweep to a batch boundary without recording anything else than that it runs: the
 * next attach, or start, goes on. For a system that goes down. Harmless when none runs. PASSIVE. */
void vck_volume_halt(struct vck_volume *volume) VCK_CAN_WAIT;
/* Upper bound for the sweep; 0: none. Takes effect with the next batch. */
void vck_volume_set_rate(struct vck_volume *volume, uint32_t mib_per_s);

/* Without an executor: the running sweep as a future, NULL when none runs. Poll it until READY;
 * start, pause and detach must then only be called when no batch is in flight or after READY. */
struct vck_future;
struct vck_future *vck_volume_sweep_future(struct vck_volume *volume);
/* Asks the sweep to end at the next batch boundary, without waiting. */
void vck_volume_request_stop(struct vck_volume *volume);

struct vck_volume_status {
    enum vck_volume_state state;
    enum vck_direction direction;
    uint64_t encrypted_sectors; /* boundary */
    uint64_t total_sectors;     /* of the data region */
    bool is_rekeying;           /* all is ciphertext; direction: to the new FVEK, or back */
    uint64_t rekeyed_sectors;   /* boundary: those below are under the new FVEK */
    uint32_t sector_size_bytes;
    uint64_t damaged_chunks;
    uint32_t rate_mib_s;
    uint64_t bytes_per_s; /* of the sweep, smoothed; 0 when none runs */
    bool is_attached;     /* has its key, or is suspended */
    bool is_suspended;
    bool is_read_only;
    bool is_used_only;         /* what is encrypted is what was used; of this attachment */
    uint64_t skipped_sectors;  /* left out so far */
    bool failed;               /* a flush failed: writes fail until attached anew */
    uint64_t hot_first_sector; /* range the sweep holds now */
    uint64_t hot_sectors;
    char error[VCK_VOLUME_ERROR_BYTES]; /* why the sweep stopped; empty when it did not */
};

/* A snapshot; never blocks. DISPATCH. */
void vck_volume_query(struct vck_volume *volume, struct vck_volume_status *ret_status);

/* Copies the damage list. */
void vck_volume_damage(struct vck_volume *volume, struct vck_damage_list *ret_list);

VCK_END_DECLS

#endif
