/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket: TCP and UDP over IPv4 and IPv6. Each call has two forms: a blocking function, and a
 * future, `struct vck_socket_call`, prepared by the function of that name with _init. A socket is
 * an object, child of its network.
 *
 *     created --connect-----------------> connected --shutdown--> half closed --+
 *        |---bind, listen----> listening ---accept--> (a connected socket)      |--close--> closed
 *        +---bind (UDP)------> bound --------------------------------------------+
 *
 * close may come in any state. It completes the calls in flight with CANCELLED; calls made later by
 * holders of a reference return DELETED. The memory goes with the last reference, and every call in
 * flight has one.
 *
 * The end of a stream: recv returns OK and 0 bytes when the peer has ended it and everything was
 * read, and does so again each time. A recv into 0 bytes returns OK and 0 bytes at once and means
 * nothing. An empty datagram is OK and 0 bytes.
 *
 * Errors of every call, beside its own: NOT_READY (not connected; network not started), CANCELLED,
 * TIMEOUT, DELETED, REFUSED, RESET, UNREACHABLE, NO_MEMORY (descriptors, too), UNSUPPORTED,
 * INVALID_DATA, PERMISSION_DENIED, IO. The system's own number is beside it in call->io, and kept
 * for vck_socket_native_error.
 *
 * Blocking forms must not be called on the thread that drives the network. PASSIVE, all of them.
 * Futures are polled and dropped at PASSIVE, cancelled up to DISPATCH.
 */
#ifndef VCK_SOCKET_H
#define VCK_SOCKET_H

#include "vck/address.h"
#include "vck/network.h"

VCK_BEGIN_DECLS

struct vck_socket;

/* The caller has a reference, which close drops. NOT_READY, NO_MEMORY, UNSUPPORTED (family). */
VCK_CHECKED vck_status vck_socket_create(struct vck_network *network, enum vck_socket_type type,
                                         enum vck_address_family family,
                                         struct vck_socket **ret_socket) VCK_CAN_WAIT;
/* The object, for references and the tree. DISPATCH. */
struct vck_object *vck_socket_object(struct vck_socket *socket);

/* ---- one call ---- */

struct vck_socket_call {
    struct vck_network_call call; /* call.future is the future, call.deadline_ns may be set */
    struct vck_socket *socket;
    struct vck_socket *accepted;     /* ACCEPT, OK: the caller's, with a reference */
    struct vck_socket_buffer buffer; /* where one flat buffer is */
    struct vck_socket_io io; /* results: status, native_error, done_bytes, address, u.value */
};

/* Prepare a call. socket and memory stay until READY or dropped. After READY call->io.status is the
 * result. Each outcome is described at the blocking form. */
void vck_socket_bind_init(struct vck_socket_call *call, struct vck_socket *socket,
                          const struct vck_address *address);
void vck_socket_listen_init(struct vck_socket_call *call, struct vck_socket *socket,
                            uint32_t backlog);
void vck_socket_connect_init(struct vck_socket_call *call, struct vck_socket *socket,
                             const struct vck_address *peer);
void vck_socket_connect_send_init(struct vck_socket_call *call, struct vck_socket *socket,
                                  const struct vck_address *peer, const void *data,
                                  size_t size_bytes);
void vck_socket_accept_init(struct vck_socket_call *call, struct vck_socket *socket);
void vck_socket_send_init(struct vck_socket_call *call, struct vck_socket *socket, const void *data,
                          size_t size_bytes);
void vck_socket_send_all_init(struct vck_socket_call *call, struct vck_socket *socket,
                              const void *data, size_t size_bytes);
void vck_socket_recv_init(struct vck_socket_call *call, struct vck_socket *socket, void *data,
                          size_t size_bytes);
void vck_socket_recv_exact_init(struct vck_socket_call *call, struct vck_socket *socket, void *data,
                                size_t size_bytes);
void vck_socket_send_to_init(struct vck_socket_call *call, struct vck_socket *socket,
                             const struct vck_address *to, const void *data, size_t size_bytes);
void vck_socket_recv_from_init(struct vck_socket_call *call, struct vck_socket *socket, void *data,
                               size_t size_bytes);
void vck_socket_shutdown_init(struct vck_socket_call *call, struct vck_socket *socket,
                              enum vck_socket_end end);
void vck_socket_set_option_init(struct vck_socket_call *call, struct vck_socket *socket,
                                enum vck_socket_option option, uint64_t value);
void vck_socket_get_option_init(struct vck_socket_call *call, struct vck_socket *socket,
                                enum vck_socket_option option);
void vck_socket_ioctl_init(struct vck_socket_call *call, struct vck_socket *socket,
                           enum vck_socket_ioctl request);
void vck_socket_local_address_init(struct vck_socket_call *call, struct vck_socket *socket);
void vck_socket_peer_address_init(struct vck_socket_call *call, struct vck_socket *socket);
/* Takes the caller's reference once polled. */
void vck_socket_close_init(struct vck_socket_call *call, struct vck_socket *socket VCK_TAKES);

/* After _init of a call that sends or receives: pieces in place of the flat buffer. The array stays
 * until READY, too. A datagram may have 16. */
void vck_socket_call_set_buffers(struct vck_socket_call *call,
                                 const struct vck_socket_buffer *buffers, uint32_t count);

/* ---- the blocking forms ---- */

/* port 0: the system chooses. ADDRESS_IN_USE, NOT_FOUND (no such address here). */
VCK_CHECKED vck_status vck_socket_bind(struct vck_socket *socket,
                                       const struct vck_address *address) VCK_CAN_WAIT;
/* backlog: connections that may wait for accept; the system may have a lower limit. */
VCK_CHECKED vck_status vck_socket_listen(struct vck_socket *socket, uint32_t backlog) VCK_CAN_WAIT;
/* TCP: REFUSED, UNREACHABLE, TIMEOUT, ADDRESS_IN_USE (no local port is left), ALREADY_EXISTS. After
 * a failure only close is useful. UDP: fixes the peer. */
VCK_CHECKED vck_status vck_socket_connect(struct vck_socket *socket,
                                          const struct vck_address *peer) VCK_CAN_WAIT;
/* connect, then send_all, with one system call less in between. */
VCK_CHECKED vck_status vck_socket_connect_send(struct vck_socket *socket,
                                               const struct vck_address *peer, const void *data,
                                               size_t size_bytes) VCK_CAN_WAIT;
/* The next connection, with a reference for the caller. ret_peer may be NULL. NO_MEMORY: the
 * connection goes on waiting when descriptors were lacking, and is dropped when memory was. */
VCK_CHECKED vck_status vck_socket_accept(struct vck_socket *socket, struct vck_socket **ret_socket,
                                         struct vck_address *ret_peer) VCK_CAN_WAIT;
/* At least one byte, unless size_bytes is 0. */
VCK_CHECKED vck_status vck_socket_send(struct vck_socket *socket, const void *data,
                                       size_t size_bytes, size_t *ret_sent_bytes) VCK_CAN_WAIT;
/* Every byte. After a failure some may have been sent: call->io.done_bytes of the future. */
VCK_CHECKED vck_status vck_socket_send_all(struct vck_socket *socket, const void *data,
                                           size_t size_bytes) VCK_CAN_WAIT;
/* What is there, at least one byte, or 0 at the end. */
VCK_CHECKED vck_status vck_socket_recv(struct vck_socket *socket, void *data, size_t size_bytes,
                                       size_t *ret_size_bytes) VCK_CAN_WAIT;
/* Every byte. OUT_OF_RANGE when the stream ends before. */
VCK_CHECKED vck_status vck_socket_recv_exact(struct vck_socket *socket, void *data,
                                             size_t size_bytes) VCK_CAN_WAIT;
/* One datagram. SIZE_MISMATCH: too long to be sent; or received and longer than size_bytes, the
 * rest is lost. ret_from may be NULL. */
VCK_CHECKED vck_status vck_socket_send_to(struct vck_socket *socket, const struct vck_address *to,
                                          const void *data, size_t size_bytes) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_socket_recv_from(struct vck_socket *socket, void *data,
                                            size_t size_bytes, size_t *ret_size_bytes,
                                            struct vck_address *ret_from) VCK_CAN_WAIT;
/* Ends one half of a connection: the peer sees the end of the stream after what was sent. */
VCK_CHECKED vck_status vck_socket_shutdown(struct vck_socket *socket,
                                           enum vck_socket_end end) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_socket_set_option(struct vck_socket *socket,
                                             enum vck_socket_option option,
                                             uint64_t value) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_socket_get_option(struct vck_socket *socket,
                                             enum vck_socket_option option,
                                             uint64_t *ret_value) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_socket_ioctl(struct vck_socket *socket, enum vck_socket_ioctl request,
                                        uint64_t *ret_value) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_socket_local_address(struct vck_socket *socket,
                                                struct vck_address *ret_address) VCK_CAN_WAIT;
VCK_CHECKED vck_status vck_socket_peer_address(struct vck_socket *socket,
                                               struct vck_address *ret_address) VCK_CAN_WAIT;
/* Ends the socket and drops the caller's reference; accepts NULL. Harmless when the network, or
 * another holder, has closed it before. */
void vck_socket_close(struct vck_socket *socket VCK_TAKES) VCK_CAN_WAIT;

/* The system's number of the last call on this socket that failed, 0 when none did or it came
 * without. For messages to people. Any level. */
int32_t vck_socket_native_error(const struct vck_socket *socket);

VCK_END_DECLS

#endif
