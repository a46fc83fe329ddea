/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocols and bindings over NDIS 6. NDIS calls the handlers from several threads, also while
 * NdisRegisterProtocolDriver is under way, and two of them have no context: hence the one protocol
 * a driver can have is also found by a variable.
 */
#include "port/nt/frame_internal.h"
#include "port/nt/name.h"
#include "vck/chain.h"
#include "vck/log.h"

enum { NDIS_MAJOR = 6, NDIS_MINOR = 20, NAME_CHARS = 32 };

static struct vck_frames_protocol *registered; /* atomic */

vck_status vck_nt_frame_status(NDIS_STATUS status)
{
    switch (status) {
    case NDIS_STATUS_SUCCESS:
        return VCK_OK;
    case NDIS_STATUS_RESOURCES:
        return VCK_NO_MEMORY;
    case NDIS_STATUS_REQUEST_ABORTED:
        return VCK_CANCELLED;
    case NDIS_STATUS_PAUSED:
    case NDIS_STATUS_LOW_POWER_STATE:
    case NDIS_STATUS_CLOSING:
        return VCK_NOT_READY;
    case NDIS_STATUS_INVALID_LENGTH:
    case NDIS_STATUS_BUFFER_TOO_SHORT:
        return VCK_SIZE_MISMATCH;
    case NDIS_STATUS_INVALID_DATA:
        return VCK_INVALID_DATA;
    case NDIS_STATUS_NOT_SUPPORTED:
    case NDIS_STATUS_INVALID_OID:
    case NDIS_STATUS_UNSUPPORTED_MEDIA:
    case NDIS_STATUS_BAD_VERSION:
    case NDIS_STATUS_BAD_CHARACTERISTICS:
        return VCK_UNSUPPORTED;
    case NDIS_STATUS_ADAPTER_NOT_FOUND:
    case NDIS_STATUS_ADAPTER_REMOVED:
        return VCK_NOT_FOUND;
    default:
        return VCK_IO;
    }
}

/* ---- binds ---- */

static void free_binding(struct vck_nt_binding *binding)
{
    if (binding->pool)
        NdisFreeNetBufferListPool(binding->pool);
    vck_free(binding);
}

/* Names for people are a convenience: without one, there is none. */
static void describe(struct vck_nt_binding *binding)
{
    NDIS_STRING name = {0};

    if (NdisQueryBindInstanceName(&name, binding->bind_context))
        return;
    if (vck_nt_name_get(&name, binding->description, sizeof(binding->description)))
        binding->description[0] = 0;
    NdisFreeMemory(name.Buffer, 0, 0);
}

/* NDIS's strings are there as long as its call is. */
static vck_status name_binding(struct vck_nt_binding *binding, const UNICODE_STRING *name)
{
    if (name->Length > sizeof(binding->adapter_chars))
        return VCK_SIZE_MISMATCH;
    memcpy(binding->adapter_chars, name->Buffer, name->Length);
    binding->adapter =
        (UNICODE_STRING){name->Length, sizeof(binding->adapter_chars), binding->adapter_chars};
    return vck_nt_name_get(name, binding->name, sizeof(binding->name));
}

static NDIS_STATUS NTAPI bind_adapter(NDIS_HANDLE driver_context, NDIS_HANDLE bind_context,
                                      PNDIS_BIND_PARAMETERS parameters)
{
    struct vck_frames_protocol *protocol = driver_context;
    struct vck_nt_binding *binding;

    if (parameters->MediaType != NdisMedium802_3)
        return NDIS_STATUS_UNSUPPORTED_MEDIA;
    binding = vck_alloc(sizeof(*binding), VCK_NT_FRAME_TAG);
    if (!binding)
        return NDIS_STATUS_RESOURCES;
    binding->protocol = protocol;
    binding->bind_context = bind_context;
    binding->unbind.type = VCK_FRAMES_UNBIND;
    vck_spinlock_init(&binding->lock);
    vck_nt_frames_prepare(binding);
    if (name_binding(binding, parameters->AdapterName)) {
        free_binding(binding);
        return NDIS_STATUS_INVALID_DATA;
    }
    describe(binding);
    binding->bind = (struct vck_frames_bind){.name = binding->name,
                                             .description = binding->description,
                                             .index = parameters->BoundIfIndex};
    protocol->handler->handlers->bind(protocol->handler, &binding->bind);
    return NDIS_STATUS_PENDING;
}

void vck_frames_bind_done(struct vck_frames_bind *bind, vck_status status)
{
    struct vck_nt_binding *binding = VCK_CONTAINER_OF(bind, struct vck_nt_binding, bind);
    NDIS_HANDLE bind_context = binding->bind_context;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (status)
        free_binding(binding);
    NdisCompleteBindAdapterEx(bind_context, status == VCK_OK          ? NDIS_STATUS_SUCCESS
                                            : status == VCK_NO_MEMORY ? NDIS_STATUS_RESOURCES
                                                                      : NDIS_STATUS_FAILURE);
}

/* ---- opening and closing ---- */

static void tell_opened(struct vck_nt_binding *binding, NDIS_STATUS status)
{
    struct vck_frames_binding *core = binding->core;

    if (status)
        binding->core = NULL;
    else
        __atomic_store_n(&binding->holds, 1, __ATOMIC_RELEASE);
    core->handlers->opened(core, vck_nt_frame_status(status));
}

static VOID NTAPI open_complete(NDIS_HANDLE context, NDIS_STATUS status)
{
    tell_opened(context, status);
}

static NDIS_HANDLE create_pool(struct vck_nt_binding *binding)
{
    NET_BUFFER_LIST_POOL_PARAMETERS parameters = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   sizeof(parameters)},
        .ProtocolId = NDIS_PROTOCOL_ID_DEFAULT,
        .fAllocateNetBuffer = TRUE,
        .PoolTag = VCK_NT_FRAME_TAG,
    };

    return NdisAllocateNetBufferListPool(
        __atomic_load_n(&binding->protocol->handle, __ATOMIC_ACQUIRE), &parameters);
}

void vck_frames_open(struct vck_frames_protocol *protocol, struct vck_frames_bind *bind,
                     struct vck_frames_binding *core)
{
    struct vck_nt_binding *binding = VCK_CONTAINER_OF(bind, struct vck_nt_binding, bind);
    NDIS_OPEN_PARAMETERS parameters = {
        .Header = {NDIS_OBJECT_TYPE_OPEN_PARAMETERS, NDIS_OPEN_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1},
        .AdapterName = &binding->adapter,
        .MediumArray = &binding->medium,
        .MediumArraySize = 1,
        .SelectedMediumIndex = &binding->medium_index,
    };
    NDIS_STATUS status = NDIS_STATUS_RESOURCES;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    binding->core = core;
    binding->medium = NdisMedium802_3;
    core->port_data = binding;
    if (!binding->pool)
        binding->pool = create_pool(binding);
    if (binding->pool)
        status = NdisOpenAdapterEx(__atomic_load_n(&protocol->handle, __ATOMIC_ACQUIRE), binding,
                                   &parameters, binding->bind_context, &binding->handle);
    if (status != NDIS_STATUS_PENDING)
        tell_opened(binding, status);
}

static VOID NTAPI close_complete(NDIS_HANDLE context)
{
    struct vck_nt_binding *binding = context;

    binding->core->handlers->closed(binding->core);
}

/* An event is answered through the open adapter, so the close waits for answers. */
static void let_go(struct vck_nt_binding *binding)
{
    if (__atomic_sub_fetch(&binding->holds, 1, __ATOMIC_ACQ_REL) == 0 &&
        NdisCloseAdapterEx(binding->handle) != NDIS_STATUS_PENDING)
        close_complete(binding);
}

static bool hold(struct vck_nt_binding *binding)
{
    uint32_t holds = __atomic_load_n(&binding->holds, __ATOMIC_RELAXED);

    while (holds && !__atomic_compare_exchange_n(&binding->holds, &holds, holds + 1, false,
                                                 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        continue;
    return holds != 0;
}

void vck_frames_close(struct vck_frames_binding *core)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    let_go(vck_nt_binding_of(core));
}

/* ---- events ---- */

/* An event of a binding, in the place NDIS gives transports in its own. */
struct event {
    struct vck_frames_event core;
    struct vck_nt_binding *binding;
};

static_assert(sizeof(struct event) <=
                  sizeof(((NET_PNP_EVENT_NOTIFICATION *)0)->NetPnPEvent.TransportReserved),
              "an event's storage");

static NDIS_STATUS NTAPI unbind_adapter(NDIS_HANDLE unbind_context, NDIS_HANDLE context)
{
    struct vck_nt_binding *binding = context;

    binding->unbind_context = unbind_context;
    binding->core->handlers->event(binding->core, &binding->unbind);
    return NDIS_STATUS_PENDING;
}

static NDIS_STATUS begin_event(struct vck_nt_binding *binding, PNET_PNP_EVENT_NOTIFICATION event,
                               enum vck_frames_event_type type)
{
    struct event *own = (struct event *)(void *)event->NetPnPEvent.TransportReserved;

    if (!hold(binding))
        return NDIS_STATUS_SUCCESS;
    *own = (struct event){.core = {.type = (uint8_t)type}, .binding = binding};
    binding->core->handlers->event(binding->core, &own->core);
    return NDIS_STATUS_PENDING;
}

static enum vck_frames_event_type power_event(const NET_PNP_EVENT_NOTIFICATION *event)
{
    ULONG state = NetDeviceStateD0;

    if (event->NetPnPEvent.BufferLength >= sizeof(state))
        memcpy(&state, event->NetPnPEvent.Buffer, sizeof(state));
    return state == NetDeviceStateD0 ? VCK_FRAMES_FULL_POWER : VCK_FRAMES_LOW_POWER;
}

static NDIS_STATUS protocol_event(NET_PNP_EVENT_CODE code)
{
    struct vck_frames_protocol *protocol = __atomic_load_n(&registered, __ATOMIC_ACQUIRE);

    if (protocol && code == NetEventBindsComplete)
        protocol->handler->handlers->binds_complete(protocol->handler);
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS NTAPI net_pnp_event(NDIS_HANDLE context, PNET_PNP_EVENT_NOTIFICATION event)
{
    NET_PNP_EVENT_CODE code = event->NetPnPEvent.NetEvent;

    if (!context)
        return protocol_event(code);
    switch (code) {
    case NetEventPause:
        return begin_event(context, event, VCK_FRAMES_PAUSE);
    case NetEventRestart:
        return begin_event(context, event, VCK_FRAMES_RESTART);
    case NetEventSetPower:
        return begin_event(context, event, power_event(event));
    case NetEventQueryPower:
    case NetEventQueryRemoveDevice:
    case NetEventCancelRemoveDevice:
    case NetEventReconfigure:
    case NetEventBindList:
    case NetEventBindsComplete:
    case NetEventPnPCapabilities:
    case NetEventPortActivation:
    case NetEventPortDeactivation:
        return NDIS_STATUS_SUCCESS;
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
}

static void finish_unbind(struct vck_nt_binding *binding)
{
    NDIS_HANDLE unbind_context = binding->unbind_context;
    uint64_t dropped = __atomic_load_n(&binding->dropped, __ATOMIC_RELAXED);

    if (dropped)
        vck_log_warning("%s: no place for %llu frames", binding->name, (unsigned long long)dropped);
    free_binding(binding);
    NdisCompleteUnbindAdapterEx(unbind_context);
}

void vck_frames_event_done(struct vck_frames_event *event, vck_status status)
{
    NET_PNP_EVENT_NOTIFICATION *notification;
    struct vck_nt_binding *binding;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (event->type == VCK_FRAMES_UNBIND) {
        finish_unbind(VCK_CONTAINER_OF(event, struct vck_nt_binding, unbind));
        return;
    }
    notification =
        VCK_CONTAINER_OF((void *)event, NET_PNP_EVENT_NOTIFICATION, NetPnPEvent.TransportReserved);
    binding = VCK_CONTAINER_OF(event, struct event, core)->binding;
    NdisCompleteNetPnPEvent(binding->handle, notification,
                            status ? NDIS_STATUS_FAILURE : NDIS_STATUS_SUCCESS);
    let_go(binding);
}

static VOID NTAPI uninstall(VOID)
{
    struct vck_frames_protocol *protocol = __atomic_load_n(&registered, __ATOMIC_ACQUIRE);

    if (protocol)
        protocol->handler->handlers->uninstall(protocol->handler);
}

/* ---- registering ---- */

static NDIS_STATUS begin_protocol(struct vck_frames_protocol *protocol, const char *name)
{
    WCHAR chars[NAME_CHARS];
    USHORT count = 0;
    NDIS_HANDLE handle = NULL;
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS handlers = {
        .Header = {NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS,
                   NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2, sizeof(handlers)},
        .MajorNdisVersion = NDIS_MAJOR,
        .MinorNdisVersion = NDIS_MINOR,
        .MajorDriverVersion = 1,
        .BindAdapterHandlerEx = bind_adapter,
        .UnbindAdapterHandlerEx = unbind_adapter,
        .OpenAdapterCompleteHandlerEx = open_complete,
        .CloseAdapterCompleteHandlerEx = close_complete,
        .NetPnPEventHandler = net_pnp_event,
        .UninstallHandler = uninstall,
        .OidRequestCompleteHandler = vck_nt_frames_requested,
        .StatusHandlerEx = vck_nt_frames_status,
        .ReceiveNetBufferListsHandler = vck_nt_frames_received,
        .SendNetBufferListsCompleteHandler = vck_nt_frames_sent,
    };
    NDIS_STATUS status;

    for (; name[count] && count < NAME_CHARS; count++)
        chars[count] = (WCHAR)name[count];
    handlers.Name = (NDIS_STRING){(USHORT)(count * sizeof(WCHAR)), sizeof(chars), chars};
    status = NdisRegisterProtocolDriver(protocol, &handlers, &handle);
    if (status == NDIS_STATUS_SUCCESS)
        __atomic_store_n(&protocol->handle, handle, __ATOMIC_RELEASE);
    return status;
}

vck_status vck_frames_register(struct vck_frames_handler *handler,
                               const struct vck_frames_options *options,
                               struct vck_frames_protocol **ret_protocol, int32_t *ret_native_error)
{
    struct vck_frames_protocol *none = NULL;
    struct vck_frames_protocol *protocol;
    NDIS_STATUS status;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    protocol = vck_alloc(sizeof(*protocol), VCK_NT_FRAME_TAG);
    if (!protocol)
        return VCK_NO_MEMORY;
    protocol->handler = handler;
    if (!__atomic_compare_exchange_n(&registered, &none, protocol, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED)) {
        vck_free(protocol);
        return VCK_ALREADY_EXISTS;
    }
    protocol->cancel_part = NdisGeneratePartialCancelId();
    vck_descriptor_set_map_hook(vck_nt_map_descriptor);
    *ret_protocol = protocol;
    status = begin_protocol(protocol, options->name);
    if (status == NDIS_STATUS_SUCCESS)
        return VCK_OK;
    __atomic_store_n(&registered, NULL, __ATOMIC_RELEASE);
    vck_free(protocol);
    *ret_protocol = NULL;
    if (ret_native_error)
        *ret_native_error = status;
    return vck_nt_frame_status(status);
}

void vck_frames_deregister(struct vck_frames_protocol *protocol)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    NdisDeregisterProtocolDriver(protocol->handle);
    __atomic_store_n(&registered, NULL, __ATOMIC_RELEASE);
    vck_free(protocol);
}
