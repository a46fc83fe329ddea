/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/span.h"

/* Moves the start past descriptors that end before it. Whether a byte is left to be had; when not,
 * *ret_status says whether that is the end or a chain that is too short. */
static bool find_start(struct vck_span *span, vck_status *ret_status)
{
    struct vck_descriptor *d = span->position.descriptor;
    uint64_t offset_bytes = span->position.offset_bytes;

    *ret_status = VCK_OK;
    if (span->length_bytes == 0)
        return false;
    while (d != NULL && offset_bytes >= d->size_bytes) {
        offset_bytes -= d->size_bytes;
        d = d->next;
    }
    if (d == NULL && (offset_bytes > 0 || span->length_bytes != VCK_SPAN_TO_END))
        *ret_status = VCK_OUT_OF_RANGE;
    span->position.descriptor = d;
    span->position.offset_bytes = offset_bytes;
    return d != NULL;
}

/* What of the descriptor at its start the span covers. */
static size_t size_here(const struct vck_span *span)
{
    uint64_t size_bytes = span->position.descriptor->size_bytes - span->position.offset_bytes;
    return (size_t)VCK_MIN(size_bytes, span->length_bytes);
}

static void skip(struct vck_span *span, size_t size_bytes)
{
    span->position.offset_bytes += size_bytes;
    if (span->length_bytes != VCK_SPAN_TO_END)
        span->length_bytes -= size_bytes;
}

/* The buffer at the start of the span, which is not moved beyond it; empty at the end. */
static vck_status peek(struct vck_span *span, struct vck_buffer *ret_buffer)
{
    void *address;
    vck_status status;

    if (!find_start(span, &status)) {
        if (status == VCK_OK)
            *ret_buffer = (struct vck_buffer){NULL, 0};
        return status;
    }
    status = vck_descriptor_map(span->position.descriptor, &address);
    if (status)
        return status;
    ret_buffer->data = (uint8_t *)address + span->position.offset_bytes;
    ret_buffer->size_bytes = size_here(span);
    return VCK_OK;
}

vck_status vck_span_next(struct vck_span *span, struct vck_buffer *ret_buffer)
{
    struct vck_span rest = *span;
    vck_status status = peek(&rest, ret_buffer);
    if (status)
        return status;
    skip(&rest, ret_buffer->size_bytes);
    *span = rest;
    return VCK_OK;
}

vck_status vck_span_next_pair(struct vck_span *a, struct vck_span *b, struct vck_buffer *ret_a,
                              struct vck_buffer *ret_b)
{
    uint64_t asked_bytes = VCK_MIN(a->length_bytes, b->length_bytes);
    struct vck_span rest_a = {a->position, asked_bytes}, rest_b = {b->position, asked_bytes};
    struct vck_buffer buffer_a = {NULL, 0}, buffer_b = {NULL, 0};
    vck_status status = peek(&rest_a, &buffer_a);

    if (status == VCK_OK && buffer_a.size_bytes > 0)
        status = peek(&rest_b, &buffer_b);
    if (status)
        return status;
    size_t size_bytes = VCK_MIN(buffer_a.size_bytes, buffer_b.size_bytes);
    a->position = rest_a.position;
    b->position = rest_b.position;
    skip(a, size_bytes);
    skip(b, size_bytes);
    *ret_a = (struct vck_buffer){size_bytes == 0 ? NULL : buffer_a.data, size_bytes};
    *ret_b = (struct vck_buffer){size_bytes == 0 ? NULL : buffer_b.data, size_bytes};
    return VCK_OK;
}

vck_status vck_span_count(const struct vck_span *span, struct vck_chain_counts *ret_counts)
{
    struct vck_span rest = *span;
    struct vck_chain_counts counts = {0};
    vck_status status;

    while (find_start(&rest, &status)) {
        size_t size_bytes = size_here(&rest);
        uint64_t offset_bytes =
            (rest.position.descriptor->offset_bytes + rest.position.offset_bytes) %
            VCK_CHAIN_PAGE_BYTES;
        counts.descriptors++;
        counts.bytes += size_bytes;
        counts.pages +=
            (offset_bytes + size_bytes + VCK_CHAIN_PAGE_BYTES - 1) / VCK_CHAIN_PAGE_BYTES;
        skip(&rest, size_bytes);
    }
    *ret_counts = counts;
    return status;
}

vck_status vck_span_view(const struct vck_span *span, size_t size_bytes, void *scratch,
                         const uint8_t **ret_view, uint64_t *ret_done_bytes)
{
    struct vck_span rest = {span->position, VCK_MIN(span->length_bytes, size_bytes)};
    const uint8_t *run = NULL; /* contiguous in the chain so far; NULL once that has ended */
    size_t done_bytes = 0;
    vck_status status = VCK_OK;

    while (done_bytes < size_bytes) {
        struct vck_buffer buffer;
        status = vck_span_next(&rest, &buffer);
        if (status == VCK_OK && buffer.size_bytes == 0)
            status = VCK_OUT_OF_RANGE;
        if (status)
            break;
        if (done_bytes == 0) {
            run = buffer.data;
        } else if (run != NULL && run + done_bytes != buffer.data) {
            if (scratch == NULL) {
                status = VCK_UNSUPPORTED;
                break;
            }
            memcpy(scratch, run, done_bytes);
            run = NULL;
        }
        if (run == NULL)
            memcpy((uint8_t *)scratch + done_bytes, buffer.data, buffer.size_bytes);
        done_bytes += buffer.size_bytes;
    }
    if (ret_done_bytes != NULL)
        *ret_done_bytes = done_bytes;
    if (status)
        return status;
    *ret_view = run == NULL ? (const uint8_t *)scratch : run;
    return VCK_OK;
}
