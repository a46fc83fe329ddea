/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include "send.h"

#define TAG_LOAD       'lDTV'
#define CLAIM_TRIES    32u
#define THREADS_MAX    TD_LOAD_SLOTS_MAX
#define NO_OFFSET      (~0ull)
#define OFFSET_BLOCKED (~0ull - 1)

/* One request at a time. */
struct slot {
    LIST_ENTRY link; /* in its thread's idle or done list */
    struct worker *worker;
    UCHAR *data;
    PIRP irp;
    PMDL mdl;
    ULONG major;
    ULONG length_bytes;
    ULONGLONG offset_bytes; /* from the region's beginning */
    ULONG until_flush;
};

struct worker {
    struct run *run;
    PVOID thread;
    ULONGLONG random;
    KSPIN_LOCK lock; /* of done */
    LIST_ENTRY done;
    LIST_ENTRY idle;
    KSEMAPHORE wake;
    ULONG in_flight;
};

struct run {
    struct td_load load;
    struct td_disk *disk;
    PDEVICE_OBJECT device;
    ULONGLONG region_offset_bytes;
    ULONGLONG region_bytes;
    LONGLONG next_bytes; /* FILL, CHECK, SPEED */
    LONGLONG requests_begun;
    ULONGLONG stop_100ns;    /* 0: never */
    struct td_loaded loaded; /* under lock */
    KSPIN_LOCK lock;
    LONG completing_count; /* completion routines that still use this */
    ULONG slot_count;
    struct slot *slots;
    struct worker workers[THREADS_MAX];
};

static bool keeps_books(const struct run *run)
{
    return run->load.kind != TD_LOAD_SPEED;
}

static ULONG sector_bytes(const struct run *run)
{
    return run->disk->shape.sector_bytes;
}

/* ---- which request comes next ---- */

static bool claim(struct run *run, ULONGLONG offset_bytes, ULONG length_bytes)
{
    KIRQL level;
    KeAcquireSpinLock(&run->disk->plan_lock, &level);
    bool is_claimed = load_plan_claim(&run->disk->plan, (ULONG)(offset_bytes / sector_bytes(run)),
                                      length_bytes / sector_bytes(run));
    KeReleaseSpinLock(&run->disk->plan_lock, level);
    return is_claimed;
}

static void release(struct slot *slot)
{
    struct run *run = slot->worker->run;
    KIRQL level;
    KeAcquireSpinLock(&run->disk->plan_lock, &level);
    load_plan_release(&run->disk->plan, (ULONG)(slot->offset_bytes / sector_bytes(run)),
                      slot->length_bytes / sector_bytes(run));
    KeReleaseSpinLock(&run->disk->plan_lock, level);
}

static ULONG random_length(struct run *run, ULONGLONG *random)
{
    ULONG least = run->load.min_bytes / sector_bytes(run);
    ULONG most = run->load.max_bytes / sector_bytes(run);
    ULONG sectors = least + (ULONG)(load_plan_random(random) % (most - least + 1));
    ULONGLONG region = run->region_bytes / sector_bytes(run);
    return (sectors < region ? sectors : (ULONG)region) * sector_bytes(run);
}

static bool is_over(struct run *run)
{
    LONGLONG begun = InterlockedIncrement64(&run->requests_begun);
    if (run->load.requests && begun > (LONGLONG)run->load.requests)
        return true;
    return run->stop_100ns && td_now_100ns() >= run->stop_100ns;
}

/* OFFSET_BLOCKED: everything tried is under way. */
static ULONGLONG next_random(struct slot *slot)
{
    struct run *run = slot->worker->run;
    ULONGLONG *random = &slot->worker->random;
    if (is_over(run))
        return NO_OFFSET;
    slot->major =
        load_plan_random(random) % 100 < run->load.read_percent ? IRP_MJ_READ : IRP_MJ_WRITE;
    for (ULONG i = 0; i < CLAIM_TRIES; i++) {
        ULONG length = random_length(run, random);
        ULONGLONG sectors = (run->region_bytes - length) / sector_bytes(run) + 1;
        ULONGLONG offset = load_plan_random(random) % sectors * sector_bytes(run);
        if (!claim(run, offset, length))
            continue;
        slot->length_bytes = length;
        return offset;
    }
    InterlockedDecrement64(&run->requests_begun);
    return OFFSET_BLOCKED;
}

static ULONGLONG next_in_order(struct slot *slot)
{
    struct run *run = slot->worker->run;
    bool is_speed = run->load.kind == TD_LOAD_SPEED;
    ULONG step = run->load.max_bytes;
    if (is_speed && is_over(run))
        return NO_OFFSET;
    ULONGLONG offset = (ULONGLONG)InterlockedExchangeAdd64(&run->next_bytes, step);
    if (is_speed)
        offset %= run->region_bytes - run->region_bytes % step;
    if (offset >= run->region_bytes)
        return NO_OFFSET;
    slot->length_bytes =
        run->region_bytes - offset < step ? (ULONG)(run->region_bytes - offset) : step;
    slot->major = run->load.kind == TD_LOAD_FILL ||
                          (is_speed &&
                           load_plan_random(&slot->worker->random) % 100 >= run->load.read_percent)
                      ? IRP_MJ_WRITE
                      : IRP_MJ_READ;
    if (keeps_books(run) && !claim(run, offset, slot->length_bytes))
        return NO_OFFSET; /* another load is at work: the books would lie */
    return offset;
}

static ULONGLONG next_offset(struct slot *slot)
{
    struct run *run = slot->worker->run;
    if (run->load.kind == TD_LOAD_RANDOM && run->load.flush_every &&
        ++slot->until_flush > run->load.flush_every) {
        slot->until_flush = 0;
        slot->major = IRP_MJ_FLUSH_BUFFERS;
        slot->length_bytes = 0;
        return 0;
    }
    return run->load.kind == TD_LOAD_RANDOM ? next_random(slot) : next_in_order(slot);
}

/* ---- one request ---- */

static NTSTATUS NTAPI completed(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    struct slot *slot = context;
    struct worker *worker = slot->worker;
    KIRQL level;
    (void)device;
    (void)irp;
    InterlockedIncrement(&worker->run->completing_count);
    KeAcquireSpinLock(&worker->lock, &level);
    bool was_empty = IsListEmpty(&worker->done);
    InsertTailList(&worker->done, &slot->link);
    KeReleaseSpinLock(&worker->lock, level);
    if (was_empty)
        KeReleaseSemaphore(&worker->wake, IO_NO_INCREMENT, 1, FALSE);
    InterlockedDecrement(&worker->run->completing_count);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void note_error(struct run *run, NTSTATUS status)
{
    KIRQL level;
    KeAcquireSpinLock(&run->lock, &level);
    if (run->loaded.errors++ == 0)
        run->loaded.first_error_status = (ULONG)status;
    KeReleaseSpinLock(&run->lock, level);
}

static bool begin(struct slot *slot)
{
    struct run *run = slot->worker->run;
    slot->irp = IoAllocateIrp(run->device->StackSize, FALSE);
    slot->mdl = slot->length_bytes ? td_mdl(slot->data, slot->length_bytes) : NULL;
    if (!slot->irp || (slot->length_bytes && !slot->mdl)) {
        note_error(run, STATUS_INSUFFICIENT_RESOURCES);
        return false;
    }
    if (keeps_books(run) && slot->major == IRP_MJ_WRITE)
        load_plan_fill(&run->disk->plan, (ULONG)(slot->offset_bytes / sector_bytes(run)),
                       slot->length_bytes / sector_bytes(run), slot->data);
    slot->irp->MdlAddress = slot->mdl;
    slot->irp->RequestorMode = KernelMode;
    PIO_STACK_LOCATION sp = IoGetNextIrpStackLocation(slot->irp);
    sp->MajorFunction = (UCHAR)slot->major;
    if (slot->length_bytes) {
        sp->Parameters.Read.Length = slot->length_bytes;
        sp->Parameters.Read.ByteOffset.QuadPart =
            (LONGLONG)(run->region_offset_bytes + slot->offset_bytes);
    }
    IoSetCompletionRoutine(slot->irp, completed, slot, TRUE, TRUE, TRUE);
    slot->worker->in_flight++;
    IoCallDriver(run->device, slot->irp);
    return true;
}

static void note_success(struct slot *slot, bool is_right, ULONGLONG wrong_at_bytes)
{
    struct run *run = slot->worker->run;
    KIRQL level;
    KeAcquireSpinLock(&run->lock, &level);
    run->loaded.requests++;
    run->loaded.bytes += slot->length_bytes;
    run->loaded.reads += slot->major == IRP_MJ_READ;
    run->loaded.writes += slot->major == IRP_MJ_WRITE;
    if (!is_right && run->loaded.mismatches++ == 0)
        run->loaded.first_mismatch_bytes = wrong_at_bytes;
    KeReleaseSpinLock(&run->lock, level);
}

/* What came of it; the sectors are still claimed. */
static void look_at(struct slot *slot, NTSTATUS status, ULONG_PTR information)
{
    struct run *run = slot->worker->run;
    ULONG first = (ULONG)(slot->offset_bytes / sector_bytes(run));
    ULONG sectors = slot->length_bytes / sector_bytes(run);
    if (NT_SUCCESS(status) && information != slot->length_bytes)
        status = STATUS_INFO_LENGTH_MISMATCH;
    if (!NT_SUCCESS(status)) {
        note_error(run, status);
        if (keeps_books(run) && slot->major == IRP_MJ_WRITE)
            load_plan_forget(&run->disk->plan, first, sectors);
        return;
    }
    ULONG right = sectors;
    if (keeps_books(run) && slot->major == IRP_MJ_READ)
        right = load_plan_verify(&run->disk->plan, first, sectors, slot->data);
    note_success(slot, right == sectors, slot->offset_bytes + (ULONGLONG)right * sector_bytes(run));
}

static void free_request(struct slot *slot)
{
    if (slot->irp) {
        slot->irp->MdlAddress = NULL;
        IoFreeIrp(slot->irp);
    }
    if (slot->mdl)
        IoFreeMdl(slot->mdl);
    slot->irp = NULL;
    slot->mdl = NULL;
    if (keeps_books(slot->worker->run) && slot->length_bytes)
        release(slot);
}

static void finish(struct slot *slot)
{
    look_at(slot, slot->irp->IoStatus.Status, slot->irp->IoStatus.Information);
    free_request(slot);
    slot->worker->in_flight--;
}

/* ---- threads ---- */

/* Starts what can be started. False: nothing is left to start. */
static bool start_idle(struct worker *worker)
{
    while (!IsListEmpty(&worker->idle)) {
        struct slot *slot = CONTAINING_RECORD(worker->idle.Flink, struct slot, link);
        ULONGLONG offset = next_offset(slot);
        if (offset == OFFSET_BLOCKED)
            return true;
        if (offset == NO_OFFSET)
            return false;
        slot->offset_bytes = offset;
        RemoveEntryList(&slot->link);
        if (!begin(slot)) {
            free_request(slot);
            InsertTailList(&worker->idle, &slot->link);
            return false;
        }
    }
    return true;
}

static void collect_done(struct worker *worker)
{
    for (;;) {
        KIRQL level;
        struct slot *slot = NULL;
        KeAcquireSpinLock(&worker->lock, &level);
        if (!IsListEmpty(&worker->done))
            slot = CONTAINING_RECORD(RemoveHeadList(&worker->done), struct slot, link);
        KeReleaseSpinLock(&worker->lock, level);
        if (!slot)
            return;
        finish(slot);
        InsertTailList(&worker->idle, &slot->link);
    }
}

static VOID NTAPI run_worker(PVOID context)
{
    struct worker *worker = context;
    LARGE_INTEGER moment = {.QuadPart = -10000};
    bool is_more = true;
    while (is_more || worker->in_flight > 0) {
        if (is_more)
            is_more = start_idle(worker);
        if (worker->in_flight > 0)
            KeWaitForSingleObject(&worker->wake, Executive, KernelMode, FALSE, NULL);
        else if (is_more)
            KeDelayExecutionThread(KernelMode, FALSE, &moment);
        collect_done(worker);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS start_worker(struct worker *worker)
{
    HANDLE handle;
    NTSTATUS status =
        PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, run_worker, worker);
    if (!NT_SUCCESS(status))
        return status;
    status =
        ObReferenceObjectByHandle(handle, SYNCHRONIZE, NULL, KernelMode, &worker->thread, NULL);
    ZwClose(handle);
    return status;
}

static NTSTATUS run_workers(struct run *run)
{
    LARGE_INTEGER moment = {.QuadPart = -10000};
    NTSTATUS status = STATUS_SUCCESS;
    for (ULONG i = 0; i < run->load.threads && NT_SUCCESS(status); i++)
        status = start_worker(&run->workers[i]);
    for (ULONG i = 0; i < run->load.threads; i++) {
        if (!run->workers[i].thread)
            continue;
        KeWaitForSingleObject(run->workers[i].thread, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(run->workers[i].thread);
    }
    while (InterlockedCompareExchange(&run->completing_count, 0, 0) > 0)
        KeDelayExecutionThread(KernelMode, FALSE, &moment);
    return status;
}

/* ---- setting up ---- */

static NTSTATUS make_slots(struct run *run)
{
    run->slot_count = run->load.threads * run->load.depth;
    SIZE_T size = run->slot_count * sizeof *run->slots;
    run->slots = ExAllocatePoolWithTag(NonPagedPool, size, TAG_LOAD);
    if (!run->slots)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(run->slots, size);
    for (ULONG i = 0; i < run->slot_count; i++) {
        struct slot *slot = &run->slots[i];
        slot->worker = &run->workers[i / run->load.depth];
        slot->data = ExAllocatePoolWithTag(NonPagedPool, run->load.max_bytes, TAG_LOAD);
        if (!slot->data)
            return STATUS_INSUFFICIENT_RESOURCES;
        RtlFillMemory(slot->data, run->load.max_bytes, 0xA5);
        InsertTailList(&slot->worker->idle, &slot->link);
    }
    return STATUS_SUCCESS;
}

static void free_slots(struct run *run)
{
    for (ULONG i = 0; run->slots && i < run->slot_count; i++)
        if (run->slots[i].data)
            ExFreePoolWithTag(run->slots[i].data, TAG_LOAD);
    if (run->slots)
        ExFreePoolWithTag(run->slots, TAG_LOAD);
}

static void init_workers(struct run *run)
{
    for (ULONG i = 0; i < run->load.threads; i++) {
        struct worker *worker = &run->workers[i];
        worker->run = run;
        worker->random = run->load.seed * 64 + i;
        KeInitializeSpinLock(&worker->lock);
        InitializeListHead(&worker->done);
        InitializeListHead(&worker->idle);
        KeInitializeSemaphore(&worker->wake, 0, MAXLONG);
    }
}

/* The region as asked for, or up to the end the stack tells. */
static NTSTATUS find_region(struct run *run)
{
    GET_LENGTH_INFORMATION length;
    run->region_offset_bytes = run->load.offset_bytes;
    run->region_bytes = run->load.size_bytes;
    if (run->region_bytes == 0) {
        NTSTATUS status = td_ask(run->device, IOCTL_DISK_GET_LENGTH_INFO, &length, sizeof length);
        if (!NT_SUCCESS(status))
            return status;
        if ((ULONGLONG)length.Length.QuadPart <= run->region_offset_bytes)
            return STATUS_INVALID_PARAMETER;
        run->region_bytes = (ULONGLONG)length.Length.QuadPart - run->region_offset_bytes;
    }
    ULONG mask = sector_bytes(run) - 1;
    if ((run->region_bytes | run->region_offset_bytes) & mask ||
        run->region_bytes / sector_bytes(run) > LOAD_PLAN_BUSY ||
        (run->load.kind == TD_LOAD_SPEED && run->region_bytes < run->load.max_bytes))
        return STATUS_INVALID_PARAMETER;
    return STATUS_SUCCESS;
}

static NTSTATUS new_books(struct run *run)
{
    struct td_disk *disk = run->disk;
    ULONG sectors = (ULONG)(run->region_bytes / sector_bytes(run));
    if (disk->plan.versions && disk->plan.sector_count < sectors) {
        ExFreePoolWithTag(disk->plan.versions, TAG_DISK);
        disk->plan.versions = NULL;
    }
    if (!disk->plan.versions)
        disk->plan.versions =
            ExAllocatePoolWithTag(NonPagedPool, sectors * sizeof(ULONG), TAG_DISK);
    if (!disk->plan.versions)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(disk->plan.versions, sectors * sizeof(ULONG));
    disk->plan.seed = run->load.seed;
    disk->plan.sector_bytes = sector_bytes(run);
    disk->plan.sector_count = sectors;
    disk->plan_offset_bytes = run->region_offset_bytes;
    return STATUS_SUCCESS;
}

static NTSTATUS open_books(struct run *run)
{
    struct td_disk *disk = run->disk;
    if (run->load.kind == TD_LOAD_SPEED || run->load.kind == TD_LOAD_FILL) {
        NTSTATUS status = find_region(run);
        return NT_SUCCESS(status) && keeps_books(run) ? new_books(run) : status;
    }
    if (!disk->plan.versions)
        return STATUS_INVALID_DEVICE_STATE;
    run->region_offset_bytes = disk->plan_offset_bytes;
    run->region_bytes = (ULONGLONG)disk->plan.sector_count * sector_bytes(run);
    return STATUS_SUCCESS;
}

static bool is_sane(const struct td_load *load, ULONG sector)
{
    return load->kind <= TD_LOAD_SPEED && load->target <= TD_TO_DISK && load->threads > 0 &&
           load->depth > 0 && load->threads <= TD_LOAD_SLOTS_MAX &&
           load->depth <= TD_LOAD_SLOTS_MAX / load->threads && load->min_bytes >= sector &&
           load->min_bytes <= load->max_bytes && load->max_bytes <= TD_LOAD_BYTES_MAX &&
           load->min_bytes % sector == 0 && load->max_bytes % sector == 0 &&
           (load->kind < TD_LOAD_RANDOM || load->requests || load->stop_ms);
}

NTSTATUS td_load_run(struct td_disk *disk, const struct td_load *load, struct td_loaded *ret_loaded)
{
    struct td_send send = {.target = load->target};
    if (!is_sane(load, disk->shape.sector_bytes))
        return STATUS_INVALID_PARAMETER;
    struct run *run = ExAllocatePoolWithTag(NonPagedPool, sizeof *run, TAG_LOAD);
    if (!run)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(run, sizeof *run);
    run->load = *load;
    run->disk = disk;
    KeInitializeSpinLock(&run->lock);
    init_workers(run);
    NTSTATUS status = td_find_target(disk, &send, &run->device);
    if (NT_SUCCESS(status))
        status = open_books(run);
    if (NT_SUCCESS(status))
        status = make_slots(run);
    if (NT_SUCCESS(status)) {
        ULONGLONG start = td_now_100ns();
        if (load->stop_ms)
            run->stop_100ns = start + load->stop_ms * 10000ull;
        status = run_workers(run);
        run->loaded.elapsed_100ns = td_now_100ns() - start;
        *ret_loaded = run->loaded;
    }
    free_slots(run);
    if (run->device)
        ObDereferenceObject(run->device);
    ExFreePoolWithTag(run, TAG_LOAD);
    return status;
}
