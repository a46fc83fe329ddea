/* SPDX-License-Identifier: Apache-2.0 */
/* What a mounted file system answers when it is asked for its bitmap, piece by piece. */
#include "filesystem_internal.h"
#include "port/port.h"

#define HEAD_BYTES 16u /* of a VOLUME_BITMAP_BUFFER: first cluster s64, clusters s64 */

struct walk {
    struct search search;
    const struct vck_filesystem_bitmap *bitmap;
    uint64_t clusters;
    uint64_t next; /* those below have been told */
};

/* One answer, checked. */
struct piece {
    uint64_t first;
    uint64_t end; /* of the bits that are there */
    uint64_t clusters;
};

static vck_status bad(struct walk *w)
{
    return search_refuse(&w->search, VCK_INVALID_DATA, "contradicts itself in its bitmap");
}

static vck_status ask(struct walk *w, struct piece *ret_piece)
{
    uint8_t *buffer = w->search.buffer;
    size_t bytes = 0;
    bool has_more = false;
    uint64_t first;
    uint64_t left;
    uint64_t bits;
    vck_status status =
        w->bitmap->ask(w->bitmap->context, w->next, buffer, SEARCH_BUFFER_BYTES, &bytes, &has_more);

    if (status)
        return status;
    if (bytes < HEAD_BYTES || bytes > SEARCH_BUFFER_BYTES)
        return bad(w);
    first = vck_load_le64(buffer);
    left = vck_load_le64(buffer + 8);
    bits = VCK_MIN((uint64_t)(bytes - HEAD_BYTES) * 8, left);
    if (first > w->next || left > INT64_MAX || bits <= w->next - first ||
        (!has_more && bits != left))
        return bad(w);
    *ret_piece = (struct piece){.first = first, .end = first + bits, .clusters = first + left};
    return VCK_OK;
}

/* What the first answer says of the whole. */
static vck_status check_whole(struct walk *w, const struct piece *piece)
{
    const struct vck_filesystem_bitmap *bitmap = w->bitmap;

    if (bitmap->cluster_bytes == 0 || bitmap->first_bytes > bitmap->volume_bytes ||
        piece->clusters > (bitmap->volume_bytes - bitmap->first_bytes) / bitmap->cluster_bytes)
        return search_refuse(&w->search, VCK_INVALID_DATA, "is larger than the volume");
    /* The boot sector lies in it. */
    if (bitmap->first_bytes == 0 && !(w->search.buffer[HEAD_BYTES] & 1))
        return bad(w);
    w->clusters = piece->clusters;
    return VCK_OK;
}

static vck_status use_piece(struct walk *w)
{
    const struct vck_filesystem_bitmap *bitmap = w->bitmap;
    struct piece piece = {0};
    vck_status status = ask(w, &piece);

    if (status == VCK_OK && w->next == 0)
        status = check_whole(w, &piece);
    if (status)
        return status;
    /* Its first cluster lies where it lay before, or too much is told. */
    if (piece.clusters != w->clusters)
        return search_refuse(&w->search, VCK_INVALID_DATA, "changes its size");
    w->next = piece.end;
    return search_used_bits(&w->search, w->search.buffer + HEAD_BYTES, piece.end - piece.first,
                            bitmap->first_bytes + piece.first * bitmap->cluster_bytes,
                            bitmap->cluster_bytes,
                            bitmap->first_bytes + piece.end * bitmap->cluster_bytes);
}

static vck_status use_all(struct walk *w)
{
    const struct vck_filesystem_bitmap *bitmap = w->bitmap;
    uint64_t end_bytes;
    vck_status status;

    do
        status = use_piece(w);
    while (status == VCK_OK && w->next < w->clusters);
    if (status)
        return status;
    end_bytes = bitmap->first_bytes + w->clusters * bitmap->cluster_bytes;
    status = search_used(&w->search, end_bytes, bitmap->volume_bytes - end_bytes);
    return status == VCK_OK ? search_used(&w->search, 0, bitmap->first_bytes) : status;
}

vck_status vck_filesystem_used_by_bitmap(const struct vck_filesystem_bitmap *bitmap,
                                         const struct vck_filesystem_sink *sink,
                                         const char **ret_why)
{
    const struct vck_filesystem_source source = {.size_bytes = bitmap->volume_bytes};
    struct vck_filesystem_report report = {0};
    struct walk *w = vck_alloc(sizeof *w, VCK_TAG('V', 'f', 's', 'b'));
    vck_status status;

    *ret_why = NULL;
    if (!w)
        return VCK_NO_MEMORY;
    w->search.source = &source;
    w->search.sink = sink;
    w->search.report = &report;
    w->bitmap = bitmap;
    status = use_all(w);
    if (status == VCK_OK)
        status = search_flush(&w->search);
    *ret_why = report.why;
    vck_free(w);
    return status;
}
