/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sweep leaves out: the boundary moves over a gap like over a batch without data. Nothing
 * there is written the new way before the metadata says so durably, and nothing that was written
 * the old way is left out.
 */
#include "sweep_steps.h"

static uint64_t boundary(const struct vck_sweep *s)
{
    return s->target.store->store->state.encrypted_offset_sectors;
}

uint64_t sweep_gap_end(const struct vck_sweep *sweep)
{
    const struct vck_used_map *used = sweep_used_map(sweep);

    return used ? vck_used_map_gap_end(used, boundary(sweep)) : boundary(sweep);
}

static void show_gap(struct vck_sweep *s, uint64_t cipher_end)
{
    s->view = (struct vck_guard_view){
        .cipher_end = cipher_end,
        .hot_end = cipher_end,
        .lock_first = s->skip_first,
        .lock_end = s->skip_end,
    };
    vck_guard_publish(s->target.guard, &s->view);
}

static void begin_drain(struct vck_sweep *s, bool writers_only)
{
    vck_guard_drain_init(&s->drain, s->target.guard, s->skip_first, s->skip_end, writers_only);
}

enum vck_poll sweep_skip(struct vck_sweep *sweep, const struct vck_waker *waker)
{
    struct vck_sweep *s = sweep;
    struct vck_coroutine *co = &s->part_co;

    VCK_CO_BEGIN(co);
    s->skip_first = boundary(s);
    s->skip_end = sweep_gap_end(s);
    show_gap(s, s->skip_first);
    begin_drain(s, true);
    VCK_CO_AWAIT(co, &s->drain.future, waker);
    /* Who was inside has left its marks; of who comes now, the view keeps out the writers. */
    s->skip_end = VCK_MIN(s->skip_end, sweep_gap_end(s));
    if (s->skip_end != s->skip_first) {
        sweep_plan_state(s, s->skip_end, VCK_INTENT_RUN);
        PART(s, co, sweep_write_state, waker);
        /* Who still reads the old way leaves before somebody writes the new way. */
        show_gap(s, s->skip_end);
        begin_drain(s, false);
        VCK_CO_AWAIT(co, &s->drain.future, waker);
        if (s->target.skipped)
            s->target.skipped(s->target.context, s->skip_end - s->skip_first);
    }
    sweep_view_settle(s, boundary(s), NULL);
    VCK_CO_END(co);
}
