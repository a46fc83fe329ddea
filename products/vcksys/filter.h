/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter: the devices that sit in volume stacks. An unbound filter passes everything on; a bound
 * one serves reads, writes, flushes and trims through a volume, and shows sizes and offsets of the
 * volume's data region instead of the device's.
 *
 *     filter_add_device, filter_attach_to --> passing --bind--> bound --unbind--> passing
 *                                                |                                   |
 *                                                +--> filter_detach, REMOVE_DEVICE <-+
 *
 * Whoever binds decides: which volume, with what key, and when nobody else uses the device. The
 * order is filter_open_disk, vck_volume_attach, filter_bind; back: filter_unbind,
 * vck_volume_detach, which closes the disk.
 *
 * A `struct filter *` is counted: functions that hand one out take a reference for the caller,
 * which keeps the device from being deleted until filter_release. REMOVE_DEVICE waits for all
 * references, bindings and open disks, after it has called `removing`.
 *
 * What it is not: it knows no paths, no keys and no policy about OS volumes.
 */
#ifndef VCK_VCKSYS_FILTER_H
#define VCK_VCKSYS_FILTER_H

#include <stdbool.h>
#include "port/disk.h"
#include "port/nt/ntapi.h"
#include "vck/executor.h"
#include "vck/volume.h"

VCK_BEGIN_DECLS

struct filter;

/* What the filter tells the rest of the driver. Called at PASSIVE with no lock held; the filter is
 * borrowed for the call. Any may be NULL. */
struct filter_hooks {
    /* START_DEVICE has succeeded below and has not completed upward: nobody above has read a
     * sector. May wait, open the disk and bind. Called again after each restart. */
    void (*started)(void *context, struct filter *filter);
    /* The device goes away. Returns after the binding is undone, the volume is detached (its disk
     * closed) and references are given back. surprise: I/O below fails already. After a surprise
     * it is called a second time, with false, for REMOVE_DEVICE. */
    void (*removing)(void *context, struct filter *filter, bool surprise);
    void *context;
};

struct filter_options {
    PDRIVER_OBJECT driver;
    struct vck_executor *executor; /* runs the requests; outlives filter_stop */
    struct filter_hooks hooks;
    uint32_t lanes; /* requests in flight per volume; 0: FILTER_LANES_DEFAULT */
};

#define FILTER_LANES_DEFAULT 32u
#define FILTER_LANES_MAX     256u

/* Up and down of the room, once per load. stop detaches filters that are left; none may be bound.
 * PASSIVE. */
void filter_start(const struct filter_options *options);
void filter_stop(void) VCK_CAN_WAIT;

/* DriverExtension->AddDevice. Always STATUS_SUCCESS: a filter that cannot be made leaves a device
 * without one, not a device that does not start. PASSIVE. */
NTSTATUS NTAPI filter_add_device(PDRIVER_OBJECT driver, PDEVICE_OBJECT physical_device);

/* Whether the device is one of this room's. Other devices of the driver have no extension, or one
 * whose first 32 bits are not FILTER_SIGNATURE. Any level. */
bool filter_is_device(const DEVICE_OBJECT *device);
#define FILTER_SIGNATURE 0x746C6956u

/* Every major function, for a filter device. At the level the major is sent at; PnP may wait. */
NTSTATUS filter_dispatch(PDEVICE_OBJECT device, PIRP irp);

/* ---- finding ---- */

/* Puts a filter on top of the stack the device is in. NO_MEMORY, IO (the stack refused), NOT_FOUND
 * (the stack is being taken down). PASSIVE. */
VCK_CHECKED vck_status filter_attach_to(PDEVICE_OBJECT device,
                                        struct filter **ret_filter) VCK_CAN_WAIT;

/* The filter in the stack the device (of any driver) is in. NOT_FOUND. PASSIVE. */
VCK_CHECKED vck_status filter_find(PDEVICE_OBJECT device, struct filter **ret_filter) VCK_CAN_WAIT;

/* The filter over the device with this object name, e.g. \Device\HarddiskVolume3; compared without
 * case. NOT_FOUND. PASSIVE. */
VCK_CHECKED vck_status filter_find_by_name(PCUNICODE_STRING name,
                                           struct filter **ret_filter) VCK_CAN_WAIT;

/* The filter the volume is bound to. NOT_FOUND. PASSIVE. */
VCK_CHECKED vck_status filter_find_by_volume(const struct vck_volume *volume,
                                             struct filter **ret_filter) VCK_CAN_WAIT;

/* The i-th filter, for going through all: OUT_OF_RANGE after the last. PASSIVE. */
VCK_CHECKED vck_status filter_at(uint32_t index, struct filter **ret_filter) VCK_CAN_WAIT;

/* Any number of times. DISPATCH. False: the device is being removed. */
VCK_CHECKED bool filter_reference(struct filter *filter);
void filter_release(struct filter *filter VCK_TAKES);

/* Borrowed from the reference. The bottom of the stack, and what the filter sends to. Any level. */
PDEVICE_OBJECT filter_physical_device(const struct filter *filter);
PDEVICE_OBJECT filter_lower_device(const struct filter *filter);
PDEVICE_OBJECT filter_device(const struct filter *filter);
/* Made by AddDevice, not by filter_attach_to: it goes with the device, not with filter_detach. */
bool filter_is_permanent(const struct filter *filter);

/* ---- binding ---- */

/* A disk over the device below, for the volume to be attached to. It holds the filter until it is
 * closed. One at a time: BUSY. Otherwise vck_disk_lower_open's. PASSIVE. */
VCK_CHECKED vck_status filter_open_disk(struct filter *filter,
                                        struct vck_disk **ret_disk) VCK_CAN_WAIT;

/* From now on I/O goes through the volume, which was attached to the filter's disk and gets a
 * reference. The caller has made sure that nothing is in flight in the stack. Everything an I/O
 * needs is reserved here. ALREADY_EXISTS (bound), NO_MEMORY, DELETE_PENDING (the device or the
 * executor ends). PASSIVE. */
VCK_CHECKED vck_status filter_bind(struct filter *filter, struct vck_volume *volume) VCK_CAN_WAIT;

/* From now on I/O passes, and when it returns no request is in the volume any more: it waits for
 * those that were, however long. Harmless when nothing is bound. PASSIVE. */
void filter_unbind(struct filter *filter) VCK_CAN_WAIT;

/* While nothing is bound, or a volume that has no key yet: whether writes, trims and pass-through
 * commands are refused with STATUS_MEDIA_WRITE_PROTECTED. For a volume that holds ciphertext it is
 * set before filter_unbind, so that no write slips between; it says nothing while a volume with its
 * key is bound. Any level. */
void filter_set_write_refusal(struct filter *filter, bool refuse);
bool filter_refuses_writes(const struct filter *filter);

/* Takes the filter out of its stack and deletes it, with the caller's reference; waits for all
 * other references. BUSY: bound, its disk open, or somebody attached above it; UNSUPPORTED: it is
 * permanent. The reference is then still the caller's. PASSIVE. */
VCK_CHECKED vck_status filter_detach(struct filter *filter) VCK_CAN_WAIT;

/* The bound volume, referenced (vck_volume_release), or NULL. DISPATCH. */
struct vck_volume *filter_get_volume(struct filter *filter);

/* How often the system has put each kind of file on the device (DEVICE_USAGE_NOTIFICATION). While
 * the bound volume holds ciphertext, or may be made to hold it (it is being encrypted), new
 * hibernation and dump files are refused. Any level. */
struct filter_usage {
    uint32_t paging;
    uint32_t hibernation;
    uint32_t dump;
    uint32_t boot;
};

void filter_get_usage(const struct filter *filter, struct filter_usage *ret_usage);

VCK_END_DECLS

#endif
