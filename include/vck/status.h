/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status: the one set of results of every vck function. 0 is success. The numbers are frozen: they
 * are part of the binary interface, and new ones are only added at the end. The mapping to NTSTATUS
 * is one table (status_nt.c); mappings to errno and EFI_STATUS live in the ports.
 */
#ifndef VCK_STATUS_H
#define VCK_STATUS_H

#include <stdint.h>
#include "vck/annotate.h"

VCK_BEGIN_DECLS

typedef enum vck_status {
    VCK_OK = 0,
    VCK_INVALID_DATA = 1,       /* malformed or out-of-domain input */
    VCK_VALIDATION_FAILED = 2,  /* well-formed input that disagrees with what is there */
    VCK_UNSUPPORTED = 3,        /* not possible here, or not in this state */
    VCK_NOT_FOUND = 4,          /* no such volume, replica, name */
    VCK_PERMISSION_DENIED = 5,  /* the caller may not */
    VCK_SIZE_MISMATCH = 6,      /* a length is not what it has to be */
    VCK_SIGNATURE_MISMATCH = 7, /* not the format it should be */
    VCK_CHECKSUM_MISMATCH = 8,  /* right format, damaged bytes */
    VCK_CRYPTO_FAILED = 9,      /* a primitive failed or no randomness */
    VCK_IO = 10,                /* the device failed */
    VCK_NO_MEMORY = 11,         /* allocation failed */
    VCK_BUSY = 12,              /* in use by somebody else */
    VCK_WRONG_KEY = 13,         /* the key does not open it */
    VCK_TAMPERED = 14,          /* authenticated data does not match */
    VCK_DAMAGED = 15,           /* the sectors are known to be lost */
    VCK_READ_ONLY = 16,         /* writes are refused */
    VCK_NOT_READY = 17,         /* not initialised yet */
    VCK_ALREADY_EXISTS = 18,    /* the name or id is taken */
    VCK_OUT_OF_RANGE = 19,      /* beyond the end */
    VCK_DISK_FULL = 20,         /* no space below */
    VCK_UNREACHABLE = 21,       /* network: no route */
    VCK_REFUSED = 22,           /* network: connection refused */
    VCK_RESET = 23,             /* network: connection reset */
    VCK_ADDRESS_IN_USE = 24,    /* network: address in use */
    VCK_DELETED = 25,           /* the object has been deleted */
    VCK_DELETE_PENDING = 26,    /* the object is being deleted */
    VCK_CANCELLED = 27,         /* the operation was cancelled */
    VCK_TIMEOUT = 28,           /* the time limit passed */
    VCK_STATUS_COUNT
} vck_status;

/* The status in words, in lower case without a full stop ("wrong key"). Static; any level. */
const char *vck_status_text(vck_status status);

/* The frozen symbolic name ("WRONG_KEY"). Static; any level. */
const char *vck_status_name(vck_status status);

/* NTSTATUS of a status, and back. An NTSTATUS outside the table becomes VCK_IO; 0 becomes VCK_OK.
 * Source: control-protocol, "Status". */
uint32_t vck_status_to_nt(vck_status status);
vck_status vck_status_from_nt(uint32_t nt);

/* A response that does not fit the caller's buffer: not a vck_status, only a wire value. */
#define VCK_NT_BUFFER_TOO_SMALL 0xC0000023u

VCK_END_DECLS

#endif
