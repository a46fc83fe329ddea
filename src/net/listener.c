/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/listener.h"

static vck_status prepare(struct vck_socket *socket, const struct vck_address *address,
                          uint32_t backlog) VCK_CAN_WAIT
{
    vck_status status = vck_socket_set_option(socket, VCK_SOCKET_REUSE_ADDRESS, 1);

    if (status == VCK_OK && address->family == VCK_ADDRESS_IPV6)
        status = vck_socket_set_option(socket, VCK_SOCKET_V6_ONLY, 1);
    if (status == VCK_OK)
        status = vck_socket_bind(socket, address);
    if (status == VCK_OK)
        status = vck_socket_listen(socket, backlog);
    return status;
}

vck_status vck_listener_open(struct vck_network *network, const struct vck_address *address,
                             uint32_t backlog, struct vck_listener *ret_listener)
{
    struct vck_listener listener = {.socket = NULL};
    vck_status status;

    status = vck_socket_create(network, VCK_SOCKET_STREAM, (enum vck_address_family)address->family,
                               &listener.socket);
    if (status)
        return status;
    status = prepare(listener.socket, address, backlog);
    if (status == VCK_OK)
        status = vck_socket_local_address(listener.socket, &listener.address);
    if (status == VCK_OK)
        *ret_listener = listener;
    else
        vck_socket_close(listener.socket);
    return status;
}

void vck_listener_close(struct vck_listener *listener)
{
    vck_socket_close(listener->socket);
    listener->socket = NULL;
}

void vck_listener_next_init(struct vck_socket_call *call, struct vck_listener *listener)
{
    vck_socket_accept_init(call, listener->socket);
}

vck_status vck_listener_next(struct vck_listener *listener, struct vck_socket **ret_socket,
                             struct vck_address *ret_peer)
{
    return vck_socket_accept(listener->socket, ret_socket, ret_peer);
}
