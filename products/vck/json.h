/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: writes one JSON value to stdout, on one line. key is NULL inside arrays and at the top.
 */
#ifndef VCK_PRODUCTS_VCK_JSON_H
#define VCK_PRODUCTS_VCK_JSON_H

#include <stdbool.h>
#include <stdint.h>

struct json {
    bool needs_comma;
    unsigned depth;
};

void json_object_begin(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array_begin(struct json *json, const char *key);
void json_array_end(struct json *json);
/* NULL becomes null; bytes that are no UTF-8 become U+FFFD. */
void json_string(struct json *json, const char *key, const char *value);
void json_u64(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
/* One digit behind the point. */
void json_tenths(struct json *json, const char *key, uint64_t tenths);

#endif
