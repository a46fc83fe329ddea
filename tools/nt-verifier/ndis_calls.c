/* SPDX-License-Identifier: Apache-2.0 */
/* What is due, and the calls into drivers. */
#include "ndis_model.h"

void ndis_forget_binding(struct ndis_binding *binding)
{
    if (!binding->is_gone || binding->calls)
        return;
    ndis_forget_arrived(binding);
    binding->protocol->bindings[binding->adapter->number] = NULL;
    ndis_platform_free(binding);
    ndis_platform_changed();
}

static void begin_call(struct ndis_binding *binding, struct ndis_call *call, const void *function,
                       const char *name, KIRQL level)
{
    *call = (struct ndis_call){
        .function = function, .name = name, .driver = binding->protocol->driver, .level = level};
    binding->calls++;
    ndis_platform_unlock();
    ndis_platform_enter(call);
}

static void end_call(struct ndis_binding *binding, struct ndis_call *call)
{
    ndis_platform_leave(call);
    ndis_platform_lock();
    binding->calls--;
}

void ndis_tell_begin(struct ndis_binding *binding, struct ndis_call *call, const void *function,
                     const char *name)
{
    binding->uses++;
    begin_call(binding, call, function, name, DISPATCH_LEVEL);
}

void ndis_tell_end(struct ndis_binding *binding, struct ndis_call *call)
{
    end_call(binding, call);
    binding->uses--;
    ndis_platform_changed();
    ndis_forget_binding(binding);
}

static NDIS_BIND_PARAMETERS bind_parameters(struct ndis_adapter *adapter)
{
    NDIS_BIND_PARAMETERS parameters = {
        .Header = {NDIS_OBJECT_TYPE_BIND_PARAMETERS, NDIS_BIND_PARAMETERS_REVISION_1,
                   sizeof(parameters)},
        .AdapterName = &adapter->name,
        .BoundAdapterName = &adapter->name,
        .MediaType = NdisMedium802_3,
        .MtuSize = NDIS_FRAME_BYTES_MAX - NDIS_HEADER_BYTES,
        .MaxXmitLinkSpeed = 1000000000,
        .XmitLinkSpeed = 1000000000,
        .MaxRcvLinkSpeed = 1000000000,
        .RcvLinkSpeed = 1000000000,
        .MediaConnectState =
            adapter->is_up ? MediaConnectStateConnected : MediaConnectStateDisconnected,
        .LookaheadSize = NDIS_FRAME_BYTES_MAX - NDIS_HEADER_BYTES,
        .SupportedPacketFilters = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST |
                                  NDIS_PACKET_TYPE_ALL_MULTICAST | NDIS_PACKET_TYPE_BROADCAST |
                                  NDIS_PACKET_TYPE_PROMISCUOUS,
        .MacAddressLength = 6,
        .BoundIfIndex = 10 + adapter->number,
        .IfType = 6,
    };
    RtlCopyMemory(parameters.CurrentMacAddress, adapter->mac, sizeof(adapter->mac));
    return parameters;
}

static void call_bind(struct ndis_binding *binding)
{
    struct ndis_protocol *protocol = binding->protocol;
    NDIS_BIND_PARAMETERS parameters = bind_parameters(binding->adapter);
    struct ndis_call call;
    binding->owes_bind = false;
    begin_call(binding, &call, (const void *)(uintptr_t)protocol->handlers.BindAdapterHandlerEx,
               "BindAdapterHandlerEx", PASSIVE_LEVEL);
    NDIS_STATUS status =
        protocol->handlers.BindAdapterHandlerEx(protocol->context, binding, &parameters);
    end_call(binding, &call);
    if (status != NDIS_STATUS_PENDING)
        ndis_answer_bind(binding, status);
    ndis_forget_binding(binding);
}

static void call_opened(struct ndis_binding *binding)
{
    struct ndis_call call;
    NDIS_STATUS status =
        ndis_open_now(binding, binding->adapter->options.fails_open || !binding->adapter->is_present
                                   ? NDIS_STATUS_OPEN_FAILED
                                   : NDIS_STATUS_SUCCESS);
    NDIS_HANDLE context = binding->context;
    begin_call(binding, &call,
               (const void *)(uintptr_t)binding->protocol->handlers.OpenAdapterCompleteHandlerEx,
               "OpenAdapterCompleteHandlerEx", PASSIVE_LEVEL);
    binding->protocol->handlers.OpenAdapterCompleteHandlerEx(context, status);
    end_call(binding, &call);
    ndis_forget_binding(binding);
}

static void call_closed(struct ndis_binding *binding)
{
    struct ndis_call call;
    NDIS_HANDLE context = binding->context;
    binding->opening = NDIS_CLOSED;
    begin_call(binding, &call,
               (const void *)(uintptr_t)binding->protocol->handlers.CloseAdapterCompleteHandlerEx,
               "CloseAdapterCompleteHandlerEx", PASSIVE_LEVEL);
    binding->protocol->handlers.CloseAdapterCompleteHandlerEx(context);
    end_call(binding, &call);
    ndis_forget_binding(binding);
}

static void call_unbind(struct ndis_binding *binding)
{
    struct ndis_call call;
    NDIS_HANDLE context = binding->context;
    binding->life = NDIS_UNBINDING;
    begin_call(binding, &call,
               (const void *)(uintptr_t)binding->protocol->handlers.UnbindAdapterHandlerEx,
               "UnbindAdapterHandlerEx", PASSIVE_LEVEL);
    NDIS_STATUS status = binding->protocol->handlers.UnbindAdapterHandlerEx(binding, context);
    end_call(binding, &call);
    if (status != NDIS_STATUS_PENDING)
        ndis_answer_unbind(binding);
    ndis_forget_binding(binding);
}

static void call_event(struct ndis_binding *binding, size_t kind)
{
    static const NET_PNP_EVENT_CODE codes[NDIS_EVENTS] = {NetEventPause, NetEventRestart,
                                                          NetEventSetPower, NetEventSetPower};
    struct ndis_event *event = &binding->events[kind];
    struct ndis_call call;
    *event = (struct ndis_event){.is_out = true};
    event->notification.Header =
        (NDIS_OBJECT_HEADER){NDIS_OBJECT_TYPE_DEFAULT, NET_PNP_EVENT_NOTIFICATION_REVISION_1,
                             sizeof(event->notification)};
    event->notification.NetPnPEvent.NetEvent = codes[kind];
    if (codes[kind] == NetEventSetPower) {
        event->power_state = kind == NDIS_EVENT_LOW_POWER ? NetDeviceStateD3 : NetDeviceStateD0;
        event->notification.NetPnPEvent.Buffer = &event->power_state;
        event->notification.NetPnPEvent.BufferLength = sizeof(event->power_state);
        binding->is_low = kind == NDIS_EVENT_LOW_POWER;
    } else {
        binding->run = kind == NDIS_EVENT_PAUSE ? NDIS_PAUSING : NDIS_RESTARTING;
    }
    NDIS_HANDLE context = binding->context;
    binding->event_calls++;
    begin_call(binding, &call,
               (const void *)(uintptr_t)binding->protocol->handlers.NetPnPEventHandler,
               "NetPnPEventHandler", PASSIVE_LEVEL);
    NDIS_STATUS status =
        binding->protocol->handlers.NetPnPEventHandler(context, &event->notification);
    end_call(binding, &call);
    if (status != NDIS_STATUS_PENDING)
        ndis_answer_event(binding, kind, status);
    binding->event_calls--;
    ndis_platform_changed();
    ndis_forget_binding(binding);
}

static void call_status(struct ndis_binding *binding)
{
    struct ndis_call call;
    NDIS_LINK_STATE link = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, 1, sizeof(link)},
        .MediaConnectState =
            binding->adapter->is_up ? MediaConnectStateConnected : MediaConnectStateDisconnected,
        .XmitLinkSpeed = 1000000000,
        .RcvLinkSpeed = 1000000000,
    };
    NDIS_STATUS_INDICATION indication = {
        .Header = {NDIS_OBJECT_TYPE_STATUS_INDICATION, NDIS_STATUS_INDICATION_REVISION_1,
                   sizeof(indication)},
        .StatusCode = (NDIS_STATUS)binding->status_code,
    };
    if (indication.StatusCode == NDIS_STATUS_LINK_STATE) {
        indication.StatusBuffer = &link;
        indication.StatusBufferSize = sizeof(link);
    }
    NDIS_HANDLE context = binding->context;
    binding->owes_status = false;
    ndis_tell_begin(binding, &call,
                    (const void *)(uintptr_t)binding->protocol->handlers.StatusHandlerEx,
                    "StatusHandlerEx");
    binding->protocol->handlers.StatusHandlerEx(context, &indication);
    ndis_tell_end(binding, &call);
}

/* ---- what is due ---- */

static bool should_run(const struct ndis_binding *binding)
{
    const struct ndis_adapter *adapter = binding->adapter;
    return !adapter->is_paused && adapter->is_present &&
           (!binding->must_go || adapter->options.unbinds_running);
}

/* Of a binding that is bound and open. */
static uint32_t event_jobs(const struct ndis_binding *binding)
{
    const struct ndis_event *events = binding->events;
    uint32_t jobs = 0;
    if (binding->owes_status)
        jobs |= NDIS_JOB_STATUS;
    if (!events[NDIS_EVENT_LOW_POWER].is_out && !events[NDIS_EVENT_FULL_POWER].is_out &&
        binding->is_low != binding->adapter->is_low_power)
        jobs |= binding->is_low ? NDIS_JOB_FULL_POWER : NDIS_JOB_LOW_POWER;
    if (binding->must_go &&
        (!binding->adapter->is_present || binding->adapter->options.unbinds_running ||
         binding->run == NDIS_PAUSED))
        jobs |= NDIS_JOB_UNBIND;
    if (binding->run == NDIS_PAUSED && should_run(binding) && !binding->must_go)
        jobs |= NDIS_JOB_RESTART;
    if (binding->run == NDIS_RUNNING && !should_run(binding))
        jobs |= NDIS_JOB_PAUSE;
    return jobs;
}

static uint32_t find_jobs(const struct ndis_binding *binding)
{
    uint32_t jobs = 0;
    if (binding->owes_bind)
        jobs |= NDIS_JOB_BIND;
    if (binding->opening == NDIS_OPENING)
        jobs |= NDIS_JOB_OPENED;
    if (binding->opening == NDIS_CLOSING && !binding->uses && !binding->sent &&
        !binding->done_requests && !binding->receives)
        jobs |= NDIS_JOB_CLOSED;
    if (binding->sent)
        jobs |= NDIS_JOB_SENT;
    if (binding->done_requests)
        jobs |= NDIS_JOB_REQUESTED;
    if (binding->arrived && !binding->is_indicating && binding->opening == NDIS_OPEN &&
        binding->run == NDIS_RUNNING)
        jobs |= NDIS_JOB_RECEIVED;
    if (binding->life == NDIS_BOUND && binding->opening == NDIS_OPEN && !binding->is_gone)
        jobs |= event_jobs(binding);
    /* The driver has closed by itself. */
    if (binding->life == NDIS_BOUND && binding->opening == NDIS_CLOSED && binding->must_go &&
        !binding->is_gone)
        jobs |= NDIS_JOB_UNBIND;
    /* A binding hears of one thing after the other; only what it answers later overlaps. */
    return binding->event_calls ? jobs & ~(uint32_t)NDIS_JOB_UNBIND : jobs;
}

static void do_job(struct ndis_binding *binding, uint32_t job)
{
    if (job == NDIS_JOB_BIND)
        call_bind(binding);
    else if (job == NDIS_JOB_OPENED)
        call_opened(binding);
    else if (job == NDIS_JOB_CLOSED)
        call_closed(binding);
    else if (job == NDIS_JOB_UNBIND)
        call_unbind(binding);
    else if (job == NDIS_JOB_SENT)
        ndis_call_sent(binding);
    else if (job == NDIS_JOB_RECEIVED)
        ndis_call_received(binding);
    else if (job == NDIS_JOB_REQUESTED)
        ndis_call_requested(binding);
    else if (job == NDIS_JOB_STATUS)
        call_status(binding);
    else if (job == NDIS_JOB_PAUSE)
        call_event(binding, NDIS_EVENT_PAUSE);
    else if (job == NDIS_JOB_RESTART)
        call_event(binding, NDIS_EVENT_RESTART);
    else if (job == NDIS_JOB_LOW_POWER)
        call_event(binding, NDIS_EVENT_LOW_POWER);
    else if (job == NDIS_JOB_FULL_POWER)
        call_event(binding, NDIS_EVENT_FULL_POWER);
}

/* One of them: the lowest, or any. */
static uint32_t choose_job(const struct ndis_adapter *adapter, uint32_t jobs)
{
    uint32_t start = ndis_random(adapter, NDIS_JOBS);
    for (uint32_t i = 0; i < NDIS_JOBS; i++) {
        uint32_t job = 1u << (start + i) % NDIS_JOBS;
        if (jobs & job)
            return job;
    }
    return 0;
}

static void make_binding(struct ndis_protocol *protocol, struct ndis_adapter *adapter)
{
    struct ndis_binding *binding = ndis_platform_allocate(sizeof(*binding));
    protocol->owes_bind[adapter->number] = false;
    if (!binding)
        return;
    binding->protocol = protocol;
    binding->adapter = adapter;
    binding->owes_bind = true;
    binding->sent_end = &binding->sent;
    binding->arrived_end = &binding->arrived;
    protocol->bindings[adapter->number] = binding;
}

/* Events that are no binding's. */
static bool work_for_protocol(struct ndis_protocol *protocol)
{
    NET_PNP_EVENT_NOTIFICATION event = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_PNP_EVENT_NOTIFICATION_REVISION_1, sizeof(event)},
        .NetPnPEvent = {.NetEvent = NetEventBindsComplete},
    };
    struct ndis_call call = {.driver = protocol->driver, .level = PASSIVE_LEVEL};
    bool tells_uninstall = protocol->owes_uninstall && protocol->handlers.UninstallHandler;
    for (size_t i = 0; protocol->owes_binds_complete && i < NDIS_ADAPTERS; i++) {
        if (protocol->owes_bind[i] ||
            (protocol->bindings[i] && protocol->bindings[i]->life == NDIS_BINDING))
            return false;
    }
    if (protocol->is_ending || (!protocol->owes_binds_complete && !tells_uninstall))
        return false;
    protocol->calls++;
    tells_uninstall = !protocol->owes_binds_complete;
    if (tells_uninstall)
        protocol->owes_uninstall = false;
    protocol->owes_binds_complete = false;
    call.name = tells_uninstall ? "UninstallHandler" : "NetPnPEventHandler";
    call.function = tells_uninstall
                        ? (const void *)(uintptr_t)protocol->handlers.UninstallHandler
                        : (const void *)(uintptr_t)protocol->handlers.NetPnPEventHandler;
    ndis_platform_unlock();
    ndis_platform_enter(&call);
    if (tells_uninstall)
        protocol->handlers.UninstallHandler();
    else
        (void)protocol->handlers.NetPnPEventHandler(NULL, &event);
    ndis_platform_leave(&call);
    ndis_platform_lock();
    protocol->calls--;
    ndis_platform_changed();
    return true;
}

bool ndis_work(void)
{
    for (size_t i = 0; i < NDIS_PROTOCOLS; i++) {
        struct ndis_protocol *protocol = ndis_world.protocols[i];
        for (size_t j = 0; protocol && j < NDIS_ADAPTERS; j++) {
            struct ndis_adapter *adapter = &ndis_world.adapters[j];
            if (!protocol->bindings[j] && protocol->owes_bind[j])
                make_binding(protocol, adapter);
            struct ndis_binding *binding = protocol->bindings[j];
            uint32_t jobs = binding ? find_jobs(binding) : 0;
            if (jobs) {
                do_job(binding, choose_job(adapter, jobs));
                return true;
            }
        }
        if (protocol && work_for_protocol(protocol))
            return true;
    }
    return false;
}

uint32_t ndis_jobs_due(void)
{
    uint32_t count = 0;
    for (size_t i = 0; i < NDIS_PROTOCOLS; i++) {
        const struct ndis_protocol *protocol = ndis_world.protocols[i];
        for (size_t j = 0; protocol && j < NDIS_ADAPTERS; j++)
            count += protocol->owes_bind[j] ||
                     (protocol->bindings[j] &&
                      (find_jobs(protocol->bindings[j]) || protocol->bindings[j]->calls));
        count += protocol && (protocol->owes_binds_complete || protocol->calls);
    }
    return count;
}
