/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Levels, locks, events, timers, deferred work and the calling thread, where there is one thread
 * and what can interrupt it are the firmware's own notifications up to TPL_NOTIFY. A lock that is
 * found taken is therefore a bug, and so is waiting for an event that only somebody else could set.
 */
#include "port/uefi/uefi.h"
#include "vck/bytes.h"
#include "vck/list.h"
#include "vck/log.h"

#define POLL_INTERVAL_US 100u

static unsigned raised; /* spin locks held */
static unsigned regions;
static void *worker;
static void *slot;

/* ---- levels ---- */

vck_level vck_current_level(void)
{
    return raised > 0 ? VCK_LEVEL_DISPATCH : VCK_LEVEL_PASSIVE;
}

/* Nothing a boot program could fall back to: the firmware starts over. */
void vck_assert_failed(const char *what, const char *file, int line)
{
    vck_uefi_say("vckboot: %s:%d: %s; this is a bug, restarting", file, line, what);
    (void)vck_uefi_boot->Stall(5000000);
    vck_uefi_wipe_all();
    for (;;)
        vck_uefi_system->RuntimeServices->ResetSystem(EFI_RESET_COLD, EFI_ABORTED, 0, NULL);
}

void vck_level_check(vck_level highest, const char *file, int line)
{
    if (vck_current_level() > highest)
        vck_assert_failed("called at too high a level", file, line);
}

void vck_level_check_at(vck_level highest, const char *site)
{
    if (vck_current_level() > highest)
        vck_assert_failed("called at too high a level", site != NULL ? site : "unknown", 0);
}

void vck_critical_region_enter(void)
{
    regions++;
}

void vck_critical_region_leave(void)
{
    regions--;
}

bool vck_in_critical_region(void)
{
    return regions > 0;
}

/* ---- locks ---- */

void vck_spinlock_init_at(struct vck_spinlock *lock, const char *site)
{
    (void)site;
    *lock = (struct vck_spinlock){0};
}

void vck_spinlock_acquire_at(struct vck_spinlock *lock, const char *site) VCK_NO_ANALYSIS
{
    uint64_t level = vck_uefi_boot->RaiseTPL(TPL_NOTIFY);

    (void)site;
    VCK_ASSERT(lock->word == 0);
    lock->word = 1;
    lock->saved_level = (uint8_t)level;
    raised++;
}

void vck_spinlock_release_at(struct vck_spinlock *lock, const char *site) VCK_NO_ANALYSIS
{
    (void)site;
    VCK_ASSERT(lock->word == 1);
    lock->word = 0;
    raised--;
    vck_uefi_boot->RestoreTPL(lock->saved_level);
}

static uint32_t *mutex_word(struct vck_mutex *mutex)
{
    return (uint32_t *)(void *)mutex->opaque;
}

void vck_mutex_init_at(struct vck_mutex *mutex, const char *site)
{
    (void)site;
    *mutex_word(mutex) = 0;
}

void vck_mutex_fini(struct vck_mutex *mutex)
{
    VCK_ASSERT(*mutex_word(mutex) == 0);
}

void vck_mutex_acquire_at(struct vck_mutex *mutex, const char *site) VCK_NO_ANALYSIS
{
    (void)site;
    VCK_ASSERT(*mutex_word(mutex) == 0);
    *mutex_word(mutex) = 1;
}

void vck_mutex_release_at(struct vck_mutex *mutex, const char *site) VCK_NO_ANALYSIS
{
    (void)site;
    VCK_ASSERT(*mutex_word(mutex) == 1);
    *mutex_word(mutex) = 0;
}

struct vck_lock_stack *vck_lock_stack_of_thread(void)
{
    return NULL;
}

/* ---- the thread ---- */

uint32_t vck_thread_id(void)
{
    return 1;
}

void *vck_worker_slot_get(void)
{
    return vck_current_level() == VCK_LEVEL_PASSIVE ? worker : NULL;
}

void vck_worker_slot_set(void *value)
{
    worker = value;
}

void *vck_thread_slot(void)
{
    return slot;
}

/* The one thread does not end. */
vck_status vck_thread_slot_set(void *value, void (*ended)(void *value))
{
    (void)ended;
    slot = value;
    return VCK_OK;
}

void vck_thread_slot_clear(void)
{
    slot = NULL;
}

void vck_thread_slot_reset_all(void)
{
    slot = NULL;
}

vck_status vck_thread_create(void (*entry)(void *context), void *context,
                             enum vck_thread_class thread_class, const char *name,
                             struct vck_thread **ret_thread)
{
    (void)entry;
    (void)context;
    (void)thread_class;
    (void)name;
    (void)ret_thread;
    return VCK_UNSUPPORTED;
}

void vck_thread_join(struct vck_thread *thread)
{
    VCK_ASSERT(thread == NULL);
}

vck_status vck_thread_create_detached(void (*entry)(void *context), void *context,
                                      enum vck_thread_class thread_class, const char *name,
                                      void (*gone)(void *context), uint32_t *ret_id)
{
    (void)entry;
    (void)context;
    (void)thread_class;
    (void)name;
    (void)gone;
    (void)ret_id;
    return VCK_UNSUPPORTED;
}

/* ---- deferred work ---- */

static struct vck_work *first_work;
static struct vck_work **end_of_work = &first_work;

void vck_defer(struct vck_work *work, void (*run)(struct vck_work *work))
{
    uint64_t level = vck_uefi_boot->RaiseTPL(TPL_NOTIFY);

    work->next = NULL;
    work->run = run;
    *end_of_work = work;
    end_of_work = &work->next;
    vck_uefi_boot->RestoreTPL(level);
}

static struct vck_work *take_work(void)
{
    uint64_t level = vck_uefi_boot->RaiseTPL(TPL_NOTIFY);
    struct vck_work *work = first_work;

    if (work != NULL)
        first_work = work->next;
    if (first_work == NULL)
        end_of_work = &first_work;
    vck_uefi_boot->RestoreTPL(level);
    return work;
}

void vck_defer_drain(void)
{
    struct vck_work *work;

    while ((work = take_work()) != NULL)
        work->run(work);
}

/* ---- timers: looked at where the thread waits ---- */

struct uefi_timer {
    struct vck_link link; /* in `armed`, or to itself */
    uint64_t deadline_ns;
    void (*expired)(void *context);
    void *context;
};
_Static_assert(sizeof(struct uefi_timer) <= sizeof(struct vck_timer), "fits the public storage");

static struct vck_link armed = {&armed, &armed};

static struct uefi_timer *uefi_timer(struct vck_timer *timer)
{
    return (struct uefi_timer *)(void *)timer->opaque;
}

void vck_timer_init(struct vck_timer *timer, void (*expired)(void *context), void *context)
{
    struct uefi_timer *t = uefi_timer(timer);

    vck_link_init(&t->link);
    t->expired = expired;
    t->context = context;
}

void vck_timer_set(struct vck_timer *timer, uint64_t deadline_ns)
{
    struct uefi_timer *t = uefi_timer(timer);
    uint64_t level = vck_uefi_boot->RaiseTPL(TPL_NOTIFY);

    vck_link_remove(&t->link);
    t->deadline_ns = deadline_ns;
    vck_list_push_back(&armed, &t->link);
    vck_uefi_boot->RestoreTPL(level);
}

void vck_timer_fini(struct vck_timer *timer)
{
    uint64_t level = vck_uefi_boot->RaiseTPL(TPL_NOTIFY);

    vck_link_remove(&uefi_timer(timer)->link);
    vck_uefi_boot->RestoreTPL(level);
}

static struct uefi_timer *take_expired(uint64_t now_ns)
{
    struct uefi_timer *found = NULL;
    uint64_t level = vck_uefi_boot->RaiseTPL(TPL_NOTIFY);

    VCK_LIST_FOR_EACH(link, next, &armed)
    {
        struct uefi_timer *t = VCK_CONTAINER_OF(link, struct uefi_timer, link);

        if (t->deadline_ns > now_ns)
            continue;
        vck_link_remove(link);
        found = t;
        break;
    }
    vck_uefi_boot->RestoreTPL(level);
    return found;
}

static void run_timers(void)
{
    struct uefi_timer *t;

    while ((t = take_expired(vck_clock_ns())) != NULL) {
        uint64_t level = vck_uefi_boot->RaiseTPL(TPL_NOTIFY);

        raised++;
        t->expired(t->context);
        raised--;
        vck_uefi_boot->RestoreTPL(level);
    }
}

/* Deferred work may wait: there is nobody here it could wait for. */
void vck_thread_yield(void) VCK_NO_ANALYSIS
{
    run_timers();
    vck_defer_drain();
}

/* ---- events ---- */

struct uefi_event {
    bool is_set;
    bool is_manual;
};
_Static_assert(sizeof(struct uefi_event) <= sizeof(struct vck_event), "fits the public storage");

static volatile struct uefi_event *uefi_event(struct vck_event *event)
{
    return (struct uefi_event *)(void *)event->opaque;
}

void vck_event_init(struct vck_event *event)
{
    *(struct uefi_event *)(void *)event->opaque = (struct uefi_event){0};
}

void vck_event_init_manual(struct vck_event *event)
{
    *(struct uefi_event *)(void *)event->opaque = (struct uefi_event){.is_manual = true};
}

void vck_event_fini(struct vck_event *event)
{
    (void)event;
}

void vck_event_set(struct vck_event *event)
{
    uefi_event(event)->is_set = true;
}

void vck_event_reset(struct vck_event *event)
{
    uefi_event(event)->is_set = false;
}

vck_status vck_event_wait_at(struct vck_event *event, uint64_t deadline_ns, const char *site)
{
    volatile struct uefi_event *e = uefi_event(event);

    vck_level_check_at(VCK_LEVEL_APC, site);
    while (!e->is_set) {
        vck_thread_yield();
        if (e->is_set)
            break;
        if (deadline_ns == VCK_FOREVER)
            VCK_ASSERT(!vck_list_is_empty(&armed));
        else if (vck_clock_ns() >= deadline_ns)
            return VCK_TIMEOUT;
        (void)vck_uefi_boot->Stall(POLL_INTERVAL_US);
    }
    if (!e->is_manual)
        e->is_set = false;
    return VCK_OK;
}
