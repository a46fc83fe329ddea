/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "port/posix/posix.h"
#include "vck/bytes.h"

static const struct {
    int os_error;
    vck_status status;
} from_errno[] = {
    {0, VCK_OK},
    {EINVAL, VCK_INVALID_DATA},
    {EOPNOTSUPP, VCK_UNSUPPORTED},
    {ENOSYS, VCK_UNSUPPORTED},
    {ENOTTY, VCK_UNSUPPORTED},
    {ENOENT, VCK_NOT_FOUND},
    {ENOTDIR, VCK_NOT_FOUND},
    {ENODEV, VCK_NOT_FOUND},
    {ENXIO, VCK_NOT_FOUND},
    {EACCES, VCK_PERMISSION_DENIED},
    {EPERM, VCK_PERMISSION_DENIED},
    {EMSGSIZE, VCK_SIZE_MISMATCH},
    {EMEDIUMTYPE, VCK_SIGNATURE_MISMATCH},
    {EBADMSG, VCK_CHECKSUM_MISMATCH},
    {EIO, VCK_IO},
    {ENOMEM, VCK_NO_MEMORY},
    {ENOBUFS, VCK_NO_MEMORY},
    {EBUSY, VCK_BUSY},
    {EAGAIN, VCK_BUSY},
    {ETXTBSY, VCK_BUSY},
    {EKEYREJECTED, VCK_WRONG_KEY},
    {EROFS, VCK_READ_ONLY},
    {EEXIST, VCK_ALREADY_EXISTS},
    {ERANGE, VCK_OUT_OF_RANGE},
    {EFBIG, VCK_OUT_OF_RANGE},
    {ENOSPC, VCK_DISK_FULL},
    {EDQUOT, VCK_DISK_FULL},
    {EHOSTUNREACH, VCK_UNREACHABLE},
    {ENETUNREACH, VCK_UNREACHABLE},
    {ECONNREFUSED, VCK_REFUSED},
    {ECONNRESET, VCK_RESET},
    {ECONNABORTED, VCK_RESET},
    {EPIPE, VCK_RESET},
    {EADDRINUSE, VCK_ADDRESS_IN_USE},
    {ECANCELED, VCK_CANCELLED},
    {ETIMEDOUT, VCK_TIMEOUT},
};

static const int to_errno[VCK_STATUS_COUNT] = {
    [VCK_OK] = 0,
    [VCK_INVALID_DATA] = EINVAL,
    [VCK_VALIDATION_FAILED] = EINVAL,
    [VCK_UNSUPPORTED] = EOPNOTSUPP,
    [VCK_NOT_FOUND] = ENOENT,
    [VCK_PERMISSION_DENIED] = EACCES,
    [VCK_SIZE_MISMATCH] = EMSGSIZE,
    [VCK_SIGNATURE_MISMATCH] = EMEDIUMTYPE,
    [VCK_CHECKSUM_MISMATCH] = EBADMSG,
    [VCK_CRYPTO_FAILED] = EIO,
    [VCK_IO] = EIO,
    [VCK_NO_MEMORY] = ENOMEM,
    [VCK_BUSY] = EBUSY,
    [VCK_WRONG_KEY] = EKEYREJECTED,
    [VCK_TAMPERED] = EBADMSG,
    [VCK_DAMAGED] = EIO,
    [VCK_READ_ONLY] = EROFS,
    [VCK_NOT_READY] = EAGAIN,
    [VCK_ALREADY_EXISTS] = EEXIST,
    [VCK_OUT_OF_RANGE] = ERANGE,
    [VCK_DISK_FULL] = ENOSPC,
    [VCK_UNREACHABLE] = EHOSTUNREACH,
    [VCK_REFUSED] = ECONNREFUSED,
    [VCK_RESET] = ECONNRESET,
    [VCK_ADDRESS_IN_USE] = EADDRINUSE,
    [VCK_DELETED] = ENODEV,
    [VCK_DELETE_PENDING] = ENODEV,
    [VCK_CANCELLED] = ECANCELED,
    [VCK_TIMEOUT] = ETIMEDOUT,
};

vck_status vck_posix_status_from_errno(int os_error)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(from_errno); i++)
        if (from_errno[i].os_error == os_error)
            return from_errno[i].status;
    return VCK_IO;
}

int vck_posix_errno_from_status(vck_status status)
{
    if ((unsigned)status >= VCK_STATUS_COUNT)
        return EIO;
    return to_errno[status];
}
