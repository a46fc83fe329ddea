/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_sweep: starting, watching, pausing and limiting a sweep. The sweep is the host's: ending
 * the watching changes nothing about it.
 */
#include <inttypes.h>
#include "port/port.h"
#include "products/vck/client.h"
#include "products/vck/os.h"
#include "products/vck/progress.h"
#include "products/vck/suspend.h"
#include "products/vck/used.h"
#include "vck/volume.h"

#define POLL_INTERVAL_MS 200u

/* ---- watching ---- */

/* What a sweep does, by its words; is_back: the boundary goes down. */
struct work {
    const char *doing;
    const char *done;
    bool is_back;
    bool is_rekey;
};

static const struct work encrypts = {"encrypting", "encrypted", false, false};
static const struct work decrypts = {"decrypting", "decrypted", true, false};
static const struct work rekeys = {"rekeying", "under its new key", false, true};
static const struct work rekeys_back = {"going back", "under its old key", true, true};

struct watch {
    struct client *client;
    const struct command *command;
    const char *path;
    const struct work *work;
    uint64_t started_ns;
    uint64_t started_bytes; /* when it was asked for */
    struct progress progress;
};

static uint64_t done_bytes(const struct watch *watch, const struct vck_msg_volume_status *status)
{
    const struct work *work = watch->work;
    uint64_t boundary = work->is_rekey ? status->rekeyed_sector : status->encrypted_sector;
    /* Nothing is left of a rekey that is over. */
    if (work->is_rekey && !status->rekeying)
        boundary = work->is_back ? 0 : status->total_sectors;
    return (work->is_back ? status->total_sectors - boundary : boundary) * status->sector_size;
}

static void show(struct watch *watch, const struct vck_msg_volume_status *status)
{
    struct progress_sample sample = {
        .what = watch->work->doing,
        .done_bytes = done_bytes(watch, status),
        .total_bytes = status->total_sectors * status->sector_size,
    };
    progress_show(&watch->progress, &sample);
}

static void print_done(struct watch *watch, const struct vck_msg_volume_status *status)
{
    char size[SIZE_TEXT_BYTES];
    char took[DURATION_BYTES];
    uint64_t moved = done_bytes(watch, status) - watch->started_bytes;
    bool is_partial = !watch->work->is_back && status->used_only;
    uint64_t left_out = is_partial ? status->skipped_sectors * status->sector_size : 0;
    /* What went before another start of the same sweep was left out, too. */
    uint64_t worked = left_out < moved ? moved - left_out : 0;
    double seconds = (double)(vck_clock_ns() - watch->started_ns) / 1e9;
    progress_end(&watch->progress);
    if (moved == 0) {
        printf("%s is %s already\n", watch->path, watch->work->done);
        return;
    }
    printf("%s is %s: %s in %s", watch->path, watch->work->done, size_text(moved, size),
           duration_text((uint64_t)(seconds + 0.5), took));
    if (seconds >= 0.5 && worked != 0)
        printf(", %.1f MiB/s", (double)worked / (1024.0 * 1024.0) / seconds);
    if (is_partial)
        printf(", %s of it left out", size_text(left_out, size));
    printf("\n");
}

static int say_interrupted(struct watch *watch)
{
    progress_end(&watch->progress);
    return report(watch->command, EXIT_INTERRUPTED,
                  "the sweep of %s goes on; vck status shows how far it is, vck pause stops it",
                  watch->path);
}

static bool is_over(const struct watch *watch, const struct vck_msg_volume_status *status)
{
    uint32_t running = watch->work->is_back ? VCK_STATE_DECRYPTING : VCK_STATE_ENCRYPTING;
    return !status->is_attached || status->state != running;
}

static uint64_t boundary_sector(const struct vck_msg_volume_status *status)
{
    return status->rekeying ? status->rekeyed_sector : status->encrypted_sector;
}

/* Why it is over. */
static int conclude(struct watch *watch, const struct vck_msg_volume_status *status)
{
    bool is_down = watch->work->is_back && !watch->work->is_rekey;
    uint64_t end = is_down ? 0 : status->total_sectors;
    if (status->is_attached && status->encrypted_sector == end && status->state == VCK_STATE_IDLE) {
        print_done(watch, status);
        return EXIT_OK;
    }
    progress_end(&watch->progress);
    if (!status->is_attached)
        return report(watch->command, EXIT_NOT_FOUND, "%s was detached meanwhile", watch->path);
    if (*status->error != 0)
        return report(watch->command, EXIT_FAILED,
                      "the sweep of %s stopped at sector %" PRIu64 ": %s", watch->path,
                      boundary_sector(status), status->error);
    return report(watch->command, EXIT_FAILED,
                  "%s is now %s at sector %" PRIu64 " of %" PRIu64 ", by another request",
                  watch->path, state_text(status->state), boundary_sector(status),
                  status->total_sectors);
}

static int wait_for_end(struct watch *watch)
{
    struct vck_msg_volume_status status;
    progress_init(&watch->progress);
    for (;;) {
        int code = client_get_status(watch->client, watch->path, &status);
        if (code != EXIT_OK)
            return code;
        if (status.is_attached && (!is_over(watch, &status) || watch->progress.has_drawn))
            show(watch, &status);
        if (is_over(watch, &status))
            return conclude(watch, &status);
        os_sleep_ms(POLL_INTERVAL_MS);
        if (os_was_interrupted())
            return say_interrupted(watch);
    }
}

/* ---- starting ---- */

/* What was asked for; to resume is to go on with what the volume says. */
static const struct work *work_of(uint32_t request, const struct vck_msg_volume_status *status)
{
    bool is_down = status->direction == VCK_DECRYPTING;
    switch (request) {
    case VCK_CODE_START_ENCRYPT:
    case VCK_CODE_START_ENCRYPT_USED:
        return &encrypts;
    case VCK_CODE_START_DECRYPT:
        return &decrypts;
    case VCK_CODE_REKEY:
        return &rekeys;
    case VCK_CODE_REKEY_BACK:
        return &rekeys_back;
    default:
        if (status->rekeying)
            return is_down ? &rekeys_back : &rekeys;
        return is_down ? &decrypts : &encrypts;
    }
}

/* A rekey that is not under way has done nothing. */
static uint64_t started_bytes(const struct watch *watch, const struct vck_msg_volume_status *before)
{
    return watch->work->is_rekey && !before->rekeying ? 0 : done_bytes(watch, before);
}

static int start(struct client *client, const struct command *command, uint32_t request,
                 const char *path)
{
    struct vck_msg_volume_status before;
    struct vck_msg_volume_status status;
    uint64_t started_ns = vck_clock_ns();
    int code = client_get_status(client, path, &before);
    if (code == EXIT_OK)
        code = request == VCK_CODE_START_ENCRYPT_USED ? used_encrypt(client, path)
                                                      : client_volume_call(client, request, path);
    if (code == EXIT_OK)
        code = client_get_status(client, path, &status);
    if (code != EXIT_OK)
        return code;
    if (option_given(command, OPTION_NO_WAIT)) {
        printf("%s: %s%s\n", path, state_text(status.state), status.rekeying ? ", rekeying" : "");
        return EXIT_OK;
    }
    struct watch watch = {.client = client,
                          .command = command,
                          .path = path,
                          .work = work_of(request, &status),
                          .started_ns = started_ns};
    watch.started_bytes = started_bytes(&watch, &before);
    return wait_for_end(&watch);
}

static int run_start(const struct command *command, uint32_t request)
{
    struct client client;
    char path[VOLUME_PATH_BYTES];
    int code = volume_path(command, command->operands[0], path);
    if (code != EXIT_OK)
        return code;
    os_catch_interrupts();
    code = client_open(&client, command);
    if (code == EXIT_OK)
        code = start(&client, command, request, path);
    client_close(&client);
    return code;
}

int run_encrypt(const struct command *command)
{
    return run_start(command, option_given(command, OPTION_USED_ONLY) ? VCK_CODE_START_ENCRYPT_USED
                                                                      : VCK_CODE_START_ENCRYPT);
}

int run_decrypt(const struct command *command)
{
    return run_start(command, VCK_CODE_START_DECRYPT);
}

/* Whatever is on hold: the keys first, which a sweep that they were taken from goes on with. */
int run_resume(const struct command *command)
{
    char path[VOLUME_PATH_BYTES];
    bool was_suspended = false;
    int code = volume_path(command, command->operands[0], path);
    if (code == EXIT_OK)
        code = suspend_end(command, path, &was_suspended);
    return code == EXIT_OK && !was_suspended ? run_start(command, VCK_CODE_RESUME) : code;
}

int run_rekey(const struct command *command)
{
    return run_start(command,
                     option_given(command, OPTION_BACK) ? VCK_CODE_REKEY_BACK : VCK_CODE_REKEY);
}

/* ---- pause and rate ---- */

static int pause_volume(struct client *client, const char *path)
{
    struct vck_msg_volume_status status;
    int code = client_volume_call(client, VCK_CODE_PAUSE, path);
    if (code == EXIT_OK)
        code = client_get_status(client, path, &status);
    if (code == EXIT_OK)
        printf("%s: %s at sector %" PRIu64 " of %" PRIu64 "\n", path, state_text(status.state),
               boundary_sector(&status), status.total_sectors);
    return code;
}

int run_pause(const struct command *command)
{
    struct client client;
    char path[VOLUME_PATH_BYTES];
    int code = volume_path(command, command->operands[0], path);
    if (code != EXIT_OK)
        return code;
    code = client_open(&client, command);
    if (code == EXIT_OK)
        code = pause_volume(&client, path);
    client_close(&client);
    return code;
}

int run_rate(const struct command *command)
{
    struct client client;
    char path[VOLUME_PATH_BYTES];
    struct vck_msg_rate_request request = {.volume_path = path};
    int code = operand_u32(command, 1, "MIB", UINT32_MAX, &request.mib_per_s);
    if (code == EXIT_OK)
        code = volume_path(command, command->operands[0], path);
    if (code != EXIT_OK)
        return code;
    code = client_open(&client, command);
    if (code == EXIT_OK)
        code = client_call(&client, VCK_CODE_SET_RATE, &request, NULL);
    if (code == EXIT_OK && request.mib_per_s == 0)
        printf("%s: no limit\n", path);
    else if (code == EXIT_OK)
        printf("%s: at most %u MiB/s\n", path, request.mib_per_s);
    client_close(&client);
    return code;
}
