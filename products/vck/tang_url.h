/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tang_url: where a Tang server is. Pure.
 */
#ifndef VCK_PRODUCTS_VCK_TANG_URL_H
#define VCK_PRODUCTS_VCK_TANG_URL_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/key_network.h"

/* http://HOST[:PORT][/PATH] */
struct tang_url {
    char host[VCK_NETWORK_URL_BYTES_MAX + 1]; /* a name or an address, without brackets */
    char authority[VCK_NETWORK_URL_BYTES_MAX + 1];
    char path[VCK_NETWORK_URL_BYTES_MAX + 1]; /* "" or "/...", without a slash at its end */
    uint16_t port;
};

/* NULL, or what is wrong with it, in words that follow the URL. */
const char *tang_url_parse(const char *text, struct tang_url *ret_url);

/* A server as it is named on the command line, URL[,THUMBPRINT]. */
struct tang_name {
    char url[VCK_NETWORK_URL_BYTES_MAX + 1];
    bool has_thumbprint;
    uint8_t thumbprint[VCK_NETWORK_THUMBPRINT_BYTES];
};

/* NULL, or what is wrong with it. */
const char *tang_name_parse(const char *text, struct tang_name *ret_name);

#endif
