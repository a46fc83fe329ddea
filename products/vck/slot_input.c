/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot_input: what a new slot is made of, from the command line and the terminal.
 */
#include <string.h>
#include "port/port.h"
#include "products/vck/key.h"
#include "products/vck/os.h"
#include "products/vck/tang.h"
#include "products/vck/tpm.h"

#define SLOT_TAG        VCK_TAG('C', 's', 'l', 'o')
#define PASSPHRASE_MIN  8u
#define RANDOM_FILE_MIN 32u

static int read_passphrase(const struct command *command, struct secret_text *secret)
{
    const char *path = command->values[OPTION_NEW_KEY_FILE];
    int code = path != NULL ? secret_read(command, path, secret)
                            : secret_ask_new(command, "passphrase", PASSPHRASE_MIN, secret);
    return code == EXIT_OK ? secret_check_new(command, "passphrase", PASSPHRASE_MIN, secret) : code;
}

static int read_file(const struct command *command, struct secret_text *secret)
{
    const char *path = command->values[OPTION_NEW_KEY_FILE];
    const char *kdf = command->values[OPTION_KDF];
    if (path == NULL)
        return report_usage(command, "a key file is named with --new-key-file");
    int code = secret_read(command, path, secret);
    if (code != EXIT_OK || kdf == NULL || strcmp(kdf, "hkdf") != 0 ||
        secret->bytes.size_bytes >= RANDOM_FILE_MIN)
        return code;
    return report(command, EXIT_REFUSED,
                  "%s has %zu bytes; --kdf hkdf is for at least %u that are random", path,
                  secret->bytes.size_bytes, RANDOM_FILE_MIN);
}

static int make_recovery(const struct command *command, struct secret_text *secret)
{
    if (option_given(command, OPTION_NEW_KEY_FILE))
        return report_usage(command, "a recovery key is made, not read from --new-key-file");
    vck_status status = vck_random(secret->recovery, sizeof(secret->recovery));
    secret->is_recovery = true;
    return status == VCK_OK
               ? EXIT_OK
               : report(command, EXIT_FAILED, "no random bytes: %s", vck_status_text(status));
}

int slot_type(const struct command *command, uint16_t *ret_type)
{
    const char *name = command->values[OPTION_TYPE];
    bool has_servers = option_given(command, OPTION_TANG);
    if (name != NULL && has_servers)
        return report_usage(command, "--tang makes a network slot, which needs no --type");
    if (has_servers)
        *ret_type = VCK_KEY_NETWORK;
    else if (name == NULL || strcmp(name, "passphrase") == 0)
        *ret_type = VCK_KEY_PASSPHRASE;
    else if (strcmp(name, "key-file") == 0)
        *ret_type = VCK_KEY_FILE;
    else if (strcmp(name, "recovery") == 0)
        *ret_type = VCK_KEY_RECOVERY;
    else if (strcmp(name, "tpm") == 0)
        *ret_type = VCK_KEY_TPM;
    else
        return report_usage(
            command, "--type is %s; passphrase, key-file, recovery or tpm is expected", name);
    return EXIT_OK;
}

/* Options for a slot of another type would be passed over in silence. */
static int check_type(const struct command *command, uint16_t type)
{
    static const enum option_id of_servers[] = {OPTION_TANG, OPTION_THRESHOLD, OPTION_TRUST};
    static const enum option_id of_people[] = {OPTION_NEW_KEY_FILE, OPTION_KDF, OPTION_KDF_MEMORY,
                                               OPTION_KDF_PASSES, OPTION_KDF_TIME};
    bool is_network = type == VCK_KEY_NETWORK;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(of_servers) && !is_network; i++)
        if (option_given(command, of_servers[i]))
            return report_usage(command, "%s is for network slots", option_name(of_servers[i]));
    for (size_t i = 0; i < VCK_ARRAY_COUNT(of_people) && is_network; i++)
        if (option_given(command, of_people[i]))
            return report_usage(command, "a network slot takes no %s", option_name(of_people[i]));
    return EXIT_OK;
}

int new_slot_read(const struct command *command, uint16_t type, struct new_slot *ret_slot)
{
    int code = check_type(command, type);
    if (code != EXIT_OK)
        return code;
    ret_slot->type = type;
    if (type == VCK_KEY_NETWORK)
        return tang_bind(command, &ret_slot->secret.bytes, ret_slot->payload,
                         &ret_slot->payload_bytes);
    if (type == VCK_KEY_PASSPHRASE)
        code = read_passphrase(command, &ret_slot->secret);
    else if (type == VCK_KEY_FILE)
        code = read_file(command, &ret_slot->secret);
    else if (type == VCK_KEY_TPM)
        code = tpm_slot_make(command, ret_slot->old, ret_slot);
    else
        code = make_recovery(command, &ret_slot->secret);
    return code == EXIT_OK ? kdf_choose(command, type, &ret_slot->kdf) : code;
}

void new_slot_fini(struct new_slot *slot)
{
    secret_fini(&slot->secret);
}

struct vck_bytes new_slot_secret(const struct new_slot *slot)
{
    const struct secret_text *secret = &slot->secret;
    if (slot->type == VCK_KEY_PASSPHRASE)
        return secret->line;
    if (slot->type == VCK_KEY_FILE || slot->type == VCK_KEY_TPM || slot->type == VCK_KEY_NETWORK)
        return vck_secret_bytes(&secret->bytes);
    return (struct vck_bytes){secret->recovery, sizeof(secret->recovery)};
}

struct vck_bytes new_slot_payload(const struct new_slot *slot)
{
    return (struct vck_bytes){slot->payload, slot->payload_bytes};
}

void new_slot_show(const struct new_slot *slot)
{
    char text[VCK_KEY_RECOVERY_TEXT];
    if (slot->type != VCK_KEY_RECOVERY)
        return;
    vck_key_recovery_format(slot->secret.recovery, text);
    printf("Recovery key, shown this once; write it down and keep it away from the volume:\n%s\n",
           text);
    vck_wipe(text, sizeof(text));
}

int slot_put(const struct command *command, struct vck_key_session *session,
             const struct vck_key_slot_spec *spec, struct vck_bytes secret, struct vck_bytes vmk)
{
    uint8_t record[VCK_KEY_RECORD_BYTES_MAX];
    struct vck_key_slot old;
    uint32_t size;
    vck_status status = vck_key_slot_make(spec, session->tables.volume_id, secret, vmk,
                                          os_stretcher(), record, &size);
    const struct vck_bytes made = {record, status == VCK_OK ? size : 0};
    if (status == VCK_OK && vck_key_table_find(session->table, spec->number, &old) == VCK_OK)
        status = vck_key_table_replace(session->table, made);
    else if (status == VCK_OK)
        status = vck_key_table_add(session->table, made);
    if (status == VCK_DISK_FULL)
        return report(command, EXIT_REFUSED, "there is no room for another key slot");
    if (status != VCK_OK)
        return report(command, exit_code_of(status), "cannot make a key slot: %s",
                      vck_status_text(status));
    return EXIT_OK;
}

int session_commit(const struct command *command, const char *path, struct vck_key_session *session)
{
    vck_status status = vck_key_session_commit(session);
    if (status == VCK_OK)
        return EXIT_OK;
    if (status == VCK_IO && session->failed_replicas < session->store.layout.replica_count)
        return report(command, EXIT_PROBLEMS,
                      "%s: the change is made, but could not be written to %u of %u replicas; vck "
                      "check looks for the reason",
                      path, session->failed_replicas, session->store.layout.replica_count);
    return report(command, exit_code_of(status), "%s: cannot write the key slots: %s", path,
                  vck_status_text(status));
}

int key_add_first(const struct command *command, const char *path, struct vck_disk *disk,
                  const struct vck_secret *vmk, const struct new_slot *slot)
{
    const struct vck_bytes key = vck_secret_bytes(vmk);
    const struct vck_key_slot_spec spec = {
        .type = slot->type,
        .created_s = os_time_s(),
        .kdf = slot->kdf,
        .payload = new_slot_payload(slot),
    };
    struct vck_key_session *session = vck_alloc(sizeof(*session), SLOT_TAG);
    if (session == NULL)
        return report(command, EXIT_FAILED, "no memory for the key slots");
    vck_status status = vck_key_session_open(session, disk, key, false);
    int code = status == VCK_OK ? slot_put(command, session, &spec, new_slot_secret(slot), key)
                                : key_explain(command, path, status);
    if (code == EXIT_OK)
        code = session_commit(command, path, session);
    vck_key_session_fini(session);
    vck_free(session);
    return code;
}
