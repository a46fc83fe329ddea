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

#define MdlMappingNoExecute     0x40000000

/* Pools of the 10 SDK and newer: memory that is not executable. */
#define VCK_NON_PAGED_POOL_NX   ((POOL_TYPE)512)
#define VCK_POOL_FLAG_NON_PAGED 0x40ull

/* In the header these two read a fixed place of the processor's control region; the exported
 * functions work wherever the driver is loaded. */
extern PETHREAD(NTAPI *__imp_PsGetCurrentThread)(void);

/* In the header these are pointers to the imported pointers, one level too many. */
extern POBJECT_TYPE *__imp_PsThreadType;
extern POBJECT_TYPE *__imp_IoFileObjectType;
extern POBJECT_TYPE *__imp_ExEventObjectType;
extern POBJECT_TYPE *__imp_PsProcessType;
extern POBJECT_TYPE *__imp_SeTokenObjectType;

#define PROCESS_QUERY_INFORMATION 0x0400

NTKERNELAPI NTSTATUS NTAPI KeExpandKernelStackAndCalloutEx(PEXPAND_STACK_CALLOUT callout,
                                                           PVOID parameter, SIZE_T size_bytes,
                                                           BOOLEAN wait, PVOID context);
NTSYSAPI NTSTATUS NTAPI ZwQuerySystemInformation(ULONG what, PVOID buffer, ULONG size_bytes,
                                                 PULONG ret_size_bytes);
#endif

#endif
