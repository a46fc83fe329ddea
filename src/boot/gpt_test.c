/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_test.h"
#include "vck/crc32.h"
#include "vck/gpt.h"

#define DISK_SECTORS 256u
#define ENTRIES      128u
#define ENTRY_BYTES  128u

struct disk {
    struct vck_gpt_source source;
    uint8_t *data;
    uint64_t fails_at; /* this sector cannot be read; 0: none */
    uint8_t buffer[VCK_GPT_BUFFER_BYTES];
};

static vck_status read_disk(void *context, uint64_t lba, uint32_t count_sectors, uint8_t *buffer)
{
    struct disk *disk = context;
    uint32_t size = disk->source.sector_size_bytes;
    assert_true(count_sectors > 0 && lba < disk->source.sector_count);
    assert_true(count_sectors <= disk->source.sector_count - lba);
    assert_true(buffer == disk->buffer && count_sectors * size <= sizeof(disk->buffer));
    if (disk->fails_at >= lba && disk->fails_at < lba + count_sectors && disk->fails_at > 0)
        return VCK_IO;
    memcpy(buffer, disk->data + lba * size, (size_t)count_sectors * size);
    return VCK_OK;
}

static uint8_t *sector_of(struct disk *disk, uint64_t lba)
{
    return disk->data + lba * disk->source.sector_size_bytes;
}

static struct vck_guid guid_of(uint8_t seed)
{
    struct vck_guid guid;
    for (size_t i = 0; i < sizeof(guid.bytes); i++)
        guid.bytes[i] = (uint8_t)(seed + i * 3);
    return guid;
}

static uint64_t entries_lba_of(struct disk *disk, uint64_t header_lba)
{
    uint64_t sectors = ENTRIES * ENTRY_BYTES / disk->source.sector_size_bytes;
    return header_lba == 1 ? 2 : header_lba - sectors;
}

/* Makes both checksums of a header right. */
static void seal(struct disk *disk, uint64_t header_lba)
{
    uint8_t *header = sector_of(disk, header_lba);
    const uint8_t *entries = sector_of(disk, entries_lba_of(disk, header_lba));
    vck_store_le32(header + 88, vck_crc32(0, entries, ENTRIES * ENTRY_BYTES));
    vck_store_le32(header + 16, 0);
    vck_store_le32(header + 16, vck_crc32(0, header, vck_load_le32(header + 12)));
}

static void write_header(struct disk *disk, uint64_t header_lba)
{
    uint8_t *header = sector_of(disk, header_lba);
    uint64_t last = disk->source.sector_count - 1;
    memcpy(header, "EFI PART\0\0\1\0\x5c\0\0", 15);
    vck_store_le64(header + 24, header_lba);
    vck_store_le64(header + 32, header_lba == 1 ? last : 1);
    vck_store_le64(header + 40, 40);
    vck_store_le64(header + 48, 200);
    memcpy(header + 56, guid_of(1).bytes, 16);
    vck_store_le64(header + 72, entries_lba_of(disk, header_lba));
    vck_store_le32(header + 80, ENTRIES);
    vck_store_le32(header + 84, ENTRY_BYTES);
}

/* In both tables. */
static void write_entry(struct disk *disk, uint32_t number, uint8_t id, uint64_t first,
                        uint64_t last)
{
    uint64_t headers[] = {1, disk->source.sector_count - 1};
    for (size_t i = 0; i < VCK_ARRAY_COUNT(headers); i++) {
        uint8_t *entry =
            sector_of(disk, entries_lba_of(disk, headers[i])) + (number - 1) * (size_t)ENTRY_BYTES;
        memcpy(entry, guid_of(200).bytes, 16);
        memcpy(entry + 16, guid_of(id).bytes, 16);
        vck_store_le64(entry + 32, first);
        vck_store_le64(entry + 40, last);
        vck_store_le64(entry + 48, 0x8000000000000001);
        seal(disk, headers[i]);
    }
}

/* Partitions 1 (id 10), 3 (id 30) and 128 (id 50). */
static struct disk *make_disk(uint32_t sector_size_bytes)
{
    struct disk *disk = calloc(1, sizeof(*disk));
    assert_non_null(disk);
    disk->source = (struct vck_gpt_source){.sector_count = DISK_SECTORS,
                                           .sector_size_bytes = sector_size_bytes,
                                           .read = read_disk,
                                           .context = disk};
    disk->data = calloc(DISK_SECTORS, sector_size_bytes);
    assert_non_null(disk->data);
    write_header(disk, 1);
    write_header(disk, DISK_SECTORS - 1);
    write_entry(disk, 1, 10, 40, 79);
    write_entry(disk, 3, 30, 80, 80);
    write_entry(disk, ENTRIES, 50, 100, 200);
    return disk;
}

static void free_disk(struct disk *disk)
{
    free(disk->data);
    free(disk);
}

static vck_status load(struct disk *disk, struct vck_gpt *ret_gpt)
{
    return vck_gpt_load(&disk->source, disk->buffer, sizeof(disk->buffer), ret_gpt);
}

static void assert_loads(struct disk *disk, bool is_backup)
{
    struct vck_gpt gpt;
    struct vck_gpt_partition partition;
    struct vck_guid id = guid_of(30);
    assert_int_equal(load(disk, &gpt), VCK_OK);
    assert_int_equal(gpt.is_backup, is_backup);
    assert_int_equal(vck_gpt_find(&gpt, &id, &partition), VCK_OK);
    assert_int_equal(partition.number, 3);
    assert_int_equal(partition.first_lba, 80);
}

static void partitions_are_found(void **state)
{
    (void)state;
    for (uint32_t size = VCK_GPT_SECTOR_BYTES_MIN; size <= VCK_GPT_SECTOR_BYTES_MAX; size *= 2) {
        struct disk *disk = make_disk(size);
        struct vck_gpt gpt;
        struct vck_gpt_partition partition = {0};
        struct vck_guid id = guid_of(50), none = guid_of(51), zero = {0}, whole = guid_of(1);
        assert_loads(disk, false);
        assert_int_equal(load(disk, &gpt), VCK_OK);
        assert_true(vck_guid_equal(&gpt.header.disk_guid, &whole));
        assert_int_equal(vck_gpt_find(&gpt, &id, &partition), VCK_OK);
        assert_int_equal(partition.number, ENTRIES);
        assert_int_equal(partition.first_lba, 100);
        assert_int_equal(partition.last_lba, 200);
        assert_true(partition.attributes == 0x8000000000000001);
        assert_int_equal(vck_gpt_find(&gpt, &none, &partition), VCK_NOT_FOUND);
        assert_int_equal(vck_gpt_find(&gpt, &zero, &partition), VCK_NOT_FOUND);
        assert_int_equal(vck_gpt_find_at(&gpt, 80, &partition), VCK_OK);
        assert_int_equal(partition.number, 3);
        assert_int_equal(vck_gpt_find_at(&gpt, 81, &partition), VCK_NOT_FOUND);
        assert_int_equal(vck_gpt_get(&gpt, 1, &partition), VCK_OK);
        assert_int_equal(vck_gpt_get(&gpt, 2, &partition), VCK_NOT_FOUND);
        assert_int_equal(vck_gpt_get(&gpt, 0, &partition), VCK_OUT_OF_RANGE);
        assert_int_equal(vck_gpt_get(&gpt, ENTRIES + 1, &partition), VCK_OUT_OF_RANGE);
        free_disk(disk);
    }
}

static void wrong_entries_are_refused(void **state)
{
    static const uint64_t places[][2] = {{39, 50}, {150, 201}, {90, 89}, {0, 300}};
    struct vck_guid id = guid_of(60), twice = guid_of(10);
    struct vck_gpt gpt;
    struct vck_gpt_partition partition;
    struct disk *disk = make_disk(512);
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(places); i++) {
        write_entry(disk, 5, 60, places[i][0], places[i][1]);
        assert_int_equal(load(disk, &gpt), VCK_OK);
        assert_int_equal(vck_gpt_find(&gpt, &id, &partition), VCK_VALIDATION_FAILED);
        assert_int_equal(vck_gpt_find_at(&gpt, places[i][0], &partition), VCK_NOT_FOUND);
    }
    write_entry(disk, 5, 10, 90, 95);
    assert_int_equal(load(disk, &gpt), VCK_OK);
    assert_int_equal(vck_gpt_find(&gpt, &twice, &partition), VCK_VALIDATION_FAILED);
    free_disk(disk);
}

/* One bit anywhere in what the checksums cover of the primary: the backup is taken. */
static void backup_stands_in(void **state)
{
    struct disk *disk = make_disk(512);
    (void)state;
    for (size_t i = 0; i < 92; i++) {
        sector_of(disk, 1)[i] ^= 0x10;
        assert_loads(disk, true);
        sector_of(disk, 1)[i] ^= 0x10;
    }
    for (size_t i = 0; i < ENTRIES * ENTRY_BYTES; i += 97) {
        sector_of(disk, 2)[i] ^= 1;
        assert_loads(disk, true);
        sector_of(disk, 2)[i] ^= 1;
    }
    disk->fails_at = 1;
    assert_loads(disk, true);
    disk->fails_at = 33;
    assert_loads(disk, true);
    disk->fails_at = 34;
    assert_loads(disk, false);
    free_disk(disk);
}

/* A disk that has grown since: its backup is where the primary says. */
static void backup_of_a_grown_disk_is_found(void **state)
{
    struct disk *disk = make_disk(512);
    (void)state;
    disk->data = realloc(disk->data, (DISK_SECTORS + 64) * 512u);
    assert_non_null(disk->data);
    memset(disk->data + DISK_SECTORS * 512u, 0, 64 * 512u);
    disk->source.sector_count = DISK_SECTORS + 64;
    sector_of(disk, 5)[0] ^= 1;
    assert_loads(disk, true);
    sector_of(disk, 1)[0] ^= 1; /* now nothing says where it is */
    struct vck_gpt gpt;
    assert_int_equal(load(disk, &gpt), VCK_SIGNATURE_MISMATCH);
    free_disk(disk);
}

static void primary_error_is_reported(void **state)
{
    struct disk *disk = make_disk(512);
    struct vck_gpt gpt;
    (void)state;
    memset(sector_of(disk, DISK_SECTORS - 1), 0, 512);
    sector_of(disk, 2)[0] ^= 1;
    assert_int_equal(load(disk, &gpt), VCK_CHECKSUM_MISMATCH);
    disk->fails_at = 1;
    assert_int_equal(load(disk, &gpt), VCK_IO);
    free_disk(disk);
}

/* Fields that are wrong although both checksums are right. */
static void wrong_headers_are_refused(void **state)
{
    static const struct change {
        const char *name;
        unsigned at, size;
        uint64_t value;
        vck_status status;
    } changes[] = {
        {"as it was", 80, 4, ENTRIES, VCK_OK},
        {"revision", 8, 4, 0x20000, VCK_UNSUPPORTED},
        {"header of 91 bytes", 12, 4, 91, VCK_VALIDATION_FAILED},
        {"header beyond its sector", 12, 4, 513, VCK_VALIDATION_FAILED},
        {"header of a whole sector", 12, 4, 512, VCK_OK},
        {"another place", 24, 8, 2, VCK_VALIDATION_FAILED},
        {"no entries", 80, 4, 0, VCK_UNSUPPORTED},
        {"entries beyond any buffer", 80, 4, 513, VCK_UNSUPPORTED},
        {"entries that overflow", 80, 4, 0x80000000, VCK_UNSUPPORTED},
        {"entries of 64 bytes", 84, 4, 64, VCK_UNSUPPORTED},
        {"entries of 192 bytes", 84, 4, 192, VCK_UNSUPPORTED},
        {"entries of no bytes", 84, 4, 0, VCK_UNSUPPORTED},
        {"huge entries", 84, 4, 0x80000000, VCK_UNSUPPORTED},
        {"entries over the header", 72, 8, 1, VCK_VALIDATION_FAILED},
        {"entries over the MBR", 72, 8, 0, VCK_VALIDATION_FAILED},
        {"entries in the usable sectors", 72, 8, 30, VCK_VALIDATION_FAILED},
        {"entries beyond the disk", 72, 8, 250, VCK_VALIDATION_FAILED},
        {"entries far away", 72, 8, UINT64_MAX, VCK_VALIDATION_FAILED},
        {"usable sectors over the header", 40, 8, 1, VCK_VALIDATION_FAILED},
        {"usable sectors over the entries", 40, 8, 33, VCK_VALIDATION_FAILED},
        {"usable sectors end before they begin", 48, 8, 39, VCK_VALIDATION_FAILED},
        {"usable sectors beyond the disk", 48, 8, DISK_SECTORS, VCK_VALIDATION_FAILED},
        {"usable sectors to the end of numbers", 48, 8, UINT64_MAX, VCK_VALIDATION_FAILED},
    };
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(changes); i++) {
        struct disk *disk = make_disk(512);
        struct vck_gpt_header header;
        uint8_t *sector = sector_of(disk, 1);
        if (changes[i].size == 4)
            vck_store_le32(sector + changes[i].at, (uint32_t)changes[i].value);
        else
            vck_store_le64(sector + changes[i].at, changes[i].value);
        seal(disk, 1);
        vck_status status =
            vck_gpt_header_decode((struct vck_bytes){sector, 512}, 1, DISK_SECTORS, &header);
        if (status != changes[i].status)
            fail_msg("%s: %s", changes[i].name, vck_status_name(status));
        assert_loads(disk, status != VCK_OK);
        free_disk(disk);
    }
}

static void wrong_sources_are_refused(void **state)
{
    static const uint32_t sizes[] = {0, 256, 513, 1000, 8192};
    struct disk *disk = make_disk(512);
    struct vck_gpt gpt;
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(sizes); i++) {
        disk->source.sector_size_bytes = sizes[i];
        assert_int_equal(load(disk, &gpt), VCK_SIZE_MISMATCH);
    }
    disk->source.sector_size_bytes = 512;
    for (size_t size = 0; size < ENTRIES * ENTRY_BYTES; size += 64)
        assert_int_equal(vck_gpt_load(&disk->source, disk->buffer, size, &gpt), VCK_SIZE_MISMATCH);
    assert_int_equal(vck_gpt_load(&disk->source, disk->buffer, ENTRIES * ENTRY_BYTES, &gpt),
                     VCK_OK);
    for (uint64_t count = 0; count < 3; count++) {
        disk->source.sector_count = count;
        assert_int_equal(load(disk, &gpt), VCK_OUT_OF_RANGE);
    }
    free_disk(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions_are_found),
        cmocka_unit_test(wrong_entries_are_refused),
        cmocka_unit_test(backup_stands_in),
        cmocka_unit_test(backup_of_a_grown_disk_is_found),
        cmocka_unit_test(primary_error_is_reported),
        cmocka_unit_test(wrong_headers_are_refused),
        cmocka_unit_test(wrong_sources_are_refused),
    };
    return cmocka_run_group_tests_name("boot-gpt", tests, NULL, NULL);
}
