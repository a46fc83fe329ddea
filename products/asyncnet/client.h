/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: asyncnet.exe's way to the driver.
 */
#ifndef VCK_ASYNCNET_CLIENT_H
#define VCK_ASYNCNET_CLIENT_H

#include "messages.h"
#include "products/command/command.h"

/* Opens the driver, sends a request and reads its answer; shapes are NULL for what has none. The
 * exit code; what the driver refuses is printed with its reason. */
int client_call(const struct command *command, uint32_t code,
                const struct message_shape *request_shape, const void *request,
                const struct message_shape *answer_shape, void *ret_answer);

#endif
