/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that do not end by themselves: cancelled, dropped, out of time, closed under, stopped.
 */
#include "net_test.h"

/* ---- calls that stay pending, one of each kind ---- */

enum kind { CONNECT, CONNECT_SEND, ACCEPT, SEND_ALL, RECV, RECV_EXACT, RECV_FROM, KIND_COUNT };

#define FILLERS 8

/* Something for each kind to wait for in vain. */
struct scene {
    struct vck_network *network;
    size_t live_before;
    struct vck_listener silent; /* nobody accepts */
    struct vck_listener full;   /* answers no more connections */
    struct vck_socket *fillers[FILLERS];
    struct vck_socket *client;
    struct vck_socket *server;
    struct vck_socket *datagram;
    struct vck_socket *fresh; /* not connected */
    char got[16];
};

static uint8_t big[16 << 20];

static void fill_backlog(struct scene *scene) VCK_CAN_WAIT
{
    struct vck_address local = vck_address_loopback(VCK_ADDRESS_IPV4, net_test_port());
    int refused_count = 0; /* one alone may come of a machine that was busy elsewhere */
    if (!net_test_can_be_full)
        return;
    net_test_set_backlog(0);
    assert_ok(vck_listener_open(scene->network, &local, 0, &scene->full));
    net_test_set_backlog(128);
    for (int i = 0; i < FILLERS; i++) {
        scene->fillers[i] = tcp(scene->network, VCK_ADDRESS_IPV4);
        assert_ok(vck_socket_set_option(scene->fillers[i], VCK_SOCKET_CONNECT_TIMEOUT_NS, 20 * MS));
        if (refused_count == 2)
            continue;
        vck_status status = vck_socket_connect(scene->fillers[i], &scene->full.address);
        refused_count = status == VCK_TIMEOUT ? refused_count + 1 : 0;
    }
    assert_int_equal(refused_count, 2);
}

static struct scene begin_scene(void) VCK_CAN_WAIT
{
    struct scene scene = {.live_before = vck_alloc_live_count()};
    struct vck_address local;
    scene.network = started_network();
    scene.silent = listening(scene.network, VCK_ADDRESS_IPV4);
    fill_backlog(&scene);
    connected_pair(scene.network, VCK_ADDRESS_IPV4, &scene.client, &scene.server);
    if (net_test_has_datagrams)
        scene.datagram = udp(scene.network, VCK_ADDRESS_IPV4, &local);
    scene.fresh = tcp(scene.network, VCK_ADDRESS_IPV4);
    return scene;
}

static void end_scene(struct scene *scene) VCK_CAN_WAIT
{
    for (int i = 0; i < FILLERS; i++)
        vck_socket_close(scene->fillers[i]);
    vck_socket_close(scene->client);
    vck_socket_close(scene->server);
    vck_socket_close(scene->datagram);
    vck_socket_close(scene->fresh);
    vck_listener_close(&scene->silent);
    if (net_test_can_be_full)
        vck_listener_close(&scene->full);
    end_network(scene->network, scene->live_before);
}

static void prepare(struct scene *scene, enum kind kind, struct vck_socket_call *call)
{
    switch (kind) {
    case CONNECT:
        vck_socket_connect_init(call, scene->fresh, &scene->full.address);
        break;
    case CONNECT_SEND:
        vck_socket_connect_send_init(call, scene->fresh, &scene->full.address, "x", 1);
        break;
    case ACCEPT:
        vck_listener_next_init(call, &scene->silent);
        break;
    case SEND_ALL:
        vck_socket_send_all_init(call, scene->client, big, sizeof(big));
        break;
    case RECV:
        vck_socket_recv_init(call, scene->client, scene->got, sizeof(scene->got));
        break;
    case RECV_EXACT:
        vck_socket_recv_exact_init(call, scene->client, scene->got, sizeof(scene->got));
        break;
    case RECV_FROM:
    default:
        vck_socket_recv_from_init(call, scene->datagram, scene->got, sizeof(scene->got));
        break;
    }
}

/* Runs check(scene, call) for each kind in a scene of its own. */
static void for_each_kind(void (*check)(struct scene *scene,
                                        struct vck_socket_call *call)) VCK_CAN_WAIT
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (((kind == CONNECT || kind == CONNECT_SEND) && !net_test_can_be_full) ||
            (kind == RECV_FROM && !net_test_has_datagrams))
            continue;
        struct scene scene = begin_scene();
        struct vck_socket_call call;
        prepare(&scene, (enum kind)kind, &call);
        check(&scene, &call);
        end_scene(&scene);
    }
}

/* ---- cancelled at each point ---- */

static void check_before_the_first_poll(struct scene *scene,
                                        struct vck_socket_call *call) VCK_NO_ANALYSIS
{
    (void)scene;
    vck_network_call_cancel(&call->call);
    begin_pending(call);
    vck_network_call_cancel(&call->call);
    assert_status(finish_call(call), VCK_CANCELLED);
}

static void cancel_before_the_first_poll_does_nothing(void **state) VCK_CAN_WAIT
{
    (void)state;
    for_each_kind(check_before_the_first_poll);
}

static void check_while_pending(struct scene *scene, struct vck_socket_call *call) VCK_NO_ANALYSIS
{
    (void)scene;
    begin_pending(call);
    begin_pending(call);
    vck_network_call_cancel(&call->call);
    vck_network_call_cancel(&call->call);
    assert_status(finish_call(call), VCK_CANCELLED);
    vck_network_call_cancel(&call->call);
}

static void cancel_while_pending_completes_each_call(void **state) VCK_CAN_WAIT
{
    (void)state;
    for_each_kind(check_while_pending);
}

static void check_dropped(struct scene *scene, struct vck_socket_call *call) VCK_NO_ANALYSIS
{
    (void)scene;
    struct vck_socket_call unused = *call;
    vck_link_init(&unused.call.link);
    vck_future_drop(&unused.call.future); /* never polled */
    begin_pending(call);
    vck_future_drop(&call->call.future);
    memset(call, 0xa5, sizeof(*call));
}

static void dropping_withdraws_each_call(void **state) VCK_CAN_WAIT
{
    (void)state;
    for_each_kind(check_dropped);
}

static void check_out_of_time(struct scene *scene, struct vck_socket_call *call) VCK_NO_ANALYSIS
{
    (void)scene;
    call->call.deadline_ns = vck_clock_ns() + 3 * MS;
    assert_status(finish_call(call), VCK_TIMEOUT);
    assert_true(vck_clock_ns() >= call->call.deadline_ns);
}

static void a_deadline_ends_each_call(void **state) VCK_CAN_WAIT
{
    (void)state;
    for_each_kind(check_out_of_time);
}

static void check_late(struct scene *scene, struct vck_socket_call *call) VCK_NO_ANALYSIS
{
    (void)scene;
    call->call.deadline_ns = 1;
    assert_status(finish_call(call), VCK_TIMEOUT);
}

static void a_deadline_in_the_past_ends_each_call(void **state) VCK_CAN_WAIT
{
    (void)state;
    for_each_kind(check_late);
}

static void check_closed(struct scene *scene, struct vck_socket_call *call) VCK_NO_ANALYSIS
{
    struct vck_object *object = vck_socket_object(call->socket);
    struct vck_socket *socket = call->socket;
    vck_object_reference(object, TEST_TAG);
    begin_pending(call);
    /* The owner's reference goes here: the scene must not close it again. */
    if (socket == scene->fresh)
        scene->fresh = NULL;
    if (socket == scene->client)
        scene->client = NULL;
    if (socket == scene->datagram)
        scene->datagram = NULL;
    if (socket == scene->silent.socket)
        scene->silent.socket = NULL;
    vck_socket_close(socket);
    assert_status(finish_call(call), VCK_CANCELLED);
    struct vck_socket_call later;
    vck_socket_recv_init(&later, socket, scene->got, 1);
    assert_status(finish_call(&later), VCK_DELETED);
    vck_object_release(object, TEST_TAG);
}

static void closing_cancels_each_call_in_flight(void **state) VCK_CAN_WAIT
{
    (void)state;
    for_each_kind(check_closed);
}

static void check_stopped(struct scene *scene, struct vck_socket_call *call) VCK_NO_ANALYSIS
{
    begin_pending(call);
    vck_network_stop(scene->network);
    vck_status status = finish_call(call);
    /* The listener may go first, and its system be faster than the next close. */
    bool was_refused = call->io.op == VCK_SOCKET_CONNECT && status == VCK_REFUSED;
    assert_true(status == VCK_CANCELLED || was_refused);
}

static void stopping_the_network_cancels_each_call(void **state) VCK_CAN_WAIT
{
    (void)state;
    for_each_kind(check_stopped);
}

/* ---- partly done ---- */

static void what_was_done_before_a_cancel_is_told(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct scene scene = begin_scene();
    struct vck_socket_call send;
    struct vck_socket_call recv;
    vck_socket_recv_exact_init(&recv, scene.server, scene.got, 10);
    begin_pending(&recv);
    assert_ok(vck_socket_send_all(scene.client, "abc", 3));
    vck_socket_send_all_init(&send, scene.client, big, sizeof(big));
    vck_network_call_cancel(&recv.call);
    vck_status status = finish_call(&recv);
    assert_true(status == VCK_CANCELLED && (recv.io.done_bytes == 0 || recv.io.done_bytes == 3));
    begin_pending(&send);
    /* The first of its bytes has come, so some are done. */
    assert_ok(vck_socket_recv_exact(scene.server, scene.got, 4 - recv.io.done_bytes));
    vck_network_call_cancel(&send.call);
    assert_status(finish_call(&send), VCK_CANCELLED);
    assert_true(send.io.done_bytes > 0 && send.io.done_bytes < sizeof(big));
    end_scene(&scene);
}

/* One of several in a queue, first, middle and last. */
static void cancelling_one_leaves_the_others(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (int victim = 0; victim < 3; victim++) {
        struct scene scene = begin_scene();
        struct vck_socket_call calls[3];
        char got[3] = {0};
        int next = 0;
        for (int i = 0; i < 3; i++) {
            vck_socket_recv_init(&calls[i], scene.server, &got[i], 1);
            begin_pending(&calls[i]);
        }
        vck_network_call_cancel(&calls[victim].call);
        assert_status(finish_call(&calls[victim]), VCK_CANCELLED);
        assert_ok(vck_socket_send_all(scene.client, "AB", 2));
        for (int i = 0; i < 3; i++) {
            if (i == victim)
                continue;
            assert_ok(finish_call(&calls[i]));
            assert_int_equal(got[i], "AB"[next++]);
        }
        end_scene(&scene);
    }
}

static void a_stalled_peer_is_given_up(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct scene scene = begin_scene();
    char got[4];
    size_t size_bytes = 99;
    assert_ok(vck_socket_set_option(scene.client, VCK_SOCKET_RECV_TIMEOUT_NS, 5 * MS));
    assert_ok(vck_socket_set_option(scene.client, VCK_SOCKET_SEND_TIMEOUT_NS, 5 * MS));
    assert_ok(vck_socket_set_option(scene.fresh, VCK_SOCKET_CONNECT_TIMEOUT_NS, 5 * MS));
    assert_status(vck_socket_recv(scene.client, got, 4, &size_bytes), VCK_TIMEOUT);
    assert_int_equal(size_bytes, 99);
    assert_status(vck_socket_send_all(scene.client, big, sizeof(big)), VCK_TIMEOUT);
    assert_status(vck_socket_connect(scene.fresh, &scene.full.address), VCK_TIMEOUT);
    /* The connection itself is as it was. */
    assert_ok(vck_socket_send_all(scene.server, "late", 4));
    assert_ok(vck_socket_set_option(scene.client, VCK_SOCKET_RECV_TIMEOUT_NS, 600000 * MS));
    assert_ok(vck_socket_recv_exact(scene.client, got, 4));
    assert_memory_equal(got, "late", 4);
    assert_ok(vck_socket_set_option(scene.client, VCK_SOCKET_RECV_TIMEOUT_NS, 5 * MS));
    assert_status(vck_socket_recv(scene.client, got, 4, &size_bytes), VCK_TIMEOUT);
    end_scene(&scene);
}

static void deadlines_expire_in_their_order(void **state) VCK_CAN_WAIT
{
    (void)state;
    enum { CALLS = 50 };
    struct scene scene = begin_scene();
    static struct vck_socket_call calls[CALLS];
    enum vck_poll polls[CALLS]; /* the first deadlines may have passed already */
    uint64_t start_ns = vck_clock_ns();
    for (uint64_t i = 0; i < CALLS; i++) {
        vck_socket_recv_init(&calls[i], scene.client, scene.got, 1);
        calls[i].call.deadline_ns = start_ns + (1 + i * 37 % CALLS) * MS / 2;
        polls[i] = vck_future_poll(&calls[i].call.future, &vck_waker_noop);
    }
    for (int i = 0; i < CALLS; i++) {
        if (polls[i] == VCK_PENDING)
            vck_block_on(&calls[i].call.future);
        assert_status(calls[i].io.status, VCK_TIMEOUT);
        assert_true(vck_clock_ns() >= calls[i].call.deadline_ns);
    }
    end_scene(&scene);
}

/* ---- races ---- */

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

/* The call ends once, one way or the other, and the other end's byte is not lost unnoticed. */
static void cancel_races_with_completion(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct scene scene = begin_scene();
    int cancelled = 0;
    for (int i = 0; i < 300; i++) {
        struct vck_socket_call call;
        struct racer racer = {.call = &call};
        struct vck_thread *thread;
        char sent = (char)i;
        char got = 0;
        vck_socket_recv_init(&call, scene.server, &got, 1);
        assert_ok(vck_thread_create(cancel_soon, &racer, VCK_THREAD_NORMAL, "racer", &thread));
        if (i % 2)
            begin_pending(&call);
        __atomic_store_n(&racer.go, 1, __ATOMIC_RELEASE);
        assert_ok(vck_socket_send_all(scene.client, &sent, 1));
        vck_status status = finish_call(&call);
        vck_thread_join(thread);
        if (status == VCK_CANCELLED) {
            cancelled++;
            assert_ok(vck_socket_recv_exact(scene.server, &got, 1));
        } else {
            assert_ok(status);
        }
        assert_int_equal(got, sent);
    }
    assert_true(cancelled <= 300);
    end_scene(&scene);
}

/* ---- stop under load ---- */

struct client {
    struct vck_network *network;
    struct vck_address to;
    struct vck_thread *thread;
    uint64_t replies;
};

static void client_run(void *context) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct client *client = context;
    vck_status status = VCK_OK;
    while (status != VCK_NOT_READY) {
        struct vck_socket *socket;
        char got[4];
        status = vck_socket_create(client->network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV4, &socket);
        if (status)
            continue;
        status = vck_socket_connect_send(socket, &client->to, "ping", 4);
        if (status == VCK_OK)
            status = vck_socket_recv_exact(socket, got, 4);
        if (status == VCK_OK)
            __atomic_fetch_add(&client->replies, 1, __ATOMIC_RELAXED);
        vck_socket_close(socket);
    }
}

static void server_run(void *context) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct vck_listener *listener = context;
    struct vck_socket *socket;
    vck_status status = VCK_OK;
    while (status != VCK_CANCELLED && status != VCK_DELETED) {
        char got[4];
        status = vck_listener_next(listener, &socket, NULL);
        if (status)
            continue;
        if (vck_socket_recv_exact(socket, got, 4) == VCK_OK)
            (void)!vck_socket_send_all(socket, got, 4);
        vck_socket_close(socket);
    }
}

static void stop_under_load_leaves_nothing(void **state) VCK_CAN_WAIT
{
    (void)state;
    enum { CLIENTS = 4, SERVERS = 2, ROUNDS = 5 };
    size_t live = vck_alloc_live_count();
    struct vck_network *network = NULL;
    assert_ok(vck_network_create(NULL, &network));
    for (int round = 0; round < ROUNDS; round++) {
        assert_ok(vck_network_start(network));
        struct vck_listener listener = listening(network, VCK_ADDRESS_IPV4);
        struct client clients[CLIENTS];
        struct vck_thread *servers[SERVERS];
        for (int i = 0; i < SERVERS; i++)
            assert_ok(
                vck_thread_create(server_run, &listener, VCK_THREAD_NORMAL, "server", &servers[i]));
        for (int i = 0; i < CLIENTS; i++) {
            clients[i] = (struct client){.network = network, .to = listener.address};
            assert_ok(vck_thread_create(client_run, &clients[i], VCK_THREAD_NORMAL, "client",
                                        &clients[i].thread));
        }
        while (__atomic_load_n(&clients[0].replies, __ATOMIC_RELAXED) < 10)
            pause_ns(MS);
        vck_network_stop(network);
        assert_int_equal(vck_network_socket_count(network), 0);
        for (int i = 0; i < CLIENTS; i++)
            vck_thread_join(clients[i].thread);
        for (int i = 0; i < SERVERS; i++)
            vck_thread_join(servers[i]);
        vck_listener_close(&listener);
    }
    end_network(network, live);
}

/* ---- close as a future ---- */

static void close_has_an_asynchronous_form(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct scene scene = begin_scene();
    struct vck_socket_call recv;
    struct vck_socket_call close;
    vck_socket_recv_init(&recv, scene.client, scene.got, 1);
    begin_pending(&recv);
    vck_socket_close_init(&close, scene.client);
    vck_future_drop(&close.call.future); /* never polled: still open */
    vck_socket_close_init(&close, scene.client);
    assert_ok(finish_call(&close));
    assert_status(finish_call(&recv), VCK_CANCELLED);
    scene.client = NULL;
    end_scene(&scene);
}

/* ---- a parent that goes meanwhile ---- */

static const struct vck_object_type driver_type = {.name = "driver"};

static void delete_driver(void *context) VCK_CAN_WAIT
{
    (void)vck_object_delete(context);
}

static void make_network_and_socket(struct vck_object *driver) VCK_CAN_WAIT
{
    struct vck_network_options options = {.parent = driver};
    struct vck_network *network = NULL;
    struct vck_socket *socket = NULL;
    vck_status status = vck_network_create(&options, &network);

    if (status == VCK_OK)
        status = vck_network_start(network);
    if (status == VCK_OK)
        status = vck_socket_create(network, VCK_SOCKET_STREAM, VCK_ADDRESS_IPV4, &socket);
    if (status != VCK_OK && status != VCK_DELETE_PENDING && status != VCK_DELETED &&
        status != VCK_CANCELLED && status != VCK_NOT_READY)
        fail_msg("%s", vck_status_text(status));
    vck_socket_close(socket);
    vck_network_destroy(network);
}

static void a_network_is_made_while_its_parent_is_deleted(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();

    for (int i = 0; i < 200; i++) {
        struct vck_object *driver;
        struct vck_thread *thread;

        assert_int_equal(vck_object_create(&driver_type, NULL, NULL, NULL, &driver), VCK_OK);
        vck_object_reference(driver, VCK_TAG('t', 'e', 's', 't'));
        assert_int_equal(
            vck_thread_create(delete_driver, driver, VCK_THREAD_NORMAL, "delete", &thread), VCK_OK);
        make_network_and_socket(driver);
        vck_thread_join(thread);
        vck_object_release(driver, VCK_TAG('t', 'e', 's', 't'));
    }
    assert_int_equal(vck_alloc_live_count(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_before_the_first_poll_does_nothing),
        cmocka_unit_test(cancel_while_pending_completes_each_call),
        cmocka_unit_test(dropping_withdraws_each_call),
        cmocka_unit_test(a_deadline_ends_each_call),
        cmocka_unit_test(a_deadline_in_the_past_ends_each_call),
        cmocka_unit_test(closing_cancels_each_call_in_flight),
        cmocka_unit_test(stopping_the_network_cancels_each_call),
        cmocka_unit_test(what_was_done_before_a_cancel_is_told),
        cmocka_unit_test(cancelling_one_leaves_the_others),
        cmocka_unit_test(a_stalled_peer_is_given_up),
        cmocka_unit_test(deadlines_expire_in_their_order),
        cmocka_unit_test(cancel_races_with_completion),
        cmocka_unit_test(stop_under_load_leaves_nothing),
        cmocka_unit_test(close_has_an_asynchronous_form),
        cmocka_unit_test(a_network_is_made_while_its_parent_is_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
