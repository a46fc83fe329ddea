/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume_sweep: the volume's hold on its sweep. All functions are called under the control lock.
 */
#ifndef VCK_VOLUME_SWEEP_H
#define VCK_VOLUME_SWEEP_H

#include "volume_internal.h"

/* After an attach: goes on with what was recorded as running. */
void volume_sweep_continue(struct vck_volume *volume, bool also_unrecorded) VCK_CAN_WAIT;
/* Brings the sweep to a batch boundary (its intent stays "run") or finds it stuck. */
void volume_sweep_halt(struct vck_volume *volume) VCK_CAN_WAIT;
/* Ends it for good, with its record open when it is stuck; nobody is inside the guard any more. */
void volume_sweep_end(struct vck_volume *volume) VCK_CAN_WAIT;

#endif
