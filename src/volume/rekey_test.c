/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sched.h>

#include "memory_disk.h"
#include "vck/executor.h"
#include "vck/prepare.h"
#include "vck/request.h"
#include "vck/volume.h"

#define METADATA_BYTES 131072u
#define DATA_BYTES     (256u << 10)
#define SECTOR         512u
#define SECTORS        (DATA_BYTES / SECTOR)
#define FOOTERS        2u

static const uint8_t vmk_bytes[32] = "an ordinary volume master key !";
static const struct vck_bytes vmk = {vmk_bytes, sizeof vmk_bytes};

struct fixture {
    struct memory_disk *memory;
    struct vck_volume *volume;
    uint8_t expected[DATA_BYTES]; /* plaintext */
    uint8_t fvek[64];             /* at the beginning */
    size_t live;
};

static void attach(struct fixture *f) VCK_CAN_WAIT
{
    const struct vck_volume_options options = {.path = "memory", .vmk = vmk, .batch_bytes = 65536};

    assert_int_equal(vck_volume_attach(&f->memory->disk, &options, &f->volume), VCK_OK);
}

/* What the metadata says; false: version 1. */
static bool read_fvek(struct fixture *f, uint8_t ret_fvek[64]) VCK_CAN_WAIT
{
    struct vck_store store;
    bool is_rekeying;

    assert_int_equal(vck_store_open(&store, &f->memory->disk, vmk, NULL, VCK_STORE_ANY_REPLICA),
                     VCK_OK);
    memcpy(ret_fvek, store.fvek_key1, 32);
    memcpy(ret_fvek + 32, store.fvek_key2, 32);
    is_rekeying = vck_store_is_rekeying(&store);
    vck_store_fini(&store);
    return is_rekeying;
}

static void run(struct fixture *f) VCK_CAN_WAIT
{
    struct vck_future *sweep = vck_volume_sweep_future(f->volume);

    if (sweep)
        vck_block_on(sweep);
}

static struct vck_volume_status query(struct fixture *f)
{
    struct vck_volume_status status;

    vck_volume_query(f->volume, &status);
    return status;
}

/* Until so many sectors are under the new key: a sweep with a limit waits behind every batch. */
static void run_to(struct fixture *f, uint64_t sectors) VCK_CAN_WAIT
{
    vck_volume_set_rate(f->volume, 1);
    while (query(f).rekeyed_sectors < sectors)
        assert_int_equal(vck_future_poll(vck_volume_sweep_future(f->volume), &vck_waker_noop),
                         VCK_PENDING);
    vck_volume_set_rate(f->volume, 0);
    vck_volume_request_stop(f->volume);
    run(f);
}

/* A volume that is ciphertext as a whole. */
static struct fixture *begin(void) VCK_CAN_WAIT
{
    struct fixture *f = calloc(1, sizeof *f);
    struct vck_prepare_params params = {
        .footer_count = FOOTERS, .metadata_size_bytes = METADATA_BYTES, .vmk = vmk};
    struct vck_prepare_result result;
    enum vck_prepare_fault fault;

    f->live = vck_alloc_live_count();
    f->memory = memory_disk_create(DATA_BYTES + FOOTERS * METADATA_BYTES, SECTOR);
    f->memory->keep = true;
    for (uint32_t i = 0; i < DATA_BYTES; i++)
        f->expected[i] = (uint8_t)(i * 7 + i / 512);
    memcpy(f->memory->data, f->expected, DATA_BYTES);
    assert_int_equal(vck_prepare_volume(&f->memory->disk, &params, &result, &fault), VCK_OK);
    attach(f);
    assert_int_equal(vck_volume_start(f->volume, VCK_ENCRYPTING), VCK_OK);
    run(f);
    assert_false(read_fvek(f, f->fvek));
    return f;
}

static void end(struct fixture *f) VCK_CAN_WAIT
{
    assert_int_equal(vck_volume_detach(f->volume), VCK_OK);
    memory_disk_free(f->memory);
    assert_int_equal(vck_alloc_live_count(), f->live);
    free(f);
}

static void check_all(struct fixture *f) VCK_CAN_WAIT
{
    uint8_t *got = malloc(DATA_BYTES);

    assert_int_equal(vck_volume_io(f->volume, VCK_REQUEST_READ, 0, 0, got, DATA_BYTES), VCK_OK);
    assert_memory_equal(got, f->expected, DATA_BYTES);
    free(got);
}

static void write_some(struct fixture *f, uint64_t offset, uint64_t size) VCK_CAN_WAIT
{
    for (uint64_t i = 0; i < size; i++)
        f->expected[offset + i] ^= 0x5a;
    assert_int_equal(
        vck_volume_io(f->volume, VCK_REQUEST_WRITE, 0, offset, f->expected + offset, size), VCK_OK);
}

/* What is on the disk, to somebody with the key and another implementation of the cipher. */
static void openssl_decrypts(struct fixture *f, const uint8_t fvek[64])
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    uint8_t plain[SECTOR];

    for (uint64_t sector = 0; sector < SECTORS; sector++) {
        uint8_t tweak[16] = {0};
        int length = 0;

        vck_store_le64(tweak, sector);
        assert_int_equal(EVP_DecryptInit_ex(context, EVP_aes_256_xts(), NULL, fvek, tweak), 1);
        assert_int_equal(
            EVP_DecryptUpdate(context, plain, &length, f->memory->data + sector * SECTOR, SECTOR),
            1);
        assert_memory_equal(plain, f->expected + sector * SECTOR, SECTOR);
    }
    EVP_CIPHER_CTX_free(context);
}

static bool is_record_erased(struct fixture *f)
{
    const uint8_t *region = f->memory->data + DATA_BYTES;

    for (unsigned i = 0; i < 2 * FOOTERS; i++)
        if (!vck_all_zero(region + i / 2 * METADATA_BYTES + i % 2 * VCK_KEY_COPY_BYTES +
                              VCK_KEY_COPY_BYTES - VCK_REKEY_BLOCK_BYTES,
                          VCK_REKEY_BLOCK_BYTES))
            return false;
    return true;
}

/* ---- the way there ---- */

static void a_volume_gets_a_new_key_in_use(void **state) VCK_CAN_WAIT
{
    struct fixture *f = begin();
    uint8_t fvek[64];

    (void)state;
    assert_int_equal(vck_volume_rekey(f->volume), VCK_OK);
    assert_true(query(f).is_rekeying);
    assert_int_equal(query(f).encrypted_sectors, SECTORS);
    check_all(f);
    run_to(f, SECTORS / 2);
    assert_true(query(f).rekeyed_sectors < SECTORS);
    assert_true(read_fvek(f, fvek));
    assert_memory_equal(fvek, f->fvek, 64);
    /* Below the boundary, across it, and above. */
    write_some(f, 1024, 4096);
    write_some(f, (query(f).rekeyed_sectors - 2) * SECTOR, 4 * SECTOR);
    write_some(f, DATA_BYTES - 2048, 2048);
    check_all(f);
    assert_int_equal(vck_volume_rekey(f->volume), VCK_OK);
    run(f);
    assert_false(query(f).is_rekeying);
    assert_int_equal(query(f).state, VCK_STATE_IDLE);
    assert_int_equal(query(f).encrypted_sectors, SECTORS);
    check_all(f);
    assert_false(read_fvek(f, fvek));
    assert_true(memcmp(fvek, f->fvek, 64) != 0);
    assert_true(is_record_erased(f));
    openssl_decrypts(f, fvek);
    write_some(f, 0, 8192);
    openssl_decrypts(f, fvek);
    end(f);
}

static void it_goes_on_after_an_attach(void **state) VCK_CAN_WAIT
{
    struct fixture *f = begin();
    uint8_t fvek[64];

    (void)state;
    assert_int_equal(vck_volume_rekey(f->volume), VCK_OK);
    run_to(f, SECTORS / 4);
    assert_int_equal(vck_volume_pause(f->volume), VCK_OK);
    assert_int_equal(query(f).state, VCK_STATE_PAUSED);
    assert_int_equal(vck_volume_detach(f->volume), VCK_OK);
    attach(f);
    assert_int_equal(query(f).state, VCK_STATE_PAUSED);
    assert_true(query(f).is_rekeying);
    assert_in_range(query(f).rekeyed_sectors, SECTORS / 4, SECTORS - 1);
    check_all(f);
    write_some(f, 0, DATA_BYTES);
    assert_int_equal(vck_volume_resume(f->volume), VCK_OK);
    run_to(f, SECTORS / 2);
    assert_int_equal(vck_volume_rekey(f->volume), VCK_OK);
    assert_int_equal(vck_volume_detach(f->volume), VCK_OK);
    attach(f);
    assert_int_equal(query(f).state, VCK_STATE_ENCRYPTING);
    run(f);
    check_all(f);
    assert_false(read_fvek(f, fvek));
    openssl_decrypts(f, fvek);
    end(f);
}

static void it_can_be_turned_round(void **state) VCK_CAN_WAIT
{
    struct fixture *f = begin();
    uint8_t fvek[64];

    (void)state;
    assert_int_equal(vck_volume_rekey_back(f->volume), VCK_NOT_FOUND);
    assert_int_equal(vck_volume_rekey(f->volume), VCK_OK);
    run_to(f, SECTORS / 2);
    assert_int_equal(vck_volume_rekey_back(f->volume), VCK_OK);
    check_all(f);
    write_some(f, DATA_BYTES / 2 - 4096, 8192);
    run(f);
    assert_false(query(f).is_rekeying);
    assert_int_equal(query(f).encrypted_sectors, SECTORS);
    assert_int_equal(query(f).state, VCK_STATE_IDLE);
    check_all(f);
    assert_false(read_fvek(f, fvek));
    assert_memory_equal(fvek, f->fvek, 64);
    assert_true(is_record_erased(f));
    openssl_decrypts(f, fvek);
    /* And the next one is another. */
    assert_int_equal(vck_volume_rekey(f->volume), VCK_OK);
    run(f);
    assert_false(read_fvek(f, fvek));
    assert_true(memcmp(fvek, f->fvek, 64) != 0);
    openssl_decrypts(f, fvek);
    end(f);
}

/* ---- beside traffic ---- */

struct traffic {
    struct vck_volume *volume;
    uint64_t first_sector; /* 16 sectors of its own */
    uint32_t stopping;
    uint64_t rounds;
    bool is_wrong;
};

/* Writes its sectors and reads them back, again and again. */
static void *work(void *argument) VCK_NO_ANALYSIS
{
    struct traffic *t = argument;
    uint8_t wrote[16 * SECTOR];
    uint8_t got[16 * SECTOR];

    while (!__atomic_load_n(&t->stopping, __ATOMIC_ACQUIRE) && !t->is_wrong) {
        memset(wrote, (int)(t->first_sector + t->rounds), sizeof wrote);
        t->is_wrong = vck_volume_io(t->volume, VCK_REQUEST_WRITE, 0, t->first_sector * SECTOR,
                                    wrote, sizeof wrote) != VCK_OK ||
                      vck_volume_io(t->volume, VCK_REQUEST_READ, 0, t->first_sector * SECTOR, got,
                                    sizeof got) != VCK_OK ||
                      memcmp(wrote, got, sizeof got) != 0;
        __atomic_fetch_add(&t->rounds, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* On workers, there, back, and there again. */
static void traffic_goes_on(void **state) VCK_CAN_WAIT
{
    struct fixture *f = begin();
    struct vck_volume_options options = {.path = "memory", .vmk = vmk, .batch_bytes = 16384};
    struct traffic traffic[2] = {{.first_sector = 16}, {.first_sector = SECTORS - 32}};
    pthread_t threads[2];

    (void)state;
    assert_int_equal(vck_volume_detach(f->volume), VCK_OK);
    assert_int_equal(vck_executor_create(NULL, &options.executor), VCK_OK);
    assert_int_equal(vck_volume_attach(&f->memory->disk, &options, &f->volume), VCK_OK);
    for (unsigned i = 0; i < 2; i++) {
        traffic[i].volume = f->volume;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &traffic[i]), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(vck_volume_rekey(f->volume), VCK_OK);
        for (unsigned k = 0; k < 20 * i; k++) {
            vck_status turned = vck_volume_rekey_back(f->volume);

            /* Whatever it meets, it never begins to decrypt. */
            assert_true(turned == VCK_OK || turned == VCK_NOT_FOUND);
            assert_int_equal(query(f).encrypted_sectors, SECTORS);
            assert_int_equal(vck_volume_resume(f->volume), VCK_OK);
            assert_int_equal(query(f).encrypted_sectors, SECTORS);
            if (turned == VCK_OK && vck_volume_rekey(f->volume) == VCK_VALIDATION_FAILED)
                break; /* it is just ending */
        }
        while (query(f).state != VCK_STATE_IDLE)
            sched_yield();
        assert_false(query(f).is_rekeying);
        assert_string_equal(query(f).error, "");
    }
    for (unsigned i = 0; i < 2; i++) {
        __atomic_store_n(&traffic[i].stopping, 1, __ATOMIC_RELEASE);
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(traffic[i].is_wrong);
        assert_true(traffic[i].rounds > 0);
        memset(f->expected + traffic[i].first_sector * SECTOR,
               (int)(traffic[i].first_sector + traffic[i].rounds - 1), 16 * SECTOR);
    }
    check_all(f);
    assert_int_equal(vck_volume_detach(f->volume), VCK_OK);
    vck_executor_destroy(options.executor);
    attach(f);
    check_all(f);
    end(f);
}

/* ---- what is refused ---- */

static void only_ciphertext_is_rekeyed(void **state) VCK_CAN_WAIT
{
    struct fixture *f = begin();

    (void)state;
    assert_int_equal(vck_volume_start(f->volume, VCK_DECRYPTING), VCK_OK);
    assert_int_equal(vck_volume_rekey(f->volume), VCK_VALIDATION_FAILED);
    run(f);
    assert_int_equal(vck_volume_rekey(f->volume), VCK_VALIDATION_FAILED);
    assert_int_equal(vck_volume_start(f->volume, VCK_ENCRYPTING), VCK_OK);
    run(f);
    assert_int_equal(vck_volume_rekey(f->volume), VCK_OK);
    assert_int_equal(vck_volume_start(f->volume, VCK_DECRYPTING), VCK_BUSY);
    assert_int_equal(vck_volume_start(f->volume, VCK_ENCRYPTING), VCK_BUSY);
    assert_int_equal(vck_volume_pause(f->volume), VCK_OK);
    f->memory->disk.read_only = true;
    check_all(f);
    f->memory->disk.read_only = false;
    end(f);
}

/* Every place of the record in turn is enough, and without any the volume stays closed. */
static void one_whole_record_is_enough(void **state) VCK_CAN_WAIT
{
    struct fixture *f = begin();
    const struct vck_volume_options options = {.path = "memory", .vmk = vmk};
    uint8_t *whole = malloc(f->memory->disk.size_bytes);
    uint8_t *region = f->memory->data + DATA_BYTES;

    (void)state;
    assert_int_equal(vck_volume_rekey(f->volume), VCK_OK);
    run_to(f, SECTORS / 2);
    assert_int_equal(vck_volume_detach(f->volume), VCK_OK);
    memcpy(whole, f->memory->data, f->memory->disk.size_bytes);
    for (unsigned kept = 0; kept <= 2 * FOOTERS; kept++) {
        memcpy(f->memory->data, whole, f->memory->disk.size_bytes);
        for (unsigned i = 0; i < 2 * FOOTERS; i++)
            if (i != kept)
                region[i / 2 * METADATA_BYTES + (i % 2 + 1) * VCK_KEY_COPY_BYTES -
                       VCK_REKEY_BLOCK_BYTES + 50] ^= 1;
        if (kept < 2 * FOOTERS) {
            attach(f);
            check_all(f);
            assert_int_equal(vck_volume_detach(f->volume), VCK_OK);
        } else {
            assert_int_equal(vck_volume_attach(&f->memory->disk, &options, &f->volume),
                             VCK_TAMPERED);
        }
    }
    memcpy(f->memory->data, whole, f->memory->disk.size_bytes);
    attach(f);
    free(whole);
    end(f);
}

/* ---- failures ---- */

/* Every operation of a whole rekey fails once; whatever happens, no data is lost. */
static void it_survives_any_failing_operation(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct fixture *f = begin();
        uint8_t fvek[64];
        bool failed;

        f->memory->fail_at = n;
        if (vck_volume_rekey(f->volume) == VCK_OK) {
            struct vck_future *sweep = vck_volume_sweep_future(f->volume);

            for (int i = 0; sweep && i < 100; i++)
                if (vck_future_poll(sweep, &vck_waker_noop) == VCK_READY)
                    break;
        }
        failed = f->memory->fail_at == 0;
        f->memory->fail_at = 0;
        check_all(f);
        (void)vck_volume_detach(f->volume);
        attach(f);
        check_all(f);
        run(f);
        if (query(f).is_rekeying) {
            assert_int_equal(vck_volume_rekey(f->volume), VCK_OK);
            run(f);
        }
        assert_false(query(f).is_rekeying);
        check_all(f);
        assert_false(read_fvek(f, fvek));
        openssl_decrypts(f, fvek);
        end(f);
        if (!failed)
            break;
        assert_true(n < 1000);
    }
}

static void any_failing_allocation_is_reported(void **state) VCK_CAN_WAIT
{
    vck_status status = VCK_NO_MEMORY;

    (void)state;
    for (uint64_t n = 1; status == VCK_NO_MEMORY; n++) {
        struct fixture *f = begin();

        vck_alloc_fail_nth(n);
        status = vck_volume_rekey(f->volume);
        if (status == VCK_OK)
            run(f);
        if (query(f).error[0])
            status = VCK_NO_MEMORY;
        vck_alloc_fail_nth(0);
        check_all(f);
        if (status == VCK_NO_MEMORY) {
            assert_int_equal(vck_volume_rekey(f->volume), VCK_OK);
            run(f);
            check_all(f);
        }
        assert_false(query(f).is_rekeying);
        end(f);
        assert_true(n < 100);
    }
    assert_int_equal(status, VCK_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_volume_gets_a_new_key_in_use),
        cmocka_unit_test(it_goes_on_after_an_attach),
        cmocka_unit_test(it_can_be_turned_round),
        cmocka_unit_test(traffic_goes_on),
        cmocka_unit_test(only_ciphertext_is_rekeyed),
        cmocka_unit_test(one_whole_record_is_enough),
        cmocka_unit_test(it_survives_any_failing_operation),
        cmocka_unit_test(any_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
