/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_wsk: Winsock Kernel over the host's sockets, for the sockets of the NT port. Included by
 * port/nt/wsk.h only.
 *
 * It stops the program when the port breaks a rule: a function called from a completion routine, on
 * a socket that is being closed or closed while a function of it is running, before bind; an
 * unregistration that leaves sockets or IRPs.
 */
#ifndef VCK_FAKE_WSK_H
#define VCK_FAKE_WSK_H

#include "fake_nt.h"
#include "port/port.h"

#define DISPATCH_LEVEL ((KIRQL)VCK_LEVEL_DISPATCH)

static inline void KeRaiseIrql(KIRQL level, KIRQL *ret_before)
{
    (void)level;
    *ret_before = (KIRQL)vck_current_level();
    fake_raise();
}

static inline void KeLowerIrql(KIRQL level)
{
    if (level < DISPATCH_LEVEL)
        fake_lower();
}

/* When an IRP whose operation need not wait is completed. */
enum fake_wsk_mode {
    FAKE_WSK_AT_ONCE,         /* before the call returns its status */
    FAKE_WSK_AT_ONCE_PENDING, /* the same, but the call returns STATUS_PENDING */
    FAKE_WSK_LATER,           /* by another thread at DISPATCH, STATUS_PENDING */
    FAKE_WSK_LATER_PASSIVE,   /* by another thread at PASSIVE */
};

enum fake_wsk_call {
    FAKE_WSK_CLOSE = 0, /* never missing, never fails */
    FAKE_WSK_SOCKET = 1 << 0,
    FAKE_WSK_ADDRESS_INFO = 1 << 1,
    FAKE_WSK_CONTROL = 1 << 2,
    FAKE_WSK_BIND = 1 << 3,
    FAKE_WSK_LOCAL_ADDRESS = 1 << 4,
    FAKE_WSK_DISCONNECT = 1 << 5,
    FAKE_WSK_CONNECT = 1 << 6,
    FAKE_WSK_ACCEPT = 1 << 7,
    FAKE_WSK_SEND = 1 << 8,
    FAKE_WSK_RECEIVE = 1 << 9,
    FAKE_WSK_SEND_TO = 1 << 10,
    FAKE_WSK_RECEIVE_FROM = 1 << 11,
};

/* What the provider is like. Tests change it while nothing runs. */
struct fake_wsk {
    enum fake_wsk_mode mode;
    uint32_t missing; /* enum fake_wsk_call: STATUS_NOT_IMPLEMENTED, the IRP is never completed */
    bool ignores_cancel;
    bool refuses_chains;
    bool is_absent;    /* there is no provider */
    int backlog;       /* of listeners; 0: as many as the host has */
    uint64_t fail_nth; /* the N-th call from now that is not a close fails; counts down */
    bool fails_without_completion;
};

extern struct fake_wsk fake_wsk;

#endif
