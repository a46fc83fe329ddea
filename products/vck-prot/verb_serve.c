/* SPDX-License-Identifier: Apache-2.0 */
/* The verb that carries frames for others. On Windows a driver does. */
#include "prot.h"

#define DEFAULT_SOCKET "/run/vck/prot.sock"

int run_serve(const struct command *command)
{
    const char *path = command->values[OPTION_SOCKET];
    struct host *host = NULL;
    uint64_t queue_frames;
    int code;

    waiting_is_fine();
    code = option_u64(command, OPTION_QUEUE, 1, VCK_FRAME_QUEUE_MAX, 4096, &queue_frames);
    if (code == EXIT_OK)
        code = host_create(command, command->operand_count > 0 ? command->operands : NULL,
                           (uint32_t)queue_frames, &host);
    if (code == EXIT_OK)
        code = host_serve(host, command, path ? path : DEFAULT_SOCKET);
    host_destroy(host);
    return code;
}
