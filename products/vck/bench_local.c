/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/bench_local.h"
#include "port/port.h"
#include "vck/xts.h"

#define BENCH_TAG    VCK_TAG('C', 'b', 'n', 'c')
#define BUFFER_BYTES (1024u * 1024u)
#define SECTOR_BYTES 4096u

typedef void transform(const struct vck_xts *xts, void *dst, const void *src, size_t size_bytes,
                       uint32_t sector_size_bytes, uint64_t first_sector);

static uint64_t measure(const struct vck_xts *xts, transform *run, uint8_t *buffer,
                        uint64_t size_bytes)
{
    /* The first time there are pages to be had and a processor to be woken. */
    run(xts, buffer, buffer, BUFFER_BYTES, SECTOR_BYTES, 0);
    uint64_t start_ns = vck_clock_ns();
    for (uint64_t done = 0; done < size_bytes; done += BUFFER_BYTES)
        run(xts, buffer, buffer, BUFFER_BYTES, SECTOR_BYTES, done / SECTOR_BYTES);
    uint64_t took_ns = vck_clock_ns() - start_ns;
    double mib_per_s = (double)(size_bytes / BUFFER_BYTES) * 1e9 / (double)(took_ns + 1);
    return (uint64_t)mib_per_s;
}

vck_status bench_local(uint64_t size_bytes, uint64_t *ret_encrypt_mib_s,
                       uint64_t *ret_decrypt_mib_s)
{
    struct vck_xts xts;
    uint8_t keys[2 * VCK_XTS_KEY_BYTES];
    vck_status status = vck_random(keys, sizeof(keys));
    if (status != VCK_OK)
        return status;
    uint8_t *buffer = vck_alloc_pages(BUFFER_BYTES, BENCH_TAG);
    if (buffer == NULL)
        return VCK_NO_MEMORY;
    status = vck_xts_init(&xts, keys, keys + VCK_XTS_KEY_BYTES);
    if (status == VCK_OK) {
        *ret_encrypt_mib_s = measure(&xts, vck_xts_encrypt, buffer, size_bytes);
        *ret_decrypt_mib_s = measure(&xts, vck_xts_decrypt, buffer, size_bytes);
    }
    vck_xts_fini(&xts);
    vck_free_pages(buffer, BUFFER_BYTES);
    return status;
}
