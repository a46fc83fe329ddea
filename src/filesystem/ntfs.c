/* SPDX-License-Identifier: Apache-2.0 */
/* NTFS: its own file $Bitmap, and what $Volume and $LogFile say of its state. */
#include "filesystem_internal.h"
#include "port/port.h"

#define STRIDE_BYTES     512u /* of the fixups of a record */
#define RECORD_BYTES_MAX 4096u
#define RUNS_MAX         1024u
#define LOG_PAGE_BYTES   4096u

#define RECORD_MFT    0u
#define RECORD_LOG    2u
#define RECORD_VOLUME 3u
#define RECORD_BITMAP 6u

#define ATTRIBUTE_LIST   0x20u
#define ATTRIBUTE_VOLUME 0x70u
#define ATTRIBUTE_DATA   0x80u
#define ATTRIBUTE_END    0xffffffffu

#define VOLUME_DIRTY    0x0001u
#define VOLUME_CHECKING 0x4000u

/* Where a file's data lies: runs of clusters in the order of the file. */
struct runs {
    uint32_t count;
    uint64_t size_bytes; /* initialized */
    struct {
        uint64_t first;
        uint64_t clusters;
    } run[RUNS_MAX];
};

struct ntfs {
    uint64_t cluster_bytes;
    uint64_t clusters;
    uint64_t mft_cluster;
    uint64_t mirror_cluster;
    uint32_t record_bytes;
    uint8_t record[RECORD_BYTES_MAX];
    struct runs mft;
    struct runs file;
};

static vck_status bad(struct search *s)
{
    return search_refuse(s, VCK_INVALID_DATA, "contradicts itself in its own files");
}

/* 2 to the minus value where it is negative, else a number of units. */
static uint64_t size_of(uint8_t value, uint64_t unit_bytes)
{
    if (value < 0x80)
        return value * unit_bytes;
    return value > 0xc0 ? UINT64_C(1) << (256u - value) : 0;
}

static vck_status load(struct search *s, const uint8_t *b, struct ntfs *n)
{
    uint64_t sector_bytes = vck_load_le16(b + 0xb);
    uint64_t sectors = vck_load_le64(b + 0x28);
    uint64_t record_bytes;

    if (sector_bytes < 256 || sector_bytes > 4096 || (sector_bytes & (sector_bytes - 1)) != 0)
        return search_refuse(s, VCK_INVALID_DATA, "contradicts itself in its boot sector");
    /* More than 128 sectors are written as a power of two, too. */
    n->cluster_bytes = b[0xd] <= 0x80 ? b[0xd] * sector_bytes : size_of(b[0xd], 1) * sector_bytes;
    record_bytes = size_of(b[0x40], n->cluster_bytes);
    if (n->cluster_bytes < sector_bytes || n->cluster_bytes > UINT64_C(2097152) ||
        (n->cluster_bytes & (n->cluster_bytes - 1)) != 0 || record_bytes < 1024 ||
        record_bytes > RECORD_BYTES_MAX || (record_bytes & (record_bytes - 1)) != 0)
        return search_refuse(s, VCK_UNSUPPORTED, "has sizes that are not known");
    n->record_bytes = (uint32_t)record_bytes;
    if (sectors > s->source->size_bytes / sector_bytes)
        return search_refuse(s, VCK_INVALID_DATA, "is larger than the volume");
    n->clusters = sectors * sector_bytes / n->cluster_bytes;
    n->mft_cluster = vck_load_le64(b + 0x30);
    n->mirror_cluster = vck_load_le64(b + 0x38);
    return n->mft_cluster < n->clusters && n->mirror_cluster < n->clusters ? VCK_OK : bad(s);
}

/* ---- files ---- */

/* A range of a file, piece by piece of its runs. */
static vck_status read_file(struct search *s, const struct ntfs *n, const struct runs *runs,
                            uint64_t at, uint8_t *buffer, uint64_t size_bytes)
{
    uint64_t run_at = 0;
    vck_status status = VCK_OK;

    for (uint32_t i = 0; i < runs->count && size_bytes > 0 && status == VCK_OK; i++) {
        uint64_t run_bytes = runs->run[i].clusters * n->cluster_bytes;

        if (at < run_at + run_bytes) {
            uint64_t part = VCK_MIN(run_at + run_bytes - at, size_bytes);

            status = search_read(s, runs->run[i].first * n->cluster_bytes + at - run_at, buffer,
                                 (size_t)part);
            buffer += part;
            at += part;
            size_bytes -= part;
        }
        run_at += run_bytes;
    }
    return status == VCK_OK && size_bytes > 0 ? bad(s) : status;
}

/* The last two bytes of each stride are kept in the head, and a number in their place. */
static bool undo_fixups(struct ntfs *n)
{
    uint32_t at = vck_load_le16(n->record + 4);
    uint32_t count = vck_load_le16(n->record + 6);

    if (count != n->record_bytes / STRIDE_BYTES + 1 || at < 8 || at % 2 != 0 ||
        at + 2 * count > STRIDE_BYTES - 2)
        return false;
    for (uint32_t i = 1; i < count; i++) {
        uint8_t *end = n->record + i * STRIDE_BYTES - 2;

        if (memcmp(end, n->record + at, 2) != 0)
            return false;
        memcpy(end, n->record + at + 2 * i, 2);
    }
    return true;
}

static vck_status read_record(struct search *s, struct ntfs *n, uint32_t number)
{
    uint64_t at = (uint64_t)number * n->record_bytes;
    vck_status status =
        number == RECORD_MFT
            ? search_read(s, n->mft_cluster * n->cluster_bytes, n->record, n->record_bytes)
            : read_file(s, n, &n->mft, at, n->record, n->record_bytes);

    if (status)
        return status;
    return memcmp(n->record, "FILE", 4) == 0 && undo_fixups(n) &&
                   (vck_load_le16(n->record + 0x16) & 1)
               ? VCK_OK
               : bad(s);
}

/* The attribute of the type without a name, within the record; NULL: none, or not well formed. */
static const uint8_t *find_attribute(const struct ntfs *n, uint32_t type, uint32_t *ret_size)
{
    uint64_t at = vck_load_le16(n->record + 0x14);

    while (at + 0x18 <= n->record_bytes && vck_load_le32(n->record + at) != ATTRIBUTE_END) {
        const uint8_t *attribute = n->record + at;
        uint32_t size = vck_load_le32(attribute + 4);

        if (size < 0x18 || size % 8 != 0 || size > n->record_bytes - at)
            return NULL;
        if (vck_load_le32(attribute) == type && attribute[9] == 0) {
            *ret_size = size;
            return attribute;
        }
        at += size;
    }
    return NULL;
}

static uint64_t load_number(const uint8_t *bytes, uint32_t size, bool is_signed)
{
    uint64_t value = is_signed && size > 0 && (bytes[size - 1] & 0x80) ? UINT64_MAX : 0;

    while (size > 0)
        value = value << 8 | bytes[--size];
    return value;
}

/* Length and distance of each run, in as many bytes as they need. */
static bool load_runs(const struct ntfs *n, const uint8_t *at, const uint8_t *end,
                      struct runs *runs)
{
    uint64_t cluster = 0;

    runs->count = 0;
    while (at < end && *at != 0) {
        uint32_t length_bytes = *at & 0xf;
        uint32_t distance_bytes = *at >> 4;
        uint64_t clusters;

        at++;
        if (length_bytes == 0 || length_bytes > 8 || distance_bytes == 0 || distance_bytes > 8 ||
            (size_t)(end - at) < length_bytes + distance_bytes || runs->count == RUNS_MAX)
            return false;
        clusters = load_number(at, length_bytes, false);
        cluster += load_number(at + length_bytes, distance_bytes, true);
        at += length_bytes + distance_bytes;
        if (cluster >= n->clusters || clusters == 0 || clusters > n->clusters - cluster)
            return false;
        runs->run[runs->count].first = cluster;
        runs->run[runs->count].clusters = clusters;
        runs->count++;
    }
    return at < end && runs->count > 0;
}

static uint64_t total_clusters(const struct runs *runs)
{
    uint64_t clusters = 0;

    for (uint32_t i = 0; i < runs->count; i++)
        clusters += runs->run[i].clusters;
    return clusters;
}

/* Of the record that was read. Where $MFT goes on in other records, its beginning is enough. */
static vck_status load_data(struct search *s, const struct ntfs *n, bool is_whole,
                            struct runs *runs)
{
    uint32_t size = 0;
    const uint8_t *data = find_attribute(n, ATTRIBUTE_DATA, &size);
    uint32_t runs_at;
    uint64_t mapped_bytes;

    if (is_whole && find_attribute(n, ATTRIBUTE_LIST, &size))
        return search_refuse(s, VCK_UNSUPPORTED, "keeps its bitmap or log in too many pieces");
    data = find_attribute(n, ATTRIBUTE_DATA, &size);
    if (!data || size < 0x40 || data[8] != 1 || vck_load_le16(data + 0xc) != 0 ||
        vck_load_le64(data + 0x10) != 0)
        return bad(s);
    runs_at = vck_load_le16(data + 0x20);
    if (runs_at < 0x40 || runs_at >= size || !load_runs(n, data + runs_at, data + size, runs))
        return bad(s);
    mapped_bytes = total_clusters(runs) * n->cluster_bytes;
    runs->size_bytes = VCK_MIN(vck_load_le64(data + 0x38), vck_load_le64(data + 0x30));
    if (is_whole && vck_load_le64(data + 0x30) > mapped_bytes)
        return bad(s);
    runs->size_bytes = VCK_MIN(runs->size_bytes, mapped_bytes);
    return VCK_OK;
}

/* ---- state ---- */

static vck_status check_volume(struct search *s, struct ntfs *n)
{
    uint32_t size = 0;
    const uint8_t *attribute;
    uint32_t at;
    uint32_t flags;
    vck_status status = read_record(s, n, RECORD_VOLUME);

    if (status)
        return status;
    attribute = find_attribute(n, ATTRIBUTE_VOLUME, &size);
    if (!attribute || attribute[8] != 0)
        return bad(s);
    at = vck_load_le16(attribute + 0x14);
    if (vck_load_le32(attribute + 0x10) < 12 || at < 0x18 || at + 12 > size)
        return bad(s);
    if (attribute[at + 8] < 1 || attribute[at + 8] > 3)
        return search_refuse(s, VCK_UNSUPPORTED, "has a version that is not known");
    flags = vck_load_le16(attribute + at + 10);
    if (flags & (VOLUME_DIRTY | VOLUME_CHECKING))
        return search_refuse(s, VCK_NOT_READY, "is in use, or was not unmounted cleanly");
    return VCK_OK;
}

static bool is_filled(const uint8_t *bytes, size_t size, uint8_t with)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != with)
            return false;
    return true;
}

/* A restart page: NULL when it is none. */
static const uint8_t *restart_area(const uint8_t *page)
{
    uint32_t at = vck_load_le16(page + 0x18);

    return memcmp(page, "RSTR", 4) == 0 && at >= 0x1e && at + 0x10 <= STRIDE_BYTES - 2 ? page + at
                                                                                       : NULL;
}

/* Clean: nobody has the log open, or it is marked so. */
static bool is_closed(const uint8_t *area)
{
    return vck_load_le16(area + 0xc) == 0xffff || (vck_load_le16(area + 0xe) & 2);
}

/* The newer of the two restart pages counts; a log that was just emptied is filled with ones. */
static vck_status check_log(struct search *s, struct ntfs *n)
{
    const uint8_t *first;
    const uint8_t *second;
    vck_status status = read_record(s, n, RECORD_LOG);

    if (status == VCK_OK)
        status = load_data(s, n, true, &n->file);
    if (status == VCK_OK)
        status = read_file(s, n, &n->file, 0, s->buffer, 4 * LOG_PAGE_BYTES);
    if (status)
        return status;
    if (is_filled(s->buffer, 4 * LOG_PAGE_BYTES, 0xff))
        return VCK_OK;
    first = restart_area(s->buffer);
    second = restart_area(s->buffer + LOG_PAGE_BYTES);
    if (!first)
        return search_refuse(s, VCK_UNSUPPORTED, "has a log that is not known");
    if (second && vck_load_le64(second) > vck_load_le64(first))
        first = second;
    return is_closed(first)
               ? VCK_OK
               : search_refuse(s, VCK_NOT_READY,
                               "is in use or hibernated, or was not unmounted cleanly");
}

/* ---- the bitmap ---- */

static vck_status check_bit(struct search *s, const struct ntfs *n, uint64_t cluster)
{
    uint8_t byte;
    vck_status status = read_file(s, n, &n->file, cluster / 8, &byte, 1);

    if (status)
        return status;
    return byte >> cluster % 8 & 1
               ? VCK_OK
               : search_refuse(s, VCK_INVALID_DATA, "says that its own files are free");
}

/* What has to be in use, if the bitmap is one. */
static vck_status check_bitmap(struct search *s, const struct ntfs *n)
{
    vck_status status = check_bit(s, n, 0);

    if (status == VCK_OK)
        status = check_bit(s, n, n->mirror_cluster);
    for (uint32_t i = 0; i < n->mft.count && status == VCK_OK; i++)
        status = check_bit(s, n, n->mft.run[i].first);
    for (uint32_t i = 0; i < n->file.count && status == VCK_OK; i++)
        status = check_bit(s, n, n->file.run[i].first);
    return status;
}

static vck_status use_bitmap(struct search *s, struct ntfs *n)
{
    uint64_t bytes = n->clusters / 8 + (n->clusters % 8 != 0);
    vck_status status = read_record(s, n, RECORD_BITMAP);

    if (status == VCK_OK)
        status = load_data(s, n, true, &n->file);
    if (status == VCK_OK && n->file.size_bytes < bytes)
        status = bad(s);
    if (status == VCK_OK)
        status = check_bitmap(s, n);
    for (uint64_t at = 0; at < bytes && status == VCK_OK; at += SEARCH_BUFFER_BYTES) {
        uint64_t count = VCK_MIN(n->clusters - at * 8, 8u * SEARCH_BUFFER_BYTES);

        status = read_file(s, n, &n->file, at, s->buffer, VCK_MIN(bytes - at, SEARCH_BUFFER_BYTES));
        if (status == VCK_OK)
            status = search_used_bits(s, s->buffer, count, at * 8 * n->cluster_bytes,
                                      n->cluster_bytes, n->clusters * n->cluster_bytes);
    }
    return status;
}

static vck_status search_files(struct search *s, struct ntfs *n)
{
    vck_status status = read_record(s, n, RECORD_MFT);

    if (status == VCK_OK)
        status = load_data(s, n, false, &n->mft);
    if (status == VCK_OK)
        status = check_volume(s, n);
    if (status == VCK_OK)
        status = check_log(s, n);
    if (status == VCK_OK)
        status = use_bitmap(s, n);
    return status;
}

vck_status search_ntfs(struct search *s)
{
    const uint8_t *boot = s->boot;
    struct ntfs *n;
    uint64_t end_bytes;
    vck_status status;

    if (memcmp(boot + 3, "NTFS    ", 8) != 0 || vck_load_le16(boot + 0x1fe) != 0xaa55)
        return VCK_NOT_FOUND;
    s->report->name = "NTFS";
    n = vck_alloc(sizeof *n, VCK_TAG('V', 'f', 's', 'n'));
    if (!n)
        return VCK_NO_MEMORY;
    status = load(s, boot, n);
    if (status == VCK_OK)
        status = search_files(s, n);
    end_bytes = n->clusters * n->cluster_bytes;
    /* Behind the last cluster lies the boot sector once more. */
    if (status == VCK_OK)
        status = search_used(s, end_bytes, s->source->size_bytes - end_bytes);
    vck_free(n);
    return status;
}
