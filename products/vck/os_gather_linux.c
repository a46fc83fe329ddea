/* SPDX-License-Identifier: Apache-2.0 */
/* os_gather: what an installation is about, from the command line and the running system, and
 * whether it can be done at all. Nothing is changed here. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "products/vck/boot_linux.h"
#include "products/vck/content.h"
#include "products/vck/os_install.h"
#include "vck/bytes.h"
#include "vck/disk_io.h"
#include "vck/key_store.h"
#include "vck/store.h"

#define NAME_DEFAULT      "system"
#define CMDLINE_BYTES_MAX 65536u

static int too_long(const struct os_install *install, const char *what)
{
    return report(install->command, EXIT_FAILED, "%s is too long", what);
}

static bool copy_text(char *to, size_t capacity, const char *from)
{
    int length = snprintf(to, capacity, "%s", from);
    return length >= 0 && (size_t)length < capacity;
}

/* ---- places ---- */

int gather_root(struct os_install *install)
{
    const char *root = install->command->values[OPTION_ROOT];
    struct stat st;
    char *real = root != NULL ? realpath(root, NULL) : NULL;
    if (root == NULL)
        return EXIT_OK;
    if (real == NULL || stat(real, &st) != 0 || !S_ISDIR(st.st_mode)) {
        free(real);
        return report(install->command, EXIT_NOT_FOUND, "--root is %s, which is no folder", root);
    }
    bool fits = copy_text(install->root, sizeof(install->root), strcmp(real, "/") == 0 ? "" : real);
    free(real);
    return fits ? EXIT_OK : too_long(install, "--root");
}

/* Mount points are written with octal escapes. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at != 0; to++) {
        bool is_escape = at[0] == '\\' && strspn(at + 1, "01234567") >= 3;
        *to = is_escape ? (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + at[3] - '0') : *at;
        at += is_escape ? 4 : 1;
    }
    *to = 0;
}

void gather_mount(struct os_install *install)
{
    struct stat st;
    char *line = NULL;
    size_t capacity = 0;
    unsigned of_major, of_minor;
    char where[INSTALL_PATH_BYTES];
    *install->mount = 0;
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (mounts == NULL || stat(install->volume, &st) != 0 || !S_ISBLK(st.st_mode))
        goto out;
    while (*install->mount == 0 && getline(&line, &capacity, mounts) > 0) {
        if (sscanf(line, "%*d %*d %u:%u %*s %1023s", &of_major, &of_minor, where) == 3 &&
            makedev(of_major, of_minor) == st.st_rdev) {
            unescape(where);
            copy_text(install->mount, sizeof(install->mount), where);
        }
    }
out:
    free(line);
    if (mounts != NULL)
        fclose(mounts);
}

static int gather_volume(struct os_install *install)
{
    const struct command *command = install->command;
    struct stat st = {0};
    struct partition_place place;
    int code = volume_path(command, command->operands[0], install->volume);
    if (code != EXIT_OK)
        return code;
    gather_mount(install);
    if (option_given(command, OPTION_PARTITION))
        return partition_option(command, &install->guid);
    if (stat(install->volume, &st) == 0 && S_ISBLK(st.st_mode) &&
        partition_identify(st.st_rdev, &place)) {
        install->guid = place.guid;
        return EXIT_OK;
    }
    return report(command, EXIT_REFUSED,
                  "%s is not a partition of a GPT; --partition says which one it will be",
                  install->volume);
}

static bool is_esp(const struct os_install *install, const char *folder)
{
    char path[INSTALL_PATH_BYTES];
    struct stat st;
    return install_path(install, path, "%s/EFI", folder) && stat(path, &st) == 0 &&
           S_ISDIR(st.st_mode);
}

static int gather_esp(struct os_install *install)
{
    static const char *const usual[] = {"/efi", "/boot/efi", "/boot"};
    const char *given = install->command->values[OPTION_ESP];
    for (size_t i = 0; given == NULL && i < VCK_ARRAY_COUNT(usual); i++)
        if (is_esp(install, usual[i]))
            given = usual[i];
    if (given == NULL)
        return report(install->command, EXIT_NOT_FOUND,
                      "no EFI system partition in /efi, /boot/efi or /boot%s%s; --esp names its "
                      "folder",
                      *install->root != 0 ? " of " : "", install->root);
    if (*given != '/')
        return report_usage(install->command, "--esp is %s; a path from the root on is expected",
                            given);
    if (!copy_text(install->esp, sizeof(install->esp), strcmp(given, "/") == 0 ? "" : given))
        return too_long(install, "--esp");
    return is_esp(install, install->esp)
               ? EXIT_OK
               : report(install->command, EXIT_NOT_FOUND,
                        "%s%s is no EFI system partition: it has no folder EFI", install->root,
                        given);
}

/* Installed beside this program: bin/vck and lib/vck/vckboot.efi. */
static bool find_loader(struct os_install *install)
{
    char self[INSTALL_PATH_BYTES];
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (size <= 0)
        return false;
    self[size] = 0;
    for (int i = 0; i < 2; i++) {
        char *last = strrchr(self, '/');
        if (last != NULL)
            *last = 0;
    }
    int length = snprintf(install->loader, sizeof(install->loader), "%s/lib/vck/vckboot.efi", self);
    return length > 0 && length < (int)sizeof(install->loader);
}

static int gather_loader(struct os_install *install)
{
    const char *given = install->command->values[OPTION_LOADER];
    bool fits = given != NULL ? copy_text(install->loader, sizeof(install->loader), given)
                              : find_loader(install);
    return fits ? EXIT_OK : too_long(install, "--loader");
}

/* ---- what is started ---- */

static bool is_on_volume(const struct os_install *install, const char *name)
{
    char path[2 * INSTALL_PATH_BYTES];
    snprintf(path, sizeof(path), "%s%s%s", install->mount, *name == '/' ? "" : "/", name);
    return access(path, R_OK) == 0;
}

/* The kernel that runs, where distributions put it. */
static bool find_kernel(struct os_install *install)
{
    struct utsname name;
    if (uname(&name) != 0)
        return false;
    snprintf(install->osloader, sizeof(install->osloader), "/vmlinuz-%s", name.release);
    snprintf(install->initrd, sizeof(install->initrd), "/initrd.img-%s", name.release);
    if (!is_on_volume(install, install->initrd))
        snprintf(install->initrd, sizeof(install->initrd), "/initramfs-%s.img", name.release);
    return is_on_volume(install, install->osloader) && is_on_volume(install, install->initrd);
}

/* From the root of the volume on. */
static bool copy_program(char to[VCK_BOOT_PATH_BYTES], const char *name)
{
    bool has_slash = *name == '/' || *name == '\\' || *name == 0;
    int length = snprintf(to, VCK_BOOT_PATH_BYTES, "%s%s", has_slash ? "" : "/", name);
    return length >= 0 && length < (int)VCK_BOOT_PATH_BYTES;
}

static int check_is_there(const struct os_install *install, const char *name)
{
    if (*name == 0 || *install->mount == 0 || is_on_volume(install, name))
        return EXIT_OK;
    return report(install->command, EXIT_NOT_FOUND, "%s has no %s, and it is what would be started",
                  install->mount, name);
}

static int gather_programs(struct os_install *install)
{
    const struct command *command = install->command;
    const char *osloader = command->values[OPTION_OSLOADER];
    const char *initrd = command->values[OPTION_INITRD];
    if (osloader == NULL && (*install->mount == 0 || !find_kernel(install)))
        return report(command, EXIT_NOT_FOUND,
                      "%s %s; --osloader and --initrd say what to start from it", install->volume,
                      *install->mount == 0 ? "is not mounted"
                                           : "does not hold the running kernel and its initrd");
    if (osloader != NULL &&
        !(copy_program(install->osloader, osloader) && copy_program(install->initrd, "")))
        return too_long(install, "--osloader");
    if (initrd != NULL && !copy_program(install->initrd, initrd))
        return too_long(install, "--initrd");
    int code = check_is_there(install, install->osloader);
    return code == EXIT_OK ? check_is_there(install, install->initrd) : code;
}

/* Words that another boot loader put there for itself are left out. */
static bool take_words(struct os_install *install, char *text)
{
    size_t used = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, " \n", &rest); word != NULL;
         word = strtok_r(NULL, " \n", &rest)) {
        if (strncmp(word, "BOOT_IMAGE=", 11) == 0 || strncmp(word, "initrd=", 7) == 0)
            continue;
        used += (size_t)snprintf(install->options + used, sizeof(install->options) - used, "%s%s",
                                 used > 0 ? " " : "", word);
        if (used >= sizeof(install->options))
            return false;
    }
    return true;
}

static int gather_options(struct os_install *install)
{
    const char *given = install->command->values[OPTION_CMDLINE];
    char text[4096];
    if (given != NULL)
        return copy_text(install->options, sizeof(install->options), given)
                   ? EXIT_OK
                   : too_long(install, "--cmdline");
    if (*install->root != 0)
        return report_usage(install->command, "--cmdline is needed with --root");
    ssize_t size = sysfs_read("/proc/cmdline", text, sizeof(text) - 1);
    text[VCK_MAX(size, 0)] = 0;
    return take_words(install, text) ? EXIT_OK : too_long(install, "the kernel's command line");
}

/* ---- whether it can be done ---- */

static int check_loader_file(const struct os_install *install)
{
    char esp[INSTALL_PATH_BYTES];
    struct statvfs space;
    uint8_t *data = NULL;
    size_t size = 0;
    int error = file_read(install->loader, 16u * 1024u * 1024u, &data, &size);
    bool is_program = error == 0 && size > 64 && data[0] == 'M' && data[1] == 'Z';
    free(data);
    if (error != 0)
        return report(install->command, EXIT_NOT_FOUND, "the boot loader %s: %s; --loader names it",
                      install->loader, strerror(error));
    if (!is_program)
        return report(install->command, EXIT_REFUSED, "%s is no program for firmware",
                      install->loader);
    if (install_path(install, esp, "%s", install->esp) && statvfs(esp, &space) == 0 &&
        (uint64_t)space.f_bavail * space.f_frsize < 2 * (uint64_t)size + 65536)
        return report(install->command, EXIT_REFUSED, "%s has not enough room for the boot loader",
                      esp);
    return EXIT_OK;
}

/* What a loader can ask for. */
static bool has_typed_slot(struct vck_store *store) VCK_CAN_WAIT
{
    struct vck_key_tables tables = {0};
    struct vck_key_slot slot;
    bool is_found = false;
    if (vck_key_tables_read(&tables, store) == VCK_OK && tables.table_count > 0)
        for (uint32_t i = 0; vck_key_table_at(&tables.tables[0], i, &slot) == VCK_OK; i++)
            is_found = is_found || slot.type == VCK_KEY_PASSPHRASE || slot.type == VCK_KEY_RECOVERY;
    vck_key_tables_fini(&tables);
    return is_found;
}

/* Other file systems need a driver that few machines have. */
static void warn_of_content(const struct os_install *install, struct vck_disk *disk) VCK_CAN_WAIT
{
    struct content content;
    if (content_read(disk, &content) == VCK_OK && content.kind != CONTENT_UNKNOWN &&
        strncmp(content.name, "FAT", 3) != 0)
        warn(install->command,
             "%s holds a %s, and most firmware reads only FAT; the kernel has to "
             "be where it can read it",
             install->volume, content.name);
}

static int check_volume(struct os_install *install)
{
    struct vck_store store = {0};
    struct vck_disk *disk = NULL;
    waiting_is_fine();
    int code = open_disk(install->command, install->volume, DISK_READ_ONLY | DISK_SHARED, &disk);
    if (code != EXIT_OK)
        return code;
    vck_status status = vck_store_inspect(&store, disk);
    bool can_be_asked = status == VCK_OK && has_typed_slot(&store);
    warn_of_content(install, disk);
    vck_store_fini(&store);
    vck_disk_close(disk);
    if (status == VCK_SIGNATURE_MISMATCH) {
        install->wanted |= STEP_BIT(INSTALL_METADATA);
        return prepare_system(install->command, *install->mount != 0, true);
    }
    if (status != VCK_OK)
        return report(install->command, exit_code_of(status), "%s: %s", install->volume,
                      vck_status_text(status));
    return can_be_asked ? EXIT_OK
                        : report(install->command, EXIT_REFUSED,
                                 "%s has no passphrase and no recovery key that the boot loader "
                                 "could ask for; vck key add makes one",
                                 install->volume);
}

static int check_feasible(struct os_install *install)
{
    char config[CONFIG_BYTES];
    int code = check_loader_file(install);
    if (code == EXIT_OK)
        code = config_write(install, config);
    if (code == EXIT_OK && install->wants_entry)
        code = entry_check(install);
    return code == EXIT_OK ? check_volume(install) : code;
}

int gather_all(struct os_install *install)
{
    const struct command *command = install->command;
    const char *name =
        option_given(command, OPTION_NAME) ? command->values[OPTION_NAME] : NAME_DEFAULT;
    int code = mapper_name(command, name, &name);
    if (code == EXIT_OK && !copy_text(install->name, sizeof(install->name), name))
        code = too_long(install, "--name");
    if (code == EXIT_OK)
        code = gather_loader(install);
    if (code == EXIT_OK)
        code = gather_volume(install);
    if (code == EXIT_OK)
        code = gather_esp(install);
    if (code == EXIT_OK)
        code = gather_programs(install);
    if (code == EXIT_OK)
        code = gather_options(install);
    install->wants_entry = !option_given(command, OPTION_NO_BOOT_ENTRY);
    install->wanted = STEP_BIT(INSTALL_INITRAMFS) | STEP_BIT(INSTALL_LOADER) |
                      STEP_BIT(INSTALL_CONFIG) |
                      (install->wants_entry ? STEP_BIT(INSTALL_ENTRY) : 0);
    return code == EXIT_OK ? check_feasible(install) : code;
}
