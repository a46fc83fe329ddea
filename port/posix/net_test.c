/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The port's sockets below the core: levels, order, waking, and how often the system is called. The
 * test counts by standing in front of the C library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "port/sockets.h"
#include "vck/bytes.h"

/* ---- calls of the system, counted ---- */

enum call { SOCKET, CONNECT, SEND, RECV, EPOLL_CTL, EPOLL_WAIT, WRITE, CLOSE, CALL_COUNT };
static unsigned calls[CALL_COUNT];

static long count(enum call call, long result)
{
    __atomic_fetch_add(&calls[call], 1, __ATOMIC_RELAXED);
    return result;
}

int socket(int domain, int type, int protocol)
{
    return (int)count(SOCKET, syscall(SYS_socket, domain, type, protocol));
}

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
    return (int)count(CONNECT, syscall(SYS_connect, fd, address, size));
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    return count(SEND, syscall(SYS_sendto, fd, data, size, flags, NULL, 0));
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
    return count(RECV, syscall(SYS_recvfrom, fd, data, size, flags, NULL, NULL));
}

int epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
    return (int)count(EPOLL_CTL, syscall(SYS_epoll_ctl, epoll_fd, op, fd, event));
}

int epoll_wait(int epoll_fd, struct epoll_event *events, int capacity, int timeout_ms)
{
    return (int)count(EPOLL_WAIT,
                      syscall(SYS_epoll_pwait, epoll_fd, events, capacity, timeout_ms, NULL, 8));
}

ssize_t write(int fd, const void *data, size_t size)
{
    return count(WRITE, syscall(SYS_write, fd, data, size));
}

int close(int fd)
{
    return (int)count(CLOSE, syscall(SYS_close, fd));
}

/* ---- a stack, and ios that note their completion ---- */

struct noted {
    struct vck_socket_io io;
    struct vck_socket_buffer buffer;
    vck_level level;
    unsigned order; /* 0: not done */
    bool is_done;
};

static unsigned done_count;

static void on_done(struct vck_socket_io *io)
{
    struct noted *noted = VCK_CONTAINER_OF(io, struct noted, io);
    noted->level = vck_current_level();
    noted->order = ++done_count;
    __atomic_store_n(&noted->is_done, true, __ATOMIC_RELEASE);
}

static struct noted *note(struct noted *noted, enum vck_socket_op op, void *data, size_t size_bytes)
{
    *noted =
        (struct noted){.io = {.op = (uint8_t)op, .done = on_done}, .buffer = {data, size_bytes}};
    if (data != NULL) {
        noted->io.buffers = &noted->buffer;
        noted->io.buffer_count = 1;
    }
    return noted;
}

static void run(struct vck_sockets *stack, struct vck_port_socket *s,
                struct noted *noted) VCK_CAN_WAIT
{
    vck_sockets_submit(s, &noted->io);
    while (!__atomic_load_n(&noted->is_done, __ATOMIC_ACQUIRE))
        vck_sockets_wait(stack, VCK_FOREVER);
}

static struct vck_sockets *open_stack(void) VCK_CAN_WAIT
{
    struct vck_sockets *stack = NULL;
    int32_t native_error;
    assert_int_equal(vck_sockets_open(&stack, &native_error), VCK_OK);
    assert_true(vck_sockets_is_driven(stack));
    return stack;
}

static void open_socket(struct vck_sockets *stack, struct vck_port_socket *s) VCK_CAN_WAIT
{
    int32_t native_error;
    assert_int_equal(
        vck_sockets_socket(stack, VCK_ADDRESS_IPV4, VCK_SOCKET_STREAM, s, &native_error), VCK_OK);
}

static void close_socket(struct vck_sockets *stack, struct vck_port_socket *s) VCK_CAN_WAIT
{
    struct noted noted;
    run(stack, s, note(&noted, VCK_SOCKET_CLOSE, NULL, 0));
    assert_int_equal(noted.io.status, VCK_OK);
}

static struct vck_address listen_on(struct vck_sockets *stack,
                                    struct vck_port_socket *s) VCK_CAN_WAIT
{
    struct noted noted;
    open_socket(stack, s);
    note(&noted, VCK_SOCKET_BIND, NULL, 0);
    noted.io.address = (struct vck_address){.family = VCK_ADDRESS_IPV4, .bytes = {127, 0, 0, 1}};
    run(stack, s, &noted);
    note(&noted, VCK_SOCKET_LISTEN, NULL, 0);
    noted.io.u.value = 64;
    run(stack, s, &noted);
    run(stack, s, note(&noted, VCK_SOCKET_LOCAL_ADDRESS, NULL, 0));
    assert_int_equal(noted.io.status, VCK_OK);
    return noted.io.address;
}

struct pair {
    struct vck_port_socket listener;
    struct vck_port_socket client;
    struct vck_port_socket server;
};

/* A connection whose first data is "ask" and which the server has read. */
static void connect_pair(struct vck_sockets *stack, struct pair *pair) VCK_CAN_WAIT
{
    static char data[] = "ask";
    struct noted noted;
    struct vck_address address = listen_on(stack, &pair->listener);
    open_socket(stack, &pair->client);
    note(&noted, VCK_SOCKET_CONNECT, data, 3);
    noted.io.flags = VCK_SOCKET_ALL;
    noted.io.address = address;
    run(stack, &pair->client, &noted);
    assert_int_equal(noted.io.status, VCK_OK);
    assert_int_equal(noted.io.done_bytes, 3);
    run(stack, &pair->listener, note(&noted, VCK_SOCKET_ACCEPT, NULL, 0));
    assert_int_equal(noted.io.status, VCK_OK);
    vck_sockets_adopt(stack, noted.io.u.accepted, &pair->server);
    char got[8];
    run(stack, &pair->server, note(&noted, VCK_SOCKET_RECV, got, sizeof(got)));
    assert_int_equal(noted.io.done_bytes, 3);
}

static void close_pair(struct vck_sockets *stack, struct pair *pair) VCK_CAN_WAIT
{
    close_socket(stack, &pair->client);
    close_socket(stack, &pair->server);
    close_socket(stack, &pair->listener);
}

/* ---- tests ---- */

static void a_connection_takes_six_system_calls(void **state) VCK_CAN_WAIT
{
    (void)state;
    static char data[] = "reply";
    struct vck_sockets *stack = open_stack();
    struct pair pair;
    struct noted recv;
    struct noted send;
    char got[16];
    connect_pair(stack, &pair); /* the array of descriptors is there now */
    close_pair(stack, &pair);
    connect_pair(stack, &pair);
    memset(calls, 0, sizeof(calls));
    struct vck_port_socket client;
    struct vck_port_socket server;
    /* Only the client's calls count: the server's are taken off again. */
    struct noted connect;
    struct noted accept;
    struct noted name;
    run(stack, &pair.listener, note(&name, VCK_SOCKET_LOCAL_ADDRESS, NULL, 0));
    open_socket(stack, &client);
    note(&connect, VCK_SOCKET_CONNECT, data, 5);
    connect.io.address = name.io.address;
    vck_sockets_submit(&client, &connect.io);
    assert_true(connect.is_done);
    assert_int_equal(connect.io.status, VCK_OK);
    note(&recv, VCK_SOCKET_RECV, got, sizeof(got));
    vck_sockets_submit(&client, &recv.io);
    assert_false(recv.is_done);
    unsigned before_server[CALL_COUNT];
    memcpy(before_server, calls, sizeof(calls));
    run(stack, &pair.listener, note(&accept, VCK_SOCKET_ACCEPT, NULL, 0));
    vck_sockets_adopt(stack, accept.io.u.accepted, &server);
    char asked[8];
    run(stack, &server, note(&send, VCK_SOCKET_RECV, asked, sizeof(asked)));
    run(stack, &server, note(&send, VCK_SOCKET_SEND, data, 5));
    close_socket(stack, &server);
    memcpy(calls, before_server, sizeof(calls));
    while (!recv.is_done)
        vck_sockets_wait(stack, VCK_FOREVER);
    assert_int_equal(recv.io.done_bytes, 5);
    /* The end arrived with the data: nobody has to ask for it. */
    run(stack, &client, note(&recv, VCK_SOCKET_RECV, got, sizeof(got)));
    assert_int_equal(recv.io.status, VCK_OK);
    assert_int_equal(recv.io.done_bytes, 0);
    close_socket(stack, &client);
    static const unsigned expected[CALL_COUNT] = {
        [SOCKET] = 1, [CONNECT] = 1, [SEND] = 1,       [EPOLL_CTL] = 1,
        [RECV] = 1,   [CLOSE] = 1,   [EPOLL_WAIT] = 1, /* shared by all that are ready */
    };
    for (int i = 0; i < CALL_COUNT; i++)
        assert_int_equal(calls[i], expected[i]);
    close_pair(stack, &pair);
    vck_sockets_close(stack);
}

static void completion_is_at_dispatch_and_the_level_returns(void **state) VCK_CAN_WAIT
{
    (void)state;
    static char data[] = "x";
    struct vck_sockets *stack = open_stack();
    struct pair pair;
    struct noted recv;
    struct noted send;
    char got[4];
    connect_pair(stack, &pair);
    vck_sockets_submit(&pair.client, &note(&recv, VCK_SOCKET_RECV, got, 4)->io);
    run(stack, &pair.server, note(&send, VCK_SOCKET_SEND, data, 1));
    assert_int_equal(send.level, VCK_LEVEL_DISPATCH);
    while (!recv.is_done)
        vck_sockets_wait(stack, VCK_FOREVER);
    assert_int_equal(recv.level, VCK_LEVEL_DISPATCH);
    assert_int_equal(vck_current_level(), VCK_LEVEL_PASSIVE);
    close_pair(stack, &pair);
    vck_sockets_close(stack);
}

/* A socket that has nothing is not asked again until the system has said so. */
static void what_is_drained_is_not_tried_again(void **state) VCK_CAN_WAIT
{
    (void)state;
    static char data[] = "12345678";
    struct vck_sockets *stack = open_stack();
    struct pair pair;
    struct noted recv;
    struct noted send;
    char got[16];
    connect_pair(stack, &pair);
    vck_sockets_submit(&pair.client, &note(&recv, VCK_SOCKET_RECV, got, sizeof(got))->io);
    run(stack, &pair.server, note(&send, VCK_SOCKET_SEND, data, 8));
    while (!recv.is_done)
        vck_sockets_wait(stack, VCK_FOREVER);
    unsigned before = calls[RECV];
    vck_sockets_submit(&pair.client, &note(&recv, VCK_SOCKET_RECV, got, 4)->io);
    assert_int_equal(calls[RECV], before);
    run(stack, &pair.server, note(&send, VCK_SOCKET_SEND, data, 8));
    while (!recv.is_done)
        vck_sockets_wait(stack, VCK_FOREVER);
    assert_int_equal(calls[RECV], before + 1);
    assert_int_equal(recv.io.done_bytes, 4);
    /* That read was full, so there may be more. */
    run(stack, &pair.client, note(&recv, VCK_SOCKET_RECV, got, sizeof(got)));
    assert_int_equal(recv.io.done_bytes, 4);
    assert_int_equal(calls[RECV], before + 2);
    close_pair(stack, &pair);
    vck_sockets_close(stack);
}

/* A reset that comes in one event with data in front of it is reported behind the data. */
static void a_reset_behind_data_is_not_overlooked(void **state) VCK_CAN_WAIT
{
    (void)state;
    static char data[] = "data";
    for (int exact = 0; exact < 2; exact++) {
        struct vck_sockets *stack = open_stack();
        struct pair pair;
        struct noted recv;
        struct noted send;
        char got[16];
        connect_pair(stack, &pair);
        note(&recv, VCK_SOCKET_RECV, got, sizeof(got));
        recv.io.flags = exact ? VCK_SOCKET_ALL : 0;
        vck_sockets_submit(&pair.client, &recv.io);
        run(stack, &pair.client, note(&send, VCK_SOCKET_SEND, data, 4));
        run(stack, &pair.server, note(&send, VCK_SOCKET_SEND, data, 4));
        close_socket(stack, &pair.server); /* with data unread: a reset */
        while (!recv.is_done)
            vck_sockets_wait(stack, VCK_FOREVER);
        assert_int_equal(recv.io.done_bytes, 4);
        assert_int_equal(recv.io.status, exact ? VCK_RESET : VCK_OK);
        if (!exact) {
            run(stack, &pair.client, note(&recv, VCK_SOCKET_RECV, got, sizeof(got)));
            assert_int_equal(recv.io.status, VCK_RESET);
        }
        close_socket(stack, &pair.client);
        close_socket(stack, &pair.listener);
        vck_sockets_close(stack);
    }
}

/* Urgent data splits reads: a short one behind it is not taken for the end. */
static void urgent_data_does_not_hide_what_follows(void **state) VCK_CAN_WAIT
{
    (void)state;
    static char data[] = "before";
    struct vck_sockets *stack = open_stack();
    struct pair pair;
    struct noted recv;
    struct noted send;
    char got[32];
    size_t total = 0;
    connect_pair(stack, &pair);
    vck_sockets_submit(&pair.client, &note(&recv, VCK_SOCKET_RECV, got, 1)->io);
    run(stack, &pair.server, note(&send, VCK_SOCKET_SEND, data, 6));
    while (!recv.is_done)
        vck_sockets_wait(stack, VCK_FOREVER);
    /* The descriptor is the highest: the server's was opened last. */
    int fd = dup(STDERR_FILENO) - 1;
    close(fd + 1);
    assert_int_equal(syscall(SYS_sendto, fd, "!", 1, MSG_OOB, NULL, 0), 1);
    run(stack, &pair.server, note(&send, VCK_SOCKET_SEND, data, 6));
    close_socket(stack, &pair.server);
    vck_sockets_poll(stack);
    do {
        run(stack, &pair.client, note(&recv, VCK_SOCKET_RECV, got, sizeof(got)));
        assert_int_equal(recv.io.status, VCK_OK);
        total += recv.io.done_bytes;
    } while (recv.io.done_bytes > 0);
    assert_int_equal(total, 5 + 6);
    close_socket(stack, &pair.client);
    close_socket(stack, &pair.listener);
    vck_sockets_close(stack);
}

static void a_wake_calls_the_system_only_for_a_sleeper(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_sockets *stack = open_stack();
    unsigned before = calls[WRITE];
    vck_sockets_wake(stack);
    vck_sockets_wake(stack);
    vck_sockets_wait(stack, VCK_FOREVER);
    assert_int_equal(calls[WRITE], before);
    uint64_t deadline_ns = vck_clock_ns() + 2000000;
    while (vck_clock_ns() < deadline_ns)
        vck_sockets_wait(stack, deadline_ns);
    assert_int_equal(calls[WRITE], before);
    vck_sockets_close(stack);
}

struct sleeper {
    struct vck_sockets *stack;
    uint32_t returned;
    uint32_t stop;
};

static void sleep_again_and_again(void *context) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct sleeper *sleeper = context;
    while (!__atomic_load_n(&sleeper->stop, __ATOMIC_ACQUIRE)) {
        vck_sockets_wait(sleeper->stack, VCK_FOREVER);
        __atomic_fetch_add(&sleeper->returned, 1, __ATOMIC_RELEASE);
    }
}

static void every_wake_ends_a_wait(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct sleeper sleeper = {.stack = open_stack()};
    struct vck_thread *thread;
    assert_int_equal(
        vck_thread_create(sleep_again_and_again, &sleeper, VCK_THREAD_NORMAL, "sleeper", &thread),
        VCK_OK);
    for (int i = 0; i < 2000; i++) {
        uint32_t before = __atomic_load_n(&sleeper.returned, __ATOMIC_ACQUIRE);
        vck_sockets_wake(sleeper.stack);
        while (__atomic_load_n(&sleeper.returned, __ATOMIC_ACQUIRE) == before)
            vck_thread_yield();
    }
    __atomic_store_n(&sleeper.stop, 1, __ATOMIC_RELEASE);
    vck_sockets_wake(sleeper.stack);
    vck_thread_join(thread);
    vck_sockets_close(sleeper.stack);
}

/* ---- the system's own resolver ---- */

struct asked {
    struct vck_resolve_io io;
    struct vck_event done;
};

static void on_answer(struct vck_resolve_io *io)
{
    vck_event_set(&VCK_CONTAINER_OF(io, struct asked, io)->done);
}

static vck_status ask(struct vck_sockets *stack, const char *host,
                      struct vck_address *address) VCK_CAN_WAIT
{
    struct asked asked = {
        .io = {.host = host, .port = 7, .addresses = address, .capacity = 1, .done = on_answer}};
    vck_event_init(&asked.done);
    vck_sockets_resolve(stack, &asked.io);
    (void)vck_event_wait(&asked.done, VCK_FOREVER);
    vck_event_fini(&asked.done);
    return asked.io.status;
}

static void the_system_knows_itself_and_not_everybody(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_sockets *stack = open_stack();
    struct vck_address address;
    assert_int_equal(ask(stack, "localhost", &address), VCK_OK);
    assert_int_equal(address.port, 7);
    assert_true(address.family == VCK_ADDRESS_IPV4 || address.family == VCK_ADDRESS_IPV6);
    assert_int_equal(ask(stack, "a name with spaces", &address), VCK_NOT_FOUND);
    vck_sockets_close(stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_takes_six_system_calls),
        cmocka_unit_test(completion_is_at_dispatch_and_the_level_returns),
        cmocka_unit_test(what_is_drained_is_not_tried_again),
        cmocka_unit_test(a_reset_behind_data_is_not_overlooked),
        cmocka_unit_test(urgent_data_does_not_hide_what_follows),
        cmocka_unit_test(a_wake_calls_the_system_only_for_a_sleeper),
        cmocka_unit_test(every_wake_ends_a_wait),
        cmocka_unit_test(the_system_knows_itself_and_not_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
