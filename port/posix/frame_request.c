/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests, performed by the protocol's thread one after the other, from what the kernel says of
 * the interface, in NDIS's numbers.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "port/posix/frame_internal.h"
#include "port/posix/posix.h"

/* ---- the kernel's side ---- */

/* In 100 bit/s; 0: the driver does not know. */
static uint32_t link_speed(struct frame_socket *s, const char *name)
{
    struct ethtool_cmd command = {.cmd = ETHTOOL_GSET};
    struct ifreq ask = {.ifr_data = (void *)&command};
    uint32_t mbit;

    memcpy(ask.ifr_name, name, sizeof(ask.ifr_name));
    if (ioctl(s->fd, SIOCETHTOOL, &ask))
        return 0;
    mbit = ethtool_cmd_speed(&command);
    return mbit == (uint32_t)SPEED_UNKNOWN || mbit > UINT32_MAX / 10000 ? 0 : mbit * 10000;
}

static int membership(struct frame_socket *s, bool is_member, uint16_t type, const uint8_t *address)
{
    struct packet_mreq member = {.mr_ifindex = (int)s->index, .mr_type = type};

    if (address) {
        member.mr_alen = ADDRESS_BYTES;
        memcpy(member.mr_address, address, ADDRESS_BYTES);
    }
    return setsockopt(s->fd, SOL_PACKET, is_member ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP,
                      &member, sizeof(member))
               ? errno
               : 0;
}

static int change(struct frame_socket *s, uint32_t before, uint32_t after, uint32_t bit,
                  uint16_t type)
{
    return ((before ^ after) & bit) == 0 ? 0 : membership(s, (after & bit) != 0, type, NULL);
}

/* Frames come once the socket is bound to every EtherType; bound to none they stop. */
static int listen_to(struct frame_socket *s, bool listens)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = listens ? htons(ETH_P_ALL) : 0,
        .sll_ifindex = (int)s->index,
    };

    return bind(s->fd, (struct sockaddr *)&address, sizeof(address)) ? errno : 0;
}

static int set_filter(struct frame_socket *s, uint32_t filter)
{
    uint32_t before = s->filter;
    int error = 0;

    if (filter != 0 && !s->ring)
        error = vck_frames_ring_make(s);
    if (error == 0)
        error = change(s, before, filter, VCK_FRAME_FILTER_PROMISCUOUS, PACKET_MR_PROMISC);
    if (error == 0)
        error = change(s, before, filter, VCK_FRAME_FILTER_ALL_MULTICAST, PACKET_MR_ALLMULTI);
    if (error)
        return error;
    s->filter = filter;
    return (before == 0) == (filter == 0) ? 0 : listen_to(s, filter != 0);
}

static int set_multicast(struct frame_socket *s, const uint8_t *data, uint32_t count)
{
    int error = 0;

    for (uint32_t i = 0; i < count && error == 0; i++)
        error = membership(s, true, PACKET_MR_MULTICAST, data + (size_t)ADDRESS_BYTES * i);
    for (uint32_t i = 0; i < s->multicast_count && error == 0; i++)
        (void)membership(s, false, PACKET_MR_MULTICAST, s->multicast[i]);
    if (error)
        return error;
    if (count > 0)
        memcpy(s->multicast, data, (size_t)ADDRESS_BYTES * count);
    s->multicast_count = count;
    return 0;
}

/* ---- answers ---- */

static vck_status answer(struct vck_frames_request *request, const void *data, uint32_t size_bytes)
{
    if (request->size_bytes < size_bytes) {
        request->needed_bytes = size_bytes;
        return VCK_SIZE_MISMATCH;
    }
    if (size_bytes > 0)
        memcpy(request->data, data, size_bytes);
    request->done_bytes = size_bytes;
    return VCK_OK;
}

static vck_status answer_u32(struct vck_frames_request *request, uint32_t value)
{
    uint8_t data[4];

    vck_store_le32(data, value);
    return answer(request, data, sizeof(data));
}

/* A counter has as many bytes as the asker has room for: eight, or the lower four. */
static vck_status answer_counter(struct vck_frames_request *request, uint64_t value)
{
    uint8_t data[8];

    vck_store_le64(data, value);
    return answer(request, data, request->size_bytes >= 8 ? 8 : 4);
}

static vck_status failed(struct vck_frames_request *request, int error)
{
    request->native_error = error;
    return vck_posix_status_from_errno(error);
}

static vck_status answer_from_link(struct frame_socket *s, struct vck_frames_request *request)
{
    struct link_news news;

    if (vck_frames_link_query(s->protocol->query_fd, s->index, &news))
        return failed(request, errno);
    switch (request->oid) {
    case VCK_OID_GEN_MAXIMUM_FRAME_SIZE:
        return answer_u32(request, news.mtu_bytes);
    case VCK_OID_GEN_MAXIMUM_TOTAL_SIZE:
        return answer_u32(request, news.mtu_bytes + HEADER_BYTES);
    case VCK_OID_802_3_CURRENT_ADDRESS:
        return answer(request, news.address, ADDRESS_BYTES);
    case VCK_OID_802_3_PERMANENT_ADDRESS:
        return answer(request, news.permanent, ADDRESS_BYTES);
    case VCK_OID_GEN_MEDIA_CONNECT_STATUS:
        return answer_u32(request, news.is_running ? 0 : 1);
    case VCK_OID_GEN_LINK_SPEED:
        return answer_u32(request, link_speed(s, news.name));
    case VCK_OID_GEN_XMIT_OK:
        return answer_counter(request, news.sent);
    case VCK_OID_GEN_RCV_OK:
        return answer_counter(request, news.received);
    case VCK_OID_GEN_XMIT_ERROR:
        return answer_counter(request, news.send_errors);
    case VCK_OID_GEN_RCV_ERROR:
        return answer_counter(request, news.receive_errors);
    case VCK_OID_GEN_RCV_NO_BUFFER:
        return answer_counter(request, news.no_buffer);
    default:
        return VCK_UNSUPPORTED;
    }
}

static vck_status perform_query(struct frame_socket *s, struct vck_frames_request *request)
{
    static const char description[] = "Linux packet socket";

    switch (request->oid) {
    case VCK_OID_GEN_MEDIA_SUPPORTED:
    case VCK_OID_GEN_MEDIA_IN_USE:
        return answer_u32(request, VCK_FRAME_MEDIUM_ETHERNET);
    case VCK_OID_GEN_VENDOR_DESCRIPTION:
        return answer(request, description, sizeof(description));
    case VCK_OID_GEN_CURRENT_PACKET_FILTER:
        return answer_u32(request, s->filter);
    case VCK_OID_GEN_CURRENT_LOOKAHEAD:
        return answer_u32(request, s->lookahead);
    case VCK_OID_802_3_MAXIMUM_LIST_SIZE:
        return answer_u32(request, MULTICAST_MAX);
    case VCK_OID_802_3_MULTICAST_LIST:
        return answer(request, s->multicast, s->multicast_count * ADDRESS_BYTES);
    default:
        return answer_from_link(s, request);
    }
}

static vck_status perform_set(struct frame_socket *s, struct vck_frames_request *request)
{
    int error;

    switch (request->oid) {
    case VCK_OID_GEN_CURRENT_PACKET_FILTER:
        if (request->size_bytes != 4)
            return VCK_SIZE_MISMATCH;
        error = set_filter(s, vck_load_le32(request->data));
        break;
    case VCK_OID_GEN_CURRENT_LOOKAHEAD:
        if (request->size_bytes != 4)
            return VCK_SIZE_MISMATCH;
        s->lookahead = vck_load_le32(request->data);
        error = 0;
        break;
    case VCK_OID_802_3_MULTICAST_LIST:
        if (request->size_bytes % ADDRESS_BYTES != 0)
            return VCK_INVALID_DATA;
        if (request->size_bytes / ADDRESS_BYTES > MULTICAST_MAX)
            return VCK_OUT_OF_RANGE;
        error = set_multicast(s, request->data, request->size_bytes / ADDRESS_BYTES);
        break;
    default:
        return VCK_UNSUPPORTED;
    }
    if (error)
        return failed(request, error);
    request->done_bytes = request->size_bytes;
    return VCK_OK;
}

/* ---- the queue ---- */

/* In a request's port_storage. */
struct waiting {
    struct frame_socket *socket;
    struct vck_frames_request *next;
};

static struct waiting *waiting_of(struct vck_frames_request *request)
{
    return (void *)request->port_storage;
}

static void finish(struct frame_socket *s, struct vck_frames_request *request)
{
    struct vck_frames_binding *binding = s->binding;
    vck_level level = vck_frames_raise();

    binding->handlers->requested(binding, request);
    vck_frames_lower(level);
}

void vck_frames_request(struct vck_frames_binding *binding, struct vck_frames_request *request)
{
    struct frame_socket *s = binding->port_data;
    struct vck_frames_protocol *protocol = s->protocol;
    struct vck_frames_request **end;

    *waiting_of(request) = (struct waiting){.socket = s};
    vck_spinlock_acquire(&protocol->lock);
    for (end = &protocol->requests; *end;)
        end = &waiting_of(*end)->next;
    *end = request;
    vck_spinlock_release(&protocol->lock);
    vck_frames_wake(protocol);
}

void vck_frames_cancel_request(struct vck_frames_binding *binding,
                               struct vck_frames_request *request)
{
    struct frame_socket *s = binding->port_data;
    struct vck_frames_request **link;
    bool is_there;

    vck_spinlock_acquire(&s->protocol->lock);
    for (link = &s->protocol->requests; *link && *link != request;)
        link = &waiting_of(*link)->next;
    is_there = *link != NULL;
    if (is_there)
        *link = waiting_of(request)->next;
    vck_spinlock_release(&s->protocol->lock);
    if (!is_there)
        return;
    request->status = VCK_CANCELLED;
    finish(s, request);
}

static struct vck_frames_request *take_first(struct vck_frames_protocol *protocol)
{
    struct vck_frames_request *first;

    vck_spinlock_acquire(&protocol->lock);
    first = protocol->requests;
    if (first)
        protocol->requests = waiting_of(first)->next;
    vck_spinlock_release(&protocol->lock);
    return first;
}

void vck_frames_perform_requests(struct vck_frames_protocol *protocol)
{
    struct vck_frames_request *request;

    while ((request = take_first(protocol)) != NULL) {
        struct frame_socket *s = waiting_of(request)->socket;
        request->status =
            request->type == VCK_FRAMES_QUERY ? perform_query(s, request) : perform_set(s, request);
        finish(s, request);
    }
}
