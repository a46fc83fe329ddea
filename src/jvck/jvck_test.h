/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share: the published vectors and repeatable random values. */
#ifndef VCK_JVCK_TEST_H
#define VCK_JVCK_TEST_H

#include "random.h"
#include "vectors.h"
#include "vck/annotate.h"

#define VECTORS "tests/vectors/jvck-v1.json"

static inline uint64_t random_below(uint64_t limit)
{
    return random_u64() % limit;
}

#endif
