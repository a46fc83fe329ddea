/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool. A block is laid out as
 *
 *     [ struct block | guard ][ the driver's bytes ][ guard ]
 *
 * with the driver's bytes at a multiple of 16, or of a page from a page on, as the kernel has them.
 * New bytes are filled with a pattern. A freed block is filled with another and waits in quarantine
 * before its memory is used again; who still writes to it is found when it leaves.
 */
#include "verify.h"

enum {
    GUARD_BYTES = 16,
    BUCKETS = 4096,
    FILL_NEW = 0xcc,
    FILL_FREED = 0xdd,
    FILL_GUARD = 0xb7,
    QUARANTINE_BYTES = 16 << 20,
    POOL_ALIGNMENT = 16,
    PROTECTED_TAG = (int)0x80000000,
    POOL2_UNINITIALIZED = 2,
    POOL2_RAISE = 0x20,
};

struct block {
    LIST_ENTRY bucket;  /* live and quarantined blocks, by address */
    LIST_ENTRY waiting; /* in quarantine */
    struct verify_driver *driver;
    void *memory; /* what Wine gave */
    uint8_t *bytes;
    SIZE_T size;
    ULONG tag;
    bool is_freed;
    struct verify_stack allocated, freed;
    uint8_t guard[GUARD_BYTES];
};

static struct user_lock lock;
static LIST_ENTRY buckets[BUCKETS];
static LIST_ENTRY quarantine;
static SIZE_T quarantined_bytes, quarantine_limit = QUARANTINE_BYTES;
static bool is_ready;

static LIST_ENTRY *bucket_of(const void *bytes)
{
    return &buckets[((uintptr_t)bytes >> 4) * 0x9e3779b97f4a7c15ull >> 52];
}

static void prepare(void)
{
    for (size_t i = 0; i < BUCKETS; i++)
        InitializeListHead(&buckets[i]);
    InitializeListHead(&quarantine);
    is_ready = true;
}

/* The lock is held. */
static struct block *find(const void *bytes)
{
    LIST_ENTRY *bucket = bucket_of(bytes);
    if (!is_ready)
        prepare();
    for (LIST_ENTRY *entry = bucket->Flink; entry != bucket; entry = entry->Flink) {
        struct block *block = CONTAINING_RECORD(entry, struct block, bucket);
        if (block->bytes == bytes)
            return block;
    }
    return NULL;
}

/* ---- patterns ---- */

static size_t first_wrong(const uint8_t *bytes, size_t count, uint8_t fill)
{
    size_t i = 0;
    while (i < count && bytes[i] == fill)
        i++;
    return i;
}

static const char *format_tag(ULONG tag, char text[5])
{
    for (int i = 0; i < 4; i++) {
        char letter = (char)(tag >> 8 * i);
        text[i] = (char)(letter >= ' ' && letter <= '~' ? letter : '.');
    }
    text[4] = 0;
    return text;
}

/* What was reported is put right: it is reported once. */
static void check_guards(struct block *block)
{
    char tag[5];
    size_t at = first_wrong(block->bytes + block->size, GUARD_BYTES, FILL_GUARD);
    if (at < GUARD_BYTES)
        verify_report("pool-overflow", block->driver, &block->allocated,
                      "%lu bytes, tag %s: byte %lu behind the end was written", (ULONG)block->size,
                      format_tag(block->tag, tag), (ULONG)at);
    const uint8_t *before = block->bytes - GUARD_BYTES;
    size_t right = 0;
    while (right < GUARD_BYTES && before[GUARD_BYTES - 1 - right] == FILL_GUARD)
        right++;
    if (right < GUARD_BYTES)
        verify_report("pool-underflow", block->driver, &block->allocated,
                      "%lu bytes, tag %s: byte %lu before the start was written",
                      (ULONG)block->size, format_tag(block->tag, tag), (ULONG)right + 1);
    RtlFillMemory(block->bytes + block->size, GUARD_BYTES, FILL_GUARD);
    RtlFillMemory(block->bytes - GUARD_BYTES, GUARD_BYTES, FILL_GUARD);
}

static void check_freed_fill(struct block *block)
{
    char tag[5];
    size_t at = first_wrong(block->bytes, block->size, FILL_FREED);
    if (at < block->size)
        verify_report("pool-use-after-free", block->driver, &block->freed,
                      "%lu bytes, tag %s: byte %lu was written after the block was freed",
                      (ULONG)block->size, format_tag(block->tag, tag), (ULONG)at);
    else
        check_guards(block);
}

/* ---- allocation ---- */

/* Where the driver's bytes are in memory of this size, and the memory needed. */
static SIZE_T memory_bytes(SIZE_T size, SIZE_T *ret_alignment)
{
    *ret_alignment = size >= PAGE_SIZE ? PAGE_SIZE : POOL_ALIGNMENT;
    return sizeof(struct block) + *ret_alignment + size + GUARD_BYTES;
}

static struct block *make_block(SIZE_T size)
{
    SIZE_T alignment, bytes = memory_bytes(size, &alignment);
    uint8_t *memory = bytes > size ? ExAllocatePoolWithTag(NonPagedPool, bytes, VERIFY_TAG) : NULL;
    if (!memory)
        return NULL;
    uintptr_t at = ((uintptr_t)memory + sizeof(struct block) + alignment - 1) & ~(alignment - 1);
    struct block *block = (struct block *)(at - sizeof(struct block));
    RtlZeroMemory(block, sizeof(*block));
    block->memory = memory;
    block->bytes = (uint8_t *)at;
    block->size = size;
    RtlFillMemory(block->guard, GUARD_BYTES, FILL_GUARD);
    RtlFillMemory(block->bytes + size, GUARD_BYTES, FILL_GUARD);
    return block;
}

static void count_block(struct verify_driver *driver, LONG64 sign, SIZE_T size)
{
    if (!driver)
        return;
    struct verify_counters *counters = &driver->counters;
    counters->pool_blocks += sign;
    counters->pool_bytes += sign * (LONG64)size;
    if (sign > 0)
        counters->pool_allocations++;
    if (counters->pool_bytes > counters->pool_peak_bytes)
        counters->pool_peak_bytes = counters->pool_bytes;
}

void *verify_pool_allocate(struct verify_driver *driver, SIZE_T size, ULONG tag, bool is_zeroed)
{
    verify_level_check(driver, DISPATCH_LEVEL, "ExAllocatePool");
    if (!size || !tag)
        verify_report(size ? "pool-no-tag" : "pool-no-bytes", driver, NULL, "%lu bytes, tag %lx",
                      (ULONG)size, tag);
    if (verify_fails_now(driver))
        return NULL;
    struct block *block = make_block(size);
    if (!block)
        return NULL;
    block->driver = driver;
    block->tag = tag;
    verify_stack_capture(&block->allocated);
    RtlFillMemory(block->bytes, size, is_zeroed ? 0 : FILL_NEW);
    AcquireSRWLockExclusive(&lock);
    find(block->bytes);
    InsertTailList(bucket_of(block->bytes), &block->bucket);
    count_block(driver, 1, size);
    ReleaseSRWLockExclusive(&lock);
    return block->bytes;
}

/* ---- freeing ---- */

/* The lock is held. */
static void leave_quarantine(struct block *block)
{
    check_freed_fill(block);
    RemoveEntryList(&block->waiting);
    RemoveEntryList(&block->bucket);
    quarantined_bytes -= block->size;
    ExFreePoolWithTag(block->memory, VERIFY_TAG);
}

static void shrink_quarantine(SIZE_T limit)
{
    while (quarantined_bytes > limit && !IsListEmpty(&quarantine))
        leave_quarantine(CONTAINING_RECORD(quarantine.Flink, struct block, waiting));
}

static void enter_quarantine(struct block *block)
{
    block->is_freed = true;
    verify_stack_capture(&block->freed);
    RtlFillMemory(block->bytes, block->size, FILL_FREED);
    InsertTailList(&quarantine, &block->waiting);
    quarantined_bytes += block->size;
    shrink_quarantine(quarantine_limit);
}

static void check_free(struct verify_driver *driver, const struct block *block, ULONG tag)
{
    char wrong[5], right[5];
    if (tag && (tag & ~(ULONG)PROTECTED_TAG) != (block->tag & ~(ULONG)PROTECTED_TAG))
        verify_report("pool-tag-mismatch", driver, &block->allocated, "freed as %s, is %s",
                      format_tag(tag, wrong), format_tag(block->tag, right));
    verify_timer_freed(driver, block->bytes, block->size);
    verify_dpc_freed(driver, block->bytes, block->size);
}

/* Memory that is no block of ours: Wine's, which drivers may have to free, or no pool at all. */
static void free_foreign(struct verify_driver *driver, void *bytes, ULONG tag)
{
    void *module;
    if (!bytes ||
        GetModuleHandleExW(USER_MODULE_FROM_ADDRESS | USER_MODULE_NO_REFERENCE, bytes, &module))
        verify_report("pool-bad-free", driver, NULL, "%p is not of the pool", bytes);
    else
        ExFreePoolWithTag(bytes, tag);
}

void verify_pool_free(struct verify_driver *driver, void *bytes, ULONG tag)
{
    verify_level_check(driver, DISPATCH_LEVEL, "ExFreePool");
    AcquireSRWLockExclusive(&lock);
    struct block *block = find(bytes);
    if (block && block->is_freed) {
        verify_report("pool-double-free", driver, &block->freed, "%lu bytes", (ULONG)block->size);
    } else if (block) {
        check_free(driver, block, tag);
        check_guards(block);
        count_block(block->driver, -1, block->size);
        enter_quarantine(block);
    }
    ReleaseSRWLockExclusive(&lock);
    if (!block)
        free_foreign(driver, bytes, tag);
}

void *verify_pool_hand_over(void *bytes)
{
    void *copy = bytes;
    AcquireSRWLockExclusive(&lock);
    struct block *block = bytes ? find(bytes) : NULL;
    if (block && !block->is_freed) {
        copy = ExAllocatePoolWithTag(NonPagedPool, block->size, block->tag);
        if (copy) {
            RtlCopyMemory(copy, block->bytes, block->size);
            check_guards(block);
            count_block(block->driver, -1, block->size);
            enter_quarantine(block);
        }
    }
    ReleaseSRWLockExclusive(&lock);
    return copy;
}

/* ---- what is left ---- */

static void report_leak(struct block *block)
{
    char tag[5];
    check_guards(block);
    verify_report("pool-leak", block->driver, &block->allocated, "%lu bytes, tag %s",
                  (ULONG)block->size, format_tag(block->tag, tag));
    count_block(block->driver, -1, block->size);
    /* Something of the driver may still use it: it stays, but is nobody's. */
    block->driver = NULL;
}

void verify_pool_leaks(struct verify_driver *driver)
{
    AcquireSRWLockExclusive(&lock);
    if (is_ready) {
        shrink_quarantine(0);
        for (size_t i = 0; i < BUCKETS; i++) {
            for (LIST_ENTRY *entry = buckets[i].Flink; entry != &buckets[i]; entry = entry->Flink) {
                struct block *block = CONTAINING_RECORD(entry, struct block, bucket);
                if (block->driver == driver)
                    report_leak(block);
            }
        }
    }
    ReleaseSRWLockExclusive(&lock);
}

void verify_pool_set_quarantine(SIZE_T bytes)
{
    AcquireSRWLockExclusive(&lock);
    quarantine_limit = bytes;
    if (is_ready)
        shrink_quarantine(bytes);
    ReleaseSRWLockExclusive(&lock);
}

/* ---- hooks ---- */

static PVOID NTAPI hook_ExAllocatePoolWithTag(POOL_TYPE type, SIZE_T size, ULONG tag)
{
    if (type & 1)
        verify_level_check(CALLER, APC_LEVEL, "ExAllocatePoolWithTag of paged pool");
    return verify_pool_allocate(CALLER, size, tag, false);
}

static PVOID NTAPI hook_ExAllocatePool(POOL_TYPE type, SIZE_T size)
{
    if (type & 1)
        verify_level_check(CALLER, APC_LEVEL, "ExAllocatePool of paged pool");
    return verify_pool_allocate(CALLER, size, 'enoN', false);
}

static PVOID NTAPI hook_ExAllocatePoolWithTagPriority(POOL_TYPE type, SIZE_T size, ULONG tag,
                                                      EX_POOL_PRIORITY priority)
{
    (void)priority;
    if (type & 1)
        verify_level_check(CALLER, APC_LEVEL, "ExAllocatePoolWithTagPriority of paged pool");
    return verify_pool_allocate(CALLER, size, tag, false);
}

static PVOID NTAPI hook_ExAllocatePool2(ULONG64 flags, SIZE_T size, ULONG tag)
{
    if (flags & 0x100)
        verify_level_check(CALLER, APC_LEVEL, "ExAllocatePool2 of paged pool");
    PVOID bytes = verify_pool_allocate(CALLER, size, tag, !(flags & POOL2_UNINITIALIZED));
    if (!bytes && flags & POOL2_RAISE)
        verify_report("pool-raise", CALLER, NULL, "would raise an exception: out of memory");
    return bytes;
}

static void NTAPI hook_ExFreePoolWithTag(PVOID bytes, ULONG tag)
{
    verify_pool_free(CALLER, bytes, tag);
}

static void NTAPI hook_ExFreePool(PVOID bytes)
{
    verify_pool_free(CALLER, bytes, 0);
}

static void NTAPI hook_ExFreePool2(PVOID bytes, ULONG tag, PVOID parameters, ULONG count)
{
    (void)parameters;
    (void)count;
    verify_pool_free(CALLER, bytes, tag);
}

static void NTAPI hook_RtlFreeUnicodeString(PUNICODE_STRING string)
{
    if (!string->Buffer)
        return;
    AcquireSRWLockExclusive(&lock);
    struct block *block = find(string->Buffer);
    ReleaseSRWLockExclusive(&lock);
    if (!block) {
        RtlFreeUnicodeString(string);
        return;
    }
    verify_pool_free(CALLER, string->Buffer, 0);
    RtlZeroMemory(string, sizeof(*string));
}

/* Lists of blocks: their blocks are of the pool, through the functions they are told here. */
static void NTAPI hook_ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST list,
                                                       PALLOCATE_FUNCTION allocate,
                                                       PFREE_FUNCTION release, ULONG flags,
                                                       SIZE_T size, ULONG tag, USHORT depth)
{
    ExInitializeNPagedLookasideList(list, allocate ? allocate : hook_ExAllocatePoolWithTag,
                                    release ? release : hook_ExFreePool, flags, size, tag, depth);
}

static void NTAPI hook_ExInitializePagedLookasideList(PPAGED_LOOKASIDE_LIST list,
                                                      PALLOCATE_FUNCTION allocate,
                                                      PFREE_FUNCTION release, ULONG flags,
                                                      SIZE_T size, ULONG tag, USHORT depth)
{
    ExInitializePagedLookasideList(list, allocate ? allocate : hook_ExAllocatePoolWithTag,
                                   release ? release : hook_ExFreePool, flags, size, tag, depth);
}

static const struct verify_hook hooks[] = {
    CHECK(ExAllocatePool),
    CHECK(ExAllocatePoolWithTag),
    SUPPLY(ExAllocatePoolWithTagPriority),
    SUPPLY(ExAllocatePool2),
    CHECK(ExFreePool),
    CHECK(ExFreePoolWithTag),
    SUPPLY(ExFreePool2),
    CHECK(RtlFreeUnicodeString),
    CHECK(ExInitializeNPagedLookasideList),
    CHECK(ExInitializePagedLookasideList),
};
const struct verify_hooks verify_pool_hooks = VERIFY_HOOKS(hooks);
