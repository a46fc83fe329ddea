/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An executor whose worker sleeps in the network's own wait, where it has one: sockets, timers and
 * wakes from other threads on one thread; and what a misused call does.
 */
#include "net_test.h"
#include "port/posix/abort_test.h"
#include "vck/coroutine.h"

#define PAIRS  20
#define ROUNDS 30

struct world {
    size_t live_before;
    struct vck_network *network;
    struct vck_executor *executor;
};

static struct world begin_world(void) VCK_CAN_WAIT
{
    struct world world = {.live_before = vck_alloc_live_count()};
    struct vck_executor_options options = {0};
    assert_ok(vck_network_create(&(struct vck_network_options){.flags = VCK_NETWORK_DRIVEN},
                                 &world.network));
    assert_ok(vck_network_start(world.network));
    options.idle = vck_network_get_idle(world.network); /* NULL: it needs no driving */
    assert_ok(vck_executor_create(&options, &world.executor));
    return world;
}

static void end_world(struct world *world) VCK_CAN_WAIT
{
    vck_executor_destroy(world->executor);
    end_network(world->network, world->live_before);
}

/* ---- one end of a connection: sends a number, waits for the next, sleeps now and then ---- */

struct end {
    struct vck_future future;
    struct vck_coroutine co;
    struct vck_task task;
    struct vck_task_join join;
    struct vck_socket *socket;
    struct vck_socket_call call;
    struct vck_sleep nap;
    uint32_t number;
    bool begins;
};

static enum vck_poll end_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct end *end = VCK_CONTAINER_OF(self, struct end, future);

    VCK_CO_BEGIN(&end->co);
    while (end->number < ROUNDS) {
        if (end->begins) {
            vck_socket_send_all_init(&end->call, end->socket, &end->number, 4);
            VCK_CO_AWAIT(&end->co, &end->call.call.future, waker);
            assert_ok(end->call.io.status);
        }
        end->begins = true;
        vck_socket_recv_exact_init(&end->call, end->socket, &end->number, 4);
        end->call.call.deadline_ns = vck_clock_ns() + 60000 * MS;
        VCK_CO_AWAIT(&end->co, &end->call.call.future, waker);
        if (end->call.io.status)
            break;
        end->number++;
        if (end->number % 7 == 0) {
            vck_sleep_init(&end->nap, MS / 10);
            VCK_CO_AWAIT(&end->co, &end->nap.future, waker);
        }
    }
    vck_socket_close_init(&end->call, end->socket);
    VCK_CO_AWAIT(&end->co, &end->call.call.future, waker);
    VCK_CO_END(&end->co);
}

static void spawn_end(struct world *world, struct end *end, struct vck_socket *socket, bool begins)
{
    *end = (struct end){.future = {.poll = end_poll}, .socket = socket, .begins = begins};
    vck_task_init(&end->task, &end->future);
    assert_ok(vck_executor_spawn(world->executor, &end->task, &end->join));
}

/* The connections are made with blocking calls on this thread, the executor completes them. */
static void sockets_and_timers_share_the_worker(void **state) VCK_CAN_WAIT
{
    (void)state;
    static struct end ends[2 * PAIRS];
    struct world world = begin_world();
    for (int i = 0; i < PAIRS; i++) {
        struct vck_socket *a;
        struct vck_socket *b;
        connected_pair(world.network, i % 2 ? VCK_ADDRESS_IPV4 : NET_TEST_IPV6, &a, &b);
        spawn_end(&world, &ends[2 * i], a, true);
        spawn_end(&world, &ends[2 * i + 1], b, false);
    }
    for (int i = 0; i < 2 * PAIRS; i++) {
        vck_block_on(&ends[i].join.future);
        assert_ok(ends[i].join.status);
        assert_true(ends[i].number >= ROUNDS - 1);
    }
    assert_int_equal(vck_network_socket_count(world.network), 0);
    end_world(&world);
}

/* ---- tasks that wait in vain ---- */

struct waiting {
    struct vck_future future;
    struct vck_coroutine co;
    struct vck_task task;
    struct vck_task_join join;
    struct vck_socket *socket;
    struct vck_socket_call call;
    char got;
};

static enum vck_poll waiting_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct waiting *w = VCK_CONTAINER_OF(self, struct waiting, future);

    VCK_CO_BEGIN(&w->co);
    vck_socket_recv_init(&w->call, w->socket, &w->got, 1);
    VCK_CO_AWAIT(&w->co, &w->call.call.future, waker);
    VCK_CO_END(&w->co);
}

static void waiting_drop(struct vck_future *self)
{
    struct waiting *w = VCK_CONTAINER_OF(self, struct waiting, future);

    if (w->co.resume_at != 0)
        vck_future_drop(&w->call.call.future);
}

/* Cancelled one by one, then by the end of the executor; the sockets are as they were. */
static void cancelling_a_task_withdraws_its_call(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct waiting waiting[8];
    struct world world = begin_world();
    struct vck_socket *client;
    struct vck_socket *server;
    connected_pair(world.network, VCK_ADDRESS_IPV4, &client, &server);
    for (int i = 0; i < 8; i++) {
        waiting[i] = (struct waiting){.future = {.poll = waiting_poll, .drop = waiting_drop},
                                      .socket = server};
        vck_task_init(&waiting[i].task, &waiting[i].future);
        assert_ok(vck_executor_spawn(world.executor, &waiting[i].task, &waiting[i].join));
    }
    for (int i = 0; i < 4; i++) {
        vck_task_join_cancel(&waiting[i].join);
        vck_block_on(&waiting[i].join.future);
        assert_status(waiting[i].join.status, VCK_CANCELLED);
    }
    vck_executor_shutdown(world.executor);
    for (int i = 4; i < 8; i++) {
        vck_block_on(&waiting[i].join.future);
        assert_status(waiting[i].join.status, VCK_CANCELLED);
    }
    assert_ok(vck_socket_send_all(client, "x", 1));
    vck_socket_close(client);
    vck_socket_close(server);
    end_world(&world);
}

/* ---- misuse ---- */

static void poll_after_ready(void) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct vck_network *network = NULL;
    struct vck_socket_call call;
    (void)!vck_network_create(&(struct vck_network_options){.flags = VCK_NETWORK_DRIVEN}, &network);
    (void)!vck_network_start(network);
    vck_socket_get_option_init(&call, tcp(network, VCK_ADDRESS_IPV4),
                               VCK_SOCKET_RECV_TIMEOUT_NS); /* done at once */
    (void)vck_future_poll(&call.call.future, &vck_waker_noop);
    (void)vck_future_poll(&call.call.future, &vck_waker_noop);
}

static void a_call_polled_after_ready_stops_the_program(void **state)
{
    (void)state;
    expect_abort(poll_after_ready, "CALL_IN_FLIGHT");
}

static void block_at_dispatch(void) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct vck_network *network = NULL;
    struct vck_spinlock lock;
    (void)!vck_network_create(NULL, &network);
    vck_spinlock_init(&lock);
    vck_spinlock_acquire(&lock);
    (void)!vck_network_start(network);
}

static void starting_above_passive_stops_the_program(void **state)
{
    (void)state;
    expect_abort(block_at_dispatch, "called at DISPATCH");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* These fork, before there are threads. */
        cmocka_unit_test(a_call_polled_after_ready_stops_the_program),
        cmocka_unit_test(starting_above_passive_stops_the_program),
        cmocka_unit_test(sockets_and_timers_share_the_worker),
        cmocka_unit_test(cancelling_a_task_withdraws_its_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
