/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_unlock: the step of an initrd that makes a device of the system's volume. A boot loader of
 * ours says which partition and with which key; the handover is wiped as it is read, so a second
 * run finds none. Without it, whoever sits there is asked.
 */
#include <string.h>
#include "products/vck/boot_linux.h"
#include "products/vck/key.h"
#include "products/vck/mapper.h"
#include "products/vck/os.h"

#define WAIT_S_DEFAULT 30u
#define WAIT_S_MAX     3600u
#define LOOK_AGAIN_MS  100u

/* Disks turn up while drivers start. */
static int wait_for_partition(const struct command *command, const struct vck_guid *guid,
                              uint32_t wait_s, char ret_path[PARTITION_PATH_BYTES])
{
    char text[VCK_GUID_TEXT_BYTES];
    os_catch_interrupts();
    for (uint32_t left_ms = wait_s * 1000;; left_ms -= LOOK_AGAIN_MS) {
        if (partition_find(guid, ret_path))
            return EXIT_OK;
        if (os_was_interrupted())
            return EXIT_INTERRUPTED;
        if (left_ms < LOOK_AGAIN_MS)
            break;
        os_sleep_ms(LOOK_AGAIN_MS);
    }
    vck_guid_format(guid, text);
    return report(command, EXIT_NOT_FOUND, "there is no partition %s, which %s named; waited %u s",
                  text, option_given(command, OPTION_PARTITION) ? "--partition" : "the boot loader",
                  wait_s);
}

static int unlock_by_asking(const struct command *command, const struct vck_guid *guid,
                            const char *name, uint32_t wait_s)
{
    char path[PARTITION_PATH_BYTES];
    struct key_access access = {0};
    waiting_is_fine();
    int code = wait_for_partition(command, guid, wait_s, path);
    if (code == EXIT_OK)
        code = key_access_find(command, path, &access);
    if (code == EXIT_OK)
        code = open_with_key(command, path, name, key_access_vmk(&access));
    key_access_fini(&access);
    return code;
}

/* A handover for another partition is for another volume, and wiped all the same. */
static bool is_meant(const struct vck_handover *handover, const struct vck_guid *wanted)
{
    return vck_guid_is_zero(wanted) || vck_guid_equal(&handover->partition_guid, wanted);
}

static int unlock(const struct command *command, const struct handover_sources *sources,
                  const struct vck_guid *wanted, const char *name, uint32_t wait_s)
{
    struct vck_handover handover = {0};
    char path[PARTITION_PATH_BYTES];
    int code = handover_fetch(command, sources, &handover);
    if (!vck_guid_is_zero(wanted) &&
        (code == EXIT_NOT_FOUND || (code == EXIT_OK && !is_meant(&handover, wanted)))) {
        vck_handover_fini(&handover);
        return unlock_by_asking(command, wanted, name, wait_s);
    }
    if (code == EXIT_NOT_FOUND)
        code = report(command, EXIT_NOT_FOUND,
                      "no boot loader left a handover: neither in %s nor by way of the firmware",
                      sources->file);
    if (code == EXIT_OK)
        code = wait_for_partition(command, &handover.partition_guid, wait_s, path);
    if (code == EXIT_OK)
        code = open_with_key(command, path, name, vck_secret_bytes(&handover.vmk));
    vck_handover_fini(&handover);
    return code;
}

int run_initrd_unlock(const struct command *command)
{
    const char *name;
    uint32_t wait_s;
    struct vck_guid wanted;
    struct handover_sources sources = handover_sources;
    if (option_given(command, OPTION_HANDOVER))
        sources.file = command->values[OPTION_HANDOVER];
    waiting_is_fine();
    int code = mapper_name(command, command->operands[0], &name);
    if (code == EXIT_OK)
        code = option_u32(command, OPTION_WAIT, 0, WAIT_S_MAX, WAIT_S_DEFAULT, &wait_s);
    if (code == EXIT_OK)
        code = partition_option(command, &wanted);
    if (code == EXIT_OK)
        code = open_check_free(command, name);
    if (code == EXIT_OK)
        code = unlock(command, &sources, &wanted, name, wait_s);
    if (code == EXIT_OK)
        printf("/dev/mapper/%s\n", name);
    return code;
}
