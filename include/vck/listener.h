/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener: a stream of connections. It begins when the listener opens and ends when it is closed:
 * the next that waits then is CANCELLED, later ones are DELETED. An error in between (NO_MEMORY:
 * descriptors have run out) does not end it; what waits is there for the next.
 */
#ifndef VCK_LISTENER_H
#define VCK_LISTENER_H

#include "vck/socket.h"

VCK_BEGIN_DECLS

struct vck_listener {
    struct vck_socket *socket;
    struct vck_address address; /* as bound: with the port the system chose for 0 */
};

/* Binds a TCP socket to address, to this family alone, and listens. A port that is listened on by
 * another is ADDRESS_IN_USE; connections of the past do not count. PASSIVE. */
VCK_CHECKED vck_status vck_listener_open(struct vck_network *network,
                                         const struct vck_address *address, uint32_t backlog,
                                         struct vck_listener *ret_listener) VCK_CAN_WAIT;
/* Closes; harmless for one that was never opened, if it is zeroed. PASSIVE. */
void vck_listener_close(struct vck_listener *listener) VCK_CAN_WAIT;

/* The next connection: call->accepted, a socket with a reference for the caller, and its peer in
 * call->io.address. Several may wait; they are served in order. */
void vck_listener_next_init(struct vck_socket_call *call, struct vck_listener *listener);
/* The blocking form. ret_peer may be NULL. */
VCK_CHECKED vck_status vck_listener_next(struct vck_listener *listener,
                                         struct vck_socket **ret_socket,
                                         struct vck_address *ret_peer) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
