/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything of the room at once: a module whose threads pass items through a bounded queue, look
 * things up under a reader/writer lock, keep thread-local counts and start helpers, while clients
 * call into it; it is taken down and put up again under them. VCK_STRESS_SECONDS lets it go on.
 */
#include "thread_test.h"
#include <stdlib.h>
#include "vck/condition.h"
#include "vck/object.h"
#include "vck/once.h"
#include "vck/rundown.h"
#include "vck/rwlock.h"
#include "vck/semaphore.h"
#include "vck/thread.h"
#include "vck/thread_local.h"

#define TAG     VCK_TAG('t', 'e', 's', 't')
#define WORKERS 2
#define CLIENTS 2
#define SLOTS   4u
#define ROUNDS  25

struct module {
    struct vck_object *object;
    struct vck_semaphore free_slots;
    struct vck_mutex mutex;
    struct vck_condition filled;
    unsigned queued; /* under mutex, as is must_end */
    bool must_end;
    struct vck_rwlock table_lock;
    uint64_t table[2]; /* equal; under table_lock */
    struct vck_once once;
    unsigned once_runs;
    struct vck_thread_local counts;
    struct vck_thread_handle *workers[WORKERS];
};

/* What outlives the module. */
static struct vck_rundown protection;
static struct module *module;
static bool is_over;
static unsigned put_count;
static unsigned done_count;
static unsigned helpers_run;
static unsigned torn;

static bool has_nothing(void *context)
{
    struct module *m = context;
    return m->queued == 0 && !m->must_end;
}

static void note_help(void *context)
{
    (void)context;
    __atomic_add_fetch(&helpers_run, 1, __ATOMIC_RELAXED);
}

static vck_status count_once(void *context)
{
    ((struct module *)context)->once_runs++;
    return VCK_OK;
}

/* The thread's own count goes up; it is added to done_count when the value is destroyed. */
static void count_item(struct module *m)
{
    unsigned *count = vck_thread_local_get(&m->counts);
    if (count == NULL) {
        count = vck_alloc(sizeof(*count), TAG);
        if (count == NULL || vck_thread_local_set(&m->counts, count) != VCK_OK)
            abort();
    }
    ++*count;
}

static void add_count(void *value)
{
    __atomic_add_fetch(&done_count, *(unsigned *)value, __ATOMIC_RELAXED);
    vck_free(value);
}

static void use_table(struct module *m, bool writes) VCK_CAN_WAIT
{
    if (writes) {
        vck_rwlock_acquire_exclusive(&m->table_lock);
        m->table[0]++;
        m->table[1]++;
        vck_rwlock_release_exclusive(&m->table_lock);
    } else {
        vck_rwlock_acquire_shared(&m->table_lock);
        if (m->table[0] != m->table[1])
            __atomic_store_n(&torn, 1, __ATOMIC_RELAXED);
        vck_rwlock_release_shared(&m->table_lock);
    }
}

static bool take_item(struct module *m) VCK_CAN_WAIT
{
    vck_mutex_acquire(&m->mutex);
    (void)vck_condition_wait_while(&m->filled, &m->mutex, has_nothing, m, VCK_FOREVER);
    bool is_taken = m->queued > 0;
    if (is_taken)
        m->queued--;
    vck_mutex_release(&m->mutex);
    return is_taken;
}

static void work(void *context) VCK_CAN_WAIT
{
    struct module *m = context;
    for (unsigned i = 0; take_item(m); i++) {
        struct vck_thread_handle *helper;
        count_item(m);
        use_table(m, i % 4 == 0);
        if (vck_once_run(&m->once, count_once, m) != VCK_OK ||
            vck_semaphore_release(&m->free_slots, 1) != VCK_OK)
            abort();
        if (i % 64 == 0 && vck_thread_spawn(m->object, note_help, NULL, VCK_THREAD_NORMAL, "helper",
                                            &helper) == VCK_OK)
            vck_thread_handle_detach(helper);
    }
}

static bool put_item(struct module *m, uint64_t deadline_ns) VCK_CAN_WAIT
{
    if (vck_semaphore_wait(&m->free_slots, deadline_ns) != VCK_OK)
        return false;
    vck_mutex_acquire(&m->mutex);
    m->queued++;
    vck_mutex_release(&m->mutex);
    vck_condition_signal(&m->filled);
    return true;
}

static void be_a_client(void *context) VCK_CAN_WAIT
{
    (void)context;
    for (unsigned i = 0; !is_set(&is_over); i++) {
        if (!vck_rundown_acquire(&protection)) {
            (void)vck_thread_park_until(vck_deadline_after(MILLISECOND_NS / 10));
            continue;
        }
        if (put_item(module, vck_deadline_after(i % 3 ? MILLISECOND_NS : 1000)))
            __atomic_add_fetch(&put_count, 1, __ATOMIC_RELAXED);
        use_table(module, false);
        vck_rundown_release(&protection);
    }
}

static void destroy_module(void *context)
{
    struct module *m = context;
    vck_semaphore_fini(&m->free_slots);
    vck_condition_fini(&m->filled);
    vck_mutex_fini(&m->mutex);
    vck_rwlock_fini(&m->table_lock);
}

static vck_status init_module(struct vck_object *object, void *context, void *argument)
{
    struct module *m = context;
    (void)argument;
    m->object = object;
    vck_semaphore_init(&m->free_slots, SLOTS, SLOTS);
    vck_mutex_init(&m->mutex);
    vck_condition_init(&m->filled);
    vck_rwlock_init(&m->table_lock);
    module = m;
    return vck_thread_local_init(&m->counts, add_count);
}

static const struct vck_object_type module_type = {
    .name = "module", .context_bytes = sizeof(struct module), .destroy = destroy_module};

static struct vck_object *put_up(void) VCK_CAN_WAIT
{
    struct vck_object *object = NULL;
    assert_int_equal(vck_object_create(&module_type, NULL, init_module, NULL, &object), VCK_OK);
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(vck_thread_spawn(object, work, module, VCK_THREAD_NORMAL, "worker",
                                          &module->workers[i]),
                         VCK_OK);
    return object;
}

static void take_down(struct vck_object *object) VCK_CAN_WAIT
{
    vck_rundown_wait(&protection);
    vck_mutex_acquire(&module->mutex);
    module->must_end = true;
    vck_mutex_release(&module->mutex);
    vck_condition_broadcast(&module->filled);
    for (size_t i = 0; i < WORKERS; i++)
        vck_thread_handle_join(module->workers[i]);
    vck_thread_local_fini(&module->counts);
    assert_true(module->once_runs <= 1);
    assert_int_equal(module->queued, 0);
    assert_int_equal(vck_object_delete(object), VCK_OK);
}

static void test_module_comes_and_goes_under_its_clients(void **state) VCK_CAN_WAIT
{
    const char *seconds = getenv("VCK_STRESS_SECONDS");
    uint64_t end_ns = vck_clock_ns() + (seconds ? strtoull(seconds, NULL, 10) : 0) * 1000000000;
    struct vck_thread *clients[CLIENTS];
    (void)state;
    size_t before = vck_alloc_live_count();
    vck_rundown_init(&protection);
    struct vck_object *object = put_up();
    for (size_t i = 0; i < CLIENTS; i++)
        clients[i] = start(be_a_client, NULL);
    for (unsigned round = 0; round < ROUNDS || vck_clock_ns() < end_ns; round++) {
        vck_thread_sleep(2 * MILLISECOND_NS);
        take_down(object);
        assert_int_equal(__atomic_load_n(&done_count, __ATOMIC_RELAXED),
                         __atomic_load_n(&put_count, __ATOMIC_RELAXED));
        object = put_up();
        vck_rundown_reset(&protection);
    }
    set(&is_over);
    for (size_t i = 0; i < CLIENTS; i++)
        vck_thread_join(clients[i]);
    take_down(object);
    while (vck_alloc_live_count() != before) /* detached helpers */
        vck_thread_yield();
    assert_int_equal(done_count, put_count);
    assert_int_equal(torn, 0);
    assert_true(put_count > 0 && helpers_run > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_module_comes_and_goes_under_its_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
