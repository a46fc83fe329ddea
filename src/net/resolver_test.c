/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, with a resolver of the test's own in place of the system's: it is slow, or fails, on
 * demand.
 */
#include "net_test.h"
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <netinet/in.h>

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int waiting_at_gate;
static int answers_due; /* begun by getaddrinfo, not yet freed */

static void set_gate(bool open)
{
    pthread_mutex_lock(&gate_lock);
    gate_open = open;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

static void pass_gate(void)
{
    pthread_mutex_lock(&gate_lock);
    waiting_at_gate++;
    pthread_cond_broadcast(&gate_changed);
    while (!gate_open)
        pthread_cond_wait(&gate_changed, &gate_lock);
    waiting_at_gate--;
    pthread_mutex_unlock(&gate_lock);
}

static void await_askers(int count)
{
    pthread_mutex_lock(&gate_lock);
    while (waiting_at_gate != count)
        pthread_cond_wait(&gate_changed, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

static void change_answers_due(int difference)
{
    pthread_mutex_lock(&gate_lock);
    answers_due += difference;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

/* A cancelled question's thread drops its answer when it comes, after the network's end too. */
static void await_no_answers(void)
{
    pthread_mutex_lock(&gate_lock);
    while (answers_due != 0)
        pthread_cond_wait(&gate_changed, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

static struct addrinfo *answer(int family, struct addrinfo *next)
{
    struct {
        struct addrinfo info;
        struct sockaddr_storage address;
    } *one = calloc(1, sizeof(*one));
    assert_non_null(one);
    one->info.ai_family = family;
    one->info.ai_addr = (struct sockaddr *)&one->address;
    one->info.ai_next = next;
    one->address.ss_family = (sa_family_t)family;
    if (family == AF_INET6)
        ((struct sockaddr_in6 *)&one->address)->sin6_addr = in6addr_loopback;
    else if (family == AF_INET)
        ((struct sockaddr_in *)&one->address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return &one->info;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_answers)
{
    assert_null(service);
    if (strcmp(host, "missing.test") == 0)
        return EAI_NONAME;
    if (strcmp(host, "later.test") == 0)
        return EAI_AGAIN;
    if (strcmp(host, "broken.test") == 0)
        return EAI_FAIL;
    if (strcmp(host, "memory.test") == 0)
        return EAI_MEMORY;
    change_answers_due(1);
    if (strcmp(host, "slow.test") == 0)
        pass_gate();
    *ret_answers = NULL;
    if (hints->ai_family != AF_INET6)
        *ret_answers = answer(AF_INET, *ret_answers);
    if (hints->ai_family != AF_INET)
        *ret_answers = answer(AF_INET6, *ret_answers);
    *ret_answers = answer(AF_UNIX, *ret_answers); /* to be passed over */
    return 0;
}

void freeaddrinfo(struct addrinfo *answers)
{
    while (answers) {
        struct addrinfo *next = answers->ai_next;
        free(answers);
        answers = next;
    }
    change_answers_due(-1);
}

static vck_status ask(struct vck_network *network, const char *host, struct vck_address *addresses,
                      uint32_t capacity, uint32_t *ret_count) VCK_CAN_WAIT
{
    return vck_resolve_host(network, host, 80, VCK_ADDRESS_NONE, VCK_FOREVER, addresses, capacity,
                            ret_count);
}

static void names_give_addresses_with_the_port(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_address addresses[4];
    uint32_t count = 0;
    assert_ok(ask(network, "good.test", addresses, 4, &count));
    assert_int_equal(count, 2);
    assert_true(vck_address_is_equal(&addresses[0],
                                     &(struct vck_address){VCK_ADDRESS_IPV6, 80, 0, {[15] = 1}}));
    assert_true(vck_address_is_equal(
        &addresses[1], &(struct vck_address){VCK_ADDRESS_IPV4, 80, 0, {127, 0, 0, 1}}));
    assert_ok(ask(network, "good.test", addresses, 1, &count));
    assert_int_equal(count, 1);
    assert_ok(vck_resolve_host(network, "good.test", 9, VCK_ADDRESS_IPV4, VCK_FOREVER, addresses, 4,
                               &count));
    assert_int_equal(count, 1);
    assert_int_equal(addresses[0].family, VCK_ADDRESS_IPV4);
    end_network(network, live);
    await_no_answers();
}

static void an_address_is_its_own_answer(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_address address;
    uint32_t count = 0;
    assert_ok(ask(network, "192.0.2.7", &address, 1, &count));
    assert_int_equal(count, 1);
    assert_int_equal(address.bytes[3], 7);
    assert_ok(ask(network, "2001:db8::7", &address, 1, &count));
    assert_int_equal(address.bytes[15], 7);
    assert_status(vck_resolve_host(network, "192.0.2.7", 1, VCK_ADDRESS_IPV6, VCK_FOREVER, &address,
                                   1, &count),
                  VCK_NOT_FOUND);
    end_network(network, live);
}

static void a_resolver_that_fails_says_how(void **state) VCK_CAN_WAIT
{
    (void)state;
    static const struct {
        const char *host;
        vck_status status;
        int native_error;
    } cases[] = {
        {"missing.test", VCK_NOT_FOUND, EAI_NONAME},
        {"later.test", VCK_UNREACHABLE, EAI_AGAIN},
        {"broken.test", VCK_IO, EAI_FAIL},
        {"memory.test", VCK_NO_MEMORY, EAI_MEMORY},
    };
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        struct vck_address address = {.port = 7};
        struct vck_resolve resolve;
        vck_resolve_init(&resolve, network, cases[i].host, 1, VCK_ADDRESS_NONE, &address, 1);
        vck_block_on(&resolve.call.future);
        assert_status(resolve.io.status, cases[i].status);
        assert_native_error(resolve.io.native_error, cases[i].native_error);
        assert_int_equal(address.port, 7);
    }
    end_network(network, live);
}

/* More questions than threads: some wait in the queue, some in the resolver. */
#define MANY 6

static void begin_slow(struct vck_network *network, struct vck_resolve resolves[MANY],
                       struct vck_address *addresses)
{
    for (int i = 0; i < MANY; i++) {
        vck_resolve_init(&resolves[i], network, "slow.test", 1, VCK_ADDRESS_NONE, addresses, 1);
        assert_int_equal(vck_future_poll(&resolves[i].call.future, &vck_waker_noop), VCK_PENDING);
    }
    await_askers(4);
}

static void cancelling_detaches_the_question(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_resolve resolves[MANY];
    struct vck_address address;
    uint32_t count = 0;
    set_gate(false);
    begin_slow(network, resolves, &address);
    for (int i = 0; i < MANY; i += 2) {
        vck_network_call_cancel(&resolves[i].call);
        vck_network_call_cancel(&resolves[i].call);
        vck_block_on(&resolves[i].call.future);
        assert_status(resolves[i].io.status, VCK_CANCELLED);
        vck_future_drop(&resolves[i + 1].call.future);
    }
    memset(resolves, 0xa5, sizeof(resolves));
    set_gate(true);
    assert_ok(ask(network, "slow.test", &address, 1, &count));
    end_network(network, live);
    await_no_answers();
}

static void a_slow_resolver_is_given_up(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_address address;
    uint32_t count = 0;
    set_gate(false);
    assert_status(
        vck_resolve_host(network, "slow.test", 1, VCK_ADDRESS_NONE, 3 * MS, &address, 1, &count),
        VCK_TIMEOUT);
    set_gate(true);
    end_network(network, live);
    await_no_answers();
}

static void stopping_cancels_questions(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_resolve resolves[MANY];
    struct vck_address address;
    set_gate(false);
    begin_slow(network, resolves, &address);
    vck_network_stop(network);
    for (int i = 0; i < MANY; i++) {
        vck_block_on(&resolves[i].call.future);
        assert_status(resolves[i].io.status, VCK_CANCELLED);
    }
    set_gate(true);
    end_network(network, live);
    await_no_answers();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_give_addresses_with_the_port),
        cmocka_unit_test(an_address_is_its_own_answer),
        cmocka_unit_test(a_resolver_that_fails_says_how),
        cmocka_unit_test(cancelling_detaches_the_question),
        cmocka_unit_test(a_slow_resolver_is_given_up),
        cmocka_unit_test(stopping_cancels_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
