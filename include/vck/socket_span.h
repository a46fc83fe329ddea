/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket_span: chains as the buffers of a socket's calls, without a copy. PASSIVE, all of it; the
 * chain stays until the call is READY or dropped.
 */
#ifndef VCK_SOCKET_SPAN_H
#define VCK_SOCKET_SPAN_H

#include "vck/coroutine.h"
#include "vck/socket.h"
#include "vck/span.h"

VCK_BEGIN_DECLS

#define VCK_SOCKET_SPAN_PIECES 16u

/* After _init of any call that sends or receives: the pieces of the span in place of the flat
 * buffer, in one operation (one datagram). buffers is storage for them. OUT_OF_RANGE (the chain is
 * shorter than the span), SIZE_MISMATCH (more pieces than capacity), or the map hook's status; the
 * call is untouched then. */
VCK_CHECKED vck_status vck_socket_call_set_span(struct vck_socket_call *call, struct vck_span span,
                                                struct vck_socket_buffer *buffers,
                                                uint32_t capacity);

/* Every byte of a span through a stream, however many pieces it has: send_all, recv_exact. */
struct vck_socket_span_call {
    struct vck_future future;
    struct vck_coroutine co;
    struct vck_span span; /* what is left */
    struct vck_socket_call call;
    struct vck_socket_buffer buffers[VCK_SOCKET_SPAN_PIECES];
    uint64_t deadline_ns; /* of the whole; may be set. 0: as the socket's options say, per part */
    uint64_t done_bytes;  /* valid when READY, after a failure as well */
    vck_status status;
};

void vck_socket_send_span_init(struct vck_socket_span_call *f, struct vck_socket *socket,
                               struct vck_span span);
void vck_socket_recv_span_init(struct vck_socket_span_call *f, struct vck_socket *socket,
                               struct vck_span span);

/* The blocking forms. Errors of vck_socket_send_all and vck_socket_recv_exact; OUT_OF_RANGE when
 * the chain is shorter than the span, too, after what there was. */
VCK_CHECKED vck_status vck_socket_send_span(struct vck_socket *socket,
                                            struct vck_span span) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_socket_recv_span(struct vck_socket *socket,
                                            struct vck_span span) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
