/* SPDX-License-Identifier: Apache-2.0 */
/* Reads, writes, flushes and trims through a filter. */
#include "filter_fixture.h"
#include "products/vcksys/filter_internal.h"
#include "vck/bytes.h"

#define IOCTL_TRIM IOCTL_STORAGE_MANAGE_DATA_SET_ATTRIBUTES

static void an_unbound_filter_passes(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    uint8_t buffer[1024];
    ULONG_PTR information = 0;

    (void)state;
    fixture_begin(&f, NULL);
    fill_bytes(buffer, sizeof buffer, 3);
    assert_int_equal(transfer_now(&f, IRP_MJ_WRITE, 512, buffer, 1024, &information),
                     STATUS_SUCCESS);
    assert_int_equal(information, 1024);
    assert_memory_equal(f.disk->data + 512, buffer, 1024);
    memset(buffer, 0, sizeof buffer);
    assert_int_equal(transfer_now(&f, IRP_MJ_READ, 512, buffer, 1024, NULL), STATUS_SUCCESS);
    assert_memory_equal(f.disk->data + 512, buffer, 1024);
    fixture_end(&f);
}

static void check_round_trip(const struct fixture_options *options) VCK_CAN_WAIT
{
    struct fixture f;
    uint8_t *data = malloc(300000 / 4096 * 4096);
    uint8_t *copy = malloc(300000 / 4096 * 4096);
    uint32_t size = 300000 / 4096 * 4096;
    ULONG_PTR information = 0;

    fixture_begin(&f, options);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    check_all(&f);
    fixture_encrypt(&f);
    check_all(&f);
    fill_bytes(data, size, 5);
    memcpy(copy, data, size);
    memcpy(f.expected + 8192, data, size);
    assert_int_equal(transfer_now(&f, IRP_MJ_WRITE, 8192, data, size, &information),
                     STATUS_SUCCESS);
    assert_int_equal(information, size);
    assert_memory_equal(data, copy, size);
    assert_memory_not_equal(f.disk->data + f.data_start + 8192, data, 512);
    check_all(&f);
    assert_int_equal(simple_now(&f, IRP_MJ_FLUSH_BUFFERS), STATUS_SUCCESS);
    fixture_unbind(&f);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    check_all(&f);
    free(data);
    free(copy);
    fixture_end(&f);
}

static void a_bound_filter_encrypts(void **state) VCK_CAN_WAIT
{
    static const struct fixture_options cases[] = {
        {0},
        {.sector_size_bytes = 4096},
        {.headers = 1, .footers = 1},
        {.is_buffered = true},
        {.data_bytes = 5 << 20, .headers = 2},
    };

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++)
        check_round_trip(&cases[i]);
}

static void asynchronous_disks_do_as_well(void **state) VCK_CAN_WAIT
{
    struct fixture f;

    (void)state;
    fixture_begin(&f, NULL);
    f.disk->is_async = true;
    f.disk->is_reordering = true;
    assert_int_equal(fixture_bind(&f), VCK_OK);
    check_all(&f);
    fixture_encrypt(&f);
    check_all(&f);
    assert_int_equal(simple_now(&f, IRP_MJ_FLUSH_BUFFERS), STATUS_SUCCESS);
    fixture_end(&f);
}

static void statuses_are_exact(void **state) VCK_CAN_WAIT
{
    static const struct {
        uint64_t offset;
        uint32_t size;
        NTSTATUS status;
    } cases[] = {
        {0, 511, STATUS_INVALID_PARAMETER},
        {100, 512, STATUS_INVALID_PARAMETER},
        {DATA_BYTES, 512, STATUS_NONEXISTENT_SECTOR},
        {DATA_BYTES - 512, 1024, STATUS_NONEXISTENT_SECTOR},
        {UINT64_MAX - 511, 512, STATUS_NONEXISTENT_SECTOR},
        {0, 0, STATUS_SUCCESS},
        {DATA_BYTES - 512, 512, STATUS_SUCCESS},
    };
    struct fixture f;
    uint8_t buffer[1024] = {0};

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases) * 2; i++) {
        ULONG_PTR information = 77;
        size_t at = i / 2;
        UCHAR major = i % 2 ? IRP_MJ_WRITE : IRP_MJ_READ;

        assert_int_equal(
            transfer_now(&f, major, cases[at].offset, buffer, cases[at].size, &information),
            cases[at].status);
        assert_int_equal(information, NT_SUCCESS(cases[at].status) ? cases[at].size : 0);
    }
    fixture_end(&f);
}

static void failures_below_come_up_unchanged(void **state) VCK_CAN_WAIT
{
    static const NTSTATUS failures[] = {STATUS_VERIFY_REQUIRED, STATUS_IO_DEVICE_ERROR,
                                        STATUS_NO_SUCH_DEVICE, STATUS_MEDIA_WRITE_PROTECTED};
    struct fixture f;
    uint8_t buffer[4096] = {0};
    ULONG_PTR information;

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(failures) * 2; i++) {
        f.disk->fail_status = failures[i / 2];
        f.disk->fail_in = 1;
        information = 77;
        assert_int_equal(
            transfer_now(&f, i % 2 ? IRP_MJ_WRITE : IRP_MJ_READ, 0, buffer, 4096, &information),
            failures[i / 2]);
        assert_int_equal(information, 0);
    }
    f.disk->short_in = 1;
    assert_int_equal(transfer_now(&f, IRP_MJ_READ, 0, buffer, 4096, &information),
                     STATUS_UNEXPECTED_IO_ERROR);
    assert_int_equal(information, 0);
    f.disk->fail_status = STATUS_IO_DEVICE_ERROR;
    f.disk->fail_in = 1;
    assert_int_equal(simple_now(&f, IRP_MJ_FLUSH_BUFFERS), STATUS_IO_DEVICE_ERROR);
    fixture_end(&f);
}

/* A 5 MiB read goes down in one IRP, or in 1 MiB pieces when there is no memory for its MDL. */
static void large_requests_need_no_memory(void **state) VCK_CAN_WAIT
{
    static const struct fixture_options options = {.data_bytes = 5 << 20};
    struct fixture f;
    uint32_t before;

    (void)state;
    fixture_begin(&f, &options);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    before = f.disk->counts[IRP_MJ_READ];
    check_all(&f);
    assert_int_equal(f.disk->counts[IRP_MJ_READ] - before, 1);
    before = f.disk->counts[IRP_MJ_READ];
    f.disk->is_async = true;
    vck_alloc_fail_nth(1);
    check_all(&f);
    assert_int_equal(f.disk->counts[IRP_MJ_READ] - before, 5);
    vck_alloc_fail_nth(0);
    fixture_end(&f);
}

static void requests_below_say_whose_they_are(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    uint8_t buffer[512] = {0};
    struct sent sent = {0};
    PIO_STACK_LOCATION next;

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    next = sent_begin(&f, &sent, IRP_MJ_WRITE);
    next->Flags = SL_WRITE_THROUGH | SL_OVERRIDE_VERIFY_VOLUME | SL_FORCE_DIRECT_WRITE;
    next->Parameters.Write.Length = 512;
    sent.irp->MdlAddress = sent.mdl = fake_mdl_create(buffer, 512);
    sent.irp->Flags = IRP_NOCACHE | IRP_PAGING_IO | IRP_SYNCHRONOUS_PAGING_IO;
    sent.irp->Tail.Overlay.Thread = (PETHREAD)&f;
    sent.irp->fake_priority = 3;
    sent_go(&f, &sent);
    assert_int_equal(sent_await(&sent), STATUS_SUCCESS);
    assert_int_equal(f.disk->write.stack_flags,
                     SL_WRITE_THROUGH | SL_OVERRIDE_VERIFY_VOLUME | SL_FORCE_DIRECT_WRITE);
    assert_int_equal(f.disk->write.irp_flags,
                     IRP_NOCACHE | IRP_PAGING_IO | IRP_SYNCHRONOUS_PAGING_IO);
    assert_ptr_equal(f.disk->write.thread, &f);
    assert_int_equal(f.disk->write.priority, 3);
    send_transfer(&f, &sent, IRP_MJ_READ, 0, buffer, 512, SL_OVERRIDE_VERIFY_VOLUME);
    assert_int_equal(sent_await(&sent), STATUS_SUCCESS);
    assert_int_equal(f.disk->read.stack_flags, SL_OVERRIDE_VERIFY_VOLUME);
    fixture_end(&f);
}

static void several_are_in_flight(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    struct sent sent[32] = {0};
    uint8_t *buffers = malloc(32 * 4096);

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    fake_disk_hold(f.disk);
    for (uint32_t i = 0; i < 32; i++)
        send_transfer(&f, &sent[i], IRP_MJ_READ, i * 8192, buffers + i * 4096, 4096, 0);
    fake_disk_await(f.disk, 32);
    fake_disk_release(f.disk);
    for (uint32_t i = 0; i < 32; i++) {
        assert_int_equal(sent_await(&sent[i]), STATUS_SUCCESS);
        assert_memory_equal(buffers + i * 4096, f.expected + i * 8192, 4096);
    }
    free(buffers);
    fixture_end(&f);
}

static void requests_may_come_at_dispatch(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    struct sent sent[2] = {0};
    uint8_t buffers[2][512];

    (void)state;
    fixture_begin(&f, NULL);
    f.disk->is_async = true;
    assert_int_equal(fixture_bind(&f), VCK_OK);
    fixture_encrypt(&f);
    memcpy(buffers[0], f.expected + 512, 512);
    fake_raise();
    send_transfer(&f, &sent[0], IRP_MJ_WRITE, 512, buffers[0], 512, 0);
    send_transfer(&f, &sent[1], IRP_MJ_READ, 1024, buffers[1], 512, 0);
    fake_lower();
    assert_int_equal(sent_await(&sent[0]), STATUS_SUCCESS);
    assert_int_equal(sent_await(&sent[1]), STATUS_SUCCESS);
    assert_memory_equal(buffers[1], f.expected + 1024, 512);
    check_all(&f);
    fixture_end(&f);
}

static void what_is_queued_can_be_cancelled(void **state) VCK_CAN_WAIT
{
    static const struct fixture_options options = {.lanes = 2};
    struct fixture f;
    struct sent sent[8] = {0};
    uint8_t buffers[8][512];

    (void)state;
    fixture_begin(&f, &options);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    fake_disk_hold(f.disk);
    for (uint32_t i = 0; i < 8; i++) {
        sent[i].keeps_irp = true;
        send_transfer(&f, &sent[i], IRP_MJ_READ, i * 512, buffers[i], 512, 0);
        if (i == 1)
            fake_disk_await(f.disk, 2);
    }
    assert_false(IoCancelIrp(sent[0].irp));
    for (uint32_t i = 2; i < 8; i += 2)
        assert_true(IoCancelIrp(sent[i].irp));
    fake_disk_release(f.disk);
    for (uint32_t i = 0; i < 8; i++) {
        bool is_cancelled = i >= 2 && i % 2 == 0;

        assert_int_equal(sent_await(&sent[i]), is_cancelled ? STATUS_CANCELLED : STATUS_SUCCESS);
        assert_int_equal(sent[i].information, is_cancelled ? 0 : 512);
        IoFreeIrp(sent[i].irp);
    }
    fixture_end(&f);
}

/* ---- the end of a binding ---- */

struct unbinding {
    struct fixture *fixture;
    bool has_ended; /* atomic */
};

static void unbind_thread(void *context) VCK_NO_ANALYSIS
{
    struct unbinding *unbinding = context;

    filter_unbind(unbinding->fixture->filter);
    __atomic_store_n(&unbinding->has_ended, true, __ATOMIC_RELEASE);
}

static bool is_running_down(struct filter *filter)
{
    return (__atomic_load_n(&filter->bound.word, __ATOMIC_ACQUIRE) & 1) != 0;
}

/* Two of six requests are in the disk when it begins, and four in the queue. */
static void unbinding_waits_for_requests(void **state) VCK_CAN_WAIT
{
    static const struct fixture_options options = {.lanes = 2};
    struct fixture f;
    struct unbinding unbinding = {.fixture = &f};
    struct sent sent[6] = {0};
    struct vck_thread *thread;
    uint8_t buffers[7][512];

    (void)state;
    fixture_begin(&f, &options);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    fixture_encrypt(&f);
    fake_disk_hold(f.disk);
    for (uint32_t i = 0; i < 6; i++)
        send_transfer(&f, &sent[i], IRP_MJ_READ, i * 512, buffers[i], 512, 0);
    fake_disk_await(f.disk, 2);
    assert_int_equal(
        vck_thread_create(unbind_thread, &unbinding, VCK_THREAD_NORMAL, "unbind", &thread), VCK_OK);
    while (!is_running_down(f.filter))
        vck_thread_yield();
    assert_false(__atomic_load_n(&unbinding.has_ended, __ATOMIC_ACQUIRE));
    fake_disk_release(f.disk);
    vck_thread_join(thread);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(sent[i].completions, 1);
        assert_int_equal(sent_await(&sent[i]), STATUS_SUCCESS);
        assert_memory_equal(buffers[i], f.expected + i * 512, 512);
    }
    assert_int_equal(transfer_now(&f, IRP_MJ_READ, 0, buffers[6], 512, NULL), STATUS_SUCCESS);
    assert_memory_equal(buffers[6], f.disk->data, 512);
    assert_memory_not_equal(buffers[6], f.expected, 512);
    fixture_end(&f);
}

static void ciphertext_left_behind_is_not_written_on(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    uint8_t buffer[512] = {0};
    uint8_t trim[48] = {0};

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    fixture_encrypt(&f);
    filter_set_write_refusal(f.filter, true);
    assert_int_equal(transfer_now(&f, IRP_MJ_WRITE, 0, buffer, 512, NULL), STATUS_SUCCESS);
    fixture_unbind(&f);
    assert_int_equal(transfer_now(&f, IRP_MJ_WRITE, 0, buffer, 512, NULL),
                     STATUS_MEDIA_WRITE_PROTECTED);
    assert_int_equal(transfer_now(&f, IRP_MJ_READ, 0, buffer, 512, NULL), STATUS_SUCCESS);
    vck_store_le32(trim, 28);
    vck_store_le32(trim + 4, 1);
    assert_int_equal(control_now(&f, IOCTL_TRIM, trim, 48, 0, NULL), STATUS_MEDIA_WRITE_PROTECTED);
    assert_int_equal(control_now(&f, IOCTL_DISK_IS_WRITABLE, NULL, 0, 0, NULL),
                     STATUS_MEDIA_WRITE_PROTECTED);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    assert_int_equal(transfer_now(&f, IRP_MJ_WRITE, 0, buffer, 512, NULL), STATUS_SUCCESS);
    assert_int_equal(control_now(&f, IOCTL_DISK_IS_WRITABLE, NULL, 0, 0, NULL), STATUS_SUCCESS);
    fixture_end(&f);
}

/* ---- trim ---- */

static ULONG make_trim(uint8_t *request, const uint64_t (*ranges)[2], uint32_t count)
{
    memset(request, 0, 32);
    vck_store_le32(request, 28);
    vck_store_le32(request + 4, 1);
    vck_store_le32(request + 20, 32);
    vck_store_le32(request + 24, count * 16);
    for (uint32_t i = 0; i < count; i++) {
        vck_store_le64(request + 32 + i * 16, ranges[i][0]);
        vck_store_le64(request + 40 + i * 16, ranges[i][1]);
    }
    return 32 + count * 16;
}

static void trims_are_shifted_and_clipped(void **state) VCK_CAN_WAIT
{
    static const struct fixture_options options = {.headers = 1, .footers = 1};
    static const uint64_t ranges[][2] = {{4096, 8192}, {DATA_BYTES, 512}, {65636, 1 << 30}};
    struct fixture f;
    uint8_t request[80];
    uint8_t *after = malloc(METADATA_BYTES);
    ULONG size;

    (void)state;
    fixture_begin(&f, &options);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    memcpy(after, f.disk->data + f.data_start + DATA_BYTES, METADATA_BYTES);
    size = make_trim(request, ranges, 3);
    assert_int_equal(control_now(&f, IOCTL_TRIM, request, size, 0, NULL), STATUS_SUCCESS);
    assert_int_equal(f.disk->trimmed_offset, f.data_start + 66048);
    assert_int_equal(f.disk->trimmed_bytes, DATA_BYTES - 66048);
    memset(f.expected + 4096, 0, 8192);
    memset(f.expected + 66048, 0, DATA_BYTES - 66048);
    check_all(&f);
    assert_memory_equal(after, f.disk->data + f.data_start + DATA_BYTES, METADATA_BYTES);
    f.disk->fail_in = 2;
    assert_int_equal(control_now(&f, IOCTL_TRIM, request, size, 0, NULL), STATUS_IO_DEVICE_ERROR);
    vck_store_le32(request + 4, 4);
    assert_int_equal(control_now(&f, IOCTL_TRIM, request, size, 0, NULL), STATUS_NOT_SUPPORTED);
    vck_store_le32(request + 4, 1);
    assert_int_equal(control_now(&f, IOCTL_TRIM, request, size - 1, 0, NULL),
                     STATUS_INVALID_PARAMETER);
    assert_int_equal(control_now(&f, IOCTL_TRIM, NULL, 0, 0, NULL), STATUS_INVALID_PARAMETER);
    free(after);
    fixture_end(&f);
}

static void a_disk_without_trim_has_none(void **state) VCK_CAN_WAIT
{
    static const struct fixture_options options = {.cannot_trim = true};
    static const uint64_t ranges[][2] = {{4096, 8192}};
    struct fixture f;
    uint8_t request[48];
    ULONG size = make_trim(request, ranges, 1);

    (void)state;
    fixture_begin(&f, &options);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    assert_int_equal(control_now(&f, IOCTL_TRIM, request, size, 0, NULL), STATUS_NOT_SUPPORTED);
    check_all(&f);
    fixture_end(&f);
}

static void unmappable_buffers_are_refused(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    uint8_t buffer[512];

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    fake_fail_nth(1);
    assert_int_equal(transfer_now(&f, IRP_MJ_READ, 0, buffer, 512, NULL),
                     STATUS_INSUFFICIENT_RESOURCES);
    fake_fail_nth(0);
    check_all(&f);
    fixture_end(&f);
}

/* Whose stack is nearly full does not carry a read down: a worker does, with a stack of its own. */
static void a_deep_stack_is_left_alone(void **state) VCK_NO_ANALYSIS
{
    static uint8_t buffer[4096];
    struct fixture f;

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    fixture_encrypt(&f);
    for (uint32_t deep = 0; deep < 2; deep++) {
        struct sent sent = {0};

        fake_stack_left(deep ? 4096 : 0);
        memset(buffer, 0, sizeof(buffer));
        send_transfer(&f, &sent, IRP_MJ_READ, 0, buffer, sizeof(buffer), 0);
        /* The disk completes at once: who carried it down has completed it. */
        if (!deep)
            assert_int_equal(__atomic_load_n(&sent.completions, __ATOMIC_RELAXED), 1);
        assert_int_equal(sent_await(&sent), STATUS_SUCCESS);
        assert_memory_equal(buffer, f.expected, sizeof(buffer));
        assert_int_equal(__atomic_load_n(&f.disk->last_reader, __ATOMIC_RELAXED) == vck_thread_id(),
                         !deep);
    }
    fake_stack_left(0);
    fixture_end(&f);
}

/* One request over a disk that completes on a thread of its own: whether that thread ended it. */
static bool ends_below(struct fixture *f, UCHAR major, uint8_t *buffer,
                       uint32_t size_bytes) VCK_CAN_WAIT
{
    struct sent sent = {0};

    memcpy(buffer, f->expected, size_bytes);
    if (major == IRP_MJ_READ)
        memset(buffer, 0, size_bytes);
    fake_disk_hold(f->disk);
    send_transfer(f, &sent, major, 0, buffer, size_bytes, 0);
    fake_disk_await(f->disk, 1);
    fake_disk_release(f->disk);
    assert_int_equal(sent_await(&sent), STATUS_SUCCESS);
    assert_int_equal(sent.information, size_bytes);
    assert_memory_equal(buffer, f->expected, size_bytes);
    return sent.completed_by == __atomic_load_n(&f->disk->thread_id, __ATOMIC_RELAXED);
}

/* What is brief is done by whom the disk completes on, at DISPATCH, with enough stack, and what is
 * short at PASSIVE. A request that its sender has not let go of by then is ended by the sender,
 * hence more than one. */
static void brief_requests_end_where_the_disk_completes(void **state) VCK_NO_ANALYSIS
{
    uint8_t *buffer = malloc(VCK_REQUEST_SHORT_BYTES + 512);
    uint32_t ended = 0;
    struct fixture f;

    (void)state;
    fixture_begin(&f, NULL);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    fixture_encrypt(&f);
    while (!ended)
        ended += ends_below(&f, IRP_MJ_READ, buffer, VCK_REQUEST_BRIEF_BYTES);
    for (ended = 0; !ended;)
        ended += ends_below(&f, IRP_MJ_WRITE, buffer, VCK_REQUEST_SHORT_BYTES);
    assert_false(ends_below(&f, IRP_MJ_READ, buffer, VCK_REQUEST_BRIEF_BYTES + 512));
    f.disk->is_passive = true;
    for (ended = 0; !ended;)
        ended += ends_below(&f, IRP_MJ_READ, buffer, VCK_REQUEST_SHORT_BYTES);
    assert_false(ends_below(&f, IRP_MJ_READ, buffer, VCK_REQUEST_SHORT_BYTES + 512));
    fake_stack_left(4096);
    for (uint32_t i = 0; i < 20; i++)
        assert_false(ends_below(&f, IRP_MJ_READ, buffer, 4096));
    fake_stack_left(0);
    check_all(&f);
    free(buffer);
    fixture_end(&f);
}

#define PAGED_BYTES 200704u

/* What the system pages: with a flag, and a buffer that is not mapped. */
static void send_paging(struct fixture *f, struct sent *sent, UCHAR major, uint64_t offset_bytes,
                        uint8_t *buffer)
{
    PIO_STACK_LOCATION next = sent_begin(f, sent, major);

    next->Parameters.Read.Length = PAGED_BYTES;
    next->Parameters.Read.ByteOffset.QuadPart = (LONGLONG)offset_bytes;
    sent->mdl = fake_mdl_create(buffer, PAGED_BYTES);
    sent->irp->MdlAddress = sent->mdl;
    sent->irp->Flags |= IRP_PAGING_IO | IRP_NOCACHE;
    sent_go(f, sent);
}

static void page(struct fixture *f, UCHAR major, uint8_t *buffers, uint32_t count) VCK_CAN_WAIT
{
    struct sent sent[8] = {0};

    for (uint32_t i = 0; i < count; i++)
        send_paging(f, &sent[i], major, (uint64_t)i * PAGED_BYTES,
                    buffers + (size_t)i * PAGED_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(sent_await(&sent[i]), STATUS_SUCCESS);
        assert_int_equal(sent[i].information, PAGED_BYTES);
    }
}

/* Not even addresses are left: paging goes on, one piece after the other, and nothing else does. */
static void paging_needs_no_addresses(void **state) VCK_NO_ANALYSIS
{
    const struct fixture_options options = {.data_bytes = 8 * PAGED_BYTES};
    uint8_t *buffers = aligned_alloc(4096, 8 * PAGED_BYTES + 4096);
    struct fixture f;

    (void)state;
    fixture_begin(&f, &options);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    fixture_encrypt(&f);
    for (uint32_t way = 0; way < 4; way++) {
        uint8_t *at = buffers + (way & 1 ? 1536 : 0);

        f.disk->is_async = way >= 2;
        f.disk->is_reordering = way == 3;
        fake_mdl_fail_mappings(true);
        assert_int_equal(transfer_now(&f, IRP_MJ_READ, 0, at, 4096, NULL),
                         STATUS_INSUFFICIENT_RESOURCES);
        fill_bytes(at, 8 * PAGED_BYTES, 70 + way);
        memcpy(f.expected, at, 8 * PAGED_BYTES);
        page(&f, IRP_MJ_WRITE, at, 8);
        memset(at, 0, 8 * PAGED_BYTES);
        page(&f, IRP_MJ_READ, at, 8);
        assert_memory_equal(at, f.expected, 8 * PAGED_BYTES);
        fake_mdl_fail_mappings(false);
        check_all(&f);
    }
    free(buffers);
    fixture_end(&f);
}

/* A piece in the middle fails: so does the whole, and the next one has the addresses. */
static void a_failing_piece_ends_the_request(void **state) VCK_NO_ANALYSIS
{
    const struct fixture_options options = {.data_bytes = 8 * PAGED_BYTES};
    uint8_t *buffer = calloc(1, PAGED_BYTES);
    struct fixture f;

    (void)state;
    fixture_begin(&f, &options);
    assert_int_equal(fixture_bind(&f), VCK_OK);
    fake_mdl_fail_mappings(true);
    for (int64_t piece = 1; piece <= 4; piece++) {
        struct sent sent = {0};

        f.disk->fail_status = STATUS_IO_DEVICE_ERROR;
        f.disk->fail_in = piece;
        send_paging(&f, &sent, IRP_MJ_READ, 0, buffer);
        assert_int_equal(sent_await(&sent), STATUS_IO_DEVICE_ERROR);
        assert_int_equal(sent.information, 0);
        page(&f, IRP_MJ_READ, buffer, 1);
    }
    fake_mdl_fail_mappings(false);
    free(buffer);
    fixture_end(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unbound_filter_passes),
        cmocka_unit_test(a_bound_filter_encrypts),
        cmocka_unit_test(asynchronous_disks_do_as_well),
        cmocka_unit_test(a_deep_stack_is_left_alone),
        cmocka_unit_test(brief_requests_end_where_the_disk_completes),
        cmocka_unit_test(paging_needs_no_addresses),
        cmocka_unit_test(a_failing_piece_ends_the_request),
        cmocka_unit_test(statuses_are_exact),
        cmocka_unit_test(failures_below_come_up_unchanged),
        cmocka_unit_test(large_requests_need_no_memory),
        cmocka_unit_test(requests_below_say_whose_they_are),
        cmocka_unit_test(several_are_in_flight),
        cmocka_unit_test(requests_may_come_at_dispatch),
        cmocka_unit_test(what_is_queued_can_be_cancelled),
        cmocka_unit_test(unbinding_waits_for_requests),
        cmocka_unit_test(ciphertext_left_behind_is_not_written_on),
        cmocka_unit_test(trims_are_shifted_and_clipped),
        cmocka_unit_test(a_disk_without_trim_has_none),
        cmocka_unit_test(unmappable_buffers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
