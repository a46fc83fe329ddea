/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_internal: what the kinds of disk of the POSIX port share: a disk performs one io with a
 * blocking call; `struct disk_workers` decides on which thread.
 */
#ifndef VCK_PORT_POSIX_DISK_INTERNAL_H
#define VCK_PORT_POSIX_DISK_INTERNAL_H

#include <pthread.h>
#include "port/posix/posix.h"

#define DISK_TAG         VCK_TAG('p', 'd', 's', 'k')
#define DISK_WORKERS_MAX 4

/*
 * The threads of one disk and the ios that wait for one. perform does the operation, returns its
 * result and may run on several threads at once. `lock` covers everything below it.
 */
struct disk_workers {
    struct vck_disk *disk;
    vck_status (*perform)(struct vck_disk *disk, struct vck_disk_io *io);
    unsigned max_count; /* of threads; at most DISK_WORKERS_MAX */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct vck_disk_io *first; /* linked through io->port[0] */
    struct vck_disk_io *last;
    unsigned waiting_count; /* ios in that list */
    unsigned idle_count;    /* threads that sleep */
    unsigned count;
    struct vck_thread *threads[DISK_WORKERS_MAX];
    bool stopping;
};

void vck_posix_workers_init(struct disk_workers *workers, struct vck_disk *disk,
                            vck_status (*perform)(struct vck_disk *disk, struct vck_disk_io *io),
                            unsigned max_count);
/* Ends the threads. No io may be in flight. PASSIVE, not from a `done`. */
void vck_posix_workers_fini(struct disk_workers *workers);
/* Checks the io, performs it here or on a thread, and calls done. PASSIVE. */
void vck_posix_workers_submit(struct disk_workers *workers, struct vck_disk_io *io);

/*
 * Whoever waits for a file to be durable: one of them asks the kernel, and all that came before it
 * asked take its answer. `lock` covers everything below it.
 */
struct disk_sync {
    int (*ask)(int fd);   /* fdatasync, or a test's */
    uint32_t *has_failed; /* set to 1, atomically, before anybody else can ask */

    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool is_running;
    unsigned waiting;
    uint64_t begun; /* runs are numbered from 1 */
    uint64_t over;
    uint64_t last_failed;
    vck_status failure; /* of that one */
};

void vck_posix_sync_init(struct disk_sync *sync, int (*ask)(int fd), uint32_t *has_failed);
void vck_posix_sync_fini(struct disk_sync *sync);
/* Everything written through fd before is durable, or why not. */
VCK_CHECKED vck_status vck_posix_sync(struct disk_sync *sync, int fd);

/* What makes an io impossible on this disk, before it is tried: INVALID_DATA (units, alignment),
 * OUT_OF_RANGE, READ_ONLY, UNSUPPORTED. */
VCK_CHECKED vck_status vck_posix_disk_check(const struct vck_disk *disk,
                                            const struct vck_disk_io *io);

/* The status of a failed operation on an open disk. */
vck_status vck_posix_disk_status(int os_error);

/* Writes the explanation, adding the system's words for os_error unless it is 0, and returns
 * status. ret_error may be NULL. */
vck_status vck_posix_explain(struct vck_posix_error *ret_error, vck_status status, int os_error,
                             const char *format, ...) VCK_PRINTF(4, 5);

/* Whether a loop device has the file as its own; its name. */
#define LOOP_NAME_BYTES 16
struct stat;
bool vck_posix_find_loop(const struct stat *st, char ret_name[LOOP_NAME_BYTES]);

/* The two openers behind vck_posix_disk_open; options are valid and not NULL. */
VCK_CHECKED vck_status vck_posix_file_open(const char *path,
                                           const struct vck_posix_disk_options *options,
                                           struct vck_disk **ret_disk,
                                           struct vck_posix_error *ret_error);
VCK_CHECKED vck_status vck_posix_nbd_open(const char *uri,
                                          const struct vck_posix_disk_options *options,
                                          struct vck_disk **ret_disk,
                                          struct vck_posix_error *ret_error);

#endif
