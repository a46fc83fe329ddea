/* SPDX-License-Identifier: Apache-2.0 */
#include "keys_test.h"
#include "memory_disk.h"
#include "port/port.h"
#include "vck/key_backup.h"
#include "vck/prepare.h"

#define METADATA_BYTES VCK_METADATA_SIZE_MIN
#define DISK_BYTES     (2 * METADATA_BYTES + 8192)

static const uint8_t vmk[32] = "the key of everything", next_vmk[32] = "the key of the day after";
static const uint8_t secret[16] = "secret of sixtee", other[16] = "another sixteen.";
static const struct vck_key_offer offer = {.passphrase = {(const uint8_t *)"on paper", 8}};

static struct memory_disk *make_volume(void) VCK_NO_ANALYSIS
{
    struct memory_disk *disk = memory_disk_create(DISK_BYTES, 512);
    struct vck_prepare_params params = {
        .footer_count = 2, .metadata_size_bytes = METADATA_BYTES, .vmk = BYTES(vmk)};
    struct vck_prepare_result result;
    enum vck_prepare_fault fault;
    disk->keep = true;
    assert_int_equal(vck_prepare_volume(&disk->disk, &params, &result, &fault), VCK_OK);
    return disk;
}

static void put(struct vck_key_session *session, const uint8_t *which, struct vck_bytes key)
{
    const struct vck_key_slot_spec spec = {.type = VCK_KEY_RECOVERY};
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX];
    uint32_t size;
    assert_int_equal(vck_key_slot_make(&spec, session->tables.volume_id,
                                       (struct vck_bytes){which, 16}, key, NULL, record, &size),
                     VCK_OK);
    vck_key_table_init(session->table, session->tables.volume_id);
    assert_int_equal(vck_key_table_add(session->table, (struct vck_bytes){record, size}), VCK_OK);
}

static void set_slot(struct memory_disk *disk, const uint8_t *which) VCK_NO_ANALYSIS
{
    struct vck_key_session session;
    assert_int_equal(vck_key_session_open(&session, &disk->disk, BYTES(vmk), false), VCK_OK);
    put(&session, which, BYTES(vmk));
    assert_int_equal(vck_key_session_commit(&session), VCK_OK);
    vck_key_session_fini(&session);
}

static vck_status unlock(struct memory_disk *disk, const uint8_t *which) VCK_NO_ANALYSIS
{
    const struct vck_key_offer tried = {.recovery = {which, 16}};
    struct vck_secret key = {0};
    vck_status status = vck_key_unlock(&disk->disk, &tried, NULL, &key, NULL);
    vck_secret_fini(&key);
    return status;
}

static size_t back_up(struct memory_disk *disk, uint8_t *file) VCK_NO_ANALYSIS
{
    struct vck_key_session session;
    struct vck_key_backup *backup = calloc(1, sizeof(*backup));
    const struct vck_key_kdf kdf = {VCK_KEY_ARGON2ID, 1, 64, 1};
    size_t size = 0;
    assert_int_equal(vck_key_session_open(&session, &disk->disk, BYTES(vmk), false), VCK_OK);
    assert_int_equal(vck_key_backup_take(&session, 7, backup), VCK_OK);
    assert_int_equal(
        vck_key_backup_seal(backup, VCK_KEY_PASSPHRASE, &kdf, offer.passphrase, NULL, file, &size),
        VCK_OK);
    vck_key_backup_fini(backup);
    vck_key_session_fini(&session);
    free(backup);
    return size;
}

static vck_status restore(struct memory_disk *disk, const uint8_t *file, size_t size,
                          bool with_metadata) VCK_NO_ANALYSIS
{
    struct vck_key_backup *backup = calloc(1, sizeof(*backup));
    vck_status status = vck_key_backup_open((struct vck_bytes){file, size}, &offer, NULL, backup);
    if (status == VCK_OK) {
        assert_int_equal(backup->created_s, 7);
        status = vck_key_backup_restore(backup, &disk->disk, with_metadata);
        vck_key_backup_fini(backup);
    }
    free(backup);
    return status;
}

static void brings_slots_back(void **state) VCK_NO_ANALYSIS
{
    (void)state;
    struct memory_disk *disk = make_volume();
    uint8_t *file = malloc(VCK_KEY_BACKUP_BYTES_MAX);
    uint32_t failed;
    set_slot(disk, secret);
    size_t size = back_up(disk, file);
    set_slot(disk, other);
    assert_int_equal(restore(disk, file, size, false), VCK_OK);
    assert_int_equal(unlock(disk, secret), VCK_OK);
    assert_int_equal(unlock(disk, other), VCK_WRONG_KEY);
    assert_int_equal(vck_key_erase(&disk->disk, &failed), VCK_OK);
    assert_int_equal(restore(disk, file, size, false), VCK_OK);
    assert_int_equal(unlock(disk, secret), VCK_OK);
    free(file);
    memory_disk_free(disk);
}

/* Nothing is left but the data, and the file. */
static void brings_lost_metadata_back(void **state)
{
    (void)state;
    struct memory_disk *disk = make_volume();
    uint8_t *file = malloc(VCK_KEY_BACKUP_BYTES_MAX);
    set_slot(disk, secret);
    size_t size = back_up(disk, file);
    memset(disk->data + 8192, 0xee, 2 * METADATA_BYTES);
    assert_int_equal(restore(disk, file, size, false), VCK_SIGNATURE_MISMATCH);
    assert_int_equal(unlock(disk, secret), VCK_SIGNATURE_MISMATCH);
    assert_int_equal(restore(disk, file, size, true), VCK_OK);
    assert_int_equal(unlock(disk, secret), VCK_OK);
    disk->disk.size_bytes -= 512;
    assert_int_equal(restore(disk, file, size, true), VCK_SIZE_MISMATCH);
    disk->disk.size_bytes += 512;
    free(file);
    memory_disk_free(disk);
}

/* Another volume, and the same with another key since: nothing is written. */
static void refuses_other_volumes(void **state) VCK_NO_ANALYSIS
{
    (void)state;
    struct memory_disk *disk = make_volume(), *stranger = make_volume();
    struct vck_key_session session;
    uint8_t *file = malloc(VCK_KEY_BACKUP_BYTES_MAX), *before = malloc(DISK_BYTES);
    set_slot(disk, secret);
    size_t size = back_up(disk, file);
    memcpy(before, stranger->data, DISK_BYTES);
    assert_int_equal(restore(stranger, file, size, false), VCK_VALIDATION_FAILED);
    assert_int_equal(restore(stranger, file, size, true), VCK_VALIDATION_FAILED);
    assert_memory_equal(before, stranger->data, DISK_BYTES);
    assert_int_equal(vck_key_session_open(&session, &disk->disk, BYTES(vmk), false), VCK_OK);
    put(&session, other, BYTES(next_vmk));
    assert_int_equal(vck_key_session_rotate(&session, BYTES(next_vmk)), VCK_OK);
    vck_key_session_fini(&session);
    memcpy(before, disk->data, DISK_BYTES);
    assert_int_equal(restore(disk, file, size, false), VCK_WRONG_KEY);
    assert_memory_equal(before, disk->data, DISK_BYTES);
    assert_int_equal(restore(disk, file, size, true), VCK_OK);
    assert_int_equal(unlock(disk, secret), VCK_OK);
    free(before);
    free(file);
    memory_disk_free(stranger);
    memory_disk_free(disk);
}

/* Any change outside the label, and any cut, is found out. */
static void notices_changes(void **state) VCK_NO_ANALYSIS
{
    (void)state;
    struct memory_disk *disk = make_volume();
    struct vck_key_backup *backup = calloc(1, sizeof(*backup));
    uint8_t *file = malloc(VCK_KEY_BACKUP_BYTES_MAX);
    set_slot(disk, secret);
    size_t size = back_up(disk, file);
    for (size_t at = 0; at < size; at++) {
        if (at >= 64 + 96 && at < 64 + 112)
            continue; /* the KDF's cost: huge values would be computed */
        file[at] ^= 0x10;
        assert_int_not_equal(
            vck_key_backup_open((struct vck_bytes){file, size}, &offer, NULL, backup), VCK_OK);
        file[at] ^= 0x10;
    }
    for (size_t cut = 0; cut < size; cut += 7)
        assert_int_not_equal(
            vck_key_backup_open((struct vck_bytes){file, cut}, &offer, NULL, backup), VCK_OK);
    assert_int_equal(vck_key_backup_open((struct vck_bytes){file, size}, &offer, NULL, backup),
                     VCK_OK);
    vck_key_backup_fini(backup);
    free(backup);
    free(file);
    memory_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brings_slots_back),
        cmocka_unit_test(brings_lost_metadata_back),
        cmocka_unit_test(refuses_other_volumes),
        cmocka_unit_test(notices_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
