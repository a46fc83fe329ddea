/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filesystem_internal: one search, shared by the readers. Every reader returns NOT_FOUND where the
 * source holds something else, before it tells anything.
 */
#ifndef VCK_FILESYSTEM_INTERNAL_H
#define VCK_FILESYSTEM_INTERNAL_H

#include "vck/bytes.h"
#include "vck/filesystem.h"

/* As large as the largest block of ext4. */
#define SEARCH_BUFFER_BYTES 65536u
#define SEARCH_BOOT_BYTES   512u

struct search {
    const struct vck_filesystem_source *source;
    const struct vck_filesystem_sink *sink;
    struct vck_filesystem_report *report;
    uint64_t pending_first; /* bytes that are used and not told yet */
    uint64_t pending_end;
    uint8_t boot[SEARCH_BOOT_BYTES]; /* what the source begins with */
    uint8_t buffer[SEARCH_BUFFER_BYTES];
    uint8_t other[SEARCH_BUFFER_BYTES];
};

/* INVALID_DATA where the range is not in the source. */
VCK_CHECKED vck_status search_read(struct search *s, uint64_t offset_bytes, void *buffer,
                                   size_t size_bytes);

/* Adjacent ranges are told as one. INVALID_DATA, as above. */
VCK_CHECKED vck_status search_used(struct search *s, uint64_t offset_bytes, uint64_t size_bytes);

/* Tells what is left to tell. */
VCK_CHECKED vck_status search_flush(struct search *s);

/* `count` bits, of which the first stands for `unit_bytes` at first_bytes; set: used. What the last
 * ones stand for ends at end_bytes. */
VCK_CHECKED vck_status search_used_bits(struct search *s, const uint8_t *bits, uint64_t count,
                                        uint64_t first_bytes, uint64_t unit_bytes,
                                        uint64_t end_bytes);

/* Says why and returns status. */
vck_status search_refuse(struct search *s, vck_status status, const char *why);

/* The readers. */
VCK_CHECKED vck_status search_ext(struct search *s);
VCK_CHECKED vck_status search_fat(struct search *s);
VCK_CHECKED vck_status search_ntfs(struct search *s);

#endif
