/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coroutine: sequential code as a poll function, without a stack of its own. Locals that live
 * across an await sit in the future's struct; a `switch` may not be open around an await.
 *
 *     static enum vck_poll copy_poll(struct vck_future *self, const struct vck_waker *waker)
 *     {
 *         struct copy *c = VCK_CONTAINER_OF(self, struct copy, future);
 *         VCK_CO_BEGIN(&c->co);
 *         vck_disk_future_init(&c->io, ...);
 *         VCK_CO_AWAIT(&c->co, &c->io.future, waker);
 *         ...
 *         VCK_CO_END(&c->co);
 *     }
 */
#ifndef VCK_COROUTINE_H
#define VCK_COROUTINE_H

#include <stdint.h>
#include "vck/future.h"

struct vck_coroutine {
    uint32_t resume_at; /* 0: at the start */
};

#define VCK_CO_DONE UINT32_MAX

#define VCK_CO_BEGIN(co)                                                                           \
    switch ((co)->resume_at) {                                                                     \
    case 0:

/* Ends the coroutine; poll returns READY. */
#define VCK_CO_RETURN(co)                                                                          \
    do {                                                                                           \
        (co)->resume_at = VCK_CO_DONE;                                                             \
        return VCK_READY;                                                                          \
    } while (0)

#define VCK_CO_END(co)                                                                             \
    break;                                                                                         \
    default:                                                                                       \
        VCK_ASSERT(!"polled after READY");                                                         \
        }                                                                                          \
        (co)->resume_at = VCK_CO_DONE;                                                             \
        return VCK_READY

/* Goes on when the future is ready. */
#define VCK_CO_AWAIT(co, awaited, waker)                                                           \
    do {                                                                                           \
        (co)->resume_at = __LINE__;                                                                \
        __attribute__((fallthrough));                                                              \
    case __LINE__:                                                                                 \
        if (vck_future_poll((awaited), (waker)) == VCK_PENDING)                                    \
            return VCK_PENDING;                                                                    \
    } while (0)

/* Goes on when an expression that polls is READY: a part of the coroutine with a state of its own.
 */
#define VCK_CO_CALL(co, polled)                                                                    \
    do {                                                                                           \
        (co)->resume_at = __LINE__;                                                                \
        __attribute__((fallthrough));                                                              \
    case __LINE__:                                                                                 \
        if ((polled) == VCK_PENDING)                                                               \
            return VCK_PENDING;                                                                    \
    } while (0)

/* Goes on when the condition holds; evaluating it must register the waker when it does not. */
#define VCK_CO_WAIT_UNTIL(co, condition)                                                           \
    do {                                                                                           \
        (co)->resume_at = __LINE__;                                                                \
        __attribute__((fallthrough));                                                              \
    case __LINE__:                                                                                 \
        if (!(condition))                                                                          \
            return VCK_PENDING;                                                                    \
    } while (0)

#endif
