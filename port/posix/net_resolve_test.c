/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names whose server does not answer. The test stands in front of the C library's resolver.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include "port/sockets.h"
#include "vck/bytes.h"

static struct vck_event server_asked, server_answers, answer_given;

/* As where nobody answers: until the test says so. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **answers) VCK_NO_ANALYSIS
{
    __typeof__(getaddrinfo) *real;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(host, "dead.example") != 0)
        return real(host, service, hints, answers);
    vck_event_set(&server_asked);
    (void)vck_event_wait(&server_answers, VCK_FOREVER);
    vck_event_set(&answer_given);
    return EAI_AGAIN;
}

struct asked {
    struct vck_resolve_io io;
    struct vck_event done;
    struct vck_address address;
};

static void on_answer(struct vck_resolve_io *io)
{
    vck_event_set(&VCK_CONTAINER_OF(io, struct asked, io)->done);
}

static void ask(struct vck_sockets *stack, const char *host, struct asked *asked)
{
    *asked = (struct asked){.io = {.host = host, .capacity = 1, .done = on_answer}};
    asked->io.addresses = &asked->address;
    vck_event_init(&asked->done);
    vck_sockets_resolve(stack, &asked->io);
}

static vck_status answer(struct asked *asked) VCK_CAN_WAIT
{
    (void)vck_event_wait(&asked->done, VCK_FOREVER);
    vck_event_fini(&asked->done);
    return asked->io.status;
}

static struct vck_sockets *open_stack(void) VCK_CAN_WAIT
{
    struct vck_sockets *stack = NULL;
    assert_int_equal(vck_sockets_open(&stack, NULL), VCK_OK);
    return stack;
}

static int begin(void **state)
{
    (void)state;
    vck_event_init(&server_asked);
    vck_event_init(&server_answers);
    vck_event_init(&answer_given);
    return 0;
}

static void a_stack_closes_while_the_resolver_waits(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_sockets *stack = open_stack();
    struct asked dead, other;
    size_t live = vck_alloc_live_count();
    ask(stack, "dead.example", &dead);
    (void)vck_event_wait(&server_asked, VCK_FOREVER);
    vck_sockets_resolve_cancel(stack, &dead.io);
    assert_int_equal(answer(&dead), VCK_CANCELLED);
    ask(stack, "localhost", &other);
    assert_int_equal(answer(&other), VCK_OK);
    vck_sockets_close(stack);
    assert_true(vck_alloc_live_count() < live);
    vck_event_set(&server_answers);
    (void)vck_event_wait(&answer_given, VCK_FOREVER);
}

static void an_answer_that_is_wanted_is_waited_for(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_sockets *stack = open_stack();
    struct asked dead;
    ask(stack, "dead.example", &dead);
    (void)vck_event_wait(&server_asked, VCK_FOREVER);
    vck_event_set(&server_answers);
    assert_int_equal(answer(&dead), VCK_UNREACHABLE);
    vck_sockets_close(stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_stack_closes_while_the_resolver_waits, begin),
        cmocka_unit_test_setup(an_answer_that_is_wanted_is_waited_for, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
