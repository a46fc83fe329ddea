/* SPDX-License-Identifier: Apache-2.0 */
#include "jvck_test.h"
#include "store_internal.h"
#include "memory_disk.h"
#include "vck/crc32.h"
#include "vck/disk_io.h"
#include "vck/prepare.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

static const uint8_t key[32] = "the key of the volume under test";
static const uint8_t other_key[32] = "a key that is of no use for this";
static const struct vck_bytes vmk = {key, sizeof(key)};

/* ---- volumes ---- */

struct shape {
    uint32_t headers;
    uint32_t footers;
    uint32_t sector_size;
    uint64_t metadata_size;
    uint64_t data_bytes;
    uint64_t tail_bytes; /* of the disk, too few for a sector */
};

static struct memory_disk *make_volume(const struct shape *shape,
                                       struct vck_layout *ret_layout) VCK_NO_ANALYSIS
{
    uint64_t size = (shape->headers + shape->footers) * shape->metadata_size + shape->data_bytes;
    struct memory_disk *m = memory_disk_create(size + shape->tail_bytes, 512);
    struct vck_prepare_result made;
    enum vck_prepare_fault fault;
    struct vck_prepare_params params = {
        .header_count = shape->headers,
        .footer_count = shape->footers,
        .metadata_size_bytes = (uint32_t)shape->metadata_size,
        .sector_size_bytes = shape->sector_size,
        .single_replica = true,
        .vmk = vmk,
    };
    m->disk.size_bytes = size;
    assert_int_equal(vck_prepare_volume(&m->disk, &params, &made, &fault), VCK_OK);
    m->disk.size_bytes += shape->tail_bytes;
    *ret_layout = made.layout;
    return m;
}

static struct memory_disk *make_default(struct vck_layout *ret_layout)
{
    static const struct shape shape = {0, 2, 512, 128 * KIB, MIB};
    return make_volume(&shape, ret_layout);
}

static void assert_layouts_equal(const struct vck_layout *a, const struct vck_layout *b)
{
    assert_int_equal(a->sector_size_bytes, b->sector_size_bytes);
    assert_int_equal(a->metadata_size_bytes, b->metadata_size_bytes);
    assert_int_equal(a->header_count, b->header_count);
    assert_int_equal(a->footer_count, b->footer_count);
    assert_int_equal(a->data_start_lba, b->data_start_lba);
    assert_int_equal(a->data_sectors, b->data_sectors);
}

static uint8_t *block_at(struct memory_disk *m, const struct vck_layout *layout, uint32_t replica)
{
    return m->data + vck_layout_block_lba(layout, replica) * layout->sector_size_bytes;
}

static vck_status open_with(struct memory_disk *m, struct vck_bytes with, uint32_t use_replica,
                            struct vck_store *store) VCK_NO_ANALYSIS
{
    return vck_store_open(store, &m->disk, with, NULL, use_replica);
}

/* Opens, ends and says how it went. */
static vck_status try_open(struct memory_disk *m)
{
    struct vck_store store;
    vck_status status = open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store);
    vck_store_fini(&store);
    return status;
}

/* Seals replica anew with changed metadata. */
static void reseal(struct memory_disk *m, const struct vck_layout *layout, uint32_t replica,
                   void (*change)(struct vck_block_metadata *metadata))
{
    const struct vck_block_codec *codec = &vck_block_default_codec;
    uint8_t *block = block_at(m, layout, replica);
    struct vck_block_header header;
    struct vck_block_metadata metadata;
    assert_int_equal(vck_block_decode_header(block, &header), VCK_OK);
    assert_int_equal(codec->unseal(codec, block, vmk, &metadata), VCK_OK);
    change(&metadata);
    assert_int_equal(codec->seal(codec, &header, &metadata, vmk, block), VCK_OK);
}

static void fix_crc(uint8_t *block)
{
    vck_store_le32(block + 508, vck_crc32(0, block, 508));
}

/* ---- the choice ---- */

#define OK(generation, direction, offset)                                                          \
    {                                                                                              \
        VCK_OK, generation, direction, offset                                                      \
    }
#define BAD(generation, offset)                                                                    \
    {                                                                                              \
        VCK_TAMPERED, generation, VCK_ENCRYPTING, offset                                           \
    }
#define E VCK_ENCRYPTING
#define D VCK_DECRYPTING

struct choice_case {
    const char *name;
    struct {
        vck_status status;
        uint64_t generation;
        enum vck_direction direction;
        uint64_t offset;
    } replicas[3];
    uint32_t count;
    vck_status status;
    uint32_t winner;
};

static const struct choice_case choice_cases[] = {
    {"one", {OK(0, D, 5)}, 1, VCK_OK, 0},
    {"none that is valid", {BAD(9, 9), BAD(8, 8)}, 2, VCK_NOT_FOUND, 0},
    {"the highest generation", {OK(7, E, 100), OK(8, E, 50)}, 2, VCK_OK, 1},
    {"also when decrypting", {OK(8, D, 100), OK(7, D, 50)}, 2, VCK_OK, 0},
    {"also across directions", {OK(7, E, 100), OK(8, D, 100), OK(6, E, 1)}, 3, VCK_OK, 1},
    {"of the valid ones", {BAD(9, 9), OK(7, E, 1), OK(8, E, 1)}, 3, VCK_OK, 2},
    {"zero, encrypting: the largest", {OK(0, E, 10), OK(0, E, 20)}, 2, VCK_OK, 1},
    {"zero, decrypting: the smallest", {OK(0, D, 20), OK(0, D, 10)}, 2, VCK_OK, 1},
    {"one zero is enough", {OK(9, E, 10), OK(0, E, 20), OK(8, E, 5)}, 3, VCK_OK, 1},
    {"one zero, decrypting", {OK(9, D, 30), OK(0, D, 20), OK(8, D, 25)}, 3, VCK_OK, 1},
    {"zero and directions differ", {OK(0, E, 10), OK(3, D, 10)}, 2, VCK_VALIDATION_FAILED, 0},
    {"a zero that is not valid does not count",
     {BAD(0, 1), OK(3, E, 1), OK(4, D, 1)},
     3,
     VCK_OK,
     2},
    {"zero, same offset: the highest", {OK(0, E, 10), OK(4, E, 10), OK(3, E, 10)}, 3, VCK_OK, 1},
    {"equal ones: the first", {OK(4, E, 10), OK(4, E, 10)}, 2, VCK_OK, 0},
    {"same generation, by offset", {OK(4, D, 10), OK(4, D, 9), OK(3, E, 1)}, 3, VCK_OK, 1},
    {"same generation, directions differ", {OK(4, D, 9), OK(4, E, 9)}, 2, VCK_VALIDATION_FAILED, 0},
};

static void the_rule_chooses(void **state)
{
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(choice_cases); i++) {
        const struct choice_case *c = &choice_cases[i];
        struct vck_replica replicas[3];
        uint32_t winner = 77;
        memset(replicas, 0, sizeof(replicas));
        for (uint32_t r = 0; r < c->count; r++) {
            replicas[r].status = c->replicas[r].status;
            replicas[r].generation = c->replicas[r].generation;
            replicas[r].direction = c->replicas[r].direction;
            replicas[r].encrypted_offset_sectors = c->replicas[r].offset;
        }
        vck_status status = vck_store_choose(replicas, c->count, &winner);
        if (status != c->status || winner != (status == VCK_OK ? c->winner : 77))
            fail_msg("%s: %s, %u", c->name, vck_status_name(status), winner);
    }
}

/* ---- a whole volume ---- */

static const struct shape shapes[] = {
    {0, 1, 512, 128 * KIB, MIB},        {1, 0, 512, 128 * KIB, MIB},
    {0, 2, 512, 128 * KIB, MIB},        {2, 0, 512, 128 * KIB, MIB},
    {1, 1, 512, 128 * KIB, MIB},        {0, 2, 4096, 128 * KIB, MIB},
    {2, 0, 4096, 128 * KIB, MIB},       {2, 3, 4096, 132 * KIB, MIB},
    {0, 2, 512, MIB, 20 * MIB},         {0, 2, 4096, 16 * MIB, MIB},
    {2, 0, 4096, 16 * MIB, 40 * MIB},   {0, 3, 512, 128 * KIB, MIB + 512},
    {0, 2, 512, 128 * KIB, MIB + 3584}, {0, 2, 4096, 128 * KIB, MIB, 3584},
};

static void volumes_open(void **state) VCK_NO_ANALYSIS
{
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(shapes); i++) {
        struct vck_layout layout;
        struct vck_store store;
        struct memory_disk *m = make_volume(&shapes[i], &layout);
        m->disk.read_only = true;
        assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
        assert_layouts_equal(&store.layout, &layout);
        assert_int_equal(store.state.generation, 1);
        assert_int_equal(store.generation_max, 1);
        assert_false(store.any_differs || store.any_digest_absent || store.any_generation_zero);
        vck_store_fini(&store);
        assert_true(vck_all_zero(&store, sizeof(store)));
        assert_int_equal(open_with(m, (struct vck_bytes){other_key, sizeof(other_key)},
                                   VCK_STORE_ANY_REPLICA, &store),
                         VCK_WRONG_KEY);
        assert_int_equal(store.layout.replica_count, layout.replica_count);
        for (uint32_t r = 0; r < layout.replica_count; r++)
            assert_int_equal(store.replicas[r].status, VCK_WRONG_KEY);
        vck_store_fini(&store);
        assert_int_equal(vck_store_inspect(&store, &m->disk), VCK_OK);
        assert_true(store.loose);
        assert_false(store.any_differs);
        vck_store_fini(&store);
        vck_disk_close(&m->disk);
    }
}

/* ---- torn and unreadable blocks ---- */

enum tear { TEAR_ZERO, TEAR_GARBAGE, TEAR_HALF, TEAR_UNREADABLE, TEAR_COUNT };

/* A disk on which one physical block cannot be read. */
static uint64_t bad_first;
static uint64_t bad_end;
static const struct vck_disk_ops *real_ops;

static void submit_past_bad(struct vck_disk *disk, struct vck_disk_io *io)
{
    if (io->op == VCK_DISK_READ &&
        vck_ranges_overlap(io->offset_bytes, io->size_bytes, bad_first, bad_end - bad_first)) {
        io->status = VCK_IO;
        io->done(io);
        return;
    }
    real_ops->submit(disk, io);
}

static struct vck_disk_ops bad_ops;

/* Spoils the 4096 bytes around a block, as a cut leaves them on a disk of large physical blocks. */
static void tear(struct memory_disk *m, const struct vck_layout *layout, uint32_t replica,
                 enum tear how)
{
    uint64_t at = vck_layout_block_lba(layout, replica) * layout->sector_size_bytes;
    uint64_t first = at / 4096 * 4096;
    uint64_t end = VCK_MIN(first + 4096, m->disk.size_bytes);
    if (how == TEAR_ZERO)
        memset(m->data + first, 0, end - first);
    else if (how == TEAR_GARBAGE)
        random_bytes(m->data + first, end - first);
    else if (how == TEAR_HALF)
        memset(m->data + at + 256, 0, 256);
    if (how != TEAR_UNREADABLE)
        return;
    real_ops = m->disk.ops;
    bad_ops = *real_ops;
    bad_ops.submit = submit_past_bad;
    bad_first = first;
    bad_end = end;
    m->disk.ops = &bad_ops;
}

static void check_torn(const struct shape *shape, uint32_t replica, enum tear how) VCK_NO_ANALYSIS
{
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_volume(shape, &layout);
    tear(m, &layout, replica, how);
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
    assert_layouts_equal(&store.layout, &layout);
    assert_true(store.any_differs);
    for (uint32_t r = 0; r < layout.replica_count; r++) {
        assert_int_equal(store.replicas[r].status == VCK_OK, r != replica);
        assert_int_equal(store.replicas[r].header_valid, r != replica);
    }
    vck_store_fini(&store);
    assert_int_equal(vck_store_inspect(&store, &m->disk), VCK_OK);
    assert_true(store.any_differs);
    vck_store_fini(&store);
    if (how == TEAR_UNREADABLE)
        m->disk.ops = real_ops;
    vck_disk_close(&m->disk);
}

static void one_whole_replica_is_enough(void **state)
{
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(shapes); i++) {
        uint32_t count = shapes[i].headers + shapes[i].footers;
        for (uint32_t replica = 0; count > 1 && replica < count; replica++)
            for (int how = 0; how < TEAR_COUNT; how++)
                check_torn(&shapes[i], replica, (enum tear)how);
    }
}

static void nothing_whole_is_told_apart(void **state) VCK_NO_ANALYSIS
{
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_default(&layout);
    (void)state;
    tear(m, &layout, 0, TEAR_HALF);
    tear(m, &layout, 1, TEAR_HALF);
    assert_int_equal(try_open(m), VCK_CHECKSUM_MISMATCH);
    tear(m, &layout, 1, TEAR_UNREADABLE);
    assert_int_equal(try_open(m), VCK_IO);
    m->disk.ops = real_ops;
    tear(m, &layout, 0, TEAR_ZERO);
    tear(m, &layout, 1, TEAR_ZERO);
    assert_int_equal(try_open(m), VCK_SIGNATURE_MISMATCH);
    assert_int_equal(vck_store_inspect(&store, &m->disk), VCK_SIGNATURE_MISMATCH);
    vck_store_fini(&store);
    m->disk.size_bytes = 0;
    assert_int_equal(try_open(m), VCK_SIGNATURE_MISMATCH);
    vck_disk_close(&m->disk);
}

/* ---- strange blocks ---- */

static void set_generation_zero(struct vck_block_metadata *metadata)
{
    metadata->generation = 0;
    metadata->digest_present = false;
}

static void set_generation_nine(struct vck_block_metadata *metadata)
{
    metadata->generation = 9;
    metadata->encrypted_offset_sectors = 7;
}

static void set_decrypting_by_another(struct vck_block_metadata *metadata)
{
    set_generation_zero(metadata);
    metadata->direction = VCK_DECRYPTING;
}

static void set_beyond_the_end(struct vck_block_metadata *metadata)
{
    metadata->encrypted_offset_sectors = MIB / 512 + 1;
}

static void set_other_fvek(struct vck_block_metadata *metadata)
{
    metadata->fvek_key2[31] ^= 1;
}

static void what_replicas_say_is_kept(void **state) VCK_NO_ANALYSIS
{
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_default(&layout);
    (void)state;
    reseal(m, &layout, 0, set_generation_nine);
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
    assert_int_equal(store.winner, 0);
    assert_int_equal(store.state.generation, 9);
    assert_int_equal(store.state.encrypted_offset_sectors, 7);
    assert_int_equal(store.generation_max, 9);
    assert_true(store.any_differs);
    vck_store_fini(&store);
    assert_int_equal(open_with(m, vmk, 1, &store), VCK_OK);
    assert_int_equal(store.state.generation, 1);
    assert_int_equal(store.generation_max, 9);
    vck_store_fini(&store);
    assert_int_equal(open_with(m, vmk, 2, &store), VCK_OUT_OF_RANGE);
    vck_store_fini(&store);
    reseal(m, &layout, 1, set_generation_zero);
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
    assert_int_equal(store.winner, 0);
    assert_true(store.any_generation_zero && store.any_digest_absent);
    vck_store_fini(&store);
    reseal(m, &layout, 1, set_decrypting_by_another);
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_VALIDATION_FAILED);
    assert_int_equal(store.replicas[1].direction, VCK_DECRYPTING);
    vck_store_fini(&store);
    assert_int_equal(open_with(m, vmk, 1, &store), VCK_OK);
    assert_int_equal(store.state.direction, VCK_DECRYPTING);
    vck_store_fini(&store);
    vck_disk_close(&m->disk);
}

static void replicas_that_do_not_fit_are_out(void **state) VCK_NO_ANALYSIS
{
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_default(&layout);
    uint8_t *first = block_at(m, &layout, 0);
    uint8_t saved[VCK_BLOCK_BYTES];
    (void)state;
    memcpy(saved, first, sizeof(saved));
    reseal(m, &layout, 0, set_beyond_the_end);
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
    assert_int_equal(store.replicas[0].status, VCK_INVALID_DATA);
    vck_store_fini(&store);
    assert_int_equal(open_with(m, vmk, 0, &store), VCK_INVALID_DATA);
    vck_store_fini(&store);
    /* Another geometry, sealed with the right key. */
    memcpy(first, saved, sizeof(saved));
    first[25] = 3;
    fix_crc(first);
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
    assert_int_equal(store.replicas[0].status, VCK_VALIDATION_FAILED);
    assert_true(store.replicas[0].header_valid);
    vck_store_fini(&store);
    memcpy(first, saved, sizeof(saved));
    reseal(m, &layout, 0, set_other_fvek);
    assert_int_equal(try_open(m), VCK_VALIDATION_FAILED);
    assert_int_equal(open_with(m, vmk, 1, &store), VCK_OK);
    vck_store_fini(&store);
    vck_disk_close(&m->disk);
}

/* The block the volume is found by is of another volume with another key: the first that opens says
 * which volume it is. */
static void a_stranger_at_the_end_does_not_rule(void **state) VCK_NO_ANALYSIS
{
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_default(&layout);
    uint8_t *last = block_at(m, &layout, 1);
    (void)state;
    last[32] ^= 1;
    fix_crc(last);
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
    assert_int_equal(store.replicas[0].status, VCK_OK);
    assert_int_equal(store.replicas[1].status, VCK_WRONG_KEY);
    vck_store_fini(&store);
    vck_disk_close(&m->disk);
}

/* A volume with headers only: what stands in its last data sector is somebody's data. */
static void a_decoy_in_the_data_does_not_hide_the_volume(void **state) VCK_NO_ANALYSIS
{
    static const struct shape shape = {2, 0, 512, 128 * KIB, MIB};
    const struct vck_block_codec *codec = &vck_block_default_codec;
    struct vck_block_metadata metadata = {.generation = 1};
    struct vck_block_header header;
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_volume(&shape, &layout);
    (void)state;
    assert_int_equal(vck_block_decode_header(m->data, &header), VCK_OK);
    header.header_count = 0;
    header.footer_count = 2;
    assert_int_equal(codec->seal(codec, &header, &metadata,
                                 (struct vck_bytes){other_key, sizeof(other_key)},
                                 m->data + m->disk.size_bytes - 512),
                     VCK_OK);
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
    assert_layouts_equal(&store.layout, &layout);
    vck_store_fini(&store);
    /* With a key for neither, the messages are about the first. */
    assert_int_equal(open_with(m, (struct vck_bytes){key, 5}, VCK_STORE_ANY_REPLICA, &store),
                     VCK_WRONG_KEY);
    assert_int_equal(store.layout.footer_count, 2);
    vck_store_fini(&store);
    vck_disk_close(&m->disk);
}

/* A whole block where its own geometry puts none, as a disk that was cut or copied shows it. */
static void a_misplaced_block_is_no_volume(void **state)
{
    struct vck_layout layout;
    struct memory_disk *m = make_default(&layout);
    (void)state;
    memcpy(m->data, block_at(m, &layout, 1), VCK_BLOCK_BYTES);
    assert_int_equal(try_open(m), VCK_OK);
    tear(m, &layout, 0, TEAR_ZERO);
    tear(m, &layout, 1, TEAR_ZERO);
    assert_int_equal(try_open(m), VCK_SIZE_MISMATCH);
    vck_disk_close(&m->disk);
}

static void disks_of_larger_sectors_refuse_smaller_ones(void **state)
{
    struct vck_layout layout;
    struct memory_disk *m = make_default(&layout);
    (void)state;
    m->disk.sector_size_bytes = 4096;
    assert_int_equal(try_open(m), VCK_UNSUPPORTED);
    m->disk.sector_size_bytes = 512;
    assert_int_equal(try_open(m), VCK_OK);
    vck_disk_close(&m->disk);
}

/* ---- codecs of others ---- */

static vck_status unseal_loudly(const struct vck_block_codec *codec,
                                const uint8_t block[VCK_BLOCK_BYTES], struct vck_bytes with,
                                struct vck_block_metadata *ret_metadata)
{
    ++*(unsigned *)codec->context;
    return vck_block_default_codec.unseal(&vck_block_default_codec, block, with, ret_metadata);
}

static const struct vck_block_codec *select_first_only(const struct vck_codec_selector *selector,
                                                       const struct vck_block_header *header,
                                                       uint32_t replica)
{
    (void)header;
    return replica == 0 ? selector->context : NULL;
}

static void selectors_decide(void **state) VCK_NO_ANALYSIS
{
    unsigned calls = 0;
    struct vck_block_codec codec = {
        .seal = vck_block_default_codec.seal, .unseal = unseal_loudly, .context = &calls};
    struct vck_codec_selector selector = {.select = select_first_only, .context = &codec};
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_default(&layout);
    (void)state;
    assert_int_equal(vck_store_open(&store, &m->disk, vmk, &selector, VCK_STORE_ANY_REPLICA),
                     VCK_OK);
    assert_int_equal(calls, 1);
    assert_ptr_equal(store.codec, &codec);
    assert_int_equal(store.replicas[1].status, VCK_UNSUPPORTED);
    vck_store_fini(&store);
    for (uint32_t i = 0; i < 2; i++) {
        block_at(m, &layout, i)[4] = 1;
        fix_crc(block_at(m, &layout, i));
    }
    assert_int_equal(try_open(m), VCK_UNSUPPORTED);
    vck_disk_close(&m->disk);
}

/* ---- writing ---- */

/* What was written since the last flush, one bit for each replica. */
static const struct vck_layout *watched;
static uint32_t unflushed;
static uint32_t flushed[8];
static unsigned flushed_count;

static void submit_watched(struct vck_disk *disk, struct vck_disk_io *io)
{
    if (io->op == VCK_DISK_FLUSH && flushed_count < VCK_ARRAY_COUNT(flushed)) {
        flushed[flushed_count++] = unflushed;
        unflushed = 0;
    }
    for (uint32_t i = 0; io->op == VCK_DISK_WRITE && i < watched->replica_count; i++)
        if (io->offset_bytes == vck_layout_block_lba(watched, i) * watched->sector_size_bytes)
            unflushed |= 1u << i;
    real_ops->submit(disk, io);
}

static void check_staggered(uint32_t footers, bool stale_first, uint32_t first_group,
                            uint32_t second_group) VCK_NO_ANALYSIS
{
    struct shape shape = {0, footers, 512, 128 * KIB, MIB};
    struct vck_disk_ops ops;
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_volume(&shape, &layout);
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
    real_ops = m->disk.ops;
    ops = *real_ops;
    ops.submit = submit_watched;
    m->disk.ops = &ops;
    watched = &layout;
    flushed_count = 0;
    struct vck_store_state next = {33, VCK_DECRYPTING, VCK_INTENT_RUN, 2};
    assert_int_equal(vck_store_write_all(&store, &next, stale_first), VCK_OK);
    assert_int_equal(flushed_count, second_group == 0 ? 1 : 2);
    assert_int_equal(flushed[0], first_group);
    if (second_group != 0)
        assert_int_equal(flushed[1], second_group);
    assert_int_equal(unflushed, 0);
    assert_memory_equal(&store.state, &next, sizeof(next));
    vck_store_fini(&store);
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
    assert_memory_equal(&store.state, &next, sizeof(next));
    assert_false(store.any_differs || store.any_digest_absent);
    vck_store_fini(&store);
    m->disk.ops = real_ops;
    vck_disk_close(&m->disk);
}

static void no_interval_holds_writes_to_all(void **state)
{
    (void)state;
    check_staggered(1, false, 1, 0);
    check_staggered(1, true, 1, 0);
    check_staggered(2, false, 1, 2);
    check_staggered(2, true, 2, 1);
    check_staggered(4, false, 1, 14);
    check_staggered(4, true, 14, 1);
}

static void every_write_has_a_fresh_salt(void **state) VCK_NO_ANALYSIS
{
    static const struct shape shape = {0, 2, 4096, 128 * KIB, MIB};
    uint8_t sectors[3][4096];
    uint64_t offset;
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_volume(&shape, &layout);
    (void)state;
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
    memset(sectors, 0xee, sizeof(sectors));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(vck_store_encode(&store, i / 2, &store.state, sectors[i], &offset),
                         VCK_OK);
        assert_int_equal(offset, vck_layout_block_lba(&layout, i / 2) * 4096);
        assert_true(vck_all_zero(sectors[i] + 512, 3584));
        for (unsigned j = 0; j < i; j++) {
            assert_memory_not_equal(sectors[i] + 48, sectors[j] + 48, 16);
            assert_memory_not_equal(sectors[i] + 64, sectors[j] + 64, 128);
        }
    }
    vck_store_fini(&store);
    vck_disk_close(&m->disk);
}

static void reserved_bytes_travel(void **state) VCK_NO_ANALYSIS
{
    uint8_t bytes[VCK_BLOCK_RESERVED_BYTES];
    uint8_t read[VCK_BLOCK_RESERVED_BYTES];
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_default(&layout);
    (void)state;
    random_bytes(bytes, sizeof(bytes));
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
    vck_store_reserved_get(&store, read);
    assert_true(vck_all_zero(read, sizeof(read)));
    vck_store_reserved_set(&store, bytes);
    struct vck_store_state next = store.state;
    next.generation++;
    assert_int_equal(vck_store_write_all(&store, &next, false), VCK_OK);
    vck_store_fini(&store);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(open_with(m, vmk, i, &store), VCK_OK);
        vck_store_reserved_get(&store, read);
        assert_memory_equal(read, bytes, sizeof(bytes));
        vck_store_fini(&store);
    }
    vck_disk_close(&m->disk);
}

/* ---- the vendor area ---- */

static void vendor_bytes_stay_where_they_are_put(void **state) VCK_NO_ANALYSIS
{
    static const struct shape shape = {1, 2, 4096, 128 * KIB, MIB};
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_volume(&shape, &layout);
    uint8_t *expected = malloc(m->disk.size_bytes);
    static uint8_t bytes[20000];
    static uint8_t read[20000];
    (void)state;
    assert_non_null(expected);
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
    memcpy(expected, m->data, m->disk.size_bytes);
    for (unsigned round = 0; round < 200; round++) {
        uint32_t replica = (uint32_t)random_below(3);
        size_t size = (size_t)random_below(sizeof(bytes));
        uint64_t area;
        uint64_t area_bytes;
        vck_layout_vendor_area(&layout, replica, &area, &area_bytes);
        uint64_t at = random_below(area_bytes - size + 1);
        random_bytes(bytes, size);
        assert_int_equal(vck_store_vendor_write(&store, replica, at, bytes, size), VCK_OK);
        memcpy(expected + area + at, bytes, size);
        assert_int_equal(vck_store_vendor_read(&store, replica, at, read, size), VCK_OK);
        assert_memory_equal(read, bytes, size);
    }
    assert_memory_equal(m->data, expected, m->disk.size_bytes);
    assert_int_equal(vck_store_vendor_write_all(&store, 5, "everywhere", 10), VCK_OK);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(vck_store_vendor_read(&store, i, 5, read, 10), VCK_OK);
        assert_memory_equal(read, "everywhere", 10);
    }
    free(expected);
    vck_store_fini(&store);
    vck_disk_close(&m->disk);
}

static void vendor_bytes_have_bounds(void **state) VCK_NO_ANALYSIS
{
    uint8_t byte = 1;
    uint64_t area;
    uint64_t size;
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_default(&layout);
    (void)state;
    assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
    vck_layout_vendor_area(&layout, 0, &area, &size);
    assert_int_equal(vck_store_vendor_write(&store, 0, size - 1, &byte, 1), VCK_OK);
    assert_int_equal(vck_store_vendor_write(&store, 0, size, &byte, 1), VCK_OUT_OF_RANGE);
    assert_int_equal(vck_store_vendor_read(&store, 0, size - 1, &byte, 2), VCK_OUT_OF_RANGE);
    assert_int_equal(vck_store_vendor_read(&store, 0, UINT64_MAX, &byte, 1), VCK_OUT_OF_RANGE);
    assert_int_equal(vck_store_vendor_read(&store, 0, 1, &byte, SIZE_MAX), VCK_OUT_OF_RANGE);
    assert_int_equal(vck_store_vendor_read(&store, 2, 0, &byte, 1), VCK_OUT_OF_RANGE);
    assert_int_equal(vck_store_vendor_write_all(&store, size, &byte, 1), VCK_OUT_OF_RANGE);
    assert_int_equal(vck_store_vendor_read(&store, 0, size, &byte, 0), VCK_OK);
    vck_store_fini(&store);
    vck_disk_close(&m->disk);
}

/* ---- failures in the middle ---- */

/* A read that fails takes its replica out; the volume opens while one is left. */
static void every_failing_read_is_survived(void **state) VCK_NO_ANALYSIS
{
    size_t live = vck_alloc_live_count();
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_default(&layout);
    (void)state;
    for (uint64_t n = 1; n < 5; n++) {
        m->fail_at = n;
        assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
        assert_int_equal(store.state.generation, 1);
        vck_store_fini(&store);
    }
    m->fail_at = 1;
    m->fail_more = 1000000;
    assert_int_equal(try_open(m), VCK_IO);
    m->fail_at = 0;
    m->fail_more = 0;
    vck_disk_close(&m->disk);
    assert_int_equal(vck_alloc_live_count(), live);
}

static void every_failing_allocation_is_reported(void **state) VCK_NO_ANALYSIS
{
    size_t live = vck_alloc_live_count();
    vck_status status = VCK_NO_MEMORY;
    struct vck_layout layout;
    struct vck_store store;
    struct memory_disk *m = make_default(&layout);
    uint64_t n;
    (void)state;
    for (n = 1; status != VCK_OK && n < 100; n++) {
        vck_alloc_fail_nth(n);
        status = open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store);
        vck_alloc_fail_nth(0);
        assert_true(status == VCK_OK || status == VCK_NO_MEMORY);
        vck_store_fini(&store);
    }
    assert_in_range(n, 6, 20);
    vck_disk_close(&m->disk);
    assert_int_equal(vck_alloc_live_count(), live);
}

/* NO_MEMORY is said only where nothing was written. */
static void check_failing_writes(vck_status fail_with) VCK_NO_ANALYSIS
{
    vck_status status = VCK_IO;
    struct vck_layout layout;
    uint64_t n;
    for (n = 1; status != VCK_OK && n < 100; n++) {
        struct vck_store store;
        struct memory_disk *m = make_default(&layout);
        assert_int_equal(open_with(m, vmk, VCK_STORE_ANY_REPLICA, &store), VCK_OK);
        struct vck_store_state next = store.state;
        next.generation++;
        m->fail_at = n;
        m->fail_with = fail_with;
        status = vck_store_write_all(&store, &next, false);
        m->fail_at = 0;
        assert_true(status == VCK_OK || status == VCK_IO);
        assert_int_equal(store.state.generation, status == VCK_OK ? 2 : 1);
        vck_store_fini(&store);
        assert_int_equal(try_open(m), VCK_OK);
        vck_disk_close(&m->disk);
    }
    assert_int_equal(n, 6);
}

static void every_failing_write_is_reported(void **state)
{
    (void)state;
    check_failing_writes(VCK_IO);
    check_failing_writes(VCK_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule_chooses),
        cmocka_unit_test(volumes_open),
        cmocka_unit_test(one_whole_replica_is_enough),
        cmocka_unit_test(nothing_whole_is_told_apart),
        cmocka_unit_test(what_replicas_say_is_kept),
        cmocka_unit_test(replicas_that_do_not_fit_are_out),
        cmocka_unit_test(a_stranger_at_the_end_does_not_rule),
        cmocka_unit_test(a_decoy_in_the_data_does_not_hide_the_volume),
        cmocka_unit_test(a_misplaced_block_is_no_volume),
        cmocka_unit_test(disks_of_larger_sectors_refuse_smaller_ones),
        cmocka_unit_test(selectors_decide),
        cmocka_unit_test(no_interval_holds_writes_to_all),
        cmocka_unit_test(every_write_has_a_fresh_salt),
        cmocka_unit_test(reserved_bytes_travel),
        cmocka_unit_test(vendor_bytes_stay_where_they_are_put),
        cmocka_unit_test(vendor_bytes_have_bounds),
        cmocka_unit_test(every_failing_read_is_survived),
        cmocka_unit_test(every_failing_allocation_is_reported),
        cmocka_unit_test(every_failing_write_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
