/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "products/vck/mapper.h"
#include <errno.h>
#include <fcntl.h>
#include <libdevmapper.h>
#include <linux/dm-ioctl.h>
#include <stdarg.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>
#include "port/port.h"
#include "products/vck/os.h"
#include "vck/bytes.h"

#define FOLDER      "/dev/mapper/"
#define UUID_PREFIX "CRYPT-JVCK-" /* init systems close what begins with CRYPT- last */
#define LEVEL_MASK  7             /* of what the library passes; the rest are flags */
#define MAPPER_TAG  VCK_TAG('C', 'm', 'a', 'p')

/* What the library said last: its calls only say that they failed. */
static char last_words[256];

static void remember(int level, const char *file, int line, int error, const char *format, ...)
{
    va_list arguments;
    (void)file;
    (void)line;
    (void)error;
    if ((level & LEVEL_MASK) > LOG_ERR)
        return;
    va_start(arguments, format);
    vsnprintf(last_words, sizeof(last_words), format, arguments);
    va_end(arguments);
}

/* Without a device-mapper the library blames memory, or its own version. */
static int explain_absence(const struct command *command)
{
    int fd = open(FOLDER "control", O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        return EXIT_OK;
    }
    if (errno == EACCES || errno == EPERM)
        return report(command, EXIT_PERMISSION, "device-mapper is for root");
    return report(command, EXIT_FAILED,
                  "this kernel has no device-mapper (modprobe dm_mod); vckd serves volumes without "
                  "it (vck attach)");
}

static int report_failure(const struct command *command, const char *what, const char *name,
                          int os_error)
{
    int absent = explain_absence(command);
    if (absent != EXIT_OK)
        return absent;
    int code = os_error != 0 ? exit_code_of(os_error_status(os_error)) : EXIT_FAILED;
    return report(command, code, "cannot %s %s%s: %s%s%s", what, FOLDER, name,
                  os_error != 0 ? strerror(os_error) : "device-mapper refused",
                  *last_words != 0 ? "; " : "", last_words);
}

/* A udev without the rule that says when it is done would be waited for for ever; an initrd may
 * have such a one. The library then makes the names itself. */
static void choose_who_makes_names(void)
{
    static const char *const rules[] = {"/usr/lib/udev/rules.d/95-dm-notify.rules",
                                        "/lib/udev/rules.d/95-dm-notify.rules",
                                        "/etc/udev/rules.d/95-dm-notify.rules"};
    bool has_rule = false;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(rules); i++)
        has_rule = has_rule || access(rules[i], R_OK) == 0;
    dm_udev_set_sync_support(has_rule);
}

/* Runs the task, then waits until the names in /dev are as it left them, and frees it. */
static int run_task(const struct command *command, struct dm_task *task, const char *what,
                    const char *name, bool changes_names)
{
    uint32_t cookie = 0;
    int os_error = 0;
    choose_who_makes_names();
    bool is_done = task != NULL && dm_task_set_name(task, name) != 0 &&
                   (!changes_names || dm_task_set_cookie(task, &cookie, 0) != 0);
    if (is_done && dm_task_run(task) == 0) {
        is_done = false;
        os_error = dm_task_get_errno(task);
    }
    if (changes_names && task != NULL)
        (void)dm_udev_wait(cookie);
    if (task != NULL)
        dm_task_destroy(task);
    return is_done ? EXIT_OK : report_failure(command, what, name, os_error);
}

static struct dm_task *make_task(int type)
{
    *last_words = 0;
    dm_log_with_errno_init(remember);
    return dm_task_create(type);
}

/* ---- names ---- */

int mapper_name(const struct command *command, const char *operand, const char **ret_name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789#+-.:=@_";
    const char *name = operand;
    if (strncmp(name, FOLDER, strlen(FOLDER)) == 0)
        name += strlen(FOLDER);
    size_t length = strlen(name);
    if (length == 0 || length > MAPPER_NAME_MAX || name[strspn(name, allowed)] != 0 ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "control") == 0)
        return report_usage(command,
                            "%s is no name for a device: 1 to %u letters, digits and #+-.:=@_ are",
                            operand, MAPPER_NAME_MAX);
    *ret_name = name;
    return EXIT_OK;
}

int mapper_query(const struct command *command, const char *name, struct mapper_info *ret_info)
{
    struct dm_info info = {0};
    struct dm_task *task = make_task(DM_DEVICE_INFO);
    if (task == NULL || dm_task_set_name(task, name) == 0 || dm_task_run(task) == 0 ||
        dm_task_get_info(task, &info) == 0) {
        int os_error = task != NULL ? dm_task_get_errno(task) : ENOMEM;
        if (task != NULL)
            dm_task_destroy(task);
        return report_failure(command, "look for", name, os_error);
    }
    const char *uuid = dm_task_get_uuid(task);
    *ret_info = (struct mapper_info){
        .exists = info.exists != 0,
        .is_volume = uuid != NULL && strncmp(uuid, UUID_PREFIX, strlen(UUID_PREFIX)) == 0,
        .open_count = info.open_count > 0 ? (unsigned)info.open_count : 0,
    };
    dm_task_destroy(task);
    return EXIT_OK;
}

/* ---- the steps ---- */

static void make_uuid(const char *name, const uint8_t id[16], char uuid[DM_UUID_LEN])
{
    char *at = uuid + snprintf(uuid, DM_UUID_LEN, UUID_PREFIX);
    for (unsigned i = 0; i < 16; i++)
        at += snprintf(at, (size_t)(uuid + DM_UUID_LEN - at), "%02x", id[i]);
    snprintf(at, (size_t)(uuid + DM_UUID_LEN - at), "-%s", name);
}

int mapper_create(const struct command *command, const char *name, const uint8_t volume_id[16])
{
    char uuid[DM_UUID_LEN];
    struct dm_task *task = make_task(DM_DEVICE_CREATE);
    make_uuid(name, volume_id, uuid);
    if (task != NULL && dm_task_set_uuid(task, uuid) == 0) {
        dm_task_destroy(task);
        task = NULL;
    }
    /* Without a table the kernel tells udev nothing that could be waited for. */
    return run_task(command, task, "make", name, false);
}

#define PARAMETERS_BYTES 4096u

static bool add_segments(struct dm_task *task, const char *disk, const struct vck_mapping *mapping,
                         const uint8_t *keys, char *text)
{
    struct vck_mapping_segment segment;
    for (uint64_t at = 0; vck_mapping_next(mapping, at, &segment); at += segment.length) {
        if (vck_mapping_parameters(mapping, &segment, disk, keys, text, PARAMETERS_BYTES) != VCK_OK)
            return false;
        if (dm_task_add_target(task, segment.start, segment.length,
                               vck_mapping_target(segment.kind), text) == 0)
            return false;
    }
    return true;
}

int mapper_load(const struct command *command, const char *name, const char *disk,
                const struct vck_mapping *mapping, const uint8_t keys[VCK_MAPPING_KEY_BYTES],
                bool is_read_only)
{
    struct dm_task *task = make_task(DM_DEVICE_RELOAD);
    /* Whole pages: locked, and in no dump. */
    char *text = vck_alloc_pages(PARAMETERS_BYTES, MAPPER_TAG);
    bool is_filled = task != NULL && text != NULL && dm_task_secure_data(task) != 0 &&
                     (!is_read_only || dm_task_set_ro(task) != 0) &&
                     add_segments(task, disk, mapping, keys, text);
    if (text != NULL)
        vck_wipe(text, PARAMETERS_BYTES);
    vck_free_pages(text, PARAMETERS_BYTES);
    if (!is_filled && task != NULL) {
        dm_task_destroy(task);
        task = NULL;
    }
    return run_task(command, task, "give a table to", name, false);
}

int mapper_resume(const struct command *command, const char *name)
{
    return run_task(command, make_task(DM_DEVICE_RESUME), "start", name, true);
}

int mapper_remove(const struct command *command, const char *name)
{
    struct dm_task *task = make_task(DM_DEVICE_REMOVE);
    /* Who scans new devices may have it open for a moment. */
    if (task != NULL)
        (void)dm_task_retry_remove(task);
    return run_task(command, task, "remove", name, true);
}
