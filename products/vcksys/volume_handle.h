/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume_handle: a volume opened by name as programs see it, through its filesystem, to lock it and
 * to dismount it. Source: FSCTL_LOCK_VOLUME, FSCTL_DISMOUNT_VOLUME, FSCTL_UNLOCK_VOLUME.
 */
#ifndef VCK_VCKSYS_VOLUME_HANDLE_H
#define VCK_VCKSYS_VOLUME_HANDLE_H

#include <stdbool.h>
#include <stdint.h>
#include "port/nt/ntapi.h"
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

struct volume_handle {
    HANDLE handle; /* NULL: closed */
    bool is_locked;
};

/* Opens a volume or device by its NT path, for shared use. NOT_FOUND, PERMISSION_DENIED, BUSY, IO,
 * NO_MEMORY, INVALID_DATA (the path). PASSIVE, on a thread that dispatches no IRPs. */
VCK_CHECKED vck_status volume_handle_open(const char *nt_path,
                                          struct volume_handle *ret_volume) VCK_CAN_WAIT;

/* Unlocks if it is locked, and closes; accepts a closed one. PASSIVE. */
void volume_handle_close(struct volume_handle *volume) VCK_CAN_WAIT;

/* Locks the volume, so that nobody but this handle has it open, and dismounts its filesystem. What
 * has no filesystem has nothing to lock. OK leaves it locked; BUSY: somebody uses it. PASSIVE. */
VCK_CHECKED vck_status volume_handle_dismount(struct volume_handle *volume) VCK_CAN_WAIT;

/* The same until it succeeds, `tries` times, pause_ns apart, or is_given_up says so. PASSIVE. */
VCK_CHECKED vck_status volume_handle_dismount_patiently(struct volume_handle *volume,
                                                        uint32_t tries, uint64_t pause_ns,
                                                        bool (*is_given_up)(void)) VCK_CAN_WAIT;

/* Dismounts, whoever uses it; locks if that can be. Failures stay without consequence. PASSIVE. */
void volume_handle_force_dismount(struct volume_handle *volume) VCK_CAN_WAIT;

/* The device that was opened, at the bottom of its stack; referenced: ObDereferenceObject.
 * NOT_READY: the system has not said. PASSIVE. */
VCK_CHECKED vck_status volume_handle_device(const struct volume_handle *volume,
                                            PDEVICE_OBJECT *ret_device) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
