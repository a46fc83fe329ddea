/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_prepare: everything that can be refused is refused before the first byte is written; the key
 * is durable before the volume that needs it.
 */
#include <inttypes.h>
#include "products/vck/content.h"
#include "products/vck/json.h"
#include "products/vck/key.h"
#include "products/vck/os.h"
#include "products/vck/room.h"
#include "products/vck/vck.h"
#include "vck/block.h"
#include "vck/disk_io.h"
#include "vck/prepare.h"
#include "vck/store.h"

#define NEW_KEY_BYTES 32u

struct preparation {
    const struct command *command;
    char path[VOLUME_PATH_BYTES];
    struct vck_disk *disk;
    bool is_mounted;    /* only what is behind its file system is written ... */
    bool needs_content; /* ... whose end must be known */
    struct vck_prepare_params params;
    struct vck_secret key;
    bool has_slot;        /* the key is kept in the first key slot ... */
    struct new_slot slot; /* ... which is made of this */
    struct content content;
    struct vck_layout layout; /* planned, then made */
    bool is_file;
    uint64_t size_bytes;    /* a file's to the byte, a device's in sectors */
    uint64_t planned_bytes; /* after growing */
    bool is_grown;
    bool is_key_created;
};

/* ---- the command line ---- */

static int parse_params(struct preparation *p)
{
    const struct command *command = p->command;
    uint64_t metadata_size;
    bool is_single = option_given(command, OPTION_SINGLE_REPLICA);
    int code = option_u32(command, OPTION_HEADERS, 0, VCK_REPLICAS_PER_END_MAX, 0,
                          &p->params.header_count);
    if (code != EXIT_OK)
        return code;
    uint32_t footers = is_single ? p->params.header_count == 0 : 2;
    code = option_u32(command, OPTION_FOOTERS, 0, VCK_REPLICAS_PER_END_MAX, footers,
                      &p->params.footer_count);
    if (code == EXIT_OK)
        code =
            option_u32(command, OPTION_SECTOR_SIZE, 1, UINT32_MAX, 0, &p->params.sector_size_bytes);
    if (code == EXIT_OK)
        code = option_bytes(command, OPTION_METADATA_SIZE, 1, UINT32_MAX, VCK_METADATA_SIZE_DEFAULT,
                            &metadata_size);
    if (code != EXIT_OK)
        return code;
    p->params.metadata_size_bytes = (uint32_t)metadata_size;
    p->params.single_replica = is_single;
    p->params.overwrite_existing = option_given(command, OPTION_FORCE);
    return EXIT_OK;
}

static int check_choices(const struct command *command)
{
    bool has_file = option_given(command, OPTION_VMK_FILE);
    bool has_new = option_given(command, OPTION_NEW_VMK);
    bool has_key = option_given(command, OPTION_NEW_KEY_FILE);
    if (has_file + has_new + has_key > 1)
        return report_usage(command, "--vmk-file, --new-vmk and --new-key-file exclude each other");
    if (!has_file && !has_new && !has_key && !os_can_ask())
        return report_usage(command, "--vmk-file, --new-vmk or --new-key-file is needed where no "
                                     "terminal can be asked for a passphrase");
    for (unsigned id = OPTION_KDF; id <= OPTION_KDF_TIME; id++)
        if (option_given(command, id) && (has_file || has_new))
            return report_usage(command, "%s is for a passphrase", option_name(id));
    if (option_given(command, OPTION_GROW) && option_given(command, OPTION_SHRINK))
        return report_usage(command, "--grow and --shrink exclude each other");
    return EXIT_OK;
}

static int take_key(struct preparation *p)
{
    /* The checks look at the size of a key that is only made once they have passed. */
    static const uint8_t stand_in[32];
    if (option_given(p->command, OPTION_NEW_VMK)) {
        p->params.vmk = (struct vck_bytes){stand_in, sizeof(stand_in)};
        return key_check_new(p->command);
    }
    if (!option_given(p->command, OPTION_VMK_FILE)) {
        p->has_slot = true;
        p->params.vmk = (struct vck_bytes){stand_in, sizeof(stand_in)};
        return EXIT_OK;
    }
    int code = key_read(p->command, &p->key);
    if (code == EXIT_OK)
        p->params.vmk = vck_secret_bytes(&p->key);
    return code;
}

/* ---- the disk as it is ---- */

static int open_volume(struct preparation *p)
{
    int code = open_disk(p->command, p->path, p->is_mounted ? DISK_SHARED : 0, &p->disk);
    if (code != EXIT_OK)
        return code;
    p->size_bytes = p->disk->size_bytes;
    return volume_file_size(p->command, p->path, &p->is_file, &p->size_bytes);
}

static int refuse_existing(const struct preparation *p, vck_status found)
{
    return report(
        p->command, EXIT_REFUSED,
        "%s is a JVCK volume already (%s); --force overwrites it, and all it holds is lost",
        p->path, found == VCK_OK ? "its metadata is whole" : vck_status_text(found));
}

static int check_existing(struct preparation *p) VCK_CAN_WAIT
{
    struct vck_store store = {0};
    vck_status status = vck_store_inspect(&store, p->disk);
    vck_store_fini(&store);
    if (status == VCK_SIGNATURE_MISMATCH)
        return EXIT_OK;
    if (status == VCK_IO || status == VCK_NO_MEMORY)
        return report(p->command, EXIT_FAILED, "cannot read %s: %s", p->path,
                      vck_status_text(status));
    return p->params.overwrite_existing ? EXIT_OK : refuse_existing(p, status);
}

static int read_content(struct preparation *p) VCK_CAN_WAIT
{
    vck_status status = content_read(p->disk, &p->content);
    if (status != VCK_OK)
        return report(p->command, exit_code_of(status), "cannot read %s: %s", p->path,
                      vck_status_text(status));
    return EXIT_OK;
}

/* ---- the plan ---- */

static uint64_t replica_count(const struct preparation *p)
{
    return (uint64_t)p->params.header_count + p->params.footer_count;
}

static uint32_t sector_size(const struct preparation *p)
{
    uint32_t wanted = p->params.sector_size_bytes;
    return wanted != 0 ? wanted : p->disk->sector_size_bytes;
}

static int explain_size(const struct preparation *p)
{
    uint64_t over = p->planned_bytes % sector_size(p);
    return report(p->command, EXIT_REFUSED,
                  "%s is %" PRIu64 " bytes, which is not whole sectors of %u: %" PRIu64
                  " bytes are over%s",
                  p->path, p->planned_bytes, sector_size(p), over,
                  p->is_file ? "; --grow fills the last one up" : "");
}

static int explain_fault(const struct preparation *p, enum vck_prepare_fault fault)
{
    const struct command *command = p->command;
    uint32_t metadata_size = p->params.metadata_size_bytes;
    switch (fault) {
    case VCK_PREPARE_FAULT_REPLICAS:
        return report_usage(command,
                            "%u headers and %u footers are asked for; 1 to %u of each, "
                            "and at least 2 together, are expected",
                            p->params.header_count, p->params.footer_count,
                            VCK_REPLICAS_PER_END_MAX);
    case VCK_PREPARE_FAULT_SINGLE:
        return report_usage(command,
                            "1 replica is asked for and at least 2 are expected, since a "
                            "torn write destroys the only one; --single-replica allows it");
    case VCK_PREPARE_FAULT_METADATA_SIZE:
        return report_usage(command,
                            "--metadata-size is %u; at least %u bytes and a multiple of "
                            "%u are expected",
                            metadata_size, VCK_METADATA_SIZE_MIN, VCK_JOURNAL_BLOCK_BYTES);
    case VCK_PREPARE_FAULT_SECTOR_SIZE:
        return report_usage(command, "--sector-size is %u; 512 or 4096 is expected",
                            sector_size(p));
    case VCK_PREPARE_FAULT_SECTOR_TOO_FINE:
        return report(command, EXIT_REFUSED,
                      "--sector-size is %u and the sectors of %s are %u bytes", sector_size(p),
                      p->path, p->disk->sector_size_bytes);
    case VCK_PREPARE_FAULT_NOT_WHOLE:
        return explain_size(p);
    case VCK_PREPARE_FAULT_TOO_SMALL:
        return report(command, EXIT_REFUSED,
                      "%s is %" PRIu64 " bytes, and %" PRIu64 " replicas of %u bytes take %" PRIu64
                      ": no sector is left for data",
                      p->path, p->planned_bytes, replica_count(p), metadata_size,
                      replica_count(p) * metadata_size);
    case VCK_PREPARE_FAULT_EXISTS:
        return refuse_existing(p, VCK_OK);
    default:
        return report(command, EXIT_PERMISSION, "%s is read-only", p->path);
    }
}

static int plan_growth(struct preparation *p)
{
    uint64_t unit = sector_size(p);
    uint64_t size = p->size_bytes;
    if (!p->is_file)
        return report(p->command, EXIT_REFUSED, "--grow appends to image files, and %s is none",
                      p->path);
    if (unit != 512 && unit != 4096)
        return EXIT_OK; /* the layout check says so */
    if (size % unit != 0)
        size += unit - size % unit;
    p->planned_bytes = size + replica_count(p) * p->params.metadata_size_bytes;
    return EXIT_OK;
}

static int plan_layout(struct preparation *p)
{
    enum vck_prepare_fault fault;
    p->planned_bytes = p->size_bytes;
    if (option_given(p->command, OPTION_GROW)) {
        int code = plan_growth(p);
        if (code != EXIT_OK)
            return code;
    }
    vck_status status = vck_prepare_check(&p->params, p->planned_bytes, p->disk->sector_size_bytes,
                                          &p->layout, &fault);
    return status == VCK_OK ? EXIT_OK : explain_fault(p, fault);
}

static uint64_t data_end_bytes(const struct preparation *p)
{
    return (p->layout.data_start_lba + p->layout.data_sectors) * p->layout.sector_size_bytes;
}

/* ---- what is in the way ---- */

static int refuse_region(const struct preparation *p, const char *which, uint64_t offset_bytes)
{
    return report(p->command, EXIT_REFUSED,
                  "%s holds unknown data at byte %" PRIu64 ", where %s metadata would go; --force "
                  "overwrites it",
                  p->path, offset_bytes, which);
}

static int check_region(const struct preparation *p, const char *which, uint64_t start_bytes,
                        uint64_t end_bytes) VCK_CAN_WAIT
{
    uint64_t found = UINT64_MAX;
    end_bytes = VCK_MIN(end_bytes, p->disk->size_bytes);
    if (start_bytes >= end_bytes)
        return EXIT_OK;
    vck_status status = content_find_nonzero(p->disk, start_bytes, end_bytes - start_bytes, &found);
    if (status != VCK_OK)
        return report(p->command, exit_code_of(status), "cannot read %s: %s", p->path,
                      vck_status_text(status));
    return found == UINT64_MAX ? EXIT_OK : refuse_region(p, which, found);
}

static int check_unknown(const struct preparation *p) VCK_CAN_WAIT
{
    uint64_t data_start = p->layout.data_start_lba * p->layout.sector_size_bytes;
    uint64_t unit = p->disk->sector_size_bytes;
    if (option_given(p->command, OPTION_FORCE))
        return EXIT_OK;
    int code = check_region(p, "header", 0, data_start);
    if (code == EXIT_OK)
        code = check_region(p, "footer", data_end_bytes(p) / unit * unit, UINT64_MAX);
    return code;
}

/* Where the recognised content ends, as far as it lies on this disk. */
static uint64_t content_end_bytes(const struct preparation *p)
{
    return p->content.size_bytes == CONTENT_TO_THE_END ? p->size_bytes : p->content.size_bytes;
}

static int refuse_overlap(const struct preparation *p)
{
    uint64_t missing = content_end_bytes(p) - data_end_bytes(p);
    char text[SIZE_TEXT_BYTES];
    return report(p->command, EXIT_REFUSED,
                  "the %s on %s is %" PRIu64 " bytes long and only %" PRIu64
                  " are left for it: %" PRIu64
                  " bytes (%s) are missing; --grow appends to an image "
                  "file, --shrink shrinks ext2/3/4 and NTFS",
                  p->content.name, p->path, content_end_bytes(p), data_end_bytes(p), missing,
                  size_text(missing, text));
}

static int check_known(const struct preparation *p)
{
    if (p->params.header_count > 0)
        return report(p->command, EXIT_REFUSED,
                      "%s holds a %s, whose first sectors are where %u header replicas would go; "
                      "use footers only, or empty the disk first",
                      p->path, p->content.name, p->params.header_count);
    if (content_end_bytes(p) > p->size_bytes)
        return report(p->command, EXIT_REFUSED,
                      "the %s on %s is %" PRIu64 " bytes long, but there are only %" PRIu64
                      ": a part of it is missing",
                      p->content.name, p->path, content_end_bytes(p), p->size_bytes);
    if (content_end_bytes(p) <= data_end_bytes(p) || option_given(p->command, OPTION_SHRINK))
        return EXIT_OK;
    return refuse_overlap(p);
}

static int check_content(const struct preparation *p) VCK_CAN_WAIT
{
    return p->content.kind == CONTENT_UNKNOWN ? check_unknown(p) : check_known(p);
}

/* ---- doing it ---- */

/* Asked for only once nothing else can be refused. */
static int read_slot(struct preparation *p)
{
    waiting_is_fine();
    int code = new_slot_read(p->command, VCK_KEY_PASSPHRASE, &p->slot);
    vck_status status = VCK_OK;
    if (code == EXIT_OK)
        status = vck_secret_init(&p->key, NEW_KEY_BYTES);
    if (code == EXIT_OK && status == VCK_OK)
        status = vck_random(p->key.data, p->key.size_bytes);
    if (status != VCK_OK)
        return report(p->command, EXIT_FAILED, "cannot make a key: %s", vck_status_text(status));
    p->params.vmk = vck_secret_bytes(&p->key);
    return code;
}

static int create_key(struct preparation *p)
{
    if (p->has_slot)
        return read_slot(p);
    if (!option_given(p->command, OPTION_NEW_VMK))
        return EXIT_OK;
    int code = key_create(p->command, &p->key);
    if (code != EXIT_OK)
        return code;
    p->is_key_created = true;
    p->params.vmk = vck_secret_bytes(&p->key);
    return EXIT_OK;
}

static void close_volume(struct preparation *p)
{
    vck_disk_close(p->disk);
    p->disk = NULL;
}

static int grow(struct preparation *p)
{
    close_volume(p);
    int code = room_resize_file(p->command, p->path, p->planned_bytes);
    p->is_grown = code == EXIT_OK;
    return code == EXIT_OK ? open_disk(p->command, p->path, 0, &p->disk) : code;
}

static int shrink(struct preparation *p) VCK_CAN_WAIT
{
    close_volume(p);
    int code = room_shrink(p->command, p->path, &p->content, data_end_bytes(p));
    /* resize2fs cuts an image file to the file system's new size. */
    if (code == EXIT_OK && p->is_file)
        code = room_resize_file(p->command, p->path, p->size_bytes);
    if (code == EXIT_OK)
        code = open_disk(p->command, p->path, 0, &p->disk);
    if (code == EXIT_OK)
        code = read_content(p);
    if (code == EXIT_OK && content_end_bytes(p) > data_end_bytes(p))
        code = refuse_overlap(p);
    return code;
}

/* The regions are where the plan has them only if the disk is as large as it was planned for. */
static int check_planned_size(const struct preparation *p)
{
    if (p->disk->size_bytes == p->planned_bytes)
        return EXIT_OK;
    return report(p->command, EXIT_FAILED,
                  "%s is %" PRIu64 " bytes long and %" PRIu64 " were expected: something else "
                  "changed it meanwhile",
                  p->path, p->disk->size_bytes, p->planned_bytes);
}

static int make_room(struct preparation *p) VCK_CAN_WAIT
{
    int code = EXIT_OK;
    bool is_shrinking = option_given(p->command, OPTION_SHRINK) &&
                        p->content.kind != CONTENT_UNKNOWN &&
                        content_end_bytes(p) > data_end_bytes(p);
    if (option_given(p->command, OPTION_GROW))
        code = grow(p);
    else if (is_shrinking)
        code = shrink(p);
    return code == EXIT_OK ? check_planned_size(p) : code;
}

/* The appended part holds nothing of the owner's, so taking it back leaves the file as it was. */
static void undo_growth(struct preparation *p)
{
    close_volume(p);
    if (p->params.header_count == 0 && p->is_grown &&
        room_resize_file(p->command, p->path, p->size_bytes) == EXIT_OK)
        p->is_grown = false;
}

static int write_volume(struct preparation *p, struct vck_prepare_result *ret_result) VCK_CAN_WAIT
{
    enum vck_prepare_fault fault;
    vck_status status = vck_prepare_volume(p->disk, &p->params, ret_result, &fault);
    if (status == VCK_OK)
        return EXIT_OK;
    if (fault != VCK_PREPARE_NO_FAULT)
        return explain_fault(p, fault);
    return report(p->command, exit_code_of(status), "cannot write the metadata of %s: %s", p->path,
                  vck_status_text(status));
}

static int make_volume(struct preparation *p, struct vck_prepare_result *ret_result) VCK_CAN_WAIT
{
    int code = create_key(p);
    if (code != EXIT_OK)
        return code;
    code = make_room(p);
    bool is_untouched = code != EXIT_OK;
    if (code == EXIT_OK)
        code = write_volume(p, ret_result);
    bool is_made = code == EXIT_OK;
    if (is_made && p->has_slot)
        code = key_add_first(p->command, p->path, p->disk, &p->key, &p->slot);
    if (code != EXIT_OK && is_made)
        warn(p->command,
             "%s: nothing is encrypted, and nothing opens the volume; prepare it again "
             "with --force",
             p->path);
    if (is_made)
        return code;
    if (p->is_grown) {
        undo_growth(p);
        is_untouched = !p->is_grown;
    }
    if (p->is_key_created && is_untouched)
        key_remove_unused(p->command);
    return code;
}

/* ---- the answer ---- */

static void print_json(const struct preparation *p, const struct vck_prepare_result *made)
{
    struct json json = {0};
    char id[UUID_TEXT_BYTES];
    json_object_begin(&json, NULL);
    json_string(&json, "volume", p->path);
    json_string(&json, "volume_id", uuid_text(made->volume_id, id));
    json_u64(&json, "sector_size_bytes", made->layout.sector_size_bytes);
    json_u64(&json, "metadata_size_bytes", made->layout.metadata_size_bytes);
    json_u64(&json, "header_count", made->layout.header_count);
    json_u64(&json, "footer_count", made->layout.footer_count);
    json_u64(&json, "data_start_sector", made->layout.data_start_lba);
    json_u64(&json, "data_sectors", made->layout.data_sectors);
    json_u64(&json, "grown_bytes", p->planned_bytes - p->size_bytes);
    json_string(&json, "new_key_file", p->command->values[OPTION_NEW_VMK]);
    json_object_end(&json);
}

static void print_text(const struct preparation *p, const struct vck_prepare_result *made)
{
    char id[UUID_TEXT_BYTES];
    char region[SIZE_TEXT_BYTES];
    char data[SIZE_TEXT_BYTES];
    const struct vck_layout *layout = &made->layout;
    printf("%s is now volume %s\n", p->path, uuid_text(made->volume_id, id));
    printf("  metadata: %u headers and %u footers of %s\n", layout->header_count,
           layout->footer_count, size_text(layout->metadata_size_bytes, region));
    printf("  data: %" PRIu64 " sectors of %u bytes (%s) from sector %" PRIu64
           ", nothing encrypted yet\n",
           layout->data_sectors, layout->sector_size_bytes,
           size_text(layout->data_sectors * layout->sector_size_bytes, data),
           layout->data_start_lba);
    if (p->is_key_created)
        printf("  key: %s; without it the data cannot be read once it is encrypted\n",
               p->command->values[OPTION_NEW_VMK]);
    if (p->has_slot)
        puts("  key: in slot 0, opened by the passphrase; vck key add makes others");
}

static int inspect_and_plan(struct preparation *p) VCK_CAN_WAIT
{
    int code = open_volume(p);
    if (code == EXIT_OK)
        code = check_existing(p);
    if (code == EXIT_OK)
        code = read_content(p);
    if (code == EXIT_OK)
        code = plan_layout(p);
    return code == EXIT_OK ? check_content(p) : code;
}

/* Metadata behind a file system that nothing recognises could be in the middle of it. */
static int check_is_recognised(const struct preparation *p)
{
    if (!p->needs_content || p->content.kind != CONTENT_UNKNOWN)
        return EXIT_OK;
    return report(p->command, EXIT_REFUSED,
                  "%s holds no file system whose size is known here; nothing says that there is "
                  "room behind it",
                  p->path);
}

static int plan_preparation(struct preparation *p) VCK_CAN_WAIT
{
    int code = check_choices(p->command);
    if (code == EXIT_OK)
        code = parse_params(p);
    if (code == EXIT_OK)
        code = volume_path(p->command, p->command->operands[0], p->path);
    if (code == EXIT_OK)
        code = take_key(p);
    if (code == EXIT_OK)
        code = inspect_and_plan(p);
    return code == EXIT_OK ? check_is_recognised(p) : code;
}

static int make_and_tell(struct preparation *p) VCK_CAN_WAIT
{
    struct vck_prepare_result made;
    int code = make_volume(p, &made);
    if (code != EXIT_OK)
        return code;
    if (option_given(p->command, OPTION_JSON))
        print_json(p, &made);
    else
        print_text(p, &made);
    return EXIT_OK;
}

static int prepare(struct preparation *p, bool is_rehearsal)
{
    waiting_is_fine();
    int code = plan_preparation(p);
    if (code == EXIT_OK && !is_rehearsal)
        code = make_and_tell(p);
    vck_disk_close(p->disk);
    vck_secret_fini(&p->key);
    new_slot_fini(&p->slot);
    return code;
}

int run_prepare(const struct command *command)
{
    struct preparation p = {.command = command};
    return prepare(&p, false);
}

int prepare_system(const struct command *command, bool is_mounted, bool is_rehearsal)
{
    struct preparation p = {.command = command, .is_mounted = is_mounted, .needs_content = true};
    return prepare(&p, is_rehearsal);
}
