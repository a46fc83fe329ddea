/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carrier_win: requests to the driver's control device. The native call brings the NTSTATUS as it
 * is; Win32 codes merge several. The explanation of a failure is asked for with LAST_ERROR on the
 * same handle.
 */
#include <windows.h>
#include <string.h>
#include <winternl.h>
#include "port/win/win.h"
#include "products/vck/carrier.h"
#include "vck/bytes.h"
#include "vck/secret.h"

#define DEVICE L"\\\\.\\Vck"

/* NTDLL */
NTSTATUS NTAPI NtDeviceIoControlFile(HANDLE file, HANDLE event, PIO_APC_ROUTINE routine,
                                     void *context, PIO_STATUS_BLOCK io_status, ULONG code,
                                     void *input, ULONG input_bytes, void *output,
                                     ULONG output_bytes);

/* Whoever is no administrator may ask, and no more. */
static HANDLE open_device(void)
{
    DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE;
    HANDLE device =
        CreateFileW(DEVICE, GENERIC_READ | GENERIC_WRITE, share, NULL, OPEN_EXISTING, 0, NULL);
    if (device == INVALID_HANDLE_VALUE && GetLastError() == ERROR_ACCESS_DENIED)
        device = CreateFileW(DEVICE, GENERIC_READ, share, NULL, OPEN_EXISTING, 0, NULL);
    return device;
}

int carrier_open(struct client *client)
{
    char text[VCK_WIN_TEXT_BYTES];
    HANDLE device = open_device();
    uint32_t error = GetLastError();
    client->carrier = (intptr_t)device;
    if (device != INVALID_HANDLE_VALUE)
        return EXIT_OK;
    if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND)
        return report(client->command, EXIT_NO_HOST,
                      "the driver is not loaded; vck driver status says more");
    return report(client->command, error == ERROR_ACCESS_DENIED ? EXIT_PERMISSION : EXIT_NO_HOST,
                  "cannot reach the driver: %s", vck_win_error_text(error, text));
}

void carrier_close(struct client *client)
{
    if ((HANDLE)client->carrier != INVALID_HANDLE_VALUE)
        CloseHandle((HANDLE)client->carrier);
    client->carrier = (intptr_t)INVALID_HANDLE_VALUE;
}

/* The message of input_bytes goes out, and the answer takes its place. */
static uint32_t control(struct client *client, uint32_t code, size_t input_bytes, size_t *ret_bytes)
{
    IO_STATUS_BLOCK io_status = {0};
    uint8_t *message = client->frame + VCK_FRAME_PREFIX_BYTES;
    HANDLE device = (HANDLE)client->carrier;
    NTSTATUS nt = NtDeviceIoControlFile(device, NULL, NULL, NULL, &io_status, code,
                                        input_bytes != 0 ? message : NULL, (ULONG)input_bytes,
                                        message, VCK_FRAME_BYTES_MAX - VCK_FRAME_PREFIX_BYTES);
    if (nt == STATUS_PENDING) {
        (void)WaitForSingleObject(device, INFINITE);
        nt = io_status.Status;
    }
    size_t bytes = nt == 0 ? VCK_MIN((size_t)io_status.Information,
                                     (size_t)VCK_FRAME_BYTES_MAX - VCK_FRAME_PREFIX_BYTES)
                           : 0;
    /* What the answer did not overwrite may be a key. */
    if (input_bytes > bytes)
        vck_wipe(message + bytes, input_bytes - bytes);
    *ret_bytes = bytes;
    return (uint32_t)nt;
}

/* Puts the explanation where the answer would be; its length, 0 when there is none. */
static size_t fetch_explanation(struct client *client)
{
    struct vck_msg_text explanation;
    struct vck_message_fault fault;
    uint8_t *message = client->frame + VCK_FRAME_PREFIX_BYTES;
    size_t bytes;
    if (control(client, VCK_CODE_LAST_ERROR, 0, &bytes) != 0)
        return 0;
    if (vck_message_decode(VCK_MESSAGE_TEXT, message, bytes, &explanation, &fault) != VCK_OK)
        return 0;
    size_t length = strlen(explanation.text);
    memmove(message, explanation.text, length);
    return length;
}

int carrier_exchange(struct client *client, size_t size, size_t *ret_size)
{
    size_t bytes;
    uint32_t code = vck_load_le32(client->frame);
    uint32_t nt = control(client, code, size - VCK_FRAME_PREFIX_BYTES, &bytes);
    if (nt != 0)
        bytes = fetch_explanation(client);
    vck_store_le32(client->frame, nt);
    *ret_size = VCK_FRAME_PREFIX_BYTES + bytes;
    return EXIT_OK;
}

bool carrier_serves(const struct command *command, const char *path)
{
    struct client client;
    struct vck_msg_volume_status status = {0};
    HANDLE device = open_device();
    if (device == INVALID_HANDLE_VALUE)
        return false;
    CloseHandle(device);
    bool is_attached = client_open(&client, command) == EXIT_OK &&
                       client_get_status(&client, path, &status) == EXIT_OK && status.is_attached;
    client_close(&client);
    return is_attached;
}

bool carrier_hides(const struct command *command, const char *path)
{
    return carrier_serves(command, path);
}
