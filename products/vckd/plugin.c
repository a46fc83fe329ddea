/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "port/posix/posix.h"
#include "vck/request.h"
#include "vckd.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

#define BLOCK_PREFERRED_BYTES 4096u
#define BLOCK_MAX_BYTES       (32u * 1024u * 1024u)

static struct {
    char *socket_path;
    char *nbd_path; /* of nbdkit's own socket, which it leaves behind; may be NULL */
    bool allow_discards;
    bool direct;
    struct vckd_host host;
    struct vckd_socket socket;
    pthread_mutex_t end_lock; /* the end runs once */
    bool is_host_up;
    bool is_ended;
} daemon_state = {.end_lock = PTHREAD_MUTEX_INITIALIZER};

/* A connection. The volume may be detached while it lives, so what nbdkit asks is kept here. */
struct handle {
    struct vck_volume *volume;
    uint64_t size_bytes;
    uint32_t sector_size_bytes;
    bool can_write;
    bool can_trim;
};

/* ---- options ---- */

static int set_bool(const char *value, bool *ret_value)
{
    int parsed = nbdkit_parse_bool(value);

    if (parsed < 0)
        return -1;
    *ret_value = parsed != 0;
    return 0;
}

static int set_path(const char *value, char **ret_path)
{
    free(*ret_path);
    *ret_path = nbdkit_absolute_path(value);
    return *ret_path ? 0 : -1;
}

static int vckd_config(const char *key, const char *value)
{
    if (strcmp(key, "socket") == 0)
        return set_path(value, &daemon_state.socket_path);
    if (strcmp(key, "nbd-socket") == 0)
        return set_path(value, &daemon_state.nbd_path);
    if (strcmp(key, "allow-discards") == 0)
        return set_bool(value, &daemon_state.allow_discards);
    if (strcmp(key, "direct") == 0)
        return set_bool(value, &daemon_state.direct);
    nbdkit_error("unknown parameter '%s'", key);
    return -1;
}

static int vckd_config_complete(void)
{
    if (daemon_state.socket_path)
        return 0;
    nbdkit_error("the parameter socket=PATH is missing: start this through vckd");
    return -1;
}

#define CONFIG_HELP                                                                                \
    "socket=PATH            The control socket (required).\n"                                      \
    "nbd-socket=PATH        The NBD socket, to be removed at the end.\n"                           \
    "allow-discards=BOOL    Pass discards to the disks.\n"                                         \
    "direct=BOOL            Open disks past the page cache."

/* ---- start and end ---- */

static void log_line(void *context, enum vck_log_level level, const char *line)
{
    (void)context;
    if (level == VCK_LOG_ERROR || level == VCK_LOG_WARNING)
        nbdkit_error("%s", line);
    else
        nbdkit_debug("%s", line);
}

/* The sanitizers' runtime unbalances a lock of the C library when the first error is put into
 * words, and libraries that nbdkit brings wait for that lock when the process ends in order. */
static void leave_at_once(int code)
{
#ifdef VCKD_SANITIZED
    fflush(NULL);
    _exit(code);
#else
    (void)code;
#endif
}

/* While there is still a terminal to complain to. */
static int vckd_get_ready(void)
{
    struct vck_explanation why;

    vck_posix_set_log(log_line, NULL);
    if (vckd_socket_bind(&daemon_state.socket, daemon_state.socket_path, &why) == 0)
        return 0;
    nbdkit_error("%s", why.text);
    vckd_socket_stop(&daemon_state.socket);
    leave_at_once(1);
    return -1;
}

/* Once: called by nbdkit's end, or by the watchdog where that does not come. */
static void end(void) VCK_NO_ANALYSIS
{
    pthread_mutex_lock(&daemon_state.end_lock);
    vckd_host_end(&daemon_state.host);
    if (daemon_state.nbd_path)
        unlink(daemon_state.nbd_path);
    vckd_socket_stop(&daemon_state.socket);
    if (daemon_state.is_host_up) {
        vck_control_detach_all(&daemon_state.host.control, true);
        vckd_host_fini(&daemon_state.host);
    }
    daemon_state.is_host_up = false;
    vckd_watchdog_end();
    pthread_mutex_unlock(&daemon_state.end_lock);
}

static void report_protection(void)
{
    struct vck_posix_protection done;

    vck_posix_protect_process(&done);
    nbdkit_debug(
        "memory locked: %s, I/O flusher: %s, spared when memory runs out: %s, no dumps: %s",
        done.future_memory_locked ? "all"
        : done.memory_locked      ? "what there is"
                                  : "no",
        done.io_flusher ? "yes" : "no", done.oom_exempt ? "yes" : "no",
        done.not_dumpable ? "yes" : "no");
}

static int vckd_after_fork(void) VCK_NO_ANALYSIS
{
    int error = ENOMEM;

    report_protection();
    if (vckd_host_init(&daemon_state.host, daemon_state.direct) == VCK_OK) {
        daemon_state.is_host_up = true;
        error = vckd_socket_start(&daemon_state.socket, &daemon_state.host);
    }
    /* Last: its threads read what the lines above wrote. */
    if (error == 0)
        error = vckd_watchdog_start(end);
    if (error == 0)
        return 0;
    errno = error;
    nbdkit_error("cannot start: %m");
    return -1;
}

static void vckd_cleanup(void)
{
    end();
    vckd_watchdog_stop();
    daemon_state.is_ended = true;
}

static void vckd_unload(void)
{
    if (daemon_state.is_ended)
        leave_at_once(0);
    vckd_socket_stop(&daemon_state.socket);
    free(daemon_state.socket_path);
    free(daemon_state.nbd_path);
}

/* ---- exports ---- */

static int vckd_list_exports(int readonly, int is_tls,
                             struct nbdkit_exports *exports) VCK_NO_ANALYSIS
{
    struct vckd_host *host = &daemon_state.host;
    struct vck_volume *volume;
    char *name = malloc(VCKD_EXPORT_NAME_BYTES);
    int result = name ? 0 : -1;

    (void)readonly;
    (void)is_tls;
    for (uint32_t i = 0; result == 0 && vck_registry_at(&host->registry, i, &volume) == VCK_OK;
         i++) {
        vckd_host_export_name(host, volume, name);
        if (!vck_volume_is_provisional(volume))
            result = nbdkit_add_export(exports, name, vck_volume_path(volume));
        vck_volume_release(volume);
    }
    free(name);
    return result;
}

/* The only volume; none where there are several or none. */
static const char *vckd_default_export(int readonly, int is_tls) VCK_NO_ANALYSIS
{
    struct vckd_host *host = &daemon_state.host;
    struct vck_volume *volume;
    struct vck_volume *second;
    const char *result = "";

    (void)readonly;
    (void)is_tls;
    if (vck_registry_at(&host->registry, 0, &volume))
        return result;
    if (vck_registry_at(&host->registry, 1, &second) == VCK_OK)
        vck_volume_release(second);
    else
        result = nbdkit_strdup_intern(vck_volume_path(volume));
    vck_volume_release(volume);
    return result;
}

static void *refuse(const char *name, vck_status status)
{
    switch (status) {
    case VCK_NOT_READY:
        nbdkit_error("export '%s' is prepared but has no key yet", name);
        break;
    case VCK_DELETE_PENDING:
        nbdkit_error("export '%s' is being detached", name);
        break;
    case VCK_NOT_FOUND:
        nbdkit_error(*name ? "no volume '%s' is attached, or the name is not unique"
                           : "there is not exactly one volume: name one%s",
                     name);
        break;
    default:
        nbdkit_error("export '%s': %s", name, vck_status_text(status));
        break;
    }
    nbdkit_set_error(status == VCK_NO_MEMORY ? ENOMEM : ENOENT);
    return NULL;
}

static void *vckd_open(int readonly) VCK_NO_ANALYSIS
{
    const char *name = nbdkit_export_name();
    struct handle *handle = calloc(1, sizeof(*handle));
    struct vck_volume *volume = NULL;
    vck_status status = VCK_NO_MEMORY;

    if (!name)
        name = "";
    if (handle)
        status = vckd_host_open(&daemon_state.host, name, &volume);
    if (status) {
        free(handle);
        return refuse(name, status);
    }
    handle->volume = volume;
    handle->sector_size_bytes = vck_volume_sector_size_bytes(volume);
    handle->size_bytes = vck_volume_data_sectors(volume) * handle->sector_size_bytes;
    handle->can_write = !readonly && !vck_volume_is_read_only(volume);
    handle->can_trim =
        daemon_state.allow_discards && handle->can_write && vck_volume_can_discard(volume);
    return handle;
}

static void vckd_close(void *context)
{
    struct handle *handle = context;

    vckd_host_close(&daemon_state.host, handle->volume);
    free(handle);
}

static int64_t vckd_get_size(void *handle)
{
    return (int64_t)((struct handle *)handle)->size_bytes;
}

static int vckd_block_size(void *context, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    const struct handle *handle = context;

    *minimum = handle->sector_size_bytes;
    *preferred = VCK_MAX(handle->sector_size_bytes, BLOCK_PREFERRED_BYTES);
    *maximum = BLOCK_MAX_BYTES;
    return 0;
}

static int vckd_can_write(void *handle)
{
    return ((struct handle *)handle)->can_write;
}

static int vckd_can_trim(void *handle)
{
    return ((struct handle *)handle)->can_trim;
}

static int answer_yes(void *handle)
{
    (void)handle;
    return 1;
}

static int answer_no(void *handle)
{
    (void)handle;
    return 0;
}

static int vckd_can_fua(void *handle)
{
    (void)handle;
    return NBDKIT_FUA_NATIVE;
}

/* ---- reads and writes ---- */

/* The errno of a failed request, out of those that NBD can carry. Of a volume that is gone it is
 * EIO: nbdkit takes ESHUTDOWN for the end of the whole server. */
static int nbd_errno(vck_status status, enum vck_request_op op)
{
    switch (status) {
    case VCK_OUT_OF_RANGE:
        return op == VCK_REQUEST_READ ? EINVAL : ENOSPC;
    case VCK_INVALID_DATA:
        return EINVAL;
    case VCK_READ_ONLY:
        return EPERM;
    case VCK_UNSUPPORTED:
        return EOPNOTSUPP;
    case VCK_DISK_FULL:
        return ENOSPC;
    case VCK_NO_MEMORY:
        return ENOMEM;
    default:
        return EIO;
    }
}

static int perform(void *context, enum vck_request_op op, unsigned flags, uint64_t offset_bytes,
                   void *buffer, uint64_t size_bytes) VCK_NO_ANALYSIS
{
    static const char *const names[] = {"read", "write", "flush", "trim", "zero"};
    const struct handle *handle = context;
    vck_status status = vck_volume_io(handle->volume, op, flags, offset_bytes, buffer, size_bytes);

    if (status == VCK_OK)
        return 0;
    nbdkit_error("%s: %s of %llu bytes at %llu: %s", vck_volume_path(handle->volume), names[op],
                 (unsigned long long)size_bytes, (unsigned long long)offset_bytes,
                 vck_status_text(status));
    nbdkit_set_error(nbd_errno(status, op));
    return -1;
}

static unsigned request_flags(uint32_t flags)
{
    return flags & NBDKIT_FLAG_FUA ? VCK_REQUEST_FUA : 0;
}

static int vckd_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)flags;
    return perform(handle, VCK_REQUEST_READ, 0, offset, buffer, count);
}

static int vckd_pwrite(void *handle, const void *buffer, uint32_t count, uint64_t offset,
                       uint32_t flags)
{
    return perform(handle, VCK_REQUEST_WRITE, request_flags(flags), offset, (void *)buffer, count);
}

static int vckd_flush(void *handle, uint32_t flags)
{
    (void)flags;
    return perform(handle, VCK_REQUEST_FLUSH, 0, 0, NULL, 0);
}

static int vckd_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    if (perform(handle, VCK_REQUEST_DISCARD, 0, offset, NULL, count))
        return -1;
    return flags & NBDKIT_FLAG_FUA ? vckd_flush(handle, 0) : 0;
}

/* Zeroes are stored like other data, whether or not the client would accept a hole. */
static int vckd_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    return perform(handle, VCK_REQUEST_ZERO, request_flags(flags), offset, NULL, count);
}

static struct nbdkit_plugin plugin = {
    .name = "vckd",
    .longname = "vck volumes",
    .description = "serves encrypted volumes decrypted, and encrypts them meanwhile",
    .version = VCK_VERSION,
    .config = vckd_config,
    .config_complete = vckd_config_complete,
    .config_help = CONFIG_HELP,
    .get_ready = vckd_get_ready,
    .after_fork = vckd_after_fork,
    .cleanup = vckd_cleanup,
    .unload = vckd_unload,
    .list_exports = vckd_list_exports,
    .default_export = vckd_default_export,
    .open = vckd_open,
    .close = vckd_close,
    .get_size = vckd_get_size,
    .block_size = vckd_block_size,
    .can_write = vckd_can_write,
    .can_flush = answer_yes,
    .can_fua = vckd_can_fua,
    .can_trim = vckd_can_trim,
    .can_zero = answer_yes,
    .can_fast_zero = answer_no,
    .can_multi_conn = answer_yes,
    .is_rotational = answer_no,
    .pread = vckd_pread,
    .pwrite = vckd_pwrite,
    .flush = vckd_flush,
    .trim = vckd_trim,
    .zero = vckd_zero,
    .errno_is_preserved = 0,
};

/* nbdkit's entry, which the macro defines without declaring it. */
struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
