/* SPDX-License-Identifier: Apache-2.0 */
/* What a driver leaves behind. */
#include "selftest.h"

/* Long enough to be found on a busy machine. */
enum { OUTLAST_MS = 3000 };

static void leave_pool(void)
{
    (void)ExAllocatePoolWithTag(VCK_NON_PAGED_POOL_NX, 40, SELFTEST_TAG);
}

static void leave_mdl(void)
{
    static uint8_t page[4096];
    (void)IoAllocateMdl(page, sizeof(page), FALSE, FALSE, NULL);
}

static void leave_irp(void)
{
    (void)IoAllocateIrp(1, FALSE);
}

static void leave_device(void)
{
    PDEVICE_OBJECT device;
    IoCreateDevice(selftest_driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
}

static void leave_link(void)
{
    static WCHAR link_text[] = L"\\DosDevices\\SelftestLeft", target_text[] = L"\\Device\\Null";
    UNICODE_STRING link, target;
    RtlInitUnicodeString(&link, link_text);
    RtlInitUnicodeString(&target, target_text);
    IoDeleteSymbolicLink(&link);
    IoCreateSymbolicLink(&link, &target);
}

static void leave_timer(void)
{
    static KTIMER timer;
    LARGE_INTEGER hour = {.QuadPart = -36000000000ll};
    KeInitializeTimerEx(&timer, NotificationTimer);
    KeSetTimer(&timer, hour, NULL);
}

static void leave_work_item(void)
{
    (void)IoAllocateWorkItem(selftest_device);
}

static void leave_mapped(void)
{
    PHYSICAL_ADDRESS address = {.QuadPart = 0x10000000};
    selftest_expect(MmMapIoSpace(address, 64, MmCached) != NULL, "injected memory is mapped");
}

/* ---- what still runs ---- */

static void NTAPI run_thread(PVOID context)
{
    (void)context;
    selftest_sleep_ms(OUTLAST_MS);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static void leave_thread(void)
{
    HANDLE handle;
    if (NT_SUCCESS(
            PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, run_thread, NULL)))
        ZwClose(handle);
}

static void leave_thread_at_unload(void)
{
    selftest_unload = leave_thread;
}

static KEVENT item_is_freed;

static void NTAPI run_work(PDEVICE_OBJECT device, PVOID context)
{
    (void)device;
    IoFreeWorkItem(context);
    KeSetEvent(&item_is_freed, IO_NO_INCREMENT, FALSE);
    selftest_sleep_ms(OUTLAST_MS);
}

static void queue_work(void)
{
    PIO_WORKITEM item = IoAllocateWorkItem(selftest_device);
    KeInitializeEvent(&item_is_freed, NotificationEvent, FALSE);
    IoQueueWorkItem(item, run_work, DelayedWorkQueue, item);
    KeWaitForSingleObject(&item_is_freed, Executive, KernelMode, FALSE, NULL);
}

static void leave_work_at_unload(void)
{
    selftest_unload = queue_work;
}

static void NTAPI run_dpc(PKDPC dpc, PVOID context, PVOID one, PVOID two)
{
    LARGE_INTEGER frequency, start = KeQueryPerformanceCounter(&frequency);
    (void)dpc;
    KeSetEvent(context, IO_NO_INCREMENT, FALSE);
    (void)one;
    (void)two;
    while (KeQueryPerformanceCounter(NULL).QuadPart - start.QuadPart < frequency.QuadPart)
        YieldProcessor();
}

/* The first runs for a while, so that the second waits behind it. */
static void queue_dpcs(void)
{
    static KDPC first, second;
    static KEVENT begun;
    KeInitializeEvent(&begun, NotificationEvent, FALSE);
    KeInitializeDpc(&first, run_dpc, &begun);
    KeInitializeDpc(&second, run_dpc, &begun);
    KeInsertQueueDpc(&first, NULL, NULL);
    KeWaitForSingleObject(&begun, Executive, KernelMode, FALSE, NULL);
    KeInsertQueueDpc(&second, NULL, NULL);
}

static void leave_dpc_at_unload(void)
{
    selftest_unload = queue_dpcs;
}

static const struct sin list[] = {
    {"leave-pool", leave_pool, SIN_AT_UNLOAD, "pool-leak"},
    {"leave-mdl", leave_mdl, SIN_AT_UNLOAD, "mdl-leak"},
    {"leave-irp", leave_irp, SIN_AT_UNLOAD, "irp-leak"},
    {"leave-device", leave_device, SIN_AT_UNLOAD, "device-leak"},
    {"leave-link", leave_link, SIN_AT_UNLOAD, "symbolic-link-leak"},
    {"leave-timer", leave_timer, SIN_AT_UNLOAD, "timer-leak"},
    {"leave-work-item", leave_work_item, SIN_AT_UNLOAD, "work-item-leak"},
    {"leave-mapped", leave_mapped, SIN_AT_UNLOAD, "io-space-leak"},
    {"leave-dpc", leave_dpc_at_unload, SIN_AT_UNLOAD, "dpc-leak"},
    {"leave-thread", leave_thread_at_unload, SIN_AT_END, "thread-leak"},
    {"leave-work", leave_work_at_unload, SIN_AT_END, "work-item-running"},
};
const struct sins left_sins = {list, sizeof(list) / sizeof(list[0])};
