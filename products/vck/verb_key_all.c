/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_key_all: what vck key does with all slots at once: another volume master key, a backup of
 * everything, its return, and the end.
 */
#include <string.h>
#include "port/port.h"
#include "products/vck/agent.h"
#include "products/vck/carrier.h"
#include "products/vck/key_work.h"
#include "products/vck/os.h"
#include "vck/disk_io.h"
#include "vck/key_backup.h"

#define ALL_TAG   VCK_TAG('C', 'v', 'k', 'a')
#define VMK_BYTES 32u
#define TRIES     3

/* ---- rotate ---- */

/* What a slot opens with, of what somebody offers. */
static struct vck_bytes offered(const struct vck_key_slot *slot, const struct secret_text *secret)
{
    if (slot->type == VCK_KEY_PASSPHRASE)
        return secret->line;
    if (slot->type == VCK_KEY_FILE)
        return vck_secret_bytes(&secret->bytes);
    return (struct vck_bytes){secret->recovery, secret->is_recovery ? VCK_KEY_RECOVERY_BYTES : 0};
}

static bool does_open(const struct work *w, const struct vck_key_slot *slot,
                      const struct secret_text *secret)
{
    struct vck_secret vmk = {0};
    struct vck_bytes offer = offered(slot, secret);
    vck_status status = VCK_WRONG_KEY;
    if (offer.size_bytes > 0)
        status = vck_key_slot_open(slot, w->session.tables.volume_id, offer, os_stretcher(), &vmk);
    vck_secret_fini(&vmk);
    return status == VCK_OK;
}

/* On the terminal; a key file by its name. */
static int ask_one(const struct work *w, const struct vck_key_slot *slot,
                   struct secret_text *ret_secret)
{
    char question[64], name[VOLUME_PATH_BYTES];
    size_t size = 0;
    snprintf(question, sizeof(question), "%s of slot %u: ",
             slot->type == VCK_KEY_FILE       ? "Name of the key file"
             : slot->type == VCK_KEY_RECOVERY ? "Recovery key"
                                              : "Passphrase",
             slot->number);
    if (slot->type != VCK_KEY_FILE)
        return secret_ask(w->command, question, ret_secret);
    int error = os_ask(question, false, name, sizeof(name) - 1, &size);
    if (error != 0)
        return report(w->command, EXIT_FAILED, "cannot read from the terminal: %s",
                      os_error_text(error));
    name[size] = 0;
    return secret_read(w->command, name, ret_secret);
}

static int refuse_to_lose(const struct work *w, const struct vck_key_slot *slot)
{
    return report(w->command, EXIT_REFUSED,
                  "slot %u (%s) cannot be given the new key without its secret; --force removes "
                  "such slots",
                  slot->number, type_text(slot->type));
}

static int find_secret(const struct work *w, const struct vck_key_slot *slot,
                       struct secret_text *ret_secret)
{
    struct vck_key_kdf kdf;
    if (vck_key_slot_kdf(slot, &kdf) != VCK_OK || !os_can_ask())
        return refuse_to_lose(w, slot);
    for (int i = 0; i < TRIES; i++) {
        int code = ask_one(w, slot, ret_secret);
        if (code != EXIT_OK)
            return code;
        if (does_open(w, slot, ret_secret))
            return EXIT_OK;
        warn(w->command, "slot %u does not open with this", slot->number);
        secret_fini(ret_secret);
    }
    return report(w->command, EXIT_WRONG_KEY, "nothing was changed");
}

/* What stays of a slot whose key changes; kdf or payload is still to be set. The label is
 * borrowed. */
static struct vck_key_slot_spec spec_of(const struct vck_key_slot *slot)
{
    return (struct vck_key_slot_spec){
        .type = slot->type,
        .number = slot->number,
        .created_s = slot->created_s,
        .label = {(const uint8_t *)slot->label, strlen(slot->label)},
    };
}

static int rewrap(struct work *w, const struct vck_key_slot *slot, const struct secret_text *secret,
                  const struct vck_secret *vmk)
{
    struct vck_key_slot_spec spec = spec_of(slot);
    if (vck_key_slot_kdf(slot, &spec.kdf) != VCK_OK)
        return key_explain(w->command, w->path, VCK_UNSUPPORTED);
    return slot_put(w->command, &w->session, &spec, offered(slot, secret), vck_secret_bytes(vmk));
}

/* A slot whose secret nobody types: the same secret wraps the new key. */
static int rewrap_sealed(struct work *w, const struct vck_key_slot *slot,
                         const struct vck_secret *vmk)
{
    struct vck_key_slot_spec spec = spec_of(slot);
    struct slot_agent agent;
    struct vck_secret secret = {0};
    slot_agent_init(&agent, w->command);
    vck_status status = vck_key_slot_payload(slot, &spec.payload);
    if (status == VCK_OK)
        status = agent.base.secret(&agent.base, slot, spec.payload, &secret);
    int code = status == VCK_OK ? slot_put(w->command, &w->session, &spec,
                                           vck_secret_bytes(&secret), vck_secret_bytes(vmk))
                                : refuse_to_lose(w, slot);
    vck_secret_fini(&secret);
    slot_agent_fini(&agent);
    return code;
}

/* The slot that was opened needs no question; with --force the others go. */
static int rotate_slot(struct work *w, const struct vck_key_slot *slot,
                       const struct vck_secret *vmk)
{
    struct secret_text secret = {0};
    struct vck_bytes payload;
    bool is_sealed = vck_key_slot_payload(slot, &payload) == VCK_OK;
    if (w->access.by_slot && slot->number == w->access.unlocked.number)
        return is_sealed ? rewrap_sealed(w, slot, vmk) : rewrap(w, slot, &w->access.secret, vmk);
    if (option_given(w->command, OPTION_FORCE)) {
        warn(w->command, "slot %u is removed", slot->number);
        vck_status status = vck_key_table_remove(w->session.table, slot->number);
        return status == VCK_OK ? EXIT_OK : key_explain(w->command, w->path, status);
    }
    if (is_sealed)
        return rewrap_sealed(w, slot, vmk);
    int code = find_secret(w, slot, &secret);
    if (code == EXIT_OK)
        code = rewrap(w, slot, &secret, vmk);
    secret_fini(&secret);
    return code;
}

static int rotate_slots(struct work *w, const struct vck_secret *vmk)
{
    int code = EXIT_OK;
    for (uint32_t number = 0; number < VCK_KEY_SLOTS_MAX && code == EXIT_OK; number++) {
        struct vck_key_slot slot;
        if (vck_key_table_find(w->session.table, number, &slot) == VCK_OK)
            code = rotate_slot(w, &slot, vmk);
    }
    if (code == EXIT_OK && count_usable(w->session.table) == 0 &&
        !option_given(w->command, OPTION_NEW_VMK))
        code = report_usage(w->command, "no slot would hold the new key; --new-vmk keeps it in a "
                                        "file");
    return code;
}

static int make_vmk(const struct command *command, struct vck_secret *ret_vmk)
{
    if (option_given(command, OPTION_NEW_VMK))
        return key_create(command, ret_vmk);
    vck_status status = vck_secret_init(ret_vmk, VMK_BYTES);
    if (status == VCK_OK)
        status = vck_random(ret_vmk->data, ret_vmk->size_bytes);
    return status == VCK_OK
               ? EXIT_OK
               : report(command, EXIT_FAILED, "cannot make a key: %s", vck_status_text(status));
}

/* The second FVEK is wrapped under the VMK, and is in no backup. */
static int check_rekey(const struct work *w)
{
    if (!vck_store_is_rekeying(&w->session.store))
        return EXIT_OK;
    return report(w->command, EXIT_REFUSED,
                  "%s is being rekeyed; this has to wait until that is over (vck resume)", w->path);
}

static int write_rotation(struct work *w, const struct vck_secret *vmk) VCK_CAN_WAIT
{
    if (w->is_live)
        return live_rotate(w, vmk);
    vck_status status = vck_key_session_rotate(&w->session, vck_secret_bytes(vmk));
    if (status == VCK_OK) {
        printf("%s has a new volume master key\n", w->path);
        return EXIT_OK;
    }
    if (status == VCK_BUSY)
        return report(w->command, EXIT_REFUSED,
                      "%s: a sweep was cut short; attach and detach the volume first", w->path);
    return report(
        w->command, exit_code_of(status),
        "%s: the rotation is not complete (%s); the old and the new slots open the volume; "
        "do it again",
        w->path, vck_status_text(status));
}

/* Nothing was written. */
static bool was_refused(int code)
{
    return code == EXIT_REFUSED || code == EXIT_BUSY || code == EXIT_WRONG_KEY ||
           code == EXIT_PERMISSION;
}

int key_rotate(struct work *w)
{
    struct vck_secret vmk = {0};
    bool has_file = option_given(w->command, OPTION_NEW_VMK), is_made = false;
    int code = has_file ? key_check_new(w->command) : EXIT_OK;
    if (code == EXIT_OK)
        code = work_begin(w, 0, false);
    if (code == EXIT_OK)
        code = check_rekey(w);
    if (code == EXIT_OK) {
        code = make_vmk(w->command, &vmk);
        is_made = code == EXIT_OK;
    }
    if (code == EXIT_OK)
        code = rotate_slots(w, &vmk);
    bool is_untouched = code != EXIT_OK;
    if (code == EXIT_OK)
        code = write_rotation(w, &vmk);
    if (has_file && is_made && (is_untouched || was_refused(code)))
        key_remove_unused(w->command);
    vck_secret_fini(&vmk);
    return code;
}

/* ---- backup ---- */

static int write_file(const struct command *command, const char *path, const uint8_t *file,
                      size_t size)
{
    bool is_created;
    int error = os_create_private(path, file, size, &is_created);
    if (error == 0)
        return EXIT_OK;
    bool is_taken = !is_created && os_error_status(error) == VCK_ALREADY_EXISTS;
    return report(command, is_taken ? EXIT_REFUSED : EXIT_FAILED, "cannot create %s: %s", path,
                  os_error_text(error));
}

static int seal_backup(struct work *w, const struct new_slot *under, struct vck_key_backup *backup,
                       uint8_t *file)
{
    size_t size = 0;
    vck_status status = vck_key_backup_take(&w->session, os_time_s(), backup);
    if (status == VCK_OK)
        status = vck_key_backup_seal(backup, under->type, &under->kdf, new_slot_secret(under),
                                     os_stretcher(), file, &size);
    if (status != VCK_OK)
        return report(w->command, exit_code_of(status), "cannot make the backup: %s",
                      vck_status_text(status));
    return write_file(w->command, w->command->operands[2], file, size);
}

int key_backup(struct work *w)
{
    struct new_slot under = {0};
    struct vck_key_backup *backup = vck_alloc_pages(sizeof(*backup), ALL_TAG);
    uint8_t *file = vck_alloc_pages(VCK_KEY_BACKUP_BYTES_MAX, ALL_TAG);
    int code = EXIT_FAILED;
    if (backup == NULL || file == NULL)
        report(w->command, code, "no memory for the backup");
    else
        code = work_begin(w, DISK_READ_ONLY, false);
    if (code == EXIT_OK)
        code = check_rekey(w);
    if (code == EXIT_OK)
        code = new_slot_read(w->command, VCK_KEY_PASSPHRASE, &under);
    if (code == EXIT_OK)
        code = seal_backup(w, &under, backup, file);
    if (code == EXIT_OK)
        printf("%s holds all that opens %s, under its own passphrase\n", w->command->operands[2],
               w->path);
    if (backup != NULL)
        vck_key_backup_fini(backup);
    vck_free_pages(backup, sizeof(*backup));
    vck_free_pages(file, VCK_KEY_BACKUP_BYTES_MAX);
    new_slot_fini(&under);
    return code;
}

/* ---- restore ---- */

static int explain_backup(const struct work *w, vck_status status)
{
    const char *why = vck_status_text(status);
    if (status == VCK_SIGNATURE_MISMATCH)
        why = "this is not a backup of keys";
    else if (status == VCK_SIZE_MISMATCH)
        why = "a part of it is missing";
    else if (status == VCK_WRONG_KEY)
        why = "it does not open with this, or was changed";
    else if (status == VCK_UNSUPPORTED)
        why = "it is of a version, or sealed in a way, that is not known here";
    return report(w->command, exit_code_of(status), "%s: %s", w->command->operands[2], why);
}

static int explain_restore(const struct work *w, vck_status status)
{
    if (status == VCK_VALIDATION_FAILED)
        return report(w->command, EXIT_REFUSED, "%s: the backup is of another volume", w->path);
    if (status == VCK_SIZE_MISMATCH)
        return report(w->command, EXIT_REFUSED,
                      "%s: the disk has another size than at the time of the backup", w->path);
    if (status == VCK_WRONG_KEY)
        return report(
            w->command, EXIT_REFUSED,
            "%s has got another volume master key since the backup; --force writes back "
            "the metadata of then, right only if nothing was encrypted or decrypted since",
            w->path);
    if (status == VCK_IO || status == VCK_READ_ONLY || status == VCK_NO_MEMORY)
        return report(w->command, exit_code_of(status), "%s: cannot restore: %s", w->path,
                      vck_status_text(status));
    return report(
        w->command, EXIT_REFUSED,
        "%s: the metadata is lost (%s); --force writes back that of the backup, right only "
        "if nothing was encrypted or decrypted since",
        w->path, vck_status_text(status));
}

static int read_secret(struct work *w)
{
    const char *path = w->command->values[OPTION_KEY_FILE];
    if (path != NULL)
        return secret_read(w->command, path, &w->access.secret);
    if (!os_can_ask())
        return report_usage(w->command, "--key-file is needed where no terminal can be asked");
    return secret_ask(w->command, "Passphrase of the backup: ", &w->access.secret);
}

static int open_backup(struct work *w, struct vck_key_backup *ret_backup)
{
    const struct secret_text *secret = &w->access.secret;
    const struct vck_key_offer offer = {.passphrase = secret->line,
                                        .file = vck_secret_bytes(&secret->bytes)};
    struct secret_text file = {0};
    int code = secret_read(w->command, w->command->operands[2], &file);
    if (code == EXIT_OK) {
        vck_status status =
            vck_key_backup_open(vck_secret_bytes(&file.bytes), &offer, os_stretcher(), ret_backup);
        if (status != VCK_OK)
            code = explain_backup(w, status);
    }
    secret_fini(&file);
    return code;
}

/* Only the slots, and only under the VMK that the volume has. */
static int restore_live(struct work *w, const struct vck_key_backup *backup) VCK_CAN_WAIT
{
    const struct vck_bytes vmk = vck_secret_bytes(&backup->vmk);
    vck_status status = vck_key_session_open(&w->session, w->disk, vmk, true);
    if (status == VCK_OK &&
        memcmp(w->session.tables.volume_id, backup->volume_id, sizeof(backup->volume_id)) != 0)
        status = VCK_VALIDATION_FAILED;
    if (status == VCK_WRONG_KEY && option_given(w->command, OPTION_FORCE))
        return report(w->command, EXIT_BUSY,
                      "%s is attached; its metadata can only be restored when it is detached",
                      w->path);
    if (status == VCK_OK)
        status = vck_secret_init_copy(&w->access.vmk, vmk);
    if (status != VCK_OK)
        return explain_restore(w, status);
    w->starts_over = true;
    memcpy(w->session.table, &backup->table, sizeof(backup->table));
    return work_commit(w);
}

static int restore_to_disk(struct work *w, const struct vck_key_backup *backup) VCK_CAN_WAIT
{
    vck_status status =
        vck_key_backup_restore(backup, w->disk, option_given(w->command, OPTION_FORCE));
    return status == VCK_OK ? EXIT_OK : explain_restore(w, status);
}

int key_restore(struct work *w)
{
    struct vck_key_backup *backup = vck_alloc_pages(sizeof(*backup), ALL_TAG);
    if (backup == NULL)
        return report(w->command, EXIT_FAILED, "no memory for the backup");
    w->is_live = carrier_serves(w->command, w->path);
    int code =
        open_disk(w->command, w->path, w->is_live ? DISK_READ_ONLY | DISK_SHARED : 0, &w->disk);
    if (code == EXIT_OK)
        code = read_secret(w);
    if (code == EXIT_OK)
        code = open_backup(w, backup);
    if (code == EXIT_OK)
        code = w->is_live ? restore_live(w, backup) : restore_to_disk(w, backup);
    if (code == EXIT_OK) {
        uint32_t count = vck_key_table_count(&backup->table);
        printf("%s has %u key slot%s again\n", w->path, count, count == 1 ? "" : "s");
    }
    vck_key_backup_fini(backup);
    vck_free_pages(backup, sizeof(*backup));
    return code;
}

/* ---- erase ---- */

static int confirm(const struct work *w)
{
    char answer[16] = {0};
    size_t size = 0;
    if (option_given(w->command, OPTION_FORCE))
        return EXIT_OK;
    if (!os_can_ask())
        return report_usage(w->command, "--force is needed where no terminal can be asked");
    fprintf(stderr,
            "All key slots of %s go, for good. Only somebody who has the volume master key, or a\n"
            "backup of the slots, can open the volume then.\n",
            w->path);
    int error = os_ask("Type erase to do it: ", false, answer, sizeof(answer), &size);
    if (error == 0 && size == 5 && memcmp(answer, "erase", 5) == 0)
        return EXIT_OK;
    return report(w->command, EXIT_REFUSED, "nothing was changed");
}

static int report_unerased(const struct work *w, uint32_t failed)
{
    return report(w->command, EXIT_PROBLEMS,
                  "%s: %u replicas could not be written and may "
                  "still hold their slots",
                  w->path, failed);
}

static int erase_from_disk(struct work *w) VCK_CAN_WAIT
{
    uint32_t failed;
    vck_status status = vck_key_erase(w->disk, &failed);
    if (status == VCK_IO && failed > 0)
        return report_unerased(w, failed);
    return status == VCK_OK ? EXIT_OK : key_explain(w->command, w->path, status);
}

int key_erase(struct work *w)
{
    uint32_t failed = 0;
    w->is_live = carrier_serves(w->command, w->path);
    int code = w->is_live ? EXIT_OK : open_disk(w->command, w->path, 0, &w->disk);
    if (code == EXIT_OK)
        code = confirm(w);
    if (code == EXIT_OK)
        code = w->is_live ? live_erase(w, &failed) : erase_from_disk(w);
    if (code == EXIT_OK && failed > 0)
        code = report_unerased(w, failed);
    if (code == EXIT_OK)
        puts("all key slots are erased");
    return code;
}
