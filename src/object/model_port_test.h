/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_port_test: takes the place of the port under the sources of this room, so that a test
 * decides at each lock, event and OBJECT_POINT which virtual thread goes on. Included before them.
 */
#ifndef VCK_OBJECT_MODEL_PORT_TEST_H
#define VCK_OBJECT_MODEL_PORT_TEST_H

/* No records of holders: their lock would only multiply the schedules. */
#if !defined(NDEBUG)
#define NDEBUG
#endif
#include "port/port.h"

void model_point(void);
void model_acquire(struct vck_spinlock *lock);
void model_release(struct vck_spinlock *lock);
void model_event_init(struct vck_event *event);
void model_event_set(struct vck_event *event);
vck_status model_event_wait(struct vck_event *event);
void model_defer(struct vck_work *work, void (*run)(struct vck_work *work));
void model_defer_drain(void);
uint32_t model_thread_id(void);
vck_level model_current_level(void);

#undef vck_spinlock_acquire
#undef vck_spinlock_release
#undef vck_event_wait
#define OBJECT_POINT()                     model_point()
#define vck_spinlock_acquire(lock)         model_acquire(lock)
#define vck_spinlock_release(lock)         model_release(lock)
#define vck_event_init(event)              model_event_init(event)
#define vck_event_set(event)               model_event_set(event)
#define vck_event_fini(event)              ((void)(event))
#define vck_event_wait(event, deadline_ns) ((void)(deadline_ns), model_event_wait(event))
#define vck_defer(work, run)               model_defer((work), (run))
#define vck_defer_drain()                  model_defer_drain()
#define vck_thread_id()                    model_thread_id()
#define vck_current_level()                model_current_level()

#endif
