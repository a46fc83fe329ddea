/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot: binds the volume the boot loader unlocked, while its device starts: before anybody above
 * has read a sector of it.
 *
 *     start (handover taken) --device that matches starts, bound--> key wiped
 *                            --booting ends-----------------------> key wiped
 *
 * Nothing here keeps a device from starting. One that matches and cannot be bound refuses writes: a
 * filesystem must not put plaintext over ciphertext. Source: handover, "Matching".
 */
#ifndef VCK_VCKSYS_BOOT_H
#define VCK_VCKSYS_BOOT_H

#include "filter.h"
#include "port/nt/ntapi.h"
#include "vck/control.h"

VCK_BEGIN_DECLS

/* Takes the handover, if there is one. host outlives stop. PASSIVE. */
void boot_start(PDRIVER_OBJECT driver, struct vck_control_host *host);
/* Wipes what is left of it. PASSIVE. */
void boot_stop(void);

/* For struct filter_hooks. PASSIVE. */
void boot_device_started(void *context, struct filter *filter) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
