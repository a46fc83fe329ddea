/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests of users over the port that holds what it is given.
 */
#include "fake_port_test.h"
#include "vck/frame_control.h"
#include "vck/utf.h"

static const struct vck_object_type root_type = {.name = "test"};
static struct vck_object *root; /* whose unload waits until all memory has gone */
static struct vck_frame_protocol *protocol;
static struct vck_frame_handle handle;

struct request {
    struct vck_frame_control_call call;
    uint8_t in[256];
    uint8_t out[2048];
    bool is_done;
};

static void start(void) VCK_CAN_WAIT
{
    struct vck_frame_options options = {.queue_frames = 0};

    fake_reset();
    fake_early_count = 2;
    assert_int_equal(vck_object_create(&root_type, NULL, NULL, NULL, &root), VCK_OK);
    options.parent = root;
    assert_int_equal(vck_frame_protocol_create(&options, &protocol), VCK_OK);
    assert_int_equal(vck_frame_protocol_start(protocol, NULL), VCK_OK);
    assert_int_equal(fake_tell(0, VCK_FRAMES_RESTART), VCK_OK);
    vck_frame_handle_init(&handle, protocol);
    handle.can_read = handle.can_write = true;
}

static void stop(void) VCK_CAN_WAIT
{
    vck_frame_handle_cleanup(&handle);
    vck_frame_protocol_destroy(protocol);
    assert_int_equal(vck_object_unload(root, 0), VCK_OK);
    assert_int_equal(vck_alloc_live_count(), 0);
}

static void request_done(struct vck_frame_control_call *call)
{
    struct request *r = VCK_CONTAINER_OF(call, struct request, call);

    assert_false(r->is_done);
    r->is_done = true;
}

static void begin_of(struct vck_frame_handle *of, struct request *r, uint32_t code, size_t in_bytes,
                     size_t out_bytes) VCK_CAN_WAIT
{
    r->is_done = false;
    r->call = (struct vck_frame_control_call){
        .handle = of,
        .code = code,
        .in = r->in,
        .in_bytes = in_bytes,
        .out = r->out,
        .out_bytes = out_bytes,
        .done = request_done,
    };
    vck_frame_control_start(&r->call);
}

static uint32_t ask(struct request *r, uint32_t code, size_t in_bytes,
                    size_t out_bytes) VCK_CAN_WAIT
{
    begin_of(&handle, r, code, in_bytes, out_bytes);
    vck_defer_drain();
    assert_true(r->is_done);
    return r->call.nt;
}

static uint32_t nt(vck_status status)
{
    return vck_status_to_nt(status);
}

static uint32_t open_named(const char *name, struct request *r) VCK_CAN_WAIT
{
    struct vck_bytes utf8 = {(const uint8_t *)name, strlen(name)};
    size_t size = 0;

    assert_int_equal(vck_utf8_to_utf16le(utf8, r->in, sizeof(r->in), &size), VCK_OK);
    vck_store_le16(r->in + size, 0);
    return ask(r, VCK_FRAME_CODE_OPEN_DEVICE, size + 2, 0);
}

static void put_frame(uint8_t *data, uint8_t last)
{
    memset(data, 0xff, 6);
    memcpy(data + 6, fake_adapters[0].address, 6);
    vck_store_be16(data + 12, VCK_FRAME_ETHER_TYPE_DEFAULT);
    memset(data + 14, last, 46);
}

/* ---- tests ---- */

static void an_adapter_is_opened_by_its_name(void **state) VCK_CAN_WAIT
{
    static struct request r;

    (void)state;
    start();
    assert_int_equal(ask(&r, VCK_FRAME_CODE_READ, 0, 100), nt(VCK_NOT_READY));
    assert_int_equal(open_named("", &r), nt(VCK_INVALID_DATA));
    assert_int_equal(open_named("net7", &r), nt(VCK_NOT_FOUND));
    assert_non_null(r.call.why);
    assert_int_equal(open_named("net0", &r), 0);
    assert_int_equal(fake_adapters[0].filter, VCK_FRAME_FILTER_DEFAULT);
    assert_int_equal(open_named("net1", &r), nt(VCK_ALREADY_EXISTS));
    stop();
}

static void an_adapter_is_open_once(void **state) VCK_CAN_WAIT
{
    struct vck_frame_handle other;
    static struct request r;

    (void)state;
    start();
    assert_int_equal(open_named("net0", &r), 0);
    vck_frame_handle_init(&other, protocol);
    other.can_read = true;
    memcpy(r.in, "n\0e\0t\0000\0", 8);
    begin_of(&other, &r, VCK_FRAME_CODE_OPEN_DEVICE, 8, 0);
    assert_int_equal(r.call.nt, nt(VCK_BUSY));
    vck_frame_handle_cleanup(&handle);
    begin_of(&other, &r, VCK_FRAME_CODE_OPEN_DEVICE, 8, 0);
    assert_int_equal(r.call.nt, 0);
    vck_frame_handle_cleanup(&other);
    begin_of(&other, &r, VCK_FRAME_CODE_READ, 0, 100);
    assert_int_equal(r.call.nt, nt(VCK_CANCELLED));
    stop();
}

static void a_filter_that_fails_gives_the_adapter_back(void **state) VCK_CAN_WAIT
{
    static struct request r;

    (void)state;
    start();
    fake_adapters[0].unsupported_oid = VCK_OID_GEN_CURRENT_PACKET_FILTER;
    assert_int_equal(open_named("net0", &r), nt(VCK_UNSUPPORTED));
    fake_adapters[0].unsupported_oid = 0;
    assert_int_equal(open_named("net0", &r), 0);
    stop();
}

static void frames_are_written_and_read(void **state) VCK_CAN_WAIT
{
    static struct request r;

    (void)state;
    start();
    assert_int_equal(open_named("net0", &r), 0);
    fake_adapters[0].loops_back = true;
    put_frame(r.in, 7);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_WRITE, 60, 0), 0);
    assert_int_equal(r.call.done_bytes, 60);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_READ, 0, 0), VCK_NT_BUFFER_TOO_SMALL);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_READ, 0, sizeof(r.out)), 0);
    assert_int_equal(r.call.done_bytes, 60);
    assert_memory_equal(r.in, r.out, 60);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_WRITE, 60, 0), 0);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_READ, 0, 20), VCK_FRAME_NT_TRUNCATED);
    assert_int_equal(r.call.done_bytes, 20);
    r.in[6] ^= 1;
    assert_int_equal(ask(&r, VCK_FRAME_CODE_WRITE, 60, 0), nt(VCK_INVALID_DATA));
    assert_int_equal(ask(&r, VCK_FRAME_CODE_WRITE, 3, 0), nt(VCK_INVALID_DATA));
    stop();
}

static void cleanup_and_cancel_end_what_waits(void **state) VCK_CAN_WAIT
{
    static struct request r[3];

    (void)state;
    start();
    assert_int_equal(open_named("net0", &r[0]), 0);
    begin_of(&handle, &r[0], VCK_FRAME_CODE_READ, 0, 100);
    begin_of(&handle, &r[1], VCK_FRAME_CODE_INDICATE_STATUS, 0, 100);
    begin_of(&handle, &r[2], VCK_FRAME_CODE_READ, 0, 100);
    vck_frame_control_cancel(&r[2].call);
    assert_true(r[2].is_done && !r[0].is_done && !r[1].is_done);
    assert_int_equal(r[2].call.nt, nt(VCK_CANCELLED));
    vck_frame_control_cancel(&r[2].call);
    vck_frame_handle_cleanup(&handle);
    assert_true(r[0].is_done && r[1].is_done);
    assert_int_equal(r[0].call.nt, nt(VCK_CANCELLED));
    assert_int_equal(r[1].call.nt, nt(VCK_CANCELLED));
    stop();
}

static void a_cleanup_ends_an_opening(void **state) VCK_CAN_WAIT
{
    static struct request r;
    static struct request again;

    (void)state;
    start();
    fake_adapters[0].holds_requests = true;
    memcpy(r.in, "n\0e\0t\0000\0", 8);
    begin_of(&handle, &r, VCK_FRAME_CODE_OPEN_DEVICE, 8, 0);
    assert_false(r.is_done);
    vck_frame_handle_cleanup(&handle);
    vck_defer_drain();
    assert_true(r.is_done);
    assert_int_equal(r.call.nt, nt(VCK_CANCELLED));
    fake_adapters[0].holds_requests = false;
    fake_let_requests(0, VCK_OK);
    vck_frame_handle_init(&handle, protocol);
    handle.can_read = true;
    assert_int_equal(open_named("net0", &again), 0);
    stop();
}

static void numbers_are_asked_and_set_within_the_list(void **state) VCK_CAN_WAIT
{
    static struct request r;

    (void)state;
    start();
    assert_int_equal(open_named("net0", &r), 0);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_QUERY_OID, 4, 100), nt(VCK_INVALID_DATA));
    memset(r.in, 0, 16);
    vck_store_le32(r.in, VCK_OID_GEN_MAXIMUM_FRAME_SIZE);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_QUERY_OID, 8, 12), 0);
    assert_int_equal(r.call.done_bytes, 12);
    assert_int_equal(vck_load_le32(r.out + 8), FAKE_MTU);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_QUERY_OID, 8, 10), VCK_NT_BUFFER_TOO_SMALL);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_SET_OID, 12, 0), nt(VCK_PERMISSION_DENIED));
    vck_store_le32(r.in, 0x0d010101); /* of another kind of adapter */
    assert_int_equal(ask(&r, VCK_FRAME_CODE_QUERY_OID, 8, 12), nt(VCK_PERMISSION_DENIED));
    vck_store_le32(r.in, VCK_OID_GEN_CURRENT_PACKET_FILTER);
    vck_store_le32(r.in + 8, VCK_FRAME_FILTER_DIRECTED);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_SET_OID, 12, 0), 0);
    assert_int_equal(fake_adapters[0].filter, VCK_FRAME_FILTER_DIRECTED);
    vck_store_le32(r.in + 8, 0x80);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_SET_OID, 12, 0), nt(VCK_PERMISSION_DENIED));
    vck_store_le32(r.in + 8, VCK_FRAME_FILTER_PROMISCUOUS);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_SET_OID, 12, 0), nt(VCK_PERMISSION_DENIED));
    handle.is_admin = true;
    assert_int_equal(ask(&r, VCK_FRAME_CODE_SET_OID, 12, 0), 0);
    stop();
}

static void multicast_lists_have_group_addresses(void **state)
{
    static const uint8_t good[12] = {1, 0, 0x5e, 0, 0, 1, 0x33, 0x33, 0, 0, 0, 1};
    static const uint8_t bad[12] = {1, 0, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 1};

    (void)state;
    assert_true(vck_frame_oid_may_set(VCK_OID_802_3_MULTICAST_LIST, good, 12));
    assert_true(vck_frame_oid_may_set(VCK_OID_802_3_MULTICAST_LIST, good, 0));
    assert_false(vck_frame_oid_may_set(VCK_OID_802_3_MULTICAST_LIST, good, 11));
    assert_false(vck_frame_oid_may_set(VCK_OID_802_3_MULTICAST_LIST, bad, 12));
    assert_false(vck_frame_oid_may_set(VCK_OID_802_3_CURRENT_ADDRESS, bad, 6));
    assert_true(vck_frame_oid_may_set(VCK_OID_GEN_CURRENT_LOOKAHEAD, good, 4));
    assert_false(vck_frame_oid_may_set(VCK_OID_GEN_CURRENT_LOOKAHEAD, good, 3));
}

static void bindings_are_listed(void **state) VCK_CAN_WAIT
{
    struct vck_frame_binding_message message;
    static struct request r;

    (void)state;
    start();
    assert_int_equal(ask(&r, VCK_FRAME_CODE_BIND_WAIT, 0, 0), 0);
    vck_store_le32(r.in, 1);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_QUERY_BINDING, 2, 200), nt(VCK_INVALID_DATA));
    assert_int_equal(ask(&r, VCK_FRAME_CODE_QUERY_BINDING, 4, 30), VCK_NT_BUFFER_TOO_SMALL);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_QUERY_BINDING, 4, 200), 0);
    assert_int_equal(
        vck_frame_binding_decode((struct vck_bytes){r.out, r.call.done_bytes}, &message), VCK_OK);
    assert_int_equal(message.index, 1);
    assert_int_equal(message.name_bytes, 10);
    assert_memory_equal(r.out + message.name_offset, "n\0e\0t\0001\0\0\0", 10);
    vck_store_le32(r.in, 2);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_QUERY_BINDING, 4, 200), nt(VCK_NOT_FOUND));
    stop();
}

static void the_state_of_a_binding_is_told(void **state) VCK_CAN_WAIT
{
    struct vck_frame_state_message message;
    static struct request r;

    (void)state;
    start();
    assert_int_equal(open_named("net0", &r), 0);
    put_frame(r.in, 1);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_WRITE, 60, 0), 0);
    vck_store_le16(r.in, 0x1234);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_SET_ETHER_TYPE, 2, 0), 0);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_SET_ETHER_TYPE, 3, 0), nt(VCK_INVALID_DATA));
    assert_int_equal(ask(&r, VCK_FRAME_CODE_QUERY_STATE, 0, 100), VCK_NT_BUFFER_TOO_SMALL);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_QUERY_STATE, 0, 104), 0);
    assert_int_equal(vck_frame_state_decode((struct vck_bytes){r.out, 104}, &message), VCK_OK);
    assert_int_equal(message.phase, VCK_FRAME_RUNNING);
    assert_int_equal(message.mtu_bytes, FAKE_MTU);
    assert_int_equal(message.ether_type, 0x1234);
    assert_int_equal(message.statistics.sent_frames, 1);
    assert_int_equal(message.statistics.sent_bytes, 60);
    assert_int_equal(message.link, 3);
    stop();
}

static void statuses_are_indicated(void **state) VCK_CAN_WAIT
{
    static struct request r;

    (void)state;
    start();
    assert_int_equal(open_named("net0", &r), 0);
    fake_status(0, 0x40010017, false);
    fake_status(0, 0x40010018, false);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_INDICATE_STATUS, 0, 11), VCK_NT_BUFFER_TOO_SMALL);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_INDICATE_STATUS, 0, 100), 0);
    assert_int_equal(vck_load_le32(r.out), 0x40010017);
    assert_int_equal(vck_load_le32(r.out + 4), 12);
    assert_int_equal(vck_load_le32(r.out + 8), 6);
    assert_int_equal(r.call.done_bytes, 18);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_INDICATE_STATUS, 0, 14), VCK_FRAME_NT_TRUNCATED);
    assert_int_equal(r.call.done_bytes, 14);
    stop();
}

static void handles_do_what_they_were_opened_for(void **state) VCK_CAN_WAIT
{
    static struct request r;

    (void)state;
    start();
    handle.can_write = false;
    assert_int_equal(open_named("net0", &r), 0);
    put_frame(r.in, 1);
    assert_int_equal(ask(&r, VCK_FRAME_CODE_WRITE, 60, 0), nt(VCK_PERMISSION_DENIED));
    assert_int_equal(ask(&r, 0x12345678, 0, 0), nt(VCK_UNSUPPORTED));
    handle.can_read = false;
    assert_int_equal(ask(&r, VCK_FRAME_CODE_READ, 0, 60), nt(VCK_PERMISSION_DENIED));
    stop();
}

/* A buffered request has one buffer for both directions. */
static void the_buffers_may_be_one(void **state) VCK_CAN_WAIT
{
    static struct request r;

    (void)state;
    start();
    assert_int_equal(open_named("net0", &r), 0);
    vck_store_le32(r.out, VCK_OID_GEN_MAXIMUM_FRAME_SIZE);
    vck_store_le32(r.out + 4, 0);
    r.is_done = false;
    r.call = (struct vck_frame_control_call){
        .handle = &handle,
        .code = VCK_FRAME_CODE_QUERY_OID,
        .in = r.out,
        .in_bytes = 8,
        .out = r.out,
        .out_bytes = 12,
        .done = request_done,
    };
    vck_frame_control_start(&r.call);
    assert_true(r.is_done);
    assert_int_equal(r.call.nt, 0);
    assert_int_equal(vck_load_le32(r.out + 8), FAKE_MTU);
    stop();
}

static void messages_survive_the_wire(void **state)
{
    struct vck_frame_state_message message = {
        .interface_index = 1, .phase = 4, .mtu_bytes = 1500, .link = 1, .bits_per_s = 5};
    struct vck_frame_state_message back;
    struct vck_frame_binding_message binding = {1, 20, 4, 24, 2};
    struct vck_frame_binding_message binding_back;
    uint8_t data[VCK_FRAME_STATE_MESSAGE_BYTES];

    (void)state;
    message.statistics = (struct vck_frame_statistics){1, 2, 3, 4, 5, 6, 7, 8, 9};
    vck_frame_state_encode(&message, data);
    assert_int_equal(vck_frame_state_decode((struct vck_bytes){data, sizeof(data)}, &back), VCK_OK);
    assert_memory_equal(&message, &back, sizeof(back));
    assert_int_equal(vck_frame_state_decode((struct vck_bytes){data, sizeof(data) - 1}, &back),
                     VCK_SIZE_MISMATCH);
    data[4] = VCK_FRAME_PHASE_COUNT;
    assert_int_equal(vck_frame_state_decode((struct vck_bytes){data, sizeof(data)}, &back),
                     VCK_INVALID_DATA);
    vck_frame_binding_encode(&binding, data);
    assert_int_equal(vck_frame_binding_decode((struct vck_bytes){data, 26}, &binding_back), VCK_OK);
    assert_memory_equal(&binding, &binding_back, sizeof(binding));
    assert_int_equal(vck_frame_binding_decode((struct vck_bytes){data, 25}, &binding_back),
                     VCK_INVALID_DATA);
    assert_int_equal(vck_frame_binding_decode((struct vck_bytes){data, 19}, &binding_back),
                     VCK_SIZE_MISMATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_adapter_is_opened_by_its_name),
        cmocka_unit_test(an_adapter_is_open_once),
        cmocka_unit_test(a_filter_that_fails_gives_the_adapter_back),
        cmocka_unit_test(frames_are_written_and_read),
        cmocka_unit_test(cleanup_and_cancel_end_what_waits),
        cmocka_unit_test(a_cleanup_ends_an_opening),
        cmocka_unit_test(numbers_are_asked_and_set_within_the_list),
        cmocka_unit_test(multicast_lists_have_group_addresses),
        cmocka_unit_test(bindings_are_listed),
        cmocka_unit_test(the_state_of_a_binding_is_told),
        cmocka_unit_test(statuses_are_indicated),
        cmocka_unit_test(handles_do_what_they_were_opened_for),
        cmocka_unit_test(the_buffers_may_be_one),
        cmocka_unit_test(messages_survive_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
