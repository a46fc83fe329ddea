/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scenario: a volume on a crash disk, driven step by step from a seed: sweeps, pauses, changes of
 * direction, re-attachments and foreground requests, with every operation held and completed in an
 * order the seed decides.
 */
#ifndef VCK_TESTS_SCENARIO_H
#define VCK_TESTS_SCENARIO_H

#include "crash_disk.h"
#include "truth.h"
#include "vck/request.h"
#include "vck/volume.h"

#define USERS_MAX 4u

struct geometry {
    uint32_t disk_sector_bytes, atomic_bytes, sector_bytes;
    uint32_t headers, footers;
    uint64_t data_sectors;
};

struct user {
    bool active;
    struct vck_request request;
    enum vck_request_op op;
    uint64_t first, count;
    size_t issued;
    uint8_t *buffer;
};

struct scenario {
    uint64_t random;
    struct geometry geometry;
    struct crash_disk *disk;
    struct truth truth;
    struct vck_volume *volume;
    uint32_t batch_bytes;
    struct user users[USERS_MAX];
    const char *failure; /* what a running volume did wrong; NULL */
};

extern const struct vck_bytes scenario_vmk;

uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t limit);

/* Prepares and attaches. Recording has begun. */
void scenario_begin(struct scenario *s, uint64_t seed,
                    const struct geometry *geometry) VCK_CAN_WAIT;
void scenario_end(struct scenario *s) VCK_CAN_WAIT;

/* A number of random steps of everything. */
void scenario_run(struct scenario *s, unsigned steps) VCK_CAN_WAIT;

/* The pieces, for scenarios with a plot. */
void scenario_quiesce(struct scenario *s) VCK_CAN_WAIT;
void scenario_start(struct scenario *s, enum vck_direction direction) VCK_CAN_WAIT;
/* Encrypts what is used of it, which is drawn; some of the rest is written to while that is found
 * out. Not while a rekey is open. */
void scenario_start_used(struct scenario *s) VCK_CAN_WAIT;
void scenario_pause(struct scenario *s) VCK_CAN_WAIT;
void scenario_reattach(struct scenario *s) VCK_CAN_WAIT;
/* With the sweep's operations held: until the boundary has passed `batches` batches. */
void scenario_sweep(struct scenario *s, unsigned batches) VCK_CAN_WAIT;
/* A write or flush in inline mode. */
void scenario_write(struct scenario *s, uint64_t first, uint64_t count) VCK_CAN_WAIT;
void scenario_flush(struct scenario *s) VCK_CAN_WAIT;
/* Durable writes into what the sweep holds, step by step beside it. */
void scenario_press(struct scenario *s, unsigned steps);
/* Detached cleanly, another implementation moves the boundary and writes generation 0; attached
 * again. The history begins anew. */
void scenario_foreign(struct scenario *s, bool first_replica_only) VCK_CAN_WAIT;
void scenario_check_running(struct scenario *s) VCK_CAN_WAIT;
/* Begins a rekey or goes on with it; back: turns it round. Where neither is possible, nothing. */
void scenario_rekey(struct scenario *s, bool back) VCK_CAN_WAIT;
/* Detached and attached; the history begins anew. */
void scenario_forget(struct scenario *s) VCK_CAN_WAIT;

#endif
