/* SPDX-License-Identifier: Apache-2.0 */
/*
 * messages: what asyncnet.exe and asyncnet.sys say to each other: device control codes, and
 * MessagePack maps from names to values. A field that is missing has its default, one that is not
 * known is passed over, one that is out of range is refused by name. Source: docs/asyncnet.md,
 * "Requests".
 */
#ifndef VCK_ASYNCNET_MESSAGES_H
#define VCK_ASYNCNET_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vck/address.h"
#include "vck/address.h"
#include "vck/bytes.h"
#include "vck/status.h"

VCK_BEGIN_DECLS

/* Device type 0x22, METHOD_BUFFERED. What changes something needs a handle that may write. */
#define ASYNCNET_CODE(access, function) (0x00220000u | (access) << 14 | (function) << 2)
#define ASYNCNET_MAY_READ               1u
#define ASYNCNET_MAY_WRITE              2u

enum asyncnet_code {
    ASYNCNET_START = ASYNCNET_CODE(ASYNCNET_MAY_WRITE, 0x901u),      /* - */
    ASYNCNET_STOP = ASYNCNET_CODE(ASYNCNET_MAY_WRITE, 0x902u),       /* - */
    ASYNCNET_LOAD = ASYNCNET_CODE(ASYNCNET_MAY_WRITE, 0x903u),       /* LOAD -> RESULT */
    ASYNCNET_THREADS = ASYNCNET_CODE(ASYNCNET_MAY_WRITE, 0x904u),    /* THREADS -> RESULT */
    ASYNCNET_TIMERS = ASYNCNET_CODE(ASYNCNET_MAY_WRITE, 0x905u),     /* TIMERS -> TIMERS_RESULT */
    ASYNCNET_ECHO_START = ASYNCNET_CODE(ASYNCNET_MAY_WRITE, 0x906u), /* ECHO -> ECHO */
    ASYNCNET_ECHO_STOP = ASYNCNET_CODE(ASYNCNET_MAY_WRITE, 0x907u),  /* - */
    ASYNCNET_STATUS = ASYNCNET_CODE(ASYNCNET_MAY_READ, 0x908u),      /* -> STATUS */
    /* -> TEXT: why the last request of this handle was refused */
    ASYNCNET_LAST_ERROR = ASYNCNET_CODE(ASYNCNET_MAY_READ, 0x909u),
};

#define MESSAGE_BYTES_MAX 65536u /* of an encoded one */

#define MESSAGE_ADDRESS_BYTES 48u
#define MESSAGE_PATH_BYTES    256u
#define MESSAGE_TEXT_BYTES    160u

/* Counters by number, in the caller's array. Those that are 0 are not written. */
struct message_counts {
    uint64_t *counts;
    uint32_t capacity;
};

/* LOAD: concurrency lanes. THREADS: concurrency threads. */
struct message_load {
    uint64_t connections;
    uint64_t concurrency;
    uint64_t retries;
    uint64_t timeout_ms;
    uint64_t port;
    bool is_background; /* answered when it has begun, not when it has ended */
    char address[MESSAGE_ADDRESS_BYTES];
    char path[MESSAGE_PATH_BYTES];
};

struct message_result {
    uint64_t connections;
    uint64_t replies;
    uint64_t failures;
    uint64_t retried;
    uint64_t duration_ns;
    struct message_counts codes;  /* by HTTP code */
    struct message_counts errors; /* by vck_status */
};

struct message_timers {
    uint64_t count;
    uint64_t span_ms;
    bool is_background;
};

struct message_timers_result {
    uint64_t count;
    uint64_t expired;
    uint64_t early;
    uint64_t out_of_order;
    uint64_t latest_ns;
    uint64_t duration_ns;
};

struct message_echo {
    char address[MESSAGE_ADDRESS_BYTES];
    uint64_t port; /* 0: the system chooses */
};

struct message_status {
    bool is_started;
    uint64_t workers;
    uint64_t jobs;
    uint64_t jobs_begun;
    uint64_t sockets;
    uint64_t replies;
    uint64_t failures;
    uint64_t timers;
    uint64_t allocations;
    uint64_t echo_port; /* 0: it does not run */
    uint64_t echo_accepted;
    uint64_t echo_open;
    uint64_t echo_bytes;
};

struct message_text {
    char text[MESSAGE_TEXT_BYTES];
};

struct message_shape;

extern const struct message_shape message_load;
extern const struct message_shape message_threads;
extern const struct message_shape message_result;
extern const struct message_shape message_timers;
extern const struct message_shape message_timers_result;
extern const struct message_shape message_echo;
extern const struct message_shape message_status;
extern const struct message_shape message_text;

/*
 * Reads a message of the shape; nothing at all is an empty map. Room for counters is the caller's,
 * said in *ret_message. INVALID_DATA: ret_fault, of MESSAGE_TEXT_BYTES, says what was wrong and
 * what was expected; ret_message is then not to be used. Any level.
 */
VCK_CHECKED vck_status message_decode(const struct message_shape *shape, struct vck_bytes data,
                                      void *ret_message, char *ret_fault);

/* Borrows message. SIZE_MISMATCH: it does not fit. Any level. */
VCK_CHECKED vck_status message_encode(const struct message_shape *shape, const void *message,
                                      uint8_t *buffer, size_t capacity_bytes,
                                      size_t *ret_size_bytes);

/* Writes a fault's text, of MESSAGE_TEXT_BYTES. Any level. */
void message_fault(char *ret_fault, const char *text);

/* The address of a request: a number, not a name. INVALID_DATA, with the fault's text. Any level.
 */
VCK_CHECKED vck_status message_get_address(const char *text, uint64_t port,
                                           struct vck_address *ret_address, char *ret_fault);

VCK_END_DECLS

#endif
