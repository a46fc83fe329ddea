/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_volume_bitmap: what a mounted file system answers when it is asked for its bitmap. Of the
 * input, eight bytes each are the size of the volume, where its first cluster lies and the size of
 * a cluster; then, answer by answer, a byte (1: has more; 2: fails), its length in two bytes, and
 * it. Nothing is told outside of the volume, what is told is not too little, and a reason is given
 * for what is refused.
 */
#include "port/port.h"
#include "vck/bytes.h"
#include "vck/filesystem.h"

#define ANSWERS_MAX 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct mounted {
    const uint8_t *data;
    size_t size;
    uint32_t answers;
    uint64_t volume_bytes;
    uint64_t told_bytes; /* at least */
    bool has_failed;
};

static vck_status ask(void *context, uint64_t first_cluster, void *buffer, size_t capacity_bytes,
                      size_t *ret_bytes, bool *ret_has_more)
{
    struct mounted *m = context;
    size_t bytes;
    (void)first_cluster;
    if (m->size < 3 || m->answers++ == ANSWERS_MAX || (m->data[0] & 2)) {
        m->has_failed = true;
        return VCK_IO;
    }
    *ret_has_more = m->data[0] & 1;
    bytes = VCK_MIN(VCK_MIN((size_t)vck_load_le16(m->data + 1), m->size - 3), capacity_bytes);
    memcpy(buffer, m->data + 3, bytes);
    m->data += 3 + bytes;
    m->size -= 3 + bytes;
    *ret_bytes = bytes;
    return VCK_OK;
}

static vck_status hear(void *context, uint64_t offset_bytes, uint64_t size_bytes)
{
    struct mounted *m = context;
    VCK_ASSERT(size_bytes > 0 && offset_bytes < m->volume_bytes &&
               size_bytes <= m->volume_bytes - offset_bytes);
    m->told_bytes = VCK_MAX(m->told_bytes + size_bytes, m->told_bytes);
    return VCK_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mounted mounted = {0};
    struct vck_filesystem_bitmap bitmap = {.ask = ask, .context = &mounted};
    const struct vck_filesystem_sink sink = {hear, &mounted};
    const char *why;
    vck_status status;
    if (size < 24)
        return 0;
    bitmap.volume_bytes = mounted.volume_bytes = vck_load_le64(data);
    bitmap.first_bytes = vck_load_le64(data + 8);
    bitmap.cluster_bytes = vck_load_le64(data + 16);
    mounted.data = data + 24;
    mounted.size = size - 24;
    status = vck_filesystem_used_by_bitmap(&bitmap, &sink, &why);
    VCK_ASSERT(status == VCK_OK ? !why && !mounted.has_failed : mounted.has_failed || why);
    VCK_ASSERT(status != VCK_OK || mounted.told_bytes >= bitmap.first_bytes);
    return 0;
}
