/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_port: the port's interface by hand. Adapters answer at once, or hold what they are given
 * until the test lets go of it; counts say what is with the adapter.
 */
#ifndef VCK_FRAME_FAKE_PORT_TEST_H
#define VCK_FRAME_FAKE_PORT_TEST_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "vck/frame.h"

#define FAKE_ADAPTERS 4
#define FAKE_MTU      1500u

struct fake_adapter {
    struct vck_frames_bind bind;
    struct vck_frames_binding *binding;
    struct vck_spinlock lock;
    uint8_t address[VCK_FRAME_ADDRESS_BYTES];
    bool is_there;
    bool is_bound;
    bool holds_open;
    bool holds_close;
    bool holds_sends;
    bool holds_requests;
    bool ignores_cancel;
    bool loops_back; /* what is sent arrives */
    vck_status open_status;
    uint32_t medium;
    uint32_t unsupported_oid;
    uint32_t filter;
    uint32_t filter_sets;
    /* Under the lock. */
    struct vck_frames_send *sends;
    struct vck_frames_request *requests;
    bool is_open_held;
    bool is_close_held;
    bool is_open;
    bool is_closing;
    uint32_t users; /* threads between enter and leave: the adapter is not closed meanwhile */
    uint32_t sent_count;
    uint32_t kept_count; /* frames the core keeps */
    vck_status bind_status;
    struct vck_event bind_answered;
};

extern struct fake_adapter fake_adapters[FAKE_ADAPTERS];
/* Adapters that register tells of before it returns. */
extern uint32_t fake_early_count;
extern bool fake_holds_complete; /* binds_complete is the test's to call */

/* All adapters are back to answering at once. */
void fake_reset(void);
void fake_appear(unsigned index) VCK_CAN_WAIT;
void fake_complete(void);
void fake_uninstall(void);

struct fake_event {
    struct vck_frames_event event;
    struct vck_event done;
    vck_status status;
    bool is_done; /* atomic */
};

/* Tells of an event; ended by fake_event_wait. */
void fake_event_begin(unsigned index, enum vck_frames_event_type type, struct fake_event *event);
vck_status fake_event_wait(struct fake_event *event) VCK_CAN_WAIT;
bool fake_event_is_done(struct fake_event *event);
/* Both. */
vck_status fake_tell(unsigned index, enum vck_frames_event_type type) VCK_CAN_WAIT;

/* Let go of what is held. */
void fake_let_open(unsigned index);
void fake_let_close(unsigned index);
void fake_let_sends(unsigned index, vck_status status);
void fake_let_requests(unsigned index, vck_status status);

/* For other threads than the one that tells events: false when the adapter is not open, or is being
 * closed. Until leave what lets go and what arrives may be called. */
bool fake_enter(unsigned index);
void fake_leave(unsigned index);

/* A frame arrives, from data in one piece of the fake's. */
void fake_receive(unsigned index, const void *data, size_t size_bytes, bool may_keep);
void fake_status(unsigned index, uint32_t code, bool is_up);

#endif
