/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "path.h"
#include "vck/bytes.h"

#define GUID "12345678-9abc-def0-1122-33445566aaff"

struct spelling {
    const char *path;
    const char *nt; /* NULL: refused */
};

static void spellings(void **state)
{
    static const struct spelling table[] = {
        {"D:", "\\??\\D:"},
        {"d:", "\\??\\D:"},
        {"D:\\", "\\??\\D:"},
        {"D:/", "\\??\\D:"},
        {"\\\\.\\D:", "\\??\\D:"},
        {"\\\\.\\d:\\", "\\??\\D:"},
        {"//./D:", "\\??\\D:"},
        {"\\\\?\\D:", "\\??\\D:"},
        {"\\\\?\\D:\\", "\\??\\D:"},
        {"\\??\\D:", "\\??\\D:"},
        {"\\DosDevices\\D:", "\\??\\D:"},
        {"\\dosdevices\\z:", "\\??\\Z:"},
        {"\\GLOBAL??\\D:", "\\??\\D:"},
        {"\\\\.\\Global\\D:", "\\??\\D:"},
        {"\\??\\Global\\D:", "\\??\\D:"},
        {"\\\\?\\Volume{" GUID "}\\", "\\??\\Volume{" GUID "}"},
        {"\\\\?\\Volume{" GUID "}", "\\??\\Volume{" GUID "}"},
        {"\\??\\VOLUME{12345678-9ABC-DEF0-1122-33445566AAFF}", "\\??\\Volume{" GUID "}"},
        {"\\\\.\\volume{" GUID "}", "\\??\\Volume{" GUID "}"},
        {"\\\\.\\PhysicalDrive1", "\\??\\PhysicalDrive1"},
        {"\\\\.\\HarddiskVolume3", "\\??\\HarddiskVolume3"},
        /* Almost a volume's name is another name. */
        {"\\\\.\\Volume{12}", "\\??\\Volume{12}"},
        {"\\\\.\\Volume{123456789-abc-def0-1122-33445566aaff}",
         "\\??\\Volume{123456789-abc-def0-1122-33445566aaff}"},
        {"\\Device\\HarddiskVolume3", "\\Device\\HarddiskVolume3"},
        {"\\device\\HarddiskVolume3\\", "\\Device\\HarddiskVolume3"},
        {"\\Device\\Harddisk0\\Partition2", "\\Device\\Harddisk0\\Partition2"},
        {"\\\\?\\GLOBALROOT\\Device\\HarddiskVolume3", "\\Device\\HarddiskVolume3"},
        {"\\\\.\\GlobalRoot\\Device\\X", "\\Device\\X"},
        {"\\\\.\\\xc3\xa4", "\\??\\\xc3\xa4"},
        {"", NULL},
        {"D", NULL},
        {"1:", NULL},
        {":", NULL},
        {"D:file", NULL},
        {"D:\\folder", NULL},
        {"D:\\\\", NULL},
        {"D:/x/", NULL},
        {"\\\\.\\D:\\x", NULL},
        {"\\\\.\\", NULL},
        {"\\\\.\\\\", NULL},
        {"\\??\\", NULL},
        {"\\\\server\\share", NULL},
        {"\\\\server\\share\\D:", NULL},
        {"\\Device", NULL},
        {"\\Device\\", NULL},
        {"\\Device\\\\", NULL},
        {"\\Device\\\\X", NULL},
        {"\\Devices\\X", NULL},
        {"relative", NULL},
        {"/dev/sda", NULL},
        {"\\\\.\\D:\n", NULL},
        {"\\Device\\X\x7f", NULL},
    };
    char nt[VCK_VOLUME_PATH_BYTES];

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(table); i++) {
        const char *why = NULL;
        vck_status status;

        strcpy(nt, "untouched");
        status = path_to_nt(table[i].path, nt, &why);
        assert_int_equal(status, table[i].nt ? VCK_OK : VCK_INVALID_DATA);
        assert_string_equal(nt, table[i].nt ? table[i].nt : "untouched");
        assert_int_equal(why != NULL, table[i].nt == NULL);
    }
}

/* What came out goes in again as it is: canonical. */
static void canonical_again(void **state)
{
    static const char *const paths[] = {"\\??\\D:", "\\??\\Volume{" GUID "}",
                                        "\\??\\PhysicalDrive1", "\\Device\\Harddisk0\\Partition2"};
    char nt[VCK_VOLUME_PATH_BYTES];
    const char *why;

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(paths); i++) {
        assert_int_equal(path_to_nt(paths[i], nt, &why), VCK_OK);
        assert_string_equal(nt, paths[i]);
        assert_int_equal(path_is_link(nt), i < 3);
    }
}

static void lengths(void **state)
{
    char path[VCK_VOLUME_PATH_BYTES + 16];
    char nt[VCK_VOLUME_PATH_BYTES];
    const char *why;

    (void)state;
    memset(path, 'x', sizeof(path));
    memcpy(path, "\\Device\\", 8);
    path[VCK_VOLUME_PATH_BYTES - 1] = 0;
    assert_int_equal(path_to_nt(path, nt, &why), VCK_OK);
    assert_int_equal(strlen(nt), VCK_VOLUME_PATH_BYTES - 1);
    path[VCK_VOLUME_PATH_BYTES - 1] = 'x';
    path[VCK_VOLUME_PATH_BYTES] = 0;
    assert_int_equal(path_to_nt(path, nt, &why), VCK_INVALID_DATA);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings),
        cmocka_unit_test(canonical_again),
        cmocka_unit_test(lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
