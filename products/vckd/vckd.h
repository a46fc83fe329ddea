/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vckd: the host daemon, an nbdkit plugin. Attached volumes are its exports; a Unix socket carries
 * the control protocol.
 *
 *     plugin   nbdkit's callbacks: options, exports, reads and writes, start and end
 *     host     what the control protocol asks of Linux: paths, disks, who uses a volume
 *     socket   the control socket, a thread per connection
 *     watchdog the limit on the time an end may take
 */
#ifndef VCKD_H
#define VCKD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "vck/control.h"

#define VCKD_CLIENTS_MAX        64u
#define VCKD_UNPRIVILEGED_MAX   48u /* the others are kept for those who may write */
#define VCKD_EXPORT_NAME_BYTES  4096u
#define VCKD_END_LIMIT_NS       9000000000ull
#define VCKD_END_GRACE_NS       5000000000ull
#define VCKD_DETACH_PATIENCE_MS 10000
#define VCKD_DETACH_TRY_MS      100

/* ---- host ---- */

struct vckd_use;

struct vckd_host {
    struct vck_control_host control; /* first: the hooks find the rest from it */
    struct vck_registry registry;
    bool direct;        /* open disks past the page cache */
    uint32_t is_ending; /* atomic */

    pthread_mutex_t lock;
    struct vckd_use *uses; /* under lock: volumes that have NBD connections or must not get any */
};

/* Workers that sweep; more would only wait for each other's memory. */
#define VCKD_SWEEP_WORKERS 2u

/* NO_MEMORY. */
VCK_CHECKED vck_status vckd_host_init(struct vckd_host *host, bool direct) VCK_CAN_WAIT;
/* After every volume has been detached. */
void vckd_host_fini(struct vckd_host *host) VCK_CAN_WAIT;
/* The daemon ends: nobody waits for connections any more. */
void vckd_host_end(struct vckd_host *host);

/* The volume of an export name, referenced and counted as used until vckd_host_close. "" is the
 * only volume. NOT_FOUND; NOT_READY: it has no key yet; DELETE_PENDING: it is being detached;
 * NO_MEMORY. */
VCK_CHECKED vck_status vckd_host_open(struct vckd_host *host, const char *export_name,
                                      struct vck_volume **ret_volume) VCK_CAN_WAIT;
void vckd_host_close(struct vckd_host *host, struct vck_volume *volume VCK_TAKES);

/* The name under which a volume is listed: its file name without extension where that is enough,
 * else its path. */
void vckd_host_export_name(struct vckd_host *host, const struct vck_volume *volume,
                           char ret_name[VCKD_EXPORT_NAME_BYTES]) VCK_CAN_WAIT;

/* ---- control socket ---- */

struct vckd_socket {
    struct vckd_host *host;
    char path[108];
    int lock_fd; /* holds the lock on path.lock while the daemon lives */
    int listen_fd;
    int wake_fd; /* an event: the accepting thread ends */
    pthread_t thread;
    bool is_running;

    pthread_mutex_t lock; /* of is_ended of the clients; the rest is the accepting thread's */
    struct vckd_client *clients;
    unsigned client_count;
    unsigned unprivileged_count;
};

/* Binds, before the daemon leaves the terminal, so that its complaints are seen. Returns 0, or -1
 * after writing why to ret_why. */
int vckd_socket_bind(struct vckd_socket *socket, const char *path, struct vck_explanation *ret_why);
/* Serves. Returns 0 or an errno. */
int vckd_socket_start(struct vckd_socket *socket, struct vckd_host *host);
/* Ends every connection, waits for requests under way and removes the socket. Harmless when it was
 * never bound. */
void vckd_socket_stop(struct vckd_socket *socket);
/* The hook of the dispatcher. */
bool vckd_socket_is_cancelled(struct vck_control_host *control,
                              const struct vck_control_caller *caller);

/* ---- watchdog ---- */

/* From the first signal that ends nbdkit on, counts: after VCKD_END_GRACE_NS it calls end itself,
 * after VCKD_END_LIMIT_NS it stops the process. Returns 0 or an errno. */
int vckd_watchdog_start(void (*end)(void));
/* The end has come to its end: from here on the process may be let go. */
void vckd_watchdog_end(void);
/* Ends the watch. After vckd_watchdog_end, from nbdkit's own end only. */
void vckd_watchdog_stop(void);

#endif
