/* SPDX-License-Identifier: Apache-2.0 */
/* The stress test on the room as builds with NDEBUG have it: there no lock of the holders' orders
 * what threads do, so that TSan sees the counts alone. */
#if !defined(NDEBUG)
#define NDEBUG
#endif
#include "object.c"
#include "delete.c"
#include "unload.c"
#include "stress_test.c"
