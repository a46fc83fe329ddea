/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prepare: makes a new JVCK volume on a disk: fresh keys, an empty vendor area and every replica of
 * the metadata, with nothing encrypted yet. The data region keeps what it holds. What lies in the
 * metadata regions is lost: whether anybody misses it is for the caller to find out first.
 */
#ifndef VCK_PREPARE_H
#define VCK_PREPARE_H

#include <stdbool.h>
#include <stdint.h>
#include "port/disk.h"
#include "vck/bytes.h"
#include "vck/layout.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

#define VCK_METADATA_SIZE_DEFAULT (1024u * 1024u)
#define VCK_REPLICAS_PER_END_MAX  255u /* headers, and footers, each */

struct vck_prepare_params {
    uint32_t header_count;
    uint32_t footer_count;
    uint32_t metadata_size_bytes; /* 0: VCK_METADATA_SIZE_DEFAULT */
    uint32_t sector_size_bytes;   /* 0: the disk's */
    bool single_replica;          /* accept one replica, which relies on untorn sector writes */
    bool overwrite_existing;      /* accept that a volume, whole or not, is there already */
    struct vck_bytes vmk;         /* borrowed for the call */
};

/* Which of the conditions is not met, for an explanation with numbers. */
enum vck_prepare_fault {
    VCK_PREPARE_NO_FAULT = 0,
    VCK_PREPARE_FAULT_KEY_SIZE,        /* INVALID_DATA: not 1 to VCK_VMK_BYTES_MAX bytes */
    VCK_PREPARE_FAULT_REPLICAS,        /* INVALID_DATA: none, or more than the block can count */
    VCK_PREPARE_FAULT_SINGLE,          /* VALIDATION_FAILED: one replica, and not asked for */
    VCK_PREPARE_FAULT_METADATA_SIZE,   /* INVALID_DATA: below the minimum or not whole 4096 bytes */
    VCK_PREPARE_FAULT_SECTOR_SIZE,     /* INVALID_DATA: neither 512 nor 4096 */
    VCK_PREPARE_FAULT_SECTOR_TOO_FINE, /* UNSUPPORTED: smaller than what the disk addresses */
    VCK_PREPARE_FAULT_NOT_WHOLE,       /* SIZE_MISMATCH: the disk is not whole sectors */
    VCK_PREPARE_FAULT_TOO_SMALL,       /* SIZE_MISMATCH: the regions leave no data sector */
    VCK_PREPARE_FAULT_READ_ONLY,       /* READ_ONLY */
    VCK_PREPARE_FAULT_EXISTS,          /* ALREADY_EXISTS: a volume is there */
};

/*
 * Whether a volume of these parameters fits a disk of size_bytes with sectors of
 * disk_sector_size_bytes, and where its parts would lie. Pure. ret_fault is always written; the
 * statuses are those beside the faults. Any level.
 */
VCK_CHECKED vck_status vck_prepare_check(const struct vck_prepare_params *params,
                                         uint64_t size_bytes, uint32_t disk_sector_size_bytes,
                                         struct vck_layout *ret_layout,
                                         enum vck_prepare_fault *ret_fault);

struct vck_prepare_result {
    struct vck_layout layout;
    uint8_t volume_id[16];
};

/*
 * Makes the volume; everything written is durable on return. Nothing is written unless every check
 * passed. Should it fail later, the metadata regions hold zeroes or a part of the replicas, and the
 * data region is as it was. ret_fault is always written.
 * Errors: those of the faults; CRYPTO_FAILED (no randomness), NO_MEMORY, and the disk's. PASSIVE.
 */
VCK_CHECKED vck_status vck_prepare_volume(struct vck_disk *disk,
                                          const struct vck_prepare_params *params,
                                          struct vck_prepare_result *ret_result,
                                          enum vck_prepare_fault *ret_fault) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
