/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bindings to real interfaces: two ends of a veth pair, in a network namespace of the program's
 * own. Skipped where namespaces are refused. VCK_FRAME_CYCLES: how often the protocol comes and
 * goes under traffic (40).
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <setjmp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "port/posix/frame.h"
#include "vck/frame.h"
#include "vck/timeout.h"

#define TYPE     VCK_FRAME_ETHER_TYPE_DEFAULT
#define LIMIT_NS UINT64_C(120000000000)

static const uint8_t addresses[2][6] = {{2, 0, 0, 0, 0, 10}, {2, 0, 0, 0, 0, 11}};

static bool is_refused;

static void run(const char *command)
{
    assert_int_equal(system(command), 0);
}

/* Also what a test that failed has left. */
static int remove_wire(void **state)
{
    (void)state;
    if (!is_refused)
        (void)!system("ip link del wire0 2>/dev/null");
    return 0;
}

static int enter_namespace(void **state)
{
    (void)state;
    is_refused = unshare(CLONE_NEWNET) != 0;
    if (is_refused)
        print_message("# network namespaces are refused here\n");
    return 0;
}

static void make_wire(void)
{
    run("ip link add wire0 type veth peer name wire1 && "
        "ip link set wire0 address 02:00:00:00:00:0a up && "
        "ip link set wire1 address 02:00:00:00:00:0b up");
}

/* ---- one side of the wire ---- */

static const struct vck_object_type root_type = {.name = "test"};

static struct vck_object *root; /* whose unload waits until all memory has gone */

struct side {
    struct vck_frame_protocol *protocol;
    struct vck_frame_opener opener;
    struct vck_posix_frame_config config;
    const char *names[2];
};

static void wait_binds(struct vck_frame_protocol *protocol) VCK_CAN_WAIT
{
    struct vck_frame_call call;

    vck_frame_binds_init(&call, protocol);
    assert_int_equal(vck_block_on_until(&call.future, vck_clock_ns() + LIMIT_NS), VCK_OK);
    assert_int_equal(call.status, VCK_OK);
}

static void wait_phase(struct vck_frame_binding *binding, enum vck_frame_phase phase)
{
    struct vck_frame_info info;
    uint64_t deadline_ns = vck_clock_ns() + LIMIT_NS;

    do {
        vck_frame_binding_info(binding, &info);
        assert_true(vck_clock_ns() < deadline_ns);
        usleep(1000);
    } while (info.phase != phase);
}

static vck_status set_filter(struct vck_frame_binding *binding, uint32_t filter) VCK_CAN_WAIT
{
    struct vck_frame_call call;
    uint8_t data[4];

    vck_store_le32(data, filter);
    vck_frame_set_init(&call, binding, VCK_OID_GEN_CURRENT_PACKET_FILTER, data, sizeof(data));
    vck_block_on(&call.future);
    return call.status;
}

static void start_side(struct side *side, const char *name) VCK_CAN_WAIT
{
    struct vck_frame_options options = {
        .parent = root, .port_config = &side->config, .queue_frames = 512};

    memset(side, 0, sizeof(*side));
    side->names[0] = name;
    side->config = (struct vck_posix_frame_config){.names = side->names, .ring_bytes = 1 << 19};
    assert_int_equal(vck_frame_protocol_create(&options, &side->protocol), VCK_OK);
    assert_int_equal(vck_frame_protocol_start(side->protocol, NULL), VCK_OK);
    wait_binds(side->protocol);
    assert_int_equal(vck_frame_open(side->protocol,
                                    (struct vck_bytes){(const uint8_t *)name, strlen(name)}, TYPE,
                                    &side->opener),
                     VCK_OK);
    assert_int_equal(set_filter(side->opener.binding, VCK_FRAME_FILTER_DEFAULT), VCK_OK);
    wait_phase(side->opener.binding, VCK_FRAME_RUNNING);
}

static void stop_side(struct side *side) VCK_CAN_WAIT
{
    vck_frame_close(&side->opener);
    vck_frame_protocol_destroy(side->protocol);
}

static void begin(struct side sides[2]) VCK_CAN_WAIT
{
    if (is_refused)
        skip();
    make_wire();
    assert_int_equal(vck_object_create(&root_type, NULL, NULL, NULL, &root), VCK_OK);
    start_side(&sides[0], "wire0");
    start_side(&sides[1], "wire1");
}

static void end(struct side sides[2]) VCK_CAN_WAIT
{
    stop_side(&sides[0]);
    stop_side(&sides[1]);
    (void)!system("ip link del wire0 2>/dev/null");
    assert_int_equal(vck_object_unload(root, 0), VCK_OK);
    assert_int_equal(vck_alloc_live_count(), 0);
}

static void make_frame(uint8_t *frame, unsigned from, const uint8_t *to, uint32_t number,
                       size_t size_bytes)
{
    memcpy(frame, to, 6);
    memcpy(frame + 6, addresses[from], 6);
    vck_store_be16(frame + 12, TYPE);
    vck_store_le32(frame + 14, number);
    memset(frame + 18, (uint8_t)number, size_bytes - 18);
}

static vck_status send_frame(struct side *side, void *frame, size_t size_bytes) VCK_CAN_WAIT
{
    struct vck_descriptor pieces[2];
    struct vck_frame_call call;

    vck_descriptor_init(&pieces[0], frame, 10);
    vck_descriptor_init(&pieces[1], (uint8_t *)frame + 10, (uint32_t)size_bytes - 10);
    pieces[0].next = &pieces[1];
    vck_frame_send_init(&call, &side->opener, pieces, 0, (uint32_t)size_bytes, 0);
    vck_block_on(&call.future);
    return call.status;
}

static vck_status read_frame(struct side *side, uint8_t *frame, size_t *ret_bytes,
                             uint64_t limit_ns) VCK_CAN_WAIT
{
    struct vck_frame_call call;
    vck_status status;

    vck_frame_read_init(&call, &side->opener, frame, 2048);
    status = vck_block_on_until(&call.future, vck_clock_ns() + limit_ns);
    *ret_bytes = call.done_bytes;
    return status == VCK_OK ? call.status : status;
}

/* ---- tests ---- */

static void frames_cross_the_wire(void **state) VCK_CAN_WAIT
{
    struct side sides[2];
    uint8_t frame[1514];
    uint8_t got[2048];
    size_t size_bytes;

    (void)state;
    begin(sides);
    for (unsigned i = 0; i < 20; i++) {
        size_t sent_bytes = 60 + i * 76;
        make_frame(frame, i & 1, addresses[!(i & 1)], i, sent_bytes);
        assert_int_equal(send_frame(&sides[i & 1], frame, sent_bytes), VCK_OK);
        assert_int_equal(read_frame(&sides[!(i & 1)], got, &size_bytes, LIMIT_NS), VCK_OK);
        assert_int_equal(size_bytes, sent_bytes);
        assert_memory_equal(frame, got, sent_bytes);
    }
    make_frame(frame, 1, addresses[1], 1, 60);
    assert_int_equal(send_frame(&sides[0], frame, 60), VCK_INVALID_DATA);
    end(sides);
}

static void frames_of_others_need_promiscuous(void **state) VCK_CAN_WAIT
{
    static const uint8_t other[6] = {2, 0, 0, 0, 0, 99};
    static const uint8_t group[6] = {1, 0, 0x5e, 1, 2, 3};
    struct side sides[2];
    struct vck_frame_call set;
    uint8_t frame[60];
    uint8_t got[2048];
    size_t size_bytes;

    (void)state;
    begin(sides);
    make_frame(frame, 0, other, 1, sizeof(frame));
    assert_int_equal(send_frame(&sides[0], frame, sizeof(frame)), VCK_OK);
    make_frame(frame, 0, group, 2, sizeof(frame));
    assert_int_equal(send_frame(&sides[0], frame, sizeof(frame)), VCK_OK);
    assert_int_equal(read_frame(&sides[1], got, &size_bytes, 50000000), VCK_TIMEOUT);
    vck_frame_set_init(&set, sides[1].opener.binding, VCK_OID_802_3_MULTICAST_LIST, group, 6);
    vck_block_on(&set.future);
    assert_int_equal(set.status, VCK_OK);
    assert_int_equal(send_frame(&sides[0], frame, sizeof(frame)), VCK_OK);
    assert_int_equal(read_frame(&sides[1], got, &size_bytes, LIMIT_NS), VCK_OK);
    assert_int_equal(got[14], 2);
    assert_int_equal(set_filter(sides[1].opener.binding, VCK_FRAME_FILTER_PROMISCUOUS), VCK_OK);
    make_frame(frame, 0, other, 3, sizeof(frame));
    assert_int_equal(send_frame(&sides[0], frame, sizeof(frame)), VCK_OK);
    assert_int_equal(read_frame(&sides[1], got, &size_bytes, LIMIT_NS), VCK_OK);
    assert_int_equal(got[14], 3);
    end(sides);
}

static void a_tag_of_a_vlan_is_kept(void **state) VCK_CAN_WAIT
{
    struct side sides[2];
    uint8_t frame[64];
    uint8_t got[2048];
    size_t size_bytes;

    (void)state;
    begin(sides);
    sides[1].opener.ether_type = 0x8100;
    make_frame(frame, 0, addresses[1], 1, sizeof(frame));
    vck_store_be16(frame + 12, 0x8100);
    vck_store_be16(frame + 14, 42);
    vck_store_be16(frame + 16, TYPE);
    assert_int_equal(send_frame(&sides[0], frame, sizeof(frame)), VCK_OK);
    assert_int_equal(read_frame(&sides[1], got, &size_bytes, LIMIT_NS), VCK_OK);
    assert_int_equal(size_bytes, sizeof(frame));
    assert_memory_equal(frame, got, sizeof(frame));
    end(sides);
}

static void borrowed_frames_stop_nothing(void **state) VCK_CAN_WAIT
{
    struct side sides[2];
    struct vck_frame_call call;
    struct vck_frame *held[40];
    uint8_t frame[60];

    (void)state;
    begin(sides);
    for (uint32_t i = 0; i < 40; i++) {
        vck_frame_borrow_init(&call, &sides[1].opener);
        make_frame(frame, 0, addresses[1], i, sizeof(frame));
        assert_int_equal(send_frame(&sides[0], frame, sizeof(frame)), VCK_OK);
        assert_int_equal(vck_block_on_until(&call.future, vck_clock_ns() + LIMIT_NS), VCK_OK);
        assert_int_equal(call.status, VCK_OK);
        held[i] = call.frame;
    }
    for (uint32_t i = 0; i < 40; i++) {
        const uint8_t *data = held[i]->first->address;
        assert_int_equal(held[i]->size_bytes, 60);
        assert_int_equal(data[14], i);
        vck_frame_put(held[i]);
    }
    end(sides);
}

static void an_interface_goes_down_and_up(void **state) VCK_CAN_WAIT
{
    struct side sides[2];
    struct vck_frame_call news;
    struct vck_frame_info info;
    uint8_t data[64];
    uint8_t frame[60];
    size_t size_bytes;

    (void)state;
    begin(sides);
    make_frame(frame, 0, addresses[1], 7, sizeof(frame));
    vck_frame_status_init(&news, &sides[1].opener, data, sizeof(data));
    run("ip link set wire0 down");
    assert_int_equal(vck_block_on_until(&news.future, vck_clock_ns() + LIMIT_NS), VCK_OK);
    assert_int_equal(news.code, VCK_FRAME_STATUS_LINK_STATE);
    wait_phase(sides[0].opener.binding, VCK_FRAME_PAUSED);
    vck_frame_binding_info(sides[1].opener.binding, &info);
    assert_true(info.link.is_known && !info.link.is_up);
    assert_int_equal(send_frame(&sides[0], frame, sizeof(frame)), VCK_NOT_READY);
    run("ip link set wire0 mtu 1400 up");
    wait_phase(sides[0].opener.binding, VCK_FRAME_RUNNING);
    vck_frame_binding_info(sides[0].opener.binding, &info);
    assert_int_equal(info.mtu_bytes, 1400);
    /* The other end hears of the carrier a little later. */
    while (send_frame(&sides[0], frame, sizeof(frame)) != VCK_OK ||
           read_frame(&sides[1], data, &size_bytes, 50000000) != VCK_OK)
        continue;
    end(sides);
}

static void an_interface_is_renamed(void **state) VCK_CAN_WAIT
{
    struct vck_bytes name = {(const uint8_t *)"cable1", 6};
    struct vck_frame_binding *binding;
    struct side sides[2];
    uint64_t deadline_ns;

    (void)state;
    begin(sides);
    run("ip link set wire1 down && ip link set wire1 name cable1 && ip link set cable1 up");
    deadline_ns = vck_clock_ns() + LIMIT_NS;
    while (vck_frame_binding_find(sides[1].protocol, name, &binding) != VCK_OK)
        assert_true(vck_clock_ns() < deadline_ns);
    assert_ptr_equal(binding, sides[1].opener.binding);
    vck_frame_binding_put(binding);
    end(sides);
}

static void adapters_are_asked(void **state) VCK_CAN_WAIT
{
    static const uint32_t oids[] = {
        VCK_OID_GEN_MEDIA_SUPPORTED,
        VCK_OID_GEN_MAXIMUM_TOTAL_SIZE,
        VCK_OID_GEN_VENDOR_DESCRIPTION,
        VCK_OID_GEN_CURRENT_PACKET_FILTER,
        VCK_OID_GEN_CURRENT_LOOKAHEAD,
        VCK_OID_GEN_XMIT_OK,
        VCK_OID_GEN_RCV_OK,
        VCK_OID_GEN_XMIT_ERROR,
        VCK_OID_GEN_RCV_ERROR,
        VCK_OID_GEN_RCV_NO_BUFFER,
        VCK_OID_802_3_PERMANENT_ADDRESS,
        VCK_OID_802_3_MULTICAST_LIST,
        VCK_OID_802_3_MAXIMUM_LIST_SIZE,
    };
    struct vck_frame_call call;
    struct side sides[2];
    uint8_t data[64];

    (void)state;
    begin(sides);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(oids); i++) {
        vck_frame_query_init(&call, sides[0].opener.binding, oids[i], data, sizeof(data));
        vck_block_on(&call.future);
        assert_int_equal(call.status, VCK_OK);
    }
    vck_frame_query_init(&call, sides[0].opener.binding, VCK_OID_GEN_XMIT_OK, data, 2);
    vck_block_on(&call.future);
    assert_int_equal(call.status, VCK_SIZE_MISMATCH);
    vck_frame_query_init(&call, sides[0].opener.binding, 0x0d010101, data, 4);
    vck_block_on(&call.future);
    assert_int_equal(call.status, VCK_UNSUPPORTED);
    end(sides);
}

/* ---- under traffic ---- */

struct traffic {
    struct side *side;
    unsigned from;
    bool stops; /* atomic */
    uint64_t sent;
    vck_status last;
    struct vck_thread *thread;
};

/* Sixteen frames at a time, as fast as they go, until they are refused. */
static void send_on(void *context) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    static _Thread_local uint8_t frames[16][256];
    struct traffic *t = context;
    struct vck_frame_call calls[16];
    struct vck_descriptor pieces[16];
    struct vck_frame_call *list[16];

    while (!__atomic_load_n(&t->stops, __ATOMIC_ACQUIRE) && t->last == VCK_OK) {
        for (unsigned i = 0; i < 16; i++) {
            make_frame(frames[i], t->from, addresses[!t->from], (uint32_t)t->sent, 256);
            vck_descriptor_init(&pieces[i], frames[i], 256);
            vck_frame_send_init(&calls[i], &t->side->opener, &pieces[i], 0, 256, 0);
            list[i] = &calls[i];
        }
        vck_frame_sends_start(list, 16);
        for (unsigned i = 0; i < 16; i++) {
            vck_block_on(&calls[i].future);
            if (calls[i].status != VCK_NO_MEMORY)
                t->last = calls[i].status;
            t->sent += calls[i].status == VCK_OK;
        }
    }
}

static void start_traffic(struct traffic *t, struct side *side, unsigned from)
{
    *t = (struct traffic){.side = side, .from = from};
    assert_int_equal(vck_thread_create(send_on, t, VCK_THREAD_NORMAL, "traffic", &t->thread),
                     VCK_OK);
}

static void an_interface_is_deleted_under_load(void **state) VCK_CAN_WAIT
{
    struct vck_frame_binding *binding;
    struct traffic traffic[2];
    struct side sides[2];
    uint8_t got[2048];
    size_t size_bytes;

    (void)state;
    begin(sides);
    start_traffic(&traffic[0], &sides[0], 0);
    start_traffic(&traffic[1], &sides[1], 1);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(read_frame(&sides[i & 1], got, &size_bytes, LIMIT_NS), VCK_OK);
    run("ip link del wire0");
    for (unsigned i = 0; i < 2; i++) {
        vck_status status = VCK_OK;
        vck_thread_join(traffic[i].thread);
        assert_true(traffic[i].last == VCK_DELETED || traffic[i].last == VCK_CANCELLED ||
                    traffic[i].last == VCK_NOT_READY);
        while (status == VCK_OK)
            status = read_frame(&sides[i], got, &size_bytes, LIMIT_NS);
        assert_int_equal(status, VCK_DELETED);
        assert_int_equal(vck_frame_binding_at(sides[i].protocol, 0, &binding), VCK_NOT_FOUND);
    }
    end(sides);
}

/* What comes under the old name is another adapter, and is bound anew. */
static void an_interface_that_comes_back_is_bound_again(void **state) VCK_CAN_WAIT
{
    struct vck_bytes name = {(const uint8_t *)"wire1", 5};
    struct side sides[2];
    uint64_t deadline_ns;
    vck_status status;

    (void)state;
    begin(sides);
    run("ip link del wire0");
    make_wire();
    vck_frame_close(&sides[1].opener);
    deadline_ns = vck_clock_ns() + LIMIT_NS;
    do {
        status = vck_frame_open(sides[1].protocol, name, TYPE, &sides[1].opener);
        assert_true(vck_clock_ns() < deadline_ns);
    } while (status != VCK_OK);
    wait_phase(sides[1].opener.binding, VCK_FRAME_RUNNING);
    end(sides);
}

static unsigned cycles_wanted(void)
{
    const char *text = getenv("VCK_FRAME_CYCLES");

    return text ? (unsigned)atoi(text) : 40;
}

static void bindings_come_and_go_under_traffic(void **state) VCK_CAN_WAIT
{
    unsigned cycles = cycles_wanted();
    struct traffic traffic;
    struct side sides[2];
    uint64_t read_count = 0;

    (void)state;
    begin(sides);
    start_traffic(&traffic, &sides[0], 0);
    for (unsigned i = 0; i < cycles; i++) {
        uint8_t got[2048];
        size_t size_bytes;
        for (unsigned j = 0; j < 20; j++, read_count++)
            assert_int_equal(read_frame(&sides[1], got, &size_bytes, LIMIT_NS), VCK_OK);
        stop_side(&sides[1]);
        start_side(&sides[1], "wire1");
    }
    __atomic_store_n(&traffic.stops, true, __ATOMIC_RELEASE);
    vck_thread_join(traffic.thread);
    assert_int_equal(traffic.last, VCK_OK);
    print_message("# %u cycles, %llu frames sent, %llu read\n", cycles,
                  (unsigned long long)traffic.sent, (unsigned long long)read_count);
    end(sides);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(frames_cross_the_wire, remove_wire),
        cmocka_unit_test_teardown(frames_of_others_need_promiscuous, remove_wire),
        cmocka_unit_test_teardown(a_tag_of_a_vlan_is_kept, remove_wire),
        cmocka_unit_test_teardown(borrowed_frames_stop_nothing, remove_wire),
        cmocka_unit_test_teardown(an_interface_goes_down_and_up, remove_wire),
        cmocka_unit_test_teardown(an_interface_is_renamed, remove_wire),
        cmocka_unit_test_teardown(adapters_are_asked, remove_wire),
        cmocka_unit_test_teardown(an_interface_is_deleted_under_load, remove_wire),
        cmocka_unit_test_teardown(an_interface_that_comes_back_is_bound_again, remove_wire),
        cmocka_unit_test_teardown(bindings_come_and_go_under_traffic, remove_wire),
    };
    return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
