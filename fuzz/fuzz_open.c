/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_open: finding and opening a volume. The input picks a shape and then changes a whole volume
 * step by step: bytes of a block (with the checksum made right, or not), the sealed part with the
 * right key, bytes anywhere. What opens must be writable and then be whole.
 */
#include <string.h>
#include "tests/support/memory_disk.h"
#include "port/port.h"
#include "vck/crc32.h"
#include "vck/disk_io.h"
#include "vck/store.h"

#define METADATA_BYTES 131072u
#define DATA_SECTORS   16u
#define STEPS_MAX      16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[] = "a key that is known";
static const struct vck_bytes vmk = {key, sizeof(key) - 1};

static const struct {
    uint8_t headers;
    uint8_t footers;
    uint32_t sector_size;
} shapes[] = {{0, 2, 512}, {1, 1, 512}, {2, 0, 512}, {0, 1, 512}, {0, 3, 4096}, {2, 0, 4096}};

enum step {
    STEP_BLOCK,         /* bytes of a block */
    STEP_BLOCK_AND_CRC, /* the same, and the checksum follows */
    STEP_RESEAL,        /* another sealed part */
    STEP_ANYWHERE,
    STEP_COUNT
};

struct input {
    const uint8_t *data;
    size_t size;
};

static uint64_t take(struct input *in, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes && in->size > 0; i++, in->data++, in->size--)
        value |= (uint64_t)*in->data << 8 * i;
    return value;
}

static uint8_t *block_of(struct memory_disk *m, const struct vck_layout *layout, uint32_t replica)
{
    return m->data + vck_layout_block_lba(layout, replica) * layout->sector_size_bytes;
}

static void seal(uint8_t *block, const struct vck_block_header *header,
                 const struct vck_block_metadata *metadata)
{
    VCK_ASSERT(vck_block_default_codec.seal(&vck_block_default_codec, header, metadata, vmk,
                                            block) == VCK_OK);
}

/* ---- a whole volume ---- */

static struct memory_disk *make_volume(unsigned shape, struct vck_layout *ret_layout)
{
    struct vck_block_header header = {
        .metadata_version = 1,
        .metadata_size_bytes = METADATA_BYTES,
        .sector_size_bytes = shapes[shape].sector_size,
        .header_count = shapes[shape].headers,
        .footer_count = shapes[shape].footers,
        .volume_id = {1, 2, 3},
    };
    struct vck_block_metadata metadata = {
        .encrypted_offset_sectors = 8,
        .generation = 5,
        .digest_present = true,
        .fvek_key1 = {4},
        .fvek_key2 = {5},
    };
    uint64_t size = (uint64_t)(header.header_count + header.footer_count) * METADATA_BYTES +
                    DATA_SECTORS * header.sector_size_bytes;
    struct memory_disk *m = memory_disk_create(size, 512);
    VCK_ASSERT(vck_layout_init(ret_layout, size, header.sector_size_bytes, METADATA_BYTES,
                               header.header_count, header.footer_count) == VCK_OK);
    for (uint32_t i = 0; i < ret_layout->replica_count; i++) {
        header.salt[0] = (uint8_t)i;
        seal(block_of(m, ret_layout, i), &header, &metadata);
    }
    return m;
}

/* ---- changes ---- */

static void copy_bytes(struct input *in, uint8_t *to, size_t room)
{
    size_t wanted = (size_t)take(in, 1);
    size_t size = VCK_MIN(wanted, VCK_MIN(in->size, room));
    memcpy(to, in->data, size);
    in->data += size;
    in->size -= size;
}

static void reseal(struct input *in, uint8_t *block)
{
    struct vck_block_header header;
    struct vck_block_metadata metadata = {.fvek_key1 = {4}, .fvek_key2 = {5}};
    uint64_t flags = take(in, 1);
    metadata.encrypted_offset_sectors = take(in, 1 + (flags >> 4 & 7));
    metadata.generation = take(in, 1 + (flags >> 4 & 7));
    metadata.direction = flags & 1 ? VCK_DECRYPTING : VCK_ENCRYPTING;
    metadata.digest_present = (flags & 2) == 0;
    metadata.intent = flags & 4 ? VCK_INTENT_RUN : VCK_INTENT_PAUSED;
    metadata.fvek_key1[0] ^= flags >> 3 & 1;
    if (vck_block_decode_header(block, &header) == VCK_OK)
        seal(block, &header, &metadata);
}

static void change(struct input *in, struct memory_disk *m, const struct vck_layout *layout)
{
    uint64_t step = take(in, 1);
    uint8_t *block = block_of(m, layout, (uint32_t)(step >> 4) % layout->replica_count);
    size_t at = (size_t)take(in, step % STEP_COUNT == STEP_ANYWHERE ? 4 : 2);
    if (step % STEP_COUNT == STEP_RESEAL) {
        reseal(in, block);
    } else if (step % STEP_COUNT == STEP_ANYWHERE) {
        at %= (size_t)m->disk.size_bytes;
        copy_bytes(in, m->data + at, (size_t)m->disk.size_bytes - at);
    } else {
        at %= VCK_BLOCK_BYTES;
        copy_bytes(in, block + at, VCK_BLOCK_BYTES - at);
        if (step % STEP_COUNT == STEP_BLOCK_AND_CRC)
            vck_store_le32(block + 508, vck_crc32(0, block, 508));
    }
}

/* ---- opening ---- */

static void check_replicas(const struct vck_store *store)
{
    if (store->replicas == NULL)
        return;
    for (uint32_t i = 0; i < store->layout.replica_count; i++) {
        const struct vck_replica *replica = &store->replicas[i];
        VCK_ASSERT(replica->status != VCK_OK || replica->header_valid);
        VCK_ASSERT(replica->status != VCK_OK || store->loose || replica->unsealed);
        VCK_ASSERT(replica->status != VCK_OK ||
                   replica->encrypted_offset_sectors <= store->layout.data_sectors);
    }
}

/* Writing makes the replicas whole; opening again finds what was written. */
static void check_rewritten(struct memory_disk *m, struct vck_store *store) VCK_NO_ANALYSIS
{
    struct vck_store again;
    struct vck_store_state next = store->state;
    uint32_t winner = store->winner;
    VCK_ASSERT(store->replicas[winner].status == VCK_OK);
    next.generation = store->generation_max | 1;
    VCK_ASSERT(vck_store_write_all(store, &next, winner == 0) == VCK_OK);
    VCK_ASSERT(vck_store_open(&again, &m->disk, vmk, NULL, VCK_STORE_ANY_REPLICA) == VCK_OK);
    VCK_ASSERT(again.state.encrypted_offset_sectors == next.encrypted_offset_sectors);
    VCK_ASSERT(again.state.generation == next.generation);
    VCK_ASSERT(again.state.direction == next.direction && again.state.intent == next.intent);
    VCK_ASSERT(!again.any_differs && !again.any_digest_absent);
    vck_store_fini(&again);
}

static void open_all_ways(struct memory_disk *m, uint32_t use_replica) VCK_NO_ANALYSIS
{
    struct vck_store store;
    (void)!vck_store_inspect(&store, &m->disk);
    check_replicas(&store);
    vck_store_fini(&store);
    (void)!vck_store_open(&store, &m->disk, vmk, NULL, use_replica);
    check_replicas(&store);
    vck_store_fini(&store);
    vck_status status = vck_store_open(&store, &m->disk, vmk, NULL, VCK_STORE_ANY_REPLICA);
    check_replicas(&store);
    if (status == VCK_OK)
        check_rewritten(m, &store);
    vck_store_fini(&store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct vck_layout layout;
    unsigned first = (unsigned)take(&in, 1);
    struct memory_disk *m = make_volume(first % VCK_ARRAY_COUNT(shapes), &layout);
    for (unsigned i = 0; i < STEPS_MAX && in.size > 0; i++)
        change(&in, m, &layout);
    /* Some disks address 4096 bytes. */
    if (first & 0x80 && m->disk.size_bytes % 4096 == 0)
        m->disk.sector_size_bytes = 4096;
    open_all_ways(m, first >> 4 & 3);
    memory_disk_free(m);
    return 0;
}
