/* SPDX-License-Identifier: Apache-2.0 */
/* Where no way to a TPM was built in. */
#include "products/vck/tpm.h"

struct vck_tpm_transport *tpm_transport_open(const char *tcti, char ret_why[TPM_WHY_BYTES])
{
    (void)tcti;
    snprintf(ret_why, TPM_WHY_BYTES, "this vck was built without a way to a TPM");
    return NULL;
}

void tpm_transport_close(struct vck_tpm_transport *transport)
{
    (void)transport;
}
