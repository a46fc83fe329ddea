/* SPDX-License-Identifier: Apache-2.0 */
/* What stops a program stops the system here: the tests of misuse are run elsewhere. */
#define VCK_PORT_POSIX_ABORT_TEST_H
#define expect_abort(function, why) ((void)(function), (void)(why))
#define main                        nettest_executor_main
#include "src/net/executor_test.c"
