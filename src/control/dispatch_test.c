/* SPDX-License-Identifier: Apache-2.0 */
#include "control_test.h"
#include "vck/disk_io.h"
#include "vck/request.h"

#define DATA_BYTES   (TEST_DISK_BYTES - 2 * VCK_METADATA_SIZE_MIN)
#define DATA_SECTORS (DATA_BYTES / TEST_SECTOR_BYTES)

/* ---- speaking ---- */

static uint32_t send_message(struct test_host *host, uint32_t code, const void *message)
{
    const struct vck_code_info *info = vck_code_find(code);

    assert_int_equal(vck_message_encode(info->request, message, host->request,
                                        sizeof(host->request), &host->request_bytes),
                     VCK_OK);
    return test_send(host, code, sizeof(host->response));
}

static uint32_t send_path(struct test_host *host, uint32_t code, const char *path)
{
    struct vck_msg_volume_request request = {.volume_path = path};

    return send_message(host, code, &request);
}

static void expect(struct test_host *host, uint32_t nt, vck_status status)
{
    if (nt != vck_status_to_nt(status))
        print_message("# %08x, last error: %s\n", nt, host->caller.last_error);
    assert_int_equal(nt, vck_status_to_nt(status));
    if (nt) {
        assert_true(host->response_bytes == SIZE_MAX);
        assert_true(host->caller.last_error[0] != 0);
    }
}

static void receive(struct test_host *host, uint32_t code, void *ret_message)
{
    struct vck_message_fault fault;

    assert_int_equal(vck_message_decode(vck_code_find(code)->response, host->response,
                                        host->response_bytes, ret_message, &fault),
                     VCK_OK);
}

static struct vck_msg_volume_status status_of(struct test_host *host, const char *path)
{
    struct vck_msg_volume_status status;

    expect(host, send_path(host, VCK_CODE_GET_STATUS, path), VCK_OK);
    receive(host, VCK_CODE_GET_STATUS, &status);
    return status;
}

static uint32_t count_of(struct test_host *host)
{
    struct vck_msg_volume_entry entries[TEST_DISKS];
    struct vck_msg_volume_list list = {.volumes = entries, .capacity = TEST_DISKS};
    struct vck_msg_empty empty = {0};

    expect(host, send_message(host, VCK_CODE_LIST_VOLUMES, &empty), VCK_OK);
    receive(host, VCK_CODE_LIST_VOLUMES, &list);
    return list.count;
}

static struct vck_msg_prepare_request prepare_request(const char *path, bool with_key)
{
    return (struct vck_msg_prepare_request){
        .volume_path = path,
        .vmk = {test_key, with_key ? sizeof(test_key) : 0},
    };
}

static uint32_t prepare(struct test_host *host, const char *path, bool with_key)
{
    struct vck_msg_prepare_request request = prepare_request(path, with_key);

    return send_message(host, VCK_CODE_PREPARE, &request);
}

static uint32_t attach(struct test_host *host, const char *path)
{
    struct vck_msg_attach_request request = {.volume_path = path,
                                             .vmk = {test_key, sizeof(test_key)}};

    return send_message(host, VCK_CODE_ATTACH, &request);
}

/* The sweep of a volume goes on until it has ended. */
static void finish_sweep(struct test_host *host, const char *path) VCK_NO_ANALYSIS
{
    struct vck_volume *volume;
    struct vck_future *sweep;

    assert_int_equal(vck_registry_find(&host->registry, path, &volume), VCK_OK);
    while ((sweep = vck_volume_sweep_future(volume)) != NULL)
        (void)vck_future_poll(sweep, &vck_waker_noop);
    vck_volume_release(volume);
}

static uint8_t *copy_disk(struct test_host *host, int index)
{
    uint8_t *copy = malloc(TEST_DISK_BYTES);

    memcpy(copy, host->disks[index]->data, TEST_DISK_BYTES);
    return copy;
}

static void expect_unchanged(struct test_host *host, int index, uint8_t *copy)
{
    assert_memory_equal(host->disks[index]->data, copy, TEST_DISK_BYTES);
    assert_true(host->is_closed[index]);
    free(copy);
}

/* ---- access ---- */

static void authorization(void **state)
{
    static const struct vck_control_caller callers[] = {
        {0},
        {.can_read = true},
        {.can_read = true, .can_write = true},
        {.can_read = true, .is_admin = true},
        {.can_write = true, .is_admin = true},
        {.can_read = true, .can_write = true, .is_admin = true},
    };

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(callers); i++) {
        const struct vck_control_caller *caller = &callers[i];
        bool may_write = caller->can_write && caller->is_admin;

        for (size_t k = 0; k < VCK_CODE_COUNT; k++) {
            uint32_t code = vck_code_table[k].code;
            bool may = vck_code_writes(code) ? may_write : caller->can_read;

            assert_int_equal(vck_control_authorize(caller, code),
                             may ? VCK_OK : VCK_PERMISSION_DENIED);
        }
        /* Codes nobody knows: no access, and both. */
        assert_int_equal(vck_control_authorize(caller, 0x00222000),
                         caller->can_read ? VCK_OK : VCK_PERMISSION_DENIED);
        assert_int_equal(vck_control_authorize(caller, 0x0022e000),
                         caller->can_read && may_write ? VCK_OK : VCK_PERMISSION_DENIED);
    }
}

/* Nothing that changes gets through to a volume, with a message that is good. */
static void reader_changes_nothing(void **state)
{
    struct test_host *host = *state;
    struct vck_msg_empty empty = {0};
    static const uint32_t codes[] = {VCK_CODE_START_ENCRYPT, VCK_CODE_START_DECRYPT, VCK_CODE_PAUSE,
                                     VCK_CODE_DETACH,        VCK_CODE_RESUME,        VCK_CODE_REKEY,
                                     VCK_CODE_REKEY_BACK};

    test_make_volume(host, 0);
    expect(host, prepare(host, "/a", true), VCK_OK);
    host->caller.can_write = host->caller.is_admin = false;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(codes); i++)
        expect(host, send_path(host, codes[i], "/a"), VCK_PERMISSION_DENIED);
    expect(host, prepare(host, "/b", true), VCK_PERMISSION_DENIED);
    expect(host, attach(host, "/a"), VCK_PERMISSION_DENIED);
    expect(host, send_message(host, VCK_CODE_PAUSE_OS_VOLUME, &empty), VCK_PERMISSION_DENIED);
    expect(host, send_message(host, VCK_CODE_DETACH_ALL_VOLUMES, &empty), VCK_PERMISSION_DENIED);
    assert_int_equal(count_of(host), 1);
    assert_true(status_of(host, "/a").is_attached);
}

static void unknown_codes(void **state)
{
    struct test_host *host = *state;

    host->request_bytes = 0;
    expect(host, test_send(host, 0x002260fc, 100), VCK_UNSUPPORTED);
    expect(host, test_send(host, 0x0022a0fc, 100), VCK_UNSUPPORTED);
    expect(host, test_send(host, UINT32_MAX, 100), VCK_UNSUPPORTED);
    host->caller.can_write = false;
    expect(host, test_send(host, 0x0022a0fc, 100), VCK_PERMISSION_DENIED);
    expect(host, test_send(host, 0x002260fc, 100), VCK_UNSUPPORTED);
}

static void bad_messages(void **state)
{
    struct test_host *host = *state;

    for (size_t i = 0; i < VCK_CODE_COUNT; i++) {
        host->request[0] = 0x93; /* no map */
        host->request_bytes = 1;
        expect(host, test_send(host, vck_code_table[i].code, sizeof(host->response)),
               VCK_INVALID_DATA);
        assert_non_null(strstr(host->caller.last_error, vck_code_table[i].name));
    }
    assert_int_equal(count_of(host), 0);
    expect(host, send_path(host, VCK_CODE_DETACH, ""), VCK_INVALID_DATA);
}

static void last_error(void **state)
{
    struct test_host *host = *state;
    struct vck_msg_empty empty = {0};
    struct vck_msg_text text;

    expect(host, send_message(host, VCK_CODE_LAST_ERROR, &empty), VCK_OK);
    receive(host, VCK_CODE_LAST_ERROR, &text);
    assert_string_equal(text.text, "");
    expect(host, send_path(host, VCK_CODE_PAUSE, "/nowhere"), VCK_NOT_FOUND);
    assert_int_equal(count_of(host), 0);
    expect(host, send_message(host, VCK_CODE_LAST_ERROR, &empty), VCK_OK);
    receive(host, VCK_CODE_LAST_ERROR, &text);
    assert_string_equal(text.text, "/nowhere is not attached");
}

static void small_buffers(void **state)
{
    struct test_host *host = *state;
    struct vck_msg_volume_request request = {.volume_path = "/a"};
    struct vck_msg_prepare_request preparation = prepare_request("/a", true);

    test_make_volume(host, 0);
    assert_int_equal(vck_msg_prepare_request_encode(&preparation, host->request,
                                                    sizeof(host->request), &host->request_bytes),
                     VCK_OK);
    assert_int_equal(test_send(host, VCK_CODE_PREPARE, 20), VCK_NT_BUFFER_TOO_SMALL);
    assert_int_equal(count_of(host), 0); /* not begun */
    expect(host, prepare(host, "/a", true), VCK_OK);
    for (size_t capacity = 0; capacity < 60; capacity++) {
        assert_int_equal(
            vck_msg_volume_request_encode(&request, host->request, 64, &host->request_bytes),
            VCK_OK);
        assert_int_equal(test_send(host, VCK_CODE_GET_STATUS, capacity), VCK_NT_BUFFER_TOO_SMALL);
        assert_true(host->response_bytes == SIZE_MAX);
    }
    /* No buffer at all for an empty map is no reason to fail. */
    assert_int_equal(
        vck_msg_volume_request_encode(&request, host->request, 64, &host->request_bytes), VCK_OK);
    assert_int_equal(test_send(host, VCK_CODE_PAUSE, 0), 0);
    assert_int_equal(host->response_bytes, 0);
}

/* ---- PREPARE and ATTACH ---- */

static void prepare_with_key(void **state)
{
    struct test_host *host = *state;
    struct vck_msg_prepare_response response;
    struct vck_msg_volume_status status;

    test_make_volume(host, 0);
    expect(host, prepare(host, "/a", true), VCK_OK);
    receive(host, VCK_CODE_PREPARE, &response);
    assert_int_equal(response.offset_sector, 0);
    assert_int_equal(response.data_sectors, DATA_SECTORS);
    assert_int_equal(response.sector_size, TEST_SECTOR_BYTES);
    assert_true(response.fully_attached);
    status = status_of(host, "/A");
    assert_string_equal(status.volume_path, "/a");
    assert_true(status.is_attached);
    assert_true(status.filter_below_fsd);
    assert_int_equal(status.total_sectors, DATA_SECTORS);
    assert_int_equal(status.encrypted_sector, 0);
    assert_int_equal(status.state, VCK_STATE_IDLE);
    expect(host, prepare(host, "/a", true), VCK_UNSUPPORTED);
    expect(host, prepare(host, "/A", false), VCK_UNSUPPORTED);
    expect(host, attach(host, "/A"), VCK_UNSUPPORTED);
    assert_int_equal(count_of(host), 1);
}

static void prepare_then_attach(void **state)
{
    struct test_host *host = *state;
    struct vck_msg_prepare_response prepared;
    struct vck_msg_attach_response attached;
    struct vck_msg_attach_request wrong = {.volume_path = "/a",
                                           .vmk = {(const uint8_t *)"wrong", 5}};

    test_make_volume(host, 0);
    expect(host, attach(host, "/a"), VCK_NOT_FOUND);
    expect(host, prepare(host, "/a", false), VCK_OK);
    receive(host, VCK_CODE_PREPARE, &prepared);
    assert_false(prepared.fully_attached);
    assert_int_equal(prepared.data_sectors, DATA_SECTORS);
    assert_false(status_of(host, "/a").is_attached);
    expect(host, send_path(host, VCK_CODE_START_ENCRYPT, "/a"), VCK_UNSUPPORTED);
    assert_non_null(strstr(host->caller.last_error, "no key"));

    expect(host, send_message(host, VCK_CODE_ATTACH, &wrong), VCK_WRONG_KEY);
    assert_non_null(strstr(host->caller.last_error, "2 replicas"));
    wrong.vmk = (struct vck_bytes){test_key, sizeof(test_key)};
    wrong.use_footer = (struct vck_optional_u32){true, 3};
    expect(host, send_message(host, VCK_CODE_ATTACH, &wrong), VCK_VALIDATION_FAILED);
    wrong.vmk = (struct vck_bytes){0};
    expect(host, send_message(host, VCK_CODE_ATTACH, &wrong), VCK_INVALID_DATA);
    assert_false(status_of(host, "/a").is_attached);

    expect(host, attach(host, "/A"), VCK_OK);
    receive(host, VCK_CODE_ATTACH, &attached);
    assert_int_equal(attached.total_sectors, DATA_SECTORS);
    assert_int_equal(attached.sector_size, TEST_SECTOR_BYTES);
    assert_true(status_of(host, "/a").is_attached);
}

static void prepare_refusals(void **state)
{
    struct test_host *host = *state;
    struct vck_msg_prepare_request request = prepare_request("/a", true);
    uint8_t *before;

    expect(host, prepare(host, "/nowhere", true), VCK_NOT_FOUND);
    assert_string_equal(host->caller.last_error, "there is no such disk");
    before = copy_disk(host, 0);
    expect(host, prepare(host, "/a", true), VCK_INVALID_DATA); /* no volume, no geometry */
    assert_non_null(strstr(host->caller.last_error, "needs its size back"));
    expect(host, prepare(host, "/a", false), VCK_INVALID_DATA);
    assert_non_null(strstr(host->caller.last_error, "not all of use_header"));
    request.use_footer = (struct vck_optional_u32){true, 2};
    request.use_header = (struct vck_optional_u32){true, 0};
    request.metadata_size = (struct vck_optional_u32){true, VCK_METADATA_SIZE_MIN};
    expect(host, send_message(host, VCK_CODE_PREPARE, &request), VCK_SIGNATURE_MISMATCH);
    request.use_header.value = 300;
    expect(host, send_message(host, VCK_CODE_PREPARE, &request), VCK_INVALID_DATA);
    request.use_header.value = 9;
    expect(host, send_message(host, VCK_CODE_PREPARE, &request), VCK_SIZE_MISMATCH);
    expect_unchanged(host, 0, before);

    test_make_volume(host, 0);
    before = copy_disk(host, 0);
    request.use_header.value = 1;
    expect(host, send_message(host, VCK_CODE_PREPARE, &request), VCK_VALIDATION_FAILED);
    assert_string_equal(host->caller.last_error,
                        "use_header is 1 in the request and 0 on the volume");
    request = prepare_request("/a", true);
    request.vmk = (struct vck_bytes){(const uint8_t *)"wrong", 5};
    expect(host, send_message(host, VCK_CODE_PREPARE, &request), VCK_WRONG_KEY);
    host->is_closed[0] = false; /* somebody else has it */
    expect(host, prepare(host, "/a", true), VCK_BUSY);
    host->is_closed[0] = true;
    assert_int_equal(count_of(host), 0);
    expect_unchanged(host, 0, before);
}

/* A geometry alone is enough to hide the metadata regions. */
static void prepare_by_geometry(void **state)
{
    struct test_host *host = *state;
    struct vck_msg_prepare_request request = prepare_request("/a", false);
    uint8_t *before = copy_disk(host, 0);

    request.use_footer = (struct vck_optional_u32){true, 1};
    request.use_header = (struct vck_optional_u32){true, 1};
    request.metadata_size = (struct vck_optional_u32){true, VCK_METADATA_SIZE_MIN};
    expect(host, send_message(host, VCK_CODE_PREPARE, &request), VCK_OK);
    assert_int_equal(status_of(host, "/a").total_sectors, DATA_SECTORS);
    expect(host, attach(host, "/a"), VCK_SIGNATURE_MISMATCH);
    expect(host, send_path(host, VCK_CODE_DETACH, "/a"), VCK_OK);
    expect_unchanged(host, 0, before);
}

/* ---- metadata_block ---- */

static const uint8_t *block_of(struct test_host *host, int index)
{
    return host->disks[index]->data + TEST_DISK_BYTES - TEST_SECTOR_BYTES;
}

static uint32_t prepare_block(struct test_host *host, const char *path, bool with_key,
                              const uint8_t *block, size_t size_bytes)
{
    struct vck_msg_prepare_request request = prepare_request(path, with_key);

    request.metadata_block = (struct vck_bytes){block, size_bytes};
    return send_message(host, VCK_CODE_PREPARE, &request);
}

static void block_makes_a_volume(void **state)
{
    struct test_host *host = *state;
    uint8_t block[600] = {0};

    test_make_volume(host, 0);
    memcpy(block, block_of(host, 0), VCK_BLOCK_BYTES);
    memset(block + VCK_BLOCK_BYTES, 0xee, sizeof(block) - VCK_BLOCK_BYTES);
    expect(host, prepare_block(host, "/b", true, block, sizeof(block)), VCK_OK);
    assert_true(status_of(host, "/b").is_attached);
    expect(host, send_path(host, VCK_CODE_DETACH, "/b"), VCK_OK);
    /* An empty block re-attaches. */
    expect(host, prepare_block(host, "/b", true, block, 0), VCK_OK);
    expect(host, send_path(host, VCK_CODE_DETACH, "/b"), VCK_OK);
    /* Both replicas are there. */
    assert_memory_equal(block_of(host, 1), "JVCK", 4);
    assert_memory_equal(host->disks[1]->data + TEST_DISK_BYTES - VCK_METADATA_SIZE_MIN -
                            TEST_SECTOR_BYTES,
                        "JVCK", 4);
}

static void block_refusals(void **state)
{
    struct test_host *host = *state;
    uint8_t block[VCK_BLOCK_BYTES];
    struct vck_msg_prepare_request request;
    uint8_t *before;

    test_make_volume(host, 0);
    memcpy(block, block_of(host, 0), sizeof(block));
    before = copy_disk(host, 1);
    expect(host, prepare_block(host, "/b", true, block, sizeof(block) - 1), VCK_INVALID_DATA);
    block[100] ^= 1;
    expect(host, prepare_block(host, "/b", true, block, sizeof(block)), VCK_CHECKSUM_MISMATCH);
    block[0] = 'X';
    expect(host, prepare_block(host, "/b", true, block, sizeof(block)), VCK_SIGNATURE_MISMATCH);
    memcpy(block, block_of(host, 0), sizeof(block));
    request = prepare_request("/b", true);
    request.metadata_block = (struct vck_bytes){block, sizeof(block)};
    request.metadata_size = (struct vck_optional_u32){true, 1 << 20};
    expect(host, send_message(host, VCK_CODE_PREPARE, &request), VCK_VALIDATION_FAILED);
    /* Written, and undone because the key is another. */
    request.metadata_size.is_present = false;
    request.vmk = (struct vck_bytes){(const uint8_t *)"wrong", 5};
    expect(host, send_message(host, VCK_CODE_PREPARE, &request), VCK_WRONG_KEY);
    expect_unchanged(host, 1, before);

    test_make_volume(host, 1);
    before = copy_disk(host, 1);
    expect(host, prepare_block(host, "/b", true, block, sizeof(block)), VCK_ALREADY_EXISTS);
    expect(host, prepare_block(host, "/b", false, block, sizeof(block)), VCK_ALREADY_EXISTS);
    expect_unchanged(host, 1, before);
    assert_int_equal(count_of(host), 0);
}

/* The block of before the encryption must not make plaintext of ciphertext. */
static void block_sets_nothing_back(void **state)
{
    struct test_host *host = *state;
    uint8_t block[VCK_BLOCK_BYTES];
    uint8_t *before;

    test_make_volume(host, 0);
    memcpy(block, block_of(host, 0), sizeof(block));
    expect(host, prepare(host, "/a", true), VCK_OK);
    expect(host, send_path(host, VCK_CODE_START_ENCRYPT, "/a"), VCK_OK);
    finish_sweep(host, "/a");
    expect(host, send_path(host, VCK_CODE_DETACH, "/a"), VCK_OK);
    before = copy_disk(host, 0);
    expect(host, prepare_block(host, "/a", true, block, sizeof(block)), VCK_VALIDATION_FAILED);
    assert_non_null(strstr(host->caller.last_error, "0 encrypted sectors in it, 1536 on the disk"));
    expect_unchanged(host, 0, before);
}

/* ---- failing at every step ---- */

static void allocation_failures(void **state)
{
    struct test_host *host = *state;
    uint8_t block[VCK_BLOCK_BYTES];
    uint8_t *before;
    uint32_t nt = 1;

    test_make_volume(host, 0);
    memcpy(block, block_of(host, 0), sizeof(block));
    before = copy_disk(host, 1);
    for (uint64_t n = 1; nt != 0; n++) {
        size_t live = vck_alloc_live_count();

        assert_true(n < 100);
        vck_alloc_fail_nth(n);
        nt = prepare_block(host, "/b", true, block, sizeof(block));
        vck_alloc_fail_nth(0);
        if (nt == 0)
            break;
        expect(host, nt, VCK_NO_MEMORY);
        assert_int_equal(vck_alloc_live_count(), live);
        assert_memory_equal(host->disks[1]->data, before, TEST_DISK_BYTES);
        assert_true(host->is_closed[1]);
    }
    free(before);
    assert_int_equal(count_of(host), 1);
}

static void io_failures(void **state)
{
    struct test_host *host = *state;
    uint8_t block[VCK_BLOCK_BYTES];
    uint8_t *before;
    uint32_t nt = 1;

    test_make_volume(host, 0);
    memcpy(block, block_of(host, 0), sizeof(block));
    before = copy_disk(host, 1);
    for (uint64_t n = 1; nt != 0; n++) {
        assert_true(n < 200);
        host->disks[1]->fail_at = n;
        nt = prepare_block(host, "/b", true, block, sizeof(block));
        host->disks[1]->fail_at = 0;
        if (nt == 0)
            break;
        expect(host, nt, VCK_IO);
        assert_memory_equal(host->disks[1]->data + 0, before, DATA_BYTES);
        assert_memory_equal(block_of(host, 1), before + TEST_DISK_BYTES - TEST_SECTOR_BYTES,
                            TEST_SECTOR_BYTES);
        assert_true(host->is_closed[1]);
        assert_int_equal(count_of(host), 0);
    }
    free(before);
}

/* ---- sweeps ---- */

static void sweep_there_and_back(void **state)
{
    struct test_host *host = *state;
    struct vck_msg_progress_event progress;
    struct vck_msg_rate_request rate = {.volume_path = "/a", .mib_per_s = 25};
    uint8_t *before;

    test_make_volume(host, 0);
    before = copy_disk(host, 0);
    expect(host, prepare(host, "/a", true), VCK_OK);
    expect(host, send_path(host, VCK_CODE_PAUSE, "/a"), VCK_OK); /* idle: nothing to do */
    expect(host, send_path(host, VCK_CODE_START_ENCRYPT, "/A"), VCK_OK);
    assert_int_equal(host->response_bytes, 1);
    assert_int_equal(host->response[0], 0x80);
    assert_int_equal(status_of(host, "/a").state, VCK_STATE_ENCRYPTING);
    finish_sweep(host, "/a");
    expect(host, send_path(host, VCK_CODE_GET_PROGRESS, "/a"), VCK_OK);
    receive(host, VCK_CODE_GET_PROGRESS, &progress);
    assert_int_equal(progress.encrypted_sector, DATA_SECTORS);
    assert_int_equal(progress.state, VCK_STATE_IDLE);
    assert_string_equal(progress.error, "");
    for (size_t at = 0; at < DATA_BYTES; at += TEST_SECTOR_BYTES)
        assert_memory_not_equal(host->disks[0]->data + at, before + at, TEST_SECTOR_BYTES);

    expect(host, send_message(host, VCK_CODE_SET_RATE, &rate), VCK_OK);
    assert_int_equal(status_of(host, "/a").rate_mib_s, 25);
    expect(host, send_path(host, VCK_CODE_START_DECRYPT, "/a"), VCK_OK);
    expect(host, send_path(host, VCK_CODE_PAUSE, "/a"), VCK_OK);
    rate.mib_per_s = 0;
    expect(host, send_message(host, VCK_CODE_SET_RATE, &rate), VCK_OK);
    expect(host, send_path(host, VCK_CODE_RESUME, "/a"), VCK_OK);
    finish_sweep(host, "/a");
    assert_int_equal(status_of(host, "/a").encrypted_sector, 0);
    assert_memory_equal(host->disks[0]->data, before, DATA_BYTES);
    free(before);
}

static void rekeys(void **state)
{
    struct test_host *host = *state;
    uint8_t *before = malloc(DATA_BYTES);

    test_make_volume(host, 0);
    expect(host, prepare(host, "/a", true), VCK_OK);
    expect(host, send_path(host, VCK_CODE_REKEY, "/a"), VCK_VALIDATION_FAILED);
    assert_non_null(strstr(host->caller.last_error, "0 of 1536 sectors are ciphertext"));
    expect(host, send_path(host, VCK_CODE_START_ENCRYPT, "/a"), VCK_OK);
    finish_sweep(host, "/a");
    expect(host, send_path(host, VCK_CODE_REKEY_BACK, "/a"), VCK_NOT_FOUND);
    assert_string_equal(host->caller.last_error, "/a is not being rekeyed");
    memcpy(before, host->disks[0]->data, DATA_BYTES);
    expect(host, send_path(host, VCK_CODE_REKEY, "/a"), VCK_OK);
    expect(host, send_path(host, VCK_CODE_PAUSE, "/a"), VCK_OK);
    if (status_of(host, "/a").rekeying) {
        assert_int_equal(status_of(host, "/a").encrypted_sector, DATA_SECTORS);
        expect(host, send_path(host, VCK_CODE_START_DECRYPT, "/a"), VCK_BUSY);
        assert_non_null(strstr(host->caller.last_error, "is being rekeyed"));
        expect(host, send_path(host, VCK_CODE_RESUME, "/a"), VCK_OK);
        finish_sweep(host, "/a");
    }
    assert_false(status_of(host, "/a").rekeying);
    assert_int_equal(status_of(host, "/a").state, VCK_STATE_IDLE);
    for (size_t at = 0; at < DATA_BYTES; at += TEST_SECTOR_BYTES)
        assert_memory_not_equal(host->disks[0]->data + at, before + at, TEST_SECTOR_BYTES);
    free(before);
}

static void nobody_there(void **state)
{
    static const uint32_t codes[] = {
        VCK_CODE_START_ENCRYPT, VCK_CODE_START_DECRYPT, VCK_CODE_GET_PROGRESS,
        VCK_CODE_PAUSE,         VCK_CODE_DETACH,        VCK_CODE_RESUME,
        VCK_CODE_DAMAGE,        VCK_CODE_REKEY,         VCK_CODE_REKEY_BACK};
    struct vck_msg_rate_request rate = {.volume_path = "/a", .mib_per_s = 1};
    struct test_host *host = *state;
    struct vck_msg_volume_status status;

    for (size_t i = 0; i < VCK_ARRAY_COUNT(codes); i++)
        expect(host, send_path(host, codes[i], "/a"), VCK_NOT_FOUND);
    expect(host, send_message(host, VCK_CODE_SET_RATE, &rate), VCK_NOT_FOUND);
    status = status_of(host, "some path");
    assert_string_equal(status.volume_path, "some path");
    assert_false(status.is_attached);
    assert_false(status.filter_below_fsd);
    assert_int_equal(status.total_sectors, 0);
}

static void damage(void **state)
{
    struct test_host *host = *state;
    uint64_t offsets[4];
    struct vck_msg_damage_list list = {.offsets = offsets, .capacity = 4};

    test_make_volume(host, 0);
    expect(host, prepare(host, "/a", true), VCK_OK);
    expect(host, send_path(host, VCK_CODE_DAMAGE, "/a"), VCK_OK);
    receive(host, VCK_CODE_DAMAGE, &list);
    assert_int_equal(list.count, 0);
}

/* ---- detaching ---- */

static void detach(void **state)
{
    struct test_host *host = *state;

    test_make_volume(host, 0);
    expect(host, prepare(host, "/a", true), VCK_OK);
    host->is_busy = true;
    expect(host, send_path(host, VCK_CODE_DETACH, "/a"), VCK_BUSY);
    assert_true(status_of(host, "/a").is_attached);
    host->is_busy = false;
    expect(host, send_path(host, VCK_CODE_DETACH, "/A"), VCK_OK);
    assert_true(host->is_closed[0]);
    expect(host, send_path(host, VCK_CODE_DETACH, "/a"), VCK_NOT_FOUND);
    expect(host, prepare(host, "/a", true), VCK_OK);
}

static void os_volumes(void **state)
{
    struct test_host *host = *state;
    struct vck_msg_prepare_request request = prepare_request("/a", true);
    struct vck_msg_empty empty = {0};

    expect(host, send_message(host, VCK_CODE_PAUSE_OS_VOLUME, &empty), VCK_NOT_FOUND);
    for (int i = 0; i < 3; i++)
        test_make_volume(host, i);
    request.is_os_volume = true;
    expect(host, send_message(host, VCK_CODE_PREPARE, &request), VCK_OK);
    expect(host, prepare(host, "/b", true), VCK_OK);
    expect(host, prepare(host, "/c", false), VCK_OK);
    expect(host, send_path(host, VCK_CODE_START_ENCRYPT, "/a"), VCK_OK);
    expect(host, send_message(host, VCK_CODE_PAUSE_OS_VOLUME, &empty), VCK_OK);
    assert_int_equal(host->response_bytes, 0);
    assert_int_equal(status_of(host, "/a").state, VCK_STATE_PAUSED);
    expect(host, send_path(host, VCK_CODE_RESUME, "/a"), VCK_OK);
    finish_sweep(host, "/a");
    expect(host, send_path(host, VCK_CODE_DETACH, "/a"), VCK_PERMISSION_DENIED);
    assert_non_null(strstr(host->caller.last_error, "1536 of its 1536 sectors"));

    host->is_busy = true; /* in use or not */
    expect(host, send_message(host, VCK_CODE_DETACH_ALL_VOLUMES, &empty), VCK_OK);
    assert_int_equal(count_of(host), 1);
    assert_true(status_of(host, "/a").is_attached);
    assert_true(host->is_closed[1]);
    assert_true(host->is_closed[2]);
}

/* ---- BENCH_AES ---- */

static void bench(void **state)
{
    struct test_host *host = *state;
    struct vck_msg_bench_request request = {.size_bytes = 1};
    struct vck_msg_bench_response response;

    expect(host, send_message(host, VCK_CODE_BENCH_AES, &request), VCK_OK);
    receive(host, VCK_CODE_BENCH_AES, &response);
    assert_int_equal(response.size_bytes, 1 << 20);
    assert_true(response.encrypt_mib_s > 0);
    assert_true(response.decrypt_mib_s > 0);

    request.size_bytes = (64ull << 30) + 1;
    expect(host, send_message(host, VCK_CODE_BENCH_AES, &request), VCK_INVALID_DATA);
    request.size_bytes = UINT64_MAX;
    expect(host, send_message(host, VCK_CODE_BENCH_AES, &request), VCK_INVALID_DATA);
    host->is_cancelled = true;
    request.size_bytes = 64ull << 30;
    expect(host, send_message(host, VCK_CODE_BENCH_AES, &request), VCK_CANCELLED);
    request.size_bytes = 0;
    expect(host, send_message(host, VCK_CODE_BENCH_AES, &request), VCK_CANCELLED);
    assert_non_null(strstr(host->caller.last_error, "of 1024 MiB"));
    host->caller.is_admin = false;
    request.size_bytes = (1ull << 30) + 1;
    expect(host, send_message(host, VCK_CODE_BENCH_AES, &request), VCK_PERMISSION_DENIED);
}

/* ---- what the host is told ---- */

static void places(void **state)
{
    struct test_host *host = *state;
    uint8_t *copy;

    test_make_volume(host, 0);
    copy = copy_disk(host, 0);
    host->is_crowded = true;
    expect(host, prepare(host, "/a", true), VCK_BUSY);
    assert_string_equal(host->caller.last_error, "there is no room");
    assert_int_equal(host->places[0], 'u');
    assert_int_equal(count_of(host), 0);
    expect_unchanged(host, 0, copy);
    host->is_crowded = false;
    expect(host, prepare(host, "/a", true), VCK_OK);
    assert_int_equal(host->places[0], 'k');
    expect(host, send_path(host, VCK_CODE_DETACH, "/a"), VCK_OK);
    assert_int_equal(host->places[0], 'd');
}

struct detacher {
    struct test_host *host;
    struct vck_thread *thread;
    struct vck_event ended;
};

static struct detacher detacher;

static void detach_meanwhile(void *context) VCK_CAN_WAIT
{
    (void)context;
    vck_control_detach_all(&detacher.host->control, false);
    vck_event_set(&detacher.ended);
}

/* Leaves the other thread the time to come in between. */
static vck_status in_place_slowly(struct vck_control_host *control, struct vck_volume *volume,
                                  struct vck_explanation *ret_why) VCK_CAN_WAIT
{
    assert_int_equal(
        vck_thread_create(detach_meanwhile, NULL, VCK_THREAD_NORMAL, "detach", &detacher.thread),
        VCK_OK);
    (void)vck_event_wait(&detacher.ended, vck_clock_ns() + 100000000);
    return test_in_place(control, volume, ret_why);
}

static void detach_all_waits_for_prepare(void **state) VCK_CAN_WAIT
{
    struct test_host *host = *state;
    struct vck_control_host_ops ops = test_ops;

    ops.in_place = in_place_slowly;
    host->control.ops = &ops;
    detacher = (struct detacher){.host = host};
    vck_event_init(&detacher.ended);
    test_make_volume(host, 0);
    expect(host, prepare(host, "/a", true), VCK_OK);
    vck_thread_join(detacher.thread);
    vck_event_fini(&detacher.ended);
    assert_int_equal(host->places[0], 'd');
    assert_int_equal(count_of(host), 0);
    assert_true(host->is_closed[0]);
    host->control.ops = &test_ops;
    expect(host, prepare(host, "/a", true), VCK_OK);
}

static int paths_left;

/* ATTACH asks for the path when it looks for the volume, and again when it claims it. */
static vck_status path_of_what_goes(struct vck_control_host *control, const char *path,
                                    char ret_path[VCK_VOLUME_PATH_BYTES],
                                    struct vck_explanation *ret_why) VCK_CAN_WAIT
{
    struct vck_volume *volume;

    if (--paths_left == 0) {
        assert_int_equal(vck_registry_find(control->registry, path, &volume), VCK_OK);
        assert_int_equal(vck_control_end_volume(control, volume), VCK_OK);
        vck_volume_release(volume);
    }
    return test_canonical_path(control, path, ret_path, ret_why);
}

static void attach_what_goes(void **state)
{
    struct test_host *host = *state;
    struct vck_control_host_ops ops = test_ops;
    struct vck_msg_attach_request request = {.volume_path = "/a",
                                             .vmk = {test_key, sizeof(test_key)}};

    ops.canonical_path = path_of_what_goes;
    test_make_volume(host, 0);
    expect(host, prepare(host, "/a", false), VCK_OK);
    host->control.ops = &ops;
    paths_left = 2;
    expect(host, send_message(host, VCK_CODE_ATTACH, &request), VCK_DELETED);
    assert_int_equal(paths_left, 0);
    host->control.ops = &test_ops;
    assert_true(host->is_closed[0]);
    expect(host, prepare(host, "/a", true), VCK_OK);
}

static void wrong_key_leaves_the_place(void **state)
{
    static const uint8_t wrong[32] = {1};
    struct test_host *host = *state;
    struct vck_msg_prepare_request request = {.volume_path = "/a", .vmk = {wrong, sizeof(wrong)}};

    test_make_volume(host, 0);
    expect(host, send_message(host, VCK_CODE_PREPARE, &request), VCK_WRONG_KEY);
    assert_int_equal(host->places[0], 'u');
    assert_true(host->is_closed[0]);
}

static void device_path_is_opened(void **state)
{
    struct test_host *host = *state;
    struct vck_msg_prepare_request request = prepare_request("/a", true);

    test_make_volume(host, 1);
    request.nt_device_path = "/b";
    expect(host, send_message(host, VCK_CODE_PREPARE, &request), VCK_OK);
    assert_false(host->is_closed[1]);
    assert_true(host->is_closed[0]);
    assert_true(status_of(host, "/a").is_attached);
}

static void encrypting_is_refused(void **state)
{
    struct test_host *host = *state;

    test_make_volume(host, 0);
    expect(host, prepare(host, "/a", true), VCK_OK);
    host->is_hibernating = true;
    expect(host, send_path(host, VCK_CODE_START_ENCRYPT, "/a"), VCK_PERMISSION_DENIED);
    assert_string_equal(host->caller.last_error, "hibernation is enabled");
    assert_int_equal(status_of(host, "/a").state, VCK_STATE_IDLE);
    host->is_hibernating = false;
    expect(host, send_path(host, VCK_CODE_START_ENCRYPT, "/a"), VCK_OK);
    finish_sweep(host, "/a");
    host->is_hibernating = true;
    expect(host, send_path(host, VCK_CODE_START_DECRYPT, "/a"), VCK_OK);
    finish_sweep(host, "/a");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_host_set_up, test_host_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(authorization),
        TEST(reader_changes_nothing),
        TEST(unknown_codes),
        TEST(bad_messages),
        TEST(last_error),
        TEST(small_buffers),
        TEST(prepare_with_key),
        TEST(prepare_then_attach),
        TEST(prepare_refusals),
        TEST(prepare_by_geometry),
        TEST(block_makes_a_volume),
        TEST(block_refusals),
        TEST(block_sets_nothing_back),
        TEST(allocation_failures),
        TEST(io_failures),
        TEST(sweep_there_and_back),
        TEST(rekeys),
        TEST(nobody_there),
        TEST(damage),
        TEST(detach),
        TEST(os_volumes),
        TEST(bench),
        TEST(places),
        TEST(detach_all_waits_for_prepare),
        TEST(attach_what_goes),
        TEST(wrong_key_leaves_the_place),
        TEST(device_path_is_opened),
        TEST(encrypting_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
