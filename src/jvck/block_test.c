/* SPDX-License-Identifier: Apache-2.0 */
#include "jvck_test.h"
#include "vck/block.h"
#include "vck/crc32.h"

static const struct vck_block_codec *codec = &vck_block_default_codec;
static const char vmk_text[] = "jvck-cross-check-vmk";
static const struct vck_bytes vmk = {(const uint8_t *)vmk_text, sizeof(vmk_text) - 1};

static void fix_crc(uint8_t *block)
{
    vck_store_le32(block + 508, vck_crc32(0, block, 508));
}

static struct vck_block_header random_header(void)
{
    struct vck_block_header header = {
        .vendor_id = random_u64(),
        .metadata_version = 1,
        .vendor_version = (uint16_t)random_u64(),
        .metadata_size_bytes = 131072 + (uint32_t)random_below(1u << 24),
        .sector_size_bytes = random_below(2) ? 512 : 4096,
        .header_count = (uint8_t)random_u64(),
        .footer_count = (uint8_t)(1 + random_below(255)),
    };
    random_bytes(header.volume_id, sizeof(header.volume_id));
    random_bytes(header.salt, sizeof(header.salt));
    random_bytes(header.reserved, sizeof(header.reserved));
    return header;
}

static struct vck_block_metadata random_metadata(void)
{
    struct vck_block_metadata metadata = {
        .encrypted_offset_sectors = random_u64(),
        .direction = random_below(2) ? VCK_DECRYPTING : VCK_ENCRYPTING,
        .intent = (enum vck_intent)random_below(3),
        .generation = random_u64(),
        .digest_present = random_below(2) != 0,
    };
    random_bytes(metadata.fvek_key1, sizeof(metadata.fvek_key1));
    random_bytes(metadata.fvek_key2, sizeof(metadata.fvek_key2));
    return metadata;
}

static void assert_headers_equal(const struct vck_block_header *a, const struct vck_block_header *b)
{
    assert_int_equal(a->vendor_id, b->vendor_id);
    assert_int_equal(a->metadata_version, b->metadata_version);
    assert_int_equal(a->vendor_version, b->vendor_version);
    assert_int_equal(a->metadata_size_bytes, b->metadata_size_bytes);
    assert_int_equal(a->sector_size_bytes, b->sector_size_bytes);
    assert_int_equal(a->header_count, b->header_count);
    assert_int_equal(a->footer_count, b->footer_count);
    assert_memory_equal(a->volume_id, b->volume_id, sizeof(a->volume_id));
    assert_memory_equal(a->salt, b->salt, sizeof(a->salt));
    assert_memory_equal(a->reserved, b->reserved, sizeof(a->reserved));
}

static void assert_metadata_equal(const struct vck_block_metadata *a,
                                  const struct vck_block_metadata *b)
{
    assert_int_equal(a->encrypted_offset_sectors, b->encrypted_offset_sectors);
    assert_int_equal(a->direction, b->direction);
    assert_int_equal(a->intent, b->intent);
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->digest_present, b->digest_present);
    assert_memory_equal(a->fvek_key1, b->fvek_key1, sizeof(a->fvek_key1));
    assert_memory_equal(a->fvek_key2, b->fvek_key2, sizeof(a->fvek_key2));
}

/* ---- the published block ---- */

static void golden_block_is_read_and_written(void **state)
{
    char *text = vectors_read(VECTORS);
    uint8_t block[VCK_BLOCK_BYTES];
    uint8_t again[VCK_BLOCK_BYTES];
    uint8_t bytes[32];
    struct vck_block_header header;
    struct vck_block_metadata metadata;
    (void)state;
    vectors_hex(text, "block", block, sizeof(block));
    assert_int_equal(vck_block_decode_header(block, &header), VCK_OK);
    assert_int_equal(header.vendor_id, vectors_u64(text, "vendor_id"));
    assert_int_equal(header.vendor_version, vectors_u64(text, "vendor_version"));
    assert_int_equal(header.metadata_size_bytes, vectors_u64(text, "metadata_size"));
    assert_int_equal(header.sector_size_bytes, vectors_u64(text, "sector_size"));
    assert_int_equal(header.header_count, vectors_u64(text, "headers"));
    assert_int_equal(header.footer_count, vectors_u64(text, "footers"));
    vectors_hex(text, "volume_id", bytes, 16);
    assert_memory_equal(header.volume_id, bytes, 16);
    vectors_hex(text, "salt", bytes, 16);
    assert_memory_equal(header.salt, bytes, 16);
    assert_int_equal(codec->unseal(codec, block, vmk, &metadata), VCK_OK);
    assert_int_equal(metadata.encrypted_offset_sectors, vectors_u64(text, "encrypted_offset"));
    assert_int_equal(metadata.direction, vectors_u64(text, "direction"));
    assert_int_equal(metadata.intent, VCK_INTENT_UNRECORDED);
    assert_int_equal(metadata.generation, 0);
    assert_false(metadata.digest_present);
    vectors_hex(text, "fvek_key1", bytes, 32);
    assert_memory_equal(metadata.fvek_key1, bytes, 32);
    vectors_hex(text, "fvek_key2", bytes, 32);
    assert_memory_equal(metadata.fvek_key2, bytes, 32);
    memset(again, 0xee, sizeof(again));
    assert_int_equal(codec->seal(codec, &header, &metadata, vmk, again), VCK_OK);
    assert_memory_equal(again, block, sizeof(block));
    free(text);
}

/* ---- round trips ---- */

static void what_is_sealed_comes_back(void **state)
{
    static const size_t key_sizes[] = {1, 16, 32, 64, 65, 1024};
    uint8_t key[1024];
    (void)state;
    for (unsigned i = 0; i < 600; i++) {
        struct vck_bytes random_vmk = {key, key_sizes[i % 6]};
        struct vck_block_header header = random_header();
        struct vck_block_metadata metadata = random_metadata();
        struct vck_block_header header_read;
        struct vck_block_metadata metadata_read;
        uint8_t block[VCK_BLOCK_BYTES];
        random_bytes(key, sizeof(key));
        assert_int_equal(codec->seal(codec, &header, &metadata, random_vmk, block), VCK_OK);
        assert_int_equal(vck_block_decode_header(block, &header_read), VCK_OK);
        assert_int_equal(codec->unseal(codec, block, random_vmk, &metadata_read), VCK_OK);
        assert_headers_equal(&header_read, &header);
        assert_metadata_equal(&metadata_read, &metadata);
    }
}

/* Version 2 carries a nonce where version 1 has zeroes, and is never without a digest. */
static void a_rekey_has_its_own_version(void **state)
{
    struct vck_block_header header = random_header();
    struct vck_block_metadata metadata = random_metadata();
    struct vck_block_metadata metadata_read;
    uint8_t block[VCK_BLOCK_BYTES];
    (void)state;
    random_bytes(metadata.rekey_nonce, sizeof(metadata.rekey_nonce));
    metadata.digest_present = true;
    metadata.generation = 5;
    header.metadata_version = VCK_METADATA_REKEY;
    assert_int_equal(codec->seal(codec, &header, &metadata, vmk, block), VCK_OK);
    assert_int_equal(vck_block_decode_header(block, &header), VCK_OK);
    assert_int_equal(header.metadata_version, VCK_METADATA_REKEY);
    assert_int_equal(codec->unseal(codec, block, vmk, &metadata_read), VCK_OK);
    assert_metadata_equal(&metadata_read, &metadata);
    assert_memory_equal(metadata_read.rekey_nonce, metadata.rekey_nonce, VCK_REKEY_NONCE_BYTES);
    block[12] = VCK_METADATA_PLAIN;
    assert_int_equal(codec->unseal(codec, block, vmk, &metadata_read), VCK_TAMPERED);
    metadata.digest_present = false;
    assert_int_equal(codec->seal(codec, &header, &metadata, vmk, block), VCK_OK);
    assert_int_equal(codec->unseal(codec, block, vmk, &metadata_read), VCK_TAMPERED);
    metadata.digest_present = true;
    metadata.generation = 0;
    assert_int_equal(codec->seal(codec, &header, &metadata, vmk, block), VCK_OK);
    assert_int_equal(codec->unseal(codec, block, vmk, &metadata_read), VCK_TAMPERED);
    header.metadata_version = VCK_METADATA_PLAIN;
    assert_int_equal(codec->seal(codec, &header, &metadata, vmk, block), VCK_OK);
    assert_int_equal(codec->unseal(codec, block, vmk, &metadata_read), VCK_OK);
    assert_true(vck_all_zero(metadata_read.rekey_nonce, VCK_REKEY_NONCE_BYTES));
}

/* ---- what is not accepted ---- */

static void no_changed_bit_goes_unnoticed(void **state)
{
    struct vck_block_header header = random_header();
    struct vck_block_metadata metadata = random_metadata();
    uint8_t block[VCK_BLOCK_BYTES];
    (void)state;
    metadata.digest_present = true;
    assert_int_equal(codec->seal(codec, &header, &metadata, vmk, block), VCK_OK);
    for (unsigned bit = 0; bit < 8 * VCK_BLOCK_BYTES; bit++) {
        struct vck_block_header header_read = {.vendor_id = 77};
        struct vck_block_metadata metadata_read = {.generation = 77};
        uint8_t changed[VCK_BLOCK_BYTES];
        memcpy(changed, block, sizeof(block));
        changed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(vck_block_decode_header(changed, &header_read),
                         bit / 8 < 4 ? VCK_SIGNATURE_MISMATCH : VCK_CHECKSUM_MISMATCH);
        assert_int_equal(header_read.vendor_id, 77);
        if (bit / 8 >= 508)
            continue;
        fix_crc(changed);
        if (vck_block_decode_header(changed, &header_read) != VCK_OK)
            continue;
        vck_status status = codec->unseal(codec, changed, vmk, &metadata_read);
        assert_true(status == VCK_WRONG_KEY || status == VCK_TAMPERED);
        assert_int_equal(metadata_read.generation, 77);
    }
}

struct field_case {
    const char *name;
    unsigned at;
    unsigned size_bytes;
    uint32_t value;
    vck_status status;
};

static const struct field_case field_cases[] = {
    {"version 0", 12, 2, 0, VCK_UNSUPPORTED},
    {"version 2", 12, 2, 2, VCK_OK},
    {"version 3", 12, 2, 3, VCK_UNSUPPORTED},
    {"metadata size below the minimum", 16, 4, 131071, VCK_INVALID_DATA},
    {"metadata size that is odd", 16, 4, 131073, VCK_OK},
    {"largest metadata size", 16, 4, 0xffffffff, VCK_OK},
    {"sector size 0", 20, 4, 0, VCK_INVALID_DATA},
    {"sector size 1024", 20, 4, 1024, VCK_INVALID_DATA},
    {"sector size 4096", 20, 4, 4096, VCK_OK},
    {"no replica", 24, 2, 0, VCK_INVALID_DATA},
    {"510 replicas", 24, 2, 0xffff, VCK_OK},
    {"first byte that is zero", 26, 1, 1, VCK_INVALID_DATA},
    {"last byte before the volume id", 31, 1, 1, VCK_INVALID_DATA},
    {"first byte after the HMAC", 224, 1, 1, VCK_INVALID_DATA},
    {"last byte before the vendor's", 303, 1, 1, VCK_INVALID_DATA},
    {"first byte of the vendor's", 304, 1, 1, VCK_OK},
    {"last byte of the vendor's", 495, 1, 1, VCK_OK},
    {"first byte after the vendor's", 496, 1, 1, VCK_INVALID_DATA},
    {"last byte before the checksum", 507, 1, 1, VCK_INVALID_DATA},
};

static void header_fields_have_domains(void **state)
{
    char *text = vectors_read(VECTORS);
    uint8_t golden[VCK_BLOCK_BYTES];
    (void)state;
    vectors_hex(text, "block", golden, sizeof(golden));
    for (size_t i = 0; i < VCK_ARRAY_COUNT(field_cases); i++) {
        const struct field_case *c = &field_cases[i];
        struct vck_block_header header;
        uint8_t block[VCK_BLOCK_BYTES];
        memcpy(block, golden, sizeof(block));
        for (unsigned b = 0; b < c->size_bytes; b++)
            block[c->at + b] = (uint8_t)(c->value >> 8 * b);
        fix_crc(block);
        vck_status status = vck_block_decode_header(block, &header);
        if (status != c->status)
            fail_msg("%s: %s", c->name, vck_status_name(status));
    }
    free(text);
}

static void keys_have_limits(void **state)
{
    uint8_t key[1025] = {0};
    uint8_t block[VCK_BLOCK_BYTES] = {0};
    uint8_t untouched[VCK_BLOCK_BYTES] = {0};
    struct vck_block_header header = random_header();
    struct vck_block_metadata metadata = random_metadata();
    struct vck_bytes none = {key, 0};
    struct vck_bytes too_long = {key, sizeof(key)};
    (void)state;
    assert_int_equal(codec->seal(codec, &header, &metadata, none, block), VCK_INVALID_DATA);
    assert_int_equal(codec->seal(codec, &header, &metadata, too_long, block), VCK_INVALID_DATA);
    assert_memory_equal(block, untouched, sizeof(block));
    assert_int_equal(codec->seal(codec, &header, &metadata, vmk, block), VCK_OK);
    assert_int_equal(codec->unseal(codec, block, none, &metadata), VCK_INVALID_DATA);
    assert_int_equal(codec->unseal(codec, block, too_long, &metadata), VCK_INVALID_DATA);
    assert_int_equal(codec->unseal(codec, block, (struct vck_bytes){vmk.data, 19}, &metadata),
                     VCK_WRONG_KEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_block_is_read_and_written),
        cmocka_unit_test(what_is_sealed_comes_back),
        cmocka_unit_test(a_rekey_has_its_own_version),
        cmocka_unit_test(no_changed_bit_goes_unnoticed),
        cmocka_unit_test(header_fields_have_domains),
        cmocka_unit_test(keys_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
