/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces as the kernel tells of them: route netlink messages, read and asked for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "port/posix/frame_internal.h"

/* Of one message: with an attribute per statistic it has 2 KiB. */
#define MESSAGE_BYTES 32768u
#define NEWS_BYTES    (1 << 20)

int vck_frames_links_open(bool is_listening)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                  .nl_groups = is_listening ? RTMGRP_LINK : 0};
    int type = SOCK_RAW | SOCK_CLOEXEC | (is_listening ? SOCK_NONBLOCK : 0);
    int fd = socket(AF_NETLINK, type, NETLINK_ROUTE);
    int size = NEWS_BYTES;
    int error;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

int vck_frames_links_ask(int fd, uint32_t index)
{
    struct {
        struct nlmsghdr head;
        struct ifinfomsg info;
    } ask = {
        .head = {.nlmsg_len = sizeof(ask),
                 .nlmsg_type = RTM_GETLINK,
                 .nlmsg_flags = (__u16)(NLM_F_REQUEST | (index == 0 ? NLM_F_DUMP : 0))},
        .info = {.ifi_family = AF_UNSPEC, .ifi_index = (int)index},
    };
    ssize_t sent;

    do
        sent = send(fd, &ask, sizeof(ask), 0);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

/* ---- one message ---- */

static void take_statistics(const struct rtattr *attribute, struct link_news *news)
{
    struct rtnl_link_stats64 s = {0};
    size_t size = RTA_PAYLOAD(attribute);

    memcpy(&s, RTA_DATA(attribute), VCK_MIN(size, sizeof(s)));
    news->received = s.rx_packets;
    news->sent = s.tx_packets;
    news->receive_errors = s.rx_errors;
    news->send_errors = s.tx_errors;
    news->no_buffer = s.rx_dropped;
}

static void take_address(const struct rtattr *attribute, uint8_t address[ADDRESS_BYTES])
{
    if (RTA_PAYLOAD(attribute) == ADDRESS_BYTES)
        memcpy(address, RTA_DATA(attribute), ADDRESS_BYTES);
}

static void take_attribute(const struct rtattr *attribute, struct link_news *news)
{
    const char *name;

    switch (attribute->rta_type) {
    case IFLA_IFNAME:
        name = RTA_DATA(attribute);
        memcpy(news->name, name, strnlen(name, VCK_MIN(RTA_PAYLOAD(attribute), IFNAMSIZ - 1u)));
        break;
    case IFLA_MTU:
        if (RTA_PAYLOAD(attribute) >= sizeof(uint32_t))
            memcpy(&news->mtu_bytes, RTA_DATA(attribute), sizeof(uint32_t));
        break;
    case IFLA_ADDRESS:
        take_address(attribute, news->address);
        news->has_address = RTA_PAYLOAD(attribute) == ADDRESS_BYTES;
        break;
    case IFLA_PERM_ADDRESS:
        take_address(attribute, news->permanent);
        break;
    case IFLA_STATS64:
        take_statistics(attribute, news);
        break;
    default:
        break;
    }
}

static bool parse(const struct nlmsghdr *head, struct link_news *ret_news)
{
    const struct ifinfomsg *info = NLMSG_DATA(head);
    const struct rtattr *attribute;
    size_t left;

    if (head->nlmsg_type != RTM_NEWLINK && head->nlmsg_type != RTM_DELLINK)
        return false;
    if (head->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
        return false;
    /* A bridge tells of its ports in messages of its own, of another family. */
    if (info->ifi_family != AF_UNSPEC)
        return false;
    *ret_news = (struct link_news){
        .index = (uint32_t)info->ifi_index,
        .is_gone = head->nlmsg_type == RTM_DELLINK,
        .is_ethernet = info->ifi_type == ARPHRD_ETHER,
        .is_up = (info->ifi_flags & IFF_UP) != 0,
        .is_running = (info->ifi_flags & IFF_RUNNING) != 0,
    };
    left = head->nlmsg_len - NLMSG_LENGTH(sizeof(*info));
    for (attribute = IFLA_RTA(info); RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
        take_attribute(attribute, ret_news);
    return true;
}

/* ---- reading ---- */

static ssize_t receive(int fd, void *buffer)
{
    ssize_t got;

    do
        got = recv(fd, buffer, MESSAGE_BYTES, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

int vck_frames_links_read(int fd, void (*take)(void *context, const struct link_news *news),
                          void *context, bool *ret_is_complete)
{
    static _Thread_local uint8_t buffer[MESSAGE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct link_news news;
    ssize_t got;

    while ((got = receive(fd, buffer)) >= 0) {
        size_t left = (size_t)got;
        for (struct nlmsghdr *head = (void *)buffer; NLMSG_OK(head, left);
             head = NLMSG_NEXT(head, left)) {
            if (head->nlmsg_type == NLMSG_DONE)
                *ret_is_complete = true;
            else if (parse(head, &news))
                take(context, &news);
        }
    }
    return errno == EAGAIN ? 0 : -1;
}

int vck_frames_link_query(int fd, uint32_t index, struct link_news *ret_news)
{
    uint8_t buffer[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
    const struct nlmsghdr *head = (void *)buffer;
    const struct nlmsgerr *error = NLMSG_DATA(head);
    ssize_t got;

    if (vck_frames_links_ask(fd, index))
        return -1;
    do
        got = recv(fd, buffer, sizeof(buffer), 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -1;
    errno = EIO;
    if (!NLMSG_OK(head, (size_t)got))
        return -1;
    if (head->nlmsg_type == NLMSG_ERROR)
        errno = -error->error;
    return parse(head, ret_news) ? 0 : -1;
}
