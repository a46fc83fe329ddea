/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place: where a volume is being put, or taken from, by the calling thread: its filter, the handle
 * that keeps users out meanwhile, and what has to be undone. All calls about one PREPARE or one
 * detach come on one thread, which is how its place is found again.
 *
 *     place_open --> [filter bound --> unbound] --> place_close
 */
#ifndef VCK_VCKSYS_PLACE_H
#define VCK_VCKSYS_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include "filter.h"
#include "vck/control.h"
#include "vck/list.h"
#include "volume_handle.h"

VCK_BEGIN_DECLS

struct place {
    struct vck_link link;
    uint32_t thread_id;
    struct filter *filter; /* NULL: none so far */
    bool is_borrowed;      /* the filter's reference is not ours */
    bool is_new;           /* the filter was put on its stack for this */
    bool refused_writes;   /* the filter did before */
    struct volume_handle volume;
};

void places_start(void);
/* None may be left. */
void places_stop(void);

/* The calling thread's new place; it has none. NULL: no memory. PASSIVE. */
struct place *place_create(void) VCK_CAN_WAIT;
/* The calling thread's, NULL when it has none. PASSIVE. */
struct place *place_find(void) VCK_CAN_WAIT;
/* Gives back the filter and lets users in. Accepts NULL. PASSIVE. */
void place_destroy(struct place *place VCK_TAKES) VCK_CAN_WAIT;

/* Finds or makes the filter of the device at nt_path, which may be a link, and keeps users out
 * where that is needed. NOT_FOUND, BUSY (somebody uses it), NO_MEMORY, IO, ...; explained. What was
 * begun is undone by place_destroy after place_take_back. PASSIVE. */
VCK_CHECKED vck_status place_fill(struct place *place, const char *nt_path,
                                  struct vck_explanation *ret_why) VCK_CAN_WAIT;

/* The filter goes from the stack again if it was put there for this, and refuses writes as it did
 * before. Nothing is bound and the disk is closed. PASSIVE. */
void place_take_back(struct place *place) VCK_CAN_WAIT;

/* The filter at nt_path, referenced; NOT_FOUND, NO_MEMORY. PASSIVE. */
VCK_CHECKED vck_status place_find_filter(const char *nt_path,
                                         struct filter **ret_filter) VCK_CAN_WAIT;

VCK_END_DECLS

#endif
