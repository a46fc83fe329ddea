/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "port/posix/internal.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

size_t system_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t round_up_to_pages(size_t size_bytes)
{
    size_t page_bytes = system_page_bytes();
    size_t rounded_bytes = (size_bytes + page_bytes - 1) / page_bytes * page_bytes;
    return rounded_bytes == 0 ? page_bytes : rounded_bytes;
}

/* The sanitizer sees overruns and leaks of heap memory only, so there the pages come from the heap;
 * the last page is not padded, so that its bounds are exact. */
void *system_pages_map(size_t size_bytes)
{
    size_t rounded_bytes = round_up_to_pages(size_bytes);
    if (UNDER_ASAN) {
        void *p = NULL;
        if (posix_memalign(&p, system_page_bytes(), size_bytes) != 0)
            return NULL;
        return memset(p, 0, size_bytes);
    }
    void *p = mmap(NULL, rounded_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    /* Both best effort: the limit on locked memory is the administrator's choice. */
    (void)mlock(p, rounded_bytes);
    (void)madvise(p, rounded_bytes, MADV_DONTDUMP);
    return p;
}

void system_pages_unmap(void *p, size_t size_bytes)
{
    if (!UNDER_ASAN) {
        FATAL_UNLESS(munmap(p, round_up_to_pages(size_bytes)) == 0, "pages to free are mapped");
        return;
    }
    FATAL_UNLESS(malloc_usable_size(p) == size_bytes || size_bytes == 0,
                 "pages are freed with the size they were allocated with");
    free(p);
}
