/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/key_network.h"
#include "port/port.h"
#include "vck/gcm.h"
#include "vck/hkdf.h"
#include "vck/sha256.h"

#define VERSION     1u
#define HEAD_BYTES  8u
#define POINT_BYTES (2 * VCK_NETWORK_COORDINATE_BYTES)

enum {
    AT_SIZE = 0,
    AT_CURVE = 2,
    AT_URL_SIZE = 4,
    AT_ZERO = 6,
    AT_SIGNER = 8,
    AT_SERVER_KEY = 40,
    AT_SLOT_KEY = 172,
    AT_SHARE = 304,
    AT_URL = 352,
};

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* ---- curves ---- */

static const struct curve {
    const char *name;
    uint32_t coordinate_bytes;
} curves[] = {
    [VCK_NETWORK_P256] = {"P-256", 32},
    [VCK_NETWORK_P384] = {"P-384", 48},
    [VCK_NETWORK_P521] = {"P-521", 66},
};

uint32_t vck_network_curve_bytes(uint32_t curve)
{
    return curve < VCK_ARRAY_COUNT(curves) ? curves[curve].coordinate_bytes : 0;
}

const char *vck_network_curve_name(uint32_t curve)
{
    return curve < VCK_ARRAY_COUNT(curves) ? curves[curve].name : NULL;
}

/* ---- thumbprints ---- */

/* Without padding; returns the number of digits. */
static uint32_t format_base64url(const uint8_t *data, uint32_t size_bytes, char *ret_text)
{
    uint32_t count = 0, bits = 0, value = 0;
    for (uint32_t i = 0; i < size_bytes; i++) {
        value = value << 8 | data[i];
        for (bits += 8; bits >= 6; bits -= 6)
            ret_text[count++] = digits[value >> (bits - 6) & 63];
    }
    if (bits > 0)
        ret_text[count++] = digits[value << (6 - bits) & 63];
    return count;
}

static void hash_text(struct vck_sha256 *sha, const char *text)
{
    vck_sha256_update(sha, text, strlen(text));
}

static void hash_coordinate(struct vck_sha256 *sha, const uint8_t *coordinate, uint32_t size_bytes)
{
    char text[(VCK_NETWORK_COORDINATE_BYTES * 8 + 5) / 6];
    uint32_t count =
        format_base64url(coordinate + VCK_NETWORK_COORDINATE_BYTES - size_bytes, size_bytes, text);
    vck_sha256_update(sha, text, count);
}

void vck_network_thumbprint(enum vck_network_curve curve, const struct vck_network_point *point,
                            uint8_t ret_thumbprint[VCK_NETWORK_THUMBPRINT_BYTES])
{
    struct vck_sha256 sha;
    uint32_t size_bytes = vck_network_curve_bytes(curve);
    vck_sha256_init(&sha);
    hash_text(&sha, "{\"crv\":\"");
    hash_text(&sha, vck_network_curve_name(curve));
    hash_text(&sha, "\",\"kty\":\"EC\",\"x\":\"");
    hash_coordinate(&sha, point->x, size_bytes);
    hash_text(&sha, "\",\"y\":\"");
    hash_coordinate(&sha, point->y, size_bytes);
    hash_text(&sha, "\"}");
    vck_sha256_final(&sha, ret_thumbprint);
}

void vck_network_thumbprint_format(const uint8_t thumbprint[VCK_NETWORK_THUMBPRINT_BYTES],
                                   char ret_text[VCK_NETWORK_THUMBPRINT_TEXT])
{
    ret_text[format_base64url(thumbprint, VCK_NETWORK_THUMBPRINT_BYTES, ret_text)] = 0;
}

static bool find_digit(uint8_t c, uint32_t *ret_value)
{
    const char *at = c != 0 ? memchr(digits, c, sizeof(digits) - 1) : NULL;
    if (at != NULL)
        *ret_value = (uint32_t)(at - digits);
    return at != NULL;
}

vck_status vck_network_thumbprint_parse(struct vck_bytes text,
                                        uint8_t ret_thumbprint[VCK_NETWORK_THUMBPRINT_BYTES])
{
    uint8_t thumbprint[VCK_NETWORK_THUMBPRINT_BYTES];
    uint32_t count = 0, bits = 0, value = 0, digit = 0;
    if (text.size_bytes != VCK_NETWORK_THUMBPRINT_TEXT - 1)
        return VCK_INVALID_DATA;
    for (size_t i = 0; i < text.size_bytes; i++) {
        if (!find_digit(text.data[i], &digit))
            return VCK_INVALID_DATA;
        value = value << 6 | digit;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        thumbprint[count++] = (uint8_t)(value >> bits);
    }
    if ((value & ((1u << bits) - 1)) != 0)
        return VCK_INVALID_DATA;
    memcpy(ret_thumbprint, thumbprint, sizeof(thumbprint));
    return VCK_OK;
}

/* ---- the binding ---- */

static uint32_t server_bytes(uint32_t url_bytes)
{
    return (AT_URL + url_bytes + 7) / 8 * 8;
}

uint32_t vck_network_binding_bytes(const struct vck_network_binding *binding)
{
    uint32_t size_bytes = HEAD_BYTES;
    for (uint32_t i = 0; i < binding->count; i++)
        size_bytes += server_bytes((uint32_t)strlen(binding->servers[i].url));
    return size_bytes;
}

static bool is_url_possible(const uint8_t *url, uint32_t size_bytes)
{
    bool is_possible = size_bytes >= 1 && size_bytes <= VCK_NETWORK_URL_BYTES_MAX;
    for (uint32_t i = 0; is_possible && i < size_bytes; i++)
        is_possible = url[i] > 0x20 && url[i] < 0x7f;
    return is_possible;
}

static bool is_point_possible(const struct vck_network_point *point, uint32_t curve)
{
    uint32_t zeroes = VCK_NETWORK_COORDINATE_BYTES - vck_network_curve_bytes(curve);
    return vck_all_zero(point->x, zeroes) && vck_all_zero(point->y, zeroes);
}

static vck_status check_server(const struct vck_network_server *server)
{
    if (vck_network_curve_bytes(server->curve) == 0)
        return VCK_UNSUPPORTED;
    return is_point_possible(&server->server_key, server->curve) &&
                   is_point_possible(&server->slot_key, server->curve)
               ? VCK_OK
               : VCK_INVALID_DATA;
}

static vck_status decode_server(struct vck_bytes data, struct vck_network_server *server,
                                uint32_t *ret_size_bytes)
{
    if (data.size_bytes < AT_URL)
        return VCK_INVALID_DATA;
    uint32_t url_bytes = vck_load_le16(data.data + AT_URL_SIZE);
    uint32_t size_bytes = vck_load_le16(data.data + AT_SIZE);
    if (size_bytes > data.size_bytes || size_bytes != server_bytes(url_bytes) ||
        vck_load_le16(data.data + AT_ZERO) != 0 ||
        !is_url_possible(data.data + AT_URL, url_bytes) ||
        !vck_all_zero(data.data + AT_URL + url_bytes, size_bytes - AT_URL - url_bytes))
        return VCK_INVALID_DATA;
    server->curve = vck_load_le16(data.data + AT_CURVE);
    memcpy(server->signer, data.data + AT_SIGNER, sizeof(server->signer));
    memcpy(&server->server_key, data.data + AT_SERVER_KEY, POINT_BYTES);
    memcpy(&server->slot_key, data.data + AT_SLOT_KEY, POINT_BYTES);
    memcpy(server->sealed_share, data.data + AT_SHARE, sizeof(server->sealed_share));
    memcpy(server->url, data.data + AT_URL, url_bytes);
    *ret_size_bytes = size_bytes;
    return check_server(server);
}

vck_status vck_network_binding_decode(struct vck_bytes data,
                                      struct vck_network_binding *ret_binding)
{
    if (data.size_bytes < HEAD_BYTES)
        return VCK_INVALID_DATA;
    if (vck_load_le16(data.data) != VERSION)
        return VCK_UNSUPPORTED;
    memset(ret_binding, 0, sizeof(*ret_binding));
    ret_binding->threshold = data.data[2];
    ret_binding->count = data.data[3];
    if (!vck_all_zero(data.data + 4, 4) || ret_binding->threshold < 1 ||
        ret_binding->threshold > ret_binding->count || ret_binding->count > VCK_NETWORK_SERVERS_MAX)
        return VCK_INVALID_DATA;
    size_t at = HEAD_BYTES;
    for (uint32_t i = 0; i < ret_binding->count; i++) {
        uint32_t size_bytes = 0;
        vck_status status = decode_server((struct vck_bytes){data.data + at, data.size_bytes - at},
                                          &ret_binding->servers[i], &size_bytes);
        if (status != VCK_OK)
            return status;
        at += size_bytes;
    }
    return at == data.size_bytes ? VCK_OK : VCK_INVALID_DATA;
}

/* All but the URL. */
static void encode_head(const struct vck_network_server *server, uint32_t url_bytes,
                        uint8_t data[AT_URL])
{
    memset(data, 0, AT_URL);
    vck_store_le16(data + AT_SIZE, (uint16_t)server_bytes(url_bytes));
    vck_store_le16(data + AT_CURVE, (uint16_t)server->curve);
    vck_store_le16(data + AT_URL_SIZE, (uint16_t)url_bytes);
    memcpy(data + AT_SIGNER, server->signer, sizeof(server->signer));
    memcpy(data + AT_SERVER_KEY, &server->server_key, POINT_BYTES);
    memcpy(data + AT_SLOT_KEY, &server->slot_key, POINT_BYTES);
    memcpy(data + AT_SHARE, server->sealed_share, sizeof(server->sealed_share));
}

static void encode_server(const struct vck_network_server *server, uint32_t url_bytes,
                          uint8_t *data)
{
    encode_head(server, url_bytes, data);
    memset(data + AT_URL, 0, server_bytes(url_bytes) - AT_URL);
    memcpy(data + AT_URL, server->url, url_bytes);
}

vck_status vck_network_binding_encode(const struct vck_network_binding *binding,
                                      uint8_t ret_data[VCK_KEY_PAYLOAD_BYTES_MAX],
                                      uint32_t *ret_size_bytes)
{
    uint32_t at = HEAD_BYTES;
    if (binding->threshold < 1 || binding->threshold > binding->count ||
        binding->count > VCK_NETWORK_SERVERS_MAX)
        return VCK_INVALID_DATA;
    if (vck_network_binding_bytes(binding) > VCK_KEY_PAYLOAD_BYTES_MAX)
        return VCK_DISK_FULL;
    memset(ret_data, 0, HEAD_BYTES);
    vck_store_le16(ret_data, VERSION);
    ret_data[2] = (uint8_t)binding->threshold;
    ret_data[3] = (uint8_t)binding->count;
    for (uint32_t i = 0; i < binding->count; i++) {
        const struct vck_network_server *server = &binding->servers[i];
        uint32_t url_bytes = (uint32_t)strlen(server->url);
        vck_status status = check_server(server);
        if (status == VCK_OK && !is_url_possible((const uint8_t *)server->url, url_bytes))
            status = VCK_INVALID_DATA;
        if (status != VCK_OK)
            return status;
        encode_server(server, url_bytes, ret_data + at);
        at += server_bytes(url_bytes);
    }
    *ret_size_bytes = at;
    return VCK_OK;
}

/* ---- shares ---- */

#define ASSOCIATED_BYTES (2 + AT_URL)

/* What the tag covers: up to the share. */
static struct vck_bytes make_associated(const struct vck_network_binding *binding, uint32_t index,
                                        uint8_t buffer[ASSOCIATED_BYTES])
{
    const struct vck_network_server *server = &binding->servers[index];
    buffer[0] = (uint8_t)binding->threshold;
    buffer[1] = (uint8_t)(index + 1);
    encode_head(server, (uint32_t)strlen(server->url), buffer + 2);
    return (struct vck_bytes){buffer, 2 + AT_SHARE};
}

static vck_status derive(const struct vck_network_server *server,
                         const uint8_t agreed_x[VCK_NETWORK_COORDINATE_BYTES], uint8_t ret_key[32])
{
    static const char info[] = "VCK network share";
    uint32_t size_bytes = vck_network_curve_bytes(server->curve);
    return vck_hkdf_sha256(
        (struct vck_bytes){0},
        (struct vck_bytes){agreed_x + VCK_NETWORK_COORDINATE_BYTES - size_bytes, size_bytes},
        (struct vck_bytes){(const uint8_t *)info, sizeof(info) - 1}, ret_key, 32);
}

/* One key encrypts one share. */
static const uint8_t nonce[VCK_GCM_NONCE_BYTES];

vck_status vck_network_share_seal(struct vck_network_binding *binding, uint32_t index,
                                  const uint8_t agreed_x[VCK_NETWORK_COORDINATE_BYTES],
                                  const struct vck_shamir_share *share)
{
    uint8_t key[32], associated[ASSOCIATED_BYTES];
    struct vck_network_server *server = &binding->servers[index];
    vck_status status = derive(server, agreed_x, key);
    if (status == VCK_OK)
        status = vck_gcm_seal(key, nonce, make_associated(binding, index, associated),
                              server->sealed_share, share->bytes, VCK_SHAMIR_BYTES,
                              server->sealed_share + VCK_SHAMIR_BYTES);
    vck_wipe(key, sizeof(key));
    return status;
}

vck_status vck_network_share_open(const struct vck_network_binding *binding, uint32_t index,
                                  const uint8_t agreed_x[VCK_NETWORK_COORDINATE_BYTES],
                                  struct vck_shamir_share *ret_share)
{
    uint8_t key[32], associated[ASSOCIATED_BYTES];
    const struct vck_network_server *server = &binding->servers[index];
    vck_status status = derive(server, agreed_x, key);
    if (status == VCK_OK)
        status = vck_gcm_open(key, nonce, make_associated(binding, index, associated),
                              ret_share->bytes, server->sealed_share, VCK_SHAMIR_BYTES,
                              server->sealed_share + VCK_SHAMIR_BYTES);
    if (status == VCK_OK)
        ret_share->number = (uint8_t)(index + 1);
    vck_wipe(key, sizeof(key));
    return status;
}
