/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockets: TCP and UDP as the core sees them. One operation is one `struct vck_socket_io`, owned by
 * the caller, handed to submit and given back by its `done` callback exactly once: possibly before
 * submit returns, possibly later from another thread, always as if at DISPATCH level. `done` may
 * free the io, submit another and cancel, but not wait.
 *
 * A stack either completes what it started by itself, or is driven: then somebody has to call wait
 * (or poll, between other work), and completions come out of those calls.
 */
#ifndef VCK_PORT_SOCKETS_H
#define VCK_PORT_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "port/port.h"
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* ---- addresses ---- */

enum vck_address_family {
    VCK_ADDRESS_NONE = 0,
    VCK_ADDRESS_IPV4 = 4,
    VCK_ADDRESS_IPV6 = 6,
};

struct vck_address {
    uint16_t family;   /* enum vck_address_family */
    uint16_t port;     /* in the machine's byte order */
    uint32_t scope_id; /* IPv6: the interface of a link-local address, else 0 */
    uint8_t bytes[16]; /* in network byte order; IPv4 uses the first four */
};

/* ---- the stack ---- */

struct vck_sockets;

/* Opens the system's sockets. ret_native_error may be NULL; it is written on failure. NO_MEMORY,
 * UNSUPPORTED. PASSIVE. */
VCK_CHECKED vck_status vck_sockets_open(struct vck_sockets **ret_sockets,
                                        int32_t *ret_native_error) VCK_CAN_WAIT;
/* Accepts NULL. No socket is open, no name is being resolved, nobody waits. PASSIVE. */
void vck_sockets_close(struct vck_sockets *sockets VCK_TAKES) VCK_CAN_WAIT;

/* Whether somebody has to call wait. Constant. Any level. */
bool vck_sockets_is_driven(const struct vck_sockets *sockets);
/* Sleeps until something completed, wake was called or deadline_ns (vck_clock_ns, VCK_FOREVER for
 * none) passed, and completes what can be completed. May return early. PASSIVE. */
void vck_sockets_wait(struct vck_sockets *sockets, uint64_t deadline_ns) VCK_CAN_WAIT;
/* The same without sleeping. PASSIVE. */
void vck_sockets_poll(struct vck_sockets *sockets);
/* Ends a wait, or the next one when nobody waits. No system call unless somebody sleeps. DISPATCH.
 */
void vck_sockets_wake(struct vck_sockets *sockets);

/* ---- sockets ---- */

enum vck_socket_type {
    VCK_SOCKET_STREAM = 1,   /* TCP */
    VCK_SOCKET_DATAGRAM = 2, /* UDP */
};

enum vck_socket_op {
    VCK_SOCKET_CLOSE,      /* completes all others with CANCELLED, closes, then completes itself */
    VCK_SOCKET_BIND,       /* address */
    VCK_SOCKET_LISTEN,     /* value: connections that may wait to be accepted */
    VCK_SOCKET_CONNECT,    /* address; buffers, when there are any, are sent as the first data */
    VCK_SOCKET_ACCEPT,     /* gives accepted and the peer's address */
    VCK_SOCKET_SEND,       /* buffers */
    VCK_SOCKET_RECV,       /* buffers; 0 bytes: the peer has ended its stream */
    VCK_SOCKET_SEND_TO,    /* address, buffers: one datagram */
    VCK_SOCKET_RECV_FROM,  /* buffers, gives address; SIZE_MISMATCH: the rest of it is lost */
    VCK_SOCKET_SHUTDOWN,   /* value: enum vck_socket_end */
    VCK_SOCKET_SET_OPTION, /* option, value */
    VCK_SOCKET_GET_OPTION, /* option, gives value */
    VCK_SOCKET_IOCTL,      /* option: enum vck_socket_ioctl, gives value */
    VCK_SOCKET_LOCAL_ADDRESS, /* gives address */
    VCK_SOCKET_PEER_ADDRESS,  /* gives address */
};

/* Which half of a connection ends. */
enum vck_socket_end {
    VCK_SOCKET_END_RECV = 1,
    VCK_SOCKET_END_SEND = 2,
    VCK_SOCKET_END_BOTH = 3,
};

/* Options the port knows. Truth values are 0 and 1. */
enum vck_socket_option {
    VCK_SOCKET_NO_DELAY,              /* TCP: small pieces are sent at once */
    VCK_SOCKET_KEEP_ALIVE,            /* TCP: ask a silent peer whether it is there */
    VCK_SOCKET_KEEP_ALIVE_IDLE_S,     /* TCP: seconds of silence before the first question */
    VCK_SOCKET_KEEP_ALIVE_INTERVAL_S, /* TCP: seconds between questions */
    VCK_SOCKET_KEEP_ALIVE_COUNT,      /* TCP: questions before the connection counts as lost */
    VCK_SOCKET_REUSE_ADDRESS,         /* bind to a port with connections of its past */
    VCK_SOCKET_SEND_BUFFER_BYTES,     /* what the system makes of it may be more */
    VCK_SOCKET_RECV_BUFFER_BYTES,
    VCK_SOCKET_RESET_ON_CLOSE, /* TCP: close drops what is unsent and resets */
    VCK_SOCKET_BROADCAST,      /* UDP: may send to broadcast addresses */
    VCK_SOCKET_V6_ONLY,        /* IPv6: no IPv4 through mapped addresses; before bind */
    VCK_SOCKET_PORT_OPTION_COUNT,
    /* Answered above the port: nanoseconds, VCK_FOREVER for no limit, which is the default. */
    VCK_SOCKET_CONNECT_TIMEOUT_NS = VCK_SOCKET_PORT_OPTION_COUNT,
    VCK_SOCKET_SEND_TIMEOUT_NS,
    VCK_SOCKET_RECV_TIMEOUT_NS, /* accept, too */
};

enum vck_socket_ioctl {
    VCK_SOCKET_READABLE_BYTES, /* TCP: what recv would find; UDP: the next datagram's size */
    VCK_SOCKET_UNSENT_BYTES,   /* what the peer has not acknowledged */
    VCK_SOCKET_AT_MARK,        /* TCP: whether the next byte is urgent data */
    VCK_SOCKET_IOCTL_COUNT,
};

struct vck_socket_buffer {
    void *data;
    size_t size_bytes;
};

/* io->flags */
#define VCK_SOCKET_ALL                                                                             \
    1u /* SEND, RECV: complete when every byte is done, or at an error or end                      \
        */

struct vck_socket_io {
    uint8_t op; /* enum vck_socket_op */
    uint8_t flags;
    uint16_t option;
    uint32_t buffer_count;
    const struct vck_socket_buffer *buffers; /* unchanged until done */
    struct vck_address address;
    union {
        uint64_t value;
        void *accepted; /* for adopt or discard */
    } u;
    size_t done_bytes; /* valid in done, after an error as well */
    vck_status status;
    int32_t native_error; /* of the system, 0 when it made none */
    void (*done)(struct vck_socket_io *io);
    struct vck_socket_io *port_next; /* the port's while it holds the io */
    uint32_t port_state;
};

struct vck_port_socket {
    VCK_ALIGNAS(8) unsigned char opaque[128];
};

/* Opens a socket in the caller's storage, which stays where it is until CLOSE completes.
 * UNSUPPORTED (family), NO_MEMORY (descriptors, too). PASSIVE. */
VCK_CHECKED vck_status vck_sockets_socket(struct vck_sockets *sockets,
                                          enum vck_address_family family, enum vck_socket_type type,
                                          struct vck_port_socket *socket,
                                          int32_t *ret_native_error) VCK_CAN_WAIT;
/* Makes a socket of an accepted connection, or drops the connection. PASSIVE. */
void vck_sockets_adopt(struct vck_sockets *sockets, void *accepted VCK_TAKES,
                       struct vck_port_socket *socket);
void vck_sockets_discard(struct vck_sockets *sockets, void *accepted VCK_TAKES);

/* Begins an operation. Several may be in flight on a socket; those that receive (RECV, RECV_FROM,
 * ACCEPT) are served in order, and so are those that send. A cancelled CONNECT leaves a socket that
 * can only be closed. Errors arrive in io->status: CANCELLED, NOT_READY (not connected), REFUSED,
 * RESET, UNREACHABLE, TIMEOUT (the system's own), ADDRESS_IN_USE, ALREADY_EXISTS (connected
 * already), NOT_FOUND (no such address here), SIZE_MISMATCH, NO_MEMORY, UNSUPPORTED, INVALID_DATA,
 * PERMISSION_DENIED, IO. DISPATCH. */
void vck_sockets_submit(struct vck_port_socket *socket, struct vck_socket_io *io);
/* Completes the io with CANCELLED soon, unless it completes by itself first. Harmless for an io
 * that is not in flight on this socket. DISPATCH. */
void vck_sockets_cancel(struct vck_port_socket *socket, struct vck_socket_io *io);

/* ---- names ---- */

struct vck_resolve_io {
    const char *host;               /* zero-terminated; until done */
    enum vck_address_family family; /* NONE: either */
    uint16_t port;                  /* goes into the addresses */
    struct vck_address *addresses;  /* of the caller; valid after OK */
    uint32_t capacity;              /* of addresses, at least 1; more answers are left out */
    uint32_t count;
    vck_status status;
    int32_t native_error;
    void (*done)(struct vck_resolve_io *io);
    void *port_job; /* the port's while it holds the io */
};

/* Asks the system's resolver. NOT_FOUND (no such name), UNREACHABLE (no answer for now), IO,
 * NO_MEMORY, CANCELLED. submit: PASSIVE; cancel: DISPATCH, as for sockets. */
void vck_sockets_resolve(struct vck_sockets *sockets, struct vck_resolve_io *io);
void vck_sockets_resolve_cancel(struct vck_sockets *sockets, struct vck_resolve_io *io);

VCK_END_DECLS

#endif
