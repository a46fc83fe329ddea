/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, asked for with getaddrinfo on threads of our own. getaddrinfo cannot be interrupted: a
 * cancelled question completes at once, and its thread drops the answer when it comes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include "port/posix/net_internal.h"

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
    pthread_mutex_lock(&resolvers->lock);
    struct vck_resolve_io *io = job->io;
    if (io != NULL)
        io->port_job = NULL;
    pthread_mutex_unlock(&resolvers->lock);
    return io;
}

static void ask(struct resolvers *resolvers, struct job *job)
{
    struct addrinfo hints = {.ai_family = job->family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *answers = NULL;
    int error = getaddrinfo(job->host, NULL, &hints, &answers);
    int os_error = errno;
    struct vck_resolve_io *io = claim(resolvers, job);
    vck_free(job);
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

static void work(void *context)
{
    struct resolvers *resolvers = context;
    pthread_mutex_lock(&resolvers->lock);
    while (!resolvers->stopping) {
        struct vck_link *link = vck_list_pop_front(&resolvers->jobs);
        if (link == NULL) {
            resolvers->idle_count++;
            pthread_cond_wait(&resolvers->changed, &resolvers->lock);
            resolvers->idle_count--;
            continue;
        }
        resolvers->waiting_count--;
        pthread_mutex_unlock(&resolvers->lock);
        ask(resolvers, VCK_CONTAINER_OF(link, struct job, link));
        pthread_mutex_lock(&resolvers->lock);
    }
    pthread_mutex_unlock(&resolvers->lock);
}

void vck_posix_resolvers_init(struct resolvers *resolvers)
{
    *resolvers = (struct resolvers){0};
    pthread_mutex_init(&resolvers->lock, NULL);
    pthread_cond_init(&resolvers->changed, NULL);
    vck_link_init(&resolvers->jobs);
}

void vck_posix_resolvers_fini(struct resolvers *resolvers)
{
    pthread_mutex_lock(&resolvers->lock);
    FATAL_UNLESS(vck_list_is_empty(&resolvers->jobs), "names are resolved before their stack goes");
    resolvers->stopping = true;
    pthread_cond_broadcast(&resolvers->changed);
    pthread_mutex_unlock(&resolvers->lock);
    for (unsigned i = 0; i < resolvers->count; i++)
        vck_thread_join(resolvers->threads[i]);
    pthread_cond_destroy(&resolvers->changed);
    pthread_mutex_destroy(&resolvers->lock);
}

/* Under the lock: whether a thread will come for one more job. */
static bool have_thread(struct resolvers *resolvers)
{
    if (resolvers->idle_count <= resolvers->waiting_count && resolvers->count < RESOLVERS_MAX &&
        vck_thread_create(work, resolvers, VCK_THREAD_NORMAL, "vck-resolve",
                          &resolvers->threads[resolvers->count]) == VCK_OK)
        resolvers->count++;
    return resolvers->count > 0;
}

static struct job *create_job(struct vck_resolve_io *io)
{
    size_t host_bytes = strlen(io->host) + 1;
    struct job *job = vck_alloc(sizeof(*job) + host_bytes, NET_TAG);
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
    struct resolvers *resolvers = &sockets->resolvers;
    struct job *job = create_job(io);
    bool queued = false;
    io->port_job = NULL;
    io->count = 0;
    if (job != NULL) {
        pthread_mutex_lock(&resolvers->lock);
        io->port_job = job;
        queued = have_thread(resolvers);
        if (queued) {
            vck_list_push_back(&resolvers->jobs, &job->link);
            resolvers->waiting_count++;
        }
        pthread_cond_signal(&resolvers->changed);
        pthread_mutex_unlock(&resolvers->lock);
    }
    if (queued)
        return;
    vck_free(job);
    complete(io, VCK_NO_MEMORY, 0);
}

void vck_sockets_resolve_cancel(struct vck_sockets *sockets, struct vck_resolve_io *io)
{
    struct resolvers *resolvers = &sockets->resolvers;
    struct job *unused = NULL;
    pthread_mutex_lock(&resolvers->lock);
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
    pthread_mutex_unlock(&resolvers->lock);
    vck_free(unused);
    if (job != NULL)
        complete(io, VCK_CANCELLED, 0);
}
