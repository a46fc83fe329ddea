/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A deletion walks the tree without recursion: it claims the youngest child and goes down to it, or
 * ends the object and goes up again when it came from there. A child that is another's, being
 * deleted or initialised, is waited for, by this thread or, where it may not wait, by leaving the
 * object suspended: the child's end then has deferred work go on.
 */
#include "object_internal.h"

/* ---- callbacks that are running ---- */

/* Waits go from an object to its descendants; a callback that waited for any other could close a
 * circle. So those do not wait, and this list knows them. */
static struct vck_spinlock frames_lock;
static struct frame *frames;

void vck_object_frame_enter(struct frame *frame)
{
    frame->thread_id = vck_thread_id();
    vck_spinlock_acquire(&frames_lock);
    frame->next = frames;
    frames = frame;
    vck_spinlock_release(&frames_lock);
}

void vck_object_frame_leave(struct frame *frame)
{
    vck_spinlock_acquire(&frames_lock);
    struct frame **place = &frames;
    while (*place != frame)
        place = &(*place)->next;
    *place = frame->next;
    vck_spinlock_release(&frames_lock);
}

bool vck_object_in_frame(void)
{
    uint32_t thread_id = vck_thread_id();
    vck_spinlock_acquire(&frames_lock);
    struct frame *frame = frames;
    while (frame != NULL && frame->thread_id != thread_id)
        frame = frame->next;
    vck_spinlock_release(&frames_lock);
    return frame != NULL;
}

/* ---- the walk ---- */

enum step {
    STEP_DOWN,
    STEP_WAIT,
    STEP_END,
};

/* Marks the object; returns what its life was. LIVE and ASKED become what is given, INITIALISING
 * becomes INITIALISING_ASKED, the rest stays. */
static enum life mark(struct vck_object *object, enum life if_live, enum life if_asked)
{
    enum life seen = life_of(object);

    for (;;) {
        enum life next = seen;
        if (seen == LIFE_LIVE)
            next = if_live;
        else if (seen == LIFE_ASKED)
            next = if_asked;
        else if (seen == LIFE_INITIALISING)
            next = LIFE_INITIALISING_ASKED;
        if (next == seen || change_life(object, seen, next))
            return seen;
        seen = life_of(object);
    }
}

/* Whether the child is now this deletion's; else it is to be waited for. */
static bool claim_child(struct vck_object *child)
{
    enum life was = mark(child, LIFE_DELETING, LIFE_DELETING);
    return was == LIFE_LIVE || was == LIFE_ASKED;
}

/* waiter is set when what is to be waited for has happened; without one the object is suspended. */
static enum step next_step(struct vck_object *object, struct vck_event *waiter,
                           struct vck_object **ret_child)
{
    enum step step = STEP_END;

    vck_spinlock_acquire(&object->lock);
    if (!vck_list_is_empty(&object->children)) {
        struct vck_object *child =
            VCK_CONTAINER_OF(object->children.prev, struct vck_object, sibling);
        step = claim_child(child) ? STEP_DOWN : STEP_WAIT;
        *ret_child = child;
    } else if (object->contexts_pending > 0) {
        step = STEP_WAIT;
    }
    if (step == STEP_WAIT) {
        object->waiter = waiter;
        object->is_suspended = waiter == NULL;
    }
    vck_spinlock_release(&object->lock);
    return step;
}

void vck_object_wake(struct vck_object *object)
{
    vck_spinlock_acquire(&object->lock);
    struct vck_event *waiter = object->waiter;
    bool is_suspended = object->is_suspended;
    object->waiter = NULL;
    object->is_suspended = false;
    vck_spinlock_release(&object->lock);
    if (waiter != NULL)
        vck_event_set(waiter);
    if (is_suspended)
        vck_object_schedule(object, DEFERRED_RESUME);
}

static void clean_up(struct vck_object *object)
{
    for (struct context *context = object->newest; context != NULL; context = context->older) {
        struct frame frame;
        if (!context->is_ready || context->type->cleanup == NULL)
            continue;
        vck_object_frame_enter(&frame);
        context->type->cleanup(bytes_of(context));
        vck_object_frame_leave(&frame);
    }
}

/* The creation reference goes; the parent may go on. */
static void end_life(struct vck_object *object)
{
    struct vck_object *parent = object->parent;

    if (parent != NULL) {
        vck_spinlock_acquire(&parent->lock);
        vck_link_remove(&object->sibling);
        vck_list_push_back(&parent->lingering, &object->sibling);
        vck_spinlock_release(&parent->lock);
    }
    __atomic_store_n(&object->life, LIFE_ENDED, __ATOMIC_RELEASE);
    if (parent != NULL)
        vck_object_wake(parent);
    vck_object_put(object);
}

/* May return before the end, with an object suspended that deferred work goes on with. */
static void walk(struct vck_object *object, struct vck_event *waiter) VCK_CAN_WAIT
{
    for (;;) {
        struct vck_object *child = NULL;
        struct vck_object *parent = object->parent;
        bool is_entered = object->is_entered;

        switch (next_step(object, waiter, &child)) {
        case STEP_DOWN:
            child->is_entered = true;
            object = child;
            continue;
        case STEP_WAIT:
            if (waiter == NULL)
                return;
            (void)vck_event_wait(waiter, VCK_FOREVER);
            continue;
        case STEP_END:
            break;
        }
        clean_up(object);
        end_life(object);
        if (!is_entered)
            return;
        object = parent;
    }
}

void vck_object_carry_out(struct vck_object *object)
{
    struct vck_event waiter;

    if (vck_object_in_frame()) {
        walk(object, NULL);
        return;
    }
    vck_event_init(&waiter);
    walk(object, &waiter);
    vck_event_fini(&waiter);
}

/* ---- deferred work ---- */

static void level_is_passive(void) VCK_ASSUME_CAN_WAIT VCK_NO_ANALYSIS
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
}

static void run_deferred(struct vck_work *work)
{
    struct vck_object *object = VCK_CONTAINER_OF(work, struct vck_object, work);
    OBJECT_POINT();
    uint32_t bits = __atomic_exchange_n(&object->deferred, 0, __ATOMIC_ACQ_REL);

    level_is_passive();
    if (bits & DEFERRED_FREE) {
        vck_object_dispose(object);
        return;
    }
    /* Waiting here would hold up what is waited for. */
    if (bits & DEFERRED_RESUME)
        walk(object, NULL);
    if (bits & DEFERRED_DELETE) {
        if (change_life(object, LIFE_ASKED, LIFE_DELETING))
            walk(object, NULL);
        vck_object_put(object);
    }
}

void vck_object_schedule(struct vck_object *object, uint32_t bit)
{
    OBJECT_POINT();
    if (__atomic_fetch_or(&object->deferred, bit, __ATOMIC_ACQ_REL) == 0)
        vck_defer(&object->work, run_deferred);
}

vck_status vck_object_delete(struct vck_object *object)
{
    bool is_passive = vck_current_level() == VCK_LEVEL_PASSIVE;
    enum life was;

    if (is_passive) {
        level_is_passive();
        was = mark(object, LIFE_DELETING, LIFE_ASKED);
        if (was == LIFE_LIVE)
            vck_object_carry_out(object);
    } else {
        vck_object_keep(object);
        was = mark(object, LIFE_ASKED, LIFE_ASKED);
        if (was == LIFE_LIVE)
            vck_object_schedule(object, DEFERRED_DELETE);
        else
            vck_object_put(object);
    }
    return was == LIFE_LIVE || was == LIFE_INITIALISING ? VCK_OK : VCK_DELETED;
}

/* ---- the end of the memory ---- */

static void destroy(struct vck_object *object)
{
    struct context *context = object->newest;

    while (context != NULL) {
        struct context *older = context->older;
        if (context->is_ready && context->type->destroy != NULL) {
            struct frame frame;
            vck_object_frame_enter(&frame);
            context->type->destroy(bytes_of(context));
            vck_object_frame_leave(&frame);
        }
        if (context != &object->first)
            vck_free(context->allocation);
        context = older;
    }
}

static void free_object(struct vck_object *object)
{
    struct vck_object *parent = object->parent;
    struct unloading *unloading = NULL;

    if (parent != NULL) {
        vck_spinlock_acquire(&parent->lock);
        vck_link_remove(&object->sibling);
        vck_spinlock_release(&parent->lock);
    }
    destroy(object);
    if (parent == NULL)
        unloading = vck_object_unload_ends(object);
    holders_fini(&object->holders);
    vck_free(object->allocation);
    if (unloading != NULL)
        vck_object_unload_ended(unloading);
}

void vck_object_dispose(struct vck_object *object)
{
    if (vck_current_level() > VCK_LEVEL_PASSIVE) {
        vck_object_schedule(object, DEFERRED_FREE);
        return;
    }
    /* The last reference to a child may keep the last one to its parent. */
    while (object != NULL) {
        struct vck_object *parent = object->parent;
        free_object(object);
        object = parent != NULL && vck_object_drop(parent) ? parent : NULL;
    }
}
