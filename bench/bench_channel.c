/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-channel: two tasks on one worker pass something to and fro; the time per wake. What passes
 * it takes turns in every round, so that a drifting clock hits all, and each figure is a median.
 * "bare" is a yield: what of it is the executor's own. Run it on an idle machine. --json for
 * machines.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vck/channel.h"
#include "vck/executor.h"
#include "vck/mailbox.h"
#include "vck/notify.h"
#include "vck/task.h"

#define ROUNDS 21u
#define TRIPS  100000u

struct player;

/* One thing that wakes: begin prepares the wait for the other's turn, serve ends the other's wait.
 */
struct means {
    const char *name;
    void (*set_up)(struct player *players);
    void (*begin)(struct player *self);
    void (*serve)(struct player *self, struct player *other);
};

struct player {
    struct vck_future future;
    struct vck_task task;
    struct vck_future *wait;
    const struct means *means;
    struct player *other;
    uint32_t trips;
    bool is_begun;
    bool is_first;
    struct vck_mailbox mailbox;
    struct vck_mailbox_receive mailbox_receive;
    struct vck_channel channel;
    struct vck_channel_receive channel_receive;
    uint64_t ring[5];
    uint64_t element;
    struct vck_notify notify;
    struct vck_notified notified;
    struct vck_yield yield;
};

static struct vck_mpsc_node message;

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* ---- the means ---- */

static void mailbox_set_up(struct player *players)
{
    for (int i = 0; i < 2; i++)
        vck_mailbox_init(&players[i].mailbox, NULL, NULL);
}

static void mailbox_begin(struct player *self)
{
    vck_mailbox_receive_init(&self->mailbox_receive, &self->mailbox);
    self->wait = &self->mailbox_receive.future;
}

static void mailbox_serve(struct player *self, struct player *other)
{
    (void)self;
    check(vck_mailbox_send(&other->mailbox, &message) == VCK_OK);
}

static void channel_set_up(struct player *players)
{
    for (int i = 0; i < 2; i++)
        vck_channel_init(&players[i].channel, players[i].ring, sizeof(players[i].ring[0]), 4, NULL,
                         NULL);
}

static void channel_begin(struct player *self)
{
    vck_channel_receive_init(&self->channel_receive, &self->channel, &self->element);
    self->wait = &self->channel_receive.future;
}

static void channel_serve(struct player *self, struct player *other)
{
    check(vck_channel_try_send(&other->channel, &self->element) == VCK_OK);
}

static void notify_set_up(struct player *players)
{
    for (int i = 0; i < 2; i++)
        vck_notify_init(&players[i].notify);
}

static void notify_begin(struct player *self)
{
    vck_notified_init(&self->notified, &self->notify);
    self->wait = &self->notified.future;
}

static void notify_serve(struct player *self, struct player *other)
{
    (void)self;
    vck_notify_one(&other->notify);
}

static void bare_set_up(struct player *players)
{
    (void)players;
}

static void bare_begin(struct player *self)
{
    vck_yield_init(&self->yield);
    self->wait = &self->yield.future;
}

static void bare_serve(struct player *self, struct player *other)
{
    (void)self;
    (void)other;
}

static const struct means all_means[] = {
    {"bare", bare_set_up, bare_begin, bare_serve},
    {"mailbox", mailbox_set_up, mailbox_begin, mailbox_serve},
    {"channel", channel_set_up, channel_begin, channel_serve},
    {"notify", notify_set_up, notify_begin, notify_serve},
};
#define MEANS_COUNT (sizeof(all_means) / sizeof(all_means[0]))

/* ---- the game ---- */

static enum vck_poll player_poll(struct vck_future *future, const struct vck_waker *waker)
{
    struct player *self = VCK_CONTAINER_OF(future, struct player, future);

    if (!self->is_begun) {
        self->is_begun = true;
        self->means->begin(self);
        if (self->is_first)
            self->means->serve(self, self->other);
    }
    while (vck_future_poll(self->wait, waker) == VCK_READY) {
        if (++self->trips == TRIPS) {
            if (!self->is_first)
                self->means->serve(self, self->other);
            return VCK_READY;
        }
        self->means->begin(self);
        self->means->serve(self, self->other);
    }
    return VCK_PENDING;
}

static double play(struct vck_executor *executor, const struct means *means) VCK_CAN_WAIT
{
    static struct player players[2];
    struct vck_task_join joins[2];
    uint64_t begin_ns;

    memset(players, 0, sizeof(players));
    means->set_up(players);
    for (int i = 0; i < 2; i++) {
        players[i].future.poll = player_poll;
        players[i].means = means;
        players[i].other = &players[1 - i];
        players[i].is_first = i == 1;
        vck_task_init(&players[i].task, &players[i].future);
    }
    begin_ns = vck_clock_ns();
    for (int i = 0; i < 2; i++)
        check(vck_executor_spawn(executor, &players[i].task, &joins[i]) == VCK_OK);
    for (int i = 0; i < 2; i++)
        vck_block_on(&joins[i].future);
    return (double)(vck_clock_ns() - begin_ns) / (2.0 * TRIPS);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) VCK_CAN_WAIT
{
    static double ns[MEANS_COUNT][ROUNDS];
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    struct vck_executor *executor = NULL;

    check(vck_executor_create(NULL, &executor) == VCK_OK);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < MEANS_COUNT; i++)
            ns[i][round] = play(executor, &all_means[i]);
    vck_executor_destroy(executor);
    for (size_t i = 0; i < MEANS_COUNT; i++) {
        qsort(ns[i], ROUNDS, sizeof(ns[i][0]), compare);
        if (json)
            printf("%s{\"bench\": \"wake\", \"through\": \"%s\", \"ns_per_wake\": %.2f}%s\n",
                   i ? " " : "[", all_means[i].name, ns[i][ROUNDS / 2],
                   i + 1 < MEANS_COUNT ? "," : "]");
        else
            printf("a wake through %-8s %6.1f ns\n", all_means[i].name, ns[i][ROUNDS / 2]);
    }
    return 0;
}
