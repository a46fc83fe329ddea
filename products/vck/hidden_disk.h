/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hidden_disk: the disk of an attached volume whose host shows it to nobody: what is metadata is
 * read through the host, as who may change it; what is data reads as zeroes.
 */
#ifndef VCK_PRODUCTS_VCK_HIDDEN_DISK_H
#define VCK_PRODUCTS_VCK_HIDDEN_DISK_H

#include "products/vck/vck.h"

/* A refusal is reported with the host's explanation. Ends with vck_disk_close. */
int hidden_disk_open(const struct command *command, const char *path, struct vck_disk **ret_disk);

#endif
