/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "port/hosted/system.h"

#define TAG VCK_TAG('p', 't', 'h', 'r')

struct vck_thread {
    struct system_thread thread;
    void (*entry)(void *context);
    void *context;
    void (*gone)(void *context); /* of a detached one, else NULL */
    struct vck_thread *next;     /* in `ended` */
    uint32_t id;
    uint32_t owners; /* of a detached one: who starts it and itself */
    enum vck_thread_class thread_class;
    char name[16];
};

/* ---- detached threads: one more thread joins them, started by the first, and never ends ---- */

static struct system_lock reaper_lock = SYSTEM_LOCK_INIT;
static struct system_condition has_ended = SYSTEM_CONDITION_INIT;
static struct vck_thread *ended;
static bool reaper_runs;

static struct vck_thread *take_ended(void)
{
    system_lock_take(&reaper_lock);
    while (ended == NULL)
        system_condition_wait(&has_ended, &reaper_lock, VCK_FOREVER);
    struct vck_thread *thread = ended;
    ended = thread->next;
    system_lock_release(&reaper_lock);
    return thread;
}

/* Waits for the thread's end. */
static void destroy(struct vck_thread *thread)
{
    FATAL_UNLESS(system_thread_join(&thread->thread), "a thread is joined once, by another");
    vck_free(thread);
}

static SYSTEM_THREAD_RESULT reap(void *unused)
{
    (void)unused;
    system_thread_name("vck-reaper");
    for (;;) {
        struct vck_thread *thread = take_ended();
        void (*gone)(void *context) = thread->gone;
        void *context = thread->context;
        destroy(thread);
        gone(context);
    }
    return 0;
}

/* Of a detached thread: once its handle is known and it is about to end, the reaper has it. */
static void leave(struct vck_thread *thread)
{
    if (__atomic_sub_fetch(&thread->owners, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    system_lock_take(&reaper_lock);
    thread->next = ended;
    ended = thread;
    system_condition_wake_one(&has_ended);
    system_lock_release(&reaper_lock);
}

/* ---- the slot ---- */

static void (*slot_ended)(void *value);
static uint32_t slot_generation = 1;

void *vck_thread_slot(void)
{
    struct thread_state *self = system_thread_state();
    uint32_t generation = __atomic_load_n(&slot_generation, __ATOMIC_ACQUIRE);
    return self->slot_generation == generation ? self->slot : NULL;
}

void vck_hosted_end_slot(struct thread_state *self)
{
    uint32_t generation = __atomic_load_n(&slot_generation, __ATOMIC_ACQUIRE);
    if (self->slot != NULL && self->slot_generation == generation)
        __atomic_load_n(&slot_ended, __ATOMIC_RELAXED)(self->slot);
}

static void fill_slot(void *value)
{
    struct thread_state *self = system_thread_state();
    self->slot = value;
    self->slot_generation = __atomic_load_n(&slot_generation, __ATOMIC_ACQUIRE);
}

vck_status vck_thread_slot_set(void *value, void (*on_end)(void *value))
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    if (!system_thread_watch_end())
        return VCK_NO_MEMORY;
    __atomic_store_n(&slot_ended, on_end, __ATOMIC_RELAXED);
    fill_slot(value);
    return VCK_OK;
}

void vck_thread_slot_clear(void)
{
    system_thread_state()->slot = NULL;
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
    struct thread_state *self = system_thread_state();
    const char *oldest = self->locks.count > 0 ? self->locks.held[0].site : NULL;
    if (self->level != VCK_LEVEL_PASSIVE)
        ends_wrongly("a thread ends at PASSIVE", vck_lock_check_raised_at(&self->locks));
    if (self->mutexes_held != 0)
        ends_wrongly("a thread ends without mutexes", oldest);
    if (self->region_depth != 0)
        ends_wrongly("a thread ends outside critical regions", oldest);
}

static SYSTEM_THREAD_RESULT run(void *argument)
{
    struct vck_thread *thread = argument;
    system_thread_state()->id = thread->id;
    if (thread->gone != NULL)
        fill_slot(thread->context);
    system_thread_name(thread->name);
    if (thread->thread_class == VCK_THREAD_BACKGROUND)
        system_thread_give_way();
    thread->entry(thread->context);
    check_end();
    if (thread->gone != NULL)
        leave(thread);
    return 0;
}

/* ---- creation ---- */

/* NULL: no memory. A detached thread may be gone before this returns, but is not freed. */
static struct vck_thread *create(const struct vck_thread *wanted, const char *name)
{
    struct vck_thread *thread = vck_alloc(sizeof(*thread), TAG);
    if (thread == NULL)
        return NULL;
    *thread = *wanted;
    thread->owners = 2;
    strncpy(thread->name, name, sizeof(thread->name) - 1);
    thread->id = vck_hosted_new_thread_id();
    if (system_thread_start(run, thread, &thread->thread))
        return thread;
    vck_free(thread);
    return NULL;
}

vck_status vck_thread_create(void (*entry)(void *context), void *context,
                             enum vck_thread_class thread_class, const char *name,
                             struct vck_thread **ret_thread)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct vck_thread wanted = {.entry = entry, .context = context, .thread_class = thread_class};
    struct vck_thread *thread = create(&wanted, name);
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

static bool start_reaper(void)
{
    system_lock_take(&reaper_lock);
    if (!reaper_runs) {
        struct system_thread reaper;
        reaper_runs = system_thread_start(reap, NULL, &reaper);
        if (reaper_runs)
            system_thread_detach(&reaper);
    }
    bool runs = reaper_runs;
    system_lock_release(&reaper_lock);
    return runs;
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
    struct vck_thread *thread = create(&wanted, name);
    if (thread == NULL)
        return VCK_NO_MEMORY;
    *ret_id = thread->id;
    leave(thread);
    return VCK_OK;
}

uint32_t vck_thread_id(void)
{
    return system_thread_state()->id;
}

void vck_thread_yield(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    system_yield();
}
