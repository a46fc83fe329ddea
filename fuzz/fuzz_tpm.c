/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_tpm: a payload of a slot, and the responses of somebody who may be no TPM. The first byte is
 * what is done, the second whether headers of responses are made right first; then come the
 * payload and the responses, each behind its size of 16 bits.
 */
#include <string.h>
#include "port/port.h"
#include "vck/bytes.h"
#include "vck/tpm.h"

#define FIX_HEADERS 1u
#define COMMANDS    200u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fake {
    struct vck_tpm_transport transport;
    const uint8_t *at;
    size_t left;
    bool is_fixing;
    unsigned commands;
};

static struct vck_bytes take(struct fake *fake)
{
    struct vck_bytes piece = {fake->at, 0};
    if (fake->left < 2)
        return piece;
    piece.data += 2;
    piece.size_bytes = VCK_MIN((size_t)vck_load_le16(fake->at), fake->left - 2);
    fake->at += 2 + piece.size_bytes;
    fake->left -= 2 + piece.size_bytes;
    return piece;
}

static vck_status submit(struct vck_tpm_transport *transport, struct vck_bytes command,
                         uint8_t *response, size_t capacity_bytes, size_t *ret_size_bytes)
{
    struct fake *fake = VCK_CONTAINER_OF(transport, struct fake, transport);
    struct vck_bytes piece = take(fake);
    VCK_ASSERT(command.size_bytes >= 10);
    VCK_ASSERT(vck_load_be32(command.data + 2) == command.size_bytes);
    VCK_ASSERT(++fake->commands < COMMANDS);
    if (piece.size_bytes == 0)
        return VCK_IO;
    *ret_size_bytes = piece.size_bytes;
    memcpy(response, piece.data, VCK_MIN(piece.size_bytes, capacity_bytes));
    if (fake->is_fixing && piece.size_bytes >= 10) {
        memcpy(response, command.data, 2);
        vck_store_be32(response + 2, (uint32_t)piece.size_bytes);
        vck_store_be32(response + 6, 0);
    }
    return VCK_OK;
}

static void pause_for(struct vck_tpm_transport *transport, uint32_t time_ms)
{
    (void)transport;
    VCK_ASSERT(time_ms <= 1000);
}

/* Nobody knows the key of a session here: a secret cannot come out. */
static void run(struct vck_tpm *tpm, unsigned what, struct vck_bytes payload)
{
    static const uint8_t secret[VCK_TPM_SECRET_BYTES] = "kept";
    static const struct vck_bytes pin = {(const uint8_t *)"1234", 4};
    uint8_t made[VCK_TPM_SEALED_BYTES], opened[VCK_TPM_SECRET_BYTES];
    struct vck_tpm_policy policy = {.pcrs = 1u << 7 | 1u << 12, .has_pin = (what & 4) != 0};
    size_t made_bytes;
    switch (what & 3) {
    case 0:
        VCK_ASSERT(vck_tpm_seal(tpm, &policy, pin, secret, made, &made_bytes) != VCK_OK);
        break;
    case 1:
        VCK_ASSERT(vck_tpm_unseal(tpm, payload, pin, opened) != VCK_OK);
        break;
    case 2:
        (void)!vck_tpm_check(tpm, payload);
        break;
    default:
        policy.pcrs = 0xffffff;
        (void)!vck_tpm_read_pcrs(tpm, &policy);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vck_tpm tpm;
    struct vck_tpm_policy policy;
    char text[VCK_TPM_TEXT_BYTES];
    if (size < 2)
        return 0;
    struct fake fake = {.transport = {.submit = submit, .pause = pause_for},
                        .at = data + 2,
                        .left = size - 2,
                        .is_fixing = (data[1] & FIX_HEADERS) != 0};
    struct vck_bytes payload = take(&fake);
    if (vck_tpm_policy_of(payload, &policy) == VCK_OK)
        VCK_ASSERT(policy.pcrs != 0 && policy.pcrs >> VCK_TPM_PCRS == 0);
    vck_tpm_init(&tpm, &fake.transport);
    run(&tpm, data[0], payload);
    vck_tpm_explain(&tpm, text);
    VCK_ASSERT(strlen(text) > 0);
    vck_tpm_fini(&tpm);
    return 0;
}
