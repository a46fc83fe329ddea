/* SPDX-License-Identifier: Apache-2.0 */
/* What is used of a volume, said in requests. What a sweep makes of it is tested with volumes. */
#include "control_test.h"

#define PATH "/a"

static uint32_t send_message(struct test_host *host, uint32_t code, const void *message)
{
    assert_int_equal(vck_message_encode(vck_code_find(code)->request, message, host->request,
                                        sizeof(host->request), &host->request_bytes),
                     VCK_OK);
    return test_send(host, code, sizeof(host->response));
}

static uint32_t send_path(struct test_host *host, uint32_t code)
{
    const struct vck_msg_volume_request request = {.volume_path = PATH};

    return send_message(host, code, &request);
}

static void attach(struct test_host *host)
{
    const struct vck_msg_prepare_request request = {.volume_path = PATH,
                                                    .vmk = {test_key, sizeof(test_key)}};

    assert_int_equal(send_message(host, VCK_CODE_PREPARE, &request), 0);
}

static void expect(struct test_host *host, uint32_t nt, vck_status status, const char *says)
{
    assert_int_equal(nt, vck_status_to_nt(status));
    assert_non_null(strstr(host->caller.last_error, says));
}

static uint64_t record(struct test_host *host)
{
    struct vck_msg_used_recording response = {0};

    expect(host, send_path(host, VCK_CODE_RECORD_USED), VCK_OK, "");
    assert_int_equal(
        vck_msg_used_recording_decode(host->response, host->response_bytes, &response, NULL),
        VCK_OK);
    return response.recording;
}

static uint32_t add(struct test_host *host, uint64_t recording, const uint64_t *numbers,
                    size_t size_bytes)
{
    uint8_t ranges[64];
    struct vck_msg_used_request request = {
        .volume_path = PATH, .recording = recording, .ranges = {ranges, size_bytes}};

    assert_true(size_bytes <= sizeof(ranges));
    for (size_t i = 0; i < size_bytes / 8; i++)
        vck_store_le64(ranges + i * 8, numbers[i]);
    return send_message(host, VCK_CODE_ADD_USED, &request);
}

static uint32_t start(struct test_host *host, uint64_t recording)
{
    const struct vck_msg_used_request request = {.volume_path = PATH, .recording = recording};

    return send_message(host, VCK_CODE_START_ENCRYPT_USED, &request);
}

static struct vck_msg_volume_status status_of(struct test_host *host)
{
    struct vck_msg_volume_status status = {0};

    expect(host, send_path(host, VCK_CODE_GET_STATUS), VCK_OK, "");
    assert_int_equal(
        vck_msg_volume_status_decode(host->response, host->response_bytes, &status, NULL), VCK_OK);
    return status;
}

static void starts_what_was_recorded(void **state)
{
    static const uint64_t ranges[] = {0, 1, 4096, 8192, 600000, 0};
    struct test_host *host = *state;
    uint64_t recording;

    test_make_volume(host, 0);
    attach(host);
    recording = record(host);
    assert_false(status_of(host).used_only);
    expect(host, add(host, recording, ranges, sizeof(ranges)), VCK_OK, "");
    expect(host, add(host, recording, NULL, 0), VCK_OK, "");
    expect(host, start(host, recording), VCK_OK, "");
    assert_true(status_of(host).used_only);
    assert_int_equal(status_of(host).state, VCK_STATE_ENCRYPTING);
    expect(host, send_path(host, VCK_CODE_PAUSE), VCK_OK, "");
    expect(host, send_path(host, VCK_CODE_RESUME), VCK_OK, "");
    assert_true(status_of(host).used_only);
    expect(host, send_path(host, VCK_CODE_START_ENCRYPT), VCK_OK, "");
    assert_false(status_of(host).used_only);
    expect(host, start(host, recording), VCK_NOT_FOUND, "not recorded any more");
}

static void refuses_what_does_not_fit(void **state)
{
    static const uint64_t beyond[] = {0, 512, 8, UINT64_MAX};
    struct test_host *host = *state;
    uint64_t recording;

    test_make_volume(host, 0);
    expect(host, send_path(host, VCK_CODE_RECORD_USED), VCK_NOT_FOUND, "not attached");
    expect(host, start(host, 1), VCK_NOT_FOUND, "not attached");
    attach(host);
    expect(host, start(host, 0), VCK_NOT_FOUND, "not recorded any more");
    recording = record(host);
    expect(host, add(host, recording, beyond, sizeof(beyond)), VCK_OUT_OF_RANGE, "does not lie in");
    expect(host, add(host, recording, beyond, 17), VCK_INVALID_DATA, "17 bytes");
    expect(host, add(host, recording + 1, beyond, 16), VCK_NOT_FOUND, "not recorded any more");
    assert_true(record(host) != recording);
    expect(host, add(host, recording, beyond, 16), VCK_NOT_FOUND, "not recorded any more");
    expect(host, start(host, recording), VCK_NOT_FOUND, "not recorded any more");
    recording = record(host);
    expect(host, send_path(host, VCK_CODE_SUSPEND), VCK_OK, "");
    expect(host, start(host, recording), VCK_NOT_READY, "is suspended");
    expect(host, send_path(host, VCK_CODE_RECORD_USED), VCK_NOT_READY, "is suspended");
    assert_int_equal(status_of(host).encrypted_sector, 0);
}

static void adds_nothing_without_memory(void **state)
{
    static const uint64_t ranges[] = {0, 1};
    struct test_host *host = *state;
    uint64_t recording;
    uint32_t nt = 1;
    uint64_t nth = 0;

    test_make_volume(host, 0);
    attach(host);
    recording = record(host);
    while (nt) {
        vck_alloc_fail_nth(++nth);
        nt = add(host, recording, ranges, sizeof(ranges));
        vck_alloc_fail_nth(0);
        assert_true(nt == 0 || nt == vck_status_to_nt(VCK_NO_MEMORY));
    }
    assert_true(nth > 1);
}

static void a_reader_may_not(void **state)
{
    struct test_host *host = *state;
    uint64_t recording;

    test_make_volume(host, 0);
    attach(host);
    recording = record(host);
    host->caller.can_write = host->caller.is_admin = false;
    expect(host, send_path(host, VCK_CODE_RECORD_USED), VCK_PERMISSION_DENIED, "administrators");
    expect(host, add(host, recording, NULL, 0), VCK_PERMISSION_DENIED, "administrators");
    expect(host, start(host, recording), VCK_PERMISSION_DENIED, "administrators");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(starts_what_was_recorded, test_host_set_up,
                                        test_host_tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_does_not_fit, test_host_set_up,
                                        test_host_tear_down),
        cmocka_unit_test_setup_teardown(adds_nothing_without_memory, test_host_set_up,
                                        test_host_tear_down),
        cmocka_unit_test_setup_teardown(a_reader_may_not, test_host_set_up, test_host_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
