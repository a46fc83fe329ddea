/* SPDX-License-Identifier: Apache-2.0 */
#include "port/win/internal.h"

/* KERNEL32, Windows 10 1607. */
HRESULT WINAPI SetThreadDescription(HANDLE thread, const wchar_t *description);

#define TAG VCK_TAG('w', 't', 'h', 'r')

struct vck_thread {
    HANDLE handle;
    void (*entry)(void *context);
    void *context;
    void (*gone)(void *context); /* of a detached one, else NULL */
    struct vck_thread *next;     /* in `ended` */
    uint32_t id;
    enum vck_thread_class thread_class;
    wchar_t name[16];
};

/* ---- detached threads: one more thread joins them, started by the first, and never ends ---- */

static SRWLOCK reaper_lock = SRWLOCK_INIT;
static CONDITION_VARIABLE has_ended = CONDITION_VARIABLE_INIT;
static struct vck_thread *ended;
static bool reaper_runs;

static struct vck_thread *take_ended(void)
{
    AcquireSRWLockExclusive(&reaper_lock);
    while (ended == NULL)
        (void)SleepConditionVariableSRW(&has_ended, &reaper_lock, INFINITE, 0);
    struct vck_thread *thread = ended;
    ended = thread->next;
    ReleaseSRWLockExclusive(&reaper_lock);
    return thread;
}

/* Waits for the thread's end. */
static void destroy(struct vck_thread *thread)
{
    FATAL_UNLESS(WaitForSingleObject(thread->handle, INFINITE) == WAIT_OBJECT_0,
                 "a thread is joined once, by another");
    CloseHandle(thread->handle);
    vck_free(thread);
}

static DWORD WINAPI reap(void *unused)
{
    (void)unused;
    for (;;) {
        struct vck_thread *thread = take_ended();
        void (*gone)(void *context) = thread->gone;
        void *context = thread->context;
        destroy(thread);
        gone(context);
    }
    return 0;
}

static void hand_to_reaper(struct vck_thread *thread)
{
    AcquireSRWLockExclusive(&reaper_lock);
    thread->next = ended;
    ended = thread;
    WakeConditionVariable(&has_ended);
    ReleaseSRWLockExclusive(&reaper_lock);
}

static bool start_reaper(void)
{
    AcquireSRWLockExclusive(&reaper_lock);
    if (!reaper_runs) {
        HANDLE reaper = CreateThread(NULL, 0, reap, NULL, 0, NULL);
        reaper_runs = reaper != NULL;
        if (reaper != NULL)
            CloseHandle(reaper);
    }
    bool runs = reaper_runs;
    ReleaseSRWLockExclusive(&reaper_lock);
    return runs;
}

/* ---- the slot ---- */

static void (*slot_ended)(void *value);
static uint32_t slot_generation = 1;

void *vck_thread_slot(void)
{
    struct thread_state *self = vck_win_thread_state();
    uint32_t generation = __atomic_load_n(&slot_generation, __ATOMIC_ACQUIRE);
    return self->slot_generation == generation ? self->slot : NULL;
}

void vck_win_end_slot(struct thread_state *self)
{
    uint32_t generation = __atomic_load_n(&slot_generation, __ATOMIC_ACQUIRE);
    if (self->slot != NULL && self->slot_generation == generation)
        __atomic_load_n(&slot_ended, __ATOMIC_RELAXED)(self->slot);
}

static void fill_slot(void *value)
{
    struct thread_state *self = vck_win_thread_state();
    self->slot = value;
    self->slot_generation = __atomic_load_n(&slot_generation, __ATOMIC_ACQUIRE);
}

vck_status vck_thread_slot_set(void *value, void (*on_end)(void *value))
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    __atomic_store_n(&slot_ended, on_end, __ATOMIC_RELAXED);
    fill_slot(value);
    return VCK_OK;
}

void vck_thread_slot_clear(void)
{
    vck_win_thread_state()->slot = NULL;
}

void vck_thread_slot_reset_all(void)
{
    __atomic_add_fetch(&slot_generation, 1, __ATOMIC_RELEASE);
}

/* ---- the end of a thread ---- */

__attribute__((noreturn)) VCK_COLD static void ends_wrongly(const char *what, const char *site)
{
    if (VCK_CHECKS_LOCKS)
        vck_lock_misused(what, "its end", site);
    vck_assert_failed(what, __FILE__, __LINE__);
}

static void check_end(void)
{
    struct thread_state *self = vck_win_thread_state();
    const char *oldest = self->locks.count > 0 ? self->locks.held[0].site : NULL;
    if (self->level != VCK_LEVEL_PASSIVE)
        ends_wrongly("a thread ends at PASSIVE", vck_lock_check_raised_at(&self->locks));
    if (self->mutexes_held != 0)
        ends_wrongly("a thread ends without mutexes", oldest);
    if (self->region_depth != 0)
        ends_wrongly("a thread ends outside critical regions", oldest);
}

static DWORD WINAPI run(void *argument)
{
    struct vck_thread *thread = argument;
    vck_win_thread_state()->id = thread->id;
    (void)SetThreadDescription(GetCurrentThread(), thread->name);
    if (thread->gone != NULL)
        fill_slot(thread->context);
    /* Not the lowest class: such a thread, preempted inside a spin lock, would stop the others for
     * as long as the machine is busy. */
    if (thread->thread_class == VCK_THREAD_BACKGROUND)
        (void)SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_LOWEST);
    thread->entry(thread->context);
    check_end();
    if (thread->gone != NULL)
        hand_to_reaper(thread);
    return 0;
}

/* ---- creation ---- */

/* ret_id is filled before the thread runs: afterwards it may be gone. NULL: no memory. */
static struct vck_thread *create(const struct vck_thread *wanted, const char *name,
                                 uint32_t *ret_id)
{
    struct vck_thread *thread = vck_alloc(sizeof(*thread), TAG);
    if (thread == NULL)
        return NULL;
    *thread = *wanted;
    thread->id = vck_win_new_thread_id();
    for (size_t i = 0; i + 1 < sizeof(thread->name) / sizeof(thread->name[0]) && name[i] != 0; i++)
        thread->name[i] = (unsigned char)name[i];
    thread->handle = CreateThread(NULL, 0, run, thread, CREATE_SUSPENDED, NULL);
    if (thread->handle == NULL) {
        vck_free(thread);
        return NULL;
    }
    *ret_id = thread->id;
    (void)ResumeThread(thread->handle);
    return thread;
}

vck_status vck_thread_create(void (*entry)(void *context), void *context,
                             enum vck_thread_class thread_class, const char *name,
                             struct vck_thread **ret_thread)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    uint32_t id;
    struct vck_thread wanted = {.entry = entry, .context = context, .thread_class = thread_class};
    struct vck_thread *thread = create(&wanted, name, &id);
    if (thread == NULL)
        return VCK_NO_MEMORY;
    *ret_thread = thread;
    return VCK_OK;
}

void vck_thread_join(struct vck_thread *thread)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    destroy(thread);
}

vck_status vck_thread_create_detached(void (*entry)(void *context), void *context,
                                      enum vck_thread_class thread_class, const char *name,
                                      void (*gone)(void *context), uint32_t *ret_id)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct vck_thread wanted = {
        .entry = entry, .context = context, .gone = gone, .thread_class = thread_class};
    if (!start_reaper())
        return VCK_NO_MEMORY;
    return create(&wanted, name, ret_id) != NULL ? VCK_OK : VCK_NO_MEMORY;
}

uint32_t vck_thread_id(void)
{
    return vck_win_thread_state()->id;
}

void vck_thread_yield(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    (void)SwitchToThread();
}
