/* SPDX-License-Identifier: Apache-2.0 */
/* send: IRPs made by hand and sent to a stack, of kinds a system sends and Wine does not. */
#ifndef VCK_TESTS_NT_SEND_H
#define VCK_TESTS_NT_SEND_H

#include "disk.h"

/* The device a request goes to, referenced. disk may be NULL for TD_TO_NAMED. PASSIVE. */
NTSTATUS td_find_target(struct td_disk *disk, const struct td_send *send,
                        PDEVICE_OBJECT *ret_device);
/* The driver of that name, e.g. \Driver\vck, referenced. PASSIVE. */
NTSTATUS td_find_driver(const WCHAR *name, PDRIVER_OBJECT *ret_driver);

/* Sends and waits; data is nonpaged, send->data_bytes long, and read and written as the flags say.
 * STATUS_TIMEOUT: it did not complete even after it was cancelled, and is left to itself.
 * PASSIVE. */
NTSTATUS td_send_and_wait(PDEVICE_OBJECT device, const struct td_send *send, UCHAR *data,
                          struct td_sent *ret_sent);

/* An IOCTL to the device, in its simplest form: the answer's status. */
NTSTATUS td_ask(PDEVICE_OBJECT device, ULONG code, void *answer, ULONG answer_bytes);

/* An MDL for nonpaged memory, mapped; NULL: no memory. DISPATCH. */
PMDL td_mdl(void *data, ULONG size_bytes);

#endif
