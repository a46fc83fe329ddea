/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo: a TCP server that sends back what it gets. One task accepts, and each connection is a task,
 * made when it is accepted and gone when it ends.
 */
#ifndef VCK_ASYNCNET_ECHO_H
#define VCK_ASYNCNET_ECHO_H

#include "job.h"
#include "vck/listener.h"

VCK_BEGIN_DECLS

struct echo {
    struct job job;
    struct vck_network *network;
    struct vck_listener listener;
    uint64_t accepted; /* atomic, like the others */
    uint64_t open;
    uint64_t echoed_bytes;
};

/* Listens on address (port 0: one the system chooses, echo->listener.address tells) and serves
 * until the job is cancelled or the network stops. Called for a job that has begun. ADDRESS_IN_USE,
 * NOT_FOUND (no such address here), NOT_READY, NO_MEMORY, ...: it does not serve. PASSIVE. */
VCK_CHECKED vck_status echo_start(struct echo *echo, struct vck_network *network,
                                  const struct vck_address *address) VCK_CAN_WAIT;
/* Closes the listener; the job has ended, or never began. PASSIVE. */
void echo_fini(struct echo *echo) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
