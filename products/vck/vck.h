/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vck: what the files of the command share. The command is a client of the host (the daemon,
 * on Windows the driver) for everything attached and works on the disk itself for what is not; it
 * decides nothing about sectors or keys.
 *
 * Functions that return an int return an exit code (products/command/command.h).
 */
#ifndef VCK_PRODUCTS_VCK_VCK_H
#define VCK_PRODUCTS_VCK_VCK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "port/disk.h"
#include "products/command/command.h"
#include "vck/annotate.h"
#include "vck/secret.h"
#include "vck/status.h"

/* ---- verbs and options (options.c) ---- */

enum option_id {
    OPTION_ALL,
    OPTION_ALLOW_DISCARDS,
    OPTION_BACK,
    OPTION_BOOT_CONFIG,
    OPTION_CMDLINE,
    OPTION_DRY_RUN,
    OPTION_ESP,
    OPTION_FOOTERS,
    OPTION_FORCE,
    OPTION_GROW,
    OPTION_HANDOVER,
    OPTION_HEADERS,
    OPTION_HELP,
    OPTION_INITRD,
    OPTION_JSON,
    OPTION_KDF,
    OPTION_KDF_MEMORY,
    OPTION_KDF_PASSES,
    OPTION_KDF_TIME,
    OPTION_KEY_FILE,
    OPTION_LABEL,
    OPTION_LOADER,
    OPTION_LOCAL,
    OPTION_METADATA_SIZE,
    OPTION_NAME,
    OPTION_NBD,
    OPTION_NEW_KEY_FILE,
    OPTION_NEW_VMK,
    OPTION_NO_BOOT_ENTRY,
    OPTION_NO_WAIT,
    OPTION_OSLOADER,
    OPTION_PARTITION,
    OPTION_PCR_VALUES,
    OPTION_PCRS,
    OPTION_PIN,
    OPTION_PIN_FILE,
    OPTION_READ_ONLY,
    OPTION_REPAIR,
    OPTION_ROOT,
    OPTION_SECTOR_SIZE,
    OPTION_SERVER_TIME,
    OPTION_SERVE,
    OPTION_SHRINK,
    OPTION_SINGLE_REPLICA,
    OPTION_SIZE,
    OPTION_SLOT,
    OPTION_SOCKET,
    OPTION_TANG,
    OPTION_THRESHOLD,
    OPTION_TPM,
    OPTION_TRUST,
    OPTION_TYPE,
    OPTION_UNLOCK,
    OPTION_USE_REPLICA,
    OPTION_USED_ONLY,
    OPTION_VERSION,
    OPTION_VMK_FILE,
    OPTION_WAIT,
    OPTION_WIDTH,
    OPTION_XMM,
    OPTION_COUNT
};

#define OPTION_BIT(name) (UINT64_C(1) << OPTION_##name)

/* What only a command that can ask servers has. */
#define OPTIONS_OF_SERVERS                                                                         \
    (OPTION_BIT(TANG) | OPTION_BIT(THRESHOLD) | OPTION_BIT(TRUST) | OPTION_BIT(SERVER_TIME))

/* With the verbs that only this system has. */
const struct grammar *vck_grammar(void);

/* "--slot" and its like. */
const char *option_name(enum option_id id);

/* ---- words (words.c) ---- */

/* The exit code of a status. */
int exit_code_of(vck_status status);

/* "1.5 MiB", "512 bytes". buffer holds at least 32 bytes and is returned. */
#define SIZE_TEXT_BYTES 32
const char *size_text(uint64_t bytes, char buffer[SIZE_TEXT_BYTES]);
#define UUID_TEXT_BYTES 37
const char *uuid_text(const uint8_t id[16], char buffer[UUID_TEXT_BYTES]);

const char *state_text(uint32_t state);
const char *direction_text(uint32_t direction);
const char *intent_text(uint32_t intent);

/* ---- volumes (volume_posix.c, volume_win.c) ---- */

/* The operand in the spelling the host gets: an absolute path without links, a URI as it is, a
 * device of Windows as \\.\NAME. Also for a file that is gone. */
#define VOLUME_PATH_BYTES 4096
int volume_path(const struct command *command, const char *operand,
                char ret_path[VOLUME_PATH_BYTES]);

/* Opens a disk, reporting why not. */
#define DISK_READ_ONLY 1u
#define DISK_SHARED    2u /* take no lock, ignore others'; for looking only */
int open_disk(const struct command *command, const char *path, unsigned flags,
              struct vck_disk **ret_disk);

/* Whether path is an image file, and then its size to the byte. */
int volume_file_size(const struct command *command, const char *path, bool *ret_is_file,
                     uint64_t *ret_size);

/* Waiting is allowed on every thread of this program; says so to the compiler. */
static inline void waiting_is_fine(void) VCK_ASSUME_CAN_WAIT;
static inline void waiting_is_fine(void)
{
}

/* ---- secrets in files (secret_file.c) ---- */

/* At most most_bytes of the file; "-" is standard input. fini the secret in every case. */
int secret_file_read(const struct command *command, const char *path, size_t most_bytes,
                     struct vck_secret *ret_secret);

/* ---- key files (keyfile.c) ---- */

/* The volume master key from --vmk-file; "-" is standard input. fini the secret in every case. */
int key_read(const struct command *command, struct vck_secret *ret_key);
/* A new random one into the file of --new-vmk, durably, before it returns. */
int key_create(const struct command *command, struct vck_secret *ret_key);
/* Whether key_create would find the name taken. */
int key_check_new(const struct command *command);
/* Takes back a file of key_create that no volume uses. */
void key_remove_unused(const struct command *command);

/* ---- the verbs ---- */

int run_prepare(const struct command *command);
/* The same for a system's volume, whose file system must leave the room at its end and may be
 * mounted; a rehearsal only checks. */
int prepare_system(const struct command *command, bool is_mounted, bool is_rehearsal);
int run_attach(const struct command *command);
int run_detach(const struct command *command);
int run_encrypt(const struct command *command);
int run_decrypt(const struct command *command);
int run_pause(const struct command *command);
int run_resume(const struct command *command);
int run_rekey(const struct command *command);
int run_suspend(const struct command *command);
int run_rate(const struct command *command);
int run_status(const struct command *command);
int run_list(const struct command *command);
int run_info(const struct command *command);
int run_map(const struct command *command);
int run_check(const struct command *command);
int run_bench(const struct command *command);
int run_key(const struct command *command);

#endif
