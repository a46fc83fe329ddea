/* SPDX-License-Identifier: Apache-2.0 */
#include "products/vck/agent.h"
#include <string.h>
#include "products/vck/tang.h"

static vck_status get_secret(struct vck_key_agent *base, const struct vck_key_slot *slot,
                             struct vck_bytes payload, struct vck_secret *ret_secret)
{
    struct slot_agent *agent = VCK_CONTAINER_OF(base, struct slot_agent, base);
    waiting_is_fine();
    agent->asked++;
    switch (slot->type) {
    case VCK_KEY_TPM:
        return tpm_slot_secret(&agent->tpm, agent->command, slot, payload, ret_secret);
    case VCK_KEY_NETWORK:
        return tang_unlock(agent->command, slot, payload, ret_secret);
    default:
        agent->asked--;
        return VCK_UNSUPPORTED;
    }
}

void slot_agent_init(struct slot_agent *agent, const struct command *command)
{
    memset(agent, 0, sizeof(*agent));
    agent->base.secret = get_secret;
    agent->command = command;
}

void slot_agent_fini(struct slot_agent *agent)
{
    tpm_access_close(&agent->tpm);
}
