/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object_internal: the parts of an object, for the files of this room. object.c creates, counts and
 * looks up; delete.c ends; unload.c waits and reports; holders.c knows who references.
 *
 * No two locks of this room are held at once, and no callback is called with one held.
 */
#ifndef VCK_OBJECT_INTERNAL_H
#define VCK_OBJECT_INTERNAL_H

#include "holders.h"
#include "vck/object.h"

#define OBJECT_TAG VCK_TAG('V', 'o', 'b', 'j')

/* Stands where another thread may come in between; the interleaving test puts its scheduler here.
 * Locks and events are such places by themselves. */
#if !defined(OBJECT_POINT)
#define OBJECT_POINT() ((void)0)
#endif

/* Beyond this a reference is being leaked in a loop, not held. */
#if !defined(REFERENCES_MAX)
#define REFERENCES_MAX (UINT32_MAX / 2)
#endif
/* The value of a count that was misused: far from both ends. */
#define REFERENCES_PINNED (REFERENCES_MAX + REFERENCES_MAX / 2)

enum life {
    LIFE_INITIALISING,
    LIFE_INITIALISING_ASKED, /* to be deleted by the thread that initialises it */
    LIFE_LIVE,
    LIFE_ASKED,    /* to be deleted by deferred work or by whoever deletes the parent */
    LIFE_DELETING, /* somebody has claimed it */
    LIFE_ENDED,    /* every cleanup has run */
};

/* Lies in front of the context's bytes. */
struct context {
    const struct vck_object_type *type;
    struct vck_object *object;
    struct context *older;
    void *allocation; /* of a further context */
    VCK_ALIGNAS(16) uint32_t is_ready;
};

/* Bits of vck_object.deferred. */
#define DEFERRED_DELETE 1u /* with a reference */
#define DEFERRED_RESUME 2u
#define DEFERRED_FREE   4u

struct unloading;

struct vck_object {
    struct vck_object *parent; /* its memory is kept */
    struct vck_object *root;
    struct vck_link sibling; /* in parent's children or lingering */
    struct vck_work work;
    uint32_t deferred;
    uint32_t references;
    uint32_t life;
    bool is_entered;             /* claimed on the way to delete the parent */
    struct unloading *unloading; /* of a root */
    const char *site;
    void *allocation;

    struct vck_spinlock lock;  /* from here to newest, and each context's older */
    struct vck_link children;  /* oldest first */
    struct vck_link lingering; /* children that have ended and whose memory is there */
    struct vck_event *waiter;  /* of the thread that deletes this and waits for a child */
    bool is_suspended;         /* the same without a thread: to be resumed */
    uint32_t contexts_pending; /* being initialised */
    struct context *newest;

    struct holders holders;
    struct context first; /* the last member: its bytes follow */
};

/* On the stack around the call of an init, a cleanup or a destroy. */
struct frame {
    struct frame *next;
    uint32_t thread_id;
};

void vck_object_frame_enter(struct frame *frame);
void vck_object_frame_leave(struct frame *frame);
bool vck_object_in_frame(void);

static inline void *bytes_of(struct context *context)
{
    return context + 1;
}

/* Changes life from one value to another; false when it is a third. */
static inline bool change_life(struct vck_object *object, enum life from, enum life to)
{
    uint32_t expected = from;
    OBJECT_POINT();
    return __atomic_compare_exchange_n(&object->life, &expected, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static inline enum life life_of(const struct vck_object *object)
{
    return (enum life)__atomic_load_n(&object->life, __ATOMIC_ACQUIRE);
}

/* One more reference that no holder is recorded for. */
void vck_object_keep(struct vck_object *object);
/* The same unless there is none left; for who finds the object in a list under its lock. */
bool vck_object_try_keep(struct vck_object *object);
/* Drops one; whether the object is now to be disposed of. */
bool vck_object_drop(struct vck_object *object);
/* The same, and disposes. DISPATCH. */
void vck_object_put(struct vck_object *object);

/* Deletes what the caller has claimed (LIFE_DELETING). PASSIVE. */
void vck_object_carry_out(struct vck_object *object) VCK_CAN_WAIT;
/* Lets whoever deletes the object look at it again. DISPATCH. */
void vck_object_wake(struct vck_object *object);
/* Has the deferred work do this, too. DISPATCH. */
void vck_object_schedule(struct vck_object *object, uint32_t bit);
/* Destroys and frees an object without references, and its ancestors that this was the last to
 * keep. DISPATCH. */
void vck_object_dispose(struct vck_object *object);

/* A root's memory is about to go, and has gone. */
struct unloading *vck_object_unload_ends(struct vck_object *root);
void vck_object_unload_ended(struct unloading *unloading);

#endif
