/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/carrier_posix.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "products/vck/carrier.h"

#define DEFAULT_SOCKET "/run/vck/control.sock"

const char *carrier_socket_path(const struct command *command)
{
    const char *path = command->values[OPTION_SOCKET];
    return path != NULL ? path : DEFAULT_SOCKET;
}

/* The socket, or -1 with errno. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int carrier_open(struct client *client)
{
    const char *path = carrier_socket_path(client->command);
    client->carrier = connect_to(path);
    if (client->carrier >= 0)
        return EXIT_OK;
    if (errno == ENAMETOOLONG)
        return report_usage(client->command, "--socket is %zu bytes long; at most %zu are possible",
                            strlen(path), sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
    return report(client->command, errno == EACCES ? EXIT_PERMISSION : EXIT_NO_HOST,
                  "cannot reach the daemon at %s: %s; is vckd running?", path, strerror(errno));
}

void carrier_close(struct client *client)
{
    if (client->carrier >= 0)
        close((int)client->carrier);
    client->carrier = -1;
}

static int send_frame(struct client *client, size_t size_bytes)
{
    ssize_t sent;
    do
        sent = send((int)client->carrier, client->frame, size_bytes, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    int os_error = errno;
    vck_wipe(client->frame, size_bytes);
    if (sent == (ssize_t)size_bytes)
        return EXIT_OK;
    return report(client->command, EXIT_NO_HOST, "lost the daemon: %s", strerror(os_error));
}

static int receive_frame(struct client *client, size_t *ret_size_bytes)
{
    ssize_t got;
    do
        got = recv((int)client->carrier, client->frame, VCK_FRAME_BYTES_MAX, MSG_TRUNC);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return report(client->command, EXIT_NO_HOST, "lost the daemon: %s",
                      got == 0 ? "it closed the connection" : strerror(errno));
    if (got < (ssize_t)VCK_FRAME_PREFIX_BYTES || got > (ssize_t)VCK_FRAME_BYTES_MAX)
        return report(client->command, EXIT_FAILED,
                      "the daemon answered with %zd bytes; %u to %u are expected", got,
                      VCK_FRAME_PREFIX_BYTES, VCK_FRAME_BYTES_MAX);
    *ret_size_bytes = (size_t)got;
    return EXIT_OK;
}

int carrier_exchange(struct client *client, size_t size, size_t *ret_size)
{
    int code = send_frame(client, size);
    return code == EXIT_OK ? receive_frame(client, ret_size) : code;
}

bool carrier_serves(const struct command *command, const char *path)
{
    struct client client;
    struct vck_msg_volume_status status = {0};
    int fd = connect_to(carrier_socket_path(command));
    if (fd < 0)
        return false;
    close(fd);
    bool is_attached = client_open(&client, command) == EXIT_OK &&
                       client_get_status(&client, path, &status) == EXIT_OK && status.is_attached;
    client_close(&client);
    return is_attached;
}

/* The daemon leaves the disk as it is. */
bool carrier_hides(const struct command *command, const char *path)
{
    (void)command;
    (void)path;
    return false;
}
