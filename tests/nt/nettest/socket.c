/* SPDX-License-Identifier: Apache-2.0 */
#define main nettest_socket_main
#include "src/net/socket_test.c"
