/* SPDX-License-Identifier: Apache-2.0 */
/* The control device of the loaded driver: who may do what, and what becomes of each IRP. */
#include "driver_fixture.h"

#include <string.h>
#include "port/nt/security.h"
#include "vck/bytes.h"
#include "vck/thread.h"

/* ---- up and down ---- */

static bool is_zero(const void *p, size_t size_bytes)
{
    return vck_all_zero(p, size_bytes);
}

static void load_with_failures(bool of_memory) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = calloc(1, sizeof(*f));

    driver_begin(f);
    fake_driver_load_with_failures(&f->driver, DRIVER_SERVICE, of_memory);
    driver_end(f);
    free(f);
}

static void load_without_memory(void **state)
{
    (void)state;
    load_with_failures(true);
}

static void load_without_the_system(void **state)
{
    (void)state;
    load_with_failures(false);
}

static void closed_until_secured(void **state)
{
    struct driver_fixture *f = *state;
    uint8_t descriptor[VCK_SECURITY_DESCRIPTOR_BYTES];

    vck_security_descriptor_build(descriptor);
    assert_memory_equal(fake_system.descriptor, descriptor, sizeof(descriptor));
    assert_int_equal(fake_system.descriptor_kind,
                     DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION);
    assert_false(fake_system.was_open_when_secured);
    assert_true(f->driver.DeviceObject->Characteristics & FILE_DEVICE_SECURE_OPEN);
    assert_false(f->driver.DeviceObject->Flags & DO_DEVICE_INITIALIZING);
    assert_ptr_equal(fake_system.hears_shutdown, f->driver.DeviceObject);
}

/* ---- requests ---- */

static void list(void **state) VCK_NO_ANALYSIS
{
    static const uint8_t empty[] = {0x81, 0xa7, 'v', 'o', 'l', 'u', 'm', 'e', 's', 0x90};
    struct fake_call *call = calloc(1, sizeof(*call));
    const struct vck_msg_empty nothing = {0};

    assert_int_equal(driver_request(*state, call, VCK_CODE_LIST_VOLUMES, &nothing), STATUS_SUCCESS);
    assert_int_equal(call->returned, STATUS_PENDING);
    assert_int_equal(call->information, sizeof(empty));
    assert_memory_equal(call->buffer, empty, sizeof(empty));
    free(call);
}

static uint32_t send_now(struct driver_fixture *f, struct fake_call *call, ACCESS_MASK access,
                         uint32_t code, uint32_t input_bytes, uint32_t output_bytes) VCK_CAN_WAIT
{
    struct file_object file;
    uint32_t status;

    assert_int_equal(driver_open(f, &file, access), STATUS_SUCCESS);
    driver_send(f, call, &file, code, input_bytes, output_bytes);
    status = fake_call_await(call);
    driver_close(f, &file);
    return status;
}

#define BOTH (FILE_READ_DATA | FILE_WRITE_DATA)

/* The input is gone from the buffer whatever becomes of the request. */
static void input_is_wiped(void **state) VCK_NO_ANALYSIS
{
    static const uint32_t sizes[] = {1, 100, 65536, 65537, 70000};
    struct fake_call *call = calloc(1, sizeof(*call));

    for (size_t i = 0; i < VCK_ARRAY_COUNT(sizes); i++) {
        memset(call->buffer, 0xc1, sizeof(call->buffer));
        assert_int_equal(send_now(*state, call, BOTH, VCK_CODE_ATTACH, sizes[i], 0), 0xC000000D);
        assert_int_equal(call->information, 0);
        assert_true(is_zero(call->buffer, sizes[i]));
        assert_true(sizes[i] == sizeof(call->buffer) || call->buffer[sizes[i]] == 0xc1);
    }
    free(call);
}

static void nothing_is_truncated(void **state) VCK_NO_ANALYSIS
{
    struct fake_call *call = calloc(1, sizeof(*call));

    for (uint32_t room = 0; room < 10; room++) {
        memset(call->buffer, 0xee, 64);
        assert_int_equal(send_now(*state, call, BOTH, VCK_CODE_LIST_VOLUMES, 0, room), 0xC0000023);
        assert_int_equal(call->information, 0);
        assert_int_equal(call->buffer[room], 0xee);
    }
    assert_int_equal(send_now(*state, call, BOTH, VCK_CODE_LIST_VOLUMES, 0, 10), 0);
    free(call);
}

static void access_of_handles(void **state) VCK_NO_ANALYSIS
{
    struct fake_call *call = calloc(1, sizeof(*call));

    assert_int_equal(send_now(*state, call, FILE_READ_DATA, VCK_CODE_DETACH_ALL_VOLUMES, 0, 0),
                     0xC0000022);
    assert_int_equal(send_now(*state, call, FILE_WRITE_DATA, VCK_CODE_LIST_VOLUMES, 0, 64),
                     0xC0000022);
    assert_int_equal(send_now(*state, call, BOTH, VCK_CODE_DETACH_ALL_VOLUMES, 0, 0), 0);
    /* Unknown codes are authorized first. */
    assert_int_equal(send_now(*state, call, FILE_READ_DATA, 0x0022e7fc, 0, 0), 0xC0000022);
    assert_int_equal(send_now(*state, call, BOTH, 0x0022e7fc, 0, 0), 0xC00000BB);
    free(call);
}

static void the_last_error_is_the_handles(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));
    struct file_object one;
    struct file_object other;

    assert_int_equal(driver_open(f, &one, BOTH), STATUS_SUCCESS);
    assert_int_equal(driver_open(f, &other, BOTH), STATUS_SUCCESS);
    driver_send(f, call, &one, VCK_CODE_PAUSE_OS_VOLUME, 0, 0);
    assert_int_equal(fake_call_await(call), 0xC0000225);
    driver_send(f, call, &other, VCK_CODE_LAST_ERROR, 0, 4096);
    assert_int_equal(fake_call_await(call), 0);
    assert_null(strstr((char *)call->buffer, "OS volume"));
    driver_send(f, call, &one, VCK_CODE_LAST_ERROR, 0, 4096);
    assert_int_equal(fake_call_await(call), 0);
    call->buffer[call->information] = 0;
    assert_non_null(strstr((char *)call->buffer, "no OS volume is attached"));
    driver_close(f, &one);
    driver_close(f, &other);
    free(call);
}

static void other_majors(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;
    struct file_object file;
    UNICODE_STRING below;

    RtlInitUnicodeString(&below, L"\\below");
    assert_int_equal(driver_open(f, &file, BOTH), STATUS_SUCCESS);
    for (UCHAR major = 0; major <= IRP_MJ_MAXIMUM_FUNCTION; major++) {
        if (major == IRP_MJ_CREATE || major == IRP_MJ_CLOSE || major == IRP_MJ_CLEANUP ||
            major == IRP_MJ_DEVICE_CONTROL || major == IRP_MJ_SHUTDOWN)
            continue;
        assert_int_equal(driver_major(f, &file, major), STATUS_INVALID_DEVICE_REQUEST);
    }
    assert_int_equal(driver_major(f, &file, IRP_MJ_SHUTDOWN), STATUS_SUCCESS);
    driver_close(f, &file);
    /* Without a handle. */
    assert_int_equal(driver_major(f, &file, IRP_MJ_DEVICE_CONTROL), STATUS_INVALID_HANDLE);
    file.FileName = below;
    assert_int_equal(driver_major(f, &file, IRP_MJ_CREATE), STATUS_OBJECT_NAME_NOT_FOUND);
    assert_null(file.FsContext);
}

/* ---- tokens ---- */

static uint32_t try_change(struct driver_fixture *f) VCK_CAN_WAIT
{
    struct fake_call *call = calloc(1, sizeof(*call));
    uint32_t status = send_now(f, call, BOTH, VCK_CODE_DETACH_ALL_VOLUMES, 0, 0);

    free(call);
    return status;
}

static void tokens(void **state) VCK_NO_ANALYSIS
{
    static const struct fake_token nobody = {.level = SecurityImpersonation};
    static const struct fake_token switched_off = {.rids = {544}, .attributes = {0}, .count = 1};
    static const struct fake_token identified = {
        .rids = {544}, .attributes = {7}, .count = 1, .level = SecurityIdentification};
    static const struct {
        const struct fake_token *process;
        const struct fake_token *thread;
        bool is_admin;
    } cases[] = {
        {&driver_admin, NULL, true},
        {&driver_user, NULL, false},
        {&nobody, NULL, false},
        {&switched_off, NULL, false},
        {NULL, NULL, false},
        {&driver_user, &driver_admin, true},
        {&driver_admin, &driver_user, false},
        {&driver_admin, &identified, false},
        {NULL, &driver_admin, true},
    };

    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        fake_system.process = cases[i].process;
        fake_system.thread = cases[i].thread;
        assert_int_equal(try_change(*state), cases[i].is_admin ? 0 : 0xC0000022);
        assert_int_equal(fake_system.handles, 0);
    }
    fake_system.process = &driver_admin;
    fake_system.thread = NULL;
    fake_system.thread_status = STATUS_ACCESS_DENIED;
    assert_int_equal(try_change(*state), 0xC0000022);
    fake_system.thread_status = STATUS_SUCCESS;
}

/* A token that cannot be looked at makes nobody an administrator. */
static void tokens_that_fail(void **state) VCK_NO_ANALYSIS
{
    fake_system.thread = &driver_admin;
    for (uint64_t nth = 1;; nth++) {
        uint32_t status;

        assert_true(nth < 20);
        fake_fail_nth(nth);
        status = try_change(*state);
        if (!fake_has_failed())
            break;
        /* The stack that cannot be had is the other call that may fail. */
        assert_true(status == 0xC0000022 || status == 0xC000009A);
        assert_int_equal(fake_system.handles, 0);
    }
    fake_fail_nth(0);
    fake_system.thread = NULL;
}

/* ---- cancelling ---- */

static void send_bench(struct driver_fixture *f, struct fake_call *call,
                       struct file_object *file) VCK_CAN_WAIT
{
    const struct vck_msg_bench_request request = {.size_bytes = UINT64_C(64) << 30};
    size_t bytes = 0;

    assert_int_equal(vck_message_encode(VCK_MESSAGE_BENCH_REQUEST, &request, call->buffer,
                                        sizeof(call->buffer), &bytes),
                     VCK_OK);
    driver_send(f, call, file, VCK_CODE_BENCH_AES, (uint32_t)bytes, 4096);
    assert_int_equal(call->returned, STATUS_PENDING);
}

#define BENCHES 5

/* More than there are threads: some run, some wait, and every one of them can be cancelled. Who
 * only looks does not wait for them. */
static void cancelled(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;
    struct fake_call *calls = calloc(BENCHES, sizeof(*calls));
    struct file_object file;

    assert_int_equal(driver_open(f, &file, BOTH), STATUS_SUCCESS);
    for (int i = 0; i < BENCHES; i++)
        send_bench(f, &calls[i], &file);
    list(state);
    for (int i = BENCHES; i-- > 0;) {
        (void)IoCancelIrp(calls[i].irp);
        assert_int_equal(fake_call_await(&calls[i]), (uint32_t)STATUS_CANCELLED);
        assert_int_equal(calls[i].information, 0);
    }
    driver_close(f, &file);
    free(calls);
}

/* Nobody waits for what came through a handle that is closed. */
static void closed_while_running(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;
    struct fake_call *calls = calloc(BENCHES, sizeof(*calls));
    struct file_object file;

    assert_int_equal(driver_open(f, &file, BOTH), STATUS_SUCCESS);
    for (int i = 0; i < BENCHES; i++)
        send_bench(f, &calls[i], &file);
    assert_int_equal(driver_major(f, &file, IRP_MJ_CLEANUP), STATUS_SUCCESS);
    for (int i = 0; i < BENCHES; i++)
        assert_int_equal(fake_call_await(&calls[i]), (uint32_t)STATUS_CANCELLED);
    assert_int_equal(driver_major(f, &file, IRP_MJ_CLOSE), STATUS_SUCCESS);
    free(calls);
}

/* The driver ends with requests under way: each is answered. */
static void unloaded_while_running(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;
    struct fake_call *calls = calloc(BENCHES, sizeof(*calls));
    struct file_object file;

    assert_int_equal(driver_open(f, &file, BOTH), STATUS_SUCCESS);
    for (int i = 0; i < BENCHES; i++)
        send_bench(f, &calls[i], &file);
    assert_int_equal(driver_major(f, &file, IRP_MJ_CLOSE), STATUS_SUCCESS);
    driver_unload(f);
    for (int i = 0; i < BENCHES; i++) {
        uint32_t status = fake_call_await(&calls[i]);

        assert_true(status == (uint32_t)STATUS_CANCELLED ||
                    status == (uint32_t)STATUS_DELETE_PENDING);
    }
    free(calls);
    assert_int_equal(driver_load(f), STATUS_SUCCESS);
}

/* Cancelled at every point of its way: answered once, one way or the other. */
static void cancel_races(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = *state;
    struct fake_call *call = calloc(1, sizeof(*call));
    struct file_object file;
    uint32_t answered = 0;

    assert_int_equal(driver_open(f, &file, BOTH), STATUS_SUCCESS);
    call->keeps_irp = true;
    for (int i = 0; i < 3000; i++) {
        uint32_t status;

        driver_send(f, call, &file, VCK_CODE_LIST_VOLUMES, 0, 64);
        for (int turns = i % 60; turns > 0; turns--)
            vck_thread_yield();
        (void)IoCancelIrp(call->irp);
        status = fake_call_await(call);
        IoFreeIrp(call->irp);
        assert_true(status == 0 || status == (uint32_t)STATUS_CANCELLED);
        answered += status == 0;
    }
    print_message("# %u of 3000 were answered before\n", answered);
    driver_close(f, &file);
    free(call);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, driver_set_up, driver_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(load_without_memory),
        cmocka_unit_test(load_without_the_system),
        TEST(closed_until_secured),
        TEST(list),
        TEST(input_is_wiped),
        TEST(nothing_is_truncated),
        TEST(access_of_handles),
        TEST(the_last_error_is_the_handles),
        TEST(other_majors),
        TEST(tokens),
        TEST(tokens_that_fail),
        TEST(cancelled),
        TEST(closed_while_running),
        TEST(unloaded_while_running),
        TEST(cancel_races),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
