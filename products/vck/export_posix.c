/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "products/vck/carrier_posix.h"
#include "products/vck/export.h"

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("-._~/", c) != NULL);
}

/* Appends text with everything percent-encoded that a URI gives a meaning to. */
static void append_encoded(char *uri, const char *text)
{
    char *end = uri + strlen(uri);
    for (; *text != 0 && end - uri < URI_BYTES - 4; text++) {
        if (is_plain(*text))
            *end++ = *text;
        else
            end += snprintf(end, 4, "%%%02X", (unsigned char)*text);
    }
    *end = 0;
}

void export_address(const struct command *command, char ret_address[VOLUME_PATH_BYTES])
{
    const char *control = carrier_socket_path(command);
    const char *slash = strrchr(control, '/');
    if (option_given(command, OPTION_NBD))
        snprintf(ret_address, VOLUME_PATH_BYTES, "%s", command->values[OPTION_NBD]);
    else
        snprintf(ret_address, VOLUME_PATH_BYTES, "%.*snbd.sock",
                 slash != NULL ? (int)(slash + 1 - control) : 0, control);
}

/* A Unix socket by its absolute path, since the URI is used from other folders; or HOST:PORT. */
bool export_uri(const struct command *command, const char *path, char ret_uri[URI_BYTES])
{
    char address[VOLUME_PATH_BYTES];
    char resolved[PATH_MAX];
    export_address(command, address);
    bool is_unix = strchr(address, '/') != NULL || strchr(address, ':') == NULL;
    if (is_unix) {
        strcpy(ret_uri, "nbd+unix:///");
        append_encoded(ret_uri, path);
        strcat(ret_uri, "?socket=");
        append_encoded(ret_uri, realpath(address, resolved) != NULL ? resolved : address);
        return true;
    }
    snprintf(ret_uri, URI_BYTES, "nbd://%s%s/", address[0] == ':' ? "localhost" : "", address);
    append_encoded(ret_uri, path);
    return true;
}
