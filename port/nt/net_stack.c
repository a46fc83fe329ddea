/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registration with Winsock Kernel, and the pump: the thread that goes on with what a
 * completion may not.
 */
#include "port/nt/net_internal.h"

#define CAPTURE_WAIT_MS 5000u

static const WSK_CLIENT_DISPATCH client_dispatch = {.Version = WSK_VERSION_1_0};
static const WSK_CLIENT_NPI client_npi = {.Dispatch = &client_dispatch};

/* ---- who uses the stack ---- */

void vck_nt_net_enter(struct vck_sockets *stack)
{
    vck_spinlock_acquire(&stack->lock);
    stack->user_count++;
    vck_spinlock_release(&stack->lock);
}

/* The event is set under the lock: the stack goes as soon as its closer has taken it once more. */
void vck_nt_net_leave(struct vck_sockets *stack)
{
    vck_spinlock_acquire(&stack->lock);
    if (--stack->user_count == 0)
        vck_event_set(&stack->empty_event);
    vck_spinlock_release(&stack->lock);
}

void vck_nt_net_abandon(struct vck_sockets *stack, struct net_call *call)
{
    vck_spinlock_acquire(&stack->lock);
    call->next = stack->abandoned;
    stack->abandoned = call;
    vck_spinlock_release(&stack->lock);
}

/* ---- the pump ---- */

void vck_nt_net_queue(struct vck_sockets *stack, struct net_work *work,
                      void (*run)(struct net_work *work))
{
    work->run = run;
    work->next = NULL;
    vck_spinlock_acquire(&stack->lock);
    *stack->last_work = work;
    stack->last_work = &work->next;
    if (stack->is_pump_asleep) {
        stack->is_pump_asleep = false;
        vck_event_set(&stack->pump_event);
    }
    vck_spinlock_release(&stack->lock);
}

/* VCK_FOREVER for none. Under the lock. */
static uint64_t earliest_limit(const struct vck_sockets *stack)
{
    if (vck_list_is_empty(&stack->limited))
        return VCK_FOREVER;
    return VCK_CONTAINER_OF(stack->limited.next, struct net_socket, limit_link)->limit_ns;
}

/* A socket whose limit has passed, referenced and out of the list. */
static struct net_socket *take_late(struct vck_sockets *stack, uint64_t now_ns)
{
    struct net_socket *late = NULL;

    vck_spinlock_acquire(&stack->lock);
    for (struct vck_link *i = stack->limited.next; i != &stack->limited && !late; i = i->next) {
        struct net_socket *s = VCK_CONTAINER_OF(i, struct net_socket, limit_link);
        if (s->limit_ns > now_ns && !stack->is_stopping)
            break;
        if (vck_holds_try(&s->references))
            late = s;
    }
    if (late)
        vck_link_remove(&late->limit_link);
    vck_spinlock_release(&stack->lock);
    return late;
}

static struct net_work *take_work(struct vck_sockets *stack, uint64_t *ret_limit_ns)
{
    vck_spinlock_acquire(&stack->lock);
    struct net_work *work = stack->first_work;
    if (work) {
        stack->first_work = work->next;
        if (!stack->first_work)
            stack->last_work = &stack->first_work;
    }
    stack->is_pump_asleep = !work;
    *ret_limit_ns = stack->is_pump_to_end && !work ? 0 : earliest_limit(stack);
    vck_spinlock_release(&stack->lock);
    return work;
}

static void pump(void *context) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct vck_sockets *stack = context;
    uint64_t limit_ns = VCK_FOREVER;

    while (limit_ns != 0) {
        struct net_work *work = take_work(stack, &limit_ns);
        struct net_socket *late = take_late(stack, vck_clock_ns());
        if (work)
            work->run(work);
        if (late) {
            vck_nt_net_limit_passed(late);
            vck_nt_net_socket_put(late);
        }
        if (!work && !late && limit_ns != 0)
            (void)vck_event_wait(&stack->pump_event, limit_ns);
    }
}

/* ---- open and close ---- */

static NTSTATUS attach(struct vck_sockets *stack)
{
    NTSTATUS status = WskRegister((WSK_CLIENT_NPI *)(uintptr_t)&client_npi, &stack->registration);

    if (!NT_SUCCESS(status))
        return status;
    status = WskCaptureProviderNPI(&stack->registration, CAPTURE_WAIT_MS, &stack->provider);
    if (!NT_SUCCESS(status))
        WskDeregister(&stack->registration);
    return status;
}

static void detach(struct vck_sockets *stack)
{
    WskReleaseProviderNPI(&stack->registration);
    WskDeregister(&stack->registration);
}

static struct vck_sockets *create(void)
{
    struct vck_sockets *stack = vck_alloc(sizeof(*stack), NET_TAG);

    if (!stack)
        return NULL;
    vck_spinlock_init(&stack->lock);
    vck_event_init(&stack->pump_event);
    vck_event_init(&stack->empty_event);
    vck_event_init(&stack->wake_event);
    vck_link_init(&stack->limited);
    stack->last_work = &stack->first_work;
    return stack;
}

static void destroy(struct vck_sockets *stack)
{
    while (stack->abandoned) {
        struct net_call *call = stack->abandoned;
        stack->abandoned = call->next;
        vck_nt_net_call_destroy(call);
    }
    vck_event_fini(&stack->wake_event);
    vck_event_fini(&stack->empty_event);
    vck_event_fini(&stack->pump_event);
    vck_free(stack);
}

vck_status vck_sockets_open(struct vck_sockets **ret_sockets, int32_t *ret_native_error)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    struct vck_sockets *stack = create();
    vck_status status = VCK_NO_MEMORY;

    if (!stack)
        return VCK_NO_MEMORY;
    NTSTATUS nt_status = attach(stack);
    if (NT_SUCCESS(nt_status)) {
        status = vck_thread_create(pump, stack, VCK_THREAD_NORMAL, "vck-net", &stack->pump);
        if (status != VCK_OK)
            detach(stack);
    } else {
        status = vck_nt_net_status(nt_status);
        if (ret_native_error)
            *ret_native_error = nt_status;
    }
    if (status != VCK_OK) {
        destroy(stack);
        return status;
    }
    *ret_sockets = stack;
    return VCK_OK;
}

static bool is_used(struct vck_sockets *stack)
{
    vck_spinlock_acquire(&stack->lock);
    bool used = stack->user_count > 0;
    vck_spinlock_release(&stack->lock);
    return used;
}

/* Connections that still wait for their peers end now. */
void vck_sockets_close(struct vck_sockets *sockets)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (!sockets)
        return;
    vck_spinlock_acquire(&sockets->lock);
    sockets->is_stopping = true;
    vck_event_set(&sockets->pump_event);
    vck_spinlock_release(&sockets->lock);
    while (is_used(sockets))
        (void)vck_event_wait(&sockets->empty_event, VCK_FOREVER);
    vck_spinlock_acquire(&sockets->lock);
    sockets->is_pump_to_end = true;
    vck_event_set(&sockets->pump_event);
    vck_spinlock_release(&sockets->lock);
    vck_thread_join(sockets->pump);
    detach(sockets);
    destroy(sockets);
}

/* ---- nobody has to drive ---- */

bool vck_sockets_is_driven(const struct vck_sockets *sockets)
{
    (void)sockets;
    return false;
}

void vck_sockets_wait(struct vck_sockets *sockets, uint64_t deadline_ns)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    (void)vck_event_wait(&sockets->wake_event, deadline_ns);
}

void vck_sockets_poll(struct vck_sockets *sockets)
{
    (void)sockets;
}

void vck_sockets_wake(struct vck_sockets *sockets)
{
    vck_event_set(&sockets->wake_event);
}
