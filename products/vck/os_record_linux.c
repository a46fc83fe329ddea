/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "products/vck/os_install.h"

#define RECORD_PATH  "/var/lib/vck/os-install"
#define RECORD_FIRST "vck os-install 1"
#define RECORD_BYTES 16384

static const char *const step_names[INSTALL_STEP_COUNT] = {"metadata", "initramfs", "loader",
                                                           "config", "entry"};

/* ---- reading ---- */

static void take_digest(struct os_install *install, const char *text)
{
    for (size_t i = 0; i < sizeof(install->loader_digest) && strlen(text) >= 2 * i + 2; i++) {
        char byte[3] = {text[2 * i], text[2 * i + 1], 0};
        install->loader_digest[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
}

static void take_step(struct os_install *install, const char *name)
{
    for (unsigned i = 0; i < INSTALL_STEP_COUNT; i++)
        if (strcmp(name, step_names[i]) == 0)
            install->recorded |= STEP_BIT(i);
}

static bool take_line(struct os_install *install, char *line)
{
    char *value = strchr(line, ' ');
    if (strcmp(line, "complete") == 0) {
        install->is_complete = true;
        return true;
    }
    if (value == NULL)
        return false;
    *value++ = 0;
    if (strcmp(line, "volume") == 0)
        snprintf(install->volume, sizeof(install->volume), "%s", value);
    else if (strcmp(line, "esp") == 0)
        snprintf(install->esp, sizeof(install->esp), "%s", value);
    else if (strcmp(line, "name") == 0)
        snprintf(install->name, sizeof(install->name), "%s", value);
    else if (strcmp(line, "loader") == 0)
        take_digest(install, value);
    else if (strcmp(line, "step") == 0)
        take_step(install, value);
    else if (strcmp(line, "guid") == 0)
        return vck_guid_parse((struct vck_bytes){(const uint8_t *)value, strlen(value)},
                              &install->guid) == VCK_OK;
    else
        return false;
    return true;
}

static bool parse(struct os_install *install, char *text)
{
    char *rest = NULL;
    char *line = strtok_r(text, "\n", &rest);
    if (line == NULL || strcmp(line, RECORD_FIRST) != 0)
        return false;
    while ((line = strtok_r(NULL, "\n", &rest)) != NULL)
        if (!take_line(install, line))
            return false;
    return *install->volume != 0 && *install->esp == '/' && *install->name != 0;
}

int record_load(struct os_install *install)
{
    char path[INSTALL_PATH_BYTES];
    uint8_t *data = NULL;
    size_t size = 0;
    install->recorded = 0;
    install->is_complete = false;
    int error = ENAMETOOLONG;
    if (install_path(install, path, RECORD_PATH))
        error = file_read(path, RECORD_BYTES, &data, &size);
    if (error == ENOENT)
        return EXIT_NOT_FOUND;
    if (error != 0)
        return report(install->command, EXIT_FAILED, "cannot read %s%s: %s", install->root,
                      RECORD_PATH, strerror(error));
    bool is_valid = strlen((char *)data) == size && parse(install, (char *)data);
    free(data);
    return is_valid
               ? EXIT_OK
               : report(install->command, EXIT_FAILED, "%s is not what os-prepare writes", path);
}

/* ---- writing ---- */

static size_t print_record(const struct os_install *install, char *text, size_t capacity)
{
    char guid[VCK_GUID_TEXT_BYTES];
    vck_guid_format(&install->guid, guid);
    int used = snprintf(text, capacity, "%s\nvolume %s\nguid %s\nname %s\nesp %s\nloader ",
                        RECORD_FIRST, install->volume, guid, install->name, install->esp);
    size_t at = (size_t)used;
    for (size_t i = 0; i < sizeof(install->loader_digest) && at < capacity; i++)
        at += (size_t)snprintf(text + at, capacity - at, "%02x", install->loader_digest[i]);
    for (unsigned i = 0; i < INSTALL_STEP_COUNT && at < capacity; i++)
        if ((install->recorded & STEP_BIT(i)) != 0)
            at += (size_t)snprintf(text + at, capacity - at, "\nstep %s", step_names[i]);
    if (at < capacity)
        at += (size_t)snprintf(text + at, capacity - at, "%s\n",
                               install->is_complete ? "\ncomplete" : "");
    return at;
}

int record_store(const struct os_install *install)
{
    char path[INSTALL_PATH_BYTES];
    char text[RECORD_BYTES];
    size_t size = print_record(install, text, sizeof(text));
    int error = ENAMETOOLONG;
    if (size < sizeof(text) && install_path(install, path, RECORD_PATH))
        error = file_replace(path, text, size);
    return error == 0 ? EXIT_OK
                      : report(install->command, EXIT_FAILED, "cannot write %s%s: %s",
                               install->root, RECORD_PATH, strerror(error));
}

int record_remove(const struct os_install *install)
{
    char path[INSTALL_PATH_BYTES];
    if (install_path(install, path, RECORD_PATH) && (unlink(path) == 0 || errno == ENOENT))
        return EXIT_OK;
    return report(install->command, EXIT_FAILED, "cannot remove %s%s: %s", install->root,
                  RECORD_PATH, strerror(errno));
}
