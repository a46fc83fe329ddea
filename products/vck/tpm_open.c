/* SPDX-License-Identifier: Apache-2.0 */
/* Opening slots that a TPM has sealed. */
#include <string.h>
#include "port/port.h"
#include "products/vck/os.h"
#include "products/vck/tpm.h"

#define TPM_TAG VCK_TAG('C', 't', 'p', 'm')

void tpm_access_close(struct tpm_access *access)
{
    if (access->tpm != NULL)
        vck_tpm_fini(access->tpm);
    vck_free_pages(access->tpm, sizeof(*access->tpm));
    tpm_transport_close(access->transport);
    memset(access, 0, sizeof(*access));
}

static bool open_access(struct tpm_access *access, const struct command *command,
                        char ret_why[TPM_WHY_BYTES])
{
    access->transport = tpm_transport_open(command->values[OPTION_TPM], ret_why);
    if (access->transport == NULL)
        return false;
    access->tpm = vck_alloc_pages(sizeof(*access->tpm), TPM_TAG);
    if (access->tpm == NULL) {
        snprintf(ret_why, TPM_WHY_BYTES, "no memory for the TPM");
        return false;
    }
    vck_tpm_init(access->tpm, access->transport);
    return true;
}

bool tpm_access_open(struct tpm_access *access, const struct command *command)
{
    char why[TPM_WHY_BYTES];
    if (access->tpm != NULL)
        return true;
    if (access->has_failed)
        return false;
    access->has_failed = !open_access(access, command, why);
    if (access->has_failed)
        warn(command, "%s", why);
    return !access->has_failed;
}

static int read_pin(const struct command *command, const struct vck_key_slot *slot,
                    struct secret_text *ret_pin)
{
    char question[64];
    if (option_given(command, OPTION_PIN_FILE))
        return secret_read(command, command->values[OPTION_PIN_FILE], ret_pin);
    if (!os_can_ask())
        return report(command, EXIT_FAILED,
                      "key slot %u has a PIN; --pin-file is needed where no terminal can be asked",
                      slot->number);
    snprintf(question, sizeof(question), "PIN of key slot %u: ", slot->number);
    return secret_ask(command, question, ret_pin);
}

/* Nobody is asked for a PIN that could not help. */
static vck_status unseal(struct tpm_access *access, const struct command *command,
                         const struct vck_key_slot *slot, struct vck_bytes payload,
                         struct vck_secret *secret, bool *ret_said)
{
    struct vck_tpm_policy policy;
    struct secret_text pin = {0};
    vck_status status = vck_tpm_policy_of(payload, &policy);
    if (status == VCK_OK && policy.has_pin) {
        status = vck_tpm_check(access->tpm, payload);
        *ret_said = status == VCK_OK && read_pin(command, slot, &pin) != EXIT_OK;
        if (*ret_said)
            status = VCK_CANCELLED;
    }
    if (status == VCK_OK)
        status = vck_tpm_unseal(access->tpm, payload, pin.line, secret->data);
    secret_fini(&pin);
    return status;
}

vck_status tpm_slot_secret(struct tpm_access *access, const struct command *command,
                           const struct vck_key_slot *slot, struct vck_bytes payload,
                           struct vck_secret *ret_secret)
{
    struct vck_secret secret = {0};
    char why[VCK_TPM_TEXT_BYTES];
    bool was_said = false;
    if (!tpm_access_open(access, command))
        return VCK_NOT_READY;
    vck_status status = vck_secret_init(&secret, VCK_TPM_SECRET_BYTES);
    if (status == VCK_OK)
        status = unseal(access, command, slot, payload, &secret, &was_said);
    if (status == VCK_OK) {
        *ret_secret = secret;
        return VCK_OK;
    }
    vck_secret_fini(&secret);
    vck_tpm_explain(access->tpm, why);
    if (!was_said)
        warn(command, "key slot %u: %s", slot->number, why);
    return status;
}

const char *tpm_slot_text(struct vck_bytes payload, char buffer[TPM_TEXT_BYTES])
{
    struct vck_tpm_policy policy;
    char pcrs[100];
    if (vck_tpm_policy_of(payload, &policy) != VCK_OK) {
        snprintf(buffer, TPM_TEXT_BYTES, "-");
        return buffer;
    }
    vck_tpm_pcrs_text(policy.pcrs, pcrs, sizeof(pcrs));
    snprintf(buffer, TPM_TEXT_BYTES, "pcr %s%s", pcrs, policy.has_pin ? "; pin" : "");
    return buffer;
}
