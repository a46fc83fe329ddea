/* SPDX-License-Identifier: Apache-2.0 */
#include "port/posix/library.h"
#include <dlfcn.h>
#include <pthread.h>
#include "port/posix/disk_internal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool find_functions(const struct vck_posix_library *library, void *handle)
{
    for (unsigned i = 0; i < library->count; i++) {
        *library->functions[i].place = dlsym(handle, library->functions[i].name);
        if (*library->functions[i].place == NULL)
            return false;
    }
    return true;
}

vck_status vck_posix_library_load(struct vck_posix_library *library,
                                  struct vck_posix_error *ret_error)
{
    vck_status status = VCK_OK;
    pthread_mutex_lock(&lock);
    if (!library->is_loaded) {
        void *handle = dlopen(library->file, RTLD_NOW | RTLD_LOCAL);
        library->is_loaded = handle != NULL && find_functions(library, handle);
    }
    if (!library->is_loaded)
        status = vck_posix_explain(ret_error, VCK_UNSUPPORTED, 0,
                                   "%s is needed for this and cannot be loaded (package %s)",
                                   library->file, library->package);
    pthread_mutex_unlock(&lock);
    return status;
}
