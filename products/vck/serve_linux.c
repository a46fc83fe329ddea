/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve: a volume whose boundary has yet to move as a device: the daemon serves it, the kernel's
 * NBD client connects to that, and the name that others know is a mapping of the whole of it. So
 * the sweep goes on, or is started, while the system runs from it.
 */
#include <unistd.h>
#include "products/vck/carrier_posix.h"
#include "products/vck/client.h"
#include "products/vck/export.h"
#include "products/vck/mapper.h"
#include "products/vck/tool.h"

#define NBD_DEVICES_MAX 16u
#define DEVICE_BYTES    64

static int start_daemon(const struct command *command)
{
    const char *const daemon[] = {"vckd", NULL};
    return access(carrier_socket_path(command), F_OK) == 0 ? EXIT_OK : tool_run(command, daemon, 0);
}

/* The first that nothing is connected to. */
static int find_device(const struct command *command, char ret_device[DEVICE_BYTES])
{
    char path[DEVICE_BYTES];
    for (unsigned i = 0; i < NBD_DEVICES_MAX; i++) {
        snprintf(path, sizeof(path), "/sys/block/nbd%u/pid", i);
        snprintf(ret_device, DEVICE_BYTES, "/dev/nbd%u", i);
        if (access(path, F_OK) != 0 && access(ret_device, F_OK) == 0)
            return EXIT_OK;
    }
    return report(command, EXIT_NOT_FOUND,
                  "there is no free /dev/nbd0 to /dev/nbd%u; is the module nbd loaded?",
                  NBD_DEVICES_MAX - 1);
}

static int connect_device(const struct command *command, const char *path, const char *device,
                          uint32_t sector_size_bytes)
{
    char block[16];
    char address[VOLUME_PATH_BYTES];
    snprintf(block, sizeof(block), "%u", sector_size_bytes);
    export_address(command, address);
    const char *const client[] = {"nbd-client", "-unix", address, device, "-N",
                                  path,         "-b",    block,   NULL};
    return tool_run(command, client, 0);
}

static void disconnect_device(const struct command *command, const char *device)
{
    const char *const client[] = {"nbd-client", "-d", device, NULL};
    (void)tool_run(command, client, 0);
}

static int map_device(const struct command *command, const char *device, const char *name,
                      const uint8_t volume_id[16], uint64_t size_bytes)
{
    static const uint8_t no_keys[VCK_MAPPING_KEY_BYTES];
    struct vck_mapping mapping = {.sector_size_bytes = VCK_MAPPING_UNIT_BYTES,
                                  .data_units = size_bytes / VCK_MAPPING_UNIT_BYTES};
    int code = mapper_create(command, name, volume_id);
    if (code != EXIT_OK)
        return code;
    code = mapper_load(command, name, device, &mapping, no_keys,
                       option_given(command, OPTION_READ_ONLY));
    if (code == EXIT_OK)
        code = mapper_resume(command, name);
    if (code != EXIT_OK)
        (void)mapper_remove(command, name);
    return code;
}

int serve_with_key(const struct command *command, const char *path, const char *name,
                   const uint8_t volume_id[16], struct vck_bytes vmk)
{
    char device[DEVICE_BYTES];
    struct client client;
    struct vck_msg_prepare_response attached;
    int code = start_daemon(command);
    if (code == EXIT_OK)
        code = find_device(command, device);
    if (code == EXIT_OK)
        code = attach_with_key(command, path, vmk, &attached);
    if (code != EXIT_OK)
        return code;
    code = connect_device(command, path, device, attached.sector_size);
    bool is_connected = code == EXIT_OK;
    if (is_connected)
        code = map_device(command, device, name, volume_id,
                          attached.data_sectors * attached.sector_size);
    if (code == EXIT_OK)
        return code;
    if (is_connected)
        disconnect_device(command, device);
    if (client_open(&client, command) == EXIT_OK)
        (void)client_volume_call(&client, VCK_CODE_DETACH, path);
    client_close(&client);
    return code;
}
