/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frames: raw Ethernet frames as the core sees them. The port registers a protocol with the system;
 * from then on the system tells of adapters that may be bound, and of everything that happens to a
 * binding, through one table of handlers. Ports translate; which order is legal, who waits for whom
 * and what is answered when is decided above (vck/frame_state.h).
 *
 *     system           port                                   core
 *     ------           ----                                   ----
 *     adapter there    handlers->bind(bind) ----------------> (waits until register returned)
 *                      <------------------------------------- vck_frames_open(bind, binding)
 *     opened           handlers->opened(binding, status) ---> queries by vck_frames_request
 *                      <------------------------------------- vck_frames_bind_done(bind, status)
 *     pause, ...       handlers->event(binding, event) -----> stops, drains
 *                      <------------------------------------- vck_frames_event_done(event, status)
 *     adapter goes     handlers->event(UNBIND) -------------> cancels, drains
 *                      <------------------------------------- vck_frames_close(binding)
 *     closed           handlers->closed(binding) -----------> forgets the binding
 *                      <------------------------------------- vck_frames_event_done(event, OK)
 *
 * Nothing the core is told to do waits inside a handler, and any completion may come before the
 * call that began the work has returned, from any thread.
 */
#ifndef VCK_PORT_FRAMES_H
#define VCK_PORT_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "port/frame_oid.h"
#include "port/port.h"
#include "vck/annotate.h"
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

struct vck_descriptor; /* vck/chain.h; on NT an MDL */

/* ---- what is handed up and down ---- */

/* A protocol as the port keeps it. */
struct vck_frames_protocol;

/* A binding: the core's storage, from vck_frames_open until `closed` has been called. */
struct vck_frames_binding {
    const struct vck_frames_handlers *handlers; /* as registered; set by the core */
    void *port_data;                            /* the port's, NULL before open */
    uint64_t dropped_frames; /* by the system before `received`; counted by the port, atomic */
};

/* An adapter that may be bound. The port's storage until vck_frames_bind_done. */
struct vck_frames_bind {
    const char *name;        /* UTF-8: "eth0", "\DEVICE\{...}"; how it is opened */
    const char *description; /* UTF-8, for people; may be empty */
    uint32_t index;          /* the system's number of the interface */
    void *core_data;         /* the core's while it holds the bind */
    struct vck_frames_bind *core_next;
};

enum vck_frames_event_type {
    VCK_FRAMES_UNBIND,     /* done when the binding is closed; a bind that is pending was done */
    VCK_FRAMES_PAUSE,      /* done when no send is outstanding and no frame is borrowed */
    VCK_FRAMES_RESTART,    /* done when frames flow, or it failed */
    VCK_FRAMES_LOW_POWER,  /* done when nothing is outstanding; no request until FULL_POWER */
    VCK_FRAMES_FULL_POWER, /* done at once */
    VCK_FRAMES_EVENT_TYPE_COUNT,
};

/* Something that happens to a binding and has to be answered. The port's storage until
 * vck_frames_event_done. */
struct vck_frames_event {
    uint8_t type;                       /* enum vck_frames_event_type */
    vck_status core_status;             /* the core's, like the next */
    struct vck_frames_event *core_next; /* the core's while it holds the event */
};

/* A frame to be sent, with its Ethernet header, without checksum. The core's storage until `sent`.
 */
struct vck_frames_send {
    struct vck_frames_send *next;
    struct vck_descriptor *first; /* the chain; unchanged until sent */
    uint64_t offset_bytes;        /* of the frame's first byte in the chain */
    uint32_t size_bytes;          /* of the frame; the chain has them */
    uint64_t cancel_id; /* not 0, below 1 << 56: the top byte is free for the system's mark */
    vck_status status;  /* in `sent`: OK, CANCELLED, NOT_READY (paused), SIZE_MISMATCH (longer than
                         * the adapter takes), NO_MEMORY, IO */
    int32_t native_error;
    void *port_data[2]; /* the port's while it holds the send */
};

/* A frame that arrived, with its Ethernet header. The port's storage: see `received`. */
struct vck_frames_received {
    struct vck_frames_received *next;
    struct vck_descriptor *first;
    uint64_t offset_bytes;
    uint32_t size_bytes;
    void *core_data;    /* the core's while it keeps the frame */
    void *port_data[2]; /* the port's */
};

enum vck_frames_request_type {
    VCK_FRAMES_QUERY,
    VCK_FRAMES_SET,
};

/* A request to the adapter. Numbers and layouts are NDIS's on every port (port/frame_oid.h). The
 * core's storage until `requested`. */
struct vck_frames_request {
    uint8_t type; /* enum vck_frames_request_type */
    uint32_t oid;
    void *data; /* nonpaged, until requested */
    uint32_t size_bytes;
    /* In `requested`: OK, UNSUPPORTED (the adapter does not know the number), SIZE_MISMATCH
     * (needed_bytes says what it takes), INVALID_DATA, NOT_READY, CANCELLED, IO. */
    vck_status status;
    int32_t native_error;
    uint32_t done_bytes;                             /* written to data, or read from it */
    uint32_t needed_bytes;                           /* with SIZE_MISMATCH */
    VCK_ALIGNAS(16) unsigned char port_storage[384]; /* the port's while it holds the request */
};

/* Whether a cable is in, and how fast. */
struct vck_frames_link {
    bool is_known;
    bool is_up;
    uint64_t bits_per_s; /* 0: unknown */
};

/* Something an adapter tells. Valid during the call. */
struct vck_frames_status {
    uint32_t code;                      /* an NDIS_STATUS value, on every port */
    const struct vck_frames_link *link; /* not NULL: the link is this now */
    const void *data;                   /* as the system gave it */
    uint32_t size_bytes;
};

/* ---- upward ---- */

/* What the core gives to register; it embeds this. */
struct vck_frames_handler {
    const struct vck_frames_handlers *handlers;
};

/* The core never waits in any of these. */
struct vck_frames_handlers {
    /* -- of the protocol; each may run before vck_frames_register has returned -- */

    /* An adapter may be bound. Answered by bind_done, perhaps before this returns. PASSIVE. */
    void (*bind)(struct vck_frames_handler *handler, struct vck_frames_bind *bind);
    /* All adapters that were there have been told of by bind (not: answered). Once. PASSIVE. */
    void (*binds_complete)(struct vck_frames_handler *handler);
    /* The protocol is being removed from the system; deregister is expected soon. PASSIVE. */
    void (*uninstall)(struct vck_frames_handler *handler);

    /* -- of a binding -- */

    /* The end of vck_frames_open. OK: the other calls are allowed. Otherwise the port has forgotten
     * the binding; closed will not come. DISPATCH. */
    void (*opened)(struct vck_frames_binding *binding, vck_status status);
    /* The end of vck_frames_close: nothing else is called for the binding any more. DISPATCH. */
    void (*closed)(struct vck_frames_binding *binding);
    /* From open until closed; several may be under way at a time. UNBIND comes after its bind was
     * answered with OK, or before `opened`. PASSIVE. */
    void (*event)(struct vck_frames_binding *binding, struct vck_frames_event *event);
    /* Sends that are over, a list. DISPATCH. */
    void (*sent)(struct vck_frames_binding *binding, struct vck_frames_send *first);
    /*
     * Frames that arrived, a list in order. The core hands back, as a list, those it is done with,
     * which the port may reuse at once; the others it keeps until vck_frames_return and the port
     * does not touch them (they may have been returned before this returned). may_keep false: the
     * core hands back all. DISPATCH.
     */
    struct vck_frames_received *(*received)(struct vck_frames_binding *binding,
                                            struct vck_frames_received *first, bool may_keep);
    /* The end of a request. DISPATCH. */
    void (*requested)(struct vck_frames_binding *binding, struct vck_frames_request *request);
    /* Something the adapter tells. DISPATCH. */
    void (*status)(struct vck_frames_binding *binding, const struct vck_frames_status *status);
    /* The adapter has another name (UTF-8, valid during the call) from now on. PASSIVE. */
    void (*renamed)(struct vck_frames_binding *binding, const char *name);
};

/* ---- downward ---- */

struct vck_frames_options {
    const char *name;  /* of the protocol, ASCII: "VCKPROT" */
    void *port_config; /* what this port takes (port/posix/frame.h); NULL: its defaults */
};

/* Registers with the system. handler stays until deregister returns. Handlers may run before this
 * returns; *ret_protocol is written before the first of them where the port can, on return in any
 * case. PERMISSION_DENIED, NO_MEMORY, UNSUPPORTED, ALREADY_EXISTS (the protocol's name), IO;
 * ret_native_error may be NULL and is written on failure. PASSIVE. */
VCK_CHECKED vck_status vck_frames_register(struct vck_frames_handler *handler,
                                           const struct vck_frames_options *options,
                                           struct vck_frames_protocol **ret_protocol,
                                           int32_t *ret_native_error) VCK_CAN_WAIT;
/* Unbinds what is bound, by UNBIND events, and returns when that is done and no handler runs any
 * more. Binds that are pending are waited for. Not from a handler. PASSIVE. */
void vck_frames_deregister(struct vck_frames_protocol *protocol VCK_TAKES) VCK_CAN_WAIT;

/* Begins to open the adapter of a bind; opened follows. PASSIVE. */
void vck_frames_open(struct vck_frames_protocol *protocol, struct vck_frames_bind *bind,
                     struct vck_frames_binding *binding);
/* Answers a bind; it is the port's again. OK: after opened with OK; a failure after closed, or
 * without open. PASSIVE. */
void vck_frames_bind_done(struct vck_frames_bind *bind, vck_status status);
/* Begins to close; closed follows. Nothing is outstanding: no send, no frame kept, no request.
 * Frames and statuses may still come until closed. PASSIVE. */
void vck_frames_close(struct vck_frames_binding *binding);
/* Answers an event; it is the port's again. PASSIVE. */
void vck_frames_event_done(struct vck_frames_event *event, vck_status status);

/* In all of these the binding is not closed before they return. */

/* Sends a list of frames, in order; sent follows for each. DISPATCH. */
void vck_frames_send(struct vck_frames_binding *binding, struct vck_frames_send *first);
/* Completes sends of that id that wait soon, with CANCELLED, unless they complete by themselves.
 * Any id, known or not. DISPATCH. */
void vck_frames_cancel_sends(struct vck_frames_binding *binding, uint64_t cancel_id);
/* Gives back frames that were kept, a list. DISPATCH. */
void vck_frames_return(struct vck_frames_binding *binding, struct vck_frames_received *first);
/* Begins a request; requested follows. DISPATCH. */
void vck_frames_request(struct vck_frames_binding *binding, struct vck_frames_request *request);
/* Completes the request soon, unless it completes by itself. It may have completed meanwhile, or
 * not have been handed to vck_frames_request yet, which makes this harmless; its memory stays for
 * the call, and the binding is not closed. DISPATCH. */
void vck_frames_cancel_request(struct vck_frames_binding *binding,
                               struct vck_frames_request *request);

VCK_END_DECLS

#endif
