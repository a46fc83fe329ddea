/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vckd: starts nbdkit with the plugin that is the daemon. What can be wrong is found here, in
 * words, before the terminal is left.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef VCKD_SANITIZED
#include "sanitizer.h"
#endif

#define RUN_DIRECTORY   "/run/vck"
#define DEFAULT_CONTROL RUN_DIRECTORY "/control.sock"
#define DEFAULT_NBD     RUN_DIRECTORY "/nbd.sock"
#define DEFAULT_PID     RUN_DIRECTORY "/vckd.pid"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
};

struct options {
    const char *control;
    const char *nbd;
    const char *pid_file; /* NULL: none */
    bool foreground;
    bool allow_discards;
    bool direct;
    bool verbose;
};

static const char usage[] =
    "Usage: vckd [options]\n"
    "\n"
    "Serves attached volumes as NBD exports. The vck command tells it what to do.\n"
    "\n"
    "  --foreground      Stay on the terminal instead of going to the background.\n"
    "  --socket PATH     Control socket (default " DEFAULT_CONTROL ").\n"
    "  --nbd ADDRESS     Where NBD clients connect: the path of a Unix socket, or HOST:PORT\n"
    "                    or :PORT (default " DEFAULT_NBD ").\n"
    "  --pid-file PATH   Write the process id there (default " DEFAULT_PID "\n"
    "                    when the control socket is the default one, else none).\n"
    "  --allow-discards  Pass discards to the disks. They show which sectors are free.\n"
    "  --direct          Read and write disks past the page cache where possible.\n"
    "  --verbose         Say more, on standard error.\n"
    "  --help            Show this text.\n"
    "  --version         Show the version.\n";

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int fail(const char *format, ...)
{
    va_list arguments;

    fputs("vckd: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return -1;
}

/* ---- options ---- */

enum {
    OPTION_FOREGROUND = 256,
    OPTION_SOCKET,
    OPTION_NBD,
    OPTION_PID_FILE,
    OPTION_ALLOW_DISCARDS,
    OPTION_DIRECT,
    OPTION_VERBOSE,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"foreground", no_argument, NULL, OPTION_FOREGROUND},
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"nbd", required_argument, NULL, OPTION_NBD},
    {"pid-file", required_argument, NULL, OPTION_PID_FILE},
    {"allow-discards", no_argument, NULL, OPTION_ALLOW_DISCARDS},
    {"direct", no_argument, NULL, OPTION_DIRECT},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static void take_option(struct options *options, int option)
{
    switch (option) {
    case OPTION_FOREGROUND:
        options->foreground = true;
        break;
    case OPTION_SOCKET:
        options->control = optarg;
        break;
    case OPTION_NBD:
        options->nbd = optarg;
        break;
    case OPTION_PID_FILE:
        options->pid_file = optarg;
        break;
    case OPTION_ALLOW_DISCARDS:
        options->allow_discards = true;
        break;
    case OPTION_DIRECT:
        options->direct = true;
        break;
    case OPTION_VERBOSE:
        options->verbose = true;
        break;
    case 'h':
    case OPTION_HELP:
        fputs(usage, stdout);
        exit(EXIT_OK);
    case OPTION_VERSION:
        puts("vckd " VCK_VERSION);
        exit(EXIT_OK);
    default:
        fputs("Try 'vckd --help'.\n", stderr);
        exit(EXIT_USAGE);
    }
}

static void read_options(int argc, char **argv, struct options *ret_options)
{
    int option;

    *ret_options = (struct options){.control = DEFAULT_CONTROL, .nbd = DEFAULT_NBD};
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
        take_option(ret_options, option);
    if (optind < argc) {
        fail("unexpected argument '%s'", argv[optind]);
        fputs("Try 'vckd --help'.\n", stderr);
        exit(EXIT_USAGE);
    }
    if (!ret_options->pid_file && strcmp(ret_options->control, DEFAULT_CONTROL) == 0)
        ret_options->pid_file = DEFAULT_PID;
}

/* ---- places ---- */

static bool is_below_run(const char *path)
{
    return path && strncmp(path, RUN_DIRECTORY "/", strlen(RUN_DIRECTORY "/")) == 0;
}

static int make_run_directory(const struct options *options)
{
    mode_t before;
    int result;

    if (!is_below_run(options->control) && !is_below_run(options->nbd) &&
        !is_below_run(options->pid_file))
        return 0;
    before = umask(022);
    result = mkdir(RUN_DIRECTORY, 0755);
    umask(before);
    if (result == 0 || errno == EEXIST)
        return 0;
    if (errno == EACCES)
        return fail("%s cannot be made: not permitted; be root, or give --socket and --nbd",
                    RUN_DIRECTORY);
    return fail("%s cannot be made: %s", RUN_DIRECTORY, strerror(errno));
}

/* Whether somebody listens at the socket. 0: nobody; -1: explained. */
static int probe(const char *path, int type, const char *what)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0)
        return fail("no socket: %s", strerror(errno));
    strcpy(address.sun_path, path);
    error = connect(fd, (struct sockaddr *)&address, sizeof(address)) ? errno : 0;
    close(fd);
    if (error == ENOENT || error == ECONNREFUSED)
        return 0;
    if (error == 0)
        return fail("%s: another daemon serves this %s", path, what);
    return fail("%s: %s", path, strerror(error));
}

/* nbdkit does not replace the socket of a dead server. */
static int clear_nbd_socket(const char *path)
{
    struct stat there;

    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return fail("%s is too long for a socket, 107 bytes are possible", path);
    if (lstat(path, &there))
        return errno == ENOENT ? 0 : fail("%s: %s", path, strerror(errno));
    if (!S_ISSOCK(there.st_mode))
        return fail("%s is there and is not a socket", path);
    if (probe(path, SOCK_STREAM, "NBD socket"))
        return -1;
    return unlink(path) ? fail("%s cannot be removed: %s", path, strerror(errno)) : 0;
}

static int check_control_socket(const char *path)
{
    struct stat there;

    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return fail("%s is too long for a socket, 107 bytes are possible", path);
    if (lstat(path, &there))
        return errno == ENOENT ? 0 : fail("%s: %s", path, strerror(errno));
    if (!S_ISSOCK(there.st_mode))
        return fail("%s is there and is not a socket", path);
    return probe(path, SOCK_SEQPACKET, "control socket");
}

static bool is_plugin_in(const char *folder, const char *below, char ret_path[PATH_MAX])
{
    return snprintf(ret_path, PATH_MAX, "%s/%svckd.so", folder, below) < PATH_MAX &&
           access(ret_path, R_OK) == 0;
}

/* Beside this program in the build tree, else in the tree that was installed, which may have been
 * moved since, or where that was to be. */
static int find_plugin(char ret_path[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (size > 0) {
        self[size] = 0;
        *strrchr(self, '/') = 0;
        if (is_plugin_in(self, "", ret_path) || is_plugin_in(self, VCK_PLUGIN_FROM_HERE, ret_path))
            return 0;
    }
    snprintf(ret_path, PATH_MAX, "%s/vckd.so", VCK_PLUGIN_DIRECTORY);
    if (access(ret_path, R_OK) == 0)
        return 0;
    return fail("the plugin vckd.so is missing, beside this program and in %s",
                VCK_PLUGIN_DIRECTORY);
}

/* ---- nbdkit's arguments ---- */

#define ARGUMENTS_MAX 32

struct arguments {
    char *list[ARGUMENTS_MAX + 1];
    unsigned count;
};

/* Copies; a failed copy ends the program, which has nothing to give back yet. */
static void add(struct arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct arguments *arguments, const char *format, ...)
{
    va_list values;
    char *text = NULL;

    va_start(values, format);
    if (arguments->count == ARGUMENTS_MAX || vasprintf(&text, format, values) < 0) {
        fail("out of memory");
        exit(EXIT_FAILED);
    }
    va_end(values);
    arguments->list[arguments->count++] = text;
}

static bool is_unix(const char *nbd)
{
    return strchr(nbd, '/') || !strchr(nbd, ':');
}

static int add_address(struct arguments *arguments, const char *nbd)
{
    const char *colon = strrchr(nbd, ':');

    if (is_unix(nbd)) {
        if (clear_nbd_socket(nbd))
            return -1;
        add(arguments, "--unix");
        add(arguments, "%s", nbd);
        return 0;
    }
    if (!colon[1])
        return fail("--nbd %s: the port is missing", nbd);
    if (colon != nbd) {
        bool is_bracketed = nbd[0] == '[' && colon[-1] == ']';
        const char *host = nbd + is_bracketed;

        add(arguments, "--ipaddr");
        add(arguments, "%.*s", (int)(colon - host - is_bracketed), host);
    }
    add(arguments, "--port");
    add(arguments, "%s", colon + 1);
    return 0;
}

static int add_all(struct arguments *arguments, const struct options *options, const char *plugin)
{
    /* With an @ in front, a system that shuts down leaves the process that serves its disks alone
     * until the end. */
    add(arguments, "@nbdkit");
    if (options->foreground)
        add(arguments, "--foreground");
    if (options->verbose)
        add(arguments, "--verbose");
    if (options->pid_file) {
        add(arguments, "--pidfile");
        add(arguments, "%s", options->pid_file);
    }
    if (add_address(arguments, options->nbd))
        return -1;
    add(arguments, "%s", plugin);
    add(arguments, "socket=%s", options->control);
    if (is_unix(options->nbd))
        add(arguments, "nbd-socket=%s", options->nbd);
    add(arguments, "allow-discards=%s", options->allow_discards ? "true" : "false");
    add(arguments, "direct=%s", options->direct ? "true" : "false");
    return 0;
}

int main(int argc, char **argv)
{
    struct options options;
    struct arguments arguments = {0};
    char plugin[PATH_MAX];

    read_options(argc, argv, &options);
    if (make_run_directory(&options) || check_control_socket(options.control) ||
        find_plugin(plugin) || add_all(&arguments, &options, plugin))
        return EXIT_FAILED;
    /* What the NBD socket gives out is decrypted: it is for this user alone. */
    umask(077);
#ifdef VCKD_SANITIZED
    vckd_sanitizer_prepare();
#endif
    execvp("nbdkit", arguments.list);
    if (errno == ENOENT)
        fail("nbdkit is not installed: it is in the package nbdkit");
    else
        fail("nbdkit cannot be started: %s", strerror(errno));
    return EXIT_FAILED;
}
