/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jvck_tool: the codecs of the format for a script. One command with its arguments on each line of
 * standard input, one line of answer: the name of the status, then values. Bytes are hexadecimal,
 * numbers decimal.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vck/block.h"
#include "vck/journal.h"
#include "vck/rekey.h"
#include "vck/layout.h"

#define BUFFER_BYTES (64u * 1024u)

struct arguments {
    char *next;
};

static char *take(struct arguments *a)
{
    char *word = strtok_r(NULL, " \n", &a->next);
    if (word == NULL) {
        fprintf(stderr, "jvck_tool: too few arguments\n");
        exit(2);
    }
    return word;
}

static uint64_t take_u64(struct arguments *a)
{
    return strtoull(take(a), NULL, 10);
}

/* "-" stands for no bytes. Returns how many there were. */
static size_t take_bytes(struct arguments *a, uint8_t *out, size_t out_bytes)
{
    const char *hex = take(a);
    size_t size = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
    if (size > out_bytes) {
        fprintf(stderr, "jvck_tool: too many bytes\n");
        exit(2);
    }
    for (size_t i = 0; i < size; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return size;
}

static void put_bytes(const uint8_t *bytes, size_t size)
{
    putchar(' ');
    for (size_t i = 0; i < size; i++)
        printf("%02x", bytes[i]);
}

static void put_u64(uint64_t value)
{
    printf(" %" PRIu64, value);
}

/* ---- blocks ---- */

static struct vck_bytes take_vmk(struct arguments *a)
{
    static uint8_t vmk[2048];
    size_t size = take_bytes(a, vmk, sizeof(vmk));
    return (struct vck_bytes){vmk, size};
}

static void block_encode(struct arguments *a)
{
    struct vck_bytes vmk = take_vmk(a);
    struct vck_block_header header = {0};
    struct vck_block_metadata metadata = {0};
    uint8_t block[VCK_BLOCK_BYTES];
    header.vendor_id = take_u64(a);
    header.vendor_version = (uint16_t)take_u64(a);
    header.metadata_size_bytes = (uint32_t)take_u64(a);
    header.sector_size_bytes = (uint32_t)take_u64(a);
    header.header_count = (uint8_t)take_u64(a);
    header.footer_count = (uint8_t)take_u64(a);
    take_bytes(a, header.volume_id, sizeof(header.volume_id));
    take_bytes(a, header.salt, sizeof(header.salt));
    take_bytes(a, header.reserved, sizeof(header.reserved));
    metadata.encrypted_offset_sectors = take_u64(a);
    metadata.direction = (enum vck_direction)take_u64(a);
    metadata.intent = (enum vck_intent)take_u64(a);
    metadata.generation = take_u64(a);
    metadata.digest_present = take_u64(a) != 0;
    take_bytes(a, metadata.fvek_key1, sizeof(metadata.fvek_key1));
    take_bytes(a, metadata.fvek_key2, sizeof(metadata.fvek_key2));
    header.metadata_version = (uint16_t)take_u64(a);
    take_bytes(a, metadata.rekey_nonce, sizeof(metadata.rekey_nonce));
    vck_status status =
        vck_block_default_codec.seal(&vck_block_default_codec, &header, &metadata, vmk, block);
    printf("%s", vck_status_name(status));
    if (status == VCK_OK)
        put_bytes(block, sizeof(block));
}

static void put_header(const struct vck_block_header *header)
{
    put_u64(header->vendor_id);
    put_u64(header->vendor_version);
    put_u64(header->metadata_size_bytes);
    put_u64(header->sector_size_bytes);
    put_u64(header->header_count);
    put_u64(header->footer_count);
    put_bytes(header->volume_id, sizeof(header->volume_id));
    put_bytes(header->salt, sizeof(header->salt));
    put_bytes(header->reserved, sizeof(header->reserved));
}

static void block_decode(struct arguments *a)
{
    struct vck_bytes vmk = take_vmk(a);
    struct vck_block_header header;
    struct vck_block_metadata metadata;
    uint8_t block[VCK_BLOCK_BYTES] = {0};
    take_bytes(a, block, sizeof(block));
    vck_status status = vck_block_decode_header(block, &header);
    if (status == VCK_OK)
        status = vck_block_default_codec.unseal(&vck_block_default_codec, block, vmk, &metadata);
    printf("%s", vck_status_name(status));
    if (status != VCK_OK)
        return;
    put_header(&header);
    put_u64(metadata.encrypted_offset_sectors);
    put_u64(metadata.direction);
    put_u64(metadata.intent);
    put_u64(metadata.generation);
    put_u64(metadata.digest_present);
    put_bytes(metadata.fvek_key1, sizeof(metadata.fvek_key1));
    put_bytes(metadata.fvek_key2, sizeof(metadata.fvek_key2));
    put_u64(header.metadata_version);
    put_bytes(metadata.rekey_nonce, sizeof(metadata.rekey_nonce));
}

/* ---- the journal ---- */

static struct vck_journal_keys take_keys(struct arguments *a)
{
    struct vck_journal_keys keys;
    uint8_t volume_id[16];
    uint8_t key1[32];
    uint8_t key2[32];
    take_bytes(a, volume_id, sizeof(volume_id));
    take_bytes(a, key1, sizeof(key1));
    take_bytes(a, key2, sizeof(key2));
    if (vck_journal_keys_derive(&keys, volume_id, key1, key2) != VCK_OK)
        exit(2);
    return keys;
}

/* Arguments: keys, sector size, the fields, then the contents before and after. */
static void record_encode(struct arguments *a)
{
    static uint8_t data[BUFFER_BYTES];
    static uint8_t buffer[BUFFER_BYTES];
    struct vck_journal_keys keys = take_keys(a);
    uint32_t sector_size = (uint32_t)take_u64(a);
    struct vck_record record = {.direction = (enum vck_direction)take_u64(a)};
    size_t size = 0;
    record.sequence = take_u64(a);
    record.base_generation = take_u64(a);
    record.first_sector = take_u64(a);
    record.sectors = (uint32_t)take_u64(a);
    record.chunk_bytes = (uint32_t)take_u64(a);
    size_t chunks = (size_t)vck_record_chunk_count(&record, sector_size);
    if (chunks > (BUFFER_BYTES - VCK_RECORD_HEADER_BYTES) / VCK_RECORD_TAGS_BYTES)
        exit(2);
    for (unsigned which = 0; which < 2; which++) {
        take_bytes(a, data, sizeof(data));
        vck_record_tag(&keys, which, data, record.first_sector * sector_size, record.chunk_bytes,
                       chunks, buffer + VCK_RECORD_HEADER_BYTES);
    }
    vck_status status = vck_record_seal(&keys, &record, sector_size, buffer, sizeof(buffer), &size);
    printf("%s", vck_status_name(status));
    put_bytes(buffer, size);
}

static void record_open(struct arguments *a)
{
    static uint8_t half[BUFFER_BYTES];
    struct vck_journal_keys keys = take_keys(a);
    uint32_t sector_size = (uint32_t)take_u64(a);
    uint64_t data_sectors = take_u64(a);
    struct vck_record record;
    size_t size = take_bytes(a, half, sizeof(half));
    vck_status status = vck_record_open(&keys, half, size, sector_size, data_sectors, &record);
    printf("%s", vck_status_name(status));
    if (status != VCK_OK)
        return;
    put_u64(record.direction);
    put_u64(record.sequence);
    put_u64(record.base_generation);
    put_u64(record.first_sector);
    put_u64(record.sectors);
    put_u64(record.chunk_bytes);
}

static void damage_encode(struct arguments *a)
{
    struct vck_journal_keys keys = take_keys(a);
    struct vck_damage_list list = {.sequence = take_u64(a)};
    uint8_t slot[VCK_DAMAGE_SLOT_BYTES];
    uint64_t count = take_u64(a);
    while (count-- > 0)
        if (vck_damage_add(&list, take_u64(a)) != VCK_OK)
            exit(2);
    vck_damage_seal(&keys, &list, slot);
    printf("OK");
    put_bytes(slot, sizeof(slot));
}

static void damage_open(struct arguments *a)
{
    struct vck_journal_keys keys = take_keys(a);
    uint64_t data_bytes = take_u64(a);
    struct vck_damage_list list;
    uint8_t slot[VCK_DAMAGE_SLOT_BYTES] = {0};
    take_bytes(a, slot, sizeof(slot));
    vck_status status = vck_damage_open(&keys, slot, data_bytes, &list);
    printf("%s", vck_status_name(status));
    if (status != VCK_OK)
        return;
    put_u64(list.sequence);
    for (uint32_t i = 0; i < list.count; i++)
        put_u64(list.offset_bytes[i]);
}

/* ---- rekeying ---- */

/* Arguments: the VMK, the volume id, the nonce, the new keys, the journal secret. */
static void rekey_encode(struct arguments *a)
{
    struct vck_bytes vmk = take_vmk(a);
    struct vck_rekey rekey;
    uint8_t volume_id[16];
    uint8_t block[VCK_REKEY_BLOCK_BYTES];
    take_bytes(a, volume_id, sizeof(volume_id));
    take_bytes(a, rekey.nonce, sizeof(rekey.nonce));
    take_bytes(a, rekey.fvek_key1, sizeof(rekey.fvek_key1));
    take_bytes(a, rekey.fvek_key2, sizeof(rekey.fvek_key2));
    take_bytes(a, rekey.journal_secret, sizeof(rekey.journal_secret));
    vck_status status = vck_rekey_seal(&rekey, volume_id, vmk, block);
    printf("%s", vck_status_name(status));
    if (status == VCK_OK)
        put_bytes(block, sizeof(block));
}

static void rekey_open(struct arguments *a)
{
    struct vck_bytes vmk = take_vmk(a);
    struct vck_rekey rekey;
    struct vck_journal_keys keys;
    uint8_t volume_id[16];
    uint8_t nonce[VCK_REKEY_NONCE_BYTES];
    uint8_t block[VCK_REKEY_BLOCK_BYTES] = {0};
    take_bytes(a, volume_id, sizeof(volume_id));
    take_bytes(a, nonce, sizeof(nonce));
    take_bytes(a, block, sizeof(block));
    vck_status status = vck_rekey_open(block, volume_id, nonce, vmk, &rekey);
    printf("%s", vck_status_name(status));
    if (status != VCK_OK)
        return;
    put_bytes(rekey.fvek_key1, sizeof(rekey.fvek_key1));
    put_bytes(rekey.fvek_key2, sizeof(rekey.fvek_key2));
    if (vck_rekey_journal_keys(&rekey, volume_id, &keys) != VCK_OK)
        exit(2);
    put_bytes(keys.mac_key, sizeof(keys.mac_key));
    put_bytes(keys.tag_key, sizeof(keys.tag_key));
}

/* ---- layouts ---- */

static void layout(struct arguments *a)
{
    struct vck_layout made;
    struct vck_journal_area area;
    uint64_t size = take_u64(a);
    uint32_t sector_size = (uint32_t)take_u64(a);
    uint32_t metadata_size = (uint32_t)take_u64(a);
    uint32_t headers = (uint32_t)take_u64(a);
    uint32_t footers = (uint32_t)take_u64(a);
    vck_status status = vck_layout_init(&made, size, sector_size, metadata_size, headers, footers);
    printf("%s", vck_status_name(status));
    if (status != VCK_OK)
        return;
    put_u64(made.data_start_lba);
    put_u64(made.data_sectors);
    for (uint32_t i = 0; i < made.replica_count; i++)
        put_u64(vck_layout_block_lba(&made, i));
    vck_layout_journal_area(&made, &area);
    put_u64(area.half_bytes);
    for (uint32_t i = 0; i < area.replica_count; i++) {
        put_u64(area.journal_offset_bytes[i]);
        put_u64(area.damage_offset_bytes[i]);
    }
    for (uint32_t i = 0; i < VCK_KEY_COPIES * made.replica_count; i++)
        put_u64(vck_layout_rekey_offset(&made, i / VCK_KEY_COPIES, i % VCK_KEY_COPIES));
}

/* ---- the loop ---- */

static const struct {
    const char *name;
    void (*run)(struct arguments *a);
} commands[] = {
    {"block-encode", block_encode},
    {"block-decode", block_decode},
    {"record-encode", record_encode},
    {"record-open", record_open},
    {"damage-encode", damage_encode},
    {"damage-open", damage_open},
    {"rekey-encode", rekey_encode},
    {"rekey-open", rekey_open},
    {"layout", layout},
};

static void run_line(char *line)
{
    struct arguments a;
    const char *name = strtok_r(line, " \n", &a.next);
    for (size_t i = 0; name != NULL && i < VCK_ARRAY_COUNT(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            commands[i].run(&a);
            putchar('\n');
            fflush(stdout);
            return;
        }
    }
    fprintf(stderr, "jvck_tool: unknown command\n");
    exit(2);
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0)
        run_line(line);
    free(line);
    return 0;
}
