/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame: what the port of frames (port/frames.h) takes on Linux, as vck_frames_options.port_config.
 * An adapter is an Ethernet interface of the network namespace in which the protocol was
 * registered: bound when it appears, unbound when it is deleted, paused while it is down. It has a
 * packet socket; nothing is received, and no memory used, before a packet filter is set.
 */
#ifndef VCK_PORT_POSIX_FRAME_H
#define VCK_PORT_POSIX_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include "vck/annotate.h"

VCK_BEGIN_DECLS

struct vck_posix_frame_config {
    const char *const *names; /* of the only interfaces to bind, ends with NULL; NULL: all */
    uint32_t ring_bytes; /* of the receive ring; 0: 4 MiB. A multiple of 64 KiB is made of it */
    uint32_t retire_ms;  /* how long a frame may wait in the ring for others; 0: 1 */
};

VCK_END_DECLS

#endif
