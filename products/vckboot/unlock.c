/* SPDX-License-Identifier: Apache-2.0 */
#include "unlock.h"
#include "vck/key_store.h"
#include "vckboot.h"

#define TRIES 3u

/* ---- typing ---- */

static void echo(enum line_event event, size_t count_before)
{
    if (event == LINE_ADDED)
        vck_uefi_print("*");
    for (size_t i = 0; i < count_before && (event == LINE_CLEARED || i == 0); i++)
        if (event == LINE_REMOVED || event == LINE_CLEARED)
            vck_uefi_print("\b \b");
}

/* The time limit ends with the first key: who types is there. */
static vck_status read_line(struct line *line, uint32_t timeout_s)
{
    struct efi_input_key key;
    enum line_event event;

    do {
        size_t before = line->count;
        vck_status status = console_key(timeout_s, &key);

        if (status)
            return VCK_TIMEOUT;
        timeout_s = 0;
        event = line_key(line, &key);
        vck_wipe(&key, sizeof(key));
        echo(event, before);
    } while (event != LINE_DONE && event != LINE_ESCAPED);
    vck_uefi_print("\r\n");
    return event == LINE_DONE ? VCK_OK : VCK_CANCELLED;
}

vck_status typed_read(struct typed *typed, uint32_t timeout_s)
{
    vck_status status = read_line(&typed->line, timeout_s);

    if (status)
        return status;
    return line_text(&typed->line, typed->text, &typed->text_bytes) == VCK_OK ? VCK_OK
                                                                              : VCK_WRONG_KEY;
}

/* ---- a try ---- */

/* What a recovery key looks like, right or mistyped: 40 digits at least and little else. */
static bool looks_like_recovery(const struct typed *typed)
{
    size_t digits = 0, others = 0;

    for (size_t i = 0; i < typed->text_bytes; i++) {
        uint8_t c = typed->text[i];

        digits += c >= '0' && c <= '9';
        others += !(c >= '0' && c <= '9') && c != '-' && c != ' ';
    }
    return digits >= 40 && others == 0;
}

static vck_status try_recovery(struct vck_disk *disk, struct typed *typed,
                               struct vck_secret *ret_vmk) VCK_CAN_WAIT
{
    struct vck_bytes text = {typed->text, typed->text_bytes};
    struct vck_key_offer offer = {.recovery = {typed->recovery, sizeof(typed->recovery)}};
    uint32_t group = 0;
    vck_status status = vck_key_recovery_parse(text, typed->recovery, &group);

    if (status == VCK_SIZE_MISMATCH)
        vck_uefi_say("A recovery key has 48 digits.");
    else if (status)
        vck_uefi_say("Group %u of the recovery key is mistyped.", group + 1);
    return status ? VCK_WRONG_KEY : vck_key_unlock(disk, &offer, NULL, ret_vmk, NULL);
}

static vck_status try_typed(struct vck_disk *disk, struct typed *typed,
                            struct vck_secret *ret_vmk) VCK_CAN_WAIT
{
    struct vck_key_offer offer = {0};

    if (typed->text_bytes == 0)
        return VCK_WRONG_KEY;
    if (looks_like_recovery(typed))
        return try_recovery(disk, typed, ret_vmk);
    offer.passphrase = (struct vck_bytes){typed->text, typed->text_bytes};
    return vck_key_unlock(disk, &offer, NULL, ret_vmk, NULL);
}

static void say_why(vck_status status)
{
    switch (status) {
    case VCK_WRONG_KEY:
        vck_uefi_say("That does not open the volume.");
        break;
    case VCK_NOT_FOUND:
        vck_uefi_say("The volume has no passphrase and no recovery key of that kind.");
        break;
    case VCK_NO_MEMORY:
        vck_uefi_say("Checking the passphrase takes more memory than this firmware has.");
        break;
    case VCK_UNSUPPORTED:
        vck_uefi_say("The volume's key slots are of a later version than this program.");
        break;
    case VCK_TAMPERED:
        vck_uefi_say("Somebody has changed the volume's key slots.");
        break;
    default:
        vck_uefi_say("The volume's key slots cannot be used: %s.", vck_status_text(status));
    }
}

static vck_status ask_once(struct vck_disk *disk, uint32_t timeout_s, struct typed *typed,
                           struct vck_secret *ret_vmk) VCK_CAN_WAIT
{
    vck_status status;

    vck_uefi_say("Passphrase or recovery key, Esc to go on without:");
    status = typed_read(typed, timeout_s);
    if (status == VCK_TIMEOUT)
        vck_uefi_say("Nobody answered; going on with the next boot entry.");
    if (status == VCK_TIMEOUT || status == VCK_CANCELLED)
        return VCK_CANCELLED;
    if (status == VCK_OK)
        status = try_typed(disk, typed, ret_vmk);
    if (status)
        say_why(status);
    return status;
}

vck_status unlock_by_prompt(struct vck_disk *disk, uint32_t timeout_s, struct vck_secret *ret_vmk)
{
    struct typed *typed = vck_alloc_pages(sizeof(*typed), BOOT_TAG);
    vck_status status = VCK_WRONG_KEY;

    if (typed == NULL)
        return VCK_NO_MEMORY;
    for (uint32_t i = 0; i < TRIES && status == VCK_WRONG_KEY; i++) {
        /* Twice as long each time: for a person nothing, for a machine that types a lot. */
        if (i > 0)
            (void)vck_uefi_boot->Stall(1000000u << i >> 1);
        status = ask_once(disk, timeout_s, typed, ret_vmk);
        vck_wipe(typed, sizeof(*typed));
    }
    vck_free_pages(typed, sizeof(*typed));
    return status;
}
