/* SPDX-License-Identifier: Apache-2.0 */
/* The whole mapping between vck_status and NTSTATUS. Source: control-protocol, "Status". */
#include <stddef.h>
#include "vck/status.h"

static const uint32_t nt_of[] = {
    [VCK_OK] = 0x00000000u,
    [VCK_INVALID_DATA] = 0xC000000Du,
    [VCK_VALIDATION_FAILED] = 0xC000003Eu,
    [VCK_UNSUPPORTED] = 0xC00000BBu,
    [VCK_NOT_FOUND] = 0xC0000225u,
    [VCK_PERMISSION_DENIED] = 0xC0000022u,
    [VCK_SIZE_MISMATCH] = 0xC0000206u,
    [VCK_SIGNATURE_MISMATCH] = 0xC000014Fu,
    [VCK_CHECKSUM_MISMATCH] = 0xC000003Fu,
    [VCK_CRYPTO_FAILED] = 0xC000028Au,
    [VCK_IO] = 0xC0000185u,
    [VCK_NO_MEMORY] = 0xC000009Au,
    [VCK_BUSY] = 0xC0000043u,
    [VCK_WRONG_KEY] = 0xC000006Au,
    [VCK_TAMPERED] = 0xC0000428u,
    [VCK_DAMAGED] = 0xC000009Cu,
    [VCK_READ_ONLY] = 0xC00000A2u,
    [VCK_NOT_READY] = 0xC00000A3u,
    [VCK_ALREADY_EXISTS] = 0xC0000035u,
    [VCK_OUT_OF_RANGE] = 0xC0000015u,
    [VCK_DISK_FULL] = 0xC000007Fu,
    [VCK_UNREACHABLE] = 0xC000023Cu,
    [VCK_REFUSED] = 0xC0000236u,
    [VCK_RESET] = 0xC000020Du,
    [VCK_ADDRESS_IN_USE] = 0xC000020Au,
    [VCK_DELETED] = 0xC0000123u,
    [VCK_DELETE_PENDING] = 0xC0000056u,
    [VCK_CANCELLED] = 0xC0000120u,
    [VCK_TIMEOUT] = 0xC00000B5u,
};
_Static_assert(sizeof(nt_of) / sizeof(nt_of[0]) == VCK_STATUS_COUNT,
               "every status has an NTSTATUS");

/* A status from outside the enum can only be a bug; it must still not look like success. */
uint32_t vck_status_to_nt(vck_status status)
{
    return (unsigned)status < VCK_STATUS_COUNT ? nt_of[(unsigned)status] : nt_of[VCK_IO];
}

vck_status vck_status_from_nt(uint32_t nt)
{
    for (size_t i = 0; i < VCK_STATUS_COUNT; i++) {
        if (nt_of[i] == nt)
            return (vck_status)i;
    }
    return VCK_IO;
}
