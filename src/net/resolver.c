/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/resolver.h"
#include "net_internal.h"

static struct vck_resolve *resolve_of(struct vck_network_call *base)
{
    return VCK_CONTAINER_OF(base, struct vck_resolve, call);
}

static void on_done(struct vck_resolve_io *io)
{
    struct vck_resolve *resolve = VCK_CONTAINER_OF(io, struct vck_resolve, io);
    struct vck_network *network = resolve->call.network;

    vck_spinlock_acquire(&network->lock);
    vck_link_remove(&resolve->link);
    resolve->completed = true;
    vck_spinlock_release(&network->lock);
    vck_network_leave(network);
    vck_network_call_done(&resolve->call);
}

/* Text that is an address; false when it has to be asked about. */
static bool answer_literal(struct vck_resolve_io *io)
{
    struct vck_address address;

    if (vck_address_parse(io->host, strlen(io->host), io->port, &address))
        return false;
    io->status = VCK_NOT_FOUND;
    if (io->family == VCK_ADDRESS_NONE || io->family == (enum vck_address_family)address.family) {
        io->addresses[0] = address;
        io->count = 1;
        io->status = VCK_OK;
    }
    return true;
}

static void cancel(struct vck_network_call *base)
{
    vck_sockets_resolve_cancel(base->network->sockets, &resolve_of(base)->io);
}

/* Makes the question findable by stop, unless it is answered; true when stop is under way and has
 * not found it. */
static bool publish(struct vck_resolve *resolve)
{
    struct vck_network *network = resolve->call.network;
    bool missed;

    vck_spinlock_acquire(&network->lock);
    missed = !resolve->completed && network->state != NETWORK_STARTED;
    if (!resolve->completed)
        vck_list_push_back(&network->resolving, &resolve->link);
    vck_spinlock_release(&network->lock);
    return missed;
}

static void begin(struct vck_network_call *base)
{
    struct vck_resolve *resolve = resolve_of(base);
    struct vck_network *network = base->network;

    vck_object_reference(vck_object_of_context(network), NET_TAG);
    if (!vck_network_enter(network)) {
        resolve->io.status = VCK_NOT_READY;
        vck_network_call_done(base);
        return;
    }
    if (answer_literal(&resolve->io)) {
        on_done(&resolve->io);
        return;
    }
    vck_sockets_resolve(network->sockets, &resolve->io);
    if (publish(resolve))
        cancel(base);
}

static void finish(struct vck_network_call *base, bool dropped)
{
    struct vck_resolve *resolve = resolve_of(base);

    (void)dropped;
    resolve->io.status = vck_network_call_status(base, resolve->io.status);
    vck_object_release(vck_object_of_context(base->network), NET_TAG);
}

static const struct vck_network_call_ops resolve_ops = {begin, cancel, finish, NULL};

void vck_resolve_init(struct vck_resolve *resolve, struct vck_network *network, const char *host,
                      uint16_t port, enum vck_address_family family, struct vck_address *addresses,
                      uint32_t capacity)
{
    vck_network_call_init(&resolve->call, &resolve_ops, network);
    vck_link_init(&resolve->link);
    resolve->completed = false;
    resolve->io = (struct vck_resolve_io){
        .host = host,
        .family = family,
        .port = port,
        .addresses = addresses,
        .capacity = capacity,
        .done = on_done,
    };
}

vck_status vck_resolve_host(struct vck_network *network, const char *host, uint16_t port,
                            enum vck_address_family family, uint64_t timeout_ns,
                            struct vck_address *ret_addresses, uint32_t capacity,
                            uint32_t *ret_count)
{
    struct vck_resolve resolve;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_resolve_init(&resolve, network, host, port, family, ret_addresses, capacity);
    if (!vck_add_u64(vck_clock_ns(), timeout_ns, &resolve.call.deadline_ns))
        resolve.call.deadline_ns = VCK_FOREVER;
    vck_block_on(&resolve.call.future);
    if (resolve.io.status == VCK_OK)
        *ret_count = resolve.io.count;
    return resolve.io.status;
}
