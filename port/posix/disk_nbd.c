/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_nbd: exports of NBD servers, by libnbd's blocking calls. A connection carries one request at
 * a time; where the server promises that a flush on one connection covers all (multi-conn) there
 * are several of them, so that requests overlap.
 */
#include <errno.h>
#include <libnbd.h>
#include <string.h>
#include "port/posix/disk_internal.h"
#include "port/posix/library.h"
#include "vck/bytes.h"

#define CONNECTIONS_MAX   DISK_WORKERS_MAX
#define CHUNK_LIMIT_BYTES ((uint64_t)32 << 20) /* what every server accepts */
#define TRIM_LIMIT_BYTES  ((uint64_t)1 << 30)  /* the protocol's lengths have 32 bits */

/* clang-format off */
#define FUNCTIONS(X) \
    X(aio_is_ready) X(can_flush) X(can_fua) X(can_multi_conn) X(can_trim) X(close) \
    X(connect_uri) X(create) X(flush) X(get_block_size) X(get_errno) X(get_error) X(get_size) \
    X(is_read_only) X(pread) X(pwrite) X(shutdown) X(trim)
/* clang-format on */
#define FIELD(name) __typeof__(nbd_##name) *name;
#define ENTRY(name) VCK_POSIX_FUNCTION("nbd_" #name, lib.name)

static struct {
    FUNCTIONS(FIELD)
} lib;
static const struct vck_posix_function functions[] = {FUNCTIONS(ENTRY)};
static struct vck_posix_library libnbd = VCK_POSIX_LIBRARY("libnbd.so.0", "libnbd0", functions);

struct connection {
    struct nbd_handle *nbd;
    pthread_mutex_t lock; /* held for a request */
};

struct nbd_disk {
    struct vck_disk disk;
    struct disk_workers workers;
    struct connection connections[CONNECTIONS_MAX];
    unsigned count;
    unsigned next; /* where the search for a free connection starts */
    uint64_t chunk_bytes;
    bool can_flush;
    bool can_fua;
    bool is_lost; /* a connection has ended; nothing is known of what the server still holds */
};

static struct nbd_disk *nbd_disk(struct vck_disk *disk)
{
    return VCK_CONTAINER_OF(disk, struct nbd_disk, disk);
}

/* ---- operations ---- */

/* A connection nobody uses, or else the next in turn when it gets free. */
static struct connection *take_connection(struct nbd_disk *d)
{
    unsigned first = __atomic_fetch_add(&d->next, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < d->count; i++) {
        struct connection *connection = &d->connections[(first + i) % d->count];
        if (pthread_mutex_trylock(&connection->lock) == 0)
            return connection;
    }
    struct connection *connection = &d->connections[first % d->count];
    pthread_mutex_lock(&connection->lock);
    return connection;
}

static vck_status flush(const struct nbd_disk *d, struct nbd_handle *nbd)
{
    if (!d->can_flush)
        return VCK_OK;
    return lib.flush(nbd, 0) == 0 ? VCK_OK : vck_posix_disk_status(lib.get_errno());
}

static uint64_t limit_bytes(const struct nbd_disk *d, enum vck_disk_op op)
{
    return op == VCK_DISK_DISCARD ? TRIM_LIMIT_BYTES : d->chunk_bytes;
}

static int transfer_chunk(struct nbd_handle *nbd, const struct vck_disk_io *io, uint64_t done_bytes,
                          uint64_t size_bytes, uint32_t nbd_flags)
{
    uint64_t offset_bytes = io->offset_bytes + done_bytes;
    switch (io->op) {
    case VCK_DISK_READ:
        return lib.pread(nbd, (uint8_t *)io->buffer + done_bytes, (size_t)size_bytes, offset_bytes,
                         0);
    case VCK_DISK_WRITE:
        return lib.pwrite(nbd, (uint8_t *)io->buffer + done_bytes, (size_t)size_bytes, offset_bytes,
                          nbd_flags);
    default:
        return lib.trim(nbd, size_bytes, offset_bytes, 0);
    }
}

static vck_status transfer(const struct nbd_disk *d, struct nbd_handle *nbd,
                           const struct vck_disk_io *io)
{
    bool is_durable = io->op == VCK_DISK_WRITE && (io->flags & VCK_DISK_FUA) != 0;
    uint32_t nbd_flags = is_durable && d->can_fua ? LIBNBD_CMD_FLAG_FUA : 0;
    uint64_t done_bytes = 0;
    while (done_bytes < io->size_bytes) {
        uint64_t size_bytes = VCK_MIN(io->size_bytes - done_bytes, limit_bytes(d, io->op));
        if (transfer_chunk(nbd, io, done_bytes, size_bytes, nbd_flags) != 0)
            return vck_posix_disk_status(lib.get_errno());
        done_bytes += size_bytes;
    }
    return is_durable && !d->can_fua ? flush(d, nbd) : VCK_OK;
}

static vck_status perform(struct vck_disk *disk, struct vck_disk_io *io)
{
    struct nbd_disk *d = nbd_disk(disk);
    if (__atomic_load_n(&d->is_lost, __ATOMIC_RELAXED))
        return VCK_IO;
    struct connection *connection = take_connection(d);
    vck_status status =
        io->op == VCK_DISK_FLUSH ? flush(d, connection->nbd) : transfer(d, connection->nbd, io);
    if (status != VCK_OK && !lib.aio_is_ready(connection->nbd)) {
        __atomic_store_n(&d->is_lost, true, __ATOMIC_RELAXED);
        status = VCK_IO;
    }
    pthread_mutex_unlock(&connection->lock);
    return status;
}

static void submit(struct vck_disk *disk, struct vck_disk_io *io)
{
    vck_posix_workers_submit(&nbd_disk(disk)->workers, io);
}

static vck_status query_size(struct vck_disk *disk, uint64_t *ret_size_bytes)
{
    /* An export's size is fixed for the life of a connection. */
    *ret_size_bytes = disk->size_bytes;
    return VCK_OK;
}

static void free_disk(struct nbd_disk *d)
{
    for (unsigned i = 0; i < d->count; i++) {
        (void)lib.shutdown(d->connections[i].nbd, 0);
        lib.close(d->connections[i].nbd);
        pthread_mutex_destroy(&d->connections[i].lock);
    }
    vck_free(d);
}

static void close_disk(struct vck_disk *disk)
{
    struct nbd_disk *d = nbd_disk(disk);
    vck_posix_workers_fini(&d->workers);
    free_disk(d);
}

static const struct vck_disk_ops ops = {submit, query_size, close_disk};

/* ---- opening ---- */

/* libnbd's text has the system's words in it already. Without an errno a name was not found. */
static vck_status explain_nbd(const char *uri, struct vck_posix_error *ret_error)
{
    int os_error = lib.get_errno();
    vck_status status = os_error == 0 ? VCK_UNREACHABLE : vck_posix_status_from_errno(os_error);
    const char *text = lib.get_error();
    vck_posix_explain(ret_error, status, 0, "cannot open %.100s: %.140s", uri,
                      text == NULL ? "unknown error" : text);
    if (ret_error != NULL)
        ret_error->os_error = os_error;
    return status;
}

static bool connect_one(struct nbd_disk *d, const char *uri)
{
    struct nbd_handle *nbd = lib.create();
    if (nbd == NULL)
        return false;
    if (lib.connect_uri(nbd, uri) != 0) {
        lib.close(nbd);
        return false;
    }
    struct connection *connection = &d->connections[d->count++];
    connection->nbd = nbd;
    pthread_mutex_init(&connection->lock, NULL);
    return true;
}

static vck_status set_sector_size(struct nbd_disk *d, const char *uri, uint32_t wanted_bytes,
                                  struct vck_posix_error *ret_error)
{
    int64_t minimum_bytes = lib.get_block_size(d->connections[0].nbd, LIBNBD_SIZE_MINIMUM);
    uint32_t own_bytes = minimum_bytes <= 512 ? 512 : 4096;
    if (minimum_bytes > 512 && minimum_bytes != 4096)
        return vck_posix_explain(ret_error, VCK_UNSUPPORTED, 0,
                                 "%.100s has blocks of %lld bytes; only up to 512, or 4096, are "
                                 "supported",
                                 uri, (long long)minimum_bytes);
    if (wanted_bytes != 0 && wanted_bytes < own_bytes)
        return vck_posix_explain(
            ret_error, VCK_UNSUPPORTED, 0,
            "%.100s has blocks of %u bytes and cannot be addressed by %u bytes", uri, own_bytes,
            wanted_bytes);
    d->disk.atomic_bytes = own_bytes;
    d->disk.sector_size_bytes = wanted_bytes == 0 ? own_bytes : wanted_bytes;
    return VCK_OK;
}

static vck_status set_geometry(struct nbd_disk *d, const char *uri, uint32_t wanted_bytes,
                               struct vck_posix_error *ret_error)
{
    struct nbd_handle *nbd = d->connections[0].nbd;
    vck_status status = set_sector_size(d, uri, wanted_bytes, ret_error);
    if (status != VCK_OK)
        return status;
    int64_t size_bytes = lib.get_size(nbd);
    if (size_bytes < 0)
        return explain_nbd(uri, ret_error);
    if (!d->disk.read_only && lib.is_read_only(nbd) != 0)
        return vck_posix_explain(ret_error, VCK_READ_ONLY, 0, "%.100s is read-only", uri);
    int64_t maximum_bytes = lib.get_block_size(nbd, LIBNBD_SIZE_MAXIMUM);
    d->chunk_bytes = CHUNK_LIMIT_BYTES;
    if (maximum_bytes >= d->disk.sector_size_bytes && (uint64_t)maximum_bytes < d->chunk_bytes)
        d->chunk_bytes =
            (uint64_t)maximum_bytes - (uint64_t)maximum_bytes % d->disk.sector_size_bytes;
    d->disk.size_bytes = (uint64_t)size_bytes - (uint64_t)size_bytes % d->disk.sector_size_bytes;
    d->disk.alignment_bytes = 1;
    d->disk.can_discard = !d->disk.read_only && lib.can_trim(nbd) == 1;
    d->can_flush = lib.can_flush(nbd) == 1;
    d->can_fua = lib.can_fua(nbd) == 1;
    return VCK_OK;
}

/* More connections are a gain, not a need: one that fails, or is not the same export, ends it. */
static void connect_more(struct nbd_disk *d, const char *uri)
{
    int64_t size_bytes = lib.get_size(d->connections[0].nbd);
    if (lib.can_multi_conn(d->connections[0].nbd) != 1)
        return;
    while (d->count < CONNECTIONS_MAX && connect_one(d, uri)) {
        struct connection *newest = &d->connections[d->count - 1];
        if (lib.get_size(newest->nbd) == size_bytes)
            continue;
        d->count--;
        lib.close(newest->nbd);
        pthread_mutex_destroy(&newest->lock);
        return;
    }
}

vck_status vck_posix_nbd_open(const char *uri, const struct vck_posix_disk_options *options,
                              struct vck_disk **ret_disk, struct vck_posix_error *ret_error)
{
    vck_status status = vck_posix_library_load(&libnbd, ret_error);
    if (status != VCK_OK)
        return status;
    struct nbd_disk *d = vck_alloc(sizeof(*d), DISK_TAG);
    if (d == NULL)
        return vck_posix_explain(ret_error, VCK_NO_MEMORY, 0, "no memory to open %.100s", uri);
    d->disk.ops = &ops;
    d->disk.read_only = (options->flags & VCK_POSIX_DISK_READ_ONLY) != 0;
    strncpy(d->disk.name, uri, sizeof(d->disk.name) - 1);
    if (!connect_one(d, uri)) {
        status = explain_nbd(uri, ret_error);
        goto out;
    }
    status = set_geometry(d, uri, options->sector_size_bytes, ret_error);
    if (status != VCK_OK)
        goto out;
    connect_more(d, uri);
    vck_posix_workers_init(&d->workers, &d->disk, perform, d->count);
    *ret_disk = &d->disk;
    d = NULL;
out:
    if (d != NULL)
        free_disk(d);
    return status;
}
