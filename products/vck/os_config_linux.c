/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "products/vck/os_install.h"
#include "vck/disk_io.h"
#include "vck/key_store.h"
#include "vck/store.h"

/* Behind what is there, as the inside of a JSON string; slashes of paths lean as firmware's do. */
static void append_string(char *text, size_t capacity, const char *value, bool is_path)
{
    size_t at = strlen(text);
    for (; *value != 0 && at + 8 < capacity; value++) {
        unsigned char c = (unsigned char)(is_path && *value == '/' ? '\\' : *value);
        if (c < 0x20)
            at += (size_t)snprintf(text + at, capacity - at, "\\u%04x", c);
        else
            at += (size_t)snprintf(text + at, capacity - at, "%s%c",
                                   c == '"' || c == '\\' ? "\\" : "", c);
    }
    snprintf(text + at, capacity - at, "\"");
}

static void append_name(char *text, size_t capacity, const char *name, const char *value,
                        bool is_path)
{
    size_t at = strlen(text);
    if (*value == 0)
        return;
    snprintf(text + at, capacity - at, ",\n    \"%s\": \"", name);
    append_string(text, capacity, value, is_path);
}

static bool is_tpm_in(const struct vck_key_tables *tables)
{
    struct vck_key_slot slot;
    if (tables->table_count == 0)
        return false;
    for (uint32_t i = 0; vck_key_table_at(&tables->tables[0], i, &slot) == VCK_OK; i++)
        if (slot.type == VCK_KEY_TPM)
            return true;
    return false;
}

/* Whether the loader has a TPM to ask. Who puts a slot there only has it asked. */
static bool has_tpm_slot(const struct os_install *install)
{
    struct vck_store store = {0};
    struct vck_key_tables tables = {0};
    struct vck_disk *disk = NULL;
    waiting_is_fine();
    if (open_disk(install->command, install->volume, DISK_READ_ONLY | DISK_SHARED, &disk) !=
        EXIT_OK)
        return false;
    bool has_one = vck_store_inspect(&store, disk) == VCK_OK &&
                   vck_key_tables_read(&tables, &store) == VCK_OK && is_tpm_in(&tables);
    vck_key_tables_fini(&tables);
    vck_store_fini(&store);
    vck_disk_close(disk);
    return has_one;
}

int config_write(const struct os_install *install, char ret_text[CONFIG_BYTES])
{
    char guid[VCK_GUID_TEXT_BYTES];
    struct vck_boot_config config;
    struct vck_boot_config_error error;
    vck_guid_format(&install->guid, guid);
    snprintf(ret_text, CONFIG_BYTES, "{\n    \"partition_guid\": \"%s\"", guid);
    append_name(ret_text, CONFIG_BYTES, "osloader", install->osloader, true);
    append_name(ret_text, CONFIG_BYTES, "initrd", install->initrd, true);
    append_name(ret_text, CONFIG_BYTES, "options", install->options, false);
    size_t at = strlen(ret_text);
    snprintf(ret_text + at, CONFIG_BYTES - at, "%s\n}\n",
             has_tpm_slot(install) ? ",\n    \"tpm\": {}" : "");
    vck_status status = vck_boot_config_parse(
        (struct vck_bytes){(const uint8_t *)ret_text, strlen(ret_text)}, &config, &error);
    if (status != VCK_OK)
        return report(install->command, EXIT_REFUSED,
                      "the boot loader would not take this configuration, line %u: %s", error.line,
                      error.text);
    bool is_whole = strcmp(config.options, install->options) == 0;
    vck_boot_config_fini(&config);
    return is_whole ? EXIT_OK
                    : report(install->command, EXIT_REFUSED, "the command line is too long");
}
