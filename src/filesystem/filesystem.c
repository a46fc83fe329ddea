/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/filesystem.h"
#include "filesystem_internal.h"
#include "port/port.h"

#define SEARCH_TAG VCK_TAG('V', 'f', 's', 'u')

static bool is_inside(const struct search *s, uint64_t offset_bytes, uint64_t size_bytes)
{
    return offset_bytes <= s->source->size_bytes &&
           size_bytes <= s->source->size_bytes - offset_bytes;
}

vck_status search_read(struct search *s, uint64_t offset_bytes, void *buffer, size_t size_bytes)
{
    if (!is_inside(s, offset_bytes, size_bytes))
        return search_refuse(s, VCK_INVALID_DATA, "refers to places beyond the end of the volume");
    return s->source->read(s->source->context, offset_bytes, buffer, size_bytes);
}

vck_status search_flush(struct search *s)
{
    uint64_t first = s->pending_first;
    uint64_t end = s->pending_end;

    s->pending_first = s->pending_end = 0;
    return end > first ? s->sink->used(s->sink->context, first, end - first) : VCK_OK;
}

vck_status search_used(struct search *s, uint64_t offset_bytes, uint64_t size_bytes)
{
    vck_status status = VCK_OK;

    if (size_bytes == 0)
        return VCK_OK;
    if (!is_inside(s, offset_bytes, size_bytes))
        return search_refuse(s, VCK_INVALID_DATA, "refers to places beyond the end of the volume");
    if (offset_bytes != s->pending_end || s->pending_end == 0) {
        status = search_flush(s);
        s->pending_first = offset_bytes;
    }
    s->pending_end = offset_bytes + size_bytes;
    return status;
}

static bool has_bit(const uint8_t *bits, uint64_t at)
{
    return (bits[at / 8] >> at % 8 & 1) != 0;
}

vck_status search_used_bits(struct search *s, const uint8_t *bits, uint64_t count,
                            uint64_t first_bytes, uint64_t unit_bytes, uint64_t end_bytes)
{
    vck_status status = VCK_OK;

    for (uint64_t at = 0; at < count && status == VCK_OK;) {
        uint64_t first = at;
        uint64_t end;

        if (!has_bit(bits, at)) {
            at++;
            continue;
        }
        while (at < count && has_bit(bits, at))
            at++;
        end = VCK_MIN(first_bytes + at * unit_bytes, end_bytes);
        status = search_used(s, first_bytes + first * unit_bytes,
                             end - first_bytes - first * unit_bytes);
    }
    return status;
}

vck_status search_refuse(struct search *s, vck_status status, const char *why)
{
    s->report->why = why;
    return status;
}

vck_status vck_filesystem_used(const struct vck_filesystem_source *source,
                               const struct vck_filesystem_sink *sink,
                               struct vck_filesystem_report *ret_report)
{
    static vck_status (*const readers[])(struct search *) = {search_ntfs, search_ext, search_fat};
    struct search *s = vck_alloc(sizeof *s, SEARCH_TAG);
    vck_status status = VCK_NOT_FOUND;

    *ret_report = (struct vck_filesystem_report){0};
    if (!s)
        return VCK_NO_MEMORY;
    s->source = source;
    s->sink = sink;
    s->report = ret_report;
    if (source->size_bytes < sizeof s->boot)
        goto out;
    status = search_read(s, 0, s->boot, sizeof s->boot);
    if (status)
        goto out;
    status = VCK_NOT_FOUND;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(readers) && status == VCK_NOT_FOUND; i++)
        status = readers[i](s);
    if (status == VCK_OK)
        status = search_flush(s);
out:
    vck_free(s);
    return status;
}
