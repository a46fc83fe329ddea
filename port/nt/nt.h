/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nt: what the NT kernel port offers to drivers beyond port/port.h and port/disk.h: its start and
 * end, the driver it serves, optional routines of the kernel, and what is still allocated.
 *
 * Nothing of port/port.h may be called before vck_nt_init or after vck_nt_fini, except vck_assert,
 * the level checks, the clock and the log.
 *
 * Vector registers: x64 keeps XMM for kernel code at every level, wider ones only between
 * KeSaveExtendedProcessorState and its counterpart. The port does not use that pair: it costs a
 * save area per burst, does not exist everywhere, and the compiler that builds drivers does not
 * align wide spills. The core is therefore built for drivers with VCK_XMM_ONLY, which restricts
 * the crypto room as vck_cpu_restrict would.
 */
#ifndef VCK_PORT_NT_NT_H
#define VCK_PORT_NT_NT_H

#include <stddef.h>
#include <stdint.h>
#include "port/nt/ntapi.h"
#include "port/port.h"
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/*
 * Starts the port: looks up optional routines, reads the values of the driver's key named by
 * registry_path (both arguments as DriverEntry has them; the path is not kept), starts the port's
 * threads. DebugPort (REG_DWORD, 1) sends log lines to I/O port 0xE9 as well as to the debugger.
 * NO_MEMORY: nothing is left behind. PASSIVE.
 */
VCK_CHECKED vck_status vck_nt_init(DRIVER_OBJECT *driver,
                                   UNICODE_STRING *registry_path) VCK_CAN_WAIT;

/*
 * Ends it: waits for deferred work, for detached threads and their gone callbacks, and for the
 * port's own threads, each to its last instruction in the driver. Every timer must
 * be finished and every other thread joined. Memory that is still allocated is logged, with call
 * sites in builds without NDEBUG. The last that DriverUnload does, or a DriverEntry that fails
 * after vck_nt_init. PASSIVE.
 */
void vck_nt_fini(void) VCK_CAN_WAIT;

/* The driver given to vck_nt_init, borrowed; NULL outside. Any level. */
DRIVER_OBJECT *vck_nt_driver(void);

/* The address of a kernel routine, or NULL where this kernel has none: for routines that are newer
 * than the oldest system the driver loads on. PASSIVE. Source: MmGetSystemRoutineAddress. */
void *vck_nt_routine(const wchar_t *name);

/* Allocations of the tag that are live now; kept in every build. Any level. */
size_t vck_nt_alloc_live_of_tag(uint32_t tag);

/* A value of type REG_DWORD below the driver's key, or fallback when there is none. PASSIVE.
 * Source: ZwQueryValueKey. */
uint32_t vck_nt_registry_u32(const UNICODE_STRING *registry_path, const wchar_t *name,
                             uint32_t fallback);

VCK_END_DECLS

#endif
