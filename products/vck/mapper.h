/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mapper: devices of Linux's device-mapper that show the data of a volume. A device is made in
 * three steps, so that its disk is claimed before anybody can read through it.
 */
#ifndef VCK_PRODUCTS_VCK_MAPPER_H
#define VCK_PRODUCTS_VCK_MAPPER_H

#include "products/vck/vck.h"
#include "vck/mapping.h"

/* Longest name of a device: with the rest of the UUID the kernel's limit. */
#define MAPPER_NAME_MAX 80u

struct mapper_info {
    bool exists;
    bool is_volume; /* made by this command */
    unsigned open_count;
};

/* The name of an operand, which may begin with /dev/mapper/; says what is wrong with it. */
int mapper_name(const struct command *command, const char *operand, const char **ret_name);

int mapper_query(const struct command *command, const char *name, struct mapper_info *ret_info);

/* A device without a table, of the volume with this id. */
int mapper_create(const struct command *command, const char *name, const uint8_t volume_id[16]);
/* Gives it its table, which claims the block device at `disk`. */
int mapper_load(const struct command *command, const char *name, const char *disk,
                const struct vck_mapping *mapping, const uint8_t keys[VCK_MAPPING_KEY_BYTES],
                bool is_read_only);
/* From now on the device can be used. */
int mapper_resume(const struct command *command, const char *name);
int mapper_remove(const struct command *command, const char *name);

/* ---- volumes as devices (verb_open.c) ---- */

/* The name is not taken. */
int open_check_free(const struct command *command, const char *name);
/* Maps the volume on the block device, with this key. */
int open_with_key(const struct command *command, const char *path, const char *name,
                  struct vck_bytes vmk);

/* /dev/mapper/NAME of a volume that the daemon serves (serve_linux.c). */
int serve_with_key(const struct command *command, const char *path, const char *name,
                   const uint8_t volume_id[16], struct vck_bytes vmk);

int run_open(const struct command *command);
int run_close(const struct command *command);
int run_initrd_unlock(const struct command *command);

#endif
