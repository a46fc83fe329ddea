/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options: one table of verbs and one of options drive parsing and help alike.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "products/vck/os.h"
#include "vck/bytes.h"

struct option_spec {
    const char *name;
    const char *argument; /* NULL: takes none */
    const char *help;
};

static const struct option_spec specs[OPTION_COUNT] = {
    [OPTION_ALL] = {"--all", NULL, "every data volume, even while it is in use"},
    [OPTION_ALLOW_DISCARDS] = {"--allow-discards", NULL,
                               "pass on trims, which show what is unused"},
    [OPTION_CMDLINE] = {"--cmdline", "TEXT", "the kernel's command line (the one it runs with)"},
    [OPTION_DRY_RUN] = {"--dry-run", NULL,
                        "print what would be done, without keys, and do nothing"},
    [OPTION_ESP] = {"--esp", "FOLDER", "the EFI system partition (/efi, /boot/efi or /boot)"},
    [OPTION_FOOTERS] = {"--footers", "N", "replicas of the metadata at the end (2)"},
    [OPTION_FORCE] = {"--force", NULL,
                      "overwrite an existing volume, or unknown data where metadata goes"},
    [OPTION_GROW] = {"--grow", NULL, "make room by appending to an image file"},
    [OPTION_HANDOVER] = {"--handover", "FILE", "what the boot loader left (/.vck/handover)"},
    [OPTION_HEADERS] = {"--headers", "N", "replicas of the metadata at the start (0)"},
    [OPTION_HELP] = {"--help", NULL, "print this and exit"},
    [OPTION_INITRD] = {"--initrd", "PATH", "the initrd, on the volume"},
    [OPTION_JSON] = {"--json", NULL, "print one JSON value instead of text"},
    [OPTION_KDF] = {"--kdf", "NAME", "argon2id, pbkdf2, or for random key files hkdf (argon2id)"},
    [OPTION_KDF_MEMORY] = {"--kdf-memory", "BYTES", "memory of argon2id, at least 64M (measured)"},
    [OPTION_KDF_PASSES] = {"--kdf-passes", "N",
                           "passes of argon2id, at least 3, or of pbkdf2, at least 210000 "
                           "(measured)"},
    [OPTION_KDF_TIME] = {"--kdf-time", "MS", "how long opening the slot is to take here (1000)"},
    [OPTION_KEY_FILE] = {"--key-file", "FILE",
                         "open a slot with the passphrase, key or recovery key in FILE; - is "
                         "standard input"},
    [OPTION_LABEL] = {"--label", "TEXT", "what the slot is called, up to 64 bytes"},
    [OPTION_LOADER] = {"--loader", "FILE", "the boot loader (vckboot.efi, as installed)"},
    [OPTION_LOCAL] = {"--local", NULL, "measure in this process, without the daemon"},
    [OPTION_METADATA_SIZE] = {"--metadata-size", "BYTES",
                              "size of each replica region (1M); K, M and G are understood"},
    [OPTION_NAME] = {"--name", "NAME",
                     "the volume's device in the system, /dev/mapper/NAME "
                     "(system)"},
    [OPTION_NBD] = {"--nbd", "ADDRESS",
                    "the daemon's --nbd, for the URI (nbd.sock beside the control socket)"},
    [OPTION_NEW_KEY_FILE] = {"--new-key-file", "FILE",
                             "take the new passphrase or key from FILE; - is standard input"},
    [OPTION_NEW_VMK] = {"--new-vmk", "FILE", "create FILE with a new random key"},
    [OPTION_NO_BOOT_ENTRY] = {"--no-boot-entry", NULL, "leave the firmware's boot entries alone"},
    [OPTION_NO_WAIT] = {"--no-wait", NULL, "return as soon as the sweep has started"},
    [OPTION_OSLOADER] = {"--osloader", "PATH", "what to start, on the volume (the running kernel)"},
    [OPTION_PARTITION] = {"--partition", "GUID",
                          "the volume's partition, where nothing else says which it is"},
    [OPTION_READ_ONLY] = {"--read-only", NULL, "refuse writes"},
    [OPTION_REPAIR] = {"--repair", NULL, "make all replicas equal to the newest valid one"},
    [OPTION_ROOT] = {"--root", "FOLDER", "where the system is, when it is not this one"},
    [OPTION_SECTOR_SIZE] = {"--sector-size", "BYTES", "512 or 4096 (what the disk has)"},
    [OPTION_SHRINK] = {"--shrink", NULL, "make room by shrinking the ext2/3/4 or NTFS file system"},
    [OPTION_SINGLE_REPLICA] = {"--single-replica", NULL,
                               "allow just one replica, which a torn write can destroy"},
    [OPTION_SIZE] = {"--size", "BYTES", "how much to encrypt and decrypt (1G)"},
    [OPTION_SLOT] = {"--slot", "N", "the slot, 0 to 31"},
    [OPTION_SOCKET] = {"--socket", "PATH", "the daemon's control socket (/run/vck/control.sock)"},
    [OPTION_TYPE] = {"--type", "TYPE", "passphrase, key-file or recovery (passphrase)"},
    [OPTION_UNLOCK] = {"--unlock", NULL, "open a key slot with what is typed on the terminal"},
    [OPTION_USE_REPLICA] = {"--use-replica", "N", "take replica N as the valid one"},
    [OPTION_VERSION] = {"--version", NULL, "print the version and exit"},
    [OPTION_VMK_FILE] = {"--vmk-file", "FILE", "read the key from FILE; - is standard input"},
    [OPTION_WAIT] = {"--wait", "SECONDS", "for the disk to turn up, at most (30)"},
    [OPTION_WIDTH] = {"--width", "COLUMNS", "width of the picture (of the terminal, or 80)"},
    [OPTION_XMM] = {"--xmm", NULL, "with --local: use 128-bit registers only, as drivers do"},
};

#define HOST    (OPTION_BIT(SOCKET))
#define QUERY   (OPTION_BIT(SOCKET) | OPTION_BIT(JSON))
#define OFFLINE (OPTION_BIT(VMK_FILE) | OPTION_BIT(JSON))
#define LOOK    (OFFLINE | OPTION_BIT(KEY_FILE) | OPTION_BIT(SLOT) | OPTION_BIT(UNLOCK))
#define NEW_KEY                                                                                    \
    (OPTION_BIT(NEW_KEY_FILE) | OPTION_BIT(KDF) | OPTION_BIT(KDF_MEMORY) |                         \
     OPTION_BIT(KDF_PASSES) | OPTION_BIT(KDF_TIME))

static const struct verb verbs[] = {
    {"prepare", "VOLUME", 1, 1, "make a volume of a disk or an image, keeping its data",
     OPTION_BIT(HEADERS) | OPTION_BIT(FOOTERS) | OPTION_BIT(SINGLE_REPLICA) |
         OPTION_BIT(METADATA_SIZE) | OPTION_BIT(SECTOR_SIZE) | OPTION_BIT(NEW_VMK) |
         OPTION_BIT(GROW) | OPTION_BIT(SHRINK) | OPTION_BIT(FORCE) | NEW_KEY | OFFLINE,
     run_prepare},
    {"attach", "VOLUME", 1, 1, "open a volume and serve its decrypted data",
     OPTION_BIT(VMK_FILE) | OPTION_BIT(KEY_FILE) | OPTION_BIT(SLOT) | OPTION_BIT(NBD) | QUERY,
     run_attach},
    {"detach", "VOLUME", 0, 1, "stop serving a volume", OPTION_BIT(ALL) | HOST, run_detach},
    {"encrypt", "VOLUME", 1, 1, "encrypt the data in place", OPTION_BIT(NO_WAIT) | HOST,
     run_encrypt},
    {"decrypt", "VOLUME", 1, 1, "decrypt the data in place", OPTION_BIT(NO_WAIT) | HOST,
     run_decrypt},
    {"pause", "VOLUME", 1, 1, "stop the sweep at a safe place", HOST, run_pause},
    {"resume", "VOLUME", 1, 1, "go on in the recorded direction", OPTION_BIT(NO_WAIT) | HOST,
     run_resume},
    {"rate", "VOLUME MIB", 2, 2, "limit the sweep to MIB per second; 0 is no limit", HOST,
     run_rate},
    {"status", "VOLUME", 1, 1, "say how far one volume is", QUERY, run_status},
    {"list", "", 0, 0, "list the attached volumes", QUERY, run_list},
    {"info", "VOLUME", 1, 1, "print what every replica and the journal say", LOOK, run_info},
    {"map", "VOLUME", 1, 1, "draw what is where on a volume", OPTION_BIT(WIDTH) | LOOK | QUERY,
     run_map},
    {"check", "VOLUME", 1, 1, "compare replicas, journal and sizes of a volume not attached",
     OPTION_BIT(REPAIR) | OPTION_BIT(USE_REPLICA) | LOOK, run_check},
    {"key", "ACTION VOLUME", 2, 3,
     "list, test, add, remove, change, label, rotate, backup FILE, restore FILE or erase the key "
     "slots of a volume",
     OPTION_BIT(KEY_FILE) | OPTION_BIT(SLOT) | OPTION_BIT(LABEL) | OPTION_BIT(TYPE) |
         OPTION_BIT(FORCE) | OPTION_BIT(NEW_VMK) | NEW_KEY | OFFLINE,
     run_key},
    {"bench", "", 0, 0, "measure the cipher",
     OPTION_BIT(SIZE) | OPTION_BIT(LOCAL) | OPTION_BIT(XMM) | QUERY, run_bench},
};

/* The i-th verb, the system's own last; NULL behind them. */
static const struct verb *verb_at(size_t i)
{
    if (i < VCK_ARRAY_COUNT(verbs))
        return &verbs[i];
    i -= VCK_ARRAY_COUNT(verbs);
    return i < os_words.verb_count ? &os_words.verbs[i] : NULL;
}

/* OPTION_BIT of what a verb takes; NULL: the command without one. */
static uint64_t options_of(const struct verb *verb)
{
    uint64_t options = verb != NULL ? verb->options : OPTION_BIT(VERSION);
    return (options | OPTION_BIT(HELP)) & ~os_words.absent_options;
}

/* ---- help ---- */

const char *option_name(enum option_id id)
{
    return specs[id].name;
}

static void print_option(enum option_id id)
{
    const struct option_spec *spec = &specs[id];
    const char *help = os_words.option_help[id] != NULL ? os_words.option_help[id] : spec->help;
    char left[40];
    snprintf(left, sizeof(left), "%s%s%s", spec->name, spec->argument != NULL ? " " : "",
             spec->argument != NULL ? spec->argument : "");
    printf("  %-22s %s\n", left, help);
}

void options_print_help(const struct verb *verb)
{
    printf("Usage: vck %s [OPTION]...%s%s\n", verb->name, *verb->operands != 0 ? " " : "",
           verb->operands);
    printf("vck %s: %s.\n\nOptions:\n", verb->name, verb->summary);
    for (unsigned id = 0; id < OPTION_COUNT; id++)
        if (id != OPTION_HELP && (options_of(verb) >> id & 1) != 0)
            print_option(id);
    print_option(OPTION_HELP);
}

void options_print_overview(void)
{
    puts("Usage: vck VERB [OPTION]... [OPERAND]...\n"
         "Encrypt, decrypt and look after volumes in place.\n\nVerbs:");
    const struct verb *verb;
    for (size_t i = 0; (verb = verb_at(i)) != NULL; i++) {
        char left[40];
        snprintf(left, sizeof(left), "%s %s", verb->name, verb->operands);
        printf("  %-22s %s\n", left, verb->summary);
    }
    puts("\nOptions:");
    print_option(OPTION_HELP);
    print_option(OPTION_VERSION);
    printf("\nvck VERB --help lists the options of a verb.%s\n", os_words.more);
}

/* ---- parsing ---- */

static const struct verb *find_verb(const char *name)
{
    const struct verb *verb;
    for (size_t i = 0; (verb = verb_at(i)) != NULL; i++)
        if (strcmp(verb->name, name) == 0)
            break;
    return verb;
}

/* OPTION_COUNT when the verb has none of that name. */
static enum option_id find_option(const struct command *command, const char *text,
                                  size_t text_length)
{
    uint64_t accepted = options_of(command->verb);
    for (unsigned id = 0; id < OPTION_COUNT; id++)
        if ((accepted >> id & 1) != 0 && strlen(specs[id].name) == text_length &&
            memcmp(specs[id].name, text, text_length) == 0)
            return id;
    return OPTION_COUNT;
}

/* text is an option; next is the argument after it or NULL. */
static int parse_option(struct command *command, const char *text, const char *next,
                        bool *ret_used_next)
{
    const char *equals = strchr(text, '=');
    size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);
    enum option_id id = find_option(command, text, length);
    if (id == OPTION_COUNT)
        return report_usage(command, "there is no option %.*s here", (int)length, text);
    if (command->values[id] != NULL)
        return report_usage(command, "%s is given twice", specs[id].name);
    if (specs[id].argument == NULL && equals != NULL)
        return report_usage(command, "%s takes no value", specs[id].name);
    if (specs[id].argument != NULL && equals == NULL && next == NULL)
        return report_usage(command, "%s needs a value, %s", specs[id].name, specs[id].argument);
    *ret_used_next = specs[id].argument != NULL && equals == NULL;
    command->values[id] = specs[id].argument == NULL ? "" : equals != NULL ? equals + 1 : next;
    return EXIT_OK;
}

static int parse_operand(struct command *command, const char *text)
{
    if (command->verb == NULL) {
        command->verb = find_verb(text);
        return command->verb != NULL
                   ? EXIT_OK
                   : report_usage(command, "there is no verb %s; vck --help lists them", text);
    }
    if (command->operand_count == command->verb->operands_max)
        return report_usage(command, "%s is one operand too many", text);
    command->operands[command->operand_count++] = text;
    return EXIT_OK;
}

int options_parse(int argc, char **argv, struct command *ret_command)
{
    struct command command = {0};
    bool is_option_allowed = true;
    int code = EXIT_OK;
    for (int i = 1; i < argc && code == EXIT_OK; i++) {
        bool used_next = false;
        if (is_option_allowed && strcmp(argv[i], "--") == 0)
            is_option_allowed = false;
        else if (is_option_allowed && argv[i][0] == '-' && argv[i][1] != 0)
            code = parse_option(&command, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used_next);
        else
            code = parse_operand(&command, argv[i]);
        i += used_next;
    }
    if (code == EXIT_OK && command.verb != NULL && !option_given(&command, OPTION_HELP) &&
        command.operand_count < command.verb->operands_min)
        code = report_usage(&command, "%s is missing", command.verb->operands);
    if (code == EXIT_OK)
        *ret_command = command;
    return code;
}

/* ---- numbers ---- */

/* Digits only, then at most one of the letters of `units`. */
static bool parse_number(const char *text, const char *units, uint64_t *ret_value)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    const char *unit = *end != 0 ? strchr(units, *end) : NULL;
    if (unit != NULL) {
        uint64_t factor = UINT64_C(1) << (10 * (unit - units + 1));
        if (!vck_mul_u64(value, factor, &value))
            return false;
        end++;
    }
    if (*end != 0)
        return false;
    *ret_value = value;
    return true;
}

int option_bytes(const struct command *command, enum option_id id, uint64_t lowest,
                 uint64_t highest, uint64_t absent, uint64_t *ret_value)
{
    uint64_t value = absent;
    const char *text = command->values[id];
    if (text != NULL && (!parse_number(text, "KMGT", &value) || value < lowest || value > highest))
        return report_usage(command,
                            "%s is %s; a size from %" PRIu64 " to %" PRIu64 " bytes is expected",
                            specs[id].name, text, lowest, highest);
    *ret_value = value;
    return EXIT_OK;
}

int option_u32(const struct command *command, enum option_id id, uint32_t lowest, uint32_t highest,
               uint32_t absent, uint32_t *ret_value)
{
    uint64_t value = absent;
    const char *text = command->values[id];
    if (text != NULL && (!parse_number(text, "", &value) || value < lowest || value > highest))
        return report_usage(command, "%s is %s; a number from %u to %u is expected", specs[id].name,
                            text, lowest, highest);
    *ret_value = (uint32_t)value;
    return EXIT_OK;
}

int operand_u32(const struct command *command, unsigned index, const char *what, uint32_t highest,
                uint32_t *ret_value)
{
    uint64_t value;
    const char *text = command->operands[index];
    if (!parse_number(text, "", &value) || value > highest)
        return report_usage(command, "%s is %s; a number from 0 to %u is expected", what, text,
                            highest);
    *ret_value = (uint32_t)value;
    return EXIT_OK;
}
