/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "port/port.h"
#include "vckd.h"

static const int end_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

/* One per process, as signals are. */
static struct {
    void (*end)(void);
    struct sigaction before[VCK_ARRAY_COUNT(end_signals)];
    int signalled_fd; /* events: a signal came ... */
    int stopped_fd;   /* ... the end has come to its end */
    pthread_t thread;
    bool is_running;
} watchdog = {.signalled_fd = -1, .stopped_fd = -1};

static void set_event(int fd)
{
    uint64_t one = 1;

    (void)!write(fd, &one, sizeof(one));
}

/* Notes it, and lets nbdkit do what it does. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    int saved_errno = errno;

    set_event(watchdog.signalled_fd);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(end_signals); i++) {
        const struct sigaction *before = &watchdog.before[i];

        if (end_signals[i] != number)
            continue;
        if (before->sa_flags & SA_SIGINFO)
            before->sa_sigaction(number, info, context);
        else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
            before->sa_handler(number);
    }
    errno = saved_errno;
}

/* Only where nbdkit has a handler: elsewhere the signal does not end it in order. */
static void take_signals(void)
{
    struct sigaction action = {.sa_sigaction = on_signal};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(end_signals); i++) {
        struct sigaction *before = &watchdog.before[i];

        if (sigaction(end_signals[i], NULL, before))
            continue;
        action.sa_flags = (before->sa_flags & ~(int)SA_RESETHAND) | SA_SIGINFO;
        if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
            sigaction(end_signals[i], &action, NULL);
    }
}

static void give_signals_back(void)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(end_signals); i++)
        sigaction(end_signals[i], &watchdog.before[i], NULL);
}

static void *end_thread(void *unused)
{
    (void)unused;
    watchdog.end();
    return NULL;
}

static bool is_stopped_within(uint64_t limit_ns)
{
    struct pollfd event = {.fd = watchdog.stopped_fd, .events = POLLIN};
    uint64_t end_ns = vck_clock_ns() + limit_ns;

    for (;;) {
        uint64_t now_ns = vck_clock_ns();
        uint64_t left_ms = now_ns < end_ns ? (end_ns - now_ns) / 1000000 + 1 : 0;

        if (poll(&event, 1, (int)left_ms) > 0)
            return true;
        if (now_ns >= end_ns)
            return false;
    }
}

/* A connection or a disk that hangs must not keep the process: what is durable stays so. */
static void *watch(void *unused)
{
    struct pollfd events[2] = {{.fd = watchdog.signalled_fd, .events = POLLIN},
                               {.fd = watchdog.stopped_fd, .events = POLLIN}};
    pthread_t thread;

    (void)unused;
    while (poll(events, 2, -1) < 0)
        continue;
    if (events[1].revents || is_stopped_within(VCKD_END_GRACE_NS))
        return NULL;
    vck_port_log(VCK_LOG_WARNING, "a connection does not end: detaching the volumes all the same");
    if (pthread_create(&thread, NULL, end_thread, NULL) == 0)
        pthread_detach(thread);
    if (is_stopped_within(VCKD_END_LIMIT_NS - VCKD_END_GRACE_NS))
        _exit(0);
    vck_port_log(VCK_LOG_ERROR, "a disk does not answer: stopping without it");
    _exit(1);
}

int vckd_watchdog_start(void (*end)(void))
{
    int error;

    watchdog.end = end;
    watchdog.signalled_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    watchdog.stopped_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watchdog.signalled_fd < 0 || watchdog.stopped_fd < 0)
        return errno;
    error = pthread_create(&watchdog.thread, NULL, watch, NULL);
    watchdog.is_running = error == 0;
    if (watchdog.is_running)
        take_signals();
    return error;
}

void vckd_watchdog_end(void)
{
    if (watchdog.is_running)
        set_event(watchdog.stopped_fd);
}

void vckd_watchdog_stop(void)
{
    if (!watchdog.is_running)
        return;
    give_signals_back();
    pthread_join(watchdog.thread, NULL);
    watchdog.is_running = false;
}
