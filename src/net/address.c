/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/address.h"
#include "vck/bytes.h"

#define GROUPS 8u

/* ---- made ---- */

struct vck_address vck_address_ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (struct vck_address){.family = VCK_ADDRESS_IPV4, .port = port, .bytes = {a, b, c, d}};
}

struct vck_address vck_address_ipv6(const uint8_t bytes[16], uint16_t port)
{
    struct vck_address address = {.family = VCK_ADDRESS_IPV6, .port = port};

    memcpy(address.bytes, bytes, 16);
    return address;
}

struct vck_address vck_address_any(enum vck_address_family family, uint16_t port)
{
    return (struct vck_address){.family = (uint16_t)family, .port = port};
}

struct vck_address vck_address_loopback(enum vck_address_family family, uint16_t port)
{
    static const uint8_t v6[16] = {[15] = 1};

    return family == VCK_ADDRESS_IPV6 ? vck_address_ipv6(v6, port)
                                      : vck_address_ipv4(127, 0, 0, 1, port);
}

bool vck_address_is_equal(const struct vck_address *a, const struct vck_address *b)
{
    size_t bytes = a->family == VCK_ADDRESS_IPV6 ? 16 : 4;

    return a->family == b->family && a->port == b->port && a->scope_id == b->scope_id &&
           memcmp(a->bytes, b->bytes, bytes) == 0;
}

/* ---- read ---- */

struct reader {
    const char *at;
    const char *end;
};

static bool take(struct reader *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* A number of 1 to digits_max digits, at most max. No leading zero in decimals: some readers take
 * it for octal. */
static bool read_number(struct reader *r, uint32_t base, uint32_t digits_max, uint32_t max,
                        uint32_t *ret_value)
{
    const char *start = r->at;
    uint64_t value = 0;

    for (; r->at < r->end && (size_t)(r->at - start) < digits_max; r->at++) {
        char c = *r->at;
        char lower = (char)(c | 0x20);
        uint32_t digit = base;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            digit = (uint32_t)(lower - 'a') + 10;
        if (digit >= base)
            break;
        value = value * base + digit;
    }
    if (r->at == start || value > max || (base == 10 && *start == '0' && r->at - start > 1))
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

static bool read_ipv4(struct reader *r, uint8_t ret_bytes[4])
{
    for (int i = 0; i < 4; i++) {
        uint32_t value;
        if ((i > 0 && !take(r, '.')) || !read_number(r, 10, 3, 255, &value))
            return false;
        ret_bytes[i] = (uint8_t)value;
    }
    return true;
}

static bool at_end(const struct reader *r)
{
    return r->at == r->end || *r->at == '%';
}

/* One group, or the dotted decimals that may stand for the last two. */
static bool read_group(struct reader *r, uint8_t bytes[16], unsigned *count)
{
    struct reader saved = *r;
    uint32_t value;

    if (*count >= GROUPS || !read_number(r, 16, 4, 0xffff, &value))
        return false;
    if (r->at < r->end && *r->at == '.') {
        *r = saved;
        if (*count > GROUPS - 2 || !read_ipv4(r, bytes + 2 * *count) || !at_end(r))
            return false;
        *count += 2;
        return true;
    }
    vck_store_be16(bytes + 2 * *count, (uint16_t)value);
    *count += 1;
    return true;
}

/* Where :: stood, the groups behind it move to the end. */
static void expand(uint8_t bytes[16], unsigned count, unsigned gap)
{
    unsigned behind = count - gap;
    uint8_t moved[16] = {0};

    memcpy(moved, bytes, 2 * (size_t)gap);
    memcpy(moved + 2 * (GROUPS - behind), bytes + 2 * gap, 2 * (size_t)behind);
    memcpy(bytes, moved, 16);
}

static bool read_ipv6(struct reader *r, struct vck_address *address)
{
    unsigned count = 0;
    unsigned gap = GROUPS + 1;

    if (r->end - r->at >= 2 && r->at[0] == ':' && r->at[1] == ':') {
        gap = 0;
        r->at += 2;
    }
    while (!at_end(r)) {
        if (count > 0 && count != gap && !take(r, ':'))
            return false;
        if (count > 0 && gap > GROUPS && take(r, ':')) {
            gap = count;
            continue;
        }
        if (!read_group(r, address->bytes, &count))
            return false;
    }
    if (gap > GROUPS ? count != GROUPS : count >= GROUPS)
        return false;
    if (gap <= GROUPS)
        expand(address->bytes, count, gap);
    return !take(r, '%') || read_number(r, 10, 10, UINT32_MAX, &address->scope_id);
}

vck_status vck_address_parse(const char *text, size_t size_bytes, uint16_t port,
                             struct vck_address *ret_address)
{
    struct vck_address address = {.port = port};
    struct reader r = {text, text + size_bytes};
    bool is_ipv6 = memchr(text, ':', size_bytes) != NULL;

    address.family = is_ipv6 ? VCK_ADDRESS_IPV6 : VCK_ADDRESS_IPV4;
    if (!(is_ipv6 ? read_ipv6(&r, &address) : read_ipv4(&r, address.bytes)) || r.at != r.end)
        return VCK_INVALID_DATA;
    *ret_address = address;
    return VCK_OK;
}

/* ---- written ---- */

static char *write_number(char *to, uint32_t value, uint32_t base)
{
    char digits[10];
    unsigned count = 0;

    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0);
    while (count > 0)
        *to++ = digits[--count];
    return to;
}

static char *write_ipv4(char *to, const uint8_t bytes[4])
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            *to++ = '.';
        to = write_number(to, bytes[i], 10);
    }
    return to;
}

/* The longest run of at least two zero groups, the first of equals; its length may be 0. */
static unsigned find_zeros(const uint8_t bytes[16], unsigned *ret_count)
{
    unsigned best = 0;
    unsigned best_count = 1;

    for (unsigned i = 0; i < GROUPS; i++) {
        unsigned count = 0;
        while (i + count < GROUPS && vck_load_be16(bytes + 2 * (i + count)) == 0)
            count++;
        if (count > best_count) {
            best = i;
            best_count = count;
        }
    }
    *ret_count = best_count > 1 ? best_count : 0;
    return best;
}

static char *write_ipv6(char *to, const struct vck_address *address)
{
    unsigned zero_count;
    unsigned zeros = find_zeros(address->bytes, &zero_count);

    for (unsigned i = 0; i < GROUPS; i++) {
        if (zero_count > 0 && i == zeros) {
            *to++ = ':';
            *to++ = ':';
            i += zero_count - 1;
            continue;
        }
        if (i > 0 && to[-1] != ':')
            *to++ = ':';
        to = write_number(to, vck_load_be16(address->bytes + 2 * i), 16);
    }
    if (address->scope_id) {
        *to++ = '%';
        to = write_number(to, address->scope_id, 10);
    }
    return to;
}

size_t vck_address_format(const struct vck_address *address, char ret_text[VCK_ADDRESS_TEXT_BYTES])
{
    char *to = ret_text;

    switch (address->family) {
    case VCK_ADDRESS_IPV4:
        to = write_ipv4(to, address->bytes);
        break;
    case VCK_ADDRESS_IPV6:
        *to++ = '[';
        to = write_ipv6(to, address);
        *to++ = ']';
        break;
    default:
        memcpy(ret_text, "none", 5);
        return 4;
    }
    *to++ = ':';
    to = write_number(to, address->port, 10);
    *to = 0;
    return (size_t)(to - ret_text);
}
