/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "path.h"
#include "port/port.h"
#include "vck/bytes.h"

/* PciRoot, Pci, HD(2,GPT,...) as firmware has it, in a block of just its size. */
static const uint8_t partition_path[] = {
    2,    1,    12,   0,    0xd0, 0x41, 3,    10,   0,    0,    0,    0, /* PciRoot */
    1,    1,    6,    0,    0,    1,                                     /* Pci */
    4,    1,    42,   0,    2,    0,    0,    0,    0,    8,    0,    0, /* HD: number, start */
    0,    0,    0,    0,    0,    16,   0,    0,    0,    0,    0,    0, /* size */
    0x78, 0x56, 0x34, 0x12, 0xbc, 0x9a, 0xf0, 0xde, 0x11, 0x22, 0x33, 0x44,
    0x55, 0x66, 0x77, 0x88, 2,    2, /* GPT, by GUID */
    0x7f, 0xff, 4,    0};
static const struct vck_guid partition =
    EFI_GUID(0x12345678, 0x9abc, 0xdef0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88);

/* At its end, so that reading on is found; `offset` bytes may be changed before. */
static struct efi_device_path *copy_of(const uint8_t *path, size_t size_bytes)
{
    uint8_t *copy = malloc(size_bytes);

    assert_non_null(copy);
    memcpy(copy, path, size_bytes);
    return (struct efi_device_path *)(void *)copy;
}

static bool changed_matches(size_t offset, uint8_t value)
{
    struct efi_device_path *path = copy_of(partition_path, sizeof(partition_path));
    bool matches;

    ((uint8_t *)path)[offset] = value;
    matches = path_is_partition(path, &partition);
    free(path);
    return matches;
}

static void test_partition(void **state)
{
    (void)state;
    assert_true(changed_matches(0, 2));
    assert_false(changed_matches(42, 0x79)); /* another GUID */
    assert_false(changed_matches(59, 1));    /* MBR */
    assert_false(changed_matches(19, 4));    /* not a partition */
    assert_false(changed_matches(18, 5));    /* no medium */
    assert_false(changed_matches(2, 0));     /* a node of no length ends the path */
    assert_false(changed_matches(0, 0x7f));  /* nothing before the end */
}

static void test_short_node(void **state)
{
    static const uint8_t short_drive[] = {4, 1, 8, 0, 2, 0, 0, 0, 0x7f, 0xff, 4, 0};
    struct efi_device_path *path = copy_of(short_drive, sizeof(short_drive));

    (void)state;
    assert_false(path_is_partition(path, &partition));
    assert_int_equal(path_bytes(path), sizeof(short_drive));
    free(path);
}

static void test_volume_node(void **state)
{
    struct efi_device_path *path = copy_of(partition_path, sizeof(partition_path));
    struct efi_device_path *longer = path_with_volume_node(path);
    const uint8_t *node = (const uint8_t *)longer + sizeof(partition_path) - 4;

    (void)state;
    assert_non_null(longer);
    assert_int_equal(path_bytes(longer), sizeof(partition_path) + 20);
    assert_memory_equal(longer, path, sizeof(partition_path) - 4);
    assert_memory_equal(node, "\x04\x03\x14\x00", 4);
    assert_memory_equal(node + 20, "\x7f\xff\x04\x00", 4);
    /* Inside the partition is not the partition: nobody takes the overlay for it. */
    assert_true(path_is_partition(path, &partition));
    assert_false(path_is_partition(longer, &partition));
    vck_free(longer);
    free(path);
}

static void test_file(void **state)
{
    static const efi_char name[] = {'\\', 'a', 0};
    struct efi_device_path *path = copy_of(partition_path, sizeof(partition_path));
    struct efi_device_path *longer = path_with_file(path, name);
    const uint8_t *node = (const uint8_t *)longer + sizeof(partition_path) - 4;

    (void)state;
    assert_non_null(longer);
    assert_memory_equal(node, "\x04\x04\x0a\x00\\\0a\0\0\0\x7f\xff\x04\x00", 14);
    vck_free(longer);
    vck_alloc_fail_nth(1);
    assert_null(path_with_file(path, name));
    vck_alloc_fail_nth(0);
    free(path);
    assert_int_equal(vck_alloc_live_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_partition),
        cmocka_unit_test(test_short_node),
        cmocka_unit_test(test_volume_node),
        cmocka_unit_test(test_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
