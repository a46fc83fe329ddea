/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/secret.h"
#include "port/port.h"

#define SECRET_TAG            VCK_TAG('v', 's', 'e', 'c')
#define SECRET_SIZE_MAX_BYTES 65536u

void vck_wipe(void *p, size_t size_bytes)
{
    if (size_bytes == 0)
        return;
    memset(p, 0, size_bytes);
    /* Tells the compiler that somebody reads the bytes, so that the stores cannot be dead. */
    __asm__ volatile("" : : "r"(p) : "memory");
}

bool vck_equal_constant_time(const void *a, const void *b, size_t size_bytes)
{
    const uint8_t *a_bytes = (const uint8_t *)a, *b_bytes = (const uint8_t *)b;
    unsigned difference = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        difference |= (unsigned)a_bytes[i] ^ b_bytes[i];
        /* Hides the value, so that no optimizer can stop at the first difference. */
        __asm__ volatile("" : "+r"(difference));
    }
    return difference == 0;
}

vck_status vck_secret_init(struct vck_secret *secret, size_t size_bytes)
{
    if (size_bytes == 0 || size_bytes > SECRET_SIZE_MAX_BYTES)
        return VCK_INVALID_DATA;
    uint8_t *data = (uint8_t *)vck_alloc_pages(size_bytes, SECRET_TAG);
    if (data == NULL)
        return VCK_NO_MEMORY;
    secret->data = data;
    secret->size_bytes = size_bytes;
    return VCK_OK;
}

vck_status vck_secret_init_copy(struct vck_secret *secret, struct vck_bytes data)
{
    vck_status status = vck_secret_init(secret, data.size_bytes);
    if (status == VCK_OK)
        memcpy(secret->data, data.data, data.size_bytes);
    return status;
}

void vck_secret_fini(struct vck_secret *secret)
{
    if (secret->data == NULL)
        return;
    vck_wipe(secret->data, secret->size_bytes);
    vck_free_pages(secret->data, secret->size_bytes);
    secret->data = NULL;
    secret->size_bytes = 0;
}
