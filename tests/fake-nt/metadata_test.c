/* SPDX-License-Identifier: Apache-2.0 */
/* READ_METADATA of the loaded driver: who gets what of a volume's disk, and what is refused. */
#include "driver_fixture.h"

#include <string.h>
#include "vck/bytes.h"

#define DATA_BYTES (DRIVER_DISK_BYTES - 2 * DRIVER_METADATA_BYTES)
#define SECTOR     512u
#define BOTH       (FILE_READ_DATA | FILE_WRITE_DATA)

/* Through a handle with this access, and with so much room for the answer. */
static uint32_t ask(struct driver_fixture *f, struct fake_call *call, ACCESS_MASK access,
                    const struct vck_msg_metadata_request *request,
                    uint32_t room_bytes) VCK_CAN_WAIT
{
    struct file_object file;
    size_t bytes = 0;
    uint32_t status;

    assert_int_equal(vck_message_encode(VCK_MESSAGE_METADATA_REQUEST, request, call->buffer,
                                        sizeof(call->buffer), &bytes),
                     VCK_OK);
    assert_int_equal(driver_open(f, &file, access), STATUS_SUCCESS);
    driver_send(f, call, &file, VCK_CODE_READ_METADATA, (uint32_t)bytes, room_bytes);
    status = fake_call_await(call);
    driver_close(f, &file);
    assert_true(call->information <= room_bytes);
    assert_true(status == 0 || call->information == 0);
    return status;
}

static uint32_t read_at(struct driver_fixture *f, struct fake_call *call, const char *path,
                        uint64_t offset_bytes, uint32_t size_bytes) VCK_CAN_WAIT
{
    const struct vck_msg_metadata_request request = {
        .volume_path = path, .offset_bytes = offset_bytes, .size_bytes = size_bytes};

    return ask(f, call, BOTH, &request, sizeof(call->buffer));
}

/* What is data reads as zeroes, the rest is what is on the disk. */
static void expect_answer(const struct driver_fixture *f, struct fake_call *call,
                          uint64_t offset_bytes, uint32_t size_bytes)
{
    struct vck_msg_metadata_response answer;

    assert_int_equal(
        vck_msg_metadata_response_decode(call->buffer, call->information, &answer, NULL), VCK_OK);
    assert_int_equal(answer.disk_bytes, DRIVER_DISK_BYTES);
    assert_int_equal(answer.sector_size, SECTOR);
    assert_int_equal(answer.metadata.size_bytes, size_bytes);
    for (uint32_t i = 0; i < size_bytes; i++)
        assert_int_equal(answer.metadata.data[i],
                         offset_bytes + i < DATA_BYTES ? 0 : f->disk->data[offset_bytes + i]);
}

static void read_all(struct driver_fixture *f, struct fake_call *call) VCK_CAN_WAIT
{
    const uint32_t piece_bytes = VCK_MSG_METADATA_BYTES_MAX;

    for (uint64_t at = 0; at < DRIVER_DISK_BYTES; at += piece_bytes) {
        assert_int_equal(read_at(f, call, "D:", at, piece_bytes), 0);
        expect_answer(f, call, at, piece_bytes);
    }
    /* Over the end of the data. */
    assert_int_equal(read_at(f, call, "D:", DATA_BYTES - SECTOR, 2 * SECTOR), 0);
    expect_answer(f, call, DATA_BYTES - SECTOR, 2 * SECTOR);
    assert_int_equal(read_at(f, call, "D:", DRIVER_DISK_BYTES, 0), 0);
    expect_answer(f, call, DRIVER_DISK_BYTES, 0);
}

/* With data on the disk in plain, as ciphertext, and while the keys are away. */
static void metadata_and_no_data(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));

    assert_int_equal(driver_prepare(f, "D:", false), 0);
    read_all(f, call);
    assert_int_equal(driver_path_request(f, call, VCK_CODE_START_ENCRYPT, "D:"), 0);
    driver_finish_sweep(f, "D:");
    read_all(f, call);
    assert_int_equal(driver_path_request(f, call, VCK_CODE_SUSPEND, "D:"), 0);
    read_all(f, call);
    free(call);
}

static void no_volume(void **state) VCK_NO_ANALYSIS
{
    static const char *const paths[] = {"D:", "\\Device\\FakeDisk", "E:", "\\Device\\Nothing"};
    const uint32_t not_found = vck_status_to_nt(VCK_NOT_FOUND);
    struct driver_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));

    for (size_t i = 0; i < VCK_ARRAY_COUNT(paths); i++)
        assert_int_equal(read_at(f, call, paths[i], 0, SECTOR), not_found);
    /* A filter alone is no volume. */
    driver_add_device(f);
    driver_start_device(f);
    assert_int_equal(read_at(f, call, "D:", 0, SECTOR), not_found);
    assert_int_equal(driver_prepare(f, "D:", false), 0);
    assert_int_equal(read_at(f, call, "D:", 0, SECTOR), 0);
    assert_int_equal(driver_path_request(f, call, VCK_CODE_DETACH, "D:"), 0);
    assert_int_equal(read_at(f, call, "D:", 0, SECTOR), not_found);
    driver_remove_device(f);
    free(call);
}

static void wrong_lengths(void **state) VCK_NO_ANALYSIS
{
    static const struct {
        uint64_t offset_bytes;
        uint32_t size_bytes;
        vck_status status;
    } cases[] = {
        {1, SECTOR, VCK_INVALID_DATA},
        {0, 1, VCK_INVALID_DATA},
        {0, SECTOR - 1, VCK_INVALID_DATA},
        {0, SECTOR + 1, VCK_INVALID_DATA},
        {0, VCK_MSG_METADATA_BYTES_MAX + SECTOR, VCK_INVALID_DATA},
        {0, UINT32_MAX, VCK_INVALID_DATA},
        {DRIVER_DISK_BYTES, SECTOR, VCK_OUT_OF_RANGE},
        {DRIVER_DISK_BYTES - SECTOR, 2 * SECTOR, VCK_OUT_OF_RANGE},
        {UINT64_MAX - SECTOR + 1, SECTOR, VCK_OUT_OF_RANGE},
    };
    struct driver_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));

    assert_int_equal(driver_prepare(f, "D:", false), 0);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++)
        assert_int_equal(read_at(f, call, "D:", cases[i].offset_bytes, cases[i].size_bytes),
                         vck_status_to_nt(cases[i].status));
    free(call);
}

/* An answer that does not fit is none, and a message that is cut is none. */
static void wrong_buffers(void **state) VCK_NO_ANALYSIS
{
    const struct vck_msg_metadata_request request = {
        .volume_path = "D:", .offset_bytes = DATA_BYTES, .size_bytes = SECTOR};
    struct driver_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));
    struct file_object file;
    size_t whole_bytes;
    ULONG_PTR exact_bytes;

    assert_int_equal(driver_prepare(f, "D:", false), 0);
    assert_int_equal(ask(f, call, BOTH, &request, sizeof(call->buffer)), 0);
    exact_bytes = call->information;
    assert_true(exact_bytes > SECTOR);
    for (uint32_t room_bytes = 0; room_bytes < exact_bytes; room_bytes += 37)
        assert_int_equal(ask(f, call, BOTH, &request, room_bytes), 0xC0000023);
    assert_int_equal(ask(f, call, BOTH, &request, (uint32_t)exact_bytes - 1), 0xC0000023);
    assert_int_equal(ask(f, call, BOTH, &request, (uint32_t)exact_bytes), 0);
    expect_answer(f, call, DATA_BYTES, SECTOR);
    assert_int_equal(driver_open(f, &file, BOTH), STATUS_SUCCESS);
    for (uint32_t cut_bytes = 0;; cut_bytes++) {
        assert_int_equal(vck_message_encode(VCK_MESSAGE_METADATA_REQUEST, &request, call->buffer,
                                            sizeof(call->buffer), &whole_bytes),
                         VCK_OK);
        if (cut_bytes == whole_bytes)
            break;
        driver_send(f, call, &file, VCK_CODE_READ_METADATA, cut_bytes, sizeof(call->buffer));
        assert_int_equal(fake_call_await(call), vck_status_to_nt(VCK_INVALID_DATA));
        assert_int_equal(call->information, 0);
    }
    driver_close(f, &file);
    free(call);
}

/* Who may only look, and who is no administrator, gets nothing: slots can be attacked by trying. */
static void who_may_ask(void **state) VCK_NO_ANALYSIS
{
    const struct vck_msg_metadata_request request = {
        .volume_path = "D:", .offset_bytes = DATA_BYTES, .size_bytes = SECTOR};
    const uint32_t denied = vck_status_to_nt(VCK_PERMISSION_DENIED);
    struct driver_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));

    assert_int_equal(driver_prepare(f, "D:", false), 0);
    assert_int_equal(ask(f, call, FILE_READ_DATA, &request, sizeof(call->buffer)), denied);
    assert_int_equal(ask(f, call, FILE_WRITE_DATA, &request, sizeof(call->buffer)), 0);
    fake_system.process = &driver_user;
    assert_int_equal(ask(f, call, BOTH, &request, sizeof(call->buffer)), denied);
    fake_system.process = &driver_admin;
    assert_int_equal(ask(f, call, BOTH, &request, sizeof(call->buffer)), 0);
    free(call);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, driver_set_up, driver_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(metadata_and_no_data), TEST(no_volume),   TEST(wrong_lengths),
        TEST(wrong_buffers),        TEST(who_may_ask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
