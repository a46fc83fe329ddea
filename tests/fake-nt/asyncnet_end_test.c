/* SPDX-License-Identifier: Apache-2.0 */
/* How what asyncnet.sys does ends before its time: IRPs cancelled, handles closed, the network
 * stopped and the driver unloaded, at any moment. */
#include "asyncnet_fixture.h"

#define MANY 1000u

static int set_up(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = calloc(1, sizeof(*f));

    asyncnet_begin(f);
    assert_int_equal(asyncnet_load_driver(f), STATUS_SUCCESS);
    assert_int_equal(asyncnet_open(f, &f->file), STATUS_SUCCESS);
    assert_int_equal(asyncnet_do(f, ASYNCNET_START), 0);
    *state = f;
    return 0;
}

/* The driver is gone, and so is everything it had. */
static int tear_down(void **state) VCK_NO_ANALYSIS
{
    asyncnet_end(*state);
    free(*state);
    return 0;
}

static void unload(struct asyncnet_fixture *f) VCK_CAN_WAIT
{
    asyncnet_close(f, &f->file);
    asyncnet_unload_driver(f);
}

static void await_accepted(const struct server *server, uint64_t count) VCK_CAN_WAIT
{
    while (server_accepted(server) < count)
        vck_thread_yield();
}

static void send_load(struct asyncnet_fixture *f, struct fake_call *call, uint32_t code,
                      uint64_t connections, uint64_t concurrency,
                      struct server *server) VCK_CAN_WAIT
{
    const struct message_load load = asyncnet_load(connections, concurrency, server_port(server));

    asyncnet_send(f, call, &f->file, code, &message_load, &load, sizeof(call->buffer));
}

static void await_cancelled(struct fake_call *call) VCK_CAN_WAIT
{
    assert_int_equal(call->returned, STATUS_PENDING);
    assert_int_equal(fake_call_await(call), (uint32_t)STATUS_CANCELLED);
}

/* ---- IRPs cancelled ---- */

static void a_load_is_cancelled(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    struct server *server = server_start(SERVER_STALLS);
    struct fake_call *call = calloc(1, sizeof(*call));

    send_load(f, call, ASYNCNET_LOAD, MANY, MANY, server);
    await_accepted(server, MANY);
    assert_int_equal(asyncnet_status(f).jobs, 1);
    assert_int_equal(asyncnet_status(f).sockets, MANY);
    (void)IoCancelIrp(call->irp);
    await_cancelled(call);
    unload(f);
    server_stop(server);
    free(call);
}

static void threads_are_cancelled(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    struct server *server = server_start(SERVER_STALLS);
    struct fake_call *call = calloc(1, sizeof(*call));

    send_load(f, call, ASYNCNET_THREADS, MANY, 10, server);
    await_accepted(server, 10);
    (void)IoCancelIrp(call->irp);
    await_cancelled(call);
    unload(f);
    server_stop(server);
    free(call);
}

static void timers_are_cancelled(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    const struct message_timers timers = {.count = 10000, .span_ms = 3600000};
    struct fake_call *call = calloc(1, sizeof(*call));

    asyncnet_send(f, call, &f->file, ASYNCNET_TIMERS, &message_timers, &timers,
                  sizeof(call->buffer));
    (void)IoCancelIrp(call->irp);
    await_cancelled(call);
    unload(f);
    free(call);
}

/* At every point of its way: answered once, one way or the other. */
static void cancel_races(struct asyncnet_fixture *f, uint32_t code, unsigned rounds) VCK_CAN_WAIT
{
    struct server *server = server_start(SERVER_ANSWERS);
    struct fake_call *call = calloc(1, sizeof(*call));
    unsigned answered = 0;

    call->keeps_irp = true;
    for (unsigned i = 0; i < rounds; i++) {
        uint32_t status;

        send_load(f, call, code, 3, 3, server);
        for (unsigned turns = i % 60; turns > 0; turns--)
            vck_thread_yield();
        (void)IoCancelIrp(call->irp);
        status = fake_call_await(call);
        IoFreeIrp(call->irp);
        assert_true(status == 0 || status == (uint32_t)STATUS_CANCELLED);
        answered += status == 0;
    }
    print_message("# %u of %u were answered before\n", answered, rounds);
    server_stop(server);
    free(call);
}

static void cancel_meets_the_end(void **state) VCK_NO_ANALYSIS
{
    cancel_races(*state, ASYNCNET_LOAD, 1000);
    cancel_races(*state, ASYNCNET_THREADS, 500);
    unload(*state);
}

/* Who sends a request may have given it up before the driver sees it. */
static void cancelled_before(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    struct server *server = server_start(SERVER_STALLS);
    struct fake_call *call = calloc(1, sizeof(*call));

    call->comes_cancelled = true;
    send_load(f, call, ASYNCNET_LOAD, 10, 10, server);
    await_cancelled(call);
    unload(f);
    server_stop(server);
    free(call);
}

static void a_closed_handle_cancels(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    struct server *server = server_start(SERVER_STALLS);
    struct fake_call *calls = calloc(2, sizeof(*calls));

    send_load(f, &calls[0], ASYNCNET_LOAD, 10, 10, server);
    send_load(f, &calls[1], ASYNCNET_THREADS, 10, 10, server);
    await_accepted(server, 20);
    unload(f);
    await_cancelled(&calls[0]);
    await_cancelled(&calls[1]);
    server_stop(server);
    free(calls);
}

/* ---- the network stopped under load ---- */

/* What is asked for while the network is stopped fails at once: the load may end any time. */
static void await_accepted_or_end(struct asyncnet_fixture *f, const struct server *server,
                                  uint64_t count) VCK_CAN_WAIT
{
    while (server_accepted(server) < count && asyncnet_status(f).jobs != 0)
        vck_thread_yield();
}

static void stopped_under_load(struct asyncnet_fixture *f, uint32_t code,
                               uint64_t concurrency) VCK_CAN_WAIT
{
    struct server *server = server_start(SERVER_MIXES);
    struct fake_call *call = calloc(1, sizeof(*call));
    struct asyncnet_result *got = calloc(1, sizeof(*got));

    send_load(f, call, code, 2000, concurrency, server);
    for (uint64_t i = 1; i < 20; i++) {
        await_accepted_or_end(f, server, i * 4);
        assert_int_equal(asyncnet_do(f, ASYNCNET_STOP), 0);
        assert_int_equal(asyncnet_status(f).sockets, 0);
        assert_int_equal(asyncnet_do(f, ASYNCNET_START), 0);
        if (asyncnet_status(f).jobs == 0)
            break;
    }
    assert_int_equal(asyncnet_do(f, ASYNCNET_STOP), 0);
    assert_int_equal(fake_call_await(call), 0);
    asyncnet_read_result(call, got);
    assert_int_equal(got->result.replies + got->result.failures, 2000);
    assert_true(got->errors[VCK_CANCELLED] > 0 || got->errors[VCK_NOT_READY] > 0);
    assert_int_equal(asyncnet_do(f, ASYNCNET_START), 0);
    server_stop(server);
    free(call);
    free(got);
}

static void the_network_stops_under_load(void **state) VCK_NO_ANALYSIS
{
    stopped_under_load(*state, ASYNCNET_LOAD, 100);
    stopped_under_load(*state, ASYNCNET_THREADS, 10);
    unload(*state);
}

/* ---- unload ---- */

/* The IRP was answered when the load had begun. */
static void unload_with_a_thousand_requests(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    struct server *server = server_start(SERVER_STALLS);
    struct message_load load = asyncnet_load(100 * MANY, MANY, server_port(server));
    struct fake_call *call = calloc(1, sizeof(*call));

    load.is_background = true;
    assert_int_equal(asyncnet_request(f, call, ASYNCNET_LOAD, &message_load, &load), 0);
    load.concurrency = 10;
    assert_int_equal(asyncnet_request(f, call, ASYNCNET_THREADS, &message_threads, &load), 0);
    assert_int_equal(asyncnet_request(f, call, ASYNCNET_ECHO_START, NULL, NULL), 0);
    await_accepted(server, MANY + 10);
    assert_int_equal(asyncnet_status(f).jobs, 3);
    unload(f);
    server_stop(server);
    free(call);
}

/* A driver that is unloaded with IRPs under way answers each of them. */
static void unload_with_a_thousand_irps(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    struct server *server = server_start(SERVER_STALLS);
    struct fake_call *calls = calloc(MANY, sizeof(*calls));

    for (unsigned i = 0; i < MANY; i++)
        send_load(f, &calls[i], ASYNCNET_LOAD, 1, 1, server);
    await_accepted(server, MANY);
    assert_int_equal(asyncnet_major(f, &f->file, IRP_MJ_CLOSE), STATUS_SUCCESS);
    asyncnet_unload_driver(f);
    for (unsigned i = 0; i < MANY; i++)
        await_cancelled(&calls[i]);
    server_stop(server);
    free(calls);
}

/* Loaded, used and unloaded, with something under way each time. */
static void a_hundred_cycles(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    struct server *server = server_start(SERVER_ANSWERS);
    struct message_load load = asyncnet_load(1000000, 8, server_port(server));
    struct fake_call *call = calloc(1, sizeof(*call));

    load.is_background = true;
    for (int i = 0; i < 100; i++) {
        uint32_t code = i % 4 == 3 ? ASYNCNET_THREADS : ASYNCNET_LOAD;

        assert_int_equal(asyncnet_request(f, call, code, &message_load, &load), 0);
        for (int turns = i; turns > 0; turns--)
            vck_thread_yield();
        unload(f);
        assert_int_equal(vck_alloc_live_count(), f->live);
        assert_int_equal(asyncnet_load_driver(f), STATUS_SUCCESS);
        assert_int_equal(asyncnet_open(f, &f->file), STATUS_SUCCESS);
        assert_int_equal(asyncnet_do(f, ASYNCNET_START), 0);
    }
    unload(f);
    server_stop(server);
    free(call);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_load_is_cancelled),
        TEST(threads_are_cancelled),
        TEST(timers_are_cancelled),
        TEST(cancel_meets_the_end),
        TEST(cancelled_before),
        TEST(a_closed_handle_cancels),
        TEST(the_network_stops_under_load),
        TEST(unload_with_a_thousand_requests),
        TEST(unload_with_a_thousand_irps),
        TEST(a_hundred_cycles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
