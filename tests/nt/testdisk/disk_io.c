/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How requests arrive and when they are completed: counted, judged by the fault rules, then
 * executed at once or queued for the disk's threads, which raise their level to play a DPC.
 */
#include "disk.h"

#define GATHER_100NS  (2 * 10000ull)
#define SECOND_100NS  10000000ll
#define OPS_OF_MOVING (TD_OP_READ | TD_OP_WRITE | TD_OP_FLUSH | TD_OP_TRIM)

/* The verdict of a queued request. */
static void keep_verdict(PIRP irp, const struct td_verdict *verdict)
{
    irp->Tail.Overlay.DriverContext[0] = (PVOID)(ULONG_PTR)verdict->due_100ns;
    irp->Tail.Overlay.DriverContext[1] = (PVOID)(ULONG_PTR)verdict->bytes;
    irp->Tail.Overlay.DriverContext[2] = (PVOID)(ULONG_PTR)(ULONG)verdict->status;
    irp->Tail.Overlay.DriverContext[3] =
        (PVOID)(ULONG_PTR)(verdict->is_fault | verdict->is_at_dispatch << 1);
}

static struct td_verdict kept_verdict(PIRP irp)
{
    ULONG_PTR flags = (ULONG_PTR)irp->Tail.Overlay.DriverContext[3];
    return (struct td_verdict){
        .due_100ns = (ULONG_PTR)irp->Tail.Overlay.DriverContext[0],
        .bytes = (ULONG)(ULONG_PTR)irp->Tail.Overlay.DriverContext[1],
        .status = (NTSTATUS)(ULONG_PTR)irp->Tail.Overlay.DriverContext[2],
        .is_fault = flags & 1,
        .is_at_dispatch = flags & 2,
    };
}

static PIRP irp_of(LIST_ENTRY *entry)
{
    return CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
}

/* ---- counting and judging, under the lock ---- */

static void count_transfer(struct td_stats *stats, PIRP irp, PIO_STACK_LOCATION sp)
{
    if (sp->MajorFunction == IRP_MJ_READ) {
        stats->reads++;
        stats->read_bytes += sp->Parameters.Read.Length;
    } else {
        stats->writes++;
        stats->written_bytes += sp->Parameters.Write.Length;
        stats->write_through += (sp->Flags & SL_WRITE_THROUGH) != 0;
    }
    stats->verify_override += (sp->Flags & SL_OVERRIDE_VERIFY_VOLUME) != 0;
    stats->paging += (irp->Flags & IRP_PAGING_IO) != 0;
}

static void count(struct td_stats *stats, PIRP irp, ULONG op)
{
    PIO_STACK_LOCATION sp = IoGetCurrentIrpStackLocation(irp);
    stats->in_flight++;
    if (stats->in_flight > stats->in_flight_most)
        stats->in_flight_most = stats->in_flight;
    if (op & (TD_OP_READ | TD_OP_WRITE))
        count_transfer(stats, irp, sp);
    stats->flushes += op == TD_OP_FLUSH;
    stats->trims += op == TD_OP_TRIM;
    stats->ioctls += op == TD_OP_IOCTL;
    stats->pnp += op == TD_OP_PNP;
    stats->powers += op == TD_OP_POWER;
    if (op == TD_OP_PNP)
        stats->last_minor = sp->MinorFunction;
    stats->shutdowns += sp->MajorFunction == IRP_MJ_SHUTDOWN;
    stats->cleanups += sp->MajorFunction == IRP_MJ_CLEANUP;
    stats->creates += sp->MajorFunction == IRP_MJ_CREATE;
    stats->closes += sp->MajorFunction == IRP_MJ_CLOSE;
    if (sp->MajorFunction == IRP_MJ_CREATE)
        stats->open_files++;
    if (sp->MajorFunction == IRP_MJ_CLOSE && stats->open_files > 0)
        stats->open_files--;
}

static bool is_meant(const struct td_fault *fault, PIO_STACK_LOCATION sp, ULONG op)
{
    if (!(fault->ops & op))
        return false;
    if (op & (TD_OP_READ | TD_OP_WRITE)) {
        ULONGLONG first = (ULONGLONG)sp->Parameters.Read.ByteOffset.QuadPart;
        return first < fault->end_byte && first + sp->Parameters.Read.Length > fault->first_byte;
    }
    ULONG code = op == TD_OP_IOCTL || op == TD_OP_TRIM
                     ? sp->Parameters.DeviceIoControl.IoControlCode
                 : op == TD_OP_OTHER ? sp->MajorFunction
                                     : sp->MinorFunction;
    return fault->code == 0 || fault->code == code;
}

static struct td_fault *find_fault(struct td_disk *disk, PIO_STACK_LOCATION sp, ULONG op)
{
    for (ULONG i = 0; i < disk->fault_count; i++) {
        struct td_fault *fault = &disk->faults[i];
        if (fault->count == 0 || !is_meant(fault, sp, op))
            continue;
        if (fault->skip > 0) {
            fault->skip--;
            continue;
        }
        if (fault->count != UINT32_MAX)
            fault->count--;
        disk->stats.faults++;
        return fault;
    }
    return NULL;
}

static ULONGLONG delay_100ns(struct td_disk *disk)
{
    ULONG least = disk->behaviour.delay_min_us, most = disk->behaviour.delay_max_us;
    if (most == 0)
        return 0;
    return 10 * (least + load_plan_random(&disk->random) % (most - least + 1));
}

/* What becomes of it and, in ret_way, how it is completed. ret_stall: not before TD_CLEAR. */
static struct td_verdict judge(struct td_disk *disk, PIRP irp, ULONG op, ULONG *ret_way,
                               bool *ret_stall)
{
    struct td_verdict verdict = {.bytes = UINT32_MAX};
    struct td_fault *fault = find_fault(disk, IoGetCurrentIrpStackLocation(irp), op);
    ULONG way = disk->behaviour.completion;
    if (way == TD_MIXED)
        way = (ULONG)(load_plan_random(&disk->random) % TD_MIXED);
    if (!(op & OPS_OF_MOVING))
        way = disk->behaviour.pend_others && op != TD_OP_OTHER ? TD_THREAD : TD_INLINE;
    ULONGLONG delay = way == TD_THREAD || way == TD_DPC ? delay_100ns(disk) : 0;
    *ret_stall = fault && fault->is_stall;
    if (fault && !fault->is_stall) {
        verdict.is_fault = fault->status != 0 || fault->bytes != UINT32_MAX;
        verdict.bytes = fault->bytes;
        verdict.status = (NTSTATUS)fault->status;
        delay += 10ull * fault->delay_us;
    }
    if ((delay > 0 || *ret_stall) && way < TD_THREAD)
        way = TD_THREAD;
    if (delay > 0)
        verdict.due_100ns = td_now_100ns() + delay;
    verdict.is_at_dispatch = way == TD_DPC;
    *ret_way = way;
    return verdict;
}

/* ---- executing ---- */

static NTSTATUS execute(struct td_disk *disk, PIRP irp, const struct td_verdict *verdict)
{
    KIRQL level, own = PASSIVE_LEVEL;
    if (verdict->is_at_dispatch)
        KeRaiseIrql(DISPATCH_LEVEL, &own);
    NTSTATUS status = td_disk_execute(disk, irp, verdict);
    if (verdict->is_at_dispatch)
        KeLowerIrql(own);
    KeAcquireSpinLock(&disk->lock, &level);
    disk->stats.in_flight--;
    KeReleaseSpinLock(&disk->lock, level);
    return status;
}

/* The next queued request whose turn it is, else NULL and when to look again. Under the lock. */
static PIRP take_due(struct td_disk *disk, ULONGLONG now, ULONGLONG *ret_next_100ns)
{
    ULONG window = disk->behaviour.reorder_window, due_count = 0, chosen = 0;
    bool is_gathering = !disk->is_stopping && window > 1 && disk->queued_count < window &&
                        now < disk->oldest_100ns + GATHER_100NS;
    *ret_next_100ns = is_gathering ? disk->oldest_100ns + GATHER_100NS : now + SECOND_100NS;
    if (is_gathering)
        return NULL;
    for (LIST_ENTRY *at = disk->queue.Flink; at != &disk->queue; at = at->Flink) {
        ULONGLONG due = kept_verdict(irp_of(at)).due_100ns;
        if (disk->is_stopping || due <= now)
            due_count++;
        else if (due < *ret_next_100ns)
            *ret_next_100ns = due;
    }
    if (due_count == 0)
        return NULL;
    if (window > 1)
        chosen = (ULONG)(load_plan_random(&disk->random) % due_count);
    for (LIST_ENTRY *at = disk->queue.Flink; at != &disk->queue; at = at->Flink) {
        if (!disk->is_stopping && kept_verdict(irp_of(at)).due_100ns > now)
            continue;
        if (chosen-- == 0) {
            RemoveEntryList(at);
            disk->queued_count--;
            return irp_of(at);
        }
    }
    return NULL;
}

static void wait_for_work(struct td_disk *disk, ULONGLONG now, ULONGLONG next_100ns)
{
    LARGE_INTEGER timeout = {.QuadPart = (LONGLONG)(now - next_100ns)};
    if (timeout.QuadPart < 0)
        KeWaitForSingleObject(&disk->wake, Executive, KernelMode, FALSE, &timeout);
}

static VOID NTAPI run_thread(PVOID context)
{
    struct td_disk *disk = context;
    bool is_stopping = false;
    while (!is_stopping) {
        KIRQL level;
        ULONGLONG now = td_now_100ns(), next_100ns;
        KeAcquireSpinLock(&disk->lock, &level);
        PIRP irp = take_due(disk, now, &next_100ns);
        is_stopping = disk->is_stopping && !irp;
        KeReleaseSpinLock(&disk->lock, level);
        if (irp) {
            struct td_verdict verdict = kept_verdict(irp);
            execute(disk, irp, &verdict);
        } else if (!is_stopping) {
            wait_for_work(disk, now, next_100ns);
        }
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

NTSTATUS td_disk_start_threads(struct td_disk *disk)
{
    for (ULONG i = 0; i < TD_DISK_THREADS; i++) {
        HANDLE handle;
        NTSTATUS status =
            PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, run_thread, disk);
        if (!NT_SUCCESS(status))
            return status;
        status = ObReferenceObjectByHandle(handle, SYNCHRONIZE, NULL, KernelMode, &disk->threads[i],
                                           NULL);
        ZwClose(handle);
        if (!NT_SUCCESS(status))
            return status;
    }
    return STATUS_SUCCESS;
}

static ULONGLONG in_flight(struct td_disk *disk)
{
    KIRQL level;
    KeAcquireSpinLock(&disk->lock, &level);
    ULONGLONG now = disk->stats.in_flight + (ULONG)disk->arriving_count;
    KeReleaseSpinLock(&disk->lock, level);
    return now;
}

void td_disk_stop_threads(struct td_disk *disk)
{
    KIRQL level;
    KeAcquireSpinLock(&disk->lock, &level);
    disk->is_stopping = true;
    KeReleaseSpinLock(&disk->lock, level);
    td_disk_clear(disk);
    for (ULONG i = 0; i < TD_DISK_THREADS; i++) {
        if (!disk->threads[i])
            continue;
        KeWaitForSingleObject(disk->threads[i], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(disk->threads[i]);
    }
    LARGE_INTEGER moment = {.QuadPart = -10000};
    while (in_flight(disk) > 0)
        KeDelayExecutionThread(KernelMode, FALSE, &moment);
}

/* ---- arriving ---- */

/* Under the lock that it was judged under: rules are cleared before both or after both. */
static void queue_it(struct td_disk *disk, PIRP irp, const struct td_verdict *verdict,
                     bool is_stalled)
{
    IoMarkIrpPending(irp);
    keep_verdict(irp, verdict);
    InsertTailList(is_stalled ? &disk->stalled : &disk->queue, &irp->Tail.Overlay.ListEntry);
    if (!is_stalled && disk->queued_count++ == 0)
        disk->oldest_100ns = td_now_100ns();
}

static NTSTATUS arrive(struct td_disk *disk, PIRP irp)
{
    KIRQL level;
    ULONG op = td_disk_op(irp), way;
    bool is_stalled;
    KeAcquireSpinLock(&disk->lock, &level);
    count(&disk->stats, irp, op);
    struct td_verdict verdict = judge(disk, irp, op, &way, &is_stalled);
    if (way >= TD_THREAD)
        queue_it(disk, irp, &verdict, is_stalled);
    KeReleaseSpinLock(&disk->lock, level);
    if (way >= TD_THREAD) {
        KeReleaseSemaphore(&disk->wake, IO_NO_INCREMENT, 1, FALSE);
        return STATUS_PENDING;
    }
    if (way == TD_INLINE)
        return execute(disk, irp, &verdict);
    IoMarkIrpPending(irp);
    execute(disk, irp, &verdict);
    return STATUS_PENDING;
}

NTSTATUS td_disk_dispatch(struct td_disk *disk, PIRP irp)
{
    InterlockedIncrement(&disk->arriving_count);
    NTSTATUS status = arrive(disk, irp);
    InterlockedDecrement(&disk->arriving_count);
    return status;
}
