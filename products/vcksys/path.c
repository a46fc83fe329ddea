/* SPDX-License-Identifier: Apache-2.0 */
#include "path.h"
#include <string.h>

/* "Volume{01234567-89ab-cdef-0123-456789abcdef}" */
#define VOLUME_NAME_BYTES 44u
#define VOLUME_GUID_AT    7u

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'f');
}

static bool is_slash(char c)
{
    return c == '\\' || c == '/';
}

/* Win32 takes either slash in these, except behind \\?\; a name of the NT kernel has backslashes.
 * `prefix` is in lower case. */
static bool skip(const char **path, const char *prefix)
{
    const char *at = *path;

    for (; *prefix; prefix++, at++)
        if (*prefix == '\\' ? !is_slash(*at) : lower(*at) != *prefix)
            return false;
    *path = at;
    return true;
}

/* Behind the prefixes that lead to DOS device names; false when there is none. */
static bool skip_dos_prefix(const char **path)
{
    static const char *const prefixes[] = {
        "\\\\.\\", "\\\\?\\", "\\??\\", "\\dosdevices\\", "\\global??\\",
    };
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (skip(path, prefixes[i])) {
            (void)skip(path, "global\\");
            return true;
        }
    }
    return false;
}

static bool is_drive(const char *name, size_t size)
{
    return size == 2 && is_letter(name[0]) && name[1] == ':';
}

static bool is_volume_name(const char *name, size_t size)
{
    const char *start = name;

    if (size != VOLUME_NAME_BYTES || !skip(&start, "volume{") || name[size - 1] != '}')
        return false;
    for (size_t i = VOLUME_GUID_AT; i < size - 1; i++) {
        size_t in_guid = i - VOLUME_GUID_AT;
        bool is_dash = in_guid == 8 || in_guid == 13 || in_guid == 18 || in_guid == 23;

        if (is_dash ? name[i] != '-' : !is_hex(name[i]))
            return false;
    }
    return true;
}

static bool has_control_characters(const char *path)
{
    for (; *path; path++)
        if ((unsigned char)*path < 0x20 || *path == 0x7f)
            return true;
    return false;
}

static vck_status put(const char *prefix, const char *name, size_t size,
                      char ret_path[VCK_VOLUME_PATH_BYTES], const char **ret_why)
{
    size_t prefix_size = strlen(prefix);

    if (prefix_size + size >= VCK_VOLUME_PATH_BYTES) {
        *ret_why = "is longer than a path may be";
        return VCK_INVALID_DATA;
    }
    memcpy(ret_path, prefix, prefix_size);
    memcpy(ret_path + prefix_size, name, size);
    ret_path[prefix_size + size] = 0;
    return VCK_OK;
}

/* One name, with or without a backslash at its end: behind that would be a file. */
static vck_status put_dos_name(const char *name, char ret_path[VCK_VOLUME_PATH_BYTES],
                               const char **ret_why)
{
    char canonical[VOLUME_NAME_BYTES + 1] = "Volume{";
    size_t size = strlen(name);

    if (size > 0 && is_slash(name[size - 1]))
        size--;
    if (is_drive(name, size)) {
        canonical[0] = (char)(lower(name[0]) - ('a' - 'A'));
        canonical[1] = ':';
        return put("\\??\\", canonical, size, ret_path, ret_why);
    }
    if (is_volume_name(name, size)) {
        for (size_t i = VOLUME_GUID_AT; i < size; i++)
            canonical[i] = lower(name[i]);
        return put("\\??\\", canonical, size, ret_path, ret_why);
    }
    for (size_t i = 0; i < size; i++) {
        if (is_slash(name[i]) || (i == 1 && name[i] == ':' && is_letter(name[0]))) {
            *ret_why = "names something inside a volume, not the volume";
            return VCK_INVALID_DATA;
        }
    }
    if (size == 0) {
        *ret_why = "names no device";
        return VCK_INVALID_DATA;
    }
    return put("\\??\\", name, size, ret_path, ret_why);
}

static vck_status put_device(const char *name, char ret_path[VCK_VOLUME_PATH_BYTES],
                             const char **ret_why)
{
    size_t size = strlen(name);

    if (size > 0 && name[size - 1] == '\\')
        size--;
    if (size == 0 || name[0] == '\\') {
        *ret_why = "names no device";
        return VCK_INVALID_DATA;
    }
    return put("\\Device\\", name, size, ret_path, ret_why);
}

vck_status path_to_nt(const char *path, char ret_path[VCK_VOLUME_PATH_BYTES], const char **ret_why)
{
    const char *at = path;

    if (has_control_characters(path)) {
        *ret_why = "has control characters in it";
        return VCK_INVALID_DATA;
    }
    if (skip_dos_prefix(&at)) {
        if (skip(&at, "globalroot\\device\\"))
            return put_device(at, ret_path, ret_why);
        return put_dos_name(at, ret_path, ret_why);
    }
    if (skip(&at, "\\device\\"))
        return put_device(at, ret_path, ret_why);
    if (is_letter(at[0]) && at[1] == ':')
        return put_dos_name(at, ret_path, ret_why);
    *ret_why = "is no path of a volume, such as \\\\.\\D: or \\\\?\\Volume{GUID}\\";
    return VCK_INVALID_DATA;
}

bool path_is_link(const char *nt_path)
{
    return skip(&nt_path, "\\??\\");
}
