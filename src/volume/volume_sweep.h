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
/* Halts it for a while and says whether it is to go on; let_go then lets it. */
bool volume_sweep_hold(struct vck_volume *volume) VCK_CAN_WAIT;
void volume_sweep_let_go(struct vck_volume *volume, bool goes_on) VCK_CAN_WAIT;
/* Ends it for good, with its record open when it is stuck; nobody is inside the guard any more. */
void volume_sweep_end(struct vck_volume *volume) VCK_CAN_WAIT;

/* Whether a sweep is possible at all: DELETED, UNSUPPORTED, READ_ONLY, IO. */
vck_status volume_sweep_check(struct vck_volume *volume);
/* Frees a sweep that has ended. True: there is none. */
bool volume_sweep_is_free(struct vck_volume *volume) VCK_CAN_WAIT;
/* Begins one, or lets the one that runs go on in this direction, of a rekey or not. NOT_FOUND: the
 * rekey has ended meanwhile; its direction is that of volume->sweep. */
vck_status volume_sweep_start(struct vck_volume *volume, enum vck_direction direction,
                              bool is_rekey) VCK_CAN_WAIT;

/* ---- volume_rekey ---- */

bool volume_is_rekeying(const struct vck_volume *volume);
/* What a sweep calls at the end of a rekey. */
vck_status volume_rekey_end(void *context);

#endif
