/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry: the volumes of one host, by path. Holds the creation reference of each.
 */
#ifndef VCK_REGISTRY_H
#define VCK_REGISTRY_H

#include "vck/list.h"
#include "vck/volume.h"

VCK_BEGIN_DECLS

struct vck_registry {
    struct vck_mutex lock;
    struct vck_link entries; /* in order of attachment */
    uint32_t count;
};

void vck_registry_init(struct vck_registry *registry);
/* Every volume must be gone. */
void vck_registry_fini(struct vck_registry *registry);

/* Adds a volume under its path. ALREADY_EXISTS, NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status vck_registry_insert(struct vck_registry *registry,
                                           struct vck_volume *volume) VCK_CAN_WAIT;
/* Takes it out; the caller has the creation reference again. NOT_FOUND. */
VCK_CHECKED vck_status vck_registry_remove(struct vck_registry *registry,
                                           struct vck_volume *volume) VCK_CAN_WAIT;
/* The volume of that path, referenced. NOT_FOUND. */
VCK_CHECKED vck_status vck_registry_find(struct vck_registry *registry, const char *path,
                                         struct vck_volume **ret_volume) VCK_CAN_WAIT;
/* The i-th volume in order of attachment, referenced. OUT_OF_RANGE. */
VCK_CHECKED vck_status vck_registry_at(struct vck_registry *registry, uint32_t index,
                                       struct vck_volume **ret_volume) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
