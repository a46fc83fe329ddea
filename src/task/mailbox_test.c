/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/mailbox.h"
#include "vck/timeout.h"
#include "sync_test.h"

struct message {
    struct vck_mpsc_node node;
    int number;
    int dropped;
};

static void drop_message(void *context, struct vck_mpsc_node *node)
{
    struct message *message = VCK_CONTAINER_OF(node, struct message, node);
    message->dropped++;
    ++*(int *)context;
}

static int number_of(struct vck_mpsc_node *node)
{
    return VCK_CONTAINER_OF(node, struct message, node)->number;
}

static int receive_now(struct vck_mailbox *mailbox)
{
    struct vck_mpsc_node *node = NULL;
    vck_status status = vck_mailbox_try_receive(mailbox, &node);

    return status == VCK_OK ? number_of(node) : -(int)status;
}

/* A mailbox with messages 0..9 not sent. */
struct fixture {
    struct vck_mailbox mailbox;
    struct message messages[10];
    int dropped;
    struct wakes wakes;
};

static void set_up(struct fixture *f)
{
    *f = (struct fixture){.dropped = 0};
    vck_mailbox_init(&f->mailbox, drop_message, &f->dropped);
    for (int i = 0; i < 10; i++)
        f->messages[i].number = i;
}

static void send(struct fixture *f, int number)
{
    assert_int_equal(vck_mailbox_send(&f->mailbox, &f->messages[number].node), VCK_OK);
}

static void unbounded_messages_come_in_the_order_sent(void **state)
{
    (void)state;
    struct fixture f;

    set_up(&f);
    assert_int_equal(receive_now(&f.mailbox), -VCK_BUSY);
    for (int i = 0; i < 4; i++)
        send(&f, i);
    assert_int_equal(receive_now(&f.mailbox), 0);
    assert_int_equal(receive_now(&f.mailbox), 1);
    for (int i = 4; i < 10; i++)
        send(&f, i);
    for (int i = 2; i < 10; i++)
        assert_int_equal(receive_now(&f.mailbox), i);
    assert_int_equal(receive_now(&f.mailbox), -VCK_BUSY);
}

static void a_waiting_receiver_is_woken_by_the_first_message_only(void **state)
{
    (void)state;
    struct fixture f;
    struct vck_mailbox_receive receive;

    set_up(&f);
    vck_mailbox_receive_init(&receive, &f.mailbox);
    assert_pending(&receive.future, &f.wakes);
    send(&f, 0);
    send(&f, 1);
    assert_int_equal(woken(&f.wakes), 1);
    assert_int_equal(f.wakes.live, 0);
    assert_ready(&receive.future, &f.wakes);
    assert_int_equal(receive.status, VCK_OK);
    assert_int_equal(number_of(receive.message), 0);
    vck_mailbox_receive_init(&receive, &f.mailbox);
    assert_ready(&receive.future, &f.wakes);
    assert_int_equal(number_of(receive.message), 1);
    assert_int_equal(woken(&f.wakes), 0);
}

static void the_waker_of_the_last_poll_counts(void **state)
{
    (void)state;
    struct fixture f;
    struct vck_mailbox_receive receive;
    struct wakes other = {0, 0};

    set_up(&f);
    vck_mailbox_receive_init(&receive, &f.mailbox);
    assert_pending(&receive.future, &other);
    assert_pending(&receive.future, &f.wakes);
    assert_pending(&receive.future, &f.wakes);
    assert_int_equal(other.live, 0);
    send(&f, 3);
    assert_int_equal(woken(&other), 0);
    assert_int_equal(woken(&f.wakes), 1);
    assert_ready(&receive.future, &f.wakes);
    assert_int_equal(f.wakes.live, 0);
}

/* Dropped before its first poll, pending, and woken but not polled. */
static void a_dropped_receive_loses_no_message(void **state)
{
    (void)state;
    for (int point = 0; point < 3; point++) {
        struct fixture f;
        struct vck_mailbox_receive receive;

        set_up(&f);
        vck_mailbox_receive_init(&receive, &f.mailbox);
        if (point > 0)
            assert_pending(&receive.future, &f.wakes);
        if (point > 1)
            send(&f, 5);
        vck_future_drop(&receive.future);
        assert_int_equal(f.wakes.live, 0);
        if (point <= 1)
            send(&f, 5);
        assert_int_equal(woken(&f.wakes), point > 1 ? 1 : 0);
        assert_int_equal(receive_now(&f.mailbox), 5);
        vck_mailbox_receive_init(&receive, &f.mailbox);
        assert_pending(&receive.future, &f.wakes);
        send(&f, 6);
        assert_int_equal(woken(&f.wakes), 1);
        assert_ready(&receive.future, &f.wakes);
        assert_int_equal(number_of(receive.message), 6);
    }
}

static void the_last_sender_gone_wakes_the_receiver(void **state)
{
    (void)state;
    struct fixture f;
    struct vck_mailbox_receive receive;

    set_up(&f);
    vck_mailbox_add_sender(&f.mailbox);
    vck_mailbox_receive_init(&receive, &f.mailbox);
    assert_pending(&receive.future, &f.wakes);
    vck_mailbox_drop_sender(&f.mailbox);
    assert_int_equal(woken(&f.wakes), 0);
    vck_mailbox_drop_sender(&f.mailbox);
    assert_int_equal(woken(&f.wakes), 1);
    assert_ready(&receive.future, &f.wakes);
    assert_int_equal(receive.status, VCK_DELETED);
    assert_int_equal(f.wakes.live, 0);
    assert_int_equal(receive_now(&f.mailbox), -VCK_DELETED);
}

static void what_was_sent_before_the_last_sender_went_is_received(void **state)
{
    (void)state;
    struct fixture f;

    set_up(&f);
    send(&f, 1);
    send(&f, 2);
    vck_mailbox_drop_sender(&f.mailbox);
    assert_int_equal(receive_now(&f.mailbox), 1);
    assert_int_equal(receive_now(&f.mailbox), 2);
    assert_int_equal(receive_now(&f.mailbox), -VCK_DELETED);
    vck_mailbox_drop_receiver(&f.mailbox);
    assert_int_equal(f.dropped, 0);
}

static void a_closed_mailbox_refuses_and_is_emptied(void **state)
{
    (void)state;
    struct fixture f;
    struct vck_mailbox_receive receive;

    set_up(&f);
    send(&f, 1);
    vck_mailbox_close(&f.mailbox);
    vck_mailbox_close(&f.mailbox);
    assert_true(vck_mailbox_is_closed(&f.mailbox));
    assert_int_equal(vck_mailbox_send(&f.mailbox, &f.messages[2].node), VCK_DELETED);
    assert_int_equal(receive_now(&f.mailbox), 1);
    vck_mailbox_receive_init(&receive, &f.mailbox);
    assert_ready(&receive.future, &f.wakes);
    assert_int_equal(receive.status, VCK_DELETED);
}

static void messages_never_received_go_to_the_drop_callback(void **state)
{
    (void)state;
    struct fixture f;

    set_up(&f);
    for (int i = 0; i < 5; i++)
        send(&f, i);
    /* One received; of the rest some are taken from the head already, some are not. */
    assert_int_equal(receive_now(&f.mailbox), 0);
    send(&f, 5);
    vck_mailbox_drop_receiver(&f.mailbox);
    assert_int_equal(f.dropped, 5);
    for (int i = 0; i < 10; i++)
        assert_int_equal(f.messages[i].dropped, i >= 1 && i <= 5);
    assert_int_equal(vck_mailbox_send(&f.mailbox, &f.messages[6].node), VCK_DELETED);
    assert_int_equal(f.messages[6].dropped, 0);
    vck_mailbox_drop_sender(&f.mailbox);
}

static void a_created_one_goes_with_its_last_end(void **state)
{
    (void)state;
    size_t live = vck_alloc_live_count();

    for (int order = 0; order < 2; order++) {
        struct vck_mailbox *mailbox = NULL;
        assert_int_equal(vck_mailbox_create(NULL, NULL, &mailbox), VCK_OK);
        vck_mailbox_add_sender(mailbox);
        if (order)
            vck_mailbox_drop_receiver(mailbox);
        vck_mailbox_drop_sender(mailbox);
        assert_int_equal(vck_alloc_live_count(), live + 1);
        vck_mailbox_drop_sender(mailbox);
        if (!order)
            vck_mailbox_drop_receiver(mailbox);
        assert_int_equal(vck_alloc_live_count(), live);
    }
}

static void creation_without_memory_fails_and_touches_nothing(void **state)
{
    (void)state;
    struct vck_mailbox *mailbox = NULL;

    vck_alloc_fail_nth(1);
    assert_int_equal(vck_mailbox_create(NULL, NULL, &mailbox), VCK_NO_MEMORY);
    vck_alloc_fail_nth(0);
    assert_null(mailbox);
}

/* ---- blocking, and from elsewhere ---- */

static void send_three(void *context)
{
    struct fixture *f = context;

    send(f, 0);
    send(f, 1);
    send(f, 2);
    vck_mailbox_drop_sender(&f->mailbox);
}

static void blocking_receive_gets_messages_of_a_thread(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct fixture f;
    struct vck_thread *thread = NULL;
    struct vck_mpsc_node *node = NULL;

    set_up(&f);
    assert_int_equal(vck_mailbox_receive_until(&f.mailbox, vck_clock_ns() + 1000000, &node),
                     VCK_TIMEOUT);
    assert_null(node);
    assert_int_equal(vck_thread_create(send_three, &f, VCK_THREAD_NORMAL, "send", &thread), VCK_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(vck_mailbox_receive_until(&f.mailbox, VCK_FOREVER, &node), VCK_OK);
        assert_int_equal(number_of(node), i);
    }
    assert_int_equal(vck_mailbox_receive_until(&f.mailbox, VCK_FOREVER, &node), VCK_DELETED);
    vck_thread_join(thread);
}

static void a_timer_callback_at_dispatch_may_send(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct fixture f;
    struct vck_timer timer;
    struct vck_mpsc_node *node = NULL;

    set_up(&f);
    vck_timer_init(&timer, send_three, &f);
    vck_timer_set(&timer, vck_clock_ns() + 1000000);
    assert_int_equal(vck_mailbox_receive_until(&f.mailbox, VCK_FOREVER, &node), VCK_OK);
    assert_int_equal(number_of(node), 0);
    vck_timer_fini(&timer);
    vck_mailbox_drop_receiver(&f.mailbox);
    assert_int_equal(f.dropped, 2);
}

static void receive_with_a_timeout_loses_no_message(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct fixture f;
    struct vck_mailbox_receive receive;
    struct vck_timeout timeout;

    set_up(&f);
    vck_mailbox_receive_init(&receive, &f.mailbox);
    vck_timeout_init(&timeout, &receive.future, 1000000);
    vck_block_on(&timeout.future);
    assert_int_equal(timeout.status, VCK_TIMEOUT);
    assert_int_equal(receive.status, VCK_CANCELLED);
    send(&f, 4);
    assert_int_equal(receive_now(&f.mailbox), 4);
}

/* ---- stress ---- */

#define SENDERS 3
#define WINDOW  16

struct flood;

struct flooder {
    struct flood *flood;
    struct flood_message {
        struct vck_mpsc_node node;
        uint32_t sender;
        uint32_t number;
        uint32_t in_use;
    } messages[WINDOW];
    uint32_t id;
};

struct flood {
    struct vck_mailbox *mailbox;
    struct flooder flooders[SENDERS];
    uint64_t until_ns;
    uint32_t sent[SENDERS];
};

static void flood(void *context)
{
    struct flooder *self = context;
    uint32_t number = 0;

    while (vck_clock_ns() < self->flood->until_ns) {
        struct flood_message *message = &self->messages[number % WINDOW];
        if (__atomic_load_n(&message->in_use, __ATOMIC_ACQUIRE))
            continue;
        message->in_use = 1;
        message->sender = self->id;
        message->number = number++;
        if (vck_mailbox_send(self->flood->mailbox, &message->node) != VCK_OK)
            abort();
    }
    self->flood->sent[self->id] = number;
    vck_mailbox_drop_sender(self->flood->mailbox);
}

/* Receives with waits that are dropped in between; every message comes once and in its sender's
 * order. */
static void stress_with_threads(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct flood f = {.until_ns = vck_clock_ns() + stress_ns()};
    struct vck_thread *threads[SENDERS];
    uint32_t received[SENDERS] = {0};
    struct vck_mpsc_node *node = NULL;
    vck_status status = VCK_OK;

    assert_int_equal(vck_mailbox_create(NULL, NULL, &f.mailbox), VCK_OK);
    for (uint32_t i = 0; i < SENDERS; i++) {
        f.flooders[i].flood = &f;
        f.flooders[i].id = i;
        if (i)
            vck_mailbox_add_sender(f.mailbox);
    }
    for (uint32_t i = 0; i < SENDERS; i++)
        assert_int_equal(
            vck_thread_create(flood, &f.flooders[i], VCK_THREAD_NORMAL, "flood", &threads[i]),
            VCK_OK);
    for (uint32_t turn = 0; status != VCK_DELETED; turn++) {
        struct vck_mailbox_receive receive;
        if (turn % 3 == 0) {
            struct wakes wakes = {0, 0};
            vck_mailbox_receive_init(&receive, f.mailbox);
            if (poll_with(&receive.future, &wakes) == VCK_PENDING) {
                vck_future_drop(&receive.future);
                /* A sender may still be about to wake it: the counter is on this stack. */
                while (__atomic_load_n(&wakes.live, __ATOMIC_ACQUIRE) != 0)
                    ;
                continue;
            }
            status = receive.status;
            node = receive.message;
        } else {
            status = vck_mailbox_receive_until(
                f.mailbox, turn % 3 == 1 ? VCK_FOREVER : vck_clock_ns() + 20000, &node);
        }
        if (status != VCK_OK)
            continue;
        struct flood_message *message = VCK_CONTAINER_OF(node, struct flood_message, node);
        assert_int_equal(message->number, received[message->sender]);
        received[message->sender]++;
        __atomic_store_n(&message->in_use, 0, __ATOMIC_RELEASE);
    }
    for (uint32_t i = 0; i < SENDERS; i++) {
        vck_thread_join(threads[i]);
        assert_int_equal(received[i], f.sent[i]);
        assert_true(received[i] > 0);
    }
    vck_mailbox_drop_receiver(f.mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unbounded_messages_come_in_the_order_sent),
        cmocka_unit_test(a_waiting_receiver_is_woken_by_the_first_message_only),
        cmocka_unit_test(the_waker_of_the_last_poll_counts),
        cmocka_unit_test(a_dropped_receive_loses_no_message),
        cmocka_unit_test(the_last_sender_gone_wakes_the_receiver),
        cmocka_unit_test(what_was_sent_before_the_last_sender_went_is_received),
        cmocka_unit_test(a_closed_mailbox_refuses_and_is_emptied),
        cmocka_unit_test(messages_never_received_go_to_the_drop_callback),
        cmocka_unit_test(a_created_one_goes_with_its_last_end),
        cmocka_unit_test(creation_without_memory_fails_and_touches_nothing),
        cmocka_unit_test(blocking_receive_gets_messages_of_a_thread),
        cmocka_unit_test(a_timer_callback_at_dispatch_may_send),
        cmocka_unit_test(receive_with_a_timeout_loses_no_message),
        cmocka_unit_test(stress_with_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
