/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider: registration, and the life of an IRP.
 */
#include "fake_wsk_internal.h"
#include <stdlib.h>

struct fake_wsk fake_wsk;
static _Thread_local uint32_t completing; /* completion routines on this thread's stack */

/* ---- results ---- */

static const struct {
    vck_status status;
    uint32_t nt;
} statuses[] = {
    {VCK_OK, 0},
    {VCK_CANCELLED, 0xC0000120},
    {VCK_NOT_READY, 0xC000023A},
    {VCK_REFUSED, 0xC0000236},
    {VCK_RESET, 0xC000020D},
    {VCK_UNREACHABLE, 0xC000023C},
    {VCK_TIMEOUT, 0xC00000B5},
    {VCK_ADDRESS_IN_USE, 0xC0000238},
    {VCK_ALREADY_EXISTS, 0xC000023B},
    {VCK_NOT_FOUND, 0xC0000207},
    {VCK_SIZE_MISMATCH, 0x80000005},
    {VCK_NO_MEMORY, 0xC000009A},
    {VCK_UNSUPPORTED, 0xC00000BB},
    {VCK_INVALID_DATA, 0xC000000D},
    {VCK_PERMISSION_DENIED, 0xC0000022},
};

NTSTATUS fake_wsk_status(const struct request *request, vck_status status)
{
    bool is_datagram = request->socket && request->socket->kind == WSK_FLAG_DATAGRAM_SOCKET;

    if (status == VCK_REFUSED && is_datagram)
        return (NTSTATUS)0xC000023F; /* PORT_UNREACHABLE */
    for (size_t i = 0; i < VCK_ARRAY_COUNT(statuses); i++)
        if (statuses[i].status == status)
            return (NTSTATUS)statuses[i].nt;
    return STATUS_UNSUCCESSFUL;
}

/* ---- the life of an IRP ---- */

static void live(struct fake_client *client, bool more)
{
    __atomic_fetch_add(&client->live, more ? 1u : UINT32_MAX, __ATOMIC_ACQ_REL);
}

static void complete_irp(struct request *request)
{
    PIRP irp = request->irp;
    struct fake_client *client = request->client;

    irp->IoStatus.Status = request->status;
    irp->IoStatus.Information = request->information;
    free(request);
    completing++;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    completing--;
    live(client, false);
}

static void put(struct request *request)
{
    if (__atomic_sub_fetch(&request->refs, 1, __ATOMIC_ACQ_REL) == 0)
        complete_irp(request);
}

static void put_later(struct request *request)
{
    struct fake_client *client = request->client;

    request->next = NULL;
    vck_spinlock_acquire(&client->lock);
    *client->last_done = request;
    client->last_done = &request->next;
    vck_spinlock_release(&client->lock);
    vck_event_set(&client->completer_event);
}

static void on_cancel(PDEVICE_OBJECT device, PIRP irp) VCK_NO_ANALYSIS
{
    struct request *request = irp->Tail.Overlay.DriverContext[0];

    (void)device;
    IoReleaseCancelSpinLock(irp->CancelIrql);
    if (request->socket)
        vck_sockets_cancel(&request->socket->host, &request->io);
    put(request);
}

void fake_wsk_done(struct request *request, NTSTATUS status)
{
    bool is_ours = IoSetCancelRoutine(request->irp, NULL) != NULL;

    request->status = status;
    if (is_ours)
        (void)__atomic_sub_fetch(&request->refs, 1, __ATOMIC_ACQ_REL);
    if (fake_wsk.mode >= FAKE_WSK_LATER)
        put_later(request);
    else
        put(request);
}

static void on_host_done(struct vck_socket_io *io)
{
    struct request *request = VCK_CONTAINER_OF(io, struct request, io);

    request->information = io->done_bytes;
    if (io->status == VCK_OK && request->succeed)
        request->succeed(request);
    fake_wsk_done(request, fake_wsk_status(request, io->status));
}

static bool is_to_fail(void)
{
    uint64_t left = __atomic_load_n(&fake_wsk.fail_nth, __ATOMIC_RELAXED);

    while (left != 0)
        if (__atomic_compare_exchange_n(&fake_wsk.fail_nth, &left, left - 1, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return left == 1;
    return false;
}

struct request *fake_wsk_begin(struct fake_client *client, struct fake_socket *s, PIRP irp,
                               enum fake_wsk_call call, NTSTATUS *ret_status)
{
    struct request *request;

    VCK_ASSERT(completing == 0 && "no function is called from a completion routine");
    VCK_ASSERT(!s || !__atomic_load_n(&s->is_closing, __ATOMIC_ACQUIRE));
    VCK_ASSERT(irp->CurrentLocation == irp->StackCount + 1 && "the IRP is fresh");
    if (fake_wsk.missing & (uint32_t)call) {
        *ret_status = STATUS_NOT_IMPLEMENTED;
        return NULL;
    }
    request = calloc(1, sizeof *request);
    VCK_ASSERT(request != NULL);
    live(client, true);
    irp->CurrentLocation--;
    irp->Tail.Overlay.DriverContext[0] = request;
    request->client = client;
    request->socket = s;
    request->irp = irp;
    request->refs = 2;
    request->io.done = on_host_done;
    if (s)
        __atomic_fetch_add(&s->calls, 1, __ATOMIC_ACQ_REL);
    if (call != FAKE_WSK_CLOSE && is_to_fail()) {
        *ret_status = fake_wsk_finish(request, STATUS_INSUFFICIENT_RESOURCES);
        return NULL;
    }
    return request;
}

/* What a call returns that has let its request go; request may be complete and gone. */
static NTSTATUS returned(struct fake_socket *s, NTSTATUS status)
{
    if (s)
        __atomic_fetch_sub(&s->calls, 1, __ATOMIC_ACQ_REL);
    return status;
}

/* The call's reference goes first, where the IRP is completed at once. */
NTSTATUS fake_wsk_finish(struct request *request, NTSTATUS status)
{
    struct fake_socket *s = request->socket;
    bool is_later = fake_wsk.mode >= FAKE_WSK_LATER;

    if (!NT_SUCCESS(status) && fake_wsk.fails_without_completion) {
        live(request->client, false);
        free(request);
        return returned(s, status);
    }
    (void)__atomic_sub_fetch(&request->refs, 1, __ATOMIC_ACQ_REL);
    fake_wsk_done(request, status);
    return returned(s, is_later || fake_wsk.mode == FAKE_WSK_AT_ONCE_PENDING ? STATUS_PENDING
                                                                             : status);
}

NTSTATUS fake_wsk_submit(struct request *request)
{
    struct fake_socket *s = request->socket;
    PIRP irp = request->irp;

    if (!fake_wsk.ignores_cancel) {
        __atomic_fetch_add(&request->refs, 1, __ATOMIC_ACQ_REL);
        IoSetCancelRoutine(irp, on_cancel);
        if (__atomic_load_n(&irp->Cancel, __ATOMIC_SEQ_CST) && IoSetCancelRoutine(irp, NULL)) {
            (void)__atomic_sub_fetch(&request->refs, 1, __ATOMIC_ACQ_REL);
            return fake_wsk_finish(request, STATUS_CANCELLED);
        }
    }
    if (fake_wsk.mode >= FAKE_WSK_LATER) {
        (void)__atomic_sub_fetch(&request->refs, 1, __ATOMIC_ACQ_REL);
        vck_sockets_submit(&s->host, &request->io);
        return returned(s, STATUS_PENDING);
    }
    vck_sockets_submit(&s->host, &request->io);
    /* Done, and nobody else has it: completed here. */
    uint32_t last = 1;
    if (__atomic_compare_exchange_n(&request->refs, &last, 0, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
        NTSTATUS status = request->status;
        complete_irp(request);
        return returned(s, fake_wsk.mode == FAKE_WSK_AT_ONCE ? status : STATUS_PENDING);
    }
    put(request);
    return returned(s, STATUS_PENDING);
}

/* ---- its threads ---- */

static void drive(void *context) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct fake_client *client = context;

    while (!__atomic_load_n(&client->stops, __ATOMIC_ACQUIRE))
        vck_sockets_wait(client->host, VCK_FOREVER);
}

static struct request *take_done(struct fake_client *client)
{
    vck_spinlock_acquire(&client->lock);
    struct request *request = client->first_done;
    if (request) {
        client->first_done = request->next;
        if (!client->first_done)
            client->last_done = &client->first_done;
    }
    vck_spinlock_release(&client->lock);
    return request;
}

static void complete_later(void *context) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    struct fake_client *client = context;
    struct request *request;

    for (;;) {
        while ((request = take_done(client)) != NULL) {
            bool raises = fake_wsk.mode != FAKE_WSK_LATER_PASSIVE;
            if (raises)
                fake_raise();
            put(request);
            if (raises)
                fake_lower();
        }
        if (__atomic_load_n(&client->stops, __ATOMIC_ACQUIRE))
            return;
        (void)vck_event_wait(&client->completer_event, VCK_FOREVER);
    }
}

/* ---- registration ---- */

static const WSK_PROVIDER_DISPATCH dispatch = {
    .Version = WSK_VERSION_1_0,
    .WskSocket = fake_wsk_socket,
    .WskGetAddressInfo = fake_wsk_get_address_info,
    .WskFreeAddressInfo = fake_wsk_free_address_info,
};

static void stop(struct fake_client *client) VCK_NO_ANALYSIS
{
    __atomic_store_n(&client->stops, true, __ATOMIC_RELEASE);
    if (client->driver) {
        vck_sockets_wake(client->host);
        vck_thread_join(client->driver);
    }
    if (client->completer) {
        vck_event_set(&client->completer_event);
        vck_thread_join(client->completer);
    }
    if (client->host)
        vck_sockets_close(client->host);
    vck_event_fini(&client->completer_event);
    free(client);
}

/* The tests of the net room know nothing of it: their provider is what the environment says. */
static void take_environment(void)
{
    static const struct {
        const char *name;
        enum fake_wsk_mode mode;
    } modes[] = {{"pending", FAKE_WSK_AT_ONCE_PENDING},
                 {"later", FAKE_WSK_LATER},
                 {"passive", FAKE_WSK_LATER_PASSIVE}};
    const char *mode = getenv("FAKE_WSK");

    for (size_t i = 0; mode && i < VCK_ARRAY_COUNT(modes); i++)
        if (strcmp(mode, modes[i].name) == 0)
            fake_wsk.mode = modes[i].mode;
    if (getenv("FAKE_WSK_FLAT"))
        fake_wsk.refuses_chains = true;
}

NTSTATUS WskRegister(WSK_CLIENT_NPI *npi, WSK_REGISTRATION *registration) VCK_NO_ANALYSIS
{
    struct fake_client *client = calloc(1, sizeof *client);
    vck_status status;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    take_environment();
    VCK_ASSERT(client && npi->Dispatch->Version == WSK_VERSION_1_0);
    client->last_done = &client->first_done;
    vck_spinlock_init(&client->lock);
    vck_event_init(&client->completer_event);
    status = vck_sockets_open(&client->host, NULL);
    if (status == VCK_OK)
        status = vck_thread_create(drive, client, VCK_THREAD_NORMAL, "fake-wsk", &client->driver);
    if (status == VCK_OK)
        status = vck_thread_create(complete_later, client, VCK_THREAD_NORMAL, "fake-irps",
                                   &client->completer);
    if (status != VCK_OK) {
        stop(client);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    registration->ReservedRegistrationContext = client;
    return STATUS_SUCCESS;
}

NTSTATUS WskCaptureProviderNPI(WSK_REGISTRATION *registration, ULONG wait_ms,
                               WSK_PROVIDER_NPI *ret_provider)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    VCK_ASSERT(wait_ms != UINT32_MAX && "nobody waits for ever");
    if (fake_wsk.is_absent)
        return (NTSTATUS)0xC00000A3; /* DEVICE_NOT_READY */
    ret_provider->Client = registration->ReservedRegistrationContext;
    ret_provider->Dispatch = &dispatch;
    return STATUS_SUCCESS;
}

void WskReleaseProviderNPI(WSK_REGISTRATION *registration)
{
    VCK_ASSERT(registration->ReservedRegistrationContext);
}

/* Waits, as the real one does, for completion routines to have returned. */
void WskDeregister(WSK_REGISTRATION *registration)
{
    struct fake_client *client = registration->ReservedRegistrationContext;
    uint64_t limit_ns = vck_clock_ns() + 10000000000ull;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    while (__atomic_load_n(&client->live, __ATOMIC_ACQUIRE) != 0) {
        VCK_ASSERT(vck_clock_ns() < limit_ns && "every socket is closed, every IRP completed");
        vck_thread_yield();
    }
    stop(client);
    registration->ReservedRegistrationContext = NULL;
}
