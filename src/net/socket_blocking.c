/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocking form of each call is its future, waited for.
 */
#include "net_internal.h"

static vck_status wait_for(struct vck_socket_call *call) VCK_CAN_WAIT
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_block_on(&call->call.future);
    return call->io.status;
}

vck_status vck_socket_bind(struct vck_socket *socket, const struct vck_address *address)
{
    struct vck_socket_call call;

    vck_socket_bind_init(&call, socket, address);
    return wait_for(&call);
}

vck_status vck_socket_listen(struct vck_socket *socket, uint32_t backlog)
{
    struct vck_socket_call call;

    vck_socket_listen_init(&call, socket, backlog);
    return wait_for(&call);
}

vck_status vck_socket_connect(struct vck_socket *socket, const struct vck_address *peer)
{
    struct vck_socket_call call;

    vck_socket_connect_init(&call, socket, peer);
    return wait_for(&call);
}

vck_status vck_socket_connect_send(struct vck_socket *socket, const struct vck_address *peer,
                                   const void *data, size_t size_bytes)
{
    struct vck_socket_call call;

    vck_socket_connect_send_init(&call, socket, peer, data, size_bytes);
    return wait_for(&call);
}

vck_status vck_socket_accept(struct vck_socket *socket, struct vck_socket **ret_socket,
                             struct vck_address *ret_peer)
{
    struct vck_socket_call call;
    vck_status status;

    vck_socket_accept_init(&call, socket);
    status = wait_for(&call);
    if (status)
        return status;
    *ret_socket = call.accepted;
    if (ret_peer)
        *ret_peer = call.io.address;
    return VCK_OK;
}

vck_status vck_socket_send(struct vck_socket *socket, const void *data, size_t size_bytes,
                           size_t *ret_sent_bytes)
{
    struct vck_socket_call call;
    vck_status status;

    vck_socket_send_init(&call, socket, data, size_bytes);
    status = wait_for(&call);
    if (status == VCK_OK)
        *ret_sent_bytes = call.io.done_bytes;
    return status;
}

vck_status vck_socket_send_all(struct vck_socket *socket, const void *data, size_t size_bytes)
{
    struct vck_socket_call call;

    vck_socket_send_all_init(&call, socket, data, size_bytes);
    return wait_for(&call);
}

vck_status vck_socket_recv(struct vck_socket *socket, void *data, size_t size_bytes,
                           size_t *ret_size_bytes)
{
    struct vck_socket_call call;
    vck_status status;

    vck_socket_recv_init(&call, socket, data, size_bytes);
    status = wait_for(&call);
    if (status == VCK_OK)
        *ret_size_bytes = call.io.done_bytes;
    return status;
}

vck_status vck_socket_recv_exact(struct vck_socket *socket, void *data, size_t size_bytes)
{
    struct vck_socket_call call;

    vck_socket_recv_exact_init(&call, socket, data, size_bytes);
    return wait_for(&call);
}

vck_status vck_socket_send_to(struct vck_socket *socket, const struct vck_address *to,
                              const void *data, size_t size_bytes)
{
    struct vck_socket_call call;

    vck_socket_send_to_init(&call, socket, to, data, size_bytes);
    return wait_for(&call);
}

vck_status vck_socket_recv_from(struct vck_socket *socket, void *data, size_t size_bytes,
                                size_t *ret_size_bytes, struct vck_address *ret_from)
{
    struct vck_socket_call call;
    vck_status status;

    vck_socket_recv_from_init(&call, socket, data, size_bytes);
    status = wait_for(&call);
    if (status && status != VCK_SIZE_MISMATCH)
        return status;
    *ret_size_bytes = call.io.done_bytes;
    if (ret_from)
        *ret_from = call.io.address;
    return status;
}

vck_status vck_socket_shutdown(struct vck_socket *socket, enum vck_socket_end end)
{
    struct vck_socket_call call;

    vck_socket_shutdown_init(&call, socket, end);
    return wait_for(&call);
}

vck_status vck_socket_set_option(struct vck_socket *socket, enum vck_socket_option option,
                                 uint64_t value)
{
    struct vck_socket_call call;

    vck_socket_set_option_init(&call, socket, option, value);
    return wait_for(&call);
}

static vck_status wait_for_value(struct vck_socket_call *call, uint64_t *ret_value) VCK_CAN_WAIT
{
    vck_status status = wait_for(call);

    if (status == VCK_OK)
        *ret_value = call->io.u.value;
    return status;
}

vck_status vck_socket_get_option(struct vck_socket *socket, enum vck_socket_option option,
                                 uint64_t *ret_value)
{
    struct vck_socket_call call;

    vck_socket_get_option_init(&call, socket, option);
    return wait_for_value(&call, ret_value);
}

vck_status vck_socket_ioctl(struct vck_socket *socket, enum vck_socket_ioctl request,
                            uint64_t *ret_value)
{
    struct vck_socket_call call;

    vck_socket_ioctl_init(&call, socket, request);
    return wait_for_value(&call, ret_value);
}

static vck_status wait_for_address(struct vck_socket_call *call,
                                   struct vck_address *ret_address) VCK_CAN_WAIT
{
    vck_status status = wait_for(call);

    if (status == VCK_OK)
        *ret_address = call->io.address;
    return status;
}

vck_status vck_socket_local_address(struct vck_socket *socket, struct vck_address *ret_address)
{
    struct vck_socket_call call;

    vck_socket_local_address_init(&call, socket);
    return wait_for_address(&call, ret_address);
}

vck_status vck_socket_peer_address(struct vck_socket *socket, struct vck_address *ret_address)
{
    struct vck_socket_call call;

    vck_socket_peer_address_init(&call, socket);
    return wait_for_address(&call, ret_address);
}
