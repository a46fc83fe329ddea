/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory: what the ports with an allocator beneath them share: vck_alloc and vck_free with their
 * accounts, failures on demand, and the list of who allocated what. It is written on system_lock,
 * system_once and system_heap_ of the port. Pages are the port's own, and use the accounts.
 */
#ifndef VCK_PORT_MEMORY_MEMORY_H
#define VCK_PORT_MEMORY_MEMORY_H

#if defined(VCK_NT)
#include "port/nt/internal.h"
#else
#include "port/hosted/system.h"
#endif
#include "vck/list.h"

/* Builds without NDEBUG keep the list of blocks. */
#if defined(NDEBUG)
#define MEMORY_KEEPS_LIST 0
#else
#define MEMORY_KEEPS_LIST 1
#endif

struct allocation {
    struct vck_link link; /* on the list */
    const void *memory;
    const char *site;
    size_t size_bytes;
    uint32_t tag;
};

/* Before any other thread may allocate, where system_once asks for that. */
void vck_memory_init(void);

/* Whether this allocation is the one to fail: counts it. Any level. */
bool vck_memory_is_failure_due(void);

/* One more live allocation: 1, or one less: -1. Any level. */
void vck_memory_count(int change);

/* Puts it on the list, with what is known of it, and takes it off. DISPATCH. */
void vck_memory_enlist(struct allocation *allocation);
void vck_memory_delist(struct allocation *allocation);

/* Finds pages by their address, which have nothing in front of them, and takes them off the list.
 * Stops the program when they are not on it. DISPATCH. */
struct allocation *vck_memory_delist_pages(const void *memory);

#endif
