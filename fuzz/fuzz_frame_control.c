/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_frame_control: a conversation with the dispatcher of raw frames over an adapter that
 * receives, pauses, goes and holds what it is given as the input says. The input is a list of
 * steps: a code's index or an event, a flag byte, a length, and as many bytes. Every request ends,
 * once, and nothing is left.
 */
#include "../src/frame/fake_port_test.h"
#include "vck/frame_control.h"
#include "vck/utf.h"

#define STEPS_MAX  64u
#define HEAD_BYTES 4u
#define OUT_BYTES  600u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint32_t codes[] = {
    VCK_FRAME_CODE_READ,
    VCK_FRAME_CODE_WRITE,
    VCK_FRAME_CODE_OPEN_DEVICE,
    VCK_FRAME_CODE_QUERY_OID,
    VCK_FRAME_CODE_QUERY_BINDING,
    VCK_FRAME_CODE_BIND_WAIT,
    VCK_FRAME_CODE_SET_OID,
    VCK_FRAME_CODE_INDICATE_STATUS,
    VCK_FRAME_CODE_SET_ETHER_TYPE,
    VCK_FRAME_CODE_QUERY_STATE,
    0,
};

enum event {
    EVENT_RECEIVE = 0x80,
    EVENT_STATUS,
    EVENT_PAUSE,
    EVENT_RESTART,
    EVENT_UNBIND,
    EVENT_HOLD,
    EVENT_LET_GO,
    EVENT_CANCEL,
    EVENT_OPEN, /* by the right name, which a fuzzer finds late */
};

struct step {
    struct vck_frame_control_call call;
    uint8_t in[256];
    uint8_t out[OUT_BYTES];
    bool is_begun;
    unsigned done_count;
};

static struct step steps[STEPS_MAX];
static struct vck_frame_handle handle;

static void must(bool holds)
{
    if (!holds)
        __builtin_trap();
}

static void done(struct vck_frame_control_call *call)
{
    struct step *step = VCK_CONTAINER_OF(call, struct step, call);

    step->done_count++;
    must(step->done_count == 1 && call->done_bytes <= VCK_MAX(call->out_bytes, call->in_bytes));
}

static void begin(struct step *step, uint32_t code, size_t in_bytes, size_t out_bytes) VCK_CAN_WAIT
{
    step->is_begun = true;
    step->call = (struct vck_frame_control_call){
        .handle = &handle,
        .code = code,
        .in = step->in,
        .in_bytes = in_bytes,
        .out = step->out,
        .out_bytes = out_bytes,
        .done = done,
    };
    vck_frame_control_start(&step->call);
}

/* One step of the port; events of a binding only while there is one. */
static void happen(uint8_t event, const uint8_t *data, size_t size, struct step *step) VCK_CAN_WAIT
{
    struct fake_adapter *adapter = &fake_adapters[0];
    static const char name[] = "n\0e\0t\0000";

    if (event == EVENT_OPEN) {
        memcpy(step->in, name, sizeof(name));
        begin(step, VCK_FRAME_CODE_OPEN_DEVICE, sizeof(name), 0);
    } else if (event == EVENT_HOLD) {
        adapter->holds_sends = size > 0 && (data[0] & 1) != 0;
        adapter->holds_requests = size > 0 && (data[0] & 2) != 0;
    } else if (event == EVENT_LET_GO) {
        fake_let_sends(0, VCK_OK);
        fake_let_requests(0, VCK_OK);
    } else if (event == EVENT_CANCEL && size > 0 && steps[data[0] % STEPS_MAX].is_begun) {
        vck_frame_control_cancel(&steps[data[0] % STEPS_MAX].call);
    } else if (!adapter->is_bound) {
        return;
    } else if (event == EVENT_RECEIVE) {
        fake_receive(0, data, size, true);
    } else if (event == EVENT_STATUS) {
        fake_status(0, event, size > 0);
    } else if (event >= EVENT_PAUSE && event <= EVENT_UNBIND) {
        /* An adapter that holds on to things would be waited for. */
        adapter->holds_sends = adapter->holds_requests = false;
        fake_let_sends(0, VCK_OK);
        fake_let_requests(0, VCK_OK);
        (void)fake_tell(0, event == EVENT_PAUSE     ? VCK_FRAMES_PAUSE
                           : event == EVENT_RESTART ? VCK_FRAMES_RESTART
                                                    : VCK_FRAMES_UNBIND);
    }
}

static void converse(const uint8_t *data, size_t size) VCK_CAN_WAIT
{
    for (unsigned i = 0; i < STEPS_MAX && size >= HEAD_BYTES; i++) {
        size_t body_bytes = VCK_MIN((size_t)data[2], size - HEAD_BYTES);
        const uint8_t *body = data + HEAD_BYTES;
        handle.is_admin = (data[1] & 1) != 0;
        if (data[0] < 0x80) {
            memcpy(steps[i].in, body, body_bytes);
            begin(&steps[i], codes[data[0] % VCK_ARRAY_COUNT(codes)], body_bytes,
                  data[1] & 2 ? data[3] : OUT_BYTES);
        } else {
            happen(data[0], body, body_bytes, &steps[i]);
        }
        data += HEAD_BYTES + body_bytes;
        size -= HEAD_BYTES + body_bytes;
    }
}

static void decode(const uint8_t *data, size_t size)
{
    struct vck_frame_binding_message binding;
    struct vck_frame_state_message state;
    struct vck_bytes in = {data, size};

    if (vck_frame_binding_decode(in, &binding) == VCK_OK)
        must((size_t)binding.name_offset + binding.name_bytes <= size);
    if (vck_frame_state_decode(in, &state) == VCK_OK)
        must(state.phase < VCK_FRAME_PHASE_COUNT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) VCK_NO_ANALYSIS
{
    static const struct vck_object_type root_type = {.name = "fuzz"};
    struct vck_frame_protocol *protocol;
    struct vck_frame_options options = {.queue_frames = 4};
    struct vck_object *root;

    decode(data, size);
    fake_reset();
    fake_early_count = 1;
    memset(steps, 0, sizeof(steps));
    must(vck_object_create(&root_type, NULL, NULL, NULL, &root) == VCK_OK);
    options.parent = root;
    must(vck_frame_protocol_create(&options, &protocol) == VCK_OK);
    must(vck_frame_protocol_start(protocol, NULL) == VCK_OK);
    (void)fake_tell(0, VCK_FRAMES_RESTART);
    vck_frame_handle_init(&handle, protocol);
    handle.can_read = handle.can_write = true;
    converse(data, size);
    vck_frame_handle_cleanup(&handle);
    fake_adapters[0].holds_sends = fake_adapters[0].holds_requests = false;
    fake_let_sends(0, VCK_OK);
    fake_let_requests(0, VCK_OK);
    vck_frame_protocol_destroy(protocol);
    must(vck_object_unload(root, 0) == VCK_OK);
    for (unsigned i = 0; i < STEPS_MAX; i++)
        must(steps[i].done_count == (steps[i].is_begun ? 1u : 0u));
    must(vck_alloc_live_count() == 0);
    return 0;
}
