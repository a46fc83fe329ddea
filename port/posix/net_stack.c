/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The epoll descriptor, who sleeps in it, and which socket an event belongs to.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "port/posix/net_internal.h"

#define BATCH_EVENTS  128
#define ENTRIES_FIRST 64u
#define WAKE_DATA     UINT64_MAX
#define SOCKET_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET)
#define NS_PER_MS     1000000u
#define NS_PER_S      1000000000u

enum sleep_state {
    SLEEP_AWAKE,
    SLEEP_ASLEEP,
    SLEEP_NOTIFIED, /* the next wait does not sleep */
};

/* ---- open and close ---- */

static int create_descriptors(struct vck_sockets *sockets)
{
    struct epoll_event wake = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_DATA};
    sockets->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    sockets->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (sockets->epoll_fd < 0 || sockets->event_fd < 0)
        return errno;
    return epoll_ctl(sockets->epoll_fd, EPOLL_CTL_ADD, sockets->event_fd, &wake) == 0 ? 0 : errno;
}

static void close_descriptors(struct vck_sockets *sockets)
{
    if (sockets->epoll_fd >= 0)
        close(sockets->epoll_fd);
    if (sockets->event_fd >= 0)
        close(sockets->event_fd);
}

vck_status vck_sockets_open(struct vck_sockets **ret_sockets, int32_t *ret_native_error)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct vck_sockets *sockets = vck_alloc(sizeof(*sockets), NET_TAG);
    if (sockets == NULL)
        return VCK_NO_MEMORY;
    sockets->has_pwait2 = true;
    vck_spinlock_init(&sockets->lock);
    int error = create_descriptors(sockets);
    if (error != 0) {
        close_descriptors(sockets);
        vck_free(sockets);
        if (ret_native_error != NULL)
            *ret_native_error = error;
        return vck_posix_net_status(error);
    }
    sockets->resolvers = vck_posix_resolvers_create();
    if (sockets->resolvers == NULL) {
        close_descriptors(sockets);
        vck_free(sockets);
        return VCK_NO_MEMORY;
    }
    *ret_sockets = sockets;
    return VCK_OK;
}

void vck_sockets_close(struct vck_sockets *sockets)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (sockets == NULL)
        return;
    for (uint32_t i = 0; i < sockets->entry_count; i++)
        FATAL_UNLESS(sockets->entries[i] == NULL, "sockets are closed before their stack");
    vck_posix_resolvers_destroy(sockets->resolvers);
    close_descriptors(sockets);
    vck_free(sockets->entries);
    vck_free(sockets);
}

bool vck_sockets_is_driven(const struct vck_sockets *sockets)
{
    (void)sockets;
    return true;
}

/* ---- registered sockets ---- */

/* Makes room for entries[fd]; the old array is replaced under the lock and freed after it. */
static bool grow_entries(struct vck_sockets *sockets, uint32_t fd)
{
    uint32_t count = ENTRIES_FIRST;
    while (count <= fd)
        count *= 2;
    struct posix_socket **fresh = vck_alloc(count * sizeof(struct posix_socket *), NET_TAG);
    if (fresh == NULL)
        return false;
    struct posix_socket **unused = fresh;
    vck_spinlock_acquire(&sockets->lock);
    if (sockets->entry_count < count) {
        if (sockets->entry_count > 0)
            memcpy(fresh, sockets->entries, sockets->entry_count * sizeof(struct posix_socket *));
        unused = sockets->entries;
        sockets->entries = fresh;
        sockets->entry_count = count;
    }
    vck_spinlock_release(&sockets->lock);
    vck_free(unused);
    return true;
}

static bool enter(struct vck_sockets *sockets, struct posix_socket *s)
{
    vck_spinlock_acquire(&sockets->lock);
    bool fits = (uint32_t)s->fd < sockets->entry_count;
    if (fits) {
        sockets->entries[s->fd] = s;
        s->generation = ++sockets->last_generation;
    }
    vck_spinlock_release(&sockets->lock);
    return fits;
}

int vck_posix_net_watch(struct posix_socket *s)
{
    struct vck_sockets *sockets = s->stack;
    while (!enter(sockets, s))
        if (!grow_entries(sockets, (uint32_t)s->fd))
            return ENOMEM;
    struct epoll_event event = {
        .events = SOCKET_EVENTS,
        .data.u64 = (uint64_t)s->generation << 32 | (uint32_t)s->fd,
    };
    return epoll_ctl(sockets->epoll_fd, EPOLL_CTL_ADD, s->fd, &event) == 0 ? 0 : errno;
}

void vck_posix_net_forget(struct posix_socket *s)
{
    struct vck_sockets *sockets = s->stack;
    vck_spinlock_acquire(&sockets->lock);
    if ((uint32_t)s->fd < sockets->entry_count && sockets->entries[s->fd] == s)
        sockets->entries[s->fd] = NULL;
    vck_spinlock_release(&sockets->lock);
}

/* ---- waiting ---- */

/* Under the lock, which keeps the sockets' storage: the socket of an event, referenced; NULL when
 * it has been closed since. */
static struct posix_socket *find(struct vck_sockets *sockets, uint64_t data)
{
    uint32_t fd = (uint32_t)data;
    if (data == WAKE_DATA || fd >= sockets->entry_count)
        return NULL;
    struct posix_socket *s = sockets->entries[fd];
    if (s == NULL || s->generation != (uint32_t)(data >> 32) || !vck_holds_try(&s->references))
        return NULL;
    return s;
}

static void handle(struct vck_sockets *sockets, struct epoll_event *events, int count)
{
    struct posix_socket *found[BATCH_EVENTS];
    vck_spinlock_acquire(&sockets->lock);
    for (int i = 0; i < count; i++)
        found[i] = find(sockets, events[i].data.u64);
    vck_spinlock_release(&sockets->lock);
    for (int i = 0; i < count; i++) {
        if (found[i] == NULL)
            continue;
        vck_posix_net_event(found[i], events[i].events);
        vck_posix_net_put(found[i]);
    }
}

static int wait_in_ms(struct vck_sockets *sockets, struct epoll_event *events, uint64_t left_ns)
{
    int timeout_ms = -1;
    if (left_ns != VCK_FOREVER)
        timeout_ms = left_ns / NS_PER_MS >= INT32_MAX
                         ? INT32_MAX
                         : (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
    return epoll_wait(sockets->epoll_fd, events, BATCH_EVENTS, timeout_ms);
}

/* left_ns: VCK_FOREVER for none. */
static int wait_for(struct vck_sockets *sockets, struct epoll_event *events, uint64_t left_ns)
{
    struct timespec left = {.tv_sec = (time_t)(left_ns / NS_PER_S),
                            .tv_nsec = (long)(left_ns % NS_PER_S)};
    if (left_ns == 0 || left_ns == VCK_FOREVER || !sockets->has_pwait2)
        return wait_in_ms(sockets, events, left_ns);
    int count = epoll_pwait2(sockets->epoll_fd, events, BATCH_EVENTS, &left, NULL);
    if (count >= 0 || errno != ENOSYS)
        return count;
    sockets->has_pwait2 = false;
    return wait_in_ms(sockets, events, left_ns);
}

void vck_sockets_wait(struct vck_sockets *sockets, uint64_t deadline_ns)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct epoll_event events[BATCH_EVENTS];
    uint64_t left_ns = deadline_ns;
    uint32_t expected = SLEEP_AWAKE;
    if (deadline_ns != VCK_FOREVER) {
        uint64_t now_ns = vck_clock_ns();
        left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    }
    if (!__atomic_compare_exchange_n(&sockets->sleep_state, &expected, SLEEP_ASLEEP, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        left_ns = 0;
    int count = wait_for(sockets, events, left_ns);
    /* A wake from here on is for the wait that is about to return anyway. */
    __atomic_store_n(&sockets->sleep_state, SLEEP_NOTIFIED, __ATOMIC_SEQ_CST);
    if (count > 0)
        handle(sockets, events, count);
    __atomic_store_n(&sockets->sleep_state, SLEEP_AWAKE, __ATOMIC_SEQ_CST);
}

void vck_sockets_poll(struct vck_sockets *sockets)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct epoll_event events[BATCH_EVENTS];
    int count = epoll_wait(sockets->epoll_fd, events, BATCH_EVENTS, 0);
    if (count > 0)
        handle(sockets, events, count);
}

/* The event descriptor is edge triggered, so nobody has to read it. */
void vck_sockets_wake(struct vck_sockets *sockets)
{
    static const uint64_t one = 1;
    if (__atomic_exchange_n(&sockets->sleep_state, SLEEP_NOTIFIED, __ATOMIC_SEQ_CST) ==
        SLEEP_ASLEEP)
        (void)!write(sockets->event_fd, &one, sizeof(one));
}
