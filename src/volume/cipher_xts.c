/* SPDX-License-Identifier: Apache-2.0 */
#include "port/port.h"
#include "vck/bytes.h"
#include "vck/cipher.h"
#include "vck/xts.h"

#define CIPHER_TAG VCK_TAG('V', 'c', 'i', 'p')

/* The schedule is expanded once, in memory that is not paged out; a burst borrows it. */
struct xts_supplier {
    struct vck_cipher_supplier base;
    uint32_t sector_size_bytes;
    struct vck_xts xts;
};

static void encrypt(const struct vck_cipher *cipher, void *dst, const void *src, size_t size_bytes,
                    uint64_t first_sector)
{
    vck_xts_encrypt(cipher->shared, dst, src, size_bytes, cipher->sector_size_bytes, first_sector);
}

static void decrypt(const struct vck_cipher *cipher, void *dst, const void *src, size_t size_bytes,
                    uint64_t first_sector)
{
    vck_xts_decrypt(cipher->shared, dst, src, size_bytes, cipher->sector_size_bytes, first_sector);
}

static void encrypt_part(const struct vck_cipher *cipher, void *dst, const void *src,
                         size_t size_bytes, uint64_t sector, uint32_t offset_in_sector_bytes)
{
    vck_xts_encrypt_part(cipher->shared, dst, src, size_bytes, cipher->sector_size_bytes, sector,
                         offset_in_sector_bytes);
}

static void decrypt_part(const struct vck_cipher *cipher, void *dst, const void *src,
                         size_t size_bytes, uint64_t sector, uint32_t offset_in_sector_bytes)
{
    vck_xts_decrypt_part(cipher->shared, dst, src, size_bytes, cipher->sector_size_bytes, sector,
                         offset_in_sector_bytes);
}

static const struct vck_cipher_ops xts_ops = {
    .encrypt = encrypt,
    .decrypt = decrypt,
    .encrypt_part = encrypt_part,
    .decrypt_part = decrypt_part,
};

static vck_status acquire(struct vck_cipher_supplier *base, struct vck_cipher *ret_cipher)
{
    struct xts_supplier *supplier = VCK_CONTAINER_OF(base, struct xts_supplier, base);

    ret_cipher->ops = &xts_ops;
    ret_cipher->sector_size_bytes = supplier->sector_size_bytes;
    ret_cipher->shared = &supplier->xts;
    return VCK_OK;
}

static void release(struct vck_cipher_supplier *base, struct vck_cipher *cipher)
{
    (void)base;
    cipher->ops = NULL;
    cipher->shared = NULL;
}

static void destroy(struct vck_cipher_supplier *base)
{
    struct xts_supplier *supplier = VCK_CONTAINER_OF(base, struct xts_supplier, base);

    vck_xts_fini(&supplier->xts);
    vck_free_pages(supplier, sizeof *supplier);
}

vck_status vck_cipher_supplier_create_xts(const uint8_t key1[32], const uint8_t key2[32],
                                          uint32_t sector_size_bytes,
                                          struct vck_cipher_supplier **ret_supplier)
{
    struct xts_supplier *supplier = vck_alloc_pages(sizeof *supplier, CIPHER_TAG);
    vck_status status;

    if (!supplier)
        return VCK_NO_MEMORY;
    supplier->base = (struct vck_cipher_supplier){acquire, release, destroy};
    supplier->sector_size_bytes = sector_size_bytes;
    status = vck_xts_init(&supplier->xts, key1, key2);
    if (status) {
        destroy(&supplier->base);
        return status;
    }
    *ret_supplier = &supplier->base;
    return VCK_OK;
}
