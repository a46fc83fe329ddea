/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_program: what a driver meets from outside: it is loaded through its DriverEntry, programs
 * open its device and send requests, it is unloaded.
 */
#ifndef VCK_FAKE_PROGRAM_H
#define VCK_FAKE_PROGRAM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <fake_nt.h>
#include "port/port.h"

/* ---- the driver ---- */

/* Of the driver in the test. */
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

#define FAKE_SERVICE(name) L"\\Registry\\Machine\\SYSTEM\\CurrentControlSet\\Services\\" name

/* The test has set DriverInit and DriverExtension; service: FAKE_SERVICE. */
NTSTATUS fake_driver_load(PDRIVER_OBJECT driver, PCWSTR service) VCK_CAN_WAIT;
/* What is left is an object that can be loaded again. */
void fake_driver_unload(PDRIVER_OBJECT driver) VCK_CAN_WAIT;

/* Loads it with the N-th allocation failing, or the N-th call of the system, for N = 1, 2, ...
 * until it loads, and unloads it. Whatever failed, nothing may be left. */
void fake_driver_load_with_failures(PDRIVER_OBJECT driver, PCWSTR service,
                                    bool of_memory) VCK_CAN_WAIT;

/* ---- requests ---- */

/* An IRP of a program. */
struct fake_call {
    struct fake_requestor requestor;
    struct vck_event done;
    PDEVICE_OBJECT device;
    PIRP irp; /* until it completes; longer with keeps_irp, for the test to free */
    PMDL mdl; /* goes with the IRP */
    bool keeps_irp;
    bool comes_cancelled; /* before the driver sees it */
    NTSTATUS returned;
    NTSTATUS status;
    ULONG_PTR information;
    uint8_t buffer[70000]; /* input and output */
};

/* Makes an IRP for the device, whose next location has the file and the major code. */
PIO_STACK_LOCATION fake_call_begin(struct fake_call *call, PDEVICE_OBJECT device,
                                   struct file_object *file, UCHAR major);
/* Makes one with a control code; what goes in is in call->buffer. */
void fake_call_begin_control(struct fake_call *call, PDEVICE_OBJECT device,
                             struct file_object *file, uint32_t code, uint32_t input_bytes,
                             uint32_t output_bytes);
/* Sends it to the top of the device's stack. */
void fake_call_go(struct fake_call *call);
/* Waits for it: its status. */
uint32_t fake_call_await(struct fake_call *call) VCK_CAN_WAIT;

/* ---- files ---- */

/* access: what the handle is granted. The status of CREATE. */
NTSTATUS fake_file_open(PDEVICE_OBJECT device, struct file_object *file,
                        ACCESS_MASK access) VCK_CAN_WAIT;
/* An IRP with nothing but its code. */
NTSTATUS fake_file_major(PDEVICE_OBJECT device, struct file_object *file, UCHAR major) VCK_CAN_WAIT;
/* CLEANUP and CLOSE. */
void fake_file_close(PDEVICE_OBJECT device, struct file_object *file) VCK_CAN_WAIT;

#endif
