/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread_internal: what the room knows of a thread. `registry_lock` covers the lists of threads and
 * keys, and whatever below says so.
 */
#ifndef VCK_THREAD_INTERNAL_H
#define VCK_THREAD_INTERNAL_H

#include "vck/list.h"
#include "vck/thread.h"
#include "vck/thread_local.h"

enum thread_state {
    THREAD_NEW,
    THREAD_LISTED, /* in the registry, found by id */
    THREAD_ENDED,
};

struct vck_thread_handle {
    struct vck_link link; /* in `threads`; under registry_lock, as is state */
    enum thread_state state;
    uint32_t references;
    uint32_t id; /* 0 until known */
    bool is_spawned;
    struct vck_object *owner; /* referenced; NULL without */
    void (*entry)(void *context);
    void *context;
    struct vck_event token; /* auto-reset: set is unpark */
    struct vck_event gone;  /* manual-reset; set when it is joined */
    bool is_gone;           /* under registry_lock, as is_joined */
    bool is_joined;
    /* By key. Set by the thread; taken by it, or with registry_lock by who finishes the key. */
    void *values[VCK_THREAD_LOCALS_MAX];
    bool is_ending; /* the thread's own: no more values */
};

extern struct vck_spinlock vck_thread_registry_lock;
extern struct vck_link vck_thread_registry;

/* Destroys what the calling thread, whose handle this is, has of every key. PASSIVE. */
void vck_thread_locals_end(struct vck_thread_handle *handle) VCK_CAN_WAIT;

#endif
