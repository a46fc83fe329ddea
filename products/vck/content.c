/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "port/port.h"
#include "products/vck/content.h"
#include "vck/bytes.h"
#include "vck/disk_io.h"

#define CONTENT_TAG VCK_TAG('C', 'c', 'n', 't')
#define HEAD_BYTES  (128u * 1024u) /* the farthest superblock, btrfs's, lies at 64 KiB */

/* A recogniser: false when the head is not of its format. Sizes that overflow reach to the end. */
typedef bool recogniser(const uint8_t *head, struct content *content);

static bool has_magic(const uint8_t *at, const char *magic, size_t size_bytes)
{
    return memcmp(at, magic, size_bytes) == 0;
}

static void set_size(struct content *content, const char *name, uint64_t units, uint64_t unit_bytes)
{
    content->kind = CONTENT_OTHER;
    content->name = name;
    if (!vck_mul_u64(units, unit_bytes, &content->size_bytes))
        content->size_bytes = CONTENT_TO_THE_END;
}

static bool recognise_ext(const uint8_t *head, struct content *content)
{
    const uint8_t *super = head + 1024;
    uint32_t log_block = vck_load_le32(super + 24);
    if (vck_load_le16(super + 56) != 0xef53 || log_block > 6)
        return false;
    bool is_64bit = (vck_load_le32(super + 96) & 0x80) != 0;
    uint64_t blocks = vck_load_le32(super + 4);
    if (is_64bit)
        blocks |= (uint64_t)vck_load_le32(super + 336) << 32;
    set_size(content, "ext2/3/4 file system", blocks, UINT64_C(1024) << log_block);
    content->kind = CONTENT_EXT;
    content->block_bytes = 1024u << log_block;
    return true;
}

static bool recognise_xfs(const uint8_t *head, struct content *content)
{
    if (!has_magic(head, "XFSB", 4))
        return false;
    set_size(content, "XFS file system", vck_load_be64(head + 8), vck_load_be32(head + 4));
    return true;
}

static bool recognise_btrfs(const uint8_t *head, struct content *content)
{
    const uint8_t *super = head + 65536;
    if (!has_magic(super + 64, "_BHRfS_M", 8))
        return false;
    /* The size of this device, not of the whole file system. */
    set_size(content, "btrfs file system", vck_load_le64(super + 209), 1);
    return true;
}

static bool recognise_f2fs(const uint8_t *head, struct content *content)
{
    const uint8_t *super = head + 1024;
    uint32_t log_block = vck_load_le32(super + 16);
    if (vck_load_le32(super) != 0xf2f52010 || log_block > 16)
        return false;
    set_size(content, "F2FS file system", vck_load_le64(super + 36), UINT64_C(1) << log_block);
    return true;
}

static bool recognise_ntfs(const uint8_t *head, struct content *content)
{
    uint64_t sectors = vck_load_le64(head + 40);
    if (!has_magic(head + 3, "NTFS    ", 8))
        return false;
    /* The copy of the boot sector follows the sectors it counts. */
    if (!vck_add_u64(sectors, 1, &sectors))
        sectors = UINT64_MAX;
    set_size(content, "NTFS file system", sectors, vck_load_le16(head + 11));
    content->kind = CONTENT_NTFS;
    return true;
}

static bool recognise_exfat(const uint8_t *head, struct content *content)
{
    if (!has_magic(head + 3, "EXFAT   ", 8) || head[108] > 12)
        return false;
    set_size(content, "exFAT file system", vck_load_le64(head + 72), UINT64_C(1) << head[108]);
    return true;
}

static bool recognise_fat(const uint8_t *head, struct content *content)
{
    uint32_t sectors = vck_load_le16(head + 19);
    bool is_fat = has_magic(head + 54, "FAT", 3) || has_magic(head + 82, "FAT32", 5);
    if (!is_fat || vck_load_le16(head + 510) != 0xaa55)
        return false;
    if (sectors == 0)
        sectors = vck_load_le32(head + 32);
    set_size(content, "FAT file system", sectors, vck_load_le16(head + 11));
    return true;
}

static bool recognise_swap(const uint8_t *head, struct content *content)
{
    if (!has_magic(head + 4086, "SWAPSPACE2", 10))
        return false;
    set_size(content, "swap area", (uint64_t)vck_load_le32(head + 1028) + 1, 4096);
    return true;
}

/* Formats that use what they are given, to the end. */
static bool recognise_containers(const uint8_t *head, struct content *content)
{
    const char *name = NULL;
    if (has_magic(head, "LUKS\xba\xbe", 6))
        name = "LUKS volume";
    else if (has_magic(head + 3, "-FVE-FS-", 8))
        name = "BitLocker volume";
    else if (has_magic(head + 512, "LABELONE", 8))
        name = "LVM physical volume";
    if (name == NULL)
        return false;
    content->kind = CONTENT_OTHER;
    content->name = name;
    content->size_bytes = CONTENT_TO_THE_END;
    return true;
}

static bool recognise_gpt(const uint8_t *head, struct content *content)
{
    for (uint32_t sector_size = 512; sector_size <= 4096; sector_size *= 8) {
        const uint8_t *header = head + sector_size;
        if (!has_magic(header, "EFI PART", 8))
            continue;
        /* Either copy's place may be the higher one. */
        uint64_t last = VCK_MAX(vck_load_le64(header + 24), vck_load_le64(header + 32));
        set_size(content, "GPT partition table", last == UINT64_MAX ? last : last + 1, sector_size);
        return true;
    }
    return false;
}

static bool recognise_mbr(const uint8_t *head, struct content *content)
{
    uint64_t end = 0;
    if (vck_load_le16(head + 510) != 0xaa55)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *entry = head + 446 + 16 * i;
        if ((entry[0] & 0x7f) != 0)
            return false;
        if (entry[4] != 0)
            end = VCK_MAX(end, (uint64_t)vck_load_le32(entry + 8) + vck_load_le32(entry + 12));
    }
    if (end == 0)
        return false;
    set_size(content, "MBR partition table", end, 512);
    return true;
}

static void recognise(const uint8_t *head, struct content *ret_content)
{
    static recogniser *const recognisers[] = {
        recognise_containers, recognise_xfs, recognise_btrfs, recognise_ntfs,
        recognise_exfat,      recognise_fat, recognise_ext,   recognise_f2fs,
        recognise_swap,       recognise_gpt, recognise_mbr,
    };
    struct content content = {0};
    bool is_known = false;
    for (size_t i = 0; !is_known && i < VCK_ARRAY_COUNT(recognisers); i++)
        is_known = recognisers[i](head, &content);
    *ret_content = content;
}

vck_status content_read(struct vck_disk *disk, struct content *ret_content)
{
    uint8_t *head = vck_alloc_pages(HEAD_BYTES, CONTENT_TAG);
    if (head == NULL)
        return VCK_NO_MEMORY;
    /* Behind the end of a small disk the buffer stays zero. */
    vck_status status = vck_disk_read(disk, 0, head, VCK_MIN(disk->size_bytes, HEAD_BYTES));
    if (status == VCK_OK)
        recognise(head, ret_content);
    vck_free_pages(head, HEAD_BYTES);
    return status;
}

static uint64_t find_in(const uint8_t *data, uint64_t size_bytes)
{
    for (uint64_t i = 0; i < size_bytes; i++)
        if (data[i] != 0)
            return i;
    return UINT64_MAX;
}

vck_status content_find_nonzero(struct vck_disk *disk, uint64_t offset_bytes, uint64_t size_bytes,
                                uint64_t *ret_offset_bytes)
{
    vck_status status = VCK_OK;
    uint64_t found = UINT64_MAX;
    uint8_t *data = vck_alloc_pages(HEAD_BYTES, CONTENT_TAG);
    if (data == NULL)
        return VCK_NO_MEMORY;
    while (size_bytes > 0 && found == UINT64_MAX) {
        uint64_t piece = VCK_MIN(size_bytes, (uint64_t)HEAD_BYTES);
        status = vck_disk_read(disk, offset_bytes, data, piece);
        if (status != VCK_OK)
            goto out;
        found = find_in(data, piece);
        if (found != UINT64_MAX)
            found += offset_bytes;
        offset_bytes += piece;
        size_bytes -= piece;
    }
    *ret_offset_bytes = found;
out:
    vck_free_pages(data, HEAD_BYTES);
    return status;
}
