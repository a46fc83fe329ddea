/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carrier_posix: the daemon's Unix socket.
 */
#ifndef VCK_PRODUCTS_VCK_CARRIER_POSIX_H
#define VCK_PRODUCTS_VCK_CARRIER_POSIX_H

#include "products/vck/vck.h"

/* --socket or the default one. */
const char *carrier_socket_path(const struct command *command);

#endif
