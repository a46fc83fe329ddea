/* SPDX-License-Identifier: Apache-2.0 */
/* ndisprot.sys, loaded through its DriverEntry over the fake NDIS, and programs that use it. */
#include <stdio.h>
#include <stdlib.h>
#include "fake_program.h"
#include "frame_fixture.h"
#include "vck/frame_control.h"
#include "vck/thread.h"

#define NT_CANCELLED 0xC0000120u
#define NT_DENIED    0xC0000022u

enum { FRAMES = 200, EVENTS = 400, PROGRAMS = 3, READS = 8 };

static struct frame_fixture f;
static DRIVER_OBJECT driver;
static struct driver_extension extension;

/* ---- the driver ---- */

static int begin(void **state)
{
    (void)state;
    frame_begin(&f);
    fake_system_begin();
    driver = (DRIVER_OBJECT){.DriverInit = DriverEntry, .DriverExtension = &extension};
    return 0;
}

static int end(void **state) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    (void)state;
    assert_null(driver.DeviceObject);
    fake_system_end();
    frame_end(&f);
    assert_int_equal(fake_live_irps(), 0);
    assert_int_equal(fake_live_devices(), 0);
    return 0;
}

static NTSTATUS load(void) VCK_CAN_WAIT
{
    return fake_driver_load(&driver, FAKE_SERVICE(L"ndisprot"));
}

static void unload(void) VCK_CAN_WAIT
{
    fake_driver_unload(&driver);
}

/* ---- requests ---- */

static uint32_t major(struct file_object *file, UCHAR number) VCK_CAN_WAIT
{
    return (uint32_t)fake_file_major(driver.DeviceObject, file, number);
}

static uint32_t open_file(struct file_object *file, ACCESS_MASK access) VCK_CAN_WAIT
{
    return (uint32_t)fake_file_open(driver.DeviceObject, file, access);
}

static void close_file(struct file_object *file) VCK_CAN_WAIT
{
    fake_file_close(driver.DeviceObject, file);
}

static uint32_t ask(struct fake_call *r, struct file_object *file, uint32_t code, uint32_t in_bytes,
                    uint32_t out_bytes) VCK_CAN_WAIT
{
    fake_call_begin_control(r, driver.DeviceObject, file, code, in_bytes, out_bytes);
    fake_call_go(r);
    return fake_call_await(r);
}

/* A read or a write, of memory as a program has it. */
static void begin_io(struct fake_call *r, struct file_object *file, UCHAR number, uint32_t bytes)
{
    PIO_STACK_LOCATION stack = fake_call_begin(r, driver.DeviceObject, file, number);

    r->irp->AssociatedIrp.SystemBuffer = NULL;
    r->mdl = r->irp->MdlAddress = fake_mdl_create(r->buffer, bytes);
    if (number == IRP_MJ_READ)
        stack->Parameters.Read.Length = bytes;
    else
        stack->Parameters.Write.Length = bytes;
    fake_call_go(r);
}

static uint32_t open_adapter(struct fake_call *r, struct file_object *file,
                             uint32_t adapter) VCK_CAN_WAIT
{
    char name[64];
    uint32_t length = (uint32_t)snprintf(
        name, sizeof(name), "\\DEVICE\\{5C0E7A10-2F4B-4D5A-9B1E-00000000000%u}", (unsigned)adapter);

    for (uint32_t i = 0; i < length; i++)
        vck_store_le16(r->buffer + 2 * i, (uint16_t)name[i]);
    return ask(r, file, VCK_FRAME_CODE_OPEN_DEVICE, 2 * length, 0);
}

static void wait_for_binds(struct fake_call *r, struct file_object *file) VCK_CAN_WAIT
{
    assert_int_equal(ask(r, file, VCK_FRAME_CODE_BIND_WAIT, 0, 0), 0);
    fake_ndis_settle();
}

static uint32_t write_frame(struct fake_call *r, struct file_object *file, uint32_t adapter,
                            uint32_t number, uint32_t bytes) VCK_CAN_WAIT
{
    frame_make(adapter, number, bytes, r->buffer);
    begin_io(r, file, IRP_MJ_WRITE, bytes);
    return fake_call_await(r);
}

static uint32_t read_frame(struct fake_call *r, struct file_object *file) VCK_CAN_WAIT
{
    begin_io(r, file, IRP_MJ_READ, NDIS_FRAME_BYTES_MAX);
    return fake_call_await(r);
}

/* ---- tests ---- */

static void frames_go_through_the_driver(void **state) VCK_CAN_WAIT
{
    struct fake_call *r = calloc(1, sizeof(*r));
    struct file_object files[NDIS_ADAPTERS];

    (void)state;
    assert_int_equal(load(), STATUS_SUCCESS);
    for (uint32_t i = 0; i < NDIS_ADAPTERS; i++) {
        assert_int_equal(open_file(&files[i], FILE_READ_DATA | FILE_WRITE_DATA), 0);
        wait_for_binds(r, &files[i]);
        assert_int_equal(open_adapter(r, &files[i], i), 0);
        for (uint32_t n = 0; n < FRAMES; n++) {
            assert_int_equal(write_frame(r, &files[i], i, n, 60 + n * 7), 0);
            assert_int_equal(r->information, 60 + n * 7);
            assert_int_equal(read_frame(r, &files[i]), 0);
            assert_int_equal(r->information, 60 + n * 7);
            assert_true(frame_is(i, n, r->buffer, r->information));
        }
    }
    for (uint32_t i = 0; i < NDIS_ADAPTERS; i++)
        close_file(&files[i]);
    unload();
    free(r);
}

static void who_may_only_read_sends_nothing(void **state) VCK_CAN_WAIT
{
    struct fake_call *r = calloc(1, sizeof(*r));
    struct file_object file;

    (void)state;
    assert_int_equal(load(), STATUS_SUCCESS);
    assert_int_equal(open_file(&file, FILE_READ_DATA), 0);
    wait_for_binds(r, &file);
    (void)open_adapter(r, &file, 0);
    assert_int_equal(write_frame(r, &file, 0, 1, 60), NT_DENIED);
    assert_int_equal(fake_ndis_count(0).frames_sent, 0);
    close_file(&file);
    unload();
    free(r);
}

static void reads_end_when_they_are_given_up(void **state) VCK_CAN_WAIT
{
    struct fake_call *reads = calloc(3, sizeof(*reads));
    struct file_object file;

    (void)state;
    assert_int_equal(load(), STATUS_SUCCESS);
    assert_int_equal(open_file(&file, FILE_READ_DATA | FILE_WRITE_DATA), 0);
    wait_for_binds(reads, &file);
    assert_int_equal(open_adapter(reads, &file, 1), 0);
    for (size_t i = 0; i < 3; i++) {
        begin_io(&reads[i], &file, IRP_MJ_READ, NDIS_FRAME_BYTES_MAX);
        assert_int_equal(reads[i].returned, STATUS_PENDING);
    }
    assert_true(IoCancelIrp(reads[1].irp));
    assert_int_equal(fake_call_await(&reads[1]), NT_CANCELLED);
    assert_int_equal(major(&file, IRP_MJ_CLEANUP), 0);
    assert_int_equal(fake_call_await(&reads[0]), NT_CANCELLED);
    assert_int_equal(fake_call_await(&reads[2]), NT_CANCELLED);
    assert_int_equal(ask(reads, &file, VCK_FRAME_CODE_BIND_WAIT, 0, 0), NT_CANCELLED);
    assert_int_equal(major(&file, IRP_MJ_CLOSE), 0);
    unload();
    free(reads);
}

static void reads_may_come_cancelled(void **state) VCK_CAN_WAIT
{
    struct fake_call *r = calloc(1, sizeof(*r));
    struct file_object file;

    (void)state;
    assert_int_equal(load(), STATUS_SUCCESS);
    assert_int_equal(open_file(&file, FILE_READ_DATA | FILE_WRITE_DATA), 0);
    wait_for_binds(r, &file);
    assert_int_equal(open_adapter(r, &file, 0), 0);
    r->comes_cancelled = true;
    begin_io(r, &file, IRP_MJ_READ, 100);
    assert_int_equal(fake_call_await(r), NT_CANCELLED);
    close_file(&file);
    unload();
    free(r);
}

/* Whether all of it worked. */
static bool use_driver(void) VCK_CAN_WAIT
{
    struct fake_call *r = calloc(1, sizeof(*r));
    struct file_object file;
    bool is_whole = false;

    if (load() == STATUS_SUCCESS) {
        if (open_file(&file, FILE_READ_DATA | FILE_WRITE_DATA) == 0) {
            (void)ask(r, &file, VCK_FRAME_CODE_BIND_WAIT, 0, 0);
            fake_ndis_settle();
            if (open_adapter(r, &file, 0) == 0 && write_frame(r, &file, 0, 1, 100) == 0) {
                fake_ndis_settle();
                is_whole = fake_ndis_count(0).frames_received == 1 && read_frame(r, &file) == 0;
            }
            close_file(&file);
        }
        unload();
    }
    free(r);
    return is_whole;
}

static void check_nothing_is_left(void) VCK_CAN_WAIT
{
    fake_ndis_settle();
    assert_int_equal(fake_ndis_count(0).pools, 0);
    assert_int_equal(fake_live_devices(), 0);
    assert_int_equal(vck_alloc_live_count(), f.live);
    fake_ndis_do(NDIS_RESET, 0);
    fake_ndis_do(NDIS_RESET, 1);
}

static void any_call_may_fail(void **state) VCK_CAN_WAIT
{
    bool has_failed = true;
    uint32_t count = 0;

    (void)state;
    for (uint64_t n = 1; has_failed; n++) {
        fake_fail_nth(n);
        (void)use_driver();
        has_failed = fake_has_failed();
        fake_fail_nth(0);
        count++;
        check_nothing_is_left();
    }
    assert_true(count > 15);
    assert_true(use_driver());
}

/* As many as there are, and some more. */
static void any_allocation_may_fail(void **state) VCK_CAN_WAIT
{
    uint32_t failures = 0;

    (void)state;
    for (uint64_t n = 1; n < 50; n++) {
        vck_alloc_fail_nth(n);
        failures += !use_driver();
        vck_alloc_fail_nth(0);
        check_nothing_is_left();
    }
    assert_true(failures > 8);
    assert_true(use_driver());
}

/* ---- everything at once ---- */

static uint32_t is_over;
static uint32_t frames_read;

static void end_reads(struct fake_call *reads, uint32_t adapter) VCK_CAN_WAIT
{
    for (uint32_t i = 0; i < READS; i++) {
        if (fake_call_await(&reads[i]) != 0)
            continue;
        assert_true(frame_is(adapter, vck_load_le32(reads[i].buffer + 14), reads[i].buffer,
                             reads[i].information));
        __atomic_fetch_add(&frames_read, 1, __ATOMIC_RELAXED);
    }
}

/* A program that sends and reads as far as its adapter lets it, and begins again. */
static void program(void *context) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    uint32_t adapter = (uint32_t)(uintptr_t)context % NDIS_ADAPTERS;
    struct fake_call *reads = calloc(READS + 1, sizeof(*reads));
    struct fake_call *r = &reads[READS];
    struct file_object file;

    while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
        assert_int_equal(open_file(&file, FILE_READ_DATA | FILE_WRITE_DATA), 0);
        if (open_adapter(r, &file, adapter) == 0) {
            for (uint32_t i = 0; i < READS; i++)
                begin_io(&reads[i], &file, IRP_MJ_READ, NDIS_FRAME_BYTES_MAX);
            for (uint32_t i = 0; i < 2 * READS; i++) {
                frame_make(adapter, i, 60 + i, r->buffer);
                begin_io(r, &file, IRP_MJ_WRITE, 60 + i);
                (void)fake_call_await(r);
            }
            assert_int_equal(major(&file, IRP_MJ_CLEANUP), 0);
            end_reads(reads, adapter);
            assert_int_equal(major(&file, IRP_MJ_CLOSE), 0);
        } else {
            close_file(&file);
        }
    }
    free(reads);
}

static void shake(uint32_t number)
{
    static const uint8_t verbs[] = {NDIS_PAUSE, NDIS_LOW_POWER, NDIS_REMOVE, NDIS_UNBIND,
                                    NDIS_PAUSE, NDIS_RESTART,   NDIS_ADD,    NDIS_FULL_POWER,
                                    NDIS_BIND,  NDIS_RESTART,   NDIS_ADD,    NDIS_FULL_POWER,
                                    NDIS_BIND,  NDIS_RELEASE,   NDIS_RESET};
    uint32_t random = number * 2654435761u >> 8;
    uint32_t adapter = random % NDIS_ADAPTERS;
    const struct ndis_options options = {
        .opens_later = random >> 1 & 1,
        .closes_later = random >> 2 & 1,
        .sends_later = random >> 3 & 1,
        .requests_later = random >> 4 & 1,
        .fails_send_every = random >> 5 & 3,
        .fails_request_every = (random >> 7 & 1) * 5,
        .lends_short_every = random >> 8 & 3,
        .drops_every = (random >> 10 & 1) * 3,
        .splits = random >> 11 & 1,
        .shuffles = number,
        .unbinds_running = random >> 12 & 1,
        .receive_limit = 64,
    };

    if (number % 5 == 0)
        fake_ndis_configure(adapter, &options);
    else
        fake_ndis_do(verbs[random / NDIS_ADAPTERS % sizeof(verbs)], adapter);
}

static void adapters_come_and_go_under_traffic(void **state) VCK_CAN_WAIT
{
    struct vck_thread *threads[PROGRAMS];

    (void)state;
    __atomic_store_n(&is_over, 0, __ATOMIC_RELAXED);
    assert_int_equal(load(), STATUS_SUCCESS);
    for (uintptr_t i = 0; i < PROGRAMS; i++)
        assert_int_equal(
            vck_thread_create(program, (void *)i, VCK_THREAD_NORMAL, "program", &threads[i]),
            VCK_OK);
    /* Until a frame has come through, too. */
    for (uint32_t n = 1; n <= EVENTS || __atomic_load_n(&frames_read, __ATOMIC_RELAXED) == 0; n++) {
        shake(n);
        vck_thread_sleep(n % 8 ? 200000 : 5000000);
    }
    __atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < NDIS_ADAPTERS; i++)
        fake_ndis_do(NDIS_RESET, i);
    for (size_t i = 0; i < PROGRAMS; i++)
        vck_thread_join(threads[i]);
    unload();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_go_through_the_driver, begin, end),
        cmocka_unit_test_setup_teardown(who_may_only_read_sends_nothing, begin, end),
        cmocka_unit_test_setup_teardown(reads_end_when_they_are_given_up, begin, end),
        cmocka_unit_test_setup_teardown(reads_may_come_cancelled, begin, end),
        cmocka_unit_test_setup_teardown(any_call_may_fail, begin, end),
        cmocka_unit_test_setup_teardown(any_allocation_may_fail, begin, end),
        cmocka_unit_test_setup_teardown(adapters_come_and_go_under_traffic, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
