/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/channel.h"
#include "vck/combine.h"
#include "vck/timeout.h"
#include "sync_test.h"

static void count_drop(void *context, void *element)
{
    uint32_t *dropped = context;
    *dropped = *dropped * 100 + *(uint32_t *)element;
}

struct fixture {
    struct vck_channel channel;
    uint32_t ring[3];
    uint32_t dropped; /* the dropped elements as two digits each */
    struct wakes sender;
    struct wakes receiver;
};

/* Two places. */
static void set_up(struct fixture *f)
{
    *f = (struct fixture){.dropped = 0};
    vck_channel_init(&f->channel, f->ring, sizeof(f->ring[0]), 2, count_drop, &f->dropped);
}

static vck_status try_send(struct fixture *f, uint32_t element)
{
    return vck_channel_try_send(&f->channel, &element);
}

static int receive_now(struct fixture *f)
{
    uint32_t element = 0;
    vck_status status = vck_channel_try_receive(&f->channel, &element);

    return status == VCK_OK ? (int)element : -(int)status;
}

static void bounded_elements_come_in_order_and_a_full_one_is_busy(void **state)
{
    (void)state;
    struct fixture f;

    set_up(&f);
    assert_int_equal(receive_now(&f), -VCK_BUSY);
    for (uint32_t i = 1; i < 90; i += 2) {
        assert_int_equal(try_send(&f, i), VCK_OK);
        assert_int_equal(try_send(&f, i + 1), VCK_OK);
        assert_int_equal(try_send(&f, 99), VCK_BUSY);
        assert_int_equal(receive_now(&f), i);
        assert_int_equal(receive_now(&f), i + 1);
        /* Shifts the ring by one. */
        assert_int_equal(try_send(&f, 0), VCK_OK);
        assert_int_equal(receive_now(&f), 0);
    }
}

static void waiting_senders_are_served_in_order_and_not_overtaken(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t elements[3] = {13, 14, 15};
    struct vck_channel_send sends[3];

    set_up(&f);
    assert_int_equal(try_send(&f, 11), VCK_OK);
    assert_int_equal(try_send(&f, 12), VCK_OK);
    for (int i = 0; i < 3; i++) {
        vck_channel_send_init(&sends[i], &f.channel, &elements[i]);
        assert_pending(&sends[i].future, &f.sender);
        assert_pending(&sends[i].future, &f.sender);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(receive_now(&f), 11 + i);
        assert_int_equal(woken(&f.sender), 1);
        assert_int_equal(try_send(&f, 99), VCK_BUSY);
        assert_ready(&sends[i].future, &f.sender);
        assert_int_equal(sends[i].status, VCK_OK);
    }
    assert_int_equal(receive_now(&f), 14);
    assert_int_equal(receive_now(&f), 15);
    assert_int_equal(receive_now(&f), -VCK_BUSY);
    assert_int_equal(f.sender.live, 0);
}

static void a_waiting_receiver_is_woken(void **state)
{
    (void)state;
    struct fixture f;
    struct vck_channel_receive receive;
    struct wakes other = {0, 0};
    uint32_t element = 0;

    set_up(&f);
    vck_channel_receive_init(&receive, &f.channel, &element);
    assert_pending(&receive.future, &other);
    assert_pending(&receive.future, &f.receiver);
    assert_int_equal(try_send(&f, 21), VCK_OK);
    assert_int_equal(try_send(&f, 22), VCK_OK);
    assert_int_equal(woken(&other), 0);
    assert_int_equal(woken(&f.receiver), 1);
    assert_ready(&receive.future, &f.receiver);
    assert_int_equal(element, 21);
    assert_int_equal(receive_now(&f), 22);
    assert_int_equal(f.receiver.live + other.live, 0);
}

/* Dropped before its first poll, waiting, and after its element went in. */
static void a_dropped_send_is_sent_or_not_and_says_so(void **state)
{
    (void)state;
    for (int point = 0; point < 3; point++) {
        struct fixture f;
        uint32_t elements[2] = {33, 34};
        struct vck_channel_send first;
        struct vck_channel_send second;

        set_up(&f);
        assert_int_equal(try_send(&f, 31), VCK_OK);
        assert_int_equal(try_send(&f, 32), VCK_OK);
        vck_channel_send_init(&first, &f.channel, &elements[0]);
        vck_channel_send_init(&second, &f.channel, &elements[1]);
        if (point > 0)
            assert_pending(&first.future, &f.sender);
        assert_pending(&second.future, &f.sender);
        if (point == 2)
            assert_int_equal(receive_now(&f), 31);
        vck_future_drop(&first.future);
        assert_int_equal(first.status, point == 2 ? VCK_OK : VCK_CANCELLED);
        elements[0] = 0;
        if (point < 2)
            assert_int_equal(receive_now(&f), 31);
        assert_int_equal(receive_now(&f), 32);
        assert_int_equal(receive_now(&f), point == 2 ? 33 : 34);
        assert_ready(&second.future, &f.sender);
        if (point == 2)
            assert_int_equal(receive_now(&f), 34);
        assert_int_equal(receive_now(&f), -VCK_BUSY);
        assert_int_equal(f.sender.live, 0);
    }
}

static void a_dropped_receive_loses_no_element(void **state)
{
    (void)state;
    for (int point = 0; point < 3; point++) {
        struct fixture f;
        struct vck_channel_receive receive;
        uint32_t element = 77;

        set_up(&f);
        vck_channel_receive_init(&receive, &f.channel, &element);
        if (point > 0)
            assert_pending(&receive.future, &f.receiver);
        if (point > 1)
            assert_int_equal(try_send(&f, 41), VCK_OK);
        vck_future_drop(&receive.future);
        if (point <= 1)
            assert_int_equal(try_send(&f, 41), VCK_OK);
        assert_int_equal(woken(&f.receiver), point > 1 ? 1 : 0);
        assert_int_equal(f.receiver.live, 0);
        assert_int_equal(element, 77);
        assert_int_equal(receive_now(&f), 41);
    }
}

static void the_last_sender_gone_wakes_the_receiver(void **state)
{
    (void)state;
    struct fixture f;
    struct vck_channel_receive receive;
    uint32_t element = 0;

    set_up(&f);
    vck_channel_add_sender(&f.channel);
    vck_channel_receive_init(&receive, &f.channel, &element);
    assert_pending(&receive.future, &f.receiver);
    vck_channel_drop_sender(&f.channel);
    assert_int_equal(woken(&f.receiver), 0);
    vck_channel_drop_sender(&f.channel);
    assert_int_equal(woken(&f.receiver), 1);
    assert_ready(&receive.future, &f.receiver);
    assert_int_equal(receive.status, VCK_DELETED);
    assert_int_equal(f.receiver.live, 0);
}

static void close_refuses_senders_that_wait_and_keeps_what_is_in(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t elements[2] = {53, 54};
    struct vck_channel_send sends[2];

    set_up(&f);
    assert_int_equal(try_send(&f, 51), VCK_OK);
    assert_int_equal(try_send(&f, 52), VCK_OK);
    for (int i = 0; i < 2; i++) {
        vck_channel_send_init(&sends[i], &f.channel, &elements[i]);
        assert_pending(&sends[i].future, &f.sender);
    }
    vck_channel_close(&f.channel);
    assert_int_equal(woken(&f.sender), 2);
    assert_ready(&sends[0].future, &f.sender);
    assert_int_equal(sends[0].status, VCK_DELETED);
    /* The other is dropped after its answer. */
    vck_future_drop(&sends[1].future);
    assert_int_equal(sends[1].status, VCK_CANCELLED);
    assert_int_equal(try_send(&f, 55), VCK_DELETED);
    assert_int_equal(receive_now(&f), 51);
    assert_int_equal(receive_now(&f), 52);
    assert_int_equal(receive_now(&f), -VCK_DELETED);
    assert_int_equal(f.sender.live, 0);
}

static void elements_never_received_go_to_the_drop_callback(void **state)
{
    (void)state;
    struct fixture f;

    set_up(&f);
    assert_int_equal(try_send(&f, 1), VCK_OK);
    assert_int_equal(try_send(&f, 61), VCK_OK);
    assert_int_equal(receive_now(&f), 1);
    assert_int_equal(try_send(&f, 62), VCK_OK);
    vck_channel_drop_receiver(&f.channel);
    assert_int_equal(f.dropped, 6162);
    assert_int_equal(try_send(&f, 63), VCK_DELETED);
    vck_channel_drop_sender(&f.channel);
    assert_int_equal(f.dropped, 6162);
}

static void a_created_one_goes_with_its_last_end(void **state)
{
    (void)state;
    size_t live = vck_alloc_live_count();

    for (int order = 0; order < 2; order++) {
        struct vck_channel *channel = NULL;
        uint64_t element = 7;
        assert_int_equal(vck_channel_create(sizeof(element), 100, NULL, NULL, &channel), VCK_OK);
        for (int i = 0; i < 100; i++)
            assert_int_equal(vck_channel_try_send(channel, &element), VCK_OK);
        assert_int_equal(vck_channel_try_send(channel, &element), VCK_BUSY);
        if (order)
            vck_channel_drop_receiver(channel);
        assert_int_equal(vck_alloc_live_count(), live + 1);
        vck_channel_drop_sender(channel);
        if (!order)
            vck_channel_drop_receiver(channel);
        assert_int_equal(vck_alloc_live_count(), live);
    }
}

static void creation_that_cannot_be_fails_and_touches_nothing(void **state)
{
    (void)state;
    struct vck_channel *channel = NULL;

    vck_alloc_fail_nth(1);
    assert_int_equal(vck_channel_create(4, 4, NULL, NULL, &channel), VCK_NO_MEMORY);
    vck_alloc_fail_nth(0);
    assert_int_equal(vck_channel_create(0, 4, NULL, NULL, &channel), VCK_OUT_OF_RANGE);
    assert_int_equal(vck_channel_create(4, 0, NULL, NULL, &channel), VCK_OUT_OF_RANGE);
    assert_int_equal(vck_channel_create(SIZE_MAX / 8, 9, NULL, NULL, &channel), VCK_OUT_OF_RANGE);
    assert_int_equal(vck_channel_create(2, SIZE_MAX / 2, NULL, NULL, &channel), VCK_OUT_OF_RANGE);
    assert_null(channel);
}

static void blocking_ends_time_out(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct fixture f;
    uint32_t element = 71;
    uint32_t got = 0;

    set_up(&f);
    assert_int_equal(vck_channel_receive_until(&f.channel, vck_clock_ns() + 1000000, &got),
                     VCK_TIMEOUT);
    assert_int_equal(vck_channel_send_until(&f.channel, &element, VCK_FOREVER), VCK_OK);
    element = 72;
    assert_int_equal(vck_channel_send_until(&f.channel, &element, 0), VCK_OK);
    element = 73;
    assert_int_equal(vck_channel_send_until(&f.channel, &element, vck_clock_ns() + 1000000),
                     VCK_TIMEOUT);
    assert_int_equal(vck_channel_receive_until(&f.channel, VCK_FOREVER, &got), VCK_OK);
    assert_int_equal(got, 71);
    assert_int_equal(vck_channel_receive_until(&f.channel, 0, &got), VCK_OK);
    assert_int_equal(got, 72);
    vck_channel_close(&f.channel);
    assert_int_equal(vck_channel_receive_until(&f.channel, VCK_FOREVER, &got), VCK_DELETED);
    assert_int_equal(vck_channel_send_until(&f.channel, &element, VCK_FOREVER), VCK_DELETED);
}

static void select_over_two_channels_leaves_the_losers_element(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct fixture a;
    struct fixture b;
    struct vck_channel_receive from_a;
    struct vck_channel_receive from_b;
    struct vck_future *futures[2] = {&from_a.future, &from_b.future};
    struct vck_select select;
    uint32_t element_a = 0;
    uint32_t element_b = 0;

    set_up(&a);
    set_up(&b);
    vck_channel_receive_init(&from_a, &a.channel, &element_a);
    vck_channel_receive_init(&from_b, &b.channel, &element_b);
    vck_select_init(&select, futures, 2, 0);
    assert_pending(&select.future, &a.receiver);
    assert_int_equal(try_send(&b, 81), VCK_OK);
    assert_int_equal(woken(&a.receiver), 1);
    vck_block_on(&select.future);
    assert_int_equal(select.winner, 1);
    assert_int_equal(element_b, 81);
    assert_int_equal(a.receiver.live, 0);
    assert_int_equal(try_send(&a, 82), VCK_OK);
    assert_int_equal(receive_now(&a), 82);
}

/* ---- stress ---- */

#define SENDERS 3

struct flood {
    struct vck_channel *channel;
    uint64_t until_ns;
    uint32_t sent[SENDERS];
    uint32_t next_id;
};

struct element {
    uint32_t sender;
    uint32_t number;
};

/* Sends in every way there is. Whatever way, an element is sent exactly when the status is OK. */
static vck_status send_somehow(struct vck_channel *channel, const struct element *element,
                               uint32_t turn) VCK_CAN_WAIT
{
    struct vck_channel_send send;
    struct wakes wakes = {0, 0};

    switch (turn % 4) {
    case 0:
        return vck_channel_try_send(channel, element);
    case 1:
        return vck_channel_send_until(channel, element, VCK_FOREVER);
    case 2:
        return vck_channel_send_until(channel, element, vck_clock_ns() + 5000);
    default:
        vck_channel_send_init(&send, channel, element);
        if (poll_with(&send.future, &wakes) == VCK_PENDING)
            vck_future_drop(&send.future);
        while (__atomic_load_n(&wakes.live, __ATOMIC_ACQUIRE) != 0)
            ;
        return send.status;
    }
}

static void flood(void *context) VCK_CAN_WAIT
{
    struct flood *flood = context;
    struct element element = {.sender = __atomic_fetch_add(&flood->next_id, 1, __ATOMIC_RELAXED)};

    for (uint32_t turn = 0; vck_clock_ns() < flood->until_ns; turn++) {
        vck_status status = send_somehow(flood->channel, &element, turn);
        if (status == VCK_DELETED)
            abort();
        if (status == VCK_OK)
            element.number++;
    }
    flood->sent[element.sender] = element.number;
    vck_channel_drop_sender(flood->channel);
}

static vck_status receive_somehow(struct vck_channel *channel, uint32_t turn,
                                  struct element *ret_element) VCK_CAN_WAIT
{
    struct vck_channel_receive receive;
    struct wakes wakes = {0, 0};

    switch (turn % 3) {
    case 0:
        return vck_channel_receive_until(channel, VCK_FOREVER, ret_element);
    case 1:
        return vck_channel_receive_until(channel, vck_clock_ns() + 5000, ret_element);
    default:
        vck_channel_receive_init(&receive, channel, ret_element);
        if (poll_with(&receive.future, &wakes) == VCK_PENDING)
            vck_future_drop(&receive.future);
        while (__atomic_load_n(&wakes.live, __ATOMIC_ACQUIRE) != 0)
            ;
        return receive.status;
    }
}

/* Every element comes once and in its sender's order. */
static void stress_with_threads(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct flood f = {.until_ns = vck_clock_ns() + stress_ns()};
    struct vck_thread *threads[SENDERS];
    uint32_t received[SENDERS] = {0};
    struct element element;
    vck_status status = VCK_OK;

    assert_int_equal(vck_channel_create(sizeof(struct element), 3, NULL, NULL, &f.channel), VCK_OK);
    for (uint32_t i = 1; i < SENDERS; i++)
        vck_channel_add_sender(f.channel);
    for (uint32_t i = 0; i < SENDERS; i++)
        assert_int_equal(vck_thread_create(flood, &f, VCK_THREAD_NORMAL, "flood", &threads[i]),
                         VCK_OK);
    for (uint32_t turn = 0; status != VCK_DELETED; turn++) {
        status = receive_somehow(f.channel, turn, &element);
        if (status == VCK_OK)
            assert_int_equal(element.number, received[element.sender]++);
    }
    for (uint32_t i = 0; i < SENDERS; i++) {
        vck_thread_join(threads[i]);
        assert_int_equal(received[i], f.sent[i]);
    }
    vck_channel_drop_receiver(f.channel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounded_elements_come_in_order_and_a_full_one_is_busy),
        cmocka_unit_test(waiting_senders_are_served_in_order_and_not_overtaken),
        cmocka_unit_test(a_waiting_receiver_is_woken),
        cmocka_unit_test(a_dropped_send_is_sent_or_not_and_says_so),
        cmocka_unit_test(a_dropped_receive_loses_no_element),
        cmocka_unit_test(the_last_sender_gone_wakes_the_receiver),
        cmocka_unit_test(close_refuses_senders_that_wait_and_keeps_what_is_in),
        cmocka_unit_test(elements_never_received_go_to_the_drop_callback),
        cmocka_unit_test(a_created_one_goes_with_its_last_end),
        cmocka_unit_test(creation_that_cannot_be_fails_and_touches_nothing),
        cmocka_unit_test(blocking_ends_time_out),
        cmocka_unit_test(select_over_two_channels_leaves_the_losers_element),
        cmocka_unit_test(stress_with_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
