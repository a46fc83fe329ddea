/* SPDX-License-Identifier: Apache-2.0 */
/* Channels, locks and groups between the tasks of an executor and threads that block. */
#include "vck/async_event.h"
#include "vck/async_mutex.h"
#include "vck/channel.h"
#include "vck/combine.h"
#include "vck/coroutine.h"
#include "vck/executor.h"
#include "vck/mailbox.h"
#include "vck/notify.h"
#include "vck/oneshot.h"
#include "vck/task_group.h"
#include "vck/timeout.h"
#include "sync_test.h"

/* ---- tasks that send what a thread receives ---- */

#define SENDERS  6
#define ELEMENTS 400u

struct hall {
    struct vck_channel *channel;
    struct vck_async_mutex mutex;
    struct vck_task_group group;
    uint32_t sent; /* plain: the mutex orders the accesses */
};

struct sender {
    struct vck_future future;
    struct vck_coroutine co;
    struct vck_task task;
    struct vck_group_member member;
    struct hall *hall;
    struct vck_async_lock lock;
    struct vck_channel_send send;
    struct vck_yield yield;
    uint32_t element;
};

/* Holds the mutex across the wait for room, so that the elements come in order. */
static enum vck_poll sender_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct sender *s = VCK_CONTAINER_OF(self, struct sender, future);

    VCK_CO_BEGIN(&s->co);
    for (;;) {
        vck_async_lock_init(&s->lock, &s->hall->mutex);
        VCK_CO_AWAIT(&s->co, &s->lock.future, waker);
        s->element = s->hall->sent;
        if (s->element < ELEMENTS) {
            vck_channel_send_init(&s->send, s->hall->channel, &s->element);
            VCK_CO_AWAIT(&s->co, &s->send.future, waker);
            s->hall->sent += s->send.status == VCK_OK;
        }
        vck_async_mutex_unlock(&s->hall->mutex);
        if (s->element >= ELEMENTS)
            break;
        vck_yield_init(&s->yield);
        VCK_CO_AWAIT(&s->co, &s->yield.future, waker);
    }
    vck_channel_drop_sender(s->hall->channel);
    VCK_CO_END(&s->co);
}

static void tasks_send_and_a_thread_receives(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (uint32_t workers = 1; workers <= 3; workers++) {
        static struct sender senders[SENDERS];
        struct vck_executor_options options = {.workers = workers};
        struct vck_executor *executor = NULL;
        struct hall hall = {.sent = 0};
        size_t live = vck_alloc_live_count();
        uint32_t element = 0;

        assert_int_equal(vck_channel_create(sizeof(element), 2, NULL, NULL, &hall.channel), VCK_OK);
        vck_async_mutex_init(&hall.mutex);
        vck_task_group_init(&hall.group);
        assert_int_equal(vck_executor_create(&options, &executor), VCK_OK);
        memset(senders, 0, sizeof(senders));
        for (int i = 0; i < SENDERS; i++) {
            senders[i].future.poll = sender_poll;
            senders[i].hall = &hall;
            if (i)
                vck_channel_add_sender(hall.channel);
        }
        for (int i = 0; i < SENDERS; i++) {
            assert_int_equal(
                vck_group_member_init(&senders[i].member, &hall.group, &senders[i].future), VCK_OK);
            vck_task_init(&senders[i].task, &senders[i].member.future);
            assert_int_equal(vck_executor_spawn(executor, &senders[i].task, NULL), VCK_OK);
        }
        for (uint32_t i = 0; i < ELEMENTS; i++) {
            assert_int_equal(vck_channel_receive_until(hall.channel, VCK_FOREVER, &element),
                             VCK_OK);
            assert_int_equal(element, i);
        }
        assert_int_equal(vck_channel_receive_until(hall.channel, VCK_FOREVER, &element),
                         VCK_DELETED);
        vck_task_group_close(&hall.group);
        assert_int_equal(vck_task_group_wait_until(&hall.group, VCK_FOREVER), VCK_OK);
        vck_executor_destroy(executor);
        vck_channel_drop_receiver(hall.channel);
        assert_int_equal(vck_alloc_live_count(), live);
    }
}

/* ---- tasks that wait for everything there is, and are dropped in the middle ---- */

struct waits {
    struct vck_mailbox mailbox;
    struct vck_mailbox_receive mailbox_receive;
    struct vck_channel full;
    uint32_t full_ring[2];
    uint32_t element;
    struct vck_channel_send send;
    struct vck_oneshot oneshot;
    struct vck_oneshot_receive oneshot_receive;
    struct vck_async_mutex mutex;
    struct vck_async_lock lock;
    struct vck_notify notify;
    struct vck_notified notified;
    struct vck_async_event event;
    struct vck_async_event_wait event_wait;
    struct vck_timeout timeout;
    struct vck_task_group group;
    struct vck_group_wait group_wait;
    struct vck_future *all[7];
    struct vck_join join;
    struct vck_group_member member;
    struct vck_task task;
};

static void wait_for_everything(struct waits *w, struct vck_task_group *group)
{
    memset(w, 0, sizeof(*w));
    vck_mailbox_init(&w->mailbox, NULL, NULL);
    vck_mailbox_receive_init(&w->mailbox_receive, &w->mailbox);
    vck_channel_init(&w->full, w->full_ring, sizeof(w->full_ring[0]), 1, NULL, NULL);
    assert_int_equal(vck_channel_try_send(&w->full, &w->element), VCK_OK);
    vck_channel_send_init(&w->send, &w->full, &w->element);
    vck_oneshot_init(&w->oneshot, NULL, NULL);
    vck_oneshot_receive_init(&w->oneshot_receive, &w->oneshot);
    vck_async_mutex_init(&w->mutex);
    assert_int_equal(vck_async_mutex_try_lock(&w->mutex), VCK_OK);
    vck_async_lock_init(&w->lock, &w->mutex);
    vck_notify_init(&w->notify);
    vck_notified_init(&w->notified, &w->notify);
    vck_async_event_init(&w->event);
    vck_async_event_wait_init(&w->event_wait, &w->event);
    vck_timeout_init(&w->timeout, &w->event_wait.future, 3600000000000u);
    vck_task_group_init(&w->group);
    assert_int_equal(vck_task_group_enter(&w->group), VCK_OK);
    vck_group_wait_init(&w->group_wait, &w->group);
    struct vck_future *all[7] = {
        &w->mailbox_receive.future, &w->send.future,    &w->oneshot_receive.future, &w->lock.future,
        &w->notified.future,        &w->timeout.future, &w->group_wait.future};
    memcpy(w->all, all, sizeof(all));
    vck_join_init(&w->join, w->all, 7);
    assert_int_equal(vck_group_member_init(&w->member, group, &w->join.future), VCK_OK);
    vck_task_init(&w->task, &w->member.future);
}

/* Everything that was waited for comes after the wait was dropped, and goes to the next. */
static void check_nothing_was_lost(struct waits *w)
{
    struct vck_mpsc_node message;
    struct vck_mpsc_node *node = NULL;
    struct wakes wakes = {0, 0};
    void *value = NULL;

    assert_int_equal(w->send.status, VCK_CANCELLED);
    assert_int_equal(vck_mailbox_send(&w->mailbox, &message), VCK_OK);
    assert_int_equal(vck_mailbox_try_receive(&w->mailbox, &node), VCK_OK);
    assert_int_equal(vck_oneshot_send(&w->oneshot, &message), VCK_OK);
    assert_int_equal(vck_oneshot_try_receive(&w->oneshot, &value), VCK_OK);
    vck_async_mutex_unlock(&w->mutex);
    assert_int_equal(vck_async_mutex_try_lock(&w->mutex), VCK_OK);
    vck_notify_one(&w->notify);
    vck_notified_init(&w->notified, &w->notify);
    assert_ready(&w->notified.future, &wakes);
    vck_async_event_set(&w->event);
    vck_task_group_leave(&w->group);
}

#define WAITERS 8

static void tasks_dropped_in_the_middle_withdraw_everything(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (int by_shutdown = 0; by_shutdown < 2; by_shutdown++) {
        static struct waits waits[WAITERS];
        struct vck_task_join joins[WAITERS];
        struct vck_executor *executor = NULL;
        struct vck_task_group group;
        size_t live = vck_alloc_live_count();

        vck_task_group_init(&group);
        assert_int_equal(vck_executor_create(NULL, &executor), VCK_OK);
        for (int i = 0; i < WAITERS; i++) {
            wait_for_everything(&waits[i], &group);
            assert_int_equal(vck_executor_spawn(executor, &waits[i].task, &joins[i]), VCK_OK);
        }
        if (by_shutdown)
            vck_executor_shutdown(executor);
        else
            vck_task_group_cancel(&group);
        assert_int_equal(vck_task_group_wait_until(&group, VCK_FOREVER), VCK_OK);
        for (int i = 0; i < WAITERS; i++) {
            vck_block_on(&joins[i].future);
            assert_int_equal(joins[i].status, by_shutdown ? VCK_CANCELLED : VCK_OK);
            assert_int_equal(waits[i].member.status, VCK_CANCELLED);
            check_nothing_was_lost(&waits[i]);
        }
        vck_executor_destroy(executor);
        assert_int_equal(vck_alloc_live_count(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_send_and_a_thread_receives),
        cmocka_unit_test(tasks_dropped_in_the_middle_withdraw_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
