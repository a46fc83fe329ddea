/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vcksys/view.h"
#include "vck/bytes.h"

/* CTL_CODE(type, function, method, access) without the access, by which nothing is told apart here.
 * The numbers are frozen. */
#define CODE(type, function, method) ((uint32_t)(type) << 16 | (uint32_t)(function) << 2 | (method))
#define WITHOUT_ACCESS(code)         ((code) & ~UINT32_C(0xC000))

enum {
    DISK = 0x07,
    SCSI = 0x04,
    STORAGE = 0x2D,
    VOLUME = 0x56,
    BUFFERED = 0,
    OUT_DIRECT = 2,
};

#define GET_DRIVE_GEOMETRY    CODE(DISK, 0x00, BUFFERED)
#define GET_PARTITION_INFO    CODE(DISK, 0x01, BUFFERED)
#define VERIFY                CODE(DISK, 0x05, BUFFERED)
#define FORMAT_TRACKS         CODE(DISK, 0x06, BUFFERED)
#define REASSIGN_BLOCKS       CODE(DISK, 0x07, BUFFERED)
#define IS_WRITABLE           CODE(DISK, 0x09, BUFFERED)
#define FORMAT_TRACKS_EX      CODE(DISK, 0x0B, BUFFERED)
#define GET_PARTITION_INFO_EX CODE(DISK, 0x12, BUFFERED)
#define GET_LENGTH_INFO       CODE(DISK, 0x17, BUFFERED)
#define COPY_DATA             CODE(DISK, 0x19, BUFFERED)
#define GET_DRIVE_GEOMETRY_EX CODE(DISK, 0x28, BUFFERED)
#define REASSIGN_BLOCKS_EX    CODE(DISK, 0x29, BUFFERED)
#define GROW_PARTITION        CODE(DISK, 0x34, BUFFERED)

#define SCSI_PASS_THROUGH           CODE(SCSI, 0x401, BUFFERED)
#define SCSI_PASS_THROUGH_DIRECT    CODE(SCSI, 0x405, BUFFERED)
#define ATA_PASS_THROUGH            CODE(SCSI, 0x40B, BUFFERED)
#define ATA_PASS_THROUGH_DIRECT     CODE(SCSI, 0x40C, BUFFERED)
#define SCSI_PASS_THROUGH_EX        CODE(SCSI, 0x411, BUFFERED)
#define SCSI_PASS_THROUGH_DIRECT_EX CODE(SCSI, 0x412, BUFFERED)

#define STORAGE_READ_CAPACITY CODE(STORAGE, 0x450, BUFFERED)
#define STORAGE_PROTOCOL      CODE(STORAGE, 0x4F0, BUFFERED)
#define STORAGE_DATA_SET      CODE(STORAGE, 0x501, BUFFERED)
#define STORAGE_REINITIALIZE  CODE(STORAGE, 0x590, BUFFERED)

#define VOLUME_DISK_EXTENTS        CODE(VOLUME, 0, BUFFERED)
#define VOLUME_LOGICAL_TO_PHYSICAL CODE(VOLUME, 8, BUFFERED)
#define VOLUME_PHYSICAL_TO_LOGICAL CODE(VOLUME, 9, BUFFERED)
#define VOLUME_READ_PLEX           CODE(VOLUME, 11, OUT_DIRECT)

/* ---- which ---- */

enum view_action view_action_bound(uint32_t code)
{
    switch (WITHOUT_ACCESS(code)) {
    case GET_DRIVE_GEOMETRY:
    case GET_DRIVE_GEOMETRY_EX:
    case GET_PARTITION_INFO:
    case GET_PARTITION_INFO_EX:
    case GET_LENGTH_INFO:
    case STORAGE_READ_CAPACITY:
    case VOLUME_DISK_EXTENTS:
    case VOLUME_PHYSICAL_TO_LOGICAL:
        return VIEW_ANSWER;
    case VERIFY:
    case VOLUME_LOGICAL_TO_PHYSICAL:
        return VIEW_SHIFT;
    case STORAGE_DATA_SET:
        return VIEW_TRIM;
    case IS_WRITABLE:
        return VIEW_WRITABLE;
    case FORMAT_TRACKS:
    case FORMAT_TRACKS_EX:
    case REASSIGN_BLOCKS:
    case REASSIGN_BLOCKS_EX:
    case COPY_DATA:
    case GROW_PARTITION:
    case SCSI_PASS_THROUGH:
    case SCSI_PASS_THROUGH_DIRECT:
    case SCSI_PASS_THROUGH_EX:
    case SCSI_PASS_THROUGH_DIRECT_EX:
    case ATA_PASS_THROUGH:
    case ATA_PASS_THROUGH_DIRECT:
    case STORAGE_PROTOCOL:
    case STORAGE_REINITIALIZE:
    case VOLUME_READ_PLEX:
        return VIEW_REFUSE;
    default:
        return VIEW_PASS;
    }
}

/* Nondestructive actions have the highest bit set. */
static bool data_set_writes(const uint8_t *request, size_t size_bytes)
{
    return size_bytes < 8 || (vck_load_le32(request + 4) & UINT32_C(0x80000000)) == 0;
}

enum view_action view_action_refusing(uint32_t code, const uint8_t *request, size_t size_bytes)
{
    switch (WITHOUT_ACCESS(code)) {
    case VOLUME_READ_PLEX:
        return VIEW_PASS;
    case STORAGE_DATA_SET:
        return data_set_writes(request, size_bytes) ? VIEW_REFUSE : VIEW_PASS;
    default:
        break;
    }
    switch (view_action_bound(code)) {
    case VIEW_REFUSE:
        return VIEW_REFUSE;
    case VIEW_WRITABLE:
        return VIEW_WRITABLE;
    default:
        return VIEW_PASS;
    }
}

/* ---- answers ---- */

/* An answer may end anywhere: a field that is not all there stays as it is. */
static void replace_le64(uint8_t *answer, size_t size_bytes, size_t at, uint64_t value)
{
    if (at + 8 <= size_bytes)
        vck_store_le64(answer + at, value);
}

static void shift_le64(uint8_t *answer, size_t size_bytes, size_t at, uint64_t by)
{
    if (at + 8 <= size_bytes)
        vck_store_le64(answer + at, vck_load_le64(answer + at) + by);
}

/* DISK_GEOMETRY: as many cylinders as lie in the data region; the rest of the shape stays. */
static void rewrite_geometry(const struct view *view, uint8_t *answer, size_t size_bytes)
{
    uint64_t cylinder_sectors;

    if (size_bytes < 24)
        return;
    cylinder_sectors = (uint64_t)vck_load_le32(answer + 12) * vck_load_le32(answer + 16);
    vck_store_le32(answer + 20, view->sector_size_bytes);
    if (cylinder_sectors != 0)
        vck_store_le64(answer, view->size_bytes / view->sector_size_bytes / cylinder_sectors);
}

static void rewrite_capacity(const struct view *view, uint8_t *answer, size_t size_bytes)
{
    if (size_bytes >= 12)
        vck_store_le32(answer + 8, view->sector_size_bytes);
    replace_le64(answer, size_bytes, 16, view->size_bytes / view->sector_size_bytes);
    replace_le64(answer, size_bytes, 24, view->size_bytes);
}

/* Cuts from one extent what lies before and after the data region. */
static void cut_extent(uint8_t *extent, uint64_t *skip_bytes, uint64_t *left_bytes)
{
    uint64_t start = vck_load_le64(extent + 8);
    uint64_t length = vck_load_le64(extent + 16);
    uint64_t skipped = VCK_MIN(*skip_bytes, length);
    uint64_t kept = VCK_MIN(length - skipped, *left_bytes);

    vck_store_le64(extent + 8, start + skipped);
    vck_store_le64(extent + 16, kept);
    *skip_bytes -= skipped;
    *left_bytes -= kept;
}

/* VOLUME_DISK_EXTENTS: a region that begins where the device does leaves the extents alone, which
 * name the partition. */
static void rewrite_extents(const struct view *view, uint8_t *answer, size_t size_bytes)
{
    uint64_t skip_bytes = view->start_bytes;
    uint64_t left_bytes = view->size_bytes;
    uint32_t count;

    if (skip_bytes == 0 || size_bytes < 8)
        return;
    count = vck_load_le32(answer);
    for (uint32_t i = 0; i < count && 8 + (size_t)(i + 1) * 24 <= size_bytes; i++)
        cut_extent(answer + 8 + (size_t)i * 24, &skip_bytes, &left_bytes);
}

static vck_status rewrite_logical(const struct view *view, uint8_t *answer, size_t size_bytes)
{
    uint64_t offset;

    if (size_bytes < 8)
        return VCK_OK;
    offset = vck_load_le64(answer) - view->start_bytes;
    if (offset >= view->size_bytes)
        return VCK_INVALID_DATA;
    vck_store_le64(answer, offset);
    return VCK_OK;
}

vck_status view_rewrite(const struct view *view, uint32_t code, uint8_t *answer, size_t size_bytes)
{
    switch (WITHOUT_ACCESS(code)) {
    case GET_LENGTH_INFO:
        replace_le64(answer, size_bytes, 0, view->size_bytes);
        break;
    case GET_PARTITION_INFO:
        shift_le64(answer, size_bytes, 0, view->start_bytes);
        replace_le64(answer, size_bytes, 8, view->size_bytes);
        break;
    case GET_PARTITION_INFO_EX:
        shift_le64(answer, size_bytes, 8, view->start_bytes);
        replace_le64(answer, size_bytes, 16, view->size_bytes);
        break;
    case GET_DRIVE_GEOMETRY:
    case GET_DRIVE_GEOMETRY_EX:
        rewrite_geometry(view, answer, size_bytes);
        if (WITHOUT_ACCESS(code) == GET_DRIVE_GEOMETRY_EX)
            replace_le64(answer, size_bytes, 24, view->size_bytes);
        break;
    case STORAGE_READ_CAPACITY:
        rewrite_capacity(view, answer, size_bytes);
        break;
    case VOLUME_DISK_EXTENTS:
        rewrite_extents(view, answer, size_bytes);
        break;
    case VOLUME_PHYSICAL_TO_LOGICAL:
        return rewrite_logical(view, answer, size_bytes);
    default:
        break;
    }
    return VCK_OK;
}

/* ---- questions ---- */

vck_status view_shift(const struct view *view, uint32_t code, uint8_t *request, size_t size_bytes)
{
    bool is_verify = WITHOUT_ACCESS(code) == VERIFY;
    uint64_t length = 1;
    uint64_t offset;

    if (size_bytes < (is_verify ? 12u : 8u))
        return VCK_SIZE_MISMATCH;
    offset = vck_load_le64(request);
    if (is_verify)
        length = vck_load_le32(request + 8);
    if (offset > view->size_bytes || length > view->size_bytes - offset)
        return VCK_OUT_OF_RANGE;
    vck_store_le64(request, offset + view->start_bytes);
    return VCK_OK;
}

/* ---- trim ---- */

#define DATA_SET_BYTES         28u
#define DATA_SET_RANGE_BYTES   16u
#define DATA_SET_TRIM          1u
#define DATA_SET_ENTIRE_DEVICE 1u

vck_status view_trim_parse(const uint8_t *request, size_t size_bytes, struct view_trim *ret_trim)
{
    uint32_t at;
    uint32_t length;

    if (size_bytes < DATA_SET_BYTES || vck_load_le32(request) < DATA_SET_BYTES)
        return VCK_INVALID_DATA;
    if (vck_load_le32(request + 4) != DATA_SET_TRIM)
        return VCK_UNSUPPORTED;
    *ret_trim = (struct view_trim){
        .whole = (vck_load_le32(request + 8) & DATA_SET_ENTIRE_DEVICE) != 0,
    };
    if (ret_trim->whole)
        return VCK_OK;
    at = vck_load_le32(request + 20);
    length = vck_load_le32(request + 24);
    if (at < DATA_SET_BYTES || at > size_bytes || length > size_bytes - at ||
        length % DATA_SET_RANGE_BYTES != 0 || length == 0)
        return VCK_INVALID_DATA;
    ret_trim->ranges = request + at;
    ret_trim->count = length / DATA_SET_RANGE_BYTES;
    return VCK_OK;
}

void view_trim_range(const struct view *view, const struct view_trim *trim, uint32_t index,
                     uint64_t *ret_offset_bytes, uint64_t *ret_size_bytes)
{
    uint64_t sector = view->sector_size_bytes;
    uint64_t first = 0;
    uint64_t end = view->size_bytes;

    if (!trim->whole) {
        const uint8_t *range = trim->ranges + (size_t)index * DATA_SET_RANGE_BYTES;
        uint64_t size_bytes = vck_load_le64(range + 8);

        first = VCK_MIN(vck_load_le64(range), view->size_bytes);
        end = first + VCK_MIN(size_bytes, view->size_bytes - first);
    }
    first = (first + sector - 1) / sector * sector;
    end = end / sector * sector;
    *ret_offset_bytes = VCK_MIN(first, end);
    *ret_size_bytes = end - *ret_offset_bytes;
}
