/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to adapters, and the tests' control of them. */
#include "ndis_model.h"

enum { VALUE_BYTES = 160, STATISTICS_BYTES = 152, OUT_FRAMES_AT = 64, IN_FRAMES_AT = 32 };

/* What a request is while it is outstanding; in its NdisReserved. */
struct state {
    NDIS_OID_REQUEST *next;
    NDIS_STATUS status;
};

static struct state *state_of(NDIS_OID_REQUEST *request)
{
    return (struct state *)(void *)request->NdisReserved;
}

/* ---- what adapters know ---- */

static uint32_t put(UCHAR *value, const void *from, uint32_t bytes)
{
    RtlCopyMemory(value, from, bytes);
    return bytes;
}

static uint32_t put_u32(UCHAR *value, uint32_t number)
{
    return put(value, &number, sizeof(number));
}

static uint32_t put_link(const struct ndis_adapter *adapter, UCHAR *value)
{
    const NDIS_LINK_STATE link = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, 1, sizeof(link)},
        .MediaConnectState =
            adapter->is_up ? MediaConnectStateConnected : MediaConnectStateDisconnected,
        .XmitLinkSpeed = 1000000000,
        .RcvLinkSpeed = 1000000000,
    };
    return put(value, &link, sizeof(link));
}

static uint32_t put_statistics(const struct ndis_adapter *adapter, UCHAR *value)
{
    const NDIS_OBJECT_HEADER header = {NDIS_OBJECT_TYPE_DEFAULT, 1, STATISTICS_BYTES};
    memset(value, 0, STATISTICS_BYTES);
    (void)put(value, &header, sizeof(header));
    (void)put(value + OUT_FRAMES_AT, &adapter->counts.frames_sent, 8);
    (void)put(value + IN_FRAMES_AT, &adapter->counts.frames_received, 8);
    return STATISTICS_BYTES;
}

/* The value's size, 0: the number is unknown. */
static uint32_t look_up(const struct ndis_binding *binding, NDIS_OID oid, UCHAR *ret_value)
{
    static const char vendor[] = "Made-up adapter";
    const struct ndis_adapter *adapter = binding->adapter;
    switch (oid) {
    case OID_802_3_CURRENT_ADDRESS:
    case OID_802_3_PERMANENT_ADDRESS:
        return put(ret_value, adapter->mac, sizeof(adapter->mac));
    case OID_GEN_MAXIMUM_FRAME_SIZE:
    case OID_GEN_CURRENT_LOOKAHEAD:
        return put_u32(ret_value, NDIS_FRAME_BYTES_MAX - NDIS_HEADER_BYTES);
    case OID_GEN_LINK_SPEED:
        return put_u32(ret_value, 10000000);
    case OID_GEN_MEDIA_IN_USE:
        return put_u32(ret_value, NdisMedium802_3);
    case OID_GEN_MEDIA_CONNECT_STATUS:
        return put_u32(ret_value, !adapter->is_up);
    case OID_GEN_CURRENT_PACKET_FILTER:
        return put_u32(ret_value, binding->packet_filter);
    case OID_GEN_VENDOR_DESCRIPTION:
        return put(ret_value, vendor, sizeof(vendor));
    case OID_GEN_XMIT_OK:
        return put(ret_value, &adapter->counts.frames_sent, 8);
    case OID_GEN_RCV_OK:
        return put(ret_value, &adapter->counts.frames_received, 8);
    case OID_GEN_LINK_STATE:
        return put_link(adapter, ret_value);
    case OID_GEN_STATISTICS:
        return put_statistics(adapter, ret_value);
    default:
        return 0;
    }
}

static NDIS_STATUS query(const struct ndis_binding *binding, NDIS_OID_REQUEST *request)
{
    UCHAR value[VALUE_BYTES];
    uint32_t bytes = look_up(binding, request->DATA.QUERY_INFORMATION.Oid, value);
    if (!bytes)
        return NDIS_STATUS_NOT_SUPPORTED;
    request->DATA.QUERY_INFORMATION.BytesNeeded = bytes;
    if (request->DATA.QUERY_INFORMATION.InformationBufferLength < bytes)
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    RtlCopyMemory(request->DATA.QUERY_INFORMATION.InformationBuffer, value, bytes);
    request->DATA.QUERY_INFORMATION.BytesWritten = bytes;
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS set(struct ndis_binding *binding, NDIS_OID_REQUEST *request)
{
    const uint32_t known = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST |
                           NDIS_PACKET_TYPE_ALL_MULTICAST | NDIS_PACKET_TYPE_BROADCAST |
                           NDIS_PACKET_TYPE_PROMISCUOUS;
    uint32_t filter, length = request->DATA.SET_INFORMATION.InformationBufferLength;
    switch (request->DATA.SET_INFORMATION.Oid) {
    case OID_GEN_CURRENT_PACKET_FILTER:
        request->DATA.SET_INFORMATION.BytesNeeded = sizeof(filter);
        if (length != sizeof(filter))
            return NDIS_STATUS_INVALID_LENGTH;
        RtlCopyMemory(&filter, request->DATA.SET_INFORMATION.InformationBuffer, sizeof(filter));
        if (filter & ~known)
            return NDIS_STATUS_NOT_SUPPORTED;
        binding->packet_filter = binding->adapter->counts.packet_filter = filter;
        break;
    case OID_GEN_CURRENT_LOOKAHEAD:
        if (length != sizeof(ULONG))
            return NDIS_STATUS_INVALID_LENGTH;
        break;
    case OID_802_3_MULTICAST_LIST:
        if (length % 6)
            return NDIS_STATUS_INVALID_LENGTH;
        break;
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    request->DATA.SET_INFORMATION.BytesRead = length;
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS perform(struct ndis_binding *binding, NDIS_OID_REQUEST *request)
{
    struct ndis_adapter *adapter = binding->adapter;
    adapter->counts.requests_done++;
    if (!adapter->is_present)
        return NDIS_STATUS_ADAPTER_REMOVED;
    if (adapter->is_low_power)
        return NDIS_STATUS_LOW_POWER_STATE;
    if (ndis_is_nth(&adapter->requests, adapter->options.fails_request_every))
        return NDIS_STATUS_FAILURE;
    if (request->RequestType == NdisRequestSetInformation)
        return set(binding, request);
    return query(binding, request);
}

/* ---- their way ---- */

static bool is_outstanding(const struct ndis_binding *binding, NDIS_OID_REQUEST *request)
{
    NDIS_OID_REQUEST *lists[] = {binding->held_requests, binding->done_requests};
    for (size_t i = 0; i < 2; i++) {
        for (NDIS_OID_REQUEST *other = lists[i]; other; other = state_of(other)->next) {
            if (other == request)
                return true;
        }
    }
    return false;
}

static void append(NDIS_OID_REQUEST **list, NDIS_OID_REQUEST *request, NDIS_STATUS status)
{
    *state_of(request) = (struct state){.status = status};
    while (*list)
        list = &state_of(*list)->next;
    *list = request;
}

static const char *fault_in_request(const struct ndis_binding *binding, NDIS_OID_REQUEST *request)
{
    if (request->Header.Type != NDIS_OBJECT_TYPE_OID_REQUEST ||
        request->Header.Revision != NDIS_OID_REQUEST_REVISION_1 ||
        request->Header.Size < NDIS_SIZEOF_OID_REQUEST_REVISION_1)
        return "its header is wrong";
    if (request->RequestType > NdisRequestQueryStatistics)
        return "its type is none of a protocol's";
    if (is_outstanding(binding, request))
        return "it is outstanding already";
    if (request->DATA.QUERY_INFORMATION.InformationBufferLength &&
        !request->DATA.QUERY_INFORMATION.InformationBuffer)
        return "it has a length without a buffer";
    return NULL;
}

static NDIS_STATUS begin_request(struct ndis_binding *binding, NDIS_OID_REQUEST *request)
{
    const struct ndis_options *options = &binding->adapter->options;
    if (options->holds_requests) {
        append(&binding->held_requests, request, NDIS_STATUS_PENDING);
    } else {
        NDIS_STATUS status = perform(binding, request);
        if (!options->requests_later)
            return status;
        append(&binding->done_requests, request, status);
    }
    binding->requests++;
    ndis_platform_changed();
    return NDIS_STATUS_PENDING;
}

NDIS_STATUS ndis_request(void *driver, NDIS_HANDLE handle, NDIS_OID_REQUEST *request)
{
    NDIS_STATUS status = NDIS_STATUS_INVALID_PARAMETER;
    ndis_platform_level(driver, DISPATCH_LEVEL, "NdisOidRequest");
    bool fails = ndis_platform_fails(driver);
    ndis_platform_lock();
    struct ndis_binding *binding = ndis_binding_open(driver, handle, "NdisOidRequest");
    const char *fault = binding ? fault_in_request(binding, request) : NULL;
    if (fault)
        ndis_platform_report("ndis-request", driver, "NdisOidRequest: %s", fault);
    else if (binding && fails)
        status = NDIS_STATUS_RESOURCES;
    else if (binding)
        status = begin_request(binding, request);
    ndis_platform_unlock();
    return status;
}

void ndis_cancel_request(void *driver, NDIS_HANDLE handle, void *request_id)
{
    ndis_platform_level(driver, DISPATCH_LEVEL, "NdisCancelOidRequest");
    ndis_platform_lock();
    struct ndis_binding *binding = ndis_binding_open(driver, handle, "NdisCancelOidRequest");
    NDIS_OID_REQUEST **place = binding ? &binding->held_requests : NULL;
    while (place && *place) {
        NDIS_OID_REQUEST *request = *place;
        if (request->RequestId != request_id) {
            place = &state_of(request)->next;
            continue;
        }
        *place = state_of(request)->next;
        append(&binding->done_requests, request, NDIS_STATUS_REQUEST_ABORTED);
    }
    ndis_platform_changed();
    ndis_platform_unlock();
}

void ndis_release_requests(struct ndis_binding *binding, bool is_cancelled)
{
    NDIS_OID_REQUEST *request;
    while ((request = binding->held_requests) != NULL) {
        binding->held_requests = state_of(request)->next;
        append(&binding->done_requests, request,
               is_cancelled ? NDIS_STATUS_REQUEST_ABORTED : perform(binding, request));
    }
}

void ndis_call_requested(struct ndis_binding *binding)
{
    const NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *handlers = &binding->protocol->handlers;
    NDIS_HANDLE context = binding->context;
    NDIS_OID_REQUEST *request = binding->done_requests;
    NDIS_STATUS status = state_of(request)->status;
    struct ndis_call call;
    binding->done_requests = state_of(request)->next;
    binding->requests--;
    ndis_tell_begin(binding, &call, (const void *)(uintptr_t)handlers->OidRequestCompleteHandler,
                    "OidRequestCompleteHandler");
    handlers->OidRequestCompleteHandler(context, request, status);
    ndis_tell_end(binding, &call);
}
