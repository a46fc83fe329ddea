/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver runs: the tests of the net room, and which of them need what.
 */
#include "cmocka.h"
#include "nettest.h"
#include "tests/nt/porttest/porttest.h"
#include "vck/bytes.h"
#include "vck/network.h"
#include "vck/socket.h"

#define TESTS_MAX 64

struct nettest_system nettest_system;

static struct CMUnitTest tests[TESTS_MAX];
static struct porttest entries[TESTS_MAX + 1];
static size_t test_count;

/* ---- what the system has ---- */

static const struct {
    const char *name;
    const bool *has;
    const char *what;
} needs[] = {
    {"addresses_of_both_ends_agree", &nettest_system.has_addresses, "addresses"},
    {"each_half_of_a_connection_ends_by_itself", &nettest_system.has_disconnect, "disconnect"},
    {"a_reset_is_told_from_an_end", &nettest_system.has_disconnect, "resets"},
    {"a_port_in_use_is_told", &nettest_system.tells_foreign, "errors of bind"},
    {"udp_echoes_over_ipv4_and_ipv6", &nettest_system.has_datagrams, "UDP"},
    {"a_datagram_that_does_not_fit_says_so", &nettest_system.has_datagrams, "UDP"},
    {"a_connected_datagram_socket_has_a_peer", &nettest_system.has_datagrams, "UDP"},
    {"a_datagram_takes_one_span", &nettest_system.has_datagrams, "UDP"},
    {"options_are_set_and_read_back", &nettest_system.has_options, "options"},
    {"ioctls_tell_what_waits", &nettest_system.has_options, "options"},
    {"what_was_done_before_a_cancel_is_told", &nettest_system.has_cancel, "cancelling of IRPs"},
    {"cancelling_one_leaves_the_others", &nettest_system.has_cancel, "cancelling of IRPs"},
    {"a_stalled_peer_is_given_up", &nettest_system.has_cancel, "cancelling of IRPs"},
    {"deadlines_expire_in_their_order", &nettest_system.has_cancel, "cancelling of IRPs"},
    {"cancel_races_with_completion", &nettest_system.has_cancel, "cancelling of IRPs"},
    {"a_span_call_can_be_dropped_and_run_out_of_time", &nettest_system.has_cancel,
     "cancelling of IRPs"},
    {"cancelling_a_task_withdraws_its_call", &nettest_system.has_cancel, "cancelling of IRPs"},
};

uint16_t nettest_port(void)
{
    static uint16_t next;

    if (nettest_system.has_addresses)
        return 0;
    if (next == 0) {
        uint16_t random = 0;
        (void)!vck_random(&random, sizeof(random));
        next = (uint16_t)(20000 + random % 8000);
    }
    return next++;
}

static bool can_bind(struct vck_network *network, enum vck_address_family family,
                     struct vck_address *ret_address) VCK_CAN_WAIT
{
    struct vck_socket *socket = NULL;
    struct vck_address local = vck_address_loopback(family, 0);
    bool can = vck_socket_create(network, VCK_SOCKET_STREAM, family, &socket) == VCK_OK &&
               vck_socket_bind(socket, &local) == VCK_OK;

    ret_address->port = 0;
    if (can)
        (void)!vck_socket_local_address(socket, ret_address);
    vck_socket_close(socket);
    return can;
}

static void probe_options(struct vck_network *network) VCK_CAN_WAIT
{
    struct vck_socket *socket = NULL;
    struct vck_address foreign = vck_address_ipv4(192, 0, 2, 1, 0);

    if (vck_socket_create(network, VCK_SOCKET_DATAGRAM, VCK_ADDRESS_IPV4, &socket) == VCK_OK)
        nettest_system.has_datagrams = true;
    vck_socket_close(socket);
    socket = NULL;
    if (vck_socket_create(network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV4, &socket) == VCK_OK)
        nettest_system.tells_foreign = vck_socket_bind(socket, &foreign) == VCK_NOT_FOUND;
    vck_socket_close(socket);
    socket = NULL;
    if (vck_socket_create(network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV4, &socket) == VCK_OK)
        nettest_system.has_options =
            vck_socket_set_option(socket, VCK_SOCKET_NO_DELAY, 1) == VCK_OK;
    vck_socket_close(socket);
}

/* A call that is cancelled, and whether its socket still works. */
static void probe_connection(struct vck_network *network) VCK_CAN_WAIT
{
    struct vck_socket *listener = NULL;
    struct vck_socket *client = NULL;
    struct vck_socket *server = NULL;
    struct vck_address local = vck_address_loopback(VCK_ADDRESS_IPV4, nettest_port());
    char got;
    size_t size_bytes;

    if (vck_socket_create(network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV4, &listener) == VCK_OK &&
        vck_socket_bind(listener, &local) == VCK_OK && vck_socket_listen(listener, 8) == VCK_OK &&
        (local.port != 0 || vck_socket_local_address(listener, &local) == VCK_OK) &&
        vck_socket_create(network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV4, &client) == VCK_OK &&
        vck_socket_connect(client, &local) == VCK_OK &&
        vck_socket_accept(listener, &server, NULL) == VCK_OK) {
        (void)!vck_socket_set_option(client, VCK_SOCKET_RECV_TIMEOUT_NS, MS);
        (void)!vck_socket_recv(client, &got, 1, &size_bytes);
        nettest_system.has_cancel = vck_socket_recv(client, &got, 1, &size_bytes) == VCK_TIMEOUT;
        nettest_system.has_disconnect = vck_socket_shutdown(server, VCK_SOCKET_END_SEND) == VCK_OK;
    }
    vck_socket_close(server);
    vck_socket_close(client);
    vck_socket_close(listener);
}

static void probe(void) VCK_CAN_WAIT
{
    struct vck_network *network = NULL;
    struct vck_address address;

    if (vck_network_create(NULL, &network) != VCK_OK || vck_network_start(network) != VCK_OK)
        return;
    nettest_system.has_ipv6 = can_bind(network, VCK_ADDRESS_IPV6, &address);
    nettest_system.has_addresses =
        can_bind(network, VCK_ADDRESS_IPV4, &address) && address.port != 0;
    probe_options(network);
    probe_connection(network);
    vck_network_destroy(network);
}

/* ---- running ---- */

static struct {
    void *jump[5];
    uint32_t thread;
} running;

void nettest_check(bool is_true, const char *what, const char *file, int line)
{
    if (porttest_check(is_true, what, file, line) || running.thread != vck_thread_id())
        return;
    __builtin_longjmp(running.jump, 1);
}

static void run_test(const void *context)
{
    const struct CMUnitTest *test = context;
    void *state = NULL;

    for (size_t i = 0; i < VCK_ARRAY_COUNT(needs); i++)
        if (strcmp(needs[i].name, test->name) == 0 && !*needs[i].has) {
            porttest_skip(needs[i].what);
            return;
        }
    running.thread = vck_thread_id();
    if (__builtin_setjmp(running.jump) == 0)
        test->test_func(&state);
    running.thread = 0;
}

int nettest_add(const struct CMUnitTest *added, size_t count)
{
    for (size_t i = 0; i < count && test_count < TESTS_MAX; i++, test_count++) {
        tests[test_count] = added[i];
        entries[test_count] = (struct porttest){
            .name = added[i].name, .run_with = run_test, .context = &tests[test_count]};
    }
    return 0;
}

bool porttest_misuse(size_t number)
{
    (void)number;
    return false;
}

size_t porttest_groups(const struct porttest *const **ret_groups)
{
    static const struct porttest *const groups[] = {entries};

    *ret_groups = groups;
    if (test_count > 0)
        return 1;
    probe();
    (void)nettest_socket_main();
    (void)nettest_span_main();
    (void)nettest_executor_main();
    (void)nettest_cancel_main();
    return 1;
}

int nettest_random(void)
{
    static uint32_t seed = 5;

    seed = seed * 1664525u + 1013904223u;
    return (int)(seed >> 8);
}
