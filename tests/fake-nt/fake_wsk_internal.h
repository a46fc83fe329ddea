/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_wsk_internal: the POSIX port's sockets, under other names, are what the fake is made of.
 */
#ifndef VCK_FAKE_WSK_INTERNAL_H
#define VCK_FAKE_WSK_INTERNAL_H

#include "fake_wsk_host.h"
#include "port/nt/wsk.h"
#include "port/sockets.h"
#include "vck/bytes.h"

#define REQUEST_PIECES 64

struct fake_client {
    struct vck_sockets *host;
    struct vck_thread *driver;    /* waits in the host's epoll */
    struct vck_thread *completer; /* completes IRPs later */
    struct vck_event completer_event;
    struct vck_spinlock lock;
    struct request *first_done;
    struct request **last_done;
    uint32_t live; /* sockets and IRPs */
    bool stops;
};

struct fake_socket {
    WSK_SOCKET wsk; /* first */
    struct fake_client *client;
    struct vck_port_socket host;
    uint32_t kind; /* WSK_FLAG_..._SOCKET */
    USHORT family;
    uint32_t calls; /* that have not returned */
    bool is_bound;
    bool is_connected;
    bool is_disconnected; /* by us */
    bool is_at_end;       /* by the peer */
    bool is_closing;
};

struct request {
    struct request *next;
    struct fake_client *client;
    struct fake_socket *socket; /* NULL: a name's */
    PIRP irp;
    struct vck_socket_io io;
    struct vck_socket_buffer buffers[REQUEST_PIECES];
    /* Results; the host's status says whether. DISPATCH. */
    void (*succeed)(struct request *request);
    PVOID out;
    SIZE_T out_bytes;
    PSOCKADDR_WSK address;
    PSOCKADDR_WSK local;
    ULONG_PTR information;
    NTSTATUS status;
    uint32_t refs; /* the operation, the cancel routine, the call */
};

/* A call: NULL when it is to fail at once, with its status. */
struct request *fake_wsk_begin(struct fake_client *client, struct fake_socket *s, PIRP irp,
                               enum fake_wsk_call call, NTSTATUS *ret_status);
/* Hands the request to the host; what the call returns. */
NTSTATUS fake_wsk_submit(struct request *request);
/* The same for one that is over already. */
NTSTATUS fake_wsk_finish(struct request *request, NTSTATUS status);
/* The host has done it. */
void fake_wsk_done(struct request *request, NTSTATUS status);
NTSTATUS fake_wsk_status(const struct request *request, vck_status status);

void fake_wsk_to_system(const struct vck_address *address, PSOCKADDR_WSK ret_system);
void fake_wsk_from_system(const struct wsk_sockaddr *system, struct vck_address *ret_address);

/* Dispatch tables. */
struct fake_socket *fake_wsk_socket_create(struct fake_client *client, uint32_t kind,
                                           USHORT family);
NTSTATUS fake_wsk_socket(PWSK_CLIENT client, USHORT family, USHORT type, ULONG protocol,
                         ULONG flags, PVOID context, const VOID *dispatch, PEPROCESS process,
                         PETHREAD thread, PVOID security, PIRP irp);
NTSTATUS fake_wsk_get_address_info(PWSK_CLIENT client, PUNICODE_STRING host,
                                   PUNICODE_STRING service, ULONG name_space, GUID *provider,
                                   struct wsk_addrinfo *hints, struct wsk_addrinfo **ret_answers,
                                   PEPROCESS process, PETHREAD thread, PIRP irp);
void fake_wsk_free_address_info(PWSK_CLIENT client, struct wsk_addrinfo *answers);

#endif
