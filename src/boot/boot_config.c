/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/boot_config.h"
#include "json.h"
#include "vck/handover.h"
#include "vck/log.h"

/* The longest key as base64, and a NUL. */
#define KEY_TEXT_BYTES ((VCK_HANDOVER_VMK_BYTES_MAX + 2) / 3 * 4 + 1)

/* The number of a key slot. */
#define SLOT_MAX 31u

struct reading {
    struct json json;
    struct vck_boot_config config;
    uint32_t seen; /* a bit for each field */
    bool no_memory;
};

static bool is_same(const char *a, const char *b)
{
    size_t length = strlen(a);

    return length == strlen(b) && memcmp(a, b, length) == 0;
}

/* ---- values ---- */

static bool read_guid(struct reading *r)
{
    char text[64];
    struct vck_bytes bytes = {(const uint8_t *)text, 0};

    if (!vck_json_string(&r->json, text, sizeof(text)))
        return false;
    bytes.size_bytes = strlen(text);
    if (vck_guid_parse(bytes, &r->config.partition_guid) != VCK_OK)
        return vck_json_wrong(&r->json, "partition_guid is a GUID with its dashes");
    if (vck_guid_is_zero(&r->config.partition_guid))
        return vck_json_wrong(&r->json, "partition_guid is not all zeros");
    return true;
}

/* Firmware knows backslashes only; a path without a root is taken from the root. */
static bool read_path(struct reading *r, char *path)
{
    char *at = path;

    path[0] = '\\';
    if (!vck_json_string(&r->json, path + 1, VCK_BOOT_PATH_BYTES - 1))
        return false;
    if (path[1] == 0)
        return vck_json_wrong(&r->json, "the path is empty");
    if (path[1] == '\\' || path[1] == '/')
        memmove(path, path + 1, strlen(path));
    for (; *at != 0; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return vck_json_wrong(&r->json, "a control character in a path");
        if (*at == '/')
            *at = '\\';
    }
    if (at[-1] == '\\')
        return vck_json_wrong(&r->json, "the path names no file");
    return true;
}

static bool read_osloader(struct reading *r)
{
    return read_path(r, r->config.osloader);
}

static bool read_initrd(struct reading *r)
{
    return read_path(r, r->config.initrd);
}

static bool read_options(struct reading *r)
{
    return vck_json_string(&r->json, r->config.options, sizeof(r->config.options));
}

static bool read_timeout(struct reading *r)
{
    return vck_json_u32(&r->json, VCK_BOOT_TIMEOUT_S_MAX, &r->config.timeout_s);
}

static bool read_mode(struct reading *r)
{
    char text[16];

    if (!vck_json_string(&r->json, text, sizeof(text)))
        return vck_json_wrong(&r->json, "mode is \"overlay\" or \"patch\"");
    if (is_same(text, "overlay"))
        r->config.mode = VCK_BOOT_OVERLAY;
    else if (is_same(text, "patch"))
        r->config.mode = VCK_BOOT_PATCH;
    else
        return vck_json_wrong(&r->json, "mode is \"overlay\" or \"patch\"");
    return true;
}

/* ---- the key ---- */

/* Without tables, so that no address depends on the key. 255: no digit. */
static uint8_t digit_value(uint8_t c)
{
    uint32_t upper = (uint32_t)(c - 'A') < 26, lower = (uint32_t)(c - 'a') < 26;
    uint32_t number = (uint32_t)(c - '0') < 10, plus = c == '+', slash = c == '/';
    uint32_t value = upper * (uint32_t)(c - 'A') + lower * (uint32_t)(c - 'a' + 26) +
                     number * (uint32_t)(c - '0' + 52) + plus * 62 + slash * 63;

    return (uint8_t)(value | ((upper | lower | number | plus | slash) ^ 1u) * 255u);
}

/* The bytes of base64 text into out, 0 when it is none. Whole groups of four, with padding. */
static size_t decode_base64(const char *text, uint8_t *out)
{
    size_t length = strlen(text), pad = 0, used = 0;
    uint32_t wrong = 0;

    if (length == 0 || length % 4 != 0)
        return 0;
    pad = (text[length - 1] == '=') + (size_t)(text[length - 1] == '=' && text[length - 2] == '=');
    for (size_t i = 0; i < length; i += 4) {
        uint32_t group = 0;
        size_t kept = i + 4 == length ? 3 - pad : 3;

        for (size_t j = 0; j < 4; j++) {
            bool is_pad = i + j >= length - pad;
            uint8_t value = is_pad ? 0 : digit_value((uint8_t)text[i + j]);

            wrong |= value & 0xc0u;
            group = group << 6 | value;
        }
        for (size_t j = 0; j < kept; j++)
            out[used++] = (uint8_t)(group >> (16 - 8 * j));
        /* Bits that no byte has are zero: one key has one text. */
        if (kept < 3)
            wrong |= group & (0xffffffu >> 8 * kept);
    }
    return wrong != 0 ? 0 : used;
}

static bool read_vmk(struct reading *r)
{
    char text[KEY_TEXT_BYTES] = {0};
    uint8_t key[KEY_TEXT_BYTES];
    struct vck_bytes bytes = {key, 0};
    bool ok = vck_json_string(&r->json, text, sizeof(text));

    if (ok) {
        bytes.size_bytes = decode_base64(text, key);
        ok = bytes.size_bytes >= 1 && bytes.size_bytes <= VCK_HANDOVER_VMK_BYTES_MAX;
    }
    if (!ok)
        (void)vck_json_wrong(&r->json, "vmk is a key of 1 to 1024 bytes in base64");
    else if (vck_secret_init_copy(&r->config.vmk, bytes) != VCK_OK)
        r->no_memory = true;
    vck_wipe(text, sizeof(text));
    vck_wipe(key, sizeof(key));
    return ok && !r->no_memory;
}

/* ---- the objects ---- */

static bool pass_unknown(struct reading *r, const char *name)
{
    if (r->config.passed_over[0] == 0)
        (void)vck_format(r->config.passed_over, sizeof(r->config.passed_over), "%s", name);
    return vck_json_pass_over(&r->json);
}

static bool read_name(struct reading *r, char *name, size_t capacity_bytes)
{
    return vck_json_string(&r->json, name, capacity_bytes) &&
           vck_json_expect(&r->json, ':', "a colon is expected after a name");
}

static bool read_tpm_member(struct reading *r)
{
    char name[64];

    if (!read_name(r, name, sizeof(name)))
        return false;
    if (!is_same(name, "slot"))
        return pass_unknown(r, name);
    if (r->config.tpm.has_slot)
        return vck_json_wrong(&r->json, "a name is there twice");
    r->config.tpm.has_slot = true;
    return vck_json_u32(&r->json, SLOT_MAX, &r->config.tpm.slot);
}

static bool read_tpm(struct reading *r)
{
    r->config.tpm.is_wanted = true;
    if (!vck_json_expect(&r->json, '{', "tpm is an object: { is expected"))
        return false;
    if (vck_json_take(&r->json, '}'))
        return true;
    do {
        if (!read_tpm_member(r))
            return false;
    } while (vck_json_take(&r->json, ','));
    return vck_json_expect(&r->json, '}', "a comma or } is expected");
}

static const struct {
    const char *name;
    bool (*read)(struct reading *r);
    bool is_needed;
} fields[] = {
    {"partition_guid", read_guid, true},
    {"osloader", read_osloader, true},
    {"initrd", read_initrd, false},
    {"options", read_options, false},
    {"vmk", read_vmk, false},
    {"timeout", read_timeout, false},
    {"mode", read_mode, false},
    {"tpm", read_tpm, false},
};

static bool read_member(struct reading *r)
{
    char name[64];

    if (!read_name(r, name, sizeof(name)))
        return false;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(fields); i++) {
        if (!is_same(fields[i].name, name))
            continue;
        if (r->seen >> i & 1u)
            return vck_json_wrong(&r->json, "a name is there twice");
        r->seen |= 1u << i;
        return fields[i].read(r);
    }
    return pass_unknown(r, name);
}

static bool read_object(struct reading *r)
{
    if (!vck_json_expect(&r->json, '{', "the file is a JSON object: { is expected"))
        return false;
    if (!vck_json_take(&r->json, '}')) {
        do {
            if (!read_member(r))
                return false;
        } while (vck_json_take(&r->json, ','));
        if (!vck_json_expect(&r->json, '}', "a comma or } is expected"))
            return false;
    }
    if (!vck_json_end(&r->json))
        return false;
    for (size_t i = 0; i < VCK_ARRAY_COUNT(fields); i++)
        if (fields[i].is_needed && !(r->seen >> i & 1u))
            return vck_json_wrong(&r->json,
                                  i == 0 ? "partition_guid is missing" : "osloader is missing");
    return true;
}

vck_status vck_boot_config_parse(struct vck_bytes text, struct vck_boot_config *ret_config,
                                 struct vck_boot_config_error *ret_error)
{
    struct reading r = {.config = {.timeout_s = VCK_BOOT_TIMEOUT_S_DEFAULT}};

    *ret_error = (struct vck_boot_config_error){.line = 1};
    if (text.size_bytes > VCK_BOOT_CONFIG_BYTES_MAX) {
        (void)vck_format(ret_error->text, sizeof(ret_error->text), "longer than %u bytes",
                         VCK_BOOT_CONFIG_BYTES_MAX);
        return VCK_INVALID_DATA;
    }
    vck_json_init(&r.json, text);
    if (read_object(&r)) {
        *ret_config = r.config;
        return VCK_OK;
    }
    vck_boot_config_fini(&r.config);
    if (r.no_memory)
        return VCK_NO_MEMORY;
    ret_error->line = r.json.line;
    (void)vck_format(ret_error->text, sizeof(ret_error->text), "%s", r.json.wrong);
    return VCK_INVALID_DATA;
}

void vck_boot_config_fini(struct vck_boot_config *config)
{
    vck_secret_fini(&config->vmk);
}
