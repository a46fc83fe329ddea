/* SPDX-License-Identifier: Apache-2.0 */
/* No sins: what the verifier supplies because Wine lacks it, used rightly. */
#include "selftest.h"

/* ---- DPCs, timers, work items ---- */

static volatile LONG ran;
static volatile KIRQL ran_at;
static KEVENT done;

static void NTAPI dpc_runs(PKDPC dpc, PVOID context, PVOID one, PVOID two)
{
    (void)dpc;
    selftest_expect(context == &ran, "a DPC's context");
    if (one || two)
        selftest_expect(one == (void *)1 && two == (void *)2, "a DPC's arguments");
    ran_at = KeGetCurrentIrql();
    InterlockedIncrement(&ran);
    KeSetEvent(&done, IO_NO_INCREMENT, FALSE);
}

static void use_dpcs(void)
{
    static KDPC dpc;
    ran = 0;
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    KeInitializeDpc(&dpc, dpc_runs, (void *)&ran);
    selftest_expect(KeInsertQueueDpc(&dpc, (void *)1, (void *)2), "a DPC is queued");
    KeFlushQueuedDpcs();
    selftest_expect(ran == 1 && ran_at == DISPATCH_LEVEL, "a DPC ran at DISPATCH");
    selftest_expect(!KeRemoveQueueDpc(&dpc), "a DPC that has run is not queued");
}

static void use_timers(void)
{
    static KDPC dpc;
    static KTIMER timer;
    LARGE_INTEGER soon = {.QuadPart = -20000}, hour = {.QuadPart = -36000000000ll};
    ran = 0;
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    KeInitializeDpc(&dpc, dpc_runs, (void *)&ran);
    KeInitializeTimerEx(&timer, NotificationTimer);
    selftest_expect(!KeSetTimer(&timer, hour, &dpc), "the timer was not set");
    selftest_expect(KeSetTimer(&timer, soon, &dpc), "the timer was set");
    KeWaitForSingleObject(&timer, Executive, KernelMode, FALSE, NULL);
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    selftest_expect(ran == 1, "the timer's DPC ran once");
    selftest_expect(!KeCancelTimer(&timer), "the timer has expired");
    KeSetTimerEx(&timer, soon, 1, &dpc);
    while (ran < 4)
        selftest_sleep_ms(1);
    selftest_expect(KeCancelTimer(&timer), "a periodic timer stays set");
    KeFlushQueuedDpcs();
}

static void NTAPI work(PVOID context)
{
    ran_at = KeGetCurrentIrql();
    KeSetEvent(context, IO_NO_INCREMENT, FALSE);
}

static void NTAPI device_work(PDEVICE_OBJECT device, PVOID context)
{
    selftest_expect(device == selftest_device, "a work item's device");
    work(context);
}

static void use_work_items(void)
{
    static WORK_QUEUE_ITEM item;
    PIO_WORKITEM device_item = IoAllocateWorkItem(selftest_device);
    KeInitializeEvent(&done, SynchronizationEvent, FALSE);
    ExInitializeWorkItem(&item, work, &done);
    ExQueueWorkItem(&item, DelayedWorkQueue);
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    IoQueueWorkItem(device_item, device_work, DelayedWorkQueue, &done);
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    selftest_expect(ran_at == PASSIVE_LEVEL, "work items run at PASSIVE");
    IoFreeWorkItem(device_item);
}

/* ---- memory ---- */

typedef PVOID(NTAPI *allocate2)(ULONG64 flags, SIZE_T bytes, ULONG tag);

static void use_pool2(void)
{
    allocate2 allocate = (allocate2)(uintptr_t)selftest_look_up(L"ExAllocatePool2");
    selftest_expect(allocate != NULL, "ExAllocatePool2 is found");
    uint8_t *memory = allocate ? allocate(VCK_POOL_FLAG_NON_PAGED, 4096, SELFTEST_TAG) : NULL;
    if (!memory)
        return;
    selftest_expect(((uintptr_t)memory & 4095) == 0, "a page is at a page");
    selftest_expect(!memory[0] && !memory[4095], "ExAllocatePool2 zeroes");
    ExFreePoolWithTag(memory, SELFTEST_TAG);
}

static void use_mdls(void)
{
    static uint8_t memory[8192];
    PMDL whole = IoAllocateMdl(memory, sizeof(memory), FALSE, FALSE, NULL);
    PMDL part = IoAllocateMdl(memory + 100, 4096, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(whole);
    IoBuildPartialMdl(whole, part, memory + 100, 4096);
    selftest_expect(MmGetSystemAddressForMdlSafe(whole, NormalPagePriority) == memory,
                    "the address of an MDL");
    selftest_expect(MmGetSystemAddressForMdlSafe(part, NormalPagePriority) == memory + 100,
                    "the address of a partial MDL");
    selftest_expect(MmGetMdlByteCount(part) == 4096, "the size of a partial MDL");
    MmPrepareMdlForReuse(part);
    IoBuildPartialMdl(whole, part, memory + 4096, 0);
    selftest_expect(MmGetMdlByteCount(part) == 4096, "a partial MDL to the end");
    IoFreeMdl(part);
    IoFreeMdl(whole);
}

static void use_locked_pages(void)
{
    static uint8_t memory[512];
    PMDL mdl = IoAllocateMdl(memory, sizeof(memory), FALSE, FALSE, NULL);
    selftest_lock_pages(mdl);
    selftest_expect(MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority) == memory,
                    "the address of locked pages");
    MmUnlockPages(mdl);
    IoFreeMdl(mdl);
}

static void use_io_space(void)
{
    PHYSICAL_ADDRESS address = {.QuadPart = 0x10000000}, nothing = {.QuadPart = 0x7f000000};
    uint8_t *memory = MmMapIoSpace(address, 64, MmCached);
    selftest_expect(!MmMapIoSpace(nothing, 64, MmCached), "only injected memory is there");
    selftest_expect(memory && memory[0] == 'A', "injected memory is mapped");
    if (!memory)
        return;
    memory[1] = 'Z';
    MmUnmapIoSpace(memory, 64);
}

typedef NTSTATUS(NTAPI *get_variable)(PUNICODE_STRING name, GUID *vendor, PVOID value, PULONG bytes,
                                      PULONG attributes);

static void use_variables(void)
{
    static GUID vendor = {0x12345678, 0x1234, 0x5678, {1, 2, 3, 4, 5, 6, 7, 8}};
    UNICODE_STRING name;
    uint8_t value[16];
    ULONG bytes = 2, attributes = 0;
    get_variable get =
        (get_variable)(uintptr_t)selftest_look_up(L"ExGetFirmwareEnvironmentVariable");
    selftest_expect(get != NULL, "ExGetFirmwareEnvironmentVariable is found");
    if (!get)
        return;
    RtlInitUnicodeString(&name, L"Selftest");
    selftest_expect(get(&name, &vendor, value, &bytes, &attributes) == STATUS_BUFFER_TOO_SMALL,
                    "a variable needs room");
    selftest_expect(bytes == 5, "the size of a variable");
    selftest_expect(get(&name, &vendor, value, &bytes, &attributes) == STATUS_SUCCESS &&
                        !memcmp(value, "value", 5) && attributes == 7,
                    "the value of a variable");
    RtlInitUnicodeString(&name, L"Nothing");
    selftest_expect(get(&name, &vendor, value, &bytes, NULL) == STATUS_VARIABLE_NOT_FOUND,
                    "a variable that is not there");
}

/* ---- devices, tokens, times, levels ---- */

static void use_attaching(void)
{
    PDEVICE_OBJECT lower = NULL, upper = NULL, attached_to = NULL;
    IoCreateDevice(selftest_driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &lower);
    IoCreateDevice(selftest_driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &upper);
    selftest_expect(IoAttachDeviceToDeviceStackSafe(upper, lower, &attached_to) == STATUS_SUCCESS,
                    "a device is attached");
    selftest_expect(attached_to == lower && IoGetAttachedDevice(lower) == upper, "to the other");
    PDEVICE_OBJECT found = IoGetLowerDeviceObject(upper);
    selftest_expect(found == lower, "the device below");
    if (found)
        ObDereferenceObject(found);
    found = IoGetDeviceAttachmentBaseRef(upper);
    selftest_expect(found == lower, "the lowest device");
    ObDereferenceObject(found);
    IoDetachDevice(lower);
    IoDeleteDevice(upper);
    IoDeleteDevice(lower);
}

static void use_device_names(void)
{
    UNICODE_STRING name;
    PFILE_OBJECT file;
    PDEVICE_OBJECT device;
    RtlInitUnicodeString(&name, L"\\Device\\selftestLower");
    NTSTATUS status = IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &file, &device);
    selftest_expect(NT_SUCCESS(status) && device == selftest_lower_device, "a device by name");
    if (NT_SUCCESS(status))
        ObDereferenceObject(file);
}

static void use_tokens(void)
{
    PACCESS_TOKEN token = PsReferencePrimaryToken(IoGetRequestorProcess(selftest_irp));
    SECURITY_SUBJECT_CONTEXT subject;
    selftest_expect(token && SeTokenIsAdmin(token), "the requestor is an administrator");
    if (token)
        PsDereferencePrimaryToken(token);
    SeCaptureSubjectContext(&subject);
    selftest_expect(subject.PrimaryToken != NULL, "a subject has a token");
    SeReleaseSubjectContext(&subject);
}

typedef void(NTAPI *time_precise)(PLARGE_INTEGER time);

static void use_times(void)
{
    time_precise get = (time_precise)(uintptr_t)selftest_look_up(L"KeQuerySystemTimePrecise");
    LARGE_INTEGER precise = {.QuadPart = 0}, plain = {.QuadPart = 0};
    if (get)
        get(&precise);
    KeQuerySystemTime(&plain);
    LONGLONG apart = plain.QuadPart - precise.QuadPart;
    selftest_expect(apart > -10000000 && apart < 10000000, "both clocks tell the same time");
}

typedef NTSTATUS(NTAPI *save_state)(ULONG64 mask, PXSTATE_SAVE state);
typedef void(NTAPI *restore_state)(PXSTATE_SAVE state);

static void use_levels(void)
{
    KIRQL old, again;
    KSPIN_LOCK lock;
    XSTATE_SAVE state;
    save_state save = (save_state)(uintptr_t)selftest_look_up(L"KeSaveExtendedProcessorState");
    restore_state restore =
        (restore_state)(uintptr_t)selftest_look_up(L"KeRestoreExtendedProcessorState");
    KeInitializeSpinLock(&lock);
    KeAcquireSpinLock(&lock, &old);
    KeRaiseIrql(DISPATCH_LEVEL, &again);
    selftest_expect(old == PASSIVE_LEVEL && again == DISPATCH_LEVEL, "a spin lock raises");
    selftest_expect(save && save(4, &state) == STATUS_SUCCESS, "the state is saved");
    if (restore)
        restore(&state);
    KeReleaseSpinLock(&lock, old);
    selftest_expect(KeGetCurrentIrql() == PASSIVE_LEVEL, "and lowers");
    selftest_expect(!selftest_look_up(L"KeAcquireInterruptSpinLock"),
                    "what nobody has is not found");
}

static const struct sin list[] = {
    {"use-dpcs", use_dpcs, SIN_NOW, ""},
    {"use-timers", use_timers, SIN_NOW, ""},
    {"use-work-items", use_work_items, SIN_NOW, ""},
    {"use-pool2", use_pool2, SIN_NOW, ""},
    {"use-mdls", use_mdls, SIN_NOW, ""},
    {"use-locked-pages", use_locked_pages, SIN_NOW, ""},
    {"use-io-space", use_io_space, SIN_NOW, ""},
    {"use-variables", use_variables, SIN_NOW, ""},
    {"use-attaching", use_attaching, SIN_NOW, ""},
    {"use-device-names", use_device_names, SIN_NOW, ""},
    {"use-tokens", use_tokens, SIN_NOW, ""},
    {"use-times", use_times, SIN_NOW, ""},
    {"use-levels", use_levels, SIN_NOW, ""},
};
const struct sins supplied_sins = {list, sizeof(list) / sizeof(list[0])};
