/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_check: says what is wrong with a volume that is not attached, and with --repair makes its
 * replicas equal. A record that attaching would carry out is never voided by a repair.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include "port/port.h"
#include "products/vck/inspect.h"
#include "products/vck/json.h"
#include "products/vck/key.h"
#include "products/vck/vck.h"
#include "vck/disk_io.h"

#define CHECK_TAG     VCK_TAG('C', 'c', 'h', 'k')
#define PROBLEMS_MAX  64
#define PROBLEM_BYTES 256

struct findings {
    char problems[PROBLEMS_MAX][PROBLEM_BYTES];
    unsigned count; /* may exceed PROBLEMS_MAX: the rest is only counted */
    int code;       /* the exit code of the gravest */
};

static void VCK_PRINTF(3, 4) add(struct findings *findings, int code, const char *format, ...)
{
    va_list arguments;
    if (findings->count == 0 || findings->code == EXIT_PROBLEMS)
        findings->code = code;
    if (findings->count < PROBLEMS_MAX) {
        va_start(arguments, format);
        vsnprintf(findings->problems[findings->count], PROBLEM_BYTES, format, arguments);
        va_end(arguments);
    }
    findings->count++;
}

/* ---- looking ---- */

static bool differs(const struct vck_replica *a, const struct vck_replica *b)
{
    return a->unsealed && b->unsealed &&
           (a->generation != b->generation || a->direction != b->direction ||
            a->intent != b->intent || a->encrypted_offset_sectors != b->encrypted_offset_sectors);
}

static void check_replica(const struct inspection *in, uint32_t i, struct findings *findings)
{
    char name[REPLICA_NAME_BYTES];
    char model[REPLICA_NAME_BYTES];
    const struct vck_layout *layout = &in->store.layout;
    const struct vck_replica *replica = &in->store.replicas[i];
    const struct vck_replica *best = &in->store.replicas[in->model];
    replica_name(layout, i, name);
    if (replica->status != VCK_OK)
        add(findings, EXIT_PROBLEMS, "replica %u (%s, sector %" PRIu64 ") cannot be used: %s", i,
            name, vck_layout_block_lba(layout, i), vck_status_text(replica->status));
    else if (differs(replica, best))
        add(findings, EXIT_PROBLEMS,
            "replica %u (%s) says generation %" PRIu64 ", %s, %" PRIu64
            " sectors; replica %u (%s) says generation %" PRIu64 ", %s, %" PRIu64 " sectors",
            i, name, replica->generation, direction_text(replica->direction),
            replica->encrypted_offset_sectors, in->model, replica_name(layout, in->model, model),
            best->generation, direction_text(best->direction), best->encrypted_offset_sectors);
}

static void check_half(const struct inspection *in, uint32_t copy, uint32_t which,
                       struct findings *findings)
{
    static const char *const meanings[] = {
        [HALF_UNREADABLE] = "holds something that is no record",
        [HALF_UNVERIFIED] = "holds a record: the volume was not detached cleanly",
        [HALF_BROKEN] = "holds a record whose check fails",
        [HALF_VOID] = "holds a record of an earlier state, which is void",
        [HALF_APPLIES] = "holds an open record; attaching the volume carries it out",
    };
    enum half_kind kind = in->halves[copy][which].kind;
    if (kind != HALF_EMPTY)
        add(findings, EXIT_PROBLEMS, "journal copy %u, half %u %s", copy, which, meanings[kind]);
}

static void check_slot(const struct inspection *in, uint32_t copy, uint32_t which,
                       struct findings *findings)
{
    const struct slot_view *slot = &in->slots[copy][which];
    if (slot->kind == SLOT_BROKEN)
        add(findings, EXIT_PROBLEMS, "damage list copy %u, slot %u (%u entries, at most %u): %s",
            copy, which, slot->count, VCK_DAMAGE_MAX, vck_status_text(slot->status));
    else if (slot->kind == SLOT_UNREADABLE)
        add(findings, EXIT_PROBLEMS, "damage list copy %u, slot %u holds something else", copy,
            which);
}

static void look(const struct inspection *in, struct findings *findings)
{
    char text[EXPLANATION_BYTES];
    memset(findings, 0, sizeof(*findings));
    if (in->status != VCK_OK)
        add(findings, exit_code_of(in->status), "%s", inspect_explain(in, text));
    if (!in->has_layout)
        return;
    for (uint32_t i = 0; i < in->store.layout.replica_count; i++)
        check_replica(in, i, findings);
    for (uint32_t i = 0; in->has_journal && i < 2 * in->area.replica_count; i++) {
        check_half(in, i / 2, i % 2, findings);
        check_slot(in, i / 2, i % 2, findings);
    }
    if (in->damage.count > 0)
        add(findings, EXIT_PROBLEMS, "%u chunks of the data are damaged; vck info lists them",
            in->damage.count);
}

/* ---- repairing ---- */

static bool has_half(const struct inspection *in, enum half_kind kind)
{
    for (uint32_t i = 0; in->has_journal && i < 2 * in->area.replica_count; i++)
        if (in->halves[i / 2][i % 2].kind == kind)
            return true;
    return false;
}

static uint64_t highest_generation(const struct inspection *in)
{
    uint64_t highest = in->store.generation_max;
    for (uint32_t i = 0; in->has_journal && i < 2 * in->area.replica_count; i++) {
        const struct half_view *half = &in->halves[i / 2][i % 2];
        if (half->kind == HALF_VOID || half->kind == HALF_APPLIES)
            highest = VCK_MAX(highest, half->record.base_generation);
    }
    return highest;
}

/* The winner goes to every replica as it is, so that an open record goes on to apply. A winner that
 * is not the newest, or was written by others, gets a generation above everything there is. */
static vck_status write_replicas(struct inspection *in) VCK_CAN_WAIT
{
    struct vck_store_state state = in->store.state;
    bool is_newest = state.generation == in->store.generation_max && state.generation != 0 &&
                     !in->store.any_generation_zero;
    if (!is_newest && !has_half(in, HALF_APPLIES))
        state.generation = highest_generation(in) + 1;
    return vck_store_write_all(&in->store, &state, in->store.winner == 0);
}

/* What is left in the halves is void or torn. */
static vck_status clear_journal(struct inspection *in) VCK_CAN_WAIT
{
    vck_status status = VCK_OK;
    uint8_t *zeroes = vck_alloc_pages(VCK_JOURNAL_BLOCK_BYTES, CHECK_TAG);
    if (zeroes == NULL)
        return VCK_NO_MEMORY;
    for (uint32_t i = 0; status == VCK_OK && i < 2 * in->area.replica_count; i++)
        if (in->halves[i / 2][i % 2].kind != HALF_EMPTY)
            status = vck_disk_write(
                in->disk, in->area.journal_offset_bytes[i / 2] + (i % 2) * in->area.half_bytes,
                zeroes, VCK_JOURNAL_BLOCK_BYTES);
    if (status == VCK_OK)
        status = vck_disk_flush(in->disk);
    vck_free_pages(zeroes, VCK_JOURNAL_BLOCK_BYTES);
    return status;
}

static int repair(struct inspection *in, const struct command *command,
                  const char *path) VCK_CAN_WAIT
{
    char text[EXPLANATION_BYTES];
    char name[REPLICA_NAME_BYTES];
    if (in->status != VCK_OK)
        return report(command, exit_code_of(in->status), "%s cannot be repaired: %s", path,
                      inspect_explain(in, text));
    vck_status status = write_replicas(in);
    if (status == VCK_OK && in->has_journal && !has_half(in, HALF_APPLIES))
        status = clear_journal(in);
    if (status != VCK_OK)
        return report(command, exit_code_of(status), "cannot write the metadata of %s: %s", path,
                      vck_status_text(status));
    if (!option_given(command, OPTION_JSON))
        printf("%s: all replicas are now as replica %u (%s) was\n", path, in->store.winner,
               replica_name(&in->store.layout, in->store.winner, name));
    return EXIT_OK;
}

/* ---- the answer ---- */

static void print_json(const struct findings *findings, const char *path, bool is_repaired)
{
    struct json json = {0};
    json_object_begin(&json, NULL);
    json_string(&json, "volume", path);
    json_bool(&json, "clean", findings->count == 0);
    json_bool(&json, "repaired", is_repaired);
    json_array_begin(&json, "problems");
    for (unsigned i = 0; i < VCK_MIN(findings->count, PROBLEMS_MAX); i++)
        json_string(&json, NULL, findings->problems[i]);
    json_array_end(&json);
    json_object_end(&json);
}

static void print_text(const struct findings *findings, const struct inspection *in,
                       const char *path)
{
    for (unsigned i = 0; i < VCK_MIN(findings->count, PROBLEMS_MAX); i++)
        printf("%s: %s\n", path, findings->problems[i]);
    if (findings->count > 0)
        printf("%s: %u problem%s\n", path, findings->count, findings->count == 1 ? "" : "s");
    else
        printf("%s: %u replicas agree, journal closed, sizes right%s\n", path,
               in->store.layout.replica_count,
               in->has_key ? "" : " (as far as can be seen without the key)");
}

static void print(const struct command *command, const struct findings *findings,
                  const struct inspection *in, const char *path, bool is_repaired)
{
    if (option_given(command, OPTION_JSON))
        print_json(findings, path, is_repaired);
    else
        print_text(findings, in, path);
}

/* What one run looks at. */
struct check {
    const struct command *command;
    char path[VOLUME_PATH_BYTES];
    uint32_t use_replica;
    struct key_access access;
    struct findings findings;
};

static int repair_volume(struct check *check) VCK_CAN_WAIT
{
    struct inspection in;
    int code = inspect_open(&in, check->command, check->path, 0, check->use_replica,
                            key_access_vmk(&check->access));
    if (code == EXIT_OK)
        code = repair(&in, check->command, check->path);
    inspect_fini(&in);
    return code;
}

static int look_at_volume(struct check *check, bool is_repaired) VCK_CAN_WAIT
{
    struct inspection in;
    struct findings *findings = &check->findings;
    int code = inspect_open(&in, check->command, check->path, DISK_READ_ONLY, VCK_STORE_ANY_REPLICA,
                            key_access_vmk(&check->access));
    if (code == EXIT_OK) {
        look(&in, findings);
        print(check->command, findings, &in, check->path, is_repaired);
        code = findings->count == 0 ? EXIT_OK : findings->code;
    }
    inspect_fini(&in);
    return code;
}

static int parse(const struct command *command, uint32_t *ret_use_replica)
{
    if (option_given(command, OPTION_REPAIR) && !key_is_wanted(command))
        return report_usage(command, "--repair needs --vmk-file, --key-file or --unlock: replicas "
                                     "are sealed with the key");
    if (option_given(command, OPTION_USE_REPLICA) && !option_given(command, OPTION_REPAIR))
        return report_usage(command, "--use-replica needs --repair");
    return option_u32(command, OPTION_USE_REPLICA, 0, VCK_REPLICAS_MAX - 1, VCK_STORE_ANY_REPLICA,
                      ret_use_replica);
}

int run_check(const struct command *command)
{
    struct check check = {.command = command};
    waiting_is_fine();
    bool do_repair = option_given(command, OPTION_REPAIR);
    int code = parse(command, &check.use_replica);
    if (code == EXIT_OK)
        code = volume_path(command, command->operands[0], check.path);
    if (code == EXIT_OK)
        code = inspect_find_key(command, check.path, &check.access);
    if (code == EXIT_OK && do_repair)
        code = repair_volume(&check);
    if (code == EXIT_OK)
        code = look_at_volume(&check, do_repair);
    key_access_fini(&check.access);
    return code;
}
