/* SPDX-License-Identifier: Apache-2.0 */
#include "vcktest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX 65536
#define WORDS_MAX      64

ULONG NTAPI RtlGetLastNtStatus(void);

const char *word_text(const struct words *words, const char *name)
{
    size_t size = strlen(name);
    for (int i = 1; i < words->count; i++)
        if (!strncmp(words->words[i], name, size) && words->words[i][size] == '=')
            return words->words[i] + size + 1;
    return NULL;
}

uint64_t word_number(const struct words *words, const char *name, uint64_t otherwise)
{
    const char *text = word_text(words, name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

bool fail(const char *what)
{
    unsigned long code = GetLastError();
    unsigned long status = RtlGetLastNtStatus();
    printf("error %lu %08lX %s\n", code, status, what);
    return false;
}

bool refuse(const char *what, const char *why)
{
    printf("error 0 00000000 %s: %s\n", what, why);
    return false;
}

HANDLE open_device(const struct words *words, DWORD flags)
{
    const char *path = word_text(words, "path");
    return CreateFileA(path ? path : "\\\\.\\VckTestBus", GENERIC_READ | GENERIC_WRITE,
                       FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, flags, NULL);
}

void *take_pages(size_t size_bytes)
{
    return VirtualAlloc(NULL, size_bytes, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
}

void give_pages(void *pages)
{
    if (pages)
        VirtualFree(pages, 0, MEM_RELEASE);
}

int from_hex(const char *text, uint8_t *ret_data, size_t size_bytes)
{
    size_t count = strlen(text) / 2;
    if (strlen(text) % 2 || count > size_bytes)
        return -1;
    for (size_t i = 0; i < count; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], 0};
        char *end;
        ret_data[i] = (uint8_t)strtoul(digits, &end, 16);
        if (end != digits + 2)
            return -1;
    }
    return (int)count;
}

void print_hex(const char *name, const uint8_t *data, size_t size_bytes)
{
    printf("%s ", name);
    for (size_t i = 0; i < size_bytes; i++)
        printf("%02x", data[i]);
    printf("\n");
}

static bool run(const struct words *words)
{
    static const struct verb *const tables[] = {disk_verbs, io_verbs, abuse_verbs};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct verb *verb = tables[i]; verb->name; verb++)
            if (!strcmp(verb->name, words->words[0])) {
                bool is_ok = verb->run(words);
                if (is_ok)
                    printf("ok\n");
                return is_ok;
            }
    return refuse(words->words[0], "there is no such verb");
}

/* One command a line until the input ends, words parted by tabs. */
static int serve(void)
{
    static char line[LINE_BYTES_MAX];
    while (fgets(line, sizeof line, stdin)) {
        char *pointers[WORDS_MAX];
        struct words words = {0, pointers};
        for (char *at = strtok(line, "\t\r\n"); at && words.count < WORDS_MAX;
             at = strtok(NULL, "\t\r\n"))
            pointers[words.count++] = at;
        if (words.count > 0)
            run(&words);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        printf("usage: vcktest serve | vcktest VERB NAME=VALUE...\n");
        return 2;
    }
    if (!strcmp(argv[1], "serve"))
        return serve();
    struct words words = {argc - 1, argv + 1};
    return run(&words) ? 0 : 1;
}
