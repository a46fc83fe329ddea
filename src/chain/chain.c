/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/chain.h"
#include "vck/bytes.h"

#if UINTPTR_MAX == UINT64_MAX
/* Where the NT kernel's MDL has them. */
_Static_assert(offsetof(struct vck_descriptor, port_size) == 8, "MDL.Size");
_Static_assert(offsetof(struct vck_descriptor, flags) == 10, "MDL.MdlFlags");
_Static_assert(offsetof(struct vck_descriptor, port_pointer) == 16, "MDL.Process");
_Static_assert(offsetof(struct vck_descriptor, address) == 24, "MDL.MappedSystemVa");
_Static_assert(offsetof(struct vck_descriptor, page_address) == 32, "MDL.StartVa");
_Static_assert(offsetof(struct vck_descriptor, size_bytes) == 40, "MDL.ByteCount");
_Static_assert(offsetof(struct vck_descriptor, offset_bytes) == 44, "MDL.ByteOffset");
_Static_assert(sizeof(struct vck_descriptor) == 48, "MDL");
#endif

static vck_descriptor_map_hook *map_hook;

void vck_descriptor_init(struct vck_descriptor *descriptor, void *address, uint32_t size_bytes)
{
    uint32_t offset_bytes = (uint32_t)((uintptr_t)address % VCK_CHAIN_PAGE_BYTES);
    void *page_address = address == NULL ? NULL : (uint8_t *)address - offset_bytes;
    vck_descriptor_init_unmapped(descriptor, page_address, offset_bytes, size_bytes);
    descriptor->address = address;
    descriptor->flags = VCK_DESCRIPTOR_MAPPED;
}

void vck_descriptor_init_unmapped(struct vck_descriptor *descriptor, void *page_address,
                                  uint32_t offset_bytes, uint32_t size_bytes)
{
    *descriptor = (struct vck_descriptor){
        .page_address = page_address,
        .size_bytes = size_bytes,
        .offset_bytes = offset_bytes,
    };
}

void vck_descriptor_set_map_hook(vck_descriptor_map_hook *hook)
{
    __atomic_store_n(&map_hook, hook, __ATOMIC_RELEASE);
}

static bool is_mapped(const struct vck_descriptor *descriptor)
{
    return (descriptor->flags & (VCK_DESCRIPTOR_MAPPED | VCK_DESCRIPTOR_NONPAGED)) != 0;
}

vck_status vck_descriptor_map(struct vck_descriptor *descriptor, void **ret_address)
{
    if (descriptor->size_bytes == 0) {
        *ret_address = NULL;
        return VCK_OK;
    }
    if (!is_mapped(descriptor)) {
        vck_descriptor_map_hook *hook = __atomic_load_n(&map_hook, __ATOMIC_ACQUIRE);
        vck_status status = hook == NULL ? VCK_UNSUPPORTED : hook(descriptor);
        if (status)
            return status;
        if (!is_mapped(descriptor))
            return VCK_UNSUPPORTED;
    }
    *ret_address = descriptor->address;
    return VCK_OK;
}

struct vck_chain_counts vck_chain_count(const struct vck_descriptor *first)
{
    struct vck_chain_counts counts = {0};
    for (const struct vck_descriptor *d = first; d != NULL; d = d->next) {
        counts.descriptors++;
        counts.bytes += d->size_bytes;
        if (d->size_bytes > 0)
            counts.pages += ((uint64_t)d->offset_bytes + d->size_bytes + VCK_CHAIN_PAGE_BYTES - 1) /
                            VCK_CHAIN_PAGE_BYTES;
    }
    return counts;
}

/* Normalises as far as the chain goes; what then is left in the offset is beyond its end. */
static struct vck_position walk(struct vck_position position)
{
    while (position.descriptor != NULL &&
           position.offset_bytes >= position.descriptor->size_bytes) {
        position.offset_bytes -= position.descriptor->size_bytes;
        position.descriptor = position.descriptor->next;
    }
    return position;
}

vck_status vck_position_normalise(struct vck_position *position)
{
    struct vck_position reached = walk(*position);
    if (reached.descriptor == NULL && reached.offset_bytes > 0)
        return VCK_OUT_OF_RANGE;
    *position = reached;
    return VCK_OK;
}

vck_status vck_position_advance(struct vck_position *position, uint64_t bytes,
                                uint64_t *ret_done_bytes)
{
    struct vck_position reached = walk(*position);
    bool is_beyond = reached.descriptor == NULL && reached.offset_bytes > 0;
    uint64_t left = bytes;

    if (!is_beyond && reached.descriptor != NULL) {
        uint64_t here = reached.descriptor->size_bytes - reached.offset_bytes;
        if (left < here) {
            reached.offset_bytes += left;
            left = 0;
        } else {
            reached = walk((struct vck_position){reached.descriptor->next, left - here});
            left = reached.descriptor == NULL ? reached.offset_bytes : 0;
        }
    }
    if (reached.descriptor == NULL)
        reached.offset_bytes = 0;
    *position = reached;
    if (ret_done_bytes != NULL)
        *ret_done_bytes = is_beyond ? 0 : bytes - left;
    return is_beyond || left > 0 ? VCK_OUT_OF_RANGE : VCK_OK;
}
