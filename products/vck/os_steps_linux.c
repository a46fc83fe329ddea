/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "port/port.h"
#include "products/vck/content.h"
#include "products/vck/os_install.h"
#include "products/vck/tool.h"
#include "vck/bytes.h"
#include "vck/disk_io.h"
#include "vck/prepare.h"

#define LOADER_BYTES_MAX  (16u * 1024u * 1024u)
#define VOLUMES_PATH      "/etc/vck/volumes"
#define VOLUMES_BYTES_MAX 65536u
#define LOADER_PATH       "%s/EFI/vck/vckboot.efi"
#define CONFIG_PATH       "%s/vck.json"
#define STEPS_TAG         VCK_TAG('C', 'o', 's', 's')

/* ---- the volume ---- */

int volume_is_plain(const struct os_install *install, bool *ret_is_plain)
{
    struct content content;
    struct vck_disk *disk = NULL;
    waiting_is_fine();
    int code = open_disk(install->command, install->volume, DISK_READ_ONLY | DISK_SHARED, &disk);
    if (code != EXIT_OK)
        return code;
    vck_status status = content_read(disk, &content);
    vck_disk_close(disk);
    if (status != VCK_OK)
        return report(install->command, exit_code_of(status), "cannot read %s: %s", install->volume,
                      vck_status_text(status));
    *ret_is_plain = content.kind != CONTENT_UNKNOWN;
    return EXIT_OK;
}

static vck_status write_zeroes(struct vck_disk *disk, uint64_t offset_bytes,
                               uint64_t size_bytes) VCK_CAN_WAIT
{
    const size_t piece = 65536;
    vck_status status = VCK_OK;
    uint8_t *zeroes = vck_alloc_pages(piece, STEPS_TAG);
    if (zeroes == NULL)
        return VCK_NO_MEMORY;
    memset(zeroes, 0, piece);
    while (size_bytes > 0 && status == VCK_OK) {
        size_t now = (size_t)VCK_MIN(size_bytes, (uint64_t)piece);
        status = vck_disk_write(disk, offset_bytes, zeroes, now);
        offset_bytes += now;
        size_bytes -= now;
    }
    vck_free_pages(zeroes, piece);
    return status == VCK_OK ? vck_disk_flush(disk) : status;
}

/* What os-prepare makes is two regions of the usual size at the end; whatever state they are in,
 * only what the file system does not reach is erased. */
static vck_status erase_metadata(struct vck_disk *disk) VCK_CAN_WAIT
{
    const uint64_t size_bytes = 2 * (uint64_t)VCK_METADATA_SIZE_DEFAULT;
    struct content content;
    vck_status status = content_read(disk, &content);
    if (status != VCK_OK)
        return status;
    if (content.kind == CONTENT_UNKNOWN || disk->size_bytes < size_bytes ||
        content.size_bytes > disk->size_bytes - size_bytes)
        return VCK_VALIDATION_FAILED;
    return write_zeroes(disk, disk->size_bytes - size_bytes, size_bytes);
}

static int unprepare(const struct os_install *install)
{
    struct vck_disk *disk = NULL;
    unsigned flags = *install->mount != 0 ? DISK_SHARED : 0;
    waiting_is_fine();
    int code = open_disk(install->command, install->volume, flags, &disk);
    if (code != EXIT_OK)
        return code;
    vck_status status = erase_metadata(disk);
    vck_disk_close(disk);
    return status == VCK_OK ? EXIT_OK
                            : report(install->command, exit_code_of(status),
                                     "cannot take the metadata off %s: %s", install->volume,
                                     vck_status_text(status));
}

/* ---- the initrd ---- */

static bool has_program(const struct os_install *install, const char *name)
{
    static const char *const folders[] = {"/usr/sbin", "/sbin", "/usr/bin", "/bin"};
    char path[INSTALL_PATH_BYTES];
    if (*install->root == 0)
        return tool_exists(name);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(folders); i++)
        if (install_path(install, path, "%s/%s", folders[i], name) && access(path, X_OK) == 0)
            return true;
    return false;
}

static const char *initramfs_tool(const struct os_install *install)
{
    if (has_program(install, "update-initramfs"))
        return "update-initramfs";
    return has_program(install, "dracut") ? "dracut" : NULL;
}

bool initramfs_has_tool(const struct os_install *install)
{
    return initramfs_tool(install) != NULL;
}

static int make_initrd(const struct os_install *install)
{
    const char *tool = initramfs_tool(install);
    if (tool == NULL)
        return EXIT_OK;
    bool is_dracut = strcmp(tool, "dracut") == 0;
    const char *const make[] = {"chroot", install->root, tool, is_dracut ? "--force" : "-u", NULL};
    return tool_run(install->command, *install->root != 0 ? make : make + 2, 0);
}

static bool is_line_of(const char *line, size_t length, const char *name)
{
    size_t name_length = strlen(name);
    return length > name_length && memcmp(line, name, name_length) == 0 &&
           (line[name_length] == ' ' || line[name_length] == '\t');
}

/* The list without the line of this name; ret_text holds at least as much as text. */
static void drop_line(const char *text, const char *name, char *ret_text)
{
    *ret_text = 0;
    while (*text != 0) {
        size_t length = strcspn(text, "\n");
        size_t whole = length + (text[length] == '\n');
        if (!is_line_of(text, length, name))
            strncat(ret_text, text, whole);
        text += whole;
    }
}

/* With the volume's line, or without it. */
static int write_volumes(const struct os_install *install, bool is_listed)
{
    char path[INSTALL_PATH_BYTES];
    char guid[VCK_GUID_TEXT_BYTES];
    uint8_t *before = NULL;
    size_t size = 0;
    int error = install_path(install, path, VOLUMES_PATH) ? 0 : ENAMETOOLONG;
    if (error == 0)
        error = file_read(path, VOLUMES_BYTES_MAX, &before, &size);
    if (error == ENOENT)
        error = 0;
    size_t capacity = size + sizeof(install->name) + sizeof(guid) + 4;
    char *after = error == 0 ? malloc(capacity) : NULL;
    if (error == 0 && after == NULL)
        error = ENOMEM;
    if (error == 0) {
        drop_line(before != NULL ? (const char *)before : "", install->name, after);
        size_t used = strlen(after);
        vck_guid_format(&install->guid, guid);
        if (is_listed)
            snprintf(after + used, capacity - used, "%s%s %s\n",
                     used > 0 && after[used - 1] != '\n' ? "\n" : "", install->name, guid);
        if (*after != 0)
            error = file_replace(path, after, strlen(after));
        else if (unlink(path) != 0 && errno != ENOENT)
            error = errno;
    }
    free(after);
    free(before);
    return error == 0 ? EXIT_OK
                      : report(install->command, EXIT_FAILED, "cannot write %s%s: %s",
                               install->root, VOLUMES_PATH, strerror(error));
}

static int list_volume(const struct os_install *install, bool is_listed)
{
    int code = write_volumes(install, is_listed);
    return code == EXIT_OK ? make_initrd(install) : code;
}

static bool has_line(const char *text, const char *name, const char *guid)
{
    while (*text != 0) {
        size_t length = strcspn(text, "\n");
        if (is_line_of(text, length, name)) {
            const char *rest = text + strlen(name);
            rest += strspn(rest, " \t");
            return strncasecmp(rest, guid, strlen(guid)) == 0;
        }
        text += length + (text[length] == '\n');
    }
    return false;
}

static bool is_listed(const struct os_install *install)
{
    char path[INSTALL_PATH_BYTES];
    char guid[VCK_GUID_TEXT_BYTES];
    uint8_t *text = NULL;
    size_t size = 0;
    vck_guid_format(&install->guid, guid);
    bool is_there = install_path(install, path, VOLUMES_PATH) &&
                    file_read(path, VOLUMES_BYTES_MAX, &text, &size) == 0 &&
                    has_line((const char *)text, install->name, guid);
    free(text);
    return is_there;
}

static int check_listed(const struct os_install *install)
{
    bool is_there = is_listed(install);
    printf("  initrd: %s is %s " VOLUMES_PATH "\n", install->name, is_there ? "in" : "not in");
    return is_there ? EXIT_OK : EXIT_PROBLEMS;
}

/* ---- the ESP ---- */

static bool loader_path(const struct os_install *install, char ret_path[INSTALL_PATH_BYTES])
{
    return install_path(install, ret_path, LOADER_PATH, install->esp);
}

static int install_loader(struct os_install *install)
{
    char path[INSTALL_PATH_BYTES];
    uint8_t *data = NULL;
    size_t size = 0;
    int error = loader_path(install, path)
                    ? file_read(install->loader, LOADER_BYTES_MAX, &data, &size)
                    : ENAMETOOLONG;
    if (error != 0)
        return report(install->command, EXIT_FAILED, "cannot read %s: %s", install->loader,
                      strerror(error));
    vck_sha256(data, size, install->loader_digest);
    int code = record_store(install);
    if (code == EXIT_OK)
        code = file_install(install->command, path, data, size);
    free(data);
    return code;
}

static int remove_loader(const struct os_install *install)
{
    char path[INSTALL_PATH_BYTES];
    if (!loader_path(install, path))
        return EXIT_FAILED;
    int code = file_restore(install->command, path);
    char *last = strrchr(path, '/');
    if (code == EXIT_OK && last != NULL) {
        *last = 0;
        (void)rmdir(path); /* it may hold what others put there */
    }
    return code;
}

static int check_loader(const struct os_install *install)
{
    char path[INSTALL_PATH_BYTES];
    uint8_t digest[VCK_SHA256_BYTES];
    uint8_t *data = NULL;
    size_t size = 0;
    if (!loader_path(install, path) || file_read(path, LOADER_BYTES_MAX, &data, &size) != 0) {
        printf("  loader: %s is missing\n", path);
        return EXIT_PROBLEMS;
    }
    vck_sha256(data, size, digest);
    free(data);
    bool is_same = memcmp(digest, install->loader_digest, sizeof(digest)) == 0;
    printf("  loader: %s%s\n", path, is_same ? "" : " is not the one that was installed");
    return is_same ? EXIT_OK : EXIT_PROBLEMS;
}

static int install_config(const struct os_install *install)
{
    char path[INSTALL_PATH_BYTES];
    char text[CONFIG_BYTES];
    int code = config_write(install, text);
    if (code == EXIT_OK && !install_path(install, path, CONFIG_PATH, install->esp))
        code = EXIT_FAILED;
    return code == EXIT_OK ? file_install(install->command, path, text, strlen(text)) : code;
}

static int remove_config(const struct os_install *install)
{
    char path[INSTALL_PATH_BYTES];
    return install_path(install, path, CONFIG_PATH, install->esp)
               ? file_restore(install->command, path)
               : EXIT_FAILED;
}

static int check_config(const struct os_install *install)
{
    char path[INSTALL_PATH_BYTES];
    uint8_t *data = NULL;
    size_t size = 0;
    struct vck_boot_config config = {0};
    struct vck_boot_config_error error = {0};
    if (!install_path(install, path, CONFIG_PATH, install->esp) ||
        file_read(path, VCK_BOOT_CONFIG_BYTES_MAX, &data, &size) != 0) {
        printf("  configuration: %s is missing\n", path);
        return EXIT_PROBLEMS;
    }
    vck_status status = vck_boot_config_parse((struct vck_bytes){data, size}, &config, &error);
    free(data);
    if (status != VCK_OK) {
        printf("  configuration: %s, line %u: %s\n", path, error.line, error.text);
        return EXIT_PROBLEMS;
    }
    bool is_same = vck_guid_equal(&config.partition_guid, &install->guid);
    printf("  configuration: %s starts %s%s\n", path, config.osloader,
           is_same ? "" : ", of another partition");
    vck_boot_config_fini(&config);
    return is_same ? EXIT_OK : EXIT_PROBLEMS;
}

/* ---- the firmware ---- */

static int check_entry(const struct os_install *install)
{
    struct boot_entry entry;
    int code = entry_find(install, &entry);
    if (code != EXIT_OK)
        return code;
    if (!entry.is_there)
        puts("  boot entry: none");
    else
        printf("  boot entry: Boot%s%s\n", entry.number,
               entry.is_first ? ", the first" : ", not the first");
    return entry.is_first ? EXIT_OK : EXIT_PROBLEMS;
}

static int check_volume(const struct os_install *install)
{
    bool is_plain;
    int code = volume_is_plain(install, &is_plain);
    if (code == EXIT_OK)
        printf("  volume: %s, %s\n", install->volume,
               is_plain ? "nothing encrypted yet" : "encrypted, in part at least");
    return code;
}

/* ---- all of them ---- */

void step_describe(const struct os_install *install, enum install_step step, bool is_undo,
                   char *text, size_t capacity)
{
    const char *tool = initramfs_tool(install);
    switch (step) {
    case INSTALL_METADATA:
        snprintf(text, capacity,
                 is_undo ? "erase the metadata of %s" : "make a volume of %s, its data as it is",
                 install->volume);
        break;
    case INSTALL_INITRAMFS:
        snprintf(text, capacity, "%s %s %s " VOLUMES_PATH "%s%s", is_undo ? "take" : "write",
                 install->name, is_undo ? "from" : "into",
                 tool != NULL ? " and make the initrd again by " : "", tool != NULL ? tool : "");
        break;
    case INSTALL_LOADER:
        snprintf(text, capacity, is_undo ? "take back %s" LOADER_PATH : "install %s" LOADER_PATH,
                 install->root, install->esp);
        break;
    case INSTALL_CONFIG:
        snprintf(text, capacity, is_undo ? "take back %s" CONFIG_PATH : "write %s" CONFIG_PATH,
                 install->root, install->esp);
        break;
    default:
        snprintf(text, capacity,
                 is_undo ? "remove the firmware's boot entry"
                         : "add a boot entry of the firmware's, before the others");
    }
}

int step_keep(const struct os_install *install, enum install_step step)
{
    char path[INSTALL_PATH_BYTES];
    bool is_file = step == INSTALL_LOADER || step == INSTALL_CONFIG;
    if (!is_file || (install->earlier & STEP_BIT(step)) != 0)
        return EXIT_OK;
    if (!install_path(install, path, step == INSTALL_LOADER ? LOADER_PATH : CONFIG_PATH,
                      install->esp))
        return EXIT_FAILED;
    return file_keep(install->command, path);
}

int step_perform(struct os_install *install, enum install_step step)
{
    switch (step) {
    case INSTALL_METADATA:
        return prepare_system(install->command, *install->mount != 0, false);
    case INSTALL_INITRAMFS:
        return list_volume(install, true);
    case INSTALL_LOADER:
        return install_loader(install);
    case INSTALL_CONFIG:
        return install_config(install);
    default:
        return entry_add(install);
    }
}

int step_undo(struct os_install *install, enum install_step step)
{
    switch (step) {
    case INSTALL_METADATA:
        return unprepare(install);
    case INSTALL_INITRAMFS:
        return list_volume(install, false);
    case INSTALL_LOADER:
        return remove_loader(install);
    case INSTALL_CONFIG:
        return remove_config(install);
    default:
        return entry_remove(install);
    }
}

int step_check(const struct os_install *install, enum install_step step)
{
    switch (step) {
    case INSTALL_METADATA:
        return check_volume(install);
    case INSTALL_INITRAMFS:
        return check_listed(install);
    case INSTALL_LOADER:
        return check_loader(install);
    case INSTALL_CONFIG:
        return check_config(install);
    default:
        return check_entry(install);
    }
}
