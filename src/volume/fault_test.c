/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that fail: at any operation, once or all of its kind from then on, and forget what they
 * could not flush. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "memory_disk.h"
#include "vck/prepare.h"
#include "vck/request.h"
#include "vck/thread.h"
#include "vck/volume.h"

#define METADATA_BYTES 131072u
#define DATA_BYTES     (96u << 10)
#define SECTOR         512u
#define SECTORS        (DATA_BYTES / SECTOR)
#define BATCH_BYTES    32768u

static const uint8_t vmk_bytes[32] = "an ordinary volume master key !";
static const struct vck_bytes vmk = {vmk_bytes, sizeof vmk_bytes};

/* How it goes on behind the operation that fails. */
enum persistence {
    ONCE,
    ITS_KIND, /* every later one of the same kind fails as well */
    PERSISTENCE_COUNT,
};

/* In front of a disk in memory. What is not flushed is lost in part when a flush fails, as it is
 * where a cache could not be written; whoever reads it then reads what was there before. */
static struct fault {
    struct memory_disk *memory;
    const struct vck_disk_ops *real;
    struct vck_disk_ops ops;
    uint64_t fail_at; /* the n-th operation from now; 0: none */
    enum persistence persistence;
    enum vck_disk_op kind; /* of the one that failed */
    bool has_failed;
    unsigned flushes;
} fault;

/* What the disk holds when the power goes now. */
static uint8_t durable[DATA_BYTES + 2 * METADATA_BYTES];

struct fixture {
    struct vck_volume *volume;
    uint8_t expected[DATA_BYTES]; /* plaintext */
    size_t live;
};

static bool fails(const struct vck_disk_io *io)
{
    if (fault.has_failed)
        return fault.persistence == ITS_KIND && io->op == fault.kind;
    if (fault.fail_at == 0 || --fault.fail_at > 0)
        return false;
    fault.has_failed = true;
    fault.kind = io->op;
    return true;
}

/* Every other sector of what was written since the last flush is as it was. */
static void forget(void)
{
    uint64_t sectors = fault.memory->disk.size_bytes / SECTOR;

    for (uint64_t i = fault.flushes++ % 2; i < sectors; i += 2)
        memcpy(fault.memory->data + i * SECTOR, durable + i * SECTOR, SECTOR);
    memcpy(durable, fault.memory->data, fault.memory->disk.size_bytes);
}

static void submit(struct vck_disk *disk, struct vck_disk_io *io)
{
    if (!fails(io)) {
        fault.real->submit(disk, io);
        if (io->op == VCK_DISK_FLUSH)
            memcpy(durable, fault.memory->data, disk->size_bytes);
        return;
    }
    if (io->op == VCK_DISK_FLUSH)
        forget();
    io->status = VCK_IO;
    io->done(io);
}

static void heal(void)
{
    fault.fail_at = 0;
    fault.has_failed = false;
}

static void attach(struct fixture *f) VCK_CAN_WAIT
{
    const struct vck_volume_options options = {
        .path = "memory", .vmk = vmk, .batch_bytes = BATCH_BYTES};

    assert_int_equal(vck_volume_attach(&fault.memory->disk, &options, &f->volume), VCK_OK);
}

static struct vck_volume_status query(struct fixture *f)
{
    struct vck_volume_status status;

    vck_volume_query(f->volume, &status);
    return status;
}

static uint64_t progress(struct fixture *f)
{
    struct vck_volume_status now = query(f);

    return now.is_rekeying ? now.rekeyed_sectors : now.encrypted_sectors;
}

/* As far as it gets; a sweep that is stuck stays so. */
static void run(struct fixture *f) VCK_CAN_WAIT
{
    struct vck_future *sweep = vck_volume_sweep_future(f->volume);

    while (sweep && vck_future_poll(sweep, &vck_waker_noop) == VCK_PENDING && !query(f).error[0])
        vck_thread_yield();
}

static void check_all(struct fixture *f) VCK_CAN_WAIT
{
    static uint8_t got[DATA_BYTES];

    assert_int_equal(vck_volume_io(f->volume, VCK_REQUEST_READ, 0, 0, got, sizeof got), VCK_OK);
    assert_memory_equal(got, f->expected, sizeof got);
}

static struct fixture *begin(void) VCK_CAN_WAIT
{
    struct fixture *f = calloc(1, sizeof *f);
    struct vck_prepare_params params = {
        .footer_count = 2, .metadata_size_bytes = METADATA_BYTES, .vmk = vmk};
    struct vck_prepare_result result;
    enum vck_prepare_fault why;

    f->live = vck_alloc_live_count();
    fault = (struct fault){.memory = memory_disk_create(DATA_BYTES + 2 * METADATA_BYTES, SECTOR)};
    fault.memory->keep = true;
    fault.real = fault.memory->disk.ops;
    fault.ops = *fault.real;
    fault.ops.submit = submit;
    fault.memory->disk.ops = &fault.ops;
    memset(durable, 0, sizeof durable);
    for (uint32_t i = 0; i < DATA_BYTES; i++)
        f->expected[i] = (uint8_t)(i * 7 + i / SECTOR);
    memcpy(fault.memory->data, f->expected, DATA_BYTES);
    assert_int_equal(vck_prepare_volume(&fault.memory->disk, &params, &result, &why), VCK_OK);
    attach(f);
    return f;
}

static void end(struct fixture *f) VCK_CAN_WAIT
{
    assert_int_equal(vck_volume_detach(f->volume), VCK_OK);
    memory_disk_free(fault.memory);
    assert_int_equal(vck_alloc_live_count(), f->live);
    free(f);
}

/* ---- what is walked through ---- */

static void encrypt(struct fixture *f) VCK_CAN_WAIT
{
    if (vck_volume_start(f->volume, VCK_ENCRYPTING) == VCK_OK)
        run(f);
}

static void decrypt(struct fixture *f) VCK_CAN_WAIT
{
    if (vck_volume_start(f->volume, VCK_DECRYPTING) == VCK_OK)
        run(f);
}

static void rekey(struct fixture *f) VCK_CAN_WAIT
{
    if (vck_volume_rekey(f->volume) == VCK_OK)
        run(f);
}

static void rekey_back(struct fixture *f) VCK_CAN_WAIT
{
    if (vck_volume_rekey_back(f->volume) == VCK_OK)
        run(f);
}

static void sleep_and_wake(struct fixture *f) VCK_CAN_WAIT
{
    if (vck_volume_suspend(f->volume) == VCK_OK && vck_volume_wake(f->volume, vmk) == VCK_OK)
        run(f);
}

/* The first batch, as a sweep with a limit does that stops; more of them, or all, where the machine
 * lets the limit's time pass within a poll. */
static void go_partway(struct fixture *f) VCK_CAN_WAIT
{
    struct vck_future *sweep = vck_volume_sweep_future(f->volume);

    vck_volume_set_rate(f->volume, 1);
    while (sweep && progress(f) == 0 && vck_future_poll(sweep, &vck_waker_noop) == VCK_PENDING)
        continue;
    vck_volume_set_rate(f->volume, 0);
}

static void encrypt_some(struct fixture *f) VCK_CAN_WAIT
{
    if (vck_volume_start(f->volume, VCK_ENCRYPTING) == VCK_OK)
        go_partway(f);
}

static void rekey_some(struct fixture *f) VCK_CAN_WAIT
{
    encrypt(f);
    if (vck_volume_rekey(f->volume) == VCK_OK)
        go_partway(f);
}

struct walk {
    void (*before)(struct fixture *f); /* on a disk that is well */
    void (*work)(struct fixture *f);
    bool is_partway; /* before leaves a sweep that is not over */
};

/* In the end the volume is encrypted under one key, and everything is where it was. */
static void finish(struct fixture *f) VCK_CAN_WAIT
{
    run(f);
    if (query(f).is_rekeying) {
        assert_int_equal(vck_volume_rekey(f->volume), VCK_OK);
        run(f);
    }
    assert_false(query(f).is_rekeying);
    assert_int_equal(vck_volume_start(f->volume, VCK_ENCRYPTING), VCK_OK);
    run(f);
    assert_int_equal(query(f).encrypted_sectors, SECTORS);
    check_all(f);
}

static struct fixture *begin_walk(const struct walk *walk) VCK_CAN_WAIT
{
    for (;;) {
        struct fixture *f = begin();

        if (walk->before)
            walk->before(f);
        if (!walk->is_partway || vck_volume_sweep_future(f->volume))
            return f;
        end(f);
    }
}

static bool fail_at(const struct walk *walk, uint64_t n,
                    enum persistence persistence) VCK_NO_ANALYSIS
{
    struct fixture *f = begin_walk(walk);
    bool has_failed;

    fault.persistence = persistence;
    fault.fail_at = n;
    walk->work(f);
    has_failed = fault.has_failed;
    (void)vck_volume_detach(f->volume);
    heal();
    attach(f);
    check_all(f);
    finish(f);
    end(f);
    return has_failed;
}

static void no_failing_operation_loses_data(void **state) VCK_NO_ANALYSIS
{
    static const struct walk walks[] = {
        {NULL, encrypt, false},
        {encrypt, decrypt, false},
        {encrypt, rekey, false},
        {rekey_some, rekey_back, true},
        {encrypt_some, sleep_and_wake, true},
    };

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(walks); i++) {
        for (int persistence = 0; persistence < PERSISTENCE_COUNT; persistence++) {
            uint64_t n = 1;

            while (fail_at(&walks[i], n, (enum persistence)persistence))
                n++;
            assert_in_range(n, 8, 500);
        }
    }
}

/* ---- attaching ---- */

/* Leaves a batch that is not carried out, with its record. */
static struct fixture *begin_in_a_batch(void) VCK_CAN_WAIT
{
    struct fixture *f = begin();

    /* Metadata and a flush for each, a flush, the batch's read, two records and a flush; the batch.
     */
    assert_int_equal(vck_volume_start(f->volume, VCK_ENCRYPTING), VCK_OK);
    fault.persistence = ITS_KIND;
    fault.fail_at = 6;
    run(f);
    assert_string_equal(query(f).error, "writing a batch: input/output error");
    (void)vck_volume_detach(f->volume);
    heal();
    return f;
}

/* What lies twice may be unreadable once. */
static void an_attach_survives_any_failing_read(void **state) VCK_CAN_WAIT
{
    uint64_t n = 2; /* behind the flush */
    bool has_failed = true;

    (void)state;
    for (; has_failed; n++) {
        struct fixture *f = begin();

        assert_int_equal(vck_volume_detach(f->volume), VCK_OK);
        fault.persistence = ONCE;
        fault.fail_at = n;
        attach(f);
        has_failed = fault.has_failed;
        heal();
        check_all(f);
        end(f);
    }
    assert_in_range(n, 10, 100);
}

static const struct vck_disk_ops *before_lying;
static unsigned halves_read;

/* A half of the journal, read again, has its tags exchanged. */
static void lie(struct vck_disk *disk, struct vck_disk_io *io)
{
    before_lying->submit(disk, io);
    if (io->op != VCK_DISK_READ || io->size_bytes < 16384 || io->offset_bytes < DATA_BYTES ||
        ++halves_read <= 4)
        return;
    for (uint8_t *tags = (uint8_t *)io->buffer + 72;
         tags + 16 <= (uint8_t *)io->buffer + 72 + BATCH_BYTES / SECTOR * 16; tags += 16)
        for (unsigned i = 0; i < 8; i++) {
            uint8_t old = tags[i];

            tags[i] = tags[8 + i];
            tags[8 + i] = old;
        }
}

/* The tags that count are those that were authentic. */
static void a_record_that_changes_is_not_believed(void **state) VCK_CAN_WAIT
{
    const struct vck_volume_options options = {
        .path = "memory", .vmk = vmk, .batch_bytes = BATCH_BYTES};
    struct fixture *f = begin_in_a_batch();
    struct vck_disk_ops lying = *fault.memory->disk.ops;

    (void)state;
    before_lying = fault.memory->disk.ops;
    halves_read = 0;
    lying.submit = lie;
    fault.memory->disk.ops = &lying;
    assert_int_equal(vck_volume_attach(&fault.memory->disk, &options, &f->volume), VCK_TAMPERED);
    assert_true(halves_read > 4);
    fault.memory->disk.ops = before_lying;
    attach(f);
    check_all(f);
    finish(f);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_failing_operation_loses_data),
        cmocka_unit_test(an_attach_survives_any_failing_read),
        cmocka_unit_test(a_record_that_changes_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
