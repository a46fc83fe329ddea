/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share: the vectors, and slots that cost nothing to open. */
#ifndef VCK_KEYS_TEST_H
#define VCK_KEYS_TEST_H

#include "vectors.h"
#include "vck/key_slot.h"
#include "vck/key_table.h"

#define VECTORS "tests/vectors/key-slots-v1.json"

#define TEXT(text)   ((struct vck_bytes){(const uint8_t *)(text), sizeof(text) - 1})
#define BYTES(array) ((struct vck_bytes){(const uint8_t *)(array), sizeof(array)})

static const uint8_t test_volume_id[16] = "keys of a volume";

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
