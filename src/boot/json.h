/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: a reader that walks over a text and allocates nothing. A failed call leaves the place where
 * it failed, and why in words.
 */
#ifndef VCK_BOOT_JSON_H
#define VCK_BOOT_JSON_H

#include <stdbool.h>
#include "vck/bytes.h"

/* Objects and arrays inside each other, in values that are passed over. */
#define JSON_DEPTH_MAX 16u

struct json {
    const uint8_t *at;
    const uint8_t *end;
    uint32_t line;     /* of at, 1 is the first */
    const char *wrong; /* static; NULL while nothing is */
};

/* A byte order mark at the start is passed over. */
void vck_json_init(struct json *json, struct vck_bytes text);

/* Passes over white space, then over this character when it comes next. */
bool vck_json_take(struct json *json, char character);
/* The same, and wrong without it. `what` says what was expected. */
bool vck_json_expect(struct json *json, char character, const char *what);

/* A string as UTF-8 with its NUL, into out unless that is NULL. NULs in strings are refused. */
bool vck_json_string(struct json *json, char *out, size_t capacity_bytes);
/* A whole number from 0 to maximum. */
bool vck_json_u32(struct json *json, uint32_t maximum, uint32_t *ret_value);
/* Any value. */
bool vck_json_pass_over(struct json *json);
/* Nothing but white space up to the end. */
bool vck_json_end(struct json *json);

/* Says what is wrong, unless something was before; false. */
bool vck_json_wrong(struct json *json, const char *what);

#endif
