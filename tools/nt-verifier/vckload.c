/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vckload: loads, queries and unloads drivers as services of one load-order group, and sends them
 * raw control requests. `vckload session` takes the same commands as lines on standard input, their
 * words separated by tabs, and answers each with one line on standard output; while it runs it also
 * keeps the session, and with it the drivers, alive.
 *
 *   load NAME PATH GROUP    create the service, or change it, and start it
 *   unload NAME             stop it, wait until it has stopped, delete the service
 *   start NAME | stop NAME | delete NAME
 *   status NAME
 *   ioctl DEVICE CODE OUT [IN]   CODE and OUT (bytes) as C numbers, IN as hexadecimal digits
 *   reg KEY NAME dword|sz VALUE  set a registry value under HKEY_LOCAL_MACHINE
 *
 * Answers: `ok WORD...`, `error WIN32-CODE WHAT...`.
 */
#include <windows.h>
#include <winioctl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORDS_MAX = 8,
    LINE_BYTES = 4 << 20,
    STOP_WAIT_MS = 300000,
    STOP_POLL_MS = 2,
    START_TRIES = 100,
    START_RETRY_MS = 200,
    NO_REQUEST = 0x0022fffc, /* that a driver would know */
};

/* Declared by winternl.h only for some targets. */
NTSYSAPI ULONG NTAPI RtlGetLastNtStatus(void);

struct command {
    const char *name;
    int min_words;
    int max_words;
    bool (*run)(int word_count, char **words);
};

static bool fail(const char *what)
{
    DWORD code = GetLastError();
    ULONG status = RtlGetLastNtStatus();
    printf("error %lu %s ntstatus=%08lx\n", code, what, status);
    return false;
}

static SC_HANDLE open_manager(void)
{
    return OpenSCManagerA(NULL, NULL, SC_MANAGER_ALL_ACCESS);
}

static SC_HANDLE open_service(SC_HANDLE manager, const char *name)
{
    return manager ? OpenServiceA(manager, name, SERVICE_ALL_ACCESS) : NULL;
}

static void close_both(SC_HANDLE service, SC_HANDLE manager)
{
    DWORD code = GetLastError();
    if (service)
        CloseServiceHandle(service);
    if (manager)
        CloseServiceHandle(manager);
    SetLastError(code);
}

static bool print_status(SC_HANDLE service)
{
    SERVICE_STATUS_PROCESS status = {0};
    DWORD needed_bytes;
    if (!QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO, (BYTE *)&status, sizeof(status),
                              &needed_bytes))
        return fail("query service");
    printf("ok state=%lu pid=%lu\n", status.dwCurrentState, status.dwProcessId);
    return true;
}

static bool wait_for_stop(SC_HANDLE service)
{
    SERVICE_STATUS status;
    for (int waited_ms = 0; waited_ms < STOP_WAIT_MS; waited_ms += STOP_POLL_MS) {
        if (!QueryServiceStatus(service, &status))
            return false;
        if (status.dwCurrentState == SERVICE_STOPPED)
            return true;
        Sleep(STOP_POLL_MS);
    }
    SetLastError(ERROR_SERVICE_REQUEST_TIMEOUT);
    return false;
}

/*
 * On a busy machine Wine's service manager may answer "internal error" while it starts the process
 * of the group; the driver has not been loaded then, and the next try succeeds.
 */
static bool start_service(SC_HANDLE service)
{
    for (int tries = 1;; tries++) {
        if (StartServiceA(service, 0, NULL))
            return true;
        if (GetLastError() != ERROR_INTERNAL_ERROR || tries == START_TRIES)
            return false;
        Sleep(START_RETRY_MS);
    }
}

static bool run_load(int word_count, char **words)
{
    (void)word_count;
    const char *name = words[1], *path = words[2], *group = words[3];
    SC_HANDLE manager = open_manager();
    SC_HANDLE service = open_service(manager, name);
    bool is_ok = true;
    if (!service && manager)
        service = CreateServiceA(manager, name, name, SERVICE_ALL_ACCESS, SERVICE_KERNEL_DRIVER,
                                 SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL, path, group, NULL,
                                 NULL, NULL, NULL);
    else if (service)
        is_ok =
            ChangeServiceConfigA(service, SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START,
                                 SERVICE_ERROR_NORMAL, path, group, NULL, NULL, NULL, NULL, name);
    if (!service || !is_ok)
        is_ok = fail("create service");
    else if (!start_service(service))
        is_ok = fail("start service");
    else
        is_ok = print_status(service);
    close_both(service, manager);
    return is_ok;
}

static bool is_answered(HANDLE device)
{
    DWORD out_bytes;
    return !DeviceIoControl(device, NO_REQUEST, NULL, 0, NULL, 0, &out_bytes, NULL) &&
           GetLastError() == ERROR_INVALID_FUNCTION;
}

/*
 * Wine tells a driver of a handle that was closed some time later, on the one thread that has all
 * requests of programs to the group in their order, and does not mind whether the driver is being
 * unloaded. So another request goes there first, to the verifier. Its handle stays open, and opens
 * anew for a verifier that was loaded anew.
 */
static void let_closes_end(void)
{
    static HANDLE device = INVALID_HANDLE_VALUE;
    if (device != INVALID_HANDLE_VALUE && is_answered(device))
        return;
    if (device != INVALID_HANDLE_VALUE)
        CloseHandle(device);
    device = CreateFileA("\\\\.\\VckVerify", GENERIC_READ | GENERIC_WRITE,
                         FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    if (device != INVALID_HANDLE_VALUE)
        (void)is_answered(device);
}

static bool stop_service(SC_HANDLE service)
{
    SERVICE_STATUS status;
    let_closes_end();
    if (!ControlService(service, SERVICE_CONTROL_STOP, &status))
        return fail("stop service");
    return wait_for_stop(service) || fail("wait for the service to stop");
}

/* start, stop, delete, unload and status: what is done to a service that exists. */
static bool run_on_service(int word_count, char **words)
{
    (void)word_count;
    const char *verb = words[0];
    SC_HANDLE manager = open_manager();
    SC_HANDLE service = open_service(manager, words[1]);
    bool is_unload = !strcmp(verb, "unload");
    bool is_ok = service != NULL;
    if (!is_ok)
        fail("open service");
    if (is_ok && !strcmp(verb, "start") && !start_service(service))
        is_ok = fail("start service");
    if (is_ok && (is_unload || !strcmp(verb, "stop")))
        is_ok = stop_service(service);
    if (is_ok && (is_unload || !strcmp(verb, "delete")) && !DeleteService(service))
        is_ok = fail("delete service");
    if (is_ok)
        is_ok = print_status(service);
    close_both(service, manager);
    return is_ok;
}

/* Decodes in place; the bytes written, or SIZE_MAX when these are not hexadecimal digits. */
static size_t decode_hex(char *text)
{
    static const char digits[] = "0123456789abcdef";
    size_t length = strlen(text);
    if (length % 2)
        return SIZE_MAX;
    for (size_t i = 0; i < length; i += 2) {
        const char *high = strchr(digits, text[i]), *low = strchr(digits, text[i + 1]);
        if (!high || !low)
            return SIZE_MAX;
        text[i / 2] = (char)((high - digits) << 4 | (low - digits));
    }
    return length / 2;
}

static void print_hex(const unsigned char *bytes, size_t count)
{
    printf("ok ");
    for (size_t i = 0; i < count; i++)
        printf("%02x", bytes[i]);
    printf("\n");
}

static bool run_ioctl(int word_count, char **words)
{
    char path[MAX_PATH];
    DWORD code = strtoul(words[2], NULL, 0), out_bytes = strtoul(words[3], NULL, 0);
    size_t in_bytes = word_count > 4 ? decode_hex(words[4]) : 0;
    unsigned char *out = malloc(out_bytes + 1);
    HANDLE device = INVALID_HANDLE_VALUE;
    bool is_ok = false;

    SetLastError(ERROR_INVALID_PARAMETER);
    if (!out || in_bytes == SIZE_MAX) {
        fail("read arguments");
        goto out;
    }
    snprintf(path, sizeof(path), "\\\\.\\%s", words[1]);
    device = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                         NULL, OPEN_EXISTING, 0, NULL);
    if (device == INVALID_HANDLE_VALUE) {
        fail("open device");
        goto out;
    }
    is_ok = DeviceIoControl(device, code, word_count > 4 ? words[4] : NULL, (DWORD)in_bytes, out,
                            out_bytes, &out_bytes, NULL);
    if (is_ok)
        print_hex(out, out_bytes);
    else
        fail("device control");
out:
    if (device != INVALID_HANDLE_VALUE)
        CloseHandle(device);
    free(out);
    return is_ok;
}

static bool run_reg(int word_count, char **words)
{
    (void)word_count;
    HKEY key;
    DWORD number = strtoul(words[4], NULL, 0);
    bool is_number = !strcmp(words[3], "dword");
    LONG code =
        RegCreateKeyExA(HKEY_LOCAL_MACHINE, words[1], 0, NULL, 0, KEY_ALL_ACCESS, NULL, &key, NULL);
    if (!code) {
        if (is_number)
            code =
                RegSetValueExA(key, words[2], 0, REG_DWORD, (const BYTE *)&number, sizeof(number));
        else
            code = RegSetValueExA(key, words[2], 0, REG_SZ, (const BYTE *)words[4],
                                  (DWORD)strlen(words[4]) + 1);
        RegCloseKey(key);
    }
    SetLastError((DWORD)code);
    if (code)
        return fail("set registry value");
    printf("ok\n");
    return true;
}

static const struct command commands[] = {
    {"load", 4, 4, run_load},         {"unload", 2, 2, run_on_service},
    {"start", 2, 2, run_on_service},  {"stop", 2, 2, run_on_service},
    {"delete", 2, 2, run_on_service}, {"status", 2, 2, run_on_service},
    {"ioctl", 4, 5, run_ioctl},       {"reg", 5, 5, run_reg},
};

static bool run_words(int word_count, char **words)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        const struct command *command = &commands[i];
        if (word_count >= command->min_words && word_count <= command->max_words &&
            !strcmp(words[0], command->name))
            return command->run(word_count, words);
    }
    printf("error %ld no such command, or not with so many words\n", ERROR_INVALID_PARAMETER);
    return false;
}

static int run_session(void)
{
    char *line = malloc(LINE_BYTES);
    if (!line)
        return 1;
    printf("ok session\n");
    fflush(stdout);
    while (fgets(line, LINE_BYTES, stdin)) {
        char *words[WORDS_MAX];
        int word_count = 0;
        line[strcspn(line, "\r\n")] = 0;
        for (char *word = strtok(line, "\t"); word && word_count < WORDS_MAX;
             word = strtok(NULL, "\t"))
            words[word_count++] = word;
        if (!word_count)
            words[word_count++] = line;
        run_words(word_count, words);
        fflush(stdout);
    }
    free(line);
    return 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    if (argc == 2 && !strcmp(argv[1], "session"))
        return run_session();
    if (argc == 3 && !strcmp(argv[1], "keep")) {
        Sleep(strtoul(argv[2], NULL, 0) * 1000);
        return 0;
    }
    if (argc < 2 || argc - 1 > WORDS_MAX) {
        fprintf(stderr, "usage: vckload session | keep SECONDS | COMMAND ARGUMENT...\n");
        return 2;
    }
    return run_words(argc - 1, argv + 1) ? 0 : 1;
}
