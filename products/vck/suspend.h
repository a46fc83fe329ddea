/* SPDX-License-Identifier: Apache-2.0 */
/* suspend: what vck resume does for a volume that was suspended. */
#ifndef VCK_PRODUCTS_VCK_SUSPEND_H
#define VCK_PRODUCTS_VCK_SUSPEND_H

#include "products/vck/vck.h"

/* Gives the volume its key again if it is suspended. */
int suspend_end(const struct command *command, const char *path, bool *ret_was_suspended);

#endif
