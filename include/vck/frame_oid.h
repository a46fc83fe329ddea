/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_oid: which of the numbers of port/frame_oid.h those who are served may use.
 */
#ifndef VCK_FRAME_OID_H
#define VCK_FRAME_OID_H

#include <stdbool.h>
#include <stdint.h>
#include "port/frame_oid.h"
#include "vck/annotate.h"

VCK_BEGIN_DECLS

/* Whether users may ask for it, or set it to the data: everything above may be asked for; what may
 * be set is the filter within the bits above, the lookahead and the multicast list. Any level. */
bool vck_frame_oid_may_query(uint32_t oid);
bool vck_frame_oid_may_set(uint32_t oid, const void *data, uint32_t size_bytes);

VCK_END_DECLS

#endif
