/* SPDX-License-Identifier: Apache-2.0 */
#include "thread_test.h"
#include "vck/rundown.h"

static void test_acquire_fails_once_run_down_began(void **state) VCK_CAN_WAIT
{
    struct vck_rundown rundown;
    (void)state;
    vck_rundown_init(&rundown);
    assert_true(vck_rundown_acquire(&rundown));
    assert_true(vck_rundown_acquire(&rundown));
    vck_rundown_release(&rundown);
    vck_rundown_release(&rundown);
    vck_rundown_wait(&rundown);
    assert_false(vck_rundown_acquire(&rundown));
    vck_rundown_wait(&rundown); /* again: it is down */
    vck_rundown_reset(&rundown);
    assert_true(vck_rundown_acquire(&rundown));
    vck_rundown_release(&rundown);
    vck_rundown_wait(&rundown);
}

struct ending {
    struct vck_rundown rundown;
    unsigned ended;
};

static void run_down(void *context) VCK_CAN_WAIT
{
    struct ending *ending = context;
    vck_rundown_wait(&ending->rundown);
    __atomic_add_fetch(&ending->ended, 1, __ATOMIC_RELEASE);
}

static void test_run_down_waits_for_users(void **state) VCK_CAN_WAIT
{
    struct ending ending = {.ended = 0};
    struct vck_thread *threads[2];
    (void)state;
    vck_rundown_init(&ending.rundown);
    assert_true(vck_rundown_acquire(&ending.rundown));
    assert_true(vck_rundown_acquire(&ending.rundown));
    for (size_t i = 0; i < 2; i++)
        threads[i] = start(run_down, &ending);
    wait_for_waiters(&ending.rundown.waiters, &ending.rundown.lock, 2);
    assert_false(vck_rundown_acquire(&ending.rundown));
    vck_rundown_release(&ending.rundown);
    assert_int_equal(__atomic_load_n(&ending.ended, __ATOMIC_ACQUIRE), 0);
    vck_rundown_release(&ending.rundown);
    for (size_t i = 0; i < 2; i++)
        vck_thread_join(threads[i]);
    assert_int_equal(ending.ended, 2);
}

static void test_acquire_and_release_up_to_dispatch(void **state)
{
    struct vck_rundown rundown;
    struct vck_spinlock lock;
    (void)state;
    vck_rundown_init(&rundown);
    vck_spinlock_init(&lock);
    vck_spinlock_acquire(&lock);
    bool got = vck_rundown_acquire(&rundown);
    if (got)
        vck_rundown_release(&rundown);
    vck_spinlock_release(&lock);
    assert_true(got);
}

/* What the threads use is taken away and given back: none of them sees it away. */
struct service {
    struct vck_rundown rundown;
    unsigned *resource; /* plain: run-down orders the accesses */
    unsigned uses;
    unsigned refused;
    bool is_over;
};

static void use(void *context)
{
    struct service *service = context;
    while (!is_set(&service->is_over)) {
        if (!vck_rundown_acquire(&service->rundown)) {
            __atomic_add_fetch(&service->refused, 1, __ATOMIC_RELAXED);
            vck_thread_yield();
            continue;
        }
        __atomic_add_fetch(service->resource, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&service->uses, 1, __ATOMIC_RELAXED);
        vck_rundown_release(&service->rundown);
    }
}

static void test_nothing_is_used_when_it_is_down(void **state) VCK_CAN_WAIT
{
    struct service service = {.uses = 0};
    struct vck_thread *threads[3];
    unsigned total = 0;
    (void)state;
    vck_rundown_init(&service.rundown);
    service.resource = vck_alloc(sizeof(*service.resource), VCK_TAG('t', 'e', 's', 't'));
    assert_non_null(service.resource);
    for (size_t i = 0; i < 3; i++)
        threads[i] = start(use, &service);
    for (unsigned round = 0; round < 1000; round++) {
        vck_rundown_wait(&service.rundown);
        total += *service.resource;
        vck_free(service.resource);
        service.resource = vck_alloc(sizeof(*service.resource), VCK_TAG('t', 'e', 's', 't'));
        if (service.resource == NULL)
            break;
        vck_rundown_reset(&service.rundown);
        vck_thread_yield();
    }
    set(&service.is_over);
    for (size_t i = 0; i < 3; i++)
        vck_thread_join(threads[i]);
    assert_non_null(service.resource);
    total += *service.resource;
    vck_free(service.resource);
    assert_int_equal(total, service.uses);
}

/* The run-down lies in the memory that goes when it is down. */
struct guarded {
    struct vck_rundown rundown;
    bool is_taken;
};

static void release_what_comes(void *context)
{
    struct guarded **slot = context;
    for (unsigned left = 5000; left > 0;) {
        struct guarded *guarded = __atomic_exchange_n(slot, NULL, __ATOMIC_ACQ_REL);
        if (guarded == NULL) {
            vck_thread_yield();
            continue;
        }
        vck_rundown_release(&guarded->rundown);
        left--;
    }
}

static void test_memory_may_go_when_it_is_down(void **state) VCK_CAN_WAIT
{
    struct guarded *slot = NULL;
    (void)state;
    struct vck_thread *thread = start(release_what_comes, &slot);
    for (unsigned i = 0; i < 5000; i++) {
        struct guarded *guarded = vck_alloc(sizeof(*guarded), VCK_TAG('t', 'e', 's', 't'));
        assert_non_null(guarded);
        vck_rundown_init(&guarded->rundown);
        assert_true(vck_rundown_acquire(&guarded->rundown));
        __atomic_store_n(&slot, guarded, __ATOMIC_RELEASE);
        vck_rundown_wait(&guarded->rundown);
        memset(guarded, 0x5a, sizeof(*guarded));
        vck_free(guarded);
    }
    vck_thread_join(thread);
}

static void release_too_often(void)
{
    struct vck_rundown rundown;
    vck_rundown_init(&rundown);
    vck_rundown_release(&rundown);
}

static void test_release_without_acquire_stops_the_program(void **state)
{
    (void)state;
    expect_abort(release_too_often, "before >= 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_release_without_acquire_stops_the_program),
        cmocka_unit_test(test_acquire_fails_once_run_down_began),
        cmocka_unit_test(test_run_down_waits_for_users),
        cmocka_unit_test(test_acquire_and_release_up_to_dispatch),
        cmocka_unit_test(test_nothing_is_used_when_it_is_down),
        cmocka_unit_test(test_memory_may_go_when_it_is_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
