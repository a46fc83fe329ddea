/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: something the driver was asked to do, as an object below it: a load, threads, timers, or the
 * echo server.
 *
 *     created --start--> under way --by itself, or cancelled--> ended: tells who asked, deletes
 * itself
 *                           \--the driver is deleted: cancelled, waited for---/
 */
#ifndef VCK_ASYNCNET_RUN_H
#define VCK_ASYNCNET_RUN_H

#include "asyncnet.h"
#include "echo.h"
#include "load.h"
#include "storm.h"
#include "threads.h"

VCK_BEGIN_DECLS

enum run_kind {
    RUN_LOAD,
    RUN_THREADS,
    RUN_TIMERS,
    RUN_ECHO,
};

/* Who asked, and is told of the end: ended(asker, run) runs on a worker, at PASSIVE. The results
 * are there then; run->status is OK, CANCELLED, or why the run could not start. */
struct run_asker {
    void (*ended)(struct run_asker *asker, struct run *run);
};

struct run {
    struct vck_object *object;
    struct asyncnet *asyncnet;
    struct run_asker *asker; /* NULL: nobody waits */
    enum run_kind kind;
    uint32_t state;           /* atomic */
    uint32_t cancel_asked;    /* atomic */
    vck_status status;        /* once ended */
    struct vck_event is_over; /* manual: the asker was told */
    union {
        struct job job; /* the first member of each */
        struct load load;
        struct threads threads;
        struct storm storm;
        struct echo echo;
    } u;
};

/* A run with a reference for the caller, who starts it with one of the functions below, or drops
 * it. NO_MEMORY, DELETE_PENDING (the driver is being deleted). PASSIVE. */
VCK_CHECKED vck_status run_create(struct asyncnet *asyncnet, enum run_kind kind,
                                  struct run_asker *asker, struct run **ret_run) VCK_CAN_WAIT;
/* Drops the caller's reference. DISPATCH. */
void run_release(struct run *run VCK_TAKES);
/* The same for one that is not to be started. PASSIVE. */
void run_discard(struct run *run VCK_TAKES) VCK_CAN_WAIT;

/*
 * Fills in what a run of RUN_LOAD or RUN_THREADS is to do, before its start. NOT_READY: the network
 * is not started; INVALID_DATA: ret_fault, of MESSAGE_TEXT_BYTES, says what is wrong. PASSIVE.
 */
VCK_CHECKED vck_status run_set_workload(struct run *run, const struct message_load *request,
                                        char *ret_fault);

/* Starts it; the asker is told of its end whatever comes, perhaps before this returns. The caller
 * holds a reference. PASSIVE. */
void run_start_load(struct run *run, uint64_t lanes) VCK_CAN_WAIT;
void run_start_threads(struct run *run, uint32_t threads) VCK_CAN_WAIT;
void run_start_timers(struct run *run, uint64_t count, uint64_t span_ns) VCK_CAN_WAIT;

/* Has it end soon; harmless before the start and after the end. The caller holds a reference.
 * DISPATCH. */
void run_cancel(struct run *run);

/* The results of a run that ended; counters are borrowed. PASSIVE. */
void run_get_result(struct run *run, struct message_result *ret_result);
void run_get_timers_result(const struct run *run, struct message_timers_result *ret_result);

/* Starts the echo server. *ret_address is where it listens. ALREADY_EXISTS: it runs; NOT_READY: the
 * network is not started; and what echo_start returns. PASSIVE. */
VCK_CHECKED vck_status run_echo(struct asyncnet *asyncnet, const struct vck_address *address,
                                struct vck_address *ret_address) VCK_CAN_WAIT;
/* Ends it and waits. NOT_READY: it does not run. PASSIVE. */
VCK_CHECKED vck_status run_echo_stop(struct asyncnet *asyncnet) VCK_CAN_WAIT;
/* DISPATCH. */
void run_get_echo_status(struct asyncnet *asyncnet, struct message_status *status);

VCK_END_DECLS

#endif
