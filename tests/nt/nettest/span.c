/* SPDX-License-Identifier: Apache-2.0 */
/* The toolchain's is in a library of programs. */
#define rand nettest_random
#define main nettest_span_main
#include "src/net/socket_span_test.c"
