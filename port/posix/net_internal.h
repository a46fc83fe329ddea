/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_internal: the sockets of the POSIX port, over epoll.
 *
 * An operation is tried at once. Only when it would have to wait is its socket registered, once and
 * for both directions, edge triggered; from then on `ready` of a direction is false while the
 * system is known to have nothing for it, which saves the call that would say so. Each direction
 * serves its operations in order, one thread at a time (`active`), and calls the system without a
 * lock.
 *
 *     idle --submit--> active --would wait--> waiting --event--> active --> ... --> done
 *
 * Locks: a socket's covers its queues and flags, the stack's covers `entries`. Neither is taken
 * inside the other, no system call and no `done` is made under one.
 */
#ifndef VCK_PORT_POSIX_NET_INTERNAL_H
#define VCK_PORT_POSIX_NET_INTERNAL_H

#include <pthread.h>
#include <sys/socket.h>
#include "port/posix/internal.h"
#include "port/sockets.h"
#include "vck/bytes.h"
#include "vck/holds.h"
#include "vck/list.h"

#define NET_TAG VCK_TAG('p', 'n', 'e', 't')

struct posix_socket;

/* The pool that asks the resolver: threads come with the first names and end with the stack. Those
 * that the resolver keeps are left to themselves then, and the last of them frees the pool. */
#define RESOLVERS_MAX 4

struct resolvers {
    struct system_lock lock; /* covers everything here */
    struct system_condition changed;
    struct vck_link jobs;   /* waiting, oldest first */
    unsigned waiting_count; /* jobs in the list */
    unsigned idle_count;    /* threads that sleep, or have been woken and not run yet */
    unsigned asking_count;  /* threads that the resolver has */
    unsigned count;
    bool stopping;
    bool is_left; /* the stack is gone */
};

struct vck_sockets {
    int epoll_fd;
    int event_fd;
    uint32_t sleep_state; /* enum sleep_state in net_stack.c */
    bool has_pwait2;
    struct vck_spinlock lock;
    struct posix_socket **entries; /* by descriptor: registered sockets */
    uint32_t entry_count;
    uint32_t last_generation;
    struct resolvers *resolvers;
};

struct direction {
    struct vck_socket_io *first; /* linked through port_next */
    struct vck_socket_io *last;
    bool active;       /* a thread works on `first` */
    bool ready;        /* the system may have something for us */
    bool cancel_first; /* `first` ends when the thread that works on it finds nothing */
};

struct posix_socket {
    struct vck_spinlock lock;
    struct vck_sockets *stack;
    int fd;
    uint32_t generation; /* tells events of this socket from those of an earlier one */
    uint32_t references; /* being open, events being handled, active directions */
    int32_t fault;       /* why the socket cannot be waited for */
    struct direction in;
    struct direction out;
    struct vck_socket_io *close_io;
    /* Written under the lock, read without it as well. */
    bool registered;
    bool closing;
    bool peer_ended; /* everything the peer sent has arrived, its end included */
    bool urgent;     /* a read may stop short of what is there */
    bool failed;     /* an event spoke of an error */
    bool is_client;  /* its peer answers rather than asks: wait before the first try */
    bool connected;  /* by connect; only the active `out` looks */
    bool is_stream;  /* constant */
    bool at_end;     /* everything has been read; only the active `in` looks */
};
_Static_assert(sizeof(struct posix_socket) <= sizeof(struct vck_port_socket), "fits");

static inline struct posix_socket *posix_socket(struct vck_port_socket *socket)
{
    return (struct posix_socket *)(void *)socket->opaque;
}

static inline bool posix_socket_is(const bool *flag)
{
    return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

static inline void posix_socket_set(bool *flag)
{
    __atomic_store_n(flag, true, __ATOMIC_RELAXED);
}

/* io->port_state of CONNECT */
#define IO_CONNECTING 1u
#define IO_CONNECTED  2u

/* What came of trying an operation. */
enum outcome {
    OUTCOME_WAIT,    /* the system has nothing for us now */
    OUTCOME_DRAINED, /* done, and the system has nothing more */
    OUTCOME_DONE,    /* done, and there may be more */
};

/* Tries io without waiting and sets its results. */
enum outcome vck_posix_net_attempt(struct posix_socket *s, struct vck_socket_io *io);

/* Performs an operation that never waits: BIND, LISTEN, SHUTDOWN, options, ioctl, addresses. */
void vck_posix_net_control(struct posix_socket *s, struct vck_socket_io *io);

/* The status of an errno of a socket, and an io's results from it. */
vck_status vck_posix_net_status(int os_error);
void vck_posix_net_fail(struct vck_socket_io *io, int os_error);

/* Calls io->done as if at DISPATCH. */
void vck_posix_net_complete(struct vck_socket_io *io);

/* Takes the events of one epoll report. */
void vck_posix_net_event(struct posix_socket *s, uint32_t events);
void vck_posix_net_put(struct posix_socket *s);

/* Begins to listen for events of the socket: an errno, or 0. Undone by forget, before the
 * descriptor is closed. */
int vck_posix_net_watch(struct posix_socket *s);
void vck_posix_net_forget(struct posix_socket *s);

/* Between struct vck_address and the system's. from leaves NONE when the family is another. */
socklen_t vck_posix_address_to_system(const struct vck_address *address,
                                      struct sockaddr_storage *ret_system);
void vck_posix_address_from_system(const struct sockaddr *system, struct vck_address *ret_address);

/* NULL: no memory. All names have been answered or cancelled when they are destroyed, which does
 * not wait for the resolver. */
struct resolvers *vck_posix_resolvers_create(void);
void vck_posix_resolvers_destroy(struct resolvers *resolvers) VCK_CAN_WAIT;

#endif
