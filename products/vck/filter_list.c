/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/filter_list.h"
#include <string.h>

static uint16_t lower_case(uint16_t unit)
{
    return unit >= 'A' && unit <= 'Z' ? (uint16_t)(unit + ('a' - 'A')) : unit;
}

/* The name that begins at *at, behind which *at then is; false at the end of the list. */
static bool next_name(struct filter_list list, size_t *at, size_t *ret_start, size_t *ret_length)
{
    size_t start = *at;
    if (start >= list.count || list.units[start] == 0)
        return false;
    size_t end = start;
    while (end < list.count && list.units[end] != 0)
        end++;
    *ret_start = start;
    *ret_length = end - start;
    *at = end + 1;
    return true;
}

static bool is_name(struct filter_list list, size_t start, size_t length, const char *name)
{
    if (strlen(name) != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (lower_case(list.units[start + i]) != lower_case((unsigned char)name[i]))
            return false;
    return true;
}

size_t filter_list_find(struct filter_list list, const char *name)
{
    size_t at = 0;
    size_t start;
    size_t length;
    for (size_t place = 0; next_name(list, &at, &start, &length); place++)
        if (is_name(list, start, length, name))
            return place;
    return FILTER_ABSENT;
}

size_t filter_list_remove(struct filter_list list, const char *name, uint16_t *ret_units)
{
    size_t at = 0;
    size_t start;
    size_t length;
    size_t count = 0;
    while (next_name(list, &at, &start, &length)) {
        if (is_name(list, start, length, name))
            continue;
        memcpy(ret_units + count, list.units + start, length * sizeof(*ret_units));
        count += length;
        ret_units[count++] = 0;
    }
    ret_units[count++] = 0;
    return count;
}

size_t filter_list_add(struct filter_list list, const char *name, uint16_t *ret_units)
{
    size_t count = filter_list_remove(list, name, ret_units) - 1;
    for (; *name != 0; name++)
        ret_units[count++] = (unsigned char)*name;
    ret_units[count++] = 0;
    ret_units[count++] = 0;
    return count;
}

static size_t occurrences(struct filter_list list, const char *name)
{
    size_t at = 0;
    size_t start;
    size_t length;
    size_t found = 0;
    while (next_name(list, &at, &start, &length))
        found += is_name(list, start, length, name);
    return found;
}

static bool is_before(struct filter_list list, const char *name, const char *other)
{
    return filter_list_find(list, name) < filter_list_find(list, other);
}

enum filter_order filter_order_of(struct filter_list lower, struct filter_list upper,
                                  const char *name)
{
    size_t in_lower = occurrences(lower, name);
    size_t in_upper = occurrences(upper, name);
    if (in_lower + in_upper == 0)
        return FILTER_NOT_REGISTERED;
    if (in_lower + in_upper > 1)
        return FILTER_REPEATED;
    bool is_snapped_below = filter_list_find(lower, "volsnap") != FILTER_ABSENT;
    if (in_lower != 0)
        return is_before(lower, name, "volsnap") ? FILTER_BELOW : FILTER_ABOVE;
    return !is_snapped_below && is_before(upper, name, "volsnap") ? FILTER_BELOW : FILTER_ABOVE;
}
