/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a TPM by tpm2-tss, which has a plug-in for each: a device, a daemon, a simulator. */
#include <stdlib.h>
#include <time.h>
#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>
#include "port/port.h"
#include "products/vck/tpm.h"

#define TSS_TAG   VCK_TAG('C', 't', 's', 's')
#define DEVICE    "/dev/tpmrm0"
#define NS_PER_MS 1000000
#define MS_PER_S  1000u

struct tss {
    struct vck_tpm_transport base;
    TSS2_TCTI_CONTEXT *tcti;
};

static vck_status submit(struct vck_tpm_transport *transport, struct vck_bytes command,
                         uint8_t *response, size_t capacity_bytes, size_t *ret_size_bytes)
{
    TSS2_TCTI_CONTEXT *tcti = VCK_CONTAINER_OF(transport, struct tss, base)->tcti;
    size_t size = capacity_bytes;
    if (Tss2_Tcti_Transmit(tcti, command.size_bytes, command.data) != TSS2_RC_SUCCESS ||
        Tss2_Tcti_Receive(tcti, &size, response, TSS2_TCTI_TIMEOUT_BLOCK) != TSS2_RC_SUCCESS)
        return VCK_IO;
    *ret_size_bytes = size;
    return VCK_OK;
}

static void pause_for(struct vck_tpm_transport *transport, uint32_t time_ms)
{
    struct timespec time = {.tv_sec = time_ms / MS_PER_S,
                            .tv_nsec = (long)(time_ms % MS_PER_S) * NS_PER_MS};
    (void)transport;
    (void)nanosleep(&time, NULL);
}

struct vck_tpm_transport *tpm_transport_open(const char *tcti, char ret_why[TPM_WHY_BYTES])
{
    /* Only what belongs to this machine, unless somebody says otherwise: simulators listen where
     * every user of a machine may. */
    const char *name = tcti != NULL ? tcti : "device:" DEVICE;
    if (tcti == NULL && access(DEVICE, F_OK) != 0) {
        snprintf(ret_why, TPM_WHY_BYTES, "there is no TPM 2.0 here (no " DEVICE ")");
        return NULL;
    }
    struct tss *tss = vck_alloc(sizeof(*tss), TSS_TAG);
    if (tss == NULL) {
        snprintf(ret_why, TPM_WHY_BYTES, "no memory");
        return NULL;
    }
    tss->base = (struct vck_tpm_transport){.submit = submit, .pause = pause_for};
    /* It would write to stderr by itself. */
    (void)setenv("TSS2_LOG", "all+NONE", 0);
    TSS2_RC code = Tss2_TctiLdr_Initialize(name, &tss->tcti);
    if (code == TSS2_RC_SUCCESS)
        return &tss->base;
    snprintf(ret_why, TPM_WHY_BYTES, "the TPM %.100s cannot be opened (TCTI error 0x%x)", name,
             (unsigned)code);
    vck_free(tss);
    return NULL;
}

void tpm_transport_close(struct vck_tpm_transport *transport)
{
    if (transport == NULL)
        return;
    struct tss *tss = VCK_CONTAINER_OF(transport, struct tss, base);
    Tss2_TctiLdr_Finalize(&tss->tcti);
    vck_free(tss);
}
