/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cipher: what transforms sectors. A supplier belongs to a volume and holds the keys; it hands out
 * a short-lived cipher per burst, into the caller's storage, and gets it back to destroy.
 */
#ifndef VCK_CIPHER_H
#define VCK_CIPHER_H

#include <stddef.h>
#include <stdint.h>
#include "vck/annotate.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

struct vck_cipher;

/* Runs of whole sectors; dst equals src or does not overlap it. first_sector is data-region
 * relative. The part forms take multiples of 16 bytes inside one sector. DISPATCH. */
struct vck_cipher_ops {
    void (*encrypt)(const struct vck_cipher *cipher, void *dst, const void *src, size_t size_bytes,
                    uint64_t first_sector);
    void (*decrypt)(const struct vck_cipher *cipher, void *dst, const void *src, size_t size_bytes,
                    uint64_t first_sector);
    void (*encrypt_part)(const struct vck_cipher *cipher, void *dst, const void *src,
                         size_t size_bytes, uint64_t sector, uint32_t offset_in_sector_bytes);
    void (*decrypt_part)(const struct vck_cipher *cipher, void *dst, const void *src,
                         size_t size_bytes, uint64_t sector, uint32_t offset_in_sector_bytes);
};

struct vck_cipher {
    const struct vck_cipher_ops *ops;
    uint32_t sector_size_bytes;
    const void *shared;                /* the supplier's, valid until released */
    VCK_ALIGNAS(64) uint8_t state[64]; /* for suppliers that need a little of their own */
};

struct vck_cipher_supplier {
    /* Fills *ret_cipher for one burst. DISPATCH. */
    vck_status (*acquire)(struct vck_cipher_supplier *supplier, struct vck_cipher *ret_cipher);
    /* Ends the burst; wipes. DISPATCH. */
    void (*release)(struct vck_cipher_supplier *supplier, struct vck_cipher *cipher);
    /* Wipes the keys and frees the supplier. PASSIVE. */
    void (*destroy)(struct vck_cipher_supplier *supplier);
};

/* AES-256-XTS, tweak = sector number. Copies the keys. INVALID_DATA (equal keys), NO_MEMORY. */
VCK_CHECKED vck_status vck_cipher_supplier_create_xts(const uint8_t key1[32],
                                                      const uint8_t key2[32],
                                                      uint32_t sector_size_bytes,
                                                      struct vck_cipher_supplier **ret_supplier);

VCK_END_DECLS

#endif
