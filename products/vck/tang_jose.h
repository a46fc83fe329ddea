/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tang_jose: what is said to Tang servers and what they say, by libjose: signatures, JWKs and the
 * arithmetic on curves. What servers sent is checked here. Freed JSON is wiped.
 *
 * Functions that return words return NULL for success, else what is wrong, to follow the name of a
 * server.
 */
#ifndef VCK_PRODUCTS_VCK_TANG_JOSE_H
#define VCK_PRODUCTS_VCK_TANG_JOSE_H

#include "vck/key_network.h"

#define TANG_SIGNERS_MAX    8u
#define TANG_QUESTION_BYTES 512u

/* What a server advertises, having been signed by all of the signers. */
struct tang_advert {
    uint32_t signer_count; /* at least 1 */
    uint8_t signers[TANG_SIGNERS_MAX][VCK_NETWORK_THUMBPRINT_BYTES];
    enum vck_network_curve curve;
    struct vck_network_point key; /* to exchange with */
};

/* Loads the libraries; before anything else. NULL, or which of them is missing. */
const char *tang_jose_load(void);

const char *tang_jose_read_advert(const char *text, size_t size_bytes,
                                  struct tang_advert *ret_advert);

/* A new key of the slot for a server whose curve and key are set, and the x that the two agree on;
 * the caller wipes it. */
const char *tang_jose_bind(struct vck_network_server *server,
                           uint8_t ret_agreed_x[VCK_NETWORK_COORDINATE_BYTES]);

/* A question that says nothing of the slot's key, and what the answer needs. fini always. */
struct tang_question {
    void *blind;
    char body[TANG_QUESTION_BYTES];
};

const char *tang_jose_ask(const struct vck_network_server *server,
                          struct tang_question *ret_question);
const char *tang_jose_finish(const struct vck_network_server *server,
                             const struct tang_question *question, const char *text,
                             size_t size_bytes, uint8_t ret_agreed_x[VCK_NETWORK_COORDINATE_BYTES]);
void tang_jose_fini(struct tang_question *question);

#endif
