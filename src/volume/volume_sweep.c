/* SPDX-License-Identifier: Apache-2.0 */
#include "volume_sweep.h"
#include "vck/executor.h"

#define SPEED_WINDOW_NS 1000000000ull

/* ---- what status reports ---- */

static bool work_is_left(const struct vck_volume *volume, enum vck_direction direction)
{
    uint64_t offset = volume->config.offset_store->store->state.encrypted_offset_sectors;

    /* When its boundary has arrived, a rekey still has to end. */
    if (volume_is_rekeying(volume))
        return true;
    return direction == VCK_ENCRYPTING ? offset < volume->config.data_sectors : offset > 0;
}

/* The state at rest: paused when something was begun and is not finished. */
static enum vck_volume_state resting_state(const struct vck_volume *volume)
{
    const struct vck_store_state *state = &volume->config.offset_store->store->state;
    uint64_t offset = state->encrypted_offset_sectors;
    bool between = offset > 0 && offset < volume->config.data_sectors;

    if (!work_is_left(volume, state->direction))
        return VCK_STATE_IDLE;
    if (state->intent == VCK_INTENT_UNRECORDED && !between)
        return VCK_STATE_IDLE;
    return VCK_STATE_PAUSED;
}

static void append(char *text, size_t capacity, const char *more)
{
    size_t used = strlen(text);
    size_t length = VCK_MIN(strlen(more), capacity - 1 - used);

    memcpy(text + used, more, length);
    text[used + length] = '\0';
}

static void explain(struct vck_volume *volume, const char *step, vck_status status)
{
    volume->error[0] = '\0';
    if (status == VCK_OK)
        return;
    append(volume->error, sizeof volume->error, step ? step : "sweep");
    append(volume->error, sizeof volume->error, ": ");
    append(volume->error, sizeof volume->error, vck_status_text(status));
}

static void publish_state(struct vck_volume *volume, enum vck_volume_state state,
                          enum vck_direction direction, const char *step, vck_status status)
{
    vck_spinlock_acquire(&volume->status_lock);
    volume->state = state;
    volume->direction = direction;
    explain(volume, step, status);
    if (state != VCK_STATE_ENCRYPTING && state != VCK_STATE_DECRYPTING)
        volume->bytes_per_s = 0;
    vck_spinlock_release(&volume->status_lock);
}

static void publish_rest(struct vck_volume *volume, const char *step, vck_status status)
{
    publish_state(volume, resting_state(volume),
                  volume->config.offset_store->store->state.direction, step, status);
}

/* On the sweep's worker. */
static void on_changed(void *context)
{
    struct vck_volume *volume = context;
    const struct vck_sweep *sweep = &volume->sweep;

    if (__atomic_load_n(&sweep->flush_failed, __ATOMIC_ACQUIRE))
        volume_note_flush_failure(volume);
    switch (vck_sweep_phase(sweep)) {
    case VCK_SWEEP_RUNNING:
        publish_state(volume,
                      sweep->direction == VCK_ENCRYPTING ? VCK_STATE_ENCRYPTING
                                                         : VCK_STATE_DECRYPTING,
                      sweep->direction, NULL, VCK_OK);
        break;
    case VCK_SWEEP_STUCK:
        publish_state(volume, VCK_STATE_PAUSED, sweep->direction, sweep->failed_step,
                      sweep->status);
        break;
    case VCK_SWEEP_ENDED:
        publish_rest(volume, sweep->failed_step, sweep->status);
        break;
    }
    vck_wait_queue_wake_all(&volume->sweep_changed);
}

static void on_moved(void *context, uint64_t batch_bytes)
{
    struct vck_volume *volume = context;
    uint64_t now_ns = vck_clock_ns();
    uint64_t elapsed_ns;

    vck_spinlock_acquire(&volume->status_lock);
    volume->speed_bytes += batch_bytes;
    elapsed_ns = now_ns - volume->speed_since_ns;
    if (elapsed_ns >= SPEED_WINDOW_NS || volume->bytes_per_s == 0) {
        volume->bytes_per_s = volume->speed_bytes * 1000 / (elapsed_ns / 1000000 + 1);
        volume->speed_bytes = 0;
        volume->speed_since_ns = now_ns;
    }
    vck_spinlock_release(&volume->status_lock);
}

void vck_volume_query(struct vck_volume *volume, struct vck_volume_status *ret_status)
{
    struct vck_volume_status status = {0};
    struct vck_guard_view view;

    status.is_attached = !vck_volume_is_provisional(volume);
    status.is_suspended = vck_volume_is_suspended(volume);
    /* Without a key there is no list, and it may just be coming. */
    if (status.is_attached)
        status.damaged_chunks = __atomic_load_n(&volume->damage.count, __ATOMIC_ACQUIRE);
    status.rate_mib_s = __atomic_load_n(&volume->rate_mib_s, __ATOMIC_RELAXED);
    status.is_used_only = __atomic_load_n(&volume->is_used_only, __ATOMIC_RELAXED) != 0;
    status.skipped_sectors = __atomic_load_n(&volume->skipped_sectors, __ATOMIC_RELAXED);
    status.failed = __atomic_load_n(&volume->flush_failed, __ATOMIC_ACQUIRE) != 0;
    vck_spinlock_acquire(&volume->status_lock);
    status.total_sectors = volume->config.data_sectors;
    status.sector_size_bytes = volume->config.sector_size_bytes;
    status.is_read_only = volume->config.read_only;
    status.state = volume->state;
    status.direction = volume->direction;
    status.is_rekeying = volume_is_rekeying(volume);
    status.bytes_per_s = volume->bytes_per_s;
    memcpy(status.error, volume->error, sizeof status.error);
    vck_spinlock_release(&volume->status_lock);
    /* After the state: a sweep that has come to rest has published where. */
    vck_guard_view_get(&volume->guard, &view);
    /* A rekey is noted before its boundary shows, and until after that is gone. */
    status.is_rekeying = status.is_rekeying || volume_is_rekeying(volume);
    if (!view.lock_readers) {
        status.hot_first_sector = view.lock_first;
        status.hot_sectors = view.lock_end - view.lock_first;
    }
    /* While a batch is being written the durable boundary is still where the batch began. */
    status.encrypted_sectors = status.direction == VCK_ENCRYPTING ? view.cipher_end : view.hot_end;
    if (status.is_rekeying) {
        status.rekeyed_sectors = status.encrypted_sectors;
        status.encrypted_sectors = status.total_sectors;
    }
    *ret_status = status;
}

/* ---- running it ---- */

/* Joins and frees a sweep that has ended. */
static void reap(struct vck_volume *volume) VCK_CAN_WAIT
{
    if (!volume->sweep_exists || vck_sweep_phase(&volume->sweep) != VCK_SWEEP_ENDED)
        return;
    if (volume->executor)
        vck_block_on(&volume->sweep_join.future);
    vck_sweep_fini(&volume->sweep);
    volume->sweep_exists = false;
}

bool volume_sweep_is_free(struct vck_volume *volume)
{
    reap(volume);
    return !volume->sweep_exists;
}

/* Ready when the sweep is as somebody wants it. */
struct sweep_wait {
    struct vck_future future;
    struct vck_volume *volume;
    bool (*is_over)(const struct vck_sweep *sweep);
    struct vck_waiter waiter;
};

/* Where no worker sweeps, who waits does. */
static void help(struct vck_volume *volume, const struct vck_waker *waker)
{
    if (!volume->executor && vck_sweep_phase(&volume->sweep) != VCK_SWEEP_ENDED)
        (void)vck_future_poll(&volume->sweep.future, waker);
}

static enum vck_poll sweep_wait_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct sweep_wait *wait = VCK_CONTAINER_OF(self, struct sweep_wait, future);
    struct vck_volume *volume = wait->volume;

    help(volume, waker);
    if (!wait->is_over(&volume->sweep)) {
        vck_wait_queue_register(&volume->sweep_changed, &wait->waiter, waker);
        if (!wait->is_over(&volume->sweep))
            return VCK_PENDING;
    }
    vck_wait_queue_cancel(&volume->sweep_changed, &wait->waiter);
    return VCK_READY;
}

static void wait_until(struct vck_volume *volume,
                       bool (*is_over)(const struct vck_sweep *sweep)) VCK_CAN_WAIT
{
    struct sweep_wait wait = {
        .future = {.poll = sweep_wait_poll}, .volume = volume, .is_over = is_over};

    vck_waiter_init(&wait.waiter);
    vck_block_on(&wait.future);
}

static bool has_ended(const struct vck_sweep *sweep)
{
    return vck_sweep_phase(sweep) == VCK_SWEEP_ENDED;
}

static bool is_at_rest(const struct vck_sweep *sweep)
{
    return vck_sweep_phase(sweep) != VCK_SWEEP_RUNNING;
}

static bool has_begun_retry(const struct vck_sweep *sweep)
{
    return !vck_sweep_retry_is_pending(sweep);
}

static void on_skipped(void *context, uint64_t sectors)
{
    struct vck_volume *volume = context;

    __atomic_fetch_add(&volume->skipped_sectors, sectors, __ATOMIC_RELAXED);
}

static void fill_target(struct vck_volume *volume, struct vck_sweep_target *target)
{
    *target = (struct vck_sweep_target){
        .disk = volume->disk,
        .guard = &volume->guard,
        .store = volume->config.offset_store,
        .cipher = volume->config.cipher,
        .above = volume->config.above,
        .end_rekey = volume_is_rekeying(volume) ? volume_rekey_end : NULL,
        .data_start_lba = volume->config.data_start_lba,
        .data_sectors = volume->config.data_sectors,
        .sector_size_bytes = volume->config.sector_size_bytes,
        .batch_bytes = volume->batch_bytes,
        .rate_mib_s = &volume->rate_mib_s,
        .foreground_requests = volume->executor ? &volume->foreground_requests : NULL,
        .moved = on_moved,
        .used = volume->used,
        .skipped = on_skipped,
        .changed = on_changed,
        .context = volume,
    };
}

static vck_status begin_sweep(struct vck_volume *volume, enum vck_direction direction)
{
    struct vck_sweep_target target;
    vck_status status;

    fill_target(volume, &target);
    status = vck_sweep_init(&volume->sweep, &target, direction);
    if (status)
        return status;
    vck_spinlock_acquire(&volume->status_lock);
    volume->speed_bytes = 0;
    volume->speed_since_ns = vck_clock_ns();
    vck_spinlock_release(&volume->status_lock);
    on_changed(volume);
    volume->sweep_exists = true;
    if (!volume->executor)
        return VCK_OK;
    vck_task_init(&volume->sweep_task, &volume->sweep.future);
    status = vck_executor_spawn(volume->executor, &volume->sweep_task, &volume->sweep_join);
    if (status) {
        vck_sweep_fini(&volume->sweep);
        volume->sweep_exists = false;
        publish_rest(volume, "starting the sweep", status);
    }
    return status;
}

static bool can_sweep(const struct vck_volume *volume)
{
    return volume->config.kind == VCK_IO_ENCRYPTED && volume->config.offset_store &&
           volume->config.offset_store->batch_sectors_max > 0;
}

vck_status volume_sweep_check(struct vck_volume *volume)
{
    if (volume->detached)
        return VCK_DELETED;
    if (vck_volume_is_suspended(volume))
        return VCK_NOT_READY;
    if (vck_volume_is_provisional(volume) || !can_sweep(volume))
        return VCK_UNSUPPORTED;
    if (vck_volume_is_read_only(volume))
        return VCK_READ_ONLY;
    if (__atomic_load_n(&volume->flush_failed, __ATOMIC_ACQUIRE))
        return VCK_IO;
    return VCK_OK;
}

/* With no sweep: direction and intent, durably. A failure may have swallowed a flush error. */
static vck_status record(struct vck_volume *volume, enum vck_direction direction,
                         enum vck_intent intent) VCK_CAN_WAIT
{
    struct vck_store *store = volume->config.offset_store->store;
    struct vck_store_state next = store->state;
    vck_status status;

    if (next.direction == direction && next.intent == intent)
        return VCK_OK;
    next.direction = direction;
    next.intent = intent;
    next.generation++;
    status = vck_store_write_all(store, &next, true);
    if (status == VCK_OK || status == VCK_NO_MEMORY)
        return status;
    /* Some replica may have it: what is written next has to be newer, and no record may go by a
     * generation that is perhaps on no replica. */
    store->state.generation = next.generation;
    volume_note_flush_failure(volume);
    return status;
}

/* Ends a sweep that is there, so that something else can be recorded. One that is stuck gets one
 * more try to finish its batch. */
static vck_status stop_sweep(struct vck_volume *volume) VCK_CAN_WAIT
{
    struct vck_sweep *sweep = &volume->sweep;

    if (!volume->sweep_exists)
        return VCK_OK;
    vck_sweep_stop(sweep, VCK_INTENT_PAUSED);
    if (vck_sweep_may_retry(sweep)) {
        vck_sweep_retry(sweep);
        wait_until(volume, has_begun_retry);
    }
    wait_until(volume, is_at_rest);
    if (vck_sweep_phase(sweep) == VCK_SWEEP_STUCK)
        return sweep->status;
    reap(volume);
    return sweep->record_left_open ? VCK_IO : VCK_OK;
}

vck_status volume_sweep_start(struct vck_volume *volume, enum vck_direction direction,
                              bool is_rekey)
{
    bool left;
    vck_status status;

    reap(volume);
    status = volume_sweep_check(volume);
    if (status)
        return status;
    if (volume->sweep_exists && volume->sweep.direction == direction) {
        if (vck_sweep_may_retry(&volume->sweep))
            vck_sweep_go_on(&volume->sweep);
        if (!__atomic_load_n(&volume->sweep.stop_requested, __ATOMIC_ACQUIRE))
            return VCK_OK;
    }
    status = stop_sweep(volume);
    if (status)
        return status;
    /* A sweep that came to its end has ended the rekey, and what was meant for it must not become a
     * sweep between ciphertext and plaintext. */
    if (volume_is_rekeying(volume) != is_rekey)
        return VCK_NOT_FOUND;
    left = work_is_left(volume, direction);
    status = record(volume, direction, left ? VCK_INTENT_RUN : VCK_INTENT_PAUSED);
    if (status == VCK_OK && left)
        return begin_sweep(volume, direction);
    publish_rest(volume, "recording the direction", status);
    return status;
}

vck_status vck_volume_start(struct vck_volume *volume, enum vck_direction direction)
{
    vck_status status;

    vck_mutex_acquire(&volume->control);
    status = volume_is_rekeying(volume) && !vck_volume_is_suspended(volume)
                 ? VCK_BUSY
                 : volume_sweep_check(volume);
    if (status == VCK_OK) {
        volume_used_forget(volume);
        status = volume_sweep_start(volume, direction, false);
    }
    vck_mutex_release(&volume->control);
    return status;
}

/* What a sweep that is there does, it goes on doing; otherwise what is recorded. */
static vck_status go_on(struct vck_volume *volume) VCK_CAN_WAIT
{
    bool is_free = volume_sweep_is_free(volume);
    enum vck_direction direction =
        is_free ? volume->config.offset_store->store->state.direction : volume->sweep.direction;
    bool is_rekey = is_free ? volume_is_rekeying(volume) : volume->sweep.target.end_rekey != NULL;
    vck_status status = volume_sweep_start(volume, direction, is_rekey);

    return status == VCK_NOT_FOUND ? VCK_OK : status;
}

vck_status vck_volume_resume(struct vck_volume *volume)
{
    vck_status status;

    vck_mutex_acquire(&volume->control);
    status = volume_sweep_check(volume);
    if (status == VCK_OK)
        status = go_on(volume);
    vck_mutex_release(&volume->control);
    return status;
}

static vck_status pause_locked(struct vck_volume *volume) VCK_CAN_WAIT
{
    vck_status status;
    const struct vck_store_state *state;

    reap(volume);
    if (volume->detached)
        return VCK_DELETED;
    if (vck_volume_is_suspended(volume))
        return VCK_NOT_READY;
    if (vck_volume_is_provisional(volume) || !can_sweep(volume))
        return VCK_UNSUPPORTED;
    if (volume->sweep_exists)
        return stop_sweep(volume);
    state = &volume->config.offset_store->store->state;
    if (state->intent != VCK_INTENT_RUN)
        return VCK_OK;
    status = volume_sweep_check(volume);
    if (status == VCK_OK)
        status = record(volume, state->direction, VCK_INTENT_PAUSED);
    if (status == VCK_OK)
        publish_rest(volume, NULL, VCK_OK);
    return status;
}

vck_status vck_volume_pause(struct vck_volume *volume)
{
    vck_status status;

    vck_mutex_acquire(&volume->control);
    status = pause_locked(volume);
    vck_mutex_release(&volume->control);
    return status;
}

void vck_volume_halt(struct vck_volume *volume)
{
    vck_mutex_acquire(&volume->control);
    volume_sweep_halt(volume);
    reap(volume);
    vck_mutex_release(&volume->control);
}

void vck_volume_set_rate(struct vck_volume *volume, uint32_t mib_per_s)
{
    __atomic_store_n(&volume->rate_mib_s, mib_per_s, __ATOMIC_RELAXED);
}

struct vck_future *vck_volume_sweep_future(struct vck_volume *volume)
{
    if (volume->executor || !volume->sweep_exists ||
        vck_sweep_phase(&volume->sweep) == VCK_SWEEP_ENDED)
        return NULL;
    return &volume->sweep.future;
}

void vck_volume_request_stop(struct vck_volume *volume)
{
    if (volume->sweep_exists)
        vck_sweep_stop(&volume->sweep, VCK_INTENT_PAUSED);
}

/* ---- attach and detach ---- */

void volume_sweep_continue(struct vck_volume *volume, bool also_unrecorded)
{
    const struct vck_store_state *state;
    bool wanted;

    if (vck_volume_is_provisional(volume) || volume->config.kind != VCK_IO_ENCRYPTED)
        return;
    state = &volume->config.offset_store->store->state;
    wanted = state->intent == VCK_INTENT_RUN ||
             (also_unrecorded && state->intent == VCK_INTENT_UNRECORDED);
    if (wanted && work_is_left(volume, state->direction) && volume_sweep_check(volume) == VCK_OK) {
        /* Its failure is in the status; the volume is served all the same. */
        if (begin_sweep(volume, state->direction) == VCK_OK)
            return;
    } else {
        publish_rest(volume, NULL, VCK_OK);
    }
}

void volume_sweep_halt(struct vck_volume *volume)
{
    reap(volume);
    if (!volume->sweep_exists)
        return;
    vck_sweep_stop(&volume->sweep, VCK_INTENT_RUN);
    wait_until(volume, is_at_rest);
}

bool volume_sweep_hold(struct vck_volume *volume)
{
    const struct vck_sweep *sweep = &volume->sweep;
    bool was_running;

    reap(volume);
    if (!volume->sweep_exists)
        return false;
    was_running = vck_sweep_phase(sweep) == VCK_SWEEP_RUNNING &&
                  !__atomic_load_n(&sweep->stop_requested, __ATOMIC_ACQUIRE);
    volume_sweep_halt(volume);
    was_running &= has_ended(sweep) && sweep->status == VCK_OK && !sweep->record_left_open;
    reap(volume);
    return was_running;
}

/* What ran had its intent recorded, or did not need it. */
void volume_sweep_let_go(struct vck_volume *volume, bool goes_on)
{
    if (goes_on)
        volume_sweep_continue(volume, true);
}

void volume_sweep_end(struct vck_volume *volume)
{
    if (!volume->sweep_exists)
        return;
    if (vck_sweep_phase(&volume->sweep) == VCK_SWEEP_STUCK) {
        vck_sweep_abort(&volume->sweep);
        wait_until(volume, has_ended);
    }
    reap(volume);
}
