/* SPDX-License-Identifier: Apache-2.0 */
/* Devices and work items. */
#include "selftest.h"

static PDEVICE_OBJECT make(void)
{
    PDEVICE_OBJECT device = NULL;
    IoCreateDevice(selftest_driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    return device;
}

static PDEVICE_OBJECT attach(PDEVICE_OBJECT upper, PDEVICE_OBJECT lower)
{
    PDEVICE_OBJECT attached_to = NULL;
    IoAttachDeviceToDeviceStackSafe(upper, lower, &attached_to);
    return attached_to;
}

static void delete_below(void)
{
    PDEVICE_OBJECT lower = make(), upper = make();
    attach(upper, lower);
    ObReferenceObject(lower);
    IoDeleteDevice(lower);
    IoDetachDevice(lower);
    ObDereferenceObject(lower);
    IoDeleteDevice(upper);
}

static void delete_attached(void)
{
    PDEVICE_OBJECT lower = make(), upper = make();
    attach(upper, lower);
    ObReferenceObject(upper);
    IoDeleteDevice(upper);
    IoDetachDevice(lower);
    ObDereferenceObject(upper);
    IoDeleteDevice(lower);
}

static void delete_registered(void)
{
    PDEVICE_OBJECT device = make();
    IoRegisterShutdownNotification(device);
    IoDeleteDevice(device);
}

static void attach_to_something(void)
{
    PDEVICE_OBJECT lower = make(), upper = make(), attached_to = upper;
    IoAttachDeviceToDeviceStackSafe(upper, lower, &attached_to);
    IoDetachDevice(lower);
    IoDeleteDevice(upper);
    IoDeleteDevice(lower);
}

static void detach_nothing(void)
{
    PDEVICE_OBJECT device = make();
    IoDetachDevice(device);
    IoDeleteDevice(device);
}

/* ---- work items ---- */

static volatile LONG runs;

static void NTAPI run(PDEVICE_OBJECT device, PVOID context)
{
    (void)device;
    (void)context;
    InterlockedIncrement(&runs);
}

static void wait_for_runs(LONG count)
{
    while (runs < count)
        selftest_sleep_ms(1);
    selftest_sleep_ms(10);
}

static void queue_twice(void)
{
    PIO_WORKITEM item = IoAllocateWorkItem(selftest_device);
    runs = 0;
    IoQueueWorkItem(item, run, DelayedWorkQueue, NULL);
    IoQueueWorkItem(item, run, DelayedWorkQueue, NULL);
    wait_for_runs(1);
    IoFreeWorkItem(item);
}

static void free_queued(void)
{
    PIO_WORKITEM item = IoAllocateWorkItem(selftest_device);
    runs = 0;
    IoQueueWorkItem(item, run, DelayedWorkQueue, NULL);
    IoFreeWorkItem(item);
    wait_for_runs(1);
    IoFreeWorkItem(item);
}

static const struct sin list[] = {
    {"delete-below", delete_below, SIN_NOW, "device-deleted-attached"},
    {"delete-attached", delete_attached, SIN_NOW, "device-not-detached"},
    {"delete-registered", delete_registered, SIN_NOW, "shutdown-left"},
    {"attach-to-something", attach_to_something, SIN_NOW, "attach-to-not-null"},
    {"detach-nothing", detach_nothing, SIN_NOW, "device-not-attached"},
    {"queue-twice", queue_twice, SIN_NOW, "work-item-queued-twice"},
    {"free-queued", free_queued, SIN_NOW, "work-item-freed-queued"},
};
const struct sins device_sins = {list, sizeof(list) / sizeof(list[0])};
