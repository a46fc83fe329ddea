/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sockets do: both protocols, both families, both forms of a call, ends and errors.
 */
#include "net_test.h"

static const enum vck_address_family families[] = {VCK_ADDRESS_IPV4, VCK_ADDRESS_IPV6};

/* ---- an echo server on a thread of its own, with blocking calls ---- */

struct echo {
    struct vck_listener listener;
    struct vck_thread *thread;
};

static void echo_one(struct vck_socket *peer) VCK_CAN_WAIT
{
    static uint8_t data[65536];
    size_t size_bytes;
    while (vck_socket_recv(peer, data, sizeof(data), &size_bytes) == VCK_OK && size_bytes > 0)
        if (vck_socket_send_all(peer, data, size_bytes))
            break;
    vck_socket_close(peer);
}

static void echo_serve(void *context) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct echo *echo = context;
    struct vck_socket *peer;
    while (vck_listener_next(&echo->listener, &peer, NULL) == VCK_OK)
        echo_one(peer);
}

static void echo_start(struct echo *echo, struct vck_network *network,
                       enum vck_address_family family) VCK_CAN_WAIT
{
    echo->listener = listening(network, family);
    assert_ok(vck_thread_create(echo_serve, echo, VCK_THREAD_NORMAL, "echo", &echo->thread));
}

/* Another thread waits in the listener, whose memory stays until that thread has ended. */
static void echo_stop(struct echo *echo) VCK_CAN_WAIT
{
    struct vck_object *object = vck_socket_object(echo->listener.socket);
    vck_object_reference(object, TEST_TAG);
    vck_listener_close(&(struct vck_listener){.socket = echo->listener.socket});
    vck_thread_join(echo->thread);
    vck_object_release(object, TEST_TAG);
}

static void fill(uint8_t *data, size_t size_bytes, uint32_t seed)
{
    for (size_t i = 0; i < size_bytes; i++)
        data[i] = (uint8_t)((i + seed) * 2654435761u >> 24);
}

/* ---- TCP ---- */

static void tcp_echoes_over_ipv4_and_ipv6(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    for (size_t f = 0; f < NET_TEST_FAMILY_COUNT; f++) {
        struct echo echo;
        echo_start(&echo, network, families[f]);
        for (uint32_t i = 0; i < 5; i++) {
            static uint8_t sent[100000];
            static uint8_t got[sizeof(sent)];
            struct vck_socket *client = tcp(network, families[f]);
            fill(sent, sizeof(sent), i);
            assert_ok(vck_socket_connect(client, &echo.listener.address));
            assert_ok(vck_socket_send_all(client, sent, sizeof(sent)));
            assert_ok(vck_socket_recv_exact(client, got, sizeof(got)));
            assert_memory_equal(sent, got, sizeof(sent));
            vck_socket_close(client);
        }
        echo_stop(&echo);
    }
    end_network(network, live);
}

static void addresses_of_both_ends_agree(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    for (size_t f = 0; f < NET_TEST_FAMILY_COUNT; f++) {
        struct vck_listener listener = listening(network, families[f]);
        struct vck_socket *client = tcp(network, families[f]);
        struct vck_socket *server;
        struct vck_address peer;
        struct vck_address local;
        assert_status(vck_socket_peer_address(client, &peer), VCK_NOT_READY);
        assert_ok(vck_socket_connect(client, &listener.address));
        assert_ok(vck_listener_next(&listener, &server, &peer));
        assert_ok(vck_socket_local_address(client, &local));
        assert_true(vck_address_is_equal(&peer, &local));
        assert_ok(vck_socket_peer_address(server, &peer));
        assert_true(vck_address_is_equal(&peer, &local));
        assert_ok(vck_socket_peer_address(client, &peer));
        assert_true(vck_address_is_equal(&peer, &listener.address));
        vck_socket_close(client);
        vck_socket_close(server);
        vck_listener_close(&listener);
    }
    end_network(network, live);
}

static void first_data_goes_with_connect(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_listener listener = listening(network, VCK_ADDRESS_IPV4);
    struct vck_socket *client = tcp(network, VCK_ADDRESS_IPV4);
    struct vck_socket *server;
    char got[5];
    assert_ok(vck_socket_connect_send(client, &listener.address, "hello", 5));
    assert_ok(vck_listener_next(&listener, &server, NULL));
    assert_ok(vck_socket_recv_exact(server, got, sizeof(got)));
    assert_memory_equal(got, "hello", 5);
    assert_ok(vck_socket_send_all(server, "world", 5));
    assert_ok(vck_socket_recv_exact(client, got, sizeof(got)));
    assert_memory_equal(got, "world", 5);
    vck_socket_close(client);
    vck_socket_close(server);
    vck_listener_close(&listener);
    end_network(network, live);
}

static void each_half_of_a_connection_ends_by_itself(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *client;
    struct vck_socket *server;
    char got[64];
    size_t size_bytes = 99;
    connected_pair(network, VCK_ADDRESS_IPV4, &client, &server);
    assert_ok(vck_socket_send_all(client, "question", 8));
    assert_ok(vck_socket_shutdown(client, VCK_SOCKET_END_SEND));
    assert_status(vck_socket_send(client, "more", 4, &size_bytes), VCK_RESET);
    assert_ok(vck_socket_recv_exact(server, got, 8));
    assert_ok(vck_socket_recv(server, got, sizeof(got), &size_bytes));
    assert_int_equal(size_bytes, 0);
    assert_ok(vck_socket_send_all(server, "answer", 6));
    vck_socket_close(server);
    assert_ok(vck_socket_recv_exact(client, got, 6));
    assert_memory_equal(got, "answer", 6);
    assert_ok(vck_socket_recv(client, got, sizeof(got), &size_bytes));
    assert_int_equal(size_bytes, 0);
    vck_socket_close(client);
    end_network(network, live);
}

static void zero_byte_reads_are_defined(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *client;
    struct vck_socket *server;
    char got[8];
    size_t size_bytes = 99;
    connected_pair(network, VCK_ADDRESS_IPV4, &client, &server);
    /* Into nothing: at once, though nothing has come. */
    assert_ok(vck_socket_recv(server, got, 0, &size_bytes));
    assert_int_equal(size_bytes, 0);
    assert_ok(vck_socket_send(client, NULL, 0, &size_bytes));
    assert_int_equal(size_bytes, 0);
    assert_ok(vck_socket_send_all(client, "abc", 3));
    vck_socket_close(client);
    /* At the end: what is there, then 0 as often as one asks; exact is short. */
    assert_status(vck_socket_recv_exact(server, got, 4), VCK_OUT_OF_RANGE);
    assert_memory_equal(got, "abc", 3);
    for (int i = 0; i < 3; i++) {
        size_bytes = 99;
        assert_ok(vck_socket_recv(server, got, sizeof(got), &size_bytes));
        assert_int_equal(size_bytes, 0);
    }
    vck_socket_close(server);
    end_network(network, live);
}

static void a_reset_is_told_from_an_end(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *client;
    struct vck_socket *server;
    struct vck_socket_call call;
    char got[8];
    size_t size_bytes;
    connected_pair(network, VCK_ADDRESS_IPV4, &client, &server);
    vck_socket_recv_init(&call, client, got, sizeof(got));
    begin_pending(&call);
    assert_ok(vck_socket_set_option(server, VCK_SOCKET_RESET_ON_CLOSE, 1));
    vck_socket_close(server);
    assert_status(finish_call(&call), VCK_RESET);
    assert_int_not_equal(call.io.native_error, 0);
    assert_int_equal(vck_socket_native_error(client), call.io.native_error);
    assert_status(vck_socket_send(client, "x", 1, &size_bytes), VCK_RESET);
    vck_socket_close(client);
    end_network(network, live);
}

static void nobody_listening_is_refused(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    for (size_t f = 0; f < NET_TEST_FAMILY_COUNT; f++) {
        /* Bound, so that nobody else gets the port, and not listening. */
        struct vck_address nobody = vck_address_loopback(families[f], net_test_port());
        struct vck_socket *holder = tcp(network, families[f]);
        struct vck_socket *client = tcp(network, families[f]);
        struct vck_socket *other = tcp(network, families[f]);
        assert_ok(vck_socket_bind(holder, &nobody));
        if (nobody.port == 0)
            assert_ok(vck_socket_local_address(holder, &nobody));
        assert_status(vck_socket_connect(client, &nobody), VCK_REFUSED);
        assert_int_not_equal(vck_socket_native_error(client), 0);
        assert_status(vck_socket_connect_send(other, &nobody, "x", 1), VCK_REFUSED);
        vck_socket_close(holder);
        vck_socket_close(client);
        vck_socket_close(other);
    }
    end_network(network, live);
}

static void a_port_in_use_is_told(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_listener listener = listening(network, VCK_ADDRESS_IPV4);
    struct vck_listener second;
    struct vck_address foreign = vck_address_ipv4(192, 0, 2, 1, 0);
    assert_status(vck_listener_open(network, &listener.address, 1, &second), VCK_ADDRESS_IN_USE);
    assert_status(vck_listener_open(network, &foreign, 1, &second), VCK_NOT_FOUND);
    vck_listener_close(&listener);
    end_network(network, live);
}

static void calls_in_the_wrong_state_fail(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *client;
    struct vck_socket *server;
    struct vck_socket *fresh = tcp(network, VCK_ADDRESS_IPV4);
    struct vck_socket *accepted;
    struct vck_address peer = vck_address_loopback(VCK_ADDRESS_IPV4, 9);
    char got[4];
    size_t size_bytes;
    assert_status(vck_socket_recv(fresh, got, 4, &size_bytes), VCK_NOT_READY);
    assert_status(vck_socket_accept(fresh, &accepted, NULL), VCK_INVALID_DATA);
    assert_status(vck_socket_shutdown(fresh, VCK_SOCKET_END_BOTH), VCK_NOT_READY);
    assert_status(vck_socket_shutdown(fresh, (enum vck_socket_end)7), VCK_INVALID_DATA);
    connected_pair(network, VCK_ADDRESS_IPV4, &client, &server);
    assert_status(vck_socket_connect(client, &peer), VCK_ALREADY_EXISTS);
    vck_socket_close(client);
    vck_socket_close(server);
    vck_socket_close(fresh);
    assert_status(vck_socket_create(network, VCK_SOCKET_STREAM, VCK_ADDRESS_NONE, &fresh),
                  VCK_UNSUPPORTED);
    vck_socket_close(NULL);
    end_network(network, live);
}

static void pieces_are_sent_and_received_as_one(void **state) VCK_CAN_WAIT
{
    (void)state;
    enum { PIECES = 40 };
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *client;
    struct vck_socket *server;
    struct vck_socket_buffer out[PIECES];
    struct vck_socket_buffer in[PIECES];
    uint8_t sent[PIECES * (PIECES - 1) / 2];
    uint8_t got[sizeof(sent)] = {0};
    struct vck_socket_call send;
    struct vck_socket_call recv;
    size_t at = 0;
    fill(sent, sizeof(sent), 3);
    for (size_t i = 0; i < PIECES; at += i, i++) {
        out[i] = (struct vck_socket_buffer){sent + at, i};
        in[PIECES - 1 - i] = (struct vck_socket_buffer){got + sizeof(got) - at - i, i};
    }
    connected_pair(network, NET_TEST_IPV6, &client, &server);
    vck_socket_send_all_init(&send, client, NULL, 0);
    vck_socket_call_set_buffers(&send, out, PIECES);
    vck_socket_recv_exact_init(&recv, server, NULL, 0);
    vck_socket_call_set_buffers(&recv, in, PIECES);
    assert_ok(finish_call(&send));
    assert_int_equal(send.io.done_bytes, sizeof(sent));
    assert_ok(finish_call(&recv));
    assert_memory_equal(sent, got, sizeof(sent));
    vck_socket_close(client);
    vck_socket_close(server);
    end_network(network, live);
}

/* Both directions are full of data that nobody reads until later. */
static void send_all_waits_for_a_slow_reader(void **state) VCK_CAN_WAIT
{
    (void)state;
    static uint8_t sent[8 << 20];
    static uint8_t got[sizeof(sent)];
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *client;
    struct vck_socket *server;
    struct vck_socket_call calls[2];
    fill(sent, sizeof(sent), 11);
    connected_pair(network, VCK_ADDRESS_IPV4, &client, &server);
    vck_socket_send_all_init(&calls[0], client, sent, sizeof(sent));
    vck_socket_send_all_init(&calls[1], server, sent, sizeof(sent));
    begin_pending(&calls[0]);
    begin_pending(&calls[1]);
    assert_ok(vck_socket_recv_exact(server, got, sizeof(got)));
    assert_memory_equal(sent, got, sizeof(sent));
    memset(got, 0, sizeof(got));
    assert_ok(vck_socket_recv_exact(client, got, sizeof(got)));
    assert_memory_equal(sent, got, sizeof(sent));
    assert_ok(finish_call(&calls[0]));
    assert_ok(finish_call(&calls[1]));
    vck_socket_close(client);
    vck_socket_close(server);
    end_network(network, live);
}

static void calls_of_one_direction_are_served_in_order(void **state) VCK_CAN_WAIT
{
    (void)state;
    enum { CALLS = 8 };
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *client;
    struct vck_socket *server;
    struct vck_socket_call calls[CALLS];
    char got[CALLS][2];
    connected_pair(network, VCK_ADDRESS_IPV4, &client, &server);
    for (int i = 0; i < CALLS; i++) {
        vck_socket_recv_exact_init(&calls[i], server, got[i], 2);
        begin_pending(&calls[i]);
    }
    assert_ok(vck_socket_send_all(client, "0a1b2c3d4e5f6g7h", 2 * CALLS));
    for (int i = CALLS - 1; i >= 0; i--) {
        assert_ok(finish_call(&calls[i]));
        assert_int_equal(got[i][0], '0' + i);
        assert_int_equal(got[i][1], 'a' + i);
    }
    vck_socket_close(client);
    vck_socket_close(server);
    end_network(network, live);
}

/* ---- UDP ---- */

static void udp_echoes_over_ipv4_and_ipv6(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    for (size_t f = 0; f < NET_TEST_FAMILY_COUNT; f++) {
        struct vck_address addresses[2];
        struct vck_socket *a = udp(network, families[f], &addresses[0]);
        struct vck_socket *b = udp(network, families[f], &addresses[1]);
        for (size_t size = 0; size < 2000; size += 499) {
            static uint8_t sent[2000];
            static uint8_t got[2000];
            struct vck_address from;
            size_t size_bytes = 99;
            fill(sent, size, (uint32_t)size);
            assert_ok(vck_socket_send_to(a, &addresses[1], sent, size));
            assert_ok(vck_socket_recv_from(b, got, sizeof(got), &size_bytes, &from));
            assert_int_equal(size_bytes, size);
            assert_memory_equal(sent, got, size);
            assert_true(vck_address_is_equal(&from, &addresses[0]));
            assert_ok(vck_socket_send_to(b, &from, got, size_bytes));
            assert_ok(vck_socket_recv_from(a, got, sizeof(got), &size_bytes, NULL));
            assert_int_equal(size_bytes, size);
        }
        vck_socket_close(a);
        vck_socket_close(b);
    }
    end_network(network, live);
}

static void a_datagram_that_does_not_fit_says_so(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    static uint8_t big[70000];
    struct vck_address to;
    struct vck_address from;
    struct vck_socket *a = udp(network, VCK_ADDRESS_IPV4, &from);
    struct vck_socket *b = udp(network, VCK_ADDRESS_IPV4, &to);
    char got[8];
    size_t size_bytes = 0;
    assert_status(vck_socket_send_to(a, &to, big, sizeof(big)), VCK_SIZE_MISMATCH);
    assert_ok(vck_socket_send_to(a, &to, "0123456789", 10));
    assert_ok(vck_socket_send_to(a, &to, "next", 4));
    assert_status(vck_socket_recv_from(b, got, sizeof(got), &size_bytes, NULL), VCK_SIZE_MISMATCH);
    assert_int_equal(size_bytes, 8);
    assert_memory_equal(got, "01234567", 8);
    assert_ok(vck_socket_recv_from(b, got, sizeof(got), &size_bytes, NULL));
    assert_int_equal(size_bytes, 4);
    vck_socket_close(a);
    vck_socket_close(b);
    end_network(network, live);
}

static void a_connected_datagram_socket_has_a_peer(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_address to;
    struct vck_address from;
    struct vck_socket *a = udp(network, VCK_ADDRESS_IPV4, &from);
    struct vck_socket *b = udp(network, VCK_ADDRESS_IPV4, &to);
    char got[8];
    size_t size_bytes = 0;
    assert_ok(vck_socket_connect(a, &to));
    assert_ok(vck_socket_send(a, "hi", 2, &size_bytes));
    assert_ok(vck_socket_recv(b, got, sizeof(got), &size_bytes));
    assert_int_equal(size_bytes, 2);
    vck_socket_close(b);
    /* The local host says at once that nobody is there any more. */
    assert_ok(vck_socket_send(a, "hi", 2, &size_bytes));
    assert_status(vck_socket_recv(a, got, sizeof(got), &size_bytes), VCK_REFUSED);
    vck_socket_close(a);
    end_network(network, live);
}

/* ---- options ---- */

static void options_are_set_and_read_back(void **state) VCK_CAN_WAIT
{
    (void)state;
    static const enum vck_socket_option switches[] = {
        VCK_SOCKET_NO_DELAY, VCK_SOCKET_KEEP_ALIVE, VCK_SOCKET_REUSE_ADDRESS,
        VCK_SOCKET_RESET_ON_CLOSE, VCK_SOCKET_V6_ONLY};
    static const enum vck_socket_option numbers[] = {
        VCK_SOCKET_KEEP_ALIVE_IDLE_S, VCK_SOCKET_KEEP_ALIVE_INTERVAL_S,
        VCK_SOCKET_KEEP_ALIVE_COUNT,  VCK_SOCKET_CONNECT_TIMEOUT_NS,
        VCK_SOCKET_SEND_TIMEOUT_NS,   VCK_SOCKET_RECV_TIMEOUT_NS};
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *socket = tcp(network, VCK_ADDRESS_IPV6);
    struct vck_address local;
    struct vck_socket *datagram = udp(network, VCK_ADDRESS_IPV4, &local);
    uint64_t value = 99;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(switches); i++)
        for (uint64_t on = 1; on <= 1; on--) {
            assert_ok(vck_socket_set_option(socket, switches[i], on));
            assert_ok(vck_socket_get_option(socket, switches[i], &value));
            assert_int_equal(value, on);
        }
    for (size_t i = 0; i < VCK_ARRAY_COUNT(numbers); i++) {
        assert_ok(vck_socket_set_option(socket, numbers[i], 7 + i));
        assert_ok(vck_socket_get_option(socket, numbers[i], &value));
        assert_int_equal(value, 7 + i);
    }
    assert_ok(vck_socket_set_option(socket, VCK_SOCKET_SEND_BUFFER_BYTES, 65536));
    assert_ok(vck_socket_get_option(socket, VCK_SOCKET_SEND_BUFFER_BYTES, &value));
    assert_true(value >= 65536);
    assert_ok(vck_socket_set_option(socket, VCK_SOCKET_RECV_BUFFER_BYTES, 65536));
    assert_ok(vck_socket_get_option(socket, VCK_SOCKET_RECV_BUFFER_BYTES, &value));
    assert_true(value >= 65536);
    assert_ok(vck_socket_set_option(datagram, VCK_SOCKET_BROADCAST, 1));
    assert_ok(vck_socket_get_option(datagram, VCK_SOCKET_BROADCAST, &value));
    assert_int_equal(value, 1);
    assert_status(vck_socket_set_option(datagram, VCK_SOCKET_NO_DELAY, 1), VCK_UNSUPPORTED);
    assert_status(vck_socket_set_option(socket, (enum vck_socket_option)99, 1), VCK_UNSUPPORTED);
    assert_status(vck_socket_get_option(socket, (enum vck_socket_option)99, &value),
                  VCK_UNSUPPORTED);
    assert_status(vck_socket_set_option(socket, VCK_SOCKET_KEEP_ALIVE_IDLE_S, 1ull << 32),
                  VCK_INVALID_DATA);
    vck_socket_close(socket);
    vck_socket_close(datagram);
    end_network(network, live);
}

static void ioctls_tell_what_waits(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *client;
    struct vck_socket *server;
    uint64_t value = 99;
    char got[1];
    connected_pair(network, VCK_ADDRESS_IPV4, &client, &server);
    assert_ok(vck_socket_ioctl(server, VCK_SOCKET_READABLE_BYTES, &value));
    assert_int_equal(value, 0);
    assert_ok(vck_socket_send_all(client, "12345", 5));
    assert_ok(vck_socket_recv_exact(server, got, 1));
    assert_ok(vck_socket_ioctl(server, VCK_SOCKET_READABLE_BYTES, &value));
    assert_int_equal(value, 4);
    assert_ok(vck_socket_ioctl(client, VCK_SOCKET_UNSENT_BYTES, &value));
    assert_true(value <= 5);
    assert_ok(vck_socket_ioctl(server, VCK_SOCKET_AT_MARK, &value));
    assert_int_equal(value, 0);
    assert_status(vck_socket_ioctl(server, (enum vck_socket_ioctl)99, &value), VCK_UNSUPPORTED);
    vck_socket_close(client);
    vck_socket_close(server);
    end_network(network, live);
}

/* ---- the network ---- */

static void before_start_and_after_stop_sockets_are_not_ready(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = NULL;
    struct vck_socket *socket = NULL;
    struct vck_address address;
    uint32_t count;
    assert_ok(vck_network_create(NULL, &network));
    for (int round = 0; round < 3; round++) {
        assert_status(vck_socket_create(network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV4, &socket),
                      VCK_NOT_READY);
        assert_status(vck_resolve_host(network, "127.0.0.1", 1, VCK_ADDRESS_NONE, VCK_FOREVER,
                                       &address, 1, &count),
                      VCK_NOT_READY);
        assert_null(socket);
        assert_ok(vck_network_start(network));
        assert_status(vck_network_start(network), VCK_BUSY);
        vck_socket_close(tcp(network, VCK_ADDRESS_IPV4));
        vck_network_stop(network);
        vck_network_stop(network);
    }
    end_network(network, live);
}

static void a_socket_that_outlives_its_network_is_deleted(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *socket = tcp(network, VCK_ADDRESS_IPV4);
    struct vck_address local = vck_address_loopback(VCK_ADDRESS_IPV4, 0);
    vck_network_stop(network);
    assert_status(vck_socket_bind(socket, &local), VCK_DELETED);
    vck_network_destroy(network);
    assert_status(vck_socket_bind(socket, &local), VCK_DELETED);
    vck_socket_close(socket);
    assert_int_equal(vck_alloc_live_count(), live);
}

static const struct vck_object_type parent_type = {.name = "parent", .context_bytes = 1};

static vck_status parent_init(struct vck_object *object, void *context, void *argument)
{
    (void)object;
    (void)context;
    (void)argument;
    return VCK_OK;
}

static void deleting_the_parent_stops_the_network(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_object *parent = NULL;
    struct vck_network *network = NULL;
    struct vck_socket_call call;
    assert_ok(vck_object_create(&parent_type, NULL, parent_init, NULL, &parent));
    assert_ok(vck_network_create(&(struct vck_network_options){.parent = parent}, &network));
    assert_ok(vck_network_start(network));
    struct vck_listener listener = listening(network, VCK_ADDRESS_IPV4);
    vck_listener_next_init(&call, &listener);
    begin_pending(&call);
    assert_ok(vck_object_delete(parent));
    assert_status(finish_call(&call), VCK_CANCELLED);
    vck_listener_close(&listener);
    vck_network_destroy(network);
    assert_int_equal(vck_alloc_live_count(), live);
}

/* The caller drives: nothing moves but inside poll and wait. */
static void drive_until_ready(struct vck_network *network,
                              struct vck_socket_call *call) VCK_CAN_WAIT
{
    struct vck_idle *idle = vck_network_get_idle(network);
    while (vck_future_poll(&call->call.future, &vck_waker_noop) == VCK_PENDING)
        idle->ops->wait(idle, VCK_FOREVER);
}

static void a_driven_network_needs_no_thread(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = NULL;
    struct vck_socket_call accept;
    struct vck_socket_call recv;
    char got[4];
    assert_ok(
        vck_network_create(&(struct vck_network_options){.flags = VCK_NETWORK_DRIVEN}, &network));
    if (!vck_network_get_idle(network)) {
        print_message("# not run: the port completes by itself\n");
        end_network(network, live);
        return;
    }
    assert_ok(vck_network_start(network));
    struct vck_listener listener = listening(network, VCK_ADDRESS_IPV4);
    struct vck_socket *client = tcp(network, VCK_ADDRESS_IPV4);
    vck_listener_next_init(&accept, &listener);
    begin_pending(&accept);
    assert_ok(vck_socket_connect_send(client, &listener.address, "ping", 4));
    begin_pending(&accept);
    drive_until_ready(network, &accept);
    assert_ok(accept.io.status);
    vck_socket_recv_exact_init(&recv, accept.accepted, got, 4);
    drive_until_ready(network, &recv);
    assert_ok(recv.io.status);
    assert_memory_equal(got, "ping", 4);
    /* A wake before the wait is kept; a deadline ends a wait; poll completes as well. */
    struct vck_idle *idle = vck_network_get_idle(network);
    idle->ops->wake(idle);
    idle->ops->wait(idle, VCK_FOREVER);
    idle->ops->wait(idle, vck_clock_ns() + MS);
    vck_socket_recv_exact_init(&recv, accept.accepted, got, 4);
    begin_pending(&recv);
    assert_ok(vck_socket_send_all(client, "pong", 4));
    while (vck_future_poll(&recv.call.future, &vck_waker_noop) == VCK_PENDING)
        idle->ops->poll(idle);
    assert_memory_equal(got, "pong", 4);
    vck_socket_close(client);
    vck_socket_close(accept.accepted);
    vck_listener_close(&listener);
    end_network(network, live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_echoes_over_ipv4_and_ipv6),
        cmocka_unit_test(addresses_of_both_ends_agree),
        cmocka_unit_test(first_data_goes_with_connect),
        cmocka_unit_test(each_half_of_a_connection_ends_by_itself),
        cmocka_unit_test(zero_byte_reads_are_defined),
        cmocka_unit_test(a_reset_is_told_from_an_end),
        cmocka_unit_test(nobody_listening_is_refused),
        cmocka_unit_test(a_port_in_use_is_told),
        cmocka_unit_test(calls_in_the_wrong_state_fail),
        cmocka_unit_test(pieces_are_sent_and_received_as_one),
        cmocka_unit_test(send_all_waits_for_a_slow_reader),
        cmocka_unit_test(calls_of_one_direction_are_served_in_order),
        cmocka_unit_test(udp_echoes_over_ipv4_and_ipv6),
        cmocka_unit_test(a_datagram_that_does_not_fit_says_so),
        cmocka_unit_test(a_connected_datagram_socket_has_a_peer),
        cmocka_unit_test(options_are_set_and_read_back),
        cmocka_unit_test(ioctls_tell_what_waits),
        cmocka_unit_test(before_start_and_after_stop_sockets_are_not_ready),
        cmocka_unit_test(a_socket_that_outlives_its_network_is_deleted),
        cmocka_unit_test(deleting_the_parent_stops_the_network),
        cmocka_unit_test(a_driven_network_needs_no_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
