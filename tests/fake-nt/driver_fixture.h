/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver_fixture: the whole driver, loaded through its DriverEntry, a disk for it to work on, and
 * programs that open its control device.
 */
#ifndef VCK_DRIVER_FIXTURE_H
#define VCK_DRIVER_FIXTURE_H

#include "fake_disk.h"
#include "fake_program.h"
#include "vck/control.h"

#define DRIVER_SERVICE        FAKE_SERVICE(L"vck")
#define DRIVER_DISK_BYTES     (UINT64_C(4) << 20)
#define DRIVER_METADATA_BYTES 131072u
#define DRIVER_DISK_NAME      L"\\Device\\FakeDisk"
#define DRIVER_DISK_LINK      L"\\??\\D:"

extern const uint8_t driver_key[32];
extern const struct fake_token driver_admin;
extern const struct fake_token driver_user;

struct driver_fixture {
    DRIVER_OBJECT driver;
    struct driver_extension extension;
    PDRIVER_UNLOAD unload;
    PDEVICE_OBJECT control;
    struct fake_disk *disk;
    uint8_t *before; /* the disk as it was made */
    size_t live;
};

/* A disk that can be opened by name and by D:, holding a volume of driver_key's, and no driver. */
void driver_begin(struct driver_fixture *f) VCK_CAN_WAIT;
/* Loads the driver, and unloads it. */
NTSTATUS driver_load(struct driver_fixture *f) VCK_CAN_WAIT;
void driver_unload(struct driver_fixture *f) VCK_CAN_WAIT;
/* The disk's stack gets a filter from AddDevice and starts; and loses it. */
void driver_add_device(struct driver_fixture *f) VCK_CAN_WAIT;
void driver_start_device(struct driver_fixture *f) VCK_CAN_WAIT;
/* Tells the stack that a file of the system's is, or is no longer, on it: the status. */
NTSTATUS driver_use_device(struct driver_fixture *f, DEVICE_USAGE_NOTIFICATION_TYPE type,
                           bool in_path) VCK_CAN_WAIT;
void driver_remove_device(struct driver_fixture *f) VCK_CAN_WAIT;
/* Checks that nothing is left. */
void driver_end(struct driver_fixture *f) VCK_CAN_WAIT;
/* For cmocka: *state is a fixture with the driver loaded; and neither is left. */
int driver_set_up(void **state);
int driver_tear_down(void **state);

/* ---- programs ---- */

/* access: what the handle is granted. The status of CREATE. */
NTSTATUS driver_open(struct driver_fixture *f, struct file_object *file,
                     ACCESS_MASK access) VCK_CAN_WAIT;
void driver_close(struct driver_fixture *f, struct file_object *file) VCK_CAN_WAIT;
NTSTATUS driver_major(struct driver_fixture *f, struct file_object *file, UCHAR major) VCK_CAN_WAIT;

/* Sends a request whose message is in call->buffer. */
void driver_send(struct driver_fixture *f, struct fake_call *call, struct file_object *file,
                 uint32_t code, uint32_t input_bytes, uint32_t output_bytes);

/* Opens, encodes, sends, waits, closes; what is in call->buffer then is the answer. */
uint32_t driver_request(struct driver_fixture *f, struct fake_call *call, uint32_t code,
                        const void *message) VCK_CAN_WAIT;
uint32_t driver_path_request(struct driver_fixture *f, struct fake_call *call, uint32_t code,
                             const char *path) VCK_CAN_WAIT;
/* PREPARE with the key, as an OS volume or not. */
uint32_t driver_prepare(struct driver_fixture *f, const char *path, bool is_os_volume) VCK_CAN_WAIT;
struct vck_msg_volume_status driver_status(struct driver_fixture *f, struct fake_call *call,
                                           const char *path) VCK_CAN_WAIT;
/* Waits until the sweep rests. */
void driver_finish_sweep(struct driver_fixture *f, const char *path) VCK_CAN_WAIT;

/* A write of one sector from above the disk's stack. */
NTSTATUS driver_write_sector(struct driver_fixture *f, uint64_t offset_bytes) VCK_CAN_WAIT;

#endif
