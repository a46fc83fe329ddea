/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, asked for with getaddrinfo on threads of our own. getaddrinfo cannot be interrupted: a
 * cancelled question completes at once, and its thread drops the answer when it comes, be it long
 * after the stack has gone: what such threads use is not of the stack, nor counted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include "port/posix/net_internal.h"

#define TAG VCK_TAG('n', 'a', 'm', 'e')

struct job {
    struct vck_link link;      /* in resolvers->jobs, or to itself while a thread has it */
    struct vck_resolve_io *io; /* NULL: nobody wants the answer any more */
    int family;
    char host[];
};

static vck_status status_of(int error, int os_error)
{
    switch (error) {
    case EAI_NONAME:
    case EAI_NODATA:
        return VCK_NOT_FOUND;
    case EAI_AGAIN:
        return VCK_UNREACHABLE;
    case EAI_MEMORY:
        return VCK_NO_MEMORY;
    case EAI_FAMILY:
    case EAI_ADDRFAMILY:
        return VCK_UNSUPPORTED;
    case EAI_SYSTEM:
        return vck_posix_net_status(os_error);
    default:
        return VCK_IO;
    }
}

static void complete(struct vck_resolve_io *io, vck_status status, int native_error)
{
    struct thread_state *self = system_thread_state();
    vck_level level = self->level;
    io->status = status;
    io->native_error = native_error;
    self->level = VCK_LEVEL_DISPATCH;
    io->done(io); /* the io may be gone now */
    self->level = level;
}

static void copy_answers(const struct addrinfo *answers, struct vck_resolve_io *io)
{
    io->count = 0;
    for (const struct addrinfo *i = answers; i != NULL && io->count < io->capacity;
         i = i->ai_next) {
        struct vck_address *address = &io->addresses[io->count];
        vck_posix_address_from_system(i->ai_addr, address);
        if (address->family == VCK_ADDRESS_NONE)
            continue;
        address->port = io->port;
        io->count++;
    }
}

/* The asker, when there still is one; a cancel no longer finds the job afterwards. */
static struct vck_resolve_io *claim(struct resolvers *resolvers, struct job *job)
{
    system_lock_take(&resolvers->lock);
    struct vck_resolve_io *io = job->io;
    resolvers->asking_count--;
    if (io != NULL)
        io->port_job = NULL;
    system_lock_release(&resolvers->lock);
    return io;
}

static void ask(struct resolvers *resolvers, struct job *job)
{
    struct addrinfo hints = {.ai_family = job->family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *answers = NULL;
    int error = getaddrinfo(job->host, NULL, &hints, &answers);
    int os_error = errno;
    struct vck_resolve_io *io = claim(resolvers, job);
    system_heap_free(job, TAG);
    if (io != NULL && error == 0)
        copy_answers(answers, io);
    if (answers != NULL)
        freeaddrinfo(answers);
    if (io == NULL)
        return;
    if (error != 0)
        complete(io, status_of(error, os_error), error == EAI_SYSTEM ? os_error : error);
    else
        complete(io, io->count > 0 ? VCK_OK : VCK_NOT_FOUND, 0);
}

/* ---- the pool ---- */

static void free_pool(struct resolvers *resolvers)
{
    system_lock_fini(&resolvers->lock);
    system_heap_free(resolvers, TAG);
}

/* Under the lock, which it gives back while there is work. */
static void serve(struct resolvers *resolvers)
{
    while (!resolvers->stopping) {
        struct vck_link *link = vck_list_pop_front(&resolvers->jobs);
        if (link == NULL) {
            resolvers->idle_count++;
            system_condition_wait(&resolvers->changed, &resolvers->lock, VCK_FOREVER);
            resolvers->idle_count--;
            continue;
        }
        resolvers->waiting_count--;
        resolvers->asking_count++;
        system_lock_release(&resolvers->lock);
        ask(resolvers, VCK_CONTAINER_OF(link, struct job, link));
        system_lock_take(&resolvers->lock);
    }
}

static void *work(void *context)
{
    struct resolvers *resolvers = context;
    system_thread_name("vck-resolve");
    system_lock_take(&resolvers->lock);
    serve(resolvers);
    bool is_last = --resolvers->count == 0 && resolvers->is_left;
    system_condition_wake_all(&resolvers->changed);
    system_lock_release(&resolvers->lock);
    if (is_last)
        free_pool(resolvers);
    return NULL;
}

struct resolvers *vck_posix_resolvers_create(void)
{
    struct resolvers *resolvers = system_heap_alloc(sizeof(*resolvers), TAG);
    if (resolvers == NULL)
        return NULL;
    system_lock_init(&resolvers->lock);
    resolvers->changed = (struct system_condition)SYSTEM_CONDITION_INIT;
    vck_link_init(&resolvers->jobs);
    return resolvers;
}

void vck_posix_resolvers_destroy(struct resolvers *resolvers)
{
    system_lock_take(&resolvers->lock);
    FATAL_UNLESS(vck_list_is_empty(&resolvers->jobs), "names are resolved before their stack goes");
    resolvers->stopping = true;
    system_condition_wake_all(&resolvers->changed);
    while (resolvers->count > resolvers->asking_count)
        system_condition_wait(&resolvers->changed, &resolvers->lock, VCK_FOREVER);
    resolvers->is_left = resolvers->count > 0;
    bool is_left = resolvers->is_left;
    system_lock_release(&resolvers->lock);
    if (!is_left)
        free_pool(resolvers);
}

static bool start_thread(struct resolvers *resolvers)
{
    struct system_thread thread;
    if (!system_thread_start(work, resolvers, &thread))
        return false;
    system_thread_detach(&thread);
    return true;
}

/* Under the lock: whether a thread will come for one more job. */
static bool have_thread(struct resolvers *resolvers)
{
    if (resolvers->idle_count <= resolvers->waiting_count && resolvers->count < RESOLVERS_MAX &&
        start_thread(resolvers))
        resolvers->count++;
    return resolvers->count > 0;
}

static struct job *create_job(struct vck_resolve_io *io)
{
    size_t host_bytes = strlen(io->host) + 1;
    struct job *job = system_heap_alloc(sizeof(*job) + host_bytes, TAG);
    if (job == NULL)
        return NULL;
    vck_link_init(&job->link);
    job->io = io;
    job->family = io->family == VCK_ADDRESS_IPV4   ? AF_INET
                  : io->family == VCK_ADDRESS_IPV6 ? AF_INET6
                                                   : AF_UNSPEC;
    memcpy(job->host, io->host, host_bytes);
    return job;
}

void vck_sockets_resolve(struct vck_sockets *sockets, struct vck_resolve_io *io)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct resolvers *resolvers = sockets->resolvers;
    struct job *job = create_job(io);
    bool queued = false;
    io->port_job = NULL;
    io->count = 0;
    if (job != NULL) {
        system_lock_take(&resolvers->lock);
        io->port_job = job;
        queued = have_thread(resolvers);
        if (queued) {
            vck_list_push_back(&resolvers->jobs, &job->link);
            resolvers->waiting_count++;
        }
        system_condition_wake_one(&resolvers->changed);
        system_lock_release(&resolvers->lock);
    }
    if (queued)
        return;
    system_heap_free(job, TAG);
    complete(io, VCK_NO_MEMORY, 0);
}

void vck_sockets_resolve_cancel(struct vck_sockets *sockets, struct vck_resolve_io *io)
{
    struct resolvers *resolvers = sockets->resolvers;
    struct job *unused = NULL;
    system_lock_take(&resolvers->lock);
    struct job *job = io->port_job;
    if (job != NULL) {
        io->port_job = NULL;
        job->io = NULL;
        if (vck_link_is_linked(&job->link)) {
            vck_link_remove(&job->link);
            resolvers->waiting_count--;
            unused = job;
        }
    }
    system_lock_release(&resolvers->lock);
    system_heap_free(unused, TAG);
    if (job != NULL)
        complete(io, VCK_CANCELLED, 0);
}
