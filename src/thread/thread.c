/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handle is referenced by its thread, from creation until it is gone, and by whoever asked for
 * it. The creation of a thread and its first steps race: whichever side knows the id first puts the
 * handle into the registry.
 */
#include "vck/thread.h"
#include "thread_internal.h"

#define TAG VCK_TAG('V', 't', 'h', 'r')

/* Beyond this a reference is being leaked in a loop, not held. */
#define REFERENCES_MAX (UINT32_MAX / 2)

struct vck_spinlock vck_thread_registry_lock;
struct vck_link vck_thread_registry = {&vck_thread_registry, &vck_thread_registry};

/* ---- handles ---- */

static struct vck_thread_handle *allocate_handle(uint32_t references)
{
    struct vck_thread_handle *handle = vck_alloc(sizeof(*handle), TAG);
    if (handle == NULL)
        return NULL;
    vck_link_init(&handle->link);
    handle->references = references;
    vck_event_init(&handle->token);
    vck_event_init_manual(&handle->gone);
    return handle;
}

void vck_thread_handle_ref(struct vck_thread_handle *handle)
{
    uint32_t before = __atomic_fetch_add(&handle->references, 1, __ATOMIC_RELAXED);
    VCK_ASSERT(before > 0 && before < REFERENCES_MAX);
}

void vck_thread_handle_unref(struct vck_thread_handle *handle)
{
    if (handle == NULL)
        return;
    uint32_t before = __atomic_fetch_sub(&handle->references, 1, __ATOMIC_ACQ_REL);
    VCK_ASSERT(before > 0);
    if (before > 1)
        return;
    vck_event_fini(&handle->token);
    vck_event_fini(&handle->gone);
    vck_free(handle);
}

uint32_t vck_thread_handle_id(const struct vck_thread_handle *handle)
{
    return __atomic_load_n(&handle->id, __ATOMIC_RELAXED);
}

static void enlist(struct vck_thread_handle *handle, uint32_t id)
{
    vck_spinlock_acquire(&vck_thread_registry_lock);
    __atomic_store_n(&handle->id, id, __ATOMIC_RELAXED);
    if (handle->state == THREAD_NEW) {
        handle->state = THREAD_LISTED;
        vck_list_push_back(&vck_thread_registry, &handle->link);
    }
    vck_spinlock_release(&vck_thread_registry_lock);
}

/* The last that the calling thread, whose handle this is, does with the room. */
static void end_thread(struct vck_thread_handle *handle) VCK_CAN_WAIT
{
    vck_thread_locals_end(handle);
    vck_spinlock_acquire(&vck_thread_registry_lock);
    handle->state = THREAD_ENDED;
    vck_link_remove(&handle->link);
    vck_spinlock_release(&vck_thread_registry_lock);
}

vck_status vck_thread_find(uint32_t id, struct vck_thread_handle **ret_handle)
{
    vck_status status = VCK_NOT_FOUND;
    vck_spinlock_acquire(&vck_thread_registry_lock);
    VCK_LIST_FOR_EACH(link, next, &vck_thread_registry)
    {
        struct vck_thread_handle *handle = VCK_CONTAINER_OF(link, struct vck_thread_handle, link);
        if (handle->id != id)
            continue;
        vck_thread_handle_ref(handle);
        *ret_handle = handle;
        status = VCK_OK;
        break;
    }
    vck_spinlock_release(&vck_thread_registry_lock);
    return status;
}

/* ---- threads of others: they get a handle when they ask ---- */

static void adopted_thread_ended(void *value) VCK_CAN_WAIT
{
    struct vck_thread_handle *handle = value;
    end_thread(handle);
    vck_thread_slot_clear();
    vck_thread_handle_unref(handle);
}

static struct vck_thread_handle *adopt_current(void)
{
    struct vck_thread_handle *handle = allocate_handle(1);
    if (handle == NULL)
        return NULL;
    if (vck_thread_slot_set(handle, adopted_thread_ended) != VCK_OK) {
        vck_thread_handle_unref(handle);
        return NULL;
    }
    enlist(handle, vck_thread_id());
    return handle;
}

struct vck_thread_handle *vck_thread_get_current(void)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_APC);
    struct vck_thread_handle *handle = vck_thread_slot();
    return handle != NULL ? handle : adopt_current();
}

void vck_threads_fini(void)
{
    struct vck_link *link;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_thread_slot_reset_all();
    /* No lock: by contract nobody else is here any more. */
    while ((link = vck_list_pop_front(&vck_thread_registry)) != NULL) {
        struct vck_thread_handle *handle = VCK_CONTAINER_OF(link, struct vck_thread_handle, link);
        VCK_ASSERT(!handle->is_spawned);
        handle->state = THREAD_ENDED;
        vck_thread_handle_unref(handle);
    }
}

/* ---- spawning ---- */

static void run_spawned(void *context) VCK_CAN_WAIT
{
    struct vck_thread_handle *handle = context;
    enlist(handle, vck_thread_id());
    handle->entry(handle->context);
    end_thread(handle);
    vck_thread_slot_clear();
}

/*
 * Called when the thread has executed its last instruction. A join that waits keeps the handle
 * until it is told, so this reference goes first and a join leaves nothing behind.
 */
static void release_gone(void *context)
{
    struct vck_thread_handle *handle = context;
    if (handle->owner != NULL)
        vck_object_release(handle->owner, TAG);
    vck_spinlock_acquire(&vck_thread_registry_lock);
    handle->is_gone = true;
    bool is_joined = handle->is_joined;
    vck_spinlock_release(&vck_thread_registry_lock);
    vck_thread_handle_unref(handle);
    if (is_joined)
        vck_event_set(&handle->gone);
}

vck_status vck_thread_spawn(struct vck_object *owner, void (*entry)(void *context), void *context,
                            enum vck_thread_class thread_class, const char *name,
                            struct vck_thread_handle **ret_handle)
{
    uint32_t id;
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    if (owner != NULL && vck_object_is_deleting(owner))
        return VCK_DELETE_PENDING;
    struct vck_thread_handle *handle = allocate_handle(2);
    if (handle == NULL)
        return VCK_NO_MEMORY;
    handle->is_spawned = true;
    handle->owner = owner;
    handle->entry = entry;
    handle->context = context;
    if (owner != NULL)
        vck_object_reference(owner, TAG);
    vck_status status =
        vck_thread_create_detached(run_spawned, handle, thread_class, name, release_gone, &id);
    if (status != VCK_OK) {
        if (owner != NULL)
            vck_object_release(owner, TAG);
        vck_free(handle);
        return status;
    }
    enlist(handle, id);
    *ret_handle = handle;
    return VCK_OK;
}

void vck_thread_handle_join_at(struct vck_thread_handle *handle, const char *site)
{
    vck_level_check_at(VCK_LEVEL_APC, site);
    VCK_ASSERT(handle->is_spawned && vck_thread_slot() != handle);
    vck_spinlock_acquire(&vck_thread_registry_lock);
    bool is_gone = handle->is_gone;
    handle->is_joined = true;
    vck_spinlock_release(&vck_thread_registry_lock);
    if (!is_gone)
        (void)vck_event_wait_at(&handle->gone, VCK_FOREVER, site);
    vck_thread_handle_unref(handle);
}

void vck_thread_handle_detach(struct vck_thread_handle *handle)
{
    vck_thread_handle_unref(handle);
}

/* ---- parking and sleeping ---- */

vck_status vck_thread_park_until_at(uint64_t deadline_ns, const char *site)
{
    vck_level_check_at(VCK_LEVEL_APC, site);
    struct vck_thread_handle *self = vck_thread_get_current();
    if (self == NULL)
        return VCK_NO_MEMORY;
    return vck_event_wait_at(&self->token, deadline_ns, site);
}

void vck_thread_unpark(struct vck_thread_handle *handle)
{
    vck_event_set(&handle->token);
}

uint64_t vck_deadline_after(uint64_t duration_ns)
{
    uint64_t deadline_ns = VCK_FOREVER;
    (void)vck_add_u64(vck_clock_ns(), duration_ns, &deadline_ns);
    return deadline_ns;
}

void vck_thread_sleep_at(uint64_t duration_ns, const char *site)
{
    struct vck_event never;
    uint64_t deadline_ns = vck_deadline_after(duration_ns);
    vck_event_init(&never);
    while (vck_event_wait_at(&never, deadline_ns, site) != VCK_TIMEOUT)
        continue;
    vck_event_fini(&never);
}
