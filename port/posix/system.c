/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "port/posix/internal.h"

_Thread_local struct thread_state vck_posix_state;

static struct timespec timespec_of(uint64_t time_ns)
{
    return (struct timespec){.tv_sec = (time_t)(time_ns / 1000000000),
                             .tv_nsec = (long)(time_ns % 1000000000)};
}

void system_condition_wait(struct system_condition *condition, struct system_lock *lock,
                           uint64_t deadline_ns)
{
    struct timespec deadline = timespec_of(deadline_ns);
    if (deadline_ns == VCK_FOREVER)
        pthread_cond_wait(&condition->condition, &lock->mutex);
    else
        pthread_cond_clockwait(&condition->condition, &lock->mutex, CLOCK_MONOTONIC, &deadline);
}

bool system_word_sleep(uint32_t *word, uint32_t seen, uint64_t deadline_ns)
{
    struct timespec deadline = timespec_of(deadline_ns);
    long result =
        syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, seen,
                deadline_ns == VCK_FOREVER ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY);
    return result == 0 || errno != ETIMEDOUT;
}

void system_word_wake(uint32_t *word, bool all)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, all ? INT_MAX : 1, NULL, NULL, 0);
}

/* ---- threads ---- */

bool system_thread_start(SYSTEM_THREAD_RESULT (*entry)(void *context), void *context,
                         struct system_thread *ret_thread)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&ret_thread->thread, NULL, entry, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0;
}

void system_thread_name(const char *name)
{
    pthread_setname_np(pthread_self(), name);
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
void system_thread_give_way(void)
{
    struct scheduling want = {
        .size = sizeof(want), .policy = SCHED_OTHER, .nice = 19, .slice_ns = 100000};
    if (syscall(SYS_sched_setattr, 0, &want, 0) != 0)
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
}

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void end_thread(void *state)
{
    vck_hosted_end_slot(state);
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, end_thread) == 0;
}

bool system_thread_watch_end(void)
{
    pthread_once(&key_once, make_key);
    return has_key && pthread_setspecific(key, system_thread_state()) == 0;
}
