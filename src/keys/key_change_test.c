/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that somebody else edited, on a volume that is open and goes on to be used. */
#include "keys_test.h"
#include "memory_disk.h"
#include "port/port.h"
#include "vck/crc32.h"
#include "vck/key_change.h"
#include "vck/key_store.h"
#include "vck/prepare.h"

#define METADATA_BYTES VCK_METADATA_SIZE_MIN
#define DATA_BYTES     8192u
#define DISK_BYTES     (2 * METADATA_BYTES + DATA_BYTES)
#define COPY_BYTES     (VCK_KEY_SLOTS_BYTES / 2)

static const uint8_t vmk[32] = "the key of everything";
static const uint8_t next_vmk[32] = "the key of the day after";
static const uint8_t secrets[2][16] = {"secret of sixte0", "secret of sixte1"};

/* A volume that is open, and the edit of its table that is made of what is there. */
struct fixture {
    struct memory_disk *disk;
    struct vck_store store;
    struct vck_key_table *table;
    struct vck_key_changed changed;
};

static void begin(struct fixture *f) VCK_NO_ANALYSIS
{
    struct vck_prepare_params params = {
        .footer_count = 2, .metadata_size_bytes = METADATA_BYTES, .vmk = BYTES(vmk)};
    struct vck_prepare_result result;
    enum vck_prepare_fault fault;
    memset(f, 0, sizeof(*f));
    f->disk = memory_disk_create(DISK_BYTES, 512);
    f->disk->keep = true;
    assert_int_equal(vck_prepare_volume(&f->disk->disk, &params, &result, &fault), VCK_OK);
    assert_int_equal(
        vck_store_open(&f->store, &f->disk->disk, BYTES(vmk), NULL, VCK_STORE_ANY_REPLICA), VCK_OK);
    f->table = calloc(1, sizeof(*f->table));
    assert_non_null(f->table);
    vck_key_table_init(f->table, f->store.header.volume_id);
}

static void end(struct fixture *f)
{
    free(f->table);
    vck_store_fini(&f->store);
    memory_disk_free(f->disk);
}

static void put(struct fixture *f, uint16_t which, struct vck_bytes key)
{
    const struct vck_key_slot_spec spec = {.type = VCK_KEY_RECOVERY, .number = which};
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX];
    struct vck_key_slot slot;
    uint32_t size;
    assert_int_equal(vck_key_slot_make(&spec, f->store.header.volume_id, BYTES(secrets[which]), key,
                                       NULL, record, &size),
                     VCK_OK);
    if (vck_key_table_find(f->table, which, &slot) == VCK_OK)
        assert_int_equal(vck_key_table_replace(f->table, (struct vck_bytes){record, size}), VCK_OK);
    else
        assert_int_equal(vck_key_table_add(f->table, (struct vck_bytes){record, size}), VCK_OK);
}

static vck_status change(struct fixture *f, uint64_t base, struct vck_bytes key) VCK_NO_ANALYSIS
{
    const struct vck_key_change change = {.table = f->table, .base_generation = base};
    assert_int_equal(vck_key_table_seal(f->table, base + 1, key), VCK_OK);
    return vck_key_change_write(&f->store, &change, &f->changed);
}

static vck_status rotate(struct fixture *f, uint64_t base, struct vck_bytes old) VCK_NO_ANALYSIS
{
    const struct vck_key_change change = {
        .table = f->table, .base_generation = base, .vmk = old, .new_vmk = BYTES(next_vmk)};
    assert_int_equal(vck_key_table_seal(f->table, base + 1, BYTES(next_vmk)), VCK_OK);
    return vck_key_change_write(&f->store, &change, &f->changed);
}

static vck_status unlock(struct fixture *f, unsigned which) VCK_NO_ANALYSIS
{
    const struct vck_key_offer offer = {.recovery = BYTES(secrets[which])};
    struct vck_secret key = {0};
    vck_status status = vck_key_unlock(&f->disk->disk, &offer, NULL, &key, NULL);
    vck_secret_fini(&key);
    return status;
}

/* What the volume's owner does all the time: another block under the VMK it holds. */
static vck_status go_on(struct fixture *f) VCK_NO_ANALYSIS
{
    struct vck_store_state state = f->store.state;
    state.generation++;
    return vck_store_write_all(&f->store, &state, true);
}

static void writes_what_was_edited(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f);
    put(&f, 0, BYTES(vmk));
    assert_int_equal(change(&f, 0, BYTES(vmk)), VCK_OK);
    assert_int_equal(f.changed.generation, 2);
    assert_int_equal(unlock(&f, 0), VCK_OK);
    put(&f, 1, BYTES(vmk));
    assert_int_equal(change(&f, 2, BYTES(vmk)), VCK_OK);
    assert_int_equal(f.changed.generation, 4);
    assert_int_equal(unlock(&f, 1), VCK_OK);
    assert_int_equal(go_on(&f), VCK_OK);
    assert_int_equal(unlock(&f, 0), VCK_OK);
    end(&f);
}

static void rotates_under_its_owner(void **state) VCK_NO_ANALYSIS
{
    struct vck_store again = {0};
    struct fixture f;
    (void)state;
    begin(&f);
    put(&f, 0, BYTES(vmk));
    assert_int_equal(change(&f, 0, BYTES(vmk)), VCK_OK);
    uint64_t generation = f.store.state.generation;
    put(&f, 0, BYTES(next_vmk));
    assert_int_equal(rotate(&f, 2, BYTES(vmk)), VCK_OK);
    assert_true(f.store.state.generation > generation);
    assert_memory_equal(f.store.vmk.data, next_vmk, sizeof(next_vmk));
    assert_int_equal(unlock(&f, 0), VCK_OK);
    assert_int_equal(go_on(&f), VCK_OK);
    assert_int_equal(unlock(&f, 0), VCK_OK);
    assert_int_equal(vck_store_open(&again, &f.disk->disk, BYTES(vmk), NULL, VCK_STORE_ANY_REPLICA),
                     VCK_WRONG_KEY);
    vck_store_fini(&again);
    end(&f);
}

/* Whoever lacks the key, edited something else, or comes late changes nothing. */
static void refuses(void **state) VCK_NO_ANALYSIS
{
    struct fixture f;
    (void)state;
    begin(&f);
    put(&f, 0, BYTES(vmk));
    assert_int_equal(change(&f, 0, BYTES(vmk)), VCK_OK);
    uint8_t *before = malloc(DISK_BYTES);
    memcpy(before, f.disk->data, DISK_BYTES);
    assert_int_equal(change(&f, 2, BYTES(next_vmk)), VCK_WRONG_KEY);
    assert_int_equal(change(&f, 0, BYTES(vmk)), VCK_BUSY);
    assert_int_equal(change(&f, 4, BYTES(vmk)), VCK_BUSY);
    assert_int_equal(rotate(&f, 2, BYTES(next_vmk)), VCK_WRONG_KEY);
    assert_int_equal(rotate(&f, 2, (struct vck_bytes){vmk, 31}), VCK_WRONG_KEY);
    assert_int_equal(rotate(&f, 1, BYTES(vmk)), VCK_BUSY);
    const struct vck_key_change other = {.table = f.table, .base_generation = 2};
    assert_int_equal(vck_key_table_seal(f.table, 5, BYTES(vmk)), VCK_OK);
    assert_int_equal(vck_key_change_write(&f.store, &other, &f.changed), VCK_INVALID_DATA);
    assert_int_equal(vck_key_table_seal(f.table, 3, BYTES(vmk)), VCK_OK);
    f.table->bytes[100] ^= 1;
    assert_int_equal(vck_key_change_write(&f.store, &other, &f.changed), VCK_INVALID_DATA);
    vck_key_table_init(f.table, (const uint8_t *)"another volume..");
    assert_int_equal(change(&f, 2, BYTES(vmk)), VCK_INVALID_DATA);
    assert_memory_equal(before, f.disk->data, DISK_BYTES);
    assert_memory_equal(f.store.vmk.data, vmk, sizeof(vmk));
    free(before);
    end(&f);
}

/* Gives the slot another time in every copy, and the copy a right checksum. */
static void tamper(struct fixture *f)
{
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *copy = f->disk->data + DATA_BYTES + i / 2 * METADATA_BYTES + i % 2 * COPY_BYTES;
        copy[VCK_KEY_TABLE_HEAD_BYTES + 24] ^= 1;
        vck_store_le32(copy + 36, 0);
        vck_store_le32(copy + 36, vck_crc32(0, copy, vck_load_le32(copy + 32)));
    }
}

static void begins_anew_only_when_told(void **state) VCK_NO_ANALYSIS
{
    struct fixture f;
    (void)state;
    begin(&f);
    put(&f, 0, BYTES(vmk));
    assert_int_equal(change(&f, 0, BYTES(vmk)), VCK_OK);
    tamper(&f);
    vck_key_table_init(f.table, f.store.header.volume_id);
    put(&f, 1, BYTES(vmk));
    assert_int_equal(change(&f, 0, BYTES(vmk)), VCK_TAMPERED);
    f.disk->data[DATA_BYTES + 50] ^= 1;
    memset(f.disk->data + DATA_BYTES + COPY_BYTES, 7, COPY_BYTES);
    memset(f.disk->data + DATA_BYTES + METADATA_BYTES, 7, 2 * COPY_BYTES);
    assert_int_equal(change(&f, 0, BYTES(vmk)), VCK_CHECKSUM_MISMATCH);
    const struct vck_key_change anew = {.table = f.table, .start_over = true};
    assert_int_equal(vck_key_change_write(&f.store, &anew, &f.changed), VCK_OK);
    assert_int_equal(unlock(&f, 1), VCK_OK);
    end(&f);
}

/* Runs a change or a rotation with its n-th operation failing; false: it has fewer. */
static bool run_failing(struct fixture *f, bool is_rotation, uint64_t n, vck_status *ret_status)
{
    begin(f);
    put(f, 0, BYTES(vmk));
    assert_int_equal(change(f, 0, BYTES(vmk)), VCK_OK);
    put(f, is_rotation ? 0 : 1, is_rotation ? BYTES(next_vmk) : BYTES(vmk));
    f->disk->fail_at = n;
    *ret_status = is_rotation ? rotate(f, 2, BYTES(vmk)) : change(f, 2, BYTES(vmk));
    bool has_failed = f->disk->fail_at == 0;
    f->disk->fail_at = 0;
    return has_failed;
}

/* With any operation failing the secret opens, and the owner can go on. */
static void survives_failures(void **state)
{
    struct fixture f;
    vck_status status;
    (void)state;
    for (int is_rotation = 0; is_rotation < 2; is_rotation++) {
        uint64_t n = 1;
        bool has_failed = true;
        for (; has_failed; n++) {
            has_failed = run_failing(&f, is_rotation != 0, n, &status);
            assert_int_equal(unlock(&f, 0), VCK_OK);
            /* Behind a failed flush an owner goes on when it has opened the disk anew. */
            f.disk->disk.flush_failed = 0;
            assert_int_equal(go_on(&f), VCK_OK);
            assert_int_equal(unlock(&f, 0), VCK_OK);
            if (f.changed.failed_replicas > 0 || f.changed.flush_failed)
                assert_int_equal(status, VCK_IO);
            end(&f);
        }
        assert_int_equal(status, VCK_OK);
        assert_true(n > 12);
    }
}

/* Without memory nothing is changed: the owner knows the key and the generation that are on the
 * disk, or what it writes next would not count. */
static void memory_that_is_short_changes_nothing(void **state) VCK_NO_ANALYSIS
{
    struct fixture f;
    vck_status status = VCK_NO_MEMORY;
    (void)state;
    for (uint64_t n = 1; status == VCK_NO_MEMORY; n++) {
        struct vck_store again = {0};
        begin(&f);
        put(&f, 0, BYTES(vmk));
        assert_int_equal(change(&f, 0, BYTES(vmk)), VCK_OK);
        put(&f, 0, BYTES(next_vmk));
        vck_alloc_fail_nth(n);
        status = rotate(&f, 2, BYTES(vmk));
        vck_alloc_fail_nth(0);
        assert_int_equal(vck_store_open(&again, &f.disk->disk, vck_secret_bytes(&f.store.vmk), NULL,
                                        VCK_STORE_ANY_REPLICA),
                         VCK_OK);
        assert_int_equal(again.state.generation, f.store.state.generation);
        vck_store_fini(&again);
        assert_int_equal(unlock(&f, 0), VCK_OK);
        end(&f);
    }
    assert_int_equal(status, VCK_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_was_edited),
        cmocka_unit_test(rotates_under_its_owner),
        cmocka_unit_test(refuses),
        cmocka_unit_test(begins_anew_only_when_told),
        cmocka_unit_test(survives_failures),
        cmocka_unit_test(memory_that_is_short_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
