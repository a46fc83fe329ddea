/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_internal: what opening a disk and using it share.
 */
#ifndef VCK_PORT_WIN_DISK_INTERNAL_H
#define VCK_PORT_WIN_DISK_INTERNAL_H

#include <windows.h>
#include <winioctl.h>
#include "port/disk.h"

struct win_disk {
    struct vck_disk disk;
    HANDLE handle; /* overlapped; INVALID_HANDLE_VALUE: none */
    PTP_IO pool;   /* NULL: none */
    bool is_device;
};

extern const struct vck_disk_ops vck_win_disk_ops;

/* DeviceIoControl on an overlapped handle, waiting for its end; a Win32 error code. ret_bytes may
 * be NULL. */
uint32_t vck_win_control(HANDLE handle, DWORD code, const void *in, DWORD in_bytes, void *out,
                         DWORD out_bytes, DWORD *ret_bytes);

/* In whole sectors of the disk; a Win32 error code. */
uint32_t vck_win_disk_read_size(const struct win_disk *d, uint64_t *ret_size_bytes);

/* The end of a read or write, for CreateThreadpoolIo. */
void CALLBACK vck_win_disk_transferred(PTP_CALLBACK_INSTANCE instance, void *context,
                                       void *overlapped, ULONG os_error, ULONG_PTR bytes,
                                       PTP_IO pool);

#endif
