/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_state: what a binding of a protocol to a network adapter may do, and when. A pure state
 * machine: events and operations go in, what is to be done comes out. The owner calls it under a
 * lock and carries out the result without one. docs/frames.md draws it.
 *
 *     closed --BIND--> opening --OPENED, REFRESHED--> paused --RESTART--> restarting
 *                                                       ^                     | REFRESHED
 *                                            drained    |                     v
 *                                            pausing <--+---- PAUSE ------ running
 *     any --UNBIND, or a bind that failed--> closing --drained: close--CLOSED--> closed
 *
 * The owner of events may deliver them in any order and interleaved with themselves. What an event
 * asks for is remembered as a wish; the state follows the wishes as soon as what is outstanding
 * allows it, so that every race ends in a defined state. Any level; not locked.
 */
#ifndef VCK_FRAME_STATE_H
#define VCK_FRAME_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/status.h"

VCK_BEGIN_DECLS

enum vck_frame_phase {
    VCK_FRAME_CLOSED = 0, /* no adapter: before the bind, after the unbind */
    VCK_FRAME_OPENING,    /* being opened, then asked for its properties */
    VCK_FRAME_PAUSED,     /* open; requests only */
    VCK_FRAME_RESTARTING, /* asked again for its properties, which may have changed meanwhile */
    VCK_FRAME_RUNNING,    /* frames flow */
    VCK_FRAME_PAUSING,    /* no new sends; waits for those outstanding, and for borrowed frames */
    VCK_FRAME_CLOSING,    /* no new work; waits for everything outstanding, then closes */
    VCK_FRAME_PHASE_COUNT,
};

enum vck_frame_event {
    VCK_FRAME_EVENT_BIND,      /* an adapter may be bound */
    VCK_FRAME_EVENT_OPENED,    /* status: the open that was asked for is over */
    VCK_FRAME_EVENT_REFRESHED, /* status: so is the refresh */
    VCK_FRAME_EVENT_PAUSE,
    VCK_FRAME_EVENT_RESTART,
    VCK_FRAME_EVENT_LOW_POWER,
    VCK_FRAME_EVENT_FULL_POWER,
    VCK_FRAME_EVENT_UNBIND,
    VCK_FRAME_EVENT_CLOSED, /* the close that was asked for is over */
    VCK_FRAME_EVENT_COUNT,
};

/* What the owner has to do, in the order of these bits. */
enum vck_frame_action {
    VCK_FRAME_DO_OPEN = 1u << 0,               /* begin to open; OPENED follows */
    VCK_FRAME_DO_CANCEL_SENDS = 1u << 1,       /* those that are outstanding */
    VCK_FRAME_DO_CANCEL_REQUESTS = 1u << 2,    /* the same, the refresh included */
    VCK_FRAME_DO_END_READS = 1u << 3,          /* reads that wait end; queued frames go */
    VCK_FRAME_DO_REFRESH = 1u << 4,            /* ask for the properties; REFRESHED follows */
    VCK_FRAME_DO_CLOSE = 1u << 5,              /* begin to close; CLOSED follows */
    VCK_FRAME_DO_ANSWER_BIND = 1u << 6,        /* with bind_status */
    VCK_FRAME_DO_ANSWER_PAUSES = 1u << 7,      /* every pause not yet answered, with OK */
    VCK_FRAME_DO_ANSWER_RESTARTS = 1u << 8,    /* every restart not yet answered: restart_status */
    VCK_FRAME_DO_ANSWER_LOW_POWER = 1u << 9,   /* all of them, with OK */
    VCK_FRAME_DO_ANSWER_FULL_POWER = 1u << 10, /* the same */
    VCK_FRAME_DO_ANSWER_UNBINDS = 1u << 11,    /* the same; the last thing to happen */
};

struct vck_frame_actions {
    uint32_t flags; /* enum vck_frame_action */
    vck_status bind_status;
    vck_status restart_status;
};

/* Zeroed memory is a closed binding. The owner reads phase and counts and changes nothing. */
struct vck_frame_state {
    uint8_t phase;        /* enum vck_frame_phase */
    bool is_open;         /* the adapter is: between OPENED with OK and the close */
    bool is_opening;      /* OPENED is expected */
    bool is_refreshing;   /* REFRESHED is expected */
    bool is_refresh_void; /* its result will not count: power went meanwhile */
    bool is_close_begun;  /* CLOSED is expected */
    bool wants_run;       /* the last of RESTART and PAUSE was RESTART */
    bool wants_end;       /* UNBIND, or the bind failed */
    bool is_low_power;
    bool owes_bind; /* a bind waits for its answer */
    vck_status bind_status;
    vck_status restart_status;
    uint32_t pauses; /* events that wait for their answer */
    uint32_t restarts;
    uint32_t low_powers;
    uint32_t unbinds;
    uint32_t sends;    /* outstanding in the adapter */
    uint32_t receives; /* frames borrowed from the adapter */
    uint32_t requests; /* outstanding in the adapter, those of a refresh included */
};

/* An event. status is that of OPENED and REFRESHED, otherwise OK. BIND is legal in CLOSED with no
 * event owed an answer; OPENED, REFRESHED, CLOSED when expected; the others always. */
struct vck_frame_actions vck_frame_state_event(struct vck_frame_state *state,
                                               enum vck_frame_event event, vck_status status);

/* Whether a frame may be sent, be taken in, a request be made now: OK, and it counts as outstanding
 * until its end is told; NOT_READY (not running; not open, low power), DELETED (closing, closed).
 */
VCK_CHECKED vck_status vck_frame_state_send(struct vck_frame_state *state);
VCK_CHECKED vck_status vck_frame_state_receive(struct vck_frame_state *state);
VCK_CHECKED vck_status vck_frame_state_request(struct vck_frame_state *state);
/* A request of the refresh: allowed while one is under way and the binding is not closing. */
VCK_CHECKED vck_status vck_frame_state_refresh_request(struct vck_frame_state *state);

/* Somebody calls into the adapter about work that is outstanding, to cancel it: counts as a request
 * until its end is told, so that the adapter is not closed meanwhile. */
void vck_frame_state_hold(struct vck_frame_state *state);

/* The end of as many. */
struct vck_frame_actions vck_frame_state_sent(struct vck_frame_state *state, uint32_t count);
struct vck_frame_actions vck_frame_state_returned(struct vck_frame_state *state, uint32_t count);
struct vck_frame_actions vck_frame_state_requested(struct vck_frame_state *state);

/* Whether a status or another name of the adapter means something now. */
bool vck_frame_state_takes_news(const struct vck_frame_state *state);

/* In lower case: "running". Static. */
const char *vck_frame_phase_text(enum vck_frame_phase phase);

VCK_END_DECLS

#endif
