/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An IRP from its call to its result, and the MDLs it speaks of.
 */
#include "port/nt/net_internal.h"

#define PIECES_MAX 16u
#define BYTES_MAX  (1u << 20) /* of one IRP; a longer operation takes several */

static NTSTATUS NTAPI on_complete(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    struct net_call *call = context;

    (void)device;
    if (__atomic_exchange_n(&call->is_claimed, 1, __ATOMIC_ACQ_REL) != 0)
        return STATUS_MORE_PROCESSING_REQUIRED; /* abandoned */
    call->status = irp->IoStatus.Status;
    call->information = irp->IoStatus.Information;
    if (vck_holds_put(&call->holds))
        call->ended(call, call->context); /* the call may be gone now */
    return STATUS_MORE_PROCESSING_REQUIRED;
}

struct net_call *vck_nt_net_call_create(void (*ended)(struct net_call *call, void *context),
                                        void *context)
{
    struct net_call *call = vck_alloc(sizeof(*call), NET_TAG);

    if (!call)
        return NULL;
    call->irp = IoAllocateIrp(1, FALSE);
    if (!call->irp) {
        vck_free(call);
        return NULL;
    }
    call->ended = ended;
    call->context = context;
    return call;
}

void vck_nt_net_call_destroy(struct net_call *call)
{
    if (!call)
        return;
    vck_free(call->mdls);
    IoFreeIrp(call->irp);
    vck_free(call);
}

void vck_nt_net_call_begin(struct net_call *call)
{
    IoReuseIrp(call->irp, STATUS_UNSUCCESSFUL);
    IoSetCompletionRoutine(call->irp, on_complete, call, TRUE, TRUE, TRUE);
    call->information = 0;
    __atomic_store_n(&call->is_claimed, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&call->holds, 2, __ATOMIC_RELEASE);
}

/* An error is final, whether the IRP is completed with it or not; success is what the completion
 * says, which may still be on its way. */
void vck_nt_net_call_returned(struct net_call *call, NTSTATUS returned)
{
    if (NT_SUCCESS(returned))
        return;
    if (__atomic_exchange_n(&call->is_claimed, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    call->status = returned;
    call->is_abandoned = true;
    __atomic_sub_fetch(&call->holds, 1, __ATOMIC_ACQ_REL);
}

/* ---- buffers ---- */

static uint64_t page_count(const void *at, size_t size_bytes)
{
    return ((uintptr_t)at % PAGE_SIZE + size_bytes + PAGE_SIZE - 1) / PAGE_SIZE;
}

/* As MmSizeOfMdl, so that the next one is aligned. */
static size_t mdl_size(const void *at, size_t size_bytes)
{
    size_t size = sizeof(MDL) + (size_t)page_count(at, size_bytes) * sizeof(PFN_NUMBER);

    return (size + 15) & ~(size_t)15;
}

/* A function, because the macro's conversions are not ours. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static void begin_mdl(PMDL mdl, void *at, size_t size_bytes)
{
    MmInitializeMdl(mdl, at, size_bytes);
}
#pragma GCC diagnostic pop

static PMDL build_mdl(void *room, void *at, size_t size_bytes)
{
    PMDL mdl = room;

    begin_mdl(mdl, at, size_bytes);
    MmBuildMdlForNonPagedPool(mdl);
    /* Done by the call above, except where it is a stub. */
    if (!(mdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL)) {
        mdl->MappedSystemVa = at;
        mdl->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
    }
    return mdl;
}

/* What is left of the buffers of an io, in pieces without empty ones. */
struct pieces {
    struct vck_socket_buffer of[PIECES_MAX];
    uint32_t count;
    size_t bytes;     /* of those */
    size_t all_bytes; /* with what comes behind them */
};

static void cut(const struct vck_socket_io *io, size_t limit_bytes, struct pieces *ret_pieces)
{
    size_t skip = io->done_bytes;

    *ret_pieces = (struct pieces){.count = 0};
    for (uint32_t i = 0; i < io->buffer_count; i++) {
        const struct vck_socket_buffer *buffer = &io->buffers[i];
        size_t from = VCK_MIN(skip, buffer->size_bytes);
        size_t size = buffer->size_bytes - from;
        size_t taken = VCK_MIN(size, limit_bytes - ret_pieces->bytes);

        skip -= from;
        ret_pieces->all_bytes += size;
        if (taken == 0 || ret_pieces->count == PIECES_MAX)
            continue;
        ret_pieces->of[ret_pieces->count++] =
            (struct vck_socket_buffer){(char *)buffer->data + from, taken};
        ret_pieces->bytes += taken;
        if (taken < size)
            limit_bytes = ret_pieces->bytes;
    }
}

/* The first piece alone, as much of it as there is room for. */
static void set_first(struct net_call *call, const struct vck_socket_buffer *piece)
{
    size_t size = piece->size_bytes;
    void *room = call->mdl;

    if (page_count(piece->data, size) > NET_MDL_PAGES) {
        call->mdls = vck_alloc(mdl_size(piece->data, size), NET_TAG);
        if (call->mdls)
            room = call->mdls;
        else
            size = (NET_MDL_PAGES - 1) * PAGE_SIZE;
    }
    call->buffer.Mdl = build_mdl(room, piece->data, size);
    call->buffer.Length = size;
}

static bool set_chain(struct net_call *call, const struct pieces *pieces)
{
    size_t size = 0;
    unsigned char *room;
    PMDL *link = &call->buffer.Mdl;

    for (uint32_t i = 0; i < pieces->count; i++)
        size += mdl_size(pieces->of[i].data, pieces->of[i].size_bytes);
    room = call->mdls = vck_alloc(size, NET_TAG);
    if (!room)
        return false;
    for (uint32_t i = 0; i < pieces->count; i++) {
        const struct vck_socket_buffer *piece = &pieces->of[i];
        *link = build_mdl(room, piece->data, piece->size_bytes);
        link = &(*link)->Next;
        room += mdl_size(piece->data, piece->size_bytes);
    }
    call->buffer.Length = pieces->bytes;
    call->is_chain = true;
    return true;
}

/* A datagram whose pieces the provider does not take. */
static bool set_copy(struct net_call *call, const struct vck_socket_io *io, size_t bytes)
{
    size_t header = mdl_size(NULL, bytes + PAGE_SIZE);
    unsigned char *room = call->mdls = vck_alloc(header + bytes, NET_TAG);
    size_t at = 0;

    if (!room)
        return false;
    for (uint32_t i = 0; i < io->buffer_count; i++) {
        if (io->buffers[i].size_bytes > 0)
            memcpy(room + header + at, io->buffers[i].data, io->buffers[i].size_bytes);
        at += io->buffers[i].size_bytes;
    }
    call->buffer.Mdl = build_mdl(room, room + header, bytes);
    call->buffer.Length = bytes;
    call->is_copy = true;
    return true;
}

bool vck_nt_net_call_set_buffers(struct net_call *call, const struct vck_socket_io *io,
                                 bool is_whole, bool can_chain)
{
    struct pieces pieces;

    cut(io, BYTES_MAX, &pieces);
    call->buffer = (WSK_BUF){.Mdl = NULL};
    call->is_chain = false;
    call->is_copy = false;
    if (pieces.count == 0)
        vck_nt_net_call_set_scratch(call);
    else if (is_whole && pieces.count == 1 && pieces.bytes == pieces.all_bytes)
        set_first(call, &pieces.of[0]);
    else if (is_whole && (!can_chain || pieces.bytes != pieces.all_bytes))
        return set_copy(call, io, pieces.all_bytes);
    else if (pieces.count == 1 || !can_chain || !set_chain(call, &pieces))
        set_first(call, &pieces.of[0]);
    return !is_whole || call->buffer.Length == pieces.all_bytes;
}

void vck_nt_net_call_spread(const struct net_call *call, const struct vck_socket_io *io,
                            size_t bytes)
{
    const unsigned char *from = MmGetMdlVirtualAddress(call->buffer.Mdl);

    for (uint32_t i = 0; call->is_copy && i < io->buffer_count; i++) {
        size_t size = VCK_MIN(bytes, io->buffers[i].size_bytes);
        if (size > 0)
            memcpy(io->buffers[i].data, from, size);
        from += size;
        bytes -= size;
    }
}

/* An empty buffer, too, has an MDL. */
void vck_nt_net_call_set_scratch(struct net_call *call)
{
    call->buffer.Mdl = build_mdl(call->mdl, call->scratch, sizeof(call->scratch));
    call->buffer.Offset = 0;
    call->buffer.Length = 0;
}

void vck_nt_net_call_drop_buffers(struct net_call *call)
{
    vck_free(call->mdls);
    call->mdls = NULL;
    call->is_chain = false;
}
