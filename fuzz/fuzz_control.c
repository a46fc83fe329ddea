/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_control: a conversation with the dispatcher over disks in memory. The input is a list of
 * requests: an index into the codes (or a whole code), who asks, the room for the response, the
 * size of the message and the message. Sweeps move only between requests.
 */
#define TEST_DISK_BYTES (288u * 1024u) /* two replicas and a little data */
#include "../src/control/control_test.h"
#include "vck/future.h"

#define REQUESTS_MAX 32u
#define HEAD_BYTES   5u
#define WHOLE_CODE   0xffu

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Two volumes and two disks that hold none, made once. */
static struct test_host *fresh_host(void)
{
    static uint8_t pristine[TEST_DISKS][TEST_DISK_BYTES];
    static bool is_made;
    struct test_host *host = test_host_create();

    host->is_cancelled = true; /* no measuring */
    for (int i = 0; i < TEST_DISKS; i++) {
        if (!is_made && i < 2)
            test_make_volume(host, i);
        if (!is_made)
            memcpy(pristine[i], host->disks[i]->data, TEST_DISK_BYTES);
        else
            memcpy(host->disks[i]->data, pristine[i], TEST_DISK_BYTES);
    }
    is_made = true;
    return host;
}

/* A request takes what its head says, as far as there is input. */
static size_t take_request(struct test_host *host, const uint8_t *data, size_t size,
                           uint32_t *ret_code, size_t *ret_capacity)
{
    size_t message_bytes = VCK_MIN((size_t)vck_load_le16(data + 3), size - HEAD_BYTES);

    host->caller.can_read = (data[1] & 1) == 0;
    host->caller.can_write = (data[1] & 2) == 0;
    host->caller.is_admin = (data[1] & 4) == 0;
    host->is_busy = (data[1] & 8) != 0;
    *ret_capacity = data[1] & 16 ? data[2] : sizeof(host->response);
    *ret_code = vck_code_table[data[0] % VCK_CODE_COUNT].code;
    memcpy(host->request, data + HEAD_BYTES, message_bytes);
    host->request_bytes = message_bytes;
    if (data[0] == WHOLE_CODE && message_bytes >= 4)
        *ret_code = vck_load_le32(host->request);
    return HEAD_BYTES + message_bytes;
}

/* One step of each sweep. */
static void poll_sweeps(struct test_host *host) VCK_NO_ANALYSIS
{
    struct vck_volume *volume;

    for (uint32_t i = 0; vck_registry_at(&host->registry, i, &volume) == VCK_OK; i++) {
        struct vck_future *sweep = vck_volume_sweep_future(volume);

        if (sweep)
            (void)vck_future_poll(sweep, &vck_waker_noop);
        vck_volume_release(volume);
    }
}

static void check_answer(struct test_host *host, uint32_t code, uint32_t nt, size_t capacity)
{
    static struct vck_msg_volume_entry entries[TEST_DISKS];
    static uint64_t offsets[VCK_DAMAGE_MAX];
    union {
        struct vck_msg_volume_list list;
        struct vck_msg_damage_list damage;
        uint8_t other[512];
    } message = {.other = {0}};

    if (nt) {
        VCK_ASSERT(host->response_bytes == SIZE_MAX);
        VCK_ASSERT(host->caller.last_error[0]);
        return;
    }
    VCK_ASSERT(host->response_bytes <= capacity);
    if (host->response_bytes == 0)
        return;
    if (code == VCK_CODE_LIST_VOLUMES)
        message.list = (struct vck_msg_volume_list){.volumes = entries, .capacity = TEST_DISKS};
    if (code == VCK_CODE_DAMAGE)
        message.damage =
            (struct vck_msg_damage_list){.offsets = offsets, .capacity = VCK_DAMAGE_MAX};
    VCK_ASSERT(vck_message_decode(vck_code_find(code)->response, host->response,
                                  host->response_bytes, &message, NULL) == VCK_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct test_host *host = fresh_host();

    for (unsigned i = 0; i < REQUESTS_MAX && size >= HEAD_BYTES; i++) {
        uint32_t code;
        size_t capacity;
        size_t taken = take_request(host, data, size, &code, &capacity);
        uint32_t nt = test_send(host, code, capacity);

        check_answer(host, code, nt, capacity);
        poll_sweeps(host);
        data += taken;
        size -= taken;
    }
    test_host_destroy(host);
    VCK_ASSERT(vck_alloc_live_count() == 0);
    return 0;
}
