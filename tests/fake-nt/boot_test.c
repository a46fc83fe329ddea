/* SPDX-License-Identifier: Apache-2.0 */
/* The handover: where it is found, what becomes of it, and which device is bound while it starts.
 */
#include "driver_fixture.h"

#include <string.h>
#include "vck/bytes.h"
#include "vck/handover.h"
#include "vck/locator.h"
#include "vck/log.h"
#include "vck/secret.h"

#define ADDRESS    UINT64_C(0x7ffe0000)
#define ATTRIBUTES 6u /* boot service, runtime */

static const uint8_t guid[16] = {0x78, 0x56, 0x34, 0x12, 0xbc, 0x9a, 0xf0, 0xde,
                                 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
static const uint8_t other_guid[16] = {9};

struct boot_fixture {
    struct driver_fixture driver; /* first */
    uint8_t payload[VCK_HANDOVER_ENCODED_BYTES_MAX];
    size_t payload_bytes;
};

/* What a loader leaves: the payload in memory, and where that is. */
static void leave_payload(struct boot_fixture *b, const uint8_t *key)
{
    struct vck_handover handover = {0};

    memcpy(handover.partition_guid.bytes, guid, sizeof(guid));
    assert_int_equal(
        vck_secret_init_copy(&handover.vmk, (struct vck_bytes){key, sizeof(driver_key)}), VCK_OK);
    assert_int_equal(
        vck_handover_encode(&handover, b->payload, sizeof(b->payload), &b->payload_bytes), VCK_OK);
    vck_handover_fini(&handover);
    fake_system.physical = b->payload;
    fake_system.physical_bytes = b->payload_bytes;
    fake_system.physical_address = ADDRESS;
}

static void leave_variable(struct boot_fixture *b)
{
    const struct vck_locator locator = {.address = ADDRESS, .length_bytes = b->payload_bytes};
    size_t bytes = 0;

    assert_int_equal(
        vck_locator_encode(&locator, fake_system.variable, sizeof(fake_system.variable), &bytes),
        VCK_OK);
    fake_system.variable_bytes = (uint32_t)bytes;
    fake_system.variable_attributes = ATTRIBUTES;
}

static void leave_table(struct boot_fixture *b)
{
    const struct vck_locator locator = {.address = ADDRESS, .length_bytes = b->payload_bytes};

    assert_int_equal(vck_locator_table_build(&locator, fake_system.table), VCK_OK);
    fake_system.table_bytes = VCK_LOCATOR_TABLE_BYTES;
}

static int set_up(void **state) VCK_NO_ANALYSIS
{
    struct boot_fixture *b = calloc(1, sizeof(*b));

    driver_begin(&b->driver);
    b->driver.disk->partition_guid = guid;
    leave_payload(b, driver_key);
    *state = b;
    return 0;
}

static int tear_down(void **state) VCK_NO_ANALYSIS
{
    struct boot_fixture *b = *state;

    if (b->driver.driver.DriverUnload)
        driver_unload(&b->driver);
    driver_end(&b->driver);
    free(b);
    return 0;
}

static void start(struct driver_fixture *f) VCK_CAN_WAIT
{
    assert_int_equal(driver_load(f), STATUS_SUCCESS);
    driver_add_device(f);
    driver_start_device(f);
}

static struct vck_msg_volume_status status_of(struct driver_fixture *f) VCK_CAN_WAIT
{
    struct fake_call *call = calloc(1, sizeof(*call));
    struct vck_msg_volume_status status = driver_status(f, call, "D:");

    status.volume_path = NULL;
    status.error = NULL;
    free(call);
    return status;
}

static bool is_wiped(const struct boot_fixture *b)
{
    return vck_all_zero(b->payload, b->payload_bytes);
}

static void expect_bound(struct boot_fixture *b) VCK_CAN_WAIT
{
    struct driver_fixture *f = &b->driver;

    assert_true(is_wiped(b));
    assert_true(status_of(f).is_attached);
    assert_true(status_of(f).filter_below_fsd);
    assert_int_equal(driver_write_sector(f, 0), STATUS_SUCCESS);
    driver_remove_device(f);
}

static void expect_untouched(struct boot_fixture *b) VCK_CAN_WAIT
{
    struct driver_fixture *f = &b->driver;

    assert_false(status_of(f).is_attached);
    assert_int_equal(driver_write_sector(f, 0), STATUS_SUCCESS);
    driver_remove_device(f);
}

static void expect_no_writes(struct boot_fixture *b) VCK_CAN_WAIT
{
    struct driver_fixture *f = &b->driver;

    assert_false(status_of(f).is_attached);
    assert_int_equal(driver_write_sector(f, 0), STATUS_MEDIA_WRITE_PROTECTED);
    driver_remove_device(f);
}

/* ---- where it is found ---- */

static void by_variable(void **state) VCK_NO_ANALYSIS
{
    leave_variable(*state);
    start(*state);
    assert_int_equal(fake_system.variable_bytes, 0);
    expect_bound(*state);
}

static void by_table(void **state) VCK_NO_ANALYSIS
{
    leave_table(*state);
    start(*state);
    expect_bound(*state);
}

static void by_table_when_the_variable_is_none(void **state) VCK_NO_ANALYSIS
{
    leave_variable(*state);
    leave_table(*state);
    fake_system.variable[10] ^= 0xff;
    start(*state);
    expect_bound(*state);
}

static void none(void **state) VCK_NO_ANALYSIS
{
    start(*state);
    assert_false(is_wiped(*state));
    assert_null(fake_system.reinitialize);
    expect_untouched(*state);
}

/* Somebody who may set variables must not have the kernel read and wipe memory he names. */
static void a_variable_that_stays(void **state) VCK_NO_ANALYSIS
{
    leave_variable(*state);
    fake_system.variable_attributes |= 1;
    start(*state);
    assert_false(is_wiped(*state));
    expect_untouched(*state);
}

static void garbage(void **state) VCK_NO_ANALYSIS
{
    struct boot_fixture *b = *state;

    leave_variable(b);
    memset(b->payload, 0xc1, b->payload_bytes);
    start(&b->driver);
    assert_true(is_wiped(b));
    expect_untouched(b);
}

static void a_variable_that_is_too_long(void **state) VCK_NO_ANALYSIS
{
    leave_variable(*state);
    fake_system.variable_bytes = sizeof(fake_system.variable);
    start(*state);
    expect_untouched(*state);
}

/* ---- which device ---- */

static void another_partition(void **state) VCK_NO_ANALYSIS
{
    struct boot_fixture *b = *state;

    leave_variable(b);
    b->driver.disk->partition_guid = other_guid;
    start(&b->driver);
    assert_true(is_wiped(b));
    expect_untouched(b);
}

static void no_gpt(void **state) VCK_NO_ANALYSIS
{
    struct boot_fixture *b = *state;

    leave_variable(b);
    b->driver.disk->partition_guid = NULL;
    start(&b->driver);
    expect_untouched(b);
}

static void the_wrong_key(void **state) VCK_NO_ANALYSIS
{
    static const uint8_t wrong[sizeof(driver_key)] = "another key, of the same length";
    struct boot_fixture *b = *state;

    leave_payload(b, wrong);
    leave_variable(b);
    start(&b->driver);
    expect_no_writes(b);
}

/* Whatever fails while it is bound: the device starts, and is bound or refuses writes. */
static void failures_while_binding(void **state) VCK_NO_ANALYSIS
{
    struct boot_fixture *b = *state;
    struct driver_fixture *f = &b->driver;
    uint64_t bound = 0;
    uint64_t nth = 1;

    vck_log_set_threshold(VCK_LOG_ERROR);
    for (; bound < 2; nth++) {
        assert_true(nth < 500);
        leave_payload(b, driver_key);
        leave_variable(b);
        assert_int_equal(driver_load(f), STATUS_SUCCESS);
        driver_add_device(f);
        vck_alloc_fail_nth(nth);
        driver_start_device(f);
        vck_alloc_fail_nth(0);
        if (status_of(f).is_attached) {
            bound++;
            assert_int_equal(driver_write_sector(f, 0), STATUS_SUCCESS);
        } else {
            assert_int_equal(driver_write_sector(f, 0), STATUS_MEDIA_WRITE_PROTECTED);
        }
        driver_remove_device(f);
        driver_unload(f);
    }
    vck_log_set_threshold(VCK_LOG_INFO);
}

/* ---- afterwards ---- */

/* It is what is at the end of booting that is wiped, and only then. */
static void booting_ends(void **state) VCK_NO_ANALYSIS
{
    struct boot_fixture *b = *state;
    struct driver_fixture *f = &b->driver;

    leave_variable(b);
    assert_int_equal(driver_load(f), STATUS_SUCCESS);
    assert_non_null(fake_system.reinitialize);
    fake_system.reinitialize(&f->driver, NULL, 1);
    driver_add_device(f);
    driver_start_device(f);
    expect_untouched(b);
}

/* A volume that is being encrypted goes on by itself, and keeps the driver from being unloaded. */
static void resumes(void **state) VCK_NO_ANALYSIS
{
    struct boot_fixture *b = *state;
    struct driver_fixture *f = &b->driver;
    struct fake_call *call = calloc(1, sizeof(*call));

    leave_variable(b);
    f->disk->is_async = true;
    f->disk->delay_us = 5000;
    start(f);
    assert_int_equal(driver_path_request(f, call, VCK_CODE_START_ENCRYPT, "D:"), 0);
    assert_null(f->driver.DriverUnload);
    /* The device goes before the end, as with the power. */
    driver_remove_device(f);
    assert_ptr_equal(f->driver.DriverUnload, f->unload);
    driver_unload(f);
    f->disk->delay_us = 0;
    leave_payload(b, driver_key);
    leave_variable(b);
    start(f);
    driver_finish_sweep(f, "D:");
    assert_true(status_of(f).encrypted_sector == status_of(f).total_sectors);
    assert_null(f->driver.DriverUnload);
    assert_int_equal(driver_path_request(f, call, VCK_CODE_DETACH, "D:"), 0xC0000022);
    driver_remove_device(f);
    assert_ptr_equal(f->driver.DriverUnload, f->unload);
    free(call);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(by_variable),
        TEST(by_table),
        TEST(by_table_when_the_variable_is_none),
        TEST(none),
        TEST(a_variable_that_stays),
        TEST(garbage),
        TEST(a_variable_that_is_too_long),
        TEST(another_partition),
        TEST(no_gpt),
        TEST(the_wrong_key),
        TEST(failures_while_binding),
        TEST(booting_ends),
        TEST(resumes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
