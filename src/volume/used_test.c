/* SPDX-License-Identifier: Apache-2.0 */
/* Sweeps that leave out what nobody uses: every sector that was used or written reads right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "memory_disk.h"
#include "vck/executor.h"
#include "vck/prepare.h"
#include "vck/request.h"
#include "vck/used_map.h"
#include "vck/volume.h"

#define METADATA_BYTES 131072u
#define DATA_BYTES     (1u << 20)
#define SECTOR         512u
#define SECTORS        (DATA_BYTES / SECTOR)
#define GRANULE        4096u
#define GRANULES       (DATA_BYTES / GRANULE)

static const uint8_t key_bytes[32] = "the key of a half empty volume.";
static const struct vck_bytes vmk = {key_bytes, sizeof key_bytes};

/* ---- the map alone ---- */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* What the map means, sector by sector. */
static uint64_t model_gap_end(const uint8_t *used, uint64_t sectors, uint64_t first, uint64_t least)
{
    uint64_t end = first;

    while (end < sectors && !used[end])
        end++;
    return end - first >= least ? end : first;
}

static uint64_t model_run(const uint8_t *used, uint64_t sectors, uint64_t first, uint64_t limit,
                          uint64_t least)
{
    uint64_t at = first;

    while (at < sectors && at - first < limit &&
           (used[at] || model_gap_end(used, sectors, at, least) == at)) {
        if (used[at])
            at++;
        else
            while (at < sectors && !used[at])
                at++;
    }
    return VCK_MIN(VCK_MIN(at, sectors) - first, limit);
}

static void compare(const struct vck_used_map *map, const uint8_t *used, uint64_t sectors,
                    uint32_t *seed)
{
    for (uint64_t first = 0; first <= sectors; first++) {
        uint64_t limit = next_random(seed) % (sectors + 1);

        assert_int_equal(vck_used_map_gap_end(map, first),
                         model_gap_end(used, sectors, first, map->gap_sectors_min));
        assert_int_equal(vck_used_map_run(map, first, limit),
                         model_run(used, sectors, first, limit, map->gap_sectors_min));
    }
}

static void the_map_is_what_its_sectors_say(void **state)
{
    static const struct {
        uint64_t sectors;
        uint32_t granule_bytes;
    } cases[] = {{1, 512},     {64, 512},    {65, 512},    {1000, 512},
                 {1000, 4096}, {1001, 2048}, {8192, 8192}, {9000, 0}};
    uint32_t seed = 5;

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        uint64_t sectors = cases[i].sectors;
        uint8_t *used = calloc(1, sectors);
        struct vck_used_map map = {0};

        assert_int_equal(vck_used_map_init(&map, sectors, SECTOR, cases[i].granule_bytes), VCK_OK);
        for (int round = 0; round < 6; round++) {
            uint64_t first = next_random(&seed) % sectors;
            uint64_t count = next_random(&seed) % (VCK_MIN(sectors - first, 200) + 1);
            uint64_t granule = map.granule_sectors;

            compare(&map, used, sectors, &seed);
            vck_used_map_mark(&map, first, count);
            for (uint64_t at = first / granule * granule;
                 count > 0 && at < sectors && at / granule <= (first + count - 1) / granule; at++)
                used[at] = 1;
        }
        compare(&map, used, sectors, &seed);
        vck_used_map_fini(&map);
        free(used);
    }
}

static void the_map_of_a_large_volume_is_small(void **state)
{
    static const uint64_t sizes[] = {1, 1u << 20, UINT64_C(1) << 32, (UINT64_C(1) << 32) + 1,
                                     UINT64_C(1) << 44};

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sizes); i++) {
        struct vck_used_map map = {0};

        assert_int_equal(vck_used_map_init(&map, sizes[i], SECTOR, 0), VCK_OK);
        assert_true(map.size_bytes <= VCK_USED_MAP_BYTES_MAX);
        assert_true(map.granule_sectors >= VCK_USED_GRANULE_BYTES / SECTOR);
        vck_used_map_mark(&map, sizes[i] - 1, 1);
        assert_int_equal(vck_used_map_run(&map, sizes[i] - 1, 10), 1);
        if (sizes[i] > 1u << 20)
            assert_int_equal(vck_used_map_gap_end(&map, 0),
                             (sizes[i] - 1) / map.granule_sectors * map.granule_sectors);
        vck_used_map_fini(&map);
    }
}

/* ---- volumes ---- */

struct fixture {
    struct memory_disk *memory;
    struct vck_volume *volume;
    struct vck_executor *executor;
    uint8_t *before;   /* plaintext that lay there at first */
    uint8_t *expected; /* plaintext */
    uint8_t *used;     /* per sector: expected has to be read */
    size_t live;
};

static void attach(struct fixture *f) VCK_CAN_WAIT
{
    struct vck_volume_options options = {
        .path = "memory", .vmk = vmk, .batch_bytes = 16384, .executor = f->executor};

    assert_int_equal(vck_volume_attach(&f->memory->disk, &options, &f->volume), VCK_OK);
}

static void begin(struct fixture *f, uint32_t headers, uint32_t footers,
                  bool with_executor) VCK_CAN_WAIT
{
    struct vck_prepare_params params = {.header_count = headers,
                                        .footer_count = footers,
                                        .metadata_size_bytes = METADATA_BYTES,
                                        .single_replica = true,
                                        .vmk = vmk};
    struct vck_prepare_result result;
    enum vck_prepare_fault fault;

    *f = (struct fixture){.live = vck_alloc_live_count()};
    f->memory = memory_disk_create(DATA_BYTES + (headers + footers) * METADATA_BYTES, SECTOR);
    f->memory->keep = true;
    f->before = malloc(DATA_BYTES);
    f->expected = malloc(DATA_BYTES);
    f->used = calloc(1, SECTORS);
    for (size_t i = 0; i < DATA_BYTES; i++)
        f->before[i] = (uint8_t)(i * 2654435761u >> 13);
    memcpy(f->expected, f->before, DATA_BYTES);
    memcpy(f->memory->data + headers * METADATA_BYTES, f->before, DATA_BYTES);
    assert_int_equal(vck_prepare_volume(&f->memory->disk, &params, &result, &fault), VCK_OK);
    if (with_executor)
        assert_int_equal(vck_executor_create(NULL, &f->executor), VCK_OK);
    attach(f);
}

static void end(struct fixture *f) VCK_CAN_WAIT
{
    assert_int_equal(vck_volume_detach(f->volume), VCK_OK);
    if (f->executor)
        vck_executor_destroy(f->executor);
    memory_disk_free(f->memory);
    free(f->before);
    free(f->expected);
    free(f->used);
    assert_int_equal(vck_alloc_live_count(), f->live);
}

static void check_used(struct fixture *f) VCK_CAN_WAIT
{
    uint8_t *got = malloc(DATA_BYTES);

    assert_int_equal(vck_volume_io(f->volume, VCK_REQUEST_READ, 0, 0, got, DATA_BYTES), VCK_OK);
    for (size_t i = 0; i < SECTORS; i++)
        if (f->used[i])
            assert_memory_equal(got + i * SECTOR, f->expected + i * SECTOR, SECTOR);
    free(got);
}

static void write_at(struct fixture *f, uint64_t first, uint64_t count, uint8_t seed) VCK_CAN_WAIT
{
    uint8_t *data = malloc(count * SECTOR);

    memset(data, seed, count * SECTOR);
    memset(f->used + first, 1, count);
    memcpy(f->expected + first * SECTOR, data, count * SECTOR);
    assert_int_equal(
        vck_volume_io(f->volume, VCK_REQUEST_WRITE, 0, first * SECTOR, data, count * SECTOR),
        VCK_OK);
    free(data);
}

static void zero_at(struct fixture *f, uint64_t first, uint64_t count) VCK_CAN_WAIT
{
    memset(f->used + first, 1, count);
    memset(f->expected + first * SECTOR, 0, count * SECTOR);
    assert_int_equal(
        vck_volume_io(f->volume, VCK_REQUEST_ZERO, 0, first * SECTOR, NULL, count * SECTOR),
        VCK_OK);
}

static struct vck_volume_status query(struct fixture *f)
{
    struct vck_volume_status status;

    vck_volume_query(f->volume, &status);
    return status;
}

static void run_sweep(struct fixture *f) VCK_CAN_WAIT
{
    struct vck_future *sweep = vck_volume_sweep_future(f->volume);

    vck_volume_set_rate(f->volume, 0);
    if (sweep)
        vck_block_on(sweep);
}

/* Until so many sectors are behind the boundary; then it still runs. */
static void run_some(struct fixture *f, uint64_t sectors)
{
    vck_volume_set_rate(f->volume, 1); /* it waits between batches */
    while (query(f).encrypted_sectors < sectors)
        (void)vck_future_poll(vck_volume_sweep_future(f->volume), &vck_waker_noop);
}

/* The granules that a volume's content uses, in these tests. */
static bool is_content(uint64_t granule)
{
    return granule < 2 || (granule >= 40 && granule < 47) || granule % 64 == 63;
}

#define CONTENT_GRANULES 13u

static uint64_t record(struct fixture *f) VCK_CAN_WAIT
{
    uint64_t recording = 0;

    assert_int_equal(vck_volume_used_begin(f->volume, GRANULE, &recording), VCK_OK);
    return recording;
}

static vck_status add_one(struct fixture *f, uint64_t recording, uint64_t offset_bytes,
                          uint64_t size_bytes) VCK_CAN_WAIT
{
    const struct vck_used_range range = {offset_bytes, size_bytes};

    return vck_volume_used_add(f->volume, recording, &range, 1);
}

static void add_content(struct fixture *f, uint64_t recording) VCK_CAN_WAIT
{
    for (uint64_t granule = 0; granule < GRANULES; granule++) {
        if (!is_content(granule))
            continue;
        memset(f->used + granule * GRANULE / SECTOR, 1, GRANULE / SECTOR);
        /* A part of a granule stands for all of it. */
        assert_int_equal(add_one(f, recording, granule * GRANULE + 100, GRANULE - 200), VCK_OK);
    }
}

static void start_used(struct fixture *f) VCK_CAN_WAIT
{
    uint64_t recording = record(f);

    add_content(f, recording);
    assert_int_equal(vck_volume_used_start(f->volume, recording), VCK_OK);
}

/* Whether the sectors nobody used or wrote are as they were before there was a volume. */
static bool rest_is_untouched(const struct fixture *f, uint32_t headers)
{
    const uint8_t *disk = f->memory->data + headers * METADATA_BYTES;

    for (size_t i = 0; i < SECTORS; i++) {
        bool is_same = memcmp(disk + i * SECTOR, f->before + i * SECTOR, SECTOR) == 0;

        if (is_same == (f->used[i] != 0))
            return false;
    }
    return true;
}

static void only_what_is_used_is_encrypted(void **state) VCK_CAN_WAIT
{
    static const uint32_t replicas[][2] = {{0, 2}, {1, 1}, {0, 1}, {2, 1}};

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(replicas); i++) {
        struct fixture f;

        begin(&f, replicas[i][0], replicas[i][1], false);
        start_used(&f);
        assert_true(query(&f).is_used_only);
        run_sweep(&f);
        assert_int_equal(query(&f).state, VCK_STATE_IDLE);
        assert_int_equal(query(&f).encrypted_sectors, SECTORS);
        assert_int_equal(query(&f).skipped_sectors,
                         (GRANULES - CONTENT_GRANULES) * GRANULE / SECTOR);
        check_used(&f);
        assert_true(rest_is_untouched(&f, replicas[i][0]));
        write_at(&f, 200, 1, 7);
        zero_at(&f, 900, 4);
        check_used(&f);
        assert_true(rest_is_untouched(&f, replicas[i][0]));
        assert_int_equal(vck_volume_detach(f.volume), VCK_OK);
        attach(&f);
        assert_false(query(&f).is_used_only);
        check_used(&f);
        assert_int_equal(vck_volume_rekey(f.volume), VCK_OK);
        run_sweep(&f);
        check_used(&f);
        assert_int_equal(vck_volume_start(f.volume, VCK_DECRYPTING), VCK_OK);
        run_sweep(&f);
        assert_int_equal(query(&f).encrypted_sectors, 0);
        check_used(&f);
        end(&f);
    }
}

static void writes_count_as_used(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    uint64_t recording;

    (void)state;
    begin(&f, 0, 2, false);
    recording = record(&f);
    write_at(&f, 80, 3, 1); /* while somebody looks at the content */
    add_content(&f, recording);
    zero_at(&f, 1000, 9);
    assert_int_equal(vck_volume_used_start(f.volume, recording), VCK_OK);
    write_at(&f, 700, 17, 2); /* before the boundary comes there */
    run_some(&f, 330);        /* the first gaps are behind it */
    write_at(&f, 150, 2, 3);  /* ... and one of them is written to */
    write_at(&f, 1500, 1, 4);
    zero_at(&f, 1503, 1);
    check_used(&f);
    run_sweep(&f);
    check_used(&f);
    assert_true(query(&f).skipped_sectors > SECTORS / 2);
    assert_int_equal(vck_volume_detach(f.volume), VCK_OK);
    attach(&f);
    check_used(&f);
    end(&f);
}

/* A discard is no content: it makes nothing used. */
static void discards_do_not_count(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    uint64_t recording;

    (void)state;
    begin(&f, 0, 2, false);
    recording = record(&f);
    if (vck_volume_can_discard(f.volume))
        assert_int_equal(vck_volume_io(f.volume, VCK_REQUEST_DISCARD, 0, 0, NULL, DATA_BYTES / 2),
                         VCK_OK);
    assert_int_equal(vck_volume_used_start(f.volume, recording), VCK_OK);
    run_sweep(&f);
    assert_int_equal(query(&f).skipped_sectors, SECTORS);
    end(&f);
}

static void a_pause_keeps_it_and_a_start_forgets_it(void **state) VCK_CAN_WAIT
{
    struct fixture f;

    (void)state;
    begin(&f, 0, 2, false);
    start_used(&f);
    run_some(&f, 330);
    assert_int_equal(vck_volume_pause(f.volume), VCK_OK);
    write_at(&f, 600, 8, 9);
    assert_int_equal(vck_volume_resume(f.volume), VCK_OK);
    assert_true(query(&f).is_used_only);
    run_some(&f, 520);
    assert_int_equal(vck_volume_suspend(f.volume), VCK_OK);
    assert_int_equal(vck_volume_wake(f.volume, vmk), VCK_OK);
    assert_true(query(&f).is_used_only);
    check_used(&f);
    run_some(&f, 900);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
    assert_false(query(&f).is_used_only);
    memset(f.used + query(&f).encrypted_sectors, 1, SECTORS - query(&f).encrypted_sectors);
    run_sweep(&f);
    check_used(&f);
    assert_int_equal(query(&f).skipped_sectors, 0);
    end(&f);
}

static void another_attachment_encrypts_the_rest(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    uint64_t boundary;

    (void)state;
    begin(&f, 0, 2, false);
    start_used(&f);
    run_some(&f, 330);
    boundary = query(&f).encrypted_sectors;
    assert_int_equal(vck_volume_detach(f.volume), VCK_OK);
    attach(&f);
    assert_int_equal(query(&f).state, VCK_STATE_ENCRYPTING);
    assert_false(query(&f).is_used_only);
    memset(f.used + boundary, 1, SECTORS - boundary);
    run_sweep(&f);
    check_used(&f);
    end(&f);
}

static void all_ranges_are_added_or_none(void **state) VCK_CAN_WAIT
{
    struct vck_used_range ranges[] = {{0, GRANULE}, {40 * GRANULE, 1}, {DATA_BYTES - 1, 2}};
    struct fixture f;
    uint64_t recording;

    (void)state;
    begin(&f, 0, 2, false);
    recording = record(&f);
    assert_int_equal(vck_volume_used_add(f.volume, recording, ranges, 3), VCK_OUT_OF_RANGE);
    assert_int_equal(vck_volume_used_start(f.volume, recording), VCK_OK);
    run_sweep(&f);
    assert_int_equal(query(&f).skipped_sectors, SECTORS);
    assert_int_equal(vck_volume_start(f.volume, VCK_DECRYPTING), VCK_OK);
    run_sweep(&f);
    recording = record(&f);
    ranges[2].size_bytes = 1;
    assert_int_equal(vck_volume_used_add(f.volume, recording, ranges, 3), VCK_OK);
    assert_int_equal(vck_volume_used_start(f.volume, recording), VCK_OK);
    run_sweep(&f);
    assert_int_equal(query(&f).skipped_sectors, SECTORS - 3 * GRANULE / SECTOR);
    end(&f);
}

static void only_the_last_recording_counts(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    uint64_t first;
    uint64_t second;

    (void)state;
    begin(&f, 0, 2, false);
    assert_int_equal(add_one(&f, 0, 0, SECTOR), VCK_NOT_FOUND);
    assert_int_equal(vck_volume_used_start(f.volume, 0), VCK_NOT_FOUND);
    first = record(&f);
    second = record(&f);
    assert_true(first != second);
    assert_int_equal(add_one(&f, first, 0, SECTOR), VCK_NOT_FOUND);
    assert_int_equal(vck_volume_used_start(f.volume, first), VCK_NOT_FOUND);
    assert_int_equal(add_one(&f, second, DATA_BYTES, 1), VCK_OUT_OF_RANGE);
    assert_int_equal(add_one(&f, second, 512, UINT64_MAX), VCK_OUT_OF_RANGE);
    assert_int_equal(add_one(&f, second, DATA_BYTES, 0), VCK_OK);
    assert_int_equal(vck_volume_used_add(f.volume, second, NULL, 0), VCK_OK);
    assert_int_equal(vck_volume_start(f.volume, VCK_DECRYPTING), VCK_OK);
    assert_int_equal(vck_volume_used_start(f.volume, second), VCK_NOT_FOUND);
    assert_int_equal(query(&f).encrypted_sectors, 0);
    second = record(&f);
    assert_int_equal(vck_volume_suspend(f.volume), VCK_OK);
    assert_int_equal(vck_volume_used_start(f.volume, second), VCK_NOT_READY);
    assert_int_equal(vck_volume_used_begin(f.volume, 0, &first), VCK_NOT_READY);
    assert_int_equal(vck_volume_wake(f.volume, vmk), VCK_OK);
    assert_int_equal(vck_volume_used_start(f.volume, second), VCK_OK);
    run_sweep(&f);
    assert_int_equal(query(&f).skipped_sectors, SECTORS);
    end(&f);
}

/* A sweep that runs goes on while somebody looks; what it has done is done. */
static void a_running_sweep_becomes_one_of_what_is_used(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    uint64_t recording;

    (void)state;
    begin(&f, 1, 1, false);
    memset(f.used, 1, SECTORS);
    assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
    run_some(&f, 100);
    recording = record(&f);
    assert_int_equal(query(&f).state, VCK_STATE_ENCRYPTING);
    run_some(&f, 200);
    check_used(&f);
    add_content(&f, recording);
    assert_int_equal(vck_volume_used_start(f.volume, recording), VCK_OK);
    for (uint64_t i = query(&f).encrypted_sectors; i < SECTORS; i++)
        f.used[i] = is_content(i * SECTOR / GRANULE);
    run_sweep(&f);
    check_used(&f);
    assert_true(query(&f).skipped_sectors > SECTORS / 2);
    end(&f);
}

/* Every operation fails once; whatever happens, nothing that is used is lost. */
static void it_survives_any_failing_operation(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct fixture f;
        struct vck_future *sweep;
        uint64_t recording;
        bool failed;

        begin(&f, 0, 2, false);
        recording = record(&f);
        add_content(&f, recording);
        f.memory->fail_at = n;
        sweep = vck_volume_used_start(f.volume, recording) == VCK_OK
                    ? vck_volume_sweep_future(f.volume)
                    : NULL;
        for (int i = 0; sweep && i < 400; i++)
            if (vck_future_poll(sweep, &vck_waker_noop) == VCK_READY)
                break;
        failed = f.memory->fail_at == 0;
        f.memory->fail_at = 0;
        check_used(&f);
        (void)vck_volume_detach(f.volume);
        attach(&f);
        check_used(&f);
        assert_int_equal(vck_volume_start(f.volume, VCK_ENCRYPTING), VCK_OK);
        run_sweep(&f);
        assert_int_equal(query(&f).encrypted_sectors, SECTORS);
        check_used(&f);
        end(&f);
        if (!failed)
            break;
    }
}

static void wait_for_rest(struct fixture *f) VCK_CAN_WAIT
{
    while (query(f).state == VCK_STATE_ENCRYPTING) {
        struct vck_event event;

        vck_event_init(&event);
        (void)vck_event_wait(&event, vck_clock_ns() + 1000000);
        vck_event_fini(&event);
    }
}

/* On a worker, with a writer beside it, and recordings that come and go. */
static void it_runs_beside_writers(void **state) VCK_CAN_WAIT
{
    struct fixture f;
    uint32_t seed = 3;

    (void)state;
    begin(&f, 0, 2, true);
    start_used(&f);
    for (int i = 0; i < 300; i++) {
        uint64_t first = next_random(&seed) % (SECTORS - 8);

        write_at(&f, first, 1 + next_random(&seed) % 8, (uint8_t)i);
        if (i % 50 == 49) {
            check_used(&f);
            (void)record(&f);
        }
    }
    memset(f.used, 0, SECTORS);
    start_used(&f);
    write_at(&f, 5, 10, 1);
    wait_for_rest(&f);
    assert_int_equal(query(&f).encrypted_sectors, SECTORS);
    write_at(&f, 505, 10, 1);
    check_used(&f);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_map_is_what_its_sectors_say),
        cmocka_unit_test(the_map_of_a_large_volume_is_small),
        cmocka_unit_test(only_what_is_used_is_encrypted),
        cmocka_unit_test(writes_count_as_used),
        cmocka_unit_test(discards_do_not_count),
        cmocka_unit_test(a_pause_keeps_it_and_a_start_forgets_it),
        cmocka_unit_test(another_attachment_encrypts_the_rest),
        cmocka_unit_test(all_ranges_are_added_or_none),
        cmocka_unit_test(only_the_last_recording_counts),
        cmocka_unit_test(a_running_sweep_becomes_one_of_what_is_used),
        cmocka_unit_test(it_survives_any_failing_operation),
        cmocka_unit_test(it_runs_beside_writers),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
