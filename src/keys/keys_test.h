/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share: the vectors, and slots that cost nothing to open. */
#ifndef VCK_KEYS_TEST_H
#define VCK_KEYS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "vck/key_slot.h"
#include "vck/key_table.h"

#define VECTORS "tests/vectors/key-slots-v1.json"

#define TEXT(text)   ((struct vck_bytes){(const uint8_t *)(text), sizeof(text) - 1})
#define BYTES(array) ((struct vck_bytes){(const uint8_t *)(array), sizeof(array)})

static const uint8_t test_volume_id[16] = "keys of a volume";

/* The file of vectors as text; end it with free. */
static inline char *vectors_read(void)
{
    FILE *file = fopen(VECTORS, "r");
    assert_non_null(file);
    char *text = calloc(1, 65536);
    assert_non_null(text);
    assert_true(fread(text, 1, 65535, file) > 0);
    fclose(file);
    return text;
}

/* What follows "name": in the text from `from` on, or NULL. */
static inline const char *vectors_find(const char *from, const char *name)
{
    char quoted[64];
    snprintf(quoted, sizeof(quoted), "\"%s\":", name);
    const char *at = strstr(from, quoted);
    if (at == NULL)
        return NULL;
    at += strlen(quoted);
    return at + strspn(at, " ");
}

static inline uint32_t vectors_u32(const char *from, const char *name)
{
    return (uint32_t)strtoul(vectors_find(from, name), NULL, 10);
}

static inline void vectors_hex(const char *from, const char *name, void *ret_bytes,
                               size_t size_bytes)
{
    uint8_t *bytes = ret_bytes;
    const char *at = vectors_find(from, name) + 1;
    for (size_t i = 0; i < size_bytes; i++) {
        unsigned value;
        assert_int_equal(sscanf(at + 2 * i, "%2x", &value), 1);
        bytes[i] = (uint8_t)value;
    }
    assert_int_equal(at[2 * size_bytes], '"');
}

/* A recovery slot: its KDF costs nothing. */
static inline struct vck_bytes make_test_slot(uint16_t number, const uint8_t secret[16],
                                              struct vck_bytes vmk, uint8_t *record)
{
    const struct vck_key_slot_spec spec = {.type = VCK_KEY_RECOVERY,
                                           .number = number,
                                           .created_s = 1,
                                           .label = TEXT("test"),
                                           .kdf = {.kind = VCK_KEY_HKDF}};
    uint32_t size_bytes = 0;
    assert_int_equal(vck_key_slot_make(&spec, test_volume_id,
                                       (struct vck_bytes){secret, VCK_KEY_RECOVERY_BYTES}, vmk,
                                       NULL, record, &size_bytes),
                     VCK_OK);
    return (struct vck_bytes){record, size_bytes};
}

#endif
