/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native call brings the driver's NTSTATUS as it is; Win32 codes merge several.
 */
#include <windows.h>
#include <winternl.h>
#include "client.h"
#include "port/win/win.h"

#define DEVICE L"\\\\.\\AsyncNet"

/* NTDLL */
NTSTATUS NTAPI NtDeviceIoControlFile(HANDLE file, HANDLE event, PIO_APC_ROUTINE routine,
                                     void *context, PIO_STATUS_BLOCK io_status, ULONG code,
                                     void *input, ULONG input_bytes, void *output,
                                     ULONG output_bytes);

/* Whoever is no administrator may look. */
static HANDLE open_device(DWORD access)
{
    return CreateFileW(DEVICE, access, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0,
                       NULL);
}

static int open_driver(const struct command *command, HANDLE *ret_device)
{
    char text[VCK_WIN_TEXT_BYTES];
    HANDLE device;
    DWORD error;

    device = open_device(GENERIC_READ | GENERIC_WRITE);
    if (device == INVALID_HANDLE_VALUE && GetLastError() == ERROR_ACCESS_DENIED)
        device = open_device(GENERIC_READ);
    *ret_device = device;
    if (device != INVALID_HANDLE_VALUE)
        return EXIT_OK;
    error = GetLastError();
    if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND)
        return report(command, EXIT_NO_HOST, "the driver is not loaded");
    return report(command, EXIT_NO_HOST, "cannot reach the driver: %s",
                  vck_win_error_text(error, text));
}

/* The buffer holds the request of input_bytes, and then the answer. */
static uint32_t control(HANDLE device, uint32_t code, uint8_t *buffer, size_t input_bytes,
                        size_t *ret_bytes)
{
    IO_STATUS_BLOCK io = {0};
    NTSTATUS status =
        NtDeviceIoControlFile(device, NULL, NULL, NULL, &io, code, input_bytes ? buffer : NULL,
                              (ULONG)input_bytes, buffer, MESSAGE_BYTES_MAX);

    if (status == STATUS_PENDING) {
        (void)WaitForSingleObject(device, INFINITE);
        status = io.Status;
    }
    *ret_bytes = status == 0 ? VCK_MIN((size_t)io.Information, (size_t)MESSAGE_BYTES_MAX) : 0;
    return (uint32_t)status;
}

static int report_refusal(const struct command *command, HANDLE device, uint32_t nt,
                          uint8_t *buffer)
{
    struct message_text why = {.text = ""};
    char fault[MESSAGE_TEXT_BYTES];
    size_t bytes;

    if (control(device, ASYNCNET_LAST_ERROR, buffer, 0, &bytes) == 0 &&
        message_decode(&message_text, (struct vck_bytes){buffer, bytes}, &why, fault) == VCK_OK &&
        why.text[0])
        return report(command, EXIT_FAILED, "%s", why.text);
    return report(command, EXIT_FAILED, "%s", vck_status_text(vck_status_from_nt(nt)));
}

static int call(const struct command *command, HANDLE device, uint32_t code,
                const struct message_shape *request_shape, const void *request,
                const struct message_shape *answer_shape, void *ret_answer)
{
    static uint8_t buffer[MESSAGE_BYTES_MAX];
    char fault[MESSAGE_TEXT_BYTES] = "";
    size_t bytes = 0;
    uint32_t nt;

    if (request_shape && message_encode(request_shape, request, buffer, sizeof(buffer), &bytes))
        return report(command, EXIT_FAILED, "the request is too long");
    nt = control(device, code, buffer, bytes, &bytes);
    if (nt != 0)
        return report_refusal(command, device, nt, buffer);
    if (answer_shape &&
        message_decode(answer_shape, (struct vck_bytes){buffer, bytes}, ret_answer, fault))
        return report(command, EXIT_FAILED, "the driver's answer: %s", fault);
    return EXIT_OK;
}

int client_call(const struct command *command, uint32_t code,
                const struct message_shape *request_shape, const void *request,
                const struct message_shape *answer_shape, void *ret_answer)
{
    HANDLE device;
    int result = open_driver(command, &device);

    if (result != EXIT_OK)
        return result;
    result = call(command, device, code, request_shape, request, answer_shape, ret_answer);
    CloseHandle(device);
    return result;
}
