/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os_install: puts the boot loader between the firmware and a system on a volume, and takes it out
 * again. Each step is recorded before it begins and can be undone at any later time, also when it
 * was cut; what is replaced is kept beside it. The firmware's new boot entry comes last, and the
 * entries before it stay: when the loader gives up, the firmware goes on with them.
 */
#ifndef VCK_PRODUCTS_VCK_OS_INSTALL_H
#define VCK_PRODUCTS_VCK_OS_INSTALL_H

#include "products/vck/mapper.h"
#include "products/vck/vck.h"
#include "vck/boot_config.h"
#include "vck/guid.h"
#include "vck/sha256.h"

#define INSTALL_PATH_BYTES 1024

/* In the order they are done; undone from the last to the first. */
enum install_step {
    INSTALL_METADATA,  /* the volume itself, where it is none yet */
    INSTALL_INITRAMFS, /* its line in /etc/vck/volumes, and an initrd that knows it */
    INSTALL_LOADER,
    INSTALL_CONFIG, /* \vck.json */
    INSTALL_ENTRY,  /* the firmware's boot entry */
    INSTALL_STEP_COUNT
};

struct os_install {
    const struct command *command;
    char root[INSTALL_PATH_BYTES];  /* before every path of the system; "" is this one */
    char volume[VOLUME_PATH_BYTES]; /* as it is opened */
    char mount[INSTALL_PATH_BYTES]; /* where it is mounted; "": nowhere */
    struct vck_guid guid;           /* of its partition */
    char name[MAPPER_NAME_MAX + 1]; /* of its device in the running system */
    char esp[INSTALL_PATH_BYTES];   /* the folder, without the root */
    char loader[INSTALL_PATH_BYTES];
    char osloader[VCK_BOOT_PATH_BYTES]; /* on the volume, with slashes */
    char initrd[VCK_BOOT_PATH_BYTES];
    char options[VCK_BOOT_OPTIONS_BYTES];
    bool wants_entry;
    unsigned wanted;   /* steps to do, a bit each */
    unsigned recorded; /* steps of the record */
    unsigned earlier;  /* those that an earlier run had done already */
    bool is_complete;  /* the record says that all of them were done */
    uint8_t loader_digest[VCK_SHA256_BYTES];
};

#define STEP_BIT(step) (1u << (step))

/* ---- what it is about (os_gather_linux.c) ---- */

int gather_root(struct os_install *install);
/* Where the volume is mounted now. */
void gather_mount(struct os_install *install);
/* Everything an installation needs, behind gather_root, and that it can be done. */
int gather_all(struct os_install *install);

/* ---- files (os_file_linux.c) ---- */

/* ROOT and then the path; false when that is too long. */
bool install_path(const struct os_install *install, char ret_path[INSTALL_PATH_BYTES],
                  const char *format, ...) VCK_PRINTF(3, 4);

/* A file's bytes, for free(), with a zero behind them; at most limit of them. An errno. */
int file_read(const char *path, size_t limit, uint8_t **ret_data, size_t *ret_size);
/* Makes or replaces it: durably, and at once or not at all. Folders are made. An errno. */
int file_replace(const char *path, const void *data, size_t size);
/* What is there now is kept beside it. Reported. */
int file_keep(const struct command *command, const char *path);
/* file_replace, read back. Reported. */
int file_install(const struct command *command, const char *path, const void *data, size_t size);
/* What was kept, or nothing, is there again. Reported. */
int file_restore(const struct command *command, const char *path);

/* ---- the record (os_record_linux.c) ---- */

/* EXIT_NOT_FOUND, silently: none. */
int record_load(struct os_install *install);
int record_store(const struct os_install *install);
int record_remove(const struct os_install *install);

/* ---- vck.json (os_config_linux.c) ---- */

#define CONFIG_BYTES (2 * VCK_BOOT_OPTIONS_BYTES + 4 * VCK_BOOT_PATH_BYTES + 512)

/* Writes it, and reads it as the loader will. */
int config_write(const struct os_install *install, char ret_text[CONFIG_BYTES]);

/* ---- the firmware's boot entries (os_entry_linux.c) ---- */

struct boot_entry {
    bool is_there;
    bool is_first;
    char number[5]; /* of the first of ours */
    unsigned count; /* of ours */
};

/* The firmware's boot entries can be read. */
int entry_find(const struct os_install *install, struct boot_entry *ret_entry);
/* Whether one can be added. */
int entry_check(const struct os_install *install);
int entry_add(const struct os_install *install);
int entry_remove(const struct os_install *install);

/* ---- steps (os_steps_linux.c) ---- */

/* A line that says what the step does, or what undoing it does. */
void step_describe(const struct os_install *install, enum install_step step, bool is_undo,
                   char *text, size_t capacity);
/* Keeps what the step will replace; before it is recorded, so that undoing it never removes what
 * nobody has kept. */
int step_keep(const struct os_install *install, enum install_step step);
int step_perform(struct os_install *install, enum install_step step);
/* Of a step that was begun at least; nothing left to undo is success. */
int step_undo(struct os_install *install, enum install_step step);
/* Prints how the step's result is now; EXIT_PROBLEMS: not as it was made. */
int step_check(const struct os_install *install, enum install_step step);

/* Whether the volume's first sectors are a file system: nothing of it is encrypted. */
int volume_is_plain(const struct os_install *install, bool *ret_is_plain);
/* The initrds of the system are made by a tool we know. */
bool initramfs_has_tool(const struct os_install *install);

int run_os_prepare(const struct command *command);
int run_os_status(const struct command *command);
int run_os_remove(const struct command *command);

#endif
