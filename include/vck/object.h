/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object: everything with a lifetime that others may hold. Objects form one tree; a type gives a
 * context's size and its ends.
 *
 *     initialising --init ok--> live --delete--> deleting --cleanup ran--> ended --last
 *     release--> destroyed, freed
 *
 * reference and release keep memory, never delete. delete ends life: children first, youngest
 * first, each cleanup exactly once at PASSIVE. destroy runs exactly once, when the last reference
 * has gone. A child keeps its parent's memory, not its life. The parent is given at creation and
 * never changes, so that no object becomes its own ancestor. Misuse of the counts is logged and
 * keeps the memory for good; it does not wrap and does not stop the program.
 *
 * Not here: locks for what a context holds, and threads. Source: docs/runtime.md, "Objects".
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

/* Where contexts start when their type says nothing: a cache line. */
#define VCK_OBJECT_ALIGNMENT     64u
#define VCK_OBJECT_ALIGNMENT_MAX 4096u

struct vck_object_type {
    const char *name;
    size_t context_bytes;
    /* Life ends: stop new work, withdraw from lookups. May wait. PASSIVE. May be NULL. */
    void (*cleanup)(void *context);
    /* The last reference went; nobody else can reach the context. PASSIVE. May be NULL. */
    void (*destroy)(void *context);
    /* A power of two up to VCK_OBJECT_ALIGNMENT_MAX, 0 for VCK_OBJECT_ALIGNMENT. */
    size_t context_alignment;
};

struct vck_object;

/* Fills a zeroed context. Nobody reaches the context until this has returned VCK_OK; on any other
 * status it leaves nothing behind in the context, whose cleanup and destroy will not run. It may
 * create children of the object, and delete the object, which then takes place afterwards. */
typedef vck_status (*vck_object_init)(struct vck_object *object, void *context, void *argument);

/*
 * Creates an object under parent (NULL: a root); the caller keeps the parent's memory meanwhile.
 * init may be NULL. When init fails, children made meanwhile are deleted, the memory goes and its
 * status is returned. NO_MEMORY; INVALID_DATA (the type's alignment); DELETE_PENDING (the parent or
 * the root is being deleted); DELETED (somebody deleted the object while init ran: it is gone).
 *
 * The caller owns the creation reference, which delete drops; a deletion of the parent is one of
 * the object as well. Who must use the object whatever others delete takes a reference in init.
 * PASSIVE.
 */
VCK_CHECKED vck_status vck_object_create_at(const struct vck_object_type *type,
                                            struct vck_object *parent, vck_object_init init,
                                            void *argument, struct vck_object **ret_object,
                                            const char *site) VCK_CAN_WAIT;
#define vck_object_create(type, parent, init, argument, ret_object)                                \
    vck_object_create_at((type), (parent), (init), (argument), (ret_object), VCK_HERE)

/*
 * Gives a live object a further context, one for each type (by address). Its cleanup and destroy
 * run before those of the contexts that were there. ret_context may be NULL. NO_MEMORY;
 * INVALID_DATA (alignment); ALREADY_EXISTS; NOT_READY (the object is not initialised yet);
 * DELETE_PENDING; or what init returned. PASSIVE.
 */
VCK_CHECKED vck_status vck_object_add_context_at(struct vck_object *object,
                                                 const struct vck_object_type *type,
                                                 vck_object_init init, void *argument,
                                                 void **ret_context, const char *site) VCK_CAN_WAIT;
#define vck_object_add_context(object, type, init, argument, ret_context)                          \
    vck_object_add_context_at((object), (type), (init), (argument), (ret_context), VCK_HERE)

/* The context of this type, borrowed from the reference by which the caller has the object.
 * NOT_READY until its init has returned VCK_OK, NOT_FOUND when there is none. DISPATCH. */
VCK_CHECKED vck_status vck_object_context(struct vck_object *object,
                                          const struct vck_object_type *type, void **ret_context);

/* The object that has this context. DISPATCH. */
struct vck_object *vck_object_of_context(void *context);

/* The parent, NULL of a root: there as long as the object's memory is. DISPATCH. */
struct vck_object *vck_object_parent(const struct vck_object *object);

/*
 * Keeps the memory. The tag (VCK_TAG) says what for; builds without NDEBUG keep tag and site of
 * each reference, and refuse, with a line in the log, a release by a tag that holds none. Every
 * build catches a count that would overflow, and one that would drop the creation reference: a line
 * in the log, and the memory stays. DISPATCH.
 */
void vck_object_reference_at(struct vck_object *object, uint32_t tag, const char *site);
#define vck_object_reference(object, tag) vck_object_reference_at((object), (tag), VCK_HERE)

/* The last one runs destroy, here or, above PASSIVE, in deferred work. DISPATCH. */
void vck_object_release_at(struct vck_object *object VCK_TAKES, uint32_t tag, const char *site);
#define vck_object_release(object, tag) vck_object_release_at((object), (tag), VCK_HERE)

/*
 * Ends the object's life, and its descendants', and drops the creation reference. The first call
 * does it and returns VCK_OK; later ones, by holders of a reference, return DELETED, also when the
 * deletion of an ancestor came first. DISPATCH.
 *
 * At PASSIVE it has taken place on return: a child that another thread is deleting or initialising
 * is waited for. It takes place later, in deferred work or on the thread that is initialising the
 * object: above PASSIVE; while init runs; and when it would have to wait inside a callback of this
 * room, because two of these might wait for each other.
 */
vck_status vck_object_delete(struct vck_object *object);

/* Whether deletion has begun or been asked for. DISPATCH. */
bool vck_object_is_deleting(const struct vck_object *object);

/* How often an unload that takes long says what it waits for. */
#define VCK_UNLOAD_REPORT_NS UINT64_C(5000000000)

/*
 * Deletes the driver's object, a root, and waits until the memory of its whole tree has gone and
 * deferred work has run: nothing of the driver runs afterwards. From its beginning no object can be
 * created in the tree. While it waits it logs, every report_every_ns (0: VCK_UNLOAD_REPORT_NS),
 * what vck_object_report does; at the end, in builds without NDEBUG, the allocations still live. It
 * takes the creation reference; also when a deletion had begun before, if that has not ended.
 * UNSUPPORTED: not a root, or inside a callback of this room. BUSY: somebody unloads it. PASSIVE.
 */
vck_status vck_object_unload(struct vck_object *root VCK_TAKES,
                             uint64_t report_every_ns) VCK_CAN_WAIT;

/* Logs the object and its descendants whose memory is there, a line each with the number of
 * references, and, in builds without NDEBUG, who holds them. PASSIVE. */
void vck_object_report(struct vck_object *object) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
