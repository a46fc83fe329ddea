/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame: raw Ethernet frames through a protocol's bindings. A protocol is registered with the
 * system and gets a binding to each adapter, for as long as the adapter is there. Who wants to use
 * a binding opens it; each has at most one opener. Protocol and bindings are objects, a binding the
 * child of its protocol; what a binding may do when is vck/frame_state.h.
 *
 *     protocol  created --start: registered--> started --stop: every binding gone--> created
 *     binding   made by the system's bind, deleted when its unbind has been answered
 *     opener    closed --open--> open --binding goes: calls are DELETED--> to be closed
 *
 * Everything that waits is a call: a future, or, with `done` set, completed by a callback. A call's
 * memory stays where it is until its end. Frames have their Ethernet header and no checksum.
 */
#ifndef VCK_FRAME_H
#define VCK_FRAME_H

#include "port/frames.h"
#include "vck/chain.h"
#include "vck/frame_oid.h"
#include "vck/frame_state.h"
#include "vck/future.h"
#include "vck/list.h"
#include "vck/object.h"

VCK_BEGIN_DECLS

#define VCK_FRAME_HEADER_BYTES  14u
#define VCK_FRAME_ADDRESS_BYTES 6u
#define VCK_FRAME_NAME_BYTES    256u /* of an adapter, with the zero */

/* For local experiments (IEEE 802): the frames an opener gets that asked for no others. */
#define VCK_FRAME_ETHER_TYPE_DEFAULT 0x88b5u
/* As an opener's EtherType: every frame. */
#define VCK_FRAME_ETHER_TYPE_ALL 0u

#define VCK_FRAME_QUEUE_DEFAULT         256u
#define VCK_FRAME_QUEUE_MAX             65536u
#define VCK_FRAME_REQUEST_LIMIT_DEFAULT UINT64_C(5000000000)
#define VCK_FRAME_STATUS_DATA_BYTES     64u /* of a status, what is kept */

/* ---- the protocol ---- */

struct vck_frame_protocol;
struct vck_frame_binding;

struct vck_frame_options {
    struct vck_object *parent; /* NULL: a root */
    const char *name;          /* NULL: "VCKPROT" */
    void *port_config;         /* for the port; stays until stop */
    uint32_t queue_frames;     /* that wait for a reader, per binding; 0: VCK_FRAME_QUEUE_DEFAULT */
    uint64_t request_limit_ns; /* of a request without a deadline; 0: the default */
};

/* options may be NULL. The caller has a reference, which destroy drops. NO_MEMORY, INVALID_DATA
 * (queue_frames), DELETE_PENDING. PASSIVE. */
VCK_CHECKED vck_status vck_frame_protocol_create(
    const struct vck_frame_options *options, struct vck_frame_protocol **ret_protocol) VCK_CAN_WAIT;
/* Deletes the protocol, which stops it, and drops the caller's reference; accepts NULL. PASSIVE. */
void vck_frame_protocol_destroy(struct vck_frame_protocol *protocol VCK_TAKES) VCK_CAN_WAIT;
struct vck_object *vck_frame_protocol_object(struct vck_frame_protocol *protocol);

/* Registers. Adapters may be bound before it returns: their binds are kept and go on once the
 * registration stands. BUSY (started already), or the system's refusal; ret_native_error may be
 * NULL. PASSIVE. */
VCK_CHECKED vck_status vck_frame_protocol_start(struct vck_frame_protocol *protocol,
                                                int32_t *ret_native_error) VCK_CAN_WAIT;
/* Deregisters: every binding is unbound, and every call on it has ended, on return. Harmless when
 * not started. PASSIVE. */
void vck_frame_protocol_stop(struct vck_frame_protocol *protocol) VCK_CAN_WAIT;
/* Whether the system has asked for the protocol's removal: no opener is let in any more. */
bool vck_frame_protocol_is_uninstalled(struct vck_frame_protocol *protocol);

/* ---- bindings ---- */

struct vck_frame_info {
    char name[VCK_FRAME_NAME_BYTES];
    char description[VCK_FRAME_NAME_BYTES];
    uint32_t index; /* the system's number of the adapter */
    enum vck_frame_phase phase;
    bool is_opened;
    uint8_t address[VCK_FRAME_ADDRESS_BYTES];
    uint32_t mtu_bytes; /* without the Ethernet header */
    struct vck_frames_link link;
};

/* Since the binding was made. */
struct vck_frame_statistics {
    uint64_t sent_frames;
    uint64_t sent_bytes;
    uint64_t send_failures;   /* cancelled ones included */
    uint64_t received_frames; /* of the opener's EtherType; read, waiting or dropped */
    uint64_t received_bytes;
    uint64_t dropped_frames;      /* of these, those the queue had no room for: the oldest */
    uint64_t filtered_frames;     /* of another EtherType, or with nobody there */
    uint64_t truncated_frames;    /* longer than the buffer they were read into */
    uint64_t port_dropped_frames; /* by the system, before they came here, where it tells */
};

/* The binding of that name (UTF-8, of the system's) or, when nothing is named so, NOT_FOUND; the
 * index-th in the order of their binds. Only those whose bind has succeeded. The caller gets a
 * reference, dropped by vck_frame_binding_put. DISPATCH. */
VCK_CHECKED vck_status vck_frame_binding_find(struct vck_frame_protocol *protocol,
                                              struct vck_bytes name,
                                              struct vck_frame_binding **ret_binding);
VCK_CHECKED vck_status vck_frame_binding_at(struct vck_frame_protocol *protocol, uint32_t index,
                                            struct vck_frame_binding **ret_binding);
/* Another reference, for who has one. DISPATCH. */
void vck_frame_binding_ref(struct vck_frame_binding *binding);
void vck_frame_binding_put(struct vck_frame_binding *binding VCK_TAKES);
/* DISPATCH. */
void vck_frame_binding_info(struct vck_frame_binding *binding, struct vck_frame_info *ret_info);
void vck_frame_binding_statistics(struct vck_frame_binding *binding,
                                  struct vck_frame_statistics *ret_statistics);

/* ---- openers ---- */

/* Who uses a binding: part of a handle. Zeroed memory is closed. */
struct vck_frame_opener {
    struct vck_frame_binding *binding; /* referenced; NULL: closed */
    uint16_t ether_type;               /* VCK_FRAME_ETHER_TYPE_ALL: every frame */
};

/* Claims the binding of that name for frames of the EtherType. Frames come once the packet filter
 * is set (vck_frame_set_init, VCK_OID_GEN_CURRENT_PACKET_FILTER). NOT_FOUND; BUSY: it has an
 * opener; NO_MEMORY (the queue); NOT_READY: the protocol is stopped or uninstalled; DELETED.
 * PASSIVE. */
VCK_CHECKED vck_status vck_frame_open(struct vck_frame_protocol *protocol, struct vck_bytes name,
                                      uint16_t ether_type,
                                      struct vck_frame_opener *opener) VCK_CAN_WAIT;
/* Another EtherType from now on; what is queued is forgotten. The opener is open. DISPATCH. */
void vck_frame_set_ether_type(struct vck_frame_opener *opener, uint16_t ether_type);
/* Ends the calls of the opener with CANCELLED, forgets what is queued and sets the filter to
 * nothing. On return every call of the opener has ended but sends and requests that were only asked
 * to; these end soon. Harmless when closed. PASSIVE. */
void vck_frame_close(struct vck_frame_opener *opener) VCK_CAN_WAIT;

/* ---- calls ---- */

enum vck_frame_call_type {
    VCK_FRAME_CALL_SEND,
    VCK_FRAME_CALL_READ,
    VCK_FRAME_CALL_REQUEST,
    VCK_FRAME_CALL_STATUS,
    VCK_FRAME_CALL_BINDS,
};

/* A frame that was read without a copy. Goes back by vck_frame_put. */
struct vck_frame {
    struct vck_descriptor *first;
    uint64_t offset_bytes;
    uint32_t size_bytes;
};

struct vck_frame_call {
    struct vck_future future;                  /* when done is NULL */
    void (*done)(struct vck_frame_call *call); /* set before start, or NULL. DISPATCH. */
    uint8_t type;                              /* enum vck_frame_call_type */
    vck_status status;                         /* at the end */
    int32_t native_error;
    uint64_t deadline_ns;    /* REQUEST: vck_clock_ns; 0: the protocol's limit. Set before start. */
    size_t done_bytes;       /* READ, REQUEST, STATUS: of data */
    size_t needed_bytes;     /* READ: of the frame; REQUEST with SIZE_MISMATCH */
    struct vck_frame *frame; /* READ without a buffer: the caller's */
    uint32_t code;           /* STATUS: which */

    /* The rest is the room's. */
    struct vck_frame_protocol *protocol; /* BINDS */
    struct vck_frame_binding *binding;   /* referenced while in flight */
    struct vck_frame_opener *opener;
    struct vck_link link;
    struct vck_waker_slot slot;
    void *data;
    const void *send_data;
    size_t size_bytes;
    uint32_t oid;
    uint32_t holds; /* who may still touch it; 0: not begun, or over */
    uint8_t request_type;
    uint8_t state;
    bool is_cancelled;  /* asked for, perhaps before it is where it can be found */
    bool is_taken;      /* out of the list it waited in, to be finished */
    bool is_cancel_due; /* the port has not heard of it yet */
    bool is_to_end;     /* a send: cancelled, by its id or with all others */
    struct vck_frames_send send;
    void *block; /* REQUEST: what the port holds */
};

/*
 * Sends the frame at first + offset_bytes, of size_bytes, from the caller's chain, which stays
 * unchanged until the end. cancel_id: for vck_frame_cancel_sends, below 1 << 48; 0: none. Errors:
 * INVALID_DATA (shorter than a header; a source address that is not the adapter's), SIZE_MISMATCH
 * (longer than the adapter takes, or than the chain), NOT_READY (paused, low power), CANCELLED,
 * DELETED, NO_MEMORY, IO.
 */
void vck_frame_send_init(struct vck_frame_call *call, struct vck_frame_opener *opener,
                         struct vck_descriptor *first, uint64_t offset_bytes, uint32_t size_bytes,
                         uint64_t cancel_id);
/* Reads the next frame of the opener's EtherType into data; reads are served in order of their
 * start, also while the binding is paused. SIZE_MISMATCH: the frame has needed_bytes, done_bytes of
 * them are there, the rest is lost. CANCELLED, DELETED. */
void vck_frame_read_init(struct vck_frame_call *call, struct vck_frame_opener *opener, void *data,
                         size_t size_bytes);
/* The same without a copy where the system allows it: call->frame is the caller's until
 * vck_frame_put. Frames so held delay pause and unbind. */
void vck_frame_borrow_init(struct vck_frame_call *call, struct vck_frame_opener *opener);
void vck_frame_put(struct vck_frame *frame VCK_TAKES);

/* Asks the adapter, or sets it; data stays until the end, but an adapter that is late never touches
 * it. Any number (vck_frame_oid_may_query is for those who serve users). UNSUPPORTED, SIZE_MISMATCH
 * (needed_bytes), TIMEOUT: the deadline has passed, the adapter may do it yet; NOT_READY (low
 * power), NO_MEMORY, CANCELLED, DELETED. A binding may be asked without being its opener. */
void vck_frame_query_init(struct vck_frame_call *call, struct vck_frame_binding *binding,
                          uint32_t oid, void *data, size_t size_bytes);
void vck_frame_set_init(struct vck_frame_call *call, struct vck_frame_binding *binding,
                        uint32_t oid, const void *data, size_t size_bytes);

/* The next status the adapter tells: code, and done_bytes of its data. With nobody waiting the last
 * ones are kept (8), the oldest forgotten. CANCELLED, DELETED. */
void vck_frame_status_init(struct vck_frame_call *call, struct vck_frame_opener *opener, void *data,
                           size_t size_bytes);

/* Until the adapters that were there at start have been bound, or refused. NOT_READY: stopped. */
void vck_frame_binds_init(struct vck_frame_call *call, struct vck_frame_protocol *protocol);

/* Begins a call that has `done`; a future begins when first polled. Several sends of one binding in
 * one piece, in order. done may run before this returns. DISPATCH. */
void vck_frame_call_start(struct vck_frame_call *call);
void vck_frame_sends_start(struct vck_frame_call *const calls[], uint32_t count);

/* Ends the call with CANCELLED soon, unless it ends by itself. Harmless before and after; the
 * call's memory is the caller's to keep meanwhile. DISPATCH. */
void vck_frame_call_cancel(struct vck_frame_call *call);
/* The same for the binding's sends of that id (not 0). DISPATCH. */
void vck_frame_cancel_sends(struct vck_frame_opener *opener, uint64_t cancel_id);

VCK_END_DECLS

#endif
