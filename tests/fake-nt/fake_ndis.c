/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "fake_nt_internal.h"
#include "tools/nt-verifier/ndis_model.h"

enum { WORKERS = 3, SETTLE_MS = 300000 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t workers[WORKERS];
    bool is_ending;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* ---- what the model stands on ---- */

static void stop(const char *kind, const char *format, va_list arguments)
{
    fprintf(stderr, "%s: ", kind);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    abort();
}

void ndis_platform_report(const char *kind, void *driver, const char *format, ...)
{
    va_list arguments;

    (void)driver;
    va_start(arguments, format);
    stop(kind, format, arguments);
    va_end(arguments);
}

void ndis_platform_report_of(const char *kind, void *driver, const void *origin, const char *format,
                             ...)
{
    va_list arguments;

    (void)driver;
    (void)origin;
    va_start(arguments, format);
    stop(kind, format, arguments);
    va_end(arguments);
}

void ndis_platform_level(void *driver, KIRQL highest, const char *function)
{
    (void)driver;
    if ((KIRQL)vck_current_level() > highest) {
        fprintf(stderr, "%s is called at level %d\n", function, (int)vck_current_level());
        abort();
    }
}

bool ndis_platform_fails(void *driver)
{
    (void)driver;
    return fake_should_fail();
}

void *ndis_platform_allocate(size_t bytes)
{
    return calloc(1, bytes);
}

void ndis_platform_free(void *memory)
{
    free(memory);
}

/* The address sanitizer knows better. */
uint32_t ndis_platform_quarantine(void)
{
    return 0;
}

void ndis_platform_lock(void)
{
    pthread_mutex_lock(&fake.lock);
}

void ndis_platform_unlock(void)
{
    pthread_mutex_unlock(&fake.lock);
}

void ndis_platform_wait(void)
{
    pthread_cond_wait(&fake.changed, &fake.lock);
}

void ndis_platform_changed(void)
{
    pthread_cond_broadcast(&fake.changed);
}

void ndis_platform_enter(struct ndis_call *call)
{
    if (call->level == PASSIVE_LEVEL || vck_current_level() == VCK_LEVEL_DISPATCH)
        return;
    fake_raise();
    call->storage[0] = 1;
}

void ndis_platform_leave(struct ndis_call *call)
{
    VCK_ASSERT(vck_current_level() == (vck_level)call->level);
    if (call->storage[0])
        fake_lower();
}

/* ---- threads ---- */

static void *work(void *unused)
{
    (void)unused;
    ndis_platform_lock();
    while (!fake.is_ending) {
        if (!ndis_work())
            ndis_platform_wait();
    }
    ndis_platform_unlock();
    return NULL;
}

void fake_ndis_begin(void)
{
    fake.is_ending = false;
    ndis_start();
    for (size_t i = 0; i < WORKERS; i++)
        VCK_ASSERT(pthread_create(&fake.workers[i], NULL, work, NULL) == 0);
}

void fake_ndis_end(void)
{
    ndis_platform_lock();
    fake.is_ending = true;
    ndis_platform_changed();
    ndis_platform_unlock();
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(fake.workers[i], NULL);
    ndis_leaks(NULL);
    ndis_stop();
}

/* ---- for tests ---- */

static void control(uint32_t verb, uint32_t adapter, const void *in, size_t in_bytes)
{
    size_t bytes;

    VCK_ASSERT(ndis_control(verb, adapter, in, in_bytes, NULL, 0, &bytes) == STATUS_SUCCESS);
}

void fake_ndis_do(uint32_t verb, uint32_t adapter)
{
    control(verb, adapter, NULL, 0);
}

void fake_ndis_set(uint32_t verb, uint32_t adapter, uint32_t value)
{
    control(verb, adapter, &value, sizeof(value));
}

void fake_ndis_receive(uint32_t adapter, const void *frame, uint32_t bytes)
{
    control(NDIS_RECEIVE, adapter, frame, bytes);
}

void fake_ndis_configure(uint32_t adapter, const struct ndis_options *options)
{
    control(NDIS_CONFIGURE, adapter, options, sizeof(*options));
}

struct ndis_counts fake_ndis_count(uint32_t adapter)
{
    struct ndis_counts counts;
    size_t bytes;

    VCK_ASSERT(ndis_control(NDIS_QUERY, adapter, NULL, 0, &counts, sizeof(counts), &bytes) ==
               STATUS_SUCCESS);
    return counts;
}

void fake_ndis_settle(void)
{
    const struct timespec step = {.tv_nsec = 200000};
    uint64_t end = vck_clock_ns() + SETTLE_MS * UINT64_C(1000000);
    struct ndis_counts counts = fake_ndis_count(0);

    while (counts.due || counts.events) {
        VCK_ASSERT(vck_clock_ns() < end);
        nanosleep(&step, NULL);
        counts = fake_ndis_count(0);
    }
}

/* ---- NDIS ---- */

NDIS_STATUS NdisRegisterProtocolDriver(NDIS_HANDLE context,
                                       PNDIS_PROTOCOL_DRIVER_CHARACTERISTICS handlers,
                                       NDIS_HANDLE *ret_protocol)
{
    return ndis_register(NULL, context, handlers, ret_protocol);
}

VOID NdisDeregisterProtocolDriver(NDIS_HANDLE protocol)
{
    ndis_deregister(NULL, protocol);
}

NDIS_STATUS NdisOpenAdapterEx(NDIS_HANDLE protocol, NDIS_HANDLE context,
                              PNDIS_OPEN_PARAMETERS parameters, NDIS_HANDLE bind_context,
                              NDIS_HANDLE *ret_binding)
{
    return ndis_open(NULL, protocol, context, parameters, bind_context, ret_binding);
}

NDIS_STATUS NdisCloseAdapterEx(NDIS_HANDLE binding)
{
    return ndis_close(NULL, binding);
}

VOID NdisCompleteBindAdapterEx(NDIS_HANDLE bind_context, NDIS_STATUS status)
{
    ndis_complete_bind(NULL, bind_context, status);
}

VOID NdisCompleteUnbindAdapterEx(NDIS_HANDLE unbind_context)
{
    ndis_complete_unbind(NULL, unbind_context);
}

VOID NdisCompleteNetPnPEvent(NDIS_HANDLE binding, PNET_PNP_EVENT_NOTIFICATION event,
                             NDIS_STATUS status)
{
    ndis_complete_event(NULL, binding, event, status);
}

static void *allocate(void *driver, size_t bytes)
{
    return ndis_platform_fails(driver) ? NULL : calloc(1, bytes);
}

NDIS_STATUS NdisQueryBindInstanceName(PNDIS_STRING ret_name, NDIS_HANDLE bind_context)
{
    return ndis_instance_name(NULL, bind_context, ret_name, allocate);
}

VOID NdisFreeMemory(PVOID memory, ULONG bytes, ULONG flags)
{
    (void)bytes;
    (void)flags;
    free(memory);
}

VOID NdisSendNetBufferLists(NDIS_HANDLE binding, PNET_BUFFER_LIST lists, NDIS_PORT_NUMBER port,
                            ULONG flags)
{
    (void)port;
    ndis_send(NULL, binding, lists, flags);
}

VOID NdisReturnNetBufferLists(NDIS_HANDLE binding, PNET_BUFFER_LIST lists, ULONG flags)
{
    (void)flags;
    ndis_return(NULL, binding, lists);
}

VOID NdisCancelSendNetBufferLists(NDIS_HANDLE binding, PVOID cancel_id)
{
    ndis_cancel_sends(NULL, binding, cancel_id);
}

NDIS_STATUS NdisOidRequest(NDIS_HANDLE binding, PNDIS_OID_REQUEST request)
{
    return ndis_request(NULL, binding, request);
}

VOID NdisCancelOidRequest(NDIS_HANDLE binding, PVOID request_id)
{
    ndis_cancel_request(NULL, binding, request_id);
}

UCHAR NdisGeneratePartialCancelId(VOID)
{
    return ndis_partial_cancel_id();
}

NDIS_HANDLE NdisAllocateNetBufferListPool(NDIS_HANDLE handle,
                                          NET_BUFFER_LIST_POOL_PARAMETERS *parameters)
{
    (void)handle;
    return ndis_pool_create(NULL, __builtin_return_address(0), parameters);
}

VOID NdisFreeNetBufferListPool(NDIS_HANDLE pool)
{
    ndis_pool_free(NULL, pool);
}

PNET_BUFFER_LIST NdisAllocateNetBufferAndNetBufferList(NDIS_HANDLE pool, USHORT context_bytes,
                                                       USHORT backfill_bytes, PMDL chain,
                                                       ULONG offset_bytes, SIZE_T length_bytes)
{
    (void)context_bytes;
    (void)backfill_bytes;
    return ndis_list_create(NULL, pool, chain, offset_bytes, length_bytes);
}

VOID NdisFreeNetBufferList(PNET_BUFFER_LIST list)
{
    ndis_list_free(NULL, list);
}
