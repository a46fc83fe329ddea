/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/tpm.h"
#include "tpm.h"
#include "unlock.h"
#include "vck/key_store.h"

#define PIN_TRIES 3u

struct boot_tpm {
    struct vck_tpm_transport transport;
    struct vck_key_agent agent;
    struct efi_tcg2 *tcg2;
    uint32_t timeout_s;
    bool was_asked;
    struct vck_tpm tpm;
};

/* ---- the way to it ---- */

static vck_status submit(struct vck_tpm_transport *transport, struct vck_bytes command,
                         uint8_t *response, size_t capacity_bytes, size_t *ret_size_bytes)
{
    struct boot_tpm *t = VCK_CONTAINER_OF(transport, struct boot_tpm, transport);
    efi_status status;

    /* How long the response is, it says itself. */
    memset(response, 0, VCK_MIN(capacity_bytes, 10));
    status = t->tcg2->SubmitCommand(t->tcg2, (uint32_t)command.size_bytes, command.data,
                                    (uint32_t)capacity_bytes, response);
    if (status != EFI_SUCCESS)
        return vck_uefi_status(status);
    *ret_size_bytes = VCK_MIN((size_t)vck_load_be32(response + 2), capacity_bytes);
    return VCK_OK;
}

static void pause_for(struct vck_tpm_transport *transport, uint32_t time_ms)
{
    (void)transport;
    (void)vck_uefi_boot->Stall(time_ms * 1000);
}

/* ---- a slot ---- */

static void say_fault(struct boot_tpm *t, const struct vck_key_slot *slot)
{
    char text[VCK_TPM_TEXT_BYTES];

    vck_tpm_explain(&t->tpm, text);
    vck_uefi_say("Key slot %u: %s.", slot->number, text);
}

/* As long as the TPM says that the PIN is wrong, whoever types it decides whether to try again. */
static vck_status unseal_with_pin(struct boot_tpm *t, const struct vck_key_slot *slot,
                                  struct vck_bytes payload, uint8_t *secret)
{
    struct typed *typed = vck_alloc_pages(sizeof(*typed), BOOT_TAG);
    vck_status status = VCK_WRONG_KEY;

    if (typed == NULL)
        return VCK_NO_MEMORY;
    for (uint32_t i = 0; i < PIN_TRIES && status == VCK_WRONG_KEY; i++) {
        vck_uefi_say("PIN, Esc for a passphrase or recovery key:");
        status = typed_read(typed, t->timeout_s);
        if (status == VCK_OK && typed->text_bytes > 0) {
            status = vck_tpm_unseal(&t->tpm, payload,
                                    (struct vck_bytes){typed->text, typed->text_bytes}, secret);
            if (status)
                say_fault(t, slot);
        } else if (status == VCK_OK) {
            status = VCK_CANCELLED;
        }
        vck_wipe(typed, sizeof(*typed));
    }
    vck_free_pages(typed, sizeof(*typed));
    return status;
}

static vck_status unseal(struct boot_tpm *t, const struct vck_key_slot *slot,
                         struct vck_bytes payload, uint8_t *secret)
{
    const struct vck_bytes none = {0};
    struct vck_tpm_policy policy;
    vck_status status = vck_tpm_policy_of(payload, &policy);

    if (status == VCK_OK && !policy.has_pin)
        status = vck_tpm_unseal(&t->tpm, payload, none, secret);
    else if (status == VCK_OK)
        status = vck_tpm_check(&t->tpm, payload);
    if (status)
        say_fault(t, slot);
    return status == VCK_OK && policy.has_pin ? unseal_with_pin(t, slot, payload, secret) : status;
}

static vck_status get_secret(struct vck_key_agent *agent, const struct vck_key_slot *slot,
                             struct vck_bytes payload, struct vck_secret *ret_secret)
{
    struct boot_tpm *t = VCK_CONTAINER_OF(agent, struct boot_tpm, agent);
    struct vck_secret secret = {0};
    vck_status status;

    if (slot->type != VCK_KEY_TPM)
        return VCK_UNSUPPORTED;
    t->was_asked = true;
    status = vck_secret_init(&secret, VCK_TPM_SECRET_BYTES);
    if (status == VCK_OK)
        status = unseal(t, slot, payload, secret.data);
    if (status == VCK_OK)
        *ret_secret = secret;
    else
        vck_secret_fini(&secret);
    return status;
}

/* ---- all of them ---- */

static vck_status unlock(struct boot_tpm *t, struct vck_disk *disk,
                         const struct vck_boot_config *config,
                         struct vck_secret *ret_vmk) VCK_CAN_WAIT
{
    struct vck_key_offer offer = {
        .agent = &t->agent, .has_number = config->tpm.has_slot, .number = config->tpm.slot};
    vck_status status;

    if (vck_uefi_boot->LocateProtocol(&efi_tcg2_guid, NULL, (void **)&t->tcg2) != EFI_SUCCESS) {
        vck_uefi_say("There is no TPM 2.0 that this firmware knows.");
        return VCK_NOT_FOUND;
    }
    t->transport = (struct vck_tpm_transport){.submit = submit, .pause = pause_for};
    t->agent.secret = get_secret;
    t->timeout_s = config->timeout_s;
    vck_tpm_init(&t->tpm, &t->transport);
    status = vck_key_unlock(disk, &offer, NULL, ret_vmk, NULL);
    if (status && !t->was_asked)
        vck_uefi_say("The volume has no key slot for a TPM%s.",
                     config->tpm.has_slot ? " of that number" : "");
    else if (status == VCK_OK)
        vck_uefi_say("Unlocked by the TPM.");
    return status;
}

vck_status unlock_by_tpm(struct vck_disk *disk, const struct vck_boot_config *config,
                         struct vck_secret *ret_vmk)
{
    struct boot_tpm *t = vck_alloc_pages(sizeof(*t), BOOT_TAG);
    vck_status status;

    if (t == NULL)
        return VCK_NO_MEMORY;
    memset(t, 0, sizeof(*t));
    status = unlock(t, disk, config, ret_vmk);
    vck_wipe(t, sizeof(*t));
    vck_free_pages(t, sizeof(*t));
    return status;
}
