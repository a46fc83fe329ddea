/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The carrier of requests on Windows: \\.\Ndisprot. Each request is an operation of the handle; how
 * it ends is in its OVERLAPPED, also where the system sends no packet about it.
 */
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "port/win/win.h"
#include "prot.h"

enum { LOOK_MS = 10, STILL_PENDING = 0x103 };

struct operation {
    OVERLAPPED overlapped;
    struct slot *slot; /* NULL: free */
    uint64_t number;   /* counted as they begin */
};

struct client {
    const struct command *command;
    HANDLE device;
    HANDLE port;
    uint64_t begun;
    struct operation operations[SLOTS_MAX];
};

/* ---- signals ---- */

static volatile LONG interrupted;

static BOOL WINAPI on_signal(DWORD kind)
{
    (void)kind;
    InterlockedExchange(&interrupted, 1);
    return TRUE;
}

bool is_interrupted(void)
{
    return interrupted != 0;
}

void watch_signals(void)
{
    (void)SetConsoleCtrlHandler(on_signal, TRUE);
}

/* ---- the device ---- */

const struct command *client_command(const struct client *client)
{
    return client->command;
}

int client_open(const struct command *command, struct client **ret_client)
{
    struct client *client = calloc(1, sizeof(*client));
    DWORD error;

    if (!client)
        return report(command, EXIT_FAILED, "there is no memory");
    client->command = command;
    client->device = CreateFileW(L"\\\\.\\Ndisprot", GENERIC_READ | GENERIC_WRITE,
                                 FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING,
                                 FILE_FLAG_OVERLAPPED, NULL);
    error = client->device == INVALID_HANDLE_VALUE ? GetLastError() : 0;
    if (error == 0) {
        client->port = CreateIoCompletionPort(client->device, NULL, 0, 0);
        error = client->port ? 0 : GetLastError();
    }
    if (error == 0) {
        *ret_client = client;
        return EXIT_OK;
    }
    client_close(client);
    if (error == ERROR_ACCESS_DENIED)
        return report(command, EXIT_PERMISSION, "the driver lets only administrators in");
    return report(command, EXIT_NO_HOST,
                  "cannot reach the driver: error %lu; has ndisprot been started?", error);
}

static bool is_over(const struct operation *operation)
{
    return *(const volatile ULONG_PTR *)&operation->overlapped.Internal != STILL_PENDING;
}

/* What is under way uses memory of the verbs'. */
static void end_all(struct client *client)
{
    (void)CancelIoEx(client->device, NULL);
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        while (client->operations[i].slot && !is_over(&client->operations[i]))
            Sleep(1);
    }
}

void client_close(struct client *client)
{
    if (!client)
        return;
    if (client->device != INVALID_HANDLE_VALUE) {
        end_all(client);
        CloseHandle(client->device);
    }
    if (client->port)
        CloseHandle(client->port);
    free(client);
}

/* ---- requests ---- */

void client_submit(struct client *client, struct slot *slot)
{
    struct operation *operation = NULL;
    BOOL is_done;

    for (unsigned i = 0; i < SLOTS_MAX && !operation; i++) {
        if (!client->operations[i].slot)
            operation = &client->operations[i];
    }
    VCK_ASSERT(operation);
    *operation = (struct operation){.slot = slot, .number = client->begun++};
    operation->overlapped.Internal = STILL_PENDING;
    if (slot->code == VCK_FRAME_CODE_READ)
        is_done = ReadFile(client->device, slot->out, (DWORD)slot->out_bytes, NULL,
                           &operation->overlapped);
    else if (slot->code == VCK_FRAME_CODE_WRITE)
        is_done = WriteFile(client->device, slot->in, (DWORD)slot->in_bytes, NULL,
                            &operation->overlapped);
    else
        is_done = DeviceIoControl(client->device, slot->code, (void *)(uintptr_t)slot->in,
                                  (DWORD)slot->in_bytes, slot->out, (DWORD)slot->out_bytes, NULL,
                                  &operation->overlapped);
    /* Refused before the driver saw it. */
    if (!is_done && GetLastError() != ERROR_IO_PENDING && !is_over(operation))
        operation->overlapped.Internal = vck_status_to_nt(VCK_IO);
}

/* The one that was begun first of those that are over: reads end in the order they began in. */
static struct operation *find_over(struct client *client)
{
    struct operation *first = NULL;

    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        struct operation *operation = &client->operations[i];

        if (operation->slot && is_over(operation) && (!first || operation->number < first->number))
            first = operation;
    }
    return first;
}

static struct slot *take_answer(struct client *client)
{
    struct operation *operation = find_over(client);
    struct slot *slot = operation ? operation->slot : NULL;

    if (!slot)
        return NULL;
    operation->slot = NULL;
    slot->nt = (uint32_t)operation->overlapped.Internal;
    slot->why[0] = 0;
    slot->out_bytes = slot->nt == 0 || slot->nt == VCK_FRAME_NT_TRUNCATED
                          ? VCK_MIN((size_t)operation->overlapped.InternalHigh, slot->out_bytes)
                          : 0;
    return slot;
}

int client_wait(struct client *client, int timeout_ms, struct slot **ret_slot)
{
    ULONGLONG end = GetTickCount64() + (ULONGLONG)(timeout_ms < 0 ? 0 : timeout_ms);
    DWORD bytes;
    ULONG_PTR key;
    OVERLAPPED *overlapped;

    while ((*ret_slot = take_answer(client)) == NULL) {
        if (is_interrupted())
            return EXIT_INTERRUPTED;
        if (timeout_ms >= 0 && GetTickCount64() >= end)
            return EXIT_OK;
        (void)GetQueuedCompletionStatus(client->port, &bytes, &key, &overlapped, LOOK_MS);
    }
    return EXIT_OK;
}
