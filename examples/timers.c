/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vck-timers: timers and timeouts on one thread. A clock ticks, a task fetches three answers with a
 * time limit each, one of which never comes, and then everything ends.
 *
 *     usage: vck-timers [MILLISECONDS]    the length of a tick, 20 unless told
 */
#include <stdio.h>
#include <stdlib.h>
#include "vck/coroutine.h"
#include "vck/executor.h"
#include "vck/sleep.h"
#include "vck/timeout.h"
#include "vck/timer.h"

#define QUESTIONS 3

static uint64_t tick_ns = 20u * 1000000u;

/* A periodic timer: a callback on the worker. */
struct ticker {
    struct vck_task_timer timer;
    unsigned ticks;
};

static void on_tick(struct vck_task_timer *timer)
{
    struct ticker *ticker = VCK_CONTAINER_OF(timer, struct ticker, timer);

    printf("tick %u\n", ++ticker->ticks);
}

/* A coroutine: what lives across an await is in the struct. */
struct program {
    struct vck_future future;
    struct vck_coroutine co;
    struct ticker ticker;
    struct vck_sleep answer; /* what takes its time */
    struct vck_timeout limit;
    unsigned question;
    unsigned in_time;
};

static void drop_program(struct vck_future *self) VCK_NO_ANALYSIS
{
    struct program *p = VCK_CONTAINER_OF(self, struct program, future);

    vck_task_timer_fini(&p->ticker.timer);
}

static enum vck_poll run_program(struct vck_future *self, const struct vck_waker *waker)
{
    struct program *p = VCK_CONTAINER_OF(self, struct program, future);

    VCK_CO_BEGIN(&p->co);
    vck_task_timer_init(&p->ticker.timer, vck_worker_get_current(), on_tick);
    vck_task_timer_arm(&p->ticker.timer, vck_clock_ns() + tick_ns, tick_ns);
    for (p->question = 1; p->question <= QUESTIONS; p->question++) {
        /* Half a tick, a whole one, and the last never comes; two ticks are all they get. */
        vck_sleep_init(&p->answer,
                       p->question == QUESTIONS ? VCK_FOREVER : p->question * tick_ns / 2);
        vck_timeout_init(&p->limit, &p->answer.future, 2 * tick_ns);
        VCK_CO_AWAIT(&p->co, &p->limit.future, waker);
        printf("answer %u: %s\n", p->question, vck_status_text(p->limit.status));
        p->in_time += p->limit.status == VCK_OK;
    }
    drop_program(self);
    vck_executor_shutdown(vck_executor_get_current());
    VCK_CO_END(&p->co);
}

static int run(void) VCK_CAN_WAIT
{
    struct program program = {.future = {.poll = run_program, .drop = drop_program}};
    struct vck_executor *executor = NULL;
    struct vck_task_join join;
    struct vck_task task;
    vck_status status = vck_executor_prepare(NULL, &executor);

    vck_task_init(&task, &program.future);
    if (status == VCK_OK)
        status = vck_executor_spawn(executor, &task, &join);
    if (status == VCK_OK) {
        vck_executor_run(executor);
        vck_block_on(&join.future);
        status = join.status;
    }
    vck_executor_destroy(executor);
    if (status != VCK_OK) {
        fprintf(stderr, "vck-timers: %s\n", vck_status_text(status));
        return 1;
    }
    printf("%u of %d answers in time, %u ticks\n", program.in_time, QUESTIONS,
           program.ticker.ticks);
    return 0;
}

int main(int argc, char **argv) VCK_CAN_WAIT
{
    if (argc > 1)
        tick_ns = strtoull(argv[1], NULL, 10) * 1000000u;
    if (argc > 2 || tick_ns == 0) {
        fprintf(stderr, "usage: vck-timers [MILLISECONDS]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    return run();
}
