/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: where the copies are. */
#ifndef VCK_KEYS_INTERNAL_H
#define VCK_KEYS_INTERNAL_H

#include "port/port.h"
#include "vck/key_store.h"

#define KEYS_TAG   VCK_TAG('K', 's', 't', 'o')
#define KEY_COPIES 2u

_Static_assert(KEY_COPIES *VCK_KEY_TABLE_BYTES == VCK_KEY_SLOTS_BYTES, "the copies fill the area");

/* Absolute byte offset of a copy. */
uint64_t vck_key_copy_offset(const struct vck_layout *layout, uint32_t replica, uint32_t copy);

#endif
