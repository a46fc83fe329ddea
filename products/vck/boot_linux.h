/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot_linux: what a boot loader left for the running system, and the partition it is about.
 * Source: docs/handover.md.
 */
#ifndef VCK_PRODUCTS_VCK_BOOT_LINUX_H
#define VCK_PRODUCTS_VCK_BOOT_LINUX_H

#include <sys/types.h>
#include "products/vck/vck.h"
#include "vck/handover.h"

/* Where a handover may be: paths. */
struct handover_sources {
    const char *file;        /* in the initrd */
    const char *variable;    /* as efivarfs shows it */
    const char *table;       /* the ACPI table */
    const char *runtime_map; /* folder of the firmware's runtime memory */
    const char *memory;      /* by physical address */
};

extern const struct handover_sources handover_sources;

/* Takes the handover from the file, or, where there is none, from the memory that the firmware
 * variable or the ACPI table names. Its source is wiped, whatever it holds. EXIT_NOT_FOUND: no
 * loader left one. fini *ret_handover in every case. */
int handover_fetch(const struct command *command, const struct handover_sources *sources,
                   struct vck_handover *ret_handover);

/* The path in /dev of the partition with this GUID, by the partition tables of the disks that the
 * kernel knows now. False: none has it. */
#define PARTITION_PATH_BYTES 300
bool partition_find(const struct vck_guid *guid, char ret_path[PARTITION_PATH_BYTES]);

/* What --partition says; zero without it, and refused when it says zero. */
int partition_option(const struct command *command, struct vck_guid *ret_guid);

struct partition_place {
    char disk[PARTITION_PATH_BYTES]; /* path of the whole disk */
    uint32_t number;
    struct vck_guid guid;
};

/* What the partition with this number of the kernel's is. False: it is none, or in no GPT. */
bool partition_identify(dev_t device, struct partition_place *ret_place);

/* ---- small files of the kernel ---- */

/* Reads at most capacity bytes from the start; the number of them, or -1. */
ssize_t sysfs_read(const char *path, void *buffer, size_t capacity);
/* The number that the file `name` of the folder holds; false when there is none. */
bool sysfs_number(const char *folder, const char *name, uint64_t *ret_value);

#endif
