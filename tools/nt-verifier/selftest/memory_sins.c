/* SPDX-License-Identifier: Apache-2.0 */
/* Pool, MDLs, mapped device memory; timers and DPCs in memory that goes. */
#include "selftest.h"

typedef PVOID(NTAPI *allocate2)(ULONG64 flags, SIZE_T bytes, ULONG tag);

static uint8_t *allocate(SIZE_T bytes)
{
    return ExAllocatePoolWithTag(VCK_NON_PAGED_POOL_NX, bytes, SELFTEST_TAG);
}

static void release(void *memory)
{
    ExFreePoolWithTag(memory, SELFTEST_TAG);
}

static void overflow(void)
{
    volatile uint8_t *memory = allocate(24);
    memory[24] = 1;
    release((void *)memory);
}

static void underflow(void)
{
    volatile uint8_t *memory = allocate(24);
    memory[-1] = 1;
    release((void *)memory);
}

static void free_twice(void)
{
    void *memory = allocate(24);
    release(memory);
    release(memory);
}

static void write_freed(void)
{
    volatile uint8_t *memory = allocate(24);
    release((void *)memory);
    memory[3] = 1;
}

static void free_with_other_tag(void)
{
    ExFreePoolWithTag(allocate(24), 'rehO');
}

static void free_what_is_not_pool(void)
{
    static uint8_t memory[64];
    ExFreePoolWithTag(memory, SELFTEST_TAG);
}

static void allocate_nothing(void)
{
    release(allocate(0));
}

static void allocate_without_tag(void)
{
    ExFreePool(ExAllocatePoolWithTag(VCK_NON_PAGED_POOL_NX, 8, 0));
}

static void allocate_raising(void)
{
    UNICODE_STRING name;
    RtlInitUnicodeString(&name, L"ExAllocatePool2");
    allocate2 function = (allocate2)(uintptr_t)MmGetSystemRoutineAddress(&name);
    function(VCK_POOL_FLAG_NON_PAGED | 0x20, 1ull << 60, SELFTEST_TAG);
}

static void allocate_paged_at_dispatch(void)
{
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    release(ExAllocatePoolWithTag(PagedPool, 8, SELFTEST_TAG));
    KeLowerIrql(old);
}

static void free_set_timer(void)
{
    LARGE_INTEGER hour = {.QuadPart = -36000000000ll};
    PKTIMER timer = (PKTIMER)allocate(sizeof(*timer));
    KeInitializeTimerEx(timer, NotificationTimer);
    KeSetTimer(timer, hour, NULL);
    release(timer);
}

static volatile LONG dpc_may_end;

static void NTAPI dpc_spins(PKDPC dpc, PVOID context, PVOID one, PVOID two)
{
    (void)dpc;
    (void)context;
    (void)one;
    (void)two;
    while (!dpc_may_end)
        YieldProcessor();
}

static void free_queued_dpc(void)
{
    static KDPC first;
    PKDPC second = (PKDPC)allocate(sizeof(*second));
    dpc_may_end = false;
    KeInitializeDpc(&first, dpc_spins, NULL);
    KeInitializeDpc(second, dpc_spins, NULL);
    KeInsertQueueDpc(&first, NULL, NULL);
    KeInsertQueueDpc(second, NULL, NULL);
    release(second);
    dpc_may_end = true;
    KeFlushQueuedDpcs();
}

/* ---- MDLs ---- */

static uint8_t page[4096];

static PMDL make_mdl(void)
{
    return IoAllocateMdl(page, sizeof(page), FALSE, FALSE, NULL);
}

static void free_mapped_mdl(void)
{
    PMDL mdl = make_mdl();
    MmBuildMdlForNonPagedPool(mdl);
    MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    IoFreeMdl(mdl);
}

static void free_locked_mdl(void)
{
    PMDL mdl = make_mdl();
    selftest_lock_pages(mdl);
    IoFreeMdl(mdl);
}

static void build_mdl_twice(void)
{
    PMDL mdl = make_mdl();
    MmBuildMdlForNonPagedPool(mdl);
    MmBuildMdlForNonPagedPool(mdl);
    IoFreeMdl(mdl);
}

static void map_unlocked_mdl(void)
{
    PMDL mdl = make_mdl();
    void *address =
        MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    MmUnmapLockedPages(address, mdl);
    IoFreeMdl(mdl);
}

static void map_mdl_twice(void)
{
    PMDL mdl = make_mdl();
    selftest_lock_pages(mdl);
    MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    void *address =
        MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    MmUnmapLockedPages(address, mdl);
    mdl->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    MmUnlockPages(mdl);
    IoFreeMdl(mdl);
}

static void unmap_unmapped_mdl(void)
{
    PMDL mdl = make_mdl();
    MmBuildMdlForNonPagedPool(mdl);
    MmUnmapLockedPages(page, mdl);
    IoFreeMdl(mdl);
}

static void partial_mdl_outside(void)
{
    PMDL source = make_mdl(), target = make_mdl();
    MmBuildMdlForNonPagedPool(source);
    IoBuildPartialMdl(source, target, page + 4000, 200);
    IoFreeMdl(target);
    IoFreeMdl(source);
}

static void reuse_mapped_partial(void)
{
    PMDL source = make_mdl(), target = make_mdl();
    selftest_lock_pages(source);
    IoBuildPartialMdl(source, target, page, 512);
    MmMapLockedPagesSpecifyCache(target, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    IoBuildPartialMdl(source, target, page + 512, 512);
    IoFreeMdl(target);
    MmUnlockPages(source);
    IoFreeMdl(source);
}

/* ---- device memory ---- */

static void unmap_io_space_twice(void)
{
    PHYSICAL_ADDRESS address = {.QuadPart = 0x10000000};
    void *memory = MmMapIoSpace(address, 64, MmCached);
    selftest_expect(memory != NULL, "injected memory is mapped");
    MmUnmapIoSpace(memory, 64);
    MmUnmapIoSpace(memory, 64);
}

static const struct sin list[] = {
    {"overflow", overflow, SIN_NOW, "pool-overflow"},
    {"underflow", underflow, SIN_NOW, "pool-underflow"},
    {"free-twice", free_twice, SIN_NOW, "pool-double-free"},
    {"write-freed", write_freed, SIN_AT_UNLOAD, "pool-use-after-free"},
    {"free-with-other-tag", free_with_other_tag, SIN_NOW, "pool-tag-mismatch"},
    {"free-not-pool", free_what_is_not_pool, SIN_NOW, "pool-bad-free"},
    {"allocate-nothing", allocate_nothing, SIN_NOW, "pool-no-bytes"},
    {"allocate-without-tag", allocate_without_tag, SIN_NOW, "pool-no-tag"},
    {"allocate-raising", allocate_raising, SIN_NOW, "pool-raise"},
    {"allocate-paged-at-dispatch", allocate_paged_at_dispatch, SIN_NOW, "level-too-high"},
    {"free-set-timer", free_set_timer, SIN_NOW, "timer-freed"},
    {"free-queued-dpc", free_queued_dpc, SIN_NOW, "dpc-freed"},
    {"free-mapped-mdl", free_mapped_mdl, SIN_NOW, "mdl-freed-mapped"},
    {"free-locked-mdl", free_locked_mdl, SIN_NOW, "mdl-freed-locked"},
    {"build-mdl-twice", build_mdl_twice, SIN_NOW, "mdl-built-twice"},
    {"map-unlocked-mdl", map_unlocked_mdl, SIN_NOW, "mdl-not-locked"},
    {"map-mdl-twice", map_mdl_twice, SIN_NOW, "mdl-mapped-twice"},
    {"unmap-unmapped-mdl", unmap_unmapped_mdl, SIN_NOW, "mdl-not-mapped"},
    {"partial-mdl-outside", partial_mdl_outside, SIN_NOW, "mdl-partial-outside"},
    {"reuse-mapped-partial", reuse_mapped_partial, SIN_NOW, "mdl-reused-mapped"},
    {"unmap-io-space-twice", unmap_io_space_twice, SIN_NOW, "io-space-not-mapped"},
};
const struct sins memory_sins = {list, sizeof(list) / sizeof(list[0])};
