/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes without their keys for a while: what waits, what goes on, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <pthread.h>

#include "memory_disk.h"
#include "vck/executor.h"
#include "vck/prepare.h"
#include "vck/request.h"
#include "vck/volume.h"

#define METADATA_BYTES 131072u
#define DATA_BYTES     (1u << 20)
#define SECTOR         512u
#define THREADS        3u
#define ROUNDS         12u

static const uint8_t key_bytes[32] = "the key of a volume that sleeps";
static const uint8_t other_bytes[32] = "the key of some other volume...";
static const struct vck_bytes vmk = {key_bytes, sizeof key_bytes};
static const struct vck_bytes other_vmk = {other_bytes, sizeof other_bytes};

struct fixture {
    struct memory_disk *memory;
    struct vck_volume *volume;
    struct vck_executor *executor;
    uint8_t *expected;
    size_t live;
};

static void attach(struct fixture *f) VCK_CAN_WAIT
{
    struct vck_volume_options options = {
        .path = "memory", .vmk = vmk, .batch_bytes = 16384, .executor = f->executor};

    assert_int_equal(vck_volume_attach(&f->memory->disk, &options, &f->volume), VCK_OK);
}

static void begin(struct fixture *f, bool with_executor) VCK_CAN_WAIT
{
    struct vck_prepare_params params = {
        .footer_count = 2, .metadata_size_bytes = METADATA_BYTES, .vmk = vmk};
    struct vck_prepare_result result;
    enum vck_prepare_fault fault;

    *f = (struct fixture){.live = vck_alloc_live_count()};
    f->memory = memory_disk_create(DATA_BYTES + 2 * METADATA_BYTES, SECTOR);
    f->memory->keep = true;
    f->expected = malloc(DATA_BYTES);
    for (size_t i = 0; i < DATA_BYTES; i++)
        f->expected[i] = (uint8_t)(i * 2654435761u >> 11);
    memcpy(f->memory->data, f->expected, DATA_BYTES);
    assert_int_equal(vck_prepare_volume(&f->memory->disk, &params, &result, &fault), VCK_OK);
    if (with_executor)
        assert_int_equal(vck_executor_create(NULL, &f->executor), VCK_OK);
    attach(f);
}

static void end(struct fixture *f) VCK_CAN_WAIT
{
    if (f->volume)
        assert_int_equal(vck_volume_detach(f->volume), VCK_OK);
    if (f->executor)
        vck_executor_destroy(f->executor);
    memory_disk_free(f->memory);
    free(f->expected);
    assert_int_equal(vck_alloc_live_count(), f->live);
}

static void check_all(struct fixture *f) VCK_CAN_WAIT
{
    uint8_t *got = malloc(DATA_BYTES);

    assert_int_equal(vck_volume_io(f->volume, VCK_REQUEST_READ, 0, 0, got, DATA_BYTES), VCK_OK);
    assert_memory_equal(got, f->expected, DATA_BYTES);
    free(got);
}

static struct vck_volume_status query(struct fixture *f)
{
    struct vck_volume_status status;

    vck_volume_query(f->volume, &status);
    return status;
}

/* Without an executor: some batches of what was started, which then still runs. */
static void run_some(struct fixture *f, bool is_rekeying)
{
    vck_volume_set_rate(f->volume, 1); /* it waits between batches */
    for (struct vck_volume_status now = query(f);
         (is_rekeying ? now.rekeyed_sectors : now.encrypted_sectors) < 256; now = query(f))
        (void)vck_future_poll(vck_volume_sweep_future(f->volume), &vck_waker_noop);
}

static void sweep_some(struct fixture *f) VCK_CAN_WAIT
{
    vck_volume_set_rate(f->volume, 1);
    assert_int_equal(vck_volume_start(f->volume, VCK_ENCRYPTING), VCK_OK);
    run_some(f, false);
    assert_true(query(f).encrypted_sectors < DATA_BYTES / SECTOR);
}

static void run_sweep(struct fixture *f)
{
    struct vck_future *sweep;

    vck_volume_set_rate(f->volume, 0);
    while ((sweep = vck_volume_sweep_future(f->volume)) != NULL)
        (void)vck_future_poll(sweep, &vck_waker_noop);
}

static bool is_pending(struct vck_request *request)
{
    return vck_future_poll(&request->future, &vck_waker_noop) == VCK_PENDING;
}

static void requests_wait_for_the_key(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    struct vck_request requests[3];
    static uint8_t data[4096], got[4096];
    struct vck_volume_status before;

    (void)state;
    begin(&f, false);
    sweep_some(&f);
    assert_int_equal(vck_volume_suspend(f.volume), VCK_OK);
    before = query(&f);
    assert_true(before.is_suspended && before.is_attached);
    assert_true(before.encrypted_sectors >= 256 && before.hot_sectors == 0);
    assert_int_equal(vck_volume_suspend(f.volume), VCK_OK);
    memset(data, 0x5a, sizeof data);
    memcpy(f.expected + 8192, data, sizeof data);
    vck_request_init(&requests[0], f.volume, VCK_REQUEST_WRITE, 0, 8192, data, sizeof data);
    vck_request_init(&requests[1], f.volume, VCK_REQUEST_READ, 0, DATA_BYTES - 4096, got, 4096);
    vck_request_init(&requests[2], f.volume, VCK_REQUEST_FLUSH, 0, 0, NULL, 0);
    for (int i = 0; i < 3; i++)
        assert_true(is_pending(&requests[i]));
    assert_int_equal(vck_volume_wake(f.volume, other_vmk), VCK_WRONG_KEY);
    assert_true(query(&f).is_suspended);
    for (int i = 0; i < 3; i++)
        assert_true(is_pending(&requests[i]));
    assert_int_equal(vck_volume_wake(f.volume, vmk), VCK_OK);
    assert_false(query(&f).is_suspended);
    for (int i = 0; i < 3; i++) {
        while (is_pending(&requests[i]))
            run_sweep(&f);
        assert_int_equal(requests[i].status, VCK_OK);
    }
    assert_memory_equal(got, f.expected + DATA_BYTES - 4096, 4096);
    /* The sweep that ran goes on by itself. */
    run_sweep(&f);
    assert_int_equal(query(&f).encrypted_sectors, DATA_BYTES / SECTOR);
    check_all(&f);
    end(&f);
}

static void paused_stays_paused(void **state) VCK_CAN_WAIT
{
    struct fixture f;

    (void)state;
    begin(&f, false);
    sweep_some(&f);
    assert_int_equal(vck_volume_pause(f.volume), VCK_OK);
    assert_int_equal(vck_volume_suspend(f.volume), VCK_OK);
    assert_int_equal(vck_volume_wake(f.volume, vmk), VCK_OK);
    assert_null(vck_volume_sweep_future(f.volume));
    assert_int_equal(query(&f).state, VCK_STATE_PAUSED);
    check_all(&f);
    end(&f);
}

static void detaching_ends_the_waiting(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    struct vck_request read;
    static uint8_t got[4096];

    (void)state;
    begin(&f, false);
    sweep_some(&f);
    assert_int_equal(vck_volume_suspend(f.volume), VCK_OK);
    vck_request_init(&read, f.volume, VCK_REQUEST_READ, 0, 0, got, sizeof got);
    assert_true(is_pending(&read));
    vck_volume_give_up(f.volume);
    assert_false(is_pending(&read));
    assert_int_equal(read.status, VCK_DELETED);
    assert_int_equal(vck_volume_detach(f.volume), VCK_OK);
    attach(&f);
    run_sweep(&f);
    check_all(&f);
    /* Only what sleeps is given up. */
    vck_volume_give_up(f.volume);
    check_all(&f);
    end(&f);
}

static void refuses(void **state) VCK_CAN_WAIT
{
    struct fixture f;

    (void)state;
    begin(&f, false);
    assert_int_equal(vck_volume_wake(f.volume, vmk), VCK_UNSUPPORTED);
    assert_int_equal(vck_volume_suspend(f.volume), VCK_OK);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_NOT_READY);
    assert_int_equal(vck_volume_resume(f.volume), VCK_NOT_READY);
    assert_int_equal(vck_volume_pause(f.volume), VCK_NOT_READY);
    assert_int_equal(vck_volume_rekey(f.volume), VCK_NOT_READY);
    vck_volume_halt(f.volume);
    vck_volume_set_rate(f.volume, 5);
    assert_int_equal(vck_volume_wake(f.volume, vmk), VCK_OK);
    check_all(&f);
    end(&f);
}

/* Somebody set the boundary back while nobody had the volume's keys. */
static void notices_another_disk(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    size_t tail = 2 * METADATA_BYTES;
    uint8_t *before = malloc(tail), *after = malloc(tail);

    (void)state;
    begin(&f, false);
    memcpy(before, f.memory->data + DATA_BYTES, tail);
    sweep_some(&f);
    assert_int_equal(vck_volume_suspend(f.volume), VCK_OK);
    memcpy(after, f.memory->data + DATA_BYTES, tail);
    memcpy(f.memory->data + DATA_BYTES, before, tail);
    assert_int_equal(vck_volume_wake(f.volume, vmk), VCK_VALIDATION_FAILED);
    assert_true(query(&f).is_suspended);
    memcpy(f.memory->data + DATA_BYTES, after, tail);
    assert_int_equal(vck_volume_wake(f.volume, vmk), VCK_OK);
    run_sweep(&f);
    check_all(&f);
    end(&f);
    free(before);
    free(after);
}

/* Between two FVEKs both of them go, and come again. */
static void sleeps_in_a_rekey(void **state) VCK_CAN_WAIT
{
    struct fixture f;

    (void)state;
    begin(&f, false);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
    run_sweep(&f);
    assert_int_equal(vck_volume_rekey(f.volume), VCK_OK);
    run_some(&f, true);
    assert_true(query(&f).is_rekeying);
    assert_int_equal(vck_volume_suspend(f.volume), VCK_OK);
    assert_int_equal(vck_volume_wake(f.volume, other_vmk), VCK_WRONG_KEY);
    assert_int_equal(vck_volume_wake(f.volume, vmk), VCK_OK);
    assert_true(query(&f).is_rekeying);
    check_all(&f);
    run_sweep(&f);
    assert_false(query(&f).is_rekeying);
    check_all(&f);
    end(&f);
}

static void survives_failures(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    bool has_failed = true;

    (void)state;
    begin(&f, false);
    sweep_some(&f);
    assert_int_equal(vck_volume_pause(f.volume), VCK_OK);
    for (uint64_t n = 1; has_failed; n++) {
        assert_int_equal(vck_volume_suspend(f.volume), VCK_OK);
        f.memory->fail_at = n;
        vck_status status = vck_volume_wake(f.volume, vmk);
        has_failed = f.memory->fail_at == 0;
        f.memory->fail_at = 0;
        assert_int_equal(query(&f).is_suspended, status != VCK_OK);
        if (status)
            assert_int_equal(vck_volume_wake(f.volume, vmk), VCK_OK);
        check_all(&f);
    }
    has_failed = true;
    for (unsigned n = 1; has_failed; n++) {
        assert_int_equal(vck_volume_suspend(f.volume), VCK_OK);
        vck_alloc_fail_nth(n);
        vck_status status = vck_volume_wake(f.volume, vmk);
        vck_alloc_fail_nth(0);
        has_failed = status != VCK_OK;
        if (has_failed)
            assert_int_equal(vck_volume_wake(f.volume, vmk), VCK_OK);
        check_all(&f);
    }
    end(&f);
}

/* ---- with everybody at work ---- */

struct worker {
    struct fixture *fixture;
    pthread_t thread;
    uint64_t first, size; /* its own part of the data */
    uint32_t *is_over;
    uint64_t requests; /* atomic */
    bool is_wrong;
};

static void *work(void *context) VCK_NO_ANALYSIS
{
    struct worker *w = context;
    uint8_t *data = malloc(8192);
    uint64_t seed = w->first + 1;

    while (!__atomic_load_n(w->is_over, __ATOMIC_ACQUIRE)) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t at = w->first + (seed >> 33) % (w->size / SECTOR - 16) * SECTOR;
        uint8_t *expected = w->fixture->expected + at;
        vck_status status;

        if (seed >> 20 & 1) {
            memset(data, (int)(seed >> 40), 8192);
            memcpy(expected, data, 8192);
            status = vck_volume_io(w->fixture->volume, VCK_REQUEST_WRITE, 0, at, data, 8192);
        } else {
            status = vck_volume_io(w->fixture->volume, VCK_REQUEST_READ, 0, at, data, 8192);
            w->is_wrong |= memcmp(data, expected, 8192) != 0;
        }
        w->is_wrong |= status != VCK_OK;
        __atomic_fetch_add(&w->requests, 1, __ATOMIC_RELEASE);
    }
    free(data);
    return NULL;
}

static void wait_for_requests(struct worker *workers)
{
    for (unsigned i = 0; i < THREADS; i++) {
        uint64_t seen = __atomic_load_n(&workers[i].requests, __ATOMIC_ACQUIRE);
        while (__atomic_load_n(&workers[i].requests, __ATOMIC_ACQUIRE) < seen + 3) {
            struct vck_volume_status status;
            vck_volume_query(workers[i].fixture->volume, &status);
            sched_yield();
        }
    }
}

static void sleeps_under_load(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    struct worker workers[THREADS];
    uint32_t is_over = 0;

    (void)state;
    begin(&f, true);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] =
            (struct worker){.fixture = &f, .first = i * (DATA_BYTES / 4), .size = DATA_BYTES / 4};
        workers[i].is_over = &is_over;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        enum vck_direction direction = round % 2 ? VCK_DECRYPTING : VCK_ENCRYPTING;

        assert_int_equal(vck_volume_start(f.volume, direction), VCK_OK);
        wait_for_requests(workers);
        assert_int_equal(vck_volume_suspend(f.volume), VCK_OK);
        assert_true(query(&f).is_suspended);
        if (round % 3 == 0)
            assert_int_equal(vck_volume_wake(f.volume, other_vmk), VCK_WRONG_KEY);
        assert_int_equal(vck_volume_wake(f.volume, vmk), VCK_OK);
        wait_for_requests(workers);
    }
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_false(workers[i].is_wrong);
    }
    check_all(&f);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_wait_for_the_key),  cmocka_unit_test(paused_stays_paused),
        cmocka_unit_test(detaching_ends_the_waiting), cmocka_unit_test(refuses),
        cmocka_unit_test(notices_another_disk),       cmocka_unit_test(sleeps_in_a_rekey),
        cmocka_unit_test(survives_failures),          cmocka_unit_test(sleeps_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
