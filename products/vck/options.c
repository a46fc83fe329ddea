/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options: the verbs and the options of the command.
 */
#include "products/vck/os.h"
#include "vck/bytes.h"

static const struct option_spec specs[OPTION_COUNT] = {
    [OPTION_ALL] = {"--all", NULL, "every data volume, even while it is in use"},
    [OPTION_ALLOW_DISCARDS] = {"--allow-discards", NULL,
                               "pass on trims, which show what is unused"},
    [OPTION_BACK] = {"--back", NULL, "give the new key up, and go back to the one before"},
    [OPTION_BOOT_CONFIG] = {"--boot-config", "FILE",
                            "PCR 12 as the boot loader makes it of this vck.json"},
    [OPTION_CMDLINE] = {"--cmdline", "TEXT", "the kernel's command line (the one it runs with)"},
    [OPTION_DRY_RUN] = {"--dry-run", NULL,
                        "print what would be done, without keys, and do nothing"},
    [OPTION_ESP] = {"--esp", "FOLDER", "the EFI system partition (/efi, /boot/efi or /boot)"},
    [OPTION_FOOTERS] = {"--footers", "N", "replicas of the metadata at the end (2)"},
    [OPTION_FORCE] = {"--force", NULL,
                      "overwrite or give up what is refused without it, as the manual says"},
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
                              "size of each replica region, as 128K or 1M (1M)"},
    [OPTION_NAME] = {"--name", "NAME",
                     "the volume's device in the system, /dev/mapper/NAME "
                     "(system)"},
    [OPTION_NBD] = {"--nbd", "ADDRESS",
                    "the daemon's --nbd, for the URI (nbd.sock beside the control socket)"},
    [OPTION_NEW_KEY_FILE] = {"--new-key-file", "FILE",
                             "take the new passphrase, key or PIN from FILE; - is standard input"},
    [OPTION_NEW_VMK] = {"--new-vmk", "FILE", "create FILE with a new random key"},
    [OPTION_NO_BOOT_ENTRY] = {"--no-boot-entry", NULL, "leave the firmware's boot entries alone"},
    [OPTION_NO_WAIT] = {"--no-wait", NULL, "return as soon as the sweep has started"},
    [OPTION_OSLOADER] = {"--osloader", "PATH", "what to start, on the volume (the running kernel)"},
    [OPTION_PARTITION] = {"--partition", "GUID",
                          "the volume's partition, where nothing else says which it is"},
    [OPTION_PCR_VALUES] = {"--pcr-values", "FILE",
                           "what PCRs are going to be, a line \"N: HEX\" for each (as now)"},
    [OPTION_PCRS] = {"--pcrs", "LIST", "the PCRs to seal to, as 7,12 (7)"},
    [OPTION_PIN] = {"--pin", NULL, "have the TPM ask for a PIN, too"},
    [OPTION_PIN_FILE] = {"--pin-file", "FILE", "the PIN of a slot of the TPM; - is standard input"},
    [OPTION_READ_ONLY] = {"--read-only", NULL, "refuse writes"},
    [OPTION_REPAIR] = {"--repair", NULL, "make all replicas equal to the newest valid one"},
    [OPTION_ROOT] = {"--root", "FOLDER", "where the system is, when it is not this one"},
    [OPTION_SECTOR_SIZE] = {"--sector-size", "BYTES", "512 or 4096 (what the disk has)"},
    [OPTION_SERVER_TIME] = {"--server-time", "SECONDS",
                            "how long each server of a network slot may take (10)"},
    [OPTION_SERVE] = {"--serve", NULL, "leave what is not wholly encrypted to the daemon"},
    [OPTION_SHRINK] = {"--shrink", NULL, "make room by shrinking the ext2/3/4 or NTFS file system"},
    [OPTION_SINGLE_REPLICA] = {"--single-replica", NULL,
                               "allow just one replica, which a torn write can destroy"},
    [OPTION_SIZE] = {"--size", "BYTES", "how much to encrypt and decrypt (1G)"},
    [OPTION_SLOT] = {"--slot", "N", "the slot, 0 to 31"},
    [OPTION_SOCKET] = {"--socket", "PATH", "the daemon's control socket (/run/vck/control.sock)"},
    [OPTION_TANG] = {"--tang", "URL",
                     "bind the slot to this Tang server, and to each that is named so; a comma and "
                     "the thumbprint of its signing key may follow",
                     .can_repeat = true},
    [OPTION_THRESHOLD] = {"--threshold", "N",
                          "how many of the servers are needed to open the slot (all)"},
    [OPTION_TPM] = {"--tpm", "TCTI", "which TPM, as tpm2-tss names it (device:/dev/tpmrm0)"},
    [OPTION_TRUST] = {"--trust", NULL, "take whatever signing keys the servers show"},
    [OPTION_TYPE] = {"--type", "TYPE", "passphrase, key-file, recovery or tpm (passphrase)"},
    [OPTION_UNLOCK] = {"--unlock", NULL, "open a key slot with what is typed on the terminal"},
    [OPTION_USE_REPLICA] = {"--use-replica", "N", "take replica N as the valid one"},
    [OPTION_USED_ONLY] = {"--used-only", NULL,
                          "leave out what the file system does not use: quicker, but it shows how "
                          "much is used and where, and what was deleted before stays readable"},
    [OPTION_VERSION] = {"--version", NULL, "print the version and exit"},
    [OPTION_VMK_FILE] = {"--vmk-file", "FILE", "read the key from FILE; - is standard input"},
    [OPTION_WAIT] = {"--wait", "SECONDS", "for the disk to turn up, at most (30)"},
    [OPTION_WIDTH] = {"--width", "COLUMNS", "width of the picture (of the terminal, or 80)"},
    [OPTION_XMM] = {"--xmm", NULL, "with --local: use 128-bit registers only, as drivers do"},
};

#define HOST    (OPTION_BIT(SOCKET))
#define QUERY   (OPTION_BIT(SOCKET) | OPTION_BIT(JSON))
#define OFFLINE (OPTION_BIT(VMK_FILE) | OPTION_BIT(JSON))
#define BY_TPM  (OPTION_BIT(TPM) | OPTION_BIT(PIN_FILE))
#define LOOK                                                                                       \
    (OFFLINE | OPTION_BIT(KEY_FILE) | OPTION_BIT(SLOT) | OPTION_BIT(UNLOCK) |                      \
     OPTION_BIT(SERVER_TIME) | BY_TPM)
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
     OPTION_BIT(VMK_FILE) | OPTION_BIT(KEY_FILE) | OPTION_BIT(SLOT) | OPTION_BIT(NBD) | BY_TPM |
         OPTION_BIT(SERVER_TIME) | QUERY,
     run_attach},
    {"detach", "VOLUME", 0, 1, "stop serving a volume", OPTION_BIT(ALL) | HOST, run_detach},
    {"encrypt", "VOLUME", 1, 1, "encrypt the data in place",
     OPTION_BIT(NO_WAIT) | OPTION_BIT(USED_ONLY) | OPTION_BIT(NBD) | HOST, run_encrypt},
    {"decrypt", "VOLUME", 1, 1, "decrypt the data in place", OPTION_BIT(NO_WAIT) | HOST,
     run_decrypt},
    {"pause", "VOLUME", 1, 1, "stop the sweep at a safe place", HOST, run_pause},
    {"resume", "VOLUME", 1, 1, "go on with what was suspended, or paused, and its direction",
     OPTION_BIT(NO_WAIT) | OPTION_BIT(VMK_FILE) | OPTION_BIT(KEY_FILE) | OPTION_BIT(SLOT) | BY_TPM |
         OPTION_BIT(SERVER_TIME) | HOST,
     run_resume},
    {"rekey", "VOLUME", 1, 1, "re-encrypt the data in place with a new key",
     OPTION_BIT(BACK) | OPTION_BIT(NO_WAIT) | HOST, run_rekey},
    {"suspend", "VOLUME", 1, 1, "freeze a volume and forget its keys until it is resumed", HOST,
     run_suspend},
    {"rate", "VOLUME MIB", 2, 2, "limit the sweep to MIB per second; 0 is no limit", HOST,
     run_rate},
    {"status", "VOLUME", 1, 1, "say how far one volume is", QUERY, run_status},
    {"list", "", 0, 0, "list the attached volumes", QUERY, run_list},
    {"info", "VOLUME", 1, 1, "print what every replica and the journal say", LOOK, run_info},
    {"map", "VOLUME", 1, 1, "draw what is where on a volume", OPTION_BIT(WIDTH) | LOOK | QUERY,
     run_map},
    {"check", "VOLUME", 1, 1, "compare replicas, journal and sizes of a volume not attached",
     OPTION_BIT(REPAIR) | OPTION_BIT(USE_REPLICA) | LOOK, run_check},
    {"key", "ACTION VOLUME [FILE]", 2, 3,
     "list, test, add, remove, change, label, rotate, backup, restore or erase the key slots of a "
     "volume",
     OPTION_BIT(KEY_FILE) | OPTION_BIT(SLOT) | OPTION_BIT(LABEL) | OPTION_BIT(TYPE) |
         OPTION_BIT(FORCE) | OPTION_BIT(NEW_VMK) | OPTION_BIT(BOOT_CONFIG) |
         OPTION_BIT(PCR_VALUES) | OPTION_BIT(PCRS) | OPTION_BIT(PIN) | BY_TPM | OPTIONS_OF_SERVERS |
         NEW_KEY | OFFLINE | HOST,
     run_key},
    {"bench", "", 0, 0, "measure the cipher",
     OPTION_BIT(SIZE) | OPTION_BIT(LOCAL) | OPTION_BIT(XMM) | QUERY, run_bench},
};

const struct grammar *vck_grammar(void)
{
    static struct grammar grammar = {
        .program = "vck",
        .purpose = "Encrypt, decrypt and look after volumes in place.",
        .options = specs,
        .option_count = OPTION_COUNT,
        .help_id = OPTION_HELP,
        .version_id = OPTION_VERSION,
        .verbs = verbs,
        .verb_count = VCK_ARRAY_COUNT(verbs),
    };

    grammar.more = os_words.more;
    grammar.absent_options = os_words.absent_options;
    grammar.option_help = os_words.option_help;
    grammar.system_verbs = os_words.verbs;
    grammar.system_verb_count = os_words.verb_count;
    return &grammar;
}

const char *option_name(enum option_id id)
{
    return specs[id].name;
}
