/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "port/posix/internal.h"

#define TAG VCK_TAG('p', 't', 'h', 'r')

struct vck_thread {
    pthread_t pthread;
    void (*entry)(void *context);
    void *context;
    void (*gone)(void *context); /* of a detached one, else NULL */
    struct vck_thread *next;     /* in `ended` */
    uint32_t id;
    enum vck_thread_class thread_class;
    char name[16];
};

/* ---- detached threads: one more thread joins them, started by the first, and never ends ---- */

static pthread_mutex_t reaper_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_ended = PTHREAD_COND_INITIALIZER;
static struct vck_thread *ended;
static bool reaper_runs;

static struct vck_thread *take_ended(void)
{
    pthread_mutex_lock(&reaper_lock);
    while (ended == NULL)
        pthread_cond_wait(&has_ended, &reaper_lock);
    struct vck_thread *thread = ended;
    ended = thread->next;
    pthread_mutex_unlock(&reaper_lock);
    return thread;
}

static void *reap(void *unused)
{
    (void)unused;
    pthread_setname_np(pthread_self(), "vck-reaper");
    for (;;) {
        struct vck_thread *thread = take_ended();
        void (*gone)(void *context) = thread->gone;
        void *context = thread->context;
        pthread_join(thread->pthread, NULL);
        vck_free(thread);
        gone(context);
    }
    return NULL;
}

static void hand_to_reaper(struct vck_thread *thread)
{
    pthread_mutex_lock(&reaper_lock);
    thread->next = ended;
    ended = thread;
    pthread_cond_signal(&has_ended);
    pthread_mutex_unlock(&reaper_lock);
}

/* ---- the slot ---- */

static pthread_mutex_t key_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key;
static bool has_key;
static void (*slot_ended)(void *value);
static uint32_t slot_generation = 1;

void *vck_thread_slot(void)
{
    struct thread_state *self = vck_posix_thread_state();
    uint32_t generation = __atomic_load_n(&slot_generation, __ATOMIC_ACQUIRE);
    return self->slot_generation == generation ? self->slot : NULL;
}

static void end_slot(void *unused)
{
    void *value = vck_thread_slot();
    (void)unused;
    if (value != NULL)
        __atomic_load_n(&slot_ended, __ATOMIC_RELAXED)(value);
}

static bool make_key(void)
{
    pthread_mutex_lock(&key_lock);
    has_key = has_key || pthread_key_create(&key, end_slot) == 0;
    bool made = has_key;
    pthread_mutex_unlock(&key_lock);
    return made;
}

static void fill_slot(void *value)
{
    struct thread_state *self = vck_posix_thread_state();
    self->slot = value;
    self->slot_generation = __atomic_load_n(&slot_generation, __ATOMIC_ACQUIRE);
}

vck_status vck_thread_slot_set(void *value, void (*on_end)(void *value))
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    if (!make_key() || pthread_setspecific(key, &has_key) != 0)
        return VCK_NO_MEMORY;
    __atomic_store_n(&slot_ended, on_end, __ATOMIC_RELAXED);
    fill_slot(value);
    return VCK_OK;
}

void vck_thread_slot_clear(void)
{
    vck_posix_thread_state()->slot = NULL;
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
    struct thread_state *self = vck_posix_thread_state();
    const char *oldest = self->locks.count > 0 ? self->locks.held[0].site : NULL;
    if (self->level != VCK_LEVEL_PASSIVE)
        ends_wrongly("a thread ends at PASSIVE", vck_lock_check_raised_at(&self->locks));
    if (self->mutexes_held != 0)
        ends_wrongly("a thread ends without mutexes", oldest);
    if (self->region_depth != 0)
        ends_wrongly("a thread ends outside critical regions", oldest);
}

/* The argument of sched_setattr(2), for which glibc 2.36 has no declaration. */
struct scheduling {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t slice_ns; /* sched_runtime */
    uint64_t deadline_ns;
    uint64_t period_ns;
};

/* Not SCHED_IDLE: such a thread, preempted inside a spin lock, would stop the others for as long as
 * the machine is busy. Since 6.12 the kernel also takes a slice: a short one, because whoever wakes
 * up may have to wait for the end of it. Both are the thread's own on Linux. */
static void give_way(void)
{
    struct scheduling want = {
        .size = sizeof(want), .policy = SCHED_OTHER, .nice = 19, .slice_ns = 100000};
    if (syscall(SYS_sched_setattr, 0, &want, 0) != 0)
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
}

static void *run(void *argument)
{
    struct vck_thread *thread = argument;
    vck_posix_thread_state()->id = thread->id;
    if (thread->gone != NULL) {
        thread->pthread = pthread_self();
        fill_slot(thread->context);
    }
    pthread_setname_np(pthread_self(), thread->name);
    if (thread->thread_class == VCK_THREAD_BACKGROUND)
        give_way();
    thread->entry(thread->context);
    check_end();
    if (thread->gone != NULL)
        hand_to_reaper(thread);
    return NULL;
}

/* ---- creation ---- */

/* Signals are for the threads of the product. */
static int create_without_signals(pthread_t *ret_pthread, void *(*start)(void *), void *argument)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(ret_pthread, NULL, start, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static struct vck_thread *allocate(const struct vck_thread *wanted, const char *name)
{
    struct vck_thread *thread = vck_alloc(sizeof(*thread), TAG);
    if (thread == NULL)
        return NULL;
    *thread = *wanted;
    strncpy(thread->name, name, sizeof(thread->name) - 1);
    thread->id = vck_posix_new_thread_id();
    return thread;
}

vck_status vck_thread_create(void (*entry)(void *context), void *context,
                             enum vck_thread_class thread_class, const char *name,
                             struct vck_thread **ret_thread)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct vck_thread *thread = allocate(
        &(struct vck_thread){.entry = entry, .context = context, .thread_class = thread_class},
        name);
    if (thread == NULL)
        return VCK_NO_MEMORY;
    if (create_without_signals(&thread->pthread, run, thread) != 0) {
        vck_free(thread);
        return VCK_NO_MEMORY;
    }
    *ret_thread = thread;
    return VCK_OK;
}

void vck_thread_join(struct vck_thread *thread)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    FATAL_UNLESS(pthread_join(thread->pthread, NULL) == 0, "a thread is joined once, by another");
    vck_free(thread);
}

static bool start_reaper(void)
{
    pthread_t reaper;
    pthread_mutex_lock(&reaper_lock);
    if (!reaper_runs && create_without_signals(&reaper, reap, NULL) == 0) {
        pthread_detach(reaper);
        reaper_runs = true;
    }
    bool runs = reaper_runs;
    pthread_mutex_unlock(&reaper_lock);
    return runs;
}

vck_status vck_thread_create_detached(void (*entry)(void *context), void *context,
                                      enum vck_thread_class thread_class, const char *name,
                                      void (*gone)(void *context), uint32_t *ret_id)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct vck_thread wanted = {
        .entry = entry, .context = context, .gone = gone, .thread_class = thread_class};
    pthread_t unused; /* the thread knows itself; here it may be gone already */
    if (!start_reaper())
        return VCK_NO_MEMORY;
    struct vck_thread *thread = allocate(&wanted, name);
    if (thread == NULL)
        return VCK_NO_MEMORY;
    uint32_t id = thread->id;
    if (create_without_signals(&unused, run, thread) != 0) {
        vck_free(thread);
        return VCK_NO_MEMORY;
    }
    *ret_id = id;
    return VCK_OK;
}

uint32_t vck_thread_id(void)
{
    return vck_posix_thread_state()->id;
}

void vck_thread_yield(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    sched_yield();
}
