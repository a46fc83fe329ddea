/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address: the address of a TCP or UDP endpoint, made, compared, and as text. struct vck_address is
 * in port/sockets.h. Nothing here asks the system. Any level.
 */
#ifndef VCK_ADDRESS_H
#define VCK_ADDRESS_H

#include "port/sockets.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* Longest text and its zero: "[8 groups of 4 digits%scope]:65535". */
#define VCK_ADDRESS_TEXT_BYTES 64u

/* a.b.c.d, and its special cases. port in the machine's byte order. */
struct vck_address vck_address_ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);
struct vck_address vck_address_ipv6(const uint8_t bytes[16], uint16_t port);
/* Every address of this host (0.0.0.0, ::), and the host itself (127.0.0.1, ::1). */
struct vck_address vck_address_any(enum vck_address_family family, uint16_t port);
struct vck_address vck_address_loopback(enum vck_address_family family, uint16_t port);

/* Reads an IPv4 address in dotted decimals, or an IPv6 address as RFC 4291 writes it, optionally
 * followed by %N, the number of a link. No port, no brackets. size_bytes does not count a zero.
 * INVALID_DATA. */
VCK_CHECKED vck_status vck_address_parse(const char *text, size_t size_bytes, uint16_t port,
                                         struct vck_address *ret_address);

/* Writes "127.0.0.1:80" or "[::1]:80", in the form of RFC 5952; "none" for no address. Returns the
 * length without the zero. */
size_t vck_address_format(const struct vck_address *address, char ret_text[VCK_ADDRESS_TEXT_BYTES]);

/* Whether both mean the same endpoint: family, bytes, port and scope. */
bool vck_address_is_equal(const struct vck_address *a, const struct vck_address *b);

VCK_END_DECLS

#endif
