/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_input: passphrases, key files and recovery keys, and what opens with them. The bytes go
 * into secrets and nowhere else; no message contains any of them.
 */
#include <string.h>
#include "port/port.h"
#include "products/vck/agent.h"
#include "products/vck/key.h"
#include "products/vck/os.h"
#include "vck/disk_io.h"

#define INPUT_TAG   VCK_TAG('C', 's', 'e', 'c')
#define LINE_BYTES  1024u
#define TRIES       3
#define WEAK_BITS   40u
#define STRONG_BITS 70u

/* ---- one secret ---- */

/* What the bytes are when they are taken for a line, or for a recovery key. */
static void read_as_text(struct secret_text *secret)
{
    uint32_t group;
    const uint8_t *data = secret->bytes.data;
    size_t line = secret->bytes.size_bytes;
    if (line > 0 && data[line - 1] == '\n')
        line--;
    if (line > 0 && data[line - 1] == '\r')
        line--;
    secret->line = (struct vck_bytes){data, line};
    secret->is_recovery = vck_key_recovery_parse(secret->line, secret->recovery, &group) == VCK_OK;
}

static int take_secret(const struct command *command, const uint8_t *data, size_t size,
                       struct secret_text *ret_secret)
{
    vck_status status = vck_secret_init_copy(&ret_secret->bytes, (struct vck_bytes){data, size});
    if (status != VCK_OK)
        return report(command, EXIT_FAILED, "cannot keep a secret: %s", vck_status_text(status));
    read_as_text(ret_secret);
    return EXIT_OK;
}

void secret_fini(struct secret_text *secret)
{
    vck_secret_fini(&secret->bytes);
    vck_wipe(secret, sizeof(*secret));
}

int secret_read(const struct command *command, const char *path, struct secret_text *ret_secret)
{
    int code = secret_file_read(command, path, VCK_KEY_SECRET_BYTES_MAX, &ret_secret->bytes);
    if (code == EXIT_OK)
        read_as_text(ret_secret);
    return code;
}

int secret_ask(const struct command *command, const char *question, struct secret_text *ret_secret)
{
    char *line = vck_alloc_pages(LINE_BYTES, INPUT_TAG);
    size_t size = 0;
    int code = EXIT_FAILED;
    if (line == NULL)
        return report(command, code, "no memory for a secret");
    int error = os_ask(question, true, line, LINE_BYTES, &size);
    if (error != 0)
        report(command, code, "cannot read from the terminal: %s", os_error_text(error));
    else if (size == 0)
        report(command, code, "nothing was entered");
    else if (size == LINE_BYTES - 1)
        report(command, code, "what was entered is too long; at most %u bytes are expected",
               LINE_BYTES - 2);
    else
        code = take_secret(command, (const uint8_t *)line, size, ret_secret);
    vck_wipe(line, LINE_BYTES);
    vck_free_pages(line, LINE_BYTES);
    return code;
}

static bool are_equal(const struct secret_text *a, const struct secret_text *b)
{
    return a->bytes.size_bytes == b->bytes.size_bytes &&
           vck_equal_constant_time(a->bytes.data, b->bytes.data, a->bytes.size_bytes);
}

static void show_strength(const struct secret_text *secret)
{
    unsigned bits = strength_bits((const char *)secret->line.data, secret->line.size_bytes);
    fprintf(stderr, "Strength: about %u bits, %s\n", bits,
            bits < WEAK_BITS     ? "weak; several random words are better"
            : bits < STRONG_BITS ? "fair"
                                 : "strong");
}

int secret_check_new(const struct command *command, const char *what, size_t least_bytes,
                     const struct secret_text *secret)
{
    size_t size = secret->line.size_bytes;
    if (size == 0)
        return report(command, EXIT_REFUSED, "the new %s is empty", what);
    if (size < least_bytes && !option_given(command, OPTION_FORCE))
        return report(command, EXIT_REFUSED,
                      "the new %s has %zu bytes and at least %zu are expected; --force takes it "
                      "all the same",
                      what, size, least_bytes);
    return EXIT_OK;
}

int secret_ask_new(const struct command *command, const char *what, size_t least_bytes,
                   struct secret_text *ret_secret)
{
    char question[80];
    struct secret_text again = {0};
    if (!os_can_ask())
        return report_usage(command, "--new-key-file is needed where no terminal can be asked");
    snprintf(question, sizeof(question), "New %s: ", what);
    int code = secret_ask(command, question, ret_secret);
    if (code == EXIT_OK)
        code = secret_check_new(command, what, least_bytes, ret_secret);
    if (code != EXIT_OK)
        return code;
    show_strength(ret_secret);
    snprintf(question, sizeof(question), "The same again: ");
    code = secret_ask(command, question, &again);
    if (code == EXIT_OK && !are_equal(ret_secret, &again))
        code = report(command, EXIT_FAILED, "the two entries differ; nothing was changed");
    secret_fini(&again);
    return code;
}

int secret_check_sources(const struct command *command)
{
    static const enum option_id sources[] = {OPTION_KEY_FILE, OPTION_NEW_KEY_FILE, OPTION_PIN_FILE,
                                             OPTION_VMK_FILE};
    unsigned count = 0;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sources); i++)
        if (option_given(command, sources[i]) && strcmp(command->values[sources[i]], "-") == 0)
            count++;
    if (count > 1)
        return report_usage(command, "only one secret can come from standard input");
    if (option_given(command, OPTION_KEY_FILE) && option_given(command, OPTION_VMK_FILE))
        return report_usage(command, "--key-file and --vmk-file exclude each other");
    if (option_given(command, OPTION_UNLOCK) &&
        (option_given(command, OPTION_KEY_FILE) || option_given(command, OPTION_VMK_FILE)))
        return report_usage(command, "--unlock asks, and takes neither --key-file nor --vmk-file");
    return EXIT_OK;
}

/* ---- opening a volume ---- */

int key_explain(const struct command *command, const char *path, vck_status status)
{
    const char *why = NULL;
    switch (status) {
    case VCK_WRONG_KEY:
        why = "no key slot opens with this";
        break;
    case VCK_NOT_FOUND:
        why = "there is no key slot that this could be for";
        break;
    case VCK_TAMPERED:
        why = "the table of key slots is not authentic: somebody has changed it";
        break;
    case VCK_CHECKSUM_MISMATCH:
        why = "no replica has a whole table of key slots";
        break;
    case VCK_UNSUPPORTED:
        why = "the key slots, or the volume, are of a kind or version that is not known here";
        break;
    case VCK_SIGNATURE_MISMATCH:
        why = "this is not a JVCK volume";
        break;
    default:
        why = vck_status_text(status);
        break;
    }
    return report(command, exit_code_of(status), "%s: %s", path, why);
}

static vck_status unlock(struct vck_disk *disk, struct key_access *access) VCK_CAN_WAIT
{
    const struct secret_text *secret = &access->secret;
    struct vck_key_offer offer = {
        .passphrase = secret->line,
        .file = vck_secret_bytes(&secret->bytes),
        .recovery = {secret->recovery, secret->is_recovery ? sizeof(secret->recovery) : 0},
    };
    offer.has_number = access->has_number;
    offer.number = access->number;
    return vck_key_unlock(disk, &offer, os_stretcher(), &access->vmk, &access->unlocked);
}

/* By slots for which nothing but a PIN is typed. *ret_asked: there are some. */
static vck_status unlock_by_agent(const struct command *command, struct vck_disk *disk,
                                  struct key_access *access, bool *ret_asked) VCK_CAN_WAIT
{
    struct slot_agent agent;
    const struct vck_key_offer offer = {
        .agent = &agent.base, .has_number = access->has_number, .number = access->number};
    slot_agent_init(&agent, command);
    vck_status status =
        vck_key_unlock(disk, &offer, os_stretcher(), &access->vmk, &access->unlocked);
    *ret_asked = agent.asked > 0;
    slot_agent_fini(&agent);
    return status;
}

/* Somebody who types may slip. */
static int ask_and_unlock(const struct command *command, const char *path, struct vck_disk *disk,
                          struct key_access *access) VCK_CAN_WAIT
{
    char question[80];
    vck_status status = VCK_WRONG_KEY;
    if (!os_can_ask())
        return report_usage(command,
                            "--key-file or --vmk-file is needed where no terminal can be asked");
    snprintf(question, sizeof(question), "Passphrase or recovery key: ");
    for (int i = 0; i < TRIES && status == VCK_WRONG_KEY; i++) {
        secret_fini(&access->secret);
        int code = secret_ask(command, question, &access->secret);
        if (code != EXIT_OK)
            return code;
        status = unlock(disk, access);
        if (status == VCK_WRONG_KEY && i + 1 < TRIES)
            warn(command, "no key slot opens with this");
    }
    return status == VCK_OK ? EXIT_OK : key_explain(command, path, status);
}

int key_access_open(const struct command *command, const char *path, struct vck_disk *disk,
                    struct key_access *ret_access)
{
    int code = secret_check_sources(command);
    if (code != EXIT_OK)
        return code;
    if (option_given(command, OPTION_VMK_FILE))
        return key_read(command, &ret_access->vmk);
    ret_access->by_slot = true;
    if (!option_given(command, OPTION_KEY_FILE)) {
        bool was_asked = false;
        if (unlock_by_agent(command, disk, ret_access, &was_asked) == VCK_OK)
            return EXIT_OK;
        if (was_asked && !os_can_ask())
            return report(command, EXIT_WRONG_KEY, "%s: no key slot opens by itself", path);
        return ask_and_unlock(command, path, disk, ret_access);
    }
    code = secret_read(command, command->values[OPTION_KEY_FILE], &ret_access->secret);
    if (code != EXIT_OK)
        return code;
    vck_status status = unlock(disk, ret_access);
    return status == VCK_OK ? EXIT_OK : key_explain(command, path, status);
}

int key_access_look(const struct command *command, const char *path, struct key_access *ret_access)
{
    struct vck_disk *disk = NULL;
    int code = open_disk(command, path, DISK_READ_ONLY | DISK_SHARED, &disk);
    if (code == EXIT_OK)
        code = key_access_open(command, path, disk, ret_access);
    vck_disk_close(disk);
    return code;
}

bool key_is_wanted(const struct command *command)
{
    return option_given(command, OPTION_VMK_FILE) || option_given(command, OPTION_KEY_FILE) ||
           option_given(command, OPTION_SLOT) || option_given(command, OPTION_UNLOCK) ||
           option_given(command, OPTION_TPM) || option_given(command, OPTION_PIN_FILE);
}

void key_access_fini(struct key_access *access)
{
    vck_secret_fini(&access->vmk);
    secret_fini(&access->secret);
}

int key_access_find(const struct command *command, const char *path, struct key_access *access)
{
    access->has_number = option_given(command, OPTION_SLOT);
    if (access->has_number && option_given(command, OPTION_VMK_FILE))
        return report_usage(command, "--slot and --vmk-file exclude each other");
    int code = secret_check_sources(command);
    if (code == EXIT_OK)
        code = option_u32(command, OPTION_SLOT, 0, VCK_KEY_SLOTS_MAX - 1, 0, &access->number);
    if (code != EXIT_OK)
        return code;
    return option_given(command, OPTION_VMK_FILE) ? key_read(command, &access->vmk)
                                                  : key_access_look(command, path, access);
}
