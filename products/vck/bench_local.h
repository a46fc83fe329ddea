/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VCK_PRODUCTS_VCK_BENCH_LOCAL_H
#define VCK_PRODUCTS_VCK_BENCH_LOCAL_H

#include <stdint.h>
#include "vck/annotate.h"
#include "vck/status.h"

/* Encrypts and decrypts size_bytes (whole MiB), 1 MiB in place at a time, on one core, in sectors
 * of 4096 bytes. CRYPTO_FAILED, NO_MEMORY. */
VCK_CHECKED vck_status bench_local(uint64_t size_bytes, uint64_t *ret_encrypt_mib_s,
                                   uint64_t *ret_decrypt_mib_s);

#endif
