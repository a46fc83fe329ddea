/* SPDX-License-Identifier: Apache-2.0 */
/*
 * requestor: who sent a request, by the token it acts under.
 */
#ifndef VCK_VCKSYS_REQUESTOR_H
#define VCK_VCKSYS_REQUESTOR_H

#include <stdbool.h>
#include "port/nt/ntapi.h"
#include "vck/annotate.h"

VCK_BEGIN_DECLS

/* Whether the requestor is an administrator: a driver, or a thread whose token has the group
 * Administrators enabled. The thread's own token counts if it impersonates, the process's
 * otherwise. A token that cannot be read is nobody's. Called in a dispatch routine, on the
 * requestor's thread. PASSIVE. */
bool requestor_is_admin(PIRP irp) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
