/* SPDX-License-Identifier: Apache-2.0 */
#include "asyncnet.h"
#include "run.h"

/* ---- the root ---- */

static vck_status driver_init(struct vck_object *object, void *context,
                              void *argument) VCK_NO_ANALYSIS
{
    struct asyncnet *asyncnet = context;
    const struct vck_executor_options options = {.workers = *(uint32_t *)argument,
                                                 .name = "asyncnet"};

    asyncnet->object = object;
    vck_mutex_init(&asyncnet->control);
    vck_spinlock_init(&asyncnet->lock);
    return vck_executor_create(&options, &asyncnet->executor);
}

/* Every run has ended, and every task with it; the network, too, and only our reference keeps it.
 */
static void driver_cleanup(void *context) VCK_NO_ANALYSIS
{
    struct asyncnet *asyncnet = context;

    vck_executor_destroy(asyncnet->executor);
    vck_network_destroy(asyncnet->network);
    vck_mutex_fini(&asyncnet->control);
}

static const struct vck_object_type driver_type = {
    .name = "driver",
    .context_bytes = sizeof(struct asyncnet),
    .cleanup = driver_cleanup,
};

vck_status asyncnet_create(uint32_t workers, struct asyncnet **ret_asyncnet)
{
    struct vck_object *object;
    void *context = NULL;
    vck_status status = vck_object_create(&driver_type, NULL, driver_init, &workers, &object);

    if (status)
        return status;
    status = vck_object_context(object, &driver_type, &context);
    VCK_ASSERT(status == VCK_OK);
    *ret_asyncnet = context;
    return VCK_OK;
}

void asyncnet_unload(struct asyncnet *asyncnet)
{
    (void)vck_object_unload(asyncnet->object, 0);
}

/* ---- the network ---- */

static vck_status create_network(struct asyncnet *asyncnet) VCK_CAN_WAIT
{
    const struct vck_network_options options = {.parent = asyncnet->object};
    vck_status status = VCK_OK;

    if (!asyncnet->network)
        status = vck_network_create(&options, &asyncnet->network);
    return status;
}

vck_status asyncnet_start(struct asyncnet *asyncnet)
{
    vck_status status = VCK_ALREADY_EXISTS;

    vck_mutex_acquire(&asyncnet->control);
    if (!asyncnet->is_started) {
        status = create_network(asyncnet);
        if (status == VCK_OK)
            status = vck_network_start(asyncnet->network);
        if (status == VCK_OK)
            __atomic_store_n(&asyncnet->is_started, 1, __ATOMIC_RELEASE);
    }
    vck_mutex_release(&asyncnet->control);
    return status;
}

vck_status asyncnet_stop(struct asyncnet *asyncnet)
{
    vck_status status = VCK_NOT_READY;

    vck_mutex_acquire(&asyncnet->control);
    if (asyncnet->is_started) {
        __atomic_store_n(&asyncnet->is_started, 0, __ATOMIC_RELEASE);
        vck_network_stop(asyncnet->network);
        status = VCK_OK;
    }
    vck_mutex_release(&asyncnet->control);
    return status;
}

struct vck_network *asyncnet_get_network(struct asyncnet *asyncnet)
{
    bool is_started = __atomic_load_n(&asyncnet->is_started, __ATOMIC_ACQUIRE) != 0;

    return is_started ? asyncnet->network : NULL;
}

/* ---- status ---- */

static uint64_t value_of(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void asyncnet_get_status(struct asyncnet *asyncnet, struct message_status *ret_status)
{
    struct vck_network *network = asyncnet_get_network(asyncnet);

    *ret_status = (struct message_status){
        .is_started = network != NULL,
        .workers = vck_executor_worker_count(asyncnet->executor),
        .jobs = value_of(&asyncnet->jobs),
        .jobs_begun = value_of(&asyncnet->jobs_begun),
        .sockets = network ? vck_network_socket_count(network) : 0,
        .replies = value_of(&asyncnet->replies),
        .failures = value_of(&asyncnet->failures),
        .timers = value_of(&asyncnet->timers),
        .allocations = vck_alloc_live_count(),
    };
    run_get_echo_status(asyncnet, ret_status);
}
