/* SPDX-License-Identifier: Apache-2.0 */
/* Slots on disks: unlocking, changes, damage, and every failing call. */
#include "keys_test.h"
#include "memory_disk.h"
#include "port/port.h"
#include "vck/crc32.h"
#include "vck/key_store.h"
#include "vck/prepare.h"

#define METADATA_BYTES VCK_METADATA_SIZE_MIN
#define DISK_BYTES     (2 * METADATA_BYTES + 8192)
#define REPLICAS       2u
#define COPIES         2u

static const uint8_t vmk[32] = "the key of everything";
static const uint8_t next_vmk[32] = "the key of the day after";
static const uint8_t secrets[3][16] = {"secret of sixte0", "secret of sixte1", "secret of sixte2"};

static struct memory_disk *make_volume(void) VCK_NO_ANALYSIS
{
    struct memory_disk *disk = memory_disk_create(DISK_BYTES, 512);
    struct vck_prepare_params params = {
        .footer_count = REPLICAS, .metadata_size_bytes = METADATA_BYTES, .vmk = BYTES(vmk)};
    struct vck_prepare_result result;
    enum vck_prepare_fault fault;
    disk->keep = true;
    assert_int_equal(vck_prepare_volume(&disk->disk, &params, &result, &fault), VCK_OK);
    return disk;
}

static uint8_t *copy_at(struct memory_disk *disk, uint32_t replica, uint32_t copy)
{
    return disk->data + 8192 + replica * METADATA_BYTES + copy * VCK_KEY_COPY_BYTES;
}

static vck_status unlock(struct memory_disk *disk, unsigned which) VCK_NO_ANALYSIS
{
    const struct vck_key_offer offer = {.recovery = BYTES(secrets[which])};
    struct vck_secret key = {0};
    struct vck_key_unlocked unlocked;
    vck_status status = vck_key_unlock(&disk->disk, &offer, NULL, &key, &unlocked);
    if (status == VCK_OK) {
        assert_int_equal(unlocked.type, VCK_KEY_RECOVERY);
        assert_int_equal(key.size_bytes, sizeof(vmk));
        vck_secret_fini(&key);
    }
    return status;
}

static void put(struct vck_key_session *session, uint16_t number, unsigned which,
                struct vck_bytes key)
{
    const struct vck_key_slot_spec spec = {.type = VCK_KEY_RECOVERY, .number = number};
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX];
    struct vck_key_slot slot;
    uint32_t size;
    assert_int_equal(vck_key_slot_make(&spec, session->tables.volume_id, BYTES(secrets[which]), key,
                                       NULL, record, &size),
                     VCK_OK);
    struct vck_bytes made = {record, size};
    if (vck_key_table_find(session->table, number, &slot) == VCK_OK)
        assert_int_equal(vck_key_table_replace(session->table, made), VCK_OK);
    else
        assert_int_equal(vck_key_table_add(session->table, made), VCK_OK);
}

static vck_status add(struct memory_disk *disk, unsigned which) VCK_NO_ANALYSIS
{
    struct vck_key_session session;
    vck_status status = vck_key_session_open(&session, &disk->disk, BYTES(vmk), false);
    if (status == VCK_OK) {
        put(&session, (uint16_t)which, which, BYTES(vmk));
        status = vck_key_session_commit(&session);
    }
    vck_key_session_fini(&session);
    return status;
}

static void opens_what_was_added(void **state)
{
    (void)state;
    struct memory_disk *disk = make_volume();
    assert_int_equal(unlock(disk, 0), VCK_NOT_FOUND);
    assert_int_equal(add(disk, 0), VCK_OK);
    assert_int_equal(unlock(disk, 0), VCK_OK);
    assert_int_equal(unlock(disk, 1), VCK_WRONG_KEY);
    assert_int_equal(add(disk, 1), VCK_OK);
    assert_int_equal(unlock(disk, 0), VCK_OK);
    assert_int_equal(unlock(disk, 1), VCK_OK);
    memory_disk_free(disk);
}

/* An offer is tried on the slots it is for and on no others. */
static void tries_what_was_offered(void **state) VCK_NO_ANALYSIS
{
    (void)state;
    struct memory_disk *disk = make_volume();
    struct vck_secret key = {0};
    assert_int_equal(add(disk, 1), VCK_OK);
    const struct vck_key_offer offers[] = {
        {.passphrase = BYTES(secrets[1])},
        {.file = BYTES(secrets[1])},
        {.recovery = BYTES(secrets[1]), .has_number = true, .number = 2},
        {.recovery = BYTES(secrets[1]), .has_number = true, .number = 1},
    };
    for (size_t i = 0; i < VCK_ARRAY_COUNT(offers); i++)
        assert_int_equal(vck_key_unlock(&disk->disk, &offers[i], NULL, &key, NULL),
                         i < 3 ? VCK_NOT_FOUND : VCK_OK);
    vck_secret_fini(&key);
    memory_disk_free(disk);
}

/* An agent with the secret of one slot. */
struct fake_agent {
    struct vck_key_agent base;
    vck_status status;
    uint16_t knows;
    unsigned asked;
};

static vck_status fake_secret(struct vck_key_agent *agent, const struct vck_key_slot *slot,
                              struct vck_bytes payload, struct vck_secret *ret_secret)
{
    struct fake_agent *fake = VCK_CONTAINER_OF(agent, struct fake_agent, base);
    uint8_t secret[32] = {0};
    assert_int_equal(payload.size_bytes, 5);
    assert_memory_equal(payload.data, "where", 5);
    fake->asked++;
    secret[0] = (uint8_t)fake->knows;
    (void)slot;
    if (fake->status != VCK_OK)
        return fake->status;
    return vck_secret_init_copy(ret_secret, BYTES(secret));
}

static void add_sealed(struct memory_disk *disk, uint16_t number) VCK_NO_ANALYSIS
{
    struct vck_key_session session;
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX], secret[32] = {(uint8_t)number};
    const struct vck_key_slot_spec spec = {
        .type = VCK_KEY_TPM, .number = number, .payload = TEXT("where")};
    uint32_t size;
    assert_int_equal(vck_key_session_open(&session, &disk->disk, BYTES(vmk), false), VCK_OK);
    assert_int_equal(vck_key_slot_make(&spec, session.tables.volume_id, BYTES(secret), BYTES(vmk),
                                       NULL, record, &size),
                     VCK_OK);
    assert_int_equal(vck_key_table_add(session.table, (struct vck_bytes){record, size}), VCK_OK);
    assert_int_equal(vck_key_session_commit(&session), VCK_OK);
    vck_key_session_fini(&session);
}

/* Once for each slot that has a payload; a failure of its own is passed on. */
static void asks_the_agent(void **state) VCK_NO_ANALYSIS
{
    (void)state;
    struct memory_disk *disk = make_volume();
    struct fake_agent agent = {.base = {.secret = fake_secret}, .knows = 5};
    struct vck_key_offer offer = {.agent = &agent.base};
    struct vck_key_unlocked unlocked;
    struct vck_secret key = {0};
    assert_int_equal(add(disk, 1), VCK_OK);
    assert_int_equal(vck_key_unlock(&disk->disk, &offer, NULL, &key, NULL), VCK_NOT_FOUND);
    add_sealed(disk, 4);
    add_sealed(disk, 5);
    assert_int_equal(vck_key_unlock(&disk->disk, &offer, NULL, &key, &unlocked), VCK_OK);
    assert_int_equal(unlocked.number, 5);
    assert_int_equal(unlocked.type, VCK_KEY_TPM);
    assert_int_equal(agent.asked, 2);
    assert_memory_equal(key.data, vmk, sizeof(vmk));
    vck_secret_fini(&key);
    agent.knows = 6;
    assert_int_equal(vck_key_unlock(&disk->disk, &offer, NULL, &key, NULL), VCK_WRONG_KEY);
    agent.status = VCK_BUSY;
    assert_int_equal(vck_key_unlock(&disk->disk, &offer, NULL, &key, NULL), VCK_BUSY);
    assert_int_equal(agent.asked, 6);
    offer.has_number = true;
    offer.number = 4;
    assert_int_equal(vck_key_unlock(&disk->disk, &offer, NULL, &key, NULL), VCK_BUSY);
    assert_int_equal(agent.asked, 7);
    offer.has_number = false;
    offer.recovery = BYTES(secrets[1]);
    assert_int_equal(vck_key_unlock(&disk->disk, &offer, NULL, &key, NULL), VCK_OK);
    vck_secret_fini(&key);
    memory_disk_free(disk);
}

/* One whole copy anywhere is enough. */
static void needs_one_copy(void **state)
{
    (void)state;
    for (unsigned kept = 0; kept < REPLICAS * COPIES; kept++) {
        struct memory_disk *disk = make_volume();
        assert_int_equal(add(disk, 0), VCK_OK);
        for (unsigned i = 0; i < REPLICAS * COPIES; i++)
            copy_at(disk, i / 2, i % 2)[200] ^= i != kept;
        assert_int_equal(unlock(disk, 0), VCK_OK);
        assert_int_equal(unlock(disk, 1), VCK_WRONG_KEY);
        assert_int_equal(add(disk, 1), VCK_OK); /* and everything is whole again */
        for (unsigned i = 0; i < REPLICAS * COPIES; i++)
            copy_at(disk, i / 2, i % 2)[200] ^= i == kept;
        assert_int_equal(unlock(disk, 0), VCK_OK);
        assert_int_equal(unlock(disk, 1), VCK_OK);
        memory_disk_free(disk);
    }
}

static void says_what_is_wrong(void **state) VCK_NO_ANALYSIS
{
    (void)state;
    struct memory_disk *disk = make_volume();
    struct vck_key_session session;
    assert_int_equal(add(disk, 0), VCK_OK);
    for (unsigned i = 0; i < REPLICAS * COPIES; i++)
        copy_at(disk, i / 2, i % 2)[200] ^= 1;
    assert_int_equal(unlock(disk, 0), VCK_CHECKSUM_MISMATCH);
    assert_int_equal(add(disk, 1), VCK_CHECKSUM_MISMATCH);
    assert_int_equal(vck_key_session_open(&session, &disk->disk, BYTES(vmk), true), VCK_OK);
    assert_int_equal(vck_key_table_count(session.table), 0);
    vck_key_session_fini(&session);
    memory_disk_free(disk);
}

static void fix_crc(uint8_t *copy)
{
    memset(copy + 36, 0, 4);
    vck_store_le32(copy + 36, vck_crc32(0, copy, vck_load_le32(copy + 32)));
}

/* What the CRC does not see: a label changed, in all copies. */
static void notices_tampering(void **state)
{
    (void)state;
    struct memory_disk *disk = make_volume();
    assert_int_equal(add(disk, 0), VCK_OK);
    for (unsigned i = 0; i < REPLICAS * COPIES; i++) {
        assert_int_equal(unlock(disk, 0), VCK_OK); /* while one is right */
        copy_at(disk, i / 2, i % 2)[96 + 32] = 'x';
        fix_crc(copy_at(disk, i / 2, i % 2));
    }
    assert_int_equal(unlock(disk, 0), VCK_TAMPERED);
    assert_int_equal(add(disk, 1), VCK_TAMPERED);
    memory_disk_free(disk);
}

static void leaves_the_future_alone(void **state)
{
    (void)state;
    struct memory_disk *disk = make_volume();
    assert_int_equal(add(disk, 0), VCK_OK);
    uint8_t *copy = copy_at(disk, 1, 0), *before = malloc(DISK_BYTES);
    vck_store_le16(copy + 4, 2);
    fix_crc(copy);
    memcpy(before, disk->data, DISK_BYTES);
    assert_int_equal(unlock(disk, 0), VCK_UNSUPPORTED);
    assert_int_equal(add(disk, 1), VCK_UNSUPPORTED);
    assert_memory_equal(before, disk->data, DISK_BYTES);
    free(before);
    memory_disk_free(disk);
}

/* A table of another volume, as a whole and with a right CRC, is none of this one's. */
static void is_not_taken_in_by_another_volume(void **state)
{
    (void)state;
    struct memory_disk *disk = make_volume(), *other = make_volume();
    assert_int_equal(add(other, 0), VCK_OK);
    for (unsigned i = 0; i < REPLICAS; i++)
        memcpy(copy_at(disk, i, 0), copy_at(other, i, 0), COPIES * VCK_KEY_COPY_BYTES);
    assert_int_equal(unlock(disk, 0), VCK_CHECKSUM_MISMATCH);
    memory_disk_free(other);
    memory_disk_free(disk);
}

static vck_status remove_slot(struct memory_disk *disk, uint32_t number) VCK_NO_ANALYSIS
{
    struct vck_key_session session;
    vck_status status = vck_key_session_open(&session, &disk->disk, BYTES(vmk), false);
    if (status == VCK_OK)
        status = vck_key_table_remove(session.table, number);
    if (status == VCK_OK)
        status = vck_key_session_commit(&session);
    vck_key_session_fini(&session);
    return status;
}

static bool is_on_disk(const struct memory_disk *disk, const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at + size <= DISK_BYTES; at++)
        if (memcmp(disk->data + at, bytes, size) == 0)
            return true;
    return false;
}

/* What is removed is overwritten; where a cut left it in the older copy, it does not count. */
static void removed_is_gone(void **state)
{
    (void)state;
    struct memory_disk *disk = make_volume();
    uint8_t wrapped[48], *older = malloc(VCK_KEY_TABLE_BYTES);
    assert_int_equal(add(disk, 0), VCK_OK);
    assert_int_equal(add(disk, 1), VCK_OK);
    struct vck_key_slot slot;
    struct vck_key_table *table = (struct vck_key_table *)copy_at(disk, 0, 0);
    assert_int_equal(vck_key_table_find(table, 1, &slot), VCK_OK);
    memcpy(wrapped, slot.record + 160, sizeof(wrapped));
    memcpy(older, copy_at(disk, 0, 0), VCK_KEY_TABLE_BYTES);
    assert_int_equal(remove_slot(disk, 1), VCK_OK);
    assert_int_equal(unlock(disk, 1), VCK_WRONG_KEY);
    assert_false(is_on_disk(disk, wrapped, sizeof(wrapped)));
    memcpy(copy_at(disk, 0, 0), older, VCK_KEY_TABLE_BYTES);
    assert_int_equal(unlock(disk, 1), VCK_WRONG_KEY);
    assert_int_equal(unlock(disk, 0), VCK_OK);
    free(older);
    memory_disk_free(disk);
}

static vck_status rotate(struct memory_disk *disk) VCK_NO_ANALYSIS
{
    struct vck_key_session session;
    vck_status status = vck_key_session_open(&session, &disk->disk, BYTES(vmk), false);
    if (status == VCK_OK) {
        put(&session, 0, 0, BYTES(next_vmk));
        status = vck_key_session_rotate(&session, BYTES(next_vmk));
    }
    vck_key_session_fini(&session);
    return status;
}

static void rotation_leaves_nothing_of_the_old_key(void **state) VCK_NO_ANALYSIS
{
    (void)state;
    struct memory_disk *disk = make_volume();
    struct vck_store store;
    assert_int_equal(add(disk, 0), VCK_OK);
    assert_int_equal(rotate(disk), VCK_OK);
    assert_int_equal(unlock(disk, 0), VCK_OK);
    assert_int_equal(vck_store_open(&store, &disk->disk, BYTES(vmk), NULL, VCK_STORE_ANY_REPLICA),
                     VCK_WRONG_KEY);
    vck_store_fini(&store);
    assert_int_equal(
        vck_store_open(&store, &disk->disk, BYTES(next_vmk), NULL, VCK_STORE_ANY_REPLICA), VCK_OK);
    assert_false(store.any_differs);
    assert_int_equal(store.state.generation, 2);
    vck_store_fini(&store);
    memory_disk_free(disk);
}

/* The metadata of a sweep that was cut is not resealed under its record. */
static void rotation_waits_for_a_clean_journal(void **state)
{
    (void)state;
    struct memory_disk *disk = make_volume();
    assert_int_equal(add(disk, 0), VCK_OK);
    copy_at(disk, 1, 0)[VCK_KEY_SLOTS_BYTES] = 'V';
    uint8_t *before = malloc(DISK_BYTES);
    memcpy(before, disk->data, DISK_BYTES);
    assert_int_equal(rotate(disk), VCK_BUSY);
    assert_memory_equal(before, disk->data, DISK_BYTES);
    free(before);
    memory_disk_free(disk);
}

static void erases_everything(void **state) VCK_NO_ANALYSIS
{
    (void)state;
    struct memory_disk *disk = make_volume();
    uint32_t failed;
    assert_int_equal(add(disk, 0), VCK_OK);
    assert_int_equal(vck_key_erase(&disk->disk, &failed), VCK_OK);
    assert_int_equal(failed, 0);
    for (unsigned i = 0; i < REPLICAS; i++)
        assert_true(vck_all_zero(copy_at(disk, i, 0), VCK_KEY_SLOTS_BYTES));
    assert_int_equal(unlock(disk, 0), VCK_NOT_FOUND);
    disk->disk.read_only = true;
    assert_int_equal(vck_key_erase(&disk->disk, &failed), VCK_READ_ONLY);
    assert_int_equal(add(disk, 0), VCK_READ_ONLY);
    memory_disk_free(disk);
}

/* ---- failing calls ---- */

static vck_status do_unlock(struct memory_disk *disk)
{
    return unlock(disk, 0);
}

static vck_status do_add(struct memory_disk *disk)
{
    return add(disk, 1);
}

/* Replicas that failed are told only where the others are known to be erased. */
static void erasing_without_a_flush_is_a_failure(void **state) VCK_NO_ANALYSIS
{
    uint32_t flushes_failed = 0;
    (void)state;
    for (uint64_t n = 1, has_failed = 1; has_failed; n++) {
        struct memory_disk *disk = make_volume();
        uint32_t failed = 7;
        disk->fail_at = n;
        disk->fail_more = 1;
        vck_status status = vck_key_erase(&disk->disk, &failed);
        has_failed = disk->fail_at == 0;
        if (disk->disk.flush_failed) {
            flushes_failed++;
            assert_int_equal(status, VCK_IO);
            assert_int_equal(failed, 0);
        }
        disk->disk.flush_failed = 0;
        memory_disk_free(disk);
    }
    assert_true(flushes_failed > 1);
}

static vck_status do_erase(struct memory_disk *disk) VCK_NO_ANALYSIS
{
    uint32_t failed;
    return vck_key_erase(&disk->disk, &failed);
}

static const struct {
    vck_status (*run)(struct memory_disk *disk);
} operations[] = {{do_unlock}, {do_add}, {rotate}, {do_erase}};

/* Out of memory at any place changes nothing and leaves nothing behind. */
static void survives_failing_allocations(void **state)
{
    (void)state;
    uint8_t *before = malloc(DISK_BYTES);
    for (size_t o = 0; o < VCK_ARRAY_COUNT(operations); o++) {
        struct memory_disk *disk = make_volume();
        vck_status status = VCK_NO_MEMORY;
        assert_int_equal(add(disk, 0), VCK_OK);
        memcpy(before, disk->data, DISK_BYTES);
        for (uint64_t n = 1; status != VCK_OK; n++) {
            size_t live = vck_alloc_live_count();
            vck_alloc_fail_nth(n);
            status = operations[o].run(disk);
            vck_alloc_fail_nth(0);
            assert_int_equal(vck_alloc_live_count(), live);
            if (status != VCK_OK) {
                assert_int_equal(status, VCK_NO_MEMORY);
                assert_int_equal(unlock(disk, 0), VCK_OK);
            }
        }
        memory_disk_free(disk);
    }
    free(before);
}

/* A read or a write that fails: what opened still opens, and nothing leaks. */
static void survives_failing_io(void **state)
{
    (void)state;
    for (size_t o = 0; o < VCK_ARRAY_COUNT(operations) - 1; o++) {
        uint64_t last = 0;
        for (uint64_t n = 1; n <= last + 1; n++) {
            struct memory_disk *disk = make_volume();
            assert_int_equal(add(disk, 0), VCK_OK);
            size_t live = vck_alloc_live_count();
            disk->operations = 0;
            disk->fail_at = n;
            vck_status status = operations[o].run(disk);
            last = disk->operations;
            disk->fail_at = 0;
            assert_true(status == VCK_OK || status == VCK_IO || status == VCK_WRONG_KEY ||
                        status == VCK_CHECKSUM_MISMATCH || status == VCK_NOT_FOUND);
            assert_int_equal(vck_alloc_live_count(), live);
            assert_int_equal(unlock(disk, 0), VCK_OK);
            memory_disk_free(disk);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_what_was_added),
        cmocka_unit_test(tries_what_was_offered),
        cmocka_unit_test(asks_the_agent),
        cmocka_unit_test(needs_one_copy),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(notices_tampering),
        cmocka_unit_test(leaves_the_future_alone),
        cmocka_unit_test(is_not_taken_in_by_another_volume),
        cmocka_unit_test(removed_is_gone),
        cmocka_unit_test(rotation_leaves_nothing_of_the_old_key),
        cmocka_unit_test(rotation_waits_for_a_clean_journal),
        cmocka_unit_test(erases_everything),
        cmocka_unit_test(erasing_without_a_flush_is_a_failure),
        cmocka_unit_test(survives_failing_allocations),
        cmocka_unit_test(survives_failing_io),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
