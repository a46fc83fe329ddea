/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holds: counts who may still touch something that several finish together: its owner, a port, a
 * canceller. Zero is final until the owner begins again with a plain store, so that a hold is never
 * gained on what is over.
 */
#ifndef VCK_HOLDS_H
#define VCK_HOLDS_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/annotate.h"

VCK_BEGIN_DECLS

/* False when nobody holds it (any more). The memory of the count itself must be there. In one order
 * with other sequentially consistent accesses: who stores a flag before this fails is seen by who
 * looks at the flag after a sequentially consistent beginning. DISPATCH. */
static inline VCK_CHECKED bool vck_holds_try(uint32_t *holds)
{
    uint32_t seen = __atomic_load_n(holds, __ATOMIC_SEQ_CST);

    while (seen != 0)
        if (__atomic_compare_exchange_n(holds, &seen, seen + 1, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return true;
    return false;
}

/* True for the last one, who ends it; what the others wrote before is visible then. DISPATCH. */
static inline VCK_CHECKED bool vck_holds_put(uint32_t *holds)
{
    return __atomic_sub_fetch(holds, 1, __ATOMIC_ACQ_REL) == 0;
}

VCK_END_DECLS

#endif
