/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/crc32.h"

#define POLYNOMIAL 0xEDB88320u /* reflected */

uint32_t vck_crc32(uint32_t crc, const void *data, size_t size_bytes)
{
    const uint8_t *p = data;

    /* Bit by bit: it only ever runs over blocks of 512 bytes. */
    crc = ~crc;
    for (size_t i = 0; i < size_bytes; i++) {
        crc ^= p[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (POLYNOMIAL & (0u - (crc & 1)));
    }
    return ~crc;
}
