/* SPDX-License-Identifier: Apache-2.0 */
/* A filter's life in its stack, and what it answers about the device. */
#include "filter_fixture.h"
#include "products/vcksys/filter_internal.h"
#include "vck/bytes.h"

/* ---- sizes ---- */

static void sizes_are_those_of_the_data_region(void **state) VCK_CAN_WAIT
{
    static const struct {
        ULONG code;
        ULONG at;
        uint64_t value;
    } cases[] = {
        {IOCTL_DISK_GET_LENGTH_INFO, 0, DATA_BYTES},
        {0x00074004, 0, (1 << 20) + METADATA_BYTES},
        {0x00074004, 8, DATA_BYTES},
        {0x00070048, 16, DATA_BYTES},
        {0x002D5140, 16, DATA_BYTES / 512},
        {0x000700A0, 24, DATA_BYTES},
        {IOCTL_DISK_GET_DRIVE_GEOMETRY, 0, DATA_BYTES / 512 / 16},
        {0x00560000, 40, METADATA_BYTES - 65536},
    };
    struct fixture_options options = {.headers = 1, .footers = 1};
    struct fixture f;

    (void)state;
    fixture_begin(&f, &options);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases) * 2; i++) {
        uint8_t buffer[256] = {0};
        size_t at = i / 2;

        f.disk->is_async = i % 2 != 0;
        assert_int_equal(control_now(&f, cases[at].code, buffer, 0, sizeof buffer, NULL),
                         STATUS_SUCCESS);
        assert_int_equal(vck_load_le64(buffer + cases[at].at), cases[at].value);
    }
    fixture_end(&f);
}

static void short_answers_stay_short(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    uint8_t buffer[256];
    uint8_t none[256] = {0};
    ULONG_PTR information;

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    f.disk->answer_limit = 12;
    memset(buffer, 0, sizeof buffer);
    assert_int_equal(control_now(&f, 0x00074004, buffer, 0, 256, &information),
                     STATUS_BUFFER_OVERFLOW);
    assert_int_equal(information, 12);
    assert_memory_equal(buffer + 12, none, sizeof buffer - 12);
    f.disk->answer_limit = 0;
    assert_int_equal(control_now(&f, IOCTL_DISK_GET_LENGTH_INFO, buffer, 0, 7, &information),
                     STATUS_BUFFER_TOO_SMALL);
    assert_int_equal(information, 0);
    fixture_end(&f);
}

static void places_are_translated(void **state) VCK_CAN_WAIT
{
    struct fixture_options options = {.headers = 1};
    struct fixture f;
    uint8_t buffer[64] = {0};

    (void)state;
    fixture_begin(&f, &options);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    vck_store_le64(buffer, 4096);
    assert_int_equal(control_now(&f, 0x00560020, buffer, 8, 64, NULL), STATUS_SUCCESS);
    assert_int_equal(vck_load_le64(buffer + 16), METADATA_BYTES + 4096);
    vck_store_le64(buffer + 8, METADATA_BYTES + 512);
    assert_int_equal(control_now(&f, 0x00560024, buffer, 16, 64, NULL), STATUS_SUCCESS);
    assert_int_equal(vck_load_le64(buffer), 512);
    vck_store_le64(buffer + 8, 512);
    assert_int_equal(control_now(&f, 0x00560024, buffer, 16, 64, NULL), STATUS_INVALID_PARAMETER);
    vck_store_le64(buffer, 8192);
    vck_store_le32(buffer + 8, 512);
    assert_int_equal(control_now(&f, 0x00070014, buffer, 12, 0, NULL), STATUS_SUCCESS);
    assert_int_equal(f.disk->verified_offset, METADATA_BYTES + 8192);
    vck_store_le64(buffer, DATA_BYTES);
    assert_int_equal(control_now(&f, 0x00070014, buffer, 12, 0, NULL), STATUS_NONEXISTENT_SECTOR);
    assert_int_equal(control_now(&f, 0x00070014, NULL, 0, 0, NULL), (NTSTATUS)0xC0000206);
    fixture_end(&f);
}

static void ways_around_the_volume_are_closed(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    uint8_t buffer[64] = {0};

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(control_now(&f, 0x0004D004, buffer, 64, 64, NULL),
                     STATUS_INVALID_DEVICE_REQUEST);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    assert_int_equal(control_now(&f, 0x0004D004, buffer, 64, 64, NULL), STATUS_NOT_SUPPORTED);
    fixture_end(&f);
}

/* ---- out of the stack ---- */

static void detach_entry(void *context) VCK_NO_ANALYSIS
{
    VCK_ASSERT(filter_detach(context) == VCK_OK);
}

static void wait_until_run_down(struct vck_rundown *rundown) VCK_CAN_WAIT
{
    while (vck_rundown_acquire(rundown)) {
        vck_rundown_release(rundown);
        vck_thread_yield();
    }
}

/* Who has found the filter in the stack just before it leaves reaches the device below. */
static void late_requests_are_passed_on(void **state) VCK_CAN_WAIT
{
    static const UCHAR majors[] = {IRP_MJ_CLOSE, IRP_MJ_SHUTDOWN, IRP_MJ_FLUSH_BUFFERS};
    struct filter *filter = NULL;
    struct vck_thread *thread = NULL;
    struct fixture f;

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(filter_attach_to(f.disk->device, &filter), VCK_OK);
    assert_true(vck_rundown_acquire(&filter->dispatches));
    assert_int_equal(vck_thread_create(detach_entry, filter, VCK_THREAD_NORMAL, "detach", &thread),
                     VCK_OK);
    wait_until_run_down(&filter->dispatches);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(majors); i++) {
        uint32_t before = f.disk->counts[majors[i]];
        struct sent sent = {0};

        (void)sent_begin(&f, &sent, majors[i]);
        (void)IoCallDriver(filter_device(filter), sent.irp);
        assert_int_equal(sent_await(&sent), STATUS_SUCCESS);
        assert_int_equal(f.disk->counts[majors[i]], before + 1);
    }
    vck_rundown_release(&filter->dispatches);
    vck_thread_join(thread);
    fixture_end(&f);
}

/* ---- start and removal ---- */

static void volumes_are_bound_before_start_completes(void **state) VCK_CAN_WAIT
{
    struct fixture f;

    (void)state;
    fixture_begin(&f, NULL);
    f.binds_on_start = true;
    f.disk->is_async = true;
    f.disk->start_status = STATUS_UNSUCCESSFUL;
    assert_int_equal(pnp_now(&f, IRP_MN_START_DEVICE), STATUS_UNSUCCESSFUL);
    assert_int_equal(f.starts, 0);
    f.disk->start_status = STATUS_SUCCESS;
    assert_int_equal(pnp_now(&f, IRP_MN_START_DEVICE), STATUS_SUCCESS);
    assert_int_equal(f.starts, 1);
    assert_non_null(f.volume);
    check_all(&f);
    fixture_end(&f);
}

static void surprise_removal_ends_the_volume(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    uint8_t buffer[512];

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    f.disk->fail_status = STATUS_NO_SUCH_DEVICE;
    f.disk->fail_in = 1;
    assert_int_equal(transfer_now(&f, IRP_MJ_READ, 0, buffer, 512, NULL), STATUS_NO_SUCH_DEVICE);
    assert_int_equal(pnp_now(&f, IRP_MN_SURPRISE_REMOVAL), STATUS_SUCCESS);
    assert_int_equal(f.surprises, 1);
    assert_null(f.volume);
    fixture_end(&f);
    assert_int_equal(f.removals, 1);
}

static void remove_thread(void *context) VCK_NO_ANALYSIS
{
    struct fixture *f = context;

    assert_int_equal(pnp_now(f, IRP_MN_REMOVE_DEVICE), STATUS_SUCCESS);
}

static void removal_waits_for_requests_and_references(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    struct filter *other;
    struct sent sent[4] = {0};
    struct vck_thread *thread;
    uint8_t buffers[4][512];

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    assert_int_equal(filter_find_by_volume(f.volume, &other), VCK_OK);
    fake_disk_hold(f.disk);
    for (uint32_t i = 0; i < 4; i++)
        send_transfer(&f, &sent[i], IRP_MJ_READ, i * 512, buffers[i], 512, 0);
    fake_disk_await(f.disk, 4);
    assert_int_equal(vck_thread_create(remove_thread, &f, VCK_THREAD_NORMAL, "remove", &thread),
                     VCK_OK);
    while ((__atomic_load_n(&other->bound.word, __ATOMIC_ACQUIRE) & 1) == 0)
        vck_thread_yield();
    fake_disk_release(f.disk);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(sent_await(&sent[i]), STATUS_SUCCESS);
    while ((__atomic_load_n(&other->holders.word, __ATOMIC_ACQUIRE) & 1) == 0)
        vck_thread_yield();
    assert_false(filter_reference(other));
    assert_int_equal(filter_at(0, &f.filter), VCK_OUT_OF_RANGE);
    filter_release(other);
    vck_thread_join(thread);
    fixture_end(&f);
}

static void stopping_is_refused_while_the_system_uses_it(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    struct sent sent = {0};

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(pnp_now(&f, IRP_MN_QUERY_REMOVE_DEVICE), STATUS_SUCCESS);
    sent_begin(&f, &sent, IRP_MJ_PNP)->MinorFunction = IRP_MN_DEVICE_USAGE_NOTIFICATION;
    IoGetNextIrpStackLocation(sent.irp)->Parameters.UsageNotification.Type = DeviceUsageTypePaging;
    IoGetNextIrpStackLocation(sent.irp)->Parameters.UsageNotification.InPath = TRUE;
    sent_go(&f, &sent);
    assert_int_equal(sent_await(&sent), STATUS_SUCCESS);
    assert_int_equal(pnp_now(&f, IRP_MN_QUERY_REMOVE_DEVICE), STATUS_UNSUCCESSFUL);
    assert_int_equal(pnp_now(&f, IRP_MN_QUERY_STOP_DEVICE), STATUS_UNSUCCESSFUL);
    fixture_end(&f);
}

/* ---- paging, hibernation and dump files ---- */

static NTSTATUS notify(struct fixture *f, DEVICE_USAGE_NOTIFICATION_TYPE type,
                       bool in_path) VCK_CAN_WAIT
{
    struct sent sent = {0};
    PIO_STACK_LOCATION next = sent_begin(f, &sent, IRP_MJ_PNP);

    next->MinorFunction = IRP_MN_DEVICE_USAGE_NOTIFICATION;
    next->Parameters.UsageNotification.Type = type;
    next->Parameters.UsageNotification.InPath = in_path;
    sent_go(f, &sent);
    return sent_await(&sent);
}

static void files_that_bypass_filters_are_refused(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    struct filter_usage usage;

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    assert_int_equal(notify(&f, DeviceUsageTypeHibernation, true), STATUS_SUCCESS);
    assert_int_equal(notify(&f, DeviceUsageTypePaging, true), STATUS_SUCCESS);
    assert_int_equal(notify(&f, DeviceUsageTypePaging, true), STATUS_SUCCESS);
    f.disk->start_status = STATUS_UNSUCCESSFUL;
    assert_int_equal(notify(&f, DeviceUsageTypeBoot, true), STATUS_UNSUCCESSFUL);
    f.disk->start_status = STATUS_SUCCESS;
    filter_get_usage(f.filter, &usage);
    assert_int_equal(usage.hibernation, 1);
    assert_int_equal(usage.paging, 2);
    assert_int_equal(usage.boot, 0);
    assert_int_equal(notify(&f, DeviceUsageTypeHibernation, false), STATUS_SUCCESS);
    fixture_encrypt(&f);
    assert_int_equal(notify(&f, DeviceUsageTypeHibernation, true), STATUS_UNSUCCESSFUL);
    assert_int_equal(notify(&f, DeviceUsageTypeDumpFile, true), STATUS_UNSUCCESSFUL);
    assert_int_equal(notify(&f, DeviceUsageTypePaging, false), STATUS_SUCCESS);
    filter_get_usage(f.filter, &usage);
    assert_int_equal(usage.hibernation, 0);
    assert_int_equal(usage.dump, 0);
    assert_int_equal(usage.paging, 1);
    filter_set_write_refusal(f.filter, true);
    fixture_unbind(&f);
    assert_int_equal(notify(&f, DeviceUsageTypeDumpFile, true), STATUS_UNSUCCESSFUL);
    fixture_end(&f);
}

/* ---- everything else ---- */

static void other_requests_pass(void **state) VCK_CAN_WAIT
{
    static const UCHAR majors[] = {IRP_MJ_CREATE,   IRP_MJ_CLEANUP, IRP_MJ_CLOSE,
                                   IRP_MJ_SHUTDOWN, IRP_MJ_POWER,   IRP_MJ_SYSTEM_CONTROL};
    struct fixture f;

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(majors) * 2; i++) {
        f.disk->is_async = i % 2 != 0;
        assert_int_equal(simple_now(&f, majors[i / 2]), STATUS_SUCCESS);
        assert_int_equal(f.disk->counts[majors[i / 2]], i % 2 + 1);
    }
    fixture_end(&f);
}

static void filters_look_like_what_they_cover(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    PDEVICE_OBJECT device;

    (void)state;
    fixture_begin(&f, NULL);
    device = filter_device(f.filter);
    assert_true(filter_is_device(device));
    assert_false(filter_is_device(f.disk->device));
    assert_ptr_equal(filter_lower_device(f.filter), f.disk->device);
    assert_int_equal(device->Flags, DO_DIRECT_IO | DO_POWER_PAGABLE);
    assert_int_equal(device->Characteristics, FILE_REMOVABLE_MEDIA | FILE_DEVICE_SECURE_OPEN);
    assert_int_equal(device->DeviceType, FILE_DEVICE_DISK);
    /* What the device below only knows once it has started. */
    f.disk->device->AlignmentRequirement = 511;
    assert_int_equal(pnp_now(&f, IRP_MN_START_DEVICE), STATUS_SUCCESS);
    assert_int_equal(device->AlignmentRequirement, 511);
    fixture_end(&f);
}

static void filters_come_and_go_by_request(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    struct filter *second;
    struct filter *found;
    UNICODE_STRING name;

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(filter_attach_to(f.disk->device, &second), VCK_OK);
    assert_false(filter_is_permanent(second));
    assert_ptr_equal(filter_lower_device(second), filter_device(f.filter));
    assert_int_equal(filter_at(1, &found), VCK_OK);
    assert_ptr_equal(found, second);
    filter_release(found);
    assert_int_equal(filter_detach(f.filter), VCK_UNSUPPORTED);
    assert_int_equal(filter_detach(second), VCK_OK);
    RtlInitUnicodeString(&name, u"\\DEVICE\\fakedisk0");
    assert_int_equal(filter_find_by_name(&name, &found), VCK_OK);
    assert_ptr_equal(found, f.filter);
    filter_release(found);
    RtlInitUnicodeString(&name, u"\\Device\\FakeDisk");
    assert_int_equal(filter_find_by_name(&name, &found), VCK_NOT_FOUND);
    fixture_end(&f);
}

static void bound_filters_stay(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    struct filter *permanent;
    struct vck_disk *disk;
    struct vck_volume *volume;

    (void)state;
    fixture_begin(&f, NULL);
    permanent = f.filter;
    assert_int_equal(filter_attach_to(f.disk->device, &f.filter), VCK_OK);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    assert_int_equal(filter_detach(f.filter), VCK_BUSY);
    assert_int_equal(filter_bind(f.filter, f.volume), VCK_ALREADY_EXISTS);
    assert_int_equal(filter_open_disk(f.filter, &disk), VCK_BUSY);
    volume = filter_get_volume(f.filter);
    assert_ptr_equal(volume, f.volume);
    vck_volume_release(volume);
    check_all(&f);
    fixture_unbind(&f);
    assert_null(filter_get_volume(f.filter));
    assert_int_equal(filter_detach(f.filter), VCK_OK);
    f.filter = permanent;
    fixture_end(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_the_data_region),
        cmocka_unit_test(short_answers_stay_short),
        cmocka_unit_test(places_are_translated),
        cmocka_unit_test(ways_around_the_volume_are_closed),
        cmocka_unit_test(late_requests_are_passed_on),
        cmocka_unit_test(volumes_are_bound_before_start_completes),
        cmocka_unit_test(surprise_removal_ends_the_volume),
        cmocka_unit_test(removal_waits_for_requests_and_references),
        cmocka_unit_test(stopping_is_refused_while_the_system_uses_it),
        cmocka_unit_test(files_that_bypass_filters_are_refused),
        cmocka_unit_test(other_requests_pass),
        cmocka_unit_test(filters_look_like_what_they_cover),
        cmocka_unit_test(filters_come_and_go_by_request),
        cmocka_unit_test(bound_filters_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
