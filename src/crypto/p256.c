/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/p256.h"
#include "vck/bytes.h"
#include "vck/secret.h"

#define LIMBS 8u

/* Lowest limb first; in Montgomery form (times 2^256) and below the prime, unless said otherwise.
 */
struct element {
    uint32_t limb[LIMBS];
};

/* Projective: x / z, y / z. */
struct point {
    struct element x, y, z;
};

static const struct element prime = {
    {0xffffffff, 0xffffffff, 0xffffffff, 0, 0, 0, 0x00000001, 0xffffffff}};
/* 2^512 modulo the prime. */
static const struct element to_montgomery = {
    {0x00000003, 0, 0xffffffff, 0xfffffffb, 0xfffffffe, 0xffffffff, 0xfffffffd, 0x00000004}};
static const struct element one = {{1}}; /* as it is */
/* y^2 = x^3 - 3x + b; as it is. */
static const struct element curve_b = {{0x27d2604b, 0x3bce3c3e, 0xcc53b0f6, 0x651d06b0, 0x769886bc,
                                        0xb3ebbd55, 0xaa3a93e7, 0x5ac635d8}};
static const uint8_t generator[VCK_P256_POINT_BYTES] = {
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
    0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
    0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16,
    0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};

/* ---- modulo the prime ---- */

/* mask: all ones takes a, zero takes b. */
static void choose(struct element *to, uint32_t mask, const struct element *a,
                   const struct element *b)
{
    for (unsigned i = 0; i < LIMBS; i++)
        to->limb[i] = (a->limb[i] & mask) | (b->limb[i] & ~mask);
}

/* The difference as it is; 1 where it borrows. */
static uint32_t subtract_raw(struct element *to, const struct element *a, const struct element *b)
{
    uint64_t borrow = 0;
    for (unsigned i = 0; i < LIMBS; i++) {
        uint64_t difference = (uint64_t)a->limb[i] - b->limb[i] - borrow;
        to->limb[i] = (uint32_t)difference;
        borrow = difference >> 63;
    }
    return (uint32_t)borrow;
}

/* Brings high * 2^256 + *to, which is below twice the prime, below it. */
static void reduce_once(struct element *to, uint32_t high)
{
    struct element less;
    uint32_t borrow = subtract_raw(&less, to, &prime);
    choose(to, 0u - (uint32_t)(borrow > high), to, &less);
    vck_wipe(&less, sizeof(less));
}

static void add(struct element *to, const struct element *a, const struct element *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < LIMBS; i++) {
        sum += (uint64_t)a->limb[i] + b->limb[i];
        to->limb[i] = (uint32_t)sum;
        sum >>= 32;
    }
    reduce_once(to, (uint32_t)sum);
}

static void subtract(struct element *to, const struct element *a, const struct element *b)
{
    uint32_t mask = 0u - subtract_raw(to, a, b);
    uint64_t sum = 0;
    for (unsigned i = 0; i < LIMBS; i++) {
        sum += (uint64_t)to->limb[i] + (prime.limb[i] & mask);
        to->limb[i] = (uint32_t)sum;
        sum >>= 32;
    }
}

/* a * b / 2^256. The prime is -1 modulo 2^32, so that a limb is cleared by its own multiple. */
static void multiply(struct element *to, const struct element *a, const struct element *b)
{
    uint32_t t[LIMBS + 2] = {0};
    for (unsigned i = 0; i < LIMBS; i++) {
        uint64_t carry = 0;
        for (unsigned j = 0; j < LIMBS; j++) {
            carry += (uint64_t)a->limb[j] * b->limb[i] + t[j];
            t[j] = (uint32_t)carry;
            carry >>= 32;
        }
        carry += t[LIMBS];
        t[LIMBS] = (uint32_t)carry;
        t[LIMBS + 1] = (uint32_t)(carry >> 32);
        uint32_t factor = t[0];
        carry = ((uint64_t)factor * prime.limb[0] + t[0]) >> 32;
        for (unsigned j = 1; j < LIMBS; j++) {
            carry += (uint64_t)factor * prime.limb[j] + t[j];
            t[j - 1] = (uint32_t)carry;
            carry >>= 32;
        }
        carry += t[LIMBS];
        t[LIMBS - 1] = (uint32_t)carry;
        t[LIMBS] = t[LIMBS + 1] + (uint32_t)(carry >> 32);
    }
    memcpy(to->limb, t, sizeof(to->limb));
    reduce_once(to, t[LIMBS]);
    vck_wipe(t, sizeof(t));
}

/* By Fermat: a to the power of the prime less 2, which everybody knows. */
static void invert(struct element *to, const struct element *a)
{
    struct element power, base = *a;
    multiply(&power, &one, &to_montgomery);
    for (unsigned bit = 0; bit < 256; bit++) {
        uint32_t limb = prime.limb[bit / 32] - (bit / 32 == 0 ? 2 : 0);
        if (limb >> bit % 32 & 1)
            multiply(&power, &power, &base);
        multiply(&base, &base, &base);
    }
    *to = power;
    vck_wipe(&base, sizeof(base));
    vck_wipe(&power, sizeof(power));
}

static uint32_t is_zero(const struct element *a)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < LIMBS; i++)
        bits |= a->limb[i];
    return bits == 0;
}

/* ---- bytes ---- */

/* False where it is not below the prime. */
static bool load(struct element *to, const uint8_t bytes[32])
{
    struct element unused;
    for (unsigned i = 0; i < LIMBS; i++)
        to->limb[i] = vck_load_be32(bytes + 28 - 4 * i);
    bool is_below = subtract_raw(&unused, to, &prime) != 0;
    multiply(to, to, &to_montgomery);
    return is_below;
}

static void store(uint8_t bytes[32], const struct element *a)
{
    struct element plain;
    multiply(&plain, a, &one);
    for (unsigned i = 0; i < LIMBS; i++)
        vck_store_be32(bytes + 28 - 4 * i, plain.limb[i]);
    vck_wipe(&plain, sizeof(plain));
}

/* ---- the curve ---- */

static bool is_on_curve(const struct point *p, const struct element *b)
{
    struct element left, right, triple;
    multiply(&left, &p->y, &p->y);
    multiply(&right, &p->x, &p->x);
    multiply(&right, &right, &p->x);
    add(&triple, &p->x, &p->x);
    add(&triple, &triple, &p->x);
    subtract(&right, &right, &triple);
    add(&right, &right, b);
    subtract(&left, &left, &right);
    return is_zero(&left);
}

/* What adding two points works with. */
struct addition {
    struct element xx, yy, zz, xy, yz, xz, sum, bzz, u, v;
};

/* For any two points, equal or infinite. */
static void add_points(struct point *to, const struct point *p, const struct point *q,
                       const struct element *b)
{
    struct addition s;
    multiply(&s.xx, &p->x, &q->x);
    multiply(&s.yy, &p->y, &q->y);
    multiply(&s.zz, &p->z, &q->z);
    /* xy = x1 y2 + x2 y1, and so on. */
    add(&s.xy, &p->x, &p->y);
    add(&s.u, &q->x, &q->y);
    multiply(&s.xy, &s.xy, &s.u);
    add(&s.sum, &s.xx, &s.yy);
    subtract(&s.xy, &s.xy, &s.sum);
    add(&s.yz, &p->y, &p->z);
    add(&s.u, &q->y, &q->z);
    multiply(&s.yz, &s.yz, &s.u);
    add(&s.sum, &s.yy, &s.zz);
    subtract(&s.yz, &s.yz, &s.sum);
    add(&s.xz, &p->x, &p->z);
    add(&s.u, &q->x, &q->z);
    multiply(&s.xz, &s.xz, &s.u);
    add(&s.sum, &s.xx, &s.zz);
    subtract(&s.xz, &s.xz, &s.sum);
    /* u = yy - 3 (xz - b zz), v = yy + 3 (xz - b zz). */
    multiply(&s.bzz, b, &s.zz);
    subtract(&s.sum, &s.xz, &s.bzz);
    add(&s.u, &s.sum, &s.sum);
    add(&s.sum, &s.u, &s.sum);
    subtract(&s.u, &s.yy, &s.sum);
    add(&s.v, &s.yy, &s.sum);
    /* xz = 3 (b xz - 3 zz - xx), xx = 3 xx - 3 zz. */
    multiply(&s.xz, b, &s.xz);
    add(&s.sum, &s.zz, &s.zz);
    add(&s.zz, &s.sum, &s.zz);
    subtract(&s.xz, &s.xz, &s.zz);
    subtract(&s.xz, &s.xz, &s.xx);
    add(&s.sum, &s.xz, &s.xz);
    add(&s.xz, &s.sum, &s.xz);
    add(&s.sum, &s.xx, &s.xx);
    add(&s.xx, &s.sum, &s.xx);
    subtract(&s.xx, &s.xx, &s.zz);
    /* x = xy v - yz xz, y = v u + xx xz, z = yz u + xy xx. */
    multiply(&s.sum, &s.yz, &s.xz);
    multiply(&s.bzz, &s.xx, &s.xz);
    multiply(&to->y, &s.v, &s.u);
    add(&to->y, &to->y, &s.bzz);
    multiply(&to->x, &s.xy, &s.v);
    subtract(&to->x, &to->x, &s.sum);
    multiply(&to->z, &s.yz, &s.u);
    multiply(&s.sum, &s.xy, &s.xx);
    add(&to->z, &to->z, &s.sum);
    vck_wipe(&s, sizeof(s));
}

static void choose_point(struct point *to, uint32_t mask, const struct point *a,
                         const struct point *b)
{
    choose(&to->x, mask, &a->x, &b->x);
    choose(&to->y, mask, &a->y, &b->y);
    choose(&to->z, mask, &a->z, &b->z);
}

/* All that a multiplication works with, in one place to be wiped. */
struct multiplication {
    struct point base, sum, more;
    struct element b, inverse;
};

vck_status vck_p256_multiply(const uint8_t scalar[VCK_P256_SCALAR_BYTES],
                             const uint8_t point[VCK_P256_POINT_BYTES],
                             uint8_t ret_point[VCK_P256_POINT_BYTES])
{
    struct multiplication m = {0};
    const uint8_t *bytes = point != NULL ? point : generator;
    vck_status status = VCK_INVALID_DATA;
    multiply(&m.b, &curve_b, &to_montgomery);
    multiply(&m.base.z, &one, &to_montgomery);
    m.sum.y = m.base.z; /* infinity: 0, 1, 0 */
    bool is_below = load(&m.base.x, bytes);
    is_below &= load(&m.base.y, bytes + 32);
    if (!is_below || !is_on_curve(&m.base, &m.b))
        goto out;
    for (unsigned bit = 0; bit < 256; bit++) {
        uint32_t is_set = scalar[bit / 8] >> (7 - bit % 8) & 1u;
        add_points(&m.sum, &m.sum, &m.sum, &m.b);
        add_points(&m.more, &m.sum, &m.base, &m.b);
        choose_point(&m.sum, 0u - is_set, &m.more, &m.sum);
    }
    /* Without a branch: who looks at the status decides on what the scalar is. */
    status = (vck_status)(is_zero(&m.sum.z) * VCK_INVALID_DATA);
    invert(&m.inverse, &m.sum.z);
    multiply(&m.sum.x, &m.sum.x, &m.inverse);
    multiply(&m.sum.y, &m.sum.y, &m.inverse);
    store(ret_point, &m.sum.x);
    store(ret_point + 32, &m.sum.y);
out:
    vck_wipe(&m, sizeof(m));
    return status;
}
