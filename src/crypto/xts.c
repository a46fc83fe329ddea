/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/xts.h"
#include "internal.h"
#include "port/port.h"
#include "vck/bytes.h"
#include "vck/secret.h"

/* Sectors whose tweaks are encrypted together: enough to fill the pipeline, small on the stack. */
#define TWEAK_BATCH 48u

typedef void run_function(const struct vck_xts_run *run);

/* One direction of one context. */
struct cipher {
    const struct vck_aes_ops *ops;
    run_function *run;
    const uint8_t *keys;
    const uint8_t *tweak_keys;
};

static struct cipher encryptor(const struct vck_xts *xts)
{
    const struct vck_aes_ops *ops = vck_aes_ops_get(xts->data.impl);
    return (struct cipher){ops, ops->xts_encrypt, xts->data.encrypt_keys, xts->tweak_keys};
}

static struct cipher decryptor(const struct vck_xts *xts)
{
    const struct vck_aes_ops *ops = vck_aes_ops_get(xts->data.impl);
    return (struct cipher){ops, ops->xts_decrypt, xts->data.decrypt_keys, xts->tweak_keys};
}

vck_status vck_xts_init_with(struct vck_xts *xts, const uint8_t key1[VCK_XTS_KEY_BYTES],
                             const uint8_t key2[VCK_XTS_KEY_BYTES], enum vck_aes_impl impl)
{
    struct vck_aes256 tweak;
    vck_status status = VCK_INVALID_DATA;

    if (vck_equal_constant_time(key1, key2, VCK_XTS_KEY_BYTES))
        goto out;
    status = vck_aes256_init_with(&tweak, key2, impl);
    if (status != VCK_OK)
        goto out;
    memcpy(xts->tweak_keys, tweak.encrypt_keys, sizeof(xts->tweak_keys));
    vck_aes256_fini(&tweak);
    status = vck_aes256_init_with(&xts->data, key1, impl);
out:
    if (status != VCK_OK)
        vck_xts_fini(xts);
    return status;
}

vck_status vck_xts_init(struct vck_xts *xts, const uint8_t key1[VCK_XTS_KEY_BYTES],
                        const uint8_t key2[VCK_XTS_KEY_BYTES])
{
    return vck_xts_init_with(xts, key1, key2, VCK_AES_AUTO);
}

void vck_xts_fini(struct vck_xts *xts)
{
    vck_wipe(xts, sizeof(*xts));
}

/* The tweak of a block `exponent` (below 64) further. */
static void times_power_of_x(uint64_t tweak[2], unsigned exponent)
{
    if (exponent == 0)
        return;
    uint64_t over = tweak[1] >> (64 - exponent);
    tweak[1] = tweak[1] << exponent | tweak[0] >> (64 - exponent);
    tweak[0] = tweak[0] << exponent ^ over ^ over << 1 ^ over << 2 ^ over << 7;
    tweak[1] ^= over >> 63 ^ over >> 62 ^ over >> 57;
}

static void advance_tweak(uint8_t bytes[VCK_AES_BLOCK_BYTES], uint32_t blocks)
{
    uint64_t tweak[2] = {vck_load_le64(bytes), vck_load_le64(bytes + 8)};
    for (; blocks >= 32; blocks -= 32)
        times_power_of_x(tweak, 32);
    times_power_of_x(tweak, blocks);
    vck_store_le64(bytes, tweak[0]);
    vck_store_le64(bytes + 8, tweak[1]);
    vck_wipe(tweak, sizeof(tweak));
}

static void encrypt_tweaks(const struct cipher *cipher, uint64_t first_sector, size_t count,
                           uint8_t *ret_tweaks)
{
    for (size_t i = 0; i < count; i++) {
        vck_store_le64(ret_tweaks + VCK_AES_BLOCK_BYTES * i, first_sector + i);
        vck_store_le64(ret_tweaks + VCK_AES_BLOCK_BYTES * i + 8, 0);
    }
    cipher->ops->encrypt(cipher->tweak_keys, ret_tweaks, ret_tweaks, count);
}

/* Fewer blocks than a unit, from the tweak of their first on, in a unit of their own. */
static void run_short(const struct cipher *cipher, uint8_t *dst, const uint8_t *src,
                      size_t size_bytes, const uint8_t *tweak)
{
    uint8_t unit[VCK_XTS_UNIT_BYTES] = {0};
    memcpy(unit, src, size_bytes);
    const struct vck_xts_run run = {cipher->keys, unit, unit, 1, 1, unit + sizeof(unit), tweak};
    cipher->run(&run);
    memcpy(dst, unit, size_bytes);
    vck_wipe(unit, sizeof(unit));
}

/* Blocks of one sector, at any offset in it. */
static void run_part(const struct cipher *cipher, uint8_t *dst, const uint8_t *src,
                     size_t size_bytes, uint64_t sector, uint32_t offset_in_sector_bytes)
{
    VCK_ALIGNAS(16) uint8_t tweak[VCK_AES_BLOCK_BYTES];
    size_t units = size_bytes / VCK_XTS_UNIT_BYTES;
    size_t whole_bytes = units * VCK_XTS_UNIT_BYTES;

    encrypt_tweaks(cipher, sector, 1, tweak);
    advance_tweak(tweak, offset_in_sector_bytes / VCK_AES_BLOCK_BYTES);
    if (units > 0) {
        const struct vck_xts_run run = {cipher->keys, dst, src, 1, units, dst + whole_bytes, tweak};
        cipher->run(&run);
    }
    if (whole_bytes < size_bytes) {
        advance_tweak(tweak, (uint32_t)(whole_bytes / VCK_AES_BLOCK_BYTES));
        run_short(cipher, dst + whole_bytes, src + whole_bytes, size_bytes - whole_bytes, tweak);
    }
    vck_wipe(tweak, sizeof(tweak));
}

/* Sectors of a whole number of units. */
static void run_sectors(const struct cipher *cipher, uint8_t *dst, const uint8_t *src,
                        size_t sector_count, uint32_t sector_size_bytes, uint64_t first_sector)
{
    VCK_ALIGNAS(64) uint8_t tweaks[TWEAK_BATCH * VCK_AES_BLOCK_BYTES];
    size_t used = VCK_MIN(sector_count, TWEAK_BATCH);
    const uint8_t *dst_end = dst + sector_count * sector_size_bytes;
    while (sector_count > 0) {
        size_t count = VCK_MIN(sector_count, TWEAK_BATCH);
        const struct vck_xts_run run = {
            cipher->keys, dst, src, count, sector_size_bytes / VCK_XTS_UNIT_BYTES, dst_end, tweaks};
        encrypt_tweaks(cipher, first_sector, count, tweaks);
        cipher->run(&run);
        dst += count * sector_size_bytes;
        src += count * sector_size_bytes;
        first_sector += count;
        sector_count -= count;
    }
    vck_wipe(tweaks, used * VCK_AES_BLOCK_BYTES);
}

static void run(const struct cipher *cipher, uint8_t *dst, const uint8_t *src, size_t size_bytes,
                uint32_t sector_size_bytes, uint64_t first_sector)
{
    VCK_ASSERT(sector_size_bytes > 0 && sector_size_bytes % VCK_AES_BLOCK_BYTES == 0);
    VCK_ASSERT(size_bytes % sector_size_bytes == 0);
    size_t sector_count = size_bytes / sector_size_bytes;
    if (sector_size_bytes % VCK_XTS_UNIT_BYTES == 0) {
        run_sectors(cipher, dst, src, sector_count, sector_size_bytes, first_sector);
        return;
    }
    for (size_t i = 0; i < sector_count; i++)
        run_part(cipher, dst + i * sector_size_bytes, src + i * sector_size_bytes,
                 sector_size_bytes, first_sector + i, 0);
}

void vck_xts_encrypt(const struct vck_xts *xts, void *dst, const void *src, size_t size_bytes,
                     uint32_t sector_size_bytes, uint64_t first_sector)
{
    const struct cipher cipher = encryptor(xts);
    run(&cipher, dst, src, size_bytes, sector_size_bytes, first_sector);
}

void vck_xts_decrypt(const struct vck_xts *xts, void *dst, const void *src, size_t size_bytes,
                     uint32_t sector_size_bytes, uint64_t first_sector)
{
    const struct cipher cipher = decryptor(xts);
    run(&cipher, dst, src, size_bytes, sector_size_bytes, first_sector);
}

static void assert_part(size_t size_bytes, uint32_t sector_size_bytes,
                        uint32_t offset_in_sector_bytes)
{
    VCK_ASSERT(size_bytes % VCK_AES_BLOCK_BYTES == 0);
    VCK_ASSERT(offset_in_sector_bytes % VCK_AES_BLOCK_BYTES == 0);
    VCK_ASSERT(offset_in_sector_bytes <= sector_size_bytes);
    VCK_ASSERT(size_bytes <= sector_size_bytes - offset_in_sector_bytes);
}

void vck_xts_encrypt_part(const struct vck_xts *xts, void *dst, const void *src, size_t size_bytes,
                          uint32_t sector_size_bytes, uint64_t sector,
                          uint32_t offset_in_sector_bytes)
{
    const struct cipher cipher = encryptor(xts);
    assert_part(size_bytes, sector_size_bytes, offset_in_sector_bytes);
    run_part(&cipher, dst, src, size_bytes, sector, offset_in_sector_bytes);
}

void vck_xts_decrypt_part(const struct vck_xts *xts, void *dst, const void *src, size_t size_bytes,
                          uint32_t sector_size_bytes, uint64_t sector,
                          uint32_t offset_in_sector_bytes)
{
    const struct cipher cipher = decryptor(xts);
    assert_part(size_bytes, sector_size_bytes, offset_in_sector_bytes);
    run_part(&cipher, dst, src, size_bytes, sector, offset_in_sector_bytes);
}
