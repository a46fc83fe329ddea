/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name: names of the NT kernel's objects: UTF-16 counted strings there, UTF-8 here; and the links
 * of its namespace.
 */
#ifndef VCK_PORT_NT_NAME_H
#define VCK_PORT_NT_NAME_H

#include <stddef.h>
#include "port/nt/ntapi.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_NT_NAME_CHARS 1024u

/* 2 KiB: not for the stack. */
struct vck_nt_name {
    UNICODE_STRING string; /* of the characters below; without a NUL */
    WCHAR chars[VCK_NT_NAME_CHARS];
};

/* INVALID_DATA: no valid UTF-8; SIZE_MISMATCH: too long. Any level. */
VCK_CHECKED vck_status vck_nt_name_set(struct vck_nt_name *name, const char *utf8);

/* With its NUL. INVALID_DATA: unpaired surrogates; SIZE_MISMATCH: does not fit. Any level. */
VCK_CHECKED vck_status vck_nt_name_get(const UNICODE_STRING *string, char *out,
                                       size_t capacity_bytes);

/* The object's name, e.g. \Device\HarddiskVolume3. NOT_FOUND: it has none; NO_MEMORY, and as get.
 * PASSIVE. */
VCK_CHECKED vck_status vck_nt_name_of_object(void *object, char *out, size_t capacity_bytes);

/* Follows symbolic links of the kernel's namespace from path on, in place. A path that is no link,
 * or leads nowhere, stays. NO_MEMORY, INVALID_DATA (links in a circle, a target that cannot be
 * written as UTF-8 in capacity_bytes). path is then undefined. PASSIVE. */
VCK_CHECKED vck_status vck_nt_name_resolve(char *path, size_t capacity_bytes) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
