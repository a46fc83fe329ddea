/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads send, cancel, bind and remove at once, over a disk that reorders. */
#include "filter_fixture.h"
#include "products/vcksys/filter_internal.h"
#include "vck/bytes.h"

#define THREADS       4u
#define ROUNDS        300u
#define REGION_BYTES  (DATA_BYTES / THREADS)
#define LONGEST_BYTES 32768u

struct worker {
    struct fixture *fixture;
    struct vck_thread *thread;
    uint32_t index;
    uint32_t seed;
    uint32_t cancelled;
};

static uint32_t next_random(struct worker *worker)
{
    worker->seed = worker->seed * 1664525u + 1013904223u;
    return worker->seed >> 8;
}

static void run_workers(struct fixture *f, struct worker *workers,
                        void (*entry)(void *context)) VCK_CAN_WAIT
{
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i].fixture = f;
        workers[i].index = i;
        workers[i].seed = i + 1;
        assert_int_equal(
            vck_thread_create(entry, &workers[i], VCK_THREAD_NORMAL, "load", &workers[i].thread),
            VCK_OK);
    }
}

static void join_workers(struct worker *workers) VCK_CAN_WAIT
{
    for (uint32_t i = 0; i < THREADS; i++)
        vck_thread_join(workers[i].thread);
}

/* ---- reads and writes while the boundary moves ---- */

/* A region of each thread's own, up to four requests at a time that do not overlap. */
static void load_thread(void *context) VCK_NO_ANALYSIS
{
    struct worker *worker = context;
    struct fixture *f = worker->fixture;
    uint8_t *buffers = malloc(4 * LONGEST_BYTES);
    uint8_t *region = f->expected + worker->index * REGION_BYTES;

    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct sent sent[4] = {0};
        uint32_t offsets[4];
        uint32_t sizes[4];
        bool writes[4];

        for (uint32_t i = 0; i < 4; i++) {
            sizes[i] = (1 + next_random(worker) % (LONGEST_BYTES / 512)) * 512;
            offsets[i] = i * (REGION_BYTES / 4) +
                         next_random(worker) % ((REGION_BYTES / 4 - sizes[i]) / 512) * 512;
            writes[i] = next_random(worker) % 2 != 0;
            if (writes[i]) {
                fill_bytes(buffers + i * LONGEST_BYTES, sizes[i], next_random(worker));
                memcpy(region + offsets[i], buffers + i * LONGEST_BYTES, sizes[i]);
            }
            send_transfer(f, &sent[i], writes[i] ? IRP_MJ_WRITE : IRP_MJ_READ,
                          worker->index * REGION_BYTES + offsets[i], buffers + i * LONGEST_BYTES,
                          sizes[i], 0);
        }
        for (uint32_t i = 0; i < 4; i++) {
            assert_int_equal(sent_await(&sent[i]), STATUS_SUCCESS);
            assert_memory_equal(buffers + i * LONGEST_BYTES, region + offsets[i], sizes[i]);
        }
    }
    free(buffers);
}

static void await_idle(struct fixture *f) VCK_CAN_WAIT
{
    struct vck_volume_status status;

    do {
        vck_thread_yield();
        vck_volume_query(f->volume, &status);
    } while (status.state != VCK_STATE_IDLE);
}

static void data_are_right_while_the_boundary_moves(void **state) VCK_CAN_WAIT
{
    static const struct fixture_options options = {.lanes = 8, .headers = 1, .footers = 1};
    struct worker workers[THREADS] = {0};
    struct fixture f;

    (void)state;
    fixture_begin(&f, &options);
    f.disk->is_async = true;
    f.disk->is_mixed = true;
    f.disk->is_reordering = true;
    assert_int_equal(fixture_bind(&f), VCK_OK);
    run_workers(&f, workers, load_thread);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
    await_idle(&f);
    assert_int_equal(vck_volume_start(f.volume, VCK_DECRYPTING), VCK_OK);
    await_idle(&f);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
    join_workers(workers);
    await_idle(&f);
    check_all(&f);
    fixture_end(&f);
}

/* ---- cancelling ---- */

static void cancel_thread(void *context) VCK_NO_ANALYSIS
{
    struct worker *worker = context;
    struct fixture *f = worker->fixture;
    uint8_t buffers[4][512];

    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct sent sent[4] = {0};

        for (uint32_t i = 0; i < 4; i++) {
            sent[i].keeps_irp = true;
            send_transfer(f, &sent[i], IRP_MJ_READ, (worker->index * 4 + i) * 512, buffers[i], 512,
                          0);
        }
        for (uint32_t i = 0; i < 4; i++)
            if (next_random(worker) % 2)
                (void)IoCancelIrp(sent[i].irp);
        for (uint32_t i = 0; i < 4; i++) {
            NTSTATUS status = sent_await(&sent[i]);

            worker->cancelled += status == STATUS_CANCELLED;
            assert_true(status == STATUS_SUCCESS || status == STATUS_CANCELLED);
            if (status == STATUS_SUCCESS)
                assert_memory_equal(buffers[i], f->expected + (worker->index * 4 + i) * 512, 512);
            IoFreeIrp(sent[i].irp);
        }
    }
}

static void cancelled_and_completed_requests_meet(void **state) VCK_CAN_WAIT
{
    static const struct fixture_options options = {.lanes = 2};
    struct worker workers[THREADS] = {0};
    uint32_t cancelled = 0;
    struct fixture f;

    (void)state;
    fixture_begin(&f, &options);
    f.disk->is_async = true;
    assert_int_equal(fixture_bind(&f), VCK_OK);
    run_workers(&f, workers, cancel_thread);
    join_workers(workers);
    for (uint32_t i = 0; i < THREADS; i++)
        cancelled += workers[i].cancelled;
    assert_true(cancelled != 0);
    check_all(&f);
    fixture_end(&f);
}

/* ---- binding and unbinding under load ---- */

/* Raw and decrypted are the same here: nothing is encrypted. */
static void read_thread(void *context) VCK_NO_ANALYSIS
{
    struct worker *worker = context;
    struct fixture *f = worker->fixture;
    uint8_t buffer[2048];

    for (uint32_t round = 0; round < ROUNDS * 2; round++) {
        uint32_t offset = next_random(worker) % (DATA_BYTES / 2048) * 2048;

        assert_int_equal(transfer_now(f, IRP_MJ_READ, offset, buffer, 2048, NULL), STATUS_SUCCESS);
        assert_memory_equal(buffer, f->expected + offset, 2048);
    }
}

static void bindings_come_and_go_under_load(void **state) VCK_CAN_WAIT
{
    static const struct fixture_options options = {.lanes = 4};
    struct worker workers[THREADS] = {0};
    struct fixture f;

    (void)state;
    fixture_begin(&f, &options);
    f.disk->is_async = true;
    run_workers(&f, workers, read_thread);
    for (uint32_t i = 0; i < 30; i++) {
        assert_int_equal(fixture_bind(&f), VCK_OK);
        vck_thread_yield();
        fixture_unbind(&f);
    }
    join_workers(workers);
    fixture_end(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_are_right_while_the_boundary_moves),
        cmocka_unit_test(cancelled_and_completed_requests_meet),
        cmocka_unit_test(bindings_come_and_go_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
