/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"
#include "vck/sha256.h"

enum {
    AT_PRIMARY = 0,
    AT_FLAGS = 2,
    AT_PCRS = 4,
    AT_BANK = 8,
    AT_PUBLIC_SIZE = 10,
    AT_PRIVATE_SIZE = 12,
    AT_ZERO = 14,
    AT_PRIMARY_DIGEST = 16,
    AT_VALUES = 48,
};

#define PRIMARY_P256 1u
#define FLAG_PIN     1u

/* ---- the bytes ---- */

static vck_status check_head(const uint8_t *payload)
{
    uint32_t pcrs = vck_load_le32(payload + AT_PCRS);
    if (vck_load_le16(payload + AT_PRIMARY) != PRIMARY_P256 ||
        (vck_load_le16(payload + AT_FLAGS) & ~FLAG_PIN) != 0 ||
        vck_load_le16(payload + AT_BANK) != TPM_ALG_SHA256)
        return VCK_UNSUPPORTED;
    if (pcrs == 0 || pcrs >> VCK_TPM_PCRS != 0 || vck_load_le16(payload + AT_ZERO) != 0)
        return VCK_INVALID_DATA;
    return VCK_OK;
}

vck_status sealed_parse(struct vck_bytes payload, struct sealed *ret_sealed)
{
    struct sealed sealed = {0};
    const uint8_t *data = payload.data;
    if (payload.size_bytes < AT_VALUES)
        return VCK_INVALID_DATA;
    vck_status status = check_head(data);
    if (status != VCK_OK)
        return status;
    sealed.policy.pcrs = vck_load_le32(data + AT_PCRS);
    sealed.policy.has_pin = (vck_load_le16(data + AT_FLAGS) & FLAG_PIN) != 0;
    sealed.primary_digest = data + AT_PRIMARY_DIGEST;
    sealed.public_area.size_bytes = vck_load_le16(data + AT_PUBLIC_SIZE);
    sealed.private_area.size_bytes = vck_load_le16(data + AT_PRIVATE_SIZE);
    struct reader r = {.at = data + AT_VALUES, .left_bytes = payload.size_bytes - AT_VALUES};
    for (unsigned i = 0; i < VCK_TPM_PCRS; i++) {
        const uint8_t *value =
            (sealed.policy.pcrs >> i & 1u) != 0 ? get_bytes(&r, VCK_TPM_DIGEST_BYTES) : NULL;
        if (value != NULL)
            memcpy(sealed.policy.values[i], value, VCK_TPM_DIGEST_BYTES);
    }
    sealed.public_area.data = get_bytes(&r, sealed.public_area.size_bytes);
    sealed.private_area.data = get_bytes(&r, sealed.private_area.size_bytes);
    if (!is_read(&r))
        return VCK_INVALID_DATA;
    *ret_sealed = sealed;
    return VCK_OK;
}

vck_status sealed_format(const struct sealed *sealed, uint8_t *payload, size_t *ret_size_bytes)
{
    struct writer w = {.start = payload, .capacity_bytes = VCK_TPM_SEALED_BYTES};
    uint8_t head[AT_VALUES] = {0};
    vck_store_le16(head + AT_PRIMARY, PRIMARY_P256);
    vck_store_le16(head + AT_FLAGS, sealed->policy.has_pin ? FLAG_PIN : 0);
    vck_store_le32(head + AT_PCRS, sealed->policy.pcrs);
    vck_store_le16(head + AT_BANK, TPM_ALG_SHA256);
    vck_store_le16(head + AT_PUBLIC_SIZE, (uint16_t)sealed->public_area.size_bytes);
    vck_store_le16(head + AT_PRIVATE_SIZE, (uint16_t)sealed->private_area.size_bytes);
    memcpy(head + AT_PRIMARY_DIGEST, sealed->primary_digest, VCK_TPM_DIGEST_BYTES);
    put_bytes(&w, head, sizeof(head));
    for (unsigned i = 0; i < VCK_TPM_PCRS; i++)
        if ((sealed->policy.pcrs >> i & 1u) != 0)
            put_bytes(&w, sealed->policy.values[i], VCK_TPM_DIGEST_BYTES);
    put_bytes(&w, sealed->public_area.data, sealed->public_area.size_bytes);
    put_bytes(&w, sealed->private_area.data, sealed->private_area.size_bytes);
    if (w.is_full)
        return VCK_SIZE_MISMATCH;
    *ret_size_bytes = w.size_bytes;
    return VCK_OK;
}

vck_status vck_tpm_policy_of(struct vck_bytes payload, struct vck_tpm_policy *ret_policy)
{
    struct sealed sealed;
    vck_status status = sealed_parse(payload, &sealed);
    if (status == VCK_OK)
        *ret_policy = sealed.policy;
    return status;
}

/* ---- the policy ---- */

void put_pcrs(struct writer *w, uint32_t pcrs)
{
    put_u32(w, 1);
    put_u16(w, TPM_ALG_SHA256);
    put_u8(w, VCK_TPM_PCRS / 8);
    for (unsigned i = 0; i < VCK_TPM_PCRS; i += 8)
        put_u8(w, (uint8_t)(pcrs >> i));
}

void policy_values_digest(const struct vck_tpm_policy *policy, uint8_t ret_digest[32])
{
    struct vck_sha256 sha;
    vck_sha256_init(&sha);
    for (unsigned i = 0; i < VCK_TPM_PCRS; i++)
        if ((policy->pcrs >> i & 1u) != 0)
            vck_sha256_update(&sha, policy->values[i], VCK_TPM_DIGEST_BYTES);
    vck_sha256_final(&sha, ret_digest);
}

void policy_digest(const struct vck_tpm_policy *policy, uint8_t ret_digest[32])
{
    uint8_t step[32 + 4 + 10 + 32] = {0};
    struct writer w = {.start = step, .capacity_bytes = sizeof(step), .size_bytes = 32};
    put_u32(&w, TPM_CC_POLICY_PCR);
    put_pcrs(&w, policy->pcrs);
    policy_values_digest(policy, step + w.size_bytes);
    vck_sha256(step, sizeof(step), ret_digest);
    if (!policy->has_pin)
        return;
    memcpy(step, ret_digest, 32);
    vck_store_be32(step + 32, TPM_CC_POLICY_AUTH_VALUE);
    vck_sha256(step, 32 + 4, ret_digest);
}

void vck_tpm_extend_once(struct vck_bytes measured, uint8_t ret_value[VCK_TPM_DIGEST_BYTES])
{
    uint8_t both[2 * VCK_TPM_DIGEST_BYTES] = {0};
    vck_sha256(measured.data, measured.size_bytes, both + VCK_TPM_DIGEST_BYTES);
    vck_sha256(both, sizeof(both), ret_value);
}
