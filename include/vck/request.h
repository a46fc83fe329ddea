/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request: one operation on an attached volume, as a future. Offsets are bytes from the start of
 * the data region. Everything a request needs is in its struct or in the volume's pool: none
 * allocates.
 */
#ifndef VCK_REQUEST_H
#define VCK_REQUEST_H

#include <stdint.h>
#include "vck/cipher.h"
#include "vck/coroutine.h"
#include "vck/disk_io.h"
#include "vck/damage.h"
#include "vck/guard.h"
#include "vck/pool.h"
#include "vck/volume.h"

VCK_BEGIN_DECLS

enum vck_request_op {
    VCK_REQUEST_READ,
    VCK_REQUEST_WRITE,
    VCK_REQUEST_FLUSH,
    VCK_REQUEST_DISCARD, /* the contents become undefined; UNSUPPORTED where the disk cannot */
    VCK_REQUEST_ZERO,    /* zeroes, stored like any other data */
};

#define VCK_REQUEST_FUA 1u /* WRITE, ZERO: durable when it is ready */

struct vck_request {
    struct vck_future future;
    vck_status status;             /* the result, once READY */
    uint64_t damaged_offset_bytes; /* with DAMAGED: the first lost chunk in the range */

    /* The rest is the request's own. */
    struct vck_coroutine co;
    struct vck_coroutine part_co;
    struct vck_volume *volume;
    enum vck_request_op op;
    unsigned flags;
    uint64_t offset_bytes;
    uint64_t size_bytes;
    uint8_t *buffer;
    uint64_t done_bytes;
    uint32_t piece_bytes;
    bool begun;
    bool piece_direct;
    bool flush_at_end;
    struct vck_cipher_supplier *piece_cipher; /* NULL: plaintext */
    uint8_t *bounce;
    struct vck_pool_get get;
    struct vck_guard_enter enter;
    struct vck_disk_future io;
    struct vck_damage_forget forget;
};

/*
 * Prepares a request; the first poll begins it. buffer: size_bytes for READ and WRITE (never
 * modified by WRITE), NULL otherwise. The volume is referenced from the first poll until READY or
 * drop; only a request that still waits to enter the guard may be dropped.
 * Results: OK; INVALID_DATA (not whole sectors), OUT_OF_RANGE, DAMAGED, READ_ONLY, IO, DISK_FULL,
 * UNSUPPORTED, DELETED (detached meanwhile).
 */
void vck_request_init(struct vck_request *request, struct vck_volume *volume,
                      enum vck_request_op op, unsigned flags, uint64_t offset_bytes, void *buffer,
                      uint64_t size_bytes);

/* Reads of up to this are decrypted in less time than another thread takes to begin with it. */
#define VCK_REQUEST_BRIEF_BYTES 16384u
/* And of up to this in not much more: on a thread that can be interrupted it is worth it, too. */
#define VCK_REQUEST_SHORT_BYTES 65536u

/*
 * Whether the disk operation that is under way is the request's last and what follows is brief: at
 * most decrypt_bytes are decrypted, and most likely nothing is waited for. Then the next poll may
 * as well be made where the operation completes. For the operation's completion, before its `done`,
 * and for who polls. DISPATCH.
 */
bool vck_request_ends_briefly(const struct vck_request *request, uint32_t decrypt_bytes);

/* The blocking form. APC. */
VCK_CHECKED vck_status vck_volume_io(struct vck_volume *volume, enum vck_request_op op,
                                     unsigned flags, uint64_t offset_bytes, void *buffer,
                                     uint64_t size_bytes) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
