/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "memory_disk.h"
#include "port/port.h"
#include "vck/bytes.h"
#include "view.h"

#define BLOCKS       64u
#define BLOCK_BYTES  512u
#define SECTOR_BYTES 4096u

/* A volume whose provider says passthrough with large sectors: what the view does to ranges shows
 * on the disk. */
static vck_status on_attach(struct vck_provider *provider, const struct vck_attach_context *context,
                            struct vck_io_config *ret_config)
{
    (void)provider;
    *ret_config = (struct vck_io_config){
        .kind = VCK_IO_PASSTHROUGH,
        .sector_size_bytes = SECTOR_BYTES,
        .data_start_lba = 1,
        .data_sectors = context->disk->size_bytes / SECTOR_BYTES - 2,
    };
    return VCK_OK;
}

static void on_detach(struct vck_provider *provider, struct vck_io_config *config)
{
    (void)provider;
    (void)config;
}

static struct vck_provider provider = {on_attach, on_detach};

struct fixture {
    struct memory_disk *disk;
    struct vck_volume *volume;
    struct view view;
    uint8_t expected[BLOCKS * BLOCK_BYTES];
};

static void begin(struct fixture *f, uint32_t block_bytes) VCK_NO_ANALYSIS
{
    struct vck_volume_options options = {.path = "test", .provider = &provider};

    f->disk = memory_disk_create(BLOCKS * BLOCK_BYTES + 2 * SECTOR_BYTES, BLOCK_BYTES);
    f->disk->keep = true;
    for (size_t i = 0; i < f->disk->disk.size_bytes; i++)
        f->disk->data[i] = (uint8_t)(i / BLOCK_BYTES * 3 + i);
    memcpy(f->expected, f->disk->data + SECTOR_BYTES, sizeof(f->expected));
    assert_int_equal(vck_volume_attach(&f->disk->disk, &options, &f->volume), VCK_OK);
    assert_int_equal(view_init(&f->view, f->volume, block_bytes), VCK_OK);
}

static void end(struct fixture *f) VCK_NO_ANALYSIS
{
    view_fini(&f->view);
    view_fini(&f->view);
    assert_int_equal(vck_volume_detach(f->volume), VCK_OK);
    memory_disk_free(f->disk);
    vck_defer_drain();
    assert_int_equal(vck_alloc_live_count(), 0);
}

/* Everything outside the data region stays as it was. */
static void check_rest(const struct fixture *f)
{
    size_t last = SECTOR_BYTES + sizeof(f->expected);

    for (size_t i = 0; i < SECTOR_BYTES; i++) {
        assert_int_equal(f->disk->data[i], (uint8_t)(i / BLOCK_BYTES * 3 + i));
        assert_int_equal(f->disk->data[last + i],
                         (uint8_t)((last + i) / BLOCK_BYTES * 3 + last + i));
    }
}

static void test_every_range(void **state) VCK_NO_ANALYSIS
{
    static uint8_t buffer[BLOCKS * BLOCK_BYTES + 1], written[sizeof(buffer)];
    struct fixture f;

    (void)state;
    begin(&f, BLOCK_BYTES);
    assert_int_equal(f.view.blocks, BLOCKS);
    for (uint32_t first = 0; first <= BLOCKS; first++) {
        for (uint32_t count = 0; count <= VCK_MIN(BLOCKS - first, 27u); count++) {
            uint8_t *at = f.expected + first * BLOCK_BYTES;
            size_t size_bytes = count * BLOCK_BYTES;

            /* A byte behind the range shows writing too far; an odd place is as good. */
            memset(buffer, 0x5a, sizeof(buffer));
            assert_int_equal(view_read(&f.view, first, buffer + 1, size_bytes), VCK_OK);
            assert_memory_equal(buffer + 1, at, size_bytes);
            if (size_bytes + 1 < sizeof(buffer))
                assert_int_equal(buffer[size_bytes + 1], 0x5a);
            for (size_t i = 0; i < size_bytes; i++)
                at[i] = buffer[i + 1] = (uint8_t)(at[i] * 5 + first + count);
            memcpy(written, buffer, sizeof(buffer));
            assert_int_equal(view_write(&f.view, first, buffer + 1, size_bytes), VCK_OK);
            assert_memory_equal(buffer, written, sizeof(buffer));
            assert_memory_equal(f.disk->data + SECTOR_BYTES, f.expected, sizeof(f.expected));
        }
    }
    check_rest(&f);
    end(&f);
}

static void test_limits(void **state) VCK_NO_ANALYSIS
{
    static uint8_t buffer[2 * SECTOR_BYTES];
    struct fixture f;
    uint64_t operations;

    (void)state;
    begin(&f, BLOCK_BYTES);
    operations = f.disk->operations;
    assert_int_equal(view_read(&f.view, 0, buffer, 511), VCK_SIZE_MISMATCH);
    assert_int_equal(view_write(&f.view, 0, buffer, 1), VCK_SIZE_MISMATCH);
    assert_int_equal(view_read(&f.view, BLOCKS, buffer, 512), VCK_OUT_OF_RANGE);
    assert_int_equal(view_read(&f.view, BLOCKS - 1, buffer, 1024), VCK_OUT_OF_RANGE);
    assert_int_equal(view_write(&f.view, BLOCKS - 1, buffer, 1024), VCK_OUT_OF_RANGE);
    assert_int_equal(view_read(&f.view, UINT64_MAX, buffer, 512), VCK_OUT_OF_RANGE);
    assert_int_equal(view_read(&f.view, 1, buffer, UINT64_MAX - 511), VCK_OUT_OF_RANGE);
    assert_int_equal(f.disk->operations, operations);
    end(&f);
}

static void test_sizes(void **state) VCK_NO_ANALYSIS
{
    struct fixture f;
    struct view other;

    (void)state;
    begin(&f, SECTOR_BYTES);
    assert_int_equal(f.view.blocks, BLOCKS * BLOCK_BYTES / SECTOR_BYTES);
    assert_int_equal(view_init(&other, f.volume, 0), VCK_INVALID_DATA);
    assert_int_equal(view_init(&other, f.volume, 2 * SECTOR_BYTES), VCK_INVALID_DATA);
    vck_alloc_fail_nth(1);
    assert_int_equal(view_init(&other, f.volume, BLOCK_BYTES), VCK_NO_MEMORY);
    vck_alloc_fail_nth(0);
    end(&f);
}

/* The n-th operation of a write that begins and ends inside sectors fails: so does the write. */
static void test_failures(void **state) VCK_NO_ANALYSIS
{
    static uint8_t buffer[12 * BLOCK_BYTES];

    (void)state;
    for (uint64_t n = 1; n <= 6; n++) {
        struct fixture f;
        vck_status status;

        begin(&f, BLOCK_BYTES);
        f.disk->fail_at = n;
        status = view_write(&f.view, 3, buffer, sizeof(buffer));
        assert_int_equal(status, n <= 4 ? VCK_IO : VCK_OK);
        f.disk->fail_at = 0;
        check_rest(&f);
        end(&f);
    }
}

static void test_flush(void **state) VCK_NO_ANALYSIS
{
    struct fixture f;
    uint64_t before;

    (void)state;
    begin(&f, BLOCK_BYTES);
    before = f.disk->flushes;
    assert_int_equal(view_flush(&f.view), VCK_OK);
    assert_int_equal(f.disk->flushes, before + 1);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_range), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_sizes),       cmocka_unit_test(test_failures),
        cmocka_unit_test(test_flush),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
