/* SPDX-License-Identifier: Apache-2.0 */
/* A page's number is its address on the host divided by PAGE_SIZE; a mapping is that address. */
#include <stdlib.h>

#include "fake_nt.h"
#include "fake_nt_internal.h"
#include "port/port.h"

/* How far the virtual addresses of a user's MDL are from the host's. */
#define USER_DISTANCE (UINT64_C(1) << 46)

static bool fails_mappings; /* atomic */

static uint64_t *pages_of(const MDL *mdl)
{
    return (uint64_t *)(uintptr_t)(mdl + 1);
}

static size_t page_count(const void *base, size_t length)
{
    return ((uintptr_t)base % PAGE_SIZE + length + PAGE_SIZE - 1) / PAGE_SIZE;
}

static size_t mdl_size(const void *base, size_t length)
{
    return sizeof(MDL) + page_count(base, length) * sizeof(uint64_t);
}

void MmInitializeMdl(PMDL mdl, PVOID base, SIZE_T length)
{
    *mdl = (MDL){
        .Size = (CSHORT)mdl_size(base, length),
        .StartVa = (uint8_t *)base - (uintptr_t)base % PAGE_SIZE,
        .ByteOffset = (ULONG)((uintptr_t)base % PAGE_SIZE),
        .ByteCount = (ULONG)length,
    };
}

void MmBuildMdlForNonPagedPool(PMDL mdl)
{
    size_t count = page_count(MmGetMdlVirtualAddress(mdl), mdl->ByteCount);

    VCK_ASSERT((uintptr_t)mdl->StartVa > USER_DISTANCE && "the memory is pool, not a user's");
    for (size_t i = 0; i < count; i++)
        pages_of(mdl)[i] = (uintptr_t)mdl->StartVa / PAGE_SIZE + i;
    mdl->MappedSystemVa = MmGetMdlVirtualAddress(mdl);
    mdl->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
}

void IoBuildPartialMdl(PMDL source, PMDL target, PVOID base, ULONG length)
{
    size_t first = (size_t)((uint8_t *)base - (uint8_t *)source->StartVa);

    VCK_ASSERT((uint8_t *)base >= (uint8_t *)MmGetMdlVirtualAddress(source));
    VCK_ASSERT(first + length <= source->ByteOffset + source->ByteCount);
    VCK_ASSERT((size_t)target->Size >= mdl_size(base, length));
    VCK_ASSERT(!(target->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED));
    target->StartVa = (uint8_t *)base - (uintptr_t)base % PAGE_SIZE;
    target->ByteOffset = (ULONG)((uintptr_t)base % PAGE_SIZE);
    target->ByteCount = length;
    target->MdlFlags |= MDL_PARTIAL;
    /* What is mapped is mapped in its parts. */
    if (source->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL)) {
        target->MappedSystemVa = (uint8_t *)source->MappedSystemVa + first - source->ByteOffset;
        target->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    }
    memcpy(pages_of(target), pages_of(source) + first / PAGE_SIZE,
           page_count(base, length) * sizeof(uint64_t));
}

static PVOID map(PMDL mdl)
{
    mdl->MappedSystemVa = (uint8_t *)(uintptr_t)(pages_of(mdl)[0] * PAGE_SIZE) + mdl->ByteOffset;
    mdl->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    if (mdl->MdlFlags & MDL_PARTIAL)
        mdl->MdlFlags |= MDL_PARTIAL_HAS_BEEN_MAPPED;
    return mdl->MappedSystemVa;
}

PVOID MmGetSystemAddressForMdlSafe(PMDL mdl, ULONG priority)
{
    (void)priority;
    VCK_ASSERT_LEVEL(VCK_LEVEL_DISPATCH);
    if (mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL))
        return mdl->MappedSystemVa;
    VCK_ASSERT(mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_PARTIAL));
    if (fake_should_fail() || __atomic_load_n(&fails_mappings, __ATOMIC_RELAXED))
        return NULL;
    return map(mdl);
}

void MmPrepareMdlForReuse(PMDL mdl)
{
    if (mdl->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED)
        mdl->MdlFlags &= (CSHORT) ~(MDL_PARTIAL_HAS_BEEN_MAPPED | MDL_MAPPED_TO_SYSTEM_VA);
}

PMDL fake_mdl_create(void *buffer, size_t size_bytes)
{
    PMDL mdl = calloc(1, mdl_size(buffer, size_bytes));
    uint8_t *user = (uint8_t *)buffer - USER_DISTANCE;

    VCK_ASSERT(mdl != NULL);
    MmInitializeMdl(mdl, user, size_bytes);
    mdl->MdlFlags = MDL_PAGES_LOCKED;
    for (size_t i = 0; i < page_count(user, size_bytes); i++)
        pages_of(mdl)[i] = (uintptr_t)buffer / PAGE_SIZE + i;
    return mdl;
}

void fake_mdl_free(PMDL mdl)
{
    free(mdl);
}

void fake_mdl_fail_mappings(bool fail)
{
    __atomic_store_n(&fails_mappings, fail, __ATOMIC_RELAXED);
}

/* ---- reserved addresses ---- */

struct addresses {
    size_t pages;
    ULONG tag;
    PMDL mdl; /* atomic: mapped now */
};

PVOID MmAllocateMappingAddress(SIZE_T size_bytes, ULONG tag)
{
    struct addresses *addresses = fake_should_fail() ? NULL : calloc(1, sizeof(*addresses));

    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    if (addresses) {
        addresses->pages = page_count(NULL, size_bytes);
        addresses->tag = tag;
    }
    return addresses;
}

void MmFreeMappingAddress(PVOID at, ULONG tag)
{
    struct addresses *addresses = at;

    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    VCK_ASSERT(addresses->tag == tag && !addresses->mdl);
    free(addresses);
}

PVOID MmMapLockedPagesWithReservedMapping(PVOID at, ULONG tag, PMDL mdl,
                                          MEMORY_CACHING_TYPE caching)
{
    struct addresses *addresses = at;

    VCK_ASSERT_LEVEL(VCK_LEVEL_DISPATCH);
    VCK_ASSERT(addresses->tag == tag && caching == MmCached);
    VCK_ASSERT(mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_PARTIAL));
    VCK_ASSERT(!(mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL |
                                  MDL_PARTIAL_HAS_BEEN_MAPPED)));
    VCK_ASSERT(!__atomic_exchange_n(&addresses->mdl, mdl, __ATOMIC_ACQUIRE));
    if (page_count(MmGetMdlVirtualAddress(mdl), mdl->ByteCount) > addresses->pages)
        return NULL;
    return map(mdl);
}

void MmUnmapReservedMapping(PVOID at, ULONG tag, PMDL mdl)
{
    struct addresses *addresses = at;

    VCK_ASSERT_LEVEL(VCK_LEVEL_DISPATCH);
    VCK_ASSERT(addresses->tag == tag && (mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA));
    mdl->MdlFlags &= (CSHORT) ~(MDL_PARTIAL_HAS_BEEN_MAPPED | MDL_MAPPED_TO_SYSTEM_VA);
    VCK_ASSERT(__atomic_exchange_n(&addresses->mdl, NULL, __ATOMIC_RELEASE) == mdl);
}
