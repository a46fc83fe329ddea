/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread: threads that belong to an object, and parking.
 *
 *     spawned --entry runs--> ended --its code is left--> gone --join or detach, last unref-->
 * freed
 *
 * From before it starts until after its last instruction a thread holds a reference to its owner,
 * so the owner's memory, and the code an unload of it would take away, stay. Every thread, spawned
 * here or not, has a handle once it asks for it; handles are counted.
 *
 * Parking: each thread has one token. unpark gives it the token, park waits for it and takes it; an
 * unpark before the park is therefore not lost, and two count as one.
 */
#ifndef VCK_THREAD_H
#define VCK_THREAD_H

#include <stdint.h>
#include "port/port.h"
#include "vck/object.h"

VCK_BEGIN_DECLS

struct vck_thread_handle;

/*
 * Starts entry(context) at PASSIVE on a new thread. The caller holds owner alive for the call;
 * owner may be NULL for a thread that is joined before anything it uses goes. The name is for
 * debuggers (15 characters). The handle ends with join or detach. DELETE_PENDING (owner),
 * NO_MEMORY; then nothing was started and owner is as it was. PASSIVE.
 */
VCK_CHECKED vck_status vck_thread_spawn(struct vck_object *owner, void (*entry)(void *context),
                                        void *context, enum vck_thread_class thread_class,
                                        const char *name, struct vck_thread_handle **ret_handle);

/* Waits until the thread is gone and its owner released. Not by itself. APC. */
void vck_thread_handle_join_at(struct vck_thread_handle *handle VCK_TAKES,
                               const char *site) VCK_CAN_WAIT;
#define vck_thread_handle_join(handle) vck_thread_handle_join_at((handle), VCK_HERE)
/* Lets it run on without anybody waiting. Accepts NULL. DISPATCH. */
void vck_thread_handle_detach(struct vck_thread_handle *handle VCK_TAKES);

/* References to the handle; they keep neither thread nor owner. unref accepts NULL. DISPATCH. */
void vck_thread_handle_ref(struct vck_thread_handle *handle);
void vck_thread_handle_unref(struct vck_thread_handle *handle VCK_TAKES);

/* vck_thread_id of the thread. Any level. */
uint32_t vck_thread_handle_id(const struct vck_thread_handle *handle);

/* The calling thread's handle, borrowed for as long as the thread runs. NULL only when the thread
 * was not spawned here, asks for the first time and there is no memory. APC. */
struct vck_thread_handle *vck_thread_get_current(void);

/* A reference to the handle of the thread with that id: one spawned here that has not ended, or one
 * that asked for its handle. NOT_FOUND. DISPATCH. */
VCK_CHECKED vck_status vck_thread_find(uint32_t id, struct vck_thread_handle **ret_handle);

/* Waits for the calling thread's token and takes it. OK; TIMEOUT when deadline_ns (vck_clock_ns)
 * passes first; NO_MEMORY as vck_thread_get_current. APC. */
vck_status vck_thread_park_until_at(uint64_t deadline_ns, const char *site) VCK_CAN_WAIT;
#define vck_thread_park()                  vck_thread_park_until_at(VCK_FOREVER, VCK_HERE)
#define vck_thread_park_until(deadline_ns) vck_thread_park_until_at((deadline_ns), VCK_HERE)
/* Gives the thread its token; harmless when it has ended. DISPATCH. */
void vck_thread_unpark(struct vck_thread_handle *handle);

/* Sleeps at least that long. A duration that reaches beyond the clock's end never passes. APC. */
void vck_thread_sleep_at(uint64_t duration_ns, const char *site) VCK_CAN_WAIT;
#define vck_thread_sleep(duration_ns) vck_thread_sleep_at((duration_ns), VCK_HERE)

/* The moment that long from now, VCK_FOREVER when the clock does not reach it. Any level. */
uint64_t vck_deadline_after(uint64_t duration_ns);

/*
 * The module goes: frees what threads that were not spawned here left behind, which without it goes
 * when they end. Spawned threads are gone and thread-local values finished by then, and nothing of
 * this room is in use on any thread. The room may be used again afterwards. PASSIVE.
 */
void vck_threads_fini(void);

VCK_END_DECLS

#endif
