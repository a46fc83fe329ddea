/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot_config: \vck.json, which tells the boot loader what to unlock and what to start from there.
 * It lies on an unencrypted partition: whoever can write there can change it, and everything in it
 * is checked as input from outside.
 *
 * One JSON object of strings and numbers. docs/boot.md has the names. PASSIVE.
 */
#ifndef VCK_BOOT_CONFIG_H
#define VCK_BOOT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/bytes.h"
#include "vck/guid.h"
#include "vck/secret.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* A file this long at most. */
#define VCK_BOOT_CONFIG_BYTES_MAX  65536u
#define VCK_BOOT_PATH_BYTES        256u
#define VCK_BOOT_OPTIONS_BYTES     2048u
#define VCK_BOOT_TIMEOUT_S_MAX     86400u
#define VCK_BOOT_TIMEOUT_S_DEFAULT 30u

enum vck_boot_mode {
    VCK_BOOT_OVERLAY, /* a handle of its own for the decrypted volume */
    VCK_BOOT_PATCH,   /* the partition's own handle, its functions replaced */
};

/* Whether key slots of a TPM are tried, and which. */
struct vck_boot_tpm {
    bool is_wanted;
    bool has_slot; /* only the slot `slot` */
    uint32_t slot;
};

struct vck_boot_config {
    struct vck_guid partition_guid;       /* the GPT unique partition GUID, never zero */
    char osloader[VCK_BOOT_PATH_BYTES];   /* on the volume; begins with and uses backslashes */
    char initrd[VCK_BOOT_PATH_BYTES];     /* the same; empty: none */
    char options[VCK_BOOT_OPTIONS_BYTES]; /* for what is started; empty: none */
    struct vck_secret vmk;                /* no data: not in the file */
    uint32_t timeout_s;                   /* how long a question waits for a key; 0: for ever */
    enum vck_boot_mode mode;
    struct vck_boot_tpm tpm;
    char passed_over[32]; /* the first name that says nothing to this version, cut; or empty */
};

struct vck_boot_config_error {
    uint32_t line; /* 1 is the first */
    char text[128];
};

/*
 * Reads the file. *ret_config is for fini. INVALID_DATA: what is wrong is in *ret_error, and
 * nothing in *ret_config; NO_MEMORY, with an empty text.
 */
VCK_CHECKED vck_status vck_boot_config_parse(struct vck_bytes text,
                                             struct vck_boot_config *ret_config,
                                             struct vck_boot_config_error *ret_error);

/* Wipes and frees the key; accepts a zeroed or already finished one. */
void vck_boot_config_fini(struct vck_boot_config *config);

VCK_END_DECLS

#endif
