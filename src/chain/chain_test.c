/* SPDX-License-Identifier: Apache-2.0 */
#include "chain_test.h"

static uint8_t arena[ARENA_BYTES];
static struct test_chain chain;

static vck_status lying_hook(struct vck_descriptor *descriptor)
{
    (void)descriptor;
    return VCK_OK;
}

static void descriptors_know_their_page(void **state)
{
    struct vck_descriptor d;
    uint8_t *page = arena + (-(uintptr_t)arena % VCK_CHAIN_PAGE_BYTES);
    void *address = NULL;

    (void)state;
    vck_descriptor_init(&d, page + 7, 100);
    assert_ptr_equal(d.next, NULL);
    assert_ptr_equal(d.page_address, page);
    assert_int_equal(d.offset_bytes, 7);
    assert_int_equal(d.size_bytes, 100);
    assert_int_equal(vck_descriptor_map(&d, &address), VCK_OK);
    assert_ptr_equal(address, page + 7);
    vck_descriptor_init(&d, NULL, 0);
    assert_int_equal(vck_descriptor_map(&d, &address), VCK_OK);
    assert_ptr_equal(address, NULL);
}

static void descriptors_are_mapped_on_demand_and_once(void **state)
{
    struct vck_descriptor d;
    void *address = NULL;

    (void)state;
    vck_descriptor_init_unmapped(&d, arena, 5, 10);
    assert_ptr_equal(d.address, NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(vck_descriptor_map(&d, &address), VCK_OK);
        assert_ptr_equal(address, arena + 5);
        assert_int_equal(map_calls, 1);
    }
}

static void memory_that_is_never_paged_needs_no_mapping(void **state)
{
    struct vck_descriptor d;
    void *address = NULL;

    (void)state;
    vck_descriptor_init_unmapped(&d, arena, 5, 10);
    d.flags = VCK_DESCRIPTOR_NONPAGED;
    d.address = arena + 5;
    assert_int_equal(vck_descriptor_map(&d, &address), VCK_OK);
    assert_ptr_equal(address, arena + 5);
    assert_int_equal(map_calls, 0);
}

static void empty_descriptors_are_never_mapped(void **state)
{
    struct vck_descriptor d;
    void *address = arena;

    (void)state;
    vck_descriptor_init_unmapped(&d, arena, 0, 0);
    assert_int_equal(vck_descriptor_map(&d, &address), VCK_OK);
    assert_ptr_equal(address, NULL);
    assert_int_equal(map_calls, 0);
}

static void mapping_that_fails_says_why_and_changes_nothing(void **state)
{
    struct vck_descriptor d, before;
    void *address = arena;

    (void)state;
    vck_descriptor_init_unmapped(&d, arena, 5, 10);
    before = d;
    fail_nth_map(1);
    assert_int_equal(vck_descriptor_map(&d, &address), VCK_NO_MEMORY);
    vck_descriptor_set_map_hook(lying_hook);
    assert_int_equal(vck_descriptor_map(&d, &address), VCK_UNSUPPORTED);
    vck_descriptor_set_map_hook(NULL);
    assert_int_equal(vck_descriptor_map(&d, &address), VCK_UNSUPPORTED);
    assert_ptr_equal(address, arena);
    assert_memory_equal(&d, &before, sizeof(d));
}

static uint64_t pages_of(const struct vck_descriptor *d)
{
    if (d->size_bytes == 0)
        return 0;
    uint64_t first = d->offset_bytes / VCK_CHAIN_PAGE_BYTES;
    uint64_t last = ((uint64_t)d->offset_bytes + d->size_bytes - 1) / VCK_CHAIN_PAGE_BYTES;
    return last - first + 1;
}

static void chains_count_descriptors_bytes_and_pages(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t pages = 0;
        chain_make(&chain, arena, ARENA_BYTES, 8, 5000);
        for (uint32_t i = 0; i < chain.count; i++)
            pages += pages_of(&chain.pieces[i]);
        struct vck_chain_counts counts = vck_chain_count(chain_first(&chain));
        assert_int_equal(counts.descriptors, chain.count);
        assert_int_equal(counts.bytes, chain.bytes);
        assert_int_equal(counts.pages, pages);
    }
    assert_int_equal(map_calls, 0);
}

static void counts_of_the_largest_pieces_do_not_overflow(void **state)
{
    struct vck_descriptor d[3];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        vck_descriptor_init_unmapped(&d[i], NULL, VCK_CHAIN_PAGE_BYTES - 1, UINT32_MAX);
        d[i].next = i < 2 ? &d[i + 1] : NULL;
    }
    struct vck_chain_counts counts = vck_chain_count(d);
    assert_int_equal(counts.bytes, 3 * (uint64_t)UINT32_MAX);
    assert_int_equal(counts.pages, 3 * pages_of(d));
    assert_int_equal(pages_of(d), 0x100001);
}

/* Whether a normalised position stands before byte `offset` of the chain. */
static void assert_stands_at(struct vck_position position, uint32_t offset)
{
    if (offset == chain.bytes) {
        assert_ptr_equal(position.descriptor, NULL);
        assert_int_equal(position.offset_bytes, 0);
        return;
    }
    assert_ptr_equal(position.descriptor, &chain.pieces[chain.piece_of[offset]]);
    assert_true(position.offset_bytes < position.descriptor->size_bytes);
    assert_ptr_equal((uint8_t *)position.descriptor->page_address +
                         position.descriptor->offset_bytes + position.offset_bytes,
                     chain.at[offset]);
}

static void positions_normalise(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        chain_make(&chain, arena, ARENA_BYTES, 8, 40);
        uint32_t offset, bytes;
        struct vck_position position = chain_random_span(&chain, &offset, &bytes).position;
        assert_int_equal(vck_position_normalise(&position), VCK_OK);
        assert_stands_at(position, offset);
        assert_int_equal(vck_position_normalise(&position), VCK_OK);
        assert_stands_at(position, offset);
    }
    assert_int_equal(map_calls, 0);
}

static void positions_beyond_the_end_do_not_normalise(void **state)
{
    static const uint64_t beyond[] = {1, 2, UINT32_MAX, UINT64_MAX / 2};

    (void)state;
    for (unsigned round = 0; round < 100; round++)
        for (size_t i = 0; i < VCK_ARRAY_COUNT(beyond); i++) {
            chain_make(&chain, arena, ARENA_BYTES, 8, 40);
            struct vck_position position = {chain_first(&chain), chain.bytes + beyond[i]};
            struct vck_position before = position;
            assert_int_equal(vck_position_normalise(&position), VCK_OUT_OF_RANGE);
            assert_memory_equal(&position, &before, sizeof(position));
        }
}

static void positions_advance_and_say_how_far(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        chain_make(&chain, arena, ARENA_BYTES, 8, 40);
        uint32_t offset, bytes;
        struct vck_position position = chain_random_span(&chain, &offset, &bytes).position;
        uint32_t left = chain.bytes - offset, step = random_below(left + 1);
        uint64_t done = 99;
        assert_int_equal(vck_position_advance(&position, step, &done), VCK_OK);
        assert_int_equal(done, step);
        assert_stands_at(position, offset + step);
        assert_int_equal(vck_position_advance(&position, left - step, NULL), VCK_OK);
        assert_stands_at(position, chain.bytes);
    }
    assert_int_equal(map_calls, 0);
}

static void short_chains_stop_an_advance_at_their_end(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        chain_make(&chain, arena, ARENA_BYTES, 8, 40);
        uint32_t offset, bytes;
        struct vck_position position = chain_random_span(&chain, &offset, &bytes).position;
        uint64_t left = chain.bytes - offset, done = 99;
        uint64_t step = random_below(2) ? left + 1 + random_below(9) : UINT64_MAX;
        assert_int_equal(vck_position_advance(&position, step, &done), VCK_OUT_OF_RANGE);
        assert_int_equal(done, left);
        assert_stands_at(position, chain.bytes);
    }
}

static void advances_do_not_overflow(void **state)
{
    static const uint64_t large[] = {1, 2, UINT32_MAX, UINT64_MAX / 2, UINT64_MAX - 5, UINT64_MAX};

    (void)state;
    chain.count = chain.bytes = 0;
    chain_append(&chain, arena, 3);
    chain_append(&chain, arena + 3, 0);
    chain_append(&chain, arena + 3, 2);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(large); i++)
        for (size_t j = 0; j < VCK_ARRAY_COUNT(large); j++) {
            uint64_t offset = large[i] > 2 ? large[i] : large[i] + 5, done = 99;
            struct vck_position position = {chain.pieces, offset};
            assert_int_equal(vck_position_advance(&position, large[j], &done), VCK_OUT_OF_RANGE);
            assert_int_equal(done, 0);
            assert_stands_at(position, chain.bytes);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(descriptors_know_their_page, set_map_hook),
        cmocka_unit_test_setup(descriptors_are_mapped_on_demand_and_once, set_map_hook),
        cmocka_unit_test_setup(memory_that_is_never_paged_needs_no_mapping, set_map_hook),
        cmocka_unit_test_setup(empty_descriptors_are_never_mapped, set_map_hook),
        cmocka_unit_test_setup(mapping_that_fails_says_why_and_changes_nothing, set_map_hook),
        cmocka_unit_test_setup(chains_count_descriptors_bytes_and_pages, set_map_hook),
        cmocka_unit_test_setup(counts_of_the_largest_pieces_do_not_overflow, set_map_hook),
        cmocka_unit_test_setup(positions_normalise, set_map_hook),
        cmocka_unit_test_setup(positions_beyond_the_end_do_not_normalise, set_map_hook),
        cmocka_unit_test_setup(positions_advance_and_say_how_far, set_map_hook),
        cmocka_unit_test_setup(short_chains_stop_an_advance_at_their_end, set_map_hook),
        cmocka_unit_test_setup(advances_do_not_overflow, set_map_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
