/* SPDX-License-Identifier: Apache-2.0 */
#include "port/posix/disk_internal.h"
#include "port/posix/internal.h"

void vck_posix_workers_init(struct disk_workers *workers, struct vck_disk *disk,
                            vck_status (*perform)(struct vck_disk *disk, struct vck_disk_io *io),
                            unsigned max_count)
{
    FATAL_UNLESS(max_count <= DISK_WORKERS_MAX, "a disk has room for its threads");
    *workers = (struct disk_workers){.disk = disk, .perform = perform, .max_count = max_count};
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->changed, NULL);
}

static struct vck_disk_io *pop(struct disk_workers *workers)
{
    struct vck_disk_io *io = workers->first;
    workers->first = io->port[0];
    workers->waiting_count--;
    return io;
}

static void push(struct disk_workers *workers, struct vck_disk_io *io)
{
    io->port[0] = NULL;
    if (workers->first == NULL)
        workers->first = io;
    else
        workers->last->port[0] = io;
    workers->last = io;
    workers->waiting_count++;
}

static void perform(struct disk_workers *workers, struct vck_disk_io *io)
{
    io->status = workers->perform(workers->disk, io);
    io->done(io); /* the io, and after an inline one the disk, may be gone now */
}

static void work(void *context)
{
    struct disk_workers *workers = context;
    pthread_mutex_lock(&workers->lock);
    while (!workers->stopping) {
        if (workers->first == NULL) {
            workers->idle_count++;
            pthread_cond_wait(&workers->changed, &workers->lock);
            workers->idle_count--;
            continue;
        }
        struct vck_disk_io *io = pop(workers);
        pthread_mutex_unlock(&workers->lock);
        perform(workers, io);
        pthread_mutex_lock(&workers->lock);
    }
    pthread_mutex_unlock(&workers->lock);
}

/* Who waits for a request lets its own thread perform it; these do the work nobody waits for.
 * Called with the lock held. With at least one thread a failure to add another only costs time. */
static void add_thread_when_short(struct disk_workers *workers)
{
    if (workers->waiting_count < workers->idle_count + 1 || workers->count == workers->max_count)
        return;
    if (vck_thread_create(work, workers, VCK_THREAD_BACKGROUND, "vck-disk",
                          &workers->threads[workers->count]) == VCK_OK)
        workers->count++;
}

/* False when there is no thread to take it. */
static bool hand_over(struct disk_workers *workers, struct vck_disk_io *io)
{
    pthread_mutex_lock(&workers->lock);
    FATAL_UNLESS(!workers->stopping, "a disk that is closed gets no more requests");
    push(workers, io);
    add_thread_when_short(workers);
    bool is_taken = workers->count > 0;
    if (is_taken)
        pthread_cond_signal(&workers->changed);
    else
        pop(workers); /* the only one: every earlier io met the same */
    pthread_mutex_unlock(&workers->lock);
    return is_taken;
}

void vck_posix_workers_submit(struct disk_workers *workers, struct vck_disk_io *io)
{
    VCK_ASSERT_LEVEL(VCK_LEVEL_PASSIVE);
    vck_status status = vck_posix_disk_check(workers->disk, io);
    if (status != VCK_OK) {
        io->status = status;
        io->done(io);
        return;
    }
    if ((io->flags & VCK_DISK_ASYNC) == 0 || !hand_over(workers, io))
        perform(workers, io);
}

/* No analysis: the way here is the `close` of a disk, a pointer, which the compiler cannot follow.
 */
void vck_posix_workers_fini(struct disk_workers *workers) VCK_NO_ANALYSIS
{
    pthread_mutex_lock(&workers->lock);
    FATAL_UNLESS(workers->first == NULL, "a disk is closed with no request in flight");
    workers->stopping = true;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->count; i++)
        vck_thread_join(workers->threads[i]);
    pthread_cond_destroy(&workers->changed);
    pthread_mutex_destroy(&workers->lock);
}
