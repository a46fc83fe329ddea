/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wsk: Winsock Kernel as its public documentation describes it, as far as this port uses it; the
 * toolchain's headers have none of it. Functions and structures bear the names of that
 * documentation. What the user-mode headers call AF_INET and the like has a prefix here, because a
 * host's own headers, which its fake includes as well, give these names other values.
 *
 * Every function of a dispatch table takes an IRP and completes it. What it returns says whether
 * that has happened: STATUS_PENDING means later, any other status means already. A kernel that
 * returns an error and never completes the IRP exists (docs/runtime.md), so nothing waits for an
 * IRP after an error.
 */
#ifndef VCK_PORT_NT_WSK_H
#define VCK_PORT_NT_WSK_H

#include "port/nt/ntapi.h"

#if defined(VCK_FAKE_NT)
#include <fake_wsk.h>
#endif

#define WSK_VERSION_1_0 ((USHORT)0x0100)

/* ---- addresses: ws2def.h, ws2ipdef.h ---- */

#define WSK_AF_UNSPEC    0
#define WSK_AF_INET      2
#define WSK_AF_INET6     23
#define WSK_SOCK_STREAM  1
#define WSK_SOCK_DGRAM   2
#define WSK_IPPROTO_TCP  6
#define WSK_IPPROTO_UDP  17
#define WSK_IPPROTO_IPV6 41

/* SOCKADDR_IN and SOCKADDR_IN6; port and address in network byte order. */
struct wsk_sockaddr {
    USHORT family;
    USHORT port;
    union {
        struct {
            UCHAR address[4];
            UCHAR zero[8];
        } v4;
        struct {
            ULONG flow;
            UCHAR address[16];
            ULONG scope_id;
        } v6;
    } u;
};
_Static_assert(sizeof(struct wsk_sockaddr) == 28, "the larger of the two");

typedef struct wsk_sockaddr SOCKADDR_WSK, *PSOCKADDR_WSK;

/* ADDRINFOEXW */
struct wsk_addrinfo {
    int ai_flags;
    int ai_family;
    int ai_socktype;
    int ai_protocol;
    SIZE_T ai_addrlen;
    PWSTR ai_canonname;
    struct wsk_sockaddr *ai_addr;
    PVOID ai_blob;
    SIZE_T ai_bloblen;
    GUID *ai_provider;
    struct wsk_addrinfo *ai_next;
};

/* ---- options and requests: ws2def.h, ws2ipdef.h, mstcpip.h, wsk.h ---- */

#define WSK_SOL_SOCKET    0xffff
#define WSK_SO_KEEPALIVE  0x0008
#define WSK_SO_BROADCAST  0x0020
#define WSK_SO_SNDBUF     0x1001
#define WSK_SO_RCVBUF     0x1002
#define WSK_TCP_NODELAY   1
#define WSK_TCP_KEEPIDLE  3
#define WSK_TCP_KEEPCNT   16
#define WSK_TCP_KEEPINTVL 17
#define WSK_IPV6_V6ONLY   27

/* _WSAIOW and _WSAIOR of IOC_WSK. */
#define SIO_WSK_SET_REMOTE_ADDRESS    0x8f000001u
#define SIO_WSK_QUERY_RECEIVE_BACKLOG 0x4f000004u

/* ---- sockets ---- */

#define WSK_FLAG_LISTEN_SOCKET     0x00000001u
#define WSK_FLAG_CONNECTION_SOCKET 0x00000002u
#define WSK_FLAG_DATAGRAM_SOCKET   0x00000004u

typedef struct wsk_client *PWSK_CLIENT;

typedef struct {
    const VOID *Dispatch;
} WSK_SOCKET, *PWSK_SOCKET;

typedef struct {
    PMDL Mdl;
    ULONG Offset;
    SIZE_T Length;
} WSK_BUF, *PWSK_BUF;

typedef enum {
    WskSetOption,
    WskGetOption,
    WskIoctl,
} WSK_CONTROL_SOCKET_TYPE;

typedef struct {
    NTSTATUS(NTAPI *WskControlSocket)
    (PWSK_SOCKET socket, WSK_CONTROL_SOCKET_TYPE type, ULONG code, ULONG level, SIZE_T in_bytes,
     PVOID in, SIZE_T out_bytes, PVOID out, SIZE_T *ret_out_bytes, PIRP irp);
    NTSTATUS(NTAPI *WskCloseSocket)(PWSK_SOCKET socket, PIRP irp);
} WSK_PROVIDER_BASIC_DISPATCH;

typedef NTSTATUS(NTAPI *PFN_WSK_BIND)(PWSK_SOCKET socket, PSOCKADDR_WSK local, ULONG flags,
                                      PIRP irp);
typedef NTSTATUS(NTAPI *PFN_WSK_GET_ADDRESS)(PWSK_SOCKET socket, PSOCKADDR_WSK address, PIRP irp);

typedef struct {
    WSK_PROVIDER_BASIC_DISPATCH Basic;
    PFN_WSK_BIND WskBind;
    NTSTATUS(NTAPI *WskAccept)
    (PWSK_SOCKET listener, ULONG flags, PVOID context, const VOID *dispatch, PSOCKADDR_WSK local,
     PSOCKADDR_WSK remote, PIRP irp);
    PVOID WskInspectComplete;
    PFN_WSK_GET_ADDRESS WskGetLocalAddress;
} WSK_PROVIDER_LISTEN_DISPATCH;

typedef struct {
    WSK_PROVIDER_BASIC_DISPATCH Basic;
    PFN_WSK_BIND WskBind;
    NTSTATUS(NTAPI *WskConnect)
    (PWSK_SOCKET socket, PSOCKADDR_WSK remote, ULONG flags, PIRP irp);
    PFN_WSK_GET_ADDRESS WskGetLocalAddress;
    PFN_WSK_GET_ADDRESS WskGetRemoteAddress;
    NTSTATUS(NTAPI *WskSend)(PWSK_SOCKET socket, PWSK_BUF buffer, ULONG flags, PIRP irp);
    NTSTATUS(NTAPI *WskReceive)(PWSK_SOCKET socket, PWSK_BUF buffer, ULONG flags, PIRP irp);
    NTSTATUS(NTAPI *WskDisconnect)
    (PWSK_SOCKET socket, PWSK_BUF buffer, ULONG flags, PIRP irp);
} WSK_PROVIDER_CONNECTION_DISPATCH; /* what follows is not used */

typedef struct {
    WSK_PROVIDER_BASIC_DISPATCH Basic;
    PFN_WSK_BIND WskBind;
    NTSTATUS(NTAPI *WskSendTo)
    (PWSK_SOCKET socket, PWSK_BUF buffer, ULONG flags, PSOCKADDR_WSK remote, ULONG control_bytes,
     PVOID control, PIRP irp);
    NTSTATUS(NTAPI *WskReceiveFrom)
    (PWSK_SOCKET socket, PWSK_BUF buffer, ULONG flags, PSOCKADDR_WSK remote, PULONG control_bytes,
     PVOID control, PULONG control_flags, PIRP irp);
    PVOID WskRelease;
    PFN_WSK_GET_ADDRESS WskGetLocalAddress;
} WSK_PROVIDER_DATAGRAM_DISPATCH; /* what follows is not used */

/* ---- the provider ---- */

typedef struct {
    USHORT Version;
    USHORT Reserved;
    NTSTATUS(NTAPI *WskSocket)
    (PWSK_CLIENT client, USHORT family, USHORT type, ULONG protocol, ULONG flags, PVOID context,
     const VOID *dispatch, PEPROCESS process, PETHREAD thread, PVOID security, PIRP irp);
    PVOID WskSocketConnect;
    PVOID WskControlClient;
    NTSTATUS(NTAPI *WskGetAddressInfo)
    (PWSK_CLIENT client, PUNICODE_STRING host, PUNICODE_STRING service, ULONG name_space,
     GUID *provider, struct wsk_addrinfo *hints, struct wsk_addrinfo **ret_answers,
     PEPROCESS process, PETHREAD thread, PIRP irp);
    VOID(NTAPI *WskFreeAddressInfo)(PWSK_CLIENT client, struct wsk_addrinfo *answers);
    PVOID WskGetNameInfo;
} WSK_PROVIDER_DISPATCH;

typedef struct {
    PWSK_CLIENT Client;
    const WSK_PROVIDER_DISPATCH *Dispatch;
} WSK_PROVIDER_NPI;

typedef struct {
    USHORT Version;
    USHORT Reserved;
    NTSTATUS(NTAPI *WskClientEvent)(PVOID context, ULONG event, PVOID what, SIZE_T what_bytes);
} WSK_CLIENT_DISPATCH;

typedef struct {
    PVOID ClientContext;
    const WSK_CLIENT_DISPATCH *Dispatch;
} WSK_CLIENT_NPI;

typedef struct {
    ULONGLONG ReservedRegistrationState;
    PVOID ReservedRegistrationContext;
    ULONG_PTR ReservedRegistrationLock;
} WSK_REGISTRATION;

/* PASSIVE, all four. The wait is in milliseconds; STATUS_NOINTERFACE: not in this version. */
NTSTATUS NTAPI WskRegister(WSK_CLIENT_NPI *client, WSK_REGISTRATION *registration);
NTSTATUS NTAPI WskCaptureProviderNPI(WSK_REGISTRATION *registration, ULONG wait_ms,
                                     WSK_PROVIDER_NPI *ret_provider);
VOID NTAPI WskReleaseProviderNPI(WSK_REGISTRATION *registration);
VOID NTAPI WskDeregister(WSK_REGISTRATION *registration);

#endif
