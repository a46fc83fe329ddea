/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network: what has to be there before a socket. An object that is started and stopped; sockets
 * are its children.
 *
 *     created --start--> started --stop--> created --...--> deleted
 *
 * Before start and after stop, creating a socket and resolving a name fail with NOT_READY. Stop
 * closes every socket, which completes the calls in flight with CANCELLED, and waits until nothing
 * is left. Deleting the network, or an object above it, stops it.
 *
 * On ports that are driven (port/sockets.h) completions come out of a thread of the network, or,
 * with VCK_NETWORK_DRIVEN, out of an executor's worker, which then sleeps in the system's own wait
 * and needs no second thread to be woken by.
 */
#ifndef VCK_NETWORK_H
#define VCK_NETWORK_H

#include "port/sockets.h"
#include "vck/executor.h"
#include "vck/future.h"
#include "vck/list.h"
#include "vck/object.h"

VCK_BEGIN_DECLS

struct vck_network;

/* options.flags */
#define VCK_NETWORK_DRIVEN 1u /* by what get_idle gives; no thread is created */

struct vck_network_options {
    struct vck_object *parent; /* NULL: a root */
    unsigned flags;
};

/* options may be NULL. The caller has a reference, which destroy drops. NO_MEMORY, DELETE_PENDING,
 * UNSUPPORTED. PASSIVE. */
VCK_CHECKED vck_status vck_network_create(const struct vck_network_options *options,
                                          struct vck_network **ret_network) VCK_CAN_WAIT;
/* Deletes the network, which stops it, and drops the caller's reference; accepts NULL. Nobody may
 * be in wait or poll. PASSIVE. */
void vck_network_destroy(struct vck_network *network VCK_TAKES) VCK_CAN_WAIT;

/* BUSY when it is started already or being stopped, NO_MEMORY (no thread). PASSIVE. */
VCK_CHECKED vck_status vck_network_start(struct vck_network *network) VCK_CAN_WAIT;
/* Harmless when it is not started. Names that are being resolved are waited for where the system
 * cannot be interrupted: at destroy. PASSIVE; with VCK_NETWORK_DRIVEN not on the driver. */
void vck_network_stop(struct vck_network *network) VCK_CAN_WAIT;

/* With VCK_NETWORK_DRIVEN: what the driver sleeps in, for vck_executor_options of an executor with
 * one worker, which is destroyed before the network. NULL where nothing needs to be driven; an
 * executor takes that, too. Any level. */
struct vck_idle *vck_network_get_idle(struct vck_network *network);

/* The system's number of the last creation of a socket that failed, for messages to people. */
int32_t vck_network_native_error(const struct vck_network *network);

/* Sockets that are open. DISPATCH. */
uint32_t vck_network_socket_count(const struct vck_network *network);

/*
 * What every call on the network has in common; a member of each. It is a future: the first poll
 * begins the call, dropping it cancels it and waits for the cancellation, which is short.
 */
struct vck_network_call {
    struct vck_future future;
    const struct vck_network_call_ops *ops;
    struct vck_network *network;
    uint64_t deadline_ns; /* VCK_FOREVER: none; 0: as the socket's options say */
    struct vck_link link; /* while it has a deadline to meet */
    struct vck_waker_slot slot;
    uint32_t holds; /* who may still touch it, besides its owner; 0: not begun, or done */
    uint8_t state;
    bool cancelled; /* asked for, perhaps before the port has the call */
    bool timed_out;
    bool has_deadline;
};

struct vck_network_call_ops;

/* Completes the call with CANCELLED soon, unless it completes by itself first. Harmless before it
 * began and after it completed. The call's memory is the caller's to keep meanwhile. DISPATCH. */
void vck_network_call_cancel(struct vck_network_call *call);

VCK_END_DECLS

#endif
