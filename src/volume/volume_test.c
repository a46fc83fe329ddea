/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <openssl/evp.h>

#include "memory_disk.h"
#include "vck/disk_io.h"
#include "vck/prepare.h"
#include "vck/request.h"
#include "vck/executor.h"
#include "vck/volume.h"

#define METADATA_BYTES 131072u

static const uint8_t vmk_bytes[32] = "an ordinary volume master key !";
static const struct vck_bytes vmk = {vmk_bytes, sizeof vmk_bytes};

struct fixture {
    struct memory_disk *memory;
    struct vck_volume *volume;
    uint8_t *expected; /* plaintext of the data region */
    uint64_t data_bytes;
    uint32_t sector;
    size_t live;
    struct vck_executor *executor; /* made at the first need */
};

static void fill(uint8_t *p, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (uint8_t)(seed >> 24);
    }
}

static void attach(struct fixture *f, bool manual) VCK_CAN_WAIT
{
    struct vck_volume_options options = {
        .path = "memory",
        .vmk = vmk,
        .batch_bytes = 65536,
    };

    if (!manual && !f->executor)
        assert_int_equal(vck_executor_create(NULL, &f->executor), VCK_OK);
    options.executor = manual ? NULL : f->executor;
    assert_int_equal(vck_volume_attach(&f->memory->disk, &options, &f->volume), VCK_OK);
}

static void begin(struct fixture *f, uint32_t sector, uint64_t data_bytes, uint32_t headers,
                  uint32_t footers, bool manual) VCK_CAN_WAIT
{
    struct vck_prepare_params params = {
        .header_count = headers,
        .footer_count = footers,
        .metadata_size_bytes = METADATA_BYTES,
        .sector_size_bytes = sector,
        .single_replica = true,
        .vmk = vmk,
    };
    struct vck_prepare_result result;
    enum vck_prepare_fault fault;

    f->live = vck_alloc_live_count();
    f->sector = sector;
    f->data_bytes = data_bytes;
    f->memory = memory_disk_create(data_bytes + (headers + footers) * METADATA_BYTES, sector);
    f->memory->keep = true;
    f->expected = malloc(data_bytes);
    fill(f->expected, data_bytes, 7);
    memcpy(f->memory->data + headers * METADATA_BYTES, f->expected, data_bytes);
    assert_int_equal(vck_prepare_volume(&f->memory->disk, &params, &result, &fault), VCK_OK);
    attach(f, manual);
}

static void check_all(struct fixture *f) VCK_CAN_WAIT
{
    uint8_t *got = malloc(f->data_bytes);

    assert_int_equal(vck_volume_io(f->volume, VCK_REQUEST_READ, 0, 0, got, f->data_bytes), VCK_OK);
    assert_memory_equal(got, f->expected, f->data_bytes);
    free(got);
}

static void write_some(struct fixture *f, uint64_t offset, uint64_t size,
                       uint32_t seed) VCK_CAN_WAIT
{
    uint8_t *data = malloc(size);
    uint8_t *copy = malloc(size);

    fill(data, size, seed);
    memcpy(copy, data, size);
    assert_int_equal(vck_volume_io(f->volume, VCK_REQUEST_WRITE, 0, offset, data, size), VCK_OK);
    assert_memory_equal(data, copy, size);
    memcpy(f->expected + offset, data, size);
    free(data);
    free(copy);
}

static struct vck_volume_status query(struct fixture *f)
{
    struct vck_volume_status status;

    vck_volume_query(f->volume, &status);
    return status;
}

static void wait_until_rest(struct fixture *f) VCK_CAN_WAIT
{
    struct vck_volume_status status = query(f);

    while (status.state == VCK_STATE_ENCRYPTING || status.state == VCK_STATE_DECRYPTING) {
        struct vck_event event;

        vck_event_init(&event);
        (void)vck_event_wait(&event, vck_clock_ns() + 1000000);
        vck_event_fini(&event);
        status = query(f);
    }
}

static void end(struct fixture *f) VCK_CAN_WAIT
{
    assert_int_equal(vck_volume_detach(f->volume), VCK_OK);
    vck_executor_destroy(f->executor);
    memory_disk_free(f->memory);
    free(f->expected);
    assert_int_equal(vck_alloc_live_count(), f->live);
}

static void encrypts_serves_and_decrypts(void **state) VCK_CAN_WAIT
{
    static const struct {
        uint32_t sector;
        uint32_t headers;
        uint32_t footers;
    } cases[] = {{512, 0, 2}, {4096, 0, 2}, {512, 1, 1}, {512, 0, 1}, {4096, 1, 0}, {512, 1, 2}};

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        struct fixture f = {0};

        begin(&f, cases[i].sector, 1 << 20, cases[i].headers, cases[i].footers, false);
        assert_int_equal(query(&f).state, VCK_STATE_IDLE);
        check_all(&f);
        assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
        write_some(&f, 4096 * 3, 65536, 11);
        check_all(&f);
        wait_until_rest(&f);
        assert_int_equal(query(&f).state, VCK_STATE_IDLE);
        assert_int_equal(query(&f).encrypted_sectors, f.data_bytes / f.sector);
        check_all(&f);
        write_some(&f, 0, f.data_bytes / 2, 12);
        check_all(&f);
        assert_int_equal(vck_volume_detach(f.volume), VCK_OK);
        attach(&f, false);
        check_all(&f);
        assert_int_equal(vck_volume_start(f.volume, VCK_DECRYPTING), VCK_OK);
        write_some(&f, f.data_bytes / 2 - 8192, 16384, 13);
        check_all(&f);
        wait_until_rest(&f);
        assert_int_equal(query(&f).encrypted_sectors, 0);
        check_all(&f);
        assert_memory_equal(f.memory->data + cases[i].headers * METADATA_BYTES, f.expected,
                            f.data_bytes);
        end(&f);
    }
}

static void pause_keeps_the_boundary_over_attach(void **state) VCK_CAN_WAIT
{
    struct fixture f = {0};
    struct vck_volume_status before;

    (void)state;
    begin(&f, 512, 1 << 20, 0, 2, false);
    vck_volume_set_rate(f.volume, 1);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
    while (query(&f).encrypted_sectors == 0)
        check_all(&f);
    assert_int_equal(vck_volume_pause(f.volume), VCK_OK);
    before = query(&f);
    assert_int_equal(before.state, VCK_STATE_PAUSED);
    assert_true(before.encrypted_sectors > 0);
    assert_true(before.encrypted_sectors < f.data_bytes / 512);
    assert_int_equal(before.hot_sectors, 0);
    assert_int_equal(vck_volume_detach(f.volume), VCK_OK);
    attach(&f, false);
    assert_int_equal(query(&f).state, VCK_STATE_PAUSED);
    assert_int_equal(query(&f).encrypted_sectors, before.encrypted_sectors);
    check_all(&f);
    assert_int_equal(vck_volume_resume(f.volume), VCK_OK);
    wait_until_rest(&f);
    assert_int_equal(query(&f).encrypted_sectors, f.data_bytes / 512);
    check_all(&f);
    end(&f);
}

static void detach_while_running_resumes_by_itself(void **state) VCK_CAN_WAIT
{
    struct fixture f = {0};

    (void)state;
    begin(&f, 512, 1 << 20, 0, 2, false);
    vck_volume_set_rate(f.volume, 1);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
    assert_int_equal(vck_volume_detach(f.volume), VCK_OK);
    attach(&f, false);
    wait_until_rest(&f);
    assert_int_equal(query(&f).encrypted_sectors, f.data_bytes / 512);
    check_all(&f);
    end(&f);
}

/* What dm-crypt's aes-xts-plain64 would read, and what OpenSSL does. */
static void openssl_decrypts(const struct fixture *f, const uint8_t fvek[64])
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    uint8_t *plain = malloc(f->sector);

    for (uint64_t sector = 0; sector < f->data_bytes / f->sector; sector++) {
        uint8_t tweak[16] = {0};
        int length = 0;

        vck_store_le64(tweak, sector);
        assert_int_equal(EVP_DecryptInit_ex(context, EVP_aes_256_xts(), NULL, fvek, tweak), 1);
        assert_int_equal(EVP_DecryptUpdate(context, plain, &length,
                                           f->memory->data + sector * f->sector, (int)f->sector),
                         1);
        assert_memory_equal(plain, f->expected + sector * f->sector, f->sector);
    }
    free(plain);
    EVP_CIPHER_CTX_free(context);
}

static void ciphertext_is_plain64(void **state) VCK_CAN_WAIT
{
    static const uint32_t sectors[] = {512, 4096};

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sectors); i++) {
        struct fixture f = {0};
        struct vck_store store;
        uint8_t fvek[64];

        begin(&f, sectors[i], 1 << 20, 0, 2, true);
        assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
        vck_block_on(vck_volume_sweep_future(f.volume));
        assert_null(vck_volume_sweep_future(f.volume));
        assert_int_equal(vck_store_open(&store, &f.memory->disk, vmk, NULL, VCK_STORE_ANY_REPLICA),
                         VCK_OK);
        memcpy(fvek, store.fvek_key1, 32);
        memcpy(fvek + 32, store.fvek_key2, 32);
        vck_store_fini(&store);
        openssl_decrypts(&f, fvek);
        check_all(&f);
        end(&f);
    }
}

static void requests_refuse_what_does_not_fit(void **state) VCK_CAN_WAIT
{
    struct fixture f = {0};
    uint8_t buffer[1024] = {0};

    (void)state;
    begin(&f, 512, 1 << 20, 0, 2, true);
    assert_int_equal(vck_volume_io(f.volume, VCK_REQUEST_READ, 0, 1, buffer, 512),
                     VCK_INVALID_DATA);
    assert_int_equal(vck_volume_io(f.volume, VCK_REQUEST_READ, 0, f.data_bytes - 512, buffer, 1024),
                     VCK_OUT_OF_RANGE);
    assert_int_equal(vck_volume_io(f.volume, VCK_REQUEST_WRITE, 0, f.data_bytes, buffer, 512),
                     VCK_OUT_OF_RANGE);
    assert_int_equal(vck_volume_io(f.volume, VCK_REQUEST_READ, 0, f.data_bytes, buffer, 0), VCK_OK);
    check_all(&f);
    end(&f);
}

static struct vck_disk_io *held_io;

static void hold(struct vck_disk *disk, struct vck_disk_io *io)
{
    (void)disk;
    held_io = io;
}

/* Polls over a disk that holds each operation: whether the first of so many ended briefly. */
static bool first_ends_briefly(struct fixture *f, struct vck_request *request, uint32_t operations,
                               uint32_t decrypt_bytes)
{
    const struct vck_disk_ops *ops = f->memory->disk.ops;
    struct vck_disk_ops holding = *ops;
    bool first = false;

    holding.submit = hold;
    f->memory->disk.ops = &holding;
    for (uint32_t i = 0; i < operations; i++) {
        bool ends;

        assert_int_equal(vck_future_poll(&request->future, &vck_waker_noop), VCK_PENDING);
        ends = vck_request_ends_briefly(request, decrypt_bytes);
        assert_false(ends && i + 1 < operations);
        first = i == 0 ? ends : first;
        ops->submit(&f->memory->disk, held_io);
    }
    assert_int_equal(vck_future_poll(&request->future, &vck_waker_noop), VCK_READY);
    assert_int_equal(request->status, VCK_OK);
    f->memory->disk.ops = ops;
    return first;
}

static void requests_tell_whether_they_end_briefly(void **state) VCK_CAN_WAIT
{
    static const struct {
        enum vck_request_op op;
        unsigned flags;
        uint32_t size_bytes;
        uint32_t operations;
        bool ends;
        uint32_t decrypt_bytes; /* 0: what is brief */
    } cases[] = {
        {VCK_REQUEST_READ, 0, 512, 1, true},
        {VCK_REQUEST_READ, 0, VCK_REQUEST_BRIEF_BYTES, 1, true},
        {VCK_REQUEST_READ, 0, VCK_REQUEST_BRIEF_BYTES + 512, 1, false},
        {VCK_REQUEST_READ, 0, VCK_REQUEST_SHORT_BYTES, 1, true, VCK_REQUEST_SHORT_BYTES},
        {VCK_REQUEST_WRITE, 0, 262144, 1, true},
        {VCK_REQUEST_WRITE, VCK_REQUEST_FUA, 512, 1, true},
        {VCK_REQUEST_WRITE, 0, 262656, 2, false},
        {VCK_REQUEST_WRITE, VCK_REQUEST_FUA, 262656, 3, false},
        {VCK_REQUEST_FLUSH, 0, 0, 1, true},
        {VCK_REQUEST_ZERO, 0, 512, 1, true},
    };
    uint8_t *buffer = aligned_alloc(512, 262656);
    struct vck_request request;
    struct fixture f = {0};

    (void)state;
    begin(&f, 512, 1u << 20, 0, 2, false);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
    wait_until_rest(&f);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        memcpy(buffer, f.expected, 262656);
        vck_request_init(&request, f.volume, cases[i].op, cases[i].flags, 0,
                         cases[i].op == VCK_REQUEST_FLUSH ? NULL : buffer, cases[i].size_bytes);
        assert_int_equal(
            first_ends_briefly(&f, &request, cases[i].operations,
                               VCK_MAX(cases[i].decrypt_bytes, VCK_REQUEST_BRIEF_BYTES)),
            cases[i].ends);
        assert_memory_equal(buffer, f.expected, cases[i].size_bytes);
    }
    memset(f.expected, 0, 512);
    check_all(&f);
    free(buffer);
    end(&f);
}

static void zeroes_are_stored_encrypted(void **state) VCK_CAN_WAIT
{
    struct fixture f = {0};

    (void)state;
    begin(&f, 512, 1 << 20, 0, 2, true);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
    vck_block_on(vck_volume_sweep_future(f.volume));
    assert_int_equal(
        vck_volume_io(f.volume, VCK_REQUEST_ZERO, VCK_REQUEST_FUA, 512, NULL, 600 * 1024), VCK_OK);
    memset(f.expected + 512, 0, 600 * 1024);
    assert_false(vck_all_zero(f.memory->data + 512, 512));
    check_all(&f);
    end(&f);
}

static void a_failed_flush_fails_writes(void **state) VCK_CAN_WAIT
{
    struct fixture f = {0};
    uint8_t buffer[512] = {0};

    (void)state;
    begin(&f, 512, 1 << 20, 0, 2, true);
    f.memory->fail_at = 1;
    assert_int_equal(vck_volume_io(f.volume, VCK_REQUEST_FLUSH, 0, 0, NULL, 0), VCK_IO);
    assert_int_equal(vck_volume_io(f.volume, VCK_REQUEST_FLUSH, 0, 0, NULL, 0), VCK_IO);
    assert_int_equal(vck_volume_io(f.volume, VCK_REQUEST_WRITE, 0, 0, buffer, 512), VCK_IO);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_IO);
    check_all(&f);
    assert_int_equal(vck_volume_detach(f.volume), VCK_IO);
    attach(&f, true);
    write_some(&f, 0, 512, 3);
    check_all(&f);
    end(&f);
}

/* What a cache does that cannot write: it tells whoever flushes first, once, and keeps nothing. */
struct forgetful {
    struct fixture *f;
    const struct vck_disk_ops *ops;
    enum vck_request_op asks;
    bool is_armed;
};

static struct forgetful forgetful;

/* The sweep's batch is taken and lost, and before the sweep flushes somebody else does. */
static void lose_a_batch(struct vck_disk *disk, struct vck_disk_io *io) VCK_NO_ANALYSIS
{
    struct fixture *f = forgetful.f;
    uint8_t sector[512];

    if (!forgetful.is_armed || io->op != VCK_DISK_WRITE || io->size_bytes < 65536) {
        forgetful.ops->submit(disk, io);
        return;
    }
    forgetful.is_armed = false;
    io->status = VCK_OK;
    io->done(io);
    memcpy(sector, f->expected + f->data_bytes - sizeof(sector), sizeof(sector));
    f->memory->fail_at = 1;
    assert_int_equal(vck_volume_io(f->volume, forgetful.asks, VCK_REQUEST_FUA,
                                   f->data_bytes - sizeof(sector), sector, sizeof(sector)),
                     VCK_IO);
}

static void check_forgetful(enum vck_request_op asks) VCK_CAN_WAIT
{
    struct fixture f = {0};
    struct vck_disk_ops losing;
    struct vck_future *future;

    begin(&f, 512, 256 << 10, 0, 2, true);
    forgetful = (struct forgetful){&f, f.memory->disk.ops, asks, true};
    losing = *forgetful.ops;
    losing.submit = lose_a_batch;
    f.memory->disk.ops = &losing;
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
    future = vck_volume_sweep_future(f.volume);
    for (int i = 0; i < 100 && vck_future_poll(future, &vck_waker_noop) == VCK_PENDING; i++)
        ;
    assert_false(forgetful.is_armed);
    assert_true(query(&f).failed);
    assert_int_equal(vck_volume_io(f.volume, VCK_REQUEST_FLUSH, 0, 0, NULL, 0), VCK_IO);
    assert_int_equal(vck_volume_detach(f.volume), VCK_IO);
    f.memory->disk.ops = forgetful.ops;
    attach(&f, true);
    check_all(&f);
    end(&f);
}

/* Otherwise the boundary would move past what is not there, or a client would believe it is. */
static void what_another_flush_was_told_counts(void **state) VCK_CAN_WAIT
{
    (void)state;
    check_forgetful(VCK_REQUEST_FLUSH);
    check_forgetful(VCK_REQUEST_WRITE);
}

/* Every operation of a whole sweep fails once; whatever happens, no data is lost. */
static void a_sweep_survives_any_failing_operation(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct fixture f = {0};
        struct vck_future *future;
        vck_status started;
        bool failed;

        begin(&f, 512, 256 << 10, 0, 2, true);
        f.memory->fail_at = n;
        started = vck_volume_start(f.volume, VCK_ENCRYPTING);
        future = started == VCK_OK ? vck_volume_sweep_future(f.volume) : NULL;
        if (future)
            for (int i = 0; i < 100; i++)
                if (vck_future_poll(future, &vck_waker_noop) == VCK_READY)
                    break;
        failed = f.memory->fail_at == 0;
        f.memory->fail_at = 0;
        check_all(&f);
        (void)vck_volume_detach(f.volume);
        attach(&f, true);
        check_all(&f);
        if (vck_volume_start(f.volume, VCK_ENCRYPTING) == VCK_OK &&
            (future = vck_volume_sweep_future(f.volume)) != NULL)
            vck_block_on(future);
        assert_int_equal(query(&f).encrypted_sectors, f.data_bytes / 512);
        check_all(&f);
        end(&f);
        if (!failed)
            break;
    }
}

/* Every allocation of an attach and a whole sweep fails once: a clear status, nothing left behind.
 */
static void any_failing_allocation_is_reported(void **state) VCK_CAN_WAIT
{
    struct fixture f = {0};
    struct vck_volume_options options = {
        .path = "memory",
        .vmk = vmk,
        .batch_bytes = 65536,
    };
    vck_status status = VCK_NO_MEMORY;

    (void)state;
    begin(&f, 512, 256 << 10, 0, 2, true);
    for (uint64_t n = 1; status == VCK_NO_MEMORY; n++) {
        struct vck_future *future;
        size_t live;

        assert_int_equal(vck_volume_detach(f.volume), VCK_OK);
        live = vck_alloc_live_count();
        vck_alloc_fail_nth(n);
        status = vck_volume_attach(&f.memory->disk, &options, &f.volume);
        if (status == VCK_OK) {
            status = vck_volume_start(f.volume, n % 2 ? VCK_ENCRYPTING : VCK_DECRYPTING);
            if (status == VCK_OK && (future = vck_volume_sweep_future(f.volume)) != NULL)
                vck_block_on(future);
            if (query(&f).error[0])
                status = VCK_NO_MEMORY;
            vck_alloc_fail_nth(0);
        } else {
            vck_alloc_fail_nth(0);
            assert_int_equal(status, VCK_NO_MEMORY);
            assert_int_equal(vck_alloc_live_count(), live);
            attach(&f, true);
        }
        check_all(&f);
    }
    assert_int_equal(status, VCK_OK);
    end(&f);
}

static void a_stuck_batch_can_be_tried_again(void **state) VCK_CAN_WAIT
{
    struct fixture f = {0};
    struct vck_future *future;
    uint8_t sector[512] = {0};

    (void)state;
    begin(&f, 512, 256 << 10, 0, 1, true);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
    /* Flush, read, record, flush; then the batch, the next one's read, and the batch repeated. */
    f.memory->fail_at = 5;
    f.memory->fail_more = 2;
    future = vck_volume_sweep_future(f.volume);
    assert_int_equal(vck_future_poll(future, &vck_waker_noop), VCK_PENDING);
    assert_int_equal(query(&f).state, VCK_STATE_PAUSED);
    assert_string_equal(query(&f).error, "writing a batch: input/output error");
    check_all(&f);
    assert_int_equal(vck_volume_io(f.volume, VCK_REQUEST_WRITE, 0, 0, sector, 512), VCK_IO);
    f.memory->fail_at = 1;
    assert_int_equal(vck_volume_pause(f.volume), VCK_IO);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
    if ((future = vck_volume_sweep_future(f.volume)) != NULL)
        vck_block_on(future);
    assert_int_equal(query(&f).encrypted_sectors, f.data_bytes / 512);
    check_all(&f);
    end(&f);
}

/* Whoever still holds a reference gets answers, and no I/O. */
static void a_detached_volume_only_answers(void **state) VCK_CAN_WAIT
{
    static const enum vck_request_op ops[] = {VCK_REQUEST_READ, VCK_REQUEST_WRITE,
                                              VCK_REQUEST_FLUSH, VCK_REQUEST_DISCARD,
                                              VCK_REQUEST_ZERO};
    struct vck_damage_list *list = malloc(sizeof(*list));
    struct fixture f;
    uint8_t buffer[512] = {0};

    (void)state;
    begin(&f, 512, 1 << 20, 0, 2, true);
    vck_volume_reference(f.volume);
    assert_int_equal(vck_volume_detach(f.volume), VCK_OK);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(ops); i++)
        assert_int_equal(vck_volume_io(f.volume, ops[i], 0, 0, buffer,
                                       ops[i] == VCK_REQUEST_FLUSH ? 0 : sizeof(buffer)),
                         VCK_DELETED);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_DELETED);
    assert_int_equal(vck_volume_detach(f.volume), VCK_DELETED);
    assert_int_equal(query(&f).total_sectors, (1 << 20) / 512);
    assert_false(vck_volume_is_read_only(f.volume));
    assert_true(vck_volume_can_discard(f.volume));
    vck_volume_damage(f.volume, list);
    assert_int_equal(list->count, 0);
    vck_volume_release(f.volume);
    memory_disk_free(f.memory);
    free(f.expected);
    free(list);
    assert_int_equal(vck_alloc_live_count(), f.live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encrypts_serves_and_decrypts),
        cmocka_unit_test(pause_keeps_the_boundary_over_attach),
        cmocka_unit_test(detach_while_running_resumes_by_itself),
        cmocka_unit_test(ciphertext_is_plain64),
        cmocka_unit_test(requests_refuse_what_does_not_fit),
        cmocka_unit_test(requests_tell_whether_they_end_briefly),
        cmocka_unit_test(zeroes_are_stored_encrypted),
        cmocka_unit_test(a_failed_flush_fails_writes),
        cmocka_unit_test(what_another_flush_was_told_counts),
        cmocka_unit_test(a_sweep_survives_any_failing_operation),
        cmocka_unit_test(any_failing_allocation_is_reported),
        cmocka_unit_test(a_stuck_batch_can_be_tried_again),
        cmocka_unit_test(a_detached_volume_only_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
