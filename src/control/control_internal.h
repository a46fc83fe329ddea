/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_internal: what the files of this room share: a request under way, and its explanation.
 */
#ifndef VCK_CONTROL_INTERNAL_H
#define VCK_CONTROL_INTERNAL_H

#include "vck/control.h"

#define CONTROL_TAG VCK_TAG('V', 'c', 't', 'l')

struct control_request {
    struct vck_control_host *host;
    struct vck_control_caller *caller;
    const struct vck_code_info *info;
    struct vck_explanation why; /* "" until somebody knows better than the status's own words */
    uint8_t *response;
    size_t capacity_bytes;
    size_t response_bytes;
    bool response_too_large;
};

/*
 * Writes an explanation and returns status. format knows %s (const char *), %u (uint64_t) and %%;
 * what does not fit is cut off. Integers must be passed as uint64_t.
 */
vck_status control_explain(struct vck_explanation *why, vck_status status, const char *format, ...);

/* Encodes the response; SIZE_MISMATCH when it does not fit. */
VCK_CHECKED vck_status control_respond(struct control_request *r, const void *message);

/* An empty map, unless status says otherwise. */
VCK_CHECKED vck_status control_respond_empty(struct control_request *r, vck_status status);

/* What a refused start or pause means for this volume, where the status alone says little. Returns
 * status. */
vck_status control_explain_sweep(struct control_request *r, struct vck_volume *volume,
                                 vck_status status);
/* Whether the host lets it be encrypted now. */
VCK_CHECKED vck_status control_may_encrypt(struct control_request *r, struct vck_volume *volume);

/* One at a time may prepare, attach or detach the volume of a path. */
struct control_claim {
    struct vck_link link;
    const char *path; /* canonical */
};

/* The path in its canonical spelling. INVALID_DATA, explained: it is none. */
VCK_CHECKED vck_status control_canonical_path(struct control_request *r, const char *path,
                                              char ret_path[VCK_VOLUME_PATH_BYTES]) VCK_CAN_WAIT;

/* Claims the path in its canonical spelling, until unclaim, which accepts NULL. BUSY: somebody else
 * is at it. NO_MEMORY. */
VCK_CHECKED vck_status control_claim(struct control_request *r, const char *path,
                                     struct control_claim **ret_claim) VCK_CAN_WAIT;
void control_unclaim(struct control_request *r, struct control_claim *claim VCK_TAKES) VCK_CAN_WAIT;

/* The same for who cannot be refused: waits until nobody else is at the path, which the claim
 * refers to, until its end. */
void control_claim_begin(struct vck_control_host *host, struct control_claim *claim) VCK_CAN_WAIT;
void control_claim_end(struct vck_control_host *host, struct control_claim *claim) VCK_CAN_WAIT;

/* The volume of a path in any spelling, referenced. NOT_FOUND, explained. */
VCK_CHECKED vck_status control_find(struct control_request *r, const char *path,
                                    struct vck_volume **ret_volume) VCK_CAN_WAIT;

/* What a request or a block says of a volume's geometry; absent: not said. */
struct control_geometry {
    struct vck_optional_u32 header_count;
    struct vck_optional_u32 footer_count;
    struct vck_optional_u32 metadata_size_bytes;
};

/* VALIDATION_FAILED, explained, when something said differs from the layout. */
VCK_CHECKED vck_status control_geometry_check(struct control_request *r,
                                              const struct control_geometry *said,
                                              const struct vck_layout *layout);

/* The layout of a complete geometry on a disk. INVALID_DATA, UNSUPPORTED (sectors smaller than the
 * disk's), SIZE_MISMATCH; explained. */
VCK_CHECKED vck_status control_layout_init(struct control_request *r, const struct vck_disk *disk,
                                           const struct control_geometry *geometry,
                                           uint32_t sector_size_bytes,
                                           struct vck_layout *ret_layout);

/* A metadata block on its way to every replica's place, and what was there before. */
struct control_block {
    const uint8_t *data; /* VCK_BLOCK_BYTES */
    struct vck_block_header header;
    struct vck_layout layout;
    uint8_t *before; /* a sector per replica; NULL before they were read */
    size_t before_bytes;
    bool is_written; /* perhaps in part */
};

/*
 * Writes the block everywhere, durably, after making sure that no volume suffers: ALREADY_EXISTS
 * (replicas of another id), VALIDATION_FAILED (the same id with another geometry, or with metadata
 * under this key that the block would set back), READ_ONLY, IO, NO_MEMORY. What was begun is
 * undone.
 */
VCK_CHECKED vck_status control_block_write(struct control_request *r, struct vck_disk *disk,
                                           struct vck_bytes vmk,
                                           struct control_block *block) VCK_CAN_WAIT;
/* Puts back what was there. */
void control_block_undo(struct vck_disk *disk, struct control_block *block) VCK_CAN_WAIT;
void control_block_fini(struct control_block *block);

/* The longer handlers. */
VCK_CHECKED vck_status control_prepare(struct control_request *r, const void *message) VCK_CAN_WAIT;
VCK_CHECKED vck_status control_attach(struct control_request *r, const void *message) VCK_CAN_WAIT;
VCK_CHECKED vck_status control_change_keys(struct control_request *r,
                                           const void *message) VCK_CAN_WAIT;
VCK_CHECKED vck_status control_erase_keys(struct control_request *r,
                                          const void *message) VCK_CAN_WAIT;
VCK_CHECKED vck_status control_read_metadata(struct control_request *r,
                                             const void *message) VCK_CAN_WAIT;
VCK_CHECKED vck_status control_record_used(struct control_request *r,
                                           const void *message) VCK_CAN_WAIT;
VCK_CHECKED vck_status control_add_used(struct control_request *r,
                                        const void *message) VCK_CAN_WAIT;
VCK_CHECKED vck_status control_start_used(struct control_request *r,
                                          const void *message) VCK_CAN_WAIT;
VCK_CHECKED vck_status control_bench(struct control_request *r, const void *message) VCK_CAN_WAIT;

#endif
