/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of every kind from several threads at once, about volumes that other threads read and
 * write and whose devices come and go: whatever comes of them, no volume is left half in place, and
 * every sector reads as what was written last.
 */
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define TEST_DISK_BYTES (320u * 1024u)
#include "control_test.h"
#include "random.h"
#include "vck/executor.h"
#include "vck/request.h"

#define VOLUMES       2u
#define ASKERS        4u
#define USERS         2u
#define ROUNDS        1500u
#define BLOCK_SECTORS 8u
#define BLOCKS        ((TEST_DISK_BYTES - 2 * VCK_METADATA_SIZE_MIN) / (BLOCK_SECTORS * TEST_SECTOR_BYTES))

/* What holds the volume of one disk: in a driver its filter. */
struct place {
    struct vck_mutex lock;
    struct vck_volume *bound; /* referenced */
    bool is_leaving;
};

/* What one user knows of a few sectors it alone writes. */
struct block {
    uint32_t held;
    uint32_t perhaps; /* differs while a write has failed since: each sector may hold either */
};

struct storm {
    struct test_host *host;
    struct place places[VOLUMES];
    struct block blocks[VOLUMES][BLOCKS];
    uint32_t askers_left;
};

struct actor {
    struct vck_thread *thread;
    uint64_t random;
    uint32_t index;
    uint32_t last_written;
    uint32_t data[BLOCK_SECTORS][TEST_SECTOR_BYTES / sizeof(uint32_t)];
    struct vck_control_caller caller;
    uint8_t request[1024];
    uint8_t response[4096];
    size_t response_bytes;
};

static struct storm storm;
static const char *const paths[VOLUMES] = {"/a", "/b"};
static const uint8_t wrong_key[32] = {1};

static uint32_t below(struct actor *actor, uint32_t end)
{
    return random_next(&actor->random) % end;
}

/* cmocka's own checks are for its thread. */
#define MUST(condition) ((condition) ? (void)0 : must_have(#condition, __LINE__))

static void must_have(const char *what, int line)
{
    fprintf(stderr, "storm_test.c:%d: not so: %s\n", line, what);
    abort();
}

/* ---- places ---- */

static struct place *place_of(struct vck_volume *volume)
{
    return &storm.places[test_disk_index(vck_volume_path(volume))];
}

/* What takes a driver longer than it takes here: others shall come in between. */
static void take_time(void)
{
    usleep(200);
}

static vck_status into_place(struct vck_control_host *control, struct vck_volume *volume,
                             struct vck_explanation *ret_why) VCK_CAN_WAIT
{
    struct place *place = place_of(volume);
    vck_status status = VCK_DELETE_PENDING;

    (void)control;
    (void)ret_why;
    take_time();
    vck_mutex_acquire(&place->lock);
    MUST(!place->bound);
    if (!place->is_leaving) {
        vck_volume_reference(volume);
        place->bound = volume;
        status = VCK_OK;
    }
    vck_mutex_release(&place->lock);
    return status;
}

static void out_of_place(struct vck_control_host *control, struct vck_volume *volume) VCK_CAN_WAIT
{
    struct place *place = place_of(volume);

    (void)control;
    take_time();
    vck_mutex_acquire(&place->lock);
    MUST(place->bound == volume);
    place->bound = NULL;
    vck_mutex_release(&place->lock);
    vck_volume_release(volume);
}

static const struct vck_control_host_ops storm_ops = {
    .canonical_path = test_canonical_path,
    .is_same = test_is_same,
    .open_disk = test_open_disk,
    .in_place = into_place,
    .out_of_place = out_of_place,
};

/* A device that is removed, and found again: its volume is ended without anybody being asked. */
static void replug(uint32_t which) VCK_CAN_WAIT
{
    struct place *place = &storm.places[which];
    struct vck_volume *volume = NULL;
    bool is_mine;

    vck_mutex_acquire(&place->lock);
    is_mine = !place->is_leaving;
    place->is_leaving = true;
    if (is_mine && place->bound) {
        volume = place->bound;
        vck_volume_reference(volume);
    }
    vck_mutex_release(&place->lock);
    if (!is_mine)
        return;
    if (volume) {
        (void)vck_control_end_volume(&storm.host->control, volume);
        vck_volume_release(volume);
    }
    while (!__atomic_load_n(&storm.host->is_closed[which], __ATOMIC_ACQUIRE))
        take_time();
    vck_mutex_acquire(&place->lock);
    MUST(!place->bound);
    place->is_leaving = false;
    vck_mutex_release(&place->lock);
}

/* ---- who asks ---- */

static uint32_t ask(struct actor *actor, uint32_t code, const void *message) VCK_CAN_WAIT
{
    size_t size_bytes;

    MUST(vck_message_encode(vck_code_find(code)->request, message, actor->request,
                            sizeof(actor->request), &size_bytes) == VCK_OK);
    return vck_control_handle(&storm.host->control, &actor->caller, code, actor->request,
                              size_bytes, actor->response, sizeof(actor->response),
                              &actor->response_bytes);
}

static struct vck_bytes some_key(struct actor *actor)
{
    if (below(actor, 8) == 0)
        return (struct vck_bytes){wrong_key, sizeof(wrong_key)};
    return (struct vck_bytes){test_key, sizeof(test_key)};
}

static void ask_prepare(struct actor *actor, const char *path) VCK_CAN_WAIT
{
    struct vck_msg_prepare_request request = {.volume_path = path};

    if (below(actor, 4))
        request.vmk = some_key(actor);
    (void)ask(actor, VCK_CODE_PREPARE, &request);
}

static void ask_attach(struct actor *actor, const char *path) VCK_CAN_WAIT
{
    struct vck_msg_attach_request request = {.volume_path = path, .vmk = some_key(actor)};

    (void)ask(actor, VCK_CODE_ATTACH, &request);
}

static void ask_wake(struct actor *actor, const char *path) VCK_CAN_WAIT
{
    struct vck_msg_wake_request request = {.volume_path = path, .vmk = some_key(actor)};

    (void)ask(actor, VCK_CODE_WAKE, &request);
}

/* All is in use: what is said to be free may be lost. */
static void ask_used(struct actor *actor, const char *path) VCK_CAN_WAIT
{
    static const uint8_t all[16] = {[10] = BLOCKS * BLOCK_SECTORS * TEST_SECTOR_BYTES >> 16};
    struct vck_msg_volume_request begin = {.volume_path = path};
    struct vck_msg_used_request request = {.volume_path = path, .ranges = {all, sizeof(all)}};
    struct vck_msg_used_recording begun;
    struct vck_message_fault fault;

    if (ask(actor, VCK_CODE_RECORD_USED, &begin))
        return;
    MUST(vck_msg_used_recording_decode(actor->response, actor->response_bytes, &begun, &fault) ==
         VCK_OK);
    request.recording = begun.recording;
    if (ask(actor, VCK_CODE_ADD_USED, &request) == 0) {
        request.ranges.size_bytes = 0;
        (void)ask(actor, VCK_CODE_START_ENCRYPT_USED, &request);
    }
}

static void ask_by_path(struct actor *actor, const char *path) VCK_CAN_WAIT
{
    static const uint32_t codes[] = {
        VCK_CODE_GET_STATUS,    VCK_CODE_GET_PROGRESS,  VCK_CODE_DAMAGE,  VCK_CODE_START_ENCRYPT,
        VCK_CODE_START_ENCRYPT, VCK_CODE_START_DECRYPT, VCK_CODE_PAUSE,   VCK_CODE_RESUME,
        VCK_CODE_REKEY,         VCK_CODE_REKEY_BACK,    VCK_CODE_SUSPEND, VCK_CODE_ERASE_KEYS,
    };
    struct vck_msg_volume_request request = {.volume_path = path};

    (void)ask(actor, codes[below(actor, VCK_ARRAY_COUNT(codes))], &request);
}

static void ask_anything(struct actor *actor) VCK_CAN_WAIT
{
    uint32_t which = below(actor, VOLUMES);
    const char *path = paths[which];
    struct vck_msg_volume_request request = {.volume_path = path};

    switch (below(actor, 16)) {
    case 0:
    case 1:
        ask_prepare(actor, path);
        break;
    case 2:
        ask_attach(actor, path);
        break;
    case 3:
    case 4:
        ask_wake(actor, path);
        break;
    case 5:
        ask_used(actor, path);
        break;
    case 6:
        (void)ask(actor, below(actor, 4) ? VCK_CODE_LIST_VOLUMES : VCK_CODE_DETACH_ALL_VOLUMES,
                  NULL);
        break;
    case 7:
        if (below(actor, 4))
            (void)ask(actor, VCK_CODE_DETACH, &request);
        else
            replug(which);
        break;
    default:
        ask_by_path(actor, path);
        break;
    }
}

static void run_asker(void *context) VCK_CAN_WAIT
{
    struct actor *actor = context;

    for (uint32_t i = 0; i < ROUNDS; i++)
        ask_anything(actor);
    __atomic_sub_fetch(&storm.askers_left, 1, __ATOMIC_RELEASE);
}

/* ---- who reads and writes ---- */

static uint64_t offset_of(uint32_t index)
{
    return (uint64_t)index * BLOCK_SECTORS * TEST_SECTOR_BYTES;
}

/* A new number, or again the one that failed. */
static void write_block(struct actor *actor, struct vck_volume *volume, uint32_t index,
                        struct block *block) VCK_CAN_WAIT
{
    if (block->held == block->perhaps)
        block->perhaps = ++actor->last_written * USERS + actor->index;
    for (uint32_t i = 0; i < BLOCK_SECTORS; i++)
        for (uint32_t j = 0; j < VCK_ARRAY_COUNT(actor->data[i]); j++)
            actor->data[i][j] = block->perhaps;
    if (vck_volume_io(volume, VCK_REQUEST_WRITE, 0, offset_of(index), actor->data,
                      sizeof(actor->data)) == VCK_OK)
        block->held = block->perhaps;
}

static vck_status read_block(struct actor *actor, struct vck_volume *volume, uint32_t index,
                             const struct block *block) VCK_CAN_WAIT
{
    vck_status status = vck_volume_io(volume, VCK_REQUEST_READ, 0, offset_of(index), actor->data,
                                      sizeof(actor->data));

    if (status)
        return status;
    for (uint32_t i = 0; i < BLOCK_SECTORS; i++) {
        uint32_t number = actor->data[i][0];

        MUST(number == block->held || number == block->perhaps);
        for (uint32_t j = 0; j < VCK_ARRAY_COUNT(actor->data[i]); j++)
            MUST(actor->data[i][j] == number);
    }
    return VCK_OK;
}

static void use_volume(struct actor *actor) VCK_CAN_WAIT
{
    uint32_t which = below(actor, VOLUMES);
    uint32_t index = below(actor, BLOCKS / USERS) * USERS + actor->index;
    struct block *block = &storm.blocks[which][index];
    struct vck_volume *volume;

    if (vck_registry_find(&storm.host->registry, paths[which], &volume)) {
        sched_yield();
        return;
    }
    /* Without its key a volume is as its disk. */
    if (vck_volume_is_provisional(volume))
        sched_yield();
    else if (below(actor, 2))
        write_block(actor, volume, index, block);
    else
        (void)read_block(actor, volume, index, block);
    vck_volume_release(volume);
}

static void run_user(void *context) VCK_CAN_WAIT
{
    while (__atomic_load_n(&storm.askers_left, __ATOMIC_ACQUIRE))
        use_volume(context);
}

/* ---- the test ---- */

static int set_up(void **state) VCK_NO_ANALYSIS
{
    static const struct vck_executor_options options = {.workers = 2, .name = "sweep"};

    memset(&storm, 0, sizeof(storm));
    storm.host = test_host_create();
    storm.host->control.ops = &storm_ops;
    if (vck_executor_create(&options, &storm.host->control.executor))
        return -1;
    for (int i = 0; i < (int)VOLUMES; i++) {
        memset(storm.host->disks[i]->data, 0, TEST_DISK_BYTES);
        test_make_volume(storm.host, i);
        vck_mutex_init(&storm.places[i].lock);
    }
    *state = storm.host;
    return 0;
}

static int tear_down(void **state) VCK_NO_ANALYSIS
{
    struct vck_executor *executor = storm.host->control.executor;

    (void)state;
    vck_control_detach_all(&storm.host->control, true);
    vck_executor_destroy(executor);
    for (uint32_t i = 0; i < VOLUMES; i++)
        vck_mutex_fini(&storm.places[i].lock);
    test_host_destroy(storm.host);
    return vck_alloc_live_count() == 0 ? 0 : -1;
}

static void start(struct actor *actor, uint32_t index, void (*run)(void *context)) VCK_CAN_WAIT
{
    *actor = (struct actor){.random = index + 1, .index = index};
    actor->caller = storm.host->caller;
    assert_int_equal(vck_thread_create(run, actor, VCK_THREAD_NORMAL, "storm", &actor->thread),
                     VCK_OK);
}

static void check_volume(struct actor *actor, uint32_t which) VCK_CAN_WAIT
{
    struct vck_msg_prepare_request prepare = {.volume_path = paths[which],
                                              .vmk = {test_key, sizeof(test_key)}};
    struct vck_msg_volume_request detach = {.volume_path = paths[which]};
    struct vck_volume *volume;

    assert_int_equal(ask(actor, VCK_CODE_PREPARE, &prepare), 0);
    assert_int_equal(vck_registry_find(&storm.host->registry, paths[which], &volume), VCK_OK);
    for (uint32_t i = 0; i < BLOCKS; i++)
        assert_int_equal(read_block(actor, volume, i, &storm.blocks[which][i]), VCK_OK);
    vck_volume_release(volume);
    assert_int_equal(ask(actor, VCK_CODE_DETACH, &detach), 0);
    assert_null(storm.places[which].bound);
    assert_true(storm.host->is_closed[which]);
}

static void requests_from_all_sides(void **state) VCK_CAN_WAIT
{
    static struct actor askers[ASKERS];
    static struct actor users[USERS];

    (void)state;
    storm.askers_left = ASKERS;
    for (uint32_t i = 0; i < USERS; i++)
        start(&users[i], i, run_user);
    for (uint32_t i = 0; i < ASKERS; i++)
        start(&askers[i], i, run_asker);
    for (uint32_t i = 0; i < ASKERS; i++)
        vck_thread_join(askers[i].thread);
    /* Users of a suspended volume wait. */
    assert_int_equal(ask(&askers[0], VCK_CODE_DETACH_ALL_VOLUMES, NULL), 0);
    for (uint32_t i = 0; i < USERS; i++)
        vck_thread_join(users[i].thread);
    for (uint32_t i = 0; i < VOLUMES; i++)
        check_volume(&askers[0], i);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_from_all_sides, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("storm", tests, NULL, NULL);
}
