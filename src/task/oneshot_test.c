/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/oneshot.h"
#include "sync_test.h"

static void count_drop(void *context, void *value)
{
    int *dropped = context;
    *dropped += *(int *)value;
}

static int seven = 7;

static void a_value_sent_before_the_wait_is_there_at_once(void **state)
{
    (void)state;
    struct vck_oneshot oneshot;
    struct vck_oneshot_receive receive;
    struct wakes wakes = {0, 0};

    vck_oneshot_init(&oneshot, NULL, NULL);
    assert_int_equal(vck_oneshot_send(&oneshot, &seven), VCK_OK);
    vck_oneshot_receive_init(&receive, &oneshot);
    assert_ready(&receive.future, &wakes);
    assert_int_equal(receive.status, VCK_OK);
    assert_ptr_equal(receive.value, &seven);
    assert_int_equal(wakes.live, 0);
    vck_oneshot_drop_receiver(&oneshot);
}

static void a_wait_is_woken_once_by_the_value(void **state)
{
    (void)state;
    struct vck_oneshot oneshot;
    struct vck_oneshot_receive receive;
    struct wakes first = {0, 0};
    struct wakes second = {0, 0};

    vck_oneshot_init(&oneshot, NULL, NULL);
    vck_oneshot_receive_init(&receive, &oneshot);
    assert_pending(&receive.future, &first);
    assert_pending(&receive.future, &first);
    /* The waker of the last poll counts. */
    assert_pending(&receive.future, &second);
    assert_int_equal(first.live, 0);
    assert_int_equal(vck_oneshot_send(&oneshot, &seven), VCK_OK);
    assert_int_equal(woken(&first), 0);
    assert_int_equal(woken(&second), 1);
    assert_ready(&receive.future, &second);
    assert_ptr_equal(receive.value, &seven);
    assert_int_equal(second.live, 0);
}

static void the_last_word_of_a_sender_without_a_value_is_deleted(void **state)
{
    (void)state;
    struct vck_oneshot oneshot;
    struct vck_oneshot_receive receive;
    struct wakes wakes = {0, 0};
    void *value = NULL;

    vck_oneshot_init(&oneshot, NULL, NULL);
    vck_oneshot_receive_init(&receive, &oneshot);
    assert_pending(&receive.future, &wakes);
    assert_int_equal(vck_oneshot_try_receive(&oneshot, &value), VCK_BUSY);
    vck_oneshot_drop_sender(&oneshot);
    assert_int_equal(woken(&wakes), 1);
    assert_ready(&receive.future, &wakes);
    assert_int_equal(receive.status, VCK_DELETED);
    assert_int_equal(vck_oneshot_try_receive(&oneshot, &value), VCK_DELETED);
    assert_null(value);
}

static void a_value_is_received_once(void **state)
{
    (void)state;
    int dropped = 0;
    struct vck_oneshot oneshot;
    void *value = NULL;

    vck_oneshot_init(&oneshot, count_drop, &dropped);
    assert_int_equal(vck_oneshot_send(&oneshot, &seven), VCK_OK);
    assert_int_equal(vck_oneshot_try_receive(&oneshot, &value), VCK_OK);
    assert_ptr_equal(value, &seven);
    assert_int_equal(vck_oneshot_try_receive(&oneshot, &value), VCK_DELETED);
    vck_oneshot_drop_receiver(&oneshot);
    assert_int_equal(dropped, 0);
}

static void without_a_receiver_the_value_stays_the_senders(void **state)
{
    (void)state;
    int dropped = 0;
    struct vck_oneshot oneshot;

    vck_oneshot_init(&oneshot, count_drop, &dropped);
    assert_false(vck_oneshot_is_abandoned(&oneshot));
    vck_oneshot_drop_receiver(&oneshot);
    assert_true(vck_oneshot_is_abandoned(&oneshot));
    assert_int_equal(vck_oneshot_send(&oneshot, &seven), VCK_DELETED);
    assert_int_equal(dropped, 0);
}

static void a_value_nobody_looked_for_goes_to_the_drop_callback(void **state)
{
    (void)state;
    int dropped = 0;
    struct vck_oneshot oneshot;

    vck_oneshot_init(&oneshot, count_drop, &dropped);
    assert_int_equal(vck_oneshot_send(&oneshot, &seven), VCK_OK);
    vck_oneshot_drop_receiver(&oneshot);
    assert_int_equal(dropped, 7);
}

/* A wait is dropped at each point of its life: never polled, pending, answered but not polled. */
static void a_dropped_wait_loses_no_value(void **state)
{
    (void)state;
    for (int point = 0; point < 3; point++) {
        struct vck_oneshot oneshot;
        struct vck_oneshot_receive receive;
        struct wakes wakes = {0, 0};

        vck_oneshot_init(&oneshot, NULL, NULL);
        vck_oneshot_receive_init(&receive, &oneshot);
        if (point > 0)
            assert_pending(&receive.future, &wakes);
        if (point > 1)
            assert_int_equal(vck_oneshot_send(&oneshot, &seven), VCK_OK);
        vck_future_drop(&receive.future);
        assert_int_equal(wakes.live, 0);
        if (point <= 1)
            assert_int_equal(vck_oneshot_send(&oneshot, &seven), VCK_OK);
        assert_int_equal(woken(&wakes), point > 1 ? 1 : 0);
        vck_oneshot_receive_init(&receive, &oneshot);
        assert_ready(&receive.future, &wakes);
        assert_ptr_equal(receive.value, &seven);
    }
}

static void a_created_one_goes_with_its_second_end(void **state)
{
    (void)state;
    size_t live = vck_alloc_live_count();
    int dropped = 0;

    for (int order = 0; order < 4; order++) {
        struct vck_oneshot *oneshot = NULL;
        assert_int_equal(vck_oneshot_create(count_drop, &dropped, &oneshot), VCK_OK);
        if (order & 1)
            vck_oneshot_drop_receiver(oneshot);
        if (order & 2)
            vck_oneshot_drop_sender(oneshot);
        else
            assert_int_equal(vck_oneshot_send(oneshot, &seven), order & 1 ? VCK_DELETED : VCK_OK);
        assert_int_equal(vck_alloc_live_count(), order & 1 ? live : live + 1);
        if (!(order & 1))
            vck_oneshot_drop_receiver(oneshot);
        assert_int_equal(vck_alloc_live_count(), live);
    }
    assert_int_equal(dropped, 7);
}

static void creation_without_memory_fails_and_touches_nothing(void **state)
{
    (void)state;
    struct vck_oneshot *oneshot = NULL;
    size_t live = vck_alloc_live_count();

    vck_alloc_fail_nth(1);
    assert_int_equal(vck_oneshot_create(NULL, NULL, &oneshot), VCK_NO_MEMORY);
    vck_alloc_fail_nth(0);
    assert_null(oneshot);
    assert_int_equal(vck_alloc_live_count(), live);
}

static void blocking_receive_times_out_and_ends(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_oneshot oneshot;
    void *value = NULL;

    vck_oneshot_init(&oneshot, NULL, NULL);
    assert_int_equal(vck_oneshot_receive_until(&oneshot, vck_clock_ns() + 1000000, &value),
                     VCK_TIMEOUT);
    assert_null(value);
    assert_int_equal(vck_oneshot_send(&oneshot, &seven), VCK_OK);
    assert_int_equal(vck_oneshot_receive_until(&oneshot, VCK_FOREVER, &value), VCK_OK);
    assert_ptr_equal(value, &seven);
}

static void send_at_dispatch(void *context)
{
    assert_int_equal(vck_oneshot_send(context, &seven), VCK_OK);
}

/* The storage is this stack's and is used again at once: the sender must not touch it any more. */
static void the_storage_may_go_with_the_value(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        struct vck_oneshot oneshot;
        struct vck_thread *thread = NULL;
        void *value = NULL;

        vck_oneshot_init(&oneshot, NULL, NULL);
        assert_int_equal(
            vck_thread_create(send_at_dispatch, &oneshot, VCK_THREAD_NORMAL, "send", &thread),
            VCK_OK);
        assert_int_equal(vck_oneshot_receive_until(&oneshot, VCK_FOREVER, &value), VCK_OK);
        memset(&oneshot, 0xa5, sizeof(oneshot));
        assert_ptr_equal(value, &seven);
        vck_thread_join(thread);
    }
}

static void a_timer_callback_may_send(void **state) VCK_CAN_WAIT
{
    (void)state;
    struct vck_oneshot oneshot;
    struct vck_timer timer;
    void *value = NULL;

    vck_oneshot_init(&oneshot, NULL, NULL);
    vck_timer_init(&timer, send_at_dispatch, &oneshot);
    vck_timer_set(&timer, vck_clock_ns() + 1000000);
    assert_int_equal(vck_oneshot_receive_until(&oneshot, VCK_FOREVER, &value), VCK_OK);
    assert_ptr_equal(value, &seven);
    vck_timer_fini(&timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_sent_before_the_wait_is_there_at_once),
        cmocka_unit_test(a_wait_is_woken_once_by_the_value),
        cmocka_unit_test(the_last_word_of_a_sender_without_a_value_is_deleted),
        cmocka_unit_test(a_value_is_received_once),
        cmocka_unit_test(without_a_receiver_the_value_stays_the_senders),
        cmocka_unit_test(a_value_nobody_looked_for_goes_to_the_drop_callback),
        cmocka_unit_test(a_dropped_wait_loses_no_value),
        cmocka_unit_test(a_created_one_goes_with_its_second_end),
        cmocka_unit_test(creation_without_memory_fails_and_touches_nothing),
        cmocka_unit_test(blocking_receive_times_out_and_ends),
        cmocka_unit_test(the_storage_may_go_with_the_value),
        cmocka_unit_test(a_timer_callback_may_send),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
