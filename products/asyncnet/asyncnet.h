/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asyncnet: the driver itself, without a word of NT: a tree of objects at whose root is the driver.
 *
 *     driver ── control device (device.h)
 *           ├── network ── sockets
 *           └── runs (run.h): loads, threads, timers, the echo server
 *
 * The driver's context has the executor, which goes after its children have: tasks are gone before
 * the workers. Deleting the root is unload.
 */
#ifndef VCK_ASYNCNET_ASYNCNET_H
#define VCK_ASYNCNET_ASYNCNET_H

#include "messages.h"
#include "vck/executor.h"
#include "vck/network.h"
#include "vck/object.h"

VCK_BEGIN_DECLS

#define ASYNCNET_TAG VCK_TAG('A', 'n', 'e', 't')

struct run;

struct asyncnet {
    struct vck_object *object; /* the root */
    struct vck_executor *executor;
    struct vck_mutex control;    /* covers starting and stopping */
    struct vck_network *network; /* from the first start on; a child */
    uint32_t is_started;         /* atomic, written under control */
    struct vck_spinlock lock;    /* covers echo */
    struct run *echo;            /* with a reference, while it runs */
    /* atomic */
    uint64_t jobs;
    uint64_t jobs_begun;
    uint64_t replies;
    uint64_t failures;
    uint64_t timers;
};

/* workers: of the executor, 1 or more. NO_MEMORY: nothing is left. PASSIVE. */
VCK_CHECKED vck_status asyncnet_create(uint32_t workers,
                                       struct asyncnet **ret_asyncnet) VCK_CAN_WAIT;
/* Deletes the tree: cancels every run and waits until nothing of it is left. PASSIVE. */
void asyncnet_unload(struct asyncnet *asyncnet VCK_TAKES) VCK_CAN_WAIT;

/* ALREADY_EXISTS: it is started; UNSUPPORTED, NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status asyncnet_start(struct asyncnet *asyncnet) VCK_CAN_WAIT;
/* Closes every socket: what is under way goes on without, and fails. NOT_READY: it is not started.
 * PASSIVE. */
VCK_CHECKED vck_status asyncnet_stop(struct asyncnet *asyncnet) VCK_CAN_WAIT;
/* The network, or NULL when it is not started. Borrowed from the tree. Any level. */
struct vck_network *asyncnet_get_network(struct asyncnet *asyncnet);

/* DISPATCH. */
void asyncnet_get_status(struct asyncnet *asyncnet, struct message_status *ret_status);

VCK_END_DECLS

#endif
