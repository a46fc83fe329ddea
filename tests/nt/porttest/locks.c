/* SPDX-License-Identifier: Apache-2.0 */
#include "porttest.h"

#define ROUNDS  5000u
#define THREADS 4u

static void test_levels(void)
{
    struct vck_spinlock lock;
    CHECK(vck_current_level() == VCK_LEVEL_PASSIVE);
    vck_spinlock_init(&lock);
    vck_spinlock_acquire(&lock);
    vck_level inside = vck_current_level();
    vck_spinlock_release(&lock);
    CHECK(vck_current_level() == VCK_LEVEL_PASSIVE);
    if (porttest_has_levels())
        CHECK(inside == VCK_LEVEL_DISPATCH);
    else
        porttest_skip("this kernel shows no levels");
}

/* Not what the core does, hence not what the analysis expects. */
static void test_nested_spinlocks(void) VCK_NO_ANALYSIS
{
    struct vck_spinlock outer;
    struct vck_spinlock inner = {0};
    vck_spinlock_init(&outer);
    for (unsigned i = 0; i < 10; i++) {
        vck_spinlock_acquire(&outer);
        vck_spinlock_acquire(&inner);
        vck_spinlock_release(&inner);
        vck_spinlock_release(&outer);
        CHECK(vck_current_level() == VCK_LEVEL_PASSIVE);
    }
}

static void nest_critical_regions(void *unused)
{
    (void)unused;
    CHECK(!vck_in_critical_region());
    vck_critical_region_enter();
    vck_critical_region_enter();
    vck_critical_region_leave();
    CHECK(vck_in_critical_region());
    vck_critical_region_leave();
    CHECK(!vck_in_critical_region());
}

/* Whoever asked us may be in one. */
static void test_critical_regions(void) VCK_CAN_WAIT
{
    porttest_run_threads(1, nest_critical_regions, NULL);
}

struct counted {
    struct vck_spinlock spinlock;
    struct vck_mutex mutex;
    volatile unsigned count;
};

static void count_with_spinlock(void *context)
{
    struct counted *counted = context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        vck_spinlock_acquire(&counted->spinlock);
        counted->count = counted->count + 1;
        vck_spinlock_release(&counted->spinlock);
    }
}

static void test_spinlock_excludes(void) VCK_CAN_WAIT
{
    struct counted counted = {.count = 0};
    vck_spinlock_init(&counted.spinlock);
    porttest_run_threads(THREADS, count_with_spinlock, &counted);
    CHECK(counted.count == THREADS * ROUNDS);
}

static void count_with_mutex(void *context) VCK_CAN_WAIT
{
    struct counted *counted = context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        vck_mutex_acquire(&counted->mutex);
        CHECK(vck_in_critical_region());
        counted->count = counted->count + 1;
        vck_mutex_release(&counted->mutex);
    }
    CHECK(!vck_in_critical_region());
}

static void test_mutex_excludes(void) VCK_CAN_WAIT
{
    struct counted counted = {.count = 0};
    vck_mutex_init(&counted.mutex);
    porttest_run_threads(THREADS, count_with_mutex, &counted);
    CHECK(counted.count == THREADS * ROUNDS);
    vck_mutex_fini(&counted.mutex);
}

const struct porttest porttest_locks[] = {
    {"the level is the kernel's", test_levels},
    {"spin locks nest", test_nested_spinlocks},
    {"critical regions nest", test_critical_regions},
    {"a spin lock excludes", test_spinlock_excludes},
    {"a mutex excludes, in a critical region", test_mutex_excludes},
    {0},
};
