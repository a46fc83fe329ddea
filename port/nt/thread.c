/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread references the driver until it is gone: through IoCreateSystemThread, where the kernel
 * has it, which also lets the thread's last instruction run outside the driver. Elsewhere we hold
 * the reference, and whoever joins the thread waits for the thread object, which is signalled after
 * that last instruction. A thread is always joined: by its creator, a detached one by the reaper,
 * the reaper by the end of the port.
 */
#include <string.h>
#include "port/nt/internal.h"

#define TAG             VCK_TAG('p', 't', 'h', 'r')
#define NAME_MAX        15
#define THREAD_NAME     ((THREADINFOCLASS)38) /* ThreadNameInformation */
#define LOWEST_PRIORITY 1

struct vck_thread {
    PETHREAD object; /* referenced */
    void (*entry)(void *context);
    void *context;
    void (*gone)(void *context); /* of a detached one, else NULL */
    struct vck_thread *next;     /* in `ended` */
    struct vck_nt_thread *spare; /* for the slot of a detached one */
    enum vck_thread_class thread_class;
    char name[NAME_MAX + 1];
};

static NTSTATUS(NTAPI *io_create_system_thread)(void *io_object, HANDLE *ret_handle, ULONG access,
                                                OBJECT_ATTRIBUTES *attributes, HANDLE process,
                                                CLIENT_ID *ret_id, PKSTART_ROUTINE start,
                                                void *context);

/* ---- detached threads: the reaper joins them ---- */

static struct vck_spinlock reaper_lock; /* covers these */
static struct vck_thread *ended;
static size_t detached_count; /* those whose gone has not returned */
static bool is_stopping;

static struct vck_event has_ended;
static struct vck_event none_left; /* manual */
static struct vck_thread *reaper;

static void hand_to_reaper(struct vck_thread *thread)
{
    vck_spinlock_acquire(&reaper_lock);
    thread->next = ended;
    ended = thread;
    vck_spinlock_release(&reaper_lock);
    vck_event_set(&has_ended);
}

static void add_detached(void)
{
    vck_spinlock_acquire(&reaper_lock);
    detached_count++;
    vck_event_reset(&none_left);
    vck_spinlock_release(&reaper_lock);
}

static void remove_detached(void)
{
    vck_spinlock_acquire(&reaper_lock);
    if (--detached_count == 0)
        vck_event_set(&none_left);
    vck_spinlock_release(&reaper_lock);
}

/* The next ended thread, NULL when there will be none. */
static struct vck_thread *take_ended(void) VCK_CAN_WAIT
{
    for (;;) {
        vck_spinlock_acquire(&reaper_lock);
        struct vck_thread *thread = ended;
        bool is_last = is_stopping;
        if (thread != NULL)
            ended = thread->next;
        vck_spinlock_release(&reaper_lock);
        if (thread != NULL || is_last)
            return thread;
        (void)vck_event_wait(&has_ended, VCK_FOREVER);
    }
}

static void reap(void *unused) VCK_CAN_WAIT
{
    struct vck_thread *thread;
    (void)unused;
    while ((thread = take_ended()) != NULL) {
        void (*gone)(void *context) = thread->gone;
        void *context = thread->context;
        vck_thread_join(thread);
        gone(context);
        remove_detached();
    }
}

/* ---- the thread itself ---- */

static void set_name(const char *name)
{
    WCHAR wide[NAME_MAX + 1];
    UNICODE_STRING value = {.Buffer = wide, .MaximumLength = sizeof(wide)};
    for (size_t i = 0; name[i] != '\0'; i++) {
        wide[i] = (WCHAR)(unsigned char)name[i];
        value.Length = (USHORT)(value.Length + sizeof(WCHAR));
    }
    (void)ZwSetInformationThread(NtCurrentThread(), THREAD_NAME, &value, sizeof(value));
}

static void check_end(void)
{
    FATAL_UNLESS(vck_current_level() == VCK_LEVEL_PASSIVE, "a thread ends at PASSIVE");
    FATAL_UNLESS(!KeAreApcsDisabled(), "a thread ends outside critical regions");
}

static void NTAPI run(void *argument)
{
    struct vck_thread *thread = argument;
    bool is_detached = thread->gone != NULL;
    set_name(thread->name);
    if (thread->thread_class == VCK_THREAD_BACKGROUND)
        (void)KeSetPriorityThread((PKTHREAD)vck_nt_current_thread(), LOWEST_PRIORITY);
    if (is_detached) {
        thread->object = vck_nt_current_thread();
        ObReferenceObject(thread->object);
        vck_nt_thread_slot_fill(thread->context, &thread->spare);
    }
    thread->entry(thread->context);
    check_end();
    vck_nt_thread_forget();
    if (is_detached)
        hand_to_reaper(thread); /* it may go now */
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* ---- creation ---- */

/* Starts the thread; ret_handle is to be closed. Source: PsCreateSystemThread. */
static NTSTATUS start(struct vck_thread *thread, HANDLE *ret_handle, uint32_t *ret_id)
{
    CLIENT_ID id = {0};
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    NTSTATUS status;
    if (io_create_system_thread != NULL) {
        status = io_create_system_thread(vck_nt_driver(), ret_handle, THREAD_ALL_ACCESS,
                                         &attributes, NULL, &id, run, thread);
    } else {
        status = PsCreateSystemThread(ret_handle, THREAD_ALL_ACCESS, &attributes, NULL, &id, run,
                                      thread);
    }
    *ret_id = (uint32_t)(uintptr_t)id.UniqueThread;
    return status;
}

/* `wanted` copied, with a reference to the driver. */
static struct vck_thread *allocate(const struct vck_thread *wanted, const char *name)
{
    struct vck_thread *thread = vck_alloc(sizeof(*thread), TAG);
    if (thread == NULL)
        return NULL;
    *thread = *wanted;
    for (size_t i = 0; i < NAME_MAX && name[i] != '\0'; i++)
        thread->name[i] = name[i];
    ObReferenceObject(vck_nt_driver());
    return thread;
}

static void free_thread(struct vck_thread *thread)
{
    vck_nt_pool_free(thread->spare);
    vck_free(thread);
    ObDereferenceObject(vck_nt_driver());
}

vck_status vck_thread_create(void (*entry)(void *context), void *context,
                             enum vck_thread_class thread_class, const char *name,
                             struct vck_thread **ret_thread)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    HANDLE handle;
    uint32_t unused;
    struct vck_thread *thread = allocate(
        &(struct vck_thread){.entry = entry, .context = context, .thread_class = thread_class},
        name);
    if (thread == NULL)
        return VCK_NO_MEMORY;
    if (!NT_SUCCESS(start(thread, &handle, &unused))) {
        free_thread(thread);
        return VCK_NO_MEMORY;
    }
    NTSTATUS status = ObReferenceObjectByHandle(handle, SYNCHRONIZE, *__imp_PsThreadType,
                                                KernelMode, (void **)&thread->object, NULL);
    FATAL_UNLESS(NT_SUCCESS(status), "a thread that was created can be referenced");
    ZwClose(handle);
    *ret_thread = thread;
    return VCK_OK;
}

void vck_thread_join(struct vck_thread *thread)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    FATAL_UNLESS((void *)thread->object != vck_nt_current_thread(),
                 "a thread is joined by another");
    vck_nt_wait_for(thread->object);
    ObDereferenceObject(thread->object);
    free_thread(thread);
}

vck_status vck_thread_create_detached(void (*entry)(void *context), void *context,
                                      enum vck_thread_class thread_class, const char *name,
                                      void (*gone)(void *context), uint32_t *ret_id)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    HANDLE handle;
    struct vck_thread wanted = {
        .entry = entry, .context = context, .gone = gone, .thread_class = thread_class};
    struct vck_thread *thread = allocate(&wanted, name);
    if (thread == NULL)
        return VCK_NO_MEMORY;
    thread->spare = vck_nt_thread_new();
    if (thread->spare == NULL)
        goto fail;
    add_detached();
    if (!NT_SUCCESS(start(thread, &handle, ret_id))) {
        remove_detached();
        goto fail;
    }
    ZwClose(handle);
    return VCK_OK;
fail:
    free_thread(thread);
    return VCK_NO_MEMORY;
}

void vck_thread_yield(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    LARGE_INTEGER no_time = {.QuadPart = 0};
    KeDelayExecutionThread(KernelMode, FALSE, &no_time);
}

/* ---- start and end ---- */

vck_status vck_nt_threads_init(void)
{
    *(void **)&io_create_system_thread = vck_nt_routine(L"IoCreateSystemThread");
    vck_spinlock_init(&reaper_lock);
    vck_event_init(&has_ended);
    vck_event_init_manual(&none_left);
    vck_event_set(&none_left);
    ended = NULL;
    detached_count = 0;
    is_stopping = false;
    return vck_thread_create(reap, NULL, VCK_THREAD_NORMAL, "vck-reaper", &reaper);
}

void vck_nt_threads_fini(void)
{
    if (reaper == NULL)
        return;
    (void)vck_event_wait(&none_left, VCK_FOREVER);
    vck_spinlock_acquire(&reaper_lock);
    is_stopping = true;
    vck_spinlock_release(&reaper_lock);
    vck_event_set(&has_ended);
    vck_thread_join(reaper);
    reaper = NULL;
}
