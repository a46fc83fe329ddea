/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_probe: sends requests to the control device as no sensible program would, and says what
 * came back: one line per observation, a line that begins with "not ok" and exit code 1 for what
 * must not happen.
 *
 *     control_probe list                        LIST_VOLUMES, its status and bytes
 *     control_probe send CODE HEX [CAPACITY]    any request, its status and bytes
 *     control_probe refuse CODE                 the status to somebody without administrators'
 * rights control_probe basics                      one line per request and kind of bad buffer
 *     control_probe fuzz SEED COUNT             random requests; the driver must answer each
 */
#include <windows.h>
#include <winternl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE         L"\\\\.\\Vck"
#define BUFFER_BYTES   (256u * 1024u)
#define GUARD_BYTES    4096u
#define LIST_VOLUMES   0x0022602cu
#define GET_STATUS     0x00226000u
#define BENCH_AES      0x00226028u
#define DETACH_ALL     0x0022a024u
#define NO_ANSWER      0xFFFFFFFFu
#define ANSWER_WAIT_MS 60000

static const uint32_t codes[] = {
    0x00226000, 0x0022a004, 0x0022a008, 0x0022600c, 0x0022a010, 0x0022a014, 0x0022a018, 0x0022a01c,
    0x0022a020, 0x0022a024, 0x00226028, 0x0022602c, 0x0022a030, 0x0022a034, 0x00226038, 0x0022603c,
};

#define CODES (sizeof(codes) / sizeof(codes[0]))

static uint8_t input[BUFFER_BYTES];
static uint8_t output[BUFFER_BYTES + GUARD_BYTES];
static int failures;

static void expect(bool is_right, const char *what, uint32_t code, uint32_t status)
{
    if (is_right)
        return;
    printf("not ok %s: %08x answered %08x\n", what, (unsigned)code, (unsigned)status);
    failures++;
}

static HANDLE open_device(DWORD access)
{
    return CreateFileW(DEVICE, access, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING,
                       FILE_FLAG_OVERLAPPED, NULL);
}

/* The request's NTSTATUS, as the driver gave it. */
static uint32_t request(HANDLE device, uint32_t code, const void *in, uint32_t in_bytes, void *out,
                        uint32_t out_bytes, uint32_t *ret_bytes)
{
    IO_STATUS_BLOCK io = {0};
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    NTSTATUS status = NtDeviceIoControlFile(device, event, NULL, NULL, &io, code, (void *)in,
                                            in_bytes, out, out_bytes);

    if (status == STATUS_PENDING) {
        if (WaitForSingleObject(event, ANSWER_WAIT_MS) != WAIT_OBJECT_0) {
            printf("not ok no answer: %08x\n", (unsigned)code);
            exit(1);
        }
        status = io.Status;
    }
    CloseHandle(event);
    *ret_bytes = (uint32_t)io.Information;
    return (uint32_t)status;
}

static void print(uint32_t code, uint32_t status, uint32_t bytes)
{
    printf("%08x %08x %u ", (unsigned)code, (unsigned)status, (unsigned)bytes);
    for (uint32_t i = 0; i < bytes && status == 0; i++)
        printf("%02x", output[i]);
    printf("\n");
}

static uint32_t put_hex(const char *text)
{
    uint32_t bytes = 0;
    unsigned byte;

    for (; bytes < BUFFER_BYTES && sscanf(text, "%2x", &byte) == 1; text += 2)
        input[bytes++] = (uint8_t)byte;
    return bytes;
}

static int send_one(uint32_t code, const char *hex, uint32_t capacity)
{
    HANDLE device = open_device(GENERIC_READ | GENERIC_WRITE);
    uint32_t in_bytes = put_hex(hex);
    uint32_t bytes = 0;
    uint32_t status;

    if (device == INVALID_HANDLE_VALUE) {
        printf("not ok open: %lu\n", GetLastError());
        return 1;
    }
    status = request(device, code, input, in_bytes, output, capacity, &bytes);
    print(code, status, bytes);
    CloseHandle(device);
    return 0;
}

/* ---- without rights ---- */

/* The process's token with the group Administrators there only to deny, as without elevation. */
static HANDLE ordinary_token(void)
{
    SID_IDENTIFIER_AUTHORITY authority = {SECURITY_NT_AUTHORITY};
    SID_AND_ATTRIBUTES disabled = {0};
    HANDLE token = NULL;
    HANDLE restricted = NULL;

    if (!AllocateAndInitializeSid(&authority, 2, SECURITY_BUILTIN_DOMAIN_RID,
                                  DOMAIN_ALIAS_RID_ADMINS, 0, 0, 0, 0, 0, 0, &disabled.Sid) ||
        !OpenProcessToken(GetCurrentProcess(), TOKEN_ALL_ACCESS, &token) ||
        !CreateRestrictedToken(token, 0, 1, &disabled, 0, NULL, 0, NULL, &restricted))
        return NULL;
    return restricted;
}

/* Runs this program again under the token, and returns its exit code. */
static int run_as(HANDLE token, const char *arguments)
{
    STARTUPINFOA startup = {.cb = sizeof(startup)};
    PROCESS_INFORMATION process;
    char path[MAX_PATH];
    char command[2 * MAX_PATH];
    DWORD code = 1;

    GetModuleFileNameA(NULL, path, sizeof(path));
    snprintf(command, sizeof(command), "\"%s\" %s", path, arguments);
    if (!CreateProcessAsUserA(token, path, command, NULL, NULL, TRUE, 0, NULL, NULL, &startup,
                              &process)) {
        printf("not ok starting as somebody else: %lu\n", GetLastError());
        return 1;
    }
    WaitForSingleObject(process.hProcess, INFINITE);
    GetExitCodeProcess(process.hProcess, &code);
    return (int)code;
}

static int refuse(const char *code)
{
    HANDLE token = ordinary_token();
    char arguments[64];

    if (!token) {
        printf("not ok becoming ordinary: %lu\n", GetLastError());
        return 1;
    }
    snprintf(arguments, sizeof(arguments), "send %.16s \"\"", code);
    return run_as(token, arguments);
}

/* ---- bad buffers ---- */

/* {"volume_path": "\\.\Nobody"} */
static const uint8_t path_request[] = "\x81\xabvolume_path\xaa\\\\.\\Nobody";
#define PATH_REQUEST_BYTES (sizeof(path_request) - 1)

static uint32_t send_guarded(HANDLE device, uint32_t code, uint32_t in_bytes, uint32_t out_bytes)
{
    uint32_t bytes = 0;
    uint32_t status;

    memset(output, 0xA5, sizeof(output));
    status = request(device, code, in_bytes ? input : NULL, in_bytes, out_bytes ? output : NULL,
                     out_bytes, &bytes);
    expect(bytes <= out_bytes, "more bytes than room", code, status);
    expect(status == 0 || bytes == 0, "bytes with an error", code, status);
    for (uint32_t i = out_bytes; i < out_bytes + GUARD_BYTES; i++) {
        if (output[i] != 0xA5) {
            expect(false, "written behind the buffer", code, status);
            break;
        }
    }
    return status;
}

static void try_code(HANDLE device, uint32_t code)
{
    uint32_t answers[8];

    memcpy(input, path_request, PATH_REQUEST_BYTES);
    answers[0] = send_guarded(device, code, PATH_REQUEST_BYTES, 4096);
    answers[1] = send_guarded(device, code, PATH_REQUEST_BYTES, 0);
    answers[2] = send_guarded(device, code, 0, 0);
    answers[3] = send_guarded(device, code, PATH_REQUEST_BYTES - 1, 4096);
    answers[4] = send_guarded(device, code, 1, 1);
    memset(input, 0xff, BUFFER_BYTES);
    answers[5] = send_guarded(device, code, 65536, 4096);
    answers[6] = send_guarded(device, code, 65537, 4096);
    answers[7] = send_guarded(device, code, BUFFER_BYTES, BUFFER_BYTES);
    printf("%08x", (unsigned)code);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        printf(" %08x", (unsigned)answers[i]);
    printf("\n");
}

static int basics(void)
{
    HANDLE device = open_device(GENERIC_READ | GENERIC_WRITE);
    uint32_t bytes = 0;

    for (size_t i = 0; i < CODES; i++)
        if (codes[i] != BENCH_AES)
            try_code(device, codes[i]);
    try_code(device, 0x0022e7fc); /* unknown, write */
    try_code(device, 0x002267fc); /* unknown, read */
    try_code(device, 0x00222000); /* unknown, any access */
    expect(request(device, LIST_VOLUMES, NULL, 0, output, 1, &bytes) == 0xC0000023u,
           "a list that does not fit", LIST_VOLUMES, 0);
    CloseHandle(device);
    return failures != 0;
}

/* ---- fuzz ---- */

static uint64_t state;

static uint32_t next(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 16) % below);
}

static const char *const keys[] = {
    "volume_path", "nt_device_path", "use_header", "use_footer",   "metadata_size",
    "vmk",         "metadata_block", "mib_per_s",  "is_os_volume", "size_bytes"};
static const char *const paths[] = {"\\\\.\\Nobody",    "D:",   "\\Device\\Null",
                                    "\\??\\Nobody",     "",     "\\Device\\Vck",
                                    "\\\\?\\Volume{0}", "C:\\x"};

static uint32_t put_string(uint32_t at, const char *text)
{
    uint32_t size = (uint32_t)strlen(text);

    input[at] = (uint8_t)(0xa0 | size);
    memcpy(input + at + 1, text, size);
    return at + 1 + size;
}

static uint32_t put_value(uint32_t at)
{
    uint32_t size = next(600);

    switch (next(5)) {
    case 0:
        return put_string(at, paths[next(sizeof(paths) / sizeof(paths[0]))]);
    case 1:
        input[at] = 0xce;
        for (uint32_t i = 1; i < 5; i++)
            input[at + i] = (uint8_t)(next(3) ? 0 : next(256));
        return at + 5;
    case 2:
        input[at] = 0xc5;
        input[at + 1] = (uint8_t)(size >> 8);
        input[at + 2] = (uint8_t)size;
        for (uint32_t i = 0; i < size; i++)
            input[at + 3 + i] = (uint8_t)next(256);
        return at + 3 + size;
    case 3:
        input[at] = (uint8_t)(next(2) ? 0xc2 + next(2) : 0xc0);
        return at + 1;
    default:
        input[at] = (uint8_t)next(256);
        return at + 1;
    }
}

/* A map that is almost right, or bytes. */
static uint32_t put_message(void)
{
    uint32_t at = 1;
    uint32_t fields = next(6);

    if (next(8) == 0) {
        uint32_t size = next(next(10) ? 64 : BUFFER_BYTES);

        for (uint32_t i = 0; i < size; i++)
            input[i] = (uint8_t)next(256);
        return size;
    }
    input[0] = (uint8_t)(0x80 | fields);
    for (uint32_t i = 0; i < fields; i++) {
        at = put_string(at, keys[i == 0 ? 0 : next(sizeof(keys) / sizeof(keys[0]))]);
        at = i == 0 && next(4) ? put_string(at, paths[next(sizeof(paths) / sizeof(paths[0]))])
                               : put_value(at);
    }
    if (next(6) == 0)
        input[next(at)] ^= (uint8_t)(1 << next(8));
    return next(10) ? at : next(at + 1);
}

static uint32_t pick_code(void)
{
    uint32_t code = codes[next(CODES)];

    if (next(20) == 0)
        code = 0x00220000u | (next(4) << 14) | (next(0x1000) << 2);
    return code == BENCH_AES ? LIST_VOLUMES : code;
}

static int fuzz(uint64_t seed, uint32_t count)
{
    static uint32_t seen[64];
    HANDLE device = open_device(GENERIC_READ | GENERIC_WRITE);
    size_t kinds = 0;

    state = seed * 0x9E3779B97F4A7C15ull + 1;
    for (uint32_t i = 0; i < count && failures < 10; i++) {
        uint32_t code = pick_code();
        uint32_t in_bytes = put_message();
        uint32_t out_bytes = next(3) ? 4096 : next(next(2) ? 64 : BUFFER_BYTES);
        uint32_t status = send_guarded(device, code, in_bytes, out_bytes);
        size_t k = 0;

        while (k < kinds && seen[k] != status)
            k++;
        if (k == kinds && kinds < 64)
            seen[kinds++] = status;
        if (next(500) == 0) {
            CloseHandle(device);
            device = open_device(GENERIC_READ | GENERIC_WRITE);
        }
    }
    CloseHandle(device);
    printf("%u requests, answers:", (unsigned)count);
    for (size_t k = 0; k < kinds; k++)
        printf(" %08x", (unsigned)seen[k]);
    printf("\n");
    return failures != 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return send_one(LIST_VOLUMES, "", BUFFER_BYTES);
    if (argc >= 4 && strcmp(argv[1], "send") == 0)
        return send_one((uint32_t)strtoul(argv[2], NULL, 16), argv[3],
                        argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : BUFFER_BYTES);
    if (argc == 3 && strcmp(argv[1], "refuse") == 0)
        return refuse(argv[2]);
    if (argc == 2 && strcmp(argv[1], "basics") == 0)
        return basics();
    if (argc == 4 && strcmp(argv[1], "fuzz") == 0)
        return fuzz(strtoull(argv[2], NULL, 10), (uint32_t)strtoul(argv[3], NULL, 10));
    fprintf(stderr, "control_probe: list | send CODE HEX [CAPACITY] | refuse CODE | basics | "
                    "fuzz SEED COUNT\n");
    return 2;
}
