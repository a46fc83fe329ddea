/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device: \Device\AsyncNet, \\.\AsyncNet for programs: requests as IRPs. What is short is done in
 * the dispatch routine; a run pends its IRP, which its end completes and which, cancelled, cancels
 * it. No thread waits for a request.
 *
 * An object below the driver's: it is made before any run, so it goes after all of them have.
 */
#ifndef VCK_ASYNCNET_DEVICE_H
#define VCK_ASYNCNET_DEVICE_H

#include "asyncnet.h"
#include "port/nt/ntapi.h"

VCK_BEGIN_DECLS

/* Makes the device and has the driver dispatch to it. Programs can open it when this returns.
 * NO_MEMORY, ALREADY_EXISTS, PERMISSION_DENIED, IO: nothing is left. PASSIVE. */
VCK_CHECKED vck_status device_create(struct asyncnet *asyncnet, PDRIVER_OBJECT driver) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
