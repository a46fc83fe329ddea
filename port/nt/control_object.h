/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_object: the named device through which programs reach a driver.
 *
 * The system opens a device by whatever descriptor it has at that moment, so it is set while the
 * device is still being initialised and nothing leads to it; a link and the end of initialising
 * come after everything the driver needs to answer is there.
 */
#ifndef VCK_PORT_NT_CONTROL_OBJECT_H
#define VCK_PORT_NT_CONTROL_OBJECT_H

#include "port/nt/ntapi.h"
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/*
 * A device of that name, DO_DEVICE_INITIALIZING and closed to everybody but administrators and the
 * system, who may do everything, and users, who may read (port/nt/security.h). NO_MEMORY,
 * ALREADY_EXISTS, IO; PERMISSION_DENIED: the descriptor could not be set, which is logged. Then
 * nothing is left. PASSIVE. Source: IoCreateDevice, ZwSetSecurityObject.
 */
VCK_CHECKED vck_status vck_nt_device_create(PDRIVER_OBJECT driver, const wchar_t *name,
                                            ULONG extension_bytes, PDEVICE_OBJECT *ret_device);

/* A link to the device, by which programs find it. NO_MEMORY, ALREADY_EXISTS, IO. PASSIVE. */
VCK_CHECKED vck_status vck_nt_link_create(const wchar_t *link, const wchar_t *name);
/* PASSIVE. */
void vck_nt_link_delete(const wchar_t *link);

/* What the handle that IRP_MJ_CREATE makes may do; everything, where the system does not tell. Any
 * level. Source: IO_SECURITY_CONTEXT. */
ACCESS_MASK vck_nt_granted_access(const IO_STACK_LOCATION *stack);

VCK_END_DECLS

#endif
