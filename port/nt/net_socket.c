/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket's lanes of operations.
 */
#include "port/nt/net_internal.h"

void vck_nt_net_complete(struct vck_socket_io *io)
{
    KIRQL before;

    KeRaiseIrql(DISPATCH_LEVEL, &before);
    io->done(io); /* the io may be gone now */
    KeLowerIrql(before);
}

/* ---- made and freed ---- */

static bool init_lane(struct net_socket *s, struct net_lane *lane)
{
    lane->socket = s;
    lane->call = vck_nt_net_call_create(vck_nt_net_lane_ended, lane);
    return lane->call != NULL;
}

static void close_ended(struct net_call *call, void *context)
{
    (void)call;
    vck_nt_net_socket_put(context);
}

static void free_socket(struct net_socket *s)
{
    while (s->abandoned) {
        struct net_call *call = s->abandoned;
        s->abandoned = call->next;
        vck_nt_net_call_destroy(call);
    }
    vck_nt_net_call_destroy(s->in.call);
    vck_nt_net_call_destroy(s->out.call);
    vck_nt_net_call_destroy(s->control.call);
    vck_nt_net_call_destroy(s->close_call);
    vck_free(s);
}

struct net_socket *vck_nt_net_socket_create(struct vck_sockets *stack,
                                            enum vck_address_family family, enum net_kind kind)
{
    struct net_socket *s = vck_alloc(sizeof(*s), NET_TAG);

    if (!s)
        return NULL;
    s->stack = stack;
    s->references = 2;
    s->kind = (uint8_t)kind;
    s->family = (uint8_t)family;
    vck_spinlock_init(&s->lock);
    vck_link_init(&s->limit_link);
    s->close_call = vck_nt_net_call_create(close_ended, s);
    bool made = init_lane(s, &s->in) && init_lane(s, &s->out) && init_lane(s, &s->control);
    if (!made || !s->close_call) {
        free_socket(s);
        return NULL;
    }
    vck_nt_net_enter(stack);
    return s;
}

void vck_nt_net_socket_discard(struct net_socket *s)
{
    struct vck_sockets *stack = s->stack;

    if (s->control.call->is_abandoned) {
        vck_nt_net_abandon(stack, s->control.call);
        s->control.call = NULL;
    }
    free_socket(s);
    vck_nt_net_leave(stack);
}

void vck_nt_net_socket_let_go(struct net_socket *s)
{
    struct vck_socket_io *io = s->close_io;
    struct net_owner *owner = s->owner;

    s->close_io = NULL;
    s->owner = NULL;
    if (owner) {
        vck_spinlock_acquire(&owner->lock);
        owner->socket = NULL;
        vck_spinlock_release(&owner->lock);
    }
    if (io)
        vck_nt_net_complete(io); /* the owner may be gone now */
}

void vck_nt_net_socket_put(struct net_socket *s)
{
    struct vck_sockets *stack = s->stack;

    if (!vck_holds_put(&s->references))
        return;
    vck_spinlock_acquire(&stack->lock);
    vck_link_remove(&s->limit_link);
    vck_spinlock_release(&stack->lock);
    vck_nt_net_socket_let_go(s);
    if (s->spare)
        vck_nt_net_socket_discard(s->spare);
    free_socket(s);
    vck_nt_net_leave(stack);
}

/* ---- queues; all under the socket's lock ---- */

static void push(struct net_lane *lane, struct vck_socket_io *io)
{
    io->port_next = NULL;
    if (!lane->first)
        lane->first = io;
    else
        lane->last->port_next = io;
    lane->last = io;
}

static struct vck_socket_io *pop(struct net_lane *lane)
{
    struct vck_socket_io *io = lane->first;

    lane->first = io->port_next;
    lane->cancel = false;
    lane->patience_ns = 0;
    return io;
}

/* Takes io out of those that wait; false when it is not there. The first is only marked, when it
 * is being worked on. */
static bool take(struct net_lane *lane, const struct vck_socket_io *io, bool *ret_is_first)
{
    struct vck_socket_io *before = lane->first;

    *ret_is_first = before == io && lane->active;
    if (*ret_is_first)
        lane->cancel = true;
    if (!before || before == io)
        return false;
    while (before->port_next && before->port_next != io)
        before = before->port_next;
    if (!before->port_next)
        return false;
    before->port_next = io->port_next;
    if (lane->last == io)
        lane->last = before;
    return true;
}

/* All but the first, as a list. */
static struct vck_socket_io *take_waiting(struct net_lane *lane)
{
    struct vck_socket_io *all = NULL;

    if (lane->first) {
        all = lane->first->port_next;
        lane->first->port_next = NULL;
        lane->last = lane->first;
    }
    return all;
}

/* ---- calls of Winsock Kernel ---- */

bool vck_nt_net_issue_enter(struct net_socket *s)
{
    vck_spinlock_acquire(&s->lock);
    bool entered = !s->is_close_started;
    if (entered)
        s->issuing_count++;
    vck_spinlock_release(&s->lock);
    return entered;
}

void vck_nt_net_issue_leave(struct net_socket *s)
{
    vck_spinlock_acquire(&s->lock);
    bool was_last = --s->issuing_count == 0 && s->is_hard;
    vck_spinlock_release(&s->lock);
    if (was_last)
        vck_nt_net_queue_end(s);
}

bool vck_nt_net_lane_prepare(struct net_lane *lane)
{
    struct net_socket *s = lane->socket;

    if (lane->call && lane->call->is_abandoned) {
        vck_spinlock_acquire(&s->lock);
        lane->call->next = s->abandoned;
        s->abandoned = lane->call;
        lane->call = NULL;
        vck_spinlock_release(&s->lock);
    }
    if (!lane->call) {
        struct net_call *call = vck_nt_net_call_create(vck_nt_net_lane_ended, lane);
        vck_spinlock_acquire(&s->lock);
        lane->call = call;
        vck_spinlock_release(&s->lock);
    }
    return lane->call != NULL;
}

bool vck_nt_net_lane_cancel(struct net_lane *lane)
{
    struct net_socket *s = lane->socket;

    vck_spinlock_acquire(&s->lock);
    struct net_call *call = lane->call;
    /* The operation that was meant may be over, and the call another one's. */
    bool is_meant = lane->cancel || s->is_closing || (lane == &s->in && net_is(&s->is_recv_ended));
    bool holds = is_meant && lane->active && !lane->issuing && call && vck_holds_try(&call->holds);
    vck_spinlock_release(&s->lock);
    if (!holds)
        return true;
    bool had_effect = IoCancelIrp(call->irp);
    if (!vck_holds_put(&call->holds))
        return had_effect;
    vck_nt_net_lane_ended(call, lane);
    return true;
}

/* A cancel without effect is given some time, as the provider may just not have got so far. */
static void cancel_first(struct net_lane *lane)
{
    struct net_socket *s = lane->socket;

    if (vck_nt_net_lane_cancel(lane))
        return;
    bool is_deaf = __atomic_load_n(&s->stack->is_deaf, __ATOMIC_RELAXED) != 0;
    uint64_t limit_ns = vck_clock_ns() + (is_deaf ? NET_DEAF_PATIENCE_NS : NET_PATIENCE_NS);
    vck_spinlock_acquire(&s->lock);
    bool is_needed = lane->active && lane->cancel;
    if (is_needed)
        lane->patience_ns = limit_ns;
    bool is_closing = s->is_closing;
    if (is_closing)
        s->is_hard = true;
    vck_spinlock_release(&s->lock);
    if (is_closing)
        vck_nt_net_queue_end(s);
    else if (is_needed)
        vck_nt_net_set_limit(s, limit_ns);
}

/* ---- working on a lane ---- */

static void run_queued(struct net_work *work);

/* The issuing thread's hold is put here: true when the result is there already. */
static bool issue(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;
    struct net_call *call = lane->call;

    vck_nt_net_call_begin(call);
    vck_nt_net_call_returned(call, vck_nt_net_issue(lane, io));
    vck_spinlock_acquire(&s->lock);
    lane->issuing = false;
    bool is_to_cancel = lane->cancel || s->is_closing;
    vck_spinlock_release(&s->lock);
    vck_nt_net_issue_leave(s);
    if (is_to_cancel)
        cancel_first(lane);
    return vck_holds_put(&call->holds);
}

/* The first operation of the lane, when something can be done for it; one that is to end is taken
 * out and returned through ret_over. Without either the lane is no longer active. */
static struct vck_socket_io *next(struct net_lane *lane, struct vck_socket_io **ret_over)
{
    struct net_socket *s = lane->socket;

    *ret_over = NULL;
    vck_spinlock_acquire(&s->lock);
    struct vck_socket_io *io = lane->first;
    bool is_cancelled = s->is_closing || lane->cancel;
    if (!io) {
        lane->active = false;
    } else if (is_cancelled || s->is_broken) {
        io->status = is_cancelled ? VCK_CANCELLED : VCK_RESET;
        *ret_over = pop(lane);
        io = NULL;
    }
    vck_spinlock_release(&s->lock);
    return io;
}

static void finish(struct net_lane *lane)
{
    vck_spinlock_acquire(&lane->socket->lock);
    struct vck_socket_io *io = pop(lane);
    vck_spinlock_release(&lane->socket->lock);
    vck_nt_net_complete(io);
}

static bool begin_issue(struct net_lane *lane)
{
    struct net_socket *s = lane->socket;

    if (!vck_nt_net_issue_enter(s))
        return false;
    vck_spinlock_acquire(&s->lock);
    lane->issuing = true;
    vck_spinlock_release(&s->lock);
    return true;
}

/* One step: false when its result is still to come. */
static bool step(struct net_lane *lane, struct vck_socket_io *io)
{
    bool is_over = vck_nt_net_plan(lane, io) == NET_PLAN_DONE;

    if (!is_over && !vck_nt_net_lane_prepare(lane)) {
        io->status = VCK_NO_MEMORY;
        is_over = true;
    }
    if (!is_over) {
        if (!begin_issue(lane))
            return true; /* it is being closed; next sees that */
        if (!issue(lane, io))
            return false;
        is_over = vck_nt_net_digest(lane, io);
    }
    if (is_over)
        finish(lane);
    return true;
}

/* The lane is active and has a reference. PASSIVE. */
static void run(struct net_lane *lane)
{
    struct net_socket *s = lane->socket;

    for (;;) {
        struct vck_socket_io *over;
        struct vck_socket_io *io = next(lane, &over);
        if (over)
            vck_nt_net_complete(over);
        else if (!io)
            break;
        else if (!step(lane, io))
            return;
    }
    if (net_is(&s->is_closing))
        vck_nt_net_end(s);
    vck_nt_net_socket_put(s);
}

static void run_queued(struct net_work *work)
{
    run(VCK_CONTAINER_OF(work, struct net_lane, work));
}

void vck_nt_net_lane_ended(struct net_call *call, void *context)
{
    struct net_lane *lane = context;
    struct net_socket *s = lane->socket;
    bool is_over;

    (void)call;
    is_over = vck_nt_net_digest(lane, lane->first);
    if (is_over) {
        vck_spinlock_acquire(&s->lock);
        struct vck_socket_io *io = pop(lane);
        lane->active = lane->first != NULL;
        bool goes_on = lane->active;
        bool is_closing = s->is_closing;
        vck_spinlock_release(&s->lock);
        vck_nt_net_complete(io);
        if (!goes_on) {
            if (is_closing)
                vck_nt_net_queue_end(s);
            vck_nt_net_socket_put(s);
            return;
        }
    }
    vck_nt_net_queue(s->stack, &lane->work, run_queued);
}

/* ---- submit, cancel, close ---- */

static struct net_lane *lane_of(struct net_socket *s, const struct vck_socket_io *io)
{
    switch (io->op) {
    case VCK_SOCKET_ACCEPT:
    case VCK_SOCKET_RECV:
    case VCK_SOCKET_RECV_FROM:
        return &s->in;
    case VCK_SOCKET_CONNECT:
    case VCK_SOCKET_SEND:
    case VCK_SOCKET_SEND_TO:
        return &s->out;
    default:
        return &s->control;
    }
}

static void begin(struct net_lane *lane, struct vck_socket_io *io)
{
    struct net_socket *s = lane->socket;
    bool is_ours = false;

    vck_spinlock_acquire(&s->lock);
    bool is_refused = s->is_closing;
    if (!is_refused) {
        push(lane, io);
        is_ours = !lane->active;
        lane->active = true;
        if (is_ours)
            __atomic_fetch_add(&s->references, 1, __ATOMIC_RELAXED);
    }
    vck_spinlock_release(&s->lock);
    if (is_refused) {
        io->status = VCK_CANCELLED;
        vck_nt_net_complete(io);
    } else if (is_ours && vck_current_level() == VCK_LEVEL_PASSIVE) {
        run(lane);
    } else if (is_ours) {
        vck_nt_net_queue(s->stack, &lane->work, run_queued);
    }
}

static void cancel_list(struct vck_socket_io *list)
{
    while (list) {
        struct vck_socket_io *following = list->port_next;
        list->status = VCK_CANCELLED;
        vck_nt_net_complete(list);
        list = following;
    }
}

/* The owner's reference goes here, the handle's with WskCloseSocket. */
static void begin_close(struct net_socket *s, struct vck_socket_io *io)
{
    struct net_lane *const lanes[3] = {&s->in, &s->out, &s->control};
    struct vck_socket_io *lists[3];

    vck_spinlock_acquire(&s->lock);
    NET_FATAL_UNLESS(!s->is_closing, "a socket is closed once");
    s->close_io = io;
    net_set(&s->is_closing);
    for (int i = 0; i < 3; i++) {
        lists[i] = take_waiting(lanes[i]);
        lanes[i]->cancel = lanes[i]->active;
    }
    vck_spinlock_release(&s->lock);
    for (int i = 0; i < 3; i++) {
        cancel_list(lists[i]);
        cancel_first(lanes[i]);
    }
    if (vck_current_level() == VCK_LEVEL_PASSIVE)
        vck_nt_net_end(s);
    else
        vck_nt_net_queue_end(s);
    vck_nt_net_socket_put(s);
}

/* The socket with a reference, NULL when it has been closed. */
static struct net_socket *get(struct vck_port_socket *storage)
{
    struct net_owner *owner = (struct net_owner *)(void *)storage->opaque;

    vck_spinlock_acquire(&owner->lock);
    struct net_socket *s = owner->socket;
    if (s)
        __atomic_fetch_add(&s->references, 1, __ATOMIC_RELAXED);
    vck_spinlock_release(&owner->lock);
    return s;
}

static void set_owner(struct vck_port_socket *storage, struct net_socket *s)
{
    struct net_owner *owner = (struct net_owner *)(void *)storage->opaque;

    *owner = (struct net_owner){.socket = s};
    vck_spinlock_init(&owner->lock);
    s->owner = owner;
}

void vck_sockets_submit(struct vck_port_socket *socket, struct vck_socket_io *io)
{
    struct net_socket *s = get(socket);

    io->status = VCK_OK;
    io->native_error = 0;
    io->done_bytes = 0;
    io->port_state = 0;
    if (!s) {
        io->status = VCK_CANCELLED;
        vck_nt_net_complete(io);
        return;
    }
    if (io->op == VCK_SOCKET_CLOSE)
        begin_close(s, io);
    else
        begin(lane_of(s, io), io);
    vck_nt_net_socket_put(s);
}

void vck_sockets_cancel(struct vck_port_socket *socket, struct vck_socket_io *io)
{
    struct net_socket *s = get(socket);
    bool is_first;

    if (!s)
        return;
    struct net_lane *lane = lane_of(s, io);
    vck_spinlock_acquire(&s->lock);
    bool is_taken = take(lane, io, &is_first);
    vck_spinlock_release(&s->lock);
    if (is_taken) {
        io->status = VCK_CANCELLED;
        vck_nt_net_complete(io);
    }
    if (is_first)
        cancel_first(lane);
    vck_nt_net_socket_put(s);
}

/* ---- sockets from outside ---- */

void vck_sockets_adopt(struct vck_sockets *sockets, void *accepted, struct vck_port_socket *socket)
{
    (void)sockets;
    set_owner(socket, accepted);
}

/* Closed like any other, for nobody. */
void vck_sockets_discard(struct vck_sockets *sockets, void *accepted)
{
    (void)sockets;
    begin_close(accepted, NULL);
}

static void opened(struct net_call *call, void *context)
{
    (void)call;
    vck_event_set(context);
}

/* Waits for an IRP that the provider took, and for no other. */
static NTSTATUS open_handle(struct net_socket *s) VCK_CAN_WAIT
{
    struct net_call *call = s->control.call;
    struct vck_event done;

    vck_event_init(&done);
    call->ended = opened;
    call->context = &done;
    vck_nt_net_call_begin(call);
    vck_nt_net_call_returned(call, vck_nt_net_issue_open(s, call));
    if (!vck_holds_put(&call->holds))
        (void)vck_event_wait(&done, VCK_FOREVER);
    vck_event_fini(&done);
    call->ended = vck_nt_net_lane_ended;
    call->context = &s->control;
    s->handle = (PWSK_SOCKET)call->information;
    return call->status;
}

vck_status vck_sockets_socket(struct vck_sockets *sockets, enum vck_address_family family,
                              enum vck_socket_type type, struct vck_port_socket *socket,
                              int32_t *ret_native_error)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct net_socket *s = vck_nt_net_socket_create(
        sockets, family, type == VCK_SOCKET_STREAM ? NET_CONNECTION : NET_DATAGRAM);

    if (!s)
        return VCK_NO_MEMORY;
    NTSTATUS status = open_handle(s);
    if (!NT_SUCCESS(status)) {
        vck_nt_net_socket_discard(s);
        if (ret_native_error)
            *ret_native_error = status;
        return vck_nt_net_status(status);
    }
    set_owner(socket, s);
    return VCK_OK;
}
