/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept per thread, without the compiler's thread-local storage, which drivers do not have:
 * a hash table by thread object whose readers take no lock.
 *
 * Only the thread itself looks for its entry and changes it; a DPC that does so borrows the thread
 * and runs between two of its instructions. An entry once in a bucket stays there and is used again
 * by other threads, so a reader can walk past entries that come and go.
 *
 * Threads of the system tell us their end through the kernel's notification. A kernel without it
 * leaves the entry until the port ends, or a thread with the same object takes it over.
 */
#include <string.h>
#include "port/nt/internal.h"

#define BUCKET_COUNT 256u
#define TAG          VCK_TAG('p', 's', 'l', 't')

static struct vck_nt_thread *buckets[BUCKET_COUNT];
static void (*slot_ended)(void *value);
static uint32_t slot_generation = 1;
static bool is_told_of_ends;

void *vck_nt_current_thread(void)
{
    return (void *)__imp_PsGetCurrentThread();
}

/* Every processor's idle thread has the id 0; such a thread is known by its processor. */
uint32_t vck_thread_id(void)
{
    uint32_t id = (uint32_t)(uintptr_t)PsGetCurrentThreadId();
    return id != 0 ? id : KeGetCurrentProcessorNumberEx(NULL) * 4 + 1;
}

/* ---- the table ---- */

static struct vck_nt_thread **bucket_of(const void *thread)
{
    uint64_t mixed = (uint64_t)(uintptr_t)thread * UINT64_C(0x9e3779b97f4a7c15);
    return &buckets[(mixed >> 40) % BUCKET_COUNT];
}

static struct vck_nt_thread *find(struct vck_nt_thread *first, const void *thread)
{
    struct vck_nt_thread *entry = first;
    while (entry != NULL && __atomic_load_n(&entry->thread, __ATOMIC_RELAXED) != thread)
        entry = entry->next;
    return entry;
}

struct vck_nt_thread *vck_nt_thread_find(void)
{
    void *thread = vck_nt_current_thread();
    return find(__atomic_load_n(bucket_of(thread), __ATOMIC_ACQUIRE), thread);
}

/* A free entry of the bucket for the thread, or NULL. */
static struct vck_nt_thread *take_free(struct vck_nt_thread *first, void *thread)
{
    for (struct vck_nt_thread *entry = first; entry != NULL; entry = entry->next) {
        void *nobody = NULL;
        if (__atomic_load_n(&entry->thread, __ATOMIC_RELAXED) == NULL &&
            __atomic_compare_exchange_n(&entry->thread, &nobody, thread, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return entry;
    }
    return NULL;
}

static void push(struct vck_nt_thread **bucket, struct vck_nt_thread *entry)
{
    entry->next = __atomic_load_n(bucket, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(bucket, &entry->next, entry, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
        continue;
}

struct vck_nt_thread *vck_nt_thread_new(void)
{
    return vck_nt_pool_alloc(sizeof(struct vck_nt_thread), TAG);
}

struct vck_nt_thread *vck_nt_thread_claim(struct vck_nt_thread **spare)
{
    void *thread = vck_nt_current_thread();
    struct vck_nt_thread **bucket = bucket_of(thread);
    struct vck_nt_thread *first = __atomic_load_n(bucket, __ATOMIC_ACQUIRE);
    struct vck_nt_thread *entry = find(first, thread);
    if (entry == NULL)
        entry = take_free(first, thread);
    if (entry != NULL)
        return entry;
    entry = spare != NULL ? *spare : vck_nt_thread_new();
    if (entry == NULL)
        return NULL;
    if (spare != NULL)
        *spare = NULL;
    entry->thread = thread;
    push(bucket, entry);
    return entry;
}

static void empty(struct vck_nt_thread *entry)
{
    entry->slot = NULL;
    entry->worker = NULL;
    entry->is_ours = false;
    __atomic_store_n(&entry->thread, NULL, __ATOMIC_RELEASE);
}

/* What the entry's slot holds, unless all slots were forgotten since. */
static void *slot_of(const struct vck_nt_thread *entry)
{
    uint32_t generation = __atomic_load_n(&slot_generation, __ATOMIC_ACQUIRE);
    return entry != NULL && entry->slot_generation == generation ? entry->slot : NULL;
}

void vck_nt_thread_tidy(struct vck_nt_thread *entry)
{
#if VCK_CHECKS_LOCKS
    if (entry->locks.count != 0 || entry->locks.untracked != 0)
        return;
#endif
    if (slot_of(entry) == NULL && entry->worker == NULL)
        empty(entry);
}

/* ---- the thread room's slot ---- */

void *vck_thread_slot(void)
{
    return slot_of(vck_nt_thread_find());
}

static void fill(struct vck_nt_thread *entry, void *value, bool is_ours)
{
    entry->slot = value;
    entry->is_ours = is_ours;
    entry->slot_generation = __atomic_load_n(&slot_generation, __ATOMIC_ACQUIRE);
}

void vck_nt_thread_slot_fill(void *value, struct vck_nt_thread **spare)
{
    fill(vck_nt_thread_claim(spare), value, true);
}

vck_status vck_thread_slot_set(void *value, void (*ended)(void *value))
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    struct vck_nt_thread *entry = is_told_of_ends ? vck_nt_thread_claim(NULL) : NULL;
    if (entry == NULL)
        return VCK_NO_MEMORY;
    __atomic_store_n(&slot_ended, ended, __ATOMIC_RELAXED);
    fill(entry, value, false);
    return VCK_OK;
}

void vck_thread_slot_clear(void)
{
    struct vck_nt_thread *entry = vck_nt_thread_find();
    if (entry == NULL)
        return;
    entry->slot = NULL;
    vck_nt_thread_tidy(entry);
}

void vck_thread_slot_reset_all(void)
{
    __atomic_add_fetch(&slot_generation, 1, __ATOMIC_RELEASE);
}

/* ---- the end of a thread ---- */

void vck_nt_thread_forget(void)
{
    struct vck_nt_thread *entry = vck_nt_thread_find();
    void *value = slot_of(entry);
    if (value != NULL && !entry->is_ours)
        __atomic_load_n(&slot_ended, __ATOMIC_RELAXED)(value);
    entry = vck_nt_thread_find();
    if (entry != NULL)
        empty(entry);
}

/* Runs on the thread that ends, at PASSIVE. Source: PsSetCreateThreadNotifyRoutine. */
static void NTAPI thread_notified(HANDLE process_id, HANDLE thread_id, BOOLEAN is_created)
{
    (void)process_id;
    if (!is_created && thread_id == PsGetCurrentThreadId())
        vck_nt_thread_forget();
}

/* ---- the task room's slot ---- */

/* The level is looked at last: most callers are no worker. */
void *vck_worker_slot_get(void)
{
    struct vck_nt_thread *entry = vck_nt_thread_find();
    if (entry == NULL || entry->worker == NULL || vck_current_level() != VCK_LEVEL_PASSIVE)
        return NULL;
    return entry->worker;
}

/* Waits for memory: there is no status to return, and it is a few bytes. */
static struct vck_nt_thread *claim_certainly(void)
{
    LARGE_INTEGER nap = {.QuadPart = -10000};
    struct vck_nt_thread *entry;
    while ((entry = vck_nt_thread_claim(NULL)) == NULL)
        KeDelayExecutionThread(KernelMode, FALSE, &nap);
    return entry;
}

void vck_worker_slot_set(void *worker)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct vck_nt_thread *entry = worker != NULL ? claim_certainly() : vck_nt_thread_find();
    if (entry == NULL)
        return;
    entry->worker = worker;
    vck_nt_thread_tidy(entry);
}

/* ---- start and end ---- */

void vck_nt_slots_init(void)
{
    is_told_of_ends = NT_SUCCESS(PsSetCreateThreadNotifyRoutine(thread_notified));
    if (!is_told_of_ends)
        vck_nt_log(VCK_LOG_WARNING, "the kernel has no place for one more thread notification");
}

void vck_nt_slots_fini(void)
{
    if (is_told_of_ends)
        (void)PsRemoveCreateThreadNotifyRoutine(thread_notified);
    is_told_of_ends = false;
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        struct vck_nt_thread *entry = buckets[i];
        buckets[i] = NULL;
        while (entry != NULL) {
            struct vck_nt_thread *next = entry->next;
            vck_nt_pool_free(entry);
            entry = next;
        }
    }
}
