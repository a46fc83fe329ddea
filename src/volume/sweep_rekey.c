/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a rekey: everything lies under one FVEK, and the metadata comes to say so. */
#include "sweep_steps.h"

enum vck_poll sweep_write_state(struct vck_sweep *sweep, const struct vck_waker *waker)
{
    struct vck_sweep *s = sweep;
    struct vck_coroutine *co = &s->half_co;

    VCK_CO_BEGIN(co);
    if (s->target.store->store->layout.replica_count > 1) {
        ATTEMPT(s, co, sweep_step_write_others, "writing metadata", waker);
        ATTEMPT(s, co, sweep_step_flush, "flushing metadata", waker);
    }
    ATTEMPT(s, co, sweep_step_write_first, "writing metadata", waker);
    ATTEMPT(s, co, sweep_step_flush, "flushing metadata", waker);
    s->target.store->store->state = s->writing;
    s->replicas_behind = false;
    VCK_CO_END(co);
}

static void lock_everything(struct vck_sweep *s, bool readers_too)
{
    s->view.lock_first = 0;
    s->view.lock_end = UINT64_MAX;
    s->view.lock_readers = readers_too;
    vck_guard_publish(s->target.guard, &s->view);
}

/* All of it is below the boundary of a volume without a rekey. Who writes waits for the metadata:
 * until it says so, the damage list that counts is the one that is sealed with the old keys. */
static void show_one_key(struct vck_sweep *s)
{
    uint64_t end = s->target.data_sectors;

    s->view = (struct vck_guard_view){.cipher_end = end, .hot_end = end};
    lock_everything(s, false);
    s->writing = (struct vck_store_state){
        .encrypted_offset_sectors = end,
        .direction = VCK_ENCRYPTING,
        .intent = VCK_INTENT_PAUSED,
        .generation = s->target.store->store->state.generation + 1,
    };
}

enum vck_poll sweep_end_rekey(struct vck_sweep *sweep, const struct vck_waker *waker)
{
    struct vck_sweep *s = sweep;
    struct vck_coroutine *co = &s->part_co;

    VCK_CO_BEGIN(co);
    lock_everything(s, true);
    vck_guard_drain_init(&s->drain, s->target.guard, 0, UINT64_MAX, false);
    VCK_CO_AWAIT(co, &s->drain.future, waker);
    sweep_fail(s, s->target.end_rekey(s->target.context), "exchanging the keys");
    if (s->status) {
        sweep_view_settle(s, s->view.cipher_end, NULL);
        VCK_CO_RETURN(co);
    }
    show_one_key(s);
    if (s->target.store->damage.count > 0) {
        s->target.store->damage.sequence++;
        ATTEMPT(s, co, sweep_step_write_damage, "writing the damage list", waker);
        ATTEMPT(s, co, sweep_step_flush, "flushing the damage list", waker);
    }
    PART(s, co, sweep_write_state, waker);
    sweep_view_settle(s, s->writing.encrypted_offset_sectors, NULL);
    ATTEMPT(s, co, sweep_step_zero_rekey, "erasing the rekey record", waker);
    ATTEMPT(s, co, sweep_step_flush, "erasing the rekey record", waker);
    VCK_CO_END(co);
}
