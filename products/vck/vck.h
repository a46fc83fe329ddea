/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vck: what the files of the command share. The command is a client of the host (the daemon,
 * on Windows the driver) for everything attached and works on the disk itself for what is not; it
 * decides nothing about sectors or keys.
 *
 * Functions that return an int return an exit code: 0, or the code to end with, the reason having
 * been reported to stderr already.
 */
#ifndef VCK_PRODUCTS_VCK_VCK_H
#define VCK_PRODUCTS_VCK_VCK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "port/disk.h"
#include "vck/annotate.h"
#include "vck/secret.h"
#include "vck/status.h"

/* Exit codes, as in vck.1. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_WRONG_KEY = 4,
    EXIT_PERMISSION = 5,
    EXIT_PROBLEMS = 6,
    EXIT_BUSY = 7,
    EXIT_NO_DAEMON = 8,
    EXIT_REFUSED = 9,
    EXIT_INTERRUPTED = 130,
};

/* ---- verbs and options (options.c) ---- */

enum option_id {
    OPTION_ALL,
    OPTION_ALLOW_DISCARDS,
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
    OPTION_READ_ONLY,
    OPTION_REPAIR,
    OPTION_ROOT,
    OPTION_SECTOR_SIZE,
    OPTION_SHRINK,
    OPTION_SINGLE_REPLICA,
    OPTION_SIZE,
    OPTION_SLOT,
    OPTION_SOCKET,
    OPTION_TYPE,
    OPTION_UNLOCK,
    OPTION_USE_REPLICA,
    OPTION_VERSION,
    OPTION_VMK_FILE,
    OPTION_WAIT,
    OPTION_WIDTH,
    OPTION_XMM,
    OPTION_COUNT
};

#define OPTION_BIT(name) (UINT64_C(1) << OPTION_##name)

#define OPERANDS_MAX 3

struct command;

struct verb {
    const char *name;
    const char *operands; /* as in the usage line */
    unsigned operands_min;
    unsigned operands_max;
    const char *summary;
    uint64_t options; /* OPTION_BIT of those it takes; --help always */
    int (*run)(const struct command *command);
};

/* A parsed command line. Strings are borrowed from argv. */
struct command {
    const struct verb *verb;          /* NULL: none was given */
    const char *values[OPTION_COUNT]; /* NULL: absent; "" for options without a value */
    const char *operands[OPERANDS_MAX];
    unsigned operand_count;
};

/* Reports what is wrong together with the usage line. */
int options_parse(int argc, char **argv, struct command *ret_command);
void options_print_help(const struct verb *verb);
void options_print_overview(void);

/* "--slot" and its like. */
const char *option_name(enum option_id id);

static inline bool option_given(const struct command *command, enum option_id id)
{
    return command->values[id] != NULL;
}

/* The number an option or an operand gives. bytes also takes K, M, G and T (1024 each). */
int option_u32(const struct command *command, enum option_id id, uint32_t lowest, uint32_t highest,
               uint32_t absent, uint32_t *ret_value);
int option_bytes(const struct command *command, enum option_id id, uint64_t lowest,
                 uint64_t highest, uint64_t absent, uint64_t *ret_value);
int operand_u32(const struct command *command, unsigned index, const char *what, uint32_t highest,
                uint32_t *ret_value);

/* ---- reporting (report.c) ---- */

/* "vck VERB: message" on stderr; returns code. */
int report(const struct command *command, int code, const char *format, ...) VCK_PRINTF(3, 4);
/* The same with the verb's usage line below it; returns EXIT_USAGE. */
int report_usage(const struct command *command, const char *format, ...) VCK_PRINTF(2, 3);
/* A remark that changes nothing. */
void warn(const struct command *command, const char *format, ...) VCK_PRINTF(2, 3);
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
int run_rate(const struct command *command);
int run_status(const struct command *command);
int run_list(const struct command *command);
int run_info(const struct command *command);
int run_map(const struct command *command);
int run_check(const struct command *command);
int run_bench(const struct command *command);
int run_key(const struct command *command);

#endif
