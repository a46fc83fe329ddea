/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "products/vck/os.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include "port/posix/posix.h"
#include "products/vck/mapper.h"
#include "products/vck/os_install.h"
#include "vck/bytes.h"

static const struct verb verbs[] = {
    {"open", "DISK NAME", 2, 2, "make /dev/mapper/NAME of a volume at rest",
     OPTION_BIT(VMK_FILE) | OPTION_BIT(KEY_FILE) | OPTION_BIT(SLOT) | OPTION_BIT(TPM) |
         OPTION_BIT(PIN_FILE) | OPTION_BIT(SERVER_TIME) | OPTION_BIT(READ_ONLY) |
         OPTION_BIT(ALLOW_DISCARDS) | OPTION_BIT(DRY_RUN),
     run_open},
    {"close", "NAME", 1, 1, "remove what open made", 0, run_close},
    {"initrd-unlock", "NAME", 1, 1, "open what the boot loader unlocked",
     OPTION_BIT(HANDOVER) | OPTION_BIT(PARTITION) | OPTION_BIT(KEY_FILE) | OPTION_BIT(SLOT) |
         OPTION_BIT(WAIT) | OPTION_BIT(SERVE) | OPTION_BIT(READ_ONLY) | OPTION_BIT(ALLOW_DISCARDS),
     run_initrd_unlock},
    {"os-prepare", "VOLUME", 1, 1, "have this system start from a volume, by the boot loader",
     OPTION_BIT(ESP) | OPTION_BIT(LOADER) | OPTION_BIT(OSLOADER) | OPTION_BIT(INITRD) |
         OPTION_BIT(CMDLINE) | OPTION_BIT(NAME) | OPTION_BIT(NO_BOOT_ENTRY) |
         OPTION_BIT(PARTITION) | OPTION_BIT(ROOT) | OPTION_BIT(DRY_RUN) | OPTION_BIT(NEW_KEY_FILE) |
         OPTION_BIT(KDF) | OPTION_BIT(KDF_MEMORY) | OPTION_BIT(KDF_PASSES) | OPTION_BIT(KDF_TIME),
     run_os_prepare},
    {"os-status", "", 0, 0, "say whether what os-prepare installed is as it was", OPTION_BIT(ROOT),
     run_os_status},
    {"os-remove", "", 0, 0, "take back what os-prepare did", OPTION_BIT(ROOT) | OPTION_BIT(DRY_RUN),
     run_os_remove},
};

const struct os_words os_words = {
    .host = "daemon",
#ifndef VCK_HAS_JOSE
    .absent_options = OPTIONS_OF_SERVERS,
#endif
    .more = " vck(1) says the rest.",
    .verbs = verbs,
    .verb_count = VCK_ARRAY_COUNT(verbs),
};

/* Keys pass through this process, so it leaves no core files. */
static void protect(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    /* A reader that goes away is a failed write, which the end of the program reports. */
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    protect();
    return command_run(vck_grammar(), VCK_VERSION, argc, argv);
}

const char *os_error_text(int error)
{
    return strerror(error);
}

vck_status os_error_status(int error)
{
    return vck_posix_status_from_errno(error);
}

/* ---- the terminal ---- */

bool os_terminal_begin(void)
{
    return isatty(STDOUT_FILENO) == 1;
}

unsigned os_terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static volatile sig_atomic_t was_interrupted;

bool os_can_ask(void)
{
    return isatty(STDIN_FILENO) == 1;
}

/* One byte at a time, so that what follows the line stays for the next question. */
static int read_line(char *line, size_t capacity, size_t *ret_size)
{
    size_t size = 0;
    char c = 0;
    while (c != '\n') {
        ssize_t got = read(STDIN_FILENO, &c, 1);
        if (got < 0 && errno == EINTR && !was_interrupted)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        if (c != '\n' && size + 1 < capacity)
            line[size++] = c;
    }
    *ret_size = size;
    return 0;
}

/* What the terminal was like, for those who interrupt while it does not echo. */
static struct termios terminal_before;

static void restore_terminal(int number)
{
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
    signal(number, SIG_DFL);
    raise(number);
}

int os_ask(const char *question, bool is_secret, char *line, size_t capacity, size_t *ret_size)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction before[VCK_ARRAY_COUNT(ends)];
    const struct sigaction restore = {.sa_handler = restore_terminal};
    if (tcgetattr(STDIN_FILENO, &terminal_before) != 0)
        return errno;
    struct termios silent = terminal_before;
    silent.c_lflag &= (tcflag_t)~ECHO;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(ends); i++)
        sigaction(ends[i], &restore, &before[i]);
    int error = 0;
    if (is_secret && tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) != 0)
        error = errno;
    fputs(question, stderr);
    fflush(stderr);
    if (error == 0)
        error = read_line(line, capacity, ret_size);
    if (is_secret) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal_before);
        fputc('\n', stderr);
    }
    for (size_t i = 0; i < VCK_ARRAY_COUNT(ends); i++)
        sigaction(ends[i], &before[i], NULL);
    return error;
}

/* ---- what it can do ---- */

unsigned os_processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (unsigned)count : 1;
}

uint64_t os_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 1;
}

uint64_t os_time_s(void)
{
    time_t now = time(NULL);
    return now > 0 ? (uint64_t)now : 0;
}

/* ---- interrupts ---- */

static void interrupt(int number)
{
    (void)number;
    was_interrupted = 1;
}

void os_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool os_was_interrupted(void)
{
    return was_interrupted;
}

void os_sleep_ms(uint32_t time_ms)
{
    const struct timespec interval = {.tv_sec = time_ms / 1000,
                                      .tv_nsec = (long)(time_ms % 1000) * 1000000};
    if (!was_interrupted)
        nanosleep(&interval, NULL);
}

/* ---- small files ---- */

int os_open(const char *path, intptr_t *ret_file)
{
    int fd = path == NULL ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errno;
    *ret_file = fd;
    return 0;
}

int os_read(intptr_t file, void *buffer, size_t capacity, size_t *ret_size)
{
    size_t filled = 0;
    while (filled < capacity) {
        ssize_t got = read((int)file, (char *)buffer + filled, capacity - filled);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        filled += (size_t)got;
    }
    *ret_size = filled;
    return 0;
}

void os_close(intptr_t file)
{
    if (file != STDIN_FILENO)
        close((int)file);
}

bool os_is_exposed(intptr_t file, char ret_how[OS_EXPOSURE_BYTES])
{
    struct stat st;
    if (fstat((int)file, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077) == 0)
        return false;
    snprintf(ret_how, OS_EXPOSURE_BYTES,
             "has mode %04o, so others can reach the key; 0600 is expected",
             (unsigned)(st.st_mode & 07777));
    return true;
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, data, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        data += put;
        size -= (size_t)put;
    }
    return true;
}

/* The name is durable only once its folder is. */
static bool sync_folder(const char *path)
{
    char copy[VOLUME_PATH_BYTES];
    if (strlen(path) >= sizeof(copy)) {
        errno = ENAMETOOLONG;
        return false;
    }
    strcpy(copy, path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool is_synced = fsync(fd) == 0;
    close(fd);
    return is_synced;
}

int os_create_private(const char *path, const void *data, size_t size, bool *ret_is_created)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    *ret_is_created = fd >= 0;
    if (fd < 0)
        return errno;
    bool is_stored = fchmod(fd, 0600) == 0 && write_all(fd, data, size) && fsync(fd) == 0;
    int error = errno;
    if (close(fd) != 0 && is_stored) {
        is_stored = false;
        error = errno;
    }
    if (is_stored && sync_folder(path))
        return 0;
    if (is_stored)
        error = errno;
    (void)unlink(path);
    return error;
}

bool os_find_file(const char *path, uint64_t *ret_size)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return false;
    *ret_size = (uint64_t)st.st_size;
    return true;
}

void os_remove_file(const char *path)
{
    (void)unlink(path);
}
