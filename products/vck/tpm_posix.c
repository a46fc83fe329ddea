/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a TPM: the kernel's device, or by tpm2-tss, which has a plug-in for everything else: a
 * daemon, a simulator, a machine. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>
#include "port/port.h"
#include "port/posix/library.h"
#include "products/vck/tpm.h"

#define WAY_TAG   VCK_TAG('C', 't', 'p', 'm')
#define DEVICE    "/dev/tpmrm0"
#define NS_PER_MS 1000000
#define MS_PER_S  1000u

/* clang-format off */
#define FUNCTIONS(X) X(Initialize) X(Finalize)
/* clang-format on */
#define FIELD(name) __typeof__(Tss2_TctiLdr_##name) *name;
#define ENTRY(name) VCK_POSIX_FUNCTION("Tss2_TctiLdr_" #name, lib.name)

static struct {
    FUNCTIONS(FIELD)
} lib;
static const struct vck_posix_function functions[] = {FUNCTIONS(ENTRY)};
static struct vck_posix_library tctildr =
    VCK_POSIX_LIBRARY("libtss2-tctildr.so.0", "libtss2-tctildr0", functions);

struct way {
    struct vck_tpm_transport base;
    int fd; /* of the device; -1: by tcti */
    TSS2_TCTI_CONTEXT *tcti;
};

static void pause_for(struct vck_tpm_transport *transport, uint32_t time_ms)
{
    struct timespec time = {.tv_sec = time_ms / MS_PER_S,
                            .tv_nsec = (long)(time_ms % MS_PER_S) * NS_PER_MS};
    (void)transport;
    (void)nanosleep(&time, NULL);
}

/* ---- the device ---- */

/* A write is a command, and a read waits for its response. */
static vck_status submit_to_device(struct vck_tpm_transport *transport, struct vck_bytes command,
                                   uint8_t *response, size_t capacity_bytes, size_t *ret_size_bytes)
{
    int fd = VCK_CONTAINER_OF(transport, struct way, base)->fd;
    ssize_t done;
    do
        done = write(fd, command.data, command.size_bytes);
    while (done < 0 && errno == EINTR);
    if (done != (ssize_t)command.size_bytes)
        return VCK_IO;
    do
        done = read(fd, response, capacity_bytes);
    while (done < 0 && errno == EINTR);
    if (done <= 0)
        return VCK_IO;
    *ret_size_bytes = (size_t)done;
    return VCK_OK;
}

static bool open_device(struct way *way, const char *path, char ret_why[TPM_WHY_BYTES])
{
    way->fd = open(path, O_RDWR | O_CLOEXEC);
    if (way->fd < 0 && errno == ENOENT)
        snprintf(ret_why, TPM_WHY_BYTES, "there is no TPM 2.0 here (no %.150s)", path);
    else if (way->fd < 0)
        snprintf(ret_why, TPM_WHY_BYTES, "the TPM %.100s cannot be opened: %s", path,
                 strerror(errno));
    way->base.submit = submit_to_device;
    return way->fd >= 0;
}

/* ---- tpm2-tss ---- */

static vck_status submit_by_tcti(struct vck_tpm_transport *transport, struct vck_bytes command,
                                 uint8_t *response, size_t capacity_bytes, size_t *ret_size_bytes)
{
    TSS2_TCTI_CONTEXT *tcti = VCK_CONTAINER_OF(transport, struct way, base)->tcti;
    size_t size = capacity_bytes;
    if (Tss2_Tcti_Transmit(tcti, command.size_bytes, command.data) != TSS2_RC_SUCCESS ||
        Tss2_Tcti_Receive(tcti, &size, response, TSS2_TCTI_TIMEOUT_BLOCK) != TSS2_RC_SUCCESS)
        return VCK_IO;
    *ret_size_bytes = size;
    return VCK_OK;
}

static bool open_tcti(struct way *way, const char *name, char ret_why[TPM_WHY_BYTES])
{
    struct vck_posix_error error;
    way->fd = -1;
    way->base.submit = submit_by_tcti;
    if (vck_posix_library_load(&tctildr, &error) != VCK_OK) {
        snprintf(ret_why, TPM_WHY_BYTES, "%.190s", error.text);
        return false;
    }
    /* It would write to stderr by itself. */
    (void)setenv("TSS2_LOG", "all+NONE", 0);
    TSS2_RC code = lib.Initialize(name, &way->tcti);
    if (code != TSS2_RC_SUCCESS)
        snprintf(ret_why, TPM_WHY_BYTES, "the TPM %.100s cannot be opened (TCTI error 0x%x)", name,
                 (unsigned)code);
    return code == TSS2_RC_SUCCESS;
}

/* ---- both ---- */

/* The path where tcti is a device; NULL: it is something else. */
static const char *device_of(const char *tcti)
{
    /* Only what belongs to this machine, unless somebody says otherwise: simulators listen where
     * every user of a machine may. */
    if (tcti == NULL || strcmp(tcti, "device") == 0)
        return DEVICE;
    return strncmp(tcti, "device:", 7) == 0 ? tcti + 7 : NULL;
}

struct vck_tpm_transport *tpm_transport_open(const char *tcti, char ret_why[TPM_WHY_BYTES])
{
    const char *device = device_of(tcti);
    struct way *way = vck_alloc(sizeof(*way), WAY_TAG);
    if (way == NULL) {
        snprintf(ret_why, TPM_WHY_BYTES, "no memory");
        return NULL;
    }
    way->base.pause = pause_for;
    if (device != NULL ? open_device(way, device, ret_why) : open_tcti(way, tcti, ret_why))
        return &way->base;
    vck_free(way);
    return NULL;
}

void tpm_transport_close(struct vck_tpm_transport *transport)
{
    if (transport == NULL)
        return;
    struct way *way = VCK_CONTAINER_OF(transport, struct way, base);
    if (way->fd >= 0)
        close(way->fd);
    else
        lib.Finalize(&way->tcti);
    vck_free(way);
}
