/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a socket. WskCloseSocket resets a connection unless both ends have ended their
 * streams, so a connection that is closed is first ended and then waits for its peer, for a limited
 * time and without its owner:
 *
 *     closing --lanes idle--> WskDisconnect --done--> WskReceive --the peer's end--> WskCloseSocket
 *        |                     \-- the owner is told       |                          |
 *        +-- no connection, a reset wanted, a limit passed, an error, data -----------+
 *
 * A socket whose cancelled operation stays in flight is closed under it.
 */
#include "port/nt/net_internal.h"

/* ---- limits ---- */

void vck_nt_net_set_limit(struct net_socket *s, uint64_t limit_ns)
{
    struct vck_sockets *stack = s->stack;

    vck_spinlock_acquire(&stack->lock);
    bool is_linked = vck_link_is_linked(&s->limit_link);
    if (!is_linked || s->limit_ns > limit_ns) {
        struct vck_link *before;
        s->limit_ns = limit_ns;
        vck_link_remove(&s->limit_link);
        before = stack->limited.prev;
        while (before != &stack->limited &&
               VCK_CONTAINER_OF(before, struct net_socket, limit_link)->limit_ns > limit_ns)
            before = before->prev;
        vck_link_insert_between(&s->limit_link, before, before->next);
        if (before == &stack->limited || stack->is_stopping)
            vck_event_set(&stack->pump_event);
    }
    vck_spinlock_release(&stack->lock);
}

/* Whether a cancelled operation of the lane has had its time; else, until when it has. */
static bool is_out_of_patience(const struct net_lane *lane, uint64_t now_ns, uint64_t *limit_ns)
{
    if (!lane->active || !lane->cancel || lane->patience_ns == 0)
        return false;
    if (lane->patience_ns > now_ns)
        *limit_ns = VCK_MIN(*limit_ns, lane->patience_ns);
    return lane->patience_ns <= now_ns;
}

void vck_nt_net_limit_passed(struct net_socket *s)
{
    uint64_t now_ns = vck_clock_ns();
    uint64_t limit_ns = VCK_FOREVER;

    vck_spinlock_acquire(&s->lock);
    if (s->linger != NET_LINGER_NONE)
        s->is_hard = true;
    if (is_out_of_patience(&s->in, now_ns, &limit_ns) ||
        is_out_of_patience(&s->out, now_ns, &limit_ns) ||
        is_out_of_patience(&s->control, now_ns, &limit_ns)) {
        s->is_hard = true;
        s->is_broken = true;
        __atomic_store_n(&s->stack->is_deaf, 1, __ATOMIC_RELAXED);
    }
    vck_spinlock_release(&s->lock);
    if (limit_ns != VCK_FOREVER)
        vck_nt_net_set_limit(s, limit_ns);
    vck_nt_net_end(s);
}

/* ---- closing the handle ---- */

static void close_handle(struct net_socket *s)
{
    struct net_call *call = s->close_call;

    if (!s->handle) {
        vck_nt_net_socket_put(s);
        return;
    }
    const WSK_PROVIDER_BASIC_DISPATCH *dispatch = s->handle->Dispatch;
    vck_nt_net_call_begin(call);
    vck_nt_net_call_returned(call, dispatch->WskCloseSocket(s->handle, call->irp));
    if (vck_holds_put(&call->holds))
        call->ended(call, call->context);
}

/* ---- lingering ---- */

static void linger_ended(struct net_call *call, void *context);

static void linger_over(struct net_socket *s)
{
    vck_spinlock_acquire(&s->lock);
    s->is_hard = true;
    vck_spinlock_release(&s->lock);
    vck_nt_net_end(s);
    vck_nt_net_socket_put(s);
}

/* With a call of a lane, which is idle for good. True when the result is there. */
static bool linger_issue(struct net_socket *s, struct net_lane *lane,
                         NTSTATUS (*issue)(struct net_socket *s, struct net_call *call))
{
    struct net_call *call = lane->call;

    call->ended = linger_ended;
    call->context = s;
    vck_nt_net_call_begin(call);
    vck_nt_net_call_returned(call, issue(s, call));
    vck_nt_net_issue_leave(s);
    return vck_holds_put(&call->holds);
}

/* The peer's end, or anything else, which nobody wants any more. */
static void drain(struct net_socket *s)
{
    if (net_is(&s->is_at_end) || !vck_nt_net_lane_prepare(&s->in) || !vck_nt_net_issue_enter(s)) {
        linger_over(s);
        return;
    }
    vck_spinlock_acquire(&s->lock);
    s->linger = NET_LINGER_DRAIN;
    vck_spinlock_release(&s->lock);
    vck_nt_net_call_set_scratch(s->in.call);
    s->in.call->buffer.Length = sizeof(s->in.call->scratch);
    if (linger_issue(s, &s->in, vck_nt_net_issue_receive))
        linger_over(s);
}

static void linger_run(struct net_work *work)
{
    struct net_socket *s = VCK_CONTAINER_OF(work, struct net_socket, linger_work);

    if (s->linger == NET_LINGER_DISCONNECT && NT_SUCCESS(s->control.call->status))
        drain(s);
    else
        linger_over(s);
}

static void linger_ended(struct net_call *call, void *context)
{
    struct net_socket *s = context;

    (void)call;
    vck_nt_net_queue(s->stack, &s->linger_work, linger_run);
}

/* The caller took a reference and entered. */
static void begin_linger(struct net_socket *s)
{
    bool is_done = true;

    vck_nt_net_set_limit(s, vck_clock_ns() + NET_LINGER_NS);
    if (net_is(&s->is_send_ended) || !vck_nt_net_lane_prepare(&s->control)) {
        vck_nt_net_issue_leave(s);
    } else {
        is_done = linger_issue(s, &s->control, vck_nt_net_issue_disconnect);
        if (is_done && !NT_SUCCESS(s->control.call->status)) {
            linger_over(s);
            vck_nt_net_socket_put(s);
            return;
        }
    }
    /* What is pending has a reference of its own: this one is for telling the owner. */
    vck_nt_net_socket_let_go(s);
    if (is_done)
        drain(s);
    vck_nt_net_socket_put(s);
}

/* ---- what comes next ---- */

enum ending { END_WAIT, END_LINGER, END_CLOSE };

static bool may_linger(const struct net_socket *s)
{
    return s->kind == NET_CONNECTION && net_is(&s->is_connected) &&
           !s->option[VCK_SOCKET_RESET_ON_CLOSE] &&
           !(net_is(&s->is_send_ended) && net_is(&s->is_at_end));
}

/* Under the lock. */
static enum ending decide(struct net_socket *s)
{
    bool is_idle = !s->in.active && !s->out.active && !s->control.active;

    if (s->is_close_started || s->issuing_count > 0 || !(s->is_closing || s->is_hard))
        return END_WAIT;
    if (s->is_hard || (is_idle && s->linger == NET_LINGER_NONE && !may_linger(s))) {
        s->is_close_started = true;
        return END_CLOSE;
    }
    if (!is_idle || s->linger != NET_LINGER_NONE)
        return END_WAIT;
    s->linger = NET_LINGER_DISCONNECT;
    s->issuing_count++;
    __atomic_fetch_add(&s->references, 2, __ATOMIC_RELAXED);
    return END_LINGER;
}

void vck_nt_net_end(struct net_socket *s)
{
    vck_spinlock_acquire(&s->lock);
    enum ending ending = decide(s);
    vck_spinlock_release(&s->lock);
    if (ending == END_LINGER)
        begin_linger(s);
    else if (ending == END_CLOSE)
        close_handle(s);
}

static void end_queued(struct net_work *work)
{
    struct net_socket *s = VCK_CONTAINER_OF(work, struct net_socket, end_work);

    vck_spinlock_acquire(&s->lock);
    s->is_end_queued = false;
    vck_spinlock_release(&s->lock);
    vck_nt_net_end(s);
    vck_nt_net_socket_put(s);
}

void vck_nt_net_queue_end(struct net_socket *s)
{
    vck_spinlock_acquire(&s->lock);
    bool is_queued = s->is_end_queued;
    s->is_end_queued = true;
    if (!is_queued)
        __atomic_fetch_add(&s->references, 1, __ATOMIC_RELAXED);
    vck_spinlock_release(&s->lock);
    if (!is_queued)
        vck_nt_net_queue(s->stack, &s->end_work, end_queued);
}
