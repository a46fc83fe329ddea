/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs out: memory at every allocation in turn, descriptors; and a great many connections.
 */
#include "net_test.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- each allocation in turn ---- */

static vck_status exchange(struct vck_network *network, struct vck_listener *listener) VCK_CAN_WAIT
{
    struct vck_socket *client = NULL;
    struct vck_socket *server = NULL;
    char got[4];
    vck_status status = vck_socket_create(network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV4, &client);
    if (status == VCK_OK)
        status = vck_socket_set_option(client, VCK_SOCKET_RECV_TIMEOUT_NS, 600000 * MS);
    if (status == VCK_OK)
        status = vck_socket_connect(client, &listener->address);
    if (status == VCK_OK)
        status = vck_listener_next(listener, &server, NULL);
    if (status == VCK_OK)
        status = vck_socket_send_all(server, "ping", 4);
    if (status == VCK_OK)
        status = vck_socket_recv_exact(client, got, 4);
    vck_socket_close(client);
    vck_socket_close(server);
    return status;
}

static vck_status everything(void) VCK_CAN_WAIT
{
    struct vck_network *network = NULL;
    struct vck_listener listener = {.socket = NULL};
    struct vck_address local = vck_address_loopback(VCK_ADDRESS_IPV4, net_test_port());
    struct vck_address answers[4];
    uint32_t count;
    vck_status status = vck_network_create(NULL, &network);
    if (status == VCK_OK)
        status = vck_network_start(network);
    if (status == VCK_OK)
        status = vck_resolve_host(network, "localhost", 1, VCK_ADDRESS_NONE, VCK_FOREVER, answers,
                                  4, &count);
    if (status == VCK_OK)
        status = vck_listener_open(network, &local, 16, &listener);
    if (status == VCK_OK)
        status = exchange(network, &listener);
    vck_listener_close(&listener);
    vck_network_destroy(network);
    return status;
}

static void every_allocation_may_fail(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    vck_status status = VCK_NO_MEMORY;
    uint64_t n = 0;
    while (status != VCK_OK) {
        vck_alloc_fail_nth(++n);
        status = everything();
        vck_alloc_fail_nth(0);
        assert_true(status == VCK_OK || status == VCK_NO_MEMORY);
        assert_int_equal(vck_alloc_live_count(), live);
        assert_true(n < 1000);
    }
    assert_true(n > 5);
}

/* ---- descriptors ---- */

static struct rlimit limit_descriptors(rlim_t count)
{
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit tight = {.rlim_cur = count, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    return before;
}

static rlim_t lowest_free_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    close(fd);
    return (rlim_t)fd;
}

static void exhausted_descriptors_are_told(void **state) VCK_CAN_WAIT
{
    (void)state;
    enum { SPARE = 20 };
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_listener listener = listening(network, VCK_ADDRESS_IPV4);
    struct vck_socket *client = tcp(network, VCK_ADDRESS_IPV4);
    struct vck_socket *sockets[SPARE + 1] = {NULL};
    struct vck_socket *server = NULL;
    assert_ok(vck_socket_connect(client, &listener.address));
    struct rlimit before = limit_descriptors(lowest_free_descriptor() + SPARE);
    unsigned count = 0;
    vck_status status = VCK_OK;
    while (status == VCK_OK && count <= SPARE)
        status = vck_socket_create(network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV4, &sockets[count++]);
    assert_status(status, VCK_NO_MEMORY);
    assert_native_error(vck_network_native_error(network), EMFILE);
    /* The connection is not lost: it waits for a descriptor. */
    assert_status(vck_listener_next(&listener, &server, NULL), VCK_NO_MEMORY);
    assert_native_error(vck_socket_native_error(listener.socket), EMFILE);
    assert_status(vck_listener_next(&listener, &server, NULL), VCK_NO_MEMORY);
    vck_socket_close(sockets[0]);
    sockets[0] = NULL;
    assert_ok(vck_listener_next(&listener, &server, NULL));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (unsigned i = 0; i < SPARE; i++)
        vck_socket_close(sockets[i]);
    vck_socket_close(server);
    vck_socket_close(client);
    vck_listener_close(&listener);
    end_network(network, live);
}

static void a_network_without_descriptors_is_not_made(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    for (rlim_t spare = 0; spare < 2; spare++) {
        struct vck_network *network = NULL;
        struct rlimit before = limit_descriptors(lowest_free_descriptor() + spare);
        vck_status status = vck_network_create(NULL, &network);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_status(status, VCK_NO_MEMORY);
        assert_int_equal(vck_alloc_live_count(), live);
    }
}

/* ---- many ---- */

#define MANY 900

static void many_connections_at_once(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit wide = {.rlim_cur = before.rlim_max, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &wide), 0);
    struct vck_network *network = started_network();
    struct vck_address local = vck_address_loopback(NET_TEST_IPV6, net_test_port());
    struct vck_listener listener;
    static struct vck_socket *clients[MANY];
    static struct vck_socket *servers[MANY];
    static struct vck_socket_call calls[MANY];
    static uint32_t got[MANY];
    assert_ok(vck_listener_open(network, &local, MANY, &listener));
    for (uint32_t i = 0; i < MANY; i++) {
        clients[i] = tcp(network, NET_TEST_IPV6);
        assert_ok(vck_socket_connect(clients[i], &listener.address));
        assert_ok(vck_listener_next(&listener, &servers[i], NULL));
        vck_socket_recv_exact_init(&calls[i], servers[i], &got[i], sizeof(got[i]));
        begin_pending(&calls[i]);
    }
    assert_int_equal(vck_network_socket_count(network), 2 * MANY + 1);
    for (uint32_t i = MANY; i-- > 0;)
        assert_ok(vck_socket_send_all(clients[i], &i, sizeof(i)));
    for (uint32_t i = 0; i < MANY; i++) {
        assert_ok(finish_call(&calls[i]));
        assert_int_equal(got[i], i);
        vck_socket_close(clients[i]);
        vck_socket_close(servers[i]);
    }
    vck_listener_close(&listener);
    end_network(network, live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(exhausted_descriptors_are_told),
        cmocka_unit_test(a_network_without_descriptors_is_not_made),
        cmocka_unit_test(many_connections_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
