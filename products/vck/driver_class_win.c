/* SPDX-License-Identifier: Apache-2.0 */
#include <windows.h>
#include "port/port.h"
#include "products/vck/driver.h"

#define CLASS_TAG VCK_TAG('C', 'd', 'c', 'l')

/* GUID_DEVCLASS_VOLUME */
#define CLASS_KEY                                                                                  \
    L"SYSTEM\\CurrentControlSet\\Control\\Class\\{71a27cdd-812a-11d0-bec7-08002be2092f}"
#define LOWER L"LowerFilters"
#define UPPER L"UpperFilters"

#define LIST_BYTES_MAX 65536u

/* A list as the registry has it; units are freed with vck_free. */
struct kept_list {
    uint16_t *units;
    size_t count;
};

static struct filter_list view(const struct kept_list *list)
{
    return (struct filter_list){list->units, list->count};
}

/* A value that is not there is an empty list. */
static uint32_t read_list(HKEY key, const wchar_t *name, struct kept_list *ret_list)
{
    DWORD type;
    DWORD size = LIST_BYTES_MAX;
    uint16_t *units = vck_alloc(LIST_BYTES_MAX, CLASS_TAG);
    if (units == NULL)
        return ERROR_NOT_ENOUGH_MEMORY;
    LSTATUS error = RegQueryValueExW(key, name, NULL, &type, (BYTE *)units, &size);
    if (error == ERROR_FILE_NOT_FOUND) {
        error = ERROR_SUCCESS;
        size = 0;
    } else if (error == ERROR_SUCCESS && type != REG_MULTI_SZ) {
        error = ERROR_INVALID_DATA;
    }
    if (error != ERROR_SUCCESS) {
        vck_free(units);
        return (uint32_t)error;
    }
    *ret_list = (struct kept_list){units, size / sizeof(*units)};
    return ERROR_SUCCESS;
}

/* An empty list has no value. */
static uint32_t write_list(HKEY key, const wchar_t *name, const uint16_t *units, size_t count)
{
    LSTATUS error = count > 1 ? RegSetValueExW(key, name, 0, REG_MULTI_SZ, (const BYTE *)units,
                                               (DWORD)(count * sizeof(*units)))
                              : RegDeleteValueW(key, name);
    return error == ERROR_FILE_NOT_FOUND ? ERROR_SUCCESS : (uint32_t)error;
}

typedef size_t edit(struct filter_list list, const char *name, uint16_t *ret_units);

static uint32_t edit_list(HKEY key, const wchar_t *name, edit *change)
{
    struct kept_list list;
    uint32_t error = read_list(key, name, &list);
    if (error != ERROR_SUCCESS)
        return error;
    size_t room = list.count + sizeof(DRIVER_SERVICE) + 2;
    uint16_t *units = vck_alloc(room * sizeof(*units), CLASS_TAG);
    if (units != NULL)
        error = write_list(key, name, units, change(view(&list), DRIVER_SERVICE, units));
    else
        error = ERROR_NOT_ENOUGH_MEMORY;
    vck_free(units);
    vck_free(list.units);
    return error;
}

static uint32_t with_key(REGSAM rights, HKEY *ret_key)
{
    return (uint32_t)RegOpenKeyExW(HKEY_LOCAL_MACHINE, CLASS_KEY, 0, rights, ret_key);
}

uint32_t driver_class_register(void)
{
    HKEY key;
    uint32_t error = (uint32_t)RegCreateKeyExW(HKEY_LOCAL_MACHINE, CLASS_KEY, 0, NULL, 0,
                                               KEY_QUERY_VALUE | KEY_SET_VALUE, NULL, &key, NULL);
    if (error != ERROR_SUCCESS)
        return error;
    error = edit_list(key, UPPER, filter_list_remove);
    if (error == ERROR_SUCCESS)
        error = edit_list(key, LOWER, filter_list_add);
    (void)RegFlushKey(key);
    RegCloseKey(key);
    return error;
}

uint32_t driver_class_unregister(void)
{
    HKEY key;
    uint32_t error = with_key(KEY_QUERY_VALUE | KEY_SET_VALUE, &key);
    if (error == ERROR_FILE_NOT_FOUND)
        return ERROR_SUCCESS;
    if (error != ERROR_SUCCESS)
        return error;
    error = edit_list(key, LOWER, filter_list_remove);
    if (error == ERROR_SUCCESS)
        error = edit_list(key, UPPER, filter_list_remove);
    (void)RegFlushKey(key);
    RegCloseKey(key);
    return error;
}

static uint32_t query(HKEY key, enum filter_order *ret_order, bool *ret_is_lower)
{
    struct kept_list lower = {0};
    struct kept_list upper = {0};
    uint32_t error = read_list(key, LOWER, &lower);
    if (error == ERROR_SUCCESS)
        error = read_list(key, UPPER, &upper);
    if (error == ERROR_SUCCESS) {
        *ret_order = filter_order_of(view(&lower), view(&upper), DRIVER_SERVICE);
        *ret_is_lower = filter_list_find(view(&lower), DRIVER_SERVICE) != FILTER_ABSENT;
    }
    vck_free(lower.units);
    vck_free(upper.units);
    return error;
}

uint32_t driver_class_query(enum filter_order *ret_order, bool *ret_is_lower)
{
    HKEY key;
    uint32_t error = with_key(KEY_QUERY_VALUE, &key);
    if (error == ERROR_FILE_NOT_FOUND) {
        *ret_order = FILTER_NOT_REGISTERED;
        *ret_is_lower = false;
        return ERROR_SUCCESS;
    }
    if (error != ERROR_SUCCESS)
        return error;
    error = query(key, ret_order, ret_is_lower);
    RegCloseKey(key);
    return error;
}
