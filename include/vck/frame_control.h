/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_control: raw frames for users. A handle is what a program has opened: a file object of a
 * driver, a connection of a socket. It opens one binding, reads, writes, asks. The numbers and the
 * messages are those of NDIS's sample protocol on every host, with additions from 0x240 on; all
 * integers are little-endian, names are UTF-16. Messages: docs/frames.md, "Control".
 *
 *     handle  init --OPEN_DEVICE--> opened --cleanup: its calls are CANCELLED--> ended
 *
 * One request is one call, with buffers of the carrier: a driver makes one of an IRP (buffered),
 * the Linux host of a packet. Nothing here waits; a call ends by its `done`.
 */
#ifndef VCK_FRAME_CONTROL_H
#define VCK_FRAME_CONTROL_H

#include "vck/frame.h"

VCK_BEGIN_DECLS

/* Device control codes: device type 0x12 (network), buffered. */
enum vck_frame_code {
    VCK_FRAME_CODE_OPEN_DEVICE = 0x0012c800,     /* in: name */
    VCK_FRAME_CODE_QUERY_OID = 0x0012c804,       /* in, out: u32 oid, u32 port, data */
    VCK_FRAME_CODE_QUERY_BINDING = 0x0012c80c,   /* in, out: struct vck_frame_binding_message */
    VCK_FRAME_CODE_BIND_WAIT = 0x0012c810,       /* nothing */
    VCK_FRAME_CODE_SET_OID = 0x0012c814,         /* in: u32 oid, u32 port, data */
    VCK_FRAME_CODE_INDICATE_STATUS = 0x0012c818, /* out: u32 code, u32 offset, u32 size, data */
    VCK_FRAME_CODE_SET_ETHER_TYPE = 0x0012c900,  /* in: u16; 0: every frame */
    VCK_FRAME_CODE_QUERY_STATE = 0x0012c904,     /* out: struct vck_frame_state_message */
    /* What a driver gets as IRPs of their own and a socket as codes. */
    VCK_FRAME_CODE_READ = 0x00000003,  /* out: the frame */
    VCK_FRAME_CODE_WRITE = 0x00000004, /* in: the frame */
};

/* Sizes of the fixed parts. */
#define VCK_FRAME_OID_MESSAGE_BYTES     8u
#define VCK_FRAME_BINDING_MESSAGE_BYTES 20u
#define VCK_FRAME_STATUS_MESSAGE_BYTES  12u
#define VCK_FRAME_STATE_MESSAGE_BYTES   104u
/* A name in UTF-16, at most. */
#define VCK_FRAME_WIRE_NAME_BYTES 512u

/* QUERY_BINDING: index in; the rest out, followed by the two names, each with two zero bytes that
 * its length counts. Offsets are from the start of the message. */
struct vck_frame_binding_message {
    uint32_t index;
    uint32_t name_offset;
    uint32_t name_bytes;
    uint32_t description_offset;
    uint32_t description_bytes;
};

/* QUERY_STATE, of the opened binding. */
struct vck_frame_state_message {
    uint32_t interface_index;
    uint32_t phase; /* enum vck_frame_phase */
    uint32_t mtu_bytes;
    uint32_t link; /* bit 0: known, bit 1: up */
    uint64_t bits_per_s;
    uint8_t address[VCK_FRAME_ADDRESS_BYTES];
    uint16_t ether_type;
    struct vck_frame_statistics statistics;
};

/* ---- the codec of the fixed parts; both sides ---- */

void vck_frame_binding_encode(const struct vck_frame_binding_message *message,
                              uint8_t out[VCK_FRAME_BINDING_MESSAGE_BYTES]);
VCK_CHECKED vck_status vck_frame_binding_decode(struct vck_bytes in,
                                                struct vck_frame_binding_message *ret_message);
void vck_frame_state_encode(const struct vck_frame_state_message *message,
                            uint8_t out[VCK_FRAME_STATE_MESSAGE_BYTES]);
VCK_CHECKED vck_status vck_frame_state_decode(struct vck_bytes in,
                                              struct vck_frame_state_message *ret_message);

/* ---- handles ---- */

struct vck_frame_handle {
    struct vck_frame_protocol *protocol;
    bool can_read; /* what the handle was opened for */
    bool can_write;
    bool is_admin; /* may see the frames of others: promiscuous */

    /* The rest is the dispatcher's. */
    struct vck_spinlock lock;
    struct vck_frame_opener opener;
    struct vck_link calls; /* in flight */
    uint16_t ether_type;
    uint8_t phase;
};

/* can_read, can_write, is_admin are set afterwards, before the first call. PASSIVE. */
void vck_frame_handle_init(struct vck_frame_handle *handle, struct vck_frame_protocol *protocol);
/* The program has closed it: ends every call with CANCELLED and frees the binding; calls begun
 * later are CANCELLED. What the adapter is slow to give back may end after it returned; the
 * handle's memory stays until the `done` of every call. PASSIVE. */
void vck_frame_handle_cleanup(struct vck_frame_handle *handle) VCK_CAN_WAIT;

/* ---- calls ---- */

/* The data of a frame or status that did not fit, as far as it did (STATUS_BUFFER_OVERFLOW). */
#define VCK_FRAME_NT_TRUNCATED 0x80000005u

/* One request. */
struct vck_frame_control_call {
    struct vck_frame_handle *handle;
    uint32_t code; /* enum vck_frame_code */
    /* Buffered: may be the same memory, which the call then reads before it writes. */
    const uint8_t *in;
    size_t in_bytes;
    struct vck_descriptor *in_chain; /* WRITE: the same as a chain where the port sends nothing
                                      * else (NT: MDLs); NULL: in is enough */
    uint8_t *out;
    size_t out_bytes;
    void (*done)(struct vck_frame_control_call *call); /* once. DISPATCH. */
    /* At the end. */
    uint32_t nt;       /* NTSTATUS; 0xC0000023 (buffer too small): nothing was done */
    size_t done_bytes; /* of out; WRITE: of in */
    const char *why;   /* a refusal in words, static, or NULL */

    /* The rest is the dispatcher's. */
    struct vck_frame_call call;
    struct vck_descriptor descriptor;
    struct vck_link link;
    struct vck_work work;
    vck_status status;
    uint32_t oid;
    uint32_t holds;
    bool is_cancelled;
    bool has_begun; /* there is a call to cancel */
    uint8_t data[4];
};

/* The fields above the line are set. Ends with done, perhaps before it returns. OPEN_DEVICE:
 * PASSIVE; the others: DISPATCH. */
void vck_frame_control_start(struct vck_frame_control_call *call) VCK_CAN_WAIT;
/* Asks a call that was started to end with CANCELLED. Its memory is the caller's to keep. DISPATCH.
 */
void vck_frame_control_cancel(struct vck_frame_control_call *call);

VCK_END_DECLS

#endif
