/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holders: who references an object, by tag and call site. Builds with NDEBUG keep nothing.
 */
#ifndef VCK_OBJECT_HOLDERS_H
#define VCK_OBJECT_HOLDERS_H

#include <stdbool.h>
#include <stdint.h>
#include "port/port.h"

struct holder {
    const char *site;
    uint32_t tag;
    uint32_t count;
};

#if defined(NDEBUG)

struct holders {
    char unused;
};

static inline void holders_init(struct holders *holders)
{
    (void)holders;
}

static inline void holders_fini(struct holders *holders)
{
    (void)holders;
}

static inline void holders_add(struct holders *holders, uint32_t tag, const char *site)
{
    (void)holders;
    (void)tag;
    (void)site;
}

static inline bool holders_remove(struct holders *holders, uint32_t tag)
{
    (void)holders;
    (void)tag;
    return true;
}

static inline bool holders_get(struct holders *holders, size_t index, struct holder *ret_holder)
{
    (void)holders;
    (void)index;
    (void)ret_holder;
    return false;
}

#else

#define HOLDERS_INLINE 4u

struct holders_block;

struct holders {
    struct vck_spinlock lock;
    uint32_t unrecorded; /* there was no memory for a block */
    struct holders_block *blocks;
    struct holder first[HOLDERS_INLINE];
};

/* Nobody else knows the object. */
void holders_init(struct holders *holders);
void holders_fini(struct holders *holders);

/* DISPATCH. */
void holders_add(struct holders *holders, uint32_t tag, const char *site);
/* False: nobody holds by this tag. DISPATCH. */
bool holders_remove(struct holders *holders, uint32_t tag);
/* The index-th of those that hold; false: there are fewer. DISPATCH. */
bool holders_get(struct holders *holders, size_t index, struct holder *ret_holder);

#endif
#endif
