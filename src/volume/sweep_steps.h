/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep_steps: the pieces a sweep is made of. The batch functions compute; the step functions do
 * I/O and leave their result in sweep->step_status.
 */
#ifndef VCK_SWEEP_STEPS_H
#define VCK_SWEEP_STEPS_H

#include "vck/sweep.h"

/* What the sweep may leave out gaps of; NULL: it may not. */
static inline const struct vck_used_map *sweep_used_map(const struct vck_sweep *sweep)
{
    const struct vck_used_map *used = sweep->target.used;

    if (!used || sweep->direction != VCK_ENCRYPTING)
        return NULL;
    return __atomic_load_n(&used->in_effect, __ATOMIC_ACQUIRE) ? used : NULL;
}

/* ---- batches ---- */

/* The batch that follows the boundary `offset_sectors`, at most `limit` sectors; none at the end,
 * and none before a gap. */
struct vck_sweep_batch sweep_batch_after(const struct vck_sweep *sweep, uint64_t offset_sectors,
                                         uint32_t limit_sectors, uint8_t *data);
/* The boundary once the batch is done. */
uint64_t sweep_boundary_after(const struct vck_sweep *sweep, const struct vck_sweep_batch *batch);
uint64_t sweep_batch_bytes(const struct vck_sweep *sweep, const struct vck_sweep_batch *batch);
/* The piece at transform_at_bytes: old tags, transformation in place, new tags. The record's tag
 * table then belongs to this batch. */
vck_status sweep_piece_transform(struct vck_sweep *sweep, const struct vck_sweep_batch *batch,
                                 uint64_t size_bytes);
/* Header and HMAC of the record for the batch whose tags are in the table. */
vck_status sweep_record_seal(struct vck_sweep *sweep, const struct vck_sweep_batch *batch,
                             uint64_t base_generation);

/* ---- gaps ---- */

/* Where the gap behind the boundary ends; the boundary itself where none begins. */
uint64_t sweep_gap_end(const struct vck_sweep *sweep);
/* Moves the boundary over it, unless it has been written to meanwhile. A part of the run. */
enum vck_poll sweep_skip(struct vck_sweep *sweep, const struct vck_waker *waker);

/* ---- views ---- */

/* Publish a change of sweep->view. */
void sweep_view_lock(struct vck_sweep *sweep, const struct vck_sweep_batch *a,
                     const struct vck_sweep_batch *b);
void sweep_view_serve(struct vck_sweep *sweep, const struct vck_sweep_batch *batch);
void sweep_view_settle(struct vck_sweep *sweep, uint64_t boundary_sectors,
                       const struct vck_sweep_batch *still_locked);

/* ---- I/O ---- */

/* A batch is read in pieces, so that one can be transformed while the next is on its way:
 * read_begin, then read_ahead before each look at the oldest piece asked for; NULL: none is left.
 */
void sweep_read_begin(struct vck_sweep *sweep);
void sweep_read_ahead(struct vck_sweep *sweep, const struct vck_sweep_batch *batch);
struct vck_disk_future *sweep_read_piece(struct vck_sweep *sweep);
/* Starts the write of the current batch; its flush follows by itself whenever is_busy is asked. */
void sweep_begin_write(struct vck_sweep *sweep);
/* False once the batch is durable or has failed: see write_io, then flush_io. */
bool sweep_write_is_busy(struct vck_sweep *sweep, const struct vck_waker *waker);

enum vck_poll sweep_step_flush(struct vck_sweep *sweep, const struct vck_waker *waker);
enum vck_poll sweep_step_write_first(struct vck_sweep *sweep, const struct vck_waker *waker);
enum vck_poll sweep_step_write_others(struct vck_sweep *sweep, const struct vck_waker *waker);
enum vck_poll sweep_step_write_record(struct vck_sweep *sweep, const struct vck_waker *waker);
enum vck_poll sweep_step_rewrite_batch(struct vck_sweep *sweep, const struct vck_waker *waker);
enum vck_poll sweep_step_fail_forever(struct vck_sweep *sweep, const struct vck_waker *waker);
enum vck_poll sweep_step_zero_halves(struct vck_sweep *sweep, const struct vck_waker *waker);
/* The damage list with the next sequence, under the keys of the store; the records of a rekey. */
enum vck_poll sweep_step_write_damage(struct vck_sweep *sweep, const struct vck_waker *waker);
enum vck_poll sweep_step_zero_rekey(struct vck_sweep *sweep, const struct vck_waker *waker);

/* ---- the run ---- */

static inline bool sweep_flag(const bool *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

void sweep_set_phase(struct vck_sweep *sweep, enum vck_sweep_phase phase);
/* Remembers the first failure; the run ends at the next boundary. */
void sweep_fail(struct vck_sweep *sweep, vck_status status, const char *what);
/* Makes sweep->writing the next state. */
void sweep_plan_state(struct vck_sweep *sweep, uint64_t offset_sectors, enum vck_intent intent);
/* Writes sweep->writing to every replica, so that a cut leaves one whole; then it is the state. A
 * PART. */
enum vck_poll sweep_write_state(struct vck_sweep *sweep, const struct vck_waker *waker);
/* After the journal of a rekey is closed for good: version 1 again, and the record erased. */
enum vck_poll sweep_end_rekey(struct vck_sweep *sweep, const struct vck_waker *waker);

/* Repeats the step that was set until it works or the sweep is aborted. */
void sweep_set_attempt(struct vck_sweep *sweep,
                       enum vck_poll (*step)(struct vck_sweep *, const struct vck_waker *),
                       const char *name);
enum vck_poll sweep_attempt(struct vck_sweep *sweep, const struct vck_waker *waker);

/* In a coroutine `co`, which returns when the sweep was aborted meanwhile. */
#define ATTEMPT(s, co, step, name, waker)                                                          \
    do {                                                                                           \
        sweep_set_attempt((s), (step), (name));                                                    \
        VCK_CO_CALL((co), sweep_attempt((s), (waker)));                                            \
        if ((s)->gave_up)                                                                          \
            VCK_CO_RETURN(co);                                                                     \
    } while (0)

/* A part of `co` that may give up. */
#define PART(s, co, part, waker)                                                                   \
    do {                                                                                           \
        (s)->half_co.resume_at = 0;                                                                \
        VCK_CO_CALL((co), (part)((s), (waker)));                                                   \
        if ((s)->gave_up)                                                                          \
            VCK_CO_RETURN(co);                                                                     \
    } while (0)

/* Once; the result is in step_status. */
#define STEP(s, co, step, waker)                                                                   \
    do {                                                                                           \
        (s)->step_co.resume_at = 0;                                                                \
        VCK_CO_CALL((co), (step)((s), (waker)));                                                   \
    } while (0)

#endif
