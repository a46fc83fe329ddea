/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_list: the LowerFilters and UpperFilters of a device class, lists of service names as the
 * registry keeps them (REG_MULTI_SZ: UTF-16, each name ends with a zero, the list with one more).
 * Pure. Names are compared without regard to the case of ASCII letters.
 *
 * Windows puts a device's filters on its stack from the bottom up: the class's lower filters in
 * their order, the function driver, then the upper ones in their order. Source: "Device Filter
 * Driver Ordering" in the Windows driver documentation.
 */
#ifndef VCK_PRODUCTS_VCK_FILTER_LIST_H
#define VCK_PRODUCTS_VCK_FILTER_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A list of any end the registry may hold; the zeroes at its end may be missing. */
struct filter_list {
    const uint16_t *units;
    size_t count;
};

#define FILTER_ABSENT SIZE_MAX

/* The place of a name, from 0. */
size_t filter_list_find(struct filter_list list, const char *name);

/* The list with the name at its end, or without it wherever it stood, well-formed; the rest keeps
 * its order. At most list.count + strlen(name) + 3 units are written; returns their number. An
 * empty list is a single zero. */
size_t filter_list_add(struct filter_list list, const char *name, uint16_t *ret_units);
size_t filter_list_remove(struct filter_list list, const char *name, uint16_t *ret_units);

enum filter_order {
    FILTER_NOT_REGISTERED,
    FILTER_BELOW,    /* shadow copies are of what programs see */
    FILTER_ABOVE,    /* volsnap is below it and would keep ciphertext */
    FILTER_REPEATED, /* registered twice: it would be on the stack twice */
};

/* Where `name` is on the stack of a volume, compared with volsnap. */
enum filter_order filter_order_of(struct filter_list lower, struct filter_list upper,
                                  const char *name);

#endif
