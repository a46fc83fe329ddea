/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/combine.h"

static void drop_all(struct vck_future **futures, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct vck_future *future = futures[i];
        futures[i] = NULL;
        if (future)
            vck_future_drop(future);
    }
}

static enum vck_poll join_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_join *join = VCK_CONTAINER_OF(self, struct vck_join, future);
    bool pending = false;

    for (size_t i = 0; i < join->count; i++) {
        if (!join->futures[i])
            continue;
        if (vck_future_poll(join->futures[i], waker) == VCK_READY)
            join->futures[i] = NULL;
        else
            pending = true;
    }
    return pending ? VCK_PENDING : VCK_READY;
}

static void join_drop(struct vck_future *self)
{
    struct vck_join *join = VCK_CONTAINER_OF(self, struct vck_join, future);

    drop_all(join->futures, join->count);
}

void vck_join_init(struct vck_join *join, struct vck_future **futures, size_t count)
{
    *join = (struct vck_join){
        .future = {.poll = join_poll, .drop = join_drop},
        .futures = futures,
        .count = count,
    };
}

static enum vck_poll select_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct vck_select *select = VCK_CONTAINER_OF(self, struct vck_select, future);
    size_t i = select->first;
    bool pending = false;

    for (size_t n = 0; n < select->count; n++, i = i + 1 < select->count ? i + 1 : 0) {
        if (!select->futures[i])
            continue;
        if (vck_future_poll(select->futures[i], waker) == VCK_READY) {
            select->futures[i] = NULL;
            drop_all(select->futures, select->count);
            select->winner = i;
            return VCK_READY;
        }
        pending = true;
    }
    return pending ? VCK_PENDING : VCK_READY;
}

static void select_drop(struct vck_future *self)
{
    struct vck_select *select = VCK_CONTAINER_OF(self, struct vck_select, future);

    drop_all(select->futures, select->count);
}

void vck_select_init(struct vck_select *select, struct vck_future **futures, size_t count,
                     size_t first)
{
    VCK_ASSERT(count == 0 || first < count);
    *select = (struct vck_select){
        .future = {.poll = select_poll, .drop = select_drop},
        .futures = futures,
        .count = count,
        .first = first,
        .winner = count,
    };
}
