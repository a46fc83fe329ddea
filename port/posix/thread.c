/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <pthread.h>
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
    enum vck_thread_class thread_class;
    char name[16];
};

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
    pthread_setname_np(pthread_self(), thread->name);
    if (thread->thread_class == VCK_THREAD_BACKGROUND)
        give_way();
    thread->entry(thread->context);
    struct thread_state *self = vck_posix_thread_state();
    FATAL_UNLESS(self->level == VCK_LEVEL_PASSIVE, "a thread ends at PASSIVE");
    FATAL_UNLESS(self->mutexes_held == 0, "a thread ends without mutexes");
    return NULL;
}

/* Signals are for the threads of the product. */
static int create_without_signals(struct vck_thread *thread)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread->pthread, NULL, run, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

vck_status vck_thread_create(void (*entry)(void *context), void *context,
                             enum vck_thread_class thread_class, const char *name,
                             struct vck_thread **ret_thread)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct vck_thread *thread = vck_alloc(sizeof(*thread), TAG);
    if (thread == NULL)
        return VCK_NO_MEMORY;
    thread->entry = entry;
    thread->context = context;
    thread->thread_class = thread_class;
    strncpy(thread->name, name, sizeof(thread->name) - 1);
    if (create_without_signals(thread) != 0) {
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
