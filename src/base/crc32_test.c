/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"
#include "vck/crc32.h"

/* From the CRC catalogue (check value), GPT and zlib. */
static void known_values(void **state)
{
    (void)state;
    static const uint8_t zeros[512] = {0};
    uint8_t counted[256];
    for (unsigned i = 0; i < 256; i++)
        counted[i] = (uint8_t)i;
    assert_int_equal(vck_crc32(0, "", 0), 0);
    assert_int_equal(vck_crc32(0, NULL, 0), 0);
    assert_int_equal(vck_crc32(0, "123456789", 9), 0xCBF43926);
    assert_int_equal(vck_crc32(0, "The quick brown fox jumps over the lazy dog", 43), 0x414FA339);
    assert_int_equal(vck_crc32(0, zeros, sizeof(zeros)), 0xB2AA7578);
    assert_int_equal(vck_crc32(0, counted, sizeof(counted)), 0x29058C73);
}

static void pieces_give_the_whole(void **state)
{
    (void)state;
    uint8_t data[300];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)random_u32();
    uint32_t whole = vck_crc32(0, data, sizeof(data));
    for (size_t cut = 0; cut <= sizeof(data); cut++)
        assert_int_equal(vck_crc32(vck_crc32(0, data, cut), data + cut, sizeof(data) - cut), whole);
}

static void every_single_bit_is_found(void **state)
{
    (void)state;
    uint8_t data[512] = {1, 2, 3};
    uint32_t crc = vck_crc32(0, data, sizeof(data));
    for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_not_equal(vck_crc32(0, data, sizeof(data)), crc);
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(pieces_give_the_whole),
        cmocka_unit_test(every_single_bit_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
