/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread_local: one value per thread and key. A value is destroyed when its thread ends, on that
 * thread, or when its key is finished because the module goes, whichever comes first; exactly once,
 * and without a lock held.
 */
#ifndef VCK_THREAD_LOCAL_H
#define VCK_THREAD_LOCAL_H

#include <stdint.h>
#include "port/port.h"

VCK_BEGIN_DECLS

/* Keys that may exist at a time. */
#define VCK_THREAD_LOCALS_MAX 64

struct vck_thread_local {
    uint32_t index;
};

/* destroy(value) ends a value; NULL when there is nothing to do. It runs at PASSIVE and may get but
 * not set thread-local values. BUSY when there are as many keys as there may be. PASSIVE. */
VCK_CHECKED vck_status vck_thread_local_init(struct vck_thread_local *local,
                                             void (*destroy)(void *value));

/* Destroys the values of all threads and waits for those that are being destroyed by ending
 * threads. Nobody sets or gets values of this key any more. PASSIVE. */
void vck_thread_local_fini_at(struct vck_thread_local *local, const char *site) VCK_CAN_WAIT;
#define vck_thread_local_fini(local) vck_thread_local_fini_at((local), VCK_HERE)

/* The calling thread's value, NULL when it has none. APC. */
void *vck_thread_local_get(const struct vck_thread_local *local);

/* Sets it, NULL to have none. The one before is the caller's again and not destroyed. NO_MEMORY,
 * for the first value of a thread that was not spawned by this room; DELETE_PENDING once the
 * thread's values are being destroyed. APC. */
VCK_CHECKED vck_status vck_thread_local_set(const struct vck_thread_local *local, void *value);

VCK_END_DECLS

#endif
