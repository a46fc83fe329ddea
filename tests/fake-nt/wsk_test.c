/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the net room cannot know: providers that fail, that have not everything, that
 * never complete what they refuse, that cancel nothing.
 */
#include "fake_wsk.h"
#include "src/net/net_test.h"
#include "vck/combine.h"

static int reset(void **state)
{
    (void)state;
    fake_wsk = (struct fake_wsk){.mode = FAKE_WSK_AT_ONCE};
    return 0;
}

/* ---- the provider ---- */

static void without_a_provider_there_is_no_network(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = NULL;
    fake_wsk.is_absent = true;
    assert_status(vck_network_create(NULL, &network), VCK_UNREACHABLE);
    assert_null(network);
    assert_int_equal(vck_alloc_live_count(), live);
    assert_int_equal(fake_live_irps(), 0);
}

/* ---- calls that fail ---- */

struct ends {
    struct vck_network *network;
    struct vck_socket *listener;
    struct vck_socket *client;
    struct vck_socket *server;
};

/* Everything once; the first status that is not OK. */
static vck_status use_everything(struct ends *e) VCK_CAN_WAIT
{
    struct vck_address local = vck_address_loopback(VCK_ADDRESS_IPV6, 0);
    struct vck_address address;
    uint64_t value;
    uint32_t count;
    char got[8];
    size_t size_bytes;
    vck_status status =
        vck_socket_create(e->network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV6, &e->listener);
    if (status == VCK_OK)
        status = vck_socket_set_option(e->listener, VCK_SOCKET_V6_ONLY, 1);
    if (status == VCK_OK)
        status = vck_socket_bind(e->listener, &local);
    if (status == VCK_OK)
        status = vck_socket_listen(e->listener, 8);
    if (status == VCK_OK)
        status = vck_socket_local_address(e->listener, &address);
    if (status == VCK_OK)
        status = vck_socket_create(e->network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV6, &e->client);
    if (status == VCK_OK)
        status = vck_socket_set_option(e->client, VCK_SOCKET_RECV_TIMEOUT_NS, 300000 * MS);
    if (status == VCK_OK)
        status = vck_socket_connect_send(e->client, &address, "ping", 4);
    if (status == VCK_OK)
        status = vck_socket_accept(e->listener, &e->server, NULL);
    if (status == VCK_OK)
        status = vck_socket_recv_exact(e->server, got, 4);
    if (status == VCK_OK)
        status = vck_socket_get_option(e->server, VCK_SOCKET_NO_DELAY, &value);
    if (status == VCK_OK)
        status = vck_socket_ioctl(e->server, VCK_SOCKET_READABLE_BYTES, &value);
    if (status == VCK_OK)
        status = vck_socket_send_all(e->server, "pong", 4);
    if (status == VCK_OK)
        status = vck_socket_recv_exact(e->client, got, 4);
    if (status == VCK_OK)
        status = vck_socket_shutdown(e->server, VCK_SOCKET_END_SEND);
    if (status == VCK_OK)
        status = vck_socket_recv(e->client, got, 1, &size_bytes);
    if (status == VCK_OK)
        status = vck_resolve_host(e->network, "localhost", 1, VCK_ADDRESS_NONE, VCK_FOREVER,
                                  &address, 1, &count);
    return status;
}

/* The port that the system chose is anybody's for a moment before it is listened on: once more. */
static bool is_taken(vck_status status, uint64_t *n)
{
    *n -= status == VCK_ADDRESS_IN_USE;
    return status == VCK_ADDRESS_IN_USE;
}

static void begin(struct ends *e) VCK_CAN_WAIT
{
    *e = (struct ends){.network = started_network()};
}

static void end(struct ends *e, size_t live) VCK_CAN_WAIT
{
    vck_socket_close(e->client);
    vck_socket_close(e->server);
    vck_socket_close(e->listener);
    end_network(e->network, live);
    assert_int_equal(fake_live_irps(), 0);
}

static void fail_each_call(enum fake_wsk_mode mode, bool without_completion) VCK_CAN_WAIT
{
    uint64_t n = 0;
    for (bool has_failed = true; has_failed;) {
        size_t live = vck_alloc_live_count();
        struct ends e;
        fake_wsk = (struct fake_wsk){
            .mode = mode, .fails_without_completion = without_completion, .fail_nth = ++n};
        begin(&e);
        vck_status status = use_everything(&e);
        has_failed = is_taken(status, &n) || fake_wsk.fail_nth == 0;
        fake_wsk.fail_nth = 0;
        /* Where a socket is bound that is to listen need not be known. */
        assert_true(status == VCK_NO_MEMORY || status == VCK_ADDRESS_IN_USE ||
                    (status == VCK_OK && (!has_failed || n == 4)));
        end(&e, live);
        assert_true(n < 100);
    }
    assert_true(n > 15);
}

static void every_call_may_fail(void **state) VCK_CAN_WAIT
{
    (void)state;
    fail_each_call(FAKE_WSK_AT_ONCE, false);
    fail_each_call(FAKE_WSK_LATER, false);
}

static void what_fails_need_not_complete_its_irp(void **state) VCK_CAN_WAIT
{
    (void)state;
    fail_each_call(FAKE_WSK_AT_ONCE, true);
}

/* IRPs, and whatever else the kernel has none of. */
static void every_irp_may_be_refused(void **state) VCK_CAN_WAIT
{
    (void)state;
    uint64_t n = 0;
    for (bool has_failed = true; has_failed;) {
        size_t live = vck_alloc_live_count();
        struct ends e;
        begin(&e);
        fake_fail_nth(++n);
        vck_status status = use_everything(&e);
        has_failed = is_taken(status, &n) || fake_has_failed();
        fake_fail_nth(0);
        assert_true(status == VCK_ADDRESS_IN_USE ||
                    status == (has_failed ? VCK_NO_MEMORY : VCK_OK));
        end(&e, live);
        assert_true(n < 100);
    }
    assert_true(n > 8);
}

/* ---- what a provider has not ---- */

/* To a port that the system gives nobody who does not ask for it. */
static void bind_to_number(struct ends *e, struct vck_address *address) VCK_CAN_WAIT
{
    vck_status status = VCK_ADDRESS_IN_USE;

    address->port = (uint16_t)(20000 + vck_thread_id() % 8000);
    while (status) {
        assert_true(++address->port < 32768);
        vck_socket_close(e->listener);
        e->listener = NULL;
        assert_ok(vck_socket_create(e->network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV4, &e->listener));
        status = vck_socket_bind(e->listener, address);
    }
}

static void what_is_missing_is_unsupported_and_the_rest_works(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct ends e;
    struct vck_socket *datagram = NULL;
    struct vck_address local = vck_address_loopback(VCK_ADDRESS_IPV4, 0);
    struct vck_address known = vck_address_loopback(VCK_ADDRESS_IPV4, 0);
    char got[4];
    uint64_t value;
    begin(&e);
    fake_wsk.missing = FAKE_WSK_CONTROL | FAKE_WSK_DISCONNECT | FAKE_WSK_LOCAL_ADDRESS |
                       FAKE_WSK_SEND_TO | FAKE_WSK_ADDRESS_INFO;
    bind_to_number(&e, &known);
    assert_ok(vck_socket_listen(e.listener, 8));
    /* What was asked for is known without asking. */
    assert_ok(vck_socket_local_address(e.listener, &local));
    assert_true(vck_address_is_equal(&local, &known));
    assert_ok(vck_socket_create(e.network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV4, &e.client));
    for (int i = 0; i < 20; i++) {
        assert_status(vck_socket_set_option(e.client, VCK_SOCKET_NO_DELAY, 1), VCK_UNSUPPORTED);
        assert_status(vck_socket_get_option(e.client, VCK_SOCKET_NO_DELAY, &value),
                      VCK_UNSUPPORTED);
    }
    assert_ok(vck_socket_connect_send(e.client, &known, "ping", 4));
    assert_ok(vck_socket_accept(e.listener, &e.server, NULL));
    assert_ok(vck_socket_recv_exact(e.server, got, 4));
    assert_status(vck_socket_local_address(e.client, &local), VCK_UNSUPPORTED);
    assert_int_equal(vck_socket_native_error(e.client), STATUS_NOT_IMPLEMENTED);
    assert_status(vck_socket_shutdown(e.client, VCK_SOCKET_END_SEND), VCK_UNSUPPORTED);
    assert_ok(vck_socket_create(e.network, VCK_SOCKET_DATAGRAM, VCK_ADDRESS_IPV4, &datagram));
    assert_status(vck_socket_send_to(datagram, &known, "x", 1), VCK_UNSUPPORTED);
    vck_socket_close(datagram);
    uint32_t count;
    assert_status(vck_resolve_host(e.network, "localhost", 1, VCK_ADDRESS_NONE, VCK_FOREVER, &local,
                                   1, &count),
                  VCK_UNSUPPORTED);
    end(&e, live);
}

static void a_missing_kind_of_socket_is_told_at_once(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *socket = NULL;
    fake_wsk.missing = FAKE_WSK_SOCKET;
    assert_status(vck_socket_create(network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV4, &socket),
                  VCK_UNSUPPORTED);
    assert_int_equal(vck_network_native_error(network), STATUS_NOT_IMPLEMENTED);
    end_network(network, live);
    assert_int_equal(fake_live_irps(), 0);
}

/* ---- cancels without effect ---- */

/* The operation ends, in the end with its socket; the others of the socket end as well. */
static void a_socket_that_cannot_be_cancelled_is_closed(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct ends e;
    char got[4];
    size_t size_bytes;
    struct vck_socket_call accept;
    struct vck_socket_call recv;
    fake_wsk.ignores_cancel = true;
    begin(&e);
    struct vck_listener listener = listening(e.network, VCK_ADDRESS_IPV4);
    connected_pair(e.network, VCK_ADDRESS_IPV4, &e.client, &e.server);
    assert_ok(vck_socket_set_option(e.client, VCK_SOCKET_RECV_TIMEOUT_NS, MS));
    assert_status(vck_socket_recv(e.client, got, 4, &size_bytes), VCK_TIMEOUT);
    assert_status(vck_socket_recv(e.client, got, 4, &size_bytes), VCK_RESET);
    assert_status(vck_socket_send(e.client, "x", 1, &size_bytes), VCK_RESET);
    assert_status(vck_socket_recv(e.server, got, 4, &size_bytes), VCK_RESET);
    vck_listener_next_init(&accept, &listener);
    begin_pending(&accept);
    vck_network_call_cancel(&accept.call);
    assert_status(finish_call(&accept), VCK_CANCELLED);
    vck_listener_close(&listener);
    /* A close does not wait for what cannot be cancelled. */
    vck_socket_close(e.client);
    vck_socket_close(e.server);
    connected_pair(e.network, VCK_ADDRESS_IPV4, &e.client, &e.server);
    vck_socket_recv_init(&recv, e.client, got, 4);
    begin_pending(&recv);
    struct vck_object *object = vck_socket_object(e.client);
    vck_object_reference(object, TEST_TAG);
    vck_socket_close(e.client);
    e.client = NULL;
    assert_status(finish_call(&recv), VCK_CANCELLED);
    vck_object_release(object, TEST_TAG);
    end(&e, live);
}

struct racer {
    struct vck_socket_call *call;
    uint32_t go;
};

static void cancel_soon(void *context)
{
    struct racer *racer = context;
    while (!__atomic_load_n(&racer->go, __ATOMIC_ACQUIRE))
        ;
    vck_network_call_cancel(&racer->call->call);
}

/* Cancel, completion and a close that follows the cancel, in any order: each call ends once. */
static void a_cancel_without_effect_races_with_completion(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    fake_wsk.ignores_cancel = true;
    for (int i = 0; i < 40; i++) {
        struct vck_socket *client;
        struct vck_socket *server;
        struct vck_socket_call call;
        struct racer racer = {.call = &call};
        struct vck_thread *thread;
        char got = 0;
        connected_pair(network, VCK_ADDRESS_IPV4, &client, &server);
        vck_socket_recv_init(&call, server, &got, 1);
        assert_ok(vck_thread_create(cancel_soon, &racer, VCK_THREAD_NORMAL, "racer", &thread));
        begin_pending(&call);
        __atomic_store_n(&racer.go, 1, __ATOMIC_RELEASE);
        (void)!vck_socket_send_all(client, "x", 1);
        vck_status status = finish_call(&call);
        assert_true(status == VCK_OK ? got == 'x' : status == VCK_CANCELLED);
        vck_thread_join(thread);
        vck_socket_close(client);
        vck_socket_close(server);
    }
    end_network(network, live);
}

/* ---- ends ---- */

/* What was sent arrives although the sender has closed, and the peer's end is a proper one. */
static void a_close_waits_for_its_peer_without_its_owner(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct ends e;
    char got[4];
    size_t size_bytes = 99;
    begin(&e);
    connected_pair(e.network, VCK_ADDRESS_IPV4, &e.client, &e.server);
    assert_ok(vck_socket_send_all(e.client, "last", 4));
    vck_socket_close(e.client);
    e.client = NULL;
    assert_int_equal(vck_network_socket_count(e.network), 1);
    pause_ns(5 * MS);
    assert_ok(vck_socket_recv_exact(e.server, got, 4));
    assert_ok(vck_socket_recv(e.server, got, 4, &size_bytes));
    assert_int_equal(size_bytes, 0);
    end(&e, live);
}

/* A peer that sends on to a closed socket is reset; one that never ends does not keep the network.
 */
static void a_peer_that_goes_on_is_reset(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct ends e;
    char got[1];
    size_t size_bytes;
    begin(&e);
    connected_pair(e.network, VCK_ADDRESS_IPV4, &e.client, &e.server);
    vck_socket_close(e.client);
    e.client = NULL;
    assert_ok(vck_socket_recv(e.server, got, 1, &size_bytes));
    assert_ok(vck_socket_send_all(e.server, "more", 4));
    vck_status status = VCK_OK;
    for (int i = 0; i < 1000 && status == VCK_OK; i++) {
        pause_ns(MS);
        status = vck_socket_send_all(e.server, "more", 4);
    }
    assert_status(status, VCK_RESET);
    vck_socket_close(e.server);
    connected_pair(e.network, VCK_ADDRESS_IPV4, &e.client, &e.server);
    vck_socket_close(e.client);
    e.client = NULL;
    end(&e, live);
}

/* ---- the half that receives ---- */

static void a_receive_ends_with_its_half(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct ends e;
    struct vck_socket_call recv;
    char got[4];
    size_t size_bytes = 99;
    begin(&e);
    connected_pair(e.network, VCK_ADDRESS_IPV4, &e.client, &e.server);
    vck_socket_recv_init(&recv, e.client, got, 4);
    begin_pending(&recv);
    assert_ok(vck_socket_shutdown(e.client, VCK_SOCKET_END_RECV));
    assert_ok(finish_call(&recv));
    assert_int_equal(recv.io.done_bytes, 0);
    assert_ok(vck_socket_recv(e.client, got, 4, &size_bytes));
    assert_int_equal(size_bytes, 0);
    assert_ok(vck_socket_send_all(e.client, "on", 2));
    assert_ok(vck_socket_recv_exact(e.server, got, 2));
    end(&e, live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_a_provider_there_is_no_network, reset),
        cmocka_unit_test_setup(every_call_may_fail, reset),
        cmocka_unit_test_setup(what_fails_need_not_complete_its_irp, reset),
        cmocka_unit_test_setup(every_irp_may_be_refused, reset),
        cmocka_unit_test_setup(what_is_missing_is_unsupported_and_the_rest_works, reset),
        cmocka_unit_test_setup(a_missing_kind_of_socket_is_told_at_once, reset),
        cmocka_unit_test_setup(a_socket_that_cannot_be_cancelled_is_closed, reset),
        cmocka_unit_test_setup(a_cancel_without_effect_races_with_completion, reset),
        cmocka_unit_test_setup(a_close_waits_for_its_peer_without_its_owner, reset),
        cmocka_unit_test_setup(a_peer_that_goes_on_is_reset, reset),
        cmocka_unit_test_setup(a_receive_ends_with_its_half, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
