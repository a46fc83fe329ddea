/* SPDX-License-Identifier: Apache-2.0 */
#include "port/port.h"
#include "internal.h"
#include "vck/hmac.h"
#include "vck/p256.h"
#include "vck/secret.h"
#include "vck/sha256.h"

#define SESSION_KEY_BYTES 32u

enum { SESSION_HMAC = 0, SESSION_POLICY = 1 };

/* ---- keys (part 1, "KDFa", "KDFe") ---- */

/* One block of KDFa: HMAC of counter, label with its NUL, both contexts, and the length in bits. */
static void kdfa_block(struct vck_bytes key, uint32_t counter, const char *label,
                       const uint8_t u[NONCE_BYTES], const uint8_t v[NONCE_BYTES],
                       size_t total_bytes, uint8_t ret[32])
{
    struct vck_hmac_sha256 hmac;
    uint8_t number[4];
    vck_hmac_sha256_init(&hmac, key);
    vck_store_be32(number, counter);
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){number, sizeof(number)});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){(const uint8_t *)label, strlen(label) + 1});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){u, NONCE_BYTES});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){v, NONCE_BYTES});
    vck_store_be32(number, (uint32_t)(total_bytes * 8));
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){number, sizeof(number)});
    vck_hmac_sha256_final(&hmac, ret);
}

static void kdfe(const uint8_t shared_x[32], const uint8_t ours_x[32], const uint8_t theirs_x[32],
                 uint8_t ret_salt[32])
{
    static const uint8_t counter[4] = {0, 0, 0, 1};
    static const char label[] = "SECRET";
    struct vck_sha256 sha;
    vck_sha256_init(&sha);
    vck_sha256_update(&sha, counter, sizeof(counter));
    vck_sha256_update(&sha, shared_x, 32);
    vck_sha256_update(&sha, label, sizeof(label));
    vck_sha256_update(&sha, ours_x, 32);
    vck_sha256_update(&sha, theirs_x, 32);
    vck_sha256_final(&sha, ret_salt);
}

/* ---- what is made of them ---- */

void session_hmac(const struct session *session, const uint8_t digest[32], const uint8_t *newer,
                  const uint8_t *older, uint8_t attributes, uint8_t ret_hmac[32])
{
    size_t key_bytes = SESSION_KEY_BYTES + (session->is_auth_needed ? session->auth_bytes : 0);
    struct vck_hmac_sha256 hmac;
    vck_hmac_sha256_init(&hmac, (struct vck_bytes){session->key, key_bytes});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){digest, 32});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){newer, NONCE_BYTES});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){older, NONCE_BYTES});
    vck_hmac_sha256_update(&hmac, (struct vck_bytes){&attributes, 1});
    vck_hmac_sha256_final(&hmac, ret_hmac);
}

void session_obscure(const struct session *session, const uint8_t *newer, const uint8_t *older,
                     uint8_t *data, size_t size_bytes)
{
    const struct vck_bytes key = {session->key, SESSION_KEY_BYTES + session->auth_bytes};
    uint8_t mask[32];
    for (size_t at = 0; at < size_bytes; at += sizeof(mask)) {
        kdfa_block(key, (uint32_t)(at / sizeof(mask)) + 1, "XOR", newer, older, size_bytes, mask);
        for (size_t i = 0; i < sizeof(mask) && at + i < size_bytes; i++)
            data[at + i] ^= mask[i];
    }
    vck_wipe(mask, sizeof(mask));
}

/* A TPM drops zero bytes at the end of an authorization value. */
void pin_value(struct vck_bytes pin, uint8_t ret_value[VCK_TPM_DIGEST_BYTES],
               size_t *ret_size_bytes)
{
    size_t size_bytes = VCK_TPM_DIGEST_BYTES;
    vck_sha256(pin.data, pin.size_bytes, ret_value);
    while (size_bytes > 0 && ret_value[size_bytes - 1] == 0)
        size_bytes--;
    *ret_size_bytes = size_bytes;
}

void session_set_pin(struct session *session, struct vck_bytes pin)
{
    pin_value(pin, session->key + SESSION_KEY_BYTES, &session->auth_bytes);
    session->is_auth_needed = true;
}

/* ---- starting and ending ---- */

/* All that agreeing on a key works with, in one place to be wiped. */
struct agreement {
    uint8_t scalar[VCK_P256_SCALAR_BYTES];
    uint8_t ours[VCK_P256_POINT_BYTES];
    uint8_t shared[VCK_P256_POINT_BYTES];
    uint8_t salt[32];
};

static vck_status agree(const struct primary *primary, struct agreement *agreement)
{
    vck_status status = vck_random(agreement->scalar, sizeof(agreement->scalar));
    if (status == VCK_OK)
        status = vck_p256_multiply(agreement->scalar, NULL, agreement->ours);
    if (status == VCK_OK)
        status = vck_p256_multiply(agreement->scalar, primary->point, agreement->shared);
    if (status == VCK_OK)
        kdfe(agreement->shared, agreement->ours, primary->point, agreement->salt);
    return status;
}

static void put_start(struct writer *w, const struct session *session, bool is_policy,
                      const uint8_t ours[VCK_P256_POINT_BYTES])
{
    put_sized(w, session->nonce_caller, NONCE_BYTES);
    put_u16(w, 2 * (2 + 32));
    put_sized(w, ours, 32);
    put_sized(w, ours + 32, 32);
    put_u8(w, is_policy ? SESSION_POLICY : SESSION_HMAC);
    put_u16(w, TPM_ALG_XOR);
    put_u16(w, TPM_ALG_SHA256);
    put_u16(w, TPM_ALG_SHA256);
}

vck_status session_start(struct vck_tpm *tpm, const struct primary *primary, bool is_policy,
                         struct session *session)
{
    const struct call call = {.code = TPM_CC_START_AUTH_SESSION,
                              .handles = {primary->handle, TPM_RH_NULL},
                              .handle_count = 2};
    struct agreement agreement;
    struct writer params = call_params(tpm);
    struct reader r;
    struct vck_bytes nonce = {0};
    memset(session, 0, sizeof(*session));
    vck_status status = agree(primary, &agreement);
    if (status == VCK_OK)
        status = vck_random(session->nonce_caller, NONCE_BYTES);
    if (status != VCK_OK)
        goto out;
    put_start(&params, session, is_policy, agreement.ours);
    status = call_run(tpm, &call, &params, &session->handle, &r);
    if (status == VCK_OK) {
        nonce = get_sized(&r);
        if (!is_read(&r) || nonce.size_bytes != NONCE_BYTES)
            status = call_fail(tpm, VCK_TPM_FAULT_RESPONSE, VCK_INVALID_DATA);
    }
    if (status != VCK_OK)
        goto out;
    memcpy(session->nonce_tpm, nonce.data, NONCE_BYTES);
    kdfa_block((struct vck_bytes){agreement.salt, sizeof(agreement.salt)}, 1, "ATH",
               session->nonce_tpm, session->nonce_caller, SESSION_KEY_BYTES, session->key);
out:
    vck_wipe(&agreement, sizeof(agreement));
    return status;
}

void session_end(struct vck_tpm *tpm, struct session *session)
{
    call_flush(tpm, session->handle);
    vck_wipe(session, sizeof(*session));
}
