/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_network: the payload of a network slot, its binding: which servers hold the shares of the
 * slot's secret, and the shares, each encrypted under the key that its server helps to find. Pure,
 * but for random bytes; points of curves are bytes here, their arithmetic and the network are
 * somebody else's. Source: docs/format.md, "Network".
 */
#ifndef VCK_KEY_NETWORK_H
#define VCK_KEY_NETWORK_H

#include <stdint.h>
#include "vck/bytes.h"
#include "vck/key_slot.h"
#include "vck/secret.h"
#include "vck/shamir.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_NETWORK_SERVERS_MAX      10u
#define VCK_NETWORK_URL_BYTES_MAX    255u
#define VCK_NETWORK_COORDINATE_BYTES 66u
#define VCK_NETWORK_THUMBPRINT_BYTES 32u
#define VCK_NETWORK_THUMBPRINT_TEXT  44u /* base64url and a zero */
#define VCK_NETWORK_SECRET_BYTES     VCK_SHAMIR_BYTES

enum vck_network_curve {
    VCK_NETWORK_P256 = 1,
    VCK_NETWORK_P384 = 2,
    VCK_NETWORK_P521 = 3,
};

/* Coordinates are big-endian, with zeroes in front. */
struct vck_network_point {
    uint8_t x[VCK_NETWORK_COORDINATE_BYTES];
    uint8_t y[VCK_NETWORK_COORDINATE_BYTES];
};

struct vck_network_server {
    enum vck_network_curve curve;
    uint8_t signer[VCK_NETWORK_THUMBPRINT_BYTES]; /* thumbprint of the trusted signing key */
    struct vck_network_point server_key;
    struct vck_network_point slot_key;
    uint8_t sealed_share[VCK_SHAMIR_BYTES + 16]; /* with its tag */
    char url[VCK_NETWORK_URL_BYTES_MAX + 1];     /* ends with a zero */
};

/* Too large for a kernel's stack. */
struct vck_network_binding {
    uint32_t threshold;
    uint32_t count;
    struct vck_network_server servers[VCK_NETWORK_SERVERS_MAX];
};

/* Reads a binding, and writes one. UNSUPPORTED: of a later version, or a curve that is not known;
 * INVALID_DATA; DISK_FULL: a slot has no room for so much. Any level. */
VCK_CHECKED vck_status vck_network_binding_decode(struct vck_bytes data,
                                                  struct vck_network_binding *ret_binding);
VCK_CHECKED vck_status vck_network_binding_encode(const struct vck_network_binding *binding,
                                                  uint8_t ret_data[VCK_KEY_PAYLOAD_BYTES_MAX],
                                                  uint32_t *ret_size_bytes);
/* What encode needs room for. Any level. */
uint32_t vck_network_binding_bytes(const struct vck_network_binding *binding);

/* Of a coordinate on the curve; 0 for a curve that is not known. Any level. */
uint32_t vck_network_curve_bytes(uint32_t curve);
/* "P-521", as JWKs have it; NULL. Any level. */
const char *vck_network_curve_name(uint32_t curve);

/* The thumbprint (RFC 7638, SHA-256) of a point as a JWK, and as text. Any level. */
void vck_network_thumbprint(enum vck_network_curve curve, const struct vck_network_point *point,
                            uint8_t ret_thumbprint[VCK_NETWORK_THUMBPRINT_BYTES]);
void vck_network_thumbprint_format(const uint8_t thumbprint[VCK_NETWORK_THUMBPRINT_BYTES],
                                   char ret_text[VCK_NETWORK_THUMBPRINT_TEXT]);
/* INVALID_DATA: not 43 digits of base64url. Any level. */
VCK_CHECKED vck_status vck_network_thumbprint_parse(
    struct vck_bytes text, uint8_t ret_thumbprint[VCK_NETWORK_THUMBPRINT_BYTES]);

/* Encrypts the share of the index-th server, which has all but that already, under the x of the key
 * agreed on. CRYPTO_FAILED. PASSIVE. */
VCK_CHECKED vck_status vck_network_share_seal(struct vck_network_binding *binding, uint32_t index,
                                              const uint8_t agreed_x[VCK_NETWORK_COORDINATE_BYTES],
                                              const struct vck_shamir_share *share);
/* The reverse. WRONG_KEY: that is not the key. The caller wipes *ret_share. PASSIVE. */
VCK_CHECKED vck_status vck_network_share_open(const struct vck_network_binding *binding,
                                              uint32_t index,
                                              const uint8_t agreed_x[VCK_NETWORK_COORDINATE_BYTES],
                                              struct vck_shamir_share *ret_share);

VCK_END_DECLS

#endif
