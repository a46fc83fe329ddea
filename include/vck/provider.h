/* SPDX-License-Identifier: Apache-2.0 */
/*
 * provider: policy. Asked once per attach how a volume's sectors are stored; the default provider
 * answers with JVCK metadata and AES-256-XTS. The mechanism (guard, requests, sweep) only uses what
 * the answer says.
 */
#ifndef VCK_PROVIDER_H
#define VCK_PROVIDER_H

#include <stdbool.h>
#include <stdint.h>
#include "port/disk.h"
#include "vck/block.h"
#include "vck/cipher.h"
#include "vck/journal.h"
#include "vck/layout.h"
#include "vck/rekey.h"
#include "vck/status.h"
#include "vck/store.h"

VCK_BEGIN_DECLS

struct vck_attach_context {
    struct vck_disk *disk;         /* borrowed for the life of the volume */
    struct vck_bytes vmk;          /* borrowed for the call */
    const uint8_t *partition_guid; /* 16 bytes, EFI order; NULL: not bound by handover */
    bool is_os_volume;
};

enum vck_io_kind {
    VCK_IO_PASSTHROUGH, /* the disk as it is */
    VCK_IO_ENCRYPTED,   /* cipher, geometry, offset store */
    VCK_IO_CUSTOM,      /* own read and write */
};

/* Where a volume records how far it is encrypted, and the journal of its sweep. */
struct vck_offset_store {
    struct vck_store *store; /* replicas; owned by the provider */
    struct vck_journal_keys keys;
    struct vck_journal_area area;
    uint32_t chunk_bytes;       /* the disk's atomic unit, at most a sector */
    uint32_t batch_sectors_max; /* 0: no place for a journal, a sweep is refused */
    uint64_t next_sequence;
    struct vck_damage_list damage;
    struct vck_rekey rekey; /* while vck_store_is_rekeying(store) */
};

/* A custom transformation: complete requests on data-region ranges, blocking. APC. */
struct vck_custom_io {
    vck_status (*read)(struct vck_custom_io *custom, uint64_t first_sector, void *buffer,
                       uint32_t sectors);
    vck_status (*write)(struct vck_custom_io *custom, uint64_t first_sector, const void *buffer,
                        uint32_t sectors);
    vck_status (*flush)(struct vck_custom_io *custom);
};

struct vck_io_config {
    enum vck_io_kind kind;
    uint32_t sector_size_bytes;
    uint64_t data_start_lba;
    uint64_t data_sectors;
    struct vck_cipher_supplier *cipher;    /* ENCRYPTED: of what lies below the boundary */
    struct vck_cipher_supplier *above;     /* of what lies above it; NULL: that is plaintext */
    struct vck_offset_store *offset_store; /* ENCRYPTED */
    struct vck_custom_io *custom;          /* CUSTOM */
    bool can_rekey;                        /* the FVEK may be exchanged, under the format's rules */
    bool read_only;
    bool unauthenticated_header; /* a replica had no digest: worth a warning */
    uint32_t recovered_records;  /* records that recovery applied */
    uint32_t damaged_found;      /* chunks it had to give up */
    uint64_t lost_first_byte;    /* reads of this range fail with DAMAGED */
    uint64_t lost_bytes;
};

struct vck_provider {
    /* Opens the volume and recovers it: when this returns OK, the disk is ready to be served. On
     * failure nothing is left behind. May block. */
    vck_status (*on_attach)(struct vck_provider *provider, const struct vck_attach_context *context,
                            struct vck_io_config *ret_config);
    /* Gives back what on_attach made; no request is in flight any more. */
    void (*on_detach)(struct vck_provider *provider, struct vck_io_config *config);
};

/* JVCK and AES-256-XTS. Stateless; shared by all volumes. */
extern struct vck_provider vck_default_provider;

VCK_END_DECLS

#endif
