/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
/* The toolchain's are in a library of programs. */
#define rand        nettest_random
#define srand(seed) ((void)(seed))
#define main        nettest_span_main
#include "src/net/socket_span_test.c"
