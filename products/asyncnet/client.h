/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: asyncnet.exe's way to the driver: one handle, one request at a time.
 */
#ifndef VCK_ASYNCNET_CLIENT_H
#define VCK_ASYNCNET_CLIENT_H

#include "messages.h"

/* 0, or the exit code after the reason was printed. */
int client_open(void);
void client_close(void);

/* Sends a request and reads its answer; shapes are NULL for what has none. The exit code; what the
 * driver refuses is printed with its reason. */
int client_call(uint32_t code, const struct message_shape *request_shape, const void *request,
                const struct message_shape *answer_shape, void *ret_answer);

/* "asyncnet: ..." on stderr; returns the code. */
int report(int code, const char *format, ...) VCK_PRINTF(2, 3);

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1, /* the driver refused, or not every request was answered */
    EXIT_USAGE = 2,
    EXIT_NO_DRIVER = 3, /* it is not loaded, or may not be opened */
};

#endif
