/* SPDX-License-Identifier: Apache-2.0 */
/* Bitmaps as a mounted file system gives them, whole and in pieces, against a count of each bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "port/port.h"
#include "vck/bytes.h"
#include "vck/filesystem.h"

#define HEAD_BYTES    16u
#define UNITS_MAX     (8u << 20)
#define CLUSTERS_MAX  (4u << 20)
#define CLUSTER_BYTES 4096u

/* What is asked, and what it says that is not so. */
struct mounted {
    uint64_t clusters;
    uint64_t round; /* down to a multiple of so many clusters */
    size_t piece_bytes;
    uint8_t bits[CLUSTERS_MAX / 8];
    size_t asked;
    /* In the answer of this number, counted from 1. */
    size_t wrong_at;
    int64_t add_first;
    int64_t add_clusters;
    size_t cut_bytes;
    bool lies_about_more;
    vck_status fails;
};

static vck_status ask(void *context, uint64_t first_cluster, void *buffer, size_t capacity_bytes,
                      size_t *ret_bytes, bool *ret_has_more)
{
    struct mounted *m = context;
    bool is_wrong = ++m->asked == m->wrong_at;
    uint64_t first = first_cluster / m->round * m->round;
    size_t bytes = (size_t)(m->clusters - first + 7) / 8;
    size_t room = VCK_MIN(capacity_bytes - HEAD_BYTES, m->piece_bytes);
    uint8_t *out = buffer;

    assert_true(first_cluster < m->clusters);
    *ret_has_more = bytes > room;
    bytes = VCK_MIN(bytes, room);
    vck_store_le64(out, first + (is_wrong ? (uint64_t)m->add_first : 0));
    vck_store_le64(out + 8, m->clusters - first + (is_wrong ? (uint64_t)m->add_clusters : 0));
    memcpy(out + HEAD_BYTES, m->bits + first / 8, bytes);
    *ret_bytes = HEAD_BYTES + bytes;
    if (!is_wrong)
        return VCK_OK;
    *ret_bytes -= VCK_MIN(m->cut_bytes, *ret_bytes);
    *ret_has_more = *ret_has_more != m->lies_about_more;
    return m->fails;
}

/* Bytes that were told, by units of a cluster; the volume is a whole number of them. */
struct told {
    uint64_t volume_bytes;
    size_t ranges;
    uint8_t is_used[UNITS_MAX];
};

static vck_status hear(void *context, uint64_t offset_bytes, uint64_t size_bytes)
{
    struct told *told = context;

    assert_true(size_bytes > 0 && offset_bytes < told->volume_bytes &&
                size_bytes <= told->volume_bytes - offset_bytes);
    assert_int_equal(offset_bytes % CLUSTER_BYTES, 0);
    assert_int_equal(size_bytes % CLUSTER_BYTES, 0);
    memset(told->is_used + offset_bytes / CLUSTER_BYTES, 1, (size_t)(size_bytes / CLUSTER_BYTES));
    told->ranges++;
    return VCK_OK;
}

struct fixture {
    struct mounted mounted;
    struct told told;
    struct vck_filesystem_bitmap bitmap;
    struct vck_filesystem_sink sink;
    const char *why;
};

/* Volumes of `before` clusters, so many that are in the map, and `behind` more. */
static struct fixture *make(uint64_t before, uint64_t clusters, uint64_t behind)
{
    struct fixture *f = calloc(1, sizeof *f);
    uint32_t seed = 7;

    assert_non_null(f);
    assert_true(clusters <= CLUSTERS_MAX && before + clusters + behind <= UNITS_MAX);
    f->mounted.clusters = clusters;
    f->mounted.round = 8;
    f->mounted.piece_bytes = SIZE_MAX;
    for (size_t i = 0; i < (clusters + 7) / 8; i++) {
        seed = seed * 1664525u + 1013904223u;
        /* Runs, and bytes of single bits. What is behind the last cluster says nothing. */
        f->mounted.bits[i] = (uint8_t)(seed >> 30 == 0 ? 0 : seed >> 30 == 1 ? 255 : seed >> 20);
    }
    f->mounted.bits[0] |= 1;
    f->told.volume_bytes = (before + clusters + behind) * CLUSTER_BYTES;
    f->bitmap = (struct vck_filesystem_bitmap){
        .volume_bytes = f->told.volume_bytes,
        .first_bytes = before * CLUSTER_BYTES,
        .cluster_bytes = CLUSTER_BYTES,
        .ask = ask,
        .context = &f->mounted,
    };
    f->sink = (struct vck_filesystem_sink){hear, &f->told};
    return f;
}

static vck_status find(struct fixture *f)
{
    return vck_filesystem_used_by_bitmap(&f->bitmap, &f->sink, &f->why);
}

static void check(const struct fixture *f)
{
    uint64_t before = f->bitmap.first_bytes / CLUSTER_BYTES;

    for (uint64_t i = 0; i < f->told.volume_bytes / CLUSTER_BYTES; i++) {
        uint64_t cluster = i - before;
        bool is_used = i < before || cluster >= f->mounted.clusters ||
                       (f->mounted.bits[cluster / 8] >> cluster % 8 & 1);

        assert_int_equal(f->told.is_used[i], is_used);
    }
}

static void says_what_the_bits_say(void **state)
{
    static const struct {
        uint64_t before, clusters, behind;
        size_t piece_bytes;
        uint64_t round;
        size_t asked;
    } cases[] = {
        {0, 1, 0, SIZE_MAX, 8, 1},       {0, 1, 1, SIZE_MAX, 8, 1},
        {5, 8, 3, SIZE_MAX, 8, 1},       {1, 9, 0, SIZE_MAX, 8, 1},
        {0, 1000, 1, 1, 8, 125},         {33, 1001, 1, 16, 8, 8},
        {33, 1001, 1, 16, 64, 8},        {7, 4001, 2, 24, 128, 31},
        {0, 524160, 0, SIZE_MAX, 8, 1},  {0, 524161, 1, SIZE_MAX, 8, 2},
        {9, 4000000, 7, SIZE_MAX, 8, 8},
    };

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        struct fixture *f = make(cases[i].before, cases[i].clusters, cases[i].behind);

        f->mounted.piece_bytes = cases[i].piece_bytes;
        f->mounted.round = cases[i].round;
        assert_int_equal(find(f), VCK_OK);
        assert_null(f->why);
        assert_int_equal(f->mounted.asked, cases[i].asked);
        check(f);
        free(f);
    }
}

static void neighbours_are_told_as_one(void **state)
{
    struct fixture *f = make(16, 1u << 20, 4);

    (void)state;
    memset(f->mounted.bits, 255, sizeof f->mounted.bits);
    assert_int_equal(find(f), VCK_OK);
    assert_true(f->mounted.asked > 1);
    assert_int_equal(f->told.ranges, 2); /* what lies before comes last */
    check(f);
    free(f);
}

static void refuses_what_cannot_be(void **state)
{
    static const struct {
        size_t at;
        int64_t add_first, add_clusters;
        size_t cut_bytes;
        bool lies_about_more;
        const char *why;
    } cases[] = {
        {1, 1, 0, 0, false, "contradicts itself in its bitmap"},
        {1, INT64_MIN, 0, 0, false, "contradicts itself in its bitmap"},
        {1, -1, 0, 0, false, "contradicts itself in its bitmap"},
        {2, 64, 0, 0, false, "contradicts itself in its bitmap"},
        {2, -128, 0, 0, false, "contradicts itself in its bitmap"},
        {2, -64, 0, 0, false, "changes its size"},
        {1, 0, 2, 0, false, "is larger than the volume"},
        {1, 0, INT64_MAX - 1000, 0, false, "is larger than the volume"},
        {1, 0, INT64_MAX, 0, false, "contradicts itself in its bitmap"},
        {1, 0, -1000, 0, false, "contradicts itself in its bitmap"},
        {1, 0, -1, 0, false, "changes its size"},
        {2, 0, 1, 0, false, "changes its size"},
        {1, 0, 0, 16, false, "contradicts itself in its bitmap"},
        {1, 0, 0, 17, false, "contradicts itself in its bitmap"},
        {1, 0, 0, 32, false, "contradicts itself in its bitmap"},
        {1, 0, 0, 0, true, "contradicts itself in its bitmap"},
        {2, 0, 0, 16, false, "contradicts itself in its bitmap"},
    };

    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        struct fixture *f = make(0, 1000, 1);

        f->mounted.piece_bytes = 16;
        f->mounted.wrong_at = cases[i].at;
        f->mounted.add_first = cases[i].add_first;
        f->mounted.add_clusters = cases[i].add_clusters;
        f->mounted.cut_bytes = cases[i].cut_bytes;
        f->mounted.lies_about_more = cases[i].lies_about_more;
        assert_int_equal(find(f), VCK_INVALID_DATA);
        assert_string_equal(f->why, cases[i].why);
        free(f);
    }
}

static void refuses_a_volume_that_does_not_fit(void **state)
{
    struct fixture *f = make(3, 1000, 0);

    (void)state;
    f->bitmap.first_bytes += CLUSTER_BYTES;
    assert_int_equal(find(f), VCK_INVALID_DATA);
    assert_string_equal(f->why, "is larger than the volume");
    f->bitmap.first_bytes = f->bitmap.volume_bytes + 1;
    assert_int_equal(find(f), VCK_INVALID_DATA);
    f->bitmap.first_bytes = 0;
    f->bitmap.cluster_bytes = 0;
    assert_int_equal(find(f), VCK_INVALID_DATA);
    f->bitmap.cluster_bytes = UINT64_MAX;
    assert_int_equal(find(f), VCK_INVALID_DATA);
    f->bitmap.cluster_bytes = CLUSTER_BYTES;
    f->mounted.bits[0] &= 0xfe;
    assert_int_equal(find(f), VCK_INVALID_DATA);
    assert_string_equal(f->why, "contradicts itself in its bitmap");
    assert_int_equal(f->told.ranges, 0);
    free(f);
}

static vck_status fail_to_hear(void *context, uint64_t offset_bytes, uint64_t size_bytes)
{
    (void)context;
    (void)offset_bytes;
    (void)size_bytes;
    return VCK_BUSY;
}

static void failures_are_passed_on(void **state)
{
    struct fixture *f = make(0, 1000, 1);

    (void)state;
    f->mounted.piece_bytes = 16;
    f->mounted.wrong_at = 3;
    f->mounted.fails = VCK_IO;
    assert_int_equal(find(f), VCK_IO);
    assert_null(f->why);
    f->mounted.wrong_at = 0;
    f->sink.used = fail_to_hear;
    assert_int_equal(find(f), VCK_BUSY);
    vck_alloc_fail_nth(1);
    assert_int_equal(find(f), VCK_NO_MEMORY);
    assert_null(f->why);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_bits_say),
        cmocka_unit_test(neighbours_are_told_as_one),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(refuses_a_volume_that_does_not_fit),
        cmocka_unit_test(failures_are_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
