/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_open: the data of a volume at rest as a block device of the kernel's own, without the
 * daemon. Of the volume itself only what a cut has left open is written, as an attach would.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include "products/vck/inspect.h"
#include "products/vck/key.h"
#include "products/vck/mapper.h"
#include "vck/disk_io.h"
#include "vck/provider.h"

/* ---- what is mapped ---- */

static bool has_open_record(const struct inspection *in)
{
    for (uint32_t i = 0; in->has_journal && i < 2 * in->area.replica_count; i++)
        if (in->halves[i / 2][i % 2].kind == HALF_APPLIES)
            return true;
    return false;
}

static int plan(const struct command *command, const struct inspection *in, const char *path,
                struct vck_mapping *ret_mapping)
{
    char text[EXPLANATION_BYTES];
    if (!inspect_is_open(in))
        return report(command, exit_code_of(in->status), "%s: %s", path, inspect_explain(in, text));
    if (vck_store_is_rekeying(&in->store))
        return report(command, EXIT_REFUSED,
                      "%s is being rekeyed, and lies under two keys; vckd opens it and ends that "
                      "(vck attach, vck resume)",
                      path);
    if (has_open_record(in))
        return report(command, EXIT_PROBLEMS,
                      "the last sweep of %s was cut short; opening it for writing carries out the "
                      "rest of what was begun",
                      path);
    if (in->damage.count > 0)
        warn(command, "%u lost chunks of %s will read as errors", in->damage.count, path);
    vck_status status = vck_mapping_init(ret_mapping, &in->store.layout,
                                         in->store.state.encrypted_offset_sectors, &in->damage);
    if (status != VCK_OK)
        return report(command, exit_code_of(status), "%s: %s", path, vck_status_text(status));
    ret_mapping->allow_discards = option_given(command, OPTION_ALLOW_DISCARDS);
    return EXIT_OK;
}

/* The table as dmsetup prints it, the keys as zeroes. */
static int print_table(const struct command *command, const struct vck_mapping *mapping,
                       const char *path)
{
    char text[VOLUME_PATH_BYTES + 512];
    struct vck_mapping_segment segment;
    for (uint64_t at = 0; vck_mapping_next(mapping, at, &segment); at += segment.length) {
        vck_status status =
            vck_mapping_parameters(mapping, &segment, path, NULL, text, sizeof(text));
        if (status != VCK_OK)
            return report(command, EXIT_FAILED, "%s: %s", path, vck_status_text(status));
        printf("%" PRIu64 " %" PRIu64 " %s%s%s\n", segment.start, segment.length,
               vck_mapping_target(segment.kind), *text != 0 ? " " : "", text);
    }
    return EXIT_OK;
}

/* ---- what was cut ---- */

static bool may_write(const struct command *command)
{
    return !option_given(command, OPTION_READ_ONLY) && !option_given(command, OPTION_DRY_RUN);
}

/* The provider recovers what it opens. */
static int recover(const struct command *command, const char *path, struct vck_bytes vmk)
{
    struct vck_attach_context context = {.vmk = vmk};
    struct vck_io_config config = {0};
    waiting_is_fine();
    int code = open_disk(command, path, 0, &context.disk);
    if (code != EXIT_OK)
        return code;
    vck_status status = vck_default_provider.on_attach(&vck_default_provider, &context, &config);
    if (status != VCK_OK) {
        code = report(command, exit_code_of(status), "cannot recover %s: %s", path,
                      vck_status_text(status));
    } else {
        if (config.damaged_found > 0)
            warn(command, "%u chunks of %s are lost", config.damaged_found, path);
        vck_default_provider.on_detach(&vck_default_provider, &config);
    }
    vck_disk_close(context.disk);
    return code;
}

/* ---- making it ---- */

/* Whoever attached the disk between our look at it and our claim may have moved the boundary. */
static int check_unchanged(const struct command *command, const struct inspection *in,
                           const char *path)
{
    struct vck_store store = {0};
    struct vck_disk *disk = NULL;
    const struct vck_secret *vmk = &in->store.vmk;
    waiting_is_fine();
    int code = open_disk(command, path, DISK_READ_ONLY | DISK_SHARED, &disk);
    if (code != EXIT_OK)
        return code;
    vck_status status =
        vck_store_open(&store, disk, vck_secret_bytes(vmk), NULL, VCK_STORE_ANY_REPLICA);
    const struct vck_store_state *state = &store.state;
    const struct vck_store_state *seen = &in->store.state;
    if (status != VCK_OK)
        code = report(command, exit_code_of(status), "%s: %s", path, vck_status_text(status));
    else if (state->generation != seen->generation ||
             state->encrypted_offset_sectors != seen->encrypted_offset_sectors)
        code = report(command, EXIT_BUSY, "%s was in use by another program meanwhile", path);
    vck_store_fini(&store);
    vck_disk_close(disk);
    return code;
}

/* The disk must not be open otherwise: the table claims it. */
static int map_volume(const struct command *command, const struct inspection *in, const char *path,
                      const char *name, const struct vck_mapping *mapping)
{
    uint8_t keys[VCK_MAPPING_KEY_BYTES];
    int code = mapper_create(command, name, in->store.header.volume_id);
    if (code != EXIT_OK)
        return code;
    memcpy(keys, in->store.fvek_key1, VCK_FVEK_KEY_BYTES);
    memcpy(keys + VCK_FVEK_KEY_BYTES, in->store.fvek_key2, VCK_FVEK_KEY_BYTES);
    code = mapper_load(command, name, path, mapping, keys, option_given(command, OPTION_READ_ONLY));
    vck_wipe(keys, sizeof(keys));
    if (code == EXIT_OK)
        code = check_unchanged(command, in, path);
    if (code == EXIT_OK)
        code = mapper_resume(command, name);
    if (code != EXIT_OK)
        (void)mapper_remove(command, name);
    return code;
}

int open_check_free(const struct command *command, const char *name)
{
    struct mapper_info info;
    int code = mapper_query(command, name, &info);
    if (code == EXIT_OK && info.exists)
        code = report(command, EXIT_BUSY, "there is a /dev/mapper/%s already", name);
    return code;
}

/* Device-mapper maps block devices; everything else is served by the daemon. */
static int check_is_device(const struct command *command, const char *path)
{
    struct stat st = {0};
    if (stat(path, &st) == 0 && S_ISBLK(st.st_mode))
        return EXIT_OK;
    return report(command, EXIT_REFUSED,
                  "%s is no block device; make it one with losetup, or attach it", path);
}

/* What was opened for the inspection is closed on the way. */
static int map_inspected(const struct command *command, struct inspection *in, const char *path,
                         const char *name)
{
    struct vck_mapping mapping;
    bool is_rehearsal = option_given(command, OPTION_DRY_RUN);
    int code = plan(command, in, path, &mapping);
    vck_disk_close(in->disk);
    in->disk = NULL;
    if (code != EXIT_OK)
        return code;
    return is_rehearsal ? print_table(command, &mapping, path)
                        : map_volume(command, in, path, name, &mapping);
}

/* Its boundary is to move, and only the daemon can do that. */
static bool is_to_be_served(const struct command *command, const struct inspection *in)
{
    return option_given(command, OPTION_SERVE) && inspect_is_open(in) &&
           in->store.state.encrypted_offset_sectors < in->store.layout.data_sectors;
}

int open_with_key(const struct command *command, const char *path, const char *name,
                  struct vck_bytes vmk)
{
    struct inspection in;
    int code = inspect_open(&in, command, path, DISK_READ_ONLY, VCK_STORE_ANY_REPLICA, vmk);
    if (code == EXIT_OK && is_to_be_served(command, &in)) {
        uint8_t volume_id[sizeof(in.store.header.volume_id)];
        memcpy(volume_id, in.store.header.volume_id, sizeof(volume_id));
        inspect_fini(&in);
        return serve_with_key(command, path, name, volume_id, vmk);
    }
    if (code == EXIT_OK && may_write(command) && inspect_is_open(&in) && has_open_record(&in)) {
        inspect_fini(&in);
        memset(&in, 0, sizeof(in));
        code = recover(command, path, vmk);
        if (code == EXIT_OK)
            code = inspect_open(&in, command, path, DISK_READ_ONLY, VCK_STORE_ANY_REPLICA, vmk);
    }
    if (code == EXIT_OK)
        code = map_inspected(command, &in, path, name);
    inspect_fini(&in);
    return code;
}

int run_open(const struct command *command)
{
    char path[VOLUME_PATH_BYTES];
    const char *name;
    struct key_access access = {0};
    bool is_rehearsal = option_given(command, OPTION_DRY_RUN);
    waiting_is_fine();
    int code = mapper_name(command, command->operands[1], &name);
    if (code == EXIT_OK)
        code = volume_path(command, command->operands[0], path);
    if (code == EXIT_OK && !is_rehearsal)
        code = check_is_device(command, path);
    if (code == EXIT_OK && !is_rehearsal)
        code = open_check_free(command, name);
    if (code == EXIT_OK)
        code = key_access_find(command, path, &access);
    if (code == EXIT_OK)
        code = open_with_key(command, path, name, key_access_vmk(&access));
    key_access_fini(&access);
    if (code == EXIT_OK && !is_rehearsal)
        printf("/dev/mapper/%s\n", name);
    return code;
}

int run_close(const struct command *command)
{
    struct mapper_info info = {0};
    const char *name;
    int code = mapper_name(command, command->operands[0], &name);
    if (code == EXIT_OK)
        code = mapper_query(command, name, &info);
    if (code != EXIT_OK)
        return code;
    if (!info.exists)
        return report(command, EXIT_NOT_FOUND, "there is no /dev/mapper/%s", name);
    if (!info.is_volume)
        return report(command, EXIT_REFUSED, "/dev/mapper/%s was not made by vck open", name);
    if (info.open_count > 0)
        return report(command, EXIT_BUSY, "/dev/mapper/%s is in use by %u; unmount it first", name,
                      info.open_count);
    return mapper_remove(command, name);
}
