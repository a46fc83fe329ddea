/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_fixture: a fake disk, filters over it, and requests sent to the top of the stack.
 */
#ifndef VCK_FILTER_FIXTURE_H
#define VCK_FILTER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fake_disk.h"
#include "products/vcksys/filter.h"
#include "vck/executor.h"
#include "vck/volume.h"

#define METADATA_BYTES 131072u
#define DATA_BYTES     (UINT64_C(1) << 20)

struct fixture_options {
    uint64_t data_bytes;        /* 0: DATA_BYTES */
    uint32_t sector_size_bytes; /* 0: 512 */
    uint32_t headers;
    uint32_t footers; /* 0 with no headers: 2 */
    uint32_t lanes;
    bool is_buffered;
    bool cannot_trim;
};

struct fixture {
    struct fixture_options options;
    struct fake_disk *disk;
    struct driver_extension extension;
    DRIVER_OBJECT driver;
    struct vck_executor *executor;
    struct filter *filter; /* referenced */
    struct vck_volume *volume;
    uint64_t data_bytes;
    uint64_t data_start;
    uint8_t *expected; /* plaintext of the data region */
    size_t live;
    bool binds_on_start;
    uint32_t starts;
    uint32_t removals;
    uint32_t surprises;
};

/* A prepared disk with a filter from AddDevice, not bound. */
void fixture_begin(struct fixture *f, const struct fixture_options *options) VCK_CAN_WAIT;
/* Unbinds and detaches what is left, removes the device, checks that nothing lives. */
void fixture_end(struct fixture *f) VCK_CAN_WAIT;

/* Opens the filter's disk, attaches the volume and binds it; and back. */
vck_status fixture_bind(struct fixture *f) VCK_CAN_WAIT;
void fixture_unbind(struct fixture *f) VCK_CAN_WAIT;
/* Encrypts the bound volume to its end. */
void fixture_encrypt(struct fixture *f) VCK_CAN_WAIT;

void fill_bytes(uint8_t *p, size_t size_bytes, uint32_t seed);

/* One request. Filled in by send_*; buffer is the caller's. */
struct sent {
    struct fake_requestor requestor;
    struct vck_event done;
    PIRP irp; /* until it completes, or beyond with keeps_irp */
    PMDL mdl;
    bool keeps_irp;
    uint32_t completions;
    uint32_t completed_by; /* id of the thread */
    NTSTATUS returned;     /* by the dispatch routine */
    NTSTATUS status;
    ULONG_PTR information;
};

/* An IRP for the top of the stack, to be completed by the caller and sent with send_irp. */
PIO_STACK_LOCATION sent_begin(struct fixture *f, struct sent *sent, UCHAR major);
void sent_go(struct fixture *f, struct sent *sent);
/* Waits until it has completed; its status. */
NTSTATUS sent_await(struct sent *sent) VCK_CAN_WAIT;

void send_transfer(struct fixture *f, struct sent *sent, UCHAR major, uint64_t offset_bytes,
                   void *buffer, uint32_t size_bytes, UCHAR stack_flags);
/* And waits. *ret_information may be NULL. */
NTSTATUS transfer_now(struct fixture *f, UCHAR major, uint64_t offset_bytes, void *buffer,
                      uint32_t size_bytes, ULONG_PTR *ret_information) VCK_CAN_WAIT;
NTSTATUS control_now(struct fixture *f, ULONG code, void *buffer, ULONG input_bytes,
                     ULONG output_bytes, ULONG_PTR *ret_information) VCK_CAN_WAIT;
NTSTATUS pnp_now(struct fixture *f, UCHAR minor) VCK_CAN_WAIT;
NTSTATUS simple_now(struct fixture *f, UCHAR major) VCK_CAN_WAIT;

/* Reads the whole data region through the stack and compares it with f->expected. */
void check_all(struct fixture *f) VCK_CAN_WAIT;

#endif
