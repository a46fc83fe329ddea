/* SPDX-License-Identifier: Apache-2.0 */
#include "object_internal.h"
#include "vck/log.h"

/* On the stack of the thread that unloads. */
struct unloading {
    struct vck_spinlock lock;
    bool is_ending; /* the root may no longer be touched */
    struct vck_event gone;
};

struct unloading *vck_object_unload_ends(struct vck_object *root)
{
    struct unloading *unloading = __atomic_load_n(&root->unloading, __ATOMIC_ACQUIRE);

    if (unloading != NULL) {
        vck_spinlock_acquire(&unloading->lock);
        unloading->is_ending = true;
        vck_spinlock_release(&unloading->lock);
    }
    return unloading;
}

void vck_object_unload_ended(struct unloading *unloading)
{
    vck_event_set(&unloading->gone);
}

/* ---- the report ---- */

static void report_one(struct vck_object *object, unsigned depth)
{
    struct holder holder = {0};
    const char *name = object->first.type->name;
    uint32_t references = __atomic_load_n(&object->references, __ATOMIC_RELAXED);

    /* Without the one that the report holds. */
    vck_log_warning("object \"%s\", depth %u, created at %s: %u references%s", name, depth,
                    object->site ? object->site : "?", references - 1,
                    references > REFERENCES_MAX ? ", for good: the count was misused" : "");
    for (size_t i = 0; holders_get(&object->holders, i, &holder); i++) {
        uint32_t tag = holder.tag;
        vck_log_warning("object \"%s\": %u held as %c%c%c%c since %s", name, holder.count,
                        (char)tag, (char)(tag >> 8), (char)(tag >> 16), (char)(tag >> 24),
                        holder.site ? holder.site : "?");
    }
}

/* The first link behind `link` whose object has a reference left, with one more; the children come
 * first. */
static struct vck_object *keep_from(struct vck_object *parent, struct vck_link *link)
{
    for (;;) {
        struct vck_object *object;
        if (link == &parent->children)
            link = parent->lingering.next;
        if (link == &parent->lingering)
            return NULL;
        object = VCK_CONTAINER_OF(link, struct vck_object, sibling);
        if (vck_object_try_keep(object))
            return object;
        link = link->next;
    }
}

static struct vck_object *first_below(struct vck_object *parent)
{
    vck_spinlock_acquire(&parent->lock);
    struct vck_object *object = keep_from(parent, parent->children.next);
    vck_spinlock_release(&parent->lock);
    return object;
}

static struct vck_object *next_beside(struct vck_object *object)
{
    struct vck_object *parent = object->parent;
    vck_spinlock_acquire(&parent->lock);
    struct vck_object *next = keep_from(parent, object->sibling.next);
    vck_spinlock_release(&parent->lock);
    return next;
}

/* Keeps every object on the way down to the one it is at, as the caller does with the first. */
static void report_tree(struct vck_object *top) VCK_CAN_WAIT
{
    struct vck_object *object = top;
    unsigned depth = 0;

    for (;;) {
        report_one(object, depth);
        struct vck_object *next = first_below(object);
        if (next != NULL)
            depth++;
        while (next == NULL && object != top) {
            struct vck_object *left = object;
            next = next_beside(left);
            if (next == NULL) {
                object = left->parent;
                depth--;
            }
            vck_object_put(left);
        }
        if (next == NULL)
            break;
        object = next;
    }
}

void vck_object_report(struct vck_object *object)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_object_keep(object);
    report_tree(object);
    vck_object_put(object);
}

static void report_waiting(struct vck_object *root, struct unloading *unloading) VCK_CAN_WAIT
{
    vck_spinlock_acquire(&unloading->lock);
    bool is_kept = !unloading->is_ending && vck_object_try_keep(root);
    vck_spinlock_release(&unloading->lock);
    if (!is_kept)
        return;
    vck_log_warning("unload waits until nobody holds:");
    report_tree(root);
    vck_object_put(root);
}

static void report_allocation(void *context, uint32_t tag, size_t size_bytes, const char *site)
{
    (void)context;
    vck_log_warning("still allocated: %zu bytes, %c%c%c%c, since %s", size_bytes, (char)tag,
                    (char)(tag >> 8), (char)(tag >> 16), (char)(tag >> 24), site ? site : "?");
}

/* ---- unloading ---- */

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

vck_status vck_object_unload(struct vck_object *root, uint64_t report_every_ns)
{
    struct unloading unloading = {.is_ending = false};
    struct unloading *nobody = NULL;
    uint64_t every_ns = report_every_ns != 0 ? report_every_ns : VCK_UNLOAD_REPORT_NS;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (root->parent != NULL || vck_object_in_frame())
        return VCK_UNSUPPORTED;
    vck_spinlock_init(&unloading.lock);
    vck_event_init(&unloading.gone);
    if (!__atomic_compare_exchange_n(&root->unloading, &nobody, &unloading, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        vck_event_fini(&unloading.gone);
        return VCK_BUSY;
    }
    (void)vck_object_delete(root);
    while (vck_event_wait(&unloading.gone, add_saturated(vck_clock_ns(), every_ns)) == VCK_TIMEOUT)
        report_waiting(root, &unloading);
    vck_event_fini(&unloading.gone);
    vck_defer_drain();
    (void)vck_alloc_report(VCK_TAG_ANY, report_allocation, NULL);
    return VCK_OK;
}
