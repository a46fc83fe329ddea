/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host: the volumes of the driver, and what the dispatcher asks of Windows: which volume a path
 * means, how to get below its filesystem, how to get everybody off it.
 *
 * PREPARE comes to a disk by one of two ways. Where a filter is in the stack already, the disk
 * below it is opened and the filesystem stays, unless nobody uses it and it can be mounted afresh.
 * Otherwise the volume is locked and dismounted, a filter is put on its stack, and the lock is
 * given back when the filter is bound. Each step is undone in reverse.
 */
#ifndef VCK_VCKSYS_HOST_H
#define VCK_VCKSYS_HOST_H

#include <stdbool.h>
#include "filter.h"
#include "port/nt/ntapi.h"
#include "vck/control.h"
#include "vck/executor.h"

VCK_BEGIN_DECLS

/* Up and down of the room. stop ends every volume, in use or not. PASSIVE. */
void host_start(PDRIVER_OBJECT driver, struct vck_executor *executor);
void host_stop(void) VCK_CAN_WAIT;

/* Between start and stop. Any level. */
struct vck_control_host *host_control(void);

/* What DriverUnload is while no OS volume holds ciphertext; NULL is put there while one does.
 * Called once everything is up; host_look_at_unload whenever that may have changed. PASSIVE. */
void host_allow_unload(PDRIVER_UNLOAD unload) VCK_CAN_WAIT;
void host_look_at_unload(struct vck_control_host *host) VCK_CAN_WAIT;

/* The system goes down: lets sweeps come to a batch's end, without changing what they are to do
 * after it is up again. PASSIVE. */
void host_shutdown(struct vck_control_host *host) VCK_CAN_WAIT;

/* For struct filter_hooks: the device of a bound volume goes. PASSIVE. */
void host_device_removing(void *context, struct filter *filter, bool surprise) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
