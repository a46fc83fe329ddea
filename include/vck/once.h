/* SPDX-License-Identifier: Apache-2.0 */
/*
 * once: runs a function successfully at most once, whoever asks first.
 *
 *     idle --asked--> running --OK--> done
 *       ^---------- failed ---'
 */
#ifndef VCK_ONCE_H
#define VCK_ONCE_H

#include <stdbool.h>
#include <stdint.h>
#include "port/port.h"
#include "vck/waiters.h"

VCK_BEGIN_DECLS

/* Zeroed memory is idle, so that it may be static. */
struct vck_once {
    struct vck_spinlock lock;
    uint32_t state;
    uint32_t runner; /* thread id, while running */
    struct vck_waiters waiters;
};

/*
 * When OK is returned, run(context) has succeeded: here, or before, or on another thread that this
 * one then waited for. When it fails here its status is returned, and it may be tried again; of
 * those that waited meanwhile, one tries. Everything run did is visible. run is called without a
 * lock and must not ask for the same once. APC.
 */
VCK_CHECKED vck_status vck_once_run_at(struct vck_once *once, vck_status (*run)(void *context),
                                       void *context, const char *site) VCK_CAN_WAIT;
#define vck_once_run(once, run, context) vck_once_run_at((once), (run), (context), VCK_HERE)

/* The same without waiting: BUSY while another thread runs it. The highest level is that of run, up
 * to DISPATCH. */
VCK_CHECKED vck_status vck_once_try(struct vck_once *once, vck_status (*run)(void *context),
                                    void *context);

/* Whether it succeeded; what run did is then visible. Any level. */
bool vck_once_is_done(const struct vck_once *once);

VCK_END_DECLS

#endif
