/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shrink: makes a mounted NTFS volume smaller, in the steps that FSCTL_SHRINK_VOLUME documents:
 * prepare, from when on nothing is allocated behind the new end; commit, which fails while files
 * lie there; or abort. Pure: the caller carries the requests.
 */
#ifndef VCK_PRODUCTS_VCK_SHRINK_H
#define VCK_PRODUCTS_VCK_SHRINK_H

#include <stddef.h>
#include <stdint.h>

#define SHRINK_CODE          0x000901b0u /* FSCTL_SHRINK_VOLUME */
#define SHRINK_REQUEST_BYTES 24u         /* SHRINK_VOLUME_INFORMATION */

/* Sends one request and returns the system's error, 0 without. */
struct shrink_volume {
    uint32_t (*control)(struct shrink_volume *volume, uint32_t code, const void *request,
                        size_t size_bytes);
};

enum shrink_step {
    SHRINK_PREPARE,
    SHRINK_COMMIT,
};

/* To this many sectors. The system's error, 0 without; *ret_step then says where, and the volume is
 * as it was. */
uint32_t shrink_volume(struct shrink_volume *volume, uint64_t sectors, enum shrink_step *ret_step);

#endif
