/* SPDX-License-Identifier: Apache-2.0 */
#include "nearest.h"
#include <stdint.h>
#include <string.h>

#define NAME_MAX_BYTES 31u
#define PREFIX_BYTES   3u /* of which there is more than one way to go on, mostly */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The steps from a to b, each of them a letter; neighbours change places in one. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    uint8_t table[NAME_MAX_BYTES + 1][NAME_MAX_BYTES + 1];

    for (size_t i = 0; i <= a_length; i++)
        for (size_t j = 0; j <= b_length; j++) {
            size_t steps = i + j;
            if (i > 0 && j > 0) {
                steps = table[i - 1][j - 1] + (size_t)(a[i - 1] != b[j - 1]);
                steps = least(steps, least(table[i - 1][j], table[i][j - 1]) + 1u);
            }
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                steps = least(steps, table[i - 2][j - 2] + 1u);
            table[i][j] = (uint8_t)steps;
        }
    return table[a_length][b_length];
}

void nearest_offer(struct nearest *nearest, const char *name)
{
    size_t length = strlen(name);
    size_t steps;

    if (nearest->length > NAME_MAX_BYTES || length > NAME_MAX_BYTES)
        return;
    steps = distance(nearest->typed, nearest->length, name, length);
    if (nearest->length >= PREFIX_BYTES && nearest->length < length &&
        memcmp(nearest->typed, name, nearest->length) == 0)
        steps = 1;
    if (steps > (nearest->length + 2) / 3 || (nearest->name && steps >= nearest->distance))
        return;
    nearest->name = name;
    nearest->distance = steps;
}
