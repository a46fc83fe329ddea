/* SPDX-License-Identifier: Apache-2.0 */
#include "filter_fixture.h"
#include "vck/bytes.h"
#include "vck/disk_io.h"
#include "vck/prepare.h"

static const uint8_t vmk_bytes[32] = "the key of every volume in here";
static const struct vck_bytes vmk = {vmk_bytes, sizeof vmk_bytes};

void fill_bytes(uint8_t *p, size_t size_bytes, uint32_t seed)
{
    for (size_t i = 0; i < size_bytes; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (uint8_t)(seed >> 24);
    }
}

/* ---- requests ---- */

static void on_done(void *context, PIRP irp)
{
    struct sent *sent = context;

    sent->status = irp->IoStatus.Status;
    sent->information = irp->IoStatus.Information;
    irp->MdlAddress = NULL;
    if (sent->mdl)
        fake_mdl_free(sent->mdl);
    if (!sent->keeps_irp)
        IoFreeIrp(irp);
    sent->completed_by = vck_thread_id();
    sent->completions++;
    vck_event_set(&sent->done);
}

static PDEVICE_OBJECT top_of(struct fixture *f)
{
    PDEVICE_OBJECT top = IoGetAttachedDeviceReference(f->disk->device);

    ObDereferenceObject(top);
    return top;
}

PIO_STACK_LOCATION sent_begin(struct fixture *f, struct sent *sent, UCHAR major)
{
    bool keeps_irp = sent->keeps_irp;

    *sent = (struct sent){.requestor = {.done = on_done, .context = sent}, .keeps_irp = keeps_irp};
    vck_event_init(&sent->done);
    sent->irp = fake_irp_create(f->disk->device, &sent->requestor);
    sent->irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    IoGetNextIrpStackLocation(sent->irp)->MajorFunction = major;
    return IoGetNextIrpStackLocation(sent->irp);
}

void sent_go(struct fixture *f, struct sent *sent)
{
    sent->returned = IoCallDriver(top_of(f), sent->irp);
}

NTSTATUS sent_await(struct sent *sent)
{
    vck_event_wait(&sent->done, VCK_FOREVER);
    vck_event_fini(&sent->done);
    assert_int_equal(sent->completions, 1);
    if (sent->returned != STATUS_PENDING)
        assert_int_equal(sent->returned, sent->status);
    return sent->status;
}

void send_transfer(struct fixture *f, struct sent *sent, UCHAR major, uint64_t offset_bytes,
                   void *buffer, uint32_t size_bytes, UCHAR stack_flags)
{
    PIO_STACK_LOCATION next = sent_begin(f, sent, major);

    next->Flags = stack_flags;
    next->Parameters.Read.Length = size_bytes;
    next->Parameters.Read.ByteOffset.QuadPart = (LONGLONG)offset_bytes;
    if (top_of(f)->Flags & DO_DIRECT_IO) {
        sent->mdl = size_bytes ? fake_mdl_create(buffer, size_bytes) : NULL;
        sent->irp->MdlAddress = sent->mdl;
    } else {
        sent->irp->AssociatedIrp.SystemBuffer = buffer;
    }
    sent_go(f, sent);
}

NTSTATUS transfer_now(struct fixture *f, UCHAR major, uint64_t offset_bytes, void *buffer,
                      uint32_t size_bytes, ULONG_PTR *ret_information)
{
    struct sent sent = {0};

    send_transfer(f, &sent, major, offset_bytes, buffer, size_bytes, 0);
    sent_await(&sent);
    if (ret_information)
        *ret_information = sent.information;
    return sent.status;
}

NTSTATUS control_now(struct fixture *f, ULONG code, void *buffer, ULONG input_bytes,
                     ULONG output_bytes, ULONG_PTR *ret_information)
{
    struct sent sent = {0};
    PIO_STACK_LOCATION next = sent_begin(f, &sent, IRP_MJ_DEVICE_CONTROL);

    next->Parameters.DeviceIoControl.IoControlCode = code;
    next->Parameters.DeviceIoControl.InputBufferLength = input_bytes;
    next->Parameters.DeviceIoControl.OutputBufferLength = output_bytes;
    sent.irp->AssociatedIrp.SystemBuffer = buffer;
    sent_go(f, &sent);
    sent_await(&sent);
    if (ret_information)
        *ret_information = sent.information;
    return sent.status;
}

NTSTATUS pnp_now(struct fixture *f, UCHAR minor)
{
    struct sent sent = {0};

    sent_begin(f, &sent, IRP_MJ_PNP)->MinorFunction = minor;
    sent_go(f, &sent);
    return sent_await(&sent);
}

NTSTATUS simple_now(struct fixture *f, UCHAR major)
{
    struct sent sent = {0};

    (void)sent_begin(f, &sent, major);
    sent_go(f, &sent);
    return sent_await(&sent);
}

void check_all(struct fixture *f)
{
    uint8_t *got = malloc(f->data_bytes);
    ULONG_PTR information = 0;

    assert_int_equal(transfer_now(f, IRP_MJ_READ, 0, got, (uint32_t)f->data_bytes, &information),
                     STATUS_SUCCESS);
    assert_int_equal(information, f->data_bytes);
    assert_memory_equal(got, f->expected, f->data_bytes);
    free(got);
}

/* ---- the driver ---- */

static vck_status attach_volume(struct fixture *f) VCK_CAN_WAIT
{
    struct vck_volume_options options = {
        .path = "fake",
        .vmk = vmk,
        .batch_bytes = 65536,
        .executor = f->executor,
    };
    struct vck_disk *disk = NULL;
    vck_status status = filter_open_disk(f->filter, &disk);

    if (status)
        return status;
    status = vck_volume_attach(disk, &options, &f->volume);
    if (status) {
        f->volume = NULL;
        vck_disk_close(disk);
    }
    return status;
}

vck_status fixture_bind(struct fixture *f)
{
    vck_status status = attach_volume(f);

    if (status)
        return status;
    status = filter_bind(f->filter, f->volume);
    if (status) {
        (void)vck_volume_detach(f->volume);
        f->volume = NULL;
    }
    return status;
}

void fixture_unbind(struct fixture *f)
{
    filter_unbind(f->filter);
    (void)vck_volume_detach(f->volume);
    f->volume = NULL;
}

void fixture_encrypt(struct fixture *f)
{
    struct vck_volume_status status;

    assert_int_equal(vck_volume_start(f->volume, VCK_ENCRYPTING), VCK_OK);
    do {
        vck_thread_yield();
        vck_volume_query(f->volume, &status);
    } while (status.state != VCK_STATE_IDLE);
    assert_int_equal(status.encrypted_sectors, status.total_sectors);
}

static void on_started(void *context, struct filter *filter) VCK_NO_ANALYSIS
{
    struct fixture *f = context;

    assert_ptr_equal(filter, f->filter);
    f->starts++;
    if (f->binds_on_start)
        assert_int_equal(fixture_bind(f), VCK_OK);
}

static void on_removing(void *context, struct filter *filter, bool surprise) VCK_NO_ANALYSIS
{
    struct fixture *f = context;

    assert_ptr_equal(filter, f->filter);
    *(surprise ? &f->surprises : &f->removals) += 1;
    if (f->volume)
        fixture_unbind(f);
    if (!surprise) {
        filter_release(f->filter);
        f->filter = NULL;
    }
}

static void begin_driver(struct fixture *f) VCK_CAN_WAIT
{
    struct vck_executor_options workers = {.workers = 2};
    struct filter_options options = {
        .driver = &f->driver,
        .hooks = {.started = on_started, .removing = on_removing, .context = f},
        .lanes = f->options.lanes,
    };

    assert_int_equal(vck_executor_create(&workers, &f->executor), VCK_OK);
    options.executor = f->executor;
    f->driver.DriverExtension = &f->extension;
    f->extension.AddDevice = filter_add_device;
    for (int i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        f->driver.MajorFunction[i] = filter_dispatch;
    filter_start(&options);
}

/* ---- the disk ---- */

static void prepare(struct fixture *f) VCK_CAN_WAIT
{
    struct vck_prepare_params params = {
        .header_count = f->options.headers,
        .footer_count = f->options.footers,
        .metadata_size_bytes = METADATA_BYTES,
        .sector_size_bytes = f->options.sector_size_bytes,
        .single_replica = true,
        .vmk = vmk,
    };
    struct vck_prepare_result result;
    enum vck_prepare_fault fault;
    struct vck_disk *disk;

    assert_int_equal(filter_open_disk(f->filter, &disk), VCK_OK);
    assert_int_equal(vck_prepare_volume(disk, &params, &result, &fault), VCK_OK);
    vck_disk_close(disk);
}

static void begin_disk(struct fixture *f)
{
    struct fake_disk_options options = {
        .sector_size_bytes = f->options.sector_size_bytes,
        .is_buffered = f->options.is_buffered,
        .cannot_trim = f->options.cannot_trim,
    };

    f->data_bytes = f->options.data_bytes;
    f->data_start = (uint64_t)f->options.headers * METADATA_BYTES;
    options.size_bytes =
        f->data_start + f->data_bytes + (uint64_t)f->options.footers * METADATA_BYTES;
    f->disk = fake_disk_create(&options);
    f->expected = malloc(f->data_bytes);
    fill_bytes(f->expected, f->data_bytes, 7);
    memcpy(f->disk->data + f->data_start, f->expected, f->data_bytes);
}

void fixture_begin(struct fixture *f, const struct fixture_options *options)
{
    *f = (struct fixture){.live = vck_alloc_live_count()};
    if (options)
        f->options = *options;
    if (f->options.data_bytes == 0)
        f->options.data_bytes = DATA_BYTES;
    if (f->options.sector_size_bytes == 0)
        f->options.sector_size_bytes = 512;
    if (f->options.headers == 0 && f->options.footers == 0)
        f->options.footers = 2;
    begin_disk(f);
    begin_driver(f);
    assert_int_equal(f->extension.AddDevice(&f->driver, f->disk->device), STATUS_SUCCESS);
    assert_int_equal(filter_find(f->disk->device, &f->filter), VCK_OK);
    prepare(f);
}

void fixture_end(struct fixture *f)
{
    if (f->filter)
        assert_int_equal(pnp_now(f, IRP_MN_REMOVE_DEVICE), STATUS_SUCCESS);
    assert_null(f->filter);
    filter_stop();
    vck_executor_destroy(f->executor);
    fake_disk_destroy(f->disk);
    free(f->expected);
    vck_defer_drain();
    assert_int_equal(fake_live_irps(), 0);
    assert_int_equal(fake_live_devices(), 0);
    assert_int_equal(vck_alloc_live_count(), f->live);
}
