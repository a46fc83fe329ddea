/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strength: counts what is not predictable from the characters before. It does not know words, so
 * it is too kind to them; what it calls weak is weak.
 */
#include <string.h>
#include "products/vck/key.h"

#define LONGEST 256u

/* log2 of the number of characters of the kinds that occur, in tenths. */
static unsigned alphabet_tenths(const char *text, size_t size)
{
    static const unsigned tenths[] = {0, 33, 47, 52, 50, 60, 60, 65};
    unsigned kinds = 0;
    bool is_wide = false;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (c >= 0x80)
            is_wide = true;
        else if (c >= '0' && c <= '9')
            kinds |= 1;
        else if (is_letter)
            kinds |= 2;
        else
            kinds |= 4;
    }
    return is_wide ? 65 : tenths[kinds];
}

/* Whether the characters that end before `at` occurred together earlier. */
static bool is_repeated(const char *text, size_t at)
{
    if (at < 2)
        return false;
    for (size_t i = 0; i + 2 < at; i++)
        if (memcmp(text + i, text + at - 2, 3) == 0)
            return true;
    return false;
}

static bool is_step(char before, char now)
{
    int step = now - before;
    return step >= -1 && step <= 1;
}

unsigned strength_bits(const char *text, size_t size)
{
    size_t length = size < LONGEST ? size : LONGEST;
    unsigned tenths = 0, each = alphabet_tenths(text, length);
    for (size_t i = 0; i < length; i++) {
        bool is_predictable = (i > 0 && is_step(text[i - 1], text[i])) || is_repeated(text, i);
        /* Letters behind letters follow their language more often than not. */
        tenths += is_predictable ? 5 : i > 0 && each <= 60 ? each * 6 / 10 : each;
    }
    return tenths / 10;
}
