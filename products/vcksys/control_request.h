/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_request: one request on its way from an IRP to the dispatcher and back, and the open
 * handle it came through.
 */
#ifndef VCK_VCKSYS_CONTROL_REQUEST_H
#define VCK_VCKSYS_CONTROL_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include "port/nt/ntapi.h"
#include "port/port.h"
#include "vck/control.h"

VCK_BEGIN_DECLS

/* An open handle. Counted: requests outlive it. */
struct control_handle {
    uint32_t references;
    uint32_t is_closed; /* atomic: CLEANUP has come */
    bool can_read;
    bool can_write;
    struct vck_spinlock lock; /* covers last_error */
    char last_error[VCK_MSG_TEXT_BYTES_MAX + 1];
};

/* access: what the handle was granted. One reference. NULL: no memory. PASSIVE. */
struct control_handle *control_handle_create(ACCESS_MASK access);
void control_handle_release(struct control_handle *handle VCK_TAKES);

struct control_request {
    PIRP irp;
    struct control_handle *handle;
    struct vck_work work; /* its refusal, when it is cancelled in the queue */
    struct vck_control_caller caller;
    uint32_t code;
    uint8_t *message; /* a copy of the input, in pages: it may hold a key */
    size_t message_bytes;
};

/* Copies the IRP's input and wipes it there. The request holds a reference to the handle.
 * INVALID_DATA: longer than a request may be, or a length without a buffer; NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status control_request_create(PIRP irp, struct control_handle *handle,
                                              bool is_admin, struct control_request **ret_request);

/* Wipes and frees; the IRP is untouched. PASSIVE. */
void control_request_destroy(struct control_request *request VCK_TAKES);

/* Whether nobody waits for it any more. Any level. */
bool control_request_is_cancelled(const struct control_request *request);

/* Has the dispatcher perform it, on an expanded stack, and writes the answer into the IRP's buffer.
 * Returns the status and the size for the IRP. PASSIVE. */
NTSTATUS control_request_perform(struct control_request *request, struct vck_control_host *host,
                                 size_t *ret_size_bytes) VCK_CAN_WAIT;

/* Whether it changes something or takes long: not for the thread of those that only look. */
bool control_request_is_slow(const struct control_request *request);

VCK_END_DECLS

#endif
