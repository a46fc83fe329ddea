/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "products/vck/boot_linux.h"

ssize_t sysfs_read(const char *path, void *buffer, size_t capacity)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got;
    size_t used = 0;
    while (used < capacity && (got = read(fd, (char *)buffer + used, capacity - used)) > 0)
        used += (size_t)got;
    close(fd);
    return (ssize_t)used;
}

bool sysfs_number(const char *folder, const char *name, uint64_t *ret_value)
{
    char path[512];
    char text[64] = {0};
    int length = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof(path) ||
        sysfs_read(path, text, sizeof(text) - 1) <= 0)
        return false;
    *ret_value = strtoull(text, NULL, 0);
    return true;
}
