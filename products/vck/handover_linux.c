/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "port/port.h"
#include "products/vck/boot_linux.h"
#include "products/vck/os.h"
#include "vck/locator.h"

#define RUNTIME_DATA     6u /* EfiRuntimeServicesData */
#define EFI_PAGE_BYTES   4096u
#define ATTRIBUTES_BYTES 4u /* in front of the value in efivarfs */
#define BOOT_TAG         VCK_TAG('C', 'b', 'o', 't')

const struct handover_sources handover_sources = {
    .file = "/.vck/handover",
    .variable = "/sys/firmware/efi/efivars/" VCK_LOCATOR_VARIABLE_NAME
                "-59564b43-4448-564f-3132-2d5641522121",
    .table = "/sys/firmware/acpi/tables/" VCK_LOCATOR_TABLE_SIGNATURE,
    .runtime_map = "/sys/firmware/efi/runtime-map",
    .memory = "/dev/mem",
};

/* ---- bytes of files ---- */

/* Reads the range and leaves zeroes there; an errno. */
static int take_range(int fd, off_t at, uint8_t *buffer, size_t size)
{
    static const uint8_t zeroes[4096];
    int error = pread(fd, buffer, size, at) == (ssize_t)size ? 0 : errno != 0 ? errno : EIO;
    for (size_t done = 0; done < size; done += sizeof(zeroes)) {
        size_t part = VCK_MIN(size - done, sizeof(zeroes));
        if (pwrite(fd, zeroes, part, at + (off_t)done) != (ssize_t)part && error == 0)
            error = errno != 0 ? errno : EIO;
    }
    return error;
}

static int decode(const struct command *command, const char *where, uint8_t *payload, size_t size,
                  struct vck_handover *ret_handover)
{
    vck_status status = vck_handover_take(payload, size, ret_handover);
    if (status != VCK_OK)
        return report(command, exit_code_of(status), "the handover in %s cannot be used: %s", where,
                      vck_status_text(status));
    return EXIT_OK;
}

static int report_unreadable(const struct command *command, const char *where, int error)
{
    return report(command, exit_code_of(os_error_status(error)),
                  "the handover in %s cannot be read and wiped: %s", where, strerror(error));
}

/* ---- the file of the initrd ---- */

/* Its folder goes with it, when nothing else is there. */
static void remove_file(const char *path)
{
    char folder[VOLUME_PATH_BYTES];
    unlink(path);
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL && slash != folder) {
        *slash = 0;
        rmdir(folder);
    }
}

static int take_file(const struct command *command, const char *path, uint8_t *buffer,
                     struct vck_handover *ret_handover)
{
    struct stat st = {0};
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? EXIT_NOT_FOUND
                                                   : report_unreadable(command, path, errno);
    int error = fstat(fd, &st) == 0 ? 0 : errno;
    size_t size = VCK_MIN((size_t)st.st_size, (size_t)VCK_HANDOVER_BYTES_MAX);
    if (error == 0)
        error = take_range(fd, 0, buffer, size);
    close(fd);
    remove_file(path);
    if (error != 0)
        return report_unreadable(command, path, error);
    if (st.st_size > (off_t)VCK_HANDOVER_BYTES_MAX)
        return report(command, EXIT_FAILED, "%s has %" PRIu64 " bytes; a handover has at most %u",
                      path, (uint64_t)st.st_size, VCK_HANDOVER_BYTES_MAX);
    return decode(command, path, buffer, size, ret_handover);
}

/* ---- the memory of the firmware ---- */

/* The variable first, then the table. EXIT_NOT_FOUND without either. */
static int find_locator(const struct command *command, const struct handover_sources *sources,
                        struct vck_locator *ret_locator)
{
    uint8_t value[ATTRIBUTES_BYTES + VCK_LOCATOR_VALUE_BYTES_MAX];
    const char *where = sources->variable;
    vck_status status;
    ssize_t size = sysfs_read(where, value, sizeof(value));
    if (size > (ssize_t)ATTRIBUTES_BYTES) {
        struct vck_bytes bytes = {value + ATTRIBUTES_BYTES, (size_t)size - ATTRIBUTES_BYTES};
        status = vck_locator_decode(bytes, ret_locator);
    } else {
        where = sources->table;
        size = sysfs_read(where, value, VCK_LOCATOR_TABLE_BYTES);
        if (size <= 0)
            return EXIT_NOT_FOUND;
        status = vck_locator_table_parse((struct vck_bytes){value, (size_t)size}, ret_locator);
    }
    if (status != VCK_OK)
        return report(command, exit_code_of(status), "%s does not say where the handover is: %s",
                      where, vck_status_text(status));
    return EXIT_OK;
}

static bool covers(const char *folder, const struct vck_locator *locator)
{
    uint64_t type, pages, start;
    return sysfs_number(folder, "type", &type) && type == RUNTIME_DATA &&
           sysfs_number(folder, "phys_addr", &start) && sysfs_number(folder, "num_pages", &pages) &&
           locator->address >= start && locator->length_bytes <= pages * EFI_PAGE_BYTES &&
           locator->address - start <= pages * EFI_PAGE_BYTES - locator->length_bytes;
}

/* Other memory is not the loader's to name: writing there could do anything. */
static bool is_runtime_data(const char *runtime_map, const struct vck_locator *locator)
{
    bool is_found = false;
    struct dirent *entry;
    DIR *map = opendir(runtime_map);
    while (map != NULL && !is_found && (entry = readdir(map)) != NULL) {
        char folder[512];
        snprintf(folder, sizeof(folder), "%s/%s", runtime_map, entry->d_name);
        is_found = entry->d_name[0] != '.' && covers(folder, locator);
    }
    if (map != NULL)
        closedir(map);
    return is_found;
}

static int take_memory(const struct command *command, const struct handover_sources *sources,
                       uint8_t *buffer, struct vck_handover *ret_handover)
{
    struct vck_locator locator;
    int code = find_locator(command, sources, &locator);
    if (code != EXIT_OK)
        return code;
    if (!is_runtime_data(sources->runtime_map, &locator))
        return report(command, EXIT_FAILED,
                      "the handover at %#" PRIx64 " is not in the firmware's runtime data",
                      locator.address);
    int fd = open(sources->memory, O_RDWR | O_CLOEXEC);
    int error =
        fd >= 0 ? take_range(fd, (off_t)locator.address, buffer, locator.length_bytes) : errno;
    if (fd >= 0)
        close(fd);
    return error != 0
               ? report_unreadable(command, sources->memory, error)
               : decode(command, sources->memory, buffer, locator.length_bytes, ret_handover);
}

int handover_fetch(const struct command *command, const struct handover_sources *sources,
                   struct vck_handover *ret_handover)
{
    uint8_t *buffer = vck_alloc_pages(VCK_HANDOVER_BYTES_MAX, BOOT_TAG);
    *ret_handover = (struct vck_handover){0};
    if (buffer == NULL)
        return report(command, EXIT_FAILED, "%s", vck_status_text(VCK_NO_MEMORY));
    int code = take_file(command, sources->file, buffer, ret_handover);
    if (code == EXIT_NOT_FOUND)
        code = take_memory(command, sources, buffer, ret_handover);
    vck_wipe(buffer, VCK_HANDOVER_BYTES_MAX);
    vck_free_pages(buffer, VCK_HANDOVER_BYTES_MAX);
    return code;
}
