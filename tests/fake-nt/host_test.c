/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes of the loaded driver: into place by either way and back, users, policy, unloading. */
#include "driver_fixture.h"

#include <string.h>
#include "products/vcksys/filter.h"
#include "vck/bytes.h"
#include "vck/thread.h"

#define DATA_SECTORS ((DRIVER_DISK_BYTES - 2 * DRIVER_METADATA_BYTES) / 512)

/* ---- a filesystem ---- */

static struct {
    uint32_t refused_locks;     /* so many are refused, for open files */
    uint32_t refused_dismounts; /* so many fail */
    bool is_locked;
    bool is_mounted;
} filesystem;

static NTSTATUS control_filesystem(PDEVICE_OBJECT device, ULONG code)
{
    (void)device;
    switch (code) {
    case FSCTL_LOCK_VOLUME:
        if (filesystem.refused_locks) {
            filesystem.refused_locks--;
            return STATUS_ACCESS_DENIED;
        }
        filesystem.is_locked = true;
        return STATUS_SUCCESS;
    case FSCTL_DISMOUNT_VOLUME:
        if (filesystem.refused_dismounts) {
            filesystem.refused_dismounts--;
            return STATUS_ACCESS_DENIED;
        }
        filesystem.is_mounted = false;
        return STATUS_SUCCESS;
    default:
        assert_true(filesystem.is_locked);
        filesystem.is_locked = false;
        filesystem.is_mounted = true;
        return STATUS_SUCCESS;
    }
}

static int set_up(void **state) VCK_NO_ANALYSIS
{
    memset(&filesystem, 0, sizeof(filesystem));
    filesystem.is_mounted = true;
    int failed = driver_set_up(state);
    fake_system.control = control_filesystem;
    return failed;
}

/* ---- doing ---- */

static uint32_t request(struct driver_fixture *f, uint32_t code, const char *path) VCK_CAN_WAIT
{
    struct fake_call *call = calloc(1, sizeof(*call));
    uint32_t status = driver_path_request(f, call, code, path);

    free(call);
    return status;
}

static struct vck_msg_volume_status status_of(struct driver_fixture *f,
                                              const char *path) VCK_CAN_WAIT
{
    struct fake_call *call = calloc(1, sizeof(*call));
    struct vck_msg_volume_status status = driver_status(f, call, path);

    status.volume_path = NULL;
    status.error = NULL;
    free(call);
    return status;
}

static bool is_filtered(const struct driver_fixture *f)
{
    return f->disk->device->AttachedDevice != NULL;
}

static bool is_unchanged(const struct driver_fixture *f)
{
    return memcmp(f->disk->data, f->before, DRIVER_DISK_BYTES) == 0;
}

static void encrypt(struct driver_fixture *f, const char *path) VCK_CAN_WAIT
{
    assert_int_equal(request(f, VCK_CODE_START_ENCRYPT, path), 0);
    driver_finish_sweep(f, path);
    assert_int_equal(status_of(f, path).encrypted_sector, DATA_SECTORS);
}

static void decrypt(struct driver_fixture *f, const char *path) VCK_CAN_WAIT
{
    assert_int_equal(request(f, VCK_CODE_START_DECRYPT, path), 0);
    driver_finish_sweep(f, path);
    assert_int_equal(status_of(f, path).encrypted_sector, 0);
}

/* ---- paths ---- */

/* Every spelling means the one volume, and GET_STATUS of others succeeds. */
static void spellings(void **state) VCK_NO_ANALYSIS
{
    static const char *const same[] = {"D:",
                                       "d:\\",
                                       "\\\\.\\D:",
                                       "\\\\?\\D:\\",
                                       "\\??\\D:",
                                       "\\DosDevices\\d:",
                                       "\\Device\\FakeDisk",
                                       "\\device\\fakedisk",
                                       "\\\\?\\GLOBALROOT\\Device\\FakeDisk",
                                       "\\\\?\\Volume{12345678-9ABC-def0-1122-334455667788}\\"};
    static const char *const others[] = {"E:", "\\Device\\Nothing", "\\\\.\\Vck"};
    struct driver_fixture *f = *state;

    fake_system_add_link(L"\\??\\Volume{12345678-9abc-def0-1122-334455667788}", L"\\??\\D:");
    assert_false(status_of(f, "D:").filter_below_fsd);
    assert_int_equal(driver_prepare(f, "\\\\.\\D:", false), 0);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(same); i++) {
        struct vck_msg_volume_status status = status_of(f, same[i]);

        assert_true(status.is_attached);
        assert_true(status.filter_below_fsd);
        assert_int_equal(driver_prepare(f, same[i], false), 0xC00000BB);
    }
    for (size_t i = 0; i < VCK_ARRAY_COUNT(others); i++) {
        assert_false(status_of(f, others[i]).is_attached);
        assert_int_equal(request(f, VCK_CODE_DETACH, others[i]), 0xC0000225);
    }
    assert_int_equal(request(f, VCK_CODE_GET_STATUS, "D:\\folder"), 0xC000000D);
    assert_int_equal(request(f, VCK_CODE_DETACH, same[9]), 0);
}

static void circle_of_links(void **state) VCK_NO_ANALYSIS
{
    fake_system_add_link(L"\\??\\X:", L"\\??\\Y:");
    fake_system_add_link(L"\\??\\Y:", L"\\??\\X:");
    assert_int_equal(request(*state, VCK_CODE_GET_STATUS, "X:"), 0xC000000D);
}

/* ---- without a filter: lock, dismount, attach ---- */

static void prepare_and_detach(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;

    assert_int_equal(driver_prepare(f, "D:", false), 0);
    assert_true(is_filtered(f));
    /* Locked, dismounted and given back, once. */
    assert_int_equal(fake_system.fsctls[0], 1);
    assert_int_equal(fake_system.fsctls[1], 1);
    assert_int_equal(fake_system.fsctls[2], 1);
    assert_true(filesystem.is_mounted && !filesystem.is_locked);
    assert_int_equal(fake_system.handles, 0);
    encrypt(f, "D:");
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
    assert_true(filesystem.is_mounted && !filesystem.is_locked);
    /* The filter stays, and lets nobody format the ciphertext by mistake. */
    assert_true(is_filtered(f));
    assert_int_equal(driver_write_sector(f, 0), STATUS_MEDIA_WRITE_PROTECTED);
    assert_int_equal(driver_prepare(f, "D:", false), 0);
    assert_int_equal(driver_write_sector(f, 512), STATUS_SUCCESS);
    decrypt(f, "D:");
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
    assert_int_equal(driver_write_sector(f, 1024), STATUS_SUCCESS);
}

/* PREPARE says where the volume lies, which the filter itself hides. */
static void prepare_says_where(void **state) VCK_NO_ANALYSIS
{
    const struct vck_msg_prepare_request request = {
        .volume_path = "D:",
        .nt_device_path = "",
        .vmk = {driver_key, sizeof(driver_key)},
    };
    struct driver_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));
    struct vck_msg_prepare_response said;
    struct vck_message_fault fault;

    assert_int_equal(driver_request(f, call, VCK_CODE_PREPARE, &request), 0);
    assert_int_equal(vck_message_decode(VCK_MESSAGE_PREPARE_RESPONSE, call->buffer,
                                        call->information, &said, &fault),
                     VCK_OK);
    assert_string_equal(said.raw_partition_path, "\\Device\\Harddisk3\\Partition2");
    assert_string_equal(said.raw_disk_path, "\\Device\\Harddisk3\\Partition0");
    assert_true(said.partition_start_lba.is_present);
    assert_int_equal(said.partition_start_lba.value, 2048);
    free(call);
}

static void a_volume_in_use_is_left_alone(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;

    filesystem.refused_locks = 1;
    assert_int_equal(driver_prepare(f, "D:", false), 0xC0000043);
    assert_false(is_filtered(f));
    assert_true(is_unchanged(f));
    assert_int_equal(fake_system.handles, 0);
    filesystem.refused_dismounts = 1;
    assert_int_equal(driver_prepare(f, "D:", false), 0xC0000043);
    assert_false(filesystem.is_locked);
    assert_false(is_filtered(f));
    assert_int_equal(driver_prepare(f, "D:", false), 0);
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
}

/* A device whose open is still on its way is waited for. */
static void a_late_device(void **state) VCK_NO_ANALYSIS
{
    fake_system.device_late = 5;
    assert_int_equal(driver_prepare(*state, "D:", false), 0);
    assert_int_equal(fake_system.device_late, 0);
    assert_int_equal(request(*state, VCK_CODE_DETACH, "D:"), 0);
}

static void a_wrong_key_undoes_everything(void **state) VCK_NO_ANALYSIS
{
    static const uint8_t wrong[32] = {1};
    const struct vck_msg_prepare_request message = {
        .volume_path = "D:", .nt_device_path = "", .vmk = {wrong, sizeof(wrong)}};
    struct driver_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));

    assert_int_equal(driver_request(f, call, VCK_CODE_PREPARE, &message), 0xC000006A);
    free(call);
    assert_false(is_filtered(f));
    assert_true(is_unchanged(f));
    assert_true(filesystem.is_mounted && !filesystem.is_locked);
    assert_int_equal(fake_system.handles, 0);
}

/* The linker puts this in the place of the port's. */
static bool has_no_random;
vck_status __real_vck_random(void *p, size_t size_bytes);
vck_status __wrap_vck_random(void *p, size_t size_bytes);

vck_status __wrap_vck_random(void *p, size_t size_bytes)
{
    return has_no_random ? VCK_CRYPTO_FAILED : __real_vck_random(p, size_bytes);
}

static void nothing_is_attached_without_random_numbers(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;

    has_no_random = true;
    assert_int_equal(driver_prepare(f, "D:", false), vck_status_to_nt(VCK_CRYPTO_FAILED));
    has_no_random = false;
    assert_false(is_filtered(f));
    assert_true(is_unchanged(f));
    assert_int_equal(fake_system.handles, 0);
    assert_int_equal(driver_prepare(f, "D:", false), 0);
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
}

/* Whatever fails, nothing is left of the attempt. */
static void prepare_with_failures(struct driver_fixture *f, bool of_memory) VCK_CAN_WAIT
{
    for (uint64_t nth = 1;; nth++) {
        uint32_t status;
        bool has_failed;

        assert_true(nth < 2000);
        if (of_memory)
            vck_alloc_fail_nth(nth);
        else
            fake_fail_nth(nth);
        status = driver_prepare(f, "D:", false);
        has_failed = of_memory ? status != 0 : fake_has_failed();
        vck_alloc_fail_nth(0);
        fake_fail_nth(0);
        assert_int_equal(fake_system.handles, 0);
        assert_false(filesystem.is_locked);
        if (status == 0) {
            assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
            if (!has_failed)
                return;
        } else {
            assert_false(status_of(f, "D:").is_attached);
        }
        assert_true(is_unchanged(f));
    }
}

static void prepare_without_memory(void **state) VCK_NO_ANALYSIS
{
    prepare_with_failures(*state, true);
}

static void prepare_without_the_system(void **state) VCK_NO_ANALYSIS
{
    prepare_with_failures(*state, false);
}

static void no_disk(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;

    assert_int_equal(driver_prepare(f, "E:", false), 0xC0000225);
    fake_system_add_device(L"\\Device\\Vck", f->driver.DeviceObject);
    assert_int_equal(driver_prepare(f, "\\\\?\\GLOBALROOT\\Device\\Vck", false), 0xC00000BB);
    assert_null(f->driver.DeviceObject->AttachedDevice);
}

/* ---- with a filter from AddDevice ---- */

static void prepare_below_a_mounted_filesystem(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;

    driver_add_device(f);
    driver_start_device(f);
    assert_true(status_of(f, "D:").filter_below_fsd);
    /* In use: it stays mounted, and PREPARE goes on. */
    filesystem.refused_locks = 1;
    assert_int_equal(driver_prepare(f, "D:", false), 0);
    assert_true(filesystem.is_mounted);
    assert_int_equal(fake_system.fsctls[2], 0);
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
    /* Not in use: it is mounted afresh. */
    assert_int_equal(driver_prepare(f, "D:", false), 0);
    assert_true(filesystem.is_mounted && !filesystem.is_locked);
    assert_int_equal(fake_system.fsctls[2], 2);
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
    driver_remove_device(f);
}

static void device_removed_while_attached(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;

    driver_add_device(f);
    driver_start_device(f);
    assert_int_equal(driver_prepare(f, "D:", false), 0);
    encrypt(f, "D:");
    driver_remove_device(f);
    assert_false(status_of(f, "\\Device\\FakeDisk").is_attached);
}

/* ---- ciphertext without a key ---- */

static void written_only_with_the_key(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));
    const struct vck_msg_prepare_request prepare = {.volume_path = "D:", .nt_device_path = ""};
    const struct vck_msg_attach_request attach = {.volume_path = "D:",
                                                  .vmk = {driver_key, sizeof(driver_key)},
                                                  .nt_device_path = "",
                                                  .raw_partition_path = ""};

    assert_int_equal(driver_request(f, call, VCK_CODE_PREPARE, &prepare), 0);
    assert_int_equal(driver_write_sector(f, 0), STATUS_SUCCESS);
    assert_int_equal(driver_request(f, call, VCK_CODE_ATTACH, &attach), 0);
    encrypt(f, "D:");
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
    assert_int_equal(driver_write_sector(f, 0), STATUS_MEDIA_WRITE_PROTECTED);
    assert_int_equal(driver_request(f, call, VCK_CODE_PREPARE, &prepare), 0);
    assert_int_equal(driver_write_sector(f, 0), STATUS_MEDIA_WRITE_PROTECTED);
    assert_int_equal(driver_request(f, call, VCK_CODE_ATTACH, &attach), 0);
    assert_int_equal(driver_write_sector(f, 0), STATUS_SUCCESS);
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
    free(call);
}

/* ---- detaching ---- */

static void detach_is_patient(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;

    assert_int_equal(driver_prepare(f, "D:", false), 0);
    filesystem.refused_locks = 3;
    filesystem.refused_dismounts = 2;
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
    assert_false(filesystem.is_locked);
}

static void detach_all_insists(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));
    const struct vck_msg_empty nothing = {0};

    assert_int_equal(driver_prepare(f, "D:", false), 0);
    filesystem.refused_locks = 1000;
    assert_int_equal(driver_request(f, call, VCK_CODE_DETACH_ALL_VOLUMES, &nothing), 0);
    assert_int_equal(call->information, 0);
    assert_false(status_of(f, "D:").is_attached);
    filesystem.refused_locks = 0;
    free(call);
}

/* ---- the OS volume ---- */

static void os_volume(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));
    const struct vck_msg_empty nothing = {0};

    assert_int_equal(driver_prepare(f, "D:", true), 0);
    assert_non_null(f->driver.DriverUnload);
    encrypt(f, "D:");
    /* The driver stays while ciphertext is there. */
    assert_null(f->driver.DriverUnload);
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0xC0000022);
    assert_int_equal(driver_request(f, call, VCK_CODE_DETACH_ALL_VOLUMES, &nothing), 0);
    assert_true(status_of(f, "D:").is_attached);
    assert_int_equal(driver_request(f, call, VCK_CODE_PAUSE_OS_VOLUME, &nothing), 0);
    decrypt(f, "D:");
    assert_ptr_equal(f->driver.DriverUnload, f->unload);
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
    free(call);
}

static void settings_against_encrypting(void **state) VCK_NO_ANALYSIS
{
    static const wchar_t *const values[] = {L"HibernateEnabled", L"HiberbootEnabled",
                                            L"CrashDumpEnabled"};
    struct driver_fixture *f = *state;

    assert_int_equal(driver_prepare(f, "D:", true), 0);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(values); i++) {
        fake_system.registry[0].value = values[i];
        assert_int_equal(request(f, VCK_CODE_START_ENCRYPT, "D:"), 0xC00000BB);
        assert_int_equal(status_of(f, "D:").state, VCK_STATE_IDLE);
        assert_non_null(f->driver.DriverUnload);
    }
    fake_system.registry[0].value = NULL;
    encrypt(f, "D:");
    /* Out of it is always allowed. */
    fake_system.registry[0].value = values[0];
    decrypt(f, "D:");
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
    /* The settings do not concern data volumes. */
    assert_int_equal(driver_prepare(f, "D:", false), 0);
    encrypt(f, "D:");
    decrypt(f, "D:");
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
}

/* They may be put onto any volume: before there is ciphertext, and not after. */
static void files_against_encrypting(void **state) VCK_NO_ANALYSIS
{
    static const DEVICE_USAGE_NOTIFICATION_TYPE types[] = {DeviceUsageTypeHibernation,
                                                           DeviceUsageTypeDumpFile};
    struct driver_fixture *f = *state;

    driver_add_device(f);
    driver_start_device(f);
    for (int is_os_volume = 0; is_os_volume < 2; is_os_volume++) {
        assert_int_equal(driver_prepare(f, "D:", is_os_volume != 0), 0);
        for (size_t i = 0; i < VCK_ARRAY_COUNT(types); i++) {
            assert_int_equal(driver_use_device(f, types[i], true), STATUS_SUCCESS);
            assert_int_equal(request(f, VCK_CODE_START_ENCRYPT, "D:"), 0xC00000BB);
            assert_int_equal(status_of(f, "D:").state, VCK_STATE_IDLE);
            assert_int_equal(driver_use_device(f, types[i], false), STATUS_SUCCESS);
        }
        encrypt(f, "D:");
        assert_int_equal(driver_use_device(f, types[0], true), STATUS_UNSUCCESSFUL);
        assert_int_equal(driver_use_device(f, types[1], true), STATUS_UNSUCCESSFUL);
        decrypt(f, "D:");
        assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
    }
    driver_remove_device(f);
}

/* ---- the end ---- */

static void shutdown_rests_the_sweep(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;
    struct file_object file;
    uint8_t state_then;

    assert_int_equal(driver_prepare(f, "D:", false), 0);
    f->disk->is_async = true;
    f->disk->delay_us = 20000;
    assert_int_equal(request(f, VCK_CODE_START_ENCRYPT, "D:"), 0);
    assert_int_equal(driver_open(f, &file, FILE_READ_DATA), STATUS_SUCCESS);
    assert_int_equal(driver_major(f, &file, IRP_MJ_SHUTDOWN), STATUS_SUCCESS);
    state_then = (uint8_t)status_of(f, "D:").state;
    assert_true(state_then != VCK_STATE_ENCRYPTING);
    driver_close(f, &file);
    f->disk->delay_us = 0;
    /* What was recorded is "run": the next attach goes on by itself. */
    assert_int_equal(request(f, VCK_CODE_DETACH, "D:"), 0);
    assert_int_equal(driver_prepare(f, "D:", false), 0);
    driver_finish_sweep(f, "D:");
    assert_int_equal(status_of(f, "D:").encrypted_sector, DATA_SECTORS);
    f->disk->is_async = false;
}

/* Unloading takes data volumes along, their sweeps stopped where they are. */
static void unload_with_volumes(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;

    assert_int_equal(driver_prepare(f, "D:", false), 0);
    assert_int_equal(request(f, VCK_CODE_START_ENCRYPT, "D:"), 0);
    driver_unload(f);
    assert_false(is_filtered(f));
    assert_int_equal(driver_load(f), STATUS_SUCCESS);
    assert_int_equal(driver_prepare(f, "D:", false), 0);
    driver_finish_sweep(f, "D:");
    assert_int_equal(status_of(f, "D:").encrypted_sector, DATA_SECTORS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, driver_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(spellings),
        TEST(circle_of_links),
        TEST(prepare_and_detach),
        TEST(prepare_says_where),
        TEST(a_volume_in_use_is_left_alone),
        TEST(a_late_device),
        TEST(a_wrong_key_undoes_everything),
        TEST(nothing_is_attached_without_random_numbers),
        TEST(prepare_without_memory),
        TEST(prepare_without_the_system),
        TEST(no_disk),
        TEST(prepare_below_a_mounted_filesystem),
        TEST(device_removed_while_attached),
        TEST(written_only_with_the_key),
        TEST(detach_is_patient),
        TEST(detach_all_insists),
        TEST(os_volume),
        TEST(settings_against_encrypting),
        TEST(files_against_encrypting),
        TEST(shutdown_rests_the_sweep),
        TEST(unload_with_volumes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
