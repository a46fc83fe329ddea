/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include "products/vck/inspect.h"
#include "products/vck/json.h"
#include "products/vck/key.h"
#include "products/vck/vck.h"

/* ---- text ---- */

static void print_header(const struct inspection *in, const char *path)
{
    char id[UUID_TEXT_BYTES];
    char size[SIZE_TEXT_BYTES];
    const struct vck_layout *layout = &in->store.layout;
    const struct vck_block_header *header = &in->store.header;
    printf("%s: JVCK volume %s\n", path, uuid_text(header->volume_id, id));
    printf("  vendor:     %016" PRIx64 ", version %u\n", header->vendor_id, header->vendor_version);
    printf("  sectors:    %" PRIu64 " of %u bytes\n", layout->volume_sectors,
           layout->sector_size_bytes);
    printf("  metadata:   %u headers and %u footers of %s\n", layout->header_count,
           layout->footer_count, size_text(layout->metadata_size_bytes, size));
    printf("  data:       %" PRIu64 " sectors (%s) from sector %" PRIu64 "\n", layout->data_sectors,
           size_text(layout->data_sectors * layout->sector_size_bytes, size),
           layout->data_start_lba);
}

static const char *rekey_direction_text(enum vck_direction direction)
{
    return direction == VCK_DECRYPTING ? "back to the old key" : "to the new key";
}

static void print_state(const struct inspection *in)
{
    const struct vck_store_state *state = &in->store.state;
    uint64_t total = in->store.layout.data_sectors;
    bool is_rekeying = vck_store_is_rekeying(&in->store);
    char name[REPLICA_NAME_BYTES];
    if (is_rekeying)
        printf("  ciphertext: all of %" PRIu64 " sectors\n", total);
    printf("  %s %" PRIu64 " of %" PRIu64 " sectors (%.1f %%)\n",
           is_rekeying ? "new key:   " : "ciphertext:", state->encrypted_offset_sectors, total,
           100.0 * (double)state->encrypted_offset_sectors / (double)total);
    printf("  direction:  %s, intent %s\n",
           is_rekeying ? rekey_direction_text(state->direction) : direction_text(state->direction),
           intent_text(state->intent));
    printf("  valid:      generation %" PRIu64 ", from replica %u (%s)\n", state->generation,
           in->store.winner, replica_name(&in->store.layout, in->store.winner, name));
}

static void print_replica(const struct inspection *in, uint32_t i)
{
    char name[REPLICA_NAME_BYTES];
    const struct vck_replica *replica = &in->store.replicas[i];
    printf("  replica %u:  %s at sector %" PRIu64 ", ", i, replica_name(&in->store.layout, i, name),
           vck_layout_block_lba(&in->store.layout, i));
    if (replica->status != VCK_OK)
        printf("not used: %s\n", vck_status_text(replica->status));
    else if (!replica->unsealed)
        printf("its checksum is right\n");
    else
        printf("generation %" PRIu64 ", %s, %" PRIu64 " sectors, intent %s%s\n",
               replica->generation, direction_text(replica->direction),
               replica->encrypted_offset_sectors, intent_text(replica->intent),
               replica->digest_present ? "" : ", header not authenticated");
}

static void print_half(const struct inspection *in, uint32_t copy, uint32_t which)
{
    const struct half_view *half = &in->halves[copy][which];
    const struct vck_record *record = &half->record;
    printf("  journal:    copy %u, half %u: %s", copy, which, half_kind_text(half->kind));
    if (half->kind == HALF_EMPTY || half->kind == HALF_UNREADABLE) {
        printf("\n");
        return;
    }
    if (half->kind == HALF_BROKEN)
        printf(" (%s)", vck_status_text(half->status));
    printf("; record %" PRIu64 ", %s sectors %" PRIu64 " to %" PRIu64
           ", chunks of %u bytes, base generation %" PRIu64 "\n",
           record->sequence, direction_text(record->direction), record->first_sector,
           record->first_sector + record->sectors, record->chunk_bytes, record->base_generation);
}

static void print_slot(const struct inspection *in, uint32_t copy, uint32_t which)
{
    const struct slot_view *slot = &in->slots[copy][which];
    printf("  damage:     copy %u, slot %u: %s", copy, which, slot_kind_text(slot->kind));
    if (slot->kind == SLOT_BROKEN)
        printf(" (%s)", vck_status_text(slot->status));
    if (slot->kind != SLOT_EMPTY && slot->kind != SLOT_UNREADABLE)
        printf("; list %" PRIu64 " with %u entries", slot->sequence, slot->count);
    printf("\n");
}

static void print_text(const struct inspection *in, const char *path)
{
    print_header(in, path);
    if (in->has_key && in->status == VCK_OK)
        print_state(in);
    for (uint32_t i = 0; i < in->store.layout.replica_count; i++)
        print_replica(in, i);
    for (uint32_t i = 0; in->has_journal && i < 2 * in->area.replica_count; i++)
        print_half(in, i / 2, i % 2);
    for (uint32_t i = 0; in->has_journal && i < 2 * in->area.replica_count; i++)
        print_slot(in, i / 2, i % 2);
    for (uint32_t i = 0; i < in->damage.count; i++)
        printf("  damaged:    byte %" PRIu64 " of the data region\n", in->damage.offset_bytes[i]);
}

/* ---- JSON ---- */

static void write_header(struct json *json, const struct inspection *in)
{
    char id[UUID_TEXT_BYTES];
    char vendor[20];
    const struct vck_layout *layout = &in->store.layout;
    const struct vck_block_header *header = &in->store.header;
    snprintf(vendor, sizeof(vendor), "%016" PRIx64, header->vendor_id);
    json_string(json, "volume_id", uuid_text(header->volume_id, id));
    json_string(json, "vendor_id", vendor);
    json_u64(json, "vendor_version", header->vendor_version);
    json_u64(json, "volume_sectors", layout->volume_sectors);
    json_u64(json, "sector_size_bytes", layout->sector_size_bytes);
    json_u64(json, "metadata_size_bytes", layout->metadata_size_bytes);
    json_u64(json, "header_count", layout->header_count);
    json_u64(json, "footer_count", layout->footer_count);
    json_u64(json, "data_start_sector", layout->data_start_lba);
    json_u64(json, "data_sectors", layout->data_sectors);
}

static void write_state(struct json *json, const struct inspection *in)
{
    const struct vck_store_state *state = &in->store.state;
    if (!in->has_key || in->status != VCK_OK) {
        json_null(json, "state");
        return;
    }
    bool is_rekeying = vck_store_is_rekeying(&in->store);
    json_object_begin(json, "state");
    json_u64(json, "encrypted_sectors",
             is_rekeying ? in->store.layout.data_sectors : state->encrypted_offset_sectors);
    json_bool(json, "rekeying", is_rekeying);
    json_u64(json, "rekeyed_sectors", is_rekeying ? state->encrypted_offset_sectors : 0);
    json_string(json, "direction", direction_text(state->direction));
    json_string(json, "intent", intent_text(state->intent));
    json_u64(json, "generation", state->generation);
    json_u64(json, "replica", in->store.winner);
    json_object_end(json);
}

static void write_replica(struct json *json, const struct inspection *in, uint32_t i)
{
    char name[REPLICA_NAME_BYTES];
    const struct vck_replica *replica = &in->store.replicas[i];
    json_object_begin(json, NULL);
    json_u64(json, "replica", i);
    json_string(json, "name", replica_name(&in->store.layout, i, name));
    json_u64(json, "sector", vck_layout_block_lba(&in->store.layout, i));
    json_string(json, "status", vck_status_name(replica->status));
    if (replica->unsealed) {
        json_u64(json, "generation", replica->generation);
        json_string(json, "direction", direction_text(replica->direction));
        json_u64(json, "encrypted_sectors", replica->encrypted_offset_sectors);
        json_string(json, "intent", intent_text(replica->intent));
        json_bool(json, "header_authenticated", replica->digest_present);
    }
    json_object_end(json);
}

static void write_half(struct json *json, const struct inspection *in, uint32_t copy,
                       uint32_t which)
{
    const struct half_view *half = &in->halves[copy][which];
    json_object_begin(json, NULL);
    json_u64(json, "copy", copy);
    json_u64(json, "half", which);
    json_string(json, "kind", half_kind_text(half->kind));
    if (half->kind != HALF_EMPTY && half->kind != HALF_UNREADABLE) {
        json_u64(json, "sequence", half->record.sequence);
        json_string(json, "direction", direction_text(half->record.direction));
        json_u64(json, "base_generation", half->record.base_generation);
        json_u64(json, "first_sector", half->record.first_sector);
        json_u64(json, "sectors", half->record.sectors);
        json_u64(json, "chunk_bytes", half->record.chunk_bytes);
    }
    json_object_end(json);
}

static void write_slot(struct json *json, const struct inspection *in, uint32_t copy,
                       uint32_t which)
{
    const struct slot_view *slot = &in->slots[copy][which];
    json_object_begin(json, NULL);
    json_u64(json, "copy", copy);
    json_u64(json, "slot", which);
    json_string(json, "kind", slot_kind_text(slot->kind));
    if (slot->kind != SLOT_EMPTY && slot->kind != SLOT_UNREADABLE) {
        json_u64(json, "sequence", slot->sequence);
        json_u64(json, "count", slot->count);
    }
    json_object_end(json);
}

static void write_journal(struct json *json, const struct inspection *in)
{
    uint32_t count = in->has_journal ? 2 * in->area.replica_count : 0;
    json_array_begin(json, "journal");
    for (uint32_t i = 0; i < count; i++)
        write_half(json, in, i / 2, i % 2);
    json_array_end(json);
    json_array_begin(json, "damage");
    for (uint32_t i = 0; i < count; i++)
        write_slot(json, in, i / 2, i % 2);
    json_array_end(json);
    json_array_begin(json, "damaged_offsets_bytes");
    for (uint32_t i = 0; i < in->damage.count; i++)
        json_u64(json, NULL, in->damage.offset_bytes[i]);
    json_array_end(json);
}

static void print_json(const struct inspection *in, const char *path)
{
    struct json json = {0};
    char text[EXPLANATION_BYTES];
    json_object_begin(&json, NULL);
    json_string(&json, "volume", path);
    json_u64(&json, "size_bytes", in->disk->size_bytes);
    json_string(&json, "status", vck_status_name(in->status));
    json_string(&json, "explanation", in->status == VCK_OK ? NULL : inspect_explain(in, text));
    if (in->has_layout) {
        write_header(&json, in);
        write_state(&json, in);
        json_array_begin(&json, "replicas");
        for (uint32_t i = 0; i < in->store.layout.replica_count; i++)
            write_replica(&json, in, i);
        json_array_end(&json);
        write_journal(&json, in);
    }
    json_object_end(&json);
}

static int print(const struct inspection *in, const struct command *command, const char *path)
{
    char text[EXPLANATION_BYTES];
    if (option_given(command, OPTION_JSON))
        print_json(in, path);
    else if (in->has_layout)
        print_text(in, path);
    if (in->status == VCK_OK)
        return EXIT_OK;
    return report(command, exit_code_of(in->status), "%s: %s", path, inspect_explain(in, text));
}

static int inspect_and_print(const struct command *command, const char *path, struct vck_bytes vmk)
{
    struct inspection inspection;
    int code = inspect_open(&inspection, command, path, DISK_READ_ONLY | DISK_SHARED,
                            VCK_STORE_ANY_REPLICA, vmk);
    if (code == EXIT_OK)
        code = print(&inspection, command, path);
    inspect_fini(&inspection);
    return code;
}

int run_info(const struct command *command)
{
    char path[VOLUME_PATH_BYTES];
    struct key_access access = {0};
    waiting_is_fine();
    int code = volume_path(command, command->operands[0], path);
    if (code == EXIT_OK)
        code = inspect_find_key(command, path, &access);
    if (code == EXIT_OK)
        code = inspect_and_print(command, path, key_access_vmk(&access));
    key_access_fini(&access);
    return code;
}
