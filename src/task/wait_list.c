/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/wait_list.h"

static void move_all(struct vck_link *from, struct vck_link *to)
{
    vck_link_init(to);
    if (vck_list_is_empty(from))
        return;
    vck_link_insert_between(to, from->prev, from->next);
    vck_link_init(from);
}

void vck_wait_list_answer_all(struct vck_spinlock *lock, struct vck_link *list,
                              enum vck_wait_state answer)
{
    struct vck_link due;

    /* Those who come from now on are not meant. A waiter that gives up takes itself out of
     * whichever list it is in. */
    move_all(list, &due);
    for (;;) {
        struct vck_wait_node *node = vck_wait_list_oldest(&due);
        struct vck_waker waker = node ? vck_wait_node_finish(node, answer) : vck_waker_none();
        bool more = !vck_list_is_empty(&due);
        vck_spinlock_release(lock);
        vck_waker_wake_and_drop(waker);
        if (!more)
            return;
        vck_spinlock_acquire(lock);
    }
}
