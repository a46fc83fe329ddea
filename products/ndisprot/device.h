/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device: \Device\Ndisprot, \\.\Ndisprot for programs: makes a call of the frame dispatcher
 * (vck/frame_control.h) of each request and completes the request when the call has ended. An open
 * file is a handle of the dispatcher's. It decides nothing.
 *
 *     start --> closed to everybody --publish--> serving --stop--> gone
 */
#ifndef VCK_NDISPROT_DEVICE_H
#define VCK_NDISPROT_DEVICE_H

#include "port/nt/ntapi.h"
#include "vck/frame.h"

VCK_BEGIN_DECLS

#define NDISPROT_DEVICE_NAME L"\\Device\\Ndisprot"
#define NDISPROT_DEVICE_LINK L"\\DosDevices\\Ndisprot"

/* Makes the device, with its security descriptor, and takes all of the driver's requests. protocol
 * is borrowed until stop. NO_MEMORY, ALREADY_EXISTS, PERMISSION_DENIED (the descriptor), IO. Then
 * nothing is left. PASSIVE. */
VCK_CHECKED vck_status device_start(PDRIVER_OBJECT driver,
                                    struct vck_frame_protocol *protocol) VCK_CAN_WAIT;

/* From now on programs find it. NO_MEMORY, ALREADY_EXISTS, IO. PASSIVE. */
VCK_CHECKED vck_status device_publish(void);

/* No program finds it any more. Accepts one that was not published. PASSIVE. */
void device_hide(void);

/* Deletes the device: no file is open and no request is under way. Accepts one that was not
 * started. PASSIVE. */
void device_stop(void);

VCK_END_DECLS

#endif
