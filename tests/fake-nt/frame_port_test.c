/* SPDX-License-Identifier: Apache-2.0 */
/* The NT port of raw frames: what NDIS does to a protocol, and what a protocol asks of it. */
#include "frame_fixture.h"
#include "port/nt/ndis.h"
#include "vck/thread.h"

enum { FRAMES = 300 };

static struct frame_fixture f;

static int begin(void **state)
{
    (void)state;
    frame_begin(&f);
    return 0;
}

static int end(void **state) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    (void)state;
    frame_end(&f);
    return 0;
}

static void start_with(uint32_t adapter) VCK_CAN_WAIT
{
    assert_int_equal(frame_start(&f), VCK_OK);
    fake_ndis_settle();
    assert_int_equal(frame_open(&f, adapter), VCK_OK);
}

/* ---- binds ---- */

static void adapters_are_bound_and_let_go(void **state) VCK_CAN_WAIT
{
    struct vck_frame_info info;

    (void)state;
    assert_int_equal(frame_start(&f), VCK_OK);
    fake_ndis_settle();
    for (uint32_t i = 0; i < NDIS_ADAPTERS; i++) {
        info = frame_info(&f, i);
        assert_int_equal(info.phase, VCK_FRAME_RUNNING);
        assert_int_equal(info.index, 10 + i);
        assert_int_equal(info.address[5], 1 + i);
        assert_int_equal(info.mtu_bytes, NDIS_FRAME_BYTES_MAX - VCK_FRAME_HEADER_BYTES);
        assert_int_equal(info.description[strlen(info.description) - 1], '0' + i);
        assert_true(info.link.is_up);
    }
    frame_stop(&f);
    assert_int_equal(fake_ndis_count(1).unbinds, 1);
}

static void binds_come_before_the_registration_returns(void **state) VCK_CAN_WAIT
{
    const struct ndis_options options = {.binds_early = 1, .receive_limit = 4096};

    (void)state;
    fake_ndis_configure(0, &options);
    assert_int_equal(frame_start(&f), VCK_OK);
    fake_ndis_settle();
    assert_int_equal(frame_info(&f, 0).phase, VCK_FRAME_RUNNING);
    frame_stop(&f);
}

static void adapters_that_do_not_open_are_not_bound(void **state) VCK_CAN_WAIT
{
    const struct ndis_options at_once = {.fails_open = 1};
    const struct ndis_options later = {.fails_open = 2};

    (void)state;
    fake_ndis_configure(0, &at_once);
    fake_ndis_configure(1, &later);
    assert_int_equal(frame_start(&f), VCK_OK);
    assert_int_equal(frame_info(&f, 0).phase, VCK_FRAME_CLOSED);
    assert_int_equal(frame_info(&f, 1).phase, VCK_FRAME_CLOSED);
    fake_ndis_do(NDIS_RESET, 1);
    fake_ndis_do(NDIS_BIND, 1);
    fake_ndis_settle();
    assert_int_equal(frame_info(&f, 1).phase, VCK_FRAME_RUNNING);
    frame_stop(&f);
}

static void there_is_one_protocol_at_a_time(void **state) VCK_CAN_WAIT
{
    struct vck_frame_protocol *second;

    (void)state;
    assert_int_equal(frame_start(&f), VCK_OK);
    assert_int_equal(vck_frame_protocol_create(NULL, &second), VCK_OK);
    assert_int_equal(vck_frame_protocol_start(second, NULL), VCK_ALREADY_EXISTS);
    vck_frame_protocol_destroy(second);
    frame_stop(&f);
}

static void a_removed_protocol_lets_nobody_in(void **state) VCK_CAN_WAIT
{
    (void)state;
    assert_int_equal(frame_start(&f), VCK_OK);
    fake_ndis_settle();
    fake_ndis_do(NDIS_UNINSTALL, 0);
    while (!vck_frame_protocol_is_uninstalled(f.protocol))
        vck_thread_sleep(100000);
    assert_int_equal(frame_open(&f, 0), VCK_NOT_READY);
    frame_stop(&f);
}

/* ---- frames ---- */

static void exchange(uint32_t adapter) VCK_CAN_WAIT
{
    uint8_t frame[NDIS_FRAME_BYTES_MAX];
    size_t bytes;

    start_with(adapter);
    for (uint32_t i = 0; i < FRAMES; i++) {
        uint32_t size = 60 + i * 37 % (NDIS_FRAME_BYTES_MAX - 59);

        assert_int_equal(frame_send(&f, adapter, i, size), VCK_OK);
        assert_int_equal(frame_read(&f, adapter, frame, &bytes), VCK_OK);
        assert_int_equal(bytes, size);
        assert_true(frame_is(adapter, i, frame, bytes));
    }
    assert_int_equal(frame_send(&f, adapter, 0, NDIS_FRAME_BYTES_MAX + 1), VCK_SIZE_MISMATCH);
    frame_stop(&f);
}

static void frames_come_back(void **state) VCK_CAN_WAIT
{
    (void)state;
    exchange(0);
}

static void frames_come_back_later_and_in_pieces(void **state) VCK_CAN_WAIT
{
    (void)state;
    exchange(1);
}

static void frames_go_out_of_chains_and_positions(void **state) VCK_CAN_WAIT
{
    struct vck_descriptor chain[3];
    struct vck_frame_call call;
    uint8_t data[256];
    uint8_t frame[NDIS_FRAME_BYTES_MAX];
    size_t bytes;

    (void)state;
    start_with(0);
    frame_make(0, 9, 200, data + 20);
    vck_descriptor_init(&chain[0], data, 25);
    vck_descriptor_init(&chain[1], NULL, 0);
    vck_descriptor_init(&chain[2], data + 25, 256 - 25);
    chain[0].next = &chain[1];
    chain[1].next = &chain[2];
    vck_frame_send_init(&call, &f.openers[0], chain, 20, 200, 0);
    vck_block_on(&call.future);
    assert_int_equal(call.status, VCK_OK);
    assert_int_equal(frame_read(&f, 0, frame, &bytes), VCK_OK);
    assert_int_equal(bytes, 200);
    assert_true(frame_is(0, 9, frame, bytes));
    frame_stop(&f);
}

static void borrowed_frames_are_not_copied(void **state) VCK_CAN_WAIT
{
    struct vck_frame_call call;

    (void)state;
    start_with(0);
    vck_frame_borrow_init(&call, &f.openers[0]);
    assert_int_equal(vck_future_poll(&call.future, &vck_waker_noop), VCK_PENDING);
    assert_int_equal(frame_send(&f, 0, 1, 100), VCK_OK);
    vck_block_on(&call.future);
    assert_int_equal(call.status, VCK_OK);
    assert_int_equal(call.frame->size_bytes, 100);
    assert_int_equal(fake_ndis_count(0).receives, 1);
    vck_frame_put(call.frame);
    assert_int_equal(fake_ndis_count(0).receives, 0);
    frame_stop(&f);
}

static void held_sends_are_cancelled_by_their_id(void **state) VCK_CAN_WAIT
{
    const struct ndis_options options = {.holds_sends = 1, .receive_limit = 4096};
    struct vck_frame_call calls[2];
    struct vck_descriptor descriptors[2];
    uint8_t data[2][64];
    struct vck_frame_call *const list[] = {&calls[0], &calls[1]};

    (void)state;
    start_with(0);
    fake_ndis_configure(0, &options);
    for (uint32_t i = 0; i < 2; i++) {
        frame_make(0, i, 64, data[i]);
        vck_descriptor_init(&descriptors[i], data[i], 64);
        vck_frame_send_init(&calls[i], &f.openers[0], &descriptors[i], 0, 64, 1 + i);
    }
    assert_int_equal(vck_future_poll(&calls[0].future, &vck_waker_noop), VCK_PENDING);
    assert_int_equal(vck_future_poll(&calls[1].future, &vck_waker_noop), VCK_PENDING);
    assert_int_equal(fake_ndis_count(0).sends, 2);
    vck_frame_cancel_sends(&f.openers[0], 2);
    vck_block_on(&list[1]->future);
    assert_int_equal(calls[1].status, VCK_CANCELLED);
    fake_ndis_do(NDIS_RELEASE, 0);
    vck_block_on(&list[0]->future);
    assert_int_equal(calls[0].status, VCK_OK);
    frame_stop(&f);
}

static void failed_sends_say_so(void **state) VCK_CAN_WAIT
{
    const struct ndis_options options = {.fails_send_every = 1, .receive_limit = 4096};

    (void)state;
    start_with(0);
    fake_ndis_configure(0, &options);
    assert_int_equal(frame_send(&f, 0, 1, 60), VCK_IO);
    frame_stop(&f);
}

/* ---- requests and statuses ---- */

static vck_status query(uint32_t oid, void *data, size_t size_bytes,
                        struct vck_frame_call *call) VCK_CAN_WAIT
{
    vck_frame_query_init(call, f.openers[0].binding, oid, data, size_bytes);
    vck_block_on(&call->future);
    return call->status;
}

static void requests_are_answered(void **state) VCK_CAN_WAIT
{
    struct vck_frame_call call;
    uint8_t address[6];
    uint32_t value;

    (void)state;
    start_with(0);
    assert_int_equal(query(VCK_OID_802_3_CURRENT_ADDRESS, address, 6, &call), VCK_OK);
    assert_int_equal(call.done_bytes, 6);
    assert_int_equal(address[5], 1);
    assert_int_equal(query(VCK_OID_802_3_CURRENT_ADDRESS, address, 4, &call), VCK_SIZE_MISMATCH);
    assert_int_equal(call.needed_bytes, 6);
    assert_int_equal(query(0x12345, &value, 4, &call), VCK_UNSUPPORTED);
    assert_int_equal(query(VCK_OID_GEN_CURRENT_PACKET_FILTER, &value, 4, &call), VCK_OK);
    assert_int_equal(value, VCK_FRAME_FILTER_DEFAULT);
    assert_int_equal(frame_set_filter(&f, 0, 0x80000000u), VCK_UNSUPPORTED);
    frame_stop(&f);
}

static void requests_that_take_too_long_are_given_up(void **state) VCK_CAN_WAIT
{
    const struct ndis_options options = {.holds_requests = 1, .receive_limit = 4096};
    struct vck_frame_call call;
    uint8_t address[6];

    (void)state;
    start_with(0);
    fake_ndis_configure(0, &options);
    vck_frame_query_init(&call, f.openers[0].binding, VCK_OID_802_3_CURRENT_ADDRESS, address, 6);
    call.deadline_ns = vck_clock_ns() + 20000000;
    vck_block_on(&call.future);
    assert_int_equal(call.status, VCK_TIMEOUT);
    fake_ndis_do(NDIS_RESET, 0);
    frame_stop(&f);
}

static void statuses_are_told(void **state) VCK_CAN_WAIT
{
    struct vck_frame_call call;
    uint8_t data[64];

    (void)state;
    start_with(0);
    fake_ndis_set(NDIS_LINK, 0, 0);
    vck_frame_status_init(&call, &f.openers[0], data, sizeof(data));
    vck_block_on(&call.future);
    assert_int_equal(call.status, VCK_OK);
    assert_int_equal(call.code, VCK_FRAME_STATUS_LINK_STATE);
    assert_int_equal(call.done_bytes, sizeof(NDIS_LINK_STATE));
    assert_false(frame_info(&f, 0).link.is_up);
    fake_ndis_set(NDIS_STATUS_IS, 0, (uint32_t)NDIS_STATUS_NETWORK_CHANGE);
    vck_frame_status_init(&call, &f.openers[0], data, sizeof(data));
    vck_block_on(&call.future);
    assert_int_equal(call.code, (uint32_t)NDIS_STATUS_NETWORK_CHANGE);
    assert_int_equal(call.done_bytes, 0);
    frame_stop(&f);
}

/* ---- events ---- */

static void pauses_stop_frames_and_restarts_let_them_go(void **state) VCK_CAN_WAIT
{
    uint8_t frame[NDIS_FRAME_BYTES_MAX];
    size_t bytes;

    (void)state;
    start_with(1);
    for (uint32_t i = 0; i < 20; i++) {
        fake_ndis_do(NDIS_PAUSE, 1);
        fake_ndis_settle();
        assert_int_equal(frame_info(&f, 1).phase, VCK_FRAME_PAUSED);
        assert_int_equal(frame_send(&f, 1, i, 60), VCK_NOT_READY);
        fake_ndis_do(NDIS_RESTART, 1);
        fake_ndis_settle();
        assert_int_equal(frame_send(&f, 1, i, 60), VCK_OK);
        assert_int_equal(frame_read(&f, 1, frame, &bytes), VCK_OK);
        assert_true(frame_is(1, i, frame, bytes));
    }
    assert_int_equal(fake_ndis_count(1).pauses, 20);
    frame_stop(&f);
}

static void power_goes_and_comes(void **state) VCK_CAN_WAIT
{
    struct vck_frame_call call;
    uint8_t address[6];

    (void)state;
    start_with(0);
    fake_ndis_do(NDIS_LOW_POWER, 0);
    fake_ndis_settle();
    assert_int_equal(frame_send(&f, 0, 1, 60), VCK_NOT_READY);
    assert_int_equal(query(VCK_OID_802_3_CURRENT_ADDRESS, address, 6, &call), VCK_NOT_READY);
    fake_ndis_do(NDIS_FULL_POWER, 0);
    fake_ndis_settle();
    while (frame_info(&f, 0).phase != VCK_FRAME_RUNNING)
        vck_thread_sleep(100000);
    assert_int_equal(frame_send(&f, 0, 1, 60), VCK_OK);
    frame_stop(&f);
}

static void what_waits_ends_when_the_adapter_is_pulled_out(void **state) VCK_CAN_WAIT
{
    const struct ndis_options options = {
        .holds_sends = 1, .holds_requests = 1, .closes_later = 1, .receive_limit = 4096};
    struct vck_frame_call send;
    struct vck_frame_call read;
    struct vck_frame_call ask;
    struct vck_descriptor descriptor;
    uint8_t data[64];
    uint8_t frame[64];
    uint8_t address[6];

    (void)state;
    start_with(0);
    fake_ndis_configure(0, &options);
    frame_make(0, 1, 64, data);
    vck_descriptor_init(&descriptor, data, 64);
    vck_frame_send_init(&send, &f.openers[0], &descriptor, 0, 64, 0);
    vck_frame_read_init(&read, &f.openers[0], frame, sizeof(frame));
    vck_frame_query_init(&ask, f.openers[0].binding, VCK_OID_802_3_CURRENT_ADDRESS, address, 6);
    assert_int_equal(vck_future_poll(&send.future, &vck_waker_noop), VCK_PENDING);
    assert_int_equal(vck_future_poll(&read.future, &vck_waker_noop), VCK_PENDING);
    assert_int_equal(vck_future_poll(&ask.future, &vck_waker_noop), VCK_PENDING);
    fake_ndis_do(NDIS_UNBIND, 0);
    vck_block_on(&send.future);
    vck_block_on(&read.future);
    vck_block_on(&ask.future);
    assert_int_not_equal(send.status, VCK_OK);
    assert_int_equal(read.status, VCK_DELETED);
    assert_int_not_equal(ask.status, VCK_OK);
    fake_ndis_settle();
    assert_int_equal(fake_ndis_count(0).unbinds, 1);
    frame_close(&f, 0);
    fake_ndis_do(NDIS_RESET, 0);
    fake_ndis_do(NDIS_BIND, 0);
    fake_ndis_settle();
    assert_int_equal(frame_open(&f, 0), VCK_OK);
    assert_int_equal(frame_send(&f, 0, 1, 60), VCK_OK);
    frame_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(adapters_are_bound_and_let_go, begin, end),
        cmocka_unit_test_setup_teardown(binds_come_before_the_registration_returns, begin, end),
        cmocka_unit_test_setup_teardown(adapters_that_do_not_open_are_not_bound, begin, end),
        cmocka_unit_test_setup_teardown(there_is_one_protocol_at_a_time, begin, end),
        cmocka_unit_test_setup_teardown(a_removed_protocol_lets_nobody_in, begin, end),
        cmocka_unit_test_setup_teardown(frames_come_back, begin, end),
        cmocka_unit_test_setup_teardown(frames_come_back_later_and_in_pieces, begin, end),
        cmocka_unit_test_setup_teardown(frames_go_out_of_chains_and_positions, begin, end),
        cmocka_unit_test_setup_teardown(borrowed_frames_are_not_copied, begin, end),
        cmocka_unit_test_setup_teardown(held_sends_are_cancelled_by_their_id, begin, end),
        cmocka_unit_test_setup_teardown(failed_sends_say_so, begin, end),
        cmocka_unit_test_setup_teardown(requests_are_answered, begin, end),
        cmocka_unit_test_setup_teardown(requests_that_take_too_long_are_given_up, begin, end),
        cmocka_unit_test_setup_teardown(statuses_are_told, begin, end),
        cmocka_unit_test_setup_teardown(pauses_stop_frames_and_restarts_let_them_go, begin, end),
        cmocka_unit_test_setup_teardown(power_goes_and_comes, begin, end),
        cmocka_unit_test_setup_teardown(what_waits_ends_when_the_adapter_is_pulled_out, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
