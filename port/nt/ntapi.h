/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ntapi: the NT kernel's declarations as this project uses them, and what the toolchain's headers
 * lack or declare wrongly. The only place that includes them. With VCK_FAKE_NT the same names come
 * from a host-side fake instead, so that IRP handling runs under sanitizers.
 */
#ifndef VCK_PORT_NT_NTAPI_H
#define VCK_PORT_NT_NTAPI_H

#if defined(VCK_FAKE_NT)
#include <fake_nt.h>
#else
#include <ntifs.h>
#include <ntdddisk.h>
#include <ntddvol.h>
#include <mountmgr.h>

#define MdlMappingNoExecute 0x40000000
#endif

#endif
