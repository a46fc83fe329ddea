/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/shamir.h"
#include <string.h>
#include "port/port.h"
#include "vck/secret.h"

#define REDUCTION 0x1bu /* of x^8 modulo the field's polynomial */

static uint8_t times(uint8_t a, uint8_t b)
{
    uint32_t product = 0, multiple = a;
    for (unsigned bit = 0; bit < 8; bit++) {
        product ^= multiple & (0u - (b >> bit & 1u));
        multiple = (multiple << 1 & 0xffu) ^ (REDUCTION & (0u - (multiple >> 7)));
    }
    return (uint8_t)product;
}

/* a^254; 0 has none and gives 0. */
static uint8_t inverse(uint8_t a)
{
    uint8_t power = a, result = 1;
    for (unsigned i = 0; i < 7; i++) {
        power = times(power, power);
        result = times(result, power);
    }
    return result;
}

/* One step of Horner's scheme at every point: the values so far times the point, plus the next
 * coefficient. */
static void step(struct vck_shamir_share *shares, uint32_t count,
                 const uint8_t coefficient[VCK_SHAMIR_BYTES])
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t at = 0; at < VCK_SHAMIR_BYTES; at++)
            shares[i].bytes[at] = times(shares[i].bytes[at], shares[i].number) ^ coefficient[at];
}

vck_status vck_shamir_split(const uint8_t secret[VCK_SHAMIR_BYTES], uint32_t threshold,
                            uint32_t count, struct vck_shamir_share *ret_shares)
{
    uint8_t coefficient[VCK_SHAMIR_BYTES];
    vck_status status = VCK_OK;
    if (threshold < 1 || threshold > count || count > UINT8_MAX)
        return VCK_INVALID_DATA;
    memset(ret_shares, 0, count * sizeof(*ret_shares));
    for (uint32_t i = 0; i < count; i++)
        ret_shares[i].number = (uint8_t)(i + 1);
    for (uint32_t degree = threshold - 1; degree > 0 && status == VCK_OK; degree--) {
        status = vck_random(coefficient, sizeof(coefficient));
        if (status == VCK_OK)
            step(ret_shares, count, coefficient);
    }
    if (status == VCK_OK)
        step(ret_shares, count, secret);
    else
        vck_wipe(ret_shares, count * sizeof(*ret_shares));
    vck_wipe(coefficient, sizeof(coefficient));
    return status;
}

static bool are_numbers_good(const struct vck_shamir_share *shares, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (shares[i].number == 0)
            return false;
        for (uint32_t j = 0; j < i; j++)
            if (shares[i].number == shares[j].number)
                return false;
    }
    return count >= 1 && count <= UINT8_MAX;
}

/* What share i counts for at 0: Lagrange's polynomial of its point. */
static uint8_t weight(const struct vck_shamir_share *shares, uint32_t count, uint32_t i)
{
    uint8_t above = 1, below = 1;
    for (uint32_t j = 0; j < count; j++) {
        if (j == i)
            continue;
        above = times(above, shares[j].number);
        below = times(below, shares[j].number ^ shares[i].number);
    }
    return times(above, inverse(below));
}

vck_status vck_shamir_combine(const struct vck_shamir_share *shares, uint32_t count,
                              uint8_t ret_secret[VCK_SHAMIR_BYTES])
{
    if (!are_numbers_good(shares, count))
        return VCK_INVALID_DATA;
    memset(ret_secret, 0, VCK_SHAMIR_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t factor = weight(shares, count, i);
        for (uint32_t at = 0; at < VCK_SHAMIR_BYTES; at++)
            ret_secret[at] ^= times(shares[i].bytes[at], factor);
    }
    return VCK_OK;
}
