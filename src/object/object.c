/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/object.h"
#include "object_internal.h"
#include "vck/log.h"

_Static_assert(sizeof(struct context) % 16 == 0, "a context's bytes are aligned to 16");
_Static_assert(offsetof(struct vck_object, first) + sizeof(struct context) ==
                   sizeof(struct vck_object),
               "the bytes of the first context follow the object");

/* ---- memory ---- */

static size_t alignment_of(const struct vck_object_type *type)
{
    return type->context_alignment != 0 ? type->context_alignment : VCK_OBJECT_ALIGNMENT;
}

static bool is_alignment_valid(const struct vck_object_type *type)
{
    size_t alignment = alignment_of(type);
    return (alignment & (alignment - 1)) == 0 && alignment <= VCK_OBJECT_ALIGNMENT_MAX;
}

/* Room for `head_bytes` with the type's context, aligned, right behind; *ret_head is in
 * *ret_allocation. */
static bool allocate(const struct vck_object_type *type, size_t head_bytes, const char *site,
                     void **ret_allocation, void **ret_head)
{
    size_t alignment = alignment_of(type);
    size_t padding = alignment > 16 ? alignment - 16 : 0;
    if (type->context_bytes > SIZE_MAX / 2)
        return false;
    unsigned char *memory =
        vck_alloc_at(head_bytes + padding + type->context_bytes, OBJECT_TAG, site);
    if (memory == NULL)
        return false;
    uintptr_t context = ((uintptr_t)memory + head_bytes + alignment - 1) & ~(alignment - 1);
    *ret_allocation = memory;
    *ret_head = memory + (context - (uintptr_t)memory - head_bytes);
    return true;
}

static void init_object(struct vck_object *object, const struct vck_object_type *type,
                        struct vck_object *parent)
{
    object->parent = parent;
    object->root = parent != NULL ? parent->root : object;
    object->references = 1;
    object->life = LIFE_INITIALISING;
    vck_link_init(&object->sibling);
    vck_link_init(&object->children);
    vck_link_init(&object->lingering);
    vck_spinlock_init(&object->lock);
    holders_init(&object->holders);
    object->first.type = type;
    object->first.object = object;
    object->newest = &object->first;
}

/* ---- creation ---- */

static bool is_asked(const struct vck_object *object)
{
    enum life life = life_of(object);
    return life != LIFE_INITIALISING && life != LIFE_LIVE;
}

static vck_status attach_to_parent(struct vck_object *object)
{
    struct vck_object *parent = object->parent;
    vck_status status = VCK_OK;

    if (parent == NULL)
        return VCK_OK;
    vck_object_keep(parent);
    vck_spinlock_acquire(&parent->lock);
    if (is_asked(parent) || is_asked(parent->root))
        status = VCK_DELETE_PENDING;
    else
        vck_list_push_back(&parent->children, &object->sibling);
    vck_spinlock_release(&parent->lock);
    if (status != VCK_OK)
        vck_object_put(parent);
    return status;
}

static vck_status run_init(struct context *context, vck_object_init init, void *argument)
{
    struct frame frame;
    vck_status status = VCK_OK;

    if (init != NULL) {
        vck_object_frame_enter(&frame);
        status = init(context->object, bytes_of(context), argument);
        vck_object_frame_leave(&frame);
    }
    OBJECT_POINT();
    if (status == VCK_OK)
        __atomic_store_n(&context->is_ready, 1, __ATOMIC_RELEASE);
    return status;
}

vck_status vck_object_create_at(const struct vck_object_type *type, struct vck_object *parent,
                                vck_object_init init, void *argument,
                                struct vck_object **ret_object, const char *site)
{
    vck_status status;
    void *allocation;
    void *head;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (!is_alignment_valid(type))
        return VCK_INVALID_DATA;
    if (!allocate(type, sizeof(struct vck_object), site, &allocation, &head))
        return VCK_NO_MEMORY;
    struct vck_object *object = head;
    object->allocation = allocation;
    object->site = site;
    init_object(object, type, parent);
    status = attach_to_parent(object);
    if (status != VCK_OK) {
        vck_free(allocation);
        return status;
    }
    status = run_init(&object->first, init, argument);
    if (status == VCK_OK && change_life(object, LIFE_INITIALISING, LIFE_LIVE)) {
        *ret_object = object;
        return VCK_OK;
    }
    /* Whoever asked meanwhile has left it to this thread. */
    __atomic_store_n(&object->life, LIFE_DELETING, __ATOMIC_RELEASE);
    vck_object_carry_out(object);
    return status != VCK_OK ? status : VCK_DELETED;
}

/* ---- contexts ---- */

static struct context *find_context(struct vck_object *object, const struct vck_object_type *type)
{
    struct context *context = object->newest;
    while (context != NULL && context->type != type)
        context = context->older;
    return context;
}

static vck_status attach_context(struct vck_object *object, struct context *context)
{
    vck_status status = VCK_OK;

    vck_spinlock_acquire(&object->lock);
    if (life_of(object) == LIFE_INITIALISING)
        status = VCK_NOT_READY;
    else if (life_of(object) != LIFE_LIVE)
        status = VCK_DELETE_PENDING;
    else if (find_context(object, context->type) != NULL)
        status = VCK_ALREADY_EXISTS;
    if (status == VCK_OK) {
        context->older = object->newest;
        object->newest = context;
        object->contexts_pending++;
    }
    vck_spinlock_release(&object->lock);
    return status;
}

/* The context is initialised, or it is taken out again. A deletion may have waited for that. */
static void settle_context(struct vck_object *object, struct context *context, bool is_failed)
{
    vck_spinlock_acquire(&object->lock);
    object->contexts_pending--;
    if (is_failed) {
        struct context **place = &object->newest;
        while (*place != context)
            place = &(*place)->older;
        *place = context->older;
    }
    vck_spinlock_release(&object->lock);
    vck_object_wake(object);
}

vck_status vck_object_add_context_at(struct vck_object *object, const struct vck_object_type *type,
                                     vck_object_init init, void *argument, void **ret_context,
                                     const char *site)
{
    vck_status status;
    void *allocation;
    void *head;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (!is_alignment_valid(type))
        return VCK_INVALID_DATA;
    if (!allocate(type, sizeof(struct context), site, &allocation, &head))
        return VCK_NO_MEMORY;
    struct context *context = head;
    context->type = type;
    context->object = object;
    context->allocation = allocation;
    vck_object_keep(object);
    status = attach_context(object, context);
    if (status != VCK_OK)
        goto out;
    status = run_init(context, init, argument);
    settle_context(object, context, status != VCK_OK);
    if (status == VCK_OK && ret_context != NULL)
        *ret_context = bytes_of(context);
out:
    if (status != VCK_OK)
        vck_free(allocation);
    vck_object_put(object);
    return status;
}

static vck_status context_if_ready(struct context *context, void **ret_context)
{
    OBJECT_POINT();
    if (!__atomic_load_n(&context->is_ready, __ATOMIC_ACQUIRE))
        return VCK_NOT_READY;
    *ret_context = bytes_of(context);
    return VCK_OK;
}

vck_status vck_object_context(struct vck_object *object, const struct vck_object_type *type,
                              void **ret_context)
{
    vck_status status = VCK_NOT_FOUND;

    if (object->first.type == type)
        return context_if_ready(&object->first, ret_context);
    vck_spinlock_acquire(&object->lock);
    struct context *context = find_context(object, type);
    if (context != NULL)
        status = context_if_ready(context, ret_context);
    vck_spinlock_release(&object->lock);
    return status;
}

struct vck_object *vck_object_of_context(void *context)
{
    return ((struct context *)context - 1)->object;
}

struct vck_object *vck_object_parent(const struct vck_object *object)
{
    return object->parent;
}

bool vck_object_is_deleting(const struct vck_object *object)
{
    return is_asked(object);
}

/* ---- references ---- */

VCK_COLD static void pin(struct vck_object *object, const char *what)
{
    __atomic_store_n(&object->references, REFERENCES_PINNED, __ATOMIC_RELAXED);
    vck_log_error("object \"%s\" created at %s: %s; its memory stays", object->first.type->name,
                  object->site ? object->site : "?", what);
}

void vck_object_keep(struct vck_object *object)
{
    OBJECT_POINT();
    uint32_t before = __atomic_fetch_add(&object->references, 1, __ATOMIC_RELAXED);
    if (before == 0)
        pin(object, "referenced while it is destroyed");
    else if (before == REFERENCES_MAX)
        pin(object, "too many references");
    else if (before > REFERENCES_MAX)
        __atomic_store_n(&object->references, REFERENCES_PINNED, __ATOMIC_RELAXED);
}

bool vck_object_try_keep(struct vck_object *object)
{
    uint32_t seen = __atomic_load_n(&object->references, __ATOMIC_RELAXED);
    do {
        if (seen == 0)
            return false;
        if (seen >= REFERENCES_MAX)
            return true;
    } while (!__atomic_compare_exchange_n(&object->references, &seen, seen + 1, true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return true;
}

/* Before the end of life the last one is the creation reference, which is the deletion's. */
bool vck_object_drop(struct vck_object *object)
{
    OBJECT_POINT();
    uint32_t before = __atomic_fetch_sub(&object->references, 1, __ATOMIC_ACQ_REL);
    if (before == 1 && life_of(object) == LIFE_ENDED)
        return true;
    if (before <= 1)
        pin(object, "released more often than referenced");
    else if (before > REFERENCES_MAX)
        __atomic_store_n(&object->references, REFERENCES_PINNED, __ATOMIC_RELAXED);
    return false;
}

void vck_object_put(struct vck_object *object)
{
    if (vck_object_drop(object))
        vck_object_dispose(object);
}

void vck_object_reference_at(struct vck_object *object, uint32_t tag, const char *site)
{
    vck_object_keep(object);
    holders_add(&object->holders, tag, site);
}

void vck_object_release_at(struct vck_object *object, uint32_t tag, const char *site)
{
    if (holders_remove(&object->holders, tag)) {
        vck_object_put(object);
        return;
    }
    vck_log_error("object \"%s\": released at %s by tag %c%c%c%c, which holds no reference",
                  object->first.type->name, site ? site : "?", (char)tag, (char)(tag >> 8),
                  (char)(tag >> 16), (char)(tag >> 24));
}
