/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/status.h"

struct status_words {
    const char *name;
    const char *text;
};

static const struct status_words words[] = {
    [VCK_OK] = {"OK", "ok"},
    [VCK_INVALID_DATA] = {"INVALID_DATA", "invalid data"},
    [VCK_VALIDATION_FAILED] = {"VALIDATION_FAILED", "validation failed"},
    [VCK_UNSUPPORTED] = {"UNSUPPORTED", "not supported here or in this state"},
    [VCK_NOT_FOUND] = {"NOT_FOUND", "not found"},
    [VCK_PERMISSION_DENIED] = {"PERMISSION_DENIED", "permission denied"},
    [VCK_SIZE_MISMATCH] = {"SIZE_MISMATCH", "wrong size"},
    [VCK_SIGNATURE_MISMATCH] = {"SIGNATURE_MISMATCH", "not the expected format"},
    [VCK_CHECKSUM_MISMATCH] = {"CHECKSUM_MISMATCH", "checksum does not match"},
    [VCK_CRYPTO_FAILED] = {"CRYPTO_FAILED", "cryptographic operation failed"},
    [VCK_IO] = {"IO", "input/output error"},
    [VCK_NO_MEMORY] = {"NO_MEMORY", "out of memory"},
    [VCK_BUSY] = {"BUSY", "in use"},
    [VCK_WRONG_KEY] = {"WRONG_KEY", "wrong key"},
    [VCK_TAMPERED] = {"TAMPERED", "authenticated data has been changed"},
    [VCK_DAMAGED] = {"DAMAGED", "sectors are damaged"},
    [VCK_READ_ONLY] = {"READ_ONLY", "read only"},
    [VCK_NOT_READY] = {"NOT_READY", "not ready"},
    [VCK_ALREADY_EXISTS] = {"ALREADY_EXISTS", "already exists"},
    [VCK_OUT_OF_RANGE] = {"OUT_OF_RANGE", "out of range"},
    [VCK_DISK_FULL] = {"DISK_FULL", "disk full"},
    [VCK_UNREACHABLE] = {"UNREACHABLE", "host or network unreachable"},
    [VCK_REFUSED] = {"REFUSED", "connection refused"},
    [VCK_RESET] = {"RESET", "connection reset"},
    [VCK_ADDRESS_IN_USE] = {"ADDRESS_IN_USE", "address in use"},
    [VCK_DELETED] = {"DELETED", "object deleted"},
    [VCK_DELETE_PENDING] = {"DELETE_PENDING", "object is being deleted"},
    [VCK_CANCELLED] = {"CANCELLED", "cancelled"},
    [VCK_TIMEOUT] = {"TIMEOUT", "timed out"},
};
_Static_assert(sizeof(words) / sizeof(words[0]) == VCK_STATUS_COUNT, "every status has words");

static const struct status_words unknown = {"UNKNOWN", "unknown status"};

static const struct status_words *words_of(vck_status status)
{
    return (unsigned)status < VCK_STATUS_COUNT ? &words[(unsigned)status] : &unknown;
}

const char *vck_status_text(vck_status status)
{
    return words_of(status)->text;
}

const char *vck_status_name(vck_status status)
{
    return words_of(status)->name;
}
