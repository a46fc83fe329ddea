/* SPDX-License-Identifier: Apache-2.0 */
#include "driver_fixture.h"

#include <string.h>
#include "vck/bytes.h"
#include "vck/disk_io.h"
#include "vck/prepare.h"
#include "vck/thread.h"
#include "port/nt/disk_lower.h"

const uint8_t driver_key[32] = "what opens the disk of this test";
const struct fake_token driver_admin = {
    .rids = {545, 544}, .attributes = {7, 15}, .count = 2, .level = SecurityImpersonation};
const struct fake_token driver_user = {
    .rids = {545, 544}, .attributes = {7, 0x10}, .count = 2, .level = SecurityImpersonation};

/* ---- programs ---- */

/* The first device of the driver that is no filter: the control device. */
static PDEVICE_OBJECT find_control(const struct driver_fixture *f)
{
    PDEVICE_OBJECT device = f->driver.DeviceObject;

    while (device->NextDevice && device->DeviceExtension)
        device = device->NextDevice;
    return device;
}

NTSTATUS driver_open(struct driver_fixture *f, struct file_object *file, ACCESS_MASK access)
{
    return fake_file_open(f->control, file, access);
}

NTSTATUS driver_major(struct driver_fixture *f, struct file_object *file, UCHAR major)
{
    return fake_file_major(f->control, file, major);
}

void driver_close(struct driver_fixture *f, struct file_object *file)
{
    fake_file_close(f->control, file);
}

void driver_send(struct driver_fixture *f, struct fake_call *call, struct file_object *file,
                 uint32_t code, uint32_t input_bytes, uint32_t output_bytes)
{
    fake_call_begin_control(call, f->control, file, code, input_bytes, output_bytes);
    fake_call_go(call);
}

/* ---- requests ---- */

uint32_t driver_request(struct driver_fixture *f, struct fake_call *call, uint32_t code,
                        const void *message)
{
    struct file_object file;
    size_t bytes = 0;
    uint32_t status;

    assert_int_equal(vck_message_encode(vck_code_find(code)->request, message, call->buffer,
                                        sizeof(call->buffer), &bytes),
                     VCK_OK);
    status = (uint32_t)driver_open(f, &file, FILE_READ_DATA | FILE_WRITE_DATA);
    if (status)
        return status;
    driver_send(f, call, &file, code, (uint32_t)bytes, sizeof(call->buffer));
    status = fake_call_await(call);
    driver_close(f, &file);
    return status;
}

uint32_t driver_path_request(struct driver_fixture *f, struct fake_call *call, uint32_t code,
                             const char *path)
{
    const struct vck_msg_volume_request request = {.volume_path = path};

    return driver_request(f, call, code, &request);
}

uint32_t driver_prepare(struct driver_fixture *f, const char *path, bool is_os_volume)
{
    const struct vck_msg_prepare_request request = {
        .volume_path = path,
        .nt_device_path = "",
        .vmk = {driver_key, sizeof(driver_key)},
        .is_os_volume = is_os_volume,
    };
    struct fake_call *call = calloc(1, sizeof(*call));
    uint32_t status = driver_request(f, call, VCK_CODE_PREPARE, &request);

    free(call);
    return status;
}

struct vck_msg_volume_status driver_status(struct driver_fixture *f, struct fake_call *call,
                                           const char *path)
{
    struct vck_msg_volume_status status;
    struct vck_message_fault fault;

    assert_int_equal(driver_path_request(f, call, VCK_CODE_GET_STATUS, path), STATUS_SUCCESS);
    assert_int_equal(vck_message_decode(VCK_MESSAGE_VOLUME_STATUS, call->buffer, call->information,
                                        &status, &fault),
                     VCK_OK);
    return status;
}

void driver_finish_sweep(struct driver_fixture *f, const char *path)
{
    struct fake_call *call = calloc(1, sizeof(*call));

    while (driver_status(f, call, path).state != VCK_STATE_IDLE)
        vck_thread_sleep(1000000);
    free(call);
}

NTSTATUS driver_write_sector(struct driver_fixture *f, uint64_t offset_bytes)
{
    struct fake_call *call = calloc(1, sizeof(*call));
    PIO_STACK_LOCATION stack = fake_call_begin(call, f->disk->device, NULL, IRP_MJ_WRITE);
    NTSTATUS status;

    memset(call->buffer, 0x5a, 512);
    stack->Parameters.Write.Length = 512;
    stack->Parameters.Write.ByteOffset.QuadPart = (LONGLONG)offset_bytes;
    fake_call_go(call);
    status = (NTSTATUS)fake_call_await(call);
    free(call);
    return status;
}

/* ---- the disk's stack ---- */

struct pnp_call {
    struct fake_call *call;
    PIO_STACK_LOCATION next;
};

static struct pnp_call begin_pnp(struct driver_fixture *f, UCHAR minor)
{
    struct fake_call *call = calloc(1, sizeof(*call));
    PIO_STACK_LOCATION next = fake_call_begin(call, f->disk->device, NULL, IRP_MJ_PNP);

    next->MinorFunction = minor;
    call->irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    call->irp->AssociatedIrp.SystemBuffer = NULL;
    return (struct pnp_call){call, next};
}

static NTSTATUS end_pnp(struct pnp_call pnp) VCK_CAN_WAIT
{
    NTSTATUS status;

    fake_call_go(pnp.call);
    status = (NTSTATUS)fake_call_await(pnp.call);
    free(pnp.call);
    return status;
}

static NTSTATUS pnp(struct driver_fixture *f, UCHAR minor) VCK_CAN_WAIT
{
    return end_pnp(begin_pnp(f, minor));
}

void driver_add_device(struct driver_fixture *f)
{
    assert_int_equal(f->extension.AddDevice(&f->driver, f->disk->device), STATUS_SUCCESS);
    assert_non_null(f->disk->device->AttachedDevice);
}

void driver_start_device(struct driver_fixture *f)
{
    assert_int_equal(pnp(f, IRP_MN_START_DEVICE), STATUS_SUCCESS);
}

NTSTATUS driver_use_device(struct driver_fixture *f, DEVICE_USAGE_NOTIFICATION_TYPE type,
                           bool in_path)
{
    struct pnp_call pnp = begin_pnp(f, IRP_MN_DEVICE_USAGE_NOTIFICATION);

    pnp.next->Parameters.UsageNotification.Type = type;
    pnp.next->Parameters.UsageNotification.InPath = in_path;
    return end_pnp(pnp);
}

void driver_remove_device(struct driver_fixture *f)
{
    assert_int_equal(pnp(f, IRP_MN_REMOVE_DEVICE), STATUS_SUCCESS);
    assert_null(f->disk->device->AttachedDevice);
}

/* ---- up and down ---- */

static void make_volume(struct driver_fixture *f) VCK_CAN_WAIT
{
    const struct vck_prepare_params params = {
        .footer_count = 2,
        .metadata_size_bytes = DRIVER_METADATA_BYTES,
        .sector_size_bytes = 512,
        .vmk = {driver_key, sizeof(driver_key)},
    };
    const struct vck_disk_lower_options options = {0};
    struct vck_prepare_result result;
    enum vck_prepare_fault fault;
    struct vck_disk *disk = NULL;

    assert_int_equal(vck_disk_lower_open(f->disk->device, &options, &disk), VCK_OK);
    assert_int_equal(vck_prepare_volume(disk, &params, &result, &fault), VCK_OK);
    vck_disk_close(disk);
}

void driver_begin(struct driver_fixture *f)
{
    const struct fake_disk_options options = {.size_bytes = DRIVER_DISK_BYTES, .is_buffered = true};

    *f = (struct driver_fixture){.live = vck_alloc_live_count()};
    fake_system_begin();
    fake_system.process = &driver_admin;
    f->disk = fake_disk_create(&options);
    for (size_t i = 0; i < DRIVER_DISK_BYTES; i++)
        f->disk->data[i] = (uint8_t)(i * 7 + (i >> 9));
    make_volume(f);
    f->before = malloc(DRIVER_DISK_BYTES);
    memcpy(f->before, f->disk->data, DRIVER_DISK_BYTES);
    memcpy(f->disk->device->fake_name, DRIVER_DISK_NAME, sizeof(DRIVER_DISK_NAME));
    f->driver.DriverInit = DriverEntry;
    f->driver.DriverExtension = &f->extension;
}

NTSTATUS driver_load(struct driver_fixture *f)
{
    NTSTATUS status = fake_driver_load(&f->driver, DRIVER_SERVICE);

    if (NT_SUCCESS(status)) {
        f->unload = f->driver.DriverUnload;
        f->control = find_control(f);
        fake_system_add_device(DRIVER_DISK_NAME, f->disk->device);
        fake_system_add_link(DRIVER_DISK_LINK, DRIVER_DISK_NAME);
    }
    return status;
}

void driver_unload(struct driver_fixture *f)
{
    fake_driver_unload(&f->driver);
}

void driver_end(struct driver_fixture *f)
{
    assert_null(f->disk->device->AttachedDevice);
    fake_disk_destroy(f->disk);
    free(f->before);
    fake_system_end();
    vck_defer_drain();
    assert_int_equal(fake_live_irps(), 0);
    assert_int_equal(fake_live_devices(), 0);
    assert_int_equal(vck_alloc_live_count(), f->live);
}

int driver_set_up(void **state) VCK_NO_ANALYSIS
{
    struct driver_fixture *f = calloc(1, sizeof(*f));

    driver_begin(f);
    assert_int_equal(driver_load(f), STATUS_SUCCESS);
    *state = f;
    return 0;
}

int driver_tear_down(void **state) VCK_NO_ANALYSIS
{
    driver_unload(*state);
    driver_end(*state);
    free(*state);
    return 0;
}
