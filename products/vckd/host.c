/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "port/posix/posix.h"
#include "vck/executor.h"
#include "vck/volume.h"
#include "vckd.h"

/* A volume with NBD connections, or one that is being detached. */
struct vckd_use {
    struct vckd_use *next;
    struct vck_volume *volume; /* referenced */
    unsigned count;            /* of connections */
    bool is_closed;            /* nobody else gets in */
};

static struct vckd_host *host_of(struct vck_control_host *control)
{
    return VCK_CONTAINER_OF(control, struct vckd_host, control);
}

static bool is_uri(const char *path)
{
    return strncmp(path, "nbd", 3) == 0 && strstr(path, "://");
}

/* ---- paths ---- */

/* The canonical spelling of a path whose last part may be gone. Returns malloc'ed memory. */
static char *resolve(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *whole = realpath(path, NULL);
    char *folder = NULL;
    char *parent = NULL;

    if (whole || !slash || slash == path)
        return whole ? whole : strdup(path);
    parent = strndup(path, (size_t)(slash - path));
    folder = parent ? realpath(parent, NULL) : NULL;
    if (!folder || asprintf(&whole, "%s%s", strcmp(folder, "/") == 0 ? "" : folder, slash) < 0)
        whole = strdup(path);
    free(folder);
    free(parent);
    return whole;
}

static vck_status canonical_path(struct vck_control_host *control, const char *path,
                                 char ret_path[VCK_VOLUME_PATH_BYTES],
                                 struct vck_explanation *ret_why)
{
    char *resolved = is_uri(path) || path[0] != '/' ? strdup(path) : resolve(path);
    vck_status status = resolved ? VCK_OK : VCK_NO_MEMORY;

    (void)control;
    if (resolved && strlen(resolved) >= VCK_VOLUME_PATH_BYTES) {
        status = VCK_INVALID_DATA;
        snprintf(ret_why->text, sizeof(ret_why->text), "the path has %zu bytes, at most %u work",
                 strlen(resolved), VCK_VOLUME_PATH_BYTES - 1);
    } else if (resolved) {
        strcpy(ret_path, resolved);
    }
    free(resolved);
    return status;
}

static bool is_same(struct vck_control_host *control, const char *volume_path, const char *path)
{
    struct stat a;
    struct stat b;

    (void)control;
    if (is_uri(volume_path) || path[0] != '/' || stat(volume_path, &a) || stat(path, &b))
        return false;
    if (S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode))
        return a.st_rdev == b.st_rdev;
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static vck_status open_disk(struct vck_control_host *control, const char *path,
                            const char *device_path, struct vck_disk **ret_disk,
                            struct vck_explanation *ret_why)
{
    struct vck_posix_disk_options options = {0};
    struct vck_posix_error error = {0};
    vck_status status;

    (void)device_path;
    if (!is_uri(path) && path[0] != '/') {
        snprintf(ret_why->text, sizeof(ret_why->text),
                 "%.500s is not an absolute path: the daemon has another working directory", path);
        return VCK_INVALID_DATA;
    }
    if (host_of(control)->direct)
        options.flags |= VCK_POSIX_DISK_DIRECT;
    status = vck_posix_disk_open(path, &options, ret_disk, &error);
    if (status)
        snprintf(ret_why->text, sizeof(ret_why->text), "%s", error.text);
    return status;
}

/* ---- who uses a volume ---- */

/* Under the lock. Makes the entry where there is none; NULL when there is no memory. */
static struct vckd_use *find_use(struct vckd_host *host, struct vck_volume *volume, bool make)
{
    struct vckd_use *use = host->uses;

    while (use && use->volume != volume)
        use = use->next;
    if (use || !make)
        return use;
    use = calloc(1, sizeof(*use));
    if (!use)
        return NULL;
    vck_volume_reference(volume);
    use->volume = volume;
    use->next = host->uses;
    host->uses = use;
    return use;
}

/* Under the lock. */
static void drop_unused(struct vckd_host *host)
{
    struct vckd_use **link = &host->uses;

    while (*link) {
        struct vckd_use *use = *link;

        if (use->count || use->is_closed) {
            link = &use->next;
            continue;
        }
        *link = use->next;
        vck_volume_release(use->volume);
        free(use);
    }
}

static unsigned use_count(struct vckd_host *host, struct vck_volume *volume)
{
    struct vckd_use *use;
    unsigned count;

    pthread_mutex_lock(&host->lock);
    use = find_use(host, volume, false);
    count = use ? use->count : 0;
    pthread_mutex_unlock(&host->lock);
    return count;
}

static bool set_closed(struct vckd_host *host, struct vck_volume *volume, bool is_closed)
{
    struct vckd_use *use;

    pthread_mutex_lock(&host->lock);
    use = find_use(host, volume, is_closed);
    if (use)
        use->is_closed = is_closed;
    drop_unused(host);
    pthread_mutex_unlock(&host->lock);
    return use != NULL;
}

/* A client that has just unmounted may take a moment to hang up. */
static vck_status before_detach(struct vck_control_host *control, struct vck_volume *volume,
                                bool force, struct vck_explanation *ret_why)
{
    static const struct timespec try_time = {.tv_nsec = VCKD_DETACH_TRY_MS * 1000000L};
    struct vckd_host *host = host_of(control);
    unsigned count = 0;

    if (!set_closed(host, volume, true))
        return VCK_NO_MEMORY;
    for (int waited_ms = 0; !force && waited_ms < VCKD_DETACH_PATIENCE_MS;
         waited_ms += VCKD_DETACH_TRY_MS) {
        count = use_count(host, volume);
        if (count == 0)
            return VCK_OK;
        if (__atomic_load_n(&host->is_ending, __ATOMIC_ACQUIRE))
            break;
        nanosleep(&try_time, NULL);
    }
    if (force)
        return VCK_OK;
    set_closed(host, volume, false);
    snprintf(ret_why->text, sizeof(ret_why->text),
             "%.500s is in use: %u NBD connections, unmount and disconnect first",
             vck_volume_path(volume), count);
    return VCK_BUSY;
}

/* Connections that are left count on; the entry goes with the last one. The path is the volume's
 * own, so its address tells two volumes apart that had the same path one after the other. */
static void after_detach(struct vck_control_host *control, const char *path, bool holds_ciphertext)
{
    struct vckd_host *host = host_of(control);

    (void)holds_ciphertext;
    pthread_mutex_lock(&host->lock);
    for (struct vckd_use *use = host->uses; use; use = use->next)
        if (vck_volume_path(use->volume) == path)
            use->is_closed = false;
    drop_unused(host);
    pthread_mutex_unlock(&host->lock);
}

/* ---- export names ---- */

/* The file name without its last extension; a URI as it is. */
static void short_name(const char *path, char ret_name[VCKD_EXPORT_NAME_BYTES])
{
    const char *slash = is_uri(path) ? NULL : strrchr(path, '/');
    const char *name = slash && slash[1] ? slash + 1 : path;
    const char *dot = is_uri(path) ? NULL : strrchr(name, '.');
    size_t size = dot && dot != name ? (size_t)(dot - name) : strlen(name);

    snprintf(ret_name, VCKD_EXPORT_NAME_BYTES, "%.*s", (int)VCK_MIN(size, INT_MAX), name);
}

/* How many volumes have the short name, and the first of them, referenced. */
static unsigned find_short(struct vckd_host *host, const char *name,
                           struct vck_volume **ret_volume) VCK_CAN_WAIT
{
    char other[VCKD_EXPORT_NAME_BYTES];
    struct vck_volume *volume;
    struct vck_volume *found = NULL;
    unsigned count = 0;

    for (uint32_t i = 0; vck_registry_at(&host->registry, i, &volume) == VCK_OK; i++) {
        short_name(vck_volume_path(volume), other);
        if (strcmp(other, name) == 0 && count++ == 0)
            found = volume;
        else
            vck_volume_release(volume);
    }
    if (found)
        *ret_volume = found;
    return count;
}

void vckd_host_export_name(struct vckd_host *host, const struct vck_volume *volume,
                           char ret_name[VCKD_EXPORT_NAME_BYTES])
{
    struct vck_volume *first = NULL;
    unsigned count;

    short_name(vck_volume_path(volume), ret_name);
    count = find_short(host, ret_name, &first);
    if (first)
        vck_volume_release(first);
    if (count > 1)
        snprintf(ret_name, VCKD_EXPORT_NAME_BYTES, "%s", vck_volume_path(volume));
}

static vck_status find_only(struct vckd_host *host, struct vck_volume **ret_volume) VCK_CAN_WAIT
{
    struct vck_volume *second = NULL;
    vck_status status = vck_registry_at(&host->registry, 0, ret_volume);

    if (status)
        return VCK_NOT_FOUND;
    if (vck_registry_at(&host->registry, 1, &second))
        return VCK_OK;
    vck_volume_release(second);
    vck_volume_release(*ret_volume);
    return VCK_NOT_FOUND;
}

static vck_status find_export(struct vckd_host *host, const char *name,
                              struct vck_volume **ret_volume) VCK_CAN_WAIT
{
    struct vck_volume *first = NULL;
    unsigned count;

    if (!*name)
        return find_only(host, ret_volume);
    if (vck_registry_find(&host->registry, name, ret_volume) == VCK_OK)
        return VCK_OK;
    count = find_short(host, name, &first);
    if (count == 1) {
        *ret_volume = first;
        return VCK_OK;
    }
    if (first)
        vck_volume_release(first);
    return VCK_NOT_FOUND;
}

vck_status vckd_host_open(struct vckd_host *host, const char *export_name,
                          struct vck_volume **ret_volume)
{
    struct vck_volume *volume = NULL;
    struct vckd_use *use;
    vck_status status = find_export(host, export_name, &volume);

    if (status)
        return status;
    pthread_mutex_lock(&host->lock);
    use = find_use(host, volume, true);
    if (!use)
        status = VCK_NO_MEMORY;
    else if (use->is_closed)
        status = VCK_DELETE_PENDING;
    else if (vck_volume_is_provisional(volume))
        status = VCK_NOT_READY;
    else
        use->count++;
    drop_unused(host);
    pthread_mutex_unlock(&host->lock);
    if (status)
        vck_volume_release(volume);
    else
        *ret_volume = volume;
    return status;
}

void vckd_host_close(struct vckd_host *host, struct vck_volume *volume)
{
    struct vckd_use *use;

    pthread_mutex_lock(&host->lock);
    use = find_use(host, volume, false);
    use->count--;
    drop_unused(host);
    pthread_mutex_unlock(&host->lock);
    vck_volume_release(volume);
}

/* ---- the whole ---- */

static const struct vck_control_host_ops ops = {
    .canonical_path = canonical_path,
    .is_same = is_same,
    .open_disk = open_disk,
    .before_detach = before_detach,
    .after_detach = after_detach,
    .is_cancelled = vckd_socket_is_cancelled,
};

vck_status vckd_host_init(struct vckd_host *host, bool direct)
{
    const struct vck_executor_options options = {
        .workers = VCKD_SWEEP_WORKERS,
        .name = "vck-sweep",
        .thread_class = VCK_THREAD_BACKGROUND,
    };
    struct vck_executor *executor = NULL;
    vck_status status = vck_executor_create(&options, &executor);

    if (status)
        return status;
    host->direct = direct;
    host->is_ending = 0;
    host->uses = NULL;
    pthread_mutex_init(&host->lock, NULL);
    vck_registry_init(&host->registry);
    host->control = (struct vck_control_host){
        .ops = &ops,
        .registry = &host->registry,
        .filter_below_fsd = true,
        .executor = executor,
    };
    vck_control_init(&host->control);
    return VCK_OK;
}

void vckd_host_fini(struct vckd_host *host)
{
    vck_executor_destroy(host->control.executor);
    host->control.executor = NULL;
}

void vckd_host_end(struct vckd_host *host)
{
    __atomic_store_n(&host->is_ending, 1, __ATOMIC_RELEASE);
}
