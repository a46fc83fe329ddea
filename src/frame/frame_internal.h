/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_internal: what the files of the room share. Locks: the protocol's covers its lists and the
 * deadlines, a binding's everything in the binding and is the inner one. Nothing is called with one
 * held.
 */
#ifndef VCK_FRAME_INTERNAL_H
#define VCK_FRAME_INTERNAL_H

#include "vck/frame.h"
#include "vck/holds.h"
#include "vck/span.h"

#define FRAME_TAG VCK_TAG('V', 'f', 'r', 'm')

/* ---- the protocol ---- */

struct vck_frame_protocol {
    struct vck_frames_handler handler; /* first */
    struct vck_mutex control;          /* one start or stop at a time */
    const char *name;
    void *port_config;
    uint32_t queue_frames;
    uint64_t request_limit_ns;

    struct vck_spinlock lock;
    struct vck_frames_protocol *port; /* NULL: not registered, or not yet */
    bool is_started;
    bool is_uninstalled;
    bool is_told_all;              /* binds_complete has come */
    uint32_t binds_pending;        /* told of and not answered */
    struct vck_frames_bind *early; /* told of before the registration stood, newest first */
    struct vck_link bindings;      /* bound, in the order of their binds */
    struct vck_link bind_waits;    /* calls */

    struct vck_link deadlines; /* requests, earliest first */
    uint64_t armed_ns;         /* what the timer is set to */
    struct vck_timer timer;
};

/* Ends waits for binds when there is nothing left to wait for. */
void vck_frame_protocol_bind_answered(struct vck_frame_protocol *protocol);
/* Makes the binding findable, or not any more. */
void vck_frame_protocol_add(struct vck_frame_protocol *protocol, struct vck_frame_binding *binding);
void vck_frame_protocol_remove(struct vck_frame_protocol *protocol,
                               struct vck_frame_binding *binding);

/* ---- a binding ---- */

/* A place for a frame: waiting in the queue, or lent to a reader. */
struct frame_slot {
    struct vck_link link;
    struct vck_frame frame; /* what a reader gets */
    struct vck_frame_binding *binding;
    struct vck_frames_received *received; /* lent as it came; NULL: copied to data */
    struct vck_descriptor descriptor;
    uint8_t *data;
};

#define STATUSES_KEPT 8u

struct kept_status {
    uint32_t code;
    uint32_t size_bytes;
    uint8_t data[VCK_FRAME_STATUS_DATA_BYTES];
};

/* What the adapter is asked when it is opened and when it restarts. */
struct refresh {
    struct vck_frame_call call;
    uint8_t step;
    uint8_t data[8];
};

/* Beside enum vck_frame_action. */
#define DO_REFRESH_STEP (1u << 30) /* the answer to one question is there */
#define DO_RETIRE       (1u << 31) /* closed, and every answer given */

struct vck_frame_binding {
    struct vck_frames_binding port; /* first */
    struct vck_frame_protocol *protocol;
    struct vck_link link; /* in protocol->bindings, under its lock */
    struct refresh refresh;

    struct vck_spinlock lock;
    struct vck_frame_state state;
    uint32_t todo; /* not yet carried out */
    vck_status bind_status;
    bool is_at_work; /* somebody carries out */
    struct vck_work work;
    struct vck_frames_bind *bind;
    struct vck_frames_event *waiting[VCK_FRAMES_EVENT_TYPE_COUNT]; /* newest first */
    struct vck_frames_event *due; /* to be answered with their core_status, newest first */

    struct vck_frame_info info;
    struct vck_frame_statistics statistics;
    struct vck_frame_opener *opener;
    uint32_t filter; /* as it was set last, for restarts */
    uint64_t next_cancel_id;
    uint32_t cancels;         /* cancellations of sends so far */
    struct vck_link sends;    /* calls in the port */
    struct vck_link requests; /* blocks in the port */
    struct vck_link reads;    /* calls that wait for a frame */
    struct vck_link status_waits;
    struct kept_status statuses[STATUSES_KEPT];
    uint32_t status_first;
    uint32_t status_count;

    struct vck_link queue; /* slots, oldest first */
    struct vck_link free_slots;
    struct frame_slot *slots; /* one allocation, with their data */
    uint32_t slot_bytes;
    uint32_t lent_count;
};

extern const struct vck_frames_handlers vck_frame_handlers;

/* Under the lock: notes what is to be done. Without it: carries out what has been noted, unless
 * somebody else does already. */
void vck_frame_binding_note(struct vck_frame_binding *binding, struct vck_frame_actions todo);
void vck_frame_binding_work(struct vck_frame_binding *binding);
/* The end of a request, or of a hold. */
void vck_frame_binding_let_go(struct vck_frame_binding *binding);
/* Creates the binding of a bind and begins to open it; answers the bind when that fails. PASSIVE.
 */
void vck_frame_binding_begin(struct vck_frame_protocol *protocol,
                             struct vck_frames_bind *bind) VCK_CAN_WAIT;

void vck_frame_refresh_begin(struct vck_frame_binding *binding);
void vck_frame_refresh_step(struct vck_frame_binding *binding);

/* ---- calls ---- */

void vck_frame_call_prepare(struct vck_frame_call *call, enum vck_frame_call_type type,
                            struct vck_frame_binding *binding);
/* The end of a call that was taken out of wherever it was. The call may be gone afterwards. */
void vck_frame_call_finish(struct vck_frame_call *call, vck_status status);
/* Under the lock: puts a call that waits no longer to those to be finished without it; who cancels
 * the call leaves it alone then. */
static inline void vck_frame_call_take(struct vck_link *link, struct vck_link *ended)
{
    VCK_CONTAINER_OF(link, struct vck_frame_call, link)->is_taken = true;
    vck_list_push_back(ended, link);
}
/* Ends all calls of a list nobody else can reach. */
void vck_frame_calls_finish(struct vck_link *calls, vck_status status);

/* Begin: ends in vck_frame_call_finish, at once or later. Cancel: the call is held. */
void vck_frame_send_begin(struct vck_frame_call *const calls[], uint32_t count);
void vck_frame_send_cancel(struct vck_frame_call *call);
/* Cancels the sends in the port, all or those of an id; the binding is not closed meanwhile. */
void vck_frame_sends_cancel_due(struct vck_frame_binding *binding);
void vck_frame_sends_mark_due(struct vck_frame_binding *binding);
void vck_frame_read_begin(struct vck_frame_call *call);
void vck_frame_request_begin(struct vck_frame_call *call);
void vck_frame_request_cancel(struct vck_frame_call *call, vck_status status);
void vck_frame_requests_cancel_due(struct vck_frame_binding *binding);
void vck_frame_requests_mark_due(struct vck_frame_binding *binding);
/* A set that nobody waits for. */
void vck_frame_request_forget(struct vck_frame_binding *binding, uint32_t oid, uint32_t value);
void vck_frame_status_begin(struct vck_frame_call *call);
void vck_frame_binds_begin(struct vck_frame_call *call);

/* The timer's callback: requests whose time is up. DISPATCH. */
void vck_frame_deadlines_passed(void *protocol);

/* ---- receiving ---- */

/* Memory for what waits: none is lent or queued. NO_MEMORY leaves what there was. */
VCK_CHECKED vck_status vck_frame_queue_prepare(struct vck_frame_binding *binding);
void vck_frame_queue_fini(struct vck_frame_binding *binding);
/* Under the lock: forgets what waits. */
void vck_frame_queue_empty(struct vck_frame_binding *binding);

/* The port's handlers that live beside what they belong to. */
void vck_frame_on_sent(struct vck_frames_binding *port, struct vck_frames_send *first);
struct vck_frames_received *vck_frame_on_received(struct vck_frames_binding *port,
                                                  struct vck_frames_received *first, bool may_keep);
void vck_frame_on_requested(struct vck_frames_binding *port, struct vck_frames_request *request);
void vck_frame_on_status(struct vck_frames_binding *port, const struct vck_frames_status *status);
void vck_frame_on_bind(struct vck_frames_handler *handler, struct vck_frames_bind *bind);
void vck_frame_on_binds_complete(struct vck_frames_handler *handler);
void vck_frame_on_uninstall(struct vck_frames_handler *handler);

static inline struct vck_frame_binding *vck_frame_of_port(struct vck_frames_binding *port)
{
    return VCK_CONTAINER_OF(port, struct vck_frame_binding, port);
}

static inline struct vck_object *vck_frame_binding_object(struct vck_frame_binding *binding)
{
    return vck_object_of_context(binding);
}

#endif
