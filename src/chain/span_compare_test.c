/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/span_compare.h"
#include "chain_test.h"

static uint8_t arena[2 * ARENA_BYTES];
static struct test_chain chain, other;

typedef vck_status operation(const struct vck_span *a, const struct vck_span *b, int *ret_order,
                             uint64_t *ret_equal_bytes);

static operation *const forms[] = {vck_span_compare, vck_span_compare_non_temporal};

/* Gives the chains the same bytes from these offsets on, and some of the time one other byte. */
static void make_equal_but_one(uint32_t offset_a, uint32_t offset_b, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        *other.at[offset_b + i] = *chain.at[offset_a + i];
    if (bytes > 0 && random_below(4) > 0)
        *other.at[offset_b + random_below(bytes)] ^= (uint8_t)(1u << random_below(8));
}

static void check_forms(uint32_t piece_bytes_max)
{
    random_bytes(arena, sizeof(arena));
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t offset_a, offset_b, bytes_a, bytes_b, equal = 0;
        int order = 99, expected = 0;
        uint64_t done = 99;
        chain_make(&chain, arena, ARENA_BYTES, 8, piece_bytes_max);
        chain_make(&other, arena + ARENA_BYTES, ARENA_BYTES, 8, piece_bytes_max);
        struct vck_span a = chain_random_span(&chain, &offset_a, &bytes_a);
        struct vck_span b = chain_random_span(&other, &offset_b, &bytes_b);
        uint32_t bytes = VCK_MIN(bytes_a, bytes_b);
        make_equal_but_one(offset_a, offset_b, bytes);
        while (equal < bytes && *chain.at[offset_a + equal] == *other.at[offset_b + equal])
            equal++;
        if (equal < bytes)
            expected = *chain.at[offset_a + equal] < *other.at[offset_b + equal] ? -1 : 1;
        vck_status status = forms[round % 2](&a, &b, &order, &done);
        assert_int_equal(done, equal);
        if (equal == bytes)
            assert_int_equal(status,
                             expected_status(VCK_MIN(a.length_bytes, b.length_bytes), bytes));
        else
            assert_int_equal(status, VCK_OK);
        assert_int_equal(order, status == VCK_OK ? expected : 99);
    }
}

static void spans_compare_as_their_bytes_do(void **state)
{
    (void)state;
    check_forms(40);
}

static void large_pieces_compare_as_their_bytes_do(void **state)
{
    (void)state;
    check_forms(2000);
}

static void comparisons_say_how_far_they_came_when_the_nth_mapping_failed(void **state)
{
    (void)state;
    memset(arena, 7, sizeof(arena));
    for (unsigned round = 0; round < ROUNDS / 4; round++) {
        vck_status status = VCK_NO_MEMORY;
        chain_make(&chain, arena, ARENA_BYTES, 8, 40);
        chain_make(&other, arena + ARENA_BYTES, ARENA_BYTES, 8, 40);
        uint64_t bytes = VCK_MIN(chain.bytes, other.bytes), last = 0;
        for (unsigned n = 1; status == VCK_NO_MEMORY; n++) {
            int order = 99;
            uint64_t done = 99;
            chain_unmap(&chain);
            chain_unmap(&other);
            fail_nth_map(n);
            status = forms[round % 2](WHOLE(chain_first(&chain)), WHOLE(chain_first(&other)),
                                      &order, &done);
            assert_int_equal(order, status == VCK_OK ? 0 : 99);
            assert_true(done >= last);
            last = done;
        }
        assert_int_equal(status, VCK_OK);
        assert_int_equal(last, bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(spans_compare_as_their_bytes_do, set_map_hook),
        cmocka_unit_test_setup(large_pieces_compare_as_their_bytes_do, set_map_hook),
        cmocka_unit_test_setup(comparisons_say_how_far_they_came_when_the_nth_mapping_failed,
                               set_map_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
