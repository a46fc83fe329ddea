/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carrier: how frames reach the host, the daemon or the driver. A request is the code and the
 * message; a response the NTSTATUS and, on success, the message, else an explanation. One of
 * carrier_posix.c and carrier_win.c is built.
 */
#ifndef VCK_PRODUCTS_VCK_CARRIER_H
#define VCK_PRODUCTS_VCK_CARRIER_H

#include "products/vck/client.h"

/* Sets client->carrier; reports why the host cannot be reached. */
int carrier_open(struct client *client);
void carrier_close(struct client *client);

/* Sends `size` bytes of client->frame, which are wiped, and puts the response there: at least
 * VCK_FRAME_PREFIX_BYTES. */
int carrier_exchange(struct client *client, size_t size, size_t *ret_size);

/* Whether the host has the volume attached. Says nothing when it cannot be asked. */
bool carrier_serves(const struct command *command, const char *path);

/* Whether the host hides the metadata of path from everybody, because it is attached. Says nothing
 * when the host cannot be asked. */
bool carrier_hides(const struct command *command, const char *path);

#endif
