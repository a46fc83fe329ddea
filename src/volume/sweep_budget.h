/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep_budget: the memory that all sweeps of the process share, so that many volumes at once take
 * turns instead of memory.
 */
#ifndef VCK_SWEEP_BUDGET_H
#define VCK_SWEEP_BUDGET_H

#include "vck/sweep.h"

/* True with the bytes taken; otherwise the waiter is registered and false. */
bool sweep_budget_take(uint64_t bytes, struct vck_waiter *waiter, const struct vck_waker *waker);
void sweep_budget_give(uint64_t bytes);
void sweep_budget_forget(struct vck_waiter *waiter);
/* Whether somebody waits: whoever holds some should finish its batch and give it back. */
bool sweep_budget_is_wanted(void);

#endif
