/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_filesystem: an image that is zero but for pieces of the input. The first two bytes are its
 * size in blocks of 4 KiB; then, piece by piece, the number of a block of 1 KiB in two bytes, and
 * its content. Nothing is read or told outside of the image, and a reason is given for what is
 * refused.
 */
#include "port/port.h"
#include "vck/bytes.h"
#include "vck/filesystem.h"

#define PIECE_BYTES 1024u
#define PIECES_MAX  64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct image {
    uint64_t size_bytes;
    uint32_t count;
    uint64_t at[PIECES_MAX];
    const uint8_t *piece[PIECES_MAX];
    size_t piece_bytes[PIECES_MAX];
};

static vck_status read_image(void *context, uint64_t offset_bytes, void *buffer, size_t size_bytes)
{
    const struct image *image = context;
    uint8_t *out = buffer;
    VCK_ASSERT(offset_bytes <= image->size_bytes && size_bytes <= image->size_bytes - offset_bytes);
    memset(out, 0, size_bytes);
    for (uint32_t i = 0; i < image->count; i++) {
        uint64_t first = VCK_MAX(image->at[i], offset_bytes);
        uint64_t end = VCK_MIN(image->at[i] + image->piece_bytes[i], offset_bytes + size_bytes);
        if (first < end)
            memcpy(out + (first - offset_bytes), image->piece[i] + (first - image->at[i]),
                   (size_t)(end - first));
    }
    return VCK_OK;
}

static vck_status hear(void *context, uint64_t offset_bytes, uint64_t size_bytes)
{
    const struct image *image = context;
    VCK_ASSERT(size_bytes > 0 && offset_bytes < image->size_bytes &&
               size_bytes <= image->size_bytes - offset_bytes);
    return VCK_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image image = {0};
    struct vck_filesystem_source source = {.read = read_image, .context = &image};
    const struct vck_filesystem_sink sink = {hear, &image};
    struct vck_filesystem_report report;
    vck_status status;
    if (size < 2)
        return 0;
    image.size_bytes = source.size_bytes = vck_load_le16(data) * UINT64_C(4096);
    for (size_t at = 2; at + 2 < size && image.count < PIECES_MAX; image.count++) {
        size_t left = VCK_MIN(size - at - 2, PIECE_BYTES);
        image.at[image.count] = vck_load_le16(data + at) * (uint64_t)PIECE_BYTES;
        image.piece[image.count] = data + at + 2;
        image.piece_bytes[image.count] = left;
        at += 2 + left;
    }
    status = vck_filesystem_used(&source, &sink, &report);
    VCK_ASSERT(status == VCK_OK || status == VCK_NOT_FOUND || (report.name && report.why));
    return 0;
}
