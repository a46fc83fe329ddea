/* SPDX-License-Identifier: Apache-2.0 */
/*
 * room: makes room for metadata behind what a disk holds. The disk must not be open meanwhile.
 */
#ifndef VCK_PRODUCTS_VCK_ROOM_H
#define VCK_PRODUCTS_VCK_ROOM_H

#include <stdint.h>
#include "products/vck/content.h"
#include "products/vck/vck.h"

/* Sets the size of an image file; what is new reads as zeroes. */
int room_resize_file(const struct command *command, const char *path, uint64_t size_bytes);

/* Shrinks the file system on path to at most size_bytes with the tools made for it, whose words go
 * to stderr. They check it first and change nothing when it does not fit. */
int room_shrink(const struct command *command, const char *path, const struct content *content,
                uint64_t size_bytes);

#endif
