/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
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

static void *run(void *argument)
{
    struct vck_thread *thread = argument;
    pthread_setname_np(pthread_self(), thread->name);
    /* Not SCHED_IDLE: such a thread, preempted inside a spin lock, would stop the others for as
     * long as the machine is busy. The niceness is the thread's own on Linux. */
    if (thread->thread_class == VCK_THREAD_BACKGROUND)
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
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
