/* SPDX-License-Identifier: Apache-2.0 */
/* Requests nobody should send, and people who should not send them. */
#include "vcktest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "load_plan.h"
#include "message.h"

#define MESSAGES_MAX 256

/* Lines "CODE HEX", valid requests that the fuzzing starts from. */
static int read_corpus(const char *path, struct message *messages)
{
    static char line[2 * MESSAGE_BYTES_MAX + 64];
    int count = 0;
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file)
        return -1;
    while (count < MESSAGES_MAX && fgets(line, sizeof line, file)) {
        char *code = strtok(line, " \r\n"), *hex = strtok(NULL, " \r\n");
        if (!code)
            continue;
        messages[count].code = (DWORD)strtoul(code, NULL, 0);
        int size = hex ? from_hex(hex, messages[count].data, MESSAGE_BYTES_MAX - 64) : 0;
        if (size < 0)
            continue;
        messages[count++].size_bytes = (uint32_t)size;
    }
    fclose(file);
    return count;
}

/* With no, too little, or ample room for the answer. */
static bool send_one(HANDLE handle, const struct message *message, uint64_t *random,
                     uint64_t *ret_accepted)
{
    static uint8_t out[MESSAGE_BYTES_MAX];
    DWORD size = 0, out_bytes = 0;
    uint64_t chance = load_plan_random(random);
    if (chance % 4)
        out_bytes = chance % 4 == 1 ? (DWORD)(chance >> 32) % 64 : sizeof out;
    bool is_ok = DeviceIoControl(
        handle, message->code, message->size_bytes ? (void *)(uintptr_t)message->data : NULL,
        message->size_bytes, out_bytes ? out : NULL, out_bytes, &size, NULL);
    *ret_accepted += is_ok;
    return size <= out_bytes;
}

/* path, corpus=FILE, count, seed. Fails only when the driver is gone or says it wrote too much. */
static bool run_fuzz(const struct words *words)
{
    struct message *corpus = calloc(MESSAGES_MAX + 1, sizeof *corpus);
    struct message *one = corpus ? corpus + MESSAGES_MAX : NULL;
    int messages = corpus ? read_corpus(word_text(words, "corpus"), corpus) : -1;
    uint64_t count = word_number(words, "count", 1000), random = word_number(words, "seed", 1);
    uint64_t accepted = 0, sent = 0;
    HANDLE handle = open_device(words, 0);
    bool is_ok = messages > 0 && handle != INVALID_HANDLE_VALUE;
    if (!is_ok)
        fail("fuzz");
    for (; is_ok && sent < count; sent++) {
        *one = corpus[load_plan_random(&random) % (uint64_t)messages];
        message_mutate(one, &random);
        if (!send_one(handle, one, &random, &accepted))
            is_ok = refuse("fuzz", "more came out than there was room for");
    }
    if (handle != INVALID_HANDLE_VALUE)
        CloseHandle(handle);
    if (is_ok)
        printf("sent %llu\naccepted %llu\n", (unsigned long long)sent,
               (unsigned long long)accepted);
    free(corpus);
    return is_ok;
}

/* ---- without the administrators group ---- */

static HANDLE take_token(void)
{
    SID_IDENTIFIER_AUTHORITY authority = {SECURITY_NT_AUTHORITY};
    PSID administrators = NULL;
    HANDLE own = NULL, token = NULL;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_ALL_ACCESS, &own) ||
        !AllocateAndInitializeSid(&authority, 2, SECURITY_BUILTIN_DOMAIN_RID,
                                  DOMAIN_ALIAS_RID_ADMINS, 0, 0, 0, 0, 0, 0, &administrators))
        return NULL;
    SID_AND_ATTRIBUTES without = {administrators, 0};
    if (!CreateRestrictedToken(own, DISABLE_MAX_PRIVILEGE, 1, &without, 0, NULL, 0, NULL, &token))
        token = NULL;
    FreeSid(administrators);
    CloseHandle(own);
    return token;
}

/* command=LINE, run as somebody who is no administrator; its exit code is printed. */
static bool run_restricted(const struct words *words)
{
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION process;
    DWORD code = 0;
    const char *line = word_text(words, "command");
    char *copy = line ? _strdup(line) : NULL;
    HANDLE token = take_token();
    bool is_ok = copy && token &&
                 CreateProcessAsUserA(token, NULL, copy, NULL, NULL, TRUE, 0, NULL, NULL, &startup,
                                      &process);
    if (!is_ok)
        fail("restricted");
    if (is_ok) {
        WaitForSingleObject(process.hProcess, INFINITE);
        GetExitCodeProcess(process.hProcess, &code);
        CloseHandle(process.hProcess);
        CloseHandle(process.hThread);
        printf("exit %lu\n", (unsigned long)code);
    }
    if (token)
        CloseHandle(token);
    free(copy);
    return is_ok;
}

const struct verb abuse_verbs[] = {
    {"fuzz", run_fuzz}, {"restricted", run_restricted}, {NULL, NULL}};
