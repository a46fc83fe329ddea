/* SPDX-License-Identifier: Apache-2.0 */
/* Against nbdkit, started anew for each test with the options the test names. */
#define _GNU_SOURCE
#include "port/posix/abort_test.h"
#include <errno.h>
#include <sys/prctl.h>
#include <time.h>
#include "port/posix/posix.h"
#include "vck/bytes.h"

#define TAG        VCK_TAG('t', 'e', 's', 't')
#define SIZE_BYTES (8u << 20)

struct server {
    char directory[64];
    char socket[96];
    char pid_file[96];
    char uri[160];
    char log_file[96]; /* of what reaches the server */
    pid_t pid;
};

static bool has_nbdkit(void)
{
    return system("nbdkit --version >/dev/null 2>&1") == 0;
}

static void make_names(struct server *server)
{
    snprintf(server->directory, sizeof(server->directory), "/tmp/vck-nbd-XXXXXX");
    assert_non_null(mkdtemp(server->directory));
    snprintf(server->socket, sizeof(server->socket), "%s/socket", server->directory);
    snprintf(server->pid_file, sizeof(server->pid_file), "%s/pid", server->directory);
    snprintf(server->log_file, sizeof(server->log_file), "%s/log", server->directory);
    snprintf(server->uri, sizeof(server->uri), "nbd+unix:///?socket=%s", server->socket);
}

/* The pid file is written when the server listens. */
static void wait_for(const struct server *server)
{
    static const struct timespec nap = {.tv_nsec = 5000000};
    while (access(server->pid_file, F_OK) != 0) {
        assert_int_equal(waitpid(server->pid, NULL, WNOHANG), 0);
        nanosleep(&nap, NULL);
    }
}

/* arguments: nbdkit's, separated by spaces. */
static void start(struct server *server, const char *arguments)
{
    char line[512];
    make_names(server);
    snprintf(line, sizeof(line), "exec nbdkit -f --filter=log -P %s -U %s %s logfile=%s",
             server->pid_file, server->socket, arguments, server->log_file);
    pid_t parent = getpid();
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    wait_for(server);
}

static void stop(struct server *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
    }
    server->pid = 0;
    unlink(server->socket);
    unlink(server->pid_file);
    unlink(server->log_file);
    rmdir(server->directory);
}

static int clear_server(void **state)
{
    static struct server server;
    memset(&server, 0, sizeof(server));
    *state = &server;
    return 0;
}

static int stop_server(void **state)
{
    stop(*state);
    return 0;
}

static struct server *start_or_skip(void **state, const char *arguments)
{
    struct server *server = *state;
    if (!has_nbdkit()) {
        print_message("# nbdkit is not installed\n");
        skip();
    }
    start(server, arguments);
    return server;
}

static struct vck_disk *open_disk(const char *uri, unsigned flags, uint32_t sector_size_bytes)
{
    struct vck_posix_disk_options options = {flags, sector_size_bytes};
    struct vck_posix_error error = {0};
    struct vck_disk *disk = NULL;
    if (vck_posix_disk_open(uri, &options, &disk, &error) != VCK_OK)
        fail_msg("%s", error.text);
    return disk;
}

static void refuse_disk(const char *uri, unsigned flags, uint32_t sector_size_bytes,
                        vck_status expected, const char *why)
{
    struct vck_posix_disk_options options = {flags, sector_size_bytes};
    struct vck_posix_error error = {0};
    struct vck_disk *disk = NULL;
    size_t before = vck_alloc_live_count();
    vck_status status = vck_posix_disk_open(uri, &options, &disk, &error);
    if (status != expected || strstr(error.text, why) == NULL)
        fail_msg("status %d, '%s' instead of '%s'", (int)status, error.text, why);
    assert_null(disk);
    assert_int_equal(vck_alloc_live_count(), before);
}

static void write_and_read(struct vck_disk *disk, uint64_t offset_bytes, size_t size_bytes,
                           unsigned flags) VCK_CAN_WAIT
{
    uint8_t *written = vck_alloc_pages(size_bytes, TAG);
    uint8_t *read = vck_alloc_pages(size_bytes, TAG);
    assert_non_null(written);
    assert_non_null(read);
    assert_int_equal(vck_random(written, size_bytes), VCK_OK);
    assert_int_equal(vck_posix_disk_write(disk, offset_bytes, written, size_bytes, flags), VCK_OK);
    assert_int_equal(vck_posix_disk_flush(disk), VCK_OK);
    assert_int_equal(vck_posix_disk_read(disk, offset_bytes, read, size_bytes), VCK_OK);
    assert_memory_equal(read, written, size_bytes);
    vck_free_pages(written, size_bytes);
    vck_free_pages(read, size_bytes);
}

static unsigned count_in_log(const struct server *server, const char *what)
{
    char line[256];
    unsigned count = 0;
    FILE *f = fopen(server->log_file, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL)
        count += strstr(line, what) != NULL;
    fclose(f);
    return count;
}

/* ---- geometry and transfers ---- */

static void test_memory_export(void **state) VCK_CAN_WAIT
{
    struct server *server = start_or_skip(state, "memory 8M");
    struct vck_disk *disk = open_disk(server->uri, 0, 0);
    uint64_t size_bytes = 0;
    uint8_t sector[512];
    assert_int_equal(disk->size_bytes, SIZE_BYTES);
    assert_int_equal(disk->ops->query_size(disk, &size_bytes), VCK_OK);
    assert_int_equal(size_bytes, SIZE_BYTES);
    assert_int_equal(disk->sector_size_bytes, 512);
    assert_int_equal(disk->atomic_bytes, 512);
    assert_int_equal(disk->alignment_bytes, 1);
    assert_false(disk->read_only);
    assert_true(disk->can_discard);
    write_and_read(disk, 512, 512, 0);
    write_and_read(disk, 4096, 1 << 20, VCK_DISK_FUA);
    assert_int_equal(vck_posix_disk_discard(disk, 0, SIZE_BYTES), VCK_OK);
    assert_int_equal(vck_posix_disk_read(disk, 512, sector, sizeof(sector)), VCK_OK);
    assert_true(vck_all_zero(sector, sizeof(sector)));
    assert_int_equal(vck_posix_disk_read(disk, SIZE_BYTES, sector, sizeof(sector)),
                     VCK_OUT_OF_RANGE);
    vck_posix_disk_close(disk);
}

static void test_large_transfers_are_cut_to_the_servers_limit(void **state) VCK_CAN_WAIT
{
    struct server *server = start_or_skip(
        state, "--filter=blocksize-policy memory 128M blocksize-minimum=512 "
               "blocksize-preferred=4096 blocksize-maximum=65536 blocksize-error-policy=error");
    struct vck_disk *disk = open_disk(server->uri, 0, 0);
    write_and_read(disk, 512, 256 * 1024 + 512, 0);
    vck_posix_disk_close(disk);
    stop(server);

    start(server, "memory 128M");
    disk = open_disk(server->uri, 0, 0);
    write_and_read(disk, 4096, 70 << 20, VCK_DISK_FUA);
    vck_posix_disk_close(disk);
}

static void test_block_sizes(void **state) VCK_CAN_WAIT
{
    static const char policy[] = "--filter=blocksize-policy memory 8M blocksize-error-policy=error";
    char arguments[256];
    snprintf(arguments, sizeof(arguments), "%s blocksize-minimum=4096 blocksize-preferred=4096",
             policy);
    struct server *server = start_or_skip(state, arguments);
    struct vck_disk *disk = open_disk(server->uri, 0, 0);
    assert_int_equal(disk->sector_size_bytes, 4096);
    assert_int_equal(disk->atomic_bytes, 4096);
    write_and_read(disk, 4096, 8192, 0);
    vck_posix_disk_close(disk);
    refuse_disk(server->uri, 0, 512, VCK_UNSUPPORTED, "cannot be addressed by 512 bytes");
    stop(server);

    snprintf(arguments, sizeof(arguments), "%s blocksize-minimum=8192 blocksize-preferred=8192",
             policy);
    start(server, arguments);
    refuse_disk(server->uri, 0, 0, VCK_UNSUPPORTED, "blocks of 8192 bytes");
    stop(server);

    start(server, "memory 8M");
    disk = open_disk(server->uri, 0, 4096);
    assert_int_equal(disk->sector_size_bytes, 4096);
    assert_int_equal(disk->atomic_bytes, 512);
    vck_posix_disk_close(disk);
}

static void test_read_only_export(void **state) VCK_CAN_WAIT
{
    struct server *server = start_or_skip(state, "-r memory 8M");
    uint8_t sector[512] = {0};
    refuse_disk(server->uri, 0, 0, VCK_READ_ONLY, "is read-only");
    struct vck_disk *disk = open_disk(server->uri, VCK_POSIX_DISK_READ_ONLY, 0);
    assert_true(disk->read_only);
    assert_false(disk->can_discard);
    assert_int_equal(vck_posix_disk_read(disk, 0, sector, sizeof(sector)), VCK_OK);
    assert_int_equal(vck_posix_disk_write(disk, 0, sector, sizeof(sector), 0), VCK_READ_ONLY);
    vck_posix_disk_close(disk);
}

/* ---- requests that overlap ---- */

#define ASYNC_COUNT 64

struct burst {
    struct vck_disk_io ios[ASYNC_COUNT];
    uint8_t buffers[ASYNC_COUNT][4096];
    struct vck_event ended;
    unsigned left;
    unsigned failed_count;
};

static void note_end(struct vck_disk_io *io)
{
    struct burst *burst = io->context;
    if (io->status != VCK_OK)
        __atomic_add_fetch(&burst->failed_count, 1, __ATOMIC_RELAXED);
    if (__atomic_sub_fetch(&burst->left, 1, __ATOMIC_ACQ_REL) == 0)
        vck_event_set(&burst->ended);
}

static void run_burst(struct vck_disk *disk, struct burst *burst, enum vck_disk_op op,
                      unsigned flags) VCK_CAN_WAIT
{
    burst->left = ASYNC_COUNT;
    vck_event_init(&burst->ended);
    for (size_t i = 0; i < ASYNC_COUNT; i++) {
        burst->ios[i] = (struct vck_disk_io){.op = op,
                                             .flags = VCK_DISK_ASYNC | flags,
                                             .offset_bytes = i * 4096,
                                             .size_bytes = 4096,
                                             .buffer = burst->buffers[i],
                                             .done = note_end,
                                             .context = burst};
        disk->ops->submit(disk, &burst->ios[i]);
    }
    assert_int_equal(vck_event_wait(&burst->ended, VCK_FOREVER), VCK_OK);
    vck_event_fini(&burst->ended);
    assert_int_equal(burst->failed_count, 0);
}

static void check_bursts(struct server *server) VCK_CAN_WAIT
{
    struct burst *burst = vck_alloc(sizeof(*burst), TAG);
    assert_non_null(burst);
    struct vck_disk *disk = open_disk(server->uri, 0, 0);
    for (size_t i = 0; i < ASYNC_COUNT; i++)
        memset(burst->buffers[i], (int)i + 1, sizeof(burst->buffers[i]));
    run_burst(disk, burst, VCK_DISK_WRITE, VCK_DISK_FUA);
    run_burst(disk, burst, VCK_DISK_FLUSH, 0);
    memset(burst->buffers, 0, sizeof(burst->buffers));
    run_burst(disk, burst, VCK_DISK_READ, 0);
    for (size_t i = 0; i < ASYNC_COUNT; i++)
        for (size_t j = 0; j < sizeof(burst->buffers[i]); j += 511)
            assert_int_equal(burst->buffers[i][j], i + 1);
    vck_posix_disk_close(disk);
    vck_free(burst);
}

static void test_bursts_over_several_connections(void **state) VCK_CAN_WAIT
{
    struct server *server = start_or_skip(state, "memory 8M");
    check_bursts(server);
    assert_int_equal(count_in_log(server, " Connect "), 4);
    assert_int_equal(count_in_log(server, " Flush id="), ASYNC_COUNT);
    assert_int_equal(count_in_log(server, " fua=1 "), ASYNC_COUNT);
}

static void test_bursts_over_one_connection(void **state) VCK_CAN_WAIT
{
    struct server *server =
        start_or_skip(state, "--filter=multi-conn memory 8M multi-conn-mode=disable");
    check_bursts(server);
    assert_int_equal(count_in_log(server, " Connect "), 1);
}

static void test_bursts_without_fua(void **state) VCK_CAN_WAIT
{
    struct server *server = start_or_skip(state, "--filter=fua memory 8M");
    check_bursts(server);
    assert_int_equal(count_in_log(server, " fua=1 "), 0);
    assert_int_equal(count_in_log(server, " Flush id="), 2 * ASYNC_COUNT);
}

/* ---- failures ---- */

static void test_servers_error_is_reported(void **state) VCK_CAN_WAIT
{
    static const struct {
        const char *error;
        vck_status status;
    } cases[] = {{"ENOSPC", VCK_DISK_FULL}, {"EIO", VCK_IO}, {"EPERM", VCK_READ_ONLY}};
    uint8_t sector[512] = {0};
    char arguments[128];
    for (size_t i = 0; i < VCK_ARRAY_COUNT(cases); i++) {
        snprintf(arguments, sizeof(arguments),
                 "--filter=error memory 8M error-pwrite=%s error-pwrite-rate=1", cases[i].error);
        struct server *server = start_or_skip(state, arguments);
        struct vck_disk *disk = open_disk(server->uri, 0, 0);
        assert_int_equal(vck_posix_disk_write(disk, 0, sector, sizeof(sector), 0), cases[i].status);
        assert_int_equal(vck_posix_disk_read(disk, 0, sector, sizeof(sector)), VCK_OK);
        vck_posix_disk_close(disk);
        stop(server);
    }
}

static void test_lost_server_fails_everything(void **state) VCK_CAN_WAIT
{
    struct server *server = start_or_skip(state, "memory 8M");
    struct vck_disk *disk = open_disk(server->uri, 0, 0);
    uint8_t sector[512] = {0};
    write_and_read(disk, 0, 4096, 0);
    stop(server);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(vck_posix_disk_read(disk, 0, sector, sizeof(sector)), VCK_IO);
        assert_int_equal(vck_posix_disk_write(disk, 0, sector, sizeof(sector), 0), VCK_IO);
        assert_int_equal(vck_posix_disk_flush(disk), VCK_IO);
    }
    vck_posix_disk_close(disk);
}

static void test_no_server(void **state)
{
    (void)state;
    refuse_disk("nbd+unix:///?socket=/nonexistent/socket", 0, 0, VCK_NOT_FOUND,
                "/nonexistent/socket");
    refuse_disk("nbd://127.0.0.1:1/", 0, 0, VCK_REFUSED, "Connection refused");
}

static void test_no_memory_to_open(void **state)
{
    struct server *server = start_or_skip(state, "memory 8M");
    struct vck_disk *disk = NULL;
    vck_alloc_fail_nth(1);
    assert_int_equal(vck_posix_disk_open(server->uri, NULL, &disk, NULL), VCK_NO_MEMORY);
    assert_null(disk);
}

#define SERVED(f) cmocka_unit_test_setup_teardown(f, clear_server, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(test_memory_export),
        SERVED(test_large_transfers_are_cut_to_the_servers_limit),
        SERVED(test_block_sizes),
        SERVED(test_read_only_export),
        SERVED(test_bursts_over_several_connections),
        SERVED(test_bursts_over_one_connection),
        SERVED(test_bursts_without_fua),
        SERVED(test_servers_error_is_reported),
        SERVED(test_lost_server_fails_everything),
        SERVED(test_no_memory_to_open),
        cmocka_unit_test(test_no_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
