/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/socket_span.h"

/* Takes up to capacity pieces off the span. When the chain fails behind the first, those before it
 * are still used; the failure comes again. */
static vck_status take_pieces(struct vck_span *span, struct vck_socket_buffer *buffers,
                              uint32_t capacity, uint32_t *ret_count)
{
    uint32_t count = 0;
    vck_status status = VCK_OK;

    while (count < capacity) {
        struct vck_buffer piece;
        status = vck_span_next(span, &piece);
        if (status || piece.size_bytes == 0)
            break;
        buffers[count++] = (struct vck_socket_buffer){piece.data, piece.size_bytes};
    }
    *ret_count = count;
    return count > 0 ? VCK_OK : status;
}

vck_status vck_socket_call_set_span(struct vck_socket_call *call, struct vck_span span,
                                    struct vck_socket_buffer *buffers, uint32_t capacity)
{
    struct vck_buffer beyond;
    uint32_t count;
    vck_status status = take_pieces(&span, buffers, capacity, &count);

    if (status == VCK_OK)
        status = vck_span_next(&span, &beyond);
    if (status)
        return status;
    if (beyond.size_bytes > 0)
        return VCK_SIZE_MISMATCH;
    vck_socket_call_set_buffers(call, buffers, count);
    return VCK_OK;
}

/* Prepares the call for the next pieces; false when there is nothing left, or no way on. */
static bool prepare_part(struct vck_socket_span_call *f)
{
    struct vck_socket *socket = f->call.socket;
    bool sends = f->call.io.op == VCK_SOCKET_SEND;
    uint32_t count = 0;

    if (f->status == VCK_OK)
        f->status = take_pieces(&f->span, f->buffers, VCK_SOCKET_SPAN_PIECES, &count);
    if (f->status || count == 0)
        return false;
    if (sends)
        vck_socket_send_all_init(&f->call, socket, NULL, 0);
    else
        vck_socket_recv_exact_init(&f->call, socket, NULL, 0);
    vck_socket_call_set_buffers(&f->call, f->buffers, count);
    f->call.call.deadline_ns = f->deadline_ns;
    return true;
}

static enum vck_poll span_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_socket_span_call *f = VCK_CONTAINER_OF(self, struct vck_socket_span_call, future);

    VCK_CO_BEGIN(&f->co);
    while (prepare_part(f)) {
        VCK_CO_AWAIT(&f->co, &f->call.call.future, waker);
        f->done_bytes += f->call.io.done_bytes;
        f->status = f->call.io.status;
    }
    VCK_CO_END(&f->co);
}

static void span_drop(struct vck_future *self)
{
    struct vck_socket_span_call *f = VCK_CONTAINER_OF(self, struct vck_socket_span_call, future);

    vck_future_drop(&f->call.call.future);
}

static void init(struct vck_socket_span_call *f, struct vck_span span)
{
    f->future = (struct vck_future){.poll = span_poll, .drop = span_drop};
    f->co = (struct vck_coroutine){0};
    f->span = span;
    f->deadline_ns = 0;
    f->done_bytes = 0;
    f->status = VCK_OK;
}

void vck_socket_send_span_init(struct vck_socket_span_call *f, struct vck_socket *socket,
                               struct vck_span span)
{
    init(f, span);
    vck_socket_send_all_init(&f->call, socket, NULL, 0);
}

void vck_socket_recv_span_init(struct vck_socket_span_call *f, struct vck_socket *socket,
                               struct vck_span span)
{
    init(f, span);
    vck_socket_recv_exact_init(&f->call, socket, NULL, 0);
}

vck_status vck_socket_send_span(struct vck_socket *socket, struct vck_span span)
{
    struct vck_socket_span_call f;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_socket_send_span_init(&f, socket, span);
    vck_block_on(&f.future);
    return f.status;
}

vck_status vck_socket_recv_span(struct vck_socket *socket, struct vck_span span)
{
    struct vck_socket_span_call f;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_socket_recv_span_init(&f, socket, span);
    vck_block_on(&f.future);
    return f.status;
}
