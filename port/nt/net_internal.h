/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_internal: the sockets of the NT port, over Winsock Kernel.
 *
 * A socket serves three lanes of operations in order: what receives, what sends, and the rest. The
 * first operation of a lane is taken through its steps, each of them one IRP:
 *
 *     idle --submit--> issuing --STATUS_PENDING--> in flight --completion--> done
 *                       ^    \--completed at once--> next step, or done
 *                       +---- the pump: next step, next operation <---+ (when there is one)
 *
 * Where an IRP completes after its call has returned, the completion routine gives the operation
 * back and does nothing else. It never calls Winsock Kernel: what has to follow is left to the
 * stack's own thread, the pump, which waits for nobody.
 *
 * An IRP has holders: the thread that issues it, the provider, whoever cancels it. The last to let
 * go looks at the result; so nobody touches an IRP that is being used again.
 *
 * Locks: a socket's covers its lanes and flags, the stack's covers its lists. None is taken
 * inside another, and no call of Winsock Kernel and no `done` is made under one.
 */
#ifndef VCK_PORT_NT_NET_INTERNAL_H
#define VCK_PORT_NT_NET_INTERNAL_H

#include "port/nt/wsk.h"
#include "port/port.h"
#include "port/sockets.h"
#include "vck/bytes.h"
#include "vck/holds.h"
#include "vck/list.h"

#define NET_TAG VCK_TAG('n', 'n', 'e', 't')

#define NET_FATAL_UNLESS(cond, what)                                                               \
    ((cond) ? (void)0 : vck_assert_failed((what), __FILE__, __LINE__))

/* ---- an IRP and what it points to ---- */

#define NET_MDL_PAGES 17u /* 64 KiB, wherever it begins */

struct net_call {
    struct net_call *next; /* among the abandoned */
    PIRP irp;
    uint32_t holds;
    uint32_t is_claimed; /* the result is known */
    bool is_abandoned;   /* an error was returned and no completion has been seen */
    NTSTATUS status;
    ULONG_PTR information;
    /* The last hold went, and not in the thread that issues. DISPATCH. */
    void (*ended)(struct net_call *call, void *context);
    void *context;
    struct wsk_sockaddr local;
    struct wsk_sockaddr remote;
    ULONG option;
    ULONG control_flags;
    SIZE_T backlog_bytes;
    WSK_BUF buffer;
    bool is_chain; /* the buffer has several MDLs */
    bool is_copy;  /* the buffer is one of our own */
    void *mdls;    /* allocated for this IRP; goes with the call */
    VCK_ALIGNAS(16) unsigned char mdl[sizeof(MDL) + NET_MDL_PAGES * sizeof(PFN_NUMBER)];
    unsigned char scratch[16];
};

/* NULL when there is no memory. DISPATCH, both. destroy accepts NULL. */
struct net_call *vck_nt_net_call_create(void (*ended)(struct net_call *call, void *context),
                                        void *context);
void vck_nt_net_call_destroy(struct net_call *call);
/* Before the call of Winsock Kernel: the IRP is fresh, held by this thread and the provider. */
void vck_nt_net_call_begin(struct net_call *call);
/* After it. The hold of this thread remains; who puts the last one finds the result there. */
void vck_nt_net_call_returned(struct net_call *call, NTSTATUS returned);

/* The buffers of io behind done_bytes, or a first part of them, as call->buffer: false when there
 * is no memory. is_whole: all of them, in one datagram; can_chain: in several MDLs. */
bool vck_nt_net_call_set_buffers(struct net_call *call, const struct vck_socket_io *io,
                                 bool is_whole, bool can_chain);
/* After a datagram that had to be flat was received: spreads it over the buffers of io. */
void vck_nt_net_call_spread(const struct net_call *call, const struct vck_socket_io *io,
                            size_t bytes);
void vck_nt_net_call_set_scratch(struct net_call *call);
/* Frees what set_buffers allocated. */
void vck_nt_net_call_drop_buffers(struct net_call *call);

/* ---- the stack ---- */

/* Something for the pump; run(work) at PASSIVE. */
struct net_work {
    struct net_work *next;
    void (*run)(struct net_work *work);
};

struct vck_sockets {
    struct vck_spinlock lock; /* covers the queue, the lists, the counts */
    struct net_work *first_work;
    struct net_work **last_work;
    struct vck_link limited; /* sockets with a limit_ns, earliest first */
    struct net_call *abandoned;
    uint32_t user_count; /* sockets and names, until their last IRP is gone */
    bool is_stopping;
    bool is_pump_to_end;
    bool is_pump_asleep;
    struct vck_event pump_event;
    struct vck_event empty_event;
    struct vck_event wake_event;
    struct vck_thread *pump;
    WSK_REGISTRATION registration;
    WSK_PROVIDER_NPI provider;
    uint32_t is_flat_only; /* the provider takes no chains of MDLs */
    uint32_t is_deaf;      /* it has let a cancelled IRP be for as long as we wait */
};

void vck_nt_net_queue(struct vck_sockets *stack, struct net_work *work,
                      void (*run)(struct net_work *work));
/* Keeps the stack open. A stack that is stopping is still entered by what ends. */
void vck_nt_net_enter(struct vck_sockets *stack);
void vck_nt_net_leave(struct vck_sockets *stack);
/* Takes a call whose IRP the provider may still have. */
void vck_nt_net_abandon(struct vck_sockets *stack, struct net_call *call VCK_TAKES);

/* ---- sockets ---- */

enum net_kind {
    NET_CONNECTION,
    NET_LISTENER,
    NET_DATAGRAM,
};

enum net_step {
    NET_STEP_BIND,
    NET_STEP_CONNECT,
    NET_STEP_ACCEPT,
    NET_STEP_SEND,
    NET_STEP_RECV,
    NET_STEP_DISCONNECT,
    NET_STEP_CONTROL,
    NET_STEP_LOCAL_ADDRESS,
    NET_STEP_CLOSE_OLD, /* of a socket that becomes a listener */
    NET_STEP_OPEN,
};

struct net_lane {
    struct net_work work;
    struct net_socket *socket;   /* constant */
    struct vck_socket_io *first; /* linked through port_next; being worked on when active */
    struct vck_socket_io *last;
    struct net_call *call;
    uint64_t patience_ns; /* `first` is cancelled and still in flight: until when it may be */
    bool active;
    bool issuing; /* a call of Winsock Kernel has not returned */
    bool cancel;  /* `first` ends as soon as it can */
    uint8_t step; /* of `first`; touched by whoever works on it */
};

enum net_linger {
    NET_LINGER_NONE,
    NET_LINGER_DISCONNECT, /* the end of our stream is on its way */
    NET_LINGER_DRAIN,      /* the peer's is awaited */
};

struct net_socket {
    struct vck_spinlock lock;
    struct vck_sockets *stack; /* constant */
    PWSK_SOCKET handle;        /* changed by the control lane only */
    struct net_lane in;
    struct net_lane out;
    struct net_lane control;
    struct net_call *close_call;
    struct net_call *abandoned;
    struct net_socket *spare; /* for the next accept */
    struct net_owner *owner;  /* until it is told that the socket is closed */
    struct vck_socket_io *close_io;
    struct net_work end_work;
    struct net_work linger_work;
    struct vck_link limit_link; /* this and the next under the stack's lock */
    uint64_t limit_ns;
    uint32_t references;    /* the owner, the handle, active lanes, a linger */
    uint32_t issuing_count; /* calls of Winsock Kernel that have not returned */
    uint8_t linger;
    bool is_end_queued;
    bool is_closing;       /* the owner wants it closed */
    bool is_hard;          /* not to wait for anything */
    bool is_close_started; /* WskCloseSocket is for one thread, once */
    bool is_broken;        /* closed because a cancel had no effect */
    uint8_t kind;          /* enum net_kind; of the control lane, as is handle */
    uint8_t family;        /* enum vck_address_family; constant */
    /* These are set by one lane and read by others. */
    bool is_bound;
    bool is_client; /* has begun to connect */
    bool is_connected;
    bool is_send_ended;
    bool is_recv_ended;                            /* by us */
    bool is_at_end;                                /* everything the peer sent has been read */
    bool has_option[VCK_SOCKET_PORT_OPTION_COUNT]; /* of those kept here */
    bool option[VCK_SOCKET_PORT_OPTION_COUNT];
    struct vck_address local; /* as far as it is known */
    struct vck_address peer;
};

/* In the owner's storage, which outlives the socket: late calls find it gone. */
struct net_owner {
    struct vck_spinlock lock; /* covers socket */
    struct net_socket *socket;
};
_Static_assert(sizeof(struct net_owner) <= sizeof(struct vck_port_socket), "fits");

static inline bool net_is(const bool *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static inline void net_set(bool *flag)
{
    __atomic_store_n(flag, true, __ATOMIC_RELEASE);
}

/* A socket without handle, the owner's and the handle's references; NULL: no memory. */
struct net_socket *vck_nt_net_socket_create(struct vck_sockets *stack,
                                            enum vck_address_family family, enum net_kind kind);
void vck_nt_net_socket_put(struct net_socket *s);
/* Before the first put, when nothing was begun: gives back a socket that was not used. */
void vck_nt_net_socket_discard(struct net_socket *s VCK_TAKES);

/* Tells the owner, if there is one, that the socket is closed. */
void vck_nt_net_socket_let_go(struct net_socket *s);
/* Gives the io back, at DISPATCH. */
void vck_nt_net_complete(struct vck_socket_io *io);
/* An IRP of a lane ended; the lane's calls are created with it. */
void vck_nt_net_lane_ended(struct net_call *call, void *lane);
/* Cancels what the lane has in flight, if anything. False: it had no effect. DISPATCH. */
bool vck_nt_net_lane_cancel(struct net_lane *lane);

/* A call for the lane's next IRP; what an earlier error may have left to the provider stays apart.
 * False: no memory. */
VCK_CHECKED bool vck_nt_net_lane_prepare(struct net_lane *lane);

/* Around each call of Winsock Kernel on the handle; enter is false once it is being closed. */
VCK_CHECKED bool vck_nt_net_issue_enter(struct net_socket *s);
void vck_nt_net_issue_leave(struct net_socket *s);

/* ---- steps ---- */

enum net_plan {
    NET_PLAN_DONE,  /* io has its results */
    NET_PLAN_ISSUE, /* lane->step */
};

/* What the operation needs next. PASSIVE. */
enum net_plan vck_nt_net_plan(struct net_lane *lane, struct vck_socket_io *io);
/* Calls Winsock Kernel for lane->step. */
NTSTATUS vck_nt_net_issue(struct net_lane *lane, struct vck_socket_io *io);
/* Takes the result of lane->step: true when the operation is over. DISPATCH. */
bool vck_nt_net_digest(struct net_lane *lane, struct vck_socket_io *io);

/* The same of the operations of the control lane. */
enum net_plan vck_nt_net_plan_control(struct net_lane *lane, struct vck_socket_io *io);
NTSTATUS vck_nt_net_issue_control(struct net_lane *lane, struct vck_socket_io *io);
bool vck_nt_net_digest_control(struct net_lane *lane, struct vck_socket_io *io);

NTSTATUS vck_nt_net_issue_open(struct net_socket *s, struct net_call *call);
NTSTATUS vck_nt_net_issue_bind(struct net_socket *s, struct net_call *call,
                               const struct vck_address *address);
NTSTATUS vck_nt_net_issue_disconnect(struct net_socket *s, struct net_call *call);
NTSTATUS vck_nt_net_issue_receive(struct net_socket *s, struct net_call *call);
NTSTATUS vck_nt_net_issue_address(struct net_socket *s, struct net_call *call);

/* ---- the end of a socket ---- */

/* Goes on with the end of a socket that is closing or broken. PASSIVE. */
void vck_nt_net_end(struct net_socket *s);
/* The same from the pump. DISPATCH. */
void vck_nt_net_queue_end(struct net_socket *s);
/* Until when something of the socket is waited for; now when it is past. DISPATCH. */
void vck_nt_net_set_limit(struct net_socket *s, uint64_t limit_ns);
/* A limit has passed: the socket is closed if it is still waited for. PASSIVE. */
void vck_nt_net_limit_passed(struct net_socket *s);
/* How long a cancelled IRP may stay, at first and when one has stayed that long, and how long a
 * closed connection waits for its peer. */
#define NET_PATIENCE_NS      50000000ull
#define NET_DEAF_PATIENCE_NS 1000000ull
#define NET_LINGER_NS        10000000000ull

/* ---- translation ---- */

vck_status vck_nt_net_status(NTSTATUS status);
void vck_nt_net_fail(struct vck_socket_io *io, NTSTATUS status);
void vck_nt_address_to_system(const struct vck_address *address, struct wsk_sockaddr *ret_system);
/* Family NONE when it is another. */
void vck_nt_address_from_system(const struct wsk_sockaddr *system, struct vck_address *ret_address);

#endif
