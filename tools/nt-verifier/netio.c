/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Wine's netio.sys gives back too early. It closes a socket by cancelling what is in flight,
 * taking its wait back and waiting for the callbacks; but a wait that has been signalled may still
 * call back after that, and the result of what was cancelled be written, to memory that has been
 * freed. Waits made through here call back only as long as they are set, and what is freed through
 * here is used for nothing else for a while.
 */
#include "user.h"
#include "verify.h"

enum {
    PE_OFFSET_AT = 0x3c,
    PE_IMPORTS_AT = 0x90,
    KEPT_MAX = 8192, /* blocks, for callbacks and results that are late */
};

typedef void(NTAPI *wait_callback)(void *instance, void *context, void *wait, ULONG result);

struct quiet_wait {
    void *real;
    wait_callback callback;
    void *context;
    struct user_lock lock;
    bool is_set;
};

/* Wine's own, as netio.sys had them. */
static struct {
    void *(NTAPI *create)(wait_callback callback, void *context, void *environment);
    void(NTAPI *set)(void *wait, HANDLE handle, void *timeout);
    void(NTAPI *wait_for)(void *wait, int cancels);
    void(NTAPI *close)(void *wait);
    int(NTAPI *free)(void *heap, ULONG flags, void *block);
} real;

/* What netio.sys has given back. */
struct kept {
    void *heap; /* NULL: ours, of the pool */
    void *block;
};

static struct kept kept[KEPT_MAX];
static ULONG kept_next;
static struct user_lock kept_lock;

/* In the place of the one that has been kept longest. */
static void keep(void *heap, void *block)
{
    AcquireSRWLockExclusive(&kept_lock);
    struct kept oldest = kept[kept_next];
    kept[kept_next] = (struct kept){heap, block};
    kept_next = (kept_next + 1) % KEPT_MAX;
    ReleaseSRWLockExclusive(&kept_lock);
    if (oldest.heap)
        real.free(oldest.heap, 0, oldest.block);
    else if (oldest.block)
        ExFreePoolWithTag(oldest.block, VERIFY_TAG);
}

static void NTAPI call_back(void *instance, void *context, void *wait, ULONG result)
{
    struct quiet_wait *quiet = context;
    (void)wait;
    AcquireSRWLockExclusive(&quiet->lock);
    bool is_set = quiet->is_set;
    quiet->is_set = false;
    ReleaseSRWLockExclusive(&quiet->lock);
    if (is_set)
        quiet->callback(instance, quiet->context, quiet, result);
}

static void *NTAPI create_wait(wait_callback callback, void *context, void *environment)
{
    struct quiet_wait *quiet = ExAllocatePoolWithTag(NonPagedPool, sizeof(*quiet), VERIFY_TAG);
    if (!quiet)
        return NULL;
    RtlZeroMemory(quiet, sizeof(*quiet));
    quiet->callback = callback;
    quiet->context = context;
    quiet->real = real.create(call_back, quiet, environment);
    if (!quiet->real) {
        ExFreePoolWithTag(quiet, VERIFY_TAG);
        return NULL;
    }
    return quiet;
}

static void NTAPI set_wait(void *wait, HANDLE handle, void *timeout)
{
    struct quiet_wait *quiet = wait;
    AcquireSRWLockExclusive(&quiet->lock);
    quiet->is_set = handle != NULL;
    ReleaseSRWLockExclusive(&quiet->lock);
    real.set(quiet->real, handle, timeout);
}

static void NTAPI wait_for_wait(void *wait, int cancels)
{
    real.wait_for(((struct quiet_wait *)wait)->real, cancels);
}

static void NTAPI close_wait(void *wait)
{
    struct quiet_wait *quiet = wait;
    AcquireSRWLockExclusive(&quiet->lock);
    quiet->is_set = false;
    ReleaseSRWLockExclusive(&quiet->lock);
    real.close(quiet->real);
    keep(NULL, quiet);
}

static int NTAPI free_later(void *heap, ULONG flags, void *block)
{
    (void)flags;
    if (block)
        keep(heap, block);
    return true;
}

/* Puts ours into a slot and keeps what was there. */
static void replace(uintptr_t *slot, uintptr_t ours, uintptr_t *ret_real)
{
    ULONG old;
    if (*slot == ours)
        return;
    *ret_real = *slot;
    VirtualProtect(slot, sizeof(*slot), USER_PAGE_READWRITE, &old);
    *slot = ours;
    VirtualProtect(slot, sizeof(*slot), old, &old);
}

static void replace_import(uintptr_t *slot, const char *name)
{
    if (!strcmp(name, "CreateThreadpoolWait"))
        replace(slot, (uintptr_t)create_wait, (uintptr_t *)&real.create);
    else if (!strcmp(name, "SetThreadpoolWait"))
        replace(slot, (uintptr_t)set_wait, (uintptr_t *)&real.set);
    else if (!strcmp(name, "WaitForThreadpoolWaitCallbacks"))
        replace(slot, (uintptr_t)wait_for_wait, (uintptr_t *)&real.wait_for);
    else if (!strcmp(name, "CloseThreadpoolWait"))
        replace(slot, (uintptr_t)close_wait, (uintptr_t *)&real.close);
    else if (!strcmp(name, "HeapFree"))
        replace(slot, (uintptr_t)free_later, (uintptr_t *)&real.free);
}

static ULONG read_u32(uintptr_t at)
{
    return *(const ULONG *)at;
}

/* Images are loaded one after the other, and netio.sys uses none of this before its first socket.
 */
void verify_netio_prepare(void)
{
    uintptr_t base = 0;
    if (!GetModuleHandleExW(USER_MODULE_NO_REFERENCE, L"netio.sys", (void **)&base) || !base)
        return;
    uintptr_t imports = base + read_u32(base + read_u32(base + PE_OFFSET_AT) + PE_IMPORTS_AT);
    for (; read_u32(imports + 12) != 0; imports += 20) {
        const uint64_t *names = (const void *)(base + read_u32(imports));
        uintptr_t *slots = (uintptr_t *)(base + read_u32(imports + 16));
        for (; *names; names++, slots++)
            if (!(*names >> 63))
                replace_import(slots, (const char *)(base + *names + 2));
    }
}
