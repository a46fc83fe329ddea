/* SPDX-License-Identifier: Apache-2.0 */
#include "volume_handle.h"
#include "port/nt/name.h"
#include "port/port.h"
#include "vck/thread.h"

#define VOLUME_HANDLE_TAG VCK_TAG('V', 'h', 'd', 'l')
/* A file object gets its device when the open has been dispatched, which the opener of a device
 * without filesystem may be ahead of. */
#define DEVICE_TRIES    100
#define DEVICE_PAUSE_NS 10000000u

static vck_status status_of_open(NTSTATUS status)
{
    switch ((uint32_t)status) {
    case (uint32_t)STATUS_OBJECT_NAME_NOT_FOUND:
    case (uint32_t)STATUS_OBJECT_PATH_NOT_FOUND:
    case (uint32_t)STATUS_OBJECT_TYPE_MISMATCH:
    case (uint32_t)STATUS_NO_SUCH_DEVICE:
    case (uint32_t)STATUS_NO_SUCH_FILE:
        return VCK_NOT_FOUND;
    case (uint32_t)STATUS_ACCESS_DENIED:
        return VCK_PERMISSION_DENIED;
    case (uint32_t)STATUS_SHARING_VIOLATION:
        return VCK_BUSY;
    default:
        return NT_SUCCESS(status) ? VCK_OK : vck_status_from_nt((uint32_t)status);
    }
}

vck_status volume_handle_open(const char *nt_path, struct volume_handle *ret_volume)
{
    struct vck_nt_name *name = vck_alloc(sizeof(*name), VOLUME_HANDLE_TAG);
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK io;
    HANDLE handle = NULL;
    vck_status status;

    if (!name)
        return VCK_NO_MEMORY;
    status = vck_nt_name_set(name, nt_path);
    if (status) {
        status = VCK_INVALID_DATA;
        goto out;
    }
    InitializeObjectAttributes(&attributes, &name->string, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE,
                               NULL, NULL);
    status = status_of_open(
        ZwCreateFile(&handle, FILE_READ_DATA | FILE_WRITE_DATA | SYNCHRONIZE, &attributes, &io,
                     NULL, 0, FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN,
                     FILE_SYNCHRONOUS_IO_NONALERT | FILE_NO_INTERMEDIATE_BUFFERING, NULL, 0));
    if (status == VCK_OK) {
        ret_volume->handle = handle;
        ret_volume->is_locked = false;
    }
out:
    vck_free(name);
    return status;
}

static NTSTATUS control(const struct volume_handle *volume, ULONG code)
{
    IO_STATUS_BLOCK io = {0};
    NTSTATUS status =
        ZwFsControlFile(volume->handle, NULL, NULL, NULL, &io, code, NULL, 0, NULL, 0);

    if (status == STATUS_PENDING) {
        (void)ZwWaitForSingleObject(volume->handle, FALSE, NULL);
        status = io.Status;
    }
    return status;
}

/* Every filesystem, the raw one too, knows these requests; a device by itself does not. */
static bool is_without_filesystem(NTSTATUS status)
{
    return status == STATUS_INVALID_DEVICE_REQUEST || status == STATUS_NOT_SUPPORTED ||
           status == STATUS_NOT_IMPLEMENTED || status == STATUS_INVALID_PARAMETER ||
           status == STATUS_BAD_DEVICE_TYPE;
}

static void unlock(struct volume_handle *volume)
{
    if (volume->is_locked)
        (void)control(volume, FSCTL_UNLOCK_VOLUME);
    volume->is_locked = false;
}

vck_status volume_handle_dismount(struct volume_handle *volume)
{
    NTSTATUS status;

    if (!volume->is_locked) {
        status = control(volume, FSCTL_LOCK_VOLUME);
        if (is_without_filesystem(status))
            return VCK_OK;
        if (!NT_SUCCESS(status))
            return VCK_BUSY;
        volume->is_locked = true;
    }
    status = control(volume, FSCTL_DISMOUNT_VOLUME);
    return NT_SUCCESS(status) || is_without_filesystem(status) ? VCK_OK : VCK_BUSY;
}

vck_status volume_handle_dismount_patiently(struct volume_handle *volume, uint32_t tries,
                                            uint64_t pause_ns, bool (*is_given_up)(void))
{
    vck_status status = volume_handle_dismount(volume);

    for (uint32_t i = 1; status && i < tries && !is_given_up(); i++) {
        vck_thread_sleep(pause_ns);
        status = volume_handle_dismount(volume);
    }
    if (status)
        unlock(volume);
    return status;
}

void volume_handle_force_dismount(struct volume_handle *volume)
{
    if (NT_SUCCESS(control(volume, FSCTL_LOCK_VOLUME)))
        volume->is_locked = true;
    (void)control(volume, FSCTL_DISMOUNT_VOLUME);
}

void volume_handle_close(struct volume_handle *volume)
{
    if (!volume->handle)
        return;
    unlock(volume);
    (void)ZwClose(volume->handle);
    volume->handle = NULL;
}

static PDEVICE_OBJECT look_at_device(const struct volume_handle *volume)
{
    PFILE_OBJECT file = NULL;
    PDEVICE_OBJECT device = NULL;
    NTSTATUS status =
        ObReferenceObjectByHandle(volume->handle, 0, NULL, KernelMode, (PVOID *)&file, NULL);

    if (!NT_SUCCESS(status))
        return NULL;
    device = file->DeviceObject;
    if (device)
        ObReferenceObject(device);
    ObDereferenceObject(file);
    return device;
}

vck_status volume_handle_device(const struct volume_handle *volume, PDEVICE_OBJECT *ret_device)
{
    PDEVICE_OBJECT device = look_at_device(volume);

    for (int i = 1; !device && i < DEVICE_TRIES; i++) {
        vck_thread_sleep(DEVICE_PAUSE_NS);
        device = look_at_device(volume);
    }
    if (!device)
        return VCK_NOT_READY;
    *ret_device = device;
    return VCK_OK;
}
