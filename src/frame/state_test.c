/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each transition by itself, and then every order of events: layer by layer from the closed
 * binding, what is reached by different orders is followed once and counted for all of them.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "vck/bytes.h"
#include "vck/frame_state.h"

#define ENDS (VCK_FRAME_DO_CANCEL_SENDS | VCK_FRAME_DO_CANCEL_REQUESTS | VCK_FRAME_DO_END_READS)

/* ---- each transition ---- */

static struct vck_frame_state opening(void)
{
    struct vck_frame_state s = {0};
    struct vck_frame_actions todo = vck_frame_state_event(&s, VCK_FRAME_EVENT_BIND, VCK_OK);

    assert_int_equal(todo.flags, VCK_FRAME_DO_OPEN);
    return s;
}

static struct vck_frame_state asked(void)
{
    struct vck_frame_state s = opening();

    assert_int_equal(vck_frame_state_event(&s, VCK_FRAME_EVENT_OPENED, VCK_OK).flags,
                     VCK_FRAME_DO_REFRESH);
    return s;
}

static struct vck_frame_state paused(void)
{
    struct vck_frame_state s = asked();
    struct vck_frame_actions todo = vck_frame_state_event(&s, VCK_FRAME_EVENT_REFRESHED, VCK_OK);

    assert_int_equal(todo.flags, VCK_FRAME_DO_ANSWER_BIND);
    assert_int_equal(todo.bind_status, VCK_OK);
    return s;
}

static struct vck_frame_state restarting(void)
{
    struct vck_frame_state s = paused();

    assert_int_equal(vck_frame_state_event(&s, VCK_FRAME_EVENT_RESTART, VCK_OK).flags,
                     VCK_FRAME_DO_REFRESH);
    return s;
}

static struct vck_frame_state running(void)
{
    struct vck_frame_state s = restarting();
    struct vck_frame_actions todo = vck_frame_state_event(&s, VCK_FRAME_EVENT_REFRESHED, VCK_OK);

    assert_int_equal(todo.flags, VCK_FRAME_DO_ANSWER_RESTARTS);
    assert_int_equal(todo.restart_status, VCK_OK);
    return s;
}

static struct vck_frame_state sending(void)
{
    struct vck_frame_state s = running();

    assert_int_equal(vck_frame_state_send(&s), VCK_OK);
    return s;
}

static struct vck_frame_state pausing(void)
{
    struct vck_frame_state s = sending();

    assert_int_equal(vck_frame_state_event(&s, VCK_FRAME_EVENT_PAUSE, VCK_OK).flags,
                     VCK_FRAME_DO_CANCEL_SENDS);
    return s;
}

static struct vck_frame_state closing(void)
{
    struct vck_frame_state s = sending();

    assert_int_equal(vck_frame_state_event(&s, VCK_FRAME_EVENT_UNBIND, VCK_OK).flags, ENDS);
    return s;
}

static struct vck_frame_state nothing(void)
{
    return (struct vck_frame_state){0};
}

static struct vck_frame_state low(void)
{
    struct vck_frame_state s = running();

    assert_int_equal(vck_frame_state_event(&s, VCK_FRAME_EVENT_LOW_POWER, VCK_OK).flags,
                     VCK_FRAME_DO_CANCEL_SENDS | VCK_FRAME_DO_CANCEL_REQUESTS |
                         VCK_FRAME_DO_ANSWER_LOW_POWER);
    return s;
}

struct transition {
    struct vck_frame_state (*from)(void);
    enum vck_frame_event event;
    vck_status status;
    enum vck_frame_phase to;
    uint32_t flags;
    vck_status answer; /* of bind or restart */
};

#define A(name) VCK_FRAME_DO_ANSWER_##name
#define E(name) VCK_FRAME_EVENT_##name
#define P(name) VCK_FRAME_##name

static const struct transition transitions[] = {
    {nothing, E(BIND), VCK_OK, P(OPENING), VCK_FRAME_DO_OPEN, VCK_OK},
    {nothing, E(PAUSE), VCK_OK, P(CLOSED), A(PAUSES), VCK_OK},
    {nothing, E(RESTART), VCK_OK, P(CLOSED), A(RESTARTS), VCK_DELETED},
    {nothing, E(LOW_POWER), VCK_OK, P(CLOSED), VCK_FRAME_DO_CANCEL_REQUESTS | A(LOW_POWER), VCK_OK},
    {nothing, E(FULL_POWER), VCK_OK, P(CLOSED), A(FULL_POWER), VCK_OK},
    {nothing, E(UNBIND), VCK_OK, P(CLOSED), A(UNBINDS), VCK_OK},
    {opening, E(OPENED), VCK_OK, P(OPENING), VCK_FRAME_DO_REFRESH, VCK_OK},
    {opening, E(OPENED), VCK_IO, P(CLOSED), ENDS | A(BIND), VCK_IO},
    {opening, E(PAUSE), VCK_OK, P(OPENING), A(PAUSES), VCK_OK},
    {opening, E(RESTART), VCK_OK, P(OPENING), 0, VCK_OK},
    {opening, E(LOW_POWER), VCK_OK, P(OPENING), VCK_FRAME_DO_CANCEL_REQUESTS | A(LOW_POWER),
     VCK_OK},
    {opening, E(FULL_POWER), VCK_OK, P(OPENING), A(FULL_POWER), VCK_OK},
    {opening, E(UNBIND), VCK_OK, P(CLOSING), ENDS, VCK_OK},
    {asked, E(REFRESHED), VCK_OK, P(PAUSED), A(BIND), VCK_OK},
    {asked, E(REFRESHED), VCK_TIMEOUT, P(CLOSING), ENDS | VCK_FRAME_DO_CLOSE, VCK_OK},
    {asked, E(LOW_POWER), VCK_OK, P(OPENING), VCK_FRAME_DO_CANCEL_REQUESTS, VCK_OK},
    {asked, E(UNBIND), VCK_OK, P(CLOSING), ENDS, VCK_OK},
    {paused, E(PAUSE), VCK_OK, P(PAUSED), A(PAUSES), VCK_OK},
    {paused, E(RESTART), VCK_OK, P(RESTARTING), VCK_FRAME_DO_REFRESH, VCK_OK},
    {paused, E(LOW_POWER), VCK_OK, P(PAUSED), VCK_FRAME_DO_CANCEL_REQUESTS | A(LOW_POWER), VCK_OK},
    {paused, E(FULL_POWER), VCK_OK, P(PAUSED), A(FULL_POWER), VCK_OK},
    {paused, E(UNBIND), VCK_OK, P(CLOSING), ENDS | VCK_FRAME_DO_CLOSE, VCK_OK},
    {restarting, E(REFRESHED), VCK_OK, P(RUNNING), A(RESTARTS), VCK_OK},
    {restarting, E(REFRESHED), VCK_IO, P(PAUSED), A(RESTARTS), VCK_IO},
    {restarting, E(PAUSE), VCK_OK, P(PAUSING), A(RESTARTS), VCK_CANCELLED},
    {restarting, E(RESTART), VCK_OK, P(RESTARTING), 0, VCK_OK},
    {restarting, E(LOW_POWER), VCK_OK, P(PAUSING), VCK_FRAME_DO_CANCEL_REQUESTS | A(RESTARTS),
     VCK_OK},
    {restarting, E(UNBIND), VCK_OK, P(CLOSING), ENDS | A(RESTARTS), VCK_DELETED},
    {running, E(PAUSE), VCK_OK, P(PAUSED), VCK_FRAME_DO_CANCEL_SENDS | A(PAUSES), VCK_OK},
    {running, E(RESTART), VCK_OK, P(RUNNING), A(RESTARTS), VCK_OK},
    {running, E(FULL_POWER), VCK_OK, P(RUNNING), A(FULL_POWER), VCK_OK},
    {running, E(UNBIND), VCK_OK, P(CLOSING), ENDS | VCK_FRAME_DO_CLOSE, VCK_OK},
    {sending, E(PAUSE), VCK_OK, P(PAUSING), VCK_FRAME_DO_CANCEL_SENDS, VCK_OK},
    {sending, E(LOW_POWER), VCK_OK, P(PAUSING),
     VCK_FRAME_DO_CANCEL_SENDS | VCK_FRAME_DO_CANCEL_REQUESTS, VCK_OK},
    {pausing, E(PAUSE), VCK_OK, P(PAUSING), 0, VCK_OK},
    {pausing, E(RESTART), VCK_OK, P(PAUSING), 0, VCK_OK},
    {pausing, E(FULL_POWER), VCK_OK, P(PAUSING), A(FULL_POWER), VCK_OK},
    {pausing, E(UNBIND), VCK_OK, P(CLOSING), ENDS, VCK_OK},
    {low, E(FULL_POWER), VCK_OK, P(RESTARTING), VCK_FRAME_DO_REFRESH | A(FULL_POWER), VCK_OK},
    {low, E(PAUSE), VCK_OK, P(PAUSED), A(PAUSES), VCK_OK},
    {low, E(RESTART), VCK_OK, P(PAUSED), A(RESTARTS), VCK_OK},
    {low, E(UNBIND), VCK_OK, P(CLOSING), ENDS | VCK_FRAME_DO_CLOSE, VCK_OK},
    {closing, E(PAUSE), VCK_OK, P(CLOSING), 0, VCK_OK},
    {closing, E(RESTART), VCK_OK, P(CLOSING), A(RESTARTS), VCK_DELETED},
    {closing, E(FULL_POWER), VCK_OK, P(CLOSING), A(FULL_POWER), VCK_OK},
    {closing, E(UNBIND), VCK_OK, P(CLOSING), 0, VCK_OK},
};

static void each_event_in_each_phase(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(transitions); i++) {
        const struct transition *t = &transitions[i];
        struct vck_frame_state s = t->from();
        struct vck_frame_actions todo = vck_frame_state_event(&s, t->event, t->status);

        if (s.phase != t->to || todo.flags != t->flags)
            fail_msg("transition %zu: phase %s, flags %#x", i,
                     vck_frame_phase_text((enum vck_frame_phase)s.phase), todo.flags);
        if (todo.flags & A(BIND))
            assert_int_equal(todo.bind_status, t->answer);
        if (todo.flags & A(RESTARTS))
            assert_int_equal(todo.restart_status, t->answer);
    }
}

static void the_last_send_ends_a_pause_and_a_restart_follows(void **unused)
{
    struct vck_frame_state s = pausing();

    (void)unused;
    assert_int_equal(vck_frame_state_event(&s, E(RESTART), VCK_OK).flags, 0);
    assert_int_equal(vck_frame_state_sent(&s, 1).flags, VCK_FRAME_DO_REFRESH | A(PAUSES));
    assert_int_equal(s.phase, P(RESTARTING));
}

static void an_unbind_is_answered_last(void **unused)
{
    struct vck_frame_state s = running();

    (void)unused;
    assert_int_equal(vck_frame_state_send(&s), VCK_OK);
    assert_int_equal(vck_frame_state_receive(&s), VCK_OK);
    assert_int_equal(vck_frame_state_request(&s), VCK_OK);
    assert_int_equal(vck_frame_state_event(&s, E(UNBIND), VCK_OK).flags, ENDS);
    assert_int_equal(vck_frame_state_send(&s), VCK_DELETED);
    assert_int_equal(vck_frame_state_receive(&s), VCK_DELETED);
    assert_int_equal(vck_frame_state_request(&s), VCK_DELETED);
    assert_int_equal(vck_frame_state_sent(&s, 1).flags, 0);
    assert_int_equal(vck_frame_state_requested(&s).flags, 0);
    assert_int_equal(vck_frame_state_returned(&s, 1).flags, VCK_FRAME_DO_CLOSE);
    assert_int_equal(vck_frame_state_event(&s, E(CLOSED), VCK_OK).flags, A(UNBINDS));
    assert_int_equal(s.phase, P(CLOSED));
}

static void work_begins_where_it_may(void **unused)
{
    struct vck_frame_state s = asked();

    (void)unused;
    assert_int_equal(vck_frame_state_request(&s), VCK_NOT_READY);
    assert_int_equal(vck_frame_state_refresh_request(&s), VCK_OK);
    assert_int_equal(vck_frame_state_requested(&s).flags, 0);
    s = paused();
    assert_int_equal(vck_frame_state_send(&s), VCK_NOT_READY);
    assert_int_equal(vck_frame_state_receive(&s), VCK_NOT_READY);
    assert_int_equal(vck_frame_state_refresh_request(&s), VCK_NOT_READY);
    assert_int_equal(vck_frame_state_request(&s), VCK_OK);
    s = low();
    assert_int_equal(vck_frame_state_request(&s), VCK_NOT_READY);
}

/* A refresh that power fell on is asked again, whatever came of it. */
static void power_makes_a_refresh_void(void **unused)
{
    struct vck_frame_state s = asked();

    (void)unused;
    (void)vck_frame_state_event(&s, E(LOW_POWER), VCK_OK);
    assert_int_equal(vck_frame_state_refresh_request(&s), VCK_NOT_READY);
    (void)vck_frame_state_event(&s, E(FULL_POWER), VCK_OK);
    assert_int_equal(vck_frame_state_event(&s, E(REFRESHED), VCK_CANCELLED).flags,
                     VCK_FRAME_DO_REFRESH);
    assert_int_equal(vck_frame_state_event(&s, E(REFRESHED), VCK_OK).flags, A(BIND));
}

/* ---- every order ---- */

/* What happens: the events, then work that begins and ends, then news. */
enum happening {
    OPEN_FAILS = VCK_FRAME_EVENT_COUNT,
    REFRESH_FAILS,
    SEND,
    SENT,
    RECEIVE,
    RETURNED,
    REQUEST,
    REQUESTED,
    STATUS,
    RENAMED,
    HAPPENING_COUNT,
};

/* What an adapter and its system would know, kept apart from the machine. */
struct world {
    bool owes_bind;
    bool opens;
    bool refreshes;
    bool closes;
    bool is_open;
    uint8_t sends;
    uint8_t receives;
    uint8_t requests;
    uint8_t pauses;
    uint8_t restarts;
    uint8_t low_powers;
    uint8_t unbinds;
};

struct node {
    struct vck_frame_state state;
    struct world world;
    uint64_t orders;
    bool is_used;
};

#define KEY_BYTES 40
/* Of one kind that wait at a time. */
#define WAITING_MAX 2

static bool is_legal(const struct node *n, unsigned what)
{
    const struct world *w = &n->world;

    switch (what) {
    case E(BIND):
        return n->state.phase == P(CLOSED);
    case E(OPENED):
    case OPEN_FAILS:
        return w->opens;
    case E(REFRESHED):
    case REFRESH_FAILS:
        return w->refreshes;
    case E(CLOSED):
        return w->closes;
    case E(PAUSE):
        return w->pauses < WAITING_MAX;
    case E(RESTART):
        return w->restarts < WAITING_MAX;
    case E(LOW_POWER):
        return w->low_powers < WAITING_MAX;
    case E(UNBIND):
        return w->unbinds < WAITING_MAX;
    case SEND:
        return w->sends < WAITING_MAX;
    case RECEIVE:
        return w->receives < WAITING_MAX;
    case REQUEST:
        return w->requests < WAITING_MAX;
    case SENT:
        return w->sends > 0;
    case RETURNED:
        return w->receives > 0;
    case REQUESTED:
        return w->requests > 0;
    default:
        return true;
    }
}

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("after %u: %s does not hold", what, #condition);                              \
    } while (0)

/* What the machine asks for must be possible, and due. */
static void carry_out(struct node *n, unsigned what, struct vck_frame_actions todo)
{
    struct world *w = &n->world;
    bool is_idle = !w->sends && !w->receives && !w->requests && !w->refreshes;

    if (todo.flags & VCK_FRAME_DO_OPEN) {
        MUST(!w->is_open && !w->opens && !w->closes && !w->owes_bind);
        w->opens = true;
        w->owes_bind = true;
    }
    if (todo.flags & VCK_FRAME_DO_REFRESH) {
        MUST(w->is_open && !w->refreshes && !w->closes);
        w->refreshes = true;
        is_idle = false;
    }
    if (todo.flags & VCK_FRAME_DO_CLOSE) {
        MUST(w->is_open && is_idle && !w->closes);
        w->closes = true;
    }
    if (todo.flags & A(BIND)) {
        MUST(w->owes_bind);
        MUST(todo.bind_status == VCK_OK ? w->is_open && !w->closes : !w->is_open);
        w->owes_bind = false;
    }
    if (todo.flags & A(PAUSES)) {
        MUST(w->pauses > 0 && w->sends == 0 && w->receives == 0);
        w->pauses = 0;
    }
    if (todo.flags & A(RESTARTS)) {
        MUST(w->restarts > 0);
        w->restarts = 0;
    }
    if (todo.flags & A(LOW_POWER)) {
        MUST(w->low_powers > 0);
        MUST(is_idle || !n->state.is_low_power);
        w->low_powers = 0;
    }
    if (todo.flags & A(UNBINDS)) {
        MUST(w->unbinds > 0 && !w->is_open && !w->opens && !w->closes && is_idle);
        MUST(!w->owes_bind);
        w->unbinds = 0;
    }
}

/* Work is let through only while the adapter is open and not being closed. */
static void begin_work(struct node *n, unsigned what)
{
    struct world *w = &n->world;
    vck_status status = what == SEND      ? vck_frame_state_send(&n->state)
                        : what == RECEIVE ? vck_frame_state_receive(&n->state)
                                          : vck_frame_state_request(&n->state);

    if (status != VCK_OK)
        return;
    MUST(w->is_open && !w->closes && w->unbinds == 0);
    MUST(what == REQUEST || w->pauses == 0);
    MUST(w->low_powers == 0);
    w->sends = (uint8_t)(w->sends + (what == SEND));
    w->receives = (uint8_t)(w->receives + (what == RECEIVE));
    w->requests = (uint8_t)(w->requests + (what == REQUEST));
}

static struct vck_frame_actions end_work(struct node *n, unsigned what)
{
    struct world *w = &n->world;

    if (what == SENT) {
        w->sends--;
        return vck_frame_state_sent(&n->state, 1);
    }
    if (what == RETURNED) {
        w->receives--;
        return vck_frame_state_returned(&n->state, 1);
    }
    w->requests--;
    return vck_frame_state_requested(&n->state);
}

static struct vck_frame_actions deliver(struct node *n, unsigned what)
{
    struct world *w = &n->world;
    vck_status status = what == OPEN_FAILS || what == REFRESH_FAILS ? VCK_IO : VCK_OK;
    enum vck_frame_event event = what == OPEN_FAILS      ? E(OPENED)
                                 : what == REFRESH_FAILS ? E(REFRESHED)
                                                         : (enum vck_frame_event)what;

    if (event == E(OPENED)) {
        w->opens = false;
        w->is_open = status == VCK_OK;
    }
    if (event == E(CLOSED))
        w->closes = w->is_open = false;
    if (event == E(REFRESHED))
        w->refreshes = false;
    w->pauses = (uint8_t)(w->pauses + (event == E(PAUSE)));
    w->restarts = (uint8_t)(w->restarts + (event == E(RESTART)));
    w->low_powers = (uint8_t)(w->low_powers + (event == E(LOW_POWER)));
    w->unbinds = (uint8_t)(w->unbinds + (event == E(UNBIND)));
    return vck_frame_state_event(&n->state, event, status);
}

static void check(const struct node *n, unsigned what)
{
    const struct vck_frame_state *s = &n->state;
    const struct world *w = &n->world;

    MUST(s->sends == w->sends && s->receives == w->receives && s->requests == w->requests);
    MUST(s->pauses == w->pauses && s->restarts == w->restarts);
    MUST(s->low_powers == w->low_powers && s->unbinds == w->unbinds);
    MUST(s->is_open == w->is_open && s->is_opening == w->opens);
    MUST(s->is_refreshing == w->refreshes && s->is_close_begun == w->closes);
    if (s->phase == P(CLOSED))
        MUST(!w->is_open && !w->owes_bind && !w->unbinds && !w->pauses && !w->restarts &&
             !w->low_powers && !w->sends && !w->receives && !w->requests);
    if (vck_frame_state_takes_news(s))
        MUST(w->is_open && !w->closes && w->unbinds == 0);
}

static void step(struct node *n, unsigned what)
{
    struct vck_frame_actions none = {0};

    if (what == SEND || what == RECEIVE || what == REQUEST)
        begin_work(n, what);
    else if (what == SENT || what == RETURNED || what == REQUESTED)
        carry_out(n, what, end_work(n, what));
    else if (what < VCK_FRAME_EVENT_COUNT || what == OPEN_FAILS || what == REFRESH_FAILS)
        carry_out(n, what, deliver(n, what));
    else
        carry_out(n, what, none);
    check(n, what);
}

static void complete_everything(struct node *n)
{
    static const unsigned ends[] = {E(OPENED), E(REFRESHED), SENT, RETURNED, REQUESTED, E(CLOSED)};
    bool is_done = false;

    while (!is_done) {
        is_done = true;
        for (size_t i = 0; i < VCK_ARRAY_COUNT(ends); i++)
            if (is_legal(n, ends[i])) {
                step(n, ends[i]);
                is_done = false;
            }
    }
}

/* From everywhere: when the adapter does its part, nobody waits for an answer, but a bind perhaps
 * for power; an unbind then leads to the end. */
static void ends_well(struct node n)
{
    unsigned what = HAPPENING_COUNT;

    complete_everything(&n);
    MUST(!n.world.pauses && !n.world.restarts && !n.world.low_powers && !n.world.unbinds);
    MUST(!n.world.owes_bind || n.state.is_low_power);
    step(&n, E(UNBIND));
    complete_everything(&n);
    MUST(n.state.phase == P(CLOSED) && n.world.unbinds == 0);
}

/* ---- layers ---- */

static void key_of(const struct node *n, uint8_t key[KEY_BYTES])
{
    const struct vck_frame_state *s = &n->state;
    const uint8_t fields[KEY_BYTES] = {
        s->phase,
        s->is_open,
        s->is_opening,
        s->is_refreshing,
        s->is_refresh_void,
        s->is_close_begun,
        s->wants_run,
        s->wants_end,
        s->is_low_power,
        s->owes_bind,
        (uint8_t)s->bind_status,
        (uint8_t)s->restart_status,
        (uint8_t)s->pauses,
        (uint8_t)s->restarts,
        (uint8_t)s->low_powers,
        (uint8_t)s->unbinds,
        (uint8_t)s->sends,
        (uint8_t)s->receives,
        (uint8_t)s->requests,
        n->world.owes_bind,
    };
    memcpy(key, fields, KEY_BYTES);
}

struct layer {
    struct node *nodes;
    size_t capacity;
    size_t count;
};

static struct layer make_layer(size_t capacity)
{
    struct layer layer = {calloc(capacity, sizeof(struct node)), capacity, 0};

    assert_non_null(layer.nodes);
    return layer;
}

/* The rest of the world is a copy of what the machine says it is, which check() has seen. */
static void add(struct layer *layer, const struct node *n)
{
    uint8_t key[KEY_BYTES];
    uint8_t other[KEY_BYTES];
    uint64_t hash = 1469598103934665603u;

    key_of(n, key);
    for (size_t i = 0; i < KEY_BYTES; i++)
        hash = (hash ^ key[i]) * 1099511628211u;
    for (size_t at = hash % layer->capacity;; at = (at + 1) % layer->capacity) {
        struct node *there = &layer->nodes[at];
        if (!there->is_used) {
            *there = *n;
            there->is_used = true;
            layer->count++;
            assert_true(layer->count * 2 < layer->capacity);
            return;
        }
        key_of(there, other);
        if (memcmp(key, other, KEY_BYTES) == 0) {
            there->orders += n->orders;
            return;
        }
    }
}

static uint64_t next_layer(const struct layer *from, struct layer *to)
{
    uint64_t orders = 0;

    for (size_t i = 0; i < from->capacity; i++) {
        if (!from->nodes[i].is_used)
            continue;
        ends_well(from->nodes[i]);
        for (unsigned what = 0; what < HAPPENING_COUNT; what++) {
            struct node n = from->nodes[i];
            if (!is_legal(&n, what))
                continue;
            step(&n, what);
            orders += n.orders;
            add(to, &n);
        }
    }
    return orders;
}

/* The last layers have no more states than the one before: all that can be reached has been. */
#define LENGTH_MAX 24

static void every_order_of_events_keeps_the_promises(void **unused)
{
    struct layer layer = make_layer(16);
    struct node start = {.orders = 1};

    (void)unused;
    add(&layer, &start);
    for (unsigned length = 1; length <= LENGTH_MAX; length++) {
        struct layer next = make_layer(1u << 18);
        uint64_t orders = next_layer(&layer, &next);
        if (length == 8)
            print_message("# %llu orders of 8 events, %zu states\n", (unsigned long long)orders,
                          next.count);
        if (length == LENGTH_MAX)
            print_message("# %zu states after %u events\n", next.count, length);
        free(layer.nodes);
        layer = next;
    }
    free(layer.nodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_in_each_phase),
        cmocka_unit_test(the_last_send_ends_a_pause_and_a_restart_follows),
        cmocka_unit_test(an_unbind_is_answered_last),
        cmocka_unit_test(work_begins_where_it_may),
        cmocka_unit_test(power_makes_a_refresh_void),
        cmocka_unit_test(every_order_of_events_keeps_the_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
