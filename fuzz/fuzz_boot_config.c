/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_boot_config: any bytes as \vck.json. What is taken is within its limits; what is refused is
 * explained; nothing is left allocated.
 */
#include "port/port.h"
#include "vck/boot_config.h"
#include "vck/handover.h"
#include "vck/utf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t capacity_bytes)
{
    size_t length = strlen(text);

    VCK_ASSERT(length < capacity_bytes);
    VCK_ASSERT(vck_utf8_is_valid((struct vck_bytes){(const uint8_t *)text, length}));
}

static void check_path(const char *path)
{
    check_text(path, VCK_BOOT_PATH_BYTES);
    VCK_ASSERT(path[0] == '\\' && path[1] != 0);
    for (; *path != 0; path++)
        VCK_ASSERT(*path != '/' && (unsigned char)*path >= 0x20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vck_boot_config config;
    struct vck_boot_config_error error;
    vck_status status = vck_boot_config_parse((struct vck_bytes){data, size}, &config, &error);

    if (status == VCK_OK) {
        VCK_ASSERT(!vck_all_zero(&config.partition_guid, sizeof(config.partition_guid)));
        check_path(config.osloader);
        if (config.initrd[0] != 0)
            check_path(config.initrd);
        check_text(config.options, sizeof(config.options));
        VCK_ASSERT(config.timeout_s <= VCK_BOOT_TIMEOUT_S_MAX);
        VCK_ASSERT(config.vmk.size_bytes <= VCK_HANDOVER_VMK_BYTES_MAX);
        vck_boot_config_fini(&config);
    } else {
        VCK_ASSERT(status == VCK_INVALID_DATA);
        VCK_ASSERT(error.text[0] != 0 && error.line >= 1);
    }
    VCK_ASSERT(vck_alloc_live_count() == 0);
    return 0;
}
