/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of attached volumes: their slots, and going without them for a while. */
#include "control_test.h"
#include "vck/key_slot.h"
#include "vck/key_store.h"
#include "vck/request.h"

#define PATH            "/a"
#define TEST_DATA_BYTES (TEST_DISK_BYTES - 2 * VCK_METADATA_SIZE_MIN)

static const uint8_t next_key[32] = "the key of the day after";
static const uint8_t secret[VCK_KEY_RECOVERY_BYTES] = "secret of sixtee";

static struct vck_bytes bytes(const uint8_t *data, size_t size_bytes)
{
    return (struct vck_bytes){data, size_bytes};
}

static uint32_t send_message(struct test_host *host, uint32_t code, const void *message)
{
    assert_int_equal(vck_message_encode(vck_code_find(code)->request, message, host->request,
                                        sizeof(host->request), &host->request_bytes),
                     VCK_OK);
    return test_send(host, code, sizeof(host->response));
}

static void attach(struct test_host *host, const uint8_t *key, size_t key_bytes)
{
    const struct vck_msg_prepare_request request = {.volume_path = PATH,
                                                    .vmk = bytes(key, key_bytes)};

    assert_int_equal(send_message(host, VCK_CODE_PREPARE, &request), 0);
}

static uint32_t send_path(struct test_host *host, uint32_t code)
{
    const struct vck_msg_volume_request request = {.volume_path = PATH};

    return send_message(host, code, &request);
}

/* A table with one slot for the key, made of a table of that generation. */
static void make_table(struct test_host *host, uint64_t base, struct vck_bytes key,
                       struct vck_key_table *ret_table) VCK_NO_ANALYSIS
{
    const struct vck_key_slot_spec spec = {.type = VCK_KEY_RECOVERY};
    struct vck_store store = {0};
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX];
    uint32_t size;

    assert_int_equal(vck_store_inspect(&store, &host->disks[0]->disk), VCK_OK);
    vck_key_table_init(ret_table, store.header.volume_id);
    assert_int_equal(vck_key_slot_make(&spec, store.header.volume_id, bytes(secret, sizeof(secret)),
                                       key, NULL, record, &size),
                     VCK_OK);
    assert_int_equal(vck_key_table_add(ret_table, bytes(record, size)), VCK_OK);
    assert_int_equal(vck_key_table_seal(ret_table, base + 1, key), VCK_OK);
    vck_store_fini(&store);
}

static uint32_t change(struct test_host *host, uint64_t base, struct vck_bytes key,
                       struct vck_bytes new_key)
{
    static struct vck_key_table table;
    struct vck_msg_keys_request request = {
        .volume_path = PATH, .base_generation = base, .new_vmk = new_key};

    if (new_key.size_bytes > 0)
        request.vmk = key;
    make_table(host, base, new_key.size_bytes > 0 ? new_key : key, &table);
    request.table = bytes(table.bytes, vck_key_table_size_bytes(&table));
    return send_message(host, VCK_CODE_CHANGE_KEYS, &request);
}

static struct vck_msg_keys_response response_of(struct test_host *host)
{
    struct vck_msg_keys_response response = {0};

    assert_int_equal(
        vck_msg_keys_response_decode(host->response, host->response_bytes, &response, NULL),
        VCK_OK);
    return response;
}

static void expect(struct test_host *host, uint32_t nt, vck_status status, const char *says)
{
    assert_int_equal(nt, vck_status_to_nt(status));
    assert_non_null(strstr(host->caller.last_error, says));
}

/* The status of opening the slot on the disk. */
static vck_status unlock(struct test_host *host) VCK_NO_ANALYSIS
{
    const struct vck_key_offer offer = {.recovery = bytes(secret, sizeof(secret))};
    struct vck_secret key = {0};
    vck_status status = vck_key_unlock(&host->disks[0]->disk, &offer, NULL, &key, NULL);

    vck_secret_fini(&key);
    return status;
}

static void changes(void **state)
{
    struct test_host *host = *state;
    struct vck_bytes key = bytes(test_key, sizeof(test_key));
    struct vck_bytes none = {0};

    test_make_volume(host, 0);
    expect(host, change(host, 0, key, none), VCK_NOT_FOUND, "not attached");
    attach(host, NULL, 0);
    expect(host, change(host, 0, key, none), VCK_NOT_READY, "no key");
    expect(host, send_path(host, VCK_CODE_DETACH), VCK_OK, "");
    attach(host, test_key, sizeof(test_key));
    assert_int_equal(change(host, 0, key, none), 0);
    assert_int_equal(response_of(host).generation, 2);
    assert_int_equal(response_of(host).replicas, 2);
    assert_int_equal(response_of(host).failed_replicas, 0);
    assert_int_equal(unlock(host), VCK_OK);
    expect(host, change(host, 0, key, none), VCK_BUSY, "changed meanwhile");
    expect(host, change(host, 2, bytes(next_key, 32), none), VCK_WRONG_KEY, "master key");
    expect(host, change(host, 2, bytes(next_key, 32), key), VCK_WRONG_KEY, "master key");
    host->caller.can_write = false;
    expect(host, change(host, 2, key, none), VCK_PERMISSION_DENIED, "administrators");
    expect(host, send_path(host, VCK_CODE_ERASE_KEYS), VCK_PERMISSION_DENIED, "administrators");
    host->caller.can_write = true;
    assert_int_equal(unlock(host), VCK_OK);
    assert_int_equal(send_path(host, VCK_CODE_ERASE_KEYS), 0);
    assert_int_equal(response_of(host).replicas, 2);
    assert_int_equal(unlock(host), VCK_NOT_FOUND);
}

static void rotates(void **state)
{
    struct test_host *host = *state;
    struct vck_bytes key = bytes(test_key, sizeof(test_key));

    test_make_volume(host, 0);
    attach(host, test_key, sizeof(test_key));
    assert_int_equal(change(host, 0, key, (struct vck_bytes){0}), 0);
    assert_int_equal(send_path(host, VCK_CODE_START_ENCRYPT), 0);
    assert_int_equal(change(host, 2, key, bytes(next_key, sizeof(next_key))), 0);
    assert_int_equal(unlock(host), VCK_OK);
    /* What is written from now on is under the new key. */
    assert_int_equal(send_path(host, VCK_CODE_PAUSE), 0);
    assert_int_equal(send_path(host, VCK_CODE_DETACH), 0);
    assert_int_equal(unlock(host), VCK_OK);
    attach(host, next_key, sizeof(next_key));
}

static void refuses_what_is_no_table(void **state)
{
    struct test_host *host = *state;
    static const uint8_t table[VCK_MSG_TABLE_BYTES_MAX] = {0};
    const struct vck_msg_keys_request request = {.volume_path = PATH,
                                                 .table = bytes(table, sizeof(table))};

    test_make_volume(host, 0);
    attach(host, test_key, sizeof(test_key));
    assert_int_equal(send_message(host, VCK_CODE_CHANGE_KEYS, &request),
                     vck_status_to_nt(VCK_INVALID_DATA));
}

/* ---- metadata that a host hides ---- */

static uint32_t read_metadata(struct test_host *host, uint64_t offset_bytes, uint32_t size_bytes)
{
    const struct vck_msg_metadata_request request = {
        .volume_path = PATH, .offset_bytes = offset_bytes, .size_bytes = size_bytes};

    return send_message(host, VCK_CODE_READ_METADATA, &request);
}

/* What the response has for each byte of the disk, from an offset on. */
static void expect_metadata(struct test_host *host, uint64_t offset_bytes, uint64_t data_bytes)
{
    struct vck_msg_metadata_response response = {0};

    assert_int_equal(
        vck_msg_metadata_response_decode(host->response, host->response_bytes, &response, NULL),
        VCK_OK);
    assert_int_equal(response.disk_bytes, TEST_DISK_BYTES);
    assert_int_equal(response.sector_size, TEST_SECTOR_BYTES);
    for (size_t i = 0; i < response.metadata.size_bytes; i++)
        assert_int_equal(response.metadata.data[i], offset_bytes + i < data_bytes
                                                        ? 0
                                                        : host->disks[0]->data[offset_bytes + i]);
}

/* All of the disk, piece by piece, also where the data end in the middle of one. */
static void reads_what_is_no_data(void **state)
{
    struct test_host *host = *state;
    const uint64_t data_bytes = TEST_DISK_BYTES - 2ull * VCK_METADATA_SIZE_MIN;
    const uint32_t pieces[] = {VCK_MSG_METADATA_BYTES_MAX, 3 * TEST_SECTOR_BYTES};

    test_make_volume(host, 0);
    expect(host, read_metadata(host, 0, 512), VCK_NOT_FOUND, "not attached");
    attach(host, test_key, sizeof(test_key));
    for (int is_suspended = 0; is_suspended < 2; is_suspended++) {
        for (size_t i = 0; i < VCK_ARRAY_COUNT(pieces); i++)
            for (uint64_t at = 0; at + pieces[i] <= TEST_DISK_BYTES; at += pieces[i]) {
                assert_int_equal(read_metadata(host, at, pieces[i]), 0);
                expect_metadata(host, at, data_bytes);
            }
        assert_int_equal(read_metadata(host, TEST_DISK_BYTES, 0), 0);
        expect_metadata(host, TEST_DISK_BYTES, data_bytes);
        assert_int_equal(send_path(host, VCK_CODE_SUSPEND), 0);
    }
    expect(host, read_metadata(host, 1, 512), VCK_INVALID_DATA, "whole sectors");
    expect(host, read_metadata(host, 0, 511), VCK_INVALID_DATA, "whole sectors");
    expect(host, read_metadata(host, 0, VCK_MSG_METADATA_BYTES_MAX + 512), VCK_INVALID_DATA,
           "at most 32768");
    expect(host, read_metadata(host, TEST_DISK_BYTES, 512), VCK_OUT_OF_RANGE, "beyond");
    expect(host, read_metadata(host, UINT64_MAX - 511, 512), VCK_OUT_OF_RANGE, "beyond");
    host->disks[0]->fail_at = 1;
    expect(host, read_metadata(host, TEST_DISK_BYTES - 512, 512), VCK_IO, "cannot be read");
    host->disks[0]->fail_at = 0;
    host->caller.is_admin = false;
    expect(host, read_metadata(host, 0, 512), VCK_PERMISSION_DENIED, "administrators");
}

/* With any operation failing the slot opens, or is reported not to be written. */
static void survives_failing_io(void **state)
{
    struct test_host *host = *state;
    struct vck_bytes key = bytes(test_key, sizeof(test_key));

    for (uint64_t n = 1, has_failed = 1; has_failed; n++) {
        memset(host->disks[0]->data, 0, TEST_DISK_BYTES);
        test_make_volume(host, 0);
        attach(host, test_key, sizeof(test_key));
        assert_int_equal(change(host, 0, key, (struct vck_bytes){0}), 0);
        host->disks[0]->fail_at = n;
        uint32_t nt = change(host, 2, key, bytes(next_key, sizeof(next_key)));
        has_failed = host->disks[0]->fail_at == 0;
        host->disks[0]->fail_at = 0;
        if (!has_failed)
            assert_int_equal(nt, 0);
        assert_int_equal(unlock(host), VCK_OK);
        (void)send_path(host, VCK_CODE_DETACH);
        assert_int_equal(unlock(host), VCK_OK);
        assert_true(n < 1000);
    }
}

/* ---- with a sweep that is stuck ---- */

static struct vck_volume *volume_of(struct test_host *host) VCK_NO_ANALYSIS
{
    struct vck_volume *volume = NULL;

    assert_int_equal(vck_registry_find(&host->registry, PATH, &volume), VCK_OK);
    vck_volume_release(volume);
    return volume;
}

/* As far as it gets. */
static void run_sweep(struct test_host *host) VCK_NO_ANALYSIS
{
    struct vck_future *sweep = vck_volume_sweep_future(volume_of(host));

    for (int i = 0; sweep && i < 200; i++)
        if (vck_future_poll(sweep, &vck_waker_noop) == VCK_READY)
            break;
}

static bool is_rekeying(struct test_host *host)
{
    struct vck_msg_volume_status status = {0};

    assert_int_equal(send_path(host, VCK_CODE_GET_STATUS), 0);
    assert_int_equal(
        vck_msg_volume_status_decode(host->response, host->response_bytes, &status, NULL), VCK_OK);
    return status.rekeying;
}

static void expect_data(struct test_host *host, const uint8_t *data) VCK_NO_ANALYSIS
{
    static uint8_t got[TEST_DATA_BYTES];

    assert_int_equal(vck_volume_io(volume_of(host), VCK_REQUEST_READ, 0, 0, got, sizeof(got)),
                     VCK_OK);
    assert_memory_equal(got, data, sizeof(got));
}

/* A volume whose rekey is turned round at once, and whose n-th operation on the way back fails. */
static bool begin_stuck(struct test_host *host, uint64_t n, uint8_t *ret_data) VCK_NO_ANALYSIS
{
    memset(host->disks[0]->data + TEST_DATA_BYTES, 0, TEST_DISK_BYTES - TEST_DATA_BYTES);
    memset(host->disks[0]->data, (int)n, TEST_DATA_BYTES);
    memcpy(ret_data, host->disks[0]->data, TEST_DATA_BYTES);
    test_make_volume(host, 0);
    attach(host, test_key, sizeof(test_key));
    assert_int_equal(change(host, 0, bytes(test_key, sizeof(test_key)), (struct vck_bytes){0}), 0);
    assert_int_equal(send_path(host, VCK_CODE_START_ENCRYPT), 0);
    run_sweep(host);
    assert_int_equal(send_path(host, VCK_CODE_REKEY), 0);
    vck_volume_request_stop(volume_of(host));
    run_sweep(host);
    assert_true(is_rekeying(host));
    host->disks[0]->fail_at = n;
    if (send_path(host, VCK_CODE_REKEY_BACK) == 0)
        run_sweep(host);
    bool has_failed = host->disks[0]->fail_at == 0;
    host->disks[0]->fail_at = 0;
    return has_failed;
}

/* The blocks are the sweep's until it has written what it has begun to: a rotation would write them
 * with half of it, and the volume would be plaintext to whoever attaches it next. */
static void rotates_no_block_of_a_stuck_sweep(void **state) VCK_NO_ANALYSIS
{
    struct test_host *host = *state;
    struct vck_bytes key = bytes(test_key, sizeof(test_key));
    static uint8_t data[TEST_DATA_BYTES];
    bool was_refused = false;

    for (uint64_t n = 1, has_failed = 1; has_failed; n++) {
        has_failed = begin_stuck(host, n, data);
        uint32_t nt = change(host, 2, key, bytes(next_key, sizeof(next_key)));
        was_refused |= nt == vck_status_to_nt(VCK_BUSY) && !is_rekeying(host);
        expect_data(host, data);
        (void)send_path(host, VCK_CODE_DETACH);
        attach(host, nt ? test_key : next_key, 32);
        expect_data(host, data);
        assert_int_equal(send_path(host, VCK_CODE_DETACH), 0);
        assert_true(n < 1000);
    }
    assert_true(was_refused);
}

/* ---- preparing with metadata of one's own ---- */

/* A volume in the middle of a batch, one of whose two blocks is lost; the other one. */
static void begin_cut(struct test_host *host, uint8_t *ret_data,
                      uint8_t ret_block[VCK_BLOCK_BYTES]) VCK_NO_ANALYSIS
{
    uint8_t *disk = host->disks[0]->data;

    memset(disk + TEST_DATA_BYTES, 0, TEST_DISK_BYTES - TEST_DATA_BYTES);
    memset(disk, 0x33, TEST_DATA_BYTES);
    memcpy(ret_data, disk, TEST_DATA_BYTES);
    test_make_volume(host, 0);
    attach(host, test_key, sizeof(test_key));
    assert_int_equal(send_path(host, VCK_CODE_START_ENCRYPT), 0);
    /* Flush, read, two records and a flush; then the batch, the next read, and the batch again. */
    host->disks[0]->fail_at = 6;
    host->disks[0]->fail_more = 2;
    run_sweep(host);
    host->disks[0]->fail_at = host->disks[0]->fail_more = 0;
    assert_int_equal(send_path(host, VCK_CODE_DETACH), 0);
    memcpy(ret_block, disk + TEST_DISK_BYTES - TEST_SECTOR_BYTES, VCK_BLOCK_BYTES);
    memset(disk + TEST_DISK_BYTES - TEST_SECTOR_BYTES, 0, TEST_SECTOR_BYTES);
    assert_false(vck_all_zero(disk + TEST_DATA_BYTES + VCK_KEY_SLOTS_BYTES, 57344));
}

/* What recovery has carried out stays, though the request fails. */
static void puts_nothing_back_over_a_recovery(void **state) VCK_NO_ANALYSIS
{
    struct test_host *host = *state;
    static uint8_t data[TEST_DATA_BYTES], block[VCK_BLOCK_BYTES];

    for (uint64_t n = 1, has_failed = 1; has_failed; n++) {
        begin_cut(host, data, block);
        const struct vck_msg_prepare_request request = {
            .volume_path = PATH,
            .vmk = bytes(test_key, sizeof(test_key)),
            .metadata_block = bytes(block, sizeof(block)),
        };
        host->disks[0]->fail_at = n;
        uint32_t nt = send_message(host, VCK_CODE_PREPARE, &request);
        has_failed = host->disks[0]->fail_at == 0;
        host->disks[0]->fail_at = 0;
        if (nt)
            attach(host, test_key, sizeof(test_key));
        expect_data(host, data);
        (void)send_path(host, VCK_CODE_DETACH);
        assert_true(n < 1000);
    }
}

/* ---- suspending ---- */

static uint32_t wake(struct test_host *host, const uint8_t *key, size_t key_bytes)
{
    const struct vck_msg_wake_request request = {.volume_path = PATH, .vmk = bytes(key, key_bytes)};

    return send_message(host, VCK_CODE_WAKE, &request);
}

static bool is_suspended(struct test_host *host)
{
    struct vck_msg_volume_status status = {0};

    assert_int_equal(send_path(host, VCK_CODE_GET_STATUS), 0);
    assert_int_equal(
        vck_msg_volume_status_decode(host->response, host->response_bytes, &status, NULL), VCK_OK);
    assert_true(status.is_attached);
    return status.is_suspended;
}

static bool is_listed_suspended(struct test_host *host)
{
    struct vck_msg_volume_entry entry = {0};
    struct vck_msg_volume_list list = {.volumes = &entry, .capacity = 1};

    host->request_bytes = 0;
    assert_int_equal(test_send(host, VCK_CODE_LIST_VOLUMES, sizeof(host->response)), 0);
    assert_int_equal(vck_msg_volume_list_decode(host->response, host->response_bytes, &list, NULL),
                     VCK_OK);
    return entry.is_suspended;
}

static void suspends_and_wakes(void **state)
{
    struct test_host *host = *state;
    struct vck_bytes key = bytes(test_key, sizeof(test_key));

    test_make_volume(host, 0);
    expect(host, send_path(host, VCK_CODE_SUSPEND), VCK_NOT_FOUND, "not attached");
    attach(host, NULL, 0);
    expect(host, send_path(host, VCK_CODE_SUSPEND), VCK_UNSUPPORTED, "no key");
    assert_int_equal(send_path(host, VCK_CODE_DETACH), 0);
    attach(host, test_key, sizeof(test_key));
    assert_int_equal(change(host, 0, key, (struct vck_bytes){0}), 0);
    expect(host, wake(host, test_key, sizeof(test_key)), VCK_UNSUPPORTED, "not suspended");
    assert_int_equal(send_path(host, VCK_CODE_SUSPEND), 0);
    assert_int_equal(send_path(host, VCK_CODE_SUSPEND), 0);
    assert_true(is_suspended(host) && is_listed_suspended(host));
    expect(host, send_path(host, VCK_CODE_START_ENCRYPT), VCK_NOT_READY, "is suspended");
    expect(host, send_path(host, VCK_CODE_RESUME), VCK_NOT_READY, "is suspended");
    expect(host, send_path(host, VCK_CODE_PAUSE), VCK_NOT_READY, "is suspended");
    expect(host, change(host, 2, key, (struct vck_bytes){0}), VCK_NOT_READY, "no key");
    expect(host, wake(host, next_key, sizeof(next_key)), VCK_WRONG_KEY, "stays suspended");
    host->caller.can_write = false;
    expect(host, wake(host, test_key, sizeof(test_key)), VCK_PERMISSION_DENIED, "administrators");
    expect(host, send_path(host, VCK_CODE_SUSPEND), VCK_PERMISSION_DENIED, "administrators");
    host->caller.can_write = true;
    assert_true(is_suspended(host));
    assert_int_equal(wake(host, test_key, sizeof(test_key)), 0);
    assert_false(is_suspended(host) || is_listed_suspended(host));
    assert_int_equal(send_path(host, VCK_CODE_START_ENCRYPT), 0);
}

/* Whoever uses a suspended volume cannot stop using it in order. */
static void detaches_while_suspended(void **state)
{
    struct test_host *host = *state;

    test_make_volume(host, 0);
    attach(host, test_key, sizeof(test_key));
    host->is_busy = true;
    expect(host, send_path(host, VCK_CODE_DETACH), VCK_BUSY, "");
    assert_int_equal(send_path(host, VCK_CODE_SUSPEND), 0);
    assert_int_equal(send_path(host, VCK_CODE_DETACH), 0);
    attach(host, test_key, sizeof(test_key));
    assert_false(is_suspended(host));
}

static void keeps_the_os_volume_awake(void **state)
{
    struct test_host *host = *state;
    const struct vck_msg_prepare_request request = {
        .volume_path = PATH, .vmk = bytes(test_key, sizeof(test_key)), .is_os_volume = true};

    test_make_volume(host, 0);
    assert_int_equal(send_message(host, VCK_CODE_PREPARE, &request), 0);
    expect(host, send_path(host, VCK_CODE_SUSPEND), VCK_PERMISSION_DENIED, "OS volume");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(changes, test_host_set_up, test_host_tear_down),
        cmocka_unit_test_setup_teardown(rotates, test_host_set_up, test_host_tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_table, test_host_set_up,
                                        test_host_tear_down),
        cmocka_unit_test_setup_teardown(reads_what_is_no_data, test_host_set_up,
                                        test_host_tear_down),
        cmocka_unit_test_setup_teardown(survives_failing_io, test_host_set_up, test_host_tear_down),
        cmocka_unit_test_setup_teardown(rotates_no_block_of_a_stuck_sweep, test_host_set_up,
                                        test_host_tear_down),
        cmocka_unit_test_setup_teardown(puts_nothing_back_over_a_recovery, test_host_set_up,
                                        test_host_tear_down),
        cmocka_unit_test_setup_teardown(suspends_and_wakes, test_host_set_up, test_host_tear_down),
        cmocka_unit_test_setup_teardown(detaches_while_suspended, test_host_set_up,
                                        test_host_tear_down),
        cmocka_unit_test_setup_teardown(keeps_the_os_volume_awake, test_host_set_up,
                                        test_host_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
