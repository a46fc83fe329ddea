/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/object.h"

#define OBJECT_TAG VCK_TAG('V', 'o', 'b', 'j')

/* Beyond this a reference is being leaked in a loop, not held. */
#define REFERENCES_MAX (UINT32_MAX / 2)

enum object_state {
    STATE_INITIALISING,
    STATE_LIVE,
    STATE_DELETING,
};

struct vck_object {
    const struct vck_object_type *type;
    struct vck_object *parent; /* referenced */
    struct vck_link sibling;   /* in parent->children, under the parent's lock */
    struct vck_spinlock lock;  /* children and state */
    struct vck_link children;  /* oldest first */
    uint32_t references;
    uint32_t state;
    bool init_failed;
    void *allocation; /* the object lies in it, aligned */
    VCK_ALIGNAS(VCK_OBJECT_ALIGNMENT) unsigned char context[];
};

static struct vck_object *allocate(size_t context_bytes)
{
    unsigned char *memory =
        vck_alloc(sizeof(struct vck_object) + context_bytes + VCK_OBJECT_ALIGNMENT, OBJECT_TAG);
    struct vck_object *object;

    if (!memory)
        return NULL;
    object = (struct vck_object *)(((uintptr_t)memory + VCK_OBJECT_ALIGNMENT - 1) &
                                   ~(uintptr_t)(VCK_OBJECT_ALIGNMENT - 1));
    object->allocation = memory;
    return object;
}

static vck_status attach_to_parent(struct vck_object *object, struct vck_object *parent)
{
    vck_status status = VCK_OK;

    vck_spinlock_acquire(&parent->lock);
    if (parent->state == STATE_DELETING)
        status = VCK_DELETE_PENDING;
    else
        vck_list_push_back(&parent->children, &object->sibling);
    vck_spinlock_release(&parent->lock);
    if (status == VCK_OK) {
        vck_object_reference(parent);
        object->parent = parent;
    }
    return status;
}

/* Takes the object out of its parent's list; deletion may have been begun by either end. */
static void detach_from_parent(struct vck_object *object)
{
    struct vck_object *parent = object->parent;

    if (!parent)
        return;
    vck_spinlock_acquire(&parent->lock);
    vck_link_remove(&object->sibling);
    vck_spinlock_release(&parent->lock);
}

static bool begin_delete(struct vck_object *object)
{
    bool first;

    vck_spinlock_acquire(&object->lock);
    first = object->state != STATE_DELETING;
    __atomic_store_n(&object->state, STATE_DELETING, __ATOMIC_RELEASE);
    vck_spinlock_release(&object->lock);
    return first;
}

/* The youngest child, referenced; NULL when there is none. */
static struct vck_object *youngest_child(struct vck_object *object)
{
    struct vck_object *child = NULL;

    vck_spinlock_acquire(&object->lock);
    if (!vck_list_is_empty(&object->children)) {
        struct vck_link *link = object->children.prev;
        child = VCK_CONTAINER_OF(link, struct vck_object, sibling);
        vck_link_remove(link);
        vck_object_reference(child);
    }
    vck_spinlock_release(&object->lock);
    return child;
}

/* Depth is the depth of the tree, which the products keep at three or four. */
static vck_status delete_tree(struct vck_object *object) VCK_CAN_WAIT
{
    struct vck_object *child;

    if (!begin_delete(object))
        return VCK_DELETED;
    while ((child = youngest_child(object)) != NULL) {
        (void)delete_tree(child);
        vck_object_release(child);
    }
    if (object->type->cleanup && !object->init_failed)
        object->type->cleanup(object->context);
    detach_from_parent(object);
    vck_object_release(object);
    return VCK_OK;
}

vck_status vck_object_create(const struct vck_object_type *type, struct vck_object *parent,
                             vck_status (*init)(struct vck_object *object, void *context,
                                                void *argument),
                             void *argument, struct vck_object **ret_object)
{
    vck_status status;
    struct vck_object *object;

    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    object = allocate(type->context_bytes);
    if (!object)
        return VCK_NO_MEMORY;
    object->type = type;
    object->references = 1;
    object->state = STATE_INITIALISING;
    vck_link_init(&object->sibling);
    vck_link_init(&object->children);
    vck_spinlock_init(&object->lock);
    if (parent) {
        status = attach_to_parent(object, parent);
        if (status) {
            vck_free(object->allocation);
            return status;
        }
    }
    status = init ? init(object, object->context, argument) : VCK_OK;
    if (status) {
        object->init_failed = true;
        (void)delete_tree(object);
        return status;
    }
    vck_spinlock_acquire(&object->lock);
    if (object->state == STATE_INITIALISING)
        __atomic_store_n(&object->state, STATE_LIVE, __ATOMIC_RELEASE);
    vck_spinlock_release(&object->lock);
    *ret_object = object;
    return VCK_OK;
}

vck_status vck_object_context(struct vck_object *object, const struct vck_object_type *type,
                              void **ret_context)
{
    if (object->type != type)
        return VCK_NOT_FOUND;
    if (__atomic_load_n(&object->state, __ATOMIC_ACQUIRE) == STATE_INITIALISING)
        return VCK_NOT_READY;
    *ret_context = object->context;
    return VCK_OK;
}

struct vck_object *vck_object_of_context(void *context)
{
    return VCK_CONTAINER_OF(context, struct vck_object, context);
}

void vck_object_reference(struct vck_object *object)
{
    uint32_t before = __atomic_fetch_add(&object->references, 1, __ATOMIC_RELAXED);

    VCK_ASSERT(before > 0 && before < REFERENCES_MAX);
}

void vck_object_release(struct vck_object *object)
{
    /* A loop, because the last reference to a child may hold the last one to its parent. */
    while (object) {
        uint32_t before = __atomic_fetch_sub(&object->references, 1, __ATOMIC_ACQ_REL);
        struct vck_object *parent;

        VCK_ASSERT(before > 0);
        if (before > 1)
            return;
        VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
        parent = object->parent;
        if (object->type->destroy && !object->init_failed)
            object->type->destroy(object->context);
        vck_free(object->allocation);
        object = parent;
    }
}

vck_status vck_object_delete(struct vck_object *object)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    return delete_tree(object);
}

bool vck_object_is_deleting(const struct vck_object *object)
{
    return __atomic_load_n(&object->state, __ATOMIC_ACQUIRE) == STATE_DELETING;
}
