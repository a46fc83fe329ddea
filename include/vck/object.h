/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object: everything with a lifetime that others may hold. Objects form one tree; a type gives the
 * context's size and its ends.
 *
 *     created --init ok--> live --delete--> deleting --cleanup ran--> dead --last release--> freed
 *
 * reference and release keep memory, never delete. delete ends life: children first, youngest
 * first, each cleanup exactly once. destroy runs exactly once, when the last reference goes. A
 * child keeps its parent's memory, not its life. Source: docs/runtime.md, "Objects".
 */
#ifndef VCK_OBJECT_H
#define VCK_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "port/port.h"
#include "vck/list.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* Contexts start on a cache line, so that what they hold may ask for that alignment. */
#define VCK_OBJECT_ALIGNMENT 64u

struct vck_object_type {
    const char *name;
    size_t context_bytes;
    /* Life ends: stop new work, withdraw from lookups. May wait. PASSIVE. May be NULL. */
    void (*cleanup)(void *context);
    /* The last reference went; nobody else can reach the context. May be NULL. */
    void (*destroy)(void *context);
};

struct vck_object;

/*
 * Creates an object under parent (NULL: a root). The context is zeroed, then init(context,
 * argument) runs; until it returns OK nobody can reach the context through vck_object_context. When
 * it fails, children made meanwhile are deleted, destroy does not run, and its status is returned.
 * The caller owns the creation reference, which delete drops. NO_MEMORY, DELETE_PENDING (parent).
 * PASSIVE.
 */
VCK_CHECKED vck_status
vck_object_create(const struct vck_object_type *type, struct vck_object *parent,
                  vck_status (*init)(struct vck_object *object, void *context, void *argument),
                  void *argument, struct vck_object **ret_object) VCK_CAN_WAIT;

/* The context. NOT_READY while init runs, NOT_FOUND when the type is another. DISPATCH. */
VCK_CHECKED vck_status vck_object_context(struct vck_object *object,
                                          const struct vck_object_type *type, void **ret_context);

/* The object whose context this is. DISPATCH. */
struct vck_object *vck_object_of_context(void *context);

/* Keeps the memory. A count that would saturate or pass zero stops the program. DISPATCH. */
void vck_object_reference(struct vck_object *object);
/* PASSIVE when it may be the last one (destroy runs here), else DISPATCH. */
void vck_object_release(struct vck_object *object VCK_TAKES);

/* Ends the object's life and drops the creation reference. The first call does it; later or
 * concurrent calls by holders of a reference return DELETED. PASSIVE. */
vck_status vck_object_delete(struct vck_object *object) VCK_CAN_WAIT;

/* Whether deletion has begun. DISPATCH. */
bool vck_object_is_deleting(const struct vck_object *object);

VCK_END_DECLS

#endif
