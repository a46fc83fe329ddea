/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test asks of the NDIS in the verifier: VERIFY_NDIS of control.h. Numbers are
 * little-endian.
 */
#ifndef NDIS_CONTROL_H
#define NDIS_CONTROL_H

#include <stdint.h>

enum {
    NDIS_ADAPTERS = 2,
    NDIS_FRAME_BYTES_MAX = 1514,
    NDIS_HEADER_BYTES = 14,
};

/* The adapters: each hands what is sent to it to those bound to it, as a wire that reflects. They
 * differ in how they are configured to begin with: the second completes everything later, in
 * another order, and borrows short of resources now and then. */
enum ndis_verb {
    NDIS_QUERY,     /* out: struct ndis_counts */
    NDIS_CONFIGURE, /* in: struct ndis_options */
    NDIS_RESET,     /* options as they were to begin with, the adapter there, powered, linked */
    NDIS_ADD,       /* the adapter is there (again): binds */
    NDIS_REMOVE,    /* pulled out: sends fail, then unbinds */
    NDIS_BIND,      /* the user binds the protocols; NDIS_UNBIND: unbinds them */
    NDIS_UNBIND,
    NDIS_PAUSE,
    NDIS_RESTART,
    NDIS_LOW_POWER,
    NDIS_FULL_POWER,
    NDIS_LINK,      /* in: u32, whether it is up: tells */
    NDIS_STATUS_IS, /* in: u32 code of a status to tell, without data */
    NDIS_RECEIVE,   /* in: a frame that comes from outside */
    NDIS_RELEASE,   /* what is held goes on */
    NDIS_UNINSTALL, /* every protocol is told that it is removed */
    NDIS_VERBS,
};

/* How an adapter behaves. Every n: 0 is never. */
struct ndis_options {
    uint32_t fails_open;          /* 1: at once; 2: later */
    uint32_t opens_later;         /* not in NdisOpenAdapterEx */
    uint32_t closes_later;        /* not in NdisCloseAdapterEx */
    uint32_t sends_later;         /* not in NdisSendNetBufferLists */
    uint32_t holds_sends;         /* until NDIS_RELEASE, or cancelled */
    uint32_t fails_send_every;    /* with FAILURE */
    uint32_t requests_later;      /* not in NdisOidRequest */
    uint32_t holds_requests;      /* until NDIS_RELEASE, or cancelled */
    uint32_t fails_request_every; /* with FAILURE */
    uint32_t lends_short_every;   /* indications with NDIS_RECEIVE_FLAGS_RESOURCES */
    uint32_t drops_every;         /* frames that get lost */
    uint32_t splits;              /* received frames in several MDLs, at odd places */
    uint32_t shuffles;            /* what is later is done in any order; its seed */
    uint32_t unbinds_running;     /* unbinds without a pause before */
    uint32_t binds_early;         /* binds before NdisRegisterProtocolDriver returns */
    uint32_t receive_limit;       /* frames lent at a time; more get lost */
};

struct ndis_counts {
    /* of everything: what there is now */
    uint32_t protocols;
    uint32_t bindings;
    uint32_t opens;
    uint32_t pools;
    uint32_t lists;    /* NET_BUFFER_LISTs of drivers */
    uint32_t sends;    /* NET_BUFFER_LISTs the adapters have */
    uint32_t receives; /* NET_BUFFER_LISTs drivers have */
    uint32_t requests;
    uint32_t events; /* PnP events, binds and unbinds that are not answered */
    uint32_t due;    /* calls that are still to be made */
    /* of the adapter: since it was reset */
    uint64_t frames_sent;
    uint64_t frames_failed;
    uint64_t frames_received; /* once for each binding */
    uint64_t frames_lost;     /* for want of room, or as configured */
    uint64_t binds;
    uint64_t unbinds;
    uint64_t pauses;
    uint64_t restarts;
    uint64_t requests_done;
    /* of the adapter: now */
    uint32_t is_present;
    uint32_t is_paused;
    uint32_t is_running; /* some binding is */
    uint32_t packet_filter;
};

#endif
