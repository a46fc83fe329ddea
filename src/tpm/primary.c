/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage key: made from the owner's seed by the template everybody uses, so that it is the
 * same each time, or found where it is kept.
 */
#include "internal.h"
#include "vck/sha256.h"

#define PERSISTENT 0x81000001u /* TCG TPM v2.0 Provisioning Guidance, table 2 */

/* fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, decrypt. */
#define ATTRIBUTES 0x00030472u

static void put_template(struct writer *w)
{
    static const uint8_t zeroes[32];
    put_u16(w, 2 + 2 + 4 + 2 + 6 + 2 + 2 + 2 + 2 * (2 + 32));
    put_u16(w, TPM_ALG_ECC);
    put_u16(w, TPM_ALG_SHA256);
    put_u32(w, ATTRIBUTES);
    put_sized(w, NULL, 0);
    put_u16(w, TPM_ALG_AES);
    put_u16(w, 128);
    put_u16(w, TPM_ALG_CFB);
    put_u16(w, TPM_ALG_NULL);
    put_u16(w, TPM_ECC_NIST_P256);
    put_u16(w, TPM_ALG_NULL);
    put_sized(w, zeroes, sizeof(zeroes));
    put_sized(w, zeroes, sizeof(zeroes));
}

static bool get_coordinate(struct reader *r, uint8_t ret[32])
{
    struct vck_bytes bytes = get_sized(r);
    if (r->is_wrong || bytes.size_bytes == 0 || bytes.size_bytes > 32)
        return false;
    memset(ret, 0, 32);
    memcpy(ret + 32 - bytes.size_bytes, bytes.data, bytes.size_bytes);
    return true;
}

/* A key on P-256 that others can be kept under; false for every other key. */
static bool parse_public(struct vck_bytes area, struct primary *primary)
{
    struct reader r = {.at = area.data, .left_bytes = area.size_bytes};
    bool is_right = get_u16(&r) == TPM_ALG_ECC;
    is_right &= get_u16(&r) == TPM_ALG_SHA256;
    is_right &= (get_u32(&r) & ATTRIBUTES) == ATTRIBUTES;
    (void)get_sized(&r);
    is_right &= get_u16(&r) == TPM_ALG_AES;
    (void)get_u16(&r);
    is_right &= get_u16(&r) == TPM_ALG_CFB;
    is_right &= get_u16(&r) == TPM_ALG_NULL;
    is_right &= get_u16(&r) == TPM_ECC_NIST_P256;
    is_right &= get_u16(&r) == TPM_ALG_NULL;
    is_right = is_right && get_coordinate(&r, primary->point);
    is_right = is_right && get_coordinate(&r, primary->point + 32);
    if (!is_right || !is_read(&r))
        return false;
    vck_store_be16(primary->name, TPM_ALG_SHA256);
    vck_sha256(area.data, area.size_bytes, primary->name + 2);
    return true;
}

static vck_status make(struct vck_tpm *tpm, struct primary *primary)
{
    const struct call call = {.code = TPM_CC_CREATE_PRIMARY,
                              .handles = {TPM_RH_OWNER},
                              .handle_count = 1,
                              .is_authorized = true};
    struct writer params = call_params(tpm);
    struct reader r;
    put_u16(&params, 4); /* neither authorization nor data */
    put_u32(&params, 0);
    put_template(&params);
    put_sized(&params, NULL, 0);
    put_u32(&params, 0);
    vck_status status = call_run(tpm, &call, &params, &primary->handle, &r);
    if (status != VCK_OK)
        return status;
    struct vck_bytes area = get_sized(&r);
    (void)get_sized(&r); /* what it was made by: data, digest, ticket */
    (void)get_sized(&r);
    (void)get_u16(&r);
    (void)get_u32(&r);
    (void)get_sized(&r);
    struct vck_bytes name = get_sized(&r);
    if (!is_read(&r) || !parse_public(area, primary) || name.size_bytes != NAME_BYTES ||
        memcmp(name.data, primary->name, NAME_BYTES) != 0)
        return call_fail(tpm, VCK_TPM_FAULT_RESPONSE, VCK_INVALID_DATA);
    return VCK_OK;
}

/* NOT_FOUND: there is none of that kind. */
static vck_status find(struct vck_tpm *tpm, struct primary *primary)
{
    const struct call call = {
        .code = TPM_CC_READ_PUBLIC, .handles = {PERSISTENT}, .handle_count = 1};
    struct writer params = call_params(tpm);
    struct reader r;
    vck_status status = call_run(tpm, &call, &params, NULL, &r);
    if (status == VCK_IO && tpm->fault == VCK_TPM_FAULT_COMMAND &&
        call_base_code(tpm->response_code) == TPM_RC_HANDLE)
        return VCK_NOT_FOUND;
    if (status != VCK_OK)
        return status;
    struct vck_bytes area = get_sized(&r);
    (void)get_sized(&r);
    (void)get_sized(&r);
    if (!is_read(&r))
        return call_fail(tpm, VCK_TPM_FAULT_RESPONSE, VCK_INVALID_DATA);
    primary->handle = PERSISTENT;
    primary->is_persistent = true;
    return parse_public(area, primary) ? VCK_OK : VCK_NOT_FOUND;
}

static bool is_wanted(const struct primary *primary, const uint8_t *wanted_digest)
{
    return wanted_digest == NULL ||
           memcmp(primary->name + 2, wanted_digest, VCK_TPM_DIGEST_BYTES) == 0;
}

static bool is_owner_closed(const struct vck_tpm *tpm)
{
    uint32_t code = call_base_code(tpm->response_code);
    return tpm->fault == VCK_TPM_FAULT_COMMAND &&
           (code == TPM_RC_AUTH_FAIL || code == TPM_RC_BAD_AUTH);
}

vck_status primary_load(struct vck_tpm *tpm, const uint8_t *wanted_digest, struct primary *primary)
{
    memset(primary, 0, sizeof(*primary));
    vck_status status = make(tpm, primary);
    bool is_closed = status != VCK_OK && is_owner_closed(tpm);
    if (status == VCK_OK && is_wanted(primary, wanted_digest))
        return VCK_OK;
    if (status != VCK_OK && !is_closed)
        return status;
    primary_unload(tpm, primary);
    status = find(tpm, primary);
    if (status == VCK_OK && is_wanted(primary, wanted_digest))
        return VCK_OK;
    if (status != VCK_OK && status != VCK_NOT_FOUND)
        return status;
    if (is_closed && status == VCK_NOT_FOUND)
        return call_fail(tpm, VCK_TPM_FAULT_OWNER, VCK_PERMISSION_DENIED);
    return call_fail(tpm, VCK_TPM_FAULT_OTHER_TPM, VCK_NOT_FOUND);
}

void primary_unload(struct vck_tpm *tpm, struct primary *primary)
{
    if (!primary->is_persistent)
        call_flush(tpm, primary->handle);
    memset(primary, 0, sizeof(*primary));
}
