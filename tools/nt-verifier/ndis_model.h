/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ndis_model: a small NDIS 6 for protocol drivers, with adapters that are made up. It binds and
 * unbinds, pauses and restarts, carries frames and requests, calls the driver from several threads
 * at a time, and says when the driver breaks a rule of NDIS's. The verifier gives it to drivers
 * under Wine; the fake of tests/fake-nt, to drivers built for the host.
 *
 *     absent --bind--> binding --answered--> bound --unbind--> unbinding --answered--> absent
 *     within: closed --open--> opening --> open --close--> closing --> closed
 *     while open: paused --restart--> restarting --answered--> running
 *                 running --pause--> pausing --answered--> paused
 *
 * Everything is under one lock, and calls into drivers are made without it, by workers: what is due
 * follows from the states of the bindings. Source: "Protocol Driver Operations" in the Windows
 * driver documentation.
 */
#ifndef NDIS_MODEL_H
#define NDIS_MODEL_H

#include <stdbool.h>
#include "ndis_control.h"
#include "port/nt/ndis.h"
#if defined(VCK_FAKE_NT)
#include <fake_ndis.h>
#endif

/* ---- what the model stands on: ndis_verify.c, or tests/fake-nt/fake_ndis.c ---- */

/* The driver an address is in. Opaque; NULL: none that is watched. */
void *ndis_platform_driver(const void *address);
/* Says that a driver did wrong; with the lock held or not. */
void ndis_platform_report(const char *kind, void *driver, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same of a routine of the driver's that has returned, or of what is left of it: origin is
 * where in the driver it comes from. */
void ndis_platform_report_of(const char *kind, void *driver, const void *origin, const char *format,
                             ...) __attribute__((format(printf, 4, 5)));
/* Reports when the level is above `highest`. */
void ndis_platform_level(void *driver, KIRQL highest, const char *function);
/* Whether the call under way is one that a test wants to fail; counts it. */
bool ndis_platform_fails(void *driver);
/* Zeroed; NULL: none. With the lock held or not. */
void *ndis_platform_allocate(size_t bytes);
void ndis_platform_free(void *memory);
/* How many frames that were given back are kept before they are freed. */
uint32_t ndis_platform_quarantine(void);

void ndis_platform_lock(void);
void ndis_platform_unlock(void);
/* With the lock: waits until somebody calls `changed`; may return early. */
void ndis_platform_wait(void);
/* With the lock: wakes all that wait, and has workers call ndis_work. */
void ndis_platform_changed(void);

/* Around a call into a driver; without the lock. */
struct ndis_call {
    const void *function; /* the driver's */
    const char *name;
    void *driver;
    KIRQL level;
    uintptr_t storage[8];
};
void ndis_platform_enter(struct ndis_call *call);
void ndis_platform_leave(struct ndis_call *call);

/* ---- what there is ---- */

enum {
    NDIS_PROTOCOLS = 4,
    NDIS_NAME_CHARS = 56,
    NDIS_FRAME_TYPES = 8,
    NDIS_PACKET_PIECES = 4,
    NDIS_PIECE_PAGES = 2,
};

/* What may be called now. */
enum ndis_job {
    NDIS_JOB_BIND = 1u << 0,
    NDIS_JOB_OPENED = 1u << 1,
    NDIS_JOB_REQUESTED = 1u << 2,
    NDIS_JOB_SENT = 1u << 3,
    NDIS_JOB_RECEIVED = 1u << 4,
    NDIS_JOB_STATUS = 1u << 5,
    NDIS_JOB_PAUSE = 1u << 6,
    NDIS_JOB_RESTART = 1u << 7,
    NDIS_JOB_LOW_POWER = 1u << 8,
    NDIS_JOB_FULL_POWER = 1u << 9,
    NDIS_JOB_UNBIND = 1u << 10,
    NDIS_JOB_CLOSED = 1u << 11,
    NDIS_JOBS = 12,
};

/* Places of the events of a binding. */
enum ndis_event_kind {
    NDIS_EVENT_PAUSE,
    NDIS_EVENT_RESTART,
    NDIS_EVENT_LOW_POWER,
    NDIS_EVENT_FULL_POWER,
    NDIS_EVENTS,
};

struct ndis_event {
    NET_PNP_EVENT_NOTIFICATION notification; /* first */
    ULONG power_state;
    bool is_out; /* the driver has it */
};

enum ndis_life { NDIS_BINDING, NDIS_BOUND, NDIS_UNBINDING };
enum ndis_opening { NDIS_CLOSED, NDIS_OPENING, NDIS_OPEN, NDIS_CLOSING };
enum ndis_run { NDIS_PAUSED, NDIS_RESTARTING, NDIS_RUNNING, NDIS_PAUSING };

struct ndis_protocol {
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS handlers;
    NDIS_HANDLE context;
    void *driver;
    struct ndis_binding *bindings[NDIS_ADAPTERS];
    bool owes_bind[NDIS_ADAPTERS]; /* as soon as there is no binding */
    uint32_t calls;                /* of handlers that are no binding's, under way */
    bool is_ending;
    bool owes_binds_complete;
    bool owes_uninstall;
};

struct ndis_adapter {
    uint32_t number;
    UNICODE_STRING name;
    WCHAR name_text[NDIS_NAME_CHARS];
    UCHAR mac[6];
    struct ndis_options options;
    struct ndis_counts counts;                     /* those that are its own */
    uint64_t sends, requests, indications, frames; /* for what happens every so often */
    bool is_present;
    bool is_paused;
    bool is_low_power;
    bool is_up;
};

struct ndis_binding {
    struct ndis_protocol *protocol;
    struct ndis_adapter *adapter;
    NDIS_HANDLE context;
    NDIS_HANDLE *handle_place; /* where an open that is under way puts the handle */
    uint32_t uses;             /* calls that have to end before a close does */
    uint32_t calls;            /* all of them: before the binding can go */
    uint32_t event_calls;      /* of NetPnPEventHandler: before it is unbound */
    uint8_t life, opening, run;
    bool owes_bind;     /* BindAdapterHandlerEx is still to be called */
    bool is_gone;       /* answered for good */
    bool must_go;       /* is to be unbound */
    bool is_indicating; /* frames are, one call at a time */
    bool is_low;        /* the driver was told of low power */
    bool owes_status;
    struct ndis_event events[NDIS_EVENTS];
    ULONG status_code;
    uint32_t packet_filter;
    NET_FRAME_TYPE frame_types[NDIS_FRAME_TYPES];
    uint32_t frame_type_count;
    uint32_t sends, receives, requests; /* outstanding */
    NET_BUFFER_LIST *held, *sent;       /* sends: wait for something; are over, but not told */
    NET_BUFFER_LIST **sent_end;
    struct ndis_packet *arrived, **arrived_end;
    uint32_t arrived_count, indicated;
    NDIS_OID_REQUEST *held_requests, *done_requests;
};

struct ndis_pool {
    void *driver;
    const void *made_at;
    uint32_t lists;
    bool has_buffers;
    struct ndis_pool *next;
};

/* Where a NET_BUFFER_LIST is. */
enum ndis_place {
    NDIS_LIST_IDLE = 0x51, /* a driver's, with the driver */
    NDIS_LIST_SENT,
    NDIS_PACKET_HOME, /* an adapter's, with the adapter */
    NDIS_PACKET_LENT,
    NDIS_GONE,
};

/* A NET_BUFFER_LIST of a driver's. */
struct ndis_list {
    NET_BUFFER_LIST list; /* these three are the same in both */
    NET_BUFFER buffer;
    uint8_t place;
    struct ndis_pool *pool;
};

/* An MDL, and the numbers of its pages, as they follow it. */
struct ndis_piece {
    MDL mdl;
    uint64_t pages[NDIS_PIECE_PAGES];
};

/* A frame of an adapter's. */
struct ndis_packet {
    NET_BUFFER_LIST list;
    NET_BUFFER buffer;
    uint8_t place;
    struct ndis_piece pieces[NDIS_PACKET_PIECES];
    struct ndis_packet *next;
    bool is_short; /* lent for the length of the call only */
    UCHAR data[NDIS_FRAME_BYTES_MAX + 2 * NDIS_HEADER_BYTES];
};

extern struct ndis_world {
    struct ndis_protocol *protocols[NDIS_PROTOCOLS];
    struct ndis_adapter adapters[NDIS_ADAPTERS];
    struct ndis_pool *pools;
    struct ndis_packet *quarantine, **quarantine_end;
    uint32_t quarantined;
    uint32_t random;
    UCHAR cancel_parts;
} ndis_world;

/* ---- for the platform ---- */

void ndis_start(void);
/* Frees what is the model's own. No protocol may be left. */
void ndis_stop(void);
/* Makes one call that is due; false: none is. Called by workers with the lock, which it lets go of
 * meanwhile. */
bool ndis_work(void);
/* What the driver left behind, and forgets it. */
void ndis_leaks(void *driver);
/* STATUS_INVALID_PARAMETER: no such adapter or verb, or wrong sizes. Does not wait for drivers. */
NTSTATUS ndis_control(uint32_t verb, uint32_t adapter, const void *in, size_t in_bytes, void *out,
                      size_t out_bytes, size_t *ret_bytes);

/* The functions of NDIS; driver: who calls. */
NDIS_STATUS ndis_register(void *driver, NDIS_HANDLE context,
                          const NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *handlers,
                          NDIS_HANDLE *ret_protocol);
void ndis_deregister(void *driver, NDIS_HANDLE handle);
NDIS_STATUS ndis_open(void *driver, NDIS_HANDLE protocol, NDIS_HANDLE context,
                      const NDIS_OPEN_PARAMETERS *parameters, NDIS_HANDLE bind_context,
                      NDIS_HANDLE *ret_binding);
NDIS_STATUS ndis_close(void *driver, NDIS_HANDLE handle);
void ndis_complete_bind(void *driver, NDIS_HANDLE bind_context, NDIS_STATUS status);
void ndis_complete_unbind(void *driver, NDIS_HANDLE unbind_context);
void ndis_complete_event(void *driver, NDIS_HANDLE handle, NET_PNP_EVENT_NOTIFICATION *event,
                         NDIS_STATUS status);
NDIS_STATUS ndis_instance_name(void *driver, NDIS_HANDLE bind_context, NDIS_STRING *ret_name,
                               void *(*allocate)(void *driver, size_t bytes));
void ndis_send(void *driver, NDIS_HANDLE handle, NET_BUFFER_LIST *lists, ULONG flags);
void ndis_cancel_sends(void *driver, NDIS_HANDLE handle, void *cancel_id);
void ndis_return(void *driver, NDIS_HANDLE handle, NET_BUFFER_LIST *lists);
NDIS_STATUS ndis_request(void *driver, NDIS_HANDLE handle, NDIS_OID_REQUEST *request);
void ndis_cancel_request(void *driver, NDIS_HANDLE handle, void *request_id);
UCHAR ndis_partial_cancel_id(void);
NDIS_HANDLE ndis_pool_create(void *driver, const void *caller,
                             const NET_BUFFER_LIST_POOL_PARAMETERS *parameters);
void ndis_pool_free(void *driver, NDIS_HANDLE handle);
NET_BUFFER_LIST *ndis_list_create(void *driver, NDIS_HANDLE pool, MDL *chain, ULONG offset_bytes,
                                  SIZE_T length_bytes);
void ndis_list_free(void *driver, NET_BUFFER_LIST *list);

/* ---- between the model's files; all with the lock ---- */

/* Around a call of a binding's handler at DISPATCH that tells of frames, requests or a status: lets
 * go of the lock, and takes it again; the binding may be gone then. */
void ndis_tell_begin(struct ndis_binding *binding, struct ndis_call *call, const void *function,
                     const char *name);
void ndis_tell_end(struct ndis_binding *binding, struct ndis_call *call);
/* The binding of an open handle, or NULL and a report. Frames are also returned while it closes. */
struct ndis_binding *ndis_binding_open(void *driver, NDIS_HANDLE handle, const char *function);
/* 0 unless the adapter shuffles. */
uint32_t ndis_random(const struct ndis_adapter *adapter, uint32_t below);
/* Whether it is time again for what happens every n; counts. */
bool ndis_is_nth(uint64_t *count, uint32_t every);
struct ndis_list *ndis_list_of(NET_BUFFER_LIST *list);

NDIS_STATUS ndis_open_now(struct ndis_binding *binding, NDIS_STATUS status);
void ndis_answer_bind(struct ndis_binding *binding, NDIS_STATUS status);
void ndis_answer_unbind(struct ndis_binding *binding);
void ndis_answer_event(struct ndis_binding *binding, size_t kind, NDIS_STATUS status);
/* Frees a binding that is gone and in no call. */
void ndis_forget_binding(struct ndis_binding *binding);
/* How many bindings and protocols there is something to call for, or a call under way. */
uint32_t ndis_jobs_due(void);

/* Calls that are due. */
void ndis_call_sent(struct ndis_binding *binding);
void ndis_call_received(struct ndis_binding *binding);
void ndis_call_requested(struct ndis_binding *binding);

/* A frame arrives at the adapter, in flat memory. */
void ndis_arrive(struct ndis_adapter *adapter, const UCHAR *frame, uint32_t bytes);
/* Sends and requests that were held go on; cancelled: with REQUEST_ABORTED. */
void ndis_release_sends(struct ndis_binding *binding, bool is_cancelled);
void ndis_release_requests(struct ndis_binding *binding, bool is_cancelled);
/* Frames that arrived and were not told of. */
void ndis_forget_arrived(struct ndis_binding *binding);
void ndis_packet_free(struct ndis_packet *packet);

#endif
