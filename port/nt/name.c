/* SPDX-License-Identifier: Apache-2.0 */
#include "port/nt/name.h"
#include <string.h>
#include "port/port.h"
#include "vck/bytes.h"
#include "vck/utf.h"

#define NAME_TAG       VCK_TAG('V', 'n', 'a', 'm')
#define LINK_HOPS_MAX  8
#define LINK_QUERY     0x0001u
#define OBJECT_NAME_OF (sizeof(OBJECT_NAME_INFORMATION) + VCK_NT_NAME_CHARS * sizeof(WCHAR))

vck_status vck_nt_name_set(struct vck_nt_name *name, const char *utf8)
{
    struct vck_bytes text = {(const uint8_t *)utf8, strlen(utf8)};
    size_t size_bytes = 0;
    vck_status status =
        vck_utf8_to_utf16le(text, (uint8_t *)name->chars, sizeof(name->chars), &size_bytes);

    if (status)
        return status;
    name->string.Length = (USHORT)size_bytes;
    name->string.MaximumLength = (USHORT)size_bytes;
    name->string.Buffer = name->chars;
    return VCK_OK;
}

vck_status vck_nt_name_get(const UNICODE_STRING *string, char *out, size_t capacity_bytes)
{
    struct vck_bytes text = {(const uint8_t *)string->Buffer, string->Length};
    size_t size_bytes = 0;
    vck_status status;

    if (capacity_bytes == 0)
        return VCK_SIZE_MISMATCH;
    status = vck_utf16le_to_utf8(text, (uint8_t *)out, capacity_bytes - 1, &size_bytes);
    if (status)
        return status;
    out[size_bytes] = 0;
    return VCK_OK;
}

vck_status vck_nt_name_of_object(void *object, char *out, size_t capacity_bytes)
{
    OBJECT_NAME_INFORMATION *info = vck_alloc(OBJECT_NAME_OF, NAME_TAG);
    vck_status status = VCK_NOT_FOUND;
    ULONG size_bytes = 0;

    if (!info)
        return VCK_NO_MEMORY;
    if (NT_SUCCESS(ObQueryNameString(object, info, (ULONG)OBJECT_NAME_OF, &size_bytes)) &&
        info->Name.Length > 0)
        status = vck_nt_name_get(&info->Name, out, capacity_bytes);
    vck_free(info);
    return status;
}

/* ---- links ---- */

struct hop {
    struct vck_nt_name from;
    struct vck_nt_name to;
};

/* NOT_FOUND: no link. */
static vck_status read_link(struct hop *hop)
{
    OBJECT_ATTRIBUTES attributes;
    HANDLE handle = NULL;
    ULONG size_bytes = 0;
    NTSTATUS status;

    InitializeObjectAttributes(&attributes, &hop->from.string,
                               OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    status = ZwOpenSymbolicLinkObject(&handle, LINK_QUERY, &attributes);
    if (!NT_SUCCESS(status))
        return VCK_NOT_FOUND;
    hop->to.string.Length = 0;
    hop->to.string.MaximumLength = (USHORT)sizeof(hop->to.chars);
    hop->to.string.Buffer = hop->to.chars;
    status = ZwQuerySymbolicLinkObject(handle, &hop->to.string, &size_bytes);
    (void)ZwClose(handle);
    return NT_SUCCESS(status) ? VCK_OK : VCK_NOT_FOUND;
}

vck_status vck_nt_name_resolve(char *path, size_t capacity_bytes)
{
    struct hop *hop = vck_alloc(sizeof(*hop), NAME_TAG);
    vck_status status = VCK_OK;
    int hops = 0;

    if (!hop)
        return VCK_NO_MEMORY;
    while (status == VCK_OK) {
        status = vck_nt_name_set(&hop->from, path);
        if (status == VCK_OK)
            status = read_link(hop);
        if (status == VCK_OK)
            status = hops++ < LINK_HOPS_MAX ? vck_nt_name_get(&hop->to.string, path, capacity_bytes)
                                            : VCK_INVALID_DATA;
        if (status == VCK_SIZE_MISMATCH)
            status = VCK_INVALID_DATA;
    }
    vck_free(hop);
    return status == VCK_NOT_FOUND ? VCK_OK : status;
}
