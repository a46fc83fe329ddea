/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_test: what the tests of the room share: a started network, pairs of connected sockets,
 * checks.
 */
#ifndef VCK_NET_TEST_H
#define VCK_NET_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "vck/listener.h"
#include "vck/resolver.h"
#include "vck/sleep.h"

#define TEST_TAG VCK_TAG('t', 'e', 's', 't')

#define MS 1000000ull

/* The same tests run over other ports, which say here what is different about them. */
#ifndef NET_TEST_PORT
/* Numbers of the system beside a status. */
#define assert_native_error(actual, expected) assert_int_equal((actual), (expected))
/* Called before a listener is opened that is to hold so many connections. */
#define net_test_set_backlog(count) ((void)(count))
#endif
#ifndef NET_TEST_SYSTEM
/* Systems that lack something say what, and which port to listen at when they do not tell. */
#define net_test_has_ipv6      true
#define net_test_has_datagrams true
#define net_test_can_be_full   true
#define net_test_port()        0
#endif

/* IPv6 where there is any. */
#define NET_TEST_FAMILY_COUNT (net_test_has_ipv6 ? 2u : 1u)
#define NET_TEST_IPV6         (net_test_has_ipv6 ? VCK_ADDRESS_IPV6 : VCK_ADDRESS_IPV4)

#define assert_ok(call)               assert_int_equal((call), VCK_OK)
#define assert_status(call, expected) assert_int_equal((call), (expected))

static inline struct vck_network *started_network(void) VCK_CAN_WAIT
{
    struct vck_network *network = NULL;
    assert_ok(vck_network_create(NULL, &network));
    assert_ok(vck_network_start(network));
    return network;
}

/* Stops, and checks that nothing of the test is left. */
static inline void end_network(struct vck_network *network, size_t live_before) VCK_CAN_WAIT
{
    vck_network_stop(network);
    assert_int_equal(vck_network_socket_count(network), 0);
    vck_network_destroy(network);
    assert_int_equal(vck_alloc_live_count(), live_before);
}

static inline struct vck_socket *tcp(struct vck_network *network,
                                     enum vck_address_family family) VCK_CAN_WAIT
{
    struct vck_socket *socket = NULL;
    assert_ok(vck_socket_create(network, VCK_SOCKET_STREAM, family, &socket));
    return socket;
}

/* A UDP socket bound to a port of its own on the local host. */
static inline struct vck_socket *udp(struct vck_network *network, enum vck_address_family family,
                                     struct vck_address *ret_address) VCK_CAN_WAIT
{
    struct vck_socket *socket = NULL;
    struct vck_address local = vck_address_loopback(family, 0);
    assert_ok(vck_socket_create(network, VCK_SOCKET_DATAGRAM, family, &socket));
    assert_ok(vck_socket_bind(socket, &local));
    assert_ok(vck_socket_local_address(socket, ret_address));
    return socket;
}

static inline struct vck_listener listening(struct vck_network *network,
                                            enum vck_address_family family) VCK_CAN_WAIT
{
    struct vck_listener listener = {.socket = NULL};
    struct vck_address local = vck_address_loopback(family, net_test_port());
    assert_ok(vck_listener_open(network, &local, 128, &listener));
    return listener;
}

/* Begins a call that is to stay pending. */
static inline void begin_pending(struct vck_socket_call *call)
{
    assert_int_equal(vck_future_poll(&call->call.future, &vck_waker_noop), VCK_PENDING);
}

static inline vck_status finish_call(struct vck_socket_call *call) VCK_CAN_WAIT
{
    vck_block_on(&call->call.future);
    return call->io.status;
}

/* A system is known that closes the connection accepted last together with its listener, unless
 * the listener waits for another. */
static inline void close_waiting(struct vck_listener *listener) VCK_CAN_WAIT
{
    struct vck_socket_call next;
    vck_listener_next_init(&next, listener);
    begin_pending(&next);
    vck_listener_close(listener);
    assert_status(finish_call(&next), VCK_CANCELLED);
}

/* Two ends of one connection. */
static inline void connected_pair(struct vck_network *network, enum vck_address_family family,
                                  struct vck_socket **ret_client,
                                  struct vck_socket **ret_server) VCK_CAN_WAIT
{
    struct vck_listener listener = listening(network, family);
    *ret_client = tcp(network, family);
    assert_ok(vck_socket_connect(*ret_client, &listener.address));
    assert_ok(vck_listener_next(&listener, ret_server, NULL));
    close_waiting(&listener);
}

static inline void pause_ns(uint64_t duration_ns) VCK_CAN_WAIT
{
    struct vck_sleep nap;
    vck_sleep_init(&nap, duration_ns);
    vck_block_on(&nap.future);
}

#endif
