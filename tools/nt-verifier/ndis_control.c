/* SPDX-License-Identifier: Apache-2.0 */
/* What tests ask: how adapters behave, what happens to them, and what there is. */
#include "ndis_model.h"

static const WCHAR adapter_name[] = L"\\DEVICE\\{5C0E7A10-2F4B-4D5A-9B1E-000000000000}";

static const struct ndis_options first_options[NDIS_ADAPTERS] = {
    {.receive_limit = 4096},
    {.opens_later = 1,
     .closes_later = 1,
     .sends_later = 1,
     .requests_later = 1,
     .lends_short_every = 7,
     .splits = 1,
     .shuffles = 1,
     .receive_limit = 4096},
};

static void reset(struct ndis_adapter *adapter)
{
    adapter->options = first_options[adapter->number];
    adapter->counts = (struct ndis_counts){0};
    adapter->sends = adapter->requests = adapter->indications = adapter->frames = 0;
    adapter->is_paused = adapter->is_low_power = false;
    adapter->is_present = adapter->is_up = true;
}

void ndis_start(void)
{
    ndis_world = (struct ndis_world){.random = 1};
    for (uint32_t i = 0; i < NDIS_ADAPTERS; i++) {
        struct ndis_adapter *adapter = &ndis_world.adapters[i];
        size_t digit = sizeof(adapter_name) / sizeof(WCHAR) - 3;
        adapter->number = i;
        RtlCopyMemory(adapter->name_text, adapter_name, sizeof(adapter_name));
        adapter->name_text[digit] += (WCHAR)i;
        adapter->name = (UNICODE_STRING){sizeof(adapter_name) - sizeof(WCHAR), sizeof(adapter_name),
                                         adapter->name_text};
        const UCHAR mac[6] = {0x02, 0x56, 0x43, 0x4b, 0x00, (UCHAR)(i + 1)};
        RtlCopyMemory(adapter->mac, mac, sizeof(mac));
        reset(adapter);
    }
}

void ndis_stop(void)
{
    struct ndis_packet *packet;
    while ((packet = ndis_world.quarantine) != NULL) {
        ndis_world.quarantine = packet->next;
        ndis_platform_free(packet);
    }
    ndis_world.quarantined = 0;
}

UCHAR ndis_partial_cancel_id(void)
{
    ndis_platform_lock();
    UCHAR part = ++ndis_world.cancel_parts;
    ndis_platform_unlock();
    return part;
}

void ndis_leaks(void *driver)
{
    ndis_platform_lock();
    for (size_t i = 0; i < NDIS_PROTOCOLS; i++) {
        struct ndis_protocol *protocol = ndis_world.protocols[i];
        if (protocol && protocol->driver == driver) {
            ndis_platform_report_of(
                "ndis-protocol-left", driver,
                (const void *)(uintptr_t)protocol->handlers.BindAdapterHandlerEx,
                "a protocol was not deregistered");
            ndis_world.protocols[i] = NULL;
        }
    }
    struct ndis_pool **place = &ndis_world.pools;
    while (*place) {
        struct ndis_pool *pool = *place;
        if (pool->driver != driver) {
            place = &pool->next;
            continue;
        }
        ndis_platform_report_of("ndis-pool-leak", driver, pool->made_at,
                                "a pool with %u lists was not freed", pool->lists);
        *place = pool->next;
        ndis_platform_free(pool);
    }
    ndis_platform_unlock();
}

/* ---- counting ---- */

static void count_binding(const struct ndis_binding *binding, struct ndis_counts *counts)
{
    counts->bindings++;
    counts->opens += binding->opening == NDIS_OPEN;
    counts->sends += binding->sends;
    counts->receives += binding->receives;
    counts->requests += binding->requests;
    counts->events += binding->life != NDIS_BOUND;
    for (size_t i = 0; i < NDIS_EVENTS; i++)
        counts->events += binding->events[i].is_out;
}

static struct ndis_counts count(const struct ndis_adapter *adapter)
{
    struct ndis_counts counts = adapter->counts;
    counts.is_present = adapter->is_present;
    counts.is_paused = adapter->is_paused;
    counts.due = ndis_jobs_due();
    for (const struct ndis_pool *pool = ndis_world.pools; pool; pool = pool->next) {
        counts.pools++;
        counts.lists += pool->lists;
    }
    for (size_t i = 0; i < NDIS_PROTOCOLS; i++) {
        const struct ndis_protocol *protocol = ndis_world.protocols[i];
        counts.protocols += protocol != NULL;
        for (size_t j = 0; protocol && j < NDIS_ADAPTERS; j++) {
            const struct ndis_binding *binding = protocol->bindings[j];
            if (binding)
                count_binding(binding, &counts);
            if (binding && j == adapter->number)
                counts.is_running |= binding->run == NDIS_RUNNING;
        }
    }
    return counts;
}

/* ---- doing ---- */

static void for_bindings(struct ndis_adapter *adapter,
                         void (*visit)(struct ndis_binding *binding, uint32_t argument),
                         uint32_t argument)
{
    for (size_t i = 0; i < NDIS_PROTOCOLS; i++) {
        struct ndis_protocol *protocol = ndis_world.protocols[i];
        if (protocol && protocol->bindings[adapter->number])
            visit(protocol->bindings[adapter->number], argument);
    }
}

static void release(struct ndis_binding *binding, uint32_t is_cancelled)
{
    ndis_release_sends(binding, is_cancelled != 0);
    ndis_release_requests(binding, is_cancelled != 0);
}

static void let_go(struct ndis_binding *binding, uint32_t argument)
{
    (void)argument;
    binding->must_go = true;
}

static void tell(struct ndis_binding *binding, uint32_t code)
{
    binding->owes_status = true;
    binding->status_code = code;
}

static void bind_all(const struct ndis_adapter *adapter)
{
    for (size_t i = 0; i < NDIS_PROTOCOLS; i++) {
        struct ndis_protocol *protocol = ndis_world.protocols[i];
        if (!protocol || protocol->is_ending)
            continue;
        const struct ndis_binding *binding = protocol->bindings[adapter->number];
        protocol->owes_bind[adapter->number] = !binding || binding->must_go || binding->is_gone;
    }
}

static void uninstall(void)
{
    for (size_t i = 0; i < NDIS_PROTOCOLS; i++) {
        if (ndis_world.protocols[i])
            ndis_world.protocols[i]->owes_uninstall = true;
    }
}

static uint32_t number_in(const void *in)
{
    uint32_t number;
    RtlCopyMemory(&number, in, sizeof(number));
    return number;
}

static void act(struct ndis_adapter *adapter, uint32_t verb, const void *in, size_t in_bytes)
{
    switch (verb) {
    case NDIS_CONFIGURE:
        RtlCopyMemory(&adapter->options, in, sizeof(adapter->options));
        break;
    case NDIS_RESET:
        reset(adapter);
        for_bindings(adapter, release, true);
        break;
    case NDIS_ADD:
        adapter->is_present = true;
        bind_all(adapter);
        break;
    case NDIS_BIND:
        bind_all(adapter);
        break;
    case NDIS_REMOVE:
        adapter->is_present = false;
        for_bindings(adapter, release, true);
        for_bindings(adapter, let_go, 0);
        break;
    case NDIS_UNBIND:
        for_bindings(adapter, let_go, 0);
        break;
    case NDIS_PAUSE:
    case NDIS_RESTART:
        adapter->is_paused = verb == NDIS_PAUSE;
        break;
    case NDIS_LOW_POWER:
    case NDIS_FULL_POWER:
        adapter->is_low_power = verb == NDIS_LOW_POWER;
        break;
    case NDIS_LINK:
        adapter->is_up = number_in(in) != 0;
        for_bindings(adapter, tell, (uint32_t)NDIS_STATUS_LINK_STATE);
        break;
    case NDIS_STATUS_IS:
        for_bindings(adapter, tell, number_in(in));
        break;
    case NDIS_RECEIVE:
        ndis_arrive(adapter, in, (uint32_t)in_bytes);
        break;
    case NDIS_RELEASE:
        for_bindings(adapter, release, false);
        break;
    case NDIS_UNINSTALL:
        uninstall();
        break;
    default:
        break;
    }
}

static bool has_right_size(uint32_t verb, size_t in_bytes)
{
    if (verb == NDIS_CONFIGURE)
        return in_bytes == sizeof(struct ndis_options);
    if (verb == NDIS_LINK || verb == NDIS_STATUS_IS)
        return in_bytes == sizeof(uint32_t);
    if (verb == NDIS_RECEIVE)
        return in_bytes >= NDIS_HEADER_BYTES && in_bytes <= NDIS_FRAME_BYTES_MAX;
    return in_bytes == 0;
}

NTSTATUS ndis_control(uint32_t verb, uint32_t adapter, const void *in, size_t in_bytes, void *out,
                      size_t out_bytes, size_t *ret_bytes)
{
    struct ndis_counts counts;
    *ret_bytes = 0;
    if (verb >= NDIS_VERBS || adapter >= NDIS_ADAPTERS || !has_right_size(verb, in_bytes) ||
        (verb == NDIS_QUERY && out_bytes < sizeof(counts)))
        return STATUS_INVALID_PARAMETER;
    ndis_platform_lock();
    if (verb == NDIS_QUERY)
        counts = count(&ndis_world.adapters[adapter]);
    else
        act(&ndis_world.adapters[adapter], verb, in, in_bytes);
    ndis_platform_changed();
    ndis_platform_unlock();
    if (verb == NDIS_QUERY) {
        RtlCopyMemory(out, &counts, sizeof(counts));
        *ret_bytes = sizeof(counts);
    }
    return STATUS_SUCCESS;
}
