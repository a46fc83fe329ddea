/* SPDX-License-Identifier: Apache-2.0 */
/* irp: the tracking of IRPs that its two files share. Everything here but the lock itself is called
 * with the lock held. */
#ifndef VERIFY_IRP_H
#define VERIFY_IRP_H

#include "verify.h"

enum { IRP_LOCATIONS = 24 };

enum irp_state { IRP_OWNED, IRP_FLYING, IRP_COMPLETING, IRP_HELD, IRP_COMPLETED };

struct irp_track {
    LIST_ENTRY link;
    LIST_ENTRY completed;
    PIRP irp;
    enum irp_state state;
    ULONG64 generation;           /* which use of this memory */
    struct verify_driver *owner;  /* who allocated it; NULL: Wine */
    struct verify_driver *holder; /* whose dispatch routine saw it last */
    struct verify_thread *completer;
    bool is_freed_by_system; /* when it is completed */
    UCHAR major;
    int walked_to;       /* the highest stack location completion has passed */
    uint64_t marked;     /* stack locations seen marked pending */
    uint64_t propagates; /* passed on without a completion routine: the system copies the mark */
    ULONG flights[IRP_LOCATIONS];
    PIO_COMPLETION_ROUTINE routines[IRP_LOCATIONS];
    struct verify_stack stack; /* where it was allocated */
};

void verify_irp_lock(void);
void verify_irp_unlock(void);
struct irp_track *verify_irp_find(const IRP *irp);
/* A new use of this memory; NULL when there is no memory to track it. */
struct irp_track *verify_irp_begin(PIRP irp, enum irp_state state, struct verify_driver *owner);
void verify_irp_forget(struct irp_track *track);

#endif
