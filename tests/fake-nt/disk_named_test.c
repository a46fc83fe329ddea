/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include "fake_disk.h"
#include "port/nt/disk_named.h"
#include "vck/bytes.h"
#include "vck/disk_io.h"

#define NAME       L"\\Device\\Named"
#define PATH       "\\Device\\Named"
#define SIZE_BYTES (UINT64_C(1) << 20)

static struct fake_disk *create(uint32_t sector_size_bytes)
{
    const struct fake_disk_options options = {
        .size_bytes = SIZE_BYTES, .sector_size_bytes = sector_size_bytes, .is_buffered = true};
    struct fake_disk *disk = fake_disk_create(&options);

    fake_system_begin();
    fake_system_add_device(NAME, disk->device);
    for (size_t i = 0; i < SIZE_BYTES; i++)
        disk->data[i] = (uint8_t)(i * 11 + (i >> 9));
    return disk;
}

static void destroy(struct fake_disk *disk)
{
    fake_system_end();
    fake_disk_destroy(disk);
    assert_int_equal(fake_live_irps(), 0);
    assert_int_equal(vck_alloc_live_count(), 0);
}

static void description(void **state) VCK_NO_ANALYSIS
{
    static const uint32_t sizes[] = {512, 4096};

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sizes); i++) {
        struct fake_disk *fake = create(sizes[i]);
        struct vck_disk *disk = NULL;
        uint64_t size_bytes = 0;

        assert_int_equal(vck_disk_named_open(PATH, i == 1, &disk), VCK_OK);
        assert_int_equal(disk->size_bytes, SIZE_BYTES);
        assert_int_equal(disk->sector_size_bytes, sizes[i]);
        assert_int_equal(disk->read_only, i == 1);
        assert_false(disk->can_discard);
        assert_string_equal(disk->name, PATH);
        assert_int_equal(disk->ops->query_size(disk, &size_bytes), VCK_OK);
        assert_int_equal(size_bytes, SIZE_BYTES);
        vck_disk_close(disk);
        destroy(fake);
    }
}

static void transfers(void **state) VCK_NO_ANALYSIS
{
    struct fake_disk *fake = create(512);
    struct vck_disk *disk = NULL;
    uint8_t *buffer = aligned_alloc(512, 8192);

    (void)state;
    fake->is_async = true;
    assert_int_equal(vck_disk_named_open(PATH, false, &disk), VCK_OK);
    assert_int_equal(vck_disk_read(disk, 4096, buffer, 8192), VCK_OK);
    assert_memory_equal(buffer, fake->data + 4096, 8192);
    memset(buffer, 0x77, 8192);
    assert_int_equal(vck_disk_write(disk, SIZE_BYTES - 512, buffer, 512), VCK_OK);
    assert_memory_equal(fake->data + SIZE_BYTES - 512, buffer, 512);
    assert_int_equal(fake->counts[IRP_MJ_FLUSH_BUFFERS], 0);
    assert_int_equal(vck_disk_flush(disk), VCK_OK);
    assert_int_equal(fake->counts[IRP_MJ_FLUSH_BUFFERS], 1);
    vck_disk_close(disk);
    free(buffer);
    destroy(fake);
}

static vck_status run(struct vck_disk *disk, enum vck_disk_op op, unsigned flags, uint64_t offset,
                      uint8_t *buffer, uint64_t size) VCK_CAN_WAIT
{
    struct vck_disk_future future;

    vck_disk_future_init(&future, disk, op, flags, offset, buffer, size);
    (void)vck_block_on(&future.future);
    return future.io.status;
}

static void refusals_and_failures(void **state) VCK_NO_ANALYSIS
{
    struct fake_disk *fake = create(512);
    struct vck_disk *disk = NULL;
    uint8_t *buffer = aligned_alloc(512, 4096);

    (void)state;
    memset(buffer, 0, 4096);
    assert_int_equal(vck_disk_named_open(PATH, false, &disk), VCK_OK);
    assert_int_equal(run(disk, VCK_DISK_READ, 0, 1, buffer, 512), VCK_INVALID_DATA);
    assert_int_equal(run(disk, VCK_DISK_READ, 0, 0, buffer, 100), VCK_INVALID_DATA);
    assert_int_equal(run(disk, VCK_DISK_READ, 0, 0, buffer + 1, 512), VCK_INVALID_DATA);
    assert_int_equal(run(disk, VCK_DISK_READ, 0, SIZE_BYTES, buffer, 512), VCK_OUT_OF_RANGE);
    assert_int_equal(run(disk, VCK_DISK_READ, 0, SIZE_BYTES, buffer, 0), VCK_OK);
    assert_int_equal(run(disk, VCK_DISK_DISCARD, 0, 0, NULL, 512), VCK_UNSUPPORTED);
    assert_int_equal(run(disk, VCK_DISK_WRITE, VCK_DISK_FUA, 0, buffer, 512), VCK_OK);
    assert_int_equal(fake->counts[IRP_MJ_FLUSH_BUFFERS], 1);
    fake->fail_in = 1;
    fake->fail_status = STATUS_IO_DEVICE_ERROR;
    assert_int_equal(run(disk, VCK_DISK_READ, 0, 0, buffer, 512), VCK_IO);
    fake->short_in = 1;
    assert_int_equal(run(disk, VCK_DISK_READ, 0, 0, buffer, 1024), VCK_IO);
    fake->fail_in = 1;
    fake->fail_status = STATUS_MEDIA_WRITE_PROTECTED;
    assert_int_equal(run(disk, VCK_DISK_WRITE, 0, 0, buffer, 512), VCK_READ_ONLY);
    vck_disk_close(disk);
    assert_int_equal(vck_disk_named_open(PATH, true, &disk), VCK_OK);
    assert_int_equal(run(disk, VCK_DISK_WRITE, 0, 0, buffer, 512), VCK_READ_ONLY);
    vck_disk_close(disk);
    free(buffer);
    destroy(fake);
}

static void opening_fails(void **state) VCK_NO_ANALYSIS
{
    struct fake_disk *fake = create(512);
    struct vck_disk *disk = NULL;

    (void)state;
    assert_int_equal(vck_disk_named_open("\\Device\\Nobody", false, &disk), VCK_NOT_FOUND);
    assert_int_equal(vck_disk_named_open("\xff", false, &disk), VCK_INVALID_DATA);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        vck_alloc_fail_nth(nth);
        assert_int_equal(vck_disk_named_open(PATH, false, &disk), VCK_NO_MEMORY);
        vck_alloc_fail_nth(0);
    }
    fake_fail_nth(1);
    assert_int_equal(vck_disk_named_open(PATH, false, &disk), VCK_PERMISSION_DENIED);
    fake_fail_nth(0);
    assert_null(disk);
    destroy(fake);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(description),
        cmocka_unit_test(transfers),
        cmocka_unit_test(refusals_and_failures),
        cmocka_unit_test(opening_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
