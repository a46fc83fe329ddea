/* SPDX-License-Identifier: Apache-2.0 */
#include "vck/log.h"
#include "vckboot.h"

/* Where loaders measure what they were told: the operating system's own is in 11. */
#define CONFIG_PCR 12u

static const char event_text[] = "vck.json";

void measure_config(struct vck_bytes config)
{
    struct {
        struct efi_tcg2_event head;
        char text[sizeof(event_text)];
    } __attribute__((packed)) event = {
        .head = {.Size = sizeof(event),
                 .HeaderSize = EFI_TCG2_HEADER_BYTES,
                 .HeaderVersion = EFI_TCG2_HEADER_VERSION,
                 .PCRIndex = CONFIG_PCR,
                 .EventType = EFI_TCG2_EV_IPL},
    };
    struct efi_tcg2 *tcg2 = NULL;
    efi_status status;

    if (vck_uefi_boot->LocateProtocol(&efi_tcg2_guid, NULL, (void **)&tcg2) != EFI_SUCCESS)
        return;
    memcpy(event.text, event_text, sizeof(event_text));
    status =
        tcg2->HashLogExtendEvent(tcg2, 0, (uintptr_t)config.data, config.size_bytes, &event.head);
    if (status != EFI_SUCCESS)
        vck_log_warning("the TPM does not take the measurement of vck.json: %s",
                        vck_status_text(vck_uefi_status(status)));
}
