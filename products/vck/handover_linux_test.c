/* SPDX-License-Identifier: Apache-2.0 */
/* The ways a handover comes, over files that stand for the firmware's. */
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "port/posix/posix.h"
#include "products/vck/boot_linux.h"
#include "products/vck/os.h"
#include "vck/locator.h"

#define MEMORY_BYTES 65536u
#define PAGE_AT      0x5000u

/* ---- what the command links otherwise ---- */

int report(const struct command *command, int code, const char *format, ...)
{
    (void)command;
    (void)format;
    return code;
}

int exit_code_of(vck_status status)
{
    return status == VCK_PERMISSION_DENIED ? EXIT_PERMISSION : EXIT_FAILED;
}

vck_status os_error_status(int error)
{
    return vck_posix_status_from_errno(error);
}

/* ---- a firmware of files ---- */

static const struct command command;
static uint8_t payload[VCK_HANDOVER_ENCODED_BYTES_MAX];
static size_t payload_bytes;

static const struct handover_sources sources = {
    .file = "vck/handover",
    .variable = "variable",
    .table = "table",
    .runtime_map = "map",
    .memory = "memory",
};

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void make_payload(void)
{
    struct vck_handover handover = {0};
    memset(&handover.partition_guid, 7, sizeof(handover.partition_guid));
    assert_int_equal(
        vck_secret_init_copy(&handover.vmk, (struct vck_bytes){(const uint8_t *)"the key", 7}),
        VCK_OK);
    assert_int_equal(vck_handover_encode(&handover, payload, sizeof(payload), &payload_bytes),
                     VCK_OK);
    vck_handover_fini(&handover);
}

static void map_range(const char *name, const char *type, const char *start, const char *pages)
{
    char path[64];
    snprintf(path, sizeof(path), "map/%s", name);
    assert_int_equal(mkdir(path, 0700), 0);
    const char *const files[][2] = {{"type", type}, {"phys_addr", start}, {"num_pages", pages}};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "map/%s/%s", name, files[i][0]);
        write_file(path, files[i][1], strlen(files[i][1]));
    }
}

/* The payload at PAGE_AT, with noise around it. */
static void make_memory(void)
{
    uint8_t *memory = malloc(MEMORY_BYTES);
    assert_non_null(memory);
    memset(memory, 0xaa, MEMORY_BYTES);
    memcpy(memory + PAGE_AT, payload, payload_bytes);
    write_file("memory", memory, MEMORY_BYTES);
    free(memory);
    assert_int_equal(mkdir("map", 0700), 0);
    map_range("0", "0x6", "0x1000", "0x1");
    map_range("1", "0x5", "0x5000", "0x4");
    map_range("2", "0x6", "0x5000", "0x1");
}

static void write_variable(uint64_t address, uint64_t length)
{
    uint8_t value[4 + VCK_LOCATOR_VALUE_BYTES_MAX] = {6};
    struct vck_locator locator = {.address = address, .length_bytes = length};
    size_t size;
    assert_int_equal(vck_locator_encode(&locator, value + 4, VCK_LOCATOR_VALUE_BYTES_MAX, &size),
                     VCK_OK);
    write_file("variable", value, 4 + size);
}

static void write_table(uint64_t address, uint64_t length)
{
    uint8_t table[VCK_LOCATOR_TABLE_BYTES];
    struct vck_locator locator = {.address = address, .length_bytes = length};
    assert_int_equal(vck_locator_table_build(&locator, table), VCK_OK);
    write_file("table", table, sizeof(table));
}

static char folder[] = "/tmp/vck-handover-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    strcpy(folder + sizeof(folder) - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    make_payload();
    return 0;
}

static int tear_down(void **state)
{
    char line[64];
    (void)state;
    snprintf(line, sizeof(line), "rm -rf %s", folder);
    return chdir("/") == 0 && system(line) == 0 ? 0 : -1;
}

static void assert_taken(void)
{
    struct vck_handover handover;
    assert_int_equal(handover_fetch(&command, &sources, &handover), EXIT_OK);
    assert_int_equal(handover.vmk.size_bytes, 7);
    assert_memory_equal(handover.vmk.data, "the key", 7);
    vck_handover_fini(&handover);
}

static void assert_refused(int code)
{
    struct vck_handover handover;
    assert_int_equal(handover_fetch(&command, &sources, &handover), code);
    assert_null(handover.vmk.data);
    vck_handover_fini(&handover);
}

/* [first, first + size) of the memory are zeroes, the rest is as it was. */
static void assert_wiped(size_t first, size_t size)
{
    uint8_t byte;
    FILE *file = fopen("memory", "r");
    assert_non_null(file);
    for (size_t at = 0; at < MEMORY_BYTES; at++) {
        assert_int_equal(fread(&byte, 1, 1, file), 1);
        if (at >= first && at < first + size)
            assert_int_equal(byte, 0);
        else if (at < PAGE_AT || at >= PAGE_AT + payload_bytes)
            assert_int_equal(byte, 0xaa);
    }
    fclose(file);
}

/* ---- the tests ---- */

static void nothing_is_not_found(void **state)
{
    (void)state;
    assert_refused(EXIT_NOT_FOUND);
}

static void the_file_is_taken_and_removed(void **state)
{
    (void)state;
    assert_int_equal(mkdir("vck", 0700), 0);
    write_file("vck/handover", payload, payload_bytes);
    int fd = open("vck/handover", O_RDONLY);
    char left[VCK_HANDOVER_ENCODED_BYTES_MAX];
    assert_taken();
    assert_int_not_equal(access("vck", F_OK), 0);
    /* Who has it open still sees zeroes only. */
    assert_int_equal(read(fd, left, sizeof(left)), payload_bytes);
    for (size_t i = 0; i < payload_bytes; i++)
        assert_int_equal(left[i], 0);
    close(fd);
    assert_refused(EXIT_NOT_FOUND);
}

static void a_bad_file_is_removed_too(void **state)
{
    (void)state;
    assert_int_equal(mkdir("vck", 0700), 0);
    write_file("vck/handover", "garbage", 7);
    write_file("vck/other", "", 0);
    assert_refused(EXIT_FAILED);
    assert_int_not_equal(access("vck/handover", F_OK), 0);
    assert_int_equal(access("vck/other", F_OK), 0);
    write_file("vck/handover", "", 0);
    assert_refused(EXIT_FAILED);
    uint8_t *large = calloc(1, VCK_HANDOVER_BYTES_MAX + 1);
    write_file("vck/handover", large, VCK_HANDOVER_BYTES_MAX + 1);
    free(large);
    assert_refused(EXIT_FAILED);
    assert_int_not_equal(access("vck/handover", F_OK), 0);
}

static void the_variable_names_memory(void **state)
{
    (void)state;
    make_memory();
    write_variable(PAGE_AT, payload_bytes);
    write_table(0x1000, 16); /* the variable counts */
    assert_taken();
    assert_wiped(PAGE_AT, payload_bytes);
    assert_refused(EXIT_FAILED);
}

static void the_table_names_memory(void **state)
{
    (void)state;
    make_memory();
    write_table(PAGE_AT, payload_bytes);
    assert_taken();
    assert_wiped(PAGE_AT, payload_bytes);
}

static void only_runtime_data_is_touched(void **state)
{
    static const uint64_t ranges[][2] = {
        {0x3000, 16},          /* nobody's */
        {0x6000, 16},          /* of another type */
        {0x5ff8, 9},           /* across the end */
        {0x4ff8, 16},          /* across the start */
        {0x5000, 0x1001},      /* longer than the range */
        {UINT64_MAX - 15, 15}, /* far away */
    };
    (void)state;
    make_memory();
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        write_variable(ranges[i][0], ranges[i][1]);
        assert_refused(EXIT_FAILED);
        assert_wiped(0, 0);
    }
}

static void what_names_it_must_be_whole(void **state)
{
    (void)state;
    make_memory();
    write_file("variable", "\6\0\0\0garbage", 11);
    assert_refused(EXIT_FAILED);
    assert_int_equal(unlink("variable"), 0);
    write_file("table", "VCKD but cut", 12);
    assert_refused(EXIT_FAILED);
    assert_wiped(0, 0);
}

static void memory_that_is_closed_says_so(void **state)
{
    (void)state;
    make_memory();
    write_variable(PAGE_AT, payload_bytes);
    assert_int_equal(unlink("memory"), 0);
    assert_refused(EXIT_FAILED);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(nothing_is_not_found),        TEST(the_file_is_taken_and_removed),
        TEST(a_bad_file_is_removed_too),   TEST(the_variable_names_memory),
        TEST(the_table_names_memory),      TEST(only_runtime_data_is_touched),
        TEST(what_names_it_must_be_whole), TEST(memory_that_is_closed_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
