/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of tang.c and tang_bind.c where there is no libjose. */
#include "products/vck/tang.h"

static const char without[] = "this vck was built without libjose, which asking servers needs";

vck_status tang_unlock(const struct command *command, const struct vck_key_slot *slot,
                       struct vck_bytes payload, struct vck_secret *ret_secret)
{
    (void)payload, (void)ret_secret;
    warn(command, "slot %u: %s", slot->number, without);
    return VCK_UNSUPPORTED;
}

int tang_bind(const struct command *command, struct vck_secret *ret_secret,
              uint8_t ret_payload[VCK_KEY_PAYLOAD_BYTES_MAX], size_t *ret_payload_bytes)
{
    (void)ret_secret, (void)ret_payload, (void)ret_payload_bytes;
    return report(command, EXIT_REFUSED, "%s", without);
}
