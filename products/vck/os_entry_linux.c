/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "products/vck/boot_linux.h"
#include "products/vck/os_install.h"
#include "products/vck/tool.h"

#define ENTRY_LABEL   "vck"
#define ENTRY_PROGRAM "\\EFI\\vck\\vckboot.efi"
#define LISTING_BYTES 65536

/* ---- what efibootmgr lists ---- */

static bool is_number(const char *text)
{
    for (int i = 0; i < 4; i++)
        if (!isxdigit((unsigned char)text[i]))
            return false;
    return true;
}

/* "Boot0003* vck" and then, between tabs or spaces, the device path of our program. */
static bool is_ours(const char *line)
{
    if (strncmp(line, "Boot", 4) != 0 || !is_number(line + 4))
        return false;
    const char *label = line + 8 + strspn(line + 8, "* ");
    size_t length = strlen(ENTRY_LABEL);
    return strncmp(label, ENTRY_LABEL, length) == 0 &&
           (label[length] == '\t' || label[length] == ' ') &&
           strcasestr(label, "vckboot.efi") != NULL;
}

static void take_line(const char *line, char first[5], struct boot_entry *entry)
{
    static const char order[] = "BootOrder: ";
    if (strncmp(line, order, strlen(order)) == 0 && is_number(line + strlen(order)))
        memcpy(first, line + strlen(order), 4);
    if (!is_ours(line))
        return;
    if (entry->count++ == 0)
        memcpy(entry->number, line + 4, 4);
    entry->is_there = true;
}

int entry_find(const struct os_install *install, struct boot_entry *ret_entry)
{
    static char listing[LISTING_BYTES];
    const char *const list[] = {"efibootmgr", "--verbose", NULL}; /* with paths, in every version */
    char first[5] = {0};
    char *rest = NULL;
    int code = tool_read(install->command, list, listing, sizeof(listing));
    if (code != EXIT_OK)
        return code;
    *ret_entry = (struct boot_entry){0};
    for (char *line = strtok_r(listing, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        take_line(line, first, ret_entry);
    ret_entry->is_first = ret_entry->is_there && strcmp(first, ret_entry->number) == 0;
    return EXIT_OK;
}

/* ---- changing them ---- */

static int find_esp(const struct os_install *install, struct partition_place *ret_place)
{
    struct stat st;
    char path[INSTALL_PATH_BYTES];
    if (!install_path(install, path, "%s", install->esp) || stat(path, &st) != 0)
        return report(install->command, EXIT_FAILED, "%s%s: %s", install->root, install->esp,
                      strerror(errno));
    if (partition_identify(st.st_dev, ret_place))
        return EXIT_OK;
    return report(install->command, EXIT_REFUSED,
                  "%s is not on a partition of a GPT, so that no boot entry can name it; "
                  "--no-boot-entry leaves the firmware alone",
                  path);
}

int entry_check(const struct os_install *install)
{
    struct boot_entry entry;
    struct partition_place esp = {0};
    if (!tool_exists("efibootmgr"))
        return report(install->command, EXIT_NOT_FOUND,
                      "efibootmgr is needed for the boot entry; --no-boot-entry leaves the "
                      "firmware alone");
    int code = entry_find(install, &entry);
    return code == EXIT_OK ? find_esp(install, &esp) : code;
}

/* The new entry goes before the others, which stay as they are. */
int entry_add(const struct os_install *install)
{
    char part[16];
    struct boot_entry entry;
    struct partition_place esp = {0};
    int code = find_esp(install, &esp);
    if (code == EXIT_OK)
        code = entry_remove(install);
    if (code != EXIT_OK)
        return code;
    snprintf(part, sizeof(part), "%u", esp.number);
    const char *const create[] = {"efibootmgr", "--quiet",  "--create",    "--disk",
                                  esp.disk,     "--part",   part,          "--label",
                                  ENTRY_LABEL,  "--loader", ENTRY_PROGRAM, NULL};
    code = tool_run(install->command, create, 0);
    if (code == EXIT_OK)
        code = entry_find(install, &entry);
    if (code == EXIT_OK && !entry.is_first)
        code = report(install->command, EXIT_FAILED,
                      "the firmware has not taken the boot entry as its first");
    return code;
}

int entry_remove(const struct os_install *install)
{
    struct boot_entry entry;
    int code = entry_find(install, &entry);
    for (unsigned left = entry.count; code == EXIT_OK && left > 0; left--) {
        const char *const delete[] = {"efibootmgr", "--quiet",          "--bootnum",
                                      entry.number, "--delete-bootnum", NULL};
        code = tool_run(install->command, delete, 0);
        if (code == EXIT_OK)
            code = entry_find(install, &entry);
    }
    if (code == EXIT_OK && entry.is_there)
        code = report(install->command, EXIT_FAILED, "the firmware keeps its boot entry Boot%s",
                      entry.number);
    return code;
}
