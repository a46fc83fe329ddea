/* SPDX-License-Identifier: Apache-2.0 */
#include "porttest.h"
#include "port/nt/nt.h"

#define TAG VCK_TAG('t', 'm', 'i', 's')

static void break_assertion(void)
{
    VCK_ASSERT(vck_nt_driver() == NULL);
}

static void free_twice(void)
{
    void *p = vck_alloc(16, TAG);
    vck_free(p);
    vck_free(p);
}

static void damage_before_free(void)
{
    unsigned char *p = vck_alloc(16, TAG);
    if (p != NULL)
        p[-1] ^= 0xff;
    vck_free(p);
}

static void take_spinlock_twice(void) VCK_NO_ANALYSIS
{
    struct vck_spinlock lock;
    vck_spinlock_init(&lock);
    vck_spinlock_acquire(&lock);
    vck_spinlock_acquire(&lock);
}

static void release_free_mutex(void) VCK_NO_ANALYSIS
{
    struct vck_mutex mutex;
    vck_mutex_init(&mutex);
    vck_mutex_release(&mutex);
}

static void wait_at_dispatch(void) VCK_NO_ANALYSIS
{
    struct vck_spinlock lock;
    struct vck_event event;
    vck_spinlock_init(&lock);
    vck_event_init(&event);
    vck_spinlock_acquire(&lock);
    (void)vck_event_wait(&event, VCK_FOREVER);
}

/* By the number in the request. */
static void (*const misuses[])(void) = {
    break_assertion,     free_twice,         damage_before_free,
    take_spinlock_twice, release_free_mutex, wait_at_dispatch,
};

bool porttest_misuse(size_t number)
{
    if (number >= sizeof(misuses) / sizeof(misuses[0]))
        return false;
    misuses[number]();
    return true;
}
