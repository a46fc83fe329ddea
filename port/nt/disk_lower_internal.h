/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_lower_internal: the disk's struct, for its two files.
 */
#ifndef VCK_PORT_NT_DISK_LOWER_INTERNAL_H
#define VCK_PORT_NT_DISK_LOWER_INTERNAL_H

#include "port/nt/disk_lower.h"
#include "port/port.h"

#define DISK_LOWER_TAG VCK_TAG('V', 'd', 'l', 'o')

/* How much the reserved MDL of an operation describes; the reserve never runs dry with fewer
 * operations in flight than this. */
#define RESERVED_BYTES (1024u * 1024u)
#define SLOT_COUNT     48u

/* DEVICE_MANAGE_DATA_SET_ATTRIBUTES and one range, as they lie in memory. */
#define TRIM_HEADER_BYTES 28u
#define TRIM_RANGE_OFFSET 32u
#define TRIM_RANGE_BYTES  16u
#define TRIM_BYTES        (TRIM_RANGE_OFFSET + TRIM_RANGE_BYTES)

/* What one operation needs below. */
struct slot {
    struct lower_disk *disk;
    struct slot *next; /* in the list of free ones */
    struct vck_disk_io *io;
    struct vck_disk_lower_origin *origin;
    PIRP irp;
    PMDL mdl;       /* reserved */
    PMDL large_mdl; /* for this operation; NULL when the reserved one has to do */
    uint64_t done_bytes;
    uint32_t piece_bytes;
    struct vck_work work;
    VCK_ALIGNAS(8) uint8_t trim[TRIM_BYTES];
};

typedef IO_PRIORITY_HINT(NTAPI *get_priority_fn)(PIRP irp);
typedef NTSTATUS(NTAPI *set_priority_fn)(PIRP irp, IO_PRIORITY_HINT hint);

struct lower_disk {
    struct vck_disk disk;
    PDEVICE_OBJECT device;
    struct vck_disk_lower_options options;
    get_priority_fn get_priority; /* both or none */
    set_priority_fn set_priority;
    struct vck_spinlock lock;
    struct slot *free;
    struct vck_disk_io *waiting; /* first and last; linked through port[0] */
    struct vck_disk_io *waiting_last;
    struct slot slots[SLOT_COUNT];
};

/* Fills disk->disk from what the device answers; see vck_disk_lower_open. PASSIVE. */
VCK_CHECKED vck_status lower_disk_describe(struct lower_disk *disk) VCK_CAN_WAIT;
/* Its current size. PASSIVE. */
VCK_CHECKED vck_status lower_disk_size(struct vck_disk *disk, uint64_t *ret_size_bytes);

#endif
