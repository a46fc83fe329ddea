/* SPDX-License-Identifier: Apache-2.0 */
#define main nettest_cancel_main
#include "src/net/cancel_test.c"
