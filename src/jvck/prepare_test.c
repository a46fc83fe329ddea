/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "port/port.h"
#include "memory_disk.h"
#include "vck/bytes.h"
#include "vck/disk_io.h"
#include "vck/journal.h"
#include "vck/prepare.h"
#include "vck/secret.h"
#include "vck/store.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

static const uint8_t key[40] = "forty bytes that are the volume's key..";

static struct vck_prepare_params params_of(uint32_t headers, uint32_t footers)
{
    return (struct vck_prepare_params){
        .header_count = headers,
        .footer_count = footers,
        .metadata_size_bytes = 128 * KIB,
        .vmk = {key, sizeof(key)},
    };
}

/* ---- checks ---- */

struct check_case {
    const char *name;
    struct vck_prepare_params params; /* key_bytes 1024 unless vmk is set */
    uint64_t size_bytes;
    uint32_t disk_sector_bytes;
    size_t key_bytes;
    vck_status status;
    enum vck_prepare_fault fault;
};

static const struct check_case check_cases[] = {
    {"defaults", {.footer_count = 2}, 2 * MIB + 512, 512, 32, VCK_OK, VCK_PREPARE_NO_FAULT},
    {"no data sector",
     {.footer_count = 2},
     2 * MIB,
     512,
     32,
     VCK_SIZE_MISMATCH,
     VCK_PREPARE_FAULT_TOO_SMALL},
    {"an empty disk",
     {.footer_count = 2},
     0,
     512,
     32,
     VCK_SIZE_MISMATCH,
     VCK_PREPARE_FAULT_TOO_SMALL},
    {"key of 1024 bytes", {.footer_count = 2}, 3 * MIB, 512, 1024, VCK_OK, VCK_PREPARE_NO_FAULT},
    {"no key", {.footer_count = 2}, 3 * MIB, 512, 0, VCK_INVALID_DATA, VCK_PREPARE_FAULT_KEY_SIZE},
    {"key of 1025 bytes",
     {.footer_count = 2},
     3 * MIB,
     512,
     1025,
     VCK_INVALID_DATA,
     VCK_PREPARE_FAULT_KEY_SIZE},
    {"no replica",
     {.footer_count = 0},
     3 * MIB,
     512,
     32,
     VCK_INVALID_DATA,
     VCK_PREPARE_FAULT_REPLICAS},
    {"256 headers",
     {.header_count = 256},
     1024 * MIB,
     512,
     32,
     VCK_INVALID_DATA,
     VCK_PREPARE_FAULT_REPLICAS},
    {"counts that overflow",
     {.header_count = UINT32_MAX, .footer_count = 1},
     3 * MIB,
     512,
     32,
     VCK_INVALID_DATA,
     VCK_PREPARE_FAULT_REPLICAS},
    {"510 replicas",
     {.header_count = 255, .footer_count = 255},
     511 * MIB,
     512,
     32,
     VCK_OK,
     VCK_PREPARE_NO_FAULT},
    {"one replica",
     {.footer_count = 1},
     3 * MIB,
     512,
     32,
     VCK_VALIDATION_FAILED,
     VCK_PREPARE_FAULT_SINGLE},
    {"one replica, asked for",
     {.footer_count = 1, .single_replica = true},
     3 * MIB,
     512,
     32,
     VCK_OK,
     VCK_PREPARE_NO_FAULT},
    {"small region",
     {.footer_count = 2, .metadata_size_bytes = 131071},
     3 * MIB,
     512,
     32,
     VCK_INVALID_DATA,
     VCK_PREPARE_FAULT_METADATA_SIZE},
    {"region of half blocks",
     {.footer_count = 2, .metadata_size_bytes = 133120},
     3 * MIB,
     512,
     32,
     VCK_INVALID_DATA,
     VCK_PREPARE_FAULT_METADATA_SIZE},
    {"sectors of 520",
     {.footer_count = 2, .sector_size_bytes = 520},
     3 * MIB,
     512,
     32,
     VCK_INVALID_DATA,
     VCK_PREPARE_FAULT_SECTOR_SIZE},
    {"512 over 4096",
     {.footer_count = 2, .sector_size_bytes = 512},
     3 * MIB,
     4096,
     32,
     VCK_UNSUPPORTED,
     VCK_PREPARE_FAULT_SECTOR_TOO_FINE},
    {"4096 over 512",
     {.footer_count = 2, .sector_size_bytes = 4096},
     3 * MIB,
     512,
     32,
     VCK_OK,
     VCK_PREPARE_NO_FAULT},
    {"half a sector",
     {.footer_count = 2, .sector_size_bytes = 4096},
     3 * MIB + 512,
     512,
     32,
     VCK_SIZE_MISMATCH,
     VCK_PREPARE_FAULT_NOT_WHOLE},
};

static void checks_name_the_fault(void **state)
{
    static const uint8_t long_key[1025];
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(check_cases); i++) {
        const struct check_case *c = &check_cases[i];
        struct vck_prepare_params params = c->params;
        struct vck_layout layout = {0};
        enum vck_prepare_fault fault;
        params.vmk = (struct vck_bytes){long_key, c->key_bytes};
        vck_status status =
            vck_prepare_check(&params, c->size_bytes, c->disk_sector_bytes, &layout, &fault);
        if (status != c->status || fault != c->fault)
            fail_msg("%s: status %d, fault %d", c->name, (int)status, (int)fault);
        assert_int_equal(layout.data_sectors != 0, status == VCK_OK);
    }
}

/* ---- a made volume ---- */

static uint8_t pattern(uint64_t offset)
{
    return (uint8_t)(offset * 7 + offset / 512 + 1);
}

static struct memory_disk *patterned_disk(uint64_t size_bytes, uint32_t sector_bytes)
{
    struct memory_disk *m = memory_disk_create(size_bytes, sector_bytes);
    for (uint64_t i = 0; i < size_bytes; i++)
        m->data[i] = pattern(i);
    return m;
}

static void assert_data_kept(const struct memory_disk *m, const struct vck_layout *layout)
{
    uint64_t first = layout->data_start_lba * layout->sector_size_bytes;
    uint64_t end = first + layout->data_sectors * layout->sector_size_bytes;
    for (uint64_t i = first; i < end; i++)
        if (m->data[i] != pattern(i))
            fail_msg("byte %llu of the data region was changed", (unsigned long long)i);
}

static void assert_area_clear(const struct memory_disk *m, const struct vck_layout *layout)
{
    for (uint32_t i = 0; i < layout->replica_count; i++) {
        uint64_t offset;
        uint64_t size;
        vck_layout_vendor_area(layout, i, &offset, &size);
        assert_true(vck_all_zero(m->data + offset, size));
    }
}

static void assert_opens(struct memory_disk *m, const struct vck_prepare_result *made) VCK_CAN_WAIT
{
    struct vck_store store = {0};
    struct vck_bytes vmk = {key, sizeof(key)};
    assert_int_equal(vck_store_open(&store, &m->disk, vmk, NULL, VCK_STORE_ANY_REPLICA), VCK_OK);
    assert_false(store.any_differs);
    assert_false(store.any_digest_absent);
    assert_memory_equal(store.header.volume_id, made->volume_id, 16);
    assert_int_equal(store.state.encrypted_offset_sectors, 0);
    assert_int_equal(store.state.direction, VCK_ENCRYPTING);
    assert_int_equal(store.state.intent, VCK_INTENT_UNRECORDED);
    assert_int_not_equal(store.state.generation, 0);
    assert_memory_not_equal(store.fvek_key1, store.fvek_key2, VCK_FVEK_KEY_BYTES);
    assert_int_equal(store.layout.data_sectors, made->layout.data_sectors);
    vck_store_fini(&store);
}

static void check_geometry(uint32_t headers, uint32_t footers, uint32_t disk_sector,
                           uint32_t sector) VCK_CAN_WAIT
{
    struct memory_disk *m = patterned_disk(2 * MIB, disk_sector);
    struct vck_prepare_params params = params_of(headers, footers);
    struct vck_prepare_result made;
    enum vck_prepare_fault fault;
    params.sector_size_bytes = sector;
    params.single_replica = true;
    params.overwrite_existing = true; /* the pattern may look like anything */
    assert_int_equal(vck_prepare_volume(&m->disk, &params, &made, &fault), VCK_OK);
    assert_int_equal(fault, VCK_PREPARE_NO_FAULT);
    assert_int_equal(made.layout.sector_size_bytes, sector);
    assert_data_kept(m, &made.layout);
    assert_area_clear(m, &made.layout);
    assert_opens(m, &made);
    vck_disk_close(&m->disk);
}

static void volumes_open_and_keep_data(void **state) VCK_NO_ANALYSIS
{
    (void)state;
    check_geometry(0, 2, 512, 512);
    check_geometry(0, 2, 512, 4096);
    check_geometry(0, 3, 4096, 4096);
    check_geometry(2, 0, 512, 512);
    check_geometry(1, 2, 512, 512);
    check_geometry(0, 1, 512, 512);
    check_geometry(1, 0, 4096, 4096);
}

static void two_volumes_share_nothing(void **state) VCK_NO_ANALYSIS
{
    struct memory_disk *m = memory_disk_create(MIB, 512);
    struct vck_prepare_params params = params_of(0, 2);
    struct vck_prepare_result first;
    struct vck_prepare_result second;
    enum vck_prepare_fault fault;
    (void)state;
    assert_int_equal(vck_prepare_volume(&m->disk, &params, &first, &fault), VCK_OK);
    params.overwrite_existing = true;
    assert_int_equal(vck_prepare_volume(&m->disk, &params, &second, &fault), VCK_OK);
    assert_memory_not_equal(first.volume_id, second.volume_id, 16);
    assert_int_equal(second.volume_id[6] >> 4, 4);
    vck_disk_close(&m->disk);
}

/* ---- refusals ---- */

static void assert_untouched(struct memory_disk *m, struct vck_prepare_params *params,
                             vck_status expected,
                             enum vck_prepare_fault expected_fault) VCK_CAN_WAIT
{
    struct vck_prepare_result made;
    enum vck_prepare_fault fault;
    uint8_t *before = malloc(m->disk.size_bytes);
    memcpy(before, m->data, m->disk.size_bytes);
    assert_int_equal(vck_prepare_volume(&m->disk, params, &made, &fault), expected);
    assert_int_equal(fault, expected_fault);
    assert_memory_equal(before, m->data, m->disk.size_bytes);
    free(before);
}

static void refusals_write_nothing(void **state) VCK_NO_ANALYSIS
{
    struct memory_disk *m = memory_disk_create(MIB, 512);
    struct vck_prepare_params params = params_of(0, 9);
    struct vck_prepare_result made;
    enum vck_prepare_fault fault;
    (void)state;
    assert_untouched(m, &params, VCK_SIZE_MISMATCH, VCK_PREPARE_FAULT_TOO_SMALL);
    params.footer_count = 2;
    m->disk.read_only = true;
    assert_untouched(m, &params, VCK_READ_ONLY, VCK_PREPARE_FAULT_READ_ONLY);
    m->disk.read_only = false;
    assert_int_equal(vck_prepare_volume(&m->disk, &params, &made, &fault), VCK_OK);
    assert_untouched(m, &params, VCK_ALREADY_EXISTS, VCK_PREPARE_FAULT_EXISTS);
    /* Neither does a volume whose last block is torn give way. */
    m->data[MIB - 100] ^= 1;
    assert_untouched(m, &params, VCK_ALREADY_EXISTS, VCK_PREPARE_FAULT_EXISTS);
    vck_disk_close(&m->disk);
}

static void older_replicas_are_retired(void **state) VCK_NO_ANALYSIS
{
    struct memory_disk *m = memory_disk_create(MIB, 512);
    struct vck_prepare_params params = params_of(2, 0);
    struct vck_prepare_result made;
    enum vck_prepare_fault fault;
    (void)state;
    assert_int_equal(vck_prepare_volume(&m->disk, &params, &made, &fault), VCK_OK);
    params = params_of(0, 2);
    params.overwrite_existing = true;
    assert_int_equal(vck_prepare_volume(&m->disk, &params, &made, &fault), VCK_OK);
    assert_true(vck_all_zero(m->data, 512));
    assert_true(vck_all_zero(m->data + 128 * KIB, 512));
    vck_disk_close(&m->disk);
}

/* ---- failures in the middle ---- */

static void every_failing_operation_is_reported(void **state) VCK_NO_ANALYSIS
{
    vck_status status = VCK_IO;
    size_t live = vck_alloc_live_count();
    unsigned n;
    (void)state;
    for (n = 1; status != VCK_OK && n < 1000; n++) {
        struct memory_disk *m = patterned_disk(MIB, 512);
        struct vck_prepare_params params = params_of(0, 2);
        struct vck_prepare_result made;
        enum vck_prepare_fault fault;
        struct vck_layout layout;
        params.overwrite_existing = true;
        m->fail_at = n;
        status = vck_prepare_volume(&m->disk, &params, &made, &fault);
        assert_true(status == VCK_OK || status == VCK_IO);
        assert_int_equal(vck_prepare_check(&params, MIB, 512, &layout, &fault), VCK_OK);
        assert_data_kept(m, &layout);
        vck_disk_close(&m->disk);
    }
    assert_int_equal(status, VCK_OK);
    assert_in_range(n, 6, 100);
    assert_int_equal(vck_alloc_live_count(), live);
}

static void every_failing_allocation_is_reported(void **state) VCK_NO_ANALYSIS
{
    vck_status status = VCK_NO_MEMORY;
    size_t live = vck_alloc_live_count();
    unsigned n;
    (void)state;
    for (n = 1; status != VCK_OK && n < 1000; n++) {
        struct memory_disk *m = patterned_disk(MIB, 512);
        struct vck_prepare_params params = params_of(0, 2);
        struct vck_prepare_result made;
        enum vck_prepare_fault fault;
        params.overwrite_existing = true;
        vck_alloc_fail_nth(n);
        status = vck_prepare_volume(&m->disk, &params, &made, &fault);
        vck_alloc_fail_nth(0);
        assert_true(status == VCK_OK || status == VCK_NO_MEMORY);
        vck_disk_close(&m->disk);
    }
    assert_int_equal(status, VCK_OK);
    assert_in_range(n, 4, 100);
    assert_int_equal(vck_alloc_live_count(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_name_the_fault),
        cmocka_unit_test(volumes_open_and_keep_data),
        cmocka_unit_test(two_volumes_share_nothing),
        cmocka_unit_test(refusals_write_nothing),
        cmocka_unit_test(older_replicas_are_retired),
        cmocka_unit_test(every_failing_operation_is_reported),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
