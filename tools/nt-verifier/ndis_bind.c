/* SPDX-License-Identifier: Apache-2.0 */
/* Protocols and their bindings: from registering to opening, closing and deregistering. */
#include "ndis_model.h"

struct ndis_world ndis_world;

static bool is_protocol(const struct ndis_protocol *protocol)
{
    for (size_t i = 0; i < NDIS_PROTOCOLS; i++) {
        if (protocol && ndis_world.protocols[i] == protocol)
            return true;
    }
    return false;
}

/* A handle of a binding that exists, whatever the driver may do with it now. */
static struct ndis_binding *find_binding(NDIS_HANDLE handle)
{
    for (size_t i = 0; i < NDIS_PROTOCOLS; i++) {
        for (size_t j = 0; ndis_world.protocols[i] && j < NDIS_ADAPTERS; j++) {
            if (handle && ndis_world.protocols[i]->bindings[j] == handle)
                return handle;
        }
    }
    return NULL;
}

struct ndis_binding *ndis_binding_open(void *driver, NDIS_HANDLE handle, const char *function)
{
    struct ndis_binding *binding = find_binding(handle);
    bool is_return = !strcmp(function, "NdisReturnNetBufferLists");
    if (binding &&
        (binding->opening == NDIS_OPEN || (is_return && binding->opening == NDIS_CLOSING)))
        return binding;
    ndis_platform_report("ndis-binding-not-open", driver, "%s with %p, which is no open binding",
                         function, handle);
    return NULL;
}

/* ---- registering ---- */

static const char *missing_handler(const NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *handlers)
{
    const struct {
        bool is_there;
        const char *name;
    } wanted[] = {
        {handlers->BindAdapterHandlerEx != NULL, "BindAdapterHandlerEx"},
        {handlers->UnbindAdapterHandlerEx != NULL, "UnbindAdapterHandlerEx"},
        {handlers->OpenAdapterCompleteHandlerEx != NULL, "OpenAdapterCompleteHandlerEx"},
        {handlers->CloseAdapterCompleteHandlerEx != NULL, "CloseAdapterCompleteHandlerEx"},
        {handlers->NetPnPEventHandler != NULL, "NetPnPEventHandler"},
        {handlers->OidRequestCompleteHandler != NULL, "OidRequestCompleteHandler"},
        {handlers->StatusHandlerEx != NULL, "StatusHandlerEx"},
        {handlers->ReceiveNetBufferListsHandler != NULL, "ReceiveNetBufferListsHandler"},
        {handlers->SendNetBufferListsCompleteHandler != NULL, "SendNetBufferListsCompleteHandler"},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (!wanted[i].is_there)
            return wanted[i].name;
    }
    return NULL;
}

static NDIS_STATUS check_characteristics(void *driver,
                                         const NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *handlers)
{
    const NDIS_OBJECT_HEADER *header = &handlers->Header;
    const char *missing = missing_handler(handlers);
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    if (header->Type != NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS || missing)
        status = NDIS_STATUS_BAD_CHARACTERISTICS;
    else if (header->Revision != NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2 ||
             header->Size != sizeof(*handlers) || handlers->MajorNdisVersion != 6)
        status = NDIS_STATUS_BAD_VERSION;
    if (status || !handlers->Name.Length)
        ndis_platform_report("ndis-characteristics", driver,
                             "type %#x revision %u size %u for NDIS %u.%u, name of %u bytes; "
                             "missing: %s",
                             header->Type, header->Revision, header->Size,
                             handlers->MajorNdisVersion, handlers->MinorNdisVersion,
                             handlers->Name.Length, missing ? missing : "nothing");
    return status;
}

static struct ndis_protocol **free_place(void)
{
    for (size_t i = 0; i < NDIS_PROTOCOLS; i++) {
        if (!ndis_world.protocols[i])
            return &ndis_world.protocols[i];
    }
    return NULL;
}

static bool binds_early(void)
{
    for (size_t i = 0; i < NDIS_ADAPTERS; i++) {
        if (ndis_world.adapters[i].options.binds_early)
            return true;
    }
    return false;
}

NDIS_STATUS ndis_register(void *driver, NDIS_HANDLE context,
                          const NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *handlers,
                          NDIS_HANDLE *ret_protocol)
{
    ndis_platform_level(driver, PASSIVE_LEVEL, "NdisRegisterProtocolDriver");
    NDIS_STATUS status = check_characteristics(driver, handlers);
    if (status)
        return status;
    struct ndis_protocol *protocol =
        ndis_platform_fails(driver) ? NULL : ndis_platform_allocate(sizeof(*protocol));
    ndis_platform_lock();
    struct ndis_protocol **place = free_place();
    if (!protocol || !place) {
        ndis_platform_unlock();
        ndis_platform_free(protocol);
        return NDIS_STATUS_RESOURCES;
    }
    protocol->handlers = *handlers;
    protocol->context = context;
    protocol->driver = driver;
    protocol->owes_binds_complete = true;
    for (size_t i = 0; i < NDIS_ADAPTERS; i++)
        protocol->owes_bind[i] = ndis_world.adapters[i].is_present;
    *place = protocol;
    /* Handlers may be called before the caller has what it called for. */
    while (binds_early() && ndis_work())
        continue;
    *ret_protocol = protocol;
    ndis_platform_changed();
    ndis_platform_unlock();
    return NDIS_STATUS_SUCCESS;
}

static bool has_bindings(const struct ndis_protocol *protocol)
{
    for (size_t i = 0; i < NDIS_ADAPTERS; i++) {
        if (protocol->bindings[i])
            return true;
    }
    return false;
}

void ndis_deregister(void *driver, NDIS_HANDLE handle)
{
    struct ndis_protocol *protocol = handle;
    ndis_platform_level(driver, PASSIVE_LEVEL, "NdisDeregisterProtocolDriver");
    ndis_platform_lock();
    if (!is_protocol(protocol) || protocol->is_ending) {
        ndis_platform_report("ndis-protocol-unknown", driver,
                             "NdisDeregisterProtocolDriver with %p, which is no protocol", handle);
        ndis_platform_unlock();
        return;
    }
    protocol->is_ending = true;
    for (size_t i = 0; i < NDIS_ADAPTERS; i++) {
        protocol->owes_bind[i] = false;
        if (protocol->bindings[i])
            protocol->bindings[i]->must_go = true;
    }
    ndis_platform_changed();
    while (has_bindings(protocol) || protocol->calls)
        ndis_platform_wait();
    for (size_t i = 0; i < NDIS_PROTOCOLS; i++) {
        if (ndis_world.protocols[i] == protocol)
            ndis_world.protocols[i] = NULL;
    }
    ndis_platform_unlock();
    ndis_platform_free(protocol);
}

/* ---- opening and closing ---- */

static bool is_same_name(const UNICODE_STRING *a, const UNICODE_STRING *b)
{
    return a && a->Length == b->Length && !memcmp(a->Buffer, b->Buffer, a->Length);
}

static const char *fault_in_open(const struct ndis_binding *binding, const void *protocol,
                                 const NDIS_OPEN_PARAMETERS *parameters,
                                 const NDIS_HANDLE *ret_binding)
{
    if (!binding || binding->life != NDIS_BINDING || binding->owes_bind)
        return "the bind context is none of a bind under way";
    if (binding->protocol != protocol)
        return "the protocol is another one";
    if (binding->opening != NDIS_CLOSED)
        return "the adapter is open or being opened";
    if (parameters->Header.Type != NDIS_OBJECT_TYPE_OPEN_PARAMETERS ||
        parameters->Header.Revision != NDIS_OPEN_PARAMETERS_REVISION_1 ||
        parameters->Header.Size < NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1)
        return "the parameters' header is wrong";
    if (!is_same_name(parameters->AdapterName, &binding->adapter->name))
        return "the adapter's name is not the one of the bind";
    if (!parameters->SelectedMediumIndex || !ret_binding)
        return "there is no place for a result";
    if (parameters->FrameTypeArraySize && !parameters->FrameTypeArray)
        return "there are no frame types where some are counted";
    return NULL;
}

static NDIS_STATUS select_medium(const NDIS_OPEN_PARAMETERS *parameters)
{
    for (ULONG i = 0; i < parameters->MediumArraySize; i++) {
        if (parameters->MediumArray[i] == NdisMedium802_3) {
            *parameters->SelectedMediumIndex = i;
            return NDIS_STATUS_SUCCESS;
        }
    }
    return NDIS_STATUS_UNSUPPORTED_MEDIA;
}

NDIS_STATUS ndis_open_now(struct ndis_binding *binding, NDIS_STATUS status)
{
    binding->opening = status ? NDIS_CLOSED : NDIS_OPEN;
    binding->run = NDIS_PAUSED;
    if (!status)
        *binding->handle_place = binding;
    return status;
}

static NDIS_STATUS begin_open(struct ndis_binding *binding, NDIS_HANDLE context,
                              const NDIS_OPEN_PARAMETERS *parameters, NDIS_HANDLE *ret_binding)
{
    const struct ndis_options *options = &binding->adapter->options;
    NDIS_STATUS status = select_medium(parameters);
    if (!status && !binding->adapter->is_present)
        status = NDIS_STATUS_ADAPTER_NOT_FOUND;
    if (!status && options->fails_open == 1)
        status = NDIS_STATUS_OPEN_FAILED;
    if (status)
        return status;
    binding->context = context;
    binding->handle_place = ret_binding;
    binding->packet_filter = 0;
    binding->frame_type_count = min(parameters->FrameTypeArraySize, NDIS_FRAME_TYPES);
    for (uint32_t i = 0; i < binding->frame_type_count; i++)
        binding->frame_types[i] = parameters->FrameTypeArray[i];
    if (!options->opens_later && !options->fails_open)
        return ndis_open_now(binding, NDIS_STATUS_SUCCESS);
    binding->opening = NDIS_OPENING;
    ndis_platform_changed();
    return NDIS_STATUS_PENDING;
}

NDIS_STATUS ndis_open(void *driver, NDIS_HANDLE protocol, NDIS_HANDLE context,
                      const NDIS_OPEN_PARAMETERS *parameters, NDIS_HANDLE bind_context,
                      NDIS_HANDLE *ret_binding)
{
    NDIS_STATUS status = NDIS_STATUS_INVALID_PARAMETER;
    ndis_platform_level(driver, PASSIVE_LEVEL, "NdisOpenAdapterEx");
    bool fails = ndis_platform_fails(driver);
    ndis_platform_lock();
    struct ndis_binding *binding = find_binding(bind_context);
    const char *fault = fault_in_open(binding, protocol, parameters, ret_binding);
    if (fault)
        ndis_platform_report("ndis-open", driver, "NdisOpenAdapterEx: %s", fault);
    else if (fails)
        status = NDIS_STATUS_RESOURCES;
    else
        status = begin_open(binding, context, parameters, ret_binding);
    ndis_platform_unlock();
    return status;
}

/* Whether the driver has frames besides those it is being told of. */
static bool is_keeping(const struct ndis_binding *binding)
{
    return binding->receives > (binding->is_indicating ? binding->indicated : 0);
}

NDIS_STATUS ndis_close(void *driver, NDIS_HANDLE handle)
{
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    ndis_platform_level(driver, PASSIVE_LEVEL, "NdisCloseAdapterEx");
    ndis_platform_lock();
    struct ndis_binding *binding = ndis_binding_open(driver, handle, "NdisCloseAdapterEx");
    if (binding) {
        if (binding->sends || is_keeping(binding) || binding->requests)
            ndis_platform_report("ndis-close-outstanding", driver,
                                 "NdisCloseAdapterEx with %u sends, %u received frames and %u "
                                 "requests outstanding",
                                 binding->sends, binding->receives, binding->requests);
        binding->opening = NDIS_CLOSING;
        ndis_forget_arrived(binding);
        if (binding->adapter->options.closes_later || binding->uses || binding->receives)
            status = NDIS_STATUS_PENDING;
        else
            binding->opening = NDIS_CLOSED;
        ndis_platform_changed();
    }
    ndis_platform_unlock();
    return status;
}

NDIS_STATUS ndis_instance_name(void *driver, NDIS_HANDLE bind_context, NDIS_STRING *ret_name,
                               void *(*allocate)(void *driver, size_t bytes))
{
    static const WCHAR text[] = L"Made-up adapter 0";
    ndis_platform_level(driver, PASSIVE_LEVEL, "NdisQueryBindInstanceName");
    ndis_platform_lock();
    struct ndis_binding *binding = find_binding(bind_context);
    uint32_t number = binding ? binding->adapter->number : 0;
    if (!binding || binding->life != NDIS_BINDING)
        ndis_platform_report("ndis-bind-unknown", driver,
                             "NdisQueryBindInstanceName with %p, which is no bind under way",
                             bind_context);
    ndis_platform_unlock();
    WCHAR *name = allocate(driver, sizeof(text));
    if (!name)
        return NDIS_STATUS_RESOURCES;
    RtlCopyMemory(name, text, sizeof(text));
    name[sizeof(text) / sizeof(WCHAR) - 2] += (WCHAR)number;
    *ret_name = (NDIS_STRING){sizeof(text) - sizeof(WCHAR), sizeof(text), name};
    return NDIS_STATUS_SUCCESS;
}

/* ---- answers ---- */

void ndis_answer_bind(struct ndis_binding *binding, NDIS_STATUS status)
{
    void *driver = binding->protocol->driver;
    bool is_open = binding->opening == NDIS_OPEN;
    if (!status && !is_open)
        ndis_platform_report("ndis-bind-answer", driver,
                             "a bind was answered with success without an open adapter");
    if (status && binding->opening != NDIS_CLOSED)
        ndis_platform_report("ndis-bind-answer", driver,
                             "a bind was answered with %#x with the adapter open",
                             (unsigned)status);
    binding->life = NDIS_BOUND;
    binding->is_gone = status || !is_open;
    if (!binding->is_gone)
        binding->adapter->counts.binds++;
    ndis_platform_changed();
}

void ndis_answer_unbind(struct ndis_binding *binding)
{
    if (binding->opening != NDIS_CLOSED)
        ndis_platform_report("ndis-unbind-answer", binding->protocol->driver,
                             "an unbind was answered with the adapter open");
    for (size_t i = 0; i < NDIS_EVENTS; i++) {
        if (binding->events[i].is_out)
            ndis_platform_report("ndis-unbind-answer", binding->protocol->driver,
                                 "an unbind was answered before an event of the binding was");
    }
    binding->is_gone = true;
    binding->adapter->counts.unbinds++;
    ndis_platform_changed();
}

void ndis_complete_bind(void *driver, NDIS_HANDLE bind_context, NDIS_STATUS status)
{
    ndis_platform_level(driver, PASSIVE_LEVEL, "NdisCompleteBindAdapterEx");
    ndis_platform_lock();
    struct ndis_binding *binding = find_binding(bind_context);
    if (binding && binding->life == NDIS_BINDING && !binding->owes_bind)
        ndis_answer_bind(binding, status);
    else
        ndis_platform_report("ndis-bind-unknown", driver,
                             "NdisCompleteBindAdapterEx with %p, which is no bind under way",
                             bind_context);
    if (binding)
        ndis_forget_binding(binding);
    ndis_platform_unlock();
}

void ndis_complete_unbind(void *driver, NDIS_HANDLE unbind_context)
{
    ndis_platform_level(driver, PASSIVE_LEVEL, "NdisCompleteUnbindAdapterEx");
    ndis_platform_lock();
    struct ndis_binding *binding = find_binding(unbind_context);
    if (binding && binding->life == NDIS_UNBINDING && !binding->is_gone)
        ndis_answer_unbind(binding);
    else
        ndis_platform_report("ndis-bind-unknown", driver,
                             "NdisCompleteUnbindAdapterEx with %p, which is no unbind under way",
                             unbind_context);
    if (binding)
        ndis_forget_binding(binding);
    ndis_platform_unlock();
}

void ndis_answer_event(struct ndis_binding *binding, size_t kind, NDIS_STATUS status)
{
    binding->events[kind].is_out = false;
    if (kind == NDIS_EVENT_RESTART) {
        binding->run = status ? NDIS_PAUSED : NDIS_RUNNING;
        binding->must_go |= status != NDIS_STATUS_SUCCESS;
        binding->adapter->counts.restarts++;
    } else if (kind == NDIS_EVENT_PAUSE) {
        if (binding->sends || is_keeping(binding))
            ndis_platform_report("ndis-pause-outstanding", binding->protocol->driver,
                                 "a pause was answered with %u sends and %u received frames "
                                 "outstanding",
                                 binding->sends, binding->receives);
        binding->run = NDIS_PAUSED;
        ndis_forget_arrived(binding);
        binding->adapter->counts.pauses++;
    }
    ndis_platform_changed();
}

void ndis_complete_event(void *driver, NDIS_HANDLE handle, NET_PNP_EVENT_NOTIFICATION *event,
                         NDIS_STATUS status)
{
    ndis_platform_level(driver, DISPATCH_LEVEL, "NdisCompleteNetPnPEvent");
    ndis_platform_lock();
    struct ndis_binding *binding = find_binding(handle);
    size_t kind = 0;
    while (binding && kind < NDIS_EVENTS && &binding->events[kind].notification != event)
        kind++;
    if (binding && kind < NDIS_EVENTS && binding->events[kind].is_out &&
        binding->opening != NDIS_CLOSED)
        ndis_answer_event(binding, kind, status);
    else
        ndis_platform_report("ndis-event-unknown", driver,
                             "NdisCompleteNetPnPEvent with %p, which is no event under way",
                             (void *)event);
    ndis_platform_unlock();
}
