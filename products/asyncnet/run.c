/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#define NS_PER_MS UINT64_C(1000000)

/*
 * The deletion of the driver, or a cancel, may come at any time. Who changes RUN_NEW decides:
 * deletion, then the run is never started; or start, then deletion waits for its end. A cancel
 * before RUN_UNDER_WAY is remembered, because there is no job to cancel yet.
 */
enum run_state {
    RUN_NEW,
    RUN_STARTING,
    RUN_UNDER_WAY,
    RUN_DELETED,
};

static bool leave_new(struct run *run, enum run_state state)
{
    uint32_t expected = RUN_NEW;

    return __atomic_compare_exchange_n(&run->state, &expected, (uint32_t)state, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* ---- the object ---- */

struct making {
    struct asyncnet *asyncnet;
    enum run_kind kind;
    struct run_asker *asker;
    struct run *made;
};

static vck_status run_init(struct vck_object *object, void *context, void *argument)
{
    struct run *run = context;
    struct making *making = argument;

    run->object = object;
    run->asyncnet = making->asyncnet;
    run->kind = making->kind;
    run->asker = making->asker;
    vck_event_init_manual(&run->is_over);
    /* The run's own, until its end, and the caller's. */
    vck_object_reference(object, ASYNCNET_TAG);
    vck_object_reference(object, ASYNCNET_TAG);
    making->made = run;
    return VCK_OK;
}

static void run_cleanup(void *context) VCK_NO_ANALYSIS
{
    struct run *run = context;

    if (leave_new(run, RUN_DELETED))
        return;
    run_cancel(run);
    (void)vck_event_wait(&run->is_over, VCK_FOREVER);
}

static void run_destroy(void *context)
{
    struct run *run = context;

    if (run->kind == RUN_TIMERS)
        storm_fini(&run->u.storm);
    vck_event_fini(&run->is_over);
}

static const struct vck_object_type run_type = {
    .name = "run",
    .context_bytes = sizeof(struct run),
    .cleanup = run_cleanup,
    .destroy = run_destroy,
};

vck_status run_create(struct asyncnet *asyncnet, enum run_kind kind, struct run_asker *asker,
                      struct run **ret_run)
{
    struct making making = {.asyncnet = asyncnet, .kind = kind, .asker = asker};
    struct vck_object *object;
    vck_status status = vck_object_create(&run_type, asyncnet->object, run_init, &making, &object);

    if (status && making.made)
        run_discard(making.made);
    else if (status == VCK_OK)
        *ret_run = making.made;
    return status;
}

void run_release(struct run *run)
{
    vck_object_release(run->object, ASYNCNET_TAG);
}

void run_discard(struct run *run)
{
    (void)vck_object_delete(run->object);
    vck_object_release(run->object, ASYNCNET_TAG);
    vck_object_release(run->object, ASYNCNET_TAG);
}

/* ---- the end ---- */

static void add(uint64_t *counter, uint64_t value)
{
    __atomic_fetch_add(counter, value, __ATOMIC_RELAXED);
}

static void count_workload(struct asyncnet *asyncnet, const struct workload *workload)
{
    add(&asyncnet->replies, workload->replies);
    add(&asyncnet->failures, workload->failures);
}

/* The one that run_echo's caller knows is gone; its listener is closed before anybody is told. */
static void end_echo(struct run *run) VCK_NO_ANALYSIS
{
    struct asyncnet *asyncnet = run->asyncnet;
    bool was_known;

    vck_spinlock_acquire(&asyncnet->lock);
    was_known = asyncnet->echo == run;
    if (was_known)
        asyncnet->echo = NULL;
    vck_spinlock_release(&asyncnet->lock);
    echo_fini(&run->u.echo);
    if (was_known)
        run_release(run);
}

/* What is left to be done when nothing is under way any more, and the results. */
static void settle(struct run *run) VCK_NO_ANALYSIS
{
    switch (run->kind) {
    case RUN_LOAD:
        count_workload(run->asyncnet, &run->u.load.workload);
        break;
    case RUN_THREADS:
        threads_fini(&run->u.threads);
        count_workload(run->asyncnet, &run->u.threads.workload);
        break;
    case RUN_TIMERS:
        add(&run->asyncnet->timers, run->u.storm.expired);
        break;
    case RUN_ECHO:
        end_echo(run);
        break;
    }
}

/* Tells the asker, and drops the run's own reference. */
static void finish(struct run *run)
{
    struct vck_object *object = run->object;

    if (run->asker)
        run->asker->ended(run->asker, run);
    vck_event_set(&run->is_over);
    (void)vck_object_delete(object);
    vck_object_release(object, ASYNCNET_TAG);
}

static void job_ended(struct job *job)
{
    struct run *run = VCK_CONTAINER_OF(job, struct run, u.job);

    if (run->status == VCK_OK && job_is_cancelled(job))
        run->status = VCK_CANCELLED;
    settle(run);
    add(&run->asyncnet->jobs, UINT64_MAX);
    finish(run);
}

/* ---- starting and cancelling ---- */

static void cancel_job(struct run *run)
{
    if (run->kind == RUN_THREADS)
        threads_cancel(&run->u.threads);
    else
        job_cancel(&run->u.job);
}

void run_cancel(struct run *run)
{
    __atomic_store_n(&run->cancel_asked, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&run->state, __ATOMIC_SEQ_CST) == RUN_UNDER_WAY)
        cancel_job(run);
}

/* True: the job has begun, and goes with go. False: the asker has been told. */
static bool begin(struct run *run)
{
    struct asyncnet *asyncnet = run->asyncnet;

    run->status = leave_new(run, RUN_STARTING)
                      ? job_begin(&run->u.job, asyncnet->executor, job_ended)
                      : VCK_DELETE_PENDING;
    if (run->status) {
        finish(run);
        return false;
    }
    add(&asyncnet->jobs, 1);
    add(&asyncnet->jobs_begun, 1);
    __atomic_store_n(&run->state, RUN_UNDER_WAY, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&run->cancel_asked, __ATOMIC_SEQ_CST))
        cancel_job(run);
    return true;
}

/* What could not be started because somebody cancelled was cancelled. */
static void go(struct run *run, vck_status status)
{
    run->status = status == VCK_DELETE_PENDING ? VCK_CANCELLED : status;
    job_go(&run->u.job);
}

static struct workload *workload_of(struct run *run)
{
    return run->kind == RUN_THREADS ? &run->u.threads.workload : &run->u.load.workload;
}

void run_start_load(struct run *run, uint64_t lanes)
{
    lanes = VCK_MIN(lanes, workload_of(run)->connections);
    if (begin(run))
        go(run, load_start(&run->u.load, lanes));
}

void run_start_threads(struct run *run, uint32_t threads)
{
    if (begin(run))
        go(run, threads_start(&run->u.threads, run->object, threads));
}

void run_start_timers(struct run *run, uint64_t count, uint64_t span_ns)
{
    if (begin(run))
        go(run, storm_start(&run->u.storm, count, span_ns));
}

/* ---- what is to be done, and what came of it ---- */

/* Nothing that could end the request line, or begin another. */
static bool is_path(const char *path)
{
    if (*path != '/')
        return false;
    for (; *path; path++)
        if (*path <= ' ' || *path > '~')
            return false;
    return true;
}

vck_status run_set_workload(struct run *run, const struct message_load *request, char *ret_fault)
{
    struct workload *workload = workload_of(run);
    vck_status status;

    workload->network = asyncnet_get_network(run->asyncnet);
    if (!workload->network)
        return VCK_NOT_READY;
    workload->address_count = 1;
    status =
        message_get_address(request->address, request->port, &workload->addresses[0], ret_fault);
    if (status)
        return status;
    if (!is_path(request->path) ||
        workload_set_request(workload, request->address, request->path)) {
        message_fault(ret_fault, "path is not a / and printable characters without spaces");
        return VCK_INVALID_DATA;
    }
    workload->connections = request->connections;
    workload->retries = request->retries;
    workload->timeout_ns = request->timeout_ms * NS_PER_MS;
    return VCK_OK;
}

void run_get_result(struct run *run, struct message_result *ret_result)
{
    struct workload *workload = workload_of(run);

    *ret_result = (struct message_result){
        .connections = workload->connections,
        .replies = workload->replies,
        .failures = workload->failures,
        .retried = workload->retried,
        .duration_ns = run->u.job.end_ns - run->u.job.begin_ns,
        .codes = {workload->codes, WORKLOAD_CODES},
        .errors = {workload->errors, VCK_STATUS_COUNT},
    };
}

void run_get_timers_result(const struct run *run, struct message_timers_result *ret_result)
{
    const struct storm *storm = &run->u.storm;

    *ret_result = (struct message_timers_result){
        .count = storm->count,
        .expired = storm->expired,
        .early = storm->early,
        .out_of_order = storm->out_of_order,
        .latest_ns = storm->latest_ns,
        .duration_ns = storm->job.end_ns - storm->job.begin_ns,
    };
}

/* ---- the echo server ---- */

static struct run *take_echo(struct asyncnet *asyncnet)
{
    struct run *run;

    vck_spinlock_acquire(&asyncnet->lock);
    run = asyncnet->echo;
    if (run)
        vck_object_reference(run->object, ASYNCNET_TAG);
    vck_spinlock_release(&asyncnet->lock);
    return run;
}

static void put_echo(struct asyncnet *asyncnet, struct run *run)
{
    vck_spinlock_acquire(&asyncnet->lock);
    asyncnet->echo = run;
    vck_object_reference(run->object, ASYNCNET_TAG);
    vck_spinlock_release(&asyncnet->lock);
}

static vck_status start_echo(struct asyncnet *asyncnet, const struct vck_address *address,
                             struct vck_address *ret_address) VCK_CAN_WAIT
{
    struct vck_network *network = asyncnet_get_network(asyncnet);
    struct run *run;
    vck_status status;

    if (!network)
        return VCK_NOT_READY;
    status = run_create(asyncnet, RUN_ECHO, NULL, &run);
    if (status)
        return status;
    if (!begin(run)) {
        status = run->status;
        goto out;
    }
    status = echo_start(&run->u.echo, network, address);
    if (status == VCK_OK) {
        *ret_address = run->u.echo.listener.address;
        put_echo(asyncnet, run);
    }
    go(run, status);
out:
    run_release(run);
    return status;
}

vck_status run_echo(struct asyncnet *asyncnet, const struct vck_address *address,
                    struct vck_address *ret_address)
{
    struct run *running;
    vck_status status = VCK_ALREADY_EXISTS;

    vck_mutex_acquire(&asyncnet->control);
    running = take_echo(asyncnet);
    if (!running)
        status = start_echo(asyncnet, address, ret_address);
    vck_mutex_release(&asyncnet->control);
    if (running)
        run_release(running);
    return status;
}

vck_status run_echo_stop(struct asyncnet *asyncnet)
{
    struct run *run = take_echo(asyncnet);

    if (!run)
        return VCK_NOT_READY;
    run_cancel(run);
    (void)vck_event_wait(&run->is_over, VCK_FOREVER);
    run_release(run);
    return VCK_OK;
}

void run_get_echo_status(struct asyncnet *asyncnet, struct message_status *status)
{
    struct run *run = take_echo(asyncnet);
    struct echo *echo;

    if (!run)
        return;
    echo = &run->u.echo;
    status->echo_port = echo->listener.address.port;
    status->echo_accepted = __atomic_load_n(&echo->accepted, __ATOMIC_RELAXED);
    status->echo_open = __atomic_load_n(&echo->open, __ATOMIC_RELAXED);
    status->echo_bytes = __atomic_load_n(&echo->echoed_bytes, __ATOMIC_RELAXED);
    run_release(run);
}
