/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier's control device, \\.\VckVerify: what a test asks of it and injects. All requests
 * are METHOD_BUFFERED; numbers are little-endian.
 */
#ifndef VERIFY_CONTROL_H
#define VERIFY_CONTROL_H

#define VERIFY_REQUEST(number) (0x222000 + 4 * (0x900 + (number)))

enum {
    /* in: u32 number of the first finding wanted; out: lines as they were printed */
    VERIFY_FINDINGS = VERIFY_REQUEST(0),
    /* out: a line name=value ... for each driver there was */
    VERIFY_DRIVERS = VERIFY_REQUEST(1),
    /* in: GUID vendor, u32 attributes, u32 bytes of the name, the name in UTF-16, the value; no
     * value: the variable goes */
    VERIFY_SET_VARIABLE = VERIFY_REQUEST(2),
    /* in: u64 physical address, the bytes there */
    VERIFY_SET_MEMORY = VERIFY_REQUEST(3),
    /* in: u64 physical address; out: the bytes there, as many as fit */
    VERIFY_GET_MEMORY = VERIFY_REQUEST(4),
    /* in: u32 n, name of the driver's file; its n-th allocation from now on fails, 0: none; out:
     * u64 how many it made since this was last asked */
    VERIFY_FAIL_ALLOCATION = VERIFY_REQUEST(5),
    /* sends IRP_MJ_SHUTDOWN to every device registered for it; out: u32 how many */
    VERIFY_SHUTDOWN = VERIFY_REQUEST(6),
    /* in: u64 bytes of freed pool that are kept from being used again */
    VERIFY_QUARANTINE = VERIFY_REQUEST(7),
    /* forgets what was injected */
    VERIFY_RESET = VERIFY_REQUEST(8),
    /* in: u32 verb, u32 adapter, what ndis_control.h says; out: the same */
    VERIFY_NDIS = VERIFY_REQUEST(9),
    /* in: u32 milliseconds, name of the driver's file; its work items begin so much later */
    VERIFY_DELAY_WORK = VERIFY_REQUEST(10),
};

#endif
