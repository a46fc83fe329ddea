/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the model of NDIS stands on here, and the functions drivers get. Workers come from Wine's
 * pool when there is something to do, some at a time, so that handlers interleave.
 */
#include "ndis_model.h"
#include "verify.h"

enum { WORKERS = 4, QUARANTINE = 256, TEXT_BYTES = 160 };

NTSYSAPI int __cdecl _vsnprintf(char *text, size_t bytes, const char *format, va_list arguments);

static struct user_lock lock;
static struct user_condition changed;
static LONG workers;

/* ---- what the model stands on ---- */

void *ndis_platform_driver(const void *address)
{
    return verify_driver_at(address);
}

static void report(const char *kind, void *driver, const struct verify_stack *origin,
                   const char *format, va_list arguments)
{
    char text[TEXT_BYTES];
    int length = _vsnprintf(text, sizeof(text), format, arguments);
    text[length < 0 || (size_t)length >= sizeof(text) ? (int)sizeof(text) - 1 : length] = 0;
    verify_report(kind, driver, origin, "%s", text);
}

void ndis_platform_report(const char *kind, void *driver, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(kind, driver, NULL, format, arguments);
    va_end(arguments);
}

void ndis_platform_report_of(const char *kind, void *driver, const void *origin, const char *format,
                             ...)
{
    struct verify_stack stack = verify_stack_of(origin);
    va_list arguments;
    va_start(arguments, format);
    report(kind, driver, &stack, format, arguments);
    va_end(arguments);
}

void ndis_platform_level(void *driver, KIRQL highest, const char *function)
{
    verify_level_check(driver, highest, function);
}

bool ndis_platform_fails(void *driver)
{
    return verify_fails_now(driver);
}

void *ndis_platform_allocate(size_t bytes)
{
    return verify_allocate(bytes);
}

void ndis_platform_free(void *memory)
{
    verify_free(memory);
}

uint32_t ndis_platform_quarantine(void)
{
    return QUARANTINE;
}

void ndis_platform_lock(void)
{
    AcquireSRWLockExclusive(&lock);
}

void ndis_platform_unlock(void)
{
    ReleaseSRWLockExclusive(&lock);
}

void ndis_platform_wait(void)
{
    SleepConditionVariableSRW(&changed, &lock, MAXULONG, 0);
}

static void NTAPI work(void *instance, void *context)
{
    (void)instance;
    (void)context;
    AcquireSRWLockExclusive(&lock);
    while (ndis_work())
        continue;
    workers--;
    WakeAllConditionVariable(&changed);
    ReleaseSRWLockExclusive(&lock);
}

void ndis_platform_changed(void)
{
    WakeAllConditionVariable(&changed);
    if (workers < WORKERS && ndis_jobs_due() && TrySubmitThreadpoolCallback(work, NULL, NULL))
        workers++;
}

void ndis_platform_enter(struct ndis_call *call)
{
    struct verify_context before = verify_enter(call->level);
    static_assert(sizeof(before) <= sizeof(call->storage), "a call's storage");
    RtlCopyMemory(call->storage, &before, sizeof(before));
}

void ndis_platform_leave(struct ndis_call *call)
{
    struct verify_context before;
    RtlCopyMemory(&before, call->storage, sizeof(before));
    verify_leave(&before, call->driver, call->level, call->name, call->function);
}

void verify_ndis_start(void)
{
    ndis_start();
}

void verify_ndis_stop(void)
{
    AcquireSRWLockExclusive(&lock);
    while (workers)
        SleepConditionVariableSRW(&changed, &lock, MAXULONG, 0);
    ReleaseSRWLockExclusive(&lock);
    ndis_stop();
}

void verify_ndis_leaks(struct verify_driver *driver)
{
    ndis_leaks(driver);
}

NTSTATUS verify_ndis_control(const uint32_t *head, const void *in, ULONG in_bytes, void *out,
                             ULONG out_bytes, ULONG *ret_bytes)
{
    size_t bytes;
    NTSTATUS status = ndis_control(head[0], head[1], in, in_bytes, out, out_bytes, &bytes);
    *ret_bytes = (ULONG)bytes;
    return status;
}

/* ---- hooks ---- */

static void *allocate_for_driver(void *driver, size_t bytes)
{
    return verify_pool_allocate(driver, bytes, VERIFY_TAG, true);
}

static NDIS_STATUS NTAPI hook_NdisRegisterProtocolDriver(
    NDIS_HANDLE context, PNDIS_PROTOCOL_DRIVER_CHARACTERISTICS handlers, NDIS_HANDLE *ret_protocol)
{
    return ndis_register(CALLER, context, handlers, ret_protocol);
}

static void NTAPI hook_NdisDeregisterProtocolDriver(NDIS_HANDLE protocol)
{
    ndis_deregister(CALLER, protocol);
}

static NDIS_STATUS NTAPI hook_NdisOpenAdapterEx(NDIS_HANDLE protocol, NDIS_HANDLE context,
                                                PNDIS_OPEN_PARAMETERS parameters,
                                                NDIS_HANDLE bind_context, NDIS_HANDLE *ret_binding)
{
    return ndis_open(CALLER, protocol, context, parameters, bind_context, ret_binding);
}

static NDIS_STATUS NTAPI hook_NdisCloseAdapterEx(NDIS_HANDLE binding)
{
    return ndis_close(CALLER, binding);
}

static void NTAPI hook_NdisCompleteBindAdapterEx(NDIS_HANDLE bind_context, NDIS_STATUS status)
{
    ndis_complete_bind(CALLER, bind_context, status);
}

static void NTAPI hook_NdisCompleteUnbindAdapterEx(NDIS_HANDLE unbind_context)
{
    ndis_complete_unbind(CALLER, unbind_context);
}

static void NTAPI hook_NdisCompleteNetPnPEvent(NDIS_HANDLE binding,
                                               PNET_PNP_EVENT_NOTIFICATION event,
                                               NDIS_STATUS status)
{
    ndis_complete_event(CALLER, binding, event, status);
}

static NDIS_STATUS NTAPI hook_NdisQueryBindInstanceName(PNDIS_STRING ret_name,
                                                        NDIS_HANDLE bind_context)
{
    return ndis_instance_name(CALLER, bind_context, ret_name, allocate_for_driver);
}

static void NTAPI hook_NdisFreeMemory(PVOID memory, ULONG bytes, ULONG flags)
{
    (void)bytes;
    (void)flags;
    verify_pool_free(CALLER, memory, VERIFY_TAG);
}

static void NTAPI hook_NdisSendNetBufferLists(NDIS_HANDLE binding, PNET_BUFFER_LIST lists,
                                              NDIS_PORT_NUMBER port, ULONG flags)
{
    (void)port;
    ndis_send(CALLER, binding, lists, flags);
}

static void NTAPI hook_NdisReturnNetBufferLists(NDIS_HANDLE binding, PNET_BUFFER_LIST lists,
                                                ULONG flags)
{
    (void)flags;
    ndis_return(CALLER, binding, lists);
}

static void NTAPI hook_NdisCancelSendNetBufferLists(NDIS_HANDLE binding, PVOID cancel_id)
{
    ndis_cancel_sends(CALLER, binding, cancel_id);
}

static NDIS_STATUS NTAPI hook_NdisOidRequest(NDIS_HANDLE binding, PNDIS_OID_REQUEST request)
{
    return ndis_request(CALLER, binding, request);
}

static void NTAPI hook_NdisCancelOidRequest(NDIS_HANDLE binding, PVOID request_id)
{
    ndis_cancel_request(CALLER, binding, request_id);
}

static UCHAR NTAPI hook_NdisGeneratePartialCancelId(void)
{
    return ndis_partial_cancel_id();
}

static NDIS_HANDLE NTAPI
hook_NdisAllocateNetBufferListPool(NDIS_HANDLE handle, NET_BUFFER_LIST_POOL_PARAMETERS *parameters)
{
    (void)handle;
    return ndis_pool_create(CALLER, __builtin_return_address(0), parameters);
}

static void NTAPI hook_NdisFreeNetBufferListPool(NDIS_HANDLE pool)
{
    ndis_pool_free(CALLER, pool);
}

static PNET_BUFFER_LIST NTAPI hook_NdisAllocateNetBufferAndNetBufferList(
    NDIS_HANDLE pool, USHORT context_bytes, USHORT backfill_bytes, PMDL chain, ULONG offset_bytes,
    SIZE_T length_bytes)
{
    (void)context_bytes;
    (void)backfill_bytes;
    return ndis_list_create(CALLER, pool, chain, offset_bytes, length_bytes);
}

static void NTAPI hook_NdisFreeNetBufferList(PNET_BUFFER_LIST list)
{
    ndis_list_free(CALLER, list);
}

static const struct verify_hook hooks[] = {
    SUPPLY(NdisRegisterProtocolDriver),
    SUPPLY(NdisDeregisterProtocolDriver),
    SUPPLY(NdisOpenAdapterEx),
    SUPPLY(NdisCloseAdapterEx),
    SUPPLY(NdisCompleteBindAdapterEx),
    SUPPLY(NdisCompleteUnbindAdapterEx),
    SUPPLY(NdisCompleteNetPnPEvent),
    SUPPLY(NdisQueryBindInstanceName),
    SUPPLY(NdisFreeMemory),
    SUPPLY(NdisSendNetBufferLists),
    SUPPLY(NdisReturnNetBufferLists),
    SUPPLY(NdisCancelSendNetBufferLists),
    SUPPLY(NdisOidRequest),
    SUPPLY(NdisCancelOidRequest),
    SUPPLY(NdisGeneratePartialCancelId),
    SUPPLY(NdisAllocateNetBufferListPool),
    SUPPLY(NdisFreeNetBufferListPool),
    SUPPLY(NdisAllocateNetBufferAndNetBufferList),
    SUPPLY(NdisFreeNetBufferList),
};
const struct verify_hooks verify_ndis_hooks = VERIFY_HOOKS(hooks);
