/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request: one request from a program, from its IRP to what is done and back, and the handle it
 * came through. A handle's end cancels its requests.
 */
#ifndef VCK_ASYNCNET_REQUEST_H
#define VCK_ASYNCNET_REQUEST_H

#include "asyncnet.h"
#include "port/nt/ntapi.h"

VCK_BEGIN_DECLS

/* CREATE, CLEANUP and CLOSE of a handle: the status the IRP is to be completed with. PASSIVE. */
NTSTATUS request_open(PIRP irp);
NTSTATUS request_cleanup(PIRP irp);
NTSTATUS request_close(PIRP irp);

/* DEVICE_CONTROL: the status, and the bytes of the answer in the IRP's buffer. STATUS_PENDING: the
 * IRP is no longer the caller's. PASSIVE. */
NTSTATUS request_serve(struct asyncnet *asyncnet, PIRP irp, size_t *ret_size_bytes) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
