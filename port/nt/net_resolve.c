/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names. The system may not be able to interrupt a question: a cancelled one completes at once, and
 * the pump drops its answer when that comes.
 */
#include "port/nt/net_internal.h"
#include "vck/utf.h"

#define NAME_MAX_CHARACTERS 255u

struct name_job {
    struct net_work work;
    struct vck_sockets *stack;
    struct vck_resolve_io *io; /* under the stack's lock; NULL: nobody wants the answer any more */
    struct net_call *call;
    struct wsk_addrinfo hints;
    struct wsk_addrinfo *answers;
    UNICODE_STRING name;
    WCHAR text[NAME_MAX_CHARACTERS + 1];
};

static void complete(struct vck_resolve_io *io, vck_status status, NTSTATUS native_error)
{
    KIRQL before;

    io->status = status;
    io->native_error = native_error;
    KeRaiseIrql(DISPATCH_LEVEL, &before);
    io->done(io); /* the io may be gone now */
    KeLowerIrql(before);
}

/* ---- answers ---- */

static bool is_same(const struct vck_address *a, const struct vck_address *b)
{
    return a->family == b->family && a->scope_id == b->scope_id &&
           memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool is_known(const struct vck_resolve_io *io, const struct vck_address *address)
{
    for (uint32_t i = 0; i < io->count; i++)
        if (is_same(&io->addresses[i], address))
            return true;
    return false;
}

/* Systems repeat an address for each protocol that can be used with it. */
static void copy_answers(const struct name_job *job, struct vck_resolve_io *io)
{
    for (const struct wsk_addrinfo *i = job->answers; i && io->count < io->capacity;
         i = i->ai_next) {
        struct vck_address address = {.family = VCK_ADDRESS_NONE};
        if (i->ai_addr)
            vck_nt_address_from_system(i->ai_addr, &address);
        if (address.family == VCK_ADDRESS_NONE || is_known(io, &address) ||
            (io->family != VCK_ADDRESS_NONE && address.family != io->family))
            continue;
        address.port = io->port;
        io->addresses[io->count++] = address;
    }
}

/* ---- the end of a question ---- */

/* The asker, when there still is one; a cancel no longer finds the job afterwards. */
static struct vck_resolve_io *claim(struct name_job *job)
{
    vck_spinlock_acquire(&job->stack->lock);
    struct vck_resolve_io *io = job->io;
    job->io = NULL;
    if (io)
        io->port_job = NULL;
    vck_spinlock_release(&job->stack->lock);
    return io;
}

/* Documented to be in the one place or the other. */
static NTSTATUS result(const struct net_call *call)
{
    NTSTATUS information = (NTSTATUS)(ULONG)call->information;

    return NT_SUCCESS(call->status) && !NT_SUCCESS(information) ? information : call->status;
}

/* The answers are the system's memory and may be touched and freed at PASSIVE only. */
static void finish(struct net_work *work)
{
    struct name_job *job = VCK_CONTAINER_OF(work, struct name_job, work);
    struct vck_sockets *stack = job->stack;
    struct vck_resolve_io *io = claim(job);
    NTSTATUS status = result(job->call);

    if (io && NT_SUCCESS(status))
        copy_answers(job, io);
    if (NT_SUCCESS(status) && job->answers)
        stack->provider.Dispatch->WskFreeAddressInfo(stack->provider.Client, job->answers);
    if (io && NT_SUCCESS(status))
        complete(io, io->count > 0 ? VCK_OK : VCK_NOT_FOUND, 0);
    else if (io)
        complete(io, vck_nt_net_status(status), status);
    if (job->call->is_abandoned) {
        /* The provider may still have what the job points to: it goes with the call. */
        job->call->mdls = job;
        vck_nt_net_abandon(stack, job->call);
    } else {
        vck_nt_net_call_destroy(job->call);
        vck_free(job);
    }
    vck_nt_net_leave(stack);
}

static void ended(struct net_call *call, void *context)
{
    struct name_job *job = context;

    (void)call;
    vck_nt_net_queue(job->stack, &job->work, finish);
}

/* ---- a question ---- */

static vck_status create_job(struct vck_sockets *stack, struct vck_resolve_io *io,
                             struct name_job **ret_job)
{
    size_t size_bytes = 0;
    struct name_job *job = vck_alloc(sizeof(*job), NET_TAG);

    if (!job)
        return VCK_NO_MEMORY;
    job->call = vck_nt_net_call_create(ended, job);
    vck_status status = job->call ? VCK_OK : VCK_NO_MEMORY;
    if (status == VCK_OK)
        status = vck_utf8_to_utf16le(
            (struct vck_bytes){.data = (const uint8_t *)io->host, .size_bytes = strlen(io->host)},
            (uint8_t *)job->text, NAME_MAX_CHARACTERS * sizeof(WCHAR), &size_bytes);
    if (status != VCK_OK) {
        vck_nt_net_call_destroy(job->call);
        vck_free(job);
        return status;
    }
    job->stack = stack;
    job->io = io;
    job->name = (UNICODE_STRING){
        .Buffer = job->text, .Length = (USHORT)size_bytes, .MaximumLength = sizeof(job->text)};
    job->hints.ai_socktype = WSK_SOCK_STREAM;
    job->hints.ai_family = io->family == VCK_ADDRESS_IPV4   ? WSK_AF_INET
                           : io->family == VCK_ADDRESS_IPV6 ? WSK_AF_INET6
                                                            : WSK_AF_UNSPEC;
    *ret_job = job;
    return VCK_OK;
}

void vck_sockets_resolve(struct vck_sockets *sockets, struct vck_resolve_io *io)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    const WSK_PROVIDER_NPI *provider = &sockets->provider;
    struct name_job *job;

    io->port_job = NULL;
    io->count = 0;
    vck_status status = create_job(sockets, io, &job);
    if (status != VCK_OK) {
        complete(io, status == VCK_NO_MEMORY ? status : VCK_NOT_FOUND, 0);
        return;
    }
    vck_spinlock_acquire(&sockets->lock);
    io->port_job = job;
    sockets->user_count++;
    vck_spinlock_release(&sockets->lock);
    vck_nt_net_call_begin(job->call);
    vck_nt_net_call_returned(
        job->call, provider->Dispatch->WskGetAddressInfo(provider->Client, &job->name, NULL, 0,
                                                         NULL, &job->hints, &job->answers, NULL,
                                                         NULL, job->call->irp));
    if (vck_holds_put(&job->call->holds))
        finish(&job->work);
}

void vck_sockets_resolve_cancel(struct vck_sockets *sockets, struct vck_resolve_io *io)
{
    vck_spinlock_acquire(&sockets->lock);
    struct name_job *job = io->port_job;
    bool holds = job && vck_holds_try(&job->call->holds);
    if (job) {
        io->port_job = NULL;
        job->io = NULL;
    }
    vck_spinlock_release(&sockets->lock);
    if (job)
        complete(io, VCK_CANCELLED, 0);
    if (!holds)
        return;
    (void)IoCancelIrp(job->call->irp);
    if (vck_holds_put(&job->call->holds))
        ended(job->call, job);
}
