/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "port/win/internal.h"

#define TAG VCK_TAG('w', 't', 'x', 't')

wchar_t *vck_win_widen(const char *text)
{
    int count = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    if (count <= 0)
        return NULL;
    wchar_t *wide = vck_alloc((size_t)count * sizeof(*wide), TAG);
    if (wide != NULL)
        (void)MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, count);
    return wide;
}

char *vck_win_narrow(const wchar_t *text)
{
    int size = WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, text, -1, NULL, 0, NULL, NULL);
    if (size <= 0)
        return NULL;
    char *narrow = vck_alloc((size_t)size, TAG);
    if (narrow != NULL)
        (void)WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, text, -1, narrow, size, NULL,
                                  NULL);
    return narrow;
}

/* ---- paths ---- */

static const char device_prefix[] = "\\Device\\";

static bool is_nt_device(const char *path)
{
    return strncmp(path, device_prefix, sizeof(device_prefix) - 1) == 0;
}

bool vck_win_is_device_path(const char *path)
{
    return strncmp(path, "\\\\.\\", 4) == 0 || is_nt_device(path);
}

static wchar_t *join(const wchar_t *prefix, const wchar_t *path)
{
    size_t prefix_length = wcslen(prefix);
    size_t length = wcslen(path);
    wchar_t *joined = vck_alloc((prefix_length + length + 1) * sizeof(*joined), TAG);
    if (joined == NULL)
        return NULL;
    memcpy(joined, prefix, prefix_length * sizeof(*joined));
    memcpy(joined + prefix_length, path, length * sizeof(*joined));
    return joined;
}

/* The full path: what \\?\ is in front of is not looked at any more. */
static wchar_t *make_full(const wchar_t *path)
{
    wchar_t *full = NULL;
    DWORD size = GetFullPathNameW(path, 0, NULL, NULL);
    if (size != 0)
        full = vck_alloc(size * sizeof(*full), TAG);
    if (full != NULL && GetFullPathNameW(path, size, full, NULL) >= size) {
        vck_free(full); /* the current folder changed meanwhile */
        full = NULL;
    }
    return full;
}

/* Takes path. */
static wchar_t *lengthen(wchar_t *path)
{
    wchar_t *result = NULL;
    wchar_t *full = make_full(path);
    if (full != NULL && wcsncmp(full, L"\\\\", 2) == 0)
        result = join(L"\\\\?\\UNC\\", full + 2);
    else if (full != NULL)
        result = join(L"\\\\?\\", full);
    vck_free(full);
    vck_free(path);
    return result;
}

wchar_t *vck_win_path(const char *path)
{
    wchar_t *wide = vck_win_widen(path);
    if (wide == NULL)
        return NULL;
    if (is_nt_device(path)) {
        wchar_t *global = join(L"\\\\?\\GLOBALROOT", wide);
        vck_free(wide);
        return global;
    }
    bool is_long = wcslen(wide) >= MAX_PATH - 12;
    bool is_literal = wcsncmp(wide, L"\\\\?\\", 4) == 0 || wcsncmp(wide, L"\\\\.\\", 4) == 0;
    return is_long && !is_literal ? lengthen(wide) : wide;
}
