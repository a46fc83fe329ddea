/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/sweep.h"
#include "vck/secret.h"
#include "sweep_budget.h"
#include "sweep_steps.h"

#define SWEEP_TAG VCK_TAG('V', 's', 'w', 'p')

#define MIB                1048576u
#define POLITE_BATCH_BYTES MIB           /* bounds how long a foreground write waits */
#define PAUSE_SLICE_NS     (50000000ull) /* how late a command may be noticed while pacing */

/* ---- pacing ---- */

static uint32_t rate_mib_s(const struct vck_sweep *s)
{
    return s->target.rate_mib_s ? __atomic_load_n(s->target.rate_mib_s, __ATOMIC_RELAXED) : 0;
}

static uint64_t foreground_requests(const struct vck_sweep *s)
{
    const uint64_t *count = s->target.foreground_requests;

    return count ? __atomic_load_n(count, __ATOMIC_RELAXED) : 0;
}

static bool foreground_is_active(const struct vck_sweep *s)
{
    return foreground_requests(s) != s->seen_requests;
}

static uint32_t batch_limit_sectors(const struct vck_sweep *s)
{
    uint64_t bytes = s->buffer_bytes;
    uint32_t rate = rate_mib_s(s);

    if (foreground_is_active(s))
        bytes = VCK_MIN(bytes, POLITE_BATCH_BYTES);
    /* Eight batches a second or more, so that a slow sweep does not hold its range for long. */
    if (rate != 0)
        bytes = VCK_MIN(bytes, VCK_MAX((uint64_t)rate * MIB / 8, 262144u));
    bytes /= s->target.sector_size_bytes;
    bytes = VCK_MIN(bytes, s->target.store->batch_sectors_max);
    return (uint32_t)VCK_MAX(bytes, 1u);
}

/* After a batch: until when the sweep keeps still. */
static void pace(struct vck_sweep *s, uint64_t batch_bytes)
{
    uint64_t now_ns = vck_clock_ns();
    uint64_t rate = rate_mib_s(s);
    uint64_t until_ns = 0;

    if (rate != 0)
        until_ns = s->batch_started_ns + batch_bytes * 1000000000ull / (rate * MIB);
    /* As long as the batch took: the foreground has the disk half of the time at least. */
    if (foreground_is_active(s))
        until_ns = VCK_MAX(until_ns, now_ns + (now_ns - s->batch_started_ns));
    s->pace_until_ns = until_ns > now_ns ? until_ns : 0;
    s->seen_requests = foreground_requests(s);
    s->batch_started_ns = now_ns;
}

static bool may_go_on(const struct vck_sweep *s)
{
    return !sweep_flag(&s->stop_requested) && !sweep_flag(&s->abort_requested) &&
           s->status == VCK_OK;
}

/* Whether the next batch may be locked while this one is still being written. */
static bool may_overlap(const struct vck_sweep *s)
{
    return may_go_on(s) && rate_mib_s(s) == 0 && !foreground_is_active(s) &&
           !sweep_budget_is_wanted();
}

static void begin_pause_slice(struct vck_sweep *s)
{
    uint64_t slice_end_ns = vck_clock_ns() + PAUSE_SLICE_NS;

    vck_sleep_until_init(&s->sleep, VCK_MIN(slice_end_ns, s->pace_until_ns));
}

/* ---- memory ---- */

static void release_buffers(struct vck_sweep *s)
{
    for (unsigned i = 0; i < VCK_ARRAY_COUNT(s->buffers); i++) {
        if (s->buffers[i]) {
            vck_wipe(s->buffers[i], s->buffer_bytes);
            vck_free_pages(s->buffers[i], s->buffer_bytes);
        }
        s->buffers[i] = NULL;
    }
    if (s->has_budget)
        sweep_budget_give(s->budget_bytes);
    s->has_budget = false;
}

static vck_status reserve_buffers(struct vck_sweep *s)
{
    s->buffers[0] = vck_alloc_pages(s->buffer_bytes, SWEEP_TAG);
    s->buffers[1] = vck_alloc_pages(s->buffer_bytes, SWEEP_TAG);
    if (s->buffers[0] && s->buffers[1])
        return VCK_OK;
    release_buffers(s);
    return VCK_NO_MEMORY;
}

static uint64_t round_up(uint64_t value, uint32_t to)
{
    return (value + to - 1) / to * to;
}

static void size_buffers(struct vck_sweep *s)
{
    const struct vck_offset_store *store = s->target.store;
    uint64_t sectors = s->target.batch_bytes / s->target.sector_size_bytes;
    uint64_t bytes;

    sectors = VCK_MIN(VCK_MAX(sectors, 1u), store->batch_sectors_max);
    sectors = VCK_MIN(sectors, s->target.data_sectors);
    bytes = sectors * s->target.sector_size_bytes;
    s->buffer_bytes = (uint32_t)round_up(bytes, VCK_JOURNAL_BLOCK_BYTES);
    s->record_bytes = (uint32_t)round_up(VCK_RECORD_HEADER_BYTES +
                                             bytes / store->chunk_bytes * VCK_RECORD_TAGS_BYTES,
                                         VCK_JOURNAL_BLOCK_BYTES);
    s->budget_bytes = 2ull * s->buffer_bytes;
}

/* True with the budget, or when the sweep has to end instead. */
static bool take_budget(struct vck_sweep *s, const struct vck_waker *waker)
{
    s->has_budget = sweep_budget_take(s->budget_bytes, &s->budget_waiter, waker);
    if (!s->has_budget) {
        vck_wait_queue_register(&s->commanded, &s->command_waiter, waker);
        if (may_go_on(s))
            return false;
        sweep_budget_forget(&s->budget_waiter);
    }
    vck_wait_queue_cancel(&s->commanded, &s->command_waiter);
    return true;
}

/* ---- the run ---- */

static struct vck_store_state *state(struct vck_sweep *s)
{
    return &s->target.store->store->state;
}

static bool is_done(struct vck_sweep *s)
{
    uint64_t offset = state(s)->encrypted_offset_sectors;

    return s->direction == VCK_ENCRYPTING ? offset >= s->target.data_sectors : offset == 0;
}

void sweep_plan_state(struct vck_sweep *s, uint64_t offset_sectors, enum vck_intent intent)
{
    s->writing = (struct vck_store_state){
        .encrypted_offset_sectors = offset_sectors,
        .direction = s->direction,
        .intent = intent,
        .generation = state(s)->generation + 1,
    };
}

static uint8_t *other_buffer(const struct vck_sweep *s)
{
    return s->cur.data == s->buffers[0] ? s->buffers[1] : s->buffers[0];
}

/* The batch after the current one, locked in the view; its writers still have to be drained. */
static void lock_next(struct vck_sweep *s)
{
    s->next = (struct vck_sweep_batch){0};
    if (!may_overlap(s))
        return;
    s->next = sweep_batch_after(s, sweep_boundary_after(s, &s->cur), batch_limit_sectors(s),
                                other_buffer(s));
    if (s->next.sectors)
        sweep_view_lock(s, &s->cur, &s->next);
}

static void drop_next(struct vck_sweep *s)
{
    s->next.sectors = 0;
    sweep_view_lock(s, &s->cur, NULL);
}

static void begin_drain(struct vck_sweep *s, const struct vck_sweep_batch *batch, bool writers_only)
{
    vck_guard_drain_init(&s->drain, s->target.guard, batch->first_sector,
                         batch->first_sector + batch->sectors, writers_only);
}

/* The boundary has moved durably past the current batch. */
static void commit_batch(struct vck_sweep *s)
{
    *state(s) = s->writing;
    s->replicas_behind = s->target.store->store->layout.replica_count > 1;
    sweep_view_settle(s, s->writing.encrypted_offset_sectors, &s->next);
    if (s->target.moved)
        s->target.moved(s->target.context, (uint64_t)s->cur.sectors * s->target.sector_size_bytes);
}

/* Reads a batch and prepares it piece by piece, and sees to it between pieces that the batch being
 * written is flushed as soon as it can be. After a failure no piece is asked for any more, but
 * those on their way are waited for: they own the buffer. */
static enum vck_poll read_and_transform(struct vck_sweep *s, const struct vck_sweep_batch *batch,
                                        const struct vck_waker *waker)
{
    /* Local state is in the struct, so that a poll goes on where the last one stopped. */
    for (;;) {
        struct vck_disk_future *piece;

        if (s->status == VCK_OK)
            sweep_read_ahead(s, batch);
        if (s->writing_batch)
            (void)sweep_write_is_busy(s, waker);
        piece = sweep_read_piece(s);
        if (!piece)
            return VCK_READY;
        if (vck_future_poll(&piece->future, waker) == VCK_PENDING)
            return VCK_PENDING;
        sweep_fail(s, piece->io.status, "reading a batch");
        if (s->status == VCK_OK)
            sweep_fail(s, sweep_piece_transform(s, batch, piece->io.size_bytes),
                       "transforming a batch");
        s->transform_at_bytes += piece->io.size_bytes;
    }
}

/*
 * Opens the batch after the boundary: locked, its writers drained and their data durable (so that
 * what the record calls old is durable before the record), read, transformed, its record durable.
 */
static enum vck_poll open_batch(struct vck_sweep *s, const struct vck_waker *waker)
{
    struct vck_coroutine *co = &s->part_co;

    VCK_CO_BEGIN(co);
    s->batch_started_ns = vck_clock_ns();
    s->next = (struct vck_sweep_batch){0};
    s->cur = sweep_batch_after(s, state(s)->encrypted_offset_sectors, batch_limit_sectors(s),
                               s->buffers[0]);
    sweep_view_lock(s, &s->cur, NULL);
    begin_drain(s, &s->cur, true);
    VCK_CO_AWAIT(co, &s->drain.future, waker);
    STEP(s, co, sweep_step_flush, waker);
    if (s->step_status) {
        sweep_fail(s, s->step_status, "flushing before a batch");
        VCK_CO_RETURN(co);
    }
    s->writing_batch = false;
    sweep_read_begin(s);
    VCK_CO_CALL(co, read_and_transform(s, &s->cur, waker));
    if (s->status == VCK_OK)
        sweep_fail(s, sweep_record_seal(s, &s->cur, state(s)->generation), "sealing a record");
    if (s->status) {
        sweep_view_settle(s, state(s)->encrypted_offset_sectors, NULL);
        VCK_CO_RETURN(co);
    }
    /* From here on the record may be on disk: the range stays locked until it is carried out or,
     * when this fails, voided by the closing. */
    STEP(s, co, sweep_step_write_record, waker);
    if (s->step_status) {
        sweep_fail(s, s->step_status, "writing a record");
        VCK_CO_RETURN(co);
    }
    STEP(s, co, sweep_step_flush, waker);
    if (s->step_status)
        sweep_fail(s, s->step_status, "flushing a record");
    VCK_CO_END(co);
}

/* With the next range locked and drained: the current batch goes to disk and is flushed while the
 * next one is read and transformed. */
static enum vck_poll write_and_read_ahead(struct vck_sweep *s, const struct vck_waker *waker)
{
    struct vck_coroutine *co = &s->half_co;

    VCK_CO_BEGIN(co);
    sweep_view_serve(s, &s->cur);
    begin_drain(s, &s->cur, false);
    VCK_CO_AWAIT(co, &s->drain.future, waker);
    lock_next(s);
    if (s->next.sectors) {
        begin_drain(s, &s->next, true);
        VCK_CO_AWAIT(co, &s->drain.future, waker);
    }
    if (s->replicas_behind) {
        s->writing = *state(s);
        ATTEMPT(s, co, sweep_step_write_others, "writing metadata", waker);
        s->replicas_behind = false;
    }
    sweep_begin_write(s);
    if (s->next.sectors) {
        sweep_read_begin(s);
        VCK_CO_CALL(co, read_and_transform(s, &s->next, waker));
        if (s->status)
            drop_next(s);
    }
    VCK_CO_WAIT_UNTIL(co, !sweep_write_is_busy(s, waker));
    if (s->write_io.io.status) {
        ATTEMPT(s, co, sweep_step_rewrite_batch, "writing a batch", waker);
        ATTEMPT(s, co, sweep_step_flush, "flushing a batch", waker);
    } else if (s->flush_io.io.status) {
        __atomic_store_n(&s->flush_failed, true, __ATOMIC_RELEASE);
        ATTEMPT(s, co, sweep_step_fail_forever, "flushing a batch", waker);
    }
    VCK_CO_END(co);
}

/* Metadata and the next batch's record share a flush. */
static enum vck_poll move_boundary(struct vck_sweep *s, const struct vck_waker *waker)
{
    struct vck_coroutine *co = &s->half_co;

    VCK_CO_BEGIN(co);
    sweep_plan_state(s, sweep_boundary_after(s, &s->cur), VCK_INTENT_RUN);
    ATTEMPT(s, co, sweep_step_write_first, "writing metadata", waker);
    if (s->next.sectors) {
        sweep_fail(s, sweep_record_seal(s, &s->next, s->writing.generation), "sealing a record");
        if (s->status)
            drop_next(s);
    }
    if (s->next.sectors) {
        STEP(s, co, sweep_step_write_record, waker);
        if (s->step_status) {
            sweep_fail(s, s->step_status, "writing a record");
            s->range_kept_locked = true;
        }
    }
    ATTEMPT(s, co, sweep_step_flush, "flushing metadata", waker);
    commit_batch(s);
    /* Readers that still copy from the buffer leave before it is used again. */
    begin_drain(s, &s->cur, false);
    VCK_CO_AWAIT(co, &s->drain.future, waker);
    VCK_CO_END(co);
}

/* Carries out the open batch and those that can follow it without a gap. */
static enum vck_poll carry_out(struct vck_sweep *s, const struct vck_waker *waker)
{
    struct vck_coroutine *co = &s->part_co;

    VCK_CO_BEGIN(co);
    while (s->cur.sectors) {
        PART(s, co, write_and_read_ahead, waker);
        PART(s, co, move_boundary, waker);
        pace(s, (uint64_t)s->cur.sectors * s->target.sector_size_bytes);
        if (s->range_kept_locked)
            break;
        s->cur = s->next;
    }
    VCK_CO_END(co);
}

/* What a sweep that ends records: what it was told, or "paused" when it is done or cannot go on. */
static enum vck_intent closing_intent(struct vck_sweep *s)
{
    if (s->status != VCK_OK)
        return VCK_INTENT_PAUSED;
    /* A rekey that has arrived still has to end: the next attach would see to it. */
    if (is_done(s))
        return s->target.end_rekey ? VCK_INTENT_RUN : VCK_INTENT_PAUSED;
    return __atomic_load_n(&s->end_intent, __ATOMIC_RELAXED);
}

/* The generation moves on every replica, which voids every record; then the halves can go. */
static enum vck_poll close_journal(struct vck_sweep *s, const struct vck_waker *waker)
{
    struct vck_coroutine *co = &s->part_co;

    VCK_CO_BEGIN(co);
    sweep_plan_state(s, state(s)->encrypted_offset_sectors, closing_intent(s));
    PART(s, co, sweep_write_state, waker);
    sweep_view_settle(s, s->writing.encrypted_offset_sectors, NULL);
    ATTEMPT(s, co, sweep_step_zero_halves, "closing the journal", waker);
    ATTEMPT(s, co, sweep_step_flush, "closing the journal", waker);
    VCK_CO_END(co);
}

/* Ends without closing: what may be described by a record stays out of writers' reach. */
static void leave_open(struct vck_sweep *s)
{
    s->record_left_open = true;
    s->view.lock_status = VCK_IO;
    vck_guard_publish(s->target.guard, &s->view);
}

#define RUN_PART(s, part, waker)                                                                   \
    do {                                                                                           \
        (s)->part_co.resume_at = 0;                                                                \
        VCK_CO_CALL(&(s)->co, (part)((s), (waker)));                                               \
    } while (0)

static enum vck_poll sweep_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_sweep *s = VCK_CONTAINER_OF(self, struct vck_sweep, future);

    VCK_CO_BEGIN(&s->co);
    while (may_go_on(s) && !is_done(s)) {
        if (s->pace_until_ns > vck_clock_ns()) {
            begin_pause_slice(s);
            VCK_CO_AWAIT(&s->co, &s->sleep.future, waker);
            continue;
        }
        if (sweep_gap_end(s) != state(s)->encrypted_offset_sectors) {
            RUN_PART(s, sweep_skip, waker);
            if (s->gave_up)
                break;
            continue;
        }
        if (s->has_budget && sweep_budget_is_wanted())
            release_buffers(s);
        if (!s->has_budget) {
            VCK_CO_WAIT_UNTIL(&s->co, take_budget(s, waker));
            if (!s->has_budget)
                break;
            sweep_fail(s, reserve_buffers(s), "reserving memory");
            if (s->status)
                break;
        }
        RUN_PART(s, open_batch, waker);
        if (s->status == VCK_OK)
            RUN_PART(s, carry_out, waker);
        if (s->gave_up || sweep_flag(&s->flush_failed))
            break;
    }
    if (!s->gave_up && !sweep_flag(&s->flush_failed))
        RUN_PART(s, close_journal, waker);
    if (s->target.end_rekey && !s->gave_up && s->status == VCK_OK && is_done(s))
        RUN_PART(s, sweep_end_rekey, waker);
    if (s->gave_up || sweep_flag(&s->flush_failed))
        leave_open(s);
    release_buffers(s);
    sweep_set_phase(s, VCK_SWEEP_ENDED);
    VCK_CO_END(&s->co);
}

vck_status vck_sweep_init(struct vck_sweep *sweep, const struct vck_sweep_target *target,
                          enum vck_direction direction)
{
    uint64_t boundary = target->store->store->state.encrypted_offset_sectors;

    memset(sweep, 0, sizeof *sweep);
    sweep->future.poll = sweep_poll;
    sweep->target = *target;
    sweep->direction = direction;
    sweep->end_intent = VCK_INTENT_PAUSED;
    sweep->view = (struct vck_guard_view){.cipher_end = boundary, .hot_end = boundary};
    vck_wait_queue_init(&sweep->commanded);
    vck_waiter_init(&sweep->command_waiter);
    vck_waiter_init(&sweep->budget_waiter);
    sweep->seen_requests = foreground_requests(sweep);
    size_buffers(sweep);
    sweep->record = vck_alloc_pages(sweep->record_bytes, SWEEP_TAG);
    sweep->sector = vck_alloc_pages(VCK_JOURNAL_BLOCK_BYTES, SWEEP_TAG);
    if (!sweep->record || !sweep->sector) {
        vck_sweep_fini(sweep);
        return VCK_NO_MEMORY;
    }
    return VCK_OK;
}

void vck_sweep_fini(struct vck_sweep *sweep)
{
    release_buffers(sweep);
    if (sweep->record)
        vck_free_pages(sweep->record, sweep->record_bytes);
    if (sweep->sector)
        vck_free_pages(sweep->sector, VCK_JOURNAL_BLOCK_BYTES);
    sweep->record = NULL;
    sweep->sector = NULL;
}
