/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/span_fill.h"
#include "chain_test.h"

static uint8_t arena[ARENA_BYTES], before[ARENA_BYTES];
static struct test_chain chain;

typedef vck_status operation(const struct vck_span *span, uint8_t value, uint64_t *ret_done_bytes);

static vck_status zero(const struct vck_span *span, uint8_t value, uint64_t *ret_done_bytes)
{
    (void)value;
    return vck_span_zero(span, ret_done_bytes);
}

static vck_status zero_non_temporal(const struct vck_span *span, uint8_t value,
                                    uint64_t *ret_done_bytes)
{
    (void)value;
    return vck_span_zero_non_temporal(span, ret_done_bytes);
}

static vck_status zero_secure(const struct vck_span *span, uint8_t value, uint64_t *ret_done_bytes)
{
    (void)value;
    return vck_span_zero_secure(span, ret_done_bytes);
}

static const struct {
    operation *run;
    bool is_zero;
} forms[] = {{zero, true},
             {zero_non_temporal, true},
             {zero_secure, true},
             {vck_span_fill, false},
             {vck_span_fill_non_temporal, false}};

/* The arena is as it was, but for `bytes` bytes of the chain, which have the value. */
static void assert_set(uint32_t offset, uint64_t bytes, uint8_t value)
{
    for (uint32_t i = 0; i < bytes; i++)
        before[chain.at[offset + i] - arena] = value;
    assert_memory_equal(arena, before, sizeof(arena));
}

static void check_forms(uint32_t pieces_max, uint32_t piece_bytes_max)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t offset, bytes;
        uint64_t done = 99;
        size_t form = round % VCK_ARRAY_COUNT(forms);
        uint8_t value = forms[form].is_zero ? 0 : (uint8_t)random_u32();
        if (round % 64 == 0)
            random_bytes(arena, sizeof(arena));
        memcpy(before, arena, sizeof(arena));
        chain_make(&chain, arena, ARENA_BYTES, pieces_max, piece_bytes_max);
        struct vck_span span = chain_random_span(&chain, &offset, &bytes);
        assert_int_equal(forms[form].run(&span, value, &done),
                         expected_status(span.length_bytes, bytes));
        assert_int_equal(done, bytes);
        assert_set(offset, bytes, value);
    }
}

static void every_form_sets_the_span_and_nothing_else(void **state)
{
    (void)state;
    check_forms(8, 40);
}

static void every_form_sets_large_pieces(void **state)
{
    (void)state;
    check_forms(8, 2000);
}

static void every_form_says_how_much_was_set_before_the_nth_mapping_failed(void **state)
{
    (void)state;
    random_bytes(arena, sizeof(arena));
    for (unsigned round = 0; round < ROUNDS / 4; round++) {
        uint32_t offset, bytes;
        size_t form = round % VCK_ARRAY_COUNT(forms);
        chain_make(&chain, arena, ARENA_BYTES, 8, 40);
        struct vck_span span = chain_random_span(&chain, &offset, &bytes);
        vck_status status = VCK_NO_MEMORY;
        for (unsigned n = 1; status == VCK_NO_MEMORY; n++) {
            uint64_t done = 99;
            memcpy(before, arena, sizeof(arena));
            chain_unmap(&chain);
            fail_nth_map(n);
            status = forms[form].run(&span, (uint8_t)(forms[form].is_zero ? 0 : n), &done);
            if (status == VCK_NO_MEMORY) {
                assert_true(done < bytes);
                assert_int_equal(chain.pieces[chain.piece_of[offset + done]].flags, 0);
            } else {
                assert_int_equal(done, bytes);
            }
            assert_set(offset, done, (uint8_t)(forms[form].is_zero ? 0 : n));
        }
    }
}

static void nothing_to_set_is_no_error(void **state)
{
    (void)state;
    for (size_t form = 0; form < VCK_ARRAY_COUNT(forms); form++) {
        uint64_t done = 99;
        assert_int_equal(forms[form].run(WHOLE(NULL), 0, &done), VCK_OK);
        assert_int_equal(done, 0);
        assert_int_equal(forms[form].run(SPAN(NULL, 0, 0), 0, NULL), VCK_OK);
        assert_int_equal(forms[form].run(SPAN(NULL, 0, 1), 0, &done), VCK_OUT_OF_RANGE);
        assert_int_equal(done, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_form_sets_the_span_and_nothing_else, set_map_hook),
        cmocka_unit_test_setup(every_form_sets_large_pieces, set_map_hook),
        cmocka_unit_test_setup(every_form_says_how_much_was_set_before_the_nth_mapping_failed,
                               set_map_hook),
        cmocka_unit_test_setup(nothing_to_set_is_no_error, set_map_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
