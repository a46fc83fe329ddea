/* SPDX-License-Identifier: Apache-2.0 */
/* The worked example of docs/runtime.md, which quotes it from here. */
#include <stdio.h>
#include <stdlib.h>
#include "executor_test.h"
#include "vck/coroutine.h"
#include "vck/sleep.h"

/* [example */
/* Asks a device up to three times, waiting longer before each. */
struct retry {
    struct vck_future future;
    struct vck_coroutine co;
    struct vck_sleep pause;
    bool (*ask)(void *context); /* true: it answered */
    void *context;
    unsigned attempt; /* lives across the await, so it is here and not on the stack */
};

static enum vck_poll retry_poll(struct vck_future *self, const struct vck_waker *waker)
{
    struct retry *r = VCK_CONTAINER_OF(self, struct retry, future);

    VCK_CO_BEGIN(&r->co);
    for (r->attempt = 1; r->attempt <= 3; r->attempt++) {
        if (r->ask(r->context))
            VCK_CO_RETURN(&r->co);
        vck_sleep_init(&r->pause, r->attempt * 1000000ull);
        VCK_CO_AWAIT(&r->co, &r->pause.future, waker);
    }
    vck_task_set_status(VCK_TIMEOUT);
    VCK_CO_END(&r->co);
}

/* Cancelled while it waits: what is pending goes with it. */
static void retry_drop(struct vck_future *self)
{
    vck_future_drop(&VCK_CONTAINER_OF(self, struct retry, future)->pause.future);
}
/* example] */

static void retry_init(struct retry *r, bool (*ask)(void *context), void *context)
{
    *r = (struct retry){
        .future = {.poll = retry_poll, .drop = retry_drop}, .ask = ask, .context = context};
    /* A drop may come before the first pause. */
    vck_sleep_init(&r->pause, 0);
}

struct device {
    int asked;
    int answers_at;
    int cancelled_at; /* while it is asked for so many times */
    struct vck_event is_asked;
    struct vck_event is_cancelled;
};

static bool ask_device(void *context) VCK_CAN_WAIT
{
    struct device *device = context;

    if (++device->asked == device->cancelled_at) {
        vck_event_set(&device->is_asked);
        (void)vck_event_wait(&device->is_cancelled, VCK_FOREVER);
    }
    return device->asked == device->answers_at;
}

static vck_status run_retry(struct device *device) VCK_CAN_WAIT
{
    struct vck_executor *executor = create_executor(1);
    struct vck_task_join join;
    struct vck_task task;
    struct retry r;

    vck_event_init(&device->is_asked);
    vck_event_init(&device->is_cancelled);
    retry_init(&r, ask_device, device);
    vck_task_init(&task, &r.future);
    assert_int_equal(vck_executor_spawn(executor, &task, &join), VCK_OK);
    if (device->cancelled_at) {
        (void)vck_event_wait(&device->is_asked, VCK_FOREVER);
        vck_task_join_cancel(&join);
        vck_event_set(&device->is_cancelled);
    }
    (void)wait_for(&join);
    vck_executor_destroy(executor);
    vck_event_fini(&device->is_cancelled);
    vck_event_fini(&device->is_asked);
    return join.status;
}

static void the_example_runs(void **state) VCK_CAN_WAIT
{
    struct device second = {.answers_at = 2};
    struct device never = {.answers_at = 0};

    (void)state;
    assert_int_equal(run_retry(&second), VCK_OK);
    assert_int_equal(second.asked, 2);
    assert_int_equal(run_retry(&never), VCK_TIMEOUT);
    assert_int_equal(never.asked, 3);
}

static void the_example_can_be_cancelled(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (int i = 1; i <= 3; i++) {
        struct device never = {.cancelled_at = i};

        assert_int_equal(run_retry(&never), VCK_CANCELLED);
        assert_int_equal(never.asked, i);
    }
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);

    assert_non_null(file);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

static void the_manual_quotes_the_example(void **state)
{
    char *source = read_file("src/task/coroutine_example_test.c");
    char *manual = read_file("docs/runtime.md");
    char *example = strstr(source, "/* [example */\n");
    char *end = strstr(source, "/* example] */\n");

    (void)state;
    assert_true(example != NULL && end > example);
    example += strlen("/* [example */\n");
    *end = 0;
    assert_non_null(strstr(manual, example));
    free(source);
    free(manual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        A_TEST(the_example_runs),
        A_TEST(the_example_can_be_cancelled),
        A_TEST(the_manual_quotes_the_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
