/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "sanitizer.h"
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The names of the loaded sanitizers' libraries, one after the other. */
static int collect(struct dl_phdr_info *info, size_t size, void *context)
{
    char *list = context;

    (void)size;
    if (strstr(info->dlpi_name, "san.so") &&
        strlen(list) + strlen(info->dlpi_name) + 2 < VCKD_SANITIZERS_BYTES) {
        if (*list)
            strcat(list, ":");
        strcat(list, info->dlpi_name);
    }
    return 0;
}

void vckd_sanitizer_prepare(void)
{
    char list[VCKD_SANITIZERS_BYTES] = "";
    char options[512];
    const char *given = getenv("ASAN_OPTIONS");

    dl_iterate_phdr(collect, list);
    if (*list)
        setenv("LD_PRELOAD", list, 1);
    /* Leaks are looked for from another process, which a process without dumps does not let in. */
    snprintf(options, sizeof(options), "%s%sdetect_leaks=0", given ? given : "", given ? ":" : "");
    setenv("ASAN_OPTIONS", options, 1);
}
