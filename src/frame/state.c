/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events only note what is wanted and what is over. `settle` then moves the phase as far as that
 * allows and says what has become due, so that it does not matter in which order events came.
 */
#include "vck/frame_state.h"
#include "port/port.h"

static bool is_drained(const struct vck_frame_state *s)
{
    return s->sends == 0 && s->receives == 0;
}

static bool may_run(const struct vck_frame_state *s)
{
    return s->wants_run && !s->is_low_power;
}

/* ---- phases ---- */

static void begin_refresh(struct vck_frame_state *s, struct vck_frame_actions *todo)
{
    s->is_refreshing = true;
    s->is_refresh_void = false;
    todo->flags |= VCK_FRAME_DO_REFRESH;
}

static void begin_closing(struct vck_frame_state *s, struct vck_frame_actions *todo)
{
    s->phase = VCK_FRAME_CLOSING;
    s->wants_run = false;
    if (s->owes_bind && s->bind_status == VCK_OK)
        s->bind_status = VCK_CANCELLED;
    todo->flags |=
        VCK_FRAME_DO_CANCEL_SENDS | VCK_FRAME_DO_CANCEL_REQUESTS | VCK_FRAME_DO_END_READS;
}

static void go_on_closing(struct vck_frame_state *s, struct vck_frame_actions *todo)
{
    if (s->is_opening || s->is_close_begun)
        return;
    if (!s->is_open) {
        s->phase = VCK_FRAME_CLOSED;
    } else if (is_drained(s) && s->requests == 0 && !s->is_refreshing) {
        s->is_close_begun = true;
        todo->flags |= VCK_FRAME_DO_CLOSE;
    }
}

static void move_phase(struct vck_frame_state *s, struct vck_frame_actions *todo)
{
    switch ((enum vck_frame_phase)s->phase) {
    case VCK_FRAME_OPENING:
        if (s->is_open && !s->is_refreshing && !s->is_low_power)
            begin_refresh(s, todo);
        break;
    case VCK_FRAME_PAUSED:
        if (may_run(s)) {
            s->phase = VCK_FRAME_RESTARTING;
            begin_refresh(s, todo);
        }
        break;
    case VCK_FRAME_RESTARTING:
        if (!may_run(s))
            s->phase = VCK_FRAME_PAUSING;
        break;
    case VCK_FRAME_RUNNING:
        if (!may_run(s)) {
            s->phase = VCK_FRAME_PAUSING;
            todo->flags |= VCK_FRAME_DO_CANCEL_SENDS;
        }
        break;
    case VCK_FRAME_PAUSING:
        if (is_drained(s) && !s->is_refreshing)
            s->phase = VCK_FRAME_PAUSED;
        break;
    case VCK_FRAME_CLOSING:
        go_on_closing(s, todo);
        break;
    case VCK_FRAME_CLOSED:
    case VCK_FRAME_PHASE_COUNT:
        break;
    }
}

/* ---- answers ---- */

static void answer(uint32_t *waiting, enum vck_frame_action action, struct vck_frame_actions *todo)
{
    if (*waiting == 0)
        return;
    *waiting = 0;
    todo->flags |= (uint32_t)action;
}

/* Whether restarts can be answered, and how. A restart in low power is a wish that is kept: its
 * sender may be the one who brings back power afterwards. */
static bool restart_is_decided(const struct vck_frame_state *s, vck_status *ret_status)
{
    *ret_status = VCK_OK;
    if (s->phase == VCK_FRAME_CLOSING || s->phase == VCK_FRAME_CLOSED)
        *ret_status = VCK_DELETED;
    else if (!s->wants_run)
        *ret_status = s->restart_status ? s->restart_status : VCK_CANCELLED;
    else
        return s->phase == VCK_FRAME_RUNNING || s->is_low_power;
    return true;
}

static void answer_bind(struct vck_frame_state *s, struct vck_frame_actions *todo)
{
    if (!s->owes_bind || s->phase == VCK_FRAME_OPENING || s->phase == VCK_FRAME_CLOSING)
        return;
    s->owes_bind = false;
    todo->bind_status = s->bind_status;
    todo->flags |= VCK_FRAME_DO_ANSWER_BIND;
}

static void answer_all(struct vck_frame_state *s, struct vck_frame_actions *todo)
{
    vck_status restarted;

    answer_bind(s, todo);
    if (is_drained(s) && s->phase != VCK_FRAME_PAUSING)
        answer(&s->pauses, VCK_FRAME_DO_ANSWER_PAUSES, todo);
    if (restart_is_decided(s, &restarted)) {
        todo->restart_status = restarted;
        answer(&s->restarts, VCK_FRAME_DO_ANSWER_RESTARTS, todo);
    }
    if (!s->is_low_power || (is_drained(s) && s->requests == 0 && !s->is_refreshing))
        answer(&s->low_powers, VCK_FRAME_DO_ANSWER_LOW_POWER, todo);
    if (s->phase == VCK_FRAME_CLOSED)
        answer(&s->unbinds, VCK_FRAME_DO_ANSWER_UNBINDS, todo);
}

static struct vck_frame_actions settle(struct vck_frame_state *s, uint32_t flags)
{
    struct vck_frame_actions todo = {.flags = flags};
    uint8_t before;

    if (s->wants_end && s->phase != VCK_FRAME_CLOSED && s->phase != VCK_FRAME_CLOSING)
        begin_closing(s, &todo);
    do {
        before = s->phase;
        move_phase(s, &todo);
    } while (s->phase != before);
    answer_all(s, &todo);
    return todo;
}

/* ---- events ---- */

static uint32_t bind(struct vck_frame_state *s)
{
    VCK_ASSERT(s->phase == VCK_FRAME_CLOSED);
    *s = (struct vck_frame_state){
        .phase = VCK_FRAME_OPENING,
        .is_opening = true,
        .owes_bind = true,
    };
    return VCK_FRAME_DO_OPEN;
}

static void opened(struct vck_frame_state *s, vck_status status)
{
    VCK_ASSERT(s->is_opening);
    s->is_opening = false;
    s->is_open = status == VCK_OK;
    if (s->is_open)
        return;
    s->bind_status = status;
    s->wants_end = true;
}

static void refreshed(struct vck_frame_state *s, vck_status status)
{
    VCK_ASSERT(s->is_refreshing);
    s->is_refreshing = false;
    if (s->is_refresh_void)
        return;
    if (s->phase == VCK_FRAME_OPENING) {
        if (status == VCK_OK) {
            s->phase = VCK_FRAME_PAUSED;
        } else {
            s->bind_status = status;
            s->wants_end = true;
        }
    } else if (s->phase == VCK_FRAME_RESTARTING) {
        s->phase = status == VCK_OK ? VCK_FRAME_RUNNING : VCK_FRAME_PAUSED;
        s->wants_run = status == VCK_OK;
        s->restart_status = status;
    }
}

static void closed(struct vck_frame_state *s)
{
    VCK_ASSERT(s->is_close_begun);
    s->is_close_begun = false;
    s->is_open = false;
}

static uint32_t lose_power(struct vck_frame_state *s)
{
    s->low_powers++;
    s->is_low_power = true;
    if (s->is_refreshing)
        s->is_refresh_void = true;
    return VCK_FRAME_DO_CANCEL_REQUESTS;
}

struct vck_frame_actions vck_frame_state_event(struct vck_frame_state *s,
                                               enum vck_frame_event event, vck_status status)
{
    uint32_t flags = 0;

    switch (event) {
    case VCK_FRAME_EVENT_BIND:
        flags = bind(s);
        break;
    case VCK_FRAME_EVENT_OPENED:
        opened(s, status);
        break;
    case VCK_FRAME_EVENT_REFRESHED:
        refreshed(s, status);
        break;
    case VCK_FRAME_EVENT_PAUSE:
        s->pauses++;
        s->wants_run = false;
        s->restart_status = VCK_OK;
        break;
    case VCK_FRAME_EVENT_RESTART:
        s->restarts++;
        s->wants_run = !s->wants_end;
        s->restart_status = VCK_OK;
        break;
    case VCK_FRAME_EVENT_LOW_POWER:
        flags = lose_power(s);
        break;
    case VCK_FRAME_EVENT_FULL_POWER:
        s->is_low_power = false;
        flags = VCK_FRAME_DO_ANSWER_FULL_POWER;
        break;
    case VCK_FRAME_EVENT_UNBIND:
        s->unbinds++;
        s->wants_end = true;
        break;
    case VCK_FRAME_EVENT_CLOSED:
        closed(s);
        break;
    case VCK_FRAME_EVENT_COUNT:
        break;
    }
    return settle(s, flags);
}

/* ---- work ---- */

static bool is_ending(const struct vck_frame_state *s)
{
    return s->phase == VCK_FRAME_CLOSING || s->phase == VCK_FRAME_CLOSED;
}

static vck_status begin(struct vck_frame_state *s, bool is_possible, uint32_t *count)
{
    if (is_ending(s))
        return VCK_DELETED;
    if (!is_possible)
        return VCK_NOT_READY;
    (*count)++;
    return VCK_OK;
}

vck_status vck_frame_state_send(struct vck_frame_state *s)
{
    return begin(s, s->phase == VCK_FRAME_RUNNING, &s->sends);
}

vck_status vck_frame_state_receive(struct vck_frame_state *s)
{
    return begin(s, s->phase == VCK_FRAME_RUNNING, &s->receives);
}

vck_status vck_frame_state_request(struct vck_frame_state *s)
{
    return begin(s, s->phase != VCK_FRAME_OPENING && !s->is_low_power, &s->requests);
}

vck_status vck_frame_state_refresh_request(struct vck_frame_state *s)
{
    return begin(s, s->is_refreshing && !s->is_refresh_void, &s->requests);
}

void vck_frame_state_hold(struct vck_frame_state *s)
{
    VCK_ASSERT(s->sends > 0 || s->requests > 0);
    s->requests++;
}

struct vck_frame_actions vck_frame_state_sent(struct vck_frame_state *s, uint32_t count)
{
    VCK_ASSERT(s->sends >= count);
    s->sends -= count;
    return settle(s, 0);
}

struct vck_frame_actions vck_frame_state_returned(struct vck_frame_state *s, uint32_t count)
{
    VCK_ASSERT(s->receives >= count);
    s->receives -= count;
    return settle(s, 0);
}

struct vck_frame_actions vck_frame_state_requested(struct vck_frame_state *s)
{
    VCK_ASSERT(s->requests > 0);
    s->requests--;
    return settle(s, 0);
}

bool vck_frame_state_takes_news(const struct vck_frame_state *s)
{
    return s->is_open && !is_ending(s);
}

const char *vck_frame_phase_text(enum vck_frame_phase phase)
{
    static const char *const texts[VCK_FRAME_PHASE_COUNT] = {
        "closed", "opening", "paused", "restarting", "running", "pausing", "closing"};

    return (unsigned)phase < VCK_FRAME_PHASE_COUNT ? texts[phase] : "unknown";
}
