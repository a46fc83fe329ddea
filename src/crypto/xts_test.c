/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_test.h"
#include <openssl/evp.h>
#include "vck/bytes.h"
#include "vck/xts.h"

#define SIZE_MAX_BYTES  (256u * 1024)
#define ALIGNMENTS      64u
#define GUARD           0xa5u
#define CASES           60u
#define PORTABLE_FACTOR 6u

static const enum vck_aes_impl impls[] = {VCK_AES_AUTO, VCK_AES_PORTABLE, VCK_AES_AESNI,
                                          VCK_AES_VAES256, VCK_AES_VAES512};

static uint8_t plain_area[SIZE_MAX_BYTES + ALIGNMENTS], out_area[SIZE_MAX_BYTES + 2 * ALIGNMENTS];
static uint8_t expected[SIZE_MAX_BYTES], part_out[SIZE_MAX_BYTES];

struct published {
    uint64_t sector;
    const char *cipher;
};

/* IEEE 1619-2007, vectors 10 and 14. */
static const struct published vectors[] = {
    {0xff,
     "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b5d31e276f8fe4a8d66b317f9"
     "ac683f44680a86ac35adfc3345befecb4bb188fd5776926c49a3095eb108fd1098baec70aaa66999a72a82f2"
     "7d848b21d4a741b0c5cd4d5fff9dac89aeba122961d03a757123e9870f8acf1000020887891429ca2a3e7a7d"
     "7df7b10355165c8b9a6d0a7de8b062c4500dc4cd120c0f7418dae3d0b5781c34803fa75421c790dfe1de1834"
     "f280d7667b327f6c8cd7557e12ac3a0f93ec05c52e0493ef31a12d3d9260f79a289d6a379bc70c50841473d1"
     "a8cc81ec583e9645e07b8d9670655ba5bbcfecc6dc3966380ad8fecb17b6ba02469a020a84e18e8f84252070"
     "c13e9f1f289be54fbc481457778f616015e1327a02b140f1505eb309326d68378f8374595c849d84f4c333ec"
     "4423885143cb47bd71c5edae9be69a2ffeceb1bec9de244fbe15992b11b77c040f12bd8f6a975a44a0f90c29"
     "a9abc3d4d893927284c58754cce294529f8614dcd2aba991925fedc4ae74ffac6e333b93eb4aff0479da9a41"
     "0e4450e0dd7ae4c6e2910900575da401fc07059f645e8b7e9bfdef33943054ff84011493c27b3429eaedb4ed"
     "5376441a77ed43851ad77f16f541dfd269d50d6a5f14fb0aab1cbb4c1550be97f7ab4066193c4caa773dad38"
     "014bd2092fa755c824bb5e54c4f36ffda9fcea70b9c6e693e148c151"},
    {0xffffffffff,
     "64497e5a831e4a932c09be3e5393376daa599548b816031d224bbf50a818ed2350eae7e96087c8a0db51ad290bd0"
     "0c1ac1620857635bf246c176ab463be30b808da548081ac847b158e1264be25bb0910bbc92647108089415d45fab"
     "1b3d2604e8a8eff1ae4020cfa39936b66827b23f371b92200be90251e6d73c5f86de5fd4a950781933d79a28272b"
     "782a2ec313efdfcc0628f43d744c2dc2ff3dcb66999b50c7ca895b0c64791eeaa5f29499fb1c026f84ce5b5c72ba"
     "1083cddb5ce45434631665c333b60b11593fb253c5179a2c8db813782a004856a1653011e93fb6d876c18366dd86"
     "83f53412c0c180f9c848592d593f8609ca736317d356e13e2bff3a9f59cd9aeb19cd482593d8c46128bb32423b37"
     "a9adfb482b99453fbe25a41bf6feb4aa0bef5ed24bf73c762978025482c13115e4015aac992e5613a3b5c2f685b8"
     "4795cb6e9b2656d8c88157e52c42f978d8634c43d06fea928f2822e465aa6576e9bf419384506cc3ce3c54ac1a6f"
     "67dc66f3b30191e698380bc999b05abce19dc0c6dcc2dd001ec535ba18deb2df1a101023108318c75dc98611a09d"
     "c48a0acdec676fabdf222f07e026f059b672b56e5cbc8e1d21bbd867dd927212054681d70ea737134cdfce93b6f8"
     "2ae22423274e58a0821cc5502e2d0ab4585e94de6975be5e0b4efce51cd3e70c25a1fbbbd609d273ad5b0d59631c"
     "531f6a0a57b9"},
};

static void gives_published_sectors(void **state)
{
    (void)state;
    uint8_t key1[32], key2[32], plain[512], out[512];
    unhex("2718281828459045235360287471352662497757247093699959574966967627", key1);
    unhex("3141592653589793238462643383279502884197169399375105820974944592", key2);
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)i;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        struct vck_xts xts;
        if (!vck_aes_impl_available(impls[i]))
            continue;
        assert_int_equal(vck_xts_init_with(&xts, key1, key2, impls[i]), VCK_OK);
        for (size_t v = 0; v < VCK_ARRAY_COUNT(vectors); v++) {
            vck_xts_encrypt(&xts, out, plain, 512, 512, vectors[v].sector);
            assert_bytes_hex(out, vectors[v].cipher);
            vck_xts_decrypt(&xts, out, out, 512, 512, vectors[v].sector);
            assert_memory_equal(out, plain, 512);
        }
        vck_xts_fini(&xts);
        assert_true(vck_all_zero(&xts, sizeof(xts)));
    }
}

static void refuses_equal_keys(void **state)
{
    (void)state;
    struct vck_xts xts;
    uint8_t key1[32], key2[32];
    random_bytes(key1, sizeof(key1));
    memcpy(key2, key1, sizeof(key2));
    memset(&xts, GUARD, sizeof(xts));
    assert_int_equal(vck_xts_init(&xts, key1, key2), VCK_INVALID_DATA);
    assert_true(vck_all_zero(&xts, sizeof(xts)));
    key2[31] ^= 0x80;
    assert_int_equal(vck_xts_init(&xts, key1, key2), VCK_OK);
    assert_int_equal(vck_xts_init_with(&xts, key1, key2, (enum vck_aes_impl)99), VCK_UNSUPPORTED);
    assert_true(vck_all_zero(&xts, sizeof(xts)));
}

static void reference(bool encrypt, const uint8_t keys[64], uint8_t *out, const uint8_t *in,
                      size_t size_bytes, uint32_t sector_size_bytes, uint64_t first_sector)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    assert_non_null(context);
    for (size_t at = 0; at < size_bytes; at += sector_size_bytes) {
        uint8_t tweak[16] = {0};
        int size = 0;
        vck_store_le64(tweak, first_sector++);
        assert_int_equal(EVP_CipherInit_ex(context, EVP_aes_256_xts(), NULL, keys, tweak, encrypt),
                         1);
        assert_int_equal(
            EVP_CipherUpdate(context, out + at, &size, in + at, (int)sector_size_bytes), 1);
    }
    EVP_CIPHER_CTX_free(context);
}

static uint64_t random_sector(void)
{
    const uint64_t near[] = {0, 0xffffffffu - random_u32() % 70, UINT64_MAX - random_u32() % 70,
                             (uint64_t)random_u32() << 32 | random_u32()};
    return near[random_u32() % VCK_ARRAY_COUNT(near)];
}

static uint32_t random_sector_size(void)
{
    static const uint32_t sizes[] = {512, 512, 4096, 4096, 16, 48, 528, 1024, 2064, 8192};
    return sizes[random_u32() % VCK_ARRAY_COUNT(sizes)];
}

typedef void transform(const struct vck_xts *xts, void *dst, const void *src, size_t size_bytes,
                       uint32_t sector_size_bytes, uint64_t first_sector);

/* One random run: out of place, with the bytes around it untouched, and in place. */
static void check_random_run(enum vck_aes_impl impl, bool encrypt)
{
    uint32_t sector_size = random_sector_size();
    uint32_t limit = SIZE_MAX_BYTES / (impl == VCK_AES_PORTABLE ? PORTABLE_FACTOR : 1);
    size_t size = (size_t)sector_size * (random_u32() % (limit / sector_size + 1) % 300);
    uint64_t first = random_sector();
    uint8_t *plain = plain_area + random_u32() % ALIGNMENTS;
    uint8_t *out = out_area + random_u32() % ALIGNMENTS;
    transform *run = encrypt ? vck_xts_encrypt : vck_xts_decrypt;
    struct vck_xts xts;
    uint8_t keys[64];

    random_bytes(keys, sizeof(keys));
    random_bytes(plain, size);
    reference(encrypt, keys, expected, plain, size, sector_size, first);
    assert_int_equal(vck_xts_init_with(&xts, keys, keys + 32, impl), VCK_OK);

    memset(out_area, GUARD, sizeof(out_area));
    run(&xts, out, plain, size, sector_size, first);
    assert_memory_equal(out, expected, size);
    for (const uint8_t *p = out_area; p < out; p++)
        assert_int_equal(*p, GUARD);
    for (const uint8_t *p = out + size; p < out_area + sizeof(out_area); p++)
        if (*p != GUARD)
            fail_msg("wrote behind the end");

    run(&xts, plain, plain, size, sector_size, first);
    assert_memory_equal(plain, expected, size);
    vck_xts_fini(&xts);
}

static void runs_equal_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        if (!vck_aes_impl_available(impls[i]))
            continue;
        for (unsigned round = 0; round < CASES; round++)
            check_random_run(impls[i], round % 2 == 0);
    }
}

/* More sectors than share one batch of tweaks, and the number passes 2^32 and 2^64. */
static void long_runs_cross_boundaries(void **state)
{
    (void)state;
    static const uint64_t firsts[] = {0xffffffffu - 100, UINT64_MAX - 100};
    uint8_t keys[64];
    random_bytes(keys, sizeof(keys));
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        struct vck_xts xts;
        if (vck_xts_init_with(&xts, keys, keys + 32, impls[i]) != VCK_OK)
            continue;
        for (size_t f = 0; f < VCK_ARRAY_COUNT(firsts); f++) {
            const size_t size = 512 * 200;
            random_bytes(plain_area, size);
            reference(true, keys, expected, plain_area, size, 512, firsts[f]);
            vck_xts_encrypt(&xts, out_area, plain_area, size, 512, firsts[f]);
            assert_memory_equal(out_area, expected, size);
            vck_xts_decrypt(&xts, out_area, out_area, size, 512, firsts[f]);
            assert_memory_equal(out_area, plain_area, size);
        }
        vck_xts_fini(&xts);
    }
}

/* Cuts one sector at random multiples of 16 and transforms the pieces alone. */
static void check_parts(const struct vck_xts *xts, const uint8_t keys[64], bool encrypt,
                        uint32_t sector_size)
{
    uint64_t sector = random_sector();
    random_bytes(plain_area, sector_size);
    reference(encrypt, keys, expected, plain_area, sector_size, sector_size, sector);
    memset(part_out, GUARD, sector_size + 1);
    for (uint32_t at = 0; at < sector_size;) {
        uint32_t size = 16 * (1 + random_u32() % (sector_size / 16));
        size = VCK_MIN(size, sector_size - at);
        if (encrypt)
            vck_xts_encrypt_part(xts, part_out + at, plain_area + at, size, sector_size, sector,
                                 at);
        else
            vck_xts_decrypt_part(xts, part_out + at, plain_area + at, size, sector_size, sector,
                                 at);
        at += size;
        assert_int_equal(part_out[at], GUARD);
    }
    assert_memory_equal(part_out, expected, sector_size);
}

static void parts_equal_whole(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {512, 4096, 16384};
    for (size_t i = 0; i < VCK_ARRAY_COUNT(impls); i++) {
        struct vck_xts xts;
        uint8_t keys[64];
        random_bytes(keys, sizeof(keys));
        if (vck_xts_init_with(&xts, keys, keys + 32, impls[i]) != VCK_OK)
            continue;
        for (unsigned round = 0; round < CASES; round++)
            check_parts(&xts, keys, round % 2 == 0, sizes[round / 2 % VCK_ARRAY_COUNT(sizes)]);
        vck_xts_fini(&xts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_published_sectors), cmocka_unit_test(refuses_equal_keys),
        cmocka_unit_test(runs_equal_reference),    cmocka_unit_test(long_runs_cross_boundaries),
        cmocka_unit_test(parts_equal_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
