/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wsk_net_test: what is different about the NT port for the tests of the net room. Included before
 * them.
 */
#ifndef VCK_WSK_NET_TEST_H
#define VCK_WSK_NET_TEST_H

#include "fake_wsk.h"

#define NET_TEST_PORT                         "nt"
#define assert_native_error(actual, expected) assert_true((actual) < 0 && (expected) != 0)

/* Winsock Kernel has no place for it in its calls. */
static inline void net_test_set_backlog(int count)
{
    fake_wsk.backlog = count + 1;
}

#endif
