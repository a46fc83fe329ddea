/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_key: the key slots of a volume. Whoever changes them has shown that they can open the
 * volume. Of one that is attached they are read from the disk and written by its host.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include "port/port.h"
#include "products/vck/carrier.h"
#include "products/vck/json.h"
#include "products/vck/key_work.h"
#include "products/vck/os.h"
#include "products/vck/tang.h"
#include "products/vck/tpm.h"
#include "vck/disk_io.h"

#define WORK_TAG VCK_TAG('C', 'v', 'k', 'y')

/* ---- words ---- */

const char *type_text(uint16_t type)
{
    static const char *const texts[] = {[VCK_KEY_PASSPHRASE] = "passphrase",
                                        [VCK_KEY_FILE] = "key-file",
                                        [VCK_KEY_RECOVERY] = "recovery",
                                        [VCK_KEY_TPM] = "tpm",
                                        [VCK_KEY_NETWORK] = "network"};
    return type < VCK_ARRAY_COUNT(texts) && texts[type] != NULL ? texts[type] : "unknown";
}

static const char *kdf_name(const struct vck_key_kdf *kdf)
{
    static const char *const names[] = {"hkdf", "argon2id", "pbkdf2"};
    return names[kdf->kind];
}

#define KDF_TEXT_BYTES TPM_TEXT_BYTES
static const char *kdf_text(const struct vck_key_slot *slot, char buffer[KDF_TEXT_BYTES])
{
    struct vck_key_kdf kdf;
    struct vck_bytes payload;
    if (slot->type == VCK_KEY_TPM && vck_key_slot_payload(slot, &payload) == VCK_OK)
        return tpm_slot_text(payload, buffer);
    if (slot->type == VCK_KEY_NETWORK)
        return tang_text(slot, buffer);
    if (vck_key_slot_kdf(slot, &kdf) != VCK_OK)
        snprintf(buffer, KDF_TEXT_BYTES, "-");
    else if (kdf.kind == VCK_KEY_ARGON2ID)
        snprintf(buffer, KDF_TEXT_BYTES, "argon2id %" PRIu32 " MiB x%" PRIu32 ", %" PRIu32 " lanes",
                 kdf.memory_kib / 1024, kdf.passes, kdf.lanes);
    else if (kdf.kind == VCK_KEY_PBKDF2)
        snprintf(buffer, KDF_TEXT_BYTES, "pbkdf2 x%" PRIu32, kdf.passes);
    else
        snprintf(buffer, KDF_TEXT_BYTES, "hkdf");
    return buffer;
}

#define TIME_TEXT_BYTES 32
static const char *time_text(uint64_t created_s, char buffer[TIME_TEXT_BYTES])
{
    time_t when = (time_t)created_s;
    const struct tm *parts =
        created_s != 0 && created_s < INT32_MAX * UINT64_C(100) ? gmtime(&when) : NULL;
    if (parts == NULL || strftime(buffer, TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", parts) == 0)
        snprintf(buffer, TIME_TEXT_BYTES, "-");
    return buffer;
}

/* Nothing in a label reaches the terminal as a command. */
static void print_label(const char *label)
{
    for (const unsigned char *at = (const unsigned char *)label; *at != 0; at++) {
        bool is_c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
        putchar(*at < 0x20 || *at == 0x7f || is_c1 ? '?' : *at);
        at += is_c1;
    }
    putchar('\n');
}

/* ---- what there is ---- */

static void print_policy_json(struct json *json, const struct vck_key_slot *slot)
{
    struct vck_tpm_policy policy = {0};
    struct vck_bytes payload;
    if (vck_key_slot_payload(slot, &payload) != VCK_OK ||
        vck_tpm_policy_of(payload, &policy) != VCK_OK)
        return;
    json_array_begin(json, "pcrs");
    for (unsigned i = 0; i < VCK_TPM_PCRS; i++)
        if ((policy.pcrs >> i & 1u) != 0)
            json_u64(json, NULL, i);
    json_array_end(json);
    json_bool(json, "pin", policy.has_pin);
}

static void print_slot_json(struct json *json, const struct vck_key_slot *slot)
{
    struct vck_key_kdf kdf;
    char uuid[UUID_TEXT_BYTES];
    char created[TIME_TEXT_BYTES];
    bool is_known = vck_key_slot_kdf(slot, &kdf) == VCK_OK;
    json_object_begin(json, NULL);
    json_u64(json, "slot", slot->number);
    json_string(json, "type", type_text(slot->type));
    json_u64(json, "type_number", slot->type);
    json_string(json, "uuid", uuid_text(slot->uuid, uuid));
    json_string(json, "label", slot->label);
    json_string(json, "created", slot->created_s != 0 ? time_text(slot->created_s, created) : NULL);
    json_string(json, "kdf", is_known ? kdf_name(&kdf) : NULL);
    json_u64(json, "kdf_passes", is_known ? kdf.passes : 0);
    json_u64(json, "kdf_memory_kib", is_known ? kdf.memory_kib : 0);
    json_u64(json, "kdf_lanes", is_known ? kdf.lanes : 0);
    if (slot->type == VCK_KEY_TPM)
        print_policy_json(json, slot);
    tang_print_json(json, slot);
    json_object_end(json);
}

static void print_json(const struct work *w, const struct vck_key_tables *tables,
                       const struct vck_key_table *table, bool is_authentic)
{
    struct json json = {0};
    struct vck_key_slot slot;
    json_object_begin(&json, NULL);
    json_string(&json, "volume", w->path);
    json_bool(&json, "authenticated", is_authentic);
    json_u64(&json, "generation", table != NULL ? vck_key_table_generation(table) : 0);
    json_array_begin(&json, "slots");
    for (uint32_t i = 0; table != NULL && vck_key_table_at(table, i, &slot) == VCK_OK; i++)
        print_slot_json(&json, &slot);
    json_array_end(&json);
    json_array_begin(&json, "copies");
    for (uint32_t i = 0; i < tables->copy_count; i++) {
        json_object_begin(&json, NULL);
        json_u64(&json, "replica", i / 2);
        json_u64(&json, "copy", i % 2);
        json_string(&json, "status", vck_status_name(tables->copies[i].status));
        json_u64(&json, "generation", tables->copies[i].generation);
        json_object_end(&json);
    }
    json_array_end(&json);
    json_object_end(&json);
}

static void print_text(const struct vck_key_table *table)
{
    struct vck_key_slot slot;
    char kdf[KDF_TEXT_BYTES];
    char created[TIME_TEXT_BYTES];
    if (table == NULL || vck_key_table_count(table) == 0) {
        puts("no key slots");
        return;
    }
    printf("slot  type        kdf                           created               label\n");
    for (uint32_t i = 0; vck_key_table_at(table, i, &slot) == VCK_OK; i++) {
        printf("%4u  %-10s  %-28s  %-20s  ", slot.number, type_text(slot.type),
               kdf_text(&slot, kdf), time_text(slot.created_s, created));
        print_label(slot.label);
        tang_print_text(&slot);
    }
}

static int list_tables(struct work *w, const struct vck_key_tables *tables)
{
    bool has_key = w->access.vmk.data != NULL;
    const struct vck_key_table *table =
        has_key ? vck_key_tables_current(tables, work_vmk(w)) : tables->tables;
    if (!has_key && tables->table_count == 0)
        table = NULL;
    if (has_key && table == NULL && tables->table_count > 0)
        return key_explain(w->command, w->path, VCK_TAMPERED);
    if (tables->any_future)
        return key_explain(w->command, w->path, VCK_UNSUPPORTED);
    if (table == NULL && tables->any_damaged)
        return key_explain(w->command, w->path, VCK_CHECKSUM_MISMATCH);
    if (option_given(w->command, OPTION_JSON))
        print_json(w, tables, table, has_key && table != NULL);
    else
        print_text(table);
    if (tables->any_damaged)
        warn(w->command,
             "warning: %s: some copies of the table are damaged; the next change "
             "writes them anew",
             w->path);
    return EXIT_OK;
}

/* Without a key the list is what the disk says; with one it is authentic. */
static int list(struct work *w) VCK_CAN_WAIT
{
    struct vck_key_tables tables = {0};
    int code = open_disk(w->command, w->path, DISK_READ_ONLY | DISK_SHARED, &w->disk);
    if (code != EXIT_OK)
        return code;
    vck_status status = vck_store_inspect(&w->session.store, w->disk);
    if (status == VCK_OK)
        status = vck_key_tables_read(&tables, &w->session.store);
    if (status != VCK_OK)
        code = key_explain(w->command, w->path, status);
    bool has_key =
        option_given(w->command, OPTION_KEY_FILE) || option_given(w->command, OPTION_VMK_FILE);
    if (code == EXIT_OK && has_key)
        code = key_access_open(w->command, w->path, w->disk, &w->access);
    if (code == EXIT_OK)
        code = list_tables(w, &tables);
    vck_key_tables_fini(&tables);
    return code;
}

static int test(struct work *w) VCK_CAN_WAIT
{
    w->access.has_number = option_given(w->command, OPTION_SLOT);
    w->access.number = w->number;
    int code = key_access_look(w->command, w->path, &w->access);
    if (code != EXIT_OK)
        return code;
    const struct vck_key_unlocked *unlocked = &w->access.unlocked;
    if (option_given(w->command, OPTION_JSON)) {
        struct json json = {0};
        json_object_begin(&json, NULL);
        json_string(&json, "volume", w->path);
        json_u64(&json, "slot", unlocked->number);
        json_string(&json, "type", type_text(unlocked->type));
        json_object_end(&json);
    } else {
        printf("slot %u (%s) opens %s\n", unlocked->number, type_text(unlocked->type), w->path);
    }
    return EXIT_OK;
}

/* ---- changes ---- */

int work_begin(struct work *w, unsigned flags, bool start_over)
{
    w->is_live = carrier_serves(w->command, w->path);
    w->starts_over = start_over;
    if (w->is_live)
        flags = DISK_READ_ONLY | DISK_SHARED;
    int code = open_disk(w->command, w->path, flags, &w->disk);
    if (code == EXIT_OK)
        code = key_access_open(w->command, w->path, w->disk, &w->access);
    if (code != EXIT_OK)
        return code;
    vck_status status = vck_key_session_open(&w->session, w->disk, work_vmk(w), start_over);
    if (status == VCK_WRONG_KEY)
        return report(w->command, EXIT_WRONG_KEY, "%s: the key does not open it", w->path);
    if ((status == VCK_TAMPERED || status == VCK_CHECKSUM_MISMATCH) &&
        strcmp(w->command->operands[0], "add") == 0)
        warn(w->command, "--force gives up the slots that are there and begins anew");
    return status == VCK_OK ? EXIT_OK : key_explain(w->command, w->path, status);
}

int work_commit(struct work *w)
{
    return w->is_live ? live_change(w) : session_commit(w->command, w->path, &w->session);
}

static int find_slot(struct work *w, struct vck_key_slot *ret_slot)
{
    if (vck_key_table_find(w->session.table, w->number, ret_slot) == VCK_OK)
        return EXIT_OK;
    return report(w->command, EXIT_NOT_FOUND, "%s has no key slot %u", w->path, w->number);
}

static int read_label(const struct command *command, struct vck_bytes *ret_label)
{
    const char *label = command->values[OPTION_LABEL];
    *ret_label = (struct vck_bytes){(const uint8_t *)label, label != NULL ? strlen(label) : 0};
    bool is_possible = vck_key_label_is_possible(*ret_label);
    for (size_t i = 0; i < ret_label->size_bytes; i++)
        is_possible &= ret_label->data[i] >= 0x20 && ret_label->data[i] != 0x7f;
    if (is_possible)
        return EXIT_OK;
    return report_usage(command, "--label takes up to %u bytes of UTF-8 without control characters",
                        VCK_KEY_LABEL_BYTES);
}

static int choose_number(struct work *w)
{
    struct vck_key_slot slot;
    if (!option_given(w->command, OPTION_SLOT)) {
        if (vck_key_table_free_number(w->session.table, &w->number) == VCK_OK)
            return EXIT_OK;
        return report(w->command, EXIT_REFUSED, "%s: all %u key slots are taken", w->path,
                      VCK_KEY_SLOTS_MAX);
    }
    if (vck_key_table_find(w->session.table, w->number, &slot) == VCK_NOT_FOUND)
        return EXIT_OK;
    return report(w->command, EXIT_REFUSED,
                  "%s: key slot %u is taken; vck key change gives it another secret", w->path,
                  w->number);
}

static int add(struct work *w) VCK_CAN_WAIT
{
    struct new_slot slot = {0};
    struct vck_key_slot_spec spec = {.created_s = os_time_s()};
    int code = slot_type(w->command, &spec.type);
    if (code == EXIT_OK)
        code = read_label(w->command, &spec.label);
    if (code == EXIT_OK)
        code = work_begin(w, 0, option_given(w->command, OPTION_FORCE));
    if (code == EXIT_OK)
        code = choose_number(w);
    if (code == EXIT_OK)
        code = new_slot_read(w->command, spec.type, &slot);
    if (code == EXIT_OK) {
        spec.number = (uint16_t)w->number;
        spec.kdf = slot.kdf;
        spec.payload = new_slot_payload(&slot);
        code = slot_put(w->command, &w->session, &spec, new_slot_secret(&slot), work_vmk(w));
    }
    if (code == EXIT_OK)
        code = work_commit(w);
    if (code == EXIT_OK || code == EXIT_PROBLEMS) {
        new_slot_show(&slot);
        printf("key slot %u is made\n", w->number);
    }
    new_slot_fini(&slot);
    return code;
}

uint32_t count_usable(const struct vck_key_table *table)
{
    struct vck_key_slot slot;
    struct vck_key_kdf kdf;
    uint32_t count = 0;
    for (uint32_t i = 0; vck_key_table_at(table, i, &slot) == VCK_OK; i++)
        count += vck_key_slot_kdf(&slot, &kdf) == VCK_OK;
    return count;
}

static int remove_slot(struct work *w) VCK_CAN_WAIT
{
    struct vck_key_slot slot;
    int code = work_begin(w, 0, false);
    if (code == EXIT_OK)
        code = find_slot(w, &slot);
    if (code != EXIT_OK)
        return code;
    vck_status status = vck_key_table_remove(w->session.table, w->number);
    if (status != VCK_OK)
        return key_explain(w->command, w->path, status);
    if (count_usable(w->session.table) == 0 && !option_given(w->command, OPTION_FORCE))
        return report(w->command, EXIT_REFUSED,
                      "key slot %u is the last one: without it only the volume master key opens "
                      "%s; --force removes it all the same",
                      w->number, w->path);
    code = work_commit(w);
    if (code == EXIT_OK)
        printf("key slot %u is removed\n", w->number);
    return code;
}

/* The slot that was opened, or --slot. */
static int change(struct work *w) VCK_CAN_WAIT
{
    struct new_slot made = {0};
    struct vck_key_slot slot;
    int code = work_begin(w, 0, false);
    if (code == EXIT_OK && !option_given(w->command, OPTION_SLOT)) {
        if (!w->access.by_slot)
            code = report_usage(w->command, "--slot is needed beside --vmk-file");
        w->number = w->access.unlocked.number;
    }
    if (code == EXIT_OK)
        code = find_slot(w, &slot);
    if (code == EXIT_OK && strcmp(type_text(slot.type), "unknown") == 0)
        code = key_explain(w->command, w->path, VCK_UNSUPPORTED);
    made.old = &slot;
    if (code == EXIT_OK)
        code = new_slot_read(w->command, slot.type, &made);
    if (code == EXIT_OK) {
        const struct vck_key_slot_spec spec = {
            .type = slot.type,
            .number = slot.number,
            .created_s = os_time_s(),
            .label = {(const uint8_t *)slot.label, strlen(slot.label)},
            .kdf = made.kdf,
            .payload = new_slot_payload(&made),
        };
        code = slot_put(w->command, &w->session, &spec, new_slot_secret(&made), work_vmk(w));
    }
    if (code == EXIT_OK)
        code = work_commit(w);
    if (code == EXIT_OK || code == EXIT_PROBLEMS) {
        new_slot_show(&made);
        printf("key slot %u is changed\n", w->number);
    }
    new_slot_fini(&made);
    return code;
}

static int label(struct work *w) VCK_CAN_WAIT
{
    struct vck_key_slot slot;
    struct vck_bytes text;
    int code = read_label(w->command, &text);
    if (code == EXIT_OK)
        code = work_begin(w, 0, false);
    if (code == EXIT_OK)
        code = find_slot(w, &slot);
    if (code != EXIT_OK)
        return code;
    vck_status status = vck_key_table_set_label(w->session.table, w->number, text);
    if (status != VCK_OK)
        return key_explain(w->command, w->path, status);
    return work_commit(w);
}

/* ---- which ---- */

#define UNLOCK                                                                                     \
    (OPTION_BIT(KEY_FILE) | OPTION_BIT(VMK_FILE) | OPTION_BIT(TPM) | OPTION_BIT(PIN_FILE) |        \
     OPTION_BIT(SERVER_TIME))
#define KDF_SET                                                                                    \
    (OPTION_BIT(KDF) | OPTION_BIT(KDF_MEMORY) | OPTION_BIT(KDF_PASSES) | OPTION_BIT(KDF_TIME))
#define SECRET (OPTION_BIT(NEW_KEY_FILE) | KDF_SET | OPTION_BIT(FORCE))
#define SEALED                                                                                     \
    (OPTION_BIT(PCRS) | OPTION_BIT(PCR_VALUES) | OPTION_BIT(BOOT_CONFIG) | OPTION_BIT(PIN))
#define SERVERS (OPTION_BIT(TANG) | OPTION_BIT(THRESHOLD) | OPTION_BIT(TRUST))

static const struct action {
    const char *name;
    uint64_t options;
    uint64_t needed;
    unsigned operands;
    int (*run)(struct work *work);
} actions[] = {
    {"list", UNLOCK | OPTION_BIT(JSON), 0, 2, list},
    {"test",
     OPTION_BIT(KEY_FILE) | OPTION_BIT(TPM) | OPTION_BIT(PIN_FILE) | OPTION_BIT(SLOT) |
         OPTION_BIT(SERVER_TIME) | OPTION_BIT(JSON),
     0, 2, test},
    {"add",
     UNLOCK | SECRET | SEALED | SERVERS | OPTION_BIT(TYPE) | OPTION_BIT(SLOT) | OPTION_BIT(LABEL),
     0, 2, add},
    {"remove", UNLOCK | OPTION_BIT(SLOT) | OPTION_BIT(FORCE), OPTION_BIT(SLOT), 2, remove_slot},
    {"change", UNLOCK | SECRET | SEALED | SERVERS | OPTION_BIT(SLOT), 0, 2, change},
    {"label", UNLOCK | OPTION_BIT(SLOT) | OPTION_BIT(LABEL), OPTION_BIT(SLOT) | OPTION_BIT(LABEL),
     2, label},
    {"rotate", UNLOCK | OPTION_BIT(NEW_VMK) | OPTION_BIT(FORCE), 0, 2, key_rotate},
    {"backup", UNLOCK | SECRET, 0, 3, key_backup},
    {"restore", OPTION_BIT(KEY_FILE) | OPTION_BIT(FORCE), 0, 3, key_restore},
    {"erase", OPTION_BIT(FORCE), 0, 2, key_erase},
};

static int find_action(const struct command *command, const struct action **ret_action)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(actions); i++) {
        if (strcmp(actions[i].name, command->operands[0]) == 0) {
            *ret_action = &actions[i];
            return EXIT_OK;
        }
    }
    return report_usage(command,
                        "there is no action %s; list, test, add, remove, change, label, rotate, "
                        "backup, restore or erase is expected",
                        command->operands[0]);
}

static int check_options(const struct command *command, const struct action *action)
{
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        bool is_given = option_given(command, id);
        if (is_given && id != OPTION_SOCKET && (action->options >> id & 1) == 0)
            return report_usage(command, "%s takes no %s", action->name, option_name(id));
        if (!is_given && (action->needed >> id & 1) != 0)
            return report_usage(command, "%s needs %s", action->name, option_name(id));
    }
    if (command->operand_count == action->operands)
        return EXIT_OK;
    return report_usage(
        command, action->operands == 3 ? "%s needs a FILE behind VOLUME" : "%s takes no FILE",
        action->name);
}

int run_key(const struct command *command)
{
    const struct action *action = NULL;
    int code = find_action(command, &action);
    if (code == EXIT_OK)
        code = check_options(command, action);
    if (code != EXIT_OK)
        return code;
    struct work *w = vck_alloc(sizeof(*w), WORK_TAG);
    if (w == NULL)
        return report(command, EXIT_FAILED, "no memory");
    waiting_is_fine();
    w->command = command;
    code = option_u32(command, OPTION_SLOT, 0, VCK_KEY_SLOTS_MAX - 1, 0, &w->number);
    if (code == EXIT_OK)
        code = volume_path(command, command->operands[1], w->path);
    if (code == EXIT_OK)
        code = action->run(w);
    key_access_fini(&w->access);
    vck_key_session_fini(&w->session);
    vck_disk_close(w->disk);
    vck_wipe(w, sizeof(*w));
    vck_free(w);
    return code;
}
