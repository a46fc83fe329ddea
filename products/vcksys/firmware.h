/* SPDX-License-Identifier: Apache-2.0 */
/*
 * firmware: takes the handover from where the boot loader left it in memory. Source: handover,
 * "Transport 1" and "Transport 2".
 */
#ifndef VCK_VCKSYS_FIRMWARE_H
#define VCK_VCKSYS_FIRMWARE_H

#include "vck/annotate.h"
#include "vck/handover.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* Tries the firmware variable, then the ACPI table. What is found is copied, wiped where it was,
 * and the variable deleted where the firmware lets it. NOT_FOUND: there is none; else why what is
 * there cannot be used. PASSIVE. */
VCK_CHECKED vck_status firmware_take_handover(struct vck_handover *ret_handover);

VCK_END_DECLS

#endif
