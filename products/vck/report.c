/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "products/vck/vck.h"
#include "vck/bytes.h"

/* ---- messages ---- */

static void print_message(const struct command *command, const char *format, va_list arguments)
{
    fflush(stdout);
    fprintf(stderr, "vck%s%s: ", command->verb != NULL ? " " : "",
            command->verb != NULL ? command->verb->name : "");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int report(const struct command *command, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(command, format, arguments);
    va_end(arguments);
    return code;
}

int report_usage(const struct command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(command, format, arguments);
    va_end(arguments);
    if (command->verb != NULL)
        fprintf(stderr, "Usage: vck %s [OPTION]... %s\n", command->verb->name,
                command->verb->operands);
    else
        fprintf(stderr, "Usage: vck VERB [OPTION]... [OPERAND]...\n");
    return EXIT_USAGE;
}

void warn(const struct command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(command, format, arguments);
    va_end(arguments);
}

int exit_code_of(vck_status status)
{
    switch (status) {
    case VCK_OK:
        return EXIT_OK;
    case VCK_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case VCK_WRONG_KEY:
        return EXIT_WRONG_KEY;
    case VCK_PERMISSION_DENIED:
    case VCK_READ_ONLY:
        return EXIT_PERMISSION;
    case VCK_SIGNATURE_MISMATCH:
    case VCK_CHECKSUM_MISMATCH:
    case VCK_SIZE_MISMATCH:
    case VCK_VALIDATION_FAILED:
    case VCK_TAMPERED:
    case VCK_DAMAGED:
        return EXIT_PROBLEMS;
    case VCK_BUSY:
        return EXIT_BUSY;
    case VCK_ALREADY_EXISTS:
        return EXIT_REFUSED;
    default:
        return EXIT_FAILED;
    }
}

/* ---- numbers and names in words ---- */

const char *size_text(uint64_t bytes, char buffer[SIZE_TEXT_BYTES])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    uint64_t scale = 1;
    while (unit + 1 < VCK_ARRAY_COUNT(units) && bytes / scale >= 1024) {
        scale *= 1024;
        unit++;
    }
    if (bytes % scale == 0)
        snprintf(buffer, SIZE_TEXT_BYTES, "%" PRIu64 " %s", bytes / scale, units[unit]);
    else
        snprintf(buffer, SIZE_TEXT_BYTES, "%.1f %s", (double)bytes / (double)scale, units[unit]);
    return buffer;
}

const char *uuid_text(const uint8_t id[16], char buffer[UUID_TEXT_BYTES])
{
    char *to = buffer;
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        snprintf(to, 3, "%02x", id[i]);
        to += 2;
    }
    return buffer;
}

const char *state_text(uint32_t state)
{
    static const char *const names[] = {"idle", "encrypting", "decrypting", "paused"};
    return state < VCK_ARRAY_COUNT(names) ? names[state] : "unknown";
}

const char *direction_text(uint32_t direction)
{
    return direction == 1 ? "decrypting" : "encrypting";
}

const char *intent_text(uint32_t intent)
{
    static const char *const names[] = {"unrecorded", "run", "paused"};
    return intent < VCK_ARRAY_COUNT(names) ? names[intent] : "unknown";
}

/* ---- volumes ---- */

bool is_uri(const char *path)
{
    static const char *const schemes[] = {"nbd://", "nbds://", "nbd+unix://", "nbds+unix://"};
    for (size_t i = 0; i < VCK_ARRAY_COUNT(schemes); i++)
        if (strncmp(path, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

/* The folder resolved, the last name as it is: what a file that is gone was attached as. */
static bool resolve_missing(const char *operand, char ret_path[VOLUME_PATH_BYTES])
{
    char folder[VOLUME_PATH_BYTES];
    char name[VOLUME_PATH_BYTES];
    char resolved[PATH_MAX];
    if (strlen(operand) >= sizeof(folder))
        return false;
    strcpy(folder, operand);
    strcpy(name, operand);
    if (realpath(dirname(folder), resolved) == NULL)
        return false;
    const char *slash = strcmp(resolved, "/") == 0 ? "" : "/";
    int length = snprintf(ret_path, VOLUME_PATH_BYTES, "%s%s%s", resolved, slash, basename(name));
    return length > 0 && length < VOLUME_PATH_BYTES;
}

int volume_path(const struct command *command, const char *operand,
                char ret_path[VOLUME_PATH_BYTES])
{
    char resolved[PATH_MAX];
    const char *path = is_uri(operand) ? operand : realpath(operand, resolved);
    if (path == NULL && errno == ENOENT && resolve_missing(operand, ret_path))
        return EXIT_OK;
    if (path == NULL)
        return report(command, exit_code_of(vck_posix_status_from_errno(errno)), "%s: %s", operand,
                      strerror(errno));
    if (strlen(path) >= VOLUME_PATH_BYTES)
        return report(command, EXIT_FAILED, "%s: the path is %zu bytes long, the limit is %d",
                      operand, strlen(path), VOLUME_PATH_BYTES - 1);
    strcpy(ret_path, path);
    return EXIT_OK;
}

int open_disk(const struct command *command, const char *path, unsigned flags,
              struct vck_disk **ret_disk)
{
    struct vck_posix_disk_options options = {.flags = flags};
    struct vck_posix_error error = {0};
    vck_status status = vck_posix_disk_open(path, &options, ret_disk, &error);
    if (status == VCK_BUSY)
        return report(command, EXIT_BUSY, "%s; if it is attached, detach it first", error.text);
    if (status != VCK_OK)
        return report(command, exit_code_of(status), "%s", error.text);
    return EXIT_OK;
}
