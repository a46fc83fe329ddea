/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/listener.h"

/* A port that the system chose may have got another owner before it is listened on. */
#define CHOICES_MAX 16u

/* A port is to be had whatever is left of its past. Where the system chooses one this is said when
 * it is bound: to two sockets that said so before, the system may give the same port. */
static vck_status prepare(struct vck_socket *socket, const struct vck_address *address,
                          uint32_t backlog) VCK_CAN_WAIT
{
    bool is_chosen = address->port == 0;
    vck_status status = VCK_OK;

    if (!is_chosen)
        status = vck_socket_set_option(socket, VCK_SOCKET_REUSE_ADDRESS, 1);
    if (status == VCK_OK && address->family == VCK_ADDRESS_IPV6)
        status = vck_socket_set_option(socket, VCK_SOCKET_V6_ONLY, 1);
    if (status == VCK_OK)
        status = vck_socket_bind(socket, address);
    if (status == VCK_OK && is_chosen)
        status = vck_socket_set_option(socket, VCK_SOCKET_REUSE_ADDRESS, 1);
    if (status == VCK_OK)
        status = vck_socket_listen(socket, backlog);
    return status;
}

static vck_status open_once(struct vck_network *network, const struct vck_address *address,
                            uint32_t backlog, struct vck_listener *ret_listener) VCK_CAN_WAIT
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

vck_status vck_listener_open(struct vck_network *network, const struct vck_address *address,
                             uint32_t backlog, struct vck_listener *ret_listener)
{
    uint32_t choices = address->port == 0 ? CHOICES_MAX : 1;
    vck_status status;

    do
        status = open_once(network, address, backlog, ret_listener);
    while (status == VCK_ADDRESS_IN_USE && --choices > 0);
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
