/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames and requests over NDIS 6. A frame that is sent is a NET_BUFFER_LIST of the binding's pool
 * over the caller's chain; one that arrives is lent as it came, with a place of the binding's for
 * each NET_BUFFER and their number in the list's first ProtocolReserved.
 */
#include "port/nt/frame_internal.h"
#include "vck/chain.h"

enum { CANCEL_SHIFT = 56, LENT_AT_ONCE = 64 };

static_assert(offsetof(MDL, Next) == offsetof(struct vck_descriptor, next) &&
                  offsetof(MDL, MdlFlags) == offsetof(struct vck_descriptor, flags) &&
                  offsetof(MDL, MappedSystemVa) == offsetof(struct vck_descriptor, address) &&
                  offsetof(MDL, ByteCount) == offsetof(struct vck_descriptor, size_bytes) &&
                  offsetof(MDL, ByteOffset) == offsetof(struct vck_descriptor, offset_bytes),
              "an MDL is a descriptor");

vck_status vck_nt_map_descriptor(struct vck_descriptor *descriptor)
{
    PMDL mdl = (PMDL)(void *)descriptor;

    return MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority | MdlMappingNoExecute)
               ? VCK_OK
               : VCK_NO_MEMORY;
}

static bool is_at_dispatch(void)
{
    return vck_current_level() >= VCK_LEVEL_DISPATCH;
}

/* ---- sending ---- */

/* A list's ProtocolReserved: the send, and the MDLs that are its own. */
enum { OF_SEND, OF_MDLS };

/* Whether the system has seen the memory as pages: an adapter's DMA needs their numbers. */
static bool are_mdls(const struct vck_descriptor *first)
{
    for (; first; first = first->next) {
        if (first->port_size < sizeof(MDL))
            return false;
    }
    return true;
}

static size_t mdl_bytes(const struct vck_descriptor *descriptor)
{
    size_t pages =
        ((size_t)descriptor->offset_bytes + descriptor->size_bytes + PAGE_SIZE - 1) / PAGE_SIZE;

    return sizeof(MDL) + pages * sizeof(PFN_NUMBER);
}

/* A function, because the macro's conversions are not ours. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static void begin_mdl(PMDL mdl, const struct vck_descriptor *descriptor)
{
    MmInitializeMdl(mdl, descriptor->address, descriptor->size_bytes);
}
#pragma GCC diagnostic pop

/* MDLs in one allocation, for pool memory that has none. */
static vck_status make_mdls(const struct vck_descriptor *first, PMDL *ret_mdls)
{
    size_t size_bytes = 0;
    PMDL *end = ret_mdls;
    uint8_t *place;

    for (const struct vck_descriptor *d = first; d; d = d->next)
        size_bytes += d->size_bytes ? mdl_bytes(d) : 0;
    place = vck_alloc(size_bytes, VCK_NT_FRAME_TAG);
    if (!place)
        return VCK_NO_MEMORY;
    for (const struct vck_descriptor *d = first; d; d = d->next) {
        PMDL mdl = (PMDL)(void *)place;

        if (!d->size_bytes)
            continue;
        begin_mdl(mdl, d);
        MmBuildMdlForNonPagedPool(mdl);
        *end = mdl;
        end = &mdl->Next;
        place += mdl_bytes(d);
    }
    return VCK_OK;
}

static vck_status make_list(struct vck_nt_binding *binding, struct vck_frames_send *send,
                            PNET_BUFFER_LIST *ret_list)
{
    PMDL chain = (PMDL)(void *)send->first;
    PMDL own = NULL;
    PNET_BUFFER_LIST list;
    uint64_t id = (uint64_t)binding->protocol->cancel_part << CANCEL_SHIFT | send->cancel_id;

    if (!are_mdls(send->first)) {
        vck_status status = make_mdls(send->first, &own);

        if (status)
            return status;
        chain = own;
    }
    list = NdisAllocateNetBufferAndNetBufferList(binding->pool, 0, 0, chain,
                                                 (ULONG)send->offset_bytes, send->size_bytes);
    if (!list) {
        vck_free(own);
        return VCK_NO_MEMORY;
    }
    list->SourceHandle = binding->handle;
    list->ProtocolReserved[OF_SEND] = send;
    list->ProtocolReserved[OF_MDLS] = own;
    list->NetBufferListInfo[NetBufferListCancelId] = (PVOID)(uintptr_t)id;
    *ret_list = list;
    return VCK_OK;
}

static struct vck_frames_send *finish_list(PNET_BUFFER_LIST list)
{
    struct vck_frames_send *send = list->ProtocolReserved[OF_SEND];

    send->native_error = list->Status;
    send->status = vck_nt_frame_status(list->Status);
    vck_free(list->ProtocolReserved[OF_MDLS]);
    NdisFreeNetBufferList(list);
    return send;
}

void vck_frames_send(struct vck_frames_binding *core, struct vck_frames_send *first)
{
    struct vck_nt_binding *binding = vck_nt_binding_of(core);
    PNET_BUFFER_LIST lists = NULL;
    PNET_BUFFER_LIST *lists_end = &lists;
    struct vck_frames_send *failed = NULL;
    struct vck_frames_send **failed_end = &failed;

    while (first) {
        struct vck_frames_send *send = first;

        first = send->next;
        send->status = make_list(binding, send, lists_end);
        send->next = NULL;
        if (send->status) {
            *failed_end = send;
            failed_end = &send->next;
        } else {
            lists_end = &(*lists_end)->Next;
        }
    }
    if (failed)
        core->handlers->sent(core, failed);
    if (lists)
        NdisSendNetBufferLists(binding->handle, lists, 0,
                               is_at_dispatch() ? NDIS_SEND_FLAGS_DISPATCH_LEVEL : 0);
}

VOID NTAPI vck_nt_frames_sent(NDIS_HANDLE context, PNET_BUFFER_LIST lists, ULONG flags)
{
    struct vck_nt_binding *binding = context;
    struct vck_frames_send *first = NULL;
    struct vck_frames_send **end = &first;

    (void)flags;
    while (lists) {
        PNET_BUFFER_LIST next = lists->Next;

        *end = finish_list(lists);
        (*end)->next = NULL;
        end = &(*end)->next;
        lists = next;
    }
    binding->core->handlers->sent(binding->core, first);
}

void vck_frames_cancel_sends(struct vck_frames_binding *core, uint64_t cancel_id)
{
    struct vck_nt_binding *binding = vck_nt_binding_of(core);
    uint64_t id = (uint64_t)binding->protocol->cancel_part << CANCEL_SHIFT | cancel_id;

    NdisCancelSendNetBufferLists(binding->handle, (PVOID)(uintptr_t)id);
}

/* ---- receiving ---- */

/* A frame's port_data. */
enum { OF_LIST };

void vck_nt_frames_prepare(struct vck_nt_binding *binding)
{
    for (size_t i = 0; i < VCK_NT_FRAMES_LENT; i++) {
        binding->frames[i].next = binding->spare;
        binding->spare = &binding->frames[i];
    }
}

static struct vck_frames_received *take_place(struct vck_nt_binding *binding)
{
    struct vck_frames_received *frame;

    vck_spinlock_acquire(&binding->lock);
    frame = binding->spare;
    if (frame)
        binding->spare = frame->next;
    vck_spinlock_release(&binding->lock);
    return frame;
}

static void put_places(struct vck_nt_binding *binding, struct vck_frames_received *first,
                       struct vck_frames_received *last)
{
    vck_spinlock_acquire(&binding->lock);
    last->next = binding->spare;
    binding->spare = first;
    vck_spinlock_release(&binding->lock);
}

/* One NET_BUFFER less of a list is with the core: whether it was the last. */
static bool let_go_of_list(PNET_BUFFER_LIST list)
{
    uintptr_t *count = (uintptr_t *)(void *)&list->ProtocolReserved[OF_LIST];

    return __atomic_sub_fetch(count, 1, __ATOMIC_ACQ_REL) == 0;
}

static void give_back(struct vck_nt_binding *binding, PNET_BUFFER_LIST lists)
{
    if (lists)
        NdisReturnNetBufferLists(binding->handle, lists,
                                 is_at_dispatch() ? NDIS_RETURN_FLAGS_DISPATCH_LEVEL : 0);
}

/* The lists nobody has anything of any more, linked. */
static PNET_BUFFER_LIST let_go(struct vck_nt_binding *binding, struct vck_frames_received *first)
{
    PNET_BUFFER_LIST lists = NULL;
    PNET_BUFFER_LIST *end = &lists;
    struct vck_frames_received *last = first;

    for (struct vck_frames_received *frame = first; frame; frame = frame->next) {
        PNET_BUFFER_LIST list = frame->port_data[OF_LIST];

        last = frame;
        if (!let_go_of_list(list))
            continue;
        list->Next = NULL;
        *end = list;
        end = &list->Next;
    }
    if (first)
        put_places(binding, first, last);
    return lists;
}

void vck_frames_return(struct vck_frames_binding *core, struct vck_frames_received *first)
{
    struct vck_nt_binding *binding = vck_nt_binding_of(core);

    give_back(binding, let_go(binding, first));
}

/* A place for each NET_BUFFER, as far as there are places. */
static struct vck_frames_received **lend_list(struct vck_nt_binding *binding, PNET_BUFFER_LIST list,
                                              struct vck_frames_received **end)
{
    uintptr_t count = 1; /* this function's own */

    list->ProtocolReserved[OF_LIST] = NULL;
    for (PNET_BUFFER buffer = list->FirstNetBuffer; buffer; buffer = buffer->Next) {
        struct vck_frames_received *frame = take_place(binding);

        if (!frame) {
            __atomic_fetch_add(&binding->dropped, 1, __ATOMIC_RELAXED);
            continue;
        }
        *frame = (struct vck_frames_received){
            .first = (struct vck_descriptor *)(void *)buffer->CurrentMdl,
            .offset_bytes = buffer->CurrentMdlOffset,
            .size_bytes = buffer->DataLength,
            .port_data = {[OF_LIST] = list},
        };
        *end = frame;
        end = &frame->next;
        count++;
    }
    list->ProtocolReserved[OF_LIST] = (PVOID)count;
    return end;
}

/* Frames that are lent for the length of the call: their lists stay as they are. */
static void lend_shortly(struct vck_nt_binding *binding, PNET_BUFFER_LIST lists)
{
    struct vck_frames_binding *core = binding->core;

    for (; lists; lists = lists->Next) {
        struct vck_frames_received *first = NULL;

        (void)lend_list(binding, lists, &first);
        if (first)
            first = core->handlers->received(core, first, false);
        if (first) {
            struct vck_frames_received *last = first;

            while (last->next)
                last = last->next;
            put_places(binding, first, last);
        }
    }
}

/* Some of the lists: the rest. */
static PNET_BUFFER_LIST lend(struct vck_nt_binding *binding, PNET_BUFFER_LIST lists)
{
    struct vck_frames_binding *core = binding->core;
    PNET_BUFFER_LIST lent[LENT_AT_ONCE];
    PNET_BUFFER_LIST over;
    struct vck_frames_received *first = NULL;
    struct vck_frames_received **end = &first;
    size_t count = 0;

    for (; lists && count < LENT_AT_ONCE; lists = lists->Next) {
        end = lend_list(binding, lists, end);
        lent[count++] = lists;
    }
    if (first)
        first = core->handlers->received(core, first, true);
    over = let_go(binding, first);
    while (count--) {
        if (let_go_of_list(lent[count])) {
            lent[count]->Next = over;
            over = lent[count];
        }
    }
    give_back(binding, over);
    return lists;
}

VOID NTAPI vck_nt_frames_received(NDIS_HANDLE context, PNET_BUFFER_LIST lists,
                                  NDIS_PORT_NUMBER port, ULONG count, ULONG flags)
{
    struct vck_nt_binding *binding = context;

    (void)port;
    (void)count;
    if (flags & NDIS_RECEIVE_FLAGS_RESOURCES) {
        lend_shortly(binding, lists);
        return;
    }
    while (lists)
        lists = lend(binding, lists);
}

/* ---- requests ---- */

struct request {
    NDIS_OID_REQUEST ndis;
    struct vck_frames_request *core;
};

static_assert(sizeof(struct request) <= sizeof(((struct vck_frames_request *)0)->port_storage),
              "a request's storage");

static struct request *request_of(struct vck_frames_request *core)
{
    return (struct request *)(void *)core->port_storage;
}

static void finish_request(struct vck_nt_binding *binding, struct request *request,
                           NDIS_STATUS status)
{
    struct vck_frames_request *core = request->core;

    core->native_error = status;
    core->status = vck_nt_frame_status(status);
    core->done_bytes = status ? 0 : request->ndis.DATA.QUERY_INFORMATION.BytesWritten;
    core->needed_bytes = request->ndis.DATA.QUERY_INFORMATION.BytesNeeded;
    binding->core->handlers->requested(binding->core, core);
}

void vck_frames_request(struct vck_frames_binding *core, struct vck_frames_request *request)
{
    struct vck_nt_binding *binding = vck_nt_binding_of(core);
    struct request *own = request_of(request);
    NDIS_STATUS status;

    *own = (struct request){
        .core = request,
        .ndis = {.Header = {NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID_REQUEST_REVISION_1,
                            NDIS_SIZEOF_OID_REQUEST_REVISION_1},
                 .RequestType = request->type == VCK_FRAMES_SET ? NdisRequestSetInformation
                                                                : NdisRequestQueryInformation,
                 .RequestId = own},
    };
    own->ndis.DATA.QUERY_INFORMATION.Oid = request->oid;
    own->ndis.DATA.QUERY_INFORMATION.InformationBuffer = request->data;
    own->ndis.DATA.QUERY_INFORMATION.InformationBufferLength = request->size_bytes;
    status = NdisOidRequest(binding->handle, &own->ndis);
    if (status != NDIS_STATUS_PENDING)
        finish_request(binding, own, status);
}

VOID NTAPI vck_nt_frames_requested(NDIS_HANDLE context, PNDIS_OID_REQUEST request,
                                   NDIS_STATUS status)
{
    finish_request(context, VCK_CONTAINER_OF(request, struct request, ndis), status);
}

void vck_frames_cancel_request(struct vck_frames_binding *core, struct vck_frames_request *request)
{
    NdisCancelOidRequest(vck_nt_binding_of(core)->handle, request_of(request));
}

/* ---- statuses ---- */

VOID NTAPI vck_nt_frames_status(NDIS_HANDLE context, PNDIS_STATUS_INDICATION indication)
{
    struct vck_nt_binding *binding = context;
    struct vck_frames_link link = {.is_known = true};
    struct vck_frames_status status = {
        .code = (uint32_t)indication->StatusCode,
        .data = indication->StatusBuffer,
        .size_bytes = indication->StatusBuffer ? indication->StatusBufferSize : 0,
    };

    if (indication->StatusCode == NDIS_STATUS_LINK_STATE &&
        status.size_bytes >= sizeof(NDIS_LINK_STATE)) {
        const NDIS_LINK_STATE *state = indication->StatusBuffer;

        link.is_known = state->MediaConnectState != MediaConnectStateUnknown;
        link.is_up = state->MediaConnectState == MediaConnectStateConnected;
        link.bits_per_s =
            state->XmitLinkSpeed == NDIS_LINK_SPEED_UNKNOWN ? 0 : state->XmitLinkSpeed;
        status.link = &link;
    }
    binding->core->handlers->status(binding->core, &status);
}
