/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tang: network slots: binding a volume's key to Tang servers, and asking them for it.
 */
#ifndef VCK_PRODUCTS_VCK_TANG_H
#define VCK_PRODUCTS_VCK_TANG_H

#include "products/vck/json.h"
#include "products/vck/vck.h"
#include "vck/key_slot.h"

/* The secret of a network slot from its servers, all asked at once. What kept it from being found
 * is told for each server. UNREACHABLE: too few shares; UNSUPPORTED: this program has no libjose;
 * UNSUPPORTED, INVALID_DATA: not a binding. fini *ret_secret only on success. */
VCK_CHECKED vck_status tang_unlock(const struct command *command, const struct vck_key_slot *slot,
                                   struct vck_bytes payload,
                                   struct vck_secret *ret_secret) VCK_CAN_WAIT;

/* Draws a secret and binds it to the servers of --tang, having made sure that they are trusted.
 * fini *ret_secret always. */
int tang_bind(const struct command *command, struct vck_secret *ret_secret,
              uint8_t ret_payload[VCK_KEY_PAYLOAD_BYTES_MAX],
              size_t *ret_payload_bytes) VCK_CAN_WAIT;

/* ---- what tang.c and tang_bind.c share ---- */

struct tang_exchange;

#define TANG_TIME_S_MAX 600u
int tang_time(const struct command *command, uint32_t *ret_time_s);
/* Why there is no answer of 200, in words that follow the server's name; NULL: there is one. */
#define TANG_WORDS_BYTES 160
const char *tang_explain(const struct tang_exchange *exchange, uint32_t time_s,
                         char buffer[TANG_WORDS_BYTES]);

/* ---- what a slot says (tang_show.c) ---- */

/* "2 of 3 servers", or "-". */
#define TANG_TEXT_BYTES 32
const char *tang_text(const struct vck_key_slot *slot, char buffer[TANG_TEXT_BYTES]);
/* The members of a slot's object that only network slots have; none for others. */
void tang_print_json(struct json *json, const struct vck_key_slot *slot);
/* A line for each server below the slot's. */
void tang_print_text(const struct vck_key_slot *slot);

#endif
