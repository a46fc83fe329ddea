/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of every kind to the loaded driver from several programs at once, while its volume is
 * written and the device comes and goes: whatever comes of them, the volume can be attached and
 * written afterwards, and the driver unloaded.
 */
#include "driver_fixture.h"

#include <string.h>
#include "tests/support/random.h"
#include "vck/thread.h"

#define ASKERS 3u
#define ROUNDS 400u

struct actor {
    struct driver_fixture *f;
    struct vck_thread *thread;
    uint64_t random;
};

static uint32_t askers_left;

static uint32_t below(struct actor *actor, uint32_t end)
{
    return random_next(&actor->random) % end;
}

/* ---- who asks ---- */

static void ask(struct actor *actor, uint32_t code, const void *message) VCK_CAN_WAIT
{
    struct fake_call *call = calloc(1, sizeof(*call));

    (void)driver_request(actor->f, call, code, message);
    free(call);
}

static void ask_prepare(struct actor *actor) VCK_CAN_WAIT
{
    struct vck_msg_prepare_request request = {.volume_path = "D:", .nt_device_path = ""};

    if (below(actor, 4))
        request.vmk = (struct vck_bytes){driver_key, sizeof(driver_key)};
    ask(actor, VCK_CODE_PREPARE, &request);
}

static void ask_attach(struct actor *actor) VCK_CAN_WAIT
{
    const struct vck_msg_attach_request request = {.volume_path = "D:",
                                                   .vmk = {driver_key, sizeof(driver_key)},
                                                   .nt_device_path = "",
                                                   .raw_partition_path = ""};

    ask(actor, VCK_CODE_ATTACH, &request);
}

static void ask_wake(struct actor *actor) VCK_CAN_WAIT
{
    const struct vck_msg_wake_request request = {.volume_path = "D:",
                                                 .vmk = {driver_key, sizeof(driver_key)}};

    ask(actor, VCK_CODE_WAKE, &request);
}

static void ask_by_path(struct actor *actor) VCK_CAN_WAIT
{
    static const uint32_t codes[] = {
        VCK_CODE_GET_STATUS, VCK_CODE_START_ENCRYPT, VCK_CODE_START_DECRYPT, VCK_CODE_PAUSE,
        VCK_CODE_RESUME,     VCK_CODE_REKEY,         VCK_CODE_REKEY_BACK,    VCK_CODE_SUSPEND,
        VCK_CODE_DETACH,     VCK_CODE_ERASE_KEYS,
    };
    const struct vck_msg_volume_request request = {.volume_path = "D:"};

    ask(actor, codes[below(actor, VCK_ARRAY_COUNT(codes))], &request);
}

static void run_asker(void *context) VCK_CAN_WAIT
{
    struct actor *actor = context;
    const struct vck_msg_empty nothing = {0};

    for (uint32_t i = 0; i < ROUNDS; i++) {
        switch (below(actor, 16)) {
        case 0:
        case 1:
        case 2:
            ask_prepare(actor);
            break;
        case 3:
            ask_attach(actor);
            break;
        case 4:
        case 5:
            ask_wake(actor);
            break;
        case 6:
            ask(actor, below(actor, 2) ? VCK_CODE_LIST_VOLUMES : VCK_CODE_DETACH_ALL_VOLUMES,
                &nothing);
            break;
        default:
            ask_by_path(actor);
            break;
        }
    }
    __atomic_sub_fetch(&askers_left, 1, __ATOMIC_RELEASE);
}

/* ---- the system ---- */

static void run_writer(void *context) VCK_CAN_WAIT
{
    struct actor *actor = context;

    while (__atomic_load_n(&askers_left, __ATOMIC_ACQUIRE))
        (void)driver_write_sector(actor->f, UINT64_C(512) * below(actor, 1024));
}

/* ---- the test ---- */

static void start(struct actor *actor, struct driver_fixture *f, uint32_t number,
                  void (*run)(void *context)) VCK_CAN_WAIT
{
    *actor = (struct actor){.f = f, .random = number};
    assert_int_equal(vck_thread_create(run, actor, VCK_THREAD_NORMAL, "storm", &actor->thread),
                     VCK_OK);
}

static void requests_from_all_sides(void **state) VCK_CAN_WAIT
{
    struct driver_fixture *f = *state;
    const struct vck_msg_empty nothing = {0};
    struct actor askers[ASKERS];
    struct actor writer;

    askers_left = ASKERS;
    start(&writer, f, ASKERS, run_writer);
    for (uint32_t i = 0; i < ASKERS; i++)
        start(&askers[i], f, i, run_asker);
    for (uint32_t i = 0; i < ASKERS; i++)
        vck_thread_join(askers[i].thread);
    /* Who writes to a suspended volume waits. */
    ask(&askers[0], VCK_CODE_DETACH_ALL_VOLUMES, &nothing);
    vck_thread_join(writer.thread);
    assert_int_equal(driver_prepare(f, "D:", false), 0);
    assert_int_equal(driver_write_sector(f, 0), STATUS_SUCCESS);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_from_all_sides, driver_set_up, driver_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
