/* SPDX-License-Identifier: Apache-2.0 */
/* A protocol over the verifier's adapters: used as it should be, and not. */
#include "port/nt/ndis.h"
#include "selftest.h"

enum { FRAME_BYTES = 64, FRAMES = 200, WAIT_MS = 60000 };

/* How the protocol misbehaves; zeroed by begin. */
static struct {
    USHORT adapter; /* which it binds to */
    bool pends_bind;
    bool sends_in_bind;
    bool answers_pause;  /* within the handler */
    bool answers_unbind; /* within the handler, with the adapter open */
    bool keeps_frame;    /* the next that is received */
    bool frees_frame;    /* as if it were its own */
    bool links_frame;    /* of those lent for the length of the call */
    bool returns_short;  /* such one, too */
} mode;

static NDIS_HANDLE protocol, binding, bind_under_way, pool;
static volatile LONG is_running, is_closed, sent, received, told, requested;
static PNET_BUFFER_LIST volatile kept;
static NDIS_MEDIUM medium = NdisMedium802_3;
static ULONG medium_index;
static UCHAR mac[6];
static MDL *mdl;
static UCHAR *frame;

static void wait_for(volatile LONG *value, LONG least)
{
    for (LONG i = 0; i < WAIT_MS && *value < least; i++)
        selftest_sleep_ms(1);
    selftest_expect(*value >= least, "something that has to come does not");
}

/* ---- frames ---- */

static NDIS_HANDLE make_pool(UCHAR type)
{
    NET_BUFFER_LIST_POOL_PARAMETERS parameters = {
        .Header = {type, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1, sizeof(parameters)},
        .fAllocateNetBuffer = TRUE,
        .PoolTag = SELFTEST_TAG,
    };
    return NdisAllocateNetBufferListPool(protocol, &parameters);
}

static PNET_BUFFER_LIST make_list(ULONG bytes)
{
    return NdisAllocateNetBufferAndNetBufferList(pool, 0, 0, mdl, 0, bytes);
}

static void send_one(void)
{
    PNET_BUFFER_LIST list = make_list(FRAME_BYTES);
    list->SourceHandle = binding;
    NdisSendNetBufferLists(binding, list, 0, 0);
}

/* A frame to the adapter's own address. */
static void make_frame(void)
{
    frame = ExAllocatePoolWithTag(NonPagedPool, FRAME_BYTES, SELFTEST_TAG);
    RtlFillMemory(frame, FRAME_BYTES, 0x5a);
    RtlCopyMemory(frame, mac, sizeof(mac));
    mdl = IoAllocateMdl(frame, FRAME_BYTES, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(mdl);
}

static NDIS_STATUS request(ULONG type, NDIS_OID oid, void *data, ULONG bytes)
{
    static NDIS_OID_REQUEST own; /* one at a time */
    LONG before = requested;
    own = (NDIS_OID_REQUEST){.Header = {NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID_REQUEST_REVISION_1,
                                        NDIS_SIZEOF_OID_REQUEST_REVISION_1},
                             .RequestType = type};
    own.DATA.QUERY_INFORMATION.Oid = oid;
    own.DATA.QUERY_INFORMATION.InformationBuffer = data;
    own.DATA.QUERY_INFORMATION.InformationBufferLength = bytes;
    NDIS_STATUS status = NdisOidRequest(binding, &own);
    if (status == NDIS_STATUS_PENDING) {
        wait_for(&requested, before + 1);
        status = NDIS_STATUS_SUCCESS;
    }
    return status;
}

/* ---- handlers ---- */

static NDIS_STATUS open_adapter(PNDIS_STRING name)
{
    NDIS_OPEN_PARAMETERS parameters = {
        .Header = {NDIS_OBJECT_TYPE_OPEN_PARAMETERS, NDIS_OPEN_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1},
        .AdapterName = name,
        .MediumArray = &medium,
        .MediumArraySize = 1,
        .SelectedMediumIndex = &medium_index,
    };
    return NdisOpenAdapterEx(protocol, &mode, &parameters, bind_under_way, &binding);
}

static NDIS_STATUS NTAPI bind_adapter(NDIS_HANDLE context, NDIS_HANDLE bind_context,
                                      PNDIS_BIND_PARAMETERS parameters)
{
    (void)context;
    /* The number is before the brace that ends the name. */
    if (parameters->AdapterName->Buffer[parameters->AdapterName->Length / 2 - 2] !=
        '0' + mode.adapter)
        return NDIS_STATUS_FAILURE;
    RtlCopyMemory(mac, parameters->CurrentMacAddress, sizeof(mac));
    bind_under_way = bind_context;
    if (mode.pends_bind) {
        InterlockedIncrement(&is_running);
        return NDIS_STATUS_PENDING;
    }
    while (!protocol)
        selftest_sleep_ms(1);
    NDIS_STATUS status = open_adapter(parameters->AdapterName);
    if (!status && mode.sends_in_bind) {
        make_frame();
        pool = make_pool(NDIS_OBJECT_TYPE_DEFAULT);
        send_one();
    }
    return status;
}

static VOID NTAPI opened(NDIS_HANDLE context, NDIS_STATUS status)
{
    (void)context;
    NdisCompleteBindAdapterEx(bind_under_way, status);
}

static VOID NTAPI closed(NDIS_HANDLE context)
{
    (void)context;
    InterlockedIncrement(&is_closed);
}

static void return_kept(void)
{
    PNET_BUFFER_LIST frames = InterlockedExchangePointer((PVOID volatile *)&kept, NULL);
    if (frames)
        NdisReturnNetBufferLists(binding, frames, 0);
}

static NDIS_STATUS NTAPI unbind(NDIS_HANDLE unbind_context, NDIS_HANDLE context)
{
    (void)context;
    if (mode.answers_unbind) {
        NdisCompleteUnbindAdapterEx(unbind_context);
        return NDIS_STATUS_PENDING;
    }
    return_kept();
    if (!is_closed && NdisCloseAdapterEx(binding) == NDIS_STATUS_PENDING)
        wait_for(&is_closed, 1);
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS NTAPI event(NDIS_HANDLE context, PNET_PNP_EVENT_NOTIFICATION notification)
{
    if (context && notification->NetPnPEvent.NetEvent == NetEventRestart)
        InterlockedIncrement(&is_running);
    if (!context || notification->NetPnPEvent.NetEvent != NetEventPause || !mode.answers_pause)
        return NDIS_STATUS_SUCCESS;
    NdisCompleteNetPnPEvent(binding, notification, NDIS_STATUS_SUCCESS);
    return NDIS_STATUS_PENDING;
}

static VOID NTAPI request_complete(NDIS_HANDLE context, PNDIS_OID_REQUEST done, NDIS_STATUS status)
{
    (void)context;
    (void)done;
    (void)status;
    InterlockedIncrement(&requested);
}

static VOID NTAPI status_is(NDIS_HANDLE context, PNDIS_STATUS_INDICATION indication)
{
    (void)context;
    (void)indication;
    InterlockedIncrement(&told);
}

static VOID NTAPI receive(NDIS_HANDLE context, PNET_BUFFER_LIST lists, NDIS_PORT_NUMBER port,
                          ULONG count, ULONG flags)
{
    (void)context;
    (void)port;
    if (mode.frees_frame)
        NdisFreeNetBufferList(lists);
    mode.frees_frame = false;
    if (flags & NDIS_RECEIVE_FLAGS_RESOURCES) {
        if (mode.returns_short)
            NdisReturnNetBufferLists(binding, lists, 0);
        while (mode.links_frame && lists->Next)
            lists = lists->Next;
        if (mode.links_frame)
            lists->Next = lists;
        mode.links_frame = mode.returns_short = false;
    } else if (mode.keeps_frame && !kept) {
        kept = lists;
        if (lists->Next)
            NdisReturnNetBufferLists(binding, lists->Next, 0);
        lists->Next = NULL;
    } else {
        NdisReturnNetBufferLists(binding, lists, 0);
    }
    /* Whoever waits for them goes on once this is done. */
    InterlockedExchangeAdd(&received, (LONG)count);
}

static VOID NTAPI send_complete(NDIS_HANDLE context, PNET_BUFFER_LIST lists, ULONG flags)
{
    (void)context;
    (void)flags;
    while (lists) {
        PNET_BUFFER_LIST next = lists->Next;
        NdisFreeNetBufferList(lists);
        InterlockedIncrement(&sent);
        lists = next;
    }
}

/* ---- up and down ---- */

static NDIS_PROTOCOL_DRIVER_CHARACTERISTICS handlers(void)
{
    static WCHAR name[] = L"SELFTEST";
    return (NDIS_PROTOCOL_DRIVER_CHARACTERISTICS){
        .Header = {NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS,
                   NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2,
                   sizeof(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS)},
        .MajorNdisVersion = 6,
        .MinorNdisVersion = 20,
        .Name = {sizeof(name) - sizeof(WCHAR), sizeof(name), name},
        .BindAdapterHandlerEx = bind_adapter,
        .UnbindAdapterHandlerEx = unbind,
        .OpenAdapterCompleteHandlerEx = opened,
        .CloseAdapterCompleteHandlerEx = closed,
        .NetPnPEventHandler = event,
        .OidRequestCompleteHandler = request_complete,
        .StatusHandlerEx = status_is,
        .ReceiveNetBufferListsHandler = receive,
        .SendNetBufferListsCompleteHandler = send_complete,
    };
}

static void begin(void)
{
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS own = handlers();
    protocol = binding = pool = NULL;
    kept = NULL;
    is_running = is_closed = sent = received = told = requested = 0;
    NDIS_STATUS status = NdisRegisterProtocolDriver(NULL, &own, &protocol);
    selftest_expect(status == NDIS_STATUS_SUCCESS, "a protocol cannot be registered");
    wait_for(&is_running, 1);
    selftest_sleep_ms(10);
}

/* Frames flow. */
static void begin_traffic(void)
{
    ULONG filter = NDIS_PACKET_TYPE_DIRECTED;
    begin();
    pool = make_pool(NDIS_OBJECT_TYPE_DEFAULT);
    make_frame();
    selftest_expect(
        !request(NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &filter, sizeof(filter)),
        "the packet filter cannot be set");
}

static void end(void)
{
    NdisDeregisterProtocolDriver(protocol);
    if (pool)
        NdisFreeNetBufferListPool(pool);
    if (mdl)
        IoFreeMdl(mdl);
    if (frame)
        ExFreePoolWithTag(frame, SELFTEST_TAG);
    mdl = NULL;
    frame = NULL;
    RtlZeroMemory(&mode, sizeof(mode));
}

static void receive_some(LONG count)
{
    for (LONG i = 0; i < count; i++)
        send_one();
    wait_for(&sent, count);
    wait_for(&received, count);
}

static void receive_another(void)
{
    LONG count = sent + 1;
    LONG received_count = received + 1;
    send_one();
    wait_for(&sent, count);
    wait_for(&received, received_count);
}

/* ---- as it should be ---- */

static void use_adapter(USHORT adapter)
{
    UCHAR address[6] = {0};
    mode.adapter = adapter;
    begin_traffic();
    receive_some(FRAMES);
    selftest_expect(sent == FRAMES && received == FRAMES, "frames were lost");
    selftest_expect(!request(NdisRequestQueryInformation, OID_802_3_CURRENT_ADDRESS, address,
                             sizeof(address)) &&
                        !memcmp(address, mac, sizeof(mac)),
                    "the adapter's address is another one");
    end();
}

static void use_first(void)
{
    use_adapter(0);
}

static void use_second(void)
{
    use_adapter(1);
}

/* ---- protocols and binds ---- */

static void register_badly(void)
{
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS own = handlers();
    own.ReceiveNetBufferListsHandler = NULL;
    selftest_expect(NdisRegisterProtocolDriver(NULL, &own, &protocol) ==
                        NDIS_STATUS_BAD_CHARACTERISTICS,
                    "bad characteristics were accepted");
}

static void deregister_twice(void)
{
    begin();
    end();
    NdisDeregisterProtocolDriver(protocol);
}

static void open_another(void)
{
    NDIS_STRING name = {0};
    mode.pends_bind = true;
    begin();
    selftest_expect(open_adapter(&name) != NDIS_STATUS_SUCCESS, "another adapter was opened");
    NdisCompleteBindAdapterEx(bind_under_way, NDIS_STATUS_FAILURE);
    end();
}

static void answer_unopened(void)
{
    mode.pends_bind = true;
    begin();
    NdisCompleteBindAdapterEx(bind_under_way, NDIS_STATUS_SUCCESS);
    end();
}

static void answer_again(void)
{
    begin();
    NdisCompleteBindAdapterEx(bind_under_way, NDIS_STATUS_SUCCESS);
    end();
}

static void answer_unbind_open(void)
{
    mode.answers_unbind = true;
    begin();
    end();
}

static void answer_no_event(void)
{
    static NET_PNP_EVENT_NOTIFICATION none;
    begin();
    NdisCompleteNetPnPEvent(binding, &none, NDIS_STATUS_SUCCESS);
    end();
}

static void close_with_frame(void)
{
    mode.keeps_frame = true;
    begin_traffic();
    receive_some(1);
    if (NdisCloseAdapterEx(binding) == NDIS_STATUS_PENDING) {
        return_kept();
        wait_for(&is_closed, 1);
    }
    end();
}

static void pause_with_frame(void)
{
    mode.keeps_frame = mode.answers_pause = true;
    begin_traffic();
    receive_some(1);
    end();
}

static void leave_registered(void)
{
    begin();
}

/* ---- pools and lists ---- */

static void pool_of_another_type(void)
{
    begin();
    pool = make_pool(NDIS_OBJECT_TYPE_OID_REQUEST);
    end();
}

static void free_pool_twice(void)
{
    begin();
    NDIS_HANDLE other = make_pool(NDIS_OBJECT_TYPE_DEFAULT);
    NdisFreeNetBufferListPool(other);
    NdisFreeNetBufferListPool(other);
    end();
}

static void free_pool_busy(void)
{
    begin_traffic();
    PNET_BUFFER_LIST list = make_list(FRAME_BYTES);
    NdisFreeNetBufferListPool(pool);
    NdisFreeNetBufferList(list);
    end();
}

static void leave_pool(void)
{
    begin();
    (void)make_pool(NDIS_OBJECT_TYPE_DEFAULT);
    end();
}

static void free_received(void)
{
    mode.frees_frame = true;
    begin_traffic();
    receive_some(1);
    end();
}

/* ---- sending, receiving, asking ---- */

static void send_more_than_there_is(void)
{
    begin_traffic();
    NdisSendNetBufferLists(binding, make_list(FRAME_BYTES + 1), 0, 0);
    wait_for(&sent, 1);
    end();
}

static void send_twice(void)
{
    begin_traffic();
    PNET_BUFFER_LIST list = make_list(FRAME_BYTES);
    list->Next = list;
    NdisSendNetBufferLists(binding, list, 0, 0);
    wait_for(&sent, 1);
    end();
}

static void send_paused(void)
{
    mode.sends_in_bind = true;
    begin();
    end();
}

static void send_nowhere(void)
{
    NdisSendNetBufferLists(&mode, NULL, 0, 0);
}

static void return_twice(void)
{
    mode.keeps_frame = true;
    begin_traffic();
    receive_some(1);
    PNET_BUFFER_LIST frames = kept;
    return_kept();
    NdisReturnNetBufferLists(binding, frames, 0);
    end();
}

static void return_lent(void)
{
    mode.adapter = 1;
    mode.returns_short = true;
    begin_traffic();
    while (mode.returns_short)
        receive_another();
    end();
}

static void relink_lent(void)
{
    mode.adapter = 1;
    mode.links_frame = true;
    begin_traffic();
    while (mode.links_frame)
        receive_another();
    end();
}

static void ask_badly(void)
{
    static NDIS_OID_REQUEST own;
    begin();
    NdisOidRequest(binding, &own);
    end();
}

static const struct sin list[] = {
    {"use-ndis", use_first, SIN_NOW, ""},
    {"use-ndis-later", use_second, SIN_NOW, ""},
    {"ndis-register-badly", register_badly, SIN_NOW, "ndis-characteristics"},
    {"ndis-deregister-twice", deregister_twice, SIN_NOW, "ndis-protocol-unknown"},
    {"ndis-open-another", open_another, SIN_NOW, "ndis-open"},
    {"ndis-answer-unopened", answer_unopened, SIN_NOW, "ndis-bind-answer"},
    {"ndis-answer-again", answer_again, SIN_NOW, "ndis-bind-unknown"},
    {"ndis-answer-unbind-open", answer_unbind_open, SIN_NOW, "ndis-unbind-answer"},
    {"ndis-answer-no-event", answer_no_event, SIN_NOW, "ndis-event-unknown"},
    {"ndis-close-with-frame", close_with_frame, SIN_NOW, "ndis-close-outstanding"},
    {"ndis-pause-with-frame", pause_with_frame, SIN_NOW, "ndis-pause-outstanding"},
    {"ndis-leave-registered", leave_registered, SIN_AT_UNLOAD, "ndis-protocol-left"},
    {"ndis-pool-of-another-type", pool_of_another_type, SIN_NOW, "ndis-pool-parameters"},
    {"ndis-free-pool-twice", free_pool_twice, SIN_NOW, "ndis-pool-unknown"},
    {"ndis-free-pool-busy", free_pool_busy, SIN_NOW, "ndis-pool-busy"},
    {"ndis-leave-pool", leave_pool, SIN_AT_UNLOAD, "ndis-pool-leak"},
    {"ndis-free-received", free_received, SIN_NOW, "ndis-list-freed"},
    {"ndis-send-more", send_more_than_there_is, SIN_NOW, "ndis-send-chain"},
    {"ndis-send-twice", send_twice, SIN_NOW, "ndis-send-twice"},
    {"ndis-send-paused", send_paused, SIN_NOW, "ndis-send-paused"},
    {"ndis-send-nowhere", send_nowhere, SIN_NOW, "ndis-binding-not-open"},
    {"ndis-return-twice", return_twice, SIN_NOW, "ndis-return"},
    {"ndis-return-lent", return_lent, SIN_NOW, "ndis-return"},
    {"ndis-relink-lent", relink_lent, SIN_NOW, "ndis-receive-short"},
    {"ndis-ask-badly", ask_badly, SIN_NOW, "ndis-request"},
};
const struct sins ndis_sins = {list, sizeof(list) / sizeof(list[0])};
