/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bindings over a port that holds what it is given: binds, sends, reads, requests, and how they end
 * when the binding pauses, loses power or goes.
 */
#include "fake_port_test.h"
#include "vck/timeout.h"

#define TYPE VCK_FRAME_ETHER_TYPE_DEFAULT

static const struct vck_object_type root_type = {.name = "test"};
static struct vck_object *root; /* whose unload waits until all memory has gone */
static struct vck_frame_protocol *protocol;
static struct vck_frame_opener opener;

static struct vck_bytes name_of(const char *name)
{
    return (struct vck_bytes){(const uint8_t *)name, strlen(name)};
}

static void create(uint32_t queue_frames) VCK_CAN_WAIT
{
    struct vck_frame_options options = {.queue_frames = queue_frames};

    assert_int_equal(vck_object_create(&root_type, NULL, NULL, NULL, &root), VCK_OK);
    options.parent = root;
    assert_int_equal(vck_frame_protocol_create(&options, &protocol), VCK_OK);
}

static void start(uint32_t queue_frames) VCK_CAN_WAIT
{
    fake_reset();
    create(queue_frames);
    assert_int_equal(vck_frame_protocol_start(protocol, NULL), VCK_OK);
}

static void stop(void) VCK_CAN_WAIT
{
    vck_frame_close(&opener);
    vck_frame_protocol_destroy(protocol);
    assert_int_equal(vck_object_unload(root, 0), VCK_OK);
    assert_int_equal(vck_alloc_live_count(), 0);
}

static void start_running(uint32_t queue_frames) VCK_CAN_WAIT
{
    start(queue_frames);
    fake_appear(0);
    assert_int_equal(fake_tell(0, VCK_FRAMES_RESTART), VCK_OK);
    assert_int_equal(vck_frame_open(protocol, name_of("net0"), TYPE, &opener), VCK_OK);
}

/* ---- calls of a test, with what they use ---- */

struct test_call {
    struct vck_frame_call call;
    struct vck_descriptor descriptor;
    uint8_t data[1600];
    bool is_done;
};

static void test_done(struct vck_frame_call *call)
{
    struct test_call *t = VCK_CONTAINER_OF(call, struct test_call, call);

    assert_false(__atomic_exchange_n(&t->is_done, true, __ATOMIC_SEQ_CST));
}

static bool is_done(struct test_call *t)
{
    return __atomic_load_n(&t->is_done, __ATOMIC_SEQ_CST);
}

static void make_frame(uint8_t *data, const uint8_t *from, uint16_t type, uint8_t mark)
{
    memset(data, 0xff, VCK_FRAME_ADDRESS_BYTES);
    memcpy(data + VCK_FRAME_ADDRESS_BYTES, from, VCK_FRAME_ADDRESS_BYTES);
    vck_store_be16(data + 12, type);
    memset(data + VCK_FRAME_HEADER_BYTES, mark, 60 - VCK_FRAME_HEADER_BYTES);
}

static void begin_send(struct test_call *t, uint32_t size_bytes, uint64_t cancel_id)
{
    memset(t, 0, sizeof(*t));
    make_frame(t->data, fake_adapters[0].address, TYPE, 1);
    vck_descriptor_init(&t->descriptor, t->data, sizeof(t->data));
    vck_frame_send_init(&t->call, &opener, &t->descriptor, 0, size_bytes, cancel_id);
    t->call.done = test_done;
    vck_frame_call_start(&t->call);
}

static void begin_read(struct test_call *t, size_t size_bytes)
{
    memset(t, 0, sizeof(*t));
    vck_frame_read_init(&t->call, &opener, t->data, size_bytes);
    t->call.done = test_done;
    vck_frame_call_start(&t->call);
}

static void receive(uint16_t type, uint8_t mark)
{
    uint8_t data[60];

    make_frame(data, (const uint8_t *)"\2\1\1\1\1\1", type, mark);
    fake_receive(0, data, sizeof(data), true);
}

/* ---- binds ---- */

static void binds_may_come_before_the_registration_stands(void **state) VCK_CAN_WAIT
{
    struct vck_frame_binding *binding;
    struct vck_frame_info info;
    struct vck_frame_call wait;

    (void)state;
    fake_reset();
    fake_early_count = 2;
    create(0);
    vck_frame_binds_init(&wait, protocol);
    vck_block_on(&wait.future);
    assert_int_equal(wait.status, VCK_NOT_READY);
    assert_int_equal(vck_frame_protocol_start(protocol, NULL), VCK_OK);
    assert_int_equal(vck_frame_protocol_start(protocol, NULL), VCK_BUSY);
    vck_frame_binds_init(&wait, protocol);
    vck_block_on(&wait.future);
    assert_int_equal(wait.status, VCK_OK);
    assert_int_equal(vck_frame_binding_at(protocol, 1, &binding), VCK_OK);
    vck_frame_binding_info(binding, &info);
    assert_string_equal(info.name, "net1");
    assert_int_equal(info.phase, VCK_FRAME_PAUSED);
    assert_int_equal(info.mtu_bytes, FAKE_MTU);
    assert_memory_equal(info.address, fake_adapters[1].address, sizeof(info.address));
    assert_true(info.link.is_up);
    assert_int_equal(info.link.bits_per_s, 1000000000);
    vck_frame_binding_put(binding);
    assert_int_equal(vck_frame_binding_at(protocol, 2, &binding), VCK_NOT_FOUND);
    stop();
}

static void a_wait_for_binds_ends_with_the_last_answer(void **state) VCK_CAN_WAIT
{
    struct test_call t = {.is_done = false};

    (void)state;
    fake_reset();
    fake_holds_complete = true;
    create(0);
    assert_int_equal(vck_frame_protocol_start(protocol, NULL), VCK_OK);
    vck_frame_binds_init(&t.call, protocol);
    t.call.done = test_done;
    vck_frame_call_start(&t.call);
    fake_adapters[0].holds_open = true;
    fake_appear(0);
    fake_complete();
    assert_false(is_done(&t));
    fake_let_open(0);
    vck_defer_drain();
    assert_true(is_done(&t));
    assert_int_equal(t.call.status, VCK_OK);
    stop();
}

static void a_bind_that_fails_leaves_nothing(void **state) VCK_CAN_WAIT
{
    struct vck_frame_binding *binding;

    (void)state;
    start(0);
    fake_adapters[0].open_status = VCK_IO;
    fake_adapters[1].medium = 5;
    fake_adapters[2].unsupported_oid = VCK_OID_802_3_CURRENT_ADDRESS;
    fake_adapters[3].unsupported_oid = VCK_OID_GEN_LINK_SPEED;
    for (unsigned i = 0; i < FAKE_ADAPTERS; i++)
        fake_appear(i);
    vck_defer_drain();
    assert_int_equal(fake_adapters[0].bind_status, VCK_IO);
    assert_int_equal(fake_adapters[1].bind_status, VCK_UNSUPPORTED);
    assert_int_equal(fake_adapters[2].bind_status, VCK_UNSUPPORTED);
    assert_int_equal(fake_adapters[3].bind_status, VCK_OK);
    assert_false(fake_adapters[1].is_open);
    assert_int_equal(vck_frame_binding_at(protocol, 0, &binding), VCK_OK);
    vck_frame_binding_put(binding);
    assert_int_equal(vck_frame_binding_at(protocol, 1, &binding), VCK_NOT_FOUND);
    stop();
}

static void an_unbind_may_come_before_the_adapter_is_open(void **state) VCK_CAN_WAIT
{
    struct fake_event unbind;

    (void)state;
    start(0);
    fake_adapters[0].holds_open = true;
    fake_adapters[0].holds_close = true;
    fake_appear(0);
    fake_event_begin(0, VCK_FRAMES_UNBIND, &unbind);
    assert_false(fake_event_is_done(&unbind));
    fake_let_open(0);
    vck_defer_drain();
    assert_false(fake_event_is_done(&unbind));
    fake_let_close(0);
    assert_int_equal(fake_event_wait(&unbind), VCK_OK);
    assert_int_equal(fake_adapters[0].bind_status, VCK_CANCELLED);
    stop();
}

/* ---- openers ---- */

static void a_binding_has_one_opener(void **state) VCK_CAN_WAIT
{
    struct vck_frame_opener other = {.binding = NULL};

    (void)state;
    start_running(0);
    assert_int_equal(vck_frame_open(protocol, name_of("net9"), TYPE, &other), VCK_NOT_FOUND);
    assert_int_equal(vck_frame_open(protocol, name_of("net0"), TYPE, &other), VCK_BUSY);
    vck_frame_close(&opener);
    assert_int_equal(vck_frame_open(protocol, name_of("net0"), TYPE, &other), VCK_OK);
    assert_int_equal(fake_adapters[0].filter_sets, 1);
    vck_frame_close(&other);
    stop();
}

static void an_opener_outlives_its_binding(void **state) VCK_CAN_WAIT
{
    struct test_call t;

    (void)state;
    start_running(0);
    begin_read(&t, sizeof(t.data));
    assert_int_equal(fake_tell(0, VCK_FRAMES_UNBIND), VCK_OK);
    assert_true(is_done(&t));
    assert_int_equal(t.call.status, VCK_DELETED);
    begin_read(&t, sizeof(t.data));
    assert_int_equal(t.call.status, VCK_DELETED);
    begin_send(&t, 60, 0);
    assert_int_equal(t.call.status, VCK_DELETED);
    stop();
}

/* ---- sends ---- */

static void sends_are_checked(void **state) VCK_CAN_WAIT
{
    struct test_call t;

    (void)state;
    start_running(0);
    begin_send(&t, 13, 0);
    assert_int_equal(t.call.status, VCK_INVALID_DATA);
    begin_send(&t, FAKE_MTU + VCK_FRAME_HEADER_BYTES + 1, 0);
    assert_int_equal(t.call.status, VCK_SIZE_MISMATCH);
    begin_send(&t, sizeof(t.data) + 1, 0);
    assert_int_equal(t.call.status, VCK_SIZE_MISMATCH);
    fake_adapters[0].address[5] = 99; /* the frame's source, not the binding's */
    begin_send(&t, 60, 0);
    assert_int_equal(t.call.status, VCK_INVALID_DATA);
    fake_adapters[0].address[5] = 0;
    begin_send(&t, FAKE_MTU + VCK_FRAME_HEADER_BYTES, 0);
    assert_int_equal(t.call.status, VCK_OK);
    assert_int_equal(fake_tell(0, VCK_FRAMES_PAUSE), VCK_OK);
    begin_send(&t, 60, 0);
    assert_int_equal(t.call.status, VCK_NOT_READY);
    assert_int_equal(fake_adapters[0].sent_count, 1);
    stop();
}

static void sends_end_with_their_id(void **state) VCK_CAN_WAIT
{
    struct test_call t[4];

    (void)state;
    start_running(0);
    fake_adapters[0].holds_sends = true;
    begin_send(&t[0], 60, 7);
    begin_send(&t[1], 60, 8);
    begin_send(&t[2], 60, 7);
    begin_send(&t[3], 60, 0);
    vck_frame_cancel_sends(&opener, 7);
    assert_true(is_done(&t[0]) && is_done(&t[2]));
    assert_int_equal(t[0].call.status, VCK_CANCELLED);
    assert_false(is_done(&t[1]) || is_done(&t[3]));
    vck_frame_call_cancel(&t[3].call);
    assert_int_equal(t[3].call.status, VCK_CANCELLED);
    vck_frame_call_cancel(&t[3].call);
    fake_let_sends(0, VCK_OK);
    assert_int_equal(t[1].call.status, VCK_OK);
    stop();
}

static void a_send_on_its_way_in_is_cancelled_alone(void **state) VCK_CAN_WAIT
{
    struct test_call t[2];

    (void)state;
    start_running(0);
    fake_adapters[0].holds_sends = true;
    begin_send(&t[0], 60, 0);
    memset(&t[1], 0, sizeof(t[1]));
    vck_frame_send_init(&t[1].call, &opener, &t[0].descriptor, 0, 60, 0);
    /* As another thread finds it that is about to count it as outstanding. */
    t[1].call.holds = 1;
    vck_frame_call_cancel(&t[1].call);
    assert_true(t[1].call.is_cancelled);
    assert_false(t[0].call.is_to_end);
    fake_let_sends(0, VCK_OK);
    assert_int_equal(t[0].call.status, VCK_OK);
    stop();
}

static void a_pause_waits_for_sends(void **state) VCK_CAN_WAIT
{
    struct fake_event pause;
    struct test_call t;

    (void)state;
    start_running(0);
    fake_adapters[0].holds_sends = true;
    fake_adapters[0].ignores_cancel = true;
    begin_send(&t, 60, 0);
    fake_event_begin(0, VCK_FRAMES_PAUSE, &pause);
    assert_false(fake_event_is_done(&pause));
    fake_let_sends(0, VCK_OK);
    assert_true(is_done(&t));
    assert_int_equal(fake_event_wait(&pause), VCK_OK);
    stop();
}

static void many_sends_are_one_list(void **state) VCK_CAN_WAIT
{
    struct test_call t[3];
    struct vck_frame_call *calls[3];

    (void)state;
    start_running(0);
    for (unsigned i = 0; i < 3; i++) {
        memset(&t[i], 0, sizeof(t[i]));
        make_frame(t[i].data, fake_adapters[0].address, TYPE, 1);
        vck_descriptor_init(&t[i].descriptor, t[i].data, 60);
        vck_frame_send_init(&t[i].call, &opener, &t[i].descriptor, 0, i == 1 ? 61 : 60, 0);
        t[i].call.done = test_done;
        calls[i] = &t[i].call;
    }
    vck_frame_sends_start(calls, 3);
    assert_int_equal(t[0].call.status, VCK_OK);
    assert_int_equal(t[1].call.status, VCK_SIZE_MISMATCH);
    assert_int_equal(t[2].call.status, VCK_OK);
    stop();
}

/* ---- reads ---- */

static void reads_are_served_in_order(void **state) VCK_CAN_WAIT
{
    struct test_call t[3];

    (void)state;
    start_running(0);
    receive(TYPE, 1);
    begin_read(&t[0], sizeof(t[0].data));
    assert_int_equal(t[0].data[20], 1);
    begin_read(&t[0], sizeof(t[0].data));
    begin_read(&t[1], sizeof(t[1].data));
    begin_read(&t[2], 20);
    receive(0x0800, 9);
    assert_false(is_done(&t[0]));
    receive(TYPE, 2);
    receive(TYPE, 3);
    receive(TYPE, 4);
    assert_int_equal(t[0].data[20], 2);
    assert_int_equal(t[0].call.done_bytes, 60);
    assert_int_equal(t[1].data[20], 3);
    assert_int_equal(t[2].call.status, VCK_SIZE_MISMATCH);
    assert_int_equal(t[2].call.done_bytes, 20);
    assert_int_equal(t[2].call.needed_bytes, 60);
    begin_read(&t[0], sizeof(t[0].data));
    vck_frame_call_cancel(&t[0].call);
    assert_int_equal(t[0].call.status, VCK_CANCELLED);
    stop();
}

static void the_queue_keeps_the_newest(void **state) VCK_CAN_WAIT
{
    struct vck_frame_statistics statistics;
    struct test_call t;

    (void)state;
    start_running(4);
    for (uint8_t i = 0; i < 10; i++)
        receive(TYPE, i);
    receive(0x86dd, 77);
    vck_frame_binding_statistics(opener.binding, &statistics);
    assert_int_equal(statistics.received_frames, 10);
    assert_int_equal(statistics.dropped_frames, 6);
    assert_int_equal(statistics.filtered_frames, 1);
    for (uint8_t i = 6; i < 10; i++) {
        begin_read(&t, sizeof(t.data));
        assert_true(is_done(&t));
        assert_int_equal(t.data[30], i);
    }
    stop();
}

static void a_borrowed_frame_delays_a_pause(void **state) VCK_CAN_WAIT
{
    struct fake_event pause;
    struct test_call t[2];

    (void)state;
    start_running(4);
    for (unsigned i = 0; i < 2; i++) {
        memset(&t[i], 0, sizeof(t[i]));
        vck_frame_borrow_init(&t[i].call, &opener);
        t[i].call.done = test_done;
    }
    receive(TYPE, 5);
    vck_frame_call_start(&t[0].call); /* from the queue: a copy */
    vck_frame_call_start(&t[1].call);
    receive(TYPE, 6);
    assert_true(is_done(&t[0]) && is_done(&t[1]));
    assert_int_equal(fake_adapters[0].kept_count, 1);
    fake_event_begin(0, VCK_FRAMES_PAUSE, &pause);
    assert_false(fake_event_is_done(&pause));
    vck_frame_put(t[1].call.frame);
    assert_int_equal(fake_event_wait(&pause), VCK_OK);
    assert_int_equal(t[0].call.frame->size_bytes, 60);
    vck_frame_put(t[0].call.frame);
    stop();
}

static void a_closed_opener_gets_nothing_more(void **state) VCK_CAN_WAIT
{
    struct vck_frame_statistics statistics;
    struct vck_frame_binding *binding;
    struct test_call t[2];

    (void)state;
    start_running(4);
    fake_adapters[0].holds_sends = true;
    begin_read(&t[0], sizeof(t[0].data));
    begin_send(&t[1], 60, 0);
    vck_frame_close(&opener);
    assert_int_equal(t[0].call.status, VCK_CANCELLED);
    assert_int_equal(t[1].call.status, VCK_CANCELLED);
    receive(TYPE, 1);
    assert_int_equal(vck_frame_binding_at(protocol, 0, &binding), VCK_OK);
    vck_frame_binding_statistics(binding, &statistics);
    assert_int_equal(statistics.received_frames, 0);
    vck_frame_binding_put(binding);
    stop();
}

/* ---- requests ---- */

static vck_status query(uint32_t oid, size_t size_bytes, uint64_t limit_ns,
                        struct test_call *t) VCK_CAN_WAIT
{
    memset(t, 0, sizeof(*t));
    vck_frame_query_init(&t->call, opener.binding, oid, t->data, size_bytes);
    if (limit_ns)
        t->call.deadline_ns = vck_clock_ns() + limit_ns;
    vck_block_on(&t->call.future);
    return t->call.status;
}

static void requests_have_results(void **state) VCK_CAN_WAIT
{
    struct test_call t;

    (void)state;
    start_running(0);
    assert_int_equal(query(VCK_OID_GEN_MAXIMUM_FRAME_SIZE, 8, 0, &t), VCK_OK);
    assert_int_equal(t.call.done_bytes, 4);
    assert_int_equal(vck_load_le32(t.data), FAKE_MTU);
    assert_int_equal(query(VCK_OID_GEN_MAXIMUM_FRAME_SIZE, 2, 0, &t), VCK_SIZE_MISMATCH);
    assert_int_equal(t.call.needed_bytes, 4);
    fake_adapters[0].unsupported_oid = 0x1234;
    assert_int_equal(query(0x1234, 4, 0, &t), VCK_UNSUPPORTED);
    stop();
}

static void a_late_adapter_does_not_touch_what_has_ended(void **state) VCK_CAN_WAIT
{
    struct fake_event unbind;
    struct test_call t;

    (void)state;
    start_running(0);
    fake_adapters[0].holds_requests = true;
    fake_adapters[0].ignores_cancel = true;
    assert_int_equal(query(VCK_OID_GEN_MAXIMUM_FRAME_SIZE, 4, 1000000, &t), VCK_TIMEOUT);
    fake_event_begin(0, VCK_FRAMES_UNBIND, &unbind);
    assert_false(fake_event_is_done(&unbind));
    fake_let_requests(0, VCK_OK);
    assert_int_equal(fake_event_wait(&unbind), VCK_OK);
    assert_int_equal(vck_load_le32(t.data), 0);
    stop();
}

static void a_request_is_cancelled_with_its_call_or_its_binding(void **state) VCK_CAN_WAIT
{
    struct test_call t;

    (void)state;
    start_running(0);
    fake_adapters[0].holds_requests = true;
    for (unsigned i = 0; i < 2; i++) {
        memset(&t, 0, sizeof(t));
        vck_frame_query_init(&t.call, opener.binding, VCK_OID_GEN_LINK_SPEED, t.data, 4);
        t.call.done = test_done;
        vck_frame_call_start(&t.call);
        assert_false(is_done(&t));
        if (i == 0)
            vck_frame_call_cancel(&t.call);
        else
            assert_int_equal(fake_tell(0, VCK_FRAMES_UNBIND), VCK_OK);
        assert_true(is_done(&t));
        assert_int_equal(t.call.status, VCK_CANCELLED);
    }
    stop();
}

/* ---- restarts, power, news ---- */

static void a_restart_asks_again_and_sets_the_filter(void **state) VCK_CAN_WAIT
{
    struct vck_frame_info info;
    uint8_t filter[4];
    struct test_call t;

    (void)state;
    start_running(0);
    vck_store_le32(filter, VCK_FRAME_FILTER_DEFAULT);
    vck_frame_set_init(&t.call, opener.binding, VCK_OID_GEN_CURRENT_PACKET_FILTER, filter, 4);
    vck_block_on(&t.call.future);
    assert_int_equal(t.call.status, VCK_OK);
    assert_int_equal(fake_tell(0, VCK_FRAMES_PAUSE), VCK_OK);
    fake_adapters[0].filter = 0;
    fake_adapters[0].address[5] = 42;
    assert_int_equal(fake_tell(0, VCK_FRAMES_RESTART), VCK_OK);
    assert_int_equal(fake_adapters[0].filter, VCK_FRAME_FILTER_DEFAULT);
    vck_frame_binding_info(opener.binding, &info);
    assert_int_equal(info.address[5], 42);
    assert_int_equal(info.phase, VCK_FRAME_RUNNING);
    stop();
}

static void low_power_ends_what_is_with_the_adapter(void **state) VCK_CAN_WAIT
{
    struct test_call send;
    struct test_call t;

    (void)state;
    start_running(0);
    fake_adapters[0].holds_sends = true;
    begin_send(&send, 60, 0);
    assert_int_equal(fake_tell(0, VCK_FRAMES_LOW_POWER), VCK_OK);
    assert_int_equal(send.call.status, VCK_CANCELLED);
    assert_int_equal(query(VCK_OID_GEN_LINK_SPEED, 4, 0, &t), VCK_NOT_READY);
    assert_int_equal(fake_tell(0, VCK_FRAMES_FULL_POWER), VCK_OK);
    vck_defer_drain();
    assert_int_equal(query(VCK_OID_GEN_LINK_SPEED, 4, 0, &t), VCK_OK);
    fake_adapters[0].holds_sends = false;
    begin_send(&send, 60, 0);
    assert_int_equal(send.call.status, VCK_OK);
    stop();
}

static void statuses_are_told_or_kept(void **state) VCK_CAN_WAIT
{
    struct vck_frame_info info;
    struct test_call t;

    (void)state;
    start_running(0);
    memset(&t, 0, sizeof(t));
    vck_frame_status_init(&t.call, &opener, t.data, sizeof(t.data));
    t.call.done = test_done;
    vck_frame_call_start(&t.call);
    fake_status(0, 100, false);
    assert_true(is_done(&t));
    assert_int_equal(t.call.code, 100);
    assert_int_equal(t.call.done_bytes, VCK_FRAME_ADDRESS_BYTES);
    vck_frame_binding_info(opener.binding, &info);
    assert_false(info.link.is_up);
    for (uint32_t i = 0; i < 10; i++)
        fake_status(0, i, true);
    for (uint32_t i = 2; i < 10; i++) {
        vck_frame_status_init(&t.call, &opener, t.data, sizeof(t.data));
        vck_block_on(&t.call.future);
        assert_int_equal(t.call.code, i);
    }
    vck_frame_status_init(&t.call, &opener, t.data, sizeof(t.data));
    assert_int_equal(vck_block_on_until(&t.call.future, 0), VCK_TIMEOUT);
    stop();
}

static void an_adapter_may_be_renamed(void **state) VCK_CAN_WAIT
{
    struct vck_frames_binding *binding;
    struct vck_frame_binding *found;

    (void)state;
    start_running(0);
    binding = fake_adapters[0].binding;
    binding->handlers->renamed(binding, "wire0");
    assert_int_equal(vck_frame_binding_find(protocol, name_of("net0"), &found), VCK_NOT_FOUND);
    assert_int_equal(vck_frame_binding_find(protocol, name_of("wire0"), &found), VCK_OK);
    vck_frame_binding_put(found);
    stop();
}

static void an_uninstalled_protocol_lets_nobody_in(void **state) VCK_CAN_WAIT
{
    struct vck_frame_opener other = {.binding = NULL};

    (void)state;
    start_running(0);
    fake_appear(1);
    fake_uninstall();
    assert_true(vck_frame_protocol_is_uninstalled(protocol));
    assert_int_equal(vck_frame_open(protocol, name_of("net1"), TYPE, &other), VCK_NOT_READY);
    vck_frame_protocol_stop(protocol);
    assert_int_equal(vck_frame_open(protocol, name_of("net1"), TYPE, &other), VCK_NOT_READY);
    stop();
}

/* ---- failing allocations ---- */

static void every_allocation_may_fail(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct test_call t;
        bool is_through;
        start(4);
        vck_alloc_fail_nth(n);
        fake_appear(0);
        is_through = fake_adapters[0].bind_status == VCK_OK;
        if (is_through)
            is_through = fake_tell(0, VCK_FRAMES_RESTART) == VCK_OK;
        if (is_through)
            is_through = vck_frame_open(protocol, name_of("net0"), TYPE, &opener) == VCK_OK;
        if (is_through)
            is_through = query(VCK_OID_GEN_LINK_SPEED, 4, 0, &t) == VCK_OK;
        vck_alloc_fail_nth(0);
        stop();
        if (is_through && n > 20)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_may_come_before_the_registration_stands),
        cmocka_unit_test(a_wait_for_binds_ends_with_the_last_answer),
        cmocka_unit_test(a_bind_that_fails_leaves_nothing),
        cmocka_unit_test(an_unbind_may_come_before_the_adapter_is_open),
        cmocka_unit_test(a_binding_has_one_opener),
        cmocka_unit_test(an_opener_outlives_its_binding),
        cmocka_unit_test(sends_are_checked),
        cmocka_unit_test(sends_end_with_their_id),
        cmocka_unit_test(a_send_on_its_way_in_is_cancelled_alone),
        cmocka_unit_test(a_pause_waits_for_sends),
        cmocka_unit_test(many_sends_are_one_list),
        cmocka_unit_test(reads_are_served_in_order),
        cmocka_unit_test(the_queue_keeps_the_newest),
        cmocka_unit_test(a_borrowed_frame_delays_a_pause),
        cmocka_unit_test(a_closed_opener_gets_nothing_more),
        cmocka_unit_test(requests_have_results),
        cmocka_unit_test(a_late_adapter_does_not_touch_what_has_ended),
        cmocka_unit_test(a_request_is_cancelled_with_its_call_or_its_binding),
        cmocka_unit_test(a_restart_asks_again_and_sets_the_filter),
        cmocka_unit_test(low_power_ends_what_is_with_the_adapter),
        cmocka_unit_test(statuses_are_told_or_kept),
        cmocka_unit_test(an_adapter_may_be_renamed),
        cmocka_unit_test(an_uninstalled_protocol_lets_nobody_in),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
