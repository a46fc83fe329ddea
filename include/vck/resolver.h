/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver: addresses of a name. Text that is an address already is read, not asked about.
 */
#ifndef VCK_RESOLVER_H
#define VCK_RESOLVER_H

#include "vck/address.h"
#include "vck/network.h"

VCK_BEGIN_DECLS

/* A question as a future. Results in io: status, native_error, count. */
struct vck_resolve {
    struct vck_network_call call; /* call.future is the future, call.deadline_ns may be set */
    struct vck_link link;         /* with the network's others in flight */
    bool completed;
    struct vck_resolve_io io;
};

/*
 * Asks for the addresses of host (zero-terminated) of one family, or of both with NONE; at most
 * capacity (not 0) are written, with the port in them, in the order they are to be tried. host and
 * addresses stay until READY or dropped. A cancelled question completes at once; where the system
 * cannot be interrupted, its answer is dropped when it comes. NOT_FOUND, UNREACHABLE (no server
 * answers), NOT_READY, CANCELLED, TIMEOUT, NO_MEMORY, IO. PASSIVE.
 */
void vck_resolve_init(struct vck_resolve *resolve, struct vck_network *network, const char *host,
                      uint16_t port, enum vck_address_family family, struct vck_address *addresses,
                      uint32_t capacity);

/* The blocking form. timeout_ns: VCK_FOREVER for none. */
VCK_CHECKED vck_status vck_resolve_host(struct vck_network *network, const char *host,
                                        uint16_t port, enum vck_address_family family,
                                        uint64_t timeout_ns, struct vck_address *ret_addresses,
                                        uint32_t capacity, uint32_t *ret_count) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
