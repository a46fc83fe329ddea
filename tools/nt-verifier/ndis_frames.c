/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: NET_BUFFER_LISTs of drivers on their way out, and of adapters on their way in. */
#include "ndis_model.h"

enum { INDICATED_MAX = 64 };

uint32_t ndis_random(const struct ndis_adapter *adapter, uint32_t below)
{
    if (!adapter->options.shuffles)
        return 0;
    ndis_world.random = ndis_world.random * 1664525u + 1013904223u + adapter->options.shuffles;
    return (ndis_world.random >> 8) % below;
}

bool ndis_is_nth(uint64_t *count, uint32_t every)
{
    return every && ++*count % every == 0;
}

/* ---- pools ---- */

NDIS_HANDLE ndis_pool_create(void *driver, const void *caller,
                             const NET_BUFFER_LIST_POOL_PARAMETERS *parameters)
{
    ndis_platform_level(driver, DISPATCH_LEVEL, "NdisAllocateNetBufferListPool");
    if (parameters->Header.Type != NDIS_OBJECT_TYPE_DEFAULT ||
        parameters->Header.Revision != NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1 ||
        parameters->Header.Size != sizeof(*parameters) || !parameters->PoolTag)
        ndis_platform_report("ndis-pool-parameters", driver, "type %#x revision %u size %u tag %#x",
                             parameters->Header.Type, parameters->Header.Revision,
                             parameters->Header.Size, (unsigned)parameters->PoolTag);
    struct ndis_pool *pool =
        ndis_platform_fails(driver) ? NULL : ndis_platform_allocate(sizeof(*pool));
    if (!pool)
        return NULL;
    pool->driver = driver;
    pool->made_at = caller;
    pool->has_buffers = parameters->fAllocateNetBuffer && !parameters->DataSize;
    ndis_platform_lock();
    pool->next = ndis_world.pools;
    ndis_world.pools = pool;
    ndis_platform_unlock();
    return pool;
}

static struct ndis_pool **find_pool(NDIS_HANDLE handle)
{
    struct ndis_pool **place = &ndis_world.pools;
    while (*place && *place != handle)
        place = &(*place)->next;
    return *place ? place : NULL;
}

void ndis_pool_free(void *driver, NDIS_HANDLE handle)
{
    ndis_platform_level(driver, DISPATCH_LEVEL, "NdisFreeNetBufferListPool");
    ndis_platform_lock();
    struct ndis_pool **place = find_pool(handle);
    struct ndis_pool *pool = NULL;
    if (!place) {
        ndis_platform_report("ndis-pool-unknown", driver, "%p is no pool", handle);
    } else if ((*place)->lists) {
        ndis_platform_report("ndis-pool-busy", driver, "a pool is freed with %u lists of it left",
                             (*place)->lists);
    } else {
        pool = *place;
        *place = pool->next;
    }
    ndis_platform_unlock();
    ndis_platform_free(pool);
}

NET_BUFFER_LIST *ndis_list_create(void *driver, NDIS_HANDLE handle, MDL *chain, ULONG offset_bytes,
                                  SIZE_T length_bytes)
{
    ndis_platform_level(driver, DISPATCH_LEVEL, "NdisAllocateNetBufferAndNetBufferList");
    struct ndis_list *list =
        ndis_platform_fails(driver) ? NULL : ndis_platform_allocate(sizeof(*list));
    if (!list)
        return NULL;
    ndis_platform_lock();
    struct ndis_pool **place = find_pool(handle);
    struct ndis_pool *pool = place ? *place : NULL;
    if (!pool || !pool->has_buffers)
        ndis_platform_report("ndis-pool-unknown", driver,
                             "%p is no pool of lists with one buffer each", handle);
    else
        pool->lists++;
    ndis_platform_unlock();
    list->pool = pool;
    list->place = NDIS_LIST_IDLE;
    list->list.NdisPoolHandle = pool;
    list->list.FirstNetBuffer = &list->buffer;
    list->buffer.MdlChain = chain;
    list->buffer.DataOffset = offset_bytes;
    list->buffer.DataLength = (ULONG)length_bytes;
    while (chain && offset_bytes >= MmGetMdlByteCount(chain) && chain->Next) {
        offset_bytes -= MmGetMdlByteCount(chain);
        chain = chain->Next;
    }
    list->buffer.CurrentMdl = chain;
    list->buffer.CurrentMdlOffset = offset_bytes;
    return &list->list;
}

struct ndis_list *ndis_list_of(NET_BUFFER_LIST *list)
{
    return (struct ndis_list *)list;
}

void ndis_list_free(void *driver, NET_BUFFER_LIST *lists)
{
    struct ndis_list *list = ndis_list_of(lists);
    ndis_platform_level(driver, DISPATCH_LEVEL, "NdisFreeNetBufferList");
    ndis_platform_lock();
    bool is_free = list->place == NDIS_LIST_IDLE;
    if (!is_free)
        ndis_platform_report("ndis-list-freed", driver, "list %p is freed %s", (void *)list,
                             list->place == NDIS_LIST_SENT ? "while it is being sent"
                                                           : "and is none of a driver's");
    else if (list->pool)
        list->pool->lists--;
    list->place = is_free ? NDIS_GONE : list->place;
    ndis_platform_unlock();
    if (is_free)
        ndis_platform_free(list);
}

/* ---- out ---- */

static const UCHAR *address_of(const MDL *mdl)
{
    return mdl->MappedSystemVa;
}

/* Copies the frame; 0 and a report when its chain is shorter than it says, 0 when it is longer than
 * a frame may be. */
static uint32_t flatten(void *driver, const NET_BUFFER *buffer, UCHAR *ret_frame)
{
    uint32_t length = buffer->DataLength, done = 0;
    ULONG offset = buffer->CurrentMdlOffset;
    if (length > NDIS_FRAME_BYTES_MAX || length < NDIS_HEADER_BYTES)
        return 0;
    for (const MDL *mdl = buffer->CurrentMdl; mdl && done < length; mdl = mdl->Next, offset = 0) {
        uint32_t here = MmGetMdlByteCount(mdl);
        if (here <= offset)
            continue;
        here = min(here - offset, length - done);
        if (!(mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL)))
            ndis_platform_report("ndis-send-chain", driver, "a frame to send is not mapped");
        else
            RtlCopyMemory(ret_frame + done, address_of(mdl) + offset, here);
        done += here;
    }
    if (done == length)
        return length;
    ndis_platform_report("ndis-send-chain", driver, "the chain of a frame of %u bytes has %u",
                         length, done);
    return 0;
}

static NDIS_STATUS why_not_sent(const struct ndis_binding *binding)
{
    const struct ndis_adapter *adapter = binding->adapter;
    if (!adapter->is_present)
        return NDIS_STATUS_ADAPTER_REMOVED;
    if (adapter->is_low_power)
        return NDIS_STATUS_LOW_POWER_STATE;
    return binding->run == NDIS_PAUSED ? NDIS_STATUS_PAUSED : NDIS_STATUS_SUCCESS;
}

/* The frame leaves, and is back: the end of a send but for telling. */
static void finish_send(struct ndis_binding *binding, NET_BUFFER_LIST *list, NDIS_STATUS status)
{
    static UCHAR frame[NDIS_FRAME_BYTES_MAX]; /* with the lock */
    struct ndis_adapter *adapter = binding->adapter;
    if (!status)
        status = why_not_sent(binding);
    if (!status && ndis_is_nth(&adapter->sends, adapter->options.fails_send_every))
        status = NDIS_STATUS_FAILURE;
    for (NET_BUFFER *buffer = list->FirstNetBuffer; buffer && !status; buffer = buffer->Next) {
        uint32_t bytes = flatten(binding->protocol->driver, buffer, frame);
        if (bytes)
            ndis_arrive(adapter, frame, bytes);
        else
            status = NDIS_STATUS_INVALID_LENGTH;
    }
    if (status)
        adapter->counts.frames_failed++;
    else
        adapter->counts.frames_sent++;
    list->Status = status;
    list->Next = NULL;
    *binding->sent_end = list;
    binding->sent_end = &list->Next;
}

static bool take_list(void *driver, struct ndis_binding *binding, NET_BUFFER_LIST *list)
{
    struct ndis_list *own = ndis_list_of(list);
    if (own->place != NDIS_LIST_IDLE) {
        ndis_platform_report("ndis-send-twice", driver, "list %p is sent, and %s", (void *)list,
                             own->place == NDIS_LIST_SENT ? "was before" : "is freed");
        return false;
    }
    own->place = NDIS_LIST_SENT;
    binding->sends++;
    if (binding->run == NDIS_PAUSED)
        ndis_platform_report("ndis-send-paused", driver, "a frame is sent while paused");
    return true;
}

static void hold(struct ndis_binding *binding, NET_BUFFER_LIST *list)
{
    NET_BUFFER_LIST **end = &binding->held;
    while (*end)
        end = &(*end)->Next;
    list->Next = NULL;
    *end = list;
}

void ndis_send(void *driver, NDIS_HANDLE handle, NET_BUFFER_LIST *lists, ULONG flags)
{
    ndis_platform_level(driver, DISPATCH_LEVEL, "NdisSendNetBufferLists");
    ndis_platform_lock();
    struct ndis_binding *binding = ndis_binding_open(driver, handle, "NdisSendNetBufferLists");
    (void)flags;
    while (binding && lists) {
        NET_BUFFER_LIST *next = lists->Next;
        if (!take_list(driver, binding, lists))
            break;
        if (binding->adapter->options.holds_sends && !why_not_sent(binding))
            hold(binding, lists);
        else
            finish_send(binding, lists, NDIS_STATUS_SUCCESS);
        lists = next;
    }
    if (binding && binding->sent && !binding->adapter->options.sends_later)
        ndis_call_sent(binding);
    ndis_platform_changed();
    ndis_platform_unlock();
}

void ndis_cancel_sends(void *driver, NDIS_HANDLE handle, void *cancel_id)
{
    ndis_platform_level(driver, DISPATCH_LEVEL, "NdisCancelSendNetBufferLists");
    ndis_platform_lock();
    struct ndis_binding *binding =
        ndis_binding_open(driver, handle, "NdisCancelSendNetBufferLists");
    NET_BUFFER_LIST **place = binding ? &binding->held : NULL;
    while (place && *place) {
        NET_BUFFER_LIST *list = *place;
        if (list->NetBufferListInfo[NetBufferListCancelId] != cancel_id) {
            place = &list->Next;
            continue;
        }
        *place = list->Next;
        finish_send(binding, list, NDIS_STATUS_REQUEST_ABORTED);
    }
    ndis_platform_changed();
    ndis_platform_unlock();
}

void ndis_release_sends(struct ndis_binding *binding, bool is_cancelled)
{
    NET_BUFFER_LIST *list;
    while ((list = binding->held) != NULL) {
        binding->held = list->Next;
        finish_send(binding, list,
                    is_cancelled ? NDIS_STATUS_REQUEST_ABORTED : NDIS_STATUS_SUCCESS);
    }
}

/* Some of those that are over, or all; in their order, or in reverse. */
static NET_BUFFER_LIST *take_sent(struct ndis_binding *binding)
{
    NET_BUFFER_LIST *first = NULL, **end = &first;
    bool is_reversed = ndis_random(binding->adapter, 4) == 1;
    uint32_t most = 1 + ndis_random(binding->adapter, 16);
    for (uint32_t i = 0; binding->sent && (!binding->adapter->options.shuffles || i < most); i++) {
        NET_BUFFER_LIST *list = binding->sent;
        binding->sent = list->Next;
        ndis_list_of(list)->place = NDIS_LIST_IDLE;
        binding->sends--;
        list->Next = is_reversed ? first : NULL;
        if (is_reversed) {
            first = list;
        } else {
            *end = list;
            end = &list->Next;
        }
    }
    if (!binding->sent)
        binding->sent_end = &binding->sent;
    return first;
}

void ndis_call_sent(struct ndis_binding *binding)
{
    const NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *handlers = &binding->protocol->handlers;
    NDIS_HANDLE context = binding->context;
    NET_BUFFER_LIST *first = take_sent(binding);
    struct ndis_call call;
    ndis_tell_begin(binding, &call,
                    (const void *)(uintptr_t)handlers->SendNetBufferListsCompleteHandler,
                    "SendNetBufferListsCompleteHandler");
    handlers->SendNetBufferListsCompleteHandler(context, first,
                                                NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL);
    ndis_tell_end(binding, &call);
}

/* ---- in ---- */

/* The type in network order, as in the array of an open. */
static bool wants_type(const struct ndis_binding *binding, const UCHAR *frame)
{
    NET_FRAME_TYPE type = (NET_FRAME_TYPE)(frame[12] | frame[13] << 8);
    for (uint32_t i = 0; i < binding->frame_type_count; i++) {
        if (binding->frame_types[i] == type)
            return true;
    }
    return !binding->frame_type_count;
}

static bool wants(const struct ndis_binding *binding, const UCHAR *frame)
{
    static const UCHAR broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint32_t filter = NDIS_PACKET_TYPE_PROMISCUOUS;
    if (!memcmp(frame, broadcast, 6))
        filter |= NDIS_PACKET_TYPE_BROADCAST;
    else if (frame[0] & 1)
        filter |= NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_ALL_MULTICAST;
    else if (!memcmp(frame, binding->adapter->mac, 6))
        filter |= NDIS_PACKET_TYPE_DIRECTED;
    return binding->opening == NDIS_OPEN && (binding->packet_filter & filter) &&
           wants_type(binding, frame);
}

static void describe(struct ndis_piece *piece, UCHAR *address, uint32_t bytes,
                     struct ndis_piece *next)
{
    MDL *mdl = &piece->mdl;
    mdl->Next = next ? &next->mdl : NULL;
    mdl->Size = sizeof(*piece);
    mdl->MdlFlags = MDL_SOURCE_IS_NONPAGED_POOL;
    mdl->MappedSystemVa = address;
    mdl->StartVa = (PVOID)((uintptr_t)address & ~(uintptr_t)(PAGE_SIZE - 1));
    mdl->ByteOffset = (ULONG)((uintptr_t)address & (PAGE_SIZE - 1));
    mdl->ByteCount = bytes;
    for (uint32_t i = 0; i < NDIS_PIECE_PAGES; i++)
        piece->pages[i] = (uintptr_t)mdl->StartVa / PAGE_SIZE + i;
}

/* In one piece, or in pieces: something is before the frame, one is empty, the last not mapped. */
static void lay_out(struct ndis_packet *packet, const UCHAR *frame, uint32_t bytes, bool splits)
{
    struct ndis_piece *pieces = packet->pieces;
    uint32_t front = splits ? 1 + bytes % NDIS_HEADER_BYTES : 0;
    uint32_t first = splits ? 1 + bytes % 13 : bytes, third = (bytes - first) / 3;
    UCHAR *rest = packet->data + front + first;
    NET_BUFFER *buffer = &packet->buffer;
    RtlCopyMemory(packet->data + front, frame, bytes);
    packet->list.FirstNetBuffer = buffer;
    buffer->MdlChain = buffer->CurrentMdl = &pieces[0].mdl;
    buffer->DataOffset = buffer->CurrentMdlOffset = front;
    buffer->DataLength = bytes;
    describe(&pieces[0], packet->data, front + first, splits ? &pieces[1] : NULL);
    describe(&pieces[1], rest, 0, &pieces[2]);
    describe(&pieces[2], rest, third, &pieces[3]);
    describe(&pieces[3], rest + third, bytes - first - third, NULL);
    pieces[3].mdl.MdlFlags = MDL_PAGES_LOCKED;
    pieces[3].mdl.MappedSystemVa = NULL;
}

static void arrive_at(struct ndis_binding *binding, const UCHAR *frame, uint32_t bytes)
{
    struct ndis_adapter *adapter = binding->adapter;
    struct ndis_packet *packet = NULL;
    bool has_room = binding->run == NDIS_RUNNING &&
                    binding->arrived_count + binding->receives < adapter->options.receive_limit;
    if (has_room && !ndis_is_nth(&adapter->frames, adapter->options.drops_every))
        packet = ndis_platform_allocate(sizeof(*packet));
    if (!packet) {
        adapter->counts.frames_lost++;
        return;
    }
    lay_out(packet, frame, bytes, adapter->options.splits != 0);
    packet->place = NDIS_PACKET_HOME;
    *binding->arrived_end = packet;
    binding->arrived_end = &packet->next;
    binding->arrived_count++;
}

void ndis_arrive(struct ndis_adapter *adapter, const UCHAR *frame, uint32_t bytes)
{
    for (size_t i = 0; i < NDIS_PROTOCOLS; i++) {
        const struct ndis_protocol *protocol = ndis_world.protocols[i];
        struct ndis_binding *binding = protocol ? protocol->bindings[adapter->number] : NULL;
        if (binding && wants(binding, frame))
            arrive_at(binding, frame, bytes);
    }
    ndis_platform_changed();
}

void ndis_packet_free(struct ndis_packet *packet)
{
    packet->place = NDIS_GONE;
    memset(packet->data, 0xdd, sizeof(packet->data));
    packet->next = NULL;
    if (!ndis_world.quarantine)
        ndis_world.quarantine_end = &ndis_world.quarantine;
    *ndis_world.quarantine_end = packet;
    ndis_world.quarantine_end = &packet->next;
    ndis_world.quarantined++;
    while (ndis_world.quarantined > ndis_platform_quarantine()) {
        struct ndis_packet *oldest = ndis_world.quarantine;
        ndis_world.quarantine = oldest->next;
        ndis_world.quarantined--;
        ndis_platform_free(oldest);
    }
}

void ndis_forget_arrived(struct ndis_binding *binding)
{
    struct ndis_packet *packet;
    while ((packet = binding->arrived) != NULL) {
        binding->arrived = packet->next;
        binding->adapter->counts.frames_lost++;
        ndis_platform_free(packet);
    }
    binding->arrived_end = &binding->arrived;
    binding->arrived_count = 0;
}

static struct ndis_packet *take_arrived(struct ndis_binding *binding, bool is_short,
                                        uint32_t *ret_count)
{
    struct ndis_packet *first = binding->arrived;
    uint32_t most = ndis_random(binding->adapter, INDICATED_MAX), count = 0;
    for (struct ndis_packet *packet = first; packet; packet = packet->next) {
        packet->place = NDIS_PACKET_LENT;
        packet->is_short = is_short;
        count++;
        binding->arrived = packet->next;
        if (count == (most ? most : INDICATED_MAX))
            packet->next = NULL;
        packet->list.Next = packet->next ? &packet->next->list : NULL;
    }
    if (!binding->arrived)
        binding->arrived_end = &binding->arrived;
    binding->arrived_count -= count;
    binding->receives += count;
    *ret_count = count;
    return first;
}

/* What was lent for the call is the adapter's again, as it was. */
static void take_back(struct ndis_binding *binding, struct ndis_packet *packet)
{
    const void *handler =
        (const void *)(uintptr_t)binding->protocol->handlers.ReceiveNetBufferListsHandler;
    while (packet) {
        struct ndis_packet *next = packet->next;
        if (packet->list.Next != (next ? &next->list : NULL))
            ndis_platform_report_of("ndis-receive-short", binding->protocol->driver, handler,
                                    "a chain of frames lent for a call was changed");
        binding->receives--;
        ndis_packet_free(packet);
        packet = next;
    }
}

void ndis_call_received(struct ndis_binding *binding)
{
    struct ndis_adapter *adapter = binding->adapter;
    const NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *handlers = &binding->protocol->handlers;
    NDIS_HANDLE context = binding->context;
    bool is_short = ndis_is_nth(&adapter->indications, adapter->options.lends_short_every);
    ULONG flags = NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL;
    uint32_t count;
    struct ndis_packet *first = take_arrived(binding, is_short, &count);
    struct ndis_call call;
    if (is_short)
        flags |= NDIS_RECEIVE_FLAGS_RESOURCES;
    adapter->counts.frames_received += count;
    binding->is_indicating = true;
    binding->indicated = count;
    binding->calls++;
    ndis_tell_begin(binding, &call, (const void *)(uintptr_t)handlers->ReceiveNetBufferListsHandler,
                    "ReceiveNetBufferListsHandler");
    handlers->ReceiveNetBufferListsHandler(context, &first->list, 0, count, flags);
    ndis_tell_end(binding, &call);
    binding->calls--;
    binding->is_indicating = false;
    if (is_short)
        take_back(binding, first);
    ndis_forget_binding(binding);
}

void ndis_return(void *driver, NDIS_HANDLE handle, NET_BUFFER_LIST *lists)
{
    ndis_platform_level(driver, DISPATCH_LEVEL, "NdisReturnNetBufferLists");
    ndis_platform_lock();
    struct ndis_binding *binding = ndis_binding_open(driver, handle, "NdisReturnNetBufferLists");
    while (binding && lists) {
        struct ndis_packet *packet = (struct ndis_packet *)lists;
        lists = lists->Next;
        if (packet->place != NDIS_PACKET_LENT || packet->is_short) {
            ndis_platform_report("ndis-return", driver, "a frame is returned that %s",
                                 packet->place != NDIS_PACKET_LENT ? "is the adapter's already"
                                                                   : "was lent for a call only");
            break;
        }
        binding->receives--;
        ndis_packet_free(packet);
    }
    ndis_platform_changed();
    ndis_platform_unlock();
}
