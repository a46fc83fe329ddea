/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "port/win/internal.h"
#include "vck/bytes.h"

static const struct {
    uint32_t os_error;
    vck_status status;
} from_error[] = {
    {ERROR_SUCCESS, VCK_OK},
    {ERROR_INVALID_PARAMETER, VCK_INVALID_DATA},
    {ERROR_INVALID_NAME, VCK_INVALID_DATA},
    {ERROR_BAD_LENGTH, VCK_INVALID_DATA},
    {ERROR_INVALID_FUNCTION, VCK_UNSUPPORTED},
    {ERROR_NOT_SUPPORTED, VCK_UNSUPPORTED},
    {ERROR_CALL_NOT_IMPLEMENTED, VCK_UNSUPPORTED},
    {ERROR_FILE_NOT_FOUND, VCK_NOT_FOUND},
    {ERROR_PATH_NOT_FOUND, VCK_NOT_FOUND},
    {ERROR_BAD_PATHNAME, VCK_NOT_FOUND},
    {ERROR_BAD_NETPATH, VCK_NOT_FOUND},
    {ERROR_BAD_NET_NAME, VCK_NOT_FOUND},
    {ERROR_INVALID_DRIVE, VCK_NOT_FOUND},
    {ERROR_DEV_NOT_EXIST, VCK_NOT_FOUND},
    {ERROR_SERVICE_DOES_NOT_EXIST, VCK_NOT_FOUND},
    {ERROR_ACCESS_DENIED, VCK_PERMISSION_DENIED},
    {ERROR_PRIVILEGE_NOT_HELD, VCK_PERMISSION_DENIED},
    {ERROR_WRITE_PROTECT, VCK_READ_ONLY},
    {ERROR_CRC, VCK_IO},
    {ERROR_HANDLE_EOF, VCK_IO},
    {ERROR_NOT_ENOUGH_MEMORY, VCK_NO_MEMORY},
    {ERROR_OUTOFMEMORY, VCK_NO_MEMORY},
    {ERROR_NO_SYSTEM_RESOURCES, VCK_NO_MEMORY},
    {ERROR_SHARING_VIOLATION, VCK_BUSY},
    {ERROR_LOCK_VIOLATION, VCK_BUSY},
    {ERROR_BUSY, VCK_BUSY},
    {ERROR_DRIVE_LOCKED, VCK_BUSY},
    {ERROR_FILE_EXISTS, VCK_ALREADY_EXISTS},
    {ERROR_ALREADY_EXISTS, VCK_ALREADY_EXISTS},
    {ERROR_SERVICE_EXISTS, VCK_ALREADY_EXISTS},
    {ERROR_DISK_FULL, VCK_DISK_FULL},
    {ERROR_HANDLE_DISK_FULL, VCK_DISK_FULL},
    {ERROR_FILE_TOO_LARGE, VCK_OUT_OF_RANGE},
    {ERROR_NOT_READY, VCK_NOT_READY},
    {ERROR_OPERATION_ABORTED, VCK_CANCELLED},
    {ERROR_CANCELLED, VCK_CANCELLED},
    {ERROR_SEM_TIMEOUT, VCK_TIMEOUT},
};

vck_status vck_win_status_from_error(uint32_t os_error)
{
    for (size_t i = 0; i < VCK_ARRAY_COUNT(from_error); i++)
        if (from_error[i].os_error == os_error)
            return from_error[i].status;
    return VCK_IO;
}

const char *vck_win_error_text(uint32_t os_error, char buffer[VCK_WIN_TEXT_BYTES])
{
    wchar_t words[VCK_WIN_TEXT_BYTES];
    DWORD flags =
        FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS | FORMAT_MESSAGE_MAX_WIDTH_MASK;
    DWORD length = FormatMessageW(flags, NULL, os_error, 0, words, VCK_WIN_TEXT_BYTES, NULL);
    while (length > 0 && (words[length - 1] <= L' ' || words[length - 1] == L'.'))
        length--;
    int size = WideCharToMultiByte(CP_UTF8, 0, words, (int)length, buffer, VCK_WIN_TEXT_BYTES - 1,
                                   NULL, NULL);
    if (length == 0 || size <= 0)
        snprintf(buffer, VCK_WIN_TEXT_BYTES, "error %u", os_error);
    else
        buffer[size] = 0;
    return buffer;
}

vck_status vck_win_explain(struct vck_win_error *ret_error, vck_status status, uint32_t os_error,
                           const char *format, ...)
{
    char words[VCK_WIN_TEXT_BYTES];
    va_list arguments;
    if (ret_error == NULL)
        return status;
    va_start(arguments, format);
    vsnprintf(ret_error->text, sizeof(ret_error->text), format, arguments);
    va_end(arguments);
    ret_error->os_error = os_error;
    size_t used = strlen(ret_error->text);
    if (os_error != 0)
        snprintf(ret_error->text + used, sizeof(ret_error->text) - used, ": %s",
                 vck_win_error_text(os_error, words));
    return status;
}
