/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Winsock Kernel's results and addresses are called here.
 */
#include "port/nt/net_internal.h"

/* Where an NTSTATUS means something else than it does for a disk. Source: ntstatus.h. */
static const struct {
    uint32_t nt;
    vck_status status;
} net_statuses[] = {
    {0x80000005, VCK_SIZE_MISMATCH},     /* BUFFER_OVERFLOW */
    {0xC0000002, VCK_UNSUPPORTED},       /* NOT_IMPLEMENTED */
    {0xC000000D, VCK_INVALID_DATA},      /* INVALID_PARAMETER */
    {0xC0000010, VCK_UNSUPPORTED},       /* INVALID_DEVICE_REQUEST */
    {0xC0000017, VCK_NO_MEMORY},         /* NO_MEMORY */
    {0xC0000022, VCK_PERMISSION_DENIED}, /* ACCESS_DENIED */
    {0xC0000023, VCK_SIZE_MISMATCH},     /* BUFFER_TOO_SMALL */
    {0xC0000043, VCK_ADDRESS_IN_USE},    /* SHARING_VIOLATION: held exclusively */
    {0xC000009A, VCK_NO_MEMORY},         /* INSUFFICIENT_RESOURCES */
    {0xC00000A3, VCK_UNREACHABLE},       /* DEVICE_NOT_READY */
    {0xC00000B0, VCK_RESET},             /* PIPE_DISCONNECTED */
    {0xC00000B5, VCK_TIMEOUT},           /* IO_TIMEOUT */
    {0xC00000B6, VCK_RESET},             /* FILE_FORCED_CLOSED */
    {0xC00000BB, VCK_UNSUPPORTED},       /* NOT_SUPPORTED */
    {0xC00000BF, VCK_BUSY},              /* NETWORK_BUSY */
    {0xC000011F, VCK_NO_MEMORY},         /* TOO_MANY_OPENED_FILES */
    {0xC0000120, VCK_CANCELLED},         /* CANCELLED */
    {0xC000013B, VCK_RESET},             /* LOCAL_DISCONNECT */
    {0xC000013C, VCK_RESET},             /* REMOTE_DISCONNECT */
    {0xC0000141, VCK_NOT_FOUND},         /* INVALID_ADDRESS */
    {0xC000014B, VCK_RESET},             /* PIPE_BROKEN */
    {0xC0000184, VCK_NOT_READY},         /* INVALID_DEVICE_STATE */
    {0xC0000206, VCK_SIZE_MISMATCH},     /* INVALID_BUFFER_SIZE */
    {0xC0000207, VCK_NOT_FOUND},         /* INVALID_ADDRESS_COMPONENT */
    {0xC0000209, VCK_ADDRESS_IN_USE},    /* TOO_MANY_ADDRESSES */
    {0xC000020A, VCK_ADDRESS_IN_USE},    /* ADDRESS_ALREADY_EXISTS */
    {0xC000020B, VCK_RESET},             /* ADDRESS_CLOSED */
    {0xC000020C, VCK_RESET},             /* CONNECTION_DISCONNECTED */
    {0xC000020D, VCK_RESET},             /* CONNECTION_RESET */
    {0xC0000225, VCK_NOT_FOUND},         /* NOT_FOUND */
    {0xC0000236, VCK_REFUSED},           /* CONNECTION_REFUSED */
    {0xC0000238, VCK_ADDRESS_IN_USE},    /* ADDRESS_ALREADY_ASSOCIATED */
    {0xC0000239, VCK_NOT_FOUND},         /* ADDRESS_NOT_ASSOCIATED */
    {0xC000023A, VCK_NOT_READY},         /* CONNECTION_INVALID */
    {0xC000023B, VCK_ALREADY_EXISTS},    /* CONNECTION_ACTIVE */
    {0xC000023C, VCK_UNREACHABLE},       /* NETWORK_UNREACHABLE */
    {0xC000023D, VCK_UNREACHABLE},       /* HOST_UNREACHABLE */
    {0xC000023E, VCK_UNREACHABLE},       /* PROTOCOL_UNREACHABLE */
    {0xC000023F, VCK_REFUSED},           /* PORT_UNREACHABLE */
    {0xC0000240, VCK_CANCELLED},         /* REQUEST_ABORTED */
    {0xC0000241, VCK_RESET},             /* CONNECTION_ABORTED */
    {0xC0000272, VCK_NOT_FOUND},         /* NO_MATCH */
    {0xC00002F1, VCK_RESET},             /* NETWORK_SESSION_EXPIRED */
};

vck_status vck_nt_net_status(NTSTATUS status)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(net_statuses); i++)
        if (net_statuses[i].nt == (uint32_t)status)
            return net_statuses[i].status;
    return NT_SUCCESS(status) ? VCK_OK : VCK_IO;
}

void vck_nt_net_fail(struct vck_socket_io *io, NTSTATUS status)
{
    io->status = vck_nt_net_status(status);
    io->native_error = status;
}

void vck_nt_address_to_system(const struct vck_address *address, struct wsk_sockaddr *ret_system)
{
    *ret_system = (struct wsk_sockaddr){.port = __builtin_bswap16(address->port)};
    if (address->family == VCK_ADDRESS_IPV6) {
        ret_system->family = WSK_AF_INET6;
        ret_system->u.v6.scope_id = address->scope_id;
        memcpy(ret_system->u.v6.address, address->bytes, 16);
    } else {
        ret_system->family = address->family == VCK_ADDRESS_IPV4 ? WSK_AF_INET : WSK_AF_UNSPEC;
        memcpy(ret_system->u.v4.address, address->bytes, 4);
    }
}

void vck_nt_address_from_system(const struct wsk_sockaddr *system, struct vck_address *ret_address)
{
    struct vck_address address = {0};

    if (system->family == WSK_AF_INET6) {
        address.family = VCK_ADDRESS_IPV6;
        address.scope_id = system->u.v6.scope_id;
        memcpy(address.bytes, system->u.v6.address, 16);
    } else if (system->family == WSK_AF_INET) {
        address.family = VCK_ADDRESS_IPV4;
        memcpy(address.bytes, system->u.v4.address, 4);
    }
    if (address.family != VCK_ADDRESS_NONE)
        address.port = __builtin_bswap16(system->port);
    *ret_address = address;
}
