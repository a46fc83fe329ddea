/* SPDX-License-Identifier: Apache-2.0 */
/* system: the port beneath the files of this folder. Both offer the same `system_` functions. */
#ifndef VCK_PORT_HOSTED_SYSTEM_H
#define VCK_PORT_HOSTED_SYSTEM_H

#if defined(_WIN32)
#include "port/win/internal.h"
#else
#include "port/posix/internal.h"
#endif

#endif
