/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "boot_test.h"
#include "vck/cpio.h"
#include "vck/handover.h"

static uint8_t archive[VCK_HANDOVER_BYTES_MAX + 1024];
static uint8_t payload[VCK_HANDOVER_BYTES_MAX + 1];

/* What the archiver of the system makes of it. */
static void check_unpacked(const char *directory, size_t size_bytes)
{
    static uint8_t read_back[VCK_HANDOVER_BYTES_MAX + 1];
    char path[128];
    struct stat found;
    FILE *file;

    snprintf(path, sizeof(path), "%s/.vck", directory);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode, S_IFDIR | 0700);
    snprintf(path, sizeof(path), "%s/.vck/handover", directory);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode, S_IFREG | 0400);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(read_back, 1, sizeof(read_back), file), size_bytes);
    fclose(file);
    assert_memory_equal(read_back, payload, size_bytes);
}

static void unpack(size_t size_bytes)
{
    struct vck_bytes bytes = {payload, size_bytes};
    char directory[] = "/tmp/vck-cpio-XXXXXX";
    char command[256];
    size_t written = 0;
    FILE *file;

    assert_int_equal(vck_cpio_handover_write(bytes, archive, sizeof(archive), &written), VCK_OK);
    assert_int_equal(written, vck_cpio_handover_bytes(size_bytes));
    assert_int_equal(written % VCK_CPIO_ALIGNMENT_BYTES, 0);
    assert_non_null(mkdtemp(directory));
    snprintf(command, sizeof(command), "cd %s && cpio -i --quiet", directory);
    file = popen(command, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(archive, 1, written, file), written);
    assert_int_equal(pclose(file), 0);
    check_unpacked(directory, size_bytes);
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 4, 87, 1000, VCK_HANDOVER_BYTES_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)random_u32();
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sizes); i++)
        unpack(sizes[i]);
}

static void test_limits(void **state)
{
    struct vck_bytes bytes = {payload, 100};
    size_t needed = vck_cpio_handover_bytes(100);
    size_t written = 7;

    (void)state;
    memset(archive, 0x5a, sizeof(archive));
    assert_int_equal(vck_cpio_handover_write(bytes, archive, needed - 1, &written),
                     VCK_SIZE_MISMATCH);
    assert_int_equal(written, 7);
    assert_int_equal(archive[0], 0x5a);
    assert_int_equal(vck_cpio_handover_write(bytes, archive, needed, &written), VCK_OK);
    assert_int_equal(archive[needed], 0x5a);
    bytes.size_bytes = VCK_HANDOVER_BYTES_MAX + 1;
    assert_int_equal(vck_cpio_handover_write(bytes, archive, sizeof(archive), &written),
                     VCK_SIZE_MISMATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
