/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MDLs. All memory is in one address space here: locking only marks the MDL, and mapping gives the
 * address it was made for, or the one Wine put the caller's buffer at.
 */
#include "verify.h"

enum {
    BUCKETS = 256,
    DESCRIBED = MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL,
    ADDRESSED = MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL,
};

struct mdl_entry {
    LIST_ENTRY link;
    PMDL mdl;
    struct verify_driver *driver;
    LONG mappings;
    struct verify_stack stack;
};

static struct user_lock lock;
static LIST_ENTRY buckets[BUCKETS];

static LIST_ENTRY *bucket_of(const MDL *mdl)
{
    LIST_ENTRY *bucket = &buckets[((uintptr_t)mdl >> 4) * 0x9e3779b97f4a7c15ull >> 56];
    if (!bucket->Flink)
        InitializeListHead(bucket);
    return bucket;
}

static struct mdl_entry *find(const MDL *mdl)
{
    LIST_ENTRY *bucket = bucket_of(mdl);
    for (LIST_ENTRY *link = bucket->Flink; link != bucket; link = link->Flink) {
        struct mdl_entry *entry = CONTAINING_RECORD(link, struct mdl_entry, link);
        if (entry->mdl == mdl)
            return entry;
    }
    return NULL;
}

static void *address_of(const MDL *mdl)
{
    if (mdl->MdlFlags & ADDRESSED || (mdl->MdlFlags & MDL_PARTIAL && mdl->MappedSystemVa))
        return mdl->MappedSystemVa;
    return (char *)mdl->StartVa + mdl->ByteOffset;
}

static void count_mapping(const MDL *mdl, LONG change)
{
    AcquireSRWLockExclusive(&lock);
    struct mdl_entry *entry = find(mdl);
    if (entry)
        entry->mappings += change;
    ReleaseSRWLockExclusive(&lock);
}

void verify_mdl_leaks(struct verify_driver *driver)
{
    AcquireSRWLockExclusive(&lock);
    for (size_t i = 0; i < BUCKETS; i++) {
        LIST_ENTRY *link = buckets[i].Flink;
        for (; link && link != &buckets[i]; link = link->Flink) {
            struct mdl_entry *entry = CONTAINING_RECORD(link, struct mdl_entry, link);
            if (entry->driver == driver) {
                verify_report("mdl-leak", driver, &entry->stack, "MDL %p was not freed",
                              (void *)entry->mdl);
                entry->driver = NULL;
            }
        }
    }
    ReleaseSRWLockExclusive(&lock);
}

/* ---- hooks ---- */

static PMDL NTAPI hook_IoAllocateMdl(PVOID address, ULONG bytes, BOOLEAN is_secondary,
                                     BOOLEAN has_quota, PIRP irp)
{
    struct verify_driver *driver = CALLER;
    verify_level_check(driver, DISPATCH_LEVEL, "IoAllocateMdl");
    if (verify_fails_now(driver))
        return NULL;
    struct mdl_entry *entry = verify_allocate(sizeof(*entry));
    PMDL mdl = entry ? IoAllocateMdl(address, bytes, is_secondary, has_quota, irp) : NULL;
    if (!mdl) {
        verify_free(entry);
        return NULL;
    }
    entry->mdl = mdl;
    entry->driver = driver;
    verify_stack_capture(&entry->stack);
    if (driver)
        InterlockedIncrement64(&driver->counters.mdls);
    AcquireSRWLockExclusive(&lock);
    InsertTailList(bucket_of(mdl), &entry->link);
    ReleaseSRWLockExclusive(&lock);
    return mdl;
}

static void check_freed(const struct mdl_entry *entry, struct verify_driver *driver)
{
    CSHORT flags = entry->mdl->MdlFlags;
    /* A mapped partial MDL is unmapped by being freed. */
    if (entry->mappings > 0 && !(flags & MDL_PARTIAL))
        verify_report("mdl-freed-mapped", driver, &entry->stack, "MDL %p is mapped %ld times",
                      (void *)entry->mdl, entry->mappings);
    if (flags & MDL_PAGES_LOCKED && !(flags & MDL_PARTIAL))
        verify_report("mdl-freed-locked", driver, &entry->stack, "the pages of MDL %p are locked",
                      (void *)entry->mdl);
}

static void NTAPI hook_IoFreeMdl(PMDL mdl)
{
    verify_level_check(CALLER, DISPATCH_LEVEL, "IoFreeMdl");
    AcquireSRWLockExclusive(&lock);
    struct mdl_entry *entry = find(mdl);
    if (entry) {
        RemoveEntryList(&entry->link);
        check_freed(entry, CALLER);
    }
    ReleaseSRWLockExclusive(&lock);
    verify_free(entry);
    IoFreeMdl(mdl);
}

static void NTAPI hook_MmBuildMdlForNonPagedPool(PMDL mdl)
{
    verify_level_check(CALLER, DISPATCH_LEVEL, "MmBuildMdlForNonPagedPool");
    if (mdl->MdlFlags &
        (MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL))
        verify_report("mdl-built-twice", CALLER, NULL, "MDL %p describes memory already (flags %x)",
                      (void *)mdl, mdl->MdlFlags);
    mdl->MappedSystemVa = (char *)mdl->StartVa + mdl->ByteOffset;
    mdl->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
}

static void NTAPI hook_MmProbeAndLockPages(PMDL mdl, KPROCESSOR_MODE mode, LOCK_OPERATION operation)
{
    (void)mode;
    (void)operation;
    verify_level_check(CALLER, DISPATCH_LEVEL, "MmProbeAndLockPages");
    if (mdl->MdlFlags & DESCRIBED)
        verify_report("mdl-built-twice", CALLER, NULL, "MDL %p describes memory already (flags %x)",
                      (void *)mdl, mdl->MdlFlags);
    mdl->MdlFlags |= MDL_PAGES_LOCKED;
}

static void unmap(PMDL mdl)
{
    mdl->MdlFlags &= (CSHORT) ~(MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED);
    count_mapping(mdl, -1);
}

static void NTAPI hook_MmUnlockPages(PMDL mdl)
{
    verify_level_check(CALLER, DISPATCH_LEVEL, "MmUnlockPages");
    if (!(mdl->MdlFlags & MDL_PAGES_LOCKED)) {
        verify_report("mdl-not-locked", CALLER, NULL, "the pages of MDL %p are not locked",
                      (void *)mdl);
        return;
    }
    if (mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA)
        unmap(mdl);
    mdl->MdlFlags &= (CSHORT)~MDL_PAGES_LOCKED;
}

static PVOID map(PMDL mdl, struct verify_driver *driver)
{
    verify_level_check(driver, DISPATCH_LEVEL, "MmMapLockedPages");
    if (!(mdl->MdlFlags & (DESCRIBED | MDL_MAPPED_TO_SYSTEM_VA)))
        verify_report("mdl-not-locked", driver, NULL, "MDL %p is mapped but not locked",
                      (void *)mdl);
    else if (mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA && !(mdl->MdlFlags & MDL_PARTIAL))
        verify_report("mdl-mapped-twice", driver, NULL, "MDL %p is mapped already", (void *)mdl);
    if (verify_fails_now(driver))
        return NULL;
    mdl->MappedSystemVa = address_of(mdl);
    mdl->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    if (mdl->MdlFlags & MDL_PARTIAL)
        mdl->MdlFlags |= MDL_PARTIAL_HAS_BEEN_MAPPED;
    count_mapping(mdl, 1);
    return mdl->MappedSystemVa;
}

static PVOID NTAPI hook_MmMapLockedPagesSpecifyCache(PMDL mdl, KPROCESSOR_MODE mode,
                                                     MEMORY_CACHING_TYPE cache, PVOID address,
                                                     ULONG bug_check, ULONG priority)
{
    (void)mode;
    (void)cache;
    (void)address;
    (void)bug_check;
    (void)priority;
    return map(mdl, CALLER);
}

static PVOID NTAPI hook_MmMapLockedPages(PMDL mdl, KPROCESSOR_MODE mode)
{
    (void)mode;
    return map(mdl, CALLER);
}

static void NTAPI hook_MmUnmapLockedPages(PVOID address, PMDL mdl)
{
    verify_level_check(CALLER, DISPATCH_LEVEL, "MmUnmapLockedPages");
    if (!(mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA) || address != mdl->MappedSystemVa)
        verify_report("mdl-not-mapped", CALLER, NULL, "MDL %p is not mapped at %p", (void *)mdl,
                      address);
    else
        unmap(mdl);
}

static void NTAPI hook_IoBuildPartialMdl(PMDL source, PMDL target, PVOID address, ULONG bytes)
{
    uintptr_t first = (uintptr_t)source->StartVa + source->ByteOffset;
    uintptr_t offset = (uintptr_t)address - first;
    verify_level_check(CALLER, DISPATCH_LEVEL, "IoBuildPartialMdl");
    if (!bytes)
        bytes = source->ByteCount - (ULONG)offset;
    if (offset > source->ByteCount || bytes > source->ByteCount - offset)
        verify_report("mdl-partial-outside", CALLER, NULL,
                      "%lu bytes at %llu of an MDL of %lu bytes", bytes, (unsigned long long)offset,
                      source->ByteCount);
    if (!(source->MdlFlags & (DESCRIBED | MDL_MAPPED_TO_SYSTEM_VA)))
        verify_report("mdl-not-locked", CALLER, NULL, "source MDL %p describes no memory",
                      (void *)source);
    if (target->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED)
        verify_report("mdl-reused-mapped", CALLER, NULL,
                      "target MDL %p is mapped; prepare it first", (void *)target);
    target->StartVa = (PVOID)((uintptr_t)address & ~(uintptr_t)(PAGE_SIZE - 1));
    target->ByteOffset = (ULONG)((uintptr_t)address & (PAGE_SIZE - 1));
    target->ByteCount = bytes;
    target->Process = source->Process;
    target->MappedSystemVa = (char *)address_of(source) + offset;
    target->MdlFlags &= (CSHORT) ~(DESCRIBED | ADDRESSED | MDL_PARTIAL_HAS_BEEN_MAPPED);
    target->MdlFlags |= (CSHORT)(MDL_PARTIAL | (source->MdlFlags & ADDRESSED));
}

static SIZE_T NTAPI hook_MmSizeOfMdl(PVOID address, SIZE_T bytes)
{
    return sizeof(MDL) + ADDRESS_AND_SIZE_TO_SPAN_PAGES(address, bytes) * sizeof(PFN_NUMBER);
}

static SIZE_T whole_pages(SIZE_T bytes)
{
    return (bytes + PAGE_SIZE - 1) & ~(SIZE_T)(PAGE_SIZE - 1);
}

static PMDL make_pages(SIZE_T bytes, struct verify_driver *driver)
{
    bytes = whole_pages(bytes);
    void *pages = verify_pool_allocate(driver, bytes, VERIFY_TAG, true);
    PMDL mdl = pages
                   ? ExAllocatePoolWithTag(NonPagedPool, hook_MmSizeOfMdl(pages, bytes), VERIFY_TAG)
                   : NULL;
    if (!mdl) {
        if (pages)
            verify_pool_free(driver, pages, VERIFY_TAG);
        return NULL;
    }
    RtlZeroMemory(mdl, sizeof(*mdl));
    mdl->Size = (CSHORT)hook_MmSizeOfMdl(pages, bytes);
    mdl->StartVa = pages;
    mdl->ByteCount = (ULONG)bytes;
    mdl->MdlFlags = MDL_PAGES_LOCKED;
    return mdl;
}

static PMDL NTAPI hook_MmAllocatePagesForMdl(PHYSICAL_ADDRESS low, PHYSICAL_ADDRESS high,
                                             PHYSICAL_ADDRESS skip, SIZE_T bytes)
{
    (void)low;
    (void)high;
    (void)skip;
    return make_pages(bytes, CALLER);
}

static PMDL NTAPI hook_MmAllocatePagesForMdlEx(PHYSICAL_ADDRESS low, PHYSICAL_ADDRESS high,
                                               PHYSICAL_ADDRESS skip, SIZE_T bytes,
                                               MEMORY_CACHING_TYPE cache, ULONG flags)
{
    (void)low;
    (void)high;
    (void)skip;
    (void)cache;
    (void)flags;
    return make_pages(bytes, CALLER);
}

static void NTAPI hook_MmFreePagesFromMdl(PMDL mdl)
{
    verify_pool_free(CALLER, mdl->StartVa, VERIFY_TAG);
    mdl->MdlFlags &= (CSHORT) ~(MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA);
}

static PVOID NTAPI hook_MmAllocateContiguousMemory(SIZE_T bytes, PHYSICAL_ADDRESS highest)
{
    (void)highest;
    return verify_pool_allocate(CALLER, whole_pages(bytes), VERIFY_TAG, false);
}

static PVOID NTAPI hook_MmAllocateContiguousMemorySpecifyCache(SIZE_T bytes, PHYSICAL_ADDRESS low,
                                                               PHYSICAL_ADDRESS high,
                                                               PHYSICAL_ADDRESS multiple,
                                                               MEMORY_CACHING_TYPE cache)
{
    (void)low;
    (void)high;
    (void)multiple;
    (void)cache;
    return verify_pool_allocate(CALLER, whole_pages(bytes), VERIFY_TAG, false);
}

static void NTAPI hook_MmFreeContiguousMemory(PVOID address)
{
    verify_pool_free(CALLER, address, VERIFY_TAG);
}

/* ---- reserved addresses: a number of pages, and what is mapped there ---- */

struct addresses {
    SIZE_T bytes;
    ULONG tag;
    PMDL mdl;
};

static PVOID NTAPI hook_MmAllocateMappingAddress(SIZE_T bytes, ULONG tag)
{
    struct verify_driver *driver = CALLER;
    struct addresses *addresses;
    verify_level_check(driver, APC_LEVEL, "MmAllocateMappingAddress");
    addresses = verify_fails_now(driver) ? NULL : verify_allocate(sizeof(*addresses));
    if (addresses)
        *addresses = (struct addresses){.bytes = bytes, .tag = tag};
    return addresses;
}

static void NTAPI hook_MmFreeMappingAddress(PVOID at, ULONG tag)
{
    const struct addresses *addresses = at;
    verify_level_check(CALLER, APC_LEVEL, "MmFreeMappingAddress");
    if (addresses->mdl || addresses->tag != tag)
        verify_report("mdl-freed-mapped", CALLER, NULL, "MDL %p is mapped at addresses %p",
                      (void *)addresses->mdl, at);
    verify_free(at);
}

static PVOID NTAPI hook_MmMapLockedPagesWithReservedMapping(PVOID at, ULONG tag, PMDL mdl,
                                                            MEMORY_CACHING_TYPE cache)
{
    struct verify_driver *driver = CALLER;
    struct addresses *addresses = at;
    (void)cache;
    verify_level_check(driver, DISPATCH_LEVEL, "MmMapLockedPagesWithReservedMapping");
    if (addresses->mdl || addresses->tag != tag) {
        verify_report("mdl-mapped-twice", driver, NULL, "addresses %p are of MDL %p already", at,
                      (void *)addresses->mdl);
        return NULL;
    }
    if (mdl->ByteOffset + mdl->ByteCount > addresses->bytes)
        return NULL;
    addresses->mdl = mdl;
    mdl->MappedSystemVa = address_of(mdl);
    mdl->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    return mdl->MappedSystemVa;
}

static void NTAPI hook_MmUnmapReservedMapping(PVOID at, ULONG tag, PMDL mdl)
{
    struct addresses *addresses = at;
    verify_level_check(CALLER, DISPATCH_LEVEL, "MmUnmapReservedMapping");
    if (addresses->mdl != mdl || addresses->tag != tag)
        verify_report("mdl-not-mapped", CALLER, NULL, "MDL %p is not mapped at %p", (void *)mdl,
                      at);
    addresses->mdl = NULL;
    mdl->MdlFlags &= (CSHORT)~MDL_MAPPED_TO_SYSTEM_VA;
}

static const struct verify_hook hooks[] = {
    CHECK(IoAllocateMdl),
    CHECK(IoFreeMdl),
    SUPPLY(MmBuildMdlForNonPagedPool),
    SUPPLY(MmProbeAndLockPages),
    SUPPLY(MmUnlockPages),
    SUPPLY(MmMapLockedPagesSpecifyCache),
    SUPPLY(MmMapLockedPages),
    SUPPLY(MmUnmapLockedPages),
    SUPPLY(IoBuildPartialMdl),
    SUPPLY(MmSizeOfMdl),
    SUPPLY(MmAllocatePagesForMdl),
    SUPPLY(MmAllocatePagesForMdlEx),
    SUPPLY(MmFreePagesFromMdl),
    SUPPLY(MmAllocateContiguousMemory),
    SUPPLY(MmAllocateContiguousMemorySpecifyCache),
    SUPPLY(MmFreeContiguousMemory),
    SUPPLY(MmAllocateMappingAddress),
    SUPPLY(MmFreeMappingAddress),
    SUPPLY(MmMapLockedPagesWithReservedMapping),
    SUPPLY(MmUnmapReservedMapping),
};
const struct verify_hooks verify_mdl_hooks = VERIFY_HOOKS(hooks);
