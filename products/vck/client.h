/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: requests to the host, the daemon or the driver, one at a time over one connection.
 */
#ifndef VCK_PRODUCTS_VCK_CLIENT_H
#define VCK_PRODUCTS_VCK_CLIENT_H

#include <stdint.h>
#include "products/vck/vck.h"
#include "vck/codes.h"
#include "vck/messages.h"

struct client {
    const struct command *command;
    intptr_t carrier; /* the connection, -1 without */
    uint8_t *frame;   /* VCK_FRAME_BYTES_MAX; wiped after each request */
};

/* Connects. Close it in every case. */
int client_open(struct client *client, const struct command *command);
void client_close(struct client *client);

/* Sends the request of `code` and receives its response; both are the structs that vck_code_find
 * names, NULL for those without fields. Strings of the response live until the next call. A refusal
 * is reported with the host's explanation. */
int client_call(struct client *client, uint32_t code, const void *request, void *ret_response);

/* Has the host attach the volume, with this key. */
int attach_with_key(const struct command *command, const char *path, struct vck_bytes vmk,
                    struct vck_msg_prepare_response *ret_response);

/* The requests that take a path and answer with nothing. */
int client_volume_call(struct client *client, uint32_t code, const char *path);
int client_get_status(struct client *client, const char *path,
                      struct vck_msg_volume_status *ret_status);

#endif
