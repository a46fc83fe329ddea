/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_internal: what the files of the Linux frame port share.
 *
 * One thread per protocol waits for the kernel's news of interfaces, for frames and for room to
 * send, performs requests, and calls all handlers; `sent` also comes out of the calls that send and
 * cancel.
 *
 *     adapter  told --bind_done OK--> bound --gone--> unbinding --event_done--> forgotten
 *                 \--bind_done other--> refused --gone--> forgotten
 *
 * Locks: a protocol's covers its adapters' flags and what waits for the thread, a socket's its
 * sends. None is held when a handler is called, and none inside another.
 */
#ifndef VCK_PORT_POSIX_FRAME_INTERNAL_H
#define VCK_PORT_POSIX_FRAME_INTERNAL_H

#include <linux/if_packet.h>
#include <linux/if.h>
#include <stdbool.h>
#include <stdint.h>
#include "port/frames.h"
#include "port/posix/frame.h"
#include "vck/list.h"

#define FRAMES_TAG    VCK_TAG('P', 'f', 'r', 'm')
#define ADDRESS_BYTES 6u
#define HEADER_BYTES  14u
#define MULTICAST_MAX 32u

/* ---- links ---- */

/* What the kernel says of an interface. */
struct link_news {
    uint32_t index;
    bool is_gone;
    bool is_ethernet;
    bool is_up;      /* administratively */
    bool is_running; /* the carrier is there */
    bool has_address;
    uint32_t mtu_bytes;
    char name[IFNAMSIZ];
    uint8_t address[ADDRESS_BYTES];
    uint8_t permanent[ADDRESS_BYTES];
    uint64_t received, sent, receive_errors, send_errors, no_buffer;
};

/* A route socket; asks for all links, or for one. Return a descriptor, 0 or -1 with errno. */
int vck_frames_links_open(bool is_listening);
int vck_frames_links_ask(int fd, uint32_t index);
/* Reads what is there and calls take for each link; -1 with errno (ENOBUFS: news were lost).
 * *ret_is_complete: the answer to an ask for all ended. take must not close fd. */
int vck_frames_links_read(int fd, void (*take)(void *context, const struct link_news *news),
                          void *context, bool *ret_is_complete);
/* One link, by asking; -1 with errno. */
int vck_frames_link_query(int fd, uint32_t index, struct link_news *ret_news);

/* ---- adapters ---- */

enum adapter_state {
    ADAPTER_TOLD,
    ADAPTER_BOUND,
    ADAPTER_UNBINDING,
    ADAPTER_REFUSED,
    ADAPTER_FORGOTTEN,
};

struct adapter {
    struct vck_link link; /* in the protocol's list, its thread's alone */
    struct vck_frames_protocol *protocol;
    struct vck_frames_bind bind;
    struct vck_frames_event unbind_event;
    struct vck_frames_event flow_event; /* a pause or a restart */
    struct vck_frames_binding *binding; /* since vck_frames_open */
    struct frame_socket *socket;        /* its thread's, NULL when closed */
    char name[IFNAMSIZ];
    bool is_seen; /* while links are listed anew */
    bool is_up;
    bool is_running;
    /* Under the protocol's lock. */
    uint8_t state; /* enum adapter_state */
    bool is_gone;
    bool runs; /* what the last flow event that was done has made of it */
    bool is_flow_pending;
    bool is_flow_refused; /* a restart failed: not again while it is up */
};

struct vck_frames_protocol {
    struct vck_frames_handler *handler;
    struct vck_posix_frame_config config;
    int news_fd;
    int query_fd;
    int epoll_fd;
    int wake_fd;
    struct vck_thread *thread;
    struct vck_link adapters; /* the thread's */
    bool is_listed;           /* the kernel has told of all that were there */
    bool is_complete;         /* binds_complete has been called */

    struct vck_spinlock lock;
    bool stops;
    struct frame_socket *to_open; /* for the thread, newest first */
    struct frame_socket *to_close;
    struct vck_frames_request *requests; /* oldest first */
};

void vck_frames_wake(struct vck_frames_protocol *protocol);
/* Takes in what has changed: events that are due, adapters that are over. The thread's. */
void vck_frames_adapters_settle(struct vck_frames_protocol *protocol);
void vck_frames_adapters_news(struct vck_frames_protocol *protocol);
/* All adapters are to go. */
void vck_frames_adapters_end(struct vck_frames_protocol *protocol);

/* ---- packet sockets ---- */

struct frame_socket {
    struct vck_frames_protocol *protocol;
    struct vck_frames_binding *binding;
    struct adapter *adapter;
    struct frame_socket *next; /* in to_open or to_close */
    uint32_t index;
    int fd;

    /* Sends, under send_lock. */
    struct vck_spinlock send_lock;
    struct vck_frames_send *first_send;
    struct vck_frames_send **last_send;
    bool is_sending;     /* somebody is in the loop */
    bool waits_for_room; /* the thread is told when there is some */

    /* What requests set; the thread's. */
    uint32_t filter;
    uint8_t multicast[MULTICAST_MAX][ADDRESS_BYTES];
    uint32_t multicast_count;
    uint32_t lookahead;

    /* The ring: made at the first filter; the thread's. */
    uint8_t *ring;
    uint32_t block_count;
    uint32_t next_block;
    struct frame_entry *entries; /* a batch of frames on their way up */
};

/* Opened and closed by the thread. */
void vck_frames_socket_open(struct frame_socket *socket);
void vck_frames_socket_close(struct frame_socket *socket);
/* The thread: the socket is readable, or has room. */
void vck_frames_socket_event(struct frame_socket *socket, uint32_t events);

/* The ring and what is in it. */
VCK_CHECKED int vck_frames_ring_make(struct frame_socket *socket); /* 0, or an errno */
void vck_frames_ring_destroy(struct frame_socket *socket);
void vck_frames_ring_read(struct frame_socket *socket);

void vck_frames_send_more(struct frame_socket *socket);

/* Performs the requests that wait. */
void vck_frames_perform_requests(struct vck_frames_protocol *protocol);

/* Handlers of completions run as if at DISPATCH. */
vck_level vck_frames_raise(void);
void vck_frames_lower(vck_level level);

#endif
