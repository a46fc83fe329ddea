/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_internal: what the files of the room share. Locks: the network's covers its state, its lists
 * and the deadlines; nothing else is taken inside it but the port's own for a timer.
 */
#ifndef VCK_NET_INTERNAL_H
#define VCK_NET_INTERNAL_H

#include "vck/holds.h"
#include "vck/network.h"
#include "vck/socket.h"

#define NET_TAG VCK_TAG('V', 'n', 'e', 't')

enum network_state {
    NETWORK_CREATED, /* or stopped */
    NETWORK_STARTED,
    NETWORK_STOPPING,
};

struct vck_network {
    struct vck_sockets *sockets; /* the port's */
    struct vck_mutex control;    /* one start or stop at a time */
    struct vck_idle idle;
    struct vck_thread *driver;
    bool driver_stops;
    bool is_driven;           /* completions come out of wait and poll */
    bool is_driven_by_caller; /* no thread of the network's waits */
    struct vck_spinlock lock;
    uint8_t state;             /* enum network_state */
    uint32_t users;            /* sockets not closed yet, names in flight, calls of create */
    struct vck_event drained;  /* users became 0 while stopping */
    struct vck_link open;      /* sockets */
    struct vck_link resolving; /* struct vck_resolve */
    uint32_t socket_count;
    struct vck_link deadlines; /* struct vck_network_call, earliest first */
    /* Until when the driver sleeps, 0 while it is awake; or what the timer is set to. */
    uint64_t armed_ns;
    struct vck_timer timer; /* where nothing is driven */
    int32_t native_error;   /* of the last creation that failed */
};

struct vck_socket {
    struct vck_network *network; /* referenced by the object tree */
    struct vck_link link;        /* in network->open */
    struct vck_port_socket port;
    uint64_t connect_timeout_ns;
    uint64_t send_timeout_ns;
    uint64_t recv_timeout_ns;
    int32_t native_error;
    bool opened;
    bool closing; /* set once, by whoever then closes */
};

/* Keeps the network started until leave: false when it is not. DISPATCH. */
VCK_CHECKED bool vck_network_enter(struct vck_network *network);
void vck_network_leave(struct vck_network *network);

/* A socket made of an accepted connection, or nothing of it: CANCELLED when the network stops. */
VCK_CHECKED vck_status vck_socket_adopt(struct vck_network *network, void *accepted VCK_TAKES,
                                        struct vck_socket **ret_socket) VCK_CAN_WAIT;
/* Whether the caller is to close; then, once CLOSE has completed, closed. DISPATCH. */
bool vck_socket_begin_close(struct vck_socket *socket);
void vck_socket_closed(struct vck_socket *socket);
/* All of it, unless another has begun to. */
void vck_socket_close_now(struct vck_socket *socket) VCK_CAN_WAIT;

/* ---- calls ---- */

struct vck_network_call_ops {
    /* Begins; call_done follows, perhaps before begin returns. PASSIVE. */
    void (*begin)(struct vck_network_call *call);
    /* Completes soon. NULL: cannot be cancelled. DISPATCH. */
    void (*cancel)(struct vck_network_call *call);
    /* Done and nobody else touches it: results, references. dropped: nobody wants it. PASSIVE. */
    void (*finish)(struct vck_network_call *call, bool dropped);
    /* Its deadline when the caller gave none. */
    uint64_t (*deadline)(struct vck_network_call *call);
};

void vck_network_call_init(struct vck_network_call *call, const struct vck_network_call_ops *ops,
                           struct vck_network *network);
/* Once for each begin. DISPATCH. */
void vck_network_call_done(struct vck_network_call *call);
/* What a CANCELLED means: the deadline's doing or another's. */
vck_status vck_network_call_status(const struct vck_network_call *call, vck_status status);

/* Ends the calls whose time is up; the timer's callback. DISPATCH. */
void vck_network_deadlines_passed(void *network);
/* What the driver does; wait by one thread at a time. PASSIVE. */
void vck_network_wait(struct vck_network *network, uint64_t deadline_ns) VCK_CAN_WAIT;
void vck_network_poll(struct vck_network *network);

#endif
