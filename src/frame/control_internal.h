/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_internal: what the files of the dispatcher share. A request is in its handle's list from
 * start to end, held by whoever cancels it meanwhile; the handle's lock is never held while
 * anything is called that could end one.
 */
#ifndef VCK_FRAME_CONTROL_INTERNAL_H
#define VCK_FRAME_CONTROL_INTERNAL_H

#include "vck/frame_control.h"
#include "vck/holds.h"

enum handle_phase {
    HANDLE_NEW,
    HANDLE_OPENING,
    HANDLE_OPENED,
    HANDLE_ENDED,
};

/* Ends of a request, which may be gone afterwards. */
void vck_frame_control_put(struct vck_frame_control_call *call);
void vck_frame_control_finish(struct vck_frame_control_call *call, vck_status status);
void vck_frame_control_refuse(struct vck_frame_control_call *call, vck_status status,
                              const char *why);
void vck_frame_control_finish_short(struct vck_frame_control_call *call, const char *why);
const char *vck_frame_control_explain(vck_status status);
struct vck_frame_control_call *vck_frame_control_of(struct vck_frame_call *call);
/* `done` of any call of the room: the status alone. */
void vck_frame_control_ended(struct vck_frame_call *inner);

/* Begins the request's call of the room. */
void vck_frame_control_begin(struct vck_frame_control_call *call,
                             void (*done)(struct vck_frame_call *inner));
/* The handle's binding, referenced; NULL: there is none, and the request has ended. */
struct vck_frame_binding *vck_frame_control_enter(struct vck_frame_control_call *call);
/* Begins a call of an opener that was made with a binding from enter, whose reference it drops. */
void vck_frame_control_begin_as_opener(struct vck_frame_control_call *call,
                                       void (*done)(struct vck_frame_call *inner));

/* The requests. */
void vck_frame_control_open_device(struct vck_frame_control_call *call) VCK_CAN_WAIT;
void vck_frame_control_read_frame(struct vck_frame_control_call *call);
void vck_frame_control_write_frame(struct vck_frame_control_call *call);
void vck_frame_control_query_oid(struct vck_frame_control_call *call);
void vck_frame_control_set_oid(struct vck_frame_control_call *call);
void vck_frame_control_query_binding(struct vck_frame_control_call *call);
void vck_frame_control_query_state(struct vck_frame_control_call *call);
void vck_frame_control_set_ether_type(struct vck_frame_control_call *call);
void vck_frame_control_indicate_status(struct vck_frame_control_call *call);
void vck_frame_control_bind_wait(struct vck_frame_control_call *call);

#endif
