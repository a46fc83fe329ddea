/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_device: \Device\Vck, \\.\Vck for programs: carries requests of the control protocol to
 * the dispatcher and its answers back. It decides nothing but who asks.
 *
 *     start --> closed to everybody --publish--> serving --stop--> gone
 *
 * Requests run on threads of its own, so that none keeps the thread that sent another one, nor the
 * system's. A request waits in a queue, where it can be cancelled; once it runs, the dispatcher
 * asks whether it was. Requests that only look have a thread apart from those that change
 * something.
 */
#ifndef VCK_VCKSYS_CONTROL_DEVICE_H
#define VCK_VCKSYS_CONTROL_DEVICE_H

#include <stdbool.h>
#include "port/nt/ntapi.h"
#include "vck/control.h"

VCK_BEGIN_DECLS

#define CONTROL_DEVICE_NAME L"\\Device\\Vck"
#define CONTROL_DEVICE_LINK L"\\DosDevices\\Vck"

struct control_device_options {
    PDRIVER_OBJECT driver;
    struct vck_control_host *host; /* outlives stop */
    /* After each request, and for IRP_MJ_SHUTDOWN; may be NULL. PASSIVE. */
    void (*handled)(struct vck_control_host *host);
    void (*shutdown)(struct vck_control_host *host);
};

/* Makes the device, sets its security descriptor and starts the threads. Nobody can open it yet.
 * NO_MEMORY; PERMISSION_DENIED: the descriptor could not be set; ALREADY_EXISTS, IO. Then nothing
 * is left. PASSIVE. */
VCK_CHECKED vck_status control_device_start(const struct control_device_options *options)
    VCK_CAN_WAIT;

/* From now on programs can open it, and it is told of a shutdown. ALREADY_EXISTS, IO. PASSIVE. */
VCK_CHECKED vck_status control_device_publish(void);

/* Takes the name away, ends what waits with DELETE_PENDING, waits for what runs, and deletes the
 * device. Accepts one that was not started. PASSIVE. */
void control_device_stop(void) VCK_CAN_WAIT;

/* Any level. */
bool control_device_is(const DEVICE_OBJECT *device);

/* Every major function, for the control device. PASSIVE. */
NTSTATUS control_device_dispatch(PDEVICE_OBJECT device, PIRP irp) VCK_CAN_WAIT;

/* For struct vck_control_host_ops: nobody waits for the request any more, or the driver ends. */
bool control_device_is_cancelled(struct vck_control_host *host,
                                 const struct vck_control_caller *caller);

/* Whether stop has begun: what waits for long gives up. Any level. */
bool control_device_is_stopping(void);

VCK_END_DECLS

#endif
