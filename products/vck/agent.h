/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent: gets the secrets of slots that nobody types, from where their payload says.
 */
#ifndef VCK_PRODUCTS_VCK_AGENT_H
#define VCK_PRODUCTS_VCK_AGENT_H

#include "products/vck/tpm.h"

struct slot_agent {
    struct vck_key_agent base;
    const struct command *command;
    unsigned asked; /* how often, for slots that it knows */
    struct tpm_access tpm;
};

/* Costs nothing yet. fini in every case. */
void slot_agent_init(struct slot_agent *agent, const struct command *command);
void slot_agent_fini(struct slot_agent *agent);

#endif
