/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>
#include "port/port.h"
#include "products/vck/carrier.h"
#include "products/vck/inspect.h"
#include "products/vck/key.h"
#include "products/vck/os.h"
#include "vck/disk_io.h"

#define INSPECT_TAG VCK_TAG('C', 'i', 'n', 's')

/* A record longer than this is not looked into: none that we write is. */
#define RECORD_BYTES_MAX (64u * 1024u * 1024u)

static const char record_magic[4] = {'V', 'C', 'K', 'J'};
static const char damage_magic[4] = {'V', 'C', 'K', 'B'};

/* ---- journal ---- */

/* The fields as they stand there, unchecked. */
static void read_record_fields(const uint8_t *block, struct vck_record *record)
{
    record->direction =
        vck_load_le16(block + 6) == VCK_DECRYPTING ? VCK_DECRYPTING : VCK_ENCRYPTING;
    record->sequence = vck_load_le64(block + 8);
    record->base_generation = vck_load_le64(block + 16);
    record->first_sector = vck_load_le64(block + 24);
    record->sectors = vck_load_le32(block + 32);
    record->chunk_bytes = vck_load_le32(block + 36);
}

/* Whole blocks that hold the record; 0 when it cannot be as long as it says. */
static uint64_t record_bytes(const struct inspection *in, const struct vck_record *record)
{
    uint32_t sector_size = in->store.layout.sector_size_bytes;
    uint64_t limit = VCK_MIN(in->area.half_bytes, RECORD_BYTES_MAX);
    if (record->chunk_bytes < 16 || record->chunk_bytes > sector_size ||
        sector_size % record->chunk_bytes != 0)
        return 0;
    uint64_t chunks = vck_record_chunk_count(record, sector_size);
    if (chunks > limit / VCK_RECORD_TAGS_BYTES)
        return 0;
    uint64_t size = VCK_RECORD_HEADER_BYTES + chunks * VCK_RECORD_TAGS_BYTES;
    size += VCK_JOURNAL_BLOCK_BYTES - 1;
    size -= size % VCK_JOURNAL_BLOCK_BYTES;
    return size <= limit ? size : 0;
}

static bool does_apply(const struct vck_store_state *state, const struct vck_record *record)
{
    uint64_t edge = record->first_sector;
    if (record->direction == VCK_DECRYPTING)
        edge += record->sectors;
    return record->base_generation == state->generation && record->direction == state->direction &&
           edge == state->encrypted_offset_sectors;
}

static vck_status verify_record(struct inspection *in, const struct vck_journal_keys *keys,
                                uint64_t offset_bytes, struct half_view *view) VCK_CAN_WAIT
{
    struct vck_record checked;
    uint64_t size = record_bytes(in, &view->record);
    view->kind = HALF_BROKEN;
    view->status = VCK_INVALID_DATA;
    if (size == 0)
        return VCK_OK;
    uint8_t *data = vck_alloc_pages(size, INSPECT_TAG);
    if (data == NULL)
        return VCK_NO_MEMORY;
    vck_status status = vck_disk_read(in->disk, offset_bytes, data, size);
    if (status == VCK_OK) {
        view->status = vck_record_open(keys, data, size, in->store.layout.sector_size_bytes,
                                       in->store.layout.data_sectors, &checked);
        if (view->status == VCK_OK)
            view->kind = does_apply(&in->store.state, &checked) ? HALF_APPLIES : HALF_VOID;
    }
    vck_free_pages(data, size);
    return status;
}

static vck_status read_half(struct inspection *in, const struct vck_journal_keys *keys,
                            uint8_t *block, uint64_t offset_bytes,
                            struct half_view *view) VCK_CAN_WAIT
{
    vck_status status = vck_disk_read(in->disk, offset_bytes, block, VCK_JOURNAL_BLOCK_BYTES);
    if (status != VCK_OK)
        return status;
    if (vck_all_zero(block, VCK_JOURNAL_BLOCK_BYTES)) {
        view->kind = HALF_EMPTY;
        return VCK_OK;
    }
    if (memcmp(block, record_magic, sizeof(record_magic)) != 0) {
        view->kind = HALF_UNREADABLE;
        return VCK_OK;
    }
    read_record_fields(block, &view->record);
    view->kind = HALF_UNVERIFIED;
    return keys != NULL ? verify_record(in, keys, offset_bytes, view) : VCK_OK;
}

/* ---- damage ---- */

static void verify_slot(struct inspection *in, const struct vck_journal_keys *keys,
                        const uint8_t *block, struct slot_view *view)
{
    struct vck_damage_list list;
    uint64_t data_bytes = in->store.layout.data_sectors * in->store.layout.sector_size_bytes;
    view->status = vck_damage_open(keys, block, data_bytes, &list);
    view->kind = view->status == VCK_OK ? SLOT_VALID : SLOT_BROKEN;
    if (view->status == VCK_OK && list.sequence >= in->damage.sequence)
        in->damage = list;
}

static vck_status read_slot(struct inspection *in, const struct vck_journal_keys *keys,
                            uint8_t *block, uint64_t offset_bytes,
                            struct slot_view *view) VCK_CAN_WAIT
{
    vck_status status = vck_disk_read(in->disk, offset_bytes, block, VCK_DAMAGE_SLOT_BYTES);
    if (status != VCK_OK)
        return status;
    if (vck_all_zero(block, VCK_DAMAGE_SLOT_BYTES)) {
        view->kind = SLOT_EMPTY;
        return VCK_OK;
    }
    if (memcmp(block, damage_magic, sizeof(damage_magic)) != 0) {
        view->kind = SLOT_UNREADABLE;
        return VCK_OK;
    }
    view->count = vck_load_le16(block + 6);
    view->sequence = vck_load_le64(block + 8);
    view->kind = SLOT_UNVERIFIED;
    if (keys != NULL)
        verify_slot(in, keys, block, view);
    return VCK_OK;
}

/* ---- both ---- */

static vck_status read_areas(struct inspection *in,
                             const struct vck_journal_keys *keys) VCK_CAN_WAIT
{
    vck_status status = VCK_OK;
    uint8_t *block = vck_alloc_pages(VCK_JOURNAL_BLOCK_BYTES, INSPECT_TAG);
    if (block == NULL)
        return VCK_NO_MEMORY;
    vck_layout_journal_area(&in->store.layout, &in->area);
    for (uint32_t i = 0; status == VCK_OK && i < 2 * in->area.replica_count; i++) {
        uint32_t copy = i / 2;
        uint32_t which = i % 2;
        status = read_half(in, keys, block,
                           in->area.journal_offset_bytes[copy] + which * in->area.half_bytes,
                           &in->halves[copy][which]);
        if (status == VCK_OK)
            status = read_slot(in, keys, block,
                               in->area.damage_offset_bytes[copy] +
                                   (uint64_t)which * VCK_DAMAGE_SLOT_BYTES,
                               &in->slots[copy][which]);
    }
    vck_free_pages(block, VCK_JOURNAL_BLOCK_BYTES);
    return status;
}

/* While a rekey is open they come from its record; without one nothing opens the volume. */
static vck_status find_keys(struct inspection *in, struct vck_journal_keys *ret_keys) VCK_CAN_WAIT
{
    struct vck_store *store = &in->store;
    struct vck_rekey rekey;
    if (!vck_store_is_rekeying(store))
        return vck_journal_keys_derive(ret_keys, store->header.volume_id, store->fvek_key1,
                                       store->fvek_key2);
    vck_status status = vck_rekey_read(store, &rekey);
    if (status == VCK_TAMPERED) {
        in->is_rekey_lost = true;
        in->status = status;
    }
    if (status == VCK_OK) {
        status = vck_rekey_journal_keys(&rekey, store->header.volume_id, ret_keys);
        vck_rekey_wipe(&rekey);
    }
    return status;
}

static vck_status read_journal(struct inspection *in) VCK_CAN_WAIT
{
    struct vck_journal_keys keys;
    const struct vck_store *store = &in->store;
    bool is_open = in->has_key && in->status == VCK_OK;
    if (!in->has_layout || store->header.vendor_id != 0)
        return VCK_OK;
    if (is_open) {
        vck_status status = find_keys(in, &keys);
        is_open = status == VCK_OK;
        if (status != VCK_OK && status != VCK_TAMPERED)
            return status;
    }
    vck_status status = read_areas(in, is_open ? &keys : NULL);
    if (is_open)
        vck_journal_keys_wipe(&keys);
    in->has_journal = status == VCK_OK;
    return status;
}

/* ---- opening ---- */

/* A key that opens none leaves the header empty, which can be read without any. */
static void fill_header(struct inspection *in)
{
    static const uint8_t none[sizeof(in->store.header.volume_id)];
    if (!in->has_layout || memcmp(in->store.header.volume_id, none, sizeof(none)) != 0)
        return;
    for (uint32_t i = 0; i < in->store.layout.replica_count; i++) {
        if (in->store.replicas[i].header_valid) {
            in->store.header = in->store.replicas[i].header;
            return;
        }
    }
}

/* The replica the others are compared with: the winner, or the first that is valid. */
static void find_model(struct inspection *in)
{
    in->has_layout = in->store.replicas != NULL;
    fill_header(in);
    if (in->has_key && in->status == VCK_OK) {
        in->model = in->store.winner;
        return;
    }
    for (uint32_t i = 0; in->has_layout && i < in->store.layout.replica_count; i++) {
        if (in->store.replicas[i].status == VCK_OK) {
            in->model = i;
            return;
        }
    }
}

static void open_store(struct inspection *in, struct vck_bytes vmk,
                       uint32_t use_replica) VCK_CAN_WAIT
{
    in->has_key = vmk.size_bytes > 0;
    in->status = in->has_key ? vck_store_open(&in->store, in->disk, vmk, NULL, use_replica)
                             : vck_store_inspect(&in->store, in->disk);
}

static int refuse_hidden(const struct command *command, const char *path)
{
    return report(command, EXIT_BUSY,
                  "%s is attached, which hides its metadata; vck status and vck map ask the %s",
                  path, os_words.host);
}

static int judge(struct inspection *in, const struct command *command,
                 const char *path) VCK_CAN_WAIT
{
    if (in->status == VCK_SIGNATURE_MISMATCH && carrier_hides(command, path))
        return refuse_hidden(command, path);
    find_model(in);
    vck_status status =
        in->status == VCK_IO || in->status == VCK_NO_MEMORY ? in->status : read_journal(in);
    if (status != VCK_OK)
        return report(command, EXIT_FAILED, "cannot read %s: %s", path, vck_status_text(status));
    return EXIT_OK;
}

int inspect_find_key(const struct command *command, const char *path, struct key_access *ret_access)
{
    if (!key_is_wanted(command))
        return EXIT_OK;
    return key_access_find(command, path, ret_access);
}

int inspect_open(struct inspection *in, const struct command *command, const char *path,
                 unsigned flags, uint32_t use_replica, struct vck_bytes vmk)
{
    waiting_is_fine();
    memset(in, 0, sizeof(*in));
    int code = open_disk(command, path, flags, &in->disk);
    if (code != EXIT_OK)
        return code;
    open_store(in, vmk, use_replica);
    return judge(in, command, path);
}

void inspect_fini(struct inspection *in)
{
    vck_store_fini(&in->store);
    vck_disk_close(in->disk);
    in->disk = NULL;
}

bool inspect_is_open(const struct inspection *in)
{
    return in->has_layout && in->status == VCK_OK;
}

/* ---- words ---- */

const char *inspect_explain(const struct inspection *in, char buffer[EXPLANATION_BYTES])
{
    uint64_t size = in->disk->size_bytes;
    if (in->is_rekey_lost) {
        snprintf(buffer, EXPLANATION_BYTES,
                 "a rekey is open, and no copy of its record is whole: the new key is lost");
        return buffer;
    }
    switch (in->status) {
    case VCK_SIGNATURE_MISMATCH:
        snprintf(buffer, EXPLANATION_BYTES,
                 "no JVCK volume: its signature is neither in the last sector of the %" PRIu64
                 " bytes nor in the first; one that was cut or has grown needs its size back",
                 size);
        break;
    case VCK_SIZE_MISMATCH:
        snprintf(buffer, EXPLANATION_BYTES,
                 "the metadata describes a volume that does not fit a disk of %" PRIu64 " bytes",
                 size);
        break;
    case VCK_CHECKSUM_MISMATCH:
        snprintf(buffer, EXPLANATION_BYTES, "metadata is there, but no replica of it is whole");
        break;
    case VCK_WRONG_KEY:
        snprintf(buffer, EXPLANATION_BYTES, "the key opens none of the replicas");
        break;
    case VCK_VALIDATION_FAILED:
        snprintf(buffer, EXPLANATION_BYTES,
                 "the replicas disagree on the direction or the data key; vck check --repair "
                 "--use-replica N settles it");
        break;
    case VCK_OUT_OF_RANGE:
        snprintf(buffer, EXPLANATION_BYTES, "it has %u replicas, counted from 0",
                 in->store.layout.replica_count);
        break;
    default:
        snprintf(buffer, EXPLANATION_BYTES, "%s", vck_status_text(in->status));
    }
    return buffer;
}

const char *replica_name(const struct vck_layout *layout, uint32_t replica,
                         char buffer[REPLICA_NAME_BYTES])
{
    bool is_header = replica < layout->header_count;
    snprintf(buffer, REPLICA_NAME_BYTES, "%s %u", is_header ? "header" : "footer",
             is_header ? replica : replica - layout->header_count);
    return buffer;
}

const char *half_kind_text(enum half_kind kind)
{
    static const char *const names[] = {"empty",  "unreadable", "unverified",
                                        "broken", "void",       "applies"};
    return names[kind];
}

const char *slot_kind_text(enum slot_kind kind)
{
    static const char *const names[] = {"empty", "unreadable", "unverified", "broken", "valid"};
    return names[kind];
}
