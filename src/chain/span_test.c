/* SPDX-License-Identifier: Apache-2.0 */
#include "chain_test.h"

static uint8_t arena[2 * ARENA_BYTES];
static struct test_chain chain, other;

/* The buffers of the span are bytes [offset, ...) of the model, one whole piece each; their sum. */
static uint32_t walk(struct vck_span *span, uint32_t offset, vck_status *ret_status)
{
    uint32_t bytes = 0;
    struct vck_buffer buffer = {NULL, 0};

    while ((*ret_status = vck_span_next(span, &buffer)) == VCK_OK && buffer.size_bytes > 0) {
        for (size_t i = 0; i < buffer.size_bytes; i++)
            assert_ptr_equal(buffer.data + i, chain.at[offset + bytes + i]);
        bytes += (uint32_t)buffer.size_bytes;
        if (offset + bytes < chain.bytes && span->length_bytes > 0)
            assert_true(chain.piece_of[offset + bytes] > chain.piece_of[offset + bytes - 1]);
    }
    return bytes;
}

static void spans_give_their_buffers(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        chain_make(&chain, arena, ARENA_BYTES, 8, 40);
        uint32_t offset, bytes;
        vck_status status;
        struct vck_span span = chain_random_span(&chain, &offset, &bytes);
        uint64_t length = span.length_bytes;
        assert_int_equal(walk(&span, offset, &status), bytes);
        assert_int_equal(status, expected_status(length, bytes));
        if (length != VCK_SPAN_TO_END)
            assert_int_equal(span.length_bytes, length - bytes);
    }
}

static void chains_give_all_their_buffers_and_then_empty_ones(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        chain_make(&chain, arena, ARENA_BYTES, 8, 40);
        struct vck_span span = vck_span_of_chain(chain_first(&chain));
        for (int i = 0; i < 3; i++) {
            vck_status status;
            assert_int_equal(walk(&span, 0, &status), i == 0 ? chain.bytes : 0);
            assert_int_equal(status, VCK_OK);
        }
    }
}

static void spans_that_start_beyond_the_end_are_refused(void **state)
{
    static const uint64_t beyond[] = {1, UINT32_MAX, UINT64_MAX / 2, UINT64_MAX - 200};
    static const uint64_t lengths[] = {1, 5, UINT64_MAX - 1, VCK_SPAN_TO_END};

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(beyond); i++)
        for (size_t j = 0; j < VCK_ARRAY_COUNT(lengths); j++) {
            chain_make(&chain, arena, ARENA_BYTES, 4, 40);
            struct vck_span span =
                vck_span_of(chain_first(&chain), chain.bytes + beyond[i], lengths[j]);
            struct vck_span before = span;
            struct vck_buffer buffer = {arena, 99};
            assert_int_equal(vck_span_next(&span, &buffer), VCK_OUT_OF_RANGE);
            assert_memory_equal(&span, &before, sizeof(span));
            assert_int_equal(buffer.size_bytes, 99);
        }
}

static void iteration_maps_what_it_comes_to_and_no_more(void **state)
{
    (void)state;
    chain.count = chain.bytes = 0;
    for (uint32_t i = 0; i < 4; i++)
        chain_append(&chain, arena + 100 * i, 10);
    chain_unmap(&chain);
    struct vck_span span = vck_span_of(chain.pieces, 15, 10);
    vck_status status;
    assert_int_equal(walk(&span, 15, &status), 10);
    assert_int_equal(map_calls, 2);
    assert_int_equal(chain.pieces[0].flags, 0);
    assert_int_equal(chain.pieces[3].flags, 0);
}

static void iteration_resumes_after_the_nth_mapping_failed(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS / 4; round++) {
        chain_make(&chain, arena, ARENA_BYTES, 8, 40);
        uint32_t offset, bytes;
        struct vck_span whole = chain_random_span(&chain, &offset, &bytes);
        for (unsigned n = 1;; n++) {
            struct vck_span span = whole;
            vck_status status;
            chain_unmap(&chain);
            fail_nth_map(n);
            uint32_t done = walk(&span, offset, &status);
            if (status != VCK_NO_MEMORY) {
                assert_int_equal(done, bytes);
                break;
            }
            assert_true(done < bytes);
            assert_int_equal(walk(&span, offset + done, &status), bytes - done);
        }
    }
}

static void pairs_are_contiguous_on_both_sides_and_move_both_spans(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t offset_a, offset_b, bytes_a, bytes_b, done = 0;
        struct vck_buffer x, y;
        vck_status status;
        chain_make(&chain, arena, ARENA_BYTES, 8, 40);
        chain_make(&other, arena + ARENA_BYTES, ARENA_BYTES, 8, 40);
        struct vck_span a = chain_random_span(&chain, &offset_a, &bytes_a);
        struct vck_span b = chain_random_span(&other, &offset_b, &bytes_b);
        uint64_t length_a = a.length_bytes, length_b = b.length_bytes;
        uint64_t asked = VCK_MIN(length_a, length_b), bytes = VCK_MIN(bytes_a, bytes_b);
        while ((status = vck_span_next_pair(&a, &b, &x, &y)) == VCK_OK && x.size_bytes > 0) {
            assert_int_equal(x.size_bytes, y.size_bytes);
            for (size_t i = 0; i < x.size_bytes; i++) {
                assert_ptr_equal(x.data + i, chain.at[offset_a + done + i]);
                assert_ptr_equal(y.data + i, other.at[offset_b + done + i]);
            }
            done += (uint32_t)x.size_bytes;
            assert_int_equal(a.length_bytes,
                             length_a == VCK_SPAN_TO_END ? length_a : length_a - done);
            assert_int_equal(b.length_bytes,
                             length_b == VCK_SPAN_TO_END ? length_b : length_b - done);
        }
        assert_int_equal(done, bytes);
        assert_int_equal(status, expected_status(asked, bytes));
    }
}

static void pairs_resume_after_the_nth_mapping_failed(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS / 4; round++) {
        chain_make(&chain, arena, ARENA_BYTES, 8, 40);
        chain_make(&other, arena + ARENA_BYTES, ARENA_BYTES, 8, 40);
        unsigned failures = 0;
        for (unsigned n = 1; n <= failures + 1; n++) {
            struct vck_span a = vck_span_of_chain(chain_first(&chain));
            struct vck_span b = vck_span_of_chain(chain_first(&other));
            struct vck_buffer x = {NULL, 0}, y = {NULL, 0};
            uint64_t done = 0;
            chain_unmap(&chain);
            chain_unmap(&other);
            fail_nth_map(n);
            for (;;) {
                struct vck_span before_a = a, before_b = b;
                vck_status status = vck_span_next_pair(&a, &b, &x, &y);
                if (status == VCK_OK && x.size_bytes == 0)
                    break;
                if (status == VCK_OK) {
                    done += x.size_bytes;
                    continue;
                }
                assert_int_equal(status, VCK_NO_MEMORY);
                assert_memory_equal(&a, &before_a, sizeof(a));
                assert_memory_equal(&b, &before_b, sizeof(b));
                failures++;
            }
            assert_int_equal(done, VCK_MIN(chain.bytes, other.bytes));
        }
    }
}

static void spans_count_descriptors_bytes_and_pages(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t offset, bytes, descriptors = 0, pages = 0;
        struct vck_chain_counts counts = {99, 99, 99};
        chain_make(&chain, arena, ARENA_BYTES, 6, 5000);
        struct vck_span span = chain_random_span(&chain, &offset, &bytes);
        for (uint32_t i = offset; i < offset + bytes; i++) {
            bool is_new = i == offset || chain.piece_of[i] != chain.piece_of[i - 1];
            descriptors += is_new;
            pages += is_new || (uintptr_t)chain.at[i] % VCK_CHAIN_PAGE_BYTES == 0;
        }
        assert_int_equal(vck_span_count(&span, &counts), expected_status(span.length_bytes, bytes));
        assert_int_equal(counts.bytes, bytes);
        assert_int_equal(counts.descriptors, descriptors);
        assert_int_equal(counts.pages, pages);
    }
    assert_int_equal(map_calls, 0);
}

/* Whether the first bytes of the span are one run in memory. */
static bool is_contiguous(uint32_t offset, uint32_t size_bytes)
{
    for (uint32_t i = 1; i < size_bytes; i++)
        if (chain.at[offset + i] != chain.at[offset] + i)
            return false;
    return true;
}

static void views_borrow_when_contiguous_and_copy_otherwise(void **state)
{
    unsigned borrowed = 0, copied = 0, across = 0;

    (void)state;
    random_bytes(arena, sizeof(arena));
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t offset, bytes;
        const uint8_t *view = NULL;
        uint8_t scratch[256];
        uint64_t done = 99;
        chain_make(&chain, arena, ARENA_BYTES, 6, 30);
        struct vck_span span = chain_random_span(&chain, &offset, &bytes);
        uint32_t size = 1 + random_below(30);
        if (size > bytes) {
            assert_int_equal(vck_span_view(&span, size, scratch, &view, &done), VCK_OUT_OF_RANGE);
            assert_int_equal(done, bytes);
            assert_ptr_equal(view, NULL);
            continue;
        }
        assert_int_equal(vck_span_view(&span, size, scratch, &view, &done), VCK_OK);
        assert_int_equal(done, size);
        for (uint32_t i = 0; i < size; i++)
            assert_int_equal(view[i], *chain.at[offset + i]);
        assert_ptr_equal(view, is_contiguous(offset, size) ? chain.at[offset] : scratch);
        copied += view == scratch;
        borrowed += view != scratch;
        across += view != scratch && chain.piece_of[offset] != chain.piece_of[offset + size - 1];
    }
    assert_true(borrowed > 100 && copied > 100 && across > 10);
}

static void views_without_scratch_never_copy(void **state)
{
    const uint8_t *view = NULL;
    uint64_t done = 99;

    (void)state;
    chain.count = chain.bytes = 0;
    chain_append(&chain, arena, 10);
    chain_append(&chain, arena + 20, 10);
    assert_int_equal(vck_span_view(WHOLE(chain.pieces), 11, NULL, &view, &done), VCK_UNSUPPORTED);
    assert_int_equal(done, 10);
    assert_ptr_equal(view, NULL);
    assert_int_equal(vck_span_view(WHOLE(chain.pieces), 10, NULL, &view, &done), VCK_OK);
    assert_ptr_equal(view, arena);
}

static void views_of_nothing_and_of_too_much_end(void **state)
{
    const uint8_t *view = arena;
    uint8_t scratch[1];
    uint64_t done = 99;

    (void)state;
    chain.count = chain.bytes = 0;
    chain_append(&chain, arena, 10);
    assert_int_equal(vck_span_view(WHOLE(NULL), 0, NULL, &view, &done), VCK_OK);
    assert_ptr_equal(view, NULL);
    assert_int_equal(done, 0);
    view = arena + 1;
    assert_int_equal(vck_span_view(WHOLE(chain.pieces), SIZE_MAX, scratch, &view, &done),
                     VCK_OUT_OF_RANGE);
    assert_int_equal(done, 10);
    assert_ptr_equal(view, arena + 1);
}

static void views_say_when_the_nth_mapping_failed(void **state)
{
    const uint8_t *view = NULL;
    uint8_t scratch[30];

    (void)state;
    chain.count = chain.bytes = 0;
    for (uint32_t i = 0; i < 3; i++)
        chain_append(&chain, arena + 20 * i, 10);
    for (unsigned n = 1; n <= 3; n++) {
        uint64_t done = 99;
        chain_unmap(&chain);
        fail_nth_map(n);
        assert_int_equal(vck_span_view(WHOLE(chain.pieces), 30, scratch, &view, &done),
                         VCK_NO_MEMORY);
        assert_int_equal(done, 10 * (n - 1));
        assert_ptr_equal(view, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(spans_give_their_buffers, set_map_hook),
        cmocka_unit_test_setup(chains_give_all_their_buffers_and_then_empty_ones, set_map_hook),
        cmocka_unit_test_setup(spans_that_start_beyond_the_end_are_refused, set_map_hook),
        cmocka_unit_test_setup(iteration_maps_what_it_comes_to_and_no_more, set_map_hook),
        cmocka_unit_test_setup(iteration_resumes_after_the_nth_mapping_failed, set_map_hook),
        cmocka_unit_test_setup(pairs_are_contiguous_on_both_sides_and_move_both_spans,
                               set_map_hook),
        cmocka_unit_test_setup(pairs_resume_after_the_nth_mapping_failed, set_map_hook),
        cmocka_unit_test_setup(spans_count_descriptors_bytes_and_pages, set_map_hook),
        cmocka_unit_test_setup(views_borrow_when_contiguous_and_copy_otherwise, set_map_hook),
        cmocka_unit_test_setup(views_without_scratch_never_copy, set_map_hook),
        cmocka_unit_test_setup(views_of_nothing_and_of_too_much_end, set_map_hook),
        cmocka_unit_test_setup(views_say_when_the_nth_mapping_failed, set_map_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
