/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must not depend on secrets, run on secrets that Valgrind takes for values nobody has set: it
 * reports every branch on them and every address made of them. `leak-...` does it wrong on purpose.
 * constant_time_test.py builds and runs this.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/memcheck.h>
#include "port/port.h"
#include "vck/cbc.h"
#include "vck/cpu.h"
#include "vck/gcm.h"
#include "vck/hkdf.h"
#include "vck/hmac.h"
#include "vck/p256.h"
#include "vck/pbkdf2.h"
#include "vck/secret.h"
#include "vck/shamir.h"
#include "vck/siphash.h"
#include "vck/xts.h"

/* ---- the port, as far as the primitives need one ---- */

vck_status vck_random(void *p, size_t size_bytes)
{
    memset(p, 0x5a, size_bytes);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(p, size_bytes);
    return VCK_OK;
}

void *vck_alloc_pages_at(size_t size_bytes, uint32_t alloc_tag, const char *site)
{
    (void)alloc_tag;
    (void)site;
    return calloc(1, size_bytes);
}

void vck_free_pages(void *p, size_t size_bytes)
{
    (void)size_bytes;
    free(p);
}

void vck_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, condition);
    abort();
}

/* Whether two values are equal is what the comparison is there to tell. */
bool __real_vck_equal_constant_time(const void *a, const void *b, size_t size_bytes);
bool __wrap_vck_equal_constant_time(const void *a, const void *b, size_t size_bytes);

bool __wrap_vck_equal_constant_time(const void *a, const void *b, size_t size_bytes)
{
    bool is_equal = __real_vck_equal_constant_time(a, b, size_bytes);

    (void)VALGRIND_MAKE_MEM_DEFINED(&is_equal, sizeof is_equal);
    return is_equal;
}

/* ---- secrets ---- */

static const uint8_t *secret(uint8_t *p, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        p[i] = (uint8_t)(i * 37 + 11);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(p, size_bytes);
    return p;
}

static uint8_t key[64], text[4096], out[4096], tag[16];
static const uint8_t public_bytes[64] = {1, 2, 3};

static vck_status run_aes_cbc(void)
{
    vck_status status = vck_cbc_encrypt(secret(key, 32), public_bytes, out, secret(text, 128), 128);

    return status == VCK_OK ? vck_cbc_decrypt(key, public_bytes, text, out, 128) : status;
}

static vck_status run_xts(void)
{
    struct vck_xts xts;
    vck_status status = vck_xts_init(&xts, secret(key, 64), key + 32);

    if (status != VCK_OK)
        return status;
    vck_xts_encrypt(&xts, out, secret(text, sizeof text), sizeof text, 512, 7);
    vck_xts_decrypt(&xts, text, out, sizeof text, 512, 7);
    vck_xts_fini(&xts);
    return VCK_OK;
}

static vck_status run_gcm(void)
{
    const struct vck_bytes associated = {public_bytes, sizeof public_bytes};
    vck_status status =
        vck_gcm_seal(secret(key, 32), public_bytes, associated, out, secret(text, 100), 100, tag);

    if (status != VCK_OK)
        return status;
    /* What is stored is public; the tag that is computed again is not. */
    (void)VALGRIND_MAKE_MEM_DEFINED(out, sizeof out);
    (void)VALGRIND_MAKE_MEM_DEFINED(tag, sizeof tag);
    status = vck_gcm_open(key, public_bytes, associated, text, out, 100, tag);
    if (status != VCK_OK)
        return status;
    tag[15] ^= 1;
    return vck_gcm_open(key, public_bytes, associated, text, out, 100, tag) == VCK_WRONG_KEY
               ? VCK_OK
               : VCK_CRYPTO_FAILED;
}

static vck_status run_hkdf(void)
{
    const struct vck_bytes salt = {public_bytes, 16}, info = {public_bytes, 8};

    return vck_hkdf_sha256(salt, (struct vck_bytes){secret(key, 64), 64}, info, out, 80);
}

static vck_status run_hmac(void)
{
    uint8_t ours[VCK_HMAC_SHA256_BYTES], theirs[VCK_HMAC_SHA256_BYTES] = {0};

    vck_hmac_sha256_once((struct vck_bytes){secret(key, 64), 64},
                         (struct vck_bytes){secret(text, 1000), 1000}, ours);
    return vck_equal_constant_time(ours, theirs, sizeof ours) ? VCK_CRYPTO_FAILED : VCK_OK;
}

static vck_status run_pbkdf2(void)
{
    return vck_pbkdf2_sha512((struct vck_bytes){secret(key, 20), 20},
                             (struct vck_bytes){public_bytes, 32}, 3, out, 32);
}

static vck_status run_siphash(void)
{
    vck_siphash24_chunks(secret(key, 16), secret(text, sizeof text), 512, 8, 4096, out, 16);
    return VCK_OK;
}

/* That the result is a point, which it is for every scalar but one, is said. */
static vck_status run_p256(void)
{
    static uint8_t point[VCK_P256_POINT_BYTES];
    vck_status status = vck_p256_multiply(secret(key, 32), NULL, point);

    (void)VALGRIND_MAKE_MEM_DEFINED(point, sizeof point);
    (void)VALGRIND_MAKE_MEM_DEFINED(&status, sizeof status);
    if (status == VCK_OK)
        status = vck_p256_multiply(secret(key, 32), point, out);
    (void)VALGRIND_MAKE_MEM_DEFINED(&status, sizeof status);
    return status;
}

static vck_status run_shamir(void)
{
    struct vck_shamir_share shares[3];
    vck_status status = vck_shamir_split(secret(key, VCK_SHAMIR_BYTES), 2, 3, shares);

    return status == VCK_OK ? vck_shamir_combine(shares + 1, 2, out) : status;
}

/* ---- how it is not to be done ---- */

static vck_status leak_branch(void)
{
    const uint8_t *p = secret(key, 32);

    for (size_t i = 0; i < 32; i++)
        if (p[i] != public_bytes[i])
            return VCK_OK;
    return VCK_CRYPTO_FAILED;
}

/* Stops at the first difference. */
static vck_status leak_compare(void)
{
    return memcmp(secret(key, 32), public_bytes, 32) != 0 ? VCK_OK : VCK_CRYPTO_FAILED;
}

static vck_status leak_table(void)
{
    static volatile uint8_t table[256];

    out[0] = table[secret(key, 1)[0]];
    return VCK_OK;
}

static const struct {
    const char *name;
    vck_status (*run)(void);
} cases[] = {
    {"aes-cbc", run_aes_cbc},     {"aes-xts", run_xts},       {"aes-gcm", run_gcm},
    {"hkdf", run_hkdf},           {"hmac", run_hmac},         {"pbkdf2", run_pbkdf2},
    {"siphash", run_siphash},     {"p256", run_p256},         {"shamir", run_shamir},
    {"leak-branch", leak_branch}, {"leak-table", leak_table}, {"leak-compare", leak_compare},
};

/* Without a name: the names. */
int main(int argc, char **argv)
{
    /* What the processor's own instructions take is the same for all values. */
    vck_cpu_restrict(0);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        if (argc < 2)
            puts(cases[i].name);
        else if (strcmp(argv[1], cases[i].name) == 0)
            return cases[i].run() == VCK_OK ? 0 : 1;
    }
    return argc < 2 ? 0 : 1;
}
