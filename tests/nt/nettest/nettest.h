/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nettest: the tests of the net room inside a kernel, from the same files. Included before each of
 * them: what the system they run on lacks. It is found out when the driver is loaded; tests that
 * need it are skipped by name.
 */
#ifndef VCK_NETTEST_H
#define VCK_NETTEST_H

#include <stdbool.h>
#include <stdint.h>

struct nettest_system {
    bool has_ipv6;
    bool has_datagrams;
    bool has_addresses; /* of sockets bound to a port of the system's choice */
    bool has_options;
    bool tells_foreign;  /* addresses that are not the system's */
    bool has_disconnect; /* ends of streams, and resets */
    bool has_cancel;     /* of one call, with a socket that goes on */
};

extern struct nettest_system nettest_system;
uint16_t nettest_port(void);
int nettest_random(void); /* the same numbers in each run */

int nettest_socket_main(void);
int nettest_cancel_main(void);
int nettest_executor_main(void);
int nettest_span_main(void);

#define NET_TEST_PORT                         "nt"
#define assert_native_error(actual, expected) assert_true((actual) < 0)
#define net_test_set_backlog(count)           ((void)(count))

#define NET_TEST_SYSTEM        "kernel"
#define net_test_has_ipv6      nettest_system.has_ipv6
#define net_test_has_datagrams nettest_system.has_datagrams
#define net_test_can_be_full   false /* the number of waiting connections is the system's */
#define net_test_port()        nettest_port()

#endif
