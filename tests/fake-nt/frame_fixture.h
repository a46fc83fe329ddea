/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_fixture: the core of raw frames over the NT port and the fake NDIS. Adapter 0 does
 * everything at once, adapter 1 later and in any order.
 */
#ifndef VCK_FRAME_FIXTURE_H
#define VCK_FRAME_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "fake_nt.h"
#include "fake_ndis.h"
#include "vck/frame.h"

#define FRAME_TYPE VCK_FRAME_ETHER_TYPE_DEFAULT

struct frame_fixture {
    struct vck_object *root; /* whose unload waits until all memory has gone */
    struct vck_frame_protocol *protocol;
    struct vck_frame_opener openers[NDIS_ADAPTERS];
    size_t live; /* allocations before */
};

/* NDIS without a protocol; end: nothing may be left of the driver's. */
void frame_begin(struct frame_fixture *f);
void frame_end(struct frame_fixture *f) VCK_CAN_WAIT;

/* A protocol that has its bindings; stop deregisters it. */
vck_status frame_start(struct frame_fixture *f) VCK_CAN_WAIT;
void frame_stop(struct frame_fixture *f) VCK_CAN_WAIT;

/* Opens the binding of an adapter and sets its packet filter; close gives it back. */
vck_status frame_open(struct frame_fixture *f, uint32_t adapter) VCK_CAN_WAIT;
void frame_close(struct frame_fixture *f, uint32_t adapter) VCK_CAN_WAIT;
vck_status frame_set_filter(struct frame_fixture *f, uint32_t adapter,
                            uint32_t filter) VCK_CAN_WAIT;

struct vck_frame_info frame_info(struct frame_fixture *f, uint32_t adapter);

/* A frame of the adapter's to itself, told from others by its number. */
void frame_make(uint32_t adapter, uint32_t number, uint32_t bytes, uint8_t *ret_frame);
bool frame_is(uint32_t adapter, uint32_t number, const uint8_t *frame, size_t bytes);

/* Sends it and waits for the end. */
vck_status frame_send(struct frame_fixture *f, uint32_t adapter, uint32_t number,
                      uint32_t bytes) VCK_CAN_WAIT;
/* Reads one; ret_bytes as it was. */
vck_status frame_read(struct frame_fixture *f, uint32_t adapter, uint8_t *frame,
                      size_t *ret_bytes) VCK_CAN_WAIT;

#endif
