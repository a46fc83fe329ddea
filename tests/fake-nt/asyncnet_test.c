/* SPDX-License-Identifier: Apache-2.0 */
/* What asyncnet.sys does for those who ask: loads by tasks and threads, timers, the echo server. */
#include "asyncnet_fixture.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "port/nt/security.h"

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

static int tear_down(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;

    asyncnet_close(f, &f->file);
    asyncnet_unload_driver(f);
    asyncnet_end(f);
    free(f);
    return 0;
}

/* ---- up and down ---- */

static void load_with_failures(bool of_memory) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = calloc(1, sizeof(*f));

    asyncnet_begin(f);
    fake_driver_load_with_failures(&f->driver, ASYNCNET_SERVICE, of_memory);
    asyncnet_end(f);
    free(f);
}

static void load_without_memory(void **state)
{
    (void)state;
    load_with_failures(true);
}

static void load_without_the_system(void **state)
{
    (void)state;
    load_with_failures(false);
}

static void closed_until_secured(void **state)
{
    struct asyncnet_fixture *f = *state;
    uint8_t descriptor[VCK_SECURITY_DESCRIPTOR_BYTES];

    vck_security_descriptor_build(descriptor);
    assert_memory_equal(fake_system.descriptor, descriptor, sizeof(descriptor));
    assert_false(fake_system.was_open_when_secured);
    assert_true(f->driver.DeviceObject->Characteristics & FILE_DEVICE_SECURE_OPEN);
    assert_false(f->driver.DeviceObject->Flags & DO_DEVICE_INITIALIZING);
}

static void starts_and_stops(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;

    for (int i = 0; i < 20; i++) {
        assert_true(asyncnet_status(f).is_started);
        assert_int_equal(asyncnet_do(f, ASYNCNET_START), vck_status_to_nt(VCK_ALREADY_EXISTS));
        assert_int_equal(asyncnet_do(f, ASYNCNET_STOP), 0);
        assert_false(asyncnet_status(f).is_started);
        assert_int_equal(asyncnet_do(f, ASYNCNET_STOP), vck_status_to_nt(VCK_NOT_READY));
        assert_string_equal(asyncnet_last_error(f).text, "the network is not started");
        assert_int_equal(asyncnet_do(f, ASYNCNET_LOAD), vck_status_to_nt(VCK_NOT_READY));
        assert_int_equal(asyncnet_do(f, ASYNCNET_START), 0);
    }
}

/* ---- requests that are refused ---- */

static void refused(struct asyncnet_fixture *f, uint32_t code, const struct message_shape *shape,
                    const void *message, const char *why) VCK_CAN_WAIT
{
    struct fake_call *call = calloc(1, sizeof(*call));

    assert_int_equal(asyncnet_request(f, call, code, shape, message),
                     vck_status_to_nt(VCK_INVALID_DATA));
    assert_string_equal(asyncnet_last_error(f).text, why);
    assert_int_equal(asyncnet_status(f).jobs_begun, 0);
    free(call);
}

static void says_what_is_wrong(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    struct message_load load = asyncnet_load(1, 1, 80);
    struct message_timers timers = {.count = 0};
    struct message_echo echo = {.address = "localhost"};

    load.connections = 0;
    refused(f, ASYNCNET_LOAD, &message_load, &load,
            "connections is not a number from 1 to 1000000000");
    load.connections = 1;
    load.concurrency = 65;
    refused(f, ASYNCNET_THREADS, &message_load, &load, "concurrency is not a number from 1 to 64");
    load.concurrency = 1;
    load.port = 65536;
    refused(f, ASYNCNET_LOAD, &message_load, &load, "port is not a number from 1 to 65535");
    load.port = 80;
    strcpy(load.path, "/ HTTP/1.1\r\nX: y");
    refused(f, ASYNCNET_LOAD, &message_load, &load,
            "path is not a / and printable characters without spaces");
    strcpy(load.path, "/");
    strcpy(load.address, "300.1.1.1");
    refused(f, ASYNCNET_LOAD, &message_load, &load,
            "address is 300.1.1.1, which is not an IPv4 or IPv6 address");
    refused(f, ASYNCNET_TIMERS, &message_timers, &timers,
            "count is not a number from 1 to 1000000");
    assert_int_equal(asyncnet_status(f).echo_port, 0);
    refused(f, ASYNCNET_ECHO_START, &message_echo, &echo,
            "address is localhost, which is not an IPv4 or IPv6 address");
    assert_int_equal(asyncnet_do(f, ASYNCNET_ECHO_STOP), vck_status_to_nt(VCK_NOT_READY));
    assert_string_equal(asyncnet_last_error(f).text, "the echo server is not running");
    assert_int_equal(asyncnet_do(f, 0x0022e7fc), vck_status_to_nt(VCK_UNSUPPORTED));
    assert_string_equal(asyncnet_last_error(f).text, "there is no such request");
}

static void other_majors(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    struct file_object below = {0};

    for (UCHAR major = 0; major <= IRP_MJ_MAXIMUM_FUNCTION; major++) {
        if (major == IRP_MJ_CREATE || major == IRP_MJ_CLOSE || major == IRP_MJ_CLEANUP ||
            major == IRP_MJ_DEVICE_CONTROL)
            continue;
        assert_int_equal(asyncnet_major(f, &f->file, major), STATUS_INVALID_DEVICE_REQUEST);
    }
    assert_int_equal(asyncnet_major(f, NULL, IRP_MJ_CREATE), STATUS_INVALID_PARAMETER);
    assert_int_equal(asyncnet_major(f, NULL, IRP_MJ_DEVICE_CONTROL), STATUS_INVALID_HANDLE);
    assert_int_equal(asyncnet_major(f, NULL, IRP_MJ_CLEANUP), STATUS_SUCCESS);
    assert_int_equal(asyncnet_major(f, NULL, IRP_MJ_CLOSE), STATUS_SUCCESS);
    RtlInitUnicodeString(&below.FileName, L"\\below");
    assert_int_equal(asyncnet_major(f, &below, IRP_MJ_CREATE), STATUS_OBJECT_NAME_NOT_FOUND);
}

/* An answer that does not fit is none. */
static void nothing_is_truncated(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));
    const struct message_timers timers = {.count = 10};

    for (uint32_t room = 0; room < 64; room += 7) {
        memset(call->buffer, 0xee, sizeof(call->buffer));
        asyncnet_send(f, call, &f->file, ASYNCNET_TIMERS, &message_timers, &timers, room);
        assert_int_equal(fake_call_await(call), VCK_NT_BUFFER_TOO_SMALL);
    }
    asyncnet_send(f, call, &f->file, ASYNCNET_ECHO_START, NULL, NULL, 20);
    assert_int_equal(fake_call_await(call), VCK_NT_BUFFER_TOO_SMALL);
    assert_int_equal(asyncnet_status(f).jobs, 0);
    free(call);
}

/* ---- loads ---- */

static void run_load(struct asyncnet_fixture *f, uint32_t code, const struct message_load *load,
                     struct asyncnet_result *ret_result) VCK_CAN_WAIT
{
    struct fake_call *call = calloc(1, sizeof(*call));
    const struct message_shape *shape = code == ASYNCNET_LOAD ? &message_load : &message_threads;

    assert_int_equal(asyncnet_request(f, call, code, shape, load), 0);
    assert_int_equal(call->returned, STATUS_PENDING);
    asyncnet_read_result(call, ret_result);
    free(call);
}

static void answered(struct asyncnet_fixture *f, uint32_t code, uint64_t connections,
                     uint64_t concurrency) VCK_CAN_WAIT
{
    struct server *server = server_start(SERVER_ANSWERS);
    struct message_load load = asyncnet_load(connections, concurrency, server_port(server));
    struct asyncnet_result *got = calloc(1, sizeof(*got));

    run_load(f, code, &load, got);
    assert_int_equal(got->result.connections, connections);
    assert_int_equal(got->result.replies, connections);
    assert_int_equal(got->result.failures, 0);
    assert_int_equal(got->codes[200], connections);
    assert_int_equal(server_accepted(server), connections);
    assert_int_equal(asyncnet_status(f).replies, connections);
    assert_int_equal(asyncnet_status(f).jobs, 0);
    server_stop(server);
    free(got);
}

static void ten_thousand_by_tasks(void **state) VCK_NO_ANALYSIS
{
    answered(*state, ASYNCNET_LOAD, 10000, 256);
}

static void by_ten_threads(void **state) VCK_NO_ANALYSIS
{
    answered(*state, ASYNCNET_THREADS, 1000, 10);
}

struct bad_server {
    enum server_fate fate;
    vck_status expected;
};

static void badly_treated(struct asyncnet_fixture *f, uint32_t code) VCK_CAN_WAIT
{
    static const struct bad_server cases[] = {
        {SERVER_RESETS, VCK_RESET},
        {SERVER_STALLS, VCK_TIMEOUT},
        {SERVER_HALF_CLOSES, VCK_OUT_OF_RANGE},
    };
    struct asyncnet_result *got = calloc(1, sizeof(*got));
    struct message_load load;
    uint16_t port;
    int fd;

    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        struct server *server = server_start(cases[i].fate);

        load = asyncnet_load(20, 10, server_port(server));
        if (cases[i].expected == VCK_TIMEOUT)
            load.timeout_ms = 100;
        run_load(f, code, &load, got);
        assert_int_equal(got->result.failures, 20);
        assert_int_equal(got->errors[cases[i].expected], 20);
        server_stop(server);
    }
    fd = server_bind_only(&port);
    load = asyncnet_load(20, 10, port);
    run_load(f, code, &load, got);
    close(fd);
    assert_int_equal(got->errors[VCK_REFUSED], 20);
    assert_int_equal(asyncnet_status(f).failures, 80);
    free(got);
}

static void tasks_badly_treated(void **state) VCK_NO_ANALYSIS
{
    badly_treated(*state, ASYNCNET_LOAD);
}

static void threads_badly_treated(void **state) VCK_NO_ANALYSIS
{
    badly_treated(*state, ASYNCNET_THREADS);
}

static void tried_again(void **state) VCK_NO_ANALYSIS
{
    struct server *server = server_start(SERVER_MIXES);
    struct message_load load = asyncnet_load(500, 50, server_port(server));
    struct asyncnet_result *got = calloc(1, sizeof(*got));

    load.retries = 100;
    load.timeout_ms = 1000;
    run_load(*state, ASYNCNET_LOAD, &load, got);
    assert_int_equal(got->result.replies, 500);
    assert_int_equal(got->result.failures, 0);
    assert_true(got->errors[VCK_RESET] > 0 && got->errors[VCK_TIMEOUT] > 0);
    assert_int_equal(got->result.retried, got->errors[VCK_RESET] + got->errors[VCK_TIMEOUT]);
    server_stop(server);
    free(got);
}

static void await_jobs(struct asyncnet_fixture *f) VCK_CAN_WAIT
{
    while (asyncnet_status(f).jobs > 0)
        vck_thread_yield();
}

static void in_the_background(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    struct server *server = server_start(SERVER_ANSWERS);
    struct message_load load = asyncnet_load(200, 20, server_port(server));
    struct fake_call *call = calloc(1, sizeof(*call));

    load.is_background = true;
    assert_int_equal(asyncnet_request(f, call, ASYNCNET_LOAD, &message_load, &load), 0);
    assert_int_equal(call->returned, 0);
    assert_int_equal(call->information, 0);
    load.concurrency = 4;
    assert_int_equal(asyncnet_request(f, call, ASYNCNET_THREADS, &message_threads, &load), 0);
    await_jobs(f);
    assert_int_equal(asyncnet_status(f).replies, 400);
    server_stop(server);
    free(call);
}

/* A request for which memory runs out fails, or does what it could; nothing is left of it. */
static void without_memory(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    struct server *server = server_start(SERVER_ANSWERS);
    struct message_load load = asyncnet_load(3, 2, server_port(server));
    struct fake_call *call = calloc(1, sizeof(*call));

    for (uint32_t code = ASYNCNET_LOAD; code <= ASYNCNET_THREADS; code += 4)
        for (uint64_t nth = 1; nth < 40; nth++) {
            uint32_t status;

            vck_alloc_fail_nth(nth);
            asyncnet_send(f, call, &f->file, code, &message_load, &load, sizeof(call->buffer));
            status = fake_call_await(call);
            vck_alloc_fail_nth(0);
            await_jobs(f);
            assert_true(status == 0 || status == vck_status_to_nt(VCK_NO_MEMORY));
        }
    server_stop(server);
    free(call);
}

/* ---- timers ---- */

static void a_hundred_thousand_timers(void **state) VCK_NO_ANALYSIS
{
    static const struct message_timers all[] = {
        {.count = 100000, .span_ms = 300}, {.count = 1000, .span_ms = 0}, {.count = 1}};
    struct fake_call *call = calloc(1, sizeof(*call));
    struct message_timers_result result;
    char fault[MESSAGE_TEXT_BYTES] = "";

    for (size_t i = 0; i < VCK_ARRAY_COUNT(all); i++) {
        assert_int_equal(asyncnet_request(*state, call, ASYNCNET_TIMERS, &message_timers, &all[i]),
                         0);
        assert_int_equal(message_decode(&message_timers_result,
                                        (struct vck_bytes){call->buffer, call->information},
                                        &result, fault),
                         VCK_OK);
        assert_int_equal(result.expired, all[i].count);
        assert_int_equal(result.early, 0);
        assert_int_equal(result.out_of_order, 0);
    }
    assert_int_equal(asyncnet_status(*state).timers, 101001);
    free(call);
}

/* ---- the echo server ---- */

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static uint16_t start_echo(struct asyncnet_fixture *f, uint16_t port) VCK_CAN_WAIT
{
    struct fake_call *call = calloc(1, sizeof(*call));
    struct message_echo echo = {.address = "127.0.0.1", .port = port};
    char fault[MESSAGE_TEXT_BYTES] = "";

    assert_int_equal(asyncnet_request(f, call, ASYNCNET_ECHO_START, &message_echo, &echo), 0);
    assert_int_equal(message_decode(&message_echo,
                                    (struct vck_bytes){call->buffer, call->information}, &echo,
                                    fault),
                     VCK_OK);
    free(call);
    assert_true(echo.port > 0);
    return (uint16_t)echo.port;
}

static void converse(int fd, size_t size_bytes)
{
    char out[512];
    char in[512];

    for (size_t done = 0; done < size_bytes; done += sizeof(out)) {
        memset(out, (int)(done / 512), sizeof(out));
        assert_int_equal(send(fd, out, sizeof(out), MSG_NOSIGNAL), sizeof(out));
        assert_int_equal(recv(fd, in, sizeof(in), MSG_WAITALL), sizeof(in));
        assert_memory_equal(in, out, sizeof(in));
    }
}

static void echoes(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));
    uint16_t port = start_echo(f, 0);
    char byte;
    int fds[20];

    assert_int_equal(asyncnet_request(f, call, ASYNCNET_ECHO_START, NULL, NULL),
                     vck_status_to_nt(VCK_ALREADY_EXISTS));
    free(call);
    for (int i = 0; i < 20; i++)
        fds[i] = connect_to(port);
    for (int i = 0; i < 20; i++)
        converse(fds[i], 51200);
    assert_int_equal(asyncnet_status(f).echo_accepted, 20);
    assert_int_equal(asyncnet_status(f).echo_open, 20);
    /* Counted when they have been sent. */
    while (asyncnet_status(f).echo_bytes < 20 * 51200)
        vck_thread_yield();
    assert_int_equal(asyncnet_status(f).echo_bytes, 20 * 51200);
    assert_int_equal(asyncnet_status(f).echo_port, port);
    for (int i = 0; i < 10; i++) {
        shutdown(fds[i], SHUT_WR);
        assert_int_equal(recv(fds[i], &byte, 1, 0), 0);
    }
    assert_int_equal(asyncnet_do(f, ASYNCNET_ECHO_STOP), 0);
    assert_true(recv(fds[19], &byte, 1, 0) <= 0);
    for (int i = 0; i < 20; i++)
        close(fds[i]);
    assert_int_equal(start_echo(f, port), port);
    assert_int_equal(asyncnet_do(f, ASYNCNET_ECHO_STOP), 0);
}

/* The server ends with the network. */
static void echo_without_network(void **state) VCK_NO_ANALYSIS
{
    struct asyncnet_fixture *f = *state;
    int fd = connect_to(start_echo(f, 0));
    char byte;

    converse(fd, 512);
    assert_int_equal(asyncnet_do(f, ASYNCNET_STOP), 0);
    await_jobs(f);
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
    assert_int_equal(asyncnet_status(f).echo_port, 0);
    assert_int_equal(asyncnet_do(f, ASYNCNET_START), 0);
    (void)start_echo(f, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(load_without_memory),
        cmocka_unit_test(load_without_the_system),
        TEST(closed_until_secured),
        TEST(starts_and_stops),
        TEST(says_what_is_wrong),
        TEST(other_majors),
        TEST(nothing_is_truncated),
        TEST(ten_thousand_by_tasks),
        TEST(by_ten_threads),
        TEST(tasks_badly_treated),
        TEST(threads_badly_treated),
        TEST(tried_again),
        TEST(in_the_background),
        TEST(without_memory),
        TEST(a_hundred_thousand_timers),
        TEST(echoes),
        TEST(echo_without_network),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
