/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds: an adapter is bound and opened; threads write, read, ask, wait and cancel through one
 * handle, others deliver frames and let go of what the adapter holds, while it pauses, loses power
 * and at last goes or is given up. Every request ends once, and nothing is left.
 * VCK_STRESS_SECONDS (3).
 */
#include <stdio.h>
#include "fake_port_test.h"
#include "vck/frame_control.h"

#define USERS       4u
#define WORKERS     2u
#define EVENTS      24u
#define PATIENCE_NS UINT64_C(200000)
#define LIMIT_NS    UINT64_C(120000000000)

static const struct vck_object_type root_type = {.name = "test"};

static struct vck_frame_protocol *protocol;
static struct vck_frame_handle handle;
static bool stops; /* atomic */

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static bool is_over(void)
{
    return __atomic_load_n(&stops, __ATOMIC_ACQUIRE);
}

/* On threads that are not the test's. */
static void must(bool holds)
{
    VCK_ASSERT(holds);
}

/* ---- users ---- */

struct user {
    struct vck_frame_control_call call;
    struct vck_event done;
    uint8_t in[60];
    uint8_t out[256];
    uint32_t random;
    uint32_t done_count; /* atomic */
    uint64_t good;
    struct vck_thread *thread;
};

static void user_done(struct vck_frame_control_call *call)
{
    struct user *u = VCK_CONTAINER_OF(call, struct user, call);

    must(__atomic_add_fetch(&u->done_count, 1, __ATOMIC_SEQ_CST) == 1);
    vck_event_set(&u->done);
}

static void prepare(struct user *u)
{
    static const uint32_t codes[] = {
        VCK_FRAME_CODE_READ,      VCK_FRAME_CODE_WRITE,           VCK_FRAME_CODE_READ,
        VCK_FRAME_CODE_QUERY_OID, VCK_FRAME_CODE_INDICATE_STATUS, VCK_FRAME_CODE_QUERY_STATE,
        VCK_FRAME_CODE_WRITE,     VCK_FRAME_CODE_SET_ETHER_TYPE,
    };
    uint32_t code = codes[next_random(&u->random) % VCK_ARRAY_COUNT(codes)];
    size_t in_bytes = sizeof(u->in);

    memset(u->in, 0, sizeof(u->in));
    if (code == VCK_FRAME_CODE_WRITE) {
        u->in[6] = 2; /* the source, as the adapter's */
        vck_store_be16(u->in + 12, VCK_FRAME_ETHER_TYPE_DEFAULT);
    } else if (code == VCK_FRAME_CODE_QUERY_OID) {
        vck_store_le32(u->in, VCK_OID_GEN_LINK_SPEED);
        in_bytes = 8;
    } else if (code == VCK_FRAME_CODE_SET_ETHER_TYPE) {
        vck_store_le16(u->in, VCK_FRAME_ETHER_TYPE_DEFAULT);
        in_bytes = 2;
    }
    u->call = (struct vck_frame_control_call){
        .handle = &handle,
        .code = code,
        .in = u->in,
        .in_bytes = in_bytes,
        .out = u->out,
        .out_bytes = sizeof(u->out),
        .done = user_done,
    };
}

static void use(void *context) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct user *u = context;

    while (!is_over()) {
        prepare(u);
        __atomic_store_n(&u->done_count, 0, __ATOMIC_SEQ_CST);
        vck_frame_control_start(&u->call);
        if (vck_event_wait(&u->done, vck_clock_ns() + PATIENCE_NS) != VCK_OK) {
            vck_frame_control_cancel(&u->call);
            must(vck_event_wait(&u->done, vck_clock_ns() + LIMIT_NS) == VCK_OK);
        }
        u->good += u->call.nt == 0;
    }
}

/* ---- the adapter's side ---- */

struct worker {
    uint32_t random;
    struct vck_thread *thread;
};

static void work(void *context)
{
    struct worker *w = context;
    uint8_t frame[60] = {0};

    vck_store_be16(frame + 12, VCK_FRAME_ETHER_TYPE_DEFAULT);
    while (!is_over()) {
        if (fake_enter(0)) {
            uint32_t what = next_random(&w->random) % 8;
            if (what < 4)
                fake_receive(0, frame, sizeof(frame), false);
            else if (what == 4)
                fake_status(0, what, true);
            else if (what == 5)
                fake_let_requests(0, VCK_OK);
            else
                fake_let_sends(0, VCK_OK);
            fake_leave(0);
        }
        if (next_random(&w->random) % 16 == 0)
            vck_thread_yield();
    }
}

/* ---- a round ---- */

static void open_adapter(void) VCK_CAN_WAIT
{
    struct user opening = {.random = 0};

    vck_event_init(&opening.done);
    memcpy(opening.in, "n\0e\0t\0000\0", 8);
    opening.call = (struct vck_frame_control_call){
        .handle = &handle,
        .code = VCK_FRAME_CODE_OPEN_DEVICE,
        .in = opening.in,
        .in_bytes = 8,
        .done = user_done,
    };
    vck_frame_control_start(&opening.call);
    assert_int_equal(vck_event_wait(&opening.done, vck_clock_ns() + LIMIT_NS), VCK_OK);
    assert_int_equal(opening.call.nt, 0);
    vck_event_fini(&opening.done);
}

/* Several events at a time, in any order; the last may be the unbind. */
static void happen(uint32_t *random) VCK_CAN_WAIT
{
    static const uint8_t types[] = {VCK_FRAMES_PAUSE,   VCK_FRAMES_RESTART,    VCK_FRAMES_LOW_POWER,
                                    VCK_FRAMES_RESTART, VCK_FRAMES_FULL_POWER, VCK_FRAMES_RESTART};
    static struct fake_event events[EVENTS + 1];
    bool unbinds = next_random(random) % 2 == 0;

    for (unsigned i = 0; i < EVENTS; i++) {
        enum vck_frames_event_type type =
            unbinds && i == EVENTS - 4
                ? VCK_FRAMES_UNBIND
                : (enum vck_frames_event_type)types[next_random(random) % VCK_ARRAY_COUNT(types)];
        fake_event_begin(0, type, &events[i]);
        for (uint32_t j = next_random(random) % 64; j > 0; j--)
            vck_thread_yield();
        if (type == VCK_FRAMES_UNBIND) {
            (void)fake_event_wait(&events[i]);
            for (unsigned k = 0; k < i; k++)
                (void)fake_event_wait(&events[k]);
            return;
        }
    }
    /* Without power a restart would be remembered, not carried out. */
    fake_event_begin(0, VCK_FRAMES_FULL_POWER, &events[EVENTS]);
    for (unsigned i = 0; i <= EVENTS; i++)
        (void)fake_event_wait(&events[i]);
}

static uint64_t play_round(uint32_t *random) VCK_CAN_WAIT
{
    static struct user users[USERS];
    struct worker workers[WORKERS];
    uint64_t good = 0;

    fake_appear(0);
    assert_int_equal(fake_tell(0, VCK_FRAMES_RESTART), VCK_OK);
    vck_frame_handle_init(&handle, protocol);
    handle.can_read = handle.can_write = true;
    open_adapter();
    fake_adapters[0].holds_sends = fake_adapters[0].holds_requests = true;
    __atomic_store_n(&stops, false, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].random = next_random(random);
        assert_int_equal(
            vck_thread_create(work, &workers[i], VCK_THREAD_NORMAL, "worker", &workers[i].thread),
            VCK_OK);
    }
    for (unsigned i = 0; i < USERS; i++) {
        memset(&users[i], 0, sizeof(users[i]));
        users[i].random = next_random(random);
        vck_event_init(&users[i].done);
        assert_int_equal(
            vck_thread_create(use, &users[i], VCK_THREAD_NORMAL, "user", &users[i].thread), VCK_OK);
    }
    happen(random);
    vck_frame_handle_cleanup(&handle);
    __atomic_store_n(&stops, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < USERS; i++) {
        vck_thread_join(users[i].thread);
        vck_event_fini(&users[i].done);
        good += users[i].good;
    }
    for (unsigned i = 0; i < WORKERS; i++)
        vck_thread_join(workers[i].thread);
    /* The binding may still ask the adapter about itself. */
    vck_spinlock_acquire(&fake_adapters[0].lock);
    fake_adapters[0].holds_sends = fake_adapters[0].holds_requests = false;
    vck_spinlock_release(&fake_adapters[0].lock);
    fake_let_requests(0, VCK_OK);
    return good;
}

static void requests_end_once_whatever_happens(void **state) VCK_CAN_WAIT
{
    const char *text = getenv("VCK_STRESS_SECONDS");
    uint64_t end_ns = vck_clock_ns() + (uint64_t)(text ? atoi(text) : 3) * 1000000000u;
    uint32_t random = 1;
    uint64_t good = 0;
    unsigned rounds = 0;

    (void)state;
    do {
        struct vck_frame_options options = {.queue_frames = 8};
        struct vck_object *root;
        fake_reset();
        assert_int_equal(vck_object_create(&root_type, NULL, NULL, NULL, &root), VCK_OK);
        options.parent = root;
        assert_int_equal(vck_frame_protocol_create(&options, &protocol), VCK_OK);
        assert_int_equal(vck_frame_protocol_start(protocol, NULL), VCK_OK);
        good += play_round(&random);
        vck_frame_protocol_destroy(protocol);
        assert_int_equal(vck_object_unload(root, 0), VCK_OK);
        assert_int_equal(vck_alloc_live_count(), 0);
        rounds++;
    } while (vck_clock_ns() < end_ns);
    print_message("# %u rounds, %llu requests done\n", rounds, (unsigned long long)good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_end_once_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
