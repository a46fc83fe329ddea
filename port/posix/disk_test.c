/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "port/posix/abort_test.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "port/posix/disk_internal.h"
#include "vck/bytes.h"

#define TAG VCK_TAG('t', 'e', 's', 't')

/* A directory of the test's own with the file `path` in it. */
struct place {
    char directory[64];
    char path[96];
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    const char *base = getenv("TMPDIR");
    assert_non_null(place);
    snprintf(place->directory, sizeof(place->directory), "%s/vck-disk-XXXXXX",
             base != NULL && strlen(base) < 32 ? base : "/tmp");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->path, sizeof(place->path), "%s/disk", place->directory);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    unlink(place->path);
    rmdir(place->directory);
    free(place);
    return 0;
}

static void make_file(const char *path, off_t size_bytes)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size_bytes), 0);
    close(fd);
}

static off_t file_size(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static struct vck_disk *open_disk(const char *path, unsigned flags, uint32_t sector_size_bytes)
{
    struct vck_posix_disk_options options = {flags, sector_size_bytes};
    struct vck_posix_error error = {0};
    struct vck_disk *disk = NULL;
    vck_status status = vck_posix_disk_open(path, &options, &disk, &error);
    if (status != VCK_OK)
        fail_msg("%s", error.text);
    return disk;
}

static void refuse_disk(const char *path, unsigned flags, uint32_t sector_size_bytes,
                        vck_status expected, int os_error, const char *why)
{
    struct vck_posix_disk_options options = {flags, sector_size_bytes};
    struct vck_posix_error error = {0};
    struct vck_disk *disk = NULL;
    size_t before = vck_alloc_live_count();
    assert_int_equal(vck_posix_disk_open(path, &options, &disk, &error), expected);
    assert_null(disk);
    assert_int_equal(error.os_error, os_error);
    if (strstr(error.text, why) == NULL)
        fail_msg("'%s' does not say '%s'", error.text, why);
    assert_int_equal(vck_posix_disk_open(path, &options, &disk, NULL), expected);
    assert_int_equal(vck_alloc_live_count(), before);
}

static void fill(uint8_t *buffer, size_t size_bytes, uint8_t seed)
{
    for (size_t i = 0; i < size_bytes; i++)
        buffer[i] = (uint8_t)(seed + i * 7 + i / 251);
}

/* ---- files ---- */

static void test_file_geometry(void **state)
{
    struct place *place = *state;
    uint64_t size_bytes = 0;
    make_file(place->path, 10 * 4096 + 700);
    struct vck_disk *disk = open_disk(place->path, 0, 0);
    assert_int_equal(disk->size_bytes, 10 * 4096 + 512);
    assert_int_equal(disk->sector_size_bytes, 512);
    assert_int_equal(disk->atomic_bytes, 512);
    assert_int_equal(disk->alignment_bytes, 1);
    assert_false(disk->read_only);
    assert_true(disk->can_discard);
    assert_string_equal(disk->name, place->path);
    assert_int_equal(truncate(place->path, 1024), 0);
    assert_int_equal(disk->ops->query_size(disk, &size_bytes), VCK_OK);
    assert_int_equal(size_bytes, 1024);
    vck_posix_disk_close(disk);

    make_file(place->path, 10 * 4096 + 700);
    disk = open_disk(place->path, VCK_POSIX_DISK_READ_ONLY, 4096);
    assert_int_equal(disk->size_bytes, 10 * 4096);
    assert_int_equal(disk->sector_size_bytes, 4096);
    assert_int_equal(disk->atomic_bytes, 4096);
    assert_true(disk->read_only);
    assert_false(disk->can_discard);
    vck_posix_disk_close(disk);
    vck_posix_disk_close(NULL);
}

static void test_what_is_written_is_read(void **state) VCK_CAN_WAIT
{
    static const unsigned flags[] = {0, VCK_DISK_FUA, VCK_DISK_ASYNC,
                                     VCK_DISK_FUA | VCK_DISK_ASYNC};
    static uint8_t written[128 * 1024];
    static uint8_t read[sizeof(written)];
    struct place *place = *state;
    make_file(place->path, 1 << 20);
    struct vck_disk *disk = open_disk(place->path, 0, 0);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(flags); i++) {
        uint64_t offset_bytes = 512 * (i + 1);
        fill(written, sizeof(written), (uint8_t)(i + 1));
        assert_int_equal(
            vck_posix_disk_write(disk, offset_bytes, written, sizeof(written), flags[i]), VCK_OK);
        assert_int_equal(vck_posix_disk_flush(disk), VCK_OK);
        memset(read, 0, sizeof(read));
        assert_int_equal(vck_posix_disk_read(disk, offset_bytes, read, sizeof(read)), VCK_OK);
        assert_memory_equal(read, written, sizeof(read));
    }
    vck_posix_disk_close(disk);
    assert_int_equal(file_size(place->path), 1 << 20);
}

static void test_direct_transfers(void **state) VCK_CAN_WAIT
{
    struct place *place = *state;
    make_file(place->path, 1 << 20);
    struct vck_disk *disk = open_disk(place->path, VCK_POSIX_DISK_DIRECT, 4096);
    uint8_t *pages = vck_alloc_pages(3 * 4096, TAG);
    assert_non_null(pages);
    fill(pages, 4096, 3);
    assert_true(disk->alignment_bytes <= 4096);
    assert_int_equal(vck_posix_disk_write(disk, 8192, pages, 4096, VCK_DISK_FUA), VCK_OK);
    assert_int_equal(vck_posix_disk_read(disk, 4096, pages + 4096, 8192), VCK_OK);
    assert_true(vck_all_zero(pages + 4096, 4096));
    assert_memory_equal(pages, pages + 8192, 4096);
    if (disk->alignment_bytes > 1)
        assert_int_equal(vck_posix_disk_read(disk, 0, pages + 1, 4096), VCK_INVALID_DATA);
    vck_free_pages(pages, 3 * 4096);
    vck_posix_disk_close(disk);
}

static void test_discard_frees_and_keeps_the_size(void **state) VCK_CAN_WAIT
{
    static uint8_t data[64 * 1024];
    struct place *place = *state;
    struct stat st;
    make_file(place->path, sizeof(data));
    struct vck_disk *disk = open_disk(place->path, 0, 0);
    fill(data, sizeof(data), 9);
    assert_int_equal(vck_posix_disk_write(disk, 0, data, sizeof(data), VCK_DISK_FUA), VCK_OK);
    vck_status status = vck_posix_disk_discard(disk, 0, sizeof(data));
    assert_int_equal(vck_posix_disk_discard(disk, 0, 0), VCK_OK);
    assert_int_equal(vck_posix_disk_discard(disk, 512, sizeof(data)), VCK_OUT_OF_RANGE);
    vck_posix_disk_close(disk);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_size, sizeof(data));
    if (status == VCK_UNSUPPORTED) {
        print_message("# the file system of %s cannot punch holes\n", place->path);
        return;
    }
    assert_int_equal(status, VCK_OK);
    assert_int_equal(st.st_blocks, 0);
}

static void keep_status(struct vck_disk_io *io)
{
    *(vck_status *)io->context = io->status;
}

static vck_status try_io(struct vck_disk *disk, enum vck_disk_op op, uint64_t offset_bytes,
                         uint64_t size_bytes)
{
    static uint8_t buffer[8192];
    vck_status status = VCK_STATUS_COUNT;
    struct vck_disk_io io = {.op = op,
                             .offset_bytes = offset_bytes,
                             .size_bytes = size_bytes,
                             .buffer = buffer,
                             .done = keep_status,
                             .context = &status};
    disk->ops->submit(disk, &io);
    return status;
}

static void test_impossible_requests_are_refused(void **state)
{
    static const struct {
        enum vck_disk_op op;
        uint64_t offset_bytes;
        uint64_t size_bytes;
        vck_status status;
    } cases[] = {
        {VCK_DISK_READ, 0, 0, VCK_OK},
        {VCK_DISK_READ, 4096, 0, VCK_OK},
        {VCK_DISK_READ, 0, 4096, VCK_OK},
        {VCK_DISK_READ, 1, 512, VCK_INVALID_DATA},
        {VCK_DISK_READ, 0, 511, VCK_INVALID_DATA},
        {VCK_DISK_READ, 0, (uint64_t)1 << 31, VCK_INVALID_DATA},
        {VCK_DISK_WRITE, 256, 512, VCK_INVALID_DATA},
        {VCK_DISK_DISCARD, 0, 100, VCK_INVALID_DATA},
        {VCK_DISK_READ, 4096, 512, VCK_OUT_OF_RANGE},
        {VCK_DISK_READ, 0, 4608, VCK_OUT_OF_RANGE},
        {VCK_DISK_WRITE, 3584, 1024, VCK_OUT_OF_RANGE},
        {VCK_DISK_WRITE, UINT64_MAX - 511, 512, VCK_OUT_OF_RANGE},
        {VCK_DISK_DISCARD, 512, UINT64_MAX - 511, VCK_OUT_OF_RANGE},
        {(enum vck_disk_op)17, 0, 512, VCK_INVALID_DATA},
    };
    struct place *place = *state;
    make_file(place->path, 4096 + 100);
    struct vck_disk *disk = open_disk(place->path, 0, 0);
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++)
        assert_int_equal(try_io(disk, cases[i].op, cases[i].offset_bytes, cases[i].size_bytes),
                         cases[i].status);
    vck_posix_disk_close(disk);
    assert_int_equal(file_size(place->path), 4096 + 100);
}

static void test_read_only_disk_is_not_written(void **state)
{
    struct place *place = *state;
    make_file(place->path, 4096);
    struct vck_disk *disk = open_disk(place->path, VCK_POSIX_DISK_READ_ONLY, 0);
    assert_int_equal(try_io(disk, VCK_DISK_READ, 0, 512), VCK_OK);
    assert_int_equal(try_io(disk, VCK_DISK_WRITE, 0, 512), VCK_READ_ONLY);
    assert_int_equal(try_io(disk, VCK_DISK_DISCARD, 0, 512), VCK_READ_ONLY);
    assert_int_equal(try_io(disk, VCK_DISK_FLUSH, 0, 0), VCK_OK);
    vck_posix_disk_close(disk);
}

static void test_file_that_was_cut_fails_and_does_not_grow(void **state)
{
    struct place *place = *state;
    make_file(place->path, 8192);
    struct vck_disk *disk = open_disk(place->path, 0, 0);
    assert_int_equal(truncate(place->path, 4096 + 256), 0);
    assert_int_equal(try_io(disk, VCK_DISK_READ, 0, 4096), VCK_OK);
    assert_int_equal(try_io(disk, VCK_DISK_READ, 0, 8192), VCK_IO);
    assert_int_equal(try_io(disk, VCK_DISK_READ, 4096, 512), VCK_IO);
    assert_int_equal(try_io(disk, VCK_DISK_READ, 7680, 512), VCK_IO);
    assert_int_equal(try_io(disk, VCK_DISK_WRITE, 0, 4096), VCK_OK);
    assert_int_equal(try_io(disk, VCK_DISK_WRITE, 4096, 512), VCK_IO);
    assert_int_equal(try_io(disk, VCK_DISK_WRITE, 7680, 512), VCK_IO);
    vck_posix_disk_close(disk);
    assert_int_equal(file_size(place->path), 4096 + 256);
}

static void test_locked_file_is_busy(void **state)
{
    struct place *place = *state;
    make_file(place->path, 4096);
    struct vck_disk *writer = open_disk(place->path, 0, 0);
    refuse_disk(place->path, 0, 0, VCK_BUSY, 0, "locked");
    refuse_disk(place->path, VCK_POSIX_DISK_READ_ONLY, 0, VCK_BUSY, 0, "locked");
    struct vck_disk *looker =
        open_disk(place->path, VCK_POSIX_DISK_READ_ONLY | VCK_POSIX_DISK_SHARED, 0);
    vck_posix_disk_close(looker);
    refuse_disk(place->path, 0, 0, VCK_BUSY, 0, "locked");
    vck_posix_disk_close(writer);

    struct vck_disk *readers[2];
    for (size_t i = 0; i < 2; i++)
        readers[i] = open_disk(place->path, VCK_POSIX_DISK_READ_ONLY, 0);
    refuse_disk(place->path, 0, 0, VCK_BUSY, 0, "locked");
    for (size_t i = 0; i < 2; i++)
        vck_posix_disk_close(readers[i]);
    vck_posix_disk_close(open_disk(place->path, 0, 0));
}

static void test_what_is_no_disk_is_refused(void **state)
{
    struct place *place = *state;
    refuse_disk(place->path, 0, 0, VCK_NOT_FOUND, ENOENT, "No such file");
    refuse_disk(place->directory, 0, 0, VCK_UNSUPPORTED, 0, "is a directory");
    refuse_disk("/dev/null", 0, 0, VCK_UNSUPPORTED, 0, "is a character device");
    assert_int_equal(mkfifo(place->path, 0600), 0);
    refuse_disk(place->path, VCK_POSIX_DISK_READ_ONLY, 0, VCK_UNSUPPORTED, 0, "pipe");
    unlink(place->path);
    make_file(place->path, 4096);
    refuse_disk(place->path, 0, 1024, VCK_INVALID_DATA, 0, "1024 bytes");
}

static void test_no_memory_to_open(void **state)
{
    struct place *place = *state;
    struct vck_disk *disk = NULL;
    make_file(place->path, 4096);
    vck_alloc_fail_nth(1);
    assert_int_equal(vck_posix_disk_open(place->path, NULL, &disk, NULL), VCK_NO_MEMORY);
    assert_null(disk);
}

/* ---- a full file system ---- */

static void test_full_file_system(void **state) VCK_CAN_WAIT
{
    static uint8_t data[256 * 1024];
    struct place *place = *state;
    if (mount("vck-test", place->directory, "tmpfs", 0, "size=64k") != 0) {
        print_message("# no small file system: mounting is not allowed\n");
        skip();
    }
    make_file(place->path, sizeof(data));
    struct vck_disk *disk = open_disk(place->path, 0, 0);
    vck_status full = vck_posix_disk_write(disk, 0, data, sizeof(data), 0);
    vck_status room = vck_posix_disk_discard(disk, 0, sizeof(data));
    vck_status fits = vck_posix_disk_write(disk, 0, data, 4096, 0);
    vck_posix_disk_close(disk);
    assert_int_equal(umount2(place->directory, MNT_DETACH), 0);
    assert_int_equal(full, VCK_DISK_FULL);
    assert_int_equal(room, VCK_OK);
    assert_int_equal(fits, VCK_OK);
}

/* ---- asynchronous requests ---- */

#define ASYNC_COUNT 64

struct burst {
    struct vck_disk *disk;
    struct vck_disk_io ios[ASYNC_COUNT];
    uint8_t buffers[ASYNC_COUNT][4096];
    struct vck_event ended;
    unsigned left;
    pid_t submitter;
    unsigned inline_count;
    unsigned failed_count;
    unsigned raised_count;
};

static void note_end(struct vck_disk_io *io)
{
    struct burst *burst = io->context;
    if (gettid() == burst->submitter)
        __atomic_add_fetch(&burst->inline_count, 1, __ATOMIC_RELAXED);
    if (io->status != VCK_OK)
        __atomic_add_fetch(&burst->failed_count, 1, __ATOMIC_RELAXED);
    if (vck_current_level() != VCK_LEVEL_PASSIVE)
        __atomic_add_fetch(&burst->raised_count, 1, __ATOMIC_RELAXED);
    if (__atomic_sub_fetch(&burst->left, 1, __ATOMIC_ACQ_REL) == 0)
        vck_event_set(&burst->ended);
}

static void run_burst(struct burst *burst, enum vck_disk_op op) VCK_CAN_WAIT
{
    burst->left = ASYNC_COUNT;
    burst->submitter = gettid();
    vck_event_init(&burst->ended);
    for (size_t i = 0; i < ASYNC_COUNT; i++) {
        burst->ios[i] = (struct vck_disk_io){.op = op,
                                             .flags = VCK_DISK_ASYNC,
                                             .offset_bytes = i * 4096,
                                             .size_bytes = op == VCK_DISK_FLUSH ? 0 : 4096,
                                             .buffer = burst->buffers[i],
                                             .done = note_end,
                                             .context = burst};
        burst->disk->ops->submit(burst->disk, &burst->ios[i]);
    }
    assert_int_equal(vck_event_wait(&burst->ended, VCK_FOREVER), VCK_OK);
    vck_event_fini(&burst->ended);
    assert_int_equal(burst->failed_count, 0);
    assert_int_equal(burst->raised_count, 0);
}

static void test_asynchronous_burst(void **state) VCK_CAN_WAIT
{
    struct place *place = *state;
    struct burst *burst = vck_alloc(sizeof(*burst), TAG);
    uint8_t expected[4096];
    assert_non_null(burst);
    make_file(place->path, ASYNC_COUNT * 4096);
    burst->disk = open_disk(place->path, 0, 0);
    for (size_t i = 0; i < ASYNC_COUNT; i++)
        fill(burst->buffers[i], 4096, (uint8_t)i);
    run_burst(burst, VCK_DISK_WRITE);
    run_burst(burst, VCK_DISK_FLUSH);
    memset(burst->buffers, 0, sizeof(burst->buffers));
    run_burst(burst, VCK_DISK_READ);
    assert_int_equal(burst->inline_count, 0);
    for (size_t i = 0; i < ASYNC_COUNT; i++) {
        fill(expected, sizeof(expected), (uint8_t)i);
        assert_memory_equal(burst->buffers[i], expected, sizeof(expected));
    }
    vck_posix_disk_close(burst->disk);
    vck_free(burst);
}

static void test_without_threads_asynchronous_requests_run_inline(void **state) VCK_CAN_WAIT
{
    struct place *place = *state;
    struct burst *burst = vck_alloc(sizeof(*burst), TAG);
    assert_non_null(burst);
    make_file(place->path, ASYNC_COUNT * 4096);
    burst->disk = open_disk(place->path, 0, 0);
    vck_alloc_fail_nth(1);
    run_burst(burst, VCK_DISK_WRITE);
    /* The first found no thread; the second attempt to create one succeeded. */
    assert_int_equal(burst->inline_count, 1);
    vck_posix_disk_close(burst->disk);
    vck_free(burst);
}

/* A request that resubmits itself from its own end, as a sweep does. */
struct chain {
    struct vck_disk *disk;
    struct vck_disk_io io;
    struct vck_event ended;
    unsigned left;
    uint8_t buffer[512];
};

static void submit_next(struct vck_disk_io *io)
{
    struct chain *chain = io->context;
    if (io->status != VCK_OK || --chain->left == 0) {
        vck_event_set(&chain->ended);
        return;
    }
    chain->disk->ops->submit(chain->disk, io);
}

static void test_done_may_submit(void **state) VCK_CAN_WAIT
{
    struct place *place = *state;
    struct chain chain = {.left = 500};
    make_file(place->path, 4096);
    chain.disk = open_disk(place->path, 0, 0);
    chain.io = (struct vck_disk_io){.op = VCK_DISK_READ,
                                    .flags = VCK_DISK_ASYNC,
                                    .size_bytes = 512,
                                    .buffer = chain.buffer,
                                    .done = submit_next,
                                    .context = &chain};
    vck_event_init(&chain.ended);
    chain.disk->ops->submit(chain.disk, &chain.io);
    assert_int_equal(vck_event_wait(&chain.ended, VCK_FOREVER), VCK_OK);
    vck_event_fini(&chain.ended);
    assert_int_equal(chain.left, 0);
    vck_posix_disk_close(chain.disk);
}

/* ---- block devices, by a loop device ---- */

static bool run_line(const char *line, char *output, size_t size_bytes)
{
    FILE *f = popen(line, "r");
    if (f == NULL)
        return false;
    if (fgets(output, (int)size_bytes, f) == NULL)
        output[0] = 0;
    output[strcspn(output, "\n")] = 0;
    return pclose(f) == 0;
}

static void test_loop_device(const char *path, unsigned sector_size_bytes) VCK_CAN_WAIT
{
    char line[256];
    char device[64];
    char unused[64];
    static uint8_t data[8192];
    snprintf(line, sizeof(line), "losetup -f --show -b %u %s 2>/dev/null", sector_size_bytes, path);
    if (geteuid() != 0 || !run_line(line, device, sizeof(device))) {
        print_message("# no loop device of %u bytes: not allowed here\n", sector_size_bytes);
        skip();
    }
    snprintf(line, sizeof(line), "losetup -d %s", device);
    struct vck_disk *disk = open_disk(device, VCK_POSIX_DISK_DIRECT, 0);
    refuse_disk(device, 0, 0, VCK_BUSY, EBUSY, "open elsewhere");
    refuse_disk(path, 0, 0, VCK_BUSY, 0, "is the file behind /dev/loop");
    assert_int_equal(disk->size_bytes, 1 << 20);
    assert_int_equal(disk->sector_size_bytes, sector_size_bytes);
    assert_int_equal(disk->atomic_bytes, sector_size_bytes);
    assert_int_equal(disk->alignment_bytes, sector_size_bytes);
    uint8_t *pages = vck_alloc_pages(8192, TAG);
    assert_non_null(pages);
    fill(pages, 8192, 5);
    memcpy(data, pages, sizeof(data));
    assert_int_equal(vck_posix_disk_write(disk, 4096, pages, 8192, VCK_DISK_FUA), VCK_OK);
    memset(pages, 0, 8192);
    assert_int_equal(vck_posix_disk_read(disk, 4096, pages, 8192), VCK_OK);
    assert_memory_equal(pages, data, sizeof(data));
    assert_int_equal(vck_posix_disk_read(disk, 1 << 20, pages, 4096), VCK_OUT_OF_RANGE);
    if (disk->can_discard)
        assert_int_equal(vck_posix_disk_discard(disk, 0, 65536), VCK_OK);
    vck_free_pages(pages, 8192);
    vck_posix_disk_close(disk);
    if (sector_size_bytes == 4096)
        refuse_disk(device, 0, 512, VCK_UNSUPPORTED, 0, "cannot be addressed by 512");
    assert_true(run_line(line, unused, sizeof(unused)) || unused[0] == 0);
}

static void test_loop_device_of_512_bytes(void **state) VCK_CAN_WAIT
{
    struct place *place = *state;
    make_file(place->path, 1 << 20);
    test_loop_device(place->path, 512);
}

static void test_loop_device_of_4096_bytes(void **state) VCK_CAN_WAIT
{
    struct place *place = *state;
    make_file(place->path, 1 << 20);
    test_loop_device(place->path, 4096);
}

/* A system that is asked whether data is durable, and answers when the test says so. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned asked;
    unsigned may_answer;
    unsigned fails; /* the number of the question that fails; 0: none */
} asking = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int answer_later(int fd)
{
    (void)fd;
    pthread_mutex_lock(&asking.lock);
    unsigned mine = ++asking.asked;
    pthread_cond_broadcast(&asking.changed);
    while (asking.may_answer < mine)
        pthread_cond_wait(&asking.changed, &asking.lock);
    bool fails = asking.fails == mine;
    pthread_mutex_unlock(&asking.lock);
    errno = EIO;
    return fails ? -1 : 0;
}

static void wait_until_asked(unsigned count)
{
    pthread_mutex_lock(&asking.lock);
    while (asking.asked < count)
        pthread_cond_wait(&asking.changed, &asking.lock);
    pthread_mutex_unlock(&asking.lock);
}

static void let_answer(unsigned count)
{
    pthread_mutex_lock(&asking.lock);
    asking.may_answer = count;
    pthread_cond_broadcast(&asking.changed);
    pthread_mutex_unlock(&asking.lock);
}

struct asker {
    struct disk_sync *sync;
    pthread_t thread;
    vck_status status;
};

static void *ask(void *argument)
{
    struct asker *asker = argument;
    asker->status = vck_posix_sync(asker->sync, -1);
    return NULL;
}

static void begin_asking(struct asker *asker, struct disk_sync *sync)
{
    asker->sync = sync;
    assert_int_equal(pthread_create(&asker->thread, NULL, ask, asker), 0);
}

static void wait_for_waiting(struct disk_sync *sync, unsigned count)
{
    for (bool is_there = false; !is_there; sched_yield()) {
        pthread_mutex_lock(&sync->lock);
        is_there = sync->waiting == count;
        pthread_mutex_unlock(&sync->lock);
    }
}

/* Who comes while somebody asks waits, then one asks for all; and a failure is everybody's whom it
 * may have been about. */
static void check_askers(unsigned fails, vck_status first, vck_status others, unsigned failed)
{
    struct disk_sync sync;
    struct asker askers[3];
    uint32_t has_failed = 0;
    asking.asked = asking.may_answer = 0;
    asking.fails = fails;
    vck_posix_sync_init(&sync, answer_later, &has_failed);
    begin_asking(&askers[0], &sync);
    wait_until_asked(1);
    begin_asking(&askers[1], &sync);
    begin_asking(&askers[2], &sync);
    wait_for_waiting(&sync, 3);
    let_answer(2);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(askers[i].thread, NULL);
    assert_true(asking.asked == 2);
    assert_int_equal(askers[0].status, first);
    assert_int_equal(askers[1].status, others);
    assert_int_equal(askers[2].status, others);
    assert_int_equal(has_failed, failed);
    vck_posix_sync_fini(&sync);
}

static void test_one_asks_for_all(void **state)
{
    (void)state;
    check_askers(0, VCK_OK, VCK_OK, 0);
    check_askers(1, VCK_IO, VCK_IO, 1);
    check_askers(2, VCK_OK, VCK_IO, 1);
}

/* Whether the first page is cached; asking for it by a read would have it read ahead. */
static bool is_cached(const char *path)
{
    unsigned char is_resident = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    void *page = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(page != MAP_FAILED);
    assert_int_equal(mincore(page, 1, &is_resident), 0);
    assert_int_equal(munmap(page, 1), 0);
    close(fd);
    return is_resident & 1;
}

/* What a cache holds behind a write that failed is not what the disk does. */
static void test_opening_reads_from_the_disk(void **state)
{
    static uint8_t data[64 * 1024];
    struct place *place = *state;
    make_file(place->path, sizeof(data));
    int fd = open(place->path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, sizeof(data), 0), sizeof(data));
    assert_int_equal(fsync(fd), 0);
    bool is_told = is_cached(place->path) && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0 &&
                   !is_cached(place->path);
    assert_int_equal(pread(fd, data, sizeof(data), 0), sizeof(data));
    close(fd);
    if (!is_told) {
        print_message("# the file system of %s does not tell what is cached\n", place->path);
        return;
    }
    vck_posix_disk_close(open_disk(place->path, VCK_POSIX_DISK_READ_ONLY, 0));
    assert_true(is_cached(place->path));
    vck_posix_disk_close(open_disk(place->path, 0, 0));
    assert_false(is_cached(place->path));
}

#define PLACED(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACED(test_file_geometry),
        PLACED(test_what_is_written_is_read),
        PLACED(test_direct_transfers),
        PLACED(test_discard_frees_and_keeps_the_size),
        PLACED(test_impossible_requests_are_refused),
        PLACED(test_read_only_disk_is_not_written),
        PLACED(test_file_that_was_cut_fails_and_does_not_grow),
        PLACED(test_locked_file_is_busy),
        PLACED(test_what_is_no_disk_is_refused),
        PLACED(test_no_memory_to_open),
        PLACED(test_full_file_system),
        PLACED(test_asynchronous_burst),
        PLACED(test_without_threads_asynchronous_requests_run_inline),
        PLACED(test_done_may_submit),
        cmocka_unit_test(test_one_asks_for_all),
        PLACED(test_opening_reads_from_the_disk),
        PLACED(test_loop_device_of_512_bytes),
        PLACED(test_loop_device_of_4096_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
