/* SPDX-License-Identifier: Apache-2.0 */
/*
 * library: shared libraries that few need, loaded when the first does: programs start without them,
 * and an initrd has none that its volumes do not call for.
 *
 *     #define FUNCTIONS(X) X(create) X(close)
 *     #define FIELD(name)  __typeof__(nbd_##name) *name;
 *     static struct { FUNCTIONS(FIELD) } nbd;
 *     #define ENTRY(name)  VCK_POSIX_FUNCTION("nbd_" #name, nbd.name)
 *     static const struct vck_posix_function functions[] = {FUNCTIONS(ENTRY)};
 */
#ifndef VCK_PORT_POSIX_LIBRARY_H
#define VCK_PORT_POSIX_LIBRARY_H

#include "port/posix/posix.h"

struct vck_posix_function {
    const char *name;
    void **place; /* a pointer to functions */
};

#define VCK_POSIX_FUNCTION(name, pointer) {(name), (void **)&(pointer)},

struct vck_posix_library {
    const char *file;    /* with the version of its interface */
    const char *package; /* Debian's, for the person who lacks it */
    const struct vck_posix_function *functions;
    unsigned count;
    bool is_loaded;
};

#define VCK_POSIX_LIBRARY(file, package, functions)                                                \
    {                                                                                              \
        (file), (package), (functions), sizeof(functions) / sizeof((functions)[0]), false          \
    }

/* For the rest of the process; nothing is done where it has been. All places are set, or the
 * library is not used. UNSUPPORTED: it is not here, or lacks a function; ret_error, which may be
 * NULL, names it and its package. PASSIVE, any thread. */
VCK_CHECKED vck_status vck_posix_library_load(struct vck_posix_library *library,
                                              struct vck_posix_error *ret_error);

#endif
