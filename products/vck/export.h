/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export: where the decrypted data of an attached volume is found, when it has a place of its own.
 */
#ifndef VCK_PRODUCTS_VCK_EXPORT_H
#define VCK_PRODUCTS_VCK_EXPORT_H

#include "products/vck/vck.h"

#define URI_BYTES (3 * VOLUME_PATH_BYTES + 1024)

/* Where the daemon's NBD clients connect: beside the control socket unless --nbd says otherwise. */
void export_address(const struct command *command, char ret_address[VOLUME_PATH_BYTES]);
/* The URI of the export of path; false when the volume itself shows the data. */
bool export_uri(const struct command *command, const char *path, char ret_uri[URI_BYTES]);

#endif
