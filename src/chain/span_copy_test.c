/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/span_copy.h"
#include "chain_test.h"

static uint8_t arena[2 * ARENA_BYTES], before[2 * ARENA_BYTES];
static uint8_t *const half = arena + ARENA_BYTES;
static struct test_chain target, source;

typedef vck_status operation(const struct vck_span *to, const struct vck_span *from,
                             uint64_t *ret_done_bytes);

static operation *const forms[] = {vck_span_copy, vck_span_copy_non_temporal};

/* Applies to the snapshot what a copy through a third buffer would have done to the arena. */
static void model_copy(uint32_t to_offset, uint32_t from_offset, uint64_t bytes)
{
    static uint8_t third[ARENA_BYTES];
    for (uint32_t i = 0; i < bytes; i++)
        third[i] = before[source.at[from_offset + i] - arena];
    for (uint32_t i = 0; i < bytes; i++)
        before[target.at[to_offset + i] - arena] = third[i];
}

static void assert_as_modelled(void)
{
    assert_memory_equal(arena, before, sizeof(arena));
}

static void start_round(unsigned round)
{
    if (round % 64 == 0)
        random_bytes(arena, sizeof(arena));
    memcpy(before, arena, sizeof(arena));
}

static void check_spans(uint32_t pieces_max, uint32_t piece_bytes_max)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t to_offset, from_offset, to_bytes, from_bytes;
        uint64_t done = 99;
        start_round(round);
        chain_make(&target, arena, ARENA_BYTES, pieces_max, piece_bytes_max);
        chain_make(&source, half, ARENA_BYTES, pieces_max, piece_bytes_max);
        struct vck_span to = chain_random_span(&target, &to_offset, &to_bytes);
        struct vck_span from = chain_random_span(&source, &from_offset, &from_bytes);
        uint64_t bytes = VCK_MIN(to_bytes, from_bytes);
        assert_int_equal(forms[round % 2](&to, &from, &done),
                         expected_status(VCK_MIN(to.length_bytes, from.length_bytes), bytes));
        assert_int_equal(done, bytes);
        model_copy(to_offset, from_offset, bytes);
        assert_as_modelled();
    }
}

static void spans_are_copied_to_spans_split_differently(void **state)
{
    (void)state;
    check_spans(8, 40);
}

static void spans_of_many_and_of_large_pieces_are_copied(void **state)
{
    (void)state;
    check_spans(PIECES_MAX, 20);
    check_spans(8, 2000);
}

/* The flat buffer is a chain of one piece to the model. */
static void flat_buffers_are_copied_to_spans(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t offset, bytes, size = random_below(round % 2 ? 200 : 5000);
        uint64_t done = 99;
        start_round(round);
        chain_make(&target, arena, ARENA_BYTES, 8, round % 2 ? 40 : 2000);
        source.count = source.bytes = 0;
        chain_append(&source, half + random_below(64), size);
        struct vck_span to = chain_random_span(&target, &offset, &bytes);
        vck_status status =
            round % 4 < 2
                ? vck_span_copy_in(&to, source.pieces[0].address, size, &done)
                : vck_span_copy_in_non_temporal(&to, source.pieces[0].address, size, &done);
        assert_int_equal(done, VCK_MIN(bytes, size));
        assert_int_equal(status, expected_status(VCK_MIN(to.length_bytes, size), done));
        model_copy(offset, 0, done);
        assert_as_modelled();
    }
}

static void spans_are_copied_to_flat_buffers(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t offset, bytes, size = random_below(round % 2 ? 200 : 5000);
        uint64_t done = 99;
        start_round(round);
        chain_make(&source, arena, ARENA_BYTES, 8, round % 2 ? 40 : 2000);
        target.count = target.bytes = 0;
        chain_append(&target, half + random_below(64), size);
        struct vck_span from = chain_random_span(&source, &offset, &bytes);
        vck_status status =
            round % 4 < 2
                ? vck_span_copy_out(target.pieces[0].address, size, &from, &done)
                : vck_span_copy_out_non_temporal(target.pieces[0].address, size, &from, &done);
        assert_int_equal(done, VCK_MIN(bytes, size));
        assert_int_equal(status, expected_status(VCK_MIN(from.length_bytes, size), done));
        model_copy(0, offset, done);
        assert_as_modelled();
    }
}

static void pieces_of_every_size_and_alignment_are_copied(void **state)
{
    (void)state;
    for (uint32_t size = 0; size < 2200; size += size < 300 || size > 1990 ? 1 : 97) {
        uint64_t done = 99;
        start_round(size);
        target.count = target.bytes = source.count = source.bytes = 0;
        chain_append(&target, arena + random_below(64), size);
        chain_append(&source, half + random_below(64), size);
        assert_int_equal(forms[size % 3 == 0](WHOLE(target.pieces), WHOLE(source.pieces), &done),
                         VCK_OK);
        assert_int_equal(done, size);
        model_copy(0, 0, size);
        assert_as_modelled();
    }
}

static void check_within_one_chain(uint32_t pieces_max, uint32_t piece_bytes_max)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t to_offset, from_offset, to_bytes, from_bytes;
        uint64_t done = 99;
        start_round(round);
        chain_make(&target, arena, ARENA_BYTES, pieces_max, piece_bytes_max);
        memcpy(source.at, target.at, sizeof(source.at));
        struct vck_span to = chain_random_span(&target, &to_offset, &to_bytes);
        struct vck_span from = chain_random_span(&target, &from_offset, &from_bytes);
        uint64_t bytes = VCK_MIN(to_bytes, from_bytes);
        assert_int_equal(forms[round % 2](&to, &from, &done),
                         expected_status(VCK_MIN(to.length_bytes, from.length_bytes), bytes));
        assert_int_equal(done, bytes);
        model_copy(to_offset, from_offset, bytes);
        assert_as_modelled();
    }
}

static void overlapping_spans_of_one_chain_are_moved(void **state)
{
    (void)state;
    check_within_one_chain(8, 40);
    check_within_one_chain(8, 2000);
}

static void overlapping_spans_of_many_pieces_are_moved(void **state)
{
    (void)state;
    check_within_one_chain(PIECES_MAX, 20);
}

static void overlapping_views_of_the_same_memory_are_moved(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t done = 99;
        uint32_t size = 1 + random_below(600), pieces = 1 + random_below(PIECES_MAX), end;
        uint32_t to = random_below(300), from = random_below(300);
        struct test_chain *const chains[] = {&target, &source};
        const uint32_t starts[] = {to, from};
        start_round(round);
        for (size_t i = 0; i < 2; i++) {
            chains[i]->count = chains[i]->bytes = 0;
            for (uint32_t at = 0; chains[i]->count < pieces && at < size; at = end) {
                end = chains[i]->count + 1 == pieces ? size : at + random_below(size - at + 1);
                chain_append(chains[i], arena + starts[i] + at, end - at);
            }
        }
        uint64_t bytes = VCK_MIN(target.bytes, source.bytes);
        assert_int_equal(forms[round % 2](WHOLE(target.pieces), WHOLE(source.pieces), &done),
                         VCK_OK);
        assert_int_equal(done, bytes);
        model_copy(0, 0, bytes);
        assert_as_modelled();
    }
}

/* Pieces in order with gaps, and a flat buffer that starts where they do: gaps close going out and
 * open going in. */
static void gaps_in_shared_memory_are_closed_and_opened(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t done = 99;
        bool is_in = round % 2;
        struct test_chain *chain = is_in ? &target : &source, *one = is_in ? &source : &target;
        start_round(round);
        do
            chain_make(chain, arena, ARENA_BYTES, PIECES_MAX, 40);
        while (chain->bytes == 0);
        one->count = one->bytes = 0;
        chain_append(one, chain->at[0], chain->bytes);
        const struct vck_span *whole = WHOLE(chain->pieces);
        vck_status status = round % 4 < 2 ? vck_span_copy(is_in ? whole : WHOLE(one->pieces),
                                                          is_in ? WHOLE(one->pieces) : whole, &done)
                            : is_in ? vck_span_copy_in(whole, one->at[0], one->bytes, &done)
                                    : vck_span_copy_out(one->at[0], one->bytes, whole, &done);
        assert_int_equal(status, VCK_OK);
        assert_int_equal(done, chain->bytes);
        model_copy(0, 0, chain->bytes);
        assert_as_modelled();
    }
}

static void shuffled_overlap_is_moved_or_refused_untouched(void **state)
{
    unsigned moved = 0, refused = 0;

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t done = 99;
        start_round(round);
        chain_make_shuffled(&target, arena, 300, 6, 40);
        chain_make_shuffled(&source, arena, 300, 6, 40);
        uint64_t bytes = VCK_MIN(target.bytes, source.bytes);
        vck_status status =
            forms[round % 2](WHOLE(chain_first(&target)), WHOLE(chain_first(&source)), &done);
        if (status == VCK_OK)
            model_copy(0, 0, bytes);
        else
            assert_int_equal(status, VCK_UNSUPPORTED);
        assert_int_equal(done, status == VCK_OK ? bytes : 0);
        assert_as_modelled();
        moved += status == VCK_OK;
        refused += status != VCK_OK;
    }
    assert_true(moved > 100 && refused > 100);
}

static void swapped_pieces_are_refused(void **state)
{
    uint64_t done = 99;

    (void)state;
    start_round(0);
    target.count = target.bytes = source.count = source.bytes = 0;
    chain_append(&target, arena, 10);
    chain_append(&target, arena + 10, 10);
    chain_append(&source, arena + 10, 10);
    chain_append(&source, arena, 10);
    assert_int_equal(vck_span_copy(WHOLE(target.pieces), WHOLE(source.pieces), &done),
                     VCK_UNSUPPORTED);
    assert_int_equal(done, 0);
    assert_as_modelled();
}

static void nothing_is_copied_when_the_nth_mapping_failed(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS / 4; round++) {
        vck_status status = VCK_NO_MEMORY;
        uint32_t to_offset, from_offset, to_bytes, from_bytes;
        start_round(round);
        chain_make(&target, arena, ARENA_BYTES, 8, 40);
        chain_make(&source, half, ARENA_BYTES, 8, 40);
        struct vck_span to = chain_random_span(&target, &to_offset, &to_bytes);
        struct vck_span from = chain_random_span(&source, &from_offset, &from_bytes);
        uint64_t bytes = VCK_MIN(to_bytes, from_bytes), done = 99;
        for (unsigned n = 1; status == VCK_NO_MEMORY; n++) {
            assert_as_modelled();
            chain_unmap(&target);
            chain_unmap(&source);
            fail_nth_map(n);
            status = forms[round % 2](&to, &from, &done);
            assert_int_equal(done, status == VCK_NO_MEMORY ? 0 : bytes);
        }
        assert_int_equal(status,
                         expected_status(VCK_MIN(to.length_bytes, from.length_bytes), bytes));
        model_copy(to_offset, from_offset, bytes);
        assert_as_modelled();
    }
}

static void flat_copies_say_when_the_nth_mapping_failed(void **state)
{
    uint8_t flat[40];

    (void)state;
    start_round(0);
    target.count = target.bytes = 0;
    for (uint32_t i = 0; i < 4; i++)
        chain_append(&target, arena + 20 * i, 10);
    for (unsigned n = 1; n <= 4; n++) {
        uint64_t done = 99;
        memset(flat, 1, sizeof(flat));
        chain_unmap(&target);
        fail_nth_map(n);
        assert_int_equal(vck_span_copy_in(WHOLE(target.pieces), flat, sizeof(flat), &done),
                         VCK_NO_MEMORY);
        assert_int_equal(done, 0);
        assert_as_modelled();
        chain_unmap(&target);
        fail_nth_map(n);
        assert_int_equal(vck_span_copy_out(flat, sizeof(flat), WHOLE(target.pieces), NULL),
                         VCK_NO_MEMORY);
        assert_int_equal(flat[0], 1);
        assert_memory_equal(flat, flat + 1, sizeof(flat) - 1);
    }
}

static void copies_map_no_more_than_they_use(void **state)
{
    (void)state;
    target.count = target.bytes = source.count = source.bytes = 0;
    for (uint32_t i = 0; i < 4; i++) {
        chain_append(&target, arena + 20 * i, i == 1 ? 0 : 10);
        chain_append(&source, half + 20 * i, 10);
    }
    chain_unmap(&target);
    chain_unmap(&source);
    assert_int_equal(
        vck_span_copy(SPAN(target.pieces, 10, 5), SPAN(source.pieces, 15, VCK_SPAN_TO_END), NULL),
        VCK_OK);
    assert_int_equal(map_calls, 2);
    assert_int_equal(target.pieces[2].flags, VCK_DESCRIPTOR_MAPPED);
    assert_int_equal(source.pieces[1].flags, VCK_DESCRIPTOR_MAPPED);
}

static void copies_from_beyond_the_end_are_refused(void **state)
{
    static const uint64_t beyond[] = {11, UINT32_MAX, UINT64_MAX};
    uint8_t flat[4] = {0};

    (void)state;
    target.count = target.bytes = 0;
    chain_append(&target, arena, 10);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(beyond); i++) {
        const struct vck_span *span = SPAN(target.pieces, beyond[i], VCK_SPAN_TO_END);
        const struct vck_span *good = WHOLE(target.pieces);
        uint64_t done = 99;
        assert_int_equal(vck_span_copy_in(span, flat, 4, &done), VCK_OUT_OF_RANGE);
        assert_int_equal(done, 0);
        assert_int_equal(vck_span_copy_out(flat, 4, span, &done), VCK_OUT_OF_RANGE);
        assert_int_equal(done, 0);
        assert_int_equal(vck_span_copy(span, good, &done), VCK_OUT_OF_RANGE);
        assert_int_equal(vck_span_copy(good, span, &done), VCK_OUT_OF_RANGE);
        assert_int_equal(done, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(spans_are_copied_to_spans_split_differently, set_map_hook),
        cmocka_unit_test_setup(spans_of_many_and_of_large_pieces_are_copied, set_map_hook),
        cmocka_unit_test_setup(flat_buffers_are_copied_to_spans, set_map_hook),
        cmocka_unit_test_setup(spans_are_copied_to_flat_buffers, set_map_hook),
        cmocka_unit_test_setup(pieces_of_every_size_and_alignment_are_copied, set_map_hook),
        cmocka_unit_test_setup(overlapping_spans_of_one_chain_are_moved, set_map_hook),
        cmocka_unit_test_setup(overlapping_spans_of_many_pieces_are_moved, set_map_hook),
        cmocka_unit_test_setup(overlapping_views_of_the_same_memory_are_moved, set_map_hook),
        cmocka_unit_test_setup(gaps_in_shared_memory_are_closed_and_opened, set_map_hook),
        cmocka_unit_test_setup(shuffled_overlap_is_moved_or_refused_untouched, set_map_hook),
        cmocka_unit_test_setup(swapped_pieces_are_refused, set_map_hook),
        cmocka_unit_test_setup(nothing_is_copied_when_the_nth_mapping_failed, set_map_hook),
        cmocka_unit_test_setup(flat_copies_say_when_the_nth_mapping_failed, set_map_hook),
        cmocka_unit_test_setup(copies_map_no_more_than_they_use, set_map_hook),
        cmocka_unit_test_setup(copies_from_beyond_the_end_are_refused, set_map_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
