/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adapters: which interfaces there are, and what is told of them. Answers may come from any thread
 * and only set flags; the protocol's thread then looks what has become due.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include "port/posix/frame_internal.h"
#include "vck/bytes.h"

/* ---- answers ---- */

static struct adapter *of_bind(struct vck_frames_bind *bind)
{
    return VCK_CONTAINER_OF(bind, struct adapter, bind);
}

void vck_frames_bind_done(struct vck_frames_bind *bind, vck_status status)
{
    struct adapter *adapter = of_bind(bind);
    struct vck_frames_protocol *protocol = adapter->protocol;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_spinlock_acquire(&protocol->lock);
    if (adapter->state == ADAPTER_TOLD)
        adapter->state = status == VCK_OK ? ADAPTER_BOUND : ADAPTER_REFUSED;
    vck_frames_wake(protocol);
    vck_spinlock_release(&protocol->lock);
}

void vck_frames_event_done(struct vck_frames_event *event, vck_status status)
{
    bool is_unbind = event->type == VCK_FRAMES_UNBIND;
    struct adapter *adapter = is_unbind ? VCK_CONTAINER_OF(event, struct adapter, unbind_event)
                                        : VCK_CONTAINER_OF(event, struct adapter, flow_event);
    struct vck_frames_protocol *protocol = adapter->protocol;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_spinlock_acquire(&protocol->lock);
    if (is_unbind) {
        adapter->state = ADAPTER_FORGOTTEN;
    } else {
        adapter->is_flow_pending = false;
        adapter->runs = event->type == VCK_FRAMES_RESTART && status == VCK_OK;
        /* A restart that failed is not tried again until the interface goes down and up. */
        if (event->type == VCK_FRAMES_RESTART && status != VCK_OK)
            adapter->is_flow_refused = true;
    }
    vck_frames_wake(protocol);
    vck_spinlock_release(&protocol->lock);
}

/* ---- what is due ---- */

enum due {
    NOTHING,
    UNBIND,
    PAUSE,
    RESTART,
    FORGET,
};

/* Under the lock, of one that is bound. */
static bool is_flow_due(const struct adapter *adapter)
{
    return adapter->is_up != adapter->runs && !(adapter->is_up && adapter->is_flow_refused);
}

static enum due look(struct adapter *adapter)
{
    enum due due = NOTHING;

    vck_spinlock_acquire(&adapter->protocol->lock);
    if (adapter->state == ADAPTER_FORGOTTEN ||
        (adapter->state == ADAPTER_REFUSED && adapter->is_gone)) {
        due = adapter->is_flow_pending ? NOTHING : FORGET;
    } else if (adapter->state == ADAPTER_BOUND && adapter->is_gone) {
        due = UNBIND;
        adapter->state = ADAPTER_UNBINDING;
    } else if (adapter->state == ADAPTER_BOUND && !adapter->is_flow_pending &&
               is_flow_due(adapter)) {
        due = adapter->is_up ? RESTART : PAUSE;
        adapter->is_flow_pending = true;
    }
    vck_spinlock_release(&adapter->protocol->lock);
    return due;
}

static void forget(struct adapter *adapter)
{
    vck_link_remove(&adapter->link);
    vck_free(adapter);
}

static void tell(struct adapter *adapter, struct vck_frames_event *event,
                 enum vck_frames_event_type type)
{
    struct vck_frames_binding *binding = adapter->binding;

    event->type = (uint8_t)type;
    binding->handlers->event(binding, event);
}

static void settle(struct adapter *adapter)
{
    switch (look(adapter)) {
    case UNBIND:
        tell(adapter, &adapter->unbind_event, VCK_FRAMES_UNBIND);
        break;
    case PAUSE:
        tell(adapter, &adapter->flow_event, VCK_FRAMES_PAUSE);
        break;
    case RESTART:
        tell(adapter, &adapter->flow_event, VCK_FRAMES_RESTART);
        break;
    case FORGET:
        forget(adapter);
        break;
    case NOTHING:
        break;
    }
}

/* Answered, and running when it can. */
static bool is_settled(struct adapter *adapter)
{
    bool is;

    vck_spinlock_acquire(&adapter->protocol->lock);
    is = adapter->state != ADAPTER_TOLD &&
         (adapter->state != ADAPTER_BOUND || (!adapter->is_flow_pending && !is_flow_due(adapter)));
    vck_spinlock_release(&adapter->protocol->lock);
    return is;
}

/* Who waits for the binds finds adapters that carry frames. */
static void complete(struct vck_frames_protocol *protocol)
{
    VCK_LIST_FOR_EACH(link, next, &protocol->adapters)
    {
        if (!is_settled(VCK_CONTAINER_OF(link, struct adapter, link)))
            return;
    }
    protocol->is_complete = true;
    protocol->handler->handlers->binds_complete(protocol->handler);
}

void vck_frames_adapters_settle(struct vck_frames_protocol *protocol)
{
    VCK_LIST_FOR_EACH(link, next, &protocol->adapters)
    {
        settle(VCK_CONTAINER_OF(link, struct adapter, link));
    }
    if (protocol->is_listed && !protocol->is_complete)
        complete(protocol);
}

static void go(struct adapter *adapter)
{
    vck_spinlock_acquire(&adapter->protocol->lock);
    adapter->is_gone = true;
    vck_spinlock_release(&adapter->protocol->lock);
}

void vck_frames_adapters_end(struct vck_frames_protocol *protocol)
{
    VCK_LIST_FOR_EACH(link, next, &protocol->adapters)
    {
        go(VCK_CONTAINER_OF(link, struct adapter, link));
    }
}

/* ---- news ---- */

static struct adapter *find(struct vck_frames_protocol *protocol, uint32_t index)
{
    VCK_LIST_FOR_EACH(link, next, &protocol->adapters)
    {
        struct adapter *adapter = VCK_CONTAINER_OF(link, struct adapter, link);
        if (adapter->bind.index == index && !adapter->is_gone)
            return adapter;
    }
    return NULL;
}

static bool is_chosen(const struct vck_frames_protocol *protocol, const struct link_news *news)
{
    const char *const *names = protocol->config.names;

    if (!news->is_ethernet || !news->has_address)
        return false;
    if (!names)
        return true;
    for (; *names; names++)
        if (strcmp(*names, news->name) == 0)
            return true;
    return false;
}

static void appear(struct vck_frames_protocol *protocol, const struct link_news *news)
{
    struct adapter *adapter;

    if (!is_chosen(protocol, news))
        return;
    adapter = vck_alloc(sizeof(*adapter), FRAMES_TAG);
    if (!adapter)
        return; /* told of again with its next change */
    adapter->protocol = protocol;
    memcpy(adapter->name, news->name, sizeof(adapter->name));
    adapter->bind = (struct vck_frames_bind){
        .name = adapter->name, .description = "Ethernet interface", .index = news->index};
    adapter->is_seen = true;
    adapter->is_up = news->is_up;
    adapter->is_running = news->is_running;
    vck_list_push_back(&protocol->adapters, &adapter->link);
    protocol->handler->handlers->bind(protocol->handler, &adapter->bind);
}

static void tell_link(struct adapter *adapter, bool is_running)
{
    struct vck_frames_link link = {.is_known = true, .is_up = is_running};
    struct vck_frames_status status = {.code = VCK_FRAME_STATUS_LINK_STATE, .link = &link};
    struct vck_frames_binding *binding = adapter->binding;
    uint8_t data[4];
    vck_level level;

    adapter->is_running = is_running;
    if (!adapter->socket)
        return;
    /* NDIS tells it with its own numbers: 1 is connected, 2 is not. */
    vck_store_le32(data, is_running ? 1 : 2);
    status.data = data;
    status.size_bytes = sizeof(data);
    level = vck_frames_raise();
    binding->handlers->status(binding, &status);
    vck_frames_lower(level);
}

static void rename_to(struct adapter *adapter, const char *name)
{
    memcpy(adapter->name, name, sizeof(adapter->name));
    if (adapter->socket)
        adapter->binding->handlers->renamed(adapter->binding, name);
}

static void take(void *context, const struct link_news *news)
{
    struct vck_frames_protocol *protocol = context;
    struct adapter *adapter = find(protocol, news->index);

    if (news->is_gone) {
        if (adapter)
            go(adapter);
        return;
    }
    if (!adapter) {
        appear(protocol, news);
        return;
    }
    adapter->is_seen = true;
    vck_spinlock_acquire(&protocol->lock);
    if (adapter->is_up && !news->is_up)
        adapter->is_flow_refused = false;
    adapter->is_up = news->is_up;
    vck_spinlock_release(&protocol->lock);
    if (adapter->is_running != news->is_running)
        tell_link(adapter, news->is_running);
    if (strcmp(adapter->name, news->name) != 0)
        rename_to(adapter, news->name);
}

/* The list is over: what is not in it is gone. */
static void listed(struct vck_frames_protocol *protocol)
{
    VCK_LIST_FOR_EACH(link, next, &protocol->adapters)
    {
        struct adapter *adapter = VCK_CONTAINER_OF(link, struct adapter, link);
        if (!adapter->is_seen)
            go(adapter);
    }
    protocol->is_listed = true;
}

/* News were lost: everything is listed anew. */
static void list_again(struct vck_frames_protocol *protocol)
{
    VCK_LIST_FOR_EACH(link, next, &protocol->adapters)
    {
        VCK_CONTAINER_OF(link, struct adapter, link)->is_seen = false;
    }
    (void)vck_frames_links_ask(protocol->news_fd, 0);
}

void vck_frames_adapters_news(struct vck_frames_protocol *protocol)
{
    bool is_complete = false;
    int result = vck_frames_links_read(protocol->news_fd, take, protocol, &is_complete);

    if (result != 0 && errno == ENOBUFS)
        list_again(protocol);
    else if (is_complete)
        listed(protocol);
}
