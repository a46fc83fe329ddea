/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_sync: a file's data made durable. The kernel tells of a page that it could not write once
 * for each open file, to whoever asks first, and takes the page for written then. Two that asked at
 * a time would leave one of them with a success that is none; so one asks for all that wait.
 */
#include <errno.h>
#include <unistd.h>
#include "port/posix/disk_internal.h"

void vck_posix_sync_init(struct disk_sync *sync, int (*ask)(int fd), uint32_t *has_failed)
{
    *sync = (struct disk_sync){.ask = ask, .has_failed = has_failed};
    pthread_mutex_init(&sync->lock, NULL);
    pthread_cond_init(&sync->ended, NULL);
}

void vck_posix_sync_fini(struct disk_sync *sync)
{
    pthread_cond_destroy(&sync->ended);
    pthread_mutex_destroy(&sync->lock);
}

static vck_status ask(const struct disk_sync *sync, int fd)
{
    int result;
    do
        result = sync->ask(fd);
    while (result != 0 && errno == EINTR);
    return result == 0 ? VCK_OK : vck_posix_disk_status(errno);
}

/* With the lock, which is not held meanwhile. */
static void run(struct disk_sync *sync, int fd)
{
    sync->is_running = true;
    sync->begun++;
    pthread_mutex_unlock(&sync->lock);
    vck_status status = ask(sync, fd);
    pthread_mutex_lock(&sync->lock);
    sync->is_running = false;
    sync->over = sync->begun;
    if (status != VCK_OK) {
        sync->last_failed = sync->over;
        sync->failure = status;
        __atomic_store_n(sync->has_failed, 1, __ATOMIC_RELEASE);
    }
    pthread_cond_broadcast(&sync->ended);
}

vck_status vck_posix_sync(struct disk_sync *sync, int fd)
{
    pthread_mutex_lock(&sync->lock);
    /* One that runs already may have begun before what is to be durable was written, and all the
     * same be told what became of it. */
    uint64_t enough = sync->begun + 1;
    uint64_t concerned = enough - sync->is_running;
    sync->waiting++;
    while (sync->over < enough) {
        if (sync->is_running)
            pthread_cond_wait(&sync->ended, &sync->lock);
        else
            run(sync, fd);
    }
    sync->waiting--;
    vck_status status = sync->last_failed >= concerned ? sync->failure : VCK_OK;
    pthread_mutex_unlock(&sync->lock);
    return status;
}
