/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/gpt.h"
#include "vck/crc32.h"

/* Offsets in a header. */
#define AT_REVISION     8u
#define AT_HEADER_SIZE  12u
#define AT_HEADER_CRC   16u
#define AFTER_CRC       20u
#define AT_HEADER_LBA   24u
#define AT_ALTERNATE    32u
#define AT_FIRST_USABLE 40u
#define AT_LAST_USABLE  48u
#define AT_DISK_GUID    56u
#define AT_ENTRIES_LBA  72u
#define AT_ENTRY_COUNT  80u
#define AT_ENTRY_SIZE   84u
#define AT_ENTRIES_CRC  88u
#define HEADER_BYTES    92u

/* Offsets in an entry. */
#define IN_TYPE       0u
#define IN_PARTITION  16u
#define IN_FIRST      32u
#define IN_LAST       40u
#define IN_ATTRIBUTES 48u

#define REVISION        0x00010000u
#define ENTRY_BYTES_MIN 128u
#define PRIMARY_LBA     1u

static const uint8_t signature[8] = {'E', 'F', 'I', ' ', 'P', 'A', 'R', 'T'};

static bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static bool is_sector_size(size_t size_bytes)
{
    return is_power_of_two(size_bytes) && size_bytes >= VCK_GPT_SECTOR_BYTES_MIN &&
           size_bytes <= VCK_GPT_SECTOR_BYTES_MAX;
}

static struct vck_guid load_guid(const uint8_t *from)
{
    struct vck_guid guid;
    memcpy(guid.bytes, from, sizeof(guid.bytes));
    return guid;
}

/* ---- header ---- */

/* The checksum counts its own field as zeros. */
static uint32_t header_crc(const uint8_t *sector, uint32_t header_bytes)
{
    static const uint8_t zeros[4] = {0};
    uint32_t crc = vck_crc32(0, sector, AT_HEADER_CRC);
    crc = vck_crc32(crc, zeros, sizeof(zeros));
    return vck_crc32(crc, sector + AFTER_CRC, header_bytes - AFTER_CRC);
}

static vck_status check_is_header(struct vck_bytes sector)
{
    if (!is_sector_size(sector.size_bytes))
        return VCK_SIZE_MISMATCH;
    if (memcmp(sector.data, signature, sizeof(signature)) != 0)
        return VCK_SIGNATURE_MISMATCH;
    uint32_t header_bytes = vck_load_le32(sector.data + AT_HEADER_SIZE);
    if (header_bytes < HEADER_BYTES || header_bytes > sector.size_bytes)
        return VCK_VALIDATION_FAILED;
    if (vck_load_le32(sector.data + AT_HEADER_CRC) != header_crc(sector.data, header_bytes))
        return VCK_CHECKSUM_MISMATCH;
    if (vck_load_le32(sector.data + AT_REVISION) != REVISION)
        return VCK_UNSUPPORTED;
    return VCK_OK;
}

static uint32_t entries_bytes(const struct vck_gpt_header *header)
{
    return header->entry_count * header->entry_size_bytes;
}

static uint32_t entries_sectors(const struct vck_gpt_header *header, uint32_t sector_size_bytes)
{
    return (entries_bytes(header) + sector_size_bytes - 1) / sector_size_bytes;
}

static bool are_entries_supported(const struct vck_gpt_header *header)
{
    return is_power_of_two(header->entry_size_bytes) &&
           header->entry_size_bytes >= ENTRY_BYTES_MIN &&
           header->entry_size_bytes <= VCK_GPT_BUFFER_BYTES && header->entry_count > 0 &&
           header->entry_count <= VCK_GPT_BUFFER_BYTES / header->entry_size_bytes;
}

/* Header, entries and usable sectors are all on the disk and apart from each other. */
static bool are_places_valid(const struct vck_gpt_header *header, uint64_t sector_count,
                             uint32_t sector_size_bytes)
{
    uint64_t entries = entries_sectors(header, sector_size_bytes);
    if (header->header_lba >= sector_count || header->entries_lba >= sector_count ||
        entries > sector_count - header->entries_lba || header->entries_lba <= PRIMARY_LBA)
        return false;
    if (header->first_usable_lba > header->last_usable_lba ||
        header->last_usable_lba >= sector_count)
        return false;
    uint64_t usable = header->last_usable_lba - header->first_usable_lba + 1;
    return !vck_ranges_overlap(header->entries_lba, entries, header->header_lba, 1) &&
           !vck_ranges_overlap(header->first_usable_lba, usable, header->header_lba, 1) &&
           !vck_ranges_overlap(header->first_usable_lba, usable, header->entries_lba, entries);
}

vck_status vck_gpt_header_decode(struct vck_bytes sector, uint64_t header_lba,
                                 uint64_t sector_count, struct vck_gpt_header *ret_header)
{
    vck_status status = check_is_header(sector);
    if (status)
        return status;
    struct vck_gpt_header header = {
        .header_lba = vck_load_le64(sector.data + AT_HEADER_LBA),
        .alternate_lba = vck_load_le64(sector.data + AT_ALTERNATE),
        .first_usable_lba = vck_load_le64(sector.data + AT_FIRST_USABLE),
        .last_usable_lba = vck_load_le64(sector.data + AT_LAST_USABLE),
        .entries_lba = vck_load_le64(sector.data + AT_ENTRIES_LBA),
        .entry_count = vck_load_le32(sector.data + AT_ENTRY_COUNT),
        .entry_size_bytes = vck_load_le32(sector.data + AT_ENTRY_SIZE),
        .entries_crc = vck_load_le32(sector.data + AT_ENTRIES_CRC),
        .disk_guid = load_guid(sector.data + AT_DISK_GUID),
    };
    if (!are_entries_supported(&header))
        return VCK_UNSUPPORTED;
    if (header.header_lba != header_lba ||
        !are_places_valid(&header, sector_count, (uint32_t)sector.size_bytes))
        return VCK_VALIDATION_FAILED;
    *ret_header = header;
    return VCK_OK;
}

/* ---- table ---- */

struct load {
    const struct vck_gpt_source *source;
    uint8_t *buffer;
    size_t buffer_bytes;
};

static vck_status load_header(const struct load *load, uint64_t lba,
                              struct vck_gpt_header *ret_header)
{
    struct vck_bytes sector = {load->buffer, load->source->sector_size_bytes};
    vck_status status = load->source->read(load->source->context, lba, 1, load->buffer);
    if (status)
        return status;
    return vck_gpt_header_decode(sector, lba, load->source->sector_count, ret_header);
}

static vck_status load_entries(const struct load *load, const struct vck_gpt_header *header)
{
    const struct vck_gpt_source *source = load->source;
    uint32_t sectors = entries_sectors(header, source->sector_size_bytes);
    if (sectors > load->buffer_bytes / source->sector_size_bytes)
        return VCK_SIZE_MISMATCH;
    vck_status status = source->read(source->context, header->entries_lba, sectors, load->buffer);
    if (status)
        return status;
    if (vck_crc32(0, load->buffer, entries_bytes(header)) != header->entries_crc)
        return VCK_CHECKSUM_MISMATCH;
    return VCK_OK;
}

static vck_status load_at(const struct load *load, uint64_t lba, struct vck_gpt_header *header)
{
    vck_status status = load_header(load, lba, header);
    if (status == VCK_OK)
        status = load_entries(load, header);
    return status;
}

/* Where the backup is: where a good primary header says, else at the end of the disk. They differ
 * on a disk that has grown. */
static uint64_t backup_lba(const struct vck_gpt_source *source, const struct vck_gpt_header *header)
{
    if (header->header_lba == PRIMARY_LBA && header->alternate_lba > PRIMARY_LBA &&
        header->alternate_lba < source->sector_count)
        return header->alternate_lba;
    return source->sector_count - 1;
}

vck_status vck_gpt_load(const struct vck_gpt_source *source, uint8_t *buffer, size_t buffer_bytes,
                        struct vck_gpt *ret_gpt)
{
    const struct load load = {source, buffer, buffer_bytes};
    struct vck_gpt_header header = {0};
    bool is_backup = false;
    if (!is_sector_size(source->sector_size_bytes) || buffer_bytes < source->sector_size_bytes)
        return VCK_SIZE_MISMATCH;
    if (source->sector_count <= PRIMARY_LBA + 1)
        return VCK_OUT_OF_RANGE;
    vck_status status = load_at(&load, PRIMARY_LBA, &header);
    if (status) {
        is_backup = true;
        if (load_at(&load, backup_lba(source, &header), &header))
            return status;
    }
    *ret_gpt = (struct vck_gpt){.header = header, .entries = buffer, .is_backup = is_backup};
    return VCK_OK;
}

/* ---- entries ---- */

/* NULL when it is not in use. */
static const uint8_t *used_entry(const struct vck_gpt *gpt, uint32_t index)
{
    const uint8_t *entry = gpt->entries + (size_t)index * gpt->header.entry_size_bytes;
    return vck_all_zero(entry + IN_TYPE, VCK_GUID_SIZE_BYTES) ? NULL : entry;
}

vck_status vck_gpt_get(const struct vck_gpt *gpt, uint32_t number,
                       struct vck_gpt_partition *ret_partition)
{
    if (number == 0 || number > gpt->header.entry_count)
        return VCK_OUT_OF_RANGE;
    const uint8_t *entry = used_entry(gpt, number - 1);
    if (entry == NULL)
        return VCK_NOT_FOUND;
    struct vck_gpt_partition partition = {
        .number = number,
        .type_guid = load_guid(entry + IN_TYPE),
        .partition_guid = load_guid(entry + IN_PARTITION),
        .first_lba = vck_load_le64(entry + IN_FIRST),
        .last_lba = vck_load_le64(entry + IN_LAST),
        .attributes = vck_load_le64(entry + IN_ATTRIBUTES),
    };
    if (partition.first_lba < gpt->header.first_usable_lba ||
        partition.last_lba > gpt->header.last_usable_lba ||
        partition.first_lba > partition.last_lba)
        return VCK_VALIDATION_FAILED;
    *ret_partition = partition;
    return VCK_OK;
}

vck_status vck_gpt_find(const struct vck_gpt *gpt, const struct vck_guid *partition,
                        struct vck_gpt_partition *ret_partition)
{
    uint32_t number = 0;
    if (vck_guid_is_zero(partition))
        return VCK_NOT_FOUND;
    for (uint32_t i = 0; i < gpt->header.entry_count; i++) {
        const uint8_t *entry = used_entry(gpt, i);
        if (entry == NULL || memcmp(entry + IN_PARTITION, partition->bytes, 16) != 0)
            continue;
        if (number != 0)
            return VCK_VALIDATION_FAILED;
        number = i + 1;
    }
    return number == 0 ? VCK_NOT_FOUND : vck_gpt_get(gpt, number, ret_partition);
}

vck_status vck_gpt_find_at(const struct vck_gpt *gpt, uint64_t first_lba,
                           struct vck_gpt_partition *ret_partition)
{
    struct vck_gpt_partition partition;
    for (uint32_t number = 1; number <= gpt->header.entry_count; number++) {
        if (vck_gpt_get(gpt, number, &partition) == VCK_OK && partition.first_lba == first_lba) {
            *ret_partition = partition;
            return VCK_OK;
        }
    }
    return VCK_NOT_FOUND;
}
