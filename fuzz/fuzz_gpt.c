/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_gpt: a disk whose first sectors are the input, up to its half, and whose last ones are the
 * rest. The first byte says: how large sectors are (bits 0 and 1), which headers get right
 * checksums (bits 2 and 3), whether the buffer is small (4), which sector cannot be read (5 to 7,
 * 0: none). Nothing is read outside of the disk or the buffer, and every partition that is found is
 * in the usable range and found again by what it says of itself.
 */
#include "port/port.h"
#include "vck/crc32.h"
#include "vck/gpt.h"

#define DISK_BYTES   (256u * 1024u)
#define SMALL_BUFFER 8192u
#define HEADER_BYTES 92u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct disk {
    struct vck_gpt_source source;
    uint64_t fails_at;
    size_t buffer_bytes;
};

static uint8_t content[DISK_BYTES], buffer[VCK_GPT_BUFFER_BYTES];

static vck_status read_disk(void *context, uint64_t lba, uint32_t count_sectors, uint8_t *out)
{
    struct disk *disk = context;
    size_t sector_bytes = disk->source.sector_size_bytes;
    VCK_ASSERT(count_sectors > 0 && lba < disk->source.sector_count);
    VCK_ASSERT(count_sectors <= disk->source.sector_count - lba);
    VCK_ASSERT(out == buffer && count_sectors * sector_bytes <= disk->buffer_bytes);
    if (disk->fails_at != 0 && disk->fails_at >= lba && disk->fails_at < lba + count_sectors)
        return VCK_IO;
    memcpy(out, content + lba * sector_bytes, count_sectors * sector_bytes);
    return VCK_OK;
}

/* As far as the header names entries that are on the disk. */
static void seal(const struct disk *disk, uint64_t lba)
{
    uint64_t sector_bytes = disk->source.sector_size_bytes;
    uint8_t *header = content + lba * sector_bytes;
    uint64_t entries_at, entries_bytes;
    vck_store_le32(header + 12, HEADER_BYTES);
    entries_bytes = (uint64_t)vck_load_le32(header + 80) * vck_load_le32(header + 84);
    if (vck_mul_u64(vck_load_le64(header + 72), sector_bytes, &entries_at) &&
        entries_at < DISK_BYTES && entries_bytes <= DISK_BYTES - entries_at)
        vck_store_le32(header + 88, vck_crc32(0, content + entries_at, (size_t)entries_bytes));
    vck_store_le32(header + 16, 0);
    vck_store_le32(header + 16, vck_crc32(0, header, HEADER_BYTES));
}

static void check_partition(const struct vck_gpt *gpt, uint32_t number)
{
    struct vck_gpt_partition partition, found;
    if (vck_gpt_get(gpt, number, &partition) != VCK_OK)
        return;
    VCK_ASSERT(partition.number == number && partition.first_lba <= partition.last_lba);
    VCK_ASSERT(partition.first_lba >= gpt->header.first_usable_lba);
    VCK_ASSERT(partition.last_lba <= gpt->header.last_usable_lba);
    VCK_ASSERT(partition.last_lba < DISK_BYTES / VCK_GPT_SECTOR_BYTES_MIN);
    VCK_ASSERT(vck_gpt_find_at(gpt, partition.first_lba, &found) == VCK_OK);
    VCK_ASSERT(found.number <= number && found.first_lba == partition.first_lba);
    vck_status status = vck_gpt_find(gpt, &partition.partition_guid, &found);
    if (vck_all_zero(partition.partition_guid.bytes, VCK_GUID_SIZE_BYTES))
        VCK_ASSERT(status == VCK_NOT_FOUND);
    else
        VCK_ASSERT(status == VCK_VALIDATION_FAILED || (status == VCK_OK && found.number == number));
}

static void fill_disk(struct disk *disk, const uint8_t *data, size_t size, unsigned choices)
{
    size_t first = size / 2;
    memset(content, 0, sizeof(content));
    memcpy(content, data, first);
    memcpy(content + DISK_BYTES - (size - first), data + first, size - first);
    if (choices & 4)
        seal(disk, 1);
    if (choices & 8)
        seal(disk, disk->source.sector_count - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > DISK_BYTES)
        return 0;
    unsigned choices = data[0];
    uint32_t sector_bytes = VCK_GPT_SECTOR_BYTES_MIN << (choices & 3);
    struct disk disk = {
        .source = {.sector_count = DISK_BYTES / sector_bytes,
                   .sector_size_bytes = sector_bytes,
                   .read = read_disk,
                   .context = &disk},
        .fails_at = choices >> 5,
        .buffer_bytes = choices & 16 ? SMALL_BUFFER : sizeof(buffer),
    };
    struct vck_gpt gpt;
    fill_disk(&disk, data + 1, size - 1, choices);
    if (vck_gpt_load(&disk.source, buffer, disk.buffer_bytes, &gpt) != VCK_OK)
        return 0;
    for (uint32_t number = 0; number <= gpt.header.entry_count + 1; number++)
        check_partition(&gpt, number);
    return 0;
}
