/* SPDX-License-Identifier: Apache-2.0 */
#include "net_test.h"
#include <stdlib.h>
#include "vck/combine.h"
#include "vck/socket_span.h"

#define PIECES_MAX 100
#define BYTES_MAX  (PIECES_MAX * 3000)

/* A chain over one flat buffer, split at random, with pieces of no bytes in it. */
struct split {
    struct vck_descriptor descriptors[PIECES_MAX];
    uint8_t data[BYTES_MAX];
    size_t bytes;
};

static void split_at_random(struct split *split)
{
    size_t count = 1 + (size_t)rand() % PIECES_MAX;
    split->bytes = 0;
    for (size_t i = 0; i < count; i++) {
        size_t size = rand() % 4 == 0 ? 0 : (size_t)rand() % 3000;
        vck_descriptor_init(&split->descriptors[i], split->data + split->bytes, (uint32_t)size);
        split->descriptors[i].next = i + 1 < count ? &split->descriptors[i + 1] : NULL;
        split->bytes += size;
    }
}

static struct split from;
static struct split to;

/* Sent from one split, received into another; both ends are spans somewhere in their chains. */
static void chains_arrive_as_they_were_sent(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *client;
    struct vck_socket *server;
    connected_pair(network, VCK_ADDRESS_IPV4, &client, &server);
    srand(5);
    for (int round = 0; round < 100; round++) {
        struct vck_socket_span_call send;
        struct vck_socket_span_call recv;
        struct vck_join both;
        split_at_random(&from);
        split_at_random(&to);
        for (size_t i = 0; i < from.bytes; i++)
            from.data[i] = (uint8_t)rand();
        memset(to.data, 0, sizeof(to.data));
        size_t size = VCK_MIN(from.bytes, to.bytes);
        size_t skip = size > 0 ? (size_t)rand() % size : 0;
        vck_socket_send_span_init(&send, client, vck_span_of(from.descriptors, skip, size - skip));
        vck_socket_recv_span_init(&recv, server, vck_span_of(to.descriptors, skip, size - skip));
        vck_join_init(&both, (struct vck_future *[]){&send.future, &recv.future}, 2);
        vck_block_on(&both.future);
        assert_ok(recv.status);
        assert_ok(send.status);
        assert_int_equal(send.done_bytes, size - skip);
        assert_memory_equal(to.data + skip, from.data + skip, size - skip);
        for (size_t i = 0; i < to.bytes; i++)
            if (i < skip || i >= size)
                assert_int_equal(to.data[i], 0);
    }
    vck_socket_close(client);
    vck_socket_close(server);
    end_network(network, live);
}

static void a_chain_shorter_than_its_span_is_told(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *client;
    struct vck_socket *server;
    struct vck_descriptor one;
    char got[4];
    connected_pair(network, VCK_ADDRESS_IPV4, &client, &server);
    static char abc[] = "abc";
    vck_descriptor_init(&one, abc, 3);
    assert_status(vck_socket_send_span(client, vck_span_of(&one, 0, 4)), VCK_OUT_OF_RANGE);
    assert_ok(vck_socket_recv_exact(server, got, 3));
    assert_ok(vck_socket_send_span(client, vck_span_of(NULL, 0, 0)));
    vck_socket_close(client);
    /* The stream ends before the span is full. */
    vck_descriptor_init(&one, got, 4);
    assert_status(vck_socket_recv_span(server, vck_span_of_chain(&one)), VCK_OUT_OF_RANGE);
    vck_socket_close(server);
    end_network(network, live);
}

static void a_span_call_can_be_dropped_and_run_out_of_time(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_socket *client;
    struct vck_socket *server;
    struct vck_descriptor one;
    struct vck_socket_span_call recv;
    char got[4];
    connected_pair(network, VCK_ADDRESS_IPV4, &client, &server);
    vck_descriptor_init(&one, got, 4);
    vck_socket_recv_span_init(&recv, server, vck_span_of_chain(&one));
    assert_int_equal(vck_future_poll(&recv.future, &vck_waker_noop), VCK_PENDING);
    vck_future_drop(&recv.future);
    vck_socket_recv_span_init(&recv, server, vck_span_of_chain(&one));
    recv.deadline_ns = vck_clock_ns() + MS;
    vck_block_on(&recv.future);
    assert_status(recv.status, VCK_TIMEOUT);
    vck_socket_close(client);
    vck_socket_close(server);
    end_network(network, live);
}

static void a_datagram_takes_one_span(void **state) VCK_CAN_WAIT
{
    (void)state;
    size_t live = vck_alloc_live_count();
    struct vck_network *network = started_network();
    struct vck_address address;
    struct vck_address unused;
    struct vck_socket *a = udp(network, VCK_ADDRESS_IPV4, &unused);
    struct vck_socket *b = udp(network, VCK_ADDRESS_IPV4, &address);
    struct vck_descriptor pieces[3];
    struct vck_socket_buffer buffers[3];
    struct vck_socket_call call;
    char got[16];
    size_t size_bytes = 0;
    static char head[] = "head";
    static char body[] = "body";
    vck_descriptor_init(&pieces[0], head, 4);
    vck_descriptor_init(&pieces[1], NULL, 0);
    vck_descriptor_init(&pieces[2], body, 4);
    pieces[0].next = &pieces[1];
    pieces[1].next = &pieces[2];
    vck_socket_send_to_init(&call, a, &address, NULL, 0);
    assert_status(vck_socket_call_set_span(&call, vck_span_of_chain(pieces), buffers, 1),
                  VCK_SIZE_MISMATCH);
    assert_status(vck_socket_call_set_span(&call, vck_span_of(pieces, 0, 9), buffers, 3),
                  VCK_OUT_OF_RANGE);
    assert_ok(vck_socket_call_set_span(&call, vck_span_of(pieces, 1, 6), buffers, 3));
    assert_ok(finish_call(&call));
    assert_ok(vck_socket_recv_from(b, got, sizeof(got), &size_bytes, NULL));
    assert_int_equal(size_bytes, 6);
    assert_memory_equal(got, "eadbod", 6);
    vck_socket_close(a);
    vck_socket_close(b);
    end_network(network, live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_arrive_as_they_were_sent),
        cmocka_unit_test(a_chain_shorter_than_its_span_is_told),
        cmocka_unit_test(a_span_call_can_be_dropped_and_run_out_of_time),
        cmocka_unit_test(a_datagram_takes_one_span),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
