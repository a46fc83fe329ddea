/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     seal    storage key -> session (HMAC) -> Create, its sensitive part encrypted
 *     unseal  PCRs -> storage key -> session (policy) -> PolicyPCR, PolicyAuthValue -> Load
 *             -> Unseal, its result encrypted
 */
#include "internal.h"
#include "vck/secret.h"
#include "vck/sha256.h"

#define FIXED_TPM    0x00000002u
#define FIXED_PARENT 0x00000010u
#define NO_DA        0x00000400u

/* ---- PCRs ---- */

/* The PCRs of one response, of those that were asked for; it gives as many as it likes. */
static vck_status read_some(struct vck_tpm *tpm, uint32_t wanted, struct vck_tpm_policy *policy,
                            uint32_t *ret_read)
{
    const struct call call = {.code = TPM_CC_PCR_READ};
    struct writer params = call_params(tpm);
    struct reader r;
    uint32_t read = 0;
    put_pcrs(&params, wanted);
    vck_status status = call_run(tpm, &call, &params, NULL, &r);
    if (status != VCK_OK)
        return status;
    (void)get_u32(&r); /* how often PCRs have changed */
    bool is_right = get_u32(&r) == 1;
    is_right &= get_u16(&r) == TPM_ALG_SHA256;
    is_right &= get_u8(&r) == VCK_TPM_PCRS / 8;
    for (unsigned i = 0; i < VCK_TPM_PCRS; i += 8)
        read |= (uint32_t)get_u8(&r) << i;
    uint32_t count = get_u32(&r);
    is_right &= (read & ~wanted) == 0 && count == (uint32_t)__builtin_popcount(read);
    for (unsigned i = 0; i < VCK_TPM_PCRS && is_right; i++) {
        if ((read >> i & 1u) == 0)
            continue;
        struct vck_bytes value = get_sized(&r);
        is_right = value.size_bytes == VCK_TPM_DIGEST_BYTES;
        if (is_right)
            memcpy(policy->values[i], value.data, VCK_TPM_DIGEST_BYTES);
    }
    if (!is_right || !is_read(&r))
        return call_fail(tpm, VCK_TPM_FAULT_RESPONSE, VCK_INVALID_DATA);
    *ret_read = read;
    return VCK_OK;
}

vck_status vck_tpm_read_pcrs(struct vck_tpm *tpm, struct vck_tpm_policy *policy)
{
    tpm->fault = VCK_TPM_FAULT_NONE;
    tpm->pcrs = 0;
    for (uint32_t left = policy->pcrs; left != 0;) {
        uint32_t read = 0;
        vck_status status = read_some(tpm, left, policy, &read);
        if (status != VCK_OK)
            return status;
        if (read == 0) {
            tpm->pcrs = left;
            return call_fail(tpm, VCK_TPM_FAULT_BANK, VCK_UNSUPPORTED);
        }
        left &= ~read;
    }
    return VCK_OK;
}

static vck_status compare_pcrs(struct vck_tpm *tpm, const struct vck_tpm_policy *wanted)
{
    struct vck_tpm_policy now = {.pcrs = wanted->pcrs};
    uint32_t differ = 0;
    vck_status status = vck_tpm_read_pcrs(tpm, &now);
    if (status != VCK_OK)
        return status;
    for (unsigned i = 0; i < VCK_TPM_PCRS; i++)
        if (memcmp(now.values[i], wanted->values[i], VCK_TPM_DIGEST_BYTES) != 0)
            differ |= 1u << i;
    tpm->pcrs = differ;
    return differ == 0 ? VCK_OK : call_fail(tpm, VCK_TPM_FAULT_PCRS, VCK_VALIDATION_FAILED);
}

/* ---- sealing ---- */

static void put_sensitive(struct writer *w, bool has_pin, struct vck_bytes pin,
                          const uint8_t secret[VCK_TPM_SECRET_BYTES])
{
    uint8_t value[VCK_TPM_DIGEST_BYTES];
    size_t value_bytes = 0;
    if (has_pin)
        pin_value(pin, value, &value_bytes);
    put_u16(w, (uint32_t)(2 + value_bytes + 2 + VCK_TPM_SECRET_BYTES));
    put_sized(w, value, value_bytes);
    put_sized(w, secret, VCK_TPM_SECRET_BYTES);
    vck_wipe(value, sizeof(value));
}

static void put_object(struct writer *w, const struct vck_tpm_policy *policy)
{
    uint8_t digest[32];
    policy_digest(policy, digest);
    put_u16(w, 2 + 2 + 4 + 2 + sizeof(digest) + 2 + 2);
    put_u16(w, TPM_ALG_KEYEDHASH);
    put_u16(w, TPM_ALG_SHA256);
    put_u32(w, FIXED_TPM | FIXED_PARENT | (policy->has_pin ? 0 : NO_DA));
    put_sized(w, digest, sizeof(digest));
    put_u16(w, TPM_ALG_NULL);
    put_sized(w, NULL, 0);
}

/* *sealed gets the object's areas, which stay until the next call. */
static vck_status create(struct vck_tpm *tpm, const struct primary *primary,
                         struct session *session, struct vck_bytes pin,
                         const uint8_t secret[VCK_TPM_SECRET_BYTES], struct sealed *sealed)
{
    const struct call call = {.code = TPM_CC_CREATE,
                              .handles = {primary->handle},
                              .handle_count = 1,
                              .is_authorized = true,
                              .session = session,
                              .name = {primary->name, NAME_BYTES}};
    struct writer params = call_params(tpm);
    struct reader r;
    put_sensitive(&params, sealed->policy.has_pin, pin, secret);
    put_object(&params, &sealed->policy);
    put_sized(&params, NULL, 0);
    put_u32(&params, 0);
    session->attributes = SESSION_DECRYPT;
    vck_status status = call_run(tpm, &call, &params, NULL, &r);
    if (status != VCK_OK)
        return status;
    sealed->private_area = get_sized(&r);
    sealed->public_area = get_sized(&r);
    (void)get_sized(&r); /* what it was made by: data, digest, ticket */
    (void)get_sized(&r);
    (void)get_u16(&r);
    (void)get_u32(&r);
    (void)get_sized(&r);
    return is_read(&r) ? VCK_OK : call_fail(tpm, VCK_TPM_FAULT_RESPONSE, VCK_INVALID_DATA);
}

vck_status vck_tpm_seal(struct vck_tpm *tpm, const struct vck_tpm_policy *policy,
                        struct vck_bytes pin, const uint8_t secret[VCK_TPM_SECRET_BYTES],
                        uint8_t *payload, size_t *ret_size_bytes)
{
    struct primary primary;
    struct session session = {0};
    struct sealed sealed = {.policy = *policy, .primary_digest = primary.name + 2};
    tpm->fault = VCK_TPM_FAULT_NONE;
    if (policy->pcrs == 0 || policy->pcrs >> VCK_TPM_PCRS != 0 ||
        (policy->has_pin && pin.size_bytes == 0))
        return VCK_INVALID_DATA;
    vck_status status = primary_load(tpm, NULL, &primary);
    if (status == VCK_OK)
        status = session_start(tpm, &primary, false, &session);
    if (status == VCK_OK)
        status = create(tpm, &primary, &session, pin, secret, &sealed);
    if (status == VCK_OK)
        status = sealed_format(&sealed, payload, ret_size_bytes);
    session_end(tpm, &session);
    primary_unload(tpm, &primary);
    return status;
}

/* ---- unsealing ---- */

static vck_status run_policy(struct vck_tpm *tpm, const struct vck_tpm_policy *policy,
                             struct session *session, struct vck_bytes pin)
{
    struct call call = {.code = TPM_CC_POLICY_PCR, .handles = {session->handle}, .handle_count = 1};
    struct writer params = call_params(tpm);
    uint8_t digest[32];
    policy_values_digest(policy, digest);
    put_sized(&params, digest, sizeof(digest));
    put_pcrs(&params, policy->pcrs);
    vck_status status = call_run_plain(tpm, &call, &params);
    if (status != VCK_OK || !policy->has_pin)
        return status;
    call.code = TPM_CC_POLICY_AUTH_VALUE;
    params = call_params(tpm);
    session_set_pin(session, pin);
    return call_run_plain(tpm, &call, &params);
}

static vck_status load(struct vck_tpm *tpm, const struct primary *primary,
                       const struct sealed *sealed, uint32_t *ret_handle)
{
    const struct call call = {.code = TPM_CC_LOAD,
                              .handles = {primary->handle},
                              .handle_count = 1,
                              .is_authorized = true};
    struct writer params = call_params(tpm);
    struct reader r;
    put_sized(&params, sealed->private_area.data, sealed->private_area.size_bytes);
    put_sized(&params, sealed->public_area.data, sealed->public_area.size_bytes);
    vck_status status = call_run(tpm, &call, &params, ret_handle, &r);
    if (tpm->fault == VCK_TPM_FAULT_COMMAND &&
        call_base_code(tpm->response_code) == TPM_RC_INTEGRITY)
        return call_fail(tpm, VCK_TPM_FAULT_OTHER_TPM, VCK_NOT_FOUND);
    if (status != VCK_OK)
        return status;
    (void)get_sized(&r);
    return is_read(&r) ? VCK_OK : call_fail(tpm, VCK_TPM_FAULT_RESPONSE, VCK_INVALID_DATA);
}

static vck_status unseal(struct vck_tpm *tpm, uint32_t object, const struct sealed *sealed,
                         struct session *session, uint8_t ret_secret[VCK_TPM_SECRET_BYTES])
{
    uint8_t name[NAME_BYTES];
    const struct call call = {.code = TPM_CC_UNSEAL,
                              .handles = {object},
                              .handle_count = 1,
                              .is_authorized = true,
                              .session = session,
                              .name = {name, sizeof(name)}};
    struct writer params = call_params(tpm);
    struct reader r;
    vck_store_be16(name, TPM_ALG_SHA256);
    vck_sha256(sealed->public_area.data, sealed->public_area.size_bytes, name + 2);
    session->attributes = SESSION_ENCRYPT;
    vck_status status = call_run(tpm, &call, &params, NULL, &r);
    if (sealed->policy.has_pin && tpm->fault == VCK_TPM_FAULT_COMMAND &&
        call_base_code(tpm->response_code) == TPM_RC_AUTH_FAIL)
        return call_fail(tpm, VCK_TPM_FAULT_PIN, VCK_WRONG_KEY);
    if (status != VCK_OK)
        return status;
    struct vck_bytes data = get_sized(&r);
    if (!is_read(&r) || data.size_bytes != VCK_TPM_SECRET_BYTES)
        status = call_fail(tpm, VCK_TPM_FAULT_RESPONSE, VCK_INVALID_DATA);
    else
        memcpy(ret_secret, data.data, VCK_TPM_SECRET_BYTES);
    vck_wipe(tpm->response, sizeof(tpm->response));
    return status;
}

static vck_status begin(struct vck_tpm *tpm, struct vck_bytes payload, struct sealed *sealed,
                        struct primary *primary)
{
    tpm->fault = VCK_TPM_FAULT_NONE;
    vck_status status = sealed_parse(payload, sealed);
    if (status == VCK_OK)
        status = compare_pcrs(tpm, &sealed->policy);
    return status == VCK_OK ? primary_load(tpm, sealed->primary_digest, primary) : status;
}

vck_status vck_tpm_check(struct vck_tpm *tpm, struct vck_bytes payload)
{
    struct sealed sealed;
    struct primary primary = {0};
    vck_status status = begin(tpm, payload, &sealed, &primary);
    primary_unload(tpm, &primary);
    return status;
}

vck_status vck_tpm_unseal(struct vck_tpm *tpm, struct vck_bytes payload, struct vck_bytes pin,
                          uint8_t ret_secret[VCK_TPM_SECRET_BYTES])
{
    struct sealed sealed;
    struct primary primary = {0};
    struct session session = {0};
    uint32_t object = TPM_HANDLE_NO;
    vck_status status = begin(tpm, payload, &sealed, &primary);
    if (status == VCK_OK)
        status = session_start(tpm, &primary, true, &session);
    if (status == VCK_OK)
        status = run_policy(tpm, &sealed.policy, &session, pin);
    if (status == VCK_OK)
        status = load(tpm, &primary, &sealed, &object);
    if (status == VCK_OK)
        status = unseal(tpm, object, &sealed, &session, ret_secret);
    call_flush(tpm, object);
    session_end(tpm, &session);
    primary_unload(tpm, &primary);
    return status;
}
