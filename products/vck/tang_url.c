/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/tang_url.h"
#include <string.h>

#define SCHEME       "http://"
#define PORT_DEFAULT 80u

static bool is_printable(const char *text)
{
    for (; *text != 0; text++)
        if (*text <= 0x20 || *text >= 0x7f)
            return false;
    return true;
}

static const char *parse_port(const char *text, size_t length, uint16_t *ret_port)
{
    uint32_t port = 0;
    for (size_t i = 0; i < length && port <= UINT16_MAX; i++) {
        if (text[i] < '0' || text[i] > '9')
            return "its port is not a number";
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (port < 1 || port > UINT16_MAX)
        return "its port is not 1 to 65535";
    *ret_port = (uint16_t)port;
    return NULL;
}

/* HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT. */
static const char *parse_authority(const char *text, struct tang_url *url)
{
    const char *host = text, *end = text + strcspn(text, ":");
    if (*text == '[') {
        host = text + 1;
        end = strchr(text, ']');
        if (end == NULL)
            return "the bracket around its address is not closed";
    }
    size_t length = (size_t)(end - host);
    if (length == 0 || memchr(text, '@', strlen(text)) != NULL)
        return "it names no host";
    memcpy(url->host, host, length);
    url->host[length] = 0;
    end += *text == '[';
    url->port = PORT_DEFAULT;
    if (*end == 0)
        return NULL;
    return *end == ':' ? parse_port(end + 1, strlen(end + 1), &url->port)
                       : "there is something between its address and its port";
}

const char *tang_url_parse(const char *text, struct tang_url *ret_url)
{
    size_t scheme = sizeof(SCHEME) - 1;
    if (strlen(text) > VCK_NETWORK_URL_BYTES_MAX)
        return "it is longer than 255 bytes";
    if (!is_printable(text))
        return "it has bytes that URLs do not have";
    if (strncmp(text, SCHEME, scheme) != 0)
        return "it does not begin with http://; what is asked needs no other protection";
    if (strpbrk(text, "?#") != NULL)
        return "it has a query or a fragment";
    size_t authority = strcspn(text + scheme, "/");
    memcpy(ret_url->authority, text + scheme, authority);
    ret_url->authority[authority] = 0;
    size_t path = strlen(text + scheme + authority);
    while (path > 0 && text[scheme + authority + path - 1] == '/')
        path--;
    memcpy(ret_url->path, text + scheme + authority, path);
    ret_url->path[path] = 0;
    return parse_authority(ret_url->authority, ret_url);
}

const char *tang_name_parse(const char *text, struct tang_name *ret_name)
{
    struct tang_url url;
    const char *comma = strchr(text, ',');
    size_t length = comma != NULL ? (size_t)(comma - text) : strlen(text);
    if (length > VCK_NETWORK_URL_BYTES_MAX)
        return "its URL is longer than 255 bytes";
    memcpy(ret_name->url, text, length);
    ret_name->url[length] = 0;
    ret_name->has_thumbprint = comma != NULL;
    if (comma != NULL && vck_network_thumbprint_parse(
                             (struct vck_bytes){(const uint8_t *)comma + 1, strlen(comma + 1)},
                             ret_name->thumbprint) != VCK_OK)
        return "its thumbprint is not 43 digits of base64url, SHA-256 as tang-show-keys prints it";
    return tang_url_parse(ret_name->url, &url);
}
