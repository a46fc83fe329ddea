/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_lower: a vck_disk over a device object, by asynchronous IRPs of its own. It is what a filter
 * stands on: the device below it in the stack.
 *
 * Every operation is an IRP from a reserve made at open, with an MDL of its own; nothing is
 * allocated to carry one out, and one that finds the reserve in use waits for another operation's
 * end. IRPs and MDLs of a request above are never reused or changed. Completion only records the
 * result and calls `done`, at up to DISPATCH.
 *
 * READ and WRITE become IRP_MJ_READ and IRP_MJ_WRITE, FLUSH becomes IRP_MJ_FLUSH_BUFFERS, DISCARD
 * IOCTL_STORAGE_MANAGE_DATA_SET_ATTRIBUTES with one range to trim. FUA is SL_WRITE_THROUGH.
 *
 * What it is not: it does not own the device; who opens it sees to it that the device stays.
 */
#ifndef VCK_PORT_NT_DISK_LOWER_H
#define VCK_PORT_NT_DISK_LOWER_H

#include "port/disk.h"
#include "port/nt/ntapi.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* The request above on whose behalf an operation is made. It outlives the operation. */
struct vck_disk_lower_origin {
    PIRP irp;           /* held pending by the opener: its current stack location is read */
    PMDL mdl;           /* describes the buffer; NULL: the buffer is nonpaged pool */
    uint8_t *start;     /* where the MDL is mapped in system space */
    NTSTATUS nt_status; /* the first failure from below, as it came; 0 until then. Atomic */
};

struct vck_disk_lower_options {
    /* The origin of an operation, NULL for the opener's own. May itself be NULL. DISPATCH. */
    struct vck_disk_lower_origin *(*origin)(void *context, const struct vck_disk_io *io);
    /* Called in place of io->done for an operation with an origin: calls it, now or later. May be
     * NULL. On the thread and at the level of the completion below, up to DISPATCH. */
    void (*arrived)(void *context, struct vck_disk_lower_origin *origin, struct vck_disk_io *io);
    /* Called when the disk is closed, after its last access to the device; may be NULL. PASSIVE. */
    void (*closed)(void *context);
    void *context;
    const char *name; /* for messages; copied, may be NULL */
};

/*
 * Opens a disk over the device, which is sent IRPs directly (its upper neighbours are bypassed)
 * and referenced until close. Size, sector size, whether it is read only and whether it can trim
 * are asked by IOCTLs; buffers are aligned as the device wants them. Operations carry from their
 * origin: paging flags, write-through, verify-override, forced direct write, priority hint,
 * requesting thread.
 *
 * Buffers of operations are nonpaged pool, or lie within the origin's MDL. submit: DISPATCH.
 * Statuses: as port/disk.h; a short transfer is VCK_IO.
 *
 * NOT_READY: the device answers no size (not started, no medium); UNSUPPORTED: its sectors are
 * neither 512 nor 4096 bytes; IO; NO_MEMORY. PASSIVE.
 */
VCK_CHECKED vck_status vck_disk_lower_open(PDEVICE_OBJECT device,
                                           const struct vck_disk_lower_options *options,
                                           struct vck_disk **ret_disk) VCK_CAN_WAIT;

/* Sends one METHOD_BUFFERED IOCTL to the device itself and waits. buffer is nonpaged: the input,
 * replaced by the output. ret_size_bytes may be NULL. The device's NTSTATUS;
 * STATUS_INSUFFICIENT_RESOURCES. PASSIVE. */
NTSTATUS vck_disk_lower_ioctl(PDEVICE_OBJECT device, ULONG code, void *buffer,
                              ULONG input_size_bytes, ULONG output_size_bytes,
                              ULONG *ret_size_bytes) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
